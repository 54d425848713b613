//! Webhooks: endpoints, and what is on its way to them.
//!
//! A delivery is made in the transaction that gives its event a place, for every endpoint that
//! wants it, once. It is claimed like all work: its due time is the lease, so what a dead
//! process had in hand is tried again. An endpoint that is not ACTIVE is not claimed for; what
//! happens meanwhile waits.

mod claim;
mod endpoint;
mod fan_out;
mod list;
mod settle;

use super::Store;
use super::entity::journal;
use super::entity::webhook_endpoint::Model;
use crate::domain::event::Aggregate;
use crate::domain::id::EndpointId;
use crate::domain::{Error, Reason, Result, Timestamp};

pub use claim::{Parcel, Receiver};
pub use endpoint::{Change, EndpointWrite, NewEndpoint, Redelivery, Secret};
pub use list::{DeliveryFilter, DeliveryView, EndpointView};
pub use settle::{Tried, TriedSettled};

/// Who acts when nobody asked.
const SENDER: &str = "webhooks";

/// The associated data of what an endpoint keeps encrypted.
fn column(what: &str, id: EndpointId) -> String {
    format!("webhook {what}/{id}")
}

fn missing(id: EndpointId) -> Error {
    let text = "no such webhook endpoint of yours in this shop".to_owned();
    Error::new(Reason::EndpointNotFound, text).fact("endpoint_id", id)
}

/// The entry of an endpoint's change, as the row is after it.
fn entry(
    after: &Model,
    from: Option<&'static str>,
    kind: &str,
    reason: Option<&str>,
    actor: &str,
    now: Timestamp,
) -> journal::ActiveModel {
    use sea_orm::Set;
    journal::ActiveModel {
        aggregate: Set(Aggregate::Endpoint),
        aggregate_id: Set(after.id.0),
        seq: Set(after.version),
        line: Set(0),
        shop_id: Set(after.shop_id),
        campaign_id: Set(None),
        product_id: Set(None),
        order_id: Set(None),
        kind: Set(kind.to_owned()),
        from_state: Set(from.map(str::to_owned)),
        to_state: Set(after.state.name().to_owned()),
        debit_account: Set(None),
        credit_account: Set(None),
        amount_fen: Set(None),
        reason: Set(reason.map(str::to_owned)),
        actor: Set(actor.to_owned()),
        create_time: Set(now),
        position: Set(None),
    }
}

/// The kind of the event that only its own endpoint is told of.
pub(super) const PING: &str = "PING";

impl Store {
    fn seal_of(&self, what: &str, id: EndpointId, text: &str) -> Result<Vec<u8>> {
        self.keys().seal(&column(what, id), text.as_bytes())
    }

    fn open_of(&self, what: &str, id: EndpointId, cipher: &[u8]) -> Result<String> {
        self.keys().open_text(&column(what, id), cipher)
    }
}
