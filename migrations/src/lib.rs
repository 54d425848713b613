//! The schema, as steps that only ever go forward.
//!
//! A step never sees today's entities, for history must not change with them. Each
//! one first widens and a later release narrows, so that the old and the new
//! binary can run side by side. SQLite cannot add constraints later; what a table
//! must refuse stands in its CREATE TABLE. Until 1.0 a step may be replaced
//! by a newer one (the changelog says so); a database of the older one is refused.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::ConnectionTrait;

mod m20261125_000001_foundation;
mod m20261126_000002_rules;
mod m20261128_000003_vouchers;
mod m20261129_000004_remote_outcome;
mod m20261129_000005_events;
mod m20261130_000006_open_platform;

/// All steps, first to last.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261125_000001_foundation::Migration),
            Box::new(m20261126_000002_rules::Migration),
            Box::new(m20261128_000003_vouchers::Migration),
            Box::new(m20261129_000004_remote_outcome::Migration),
            Box::new(m20261129_000005_events::Migration),
            Box::new(m20261130_000006_open_platform::Migration),
        ]
    }
}

/// Runs statements in their order. One text for both databases: where they differ in
/// a word, the word is a placeholder.
async fn run(
    manager: &SchemaManager<'_>,
    sqlite: bool,
    parts: &[&[&'static str]],
) -> Result<(), DbErr> {
    // A rowid is 64 bits wide; INTEGER PRIMARY KEY is its name.
    let words = if sqlite {
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
    for part in parts {
        for statement in *part {
            let statement = words
                .iter()
                .fold((*statement).to_owned(), |text, (word, is)| {
                    text.replace(word, is)
                });
            manager
                .get_connection()
                .execute_unprepared(&statement)
                .await?;
        }
    }
    Ok(())
}
