//! Merchant order numbers, one live one for an issuance.

use sea_orm::entity::prelude::*;

use crate::domain::id::{AccountId, AttemptId, IssuanceId};
use crate::domain::text::{MchBillno, MchId};
use crate::domain::{Fen, State, Timestamp};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempt")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AttemptId,
    /// For which packet.
    pub issuance_id: IssuanceId,
    /// From 1.
    pub attempt_no: i32,
    /// Through which account.
    pub account_id: AccountId,
    /// The merchant.
    pub mch_id: MchId,
    /// The number.
    pub mch_billno: MchBillno,
    /// Where it stands.
    pub state: State,
    /// Requests to pay under it.
    pub send_count: i32,
    /// Questions about it.
    pub query_count: i32,
    /// Questions about it since the last request to pay: how far its schedule is.
    pub queries_since_send: i32,
    /// Whether some request was never clearly answered.
    pub doubtful: bool,
    /// The first request to pay.
    pub first_send_time: Timestamp,
    /// When the first and only request was refused.
    pub refuse_time: Option<Timestamp>,
    /// When the provider first did not know it, since the last request.
    pub not_found_time: Option<Timestamp>,
    /// When it became SENT.
    pub accept_time: Option<Timestamp>,
    /// The provider's number.
    pub provider_order_no: String,
    /// When the provider took the last request's order, to work on it.
    pub take_time: Option<Timestamp>,
    /// What the provider charges for it, rounded up to whole fen; none: it does not say.
    pub cost_fen: Option<Fen>,
    /// What a mini program opens the packet with, encrypted.
    pub package_cipher: Option<Vec<u8>>,
    /// The latest Beijing day against whose quota the number was counted.
    pub quota_day: Option<i64>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When the number was fixed.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
    /// The issuance while the number may still pay. Computed by the database; never set.
    pub live_key: Option<i64>,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
