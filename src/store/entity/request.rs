//! Which request ids were used for what, by whom: the record of every write.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::{AppId, ShopId};
use crate::domain::text::RequestId;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "request")]
pub struct Model {
    /// Who called.
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: AppId,
    /// The name of the call.
    #[sea_orm(primary_key, auto_increment = false)]
    pub request_id: RequestId,
    /// The method.
    pub method: String,
    /// The shop.
    pub shop_id: Option<ShopId>,
    /// SHA-256 of the body.
    pub fingerprint: Vec<u8>,
    /// What the call made or changed.
    pub resource_id: i64,
    /// What a replay must say and no resource shows, as JSON.
    pub reply: Option<String>,
    /// Who called, by name.
    pub actor: String,
    /// When it was made.
    pub create_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
