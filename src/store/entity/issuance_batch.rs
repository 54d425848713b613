//! Sends to many.

use sea_orm::entity::prelude::*;

use crate::domain::id::{BatchId, CampaignId, ShopId};
use crate::domain::source::Source;
use crate::domain::{Fen, Timestamp};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "issuance_batch")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BatchId,
    /// Whose it is.
    pub shop_id: ShopId,
    /// Who pays.
    pub campaign_id: CampaignId,
    /// Where it comes from.
    pub source: Source,
    /// How many different users were asked for.
    pub requested_count: i64,
    /// What was held when it was accepted.
    pub amount_fen: Fen,
    /// When it was accepted.
    pub create_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
