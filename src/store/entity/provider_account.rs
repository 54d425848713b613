//! Merchant accounts.

use sea_orm::entity::prelude::*;

use crate::domain::id::AccountId;
use crate::domain::quota::Quota;
use crate::domain::text::{Code, MchId};
use crate::domain::{Fen, Timestamp};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "provider_account")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AccountId,
    /// The protocol it speaks.
    pub protocol: String,
    /// The merchant id.
    pub mch_id: MchId,
    /// The name of its secrets in the configuration.
    pub credential: Code,
    /// The appids bound to it, as a JSON list.
    pub appids: String,
    /// What the provider is told as our address.
    pub client_ip: String,
    /// The smallest packet.
    pub min_amount_fen: Fen,
    /// The largest packet.
    pub max_amount_fen: Fen,
    /// Payments per second, of all replicas together.
    pub sends_per_second: i32,
    /// Queries per second, of all replicas together.
    pub queries_per_second: i32,
    /// Packets for one openid on a Beijing day; 0: no bound.
    pub openid_day_count: i64,
    /// Their sum; 0: no bound.
    pub openid_day_fen: Fen,
    /// The sum of all packets on a Beijing day; 0: no bound.
    pub day_fen: Fen,
    /// Whether a confirmed refusal fails an attempt.
    pub confirm_refusals: bool,
    /// What it can do beside sending to one openid, as a JSON list.
    pub capabilities: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// Why it is held back.
    pub breaker_code: Option<String>,
    /// When the next probe may go out.
    pub breaker_until: Option<Timestamp>,
    /// How often in a row it was held back.
    pub breaker_trips: i32,
    /// When it was made.
    pub create_time: Timestamp,
}

impl Model {
    /// What the provider allows on one day.
    #[must_use]
    pub fn quota(&self) -> Quota {
        Quota {
            openid_count: Some(self.openid_day_count).filter(|count| *count > 0),
            openid_sum: Some(self.openid_day_fen).filter(|sum| *sum > Fen::ZERO),
            sum: Some(self.day_fen).filter(|sum| *sum > Fen::ZERO),
        }
    }
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
