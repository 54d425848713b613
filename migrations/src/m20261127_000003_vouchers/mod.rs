//! Vouchers, and what the apps that give and spend them sign, as an addition.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

mod signing;

/// The step.
#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261127_000003_vouchers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        super::run(manager, sqlite, &[signing::UP]).await
    }
}
