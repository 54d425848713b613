//! How far a shop's feed has been published elsewhere.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::ShopId;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_sink")]
pub struct Model {
    /// Where to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The shop.
    #[sea_orm(primary_key, auto_increment = false)]
    pub shop_id: ShopId,
    /// The last place that is there; 0: none.
    pub position: i64,
    /// Until when somebody publishes what follows.
    pub lease_until: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
