//! Calls that take two people.

use sea_orm::entity::prelude::*;

use crate::domain::approval::{Rule, Stage};
use crate::domain::id::{AppId, ApprovalId, CampaignId, IssuanceId, ShopId};
use crate::domain::text::RequestId;
use crate::domain::{Fen, Timestamp};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "approval")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApprovalId,
    /// Who called.
    pub app_id: AppId,
    /// The name of the call.
    pub request_id: RequestId,
    /// Who called, by name.
    pub actor: String,
    /// The method.
    pub method: String,
    /// SHA-256 of the body.
    pub fingerprint: Vec<u8>,
    /// The shop.
    pub shop_id: Option<ShopId>,
    /// The campaign.
    pub campaign_id: Option<CampaignId>,
    /// The packet.
    pub issuance_id: Option<IssuanceId>,
    /// What demands it.
    pub rule: Rule,
    /// The call in words.
    pub summary: String,
    /// How many packets.
    pub packet_count: i64,
    /// How much.
    pub amount_fen: Fen,
    /// Where it stands.
    pub state: Stage,
    /// Who decided.
    pub decided_by: Option<AppId>,
    /// Who decided, by name.
    pub decider: String,
    /// Why it was decided so.
    pub reason: String,
    /// When it was decided.
    pub decide_time: Option<Timestamp>,
    /// When it was asked for.
    pub create_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
