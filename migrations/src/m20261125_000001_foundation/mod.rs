//! The first schema. Plain SQL, one text for both databases: where they differ in a
//! word, the word is a placeholder. Times are microseconds since 1970 UTC, money is
//! fen, ids are given by the service.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

mod audience;
mod campaign;
mod issuance;
mod journal;
mod platform;

/// The step.
#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_000001_foundation"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        // In the order of their references.
        let parts = [
            platform::UP,
            audience::UP,
            campaign::UP,
            issuance::UP,
            journal::UP,
        ];
        super::run(manager, sqlite, &parts).await
    }
}
