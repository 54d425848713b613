//! What finds a name by a part of it.

use sea_orm::entity::prelude::*;

use crate::domain::id::ShopId;

/// What is found by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Kind {
    /// A recipient, by nickname.
    Recipient,
    /// A campaign, by code and act_name.
    Campaign,
    /// A group, by name.
    Group,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "search_gram")]
pub struct Model {
    /// The shop.
    #[sea_orm(primary_key, auto_increment = false)]
    pub shop_id: ShopId,
    /// Of what kind of thing.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: Kind,
    /// One or two neighbouring characters.
    #[sea_orm(primary_key, auto_increment = false)]
    pub gram: String,
    /// Whose name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub ref_id: i64,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
