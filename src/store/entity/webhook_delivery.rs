//! Events on their way to endpoints.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::EndpointId;
use crate::domain::webhook::DeliveryState;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_delivery")]
pub struct Model {
    /// To where.
    #[sea_orm(primary_key, auto_increment = false)]
    pub endpoint_id: EndpointId,
    /// Its place in the feed of the endpoint's shop.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    /// Its type.
    #[sea_orm(column_name = "type")]
    pub kind: String,
    /// When it happened.
    pub event_time: Timestamp,
    /// Where it stands.
    pub state: DeliveryState,
    /// Tries of this round.
    pub try_count: i32,
    /// When it is tried next; the lease of a claim as well.
    pub due_time: Option<Timestamp>,
    /// Counts the claims.
    pub fence: i64,
    /// What the last try came to.
    pub last_outcome: Option<String>,
    /// Its HTTP status.
    pub http_status: Option<i32>,
    /// The beginning of its reply, encrypted: a receiver may have put into it what we sent.
    pub excerpt_cipher: Option<Vec<u8>>,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// When it was last tried.
    pub try_time: Option<Timestamp>,
    /// When the receiver acknowledged it.
    pub acknowledge_time: Option<Timestamp>,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
