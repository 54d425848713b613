//! The shares of a campaign's pot.

use sea_orm::entity::prelude::*;

use crate::domain::Fen;
use crate::domain::id::{CampaignId, IssuanceId};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "campaign_share")]
pub struct Model {
    /// The campaign.
    #[sea_orm(primary_key, auto_increment = false)]
    pub campaign_id: CampaignId,
    /// Which share, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    /// How much.
    pub amount_fen: Fen,
    /// Who has it.
    pub issuance_id: Option<IssuanceId>,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
