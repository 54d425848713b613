//! Texts of campaigns; never changed.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::CampaignId;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "campaign_revision")]
pub struct Model {
    /// Whose they are.
    #[sea_orm(primary_key, auto_increment = false)]
    pub campaign_id: CampaignId,
    /// From 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i64,
    /// The texts, as JSON of `domain::text::Texts`.
    pub texts: String,
    /// When they were made.
    pub create_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
