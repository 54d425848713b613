//! The next id of each kind.

use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "id_block")]
pub struct Model {
    /// The kind.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// The first id that nobody has leased.
    pub next_id: i64,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
