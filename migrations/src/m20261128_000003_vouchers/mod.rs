//! Vouchers (seed 002), as an addition: their tables, what apps sign their calls with, and
//! journal and caps made wide enough to hold products and vouchers beside campaigns and
//! packets.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

mod books;
mod remote;
mod signing;
mod step_up;
mod vouchers;

/// The step.
#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261128_000003_vouchers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        super::run(
            manager,
            sqlite,
            &[
                books::UP,
                vouchers::UP,
                remote::UP,
                step_up::UP,
                signing::UP,
            ],
        )
        .await
    }
}
