//! Codes of vouchers that apps tried and that are none.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::{AppId, ShopId};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "code_guess")]
pub struct Model {
    /// The app.
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: AppId,
    /// The shop.
    #[sea_orm(primary_key, auto_increment = false)]
    pub shop_id: ShopId,
    /// How many since then.
    pub wrong_count: i32,
    /// Since when they are counted.
    pub since: Timestamp,
    /// Locked until just before then.
    pub locked_until: Option<Timestamp>,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
