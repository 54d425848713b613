//! Red packets, one for one recipient.

use sea_orm::entity::prelude::*;

use crate::domain::id::{
    AccountId, AppId, BatchId, BranchId, CampaignId, IssuanceId, RecipientId, ShopId,
};
use crate::domain::packet::{GatewayType, Kind};
use crate::domain::schedule::Job;
use crate::domain::source::Source;
use crate::domain::text::{Appid, MchBillno, RequestId, Uid};
use crate::domain::{Fen, State, Timestamp};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "issuance")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: IssuanceId,
    /// Whose it is.
    pub shop_id: ShopId,
    /// Who pays.
    pub campaign_id: CampaignId,
    /// Which texts.
    pub campaign_revision: i64,
    /// Own texts, as JSON; else the revision has them.
    pub texts: Option<String>,
    /// What kind of packet.
    pub kind: Kind,
    /// How many people share it.
    pub total_num: i32,
    /// What the merchant tells of the recipient's device, encrypted.
    pub risk_info_cipher: Option<Vec<u8>>,
    /// The recipient's mobile number for the provider, encrypted.
    pub mobile_cipher: Option<Vec<u8>>,
    /// Where its own events are posted, encrypted; else the endpoint's URL.
    pub callback_cipher: Option<Vec<u8>>,
    /// The address that the provider is told; else the account's.
    pub client_ip: Option<String>,
    /// What chose the account; else the campaign did.
    pub gateway_type: Option<GatewayType>,
    /// The branch that it is attributed to.
    pub shop_sub_id: BranchId,
    /// The batch.
    pub batch_id: Option<BatchId>,
    /// Who gets it, if the shop knows him.
    pub recipient_id: Option<RecipientId>,
    /// The uid that the caller named.
    pub uid: Option<Uid>,
    /// Who asked.
    pub app_id: AppId,
    /// In which call.
    pub request_id: RequestId,
    /// Through which account.
    pub account_id: AccountId,
    /// Which appid sends.
    pub appid: Appid,
    /// To which openid, encrypted.
    pub openid_cipher: Option<Vec<u8>>,
    /// Its blind index.
    pub openid_index: Option<Vec<u8>>,
    /// How much.
    pub amount_fen: Fen,
    /// Where it comes from.
    pub source: Source,
    /// The how-manieth scan by its openid in the campaign, from 1. It never changes: the
    /// order numbers are derived from it.
    pub scan_no: Option<i32>,
    /// Its share of the campaign's pot.
    pub share_position: Option<i32>,
    /// How much was taken so far.
    pub received_fen: Fen,
    /// How much came back.
    pub refunded_fen: Fen,
    /// Where it stands.
    pub state: State,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// The merchant order number of the latest attempt, or of the one to come.
    pub mch_billno: Option<MchBillno>,
    /// How many attempts were made.
    pub attempt_count: i32,
    /// Whether the provider contradicted itself about it.
    pub frozen: bool,
    /// The Beijing day on which it was counted against caps; none while it does not count.
    pub counted_day: Option<i64>,
    /// The trace of the call that asked for it.
    pub traceparent: Option<String>,
    /// What is done next.
    pub job: Option<Job>,
    /// When; while it is claimed, when the lease ends.
    pub due_time: Option<Timestamp>,
    /// Counts claims; an answer to an older claim settles nothing.
    pub fence: i64,
    /// Counts its journal entries.
    pub version: i64,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
    /// When it became SENT.
    pub send_time: Option<Timestamp>,
    /// When it was taken.
    pub receive_time: Option<Timestamp>,
    /// When it came back.
    pub refund_time: Option<Timestamp>,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
