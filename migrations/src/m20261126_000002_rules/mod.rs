//! Rules that keep the money safe, as an addition to the foundation.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

mod breakers;
mod caps;
mod people;
mod quotas;
mod stops;

/// The step.
#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261126_000002_rules"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        super::run(
            manager,
            sqlite,
            &[caps::UP, quotas::UP, stops::UP, people::UP, breakers::UP],
        )
        .await
    }
}
