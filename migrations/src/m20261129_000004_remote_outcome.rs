//! What each exchange with a voucher platform proved, in a word.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// The step.
#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261129_000004_remote_outcome"
    }
}

const UP: &[&str] = &[
    // Empty: written before this was kept.
    "ALTER TABLE remote_exchange ADD COLUMN outcome TEXT NOT NULL DEFAULT ''",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        super::run(manager, sqlite, &[UP]).await
    }
}
