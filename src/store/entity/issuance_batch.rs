//! Sends to many.

use sea_orm::entity::prelude::*;

use crate::domain::id::{BatchId, BranchId, CampaignId, GroupId, ShopId};
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
    /// The branch that its packets are attributed to; 0: each to its recipient's.
    pub shop_sub_id: BranchId,
    /// Who pays.
    pub campaign_id: CampaignId,
    /// Where it comes from.
    pub source: Source,
    /// The group that it was sent to.
    pub group_id: Option<GroupId>,
    /// Its name then.
    pub group_name: Option<String>,
    /// Whether somebody in several groups of the call gets a packet for each.
    pub every_group: bool,
    /// How many different people were asked for.
    pub requested_count: i64,
    /// How many were refused alone.
    pub refused_count: i64,
    /// How many are QUEUED.
    pub queued_count: i64,
    /// How many are SENDING.
    pub sending_count: i64,
    /// How many are UNKNOWN.
    pub unknown_count: i64,
    /// How many are REVIEW.
    pub review_count: i64,
    /// How many are SENT.
    pub sent_count: i64,
    /// How many are RECEIVED.
    pub received_count: i64,
    /// How many are REFUNDING.
    pub refunding_count: i64,
    /// How many are REFUNDED.
    pub refunded_count: i64,
    /// How many are FAILED.
    pub failed_count: i64,
    /// How many are CANCELLED.
    pub cancelled_count: i64,
    /// What was held when it was accepted.
    pub amount_fen: Fen,
    /// When what is queued of it was to be withdrawn.
    pub cancel_time: Option<Timestamp>,
    /// When it was accepted.
    pub create_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
