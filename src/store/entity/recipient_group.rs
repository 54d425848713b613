//! Named groups of recipients.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::{GroupId, ShopId};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recipient_group")]
pub struct Model {
    /// The shop.
    #[sea_orm(primary_key, auto_increment = false)]
    pub shop_id: ShopId,
    /// The id within it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it was last renamed.
    pub update_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
