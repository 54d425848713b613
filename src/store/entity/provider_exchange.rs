//! What was said to providers and what they said, encrypted.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::{AttemptId, ExchangeId};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "provider_exchange")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ExchangeId,
    /// About which number.
    pub attempt_id: AttemptId,
    /// Which call.
    pub call: String,
    /// What we said.
    pub request_cipher: Vec<u8>,
    /// What they said.
    pub response_cipher: Option<Vec<u8>>,
    /// The HTTP status.
    pub http_status: Option<i32>,
    /// What it proved.
    pub outcome: String,
    /// Whether it came after the lease was lost.
    pub late: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// When it was recorded.
    pub create_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
