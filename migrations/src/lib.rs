//! The schema, as steps that only ever go forward.
//!
//! A step never sees today's entities, for history must not change with them. Each
//! one first widens and a later release narrows, so that the old and the new
//! binary can run side by side. SQLite cannot add constraints later; what a table
//! must refuse stands in its CREATE TABLE. Until 1.0 the first step may be replaced
//! by a newer one (the changelog says so); a database of the older one is refused.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

mod m20261125_000001_foundation;

/// All steps, first to last.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m20261125_000001_foundation::Migration)]
    }
}
