//! Calls to voucher platforms that somebody else runs.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::{AccountId, OrderId, ShopId, VoucherId};
use crate::domain::voucher::{CallKind, CallState};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "remote_call")]
pub struct Model {
    /// The order that it serves.
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: OrderId,
    /// Of a gift the place of its voucher in the order; of a spend 0, and one more for each
    /// undo.
    #[sea_orm(primary_key, auto_increment = false)]
    pub line: i32,
    /// The shop of the order.
    pub shop_id: ShopId,
    /// The account of the platform.
    pub account_id: AccountId,
    /// What it asks.
    pub kind: CallKind,
    /// The voucher of a gift.
    pub voucher_id: Option<VoucherId>,
    /// Where it stands.
    pub state: CallState,
    /// What is asked, encrypted: it names a person.
    pub request_cipher: Vec<u8>,
    /// What the owner confirms a spend with, encrypted; gone when the request has left.
    pub codes_cipher: Option<Vec<u8>>,
    /// Whose vouchers of which product, of a gift.
    pub pair_index: Option<Vec<u8>>,
    /// The vouchers of the pair before the request left, as JSON.
    pub baseline: Option<String>,
    /// The listed code with which the platform refused, if it did.
    pub refusal: Option<String>,
    /// The last that went wrong, as a code.
    pub last_error: Option<String>,
    /// The platform's numbers of the order, as a JSON list.
    pub remote_orders: String,
    /// When the request may have left first.
    pub sent_time: Option<Timestamp>,
    /// When its exchange was over at the latest.
    pub ended_time: Option<Timestamp>,
    /// When somebody looks at it next.
    pub due_time: Option<Timestamp>,
    /// Counts the claims.
    pub fence: i64,
    /// How often it was begun in vain, then how often it was looked for.
    pub tries: i32,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
}

impl Model {
    /// The platform's numbers of the order.
    #[must_use]
    pub fn orders(&self) -> Vec<String> {
        serde_json::from_str(&self.remote_orders).unwrap_or_default()
    }
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
