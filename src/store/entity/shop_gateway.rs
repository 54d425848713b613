//! Which account pays for a kind of merchant.

use sea_orm::entity::prelude::*;

use crate::domain::id::{AccountId, ShopId};
use crate::domain::packet::GatewayType;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "shop_gateway")]
pub struct Model {
    /// The shop.
    #[sea_orm(primary_key, auto_increment = false)]
    pub shop_id: ShopId,
    /// The kind of merchant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub gateway_type: GatewayType,
    /// The account.
    pub account_id: AccountId,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
