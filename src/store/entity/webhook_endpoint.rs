//! Where apps want to be told what happened.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::{AppId, EndpointId, ShopId};
use crate::domain::webhook::{EndpointState, Style};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_endpoint")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EndpointId,
    /// Whose events.
    pub shop_id: ShopId,
    /// Whose endpoint.
    pub app_id: AppId,
    /// Where to post, encrypted: a query may hold a token.
    pub url_cipher: Vec<u8>,
    /// The same without the query, for people.
    pub url_shown: String,
    /// How it is written and signed.
    pub style: Style,
    /// Which types, as [`crate::domain::event::Types`] writes them.
    pub types: String,
    /// Whether the events of a packet that brought a URL are posted there instead.
    pub order_callbacks: bool,
    /// What signs, encrypted.
    pub secret_cipher: Vec<u8>,
    /// What signed before, encrypted.
    pub old_secret_cipher: Option<Vec<u8>>,
    /// Until when that signs, too.
    pub old_secret_until: Option<Timestamp>,
    /// Where it stands.
    pub state: EndpointState,
    /// Why it is disabled.
    pub disabled_reason: Option<String>,
    /// Tries in vain since its last acknowledgement.
    pub failure_count: i32,
    /// Since when.
    pub failing_since: Option<Timestamp>,
    /// What the last try came to.
    pub last_outcome: Option<String>,
    /// When it last acknowledged something.
    pub acknowledge_time: Option<Timestamp>,
    /// Counts its journal entries.
    pub version: i64,
    /// When it was made.
    pub create_time: Timestamp,
    /// When somebody last changed it.
    pub update_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
