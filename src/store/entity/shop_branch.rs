//! Branches of shops.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::{BranchId, ShopId};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "shop_branch")]
pub struct Model {
    /// The shop.
    #[sea_orm(primary_key, auto_increment = false)]
    pub shop_id: ShopId,
    /// The branch within it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub shop_sub_id: BranchId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub create_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
