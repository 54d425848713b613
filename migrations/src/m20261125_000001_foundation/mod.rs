//! The first schema. Plain SQL, one text for both databases: where they differ in a
//! word, the word is a placeholder. Times are microseconds since 1970 UTC, money is
//! fen, ids are given by the service.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

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
        let db = manager.get_connection();
        // A rowid is 64 bits wide; INTEGER PRIMARY KEY is its name.
        let words = if manager.get_database_backend() == DbBackend::Sqlite {
            [
                ("{id}", "INTEGER PRIMARY KEY"),
                ("{bytes}", "BLOB"),
                ("{keyed}", "WITHOUT ROWID"),
            ]
        } else {
            [
                ("{id}", "BIGINT PRIMARY KEY"),
                ("{bytes}", "BYTEA"),
                ("{keyed}", ""),
            ]
        };
        // In the order of their references.
        let parts = [
            platform::UP,
            audience::UP,
            campaign::UP,
            issuance::UP,
            journal::UP,
        ];
        for statement in parts.into_iter().flatten() {
            let statement = words
                .iter()
                .fold((*statement).to_owned(), |text, (word, is)| {
                    text.replace(word, is)
                });
            db.execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}
