//! What was said to a voucher platform that somebody else runs, and what it answered.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::{ExchangeId, OrderId};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "remote_exchange")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ExchangeId,
    /// The order of the call that it serves.
    pub order_id: OrderId,
    /// The line of the call.
    pub line: i32,
    /// The platform's name for it: give, query, spend or undo.
    pub name: String,
    /// What was sent, encrypted.
    pub request_cipher: Vec<u8>,
    /// What came back, encrypted.
    pub response_cipher: Option<Vec<u8>>,
    /// The HTTP status, if one came.
    pub http_status: Option<i32>,
    /// What it proved, in a word; empty in rows from before it was kept.
    pub outcome: String,
    /// Whether it came after its claim was over.
    pub late: bool,
    /// How long it took.
    pub duration_ms: i64,
    /// When it began.
    pub create_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
