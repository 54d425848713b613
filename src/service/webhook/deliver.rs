//! Posts what is due.
//!
//! Each endpoint has a few places of its own, so that a slow one keeps nobody else waiting; all
//! together have a bound, too. A post that is under way is finished and settled by a task of
//! its own, also while the process ends; what a dead process had in hand is posted again when
//! its lease is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::body;
use crate::clock;
use crate::domain::Result;
use crate::domain::id::EndpointId;
use crate::domain::webhook::{Outcome, Reach, ReceiverUrl};
use crate::provider::{Delivered, ReceiverDoor};
use crate::store::Store;
use crate::store::webhook::{Parcel, Receiver, Tried};
use crate::telemetry::Metrics;

/// How deliveries are made.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Posts to one endpoint under way at once.
    pub per_endpoint: usize,
    /// Posts under way at once.
    pub together: usize,
    /// How long a claim holds, in real time: longer than an exchange can take.
    pub lease: Duration,
    /// Between two looks at an idle work list, in real time.
    pub poll: Duration,
    /// How far receivers may be.
    pub reach: Reach,
}

/// What posts.
#[derive(Clone, Debug)]
pub struct Courier {
    /// The work list.
    pub store: Store,
    /// The way out.
    pub door: ReceiverDoor,
    /// What is counted.
    pub metrics: Metrics,
    /// Told when there may be work.
    pub wake: Arc<Notify>,
    /// How.
    pub settings: Settings,
    /// What a shutdown waits for.
    pub tracker: TaskTracker,
    /// Told when no more is to be claimed.
    pub stop: CancellationToken,
}

impl Courier {
    /// Works until told to stop.
    pub async fn run(self) {
        let mut rooms: HashMap<EndpointId, Arc<Semaphore>> = HashMap::new();
        let hall = Arc::new(Semaphore::new(self.settings.together.max(1)));
        loop {
            // Listen before looking, or a delivery that arrives in between waits.
            let woken = self.wake.notified();
            let more = self.round(&mut rooms, &hall).await;
            if self.stop.is_cancelled() {
                return;
            }
            if !more.unwrap_or_else(|error| {
                tracing::warn!(%error, "deliveries could not be claimed");
                false
            }) {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = woken => {}
                    () = tokio::time::sleep(self.settings.poll) => {}
                }
            }
        }
    }

    /// One look at each endpoint. True if there may be more at once.
    async fn round(
        &self,
        rooms: &mut HashMap<EndpointId, Arc<Semaphore>>,
        hall: &Arc<Semaphore>,
    ) -> Result<bool> {
        let mut more = false;
        let lease = self.store.clock().stretched(self.settings.lease);
        let due = self.store.due_receivers().await?;
        rooms.retain(|id, room| {
            let idle = room.available_permits() >= self.settings.per_endpoint;
            !idle || due.iter().any(|to| to.id == *id)
        });
        for to in due {
            let room = rooms
                .entry(to.id)
                .or_insert_with(|| Arc::new(Semaphore::new(self.settings.per_endpoint.max(1))));
            let free = room.available_permits().min(hall.available_permits());
            if free == 0 {
                continue;
            }
            let limit = u64::try_from(free).unwrap_or(1);
            let claimed = self.store.claim_deliveries(&to, limit, lease).await;
            let claimed = claimed.unwrap_or_else(|error| {
                tracing::warn!(%error, endpoint_id = to.id.0, "its deliveries could not be claimed");
                Vec::new()
            });
            more |= claimed.len() == free;
            for parcel in claimed {
                let (Ok(place), Ok(seat)) = (
                    Arc::clone(room).acquire_owned().await,
                    Arc::clone(hall).acquire_owned().await,
                ) else {
                    return Ok(false);
                };
                self.send(to.clone(), parcel, (place, seat));
            }
        }
        Ok(more)
    }

    fn send(
        &self,
        to: Receiver,
        parcel: Parcel,
        held: (OwnedSemaphorePermit, OwnedSemaphorePermit),
    ) {
        let span = tracing::info_span!(
            "delivery",
            endpoint_id = to.id.0,
            position = parcel.row.position,
            kind = parcel.row.kind
        );
        let courier = self.clone();
        let task = async move {
            courier.deliver(&to, parcel).await;
            drop(held);
            // Its place is free: there may be more for it.
            courier.wake.notify_one();
        };
        self.tracker.spawn(task.instrument(span));
    }

    /// One post, to its settled end.
    async fn deliver(&self, to: &Receiver, parcel: Parcel) {
        let began = clock::monotonic();
        let delivered = self.post(to, &parcel).await;
        let outcome = body::outcome(to.style, &delivered);
        self.metrics.webhook(&outcome.class(), began.elapsed());
        let tried = Tried {
            endpoint: to.id,
            position: parcel.row.position,
            fence: parcel.row.fence,
            outcome,
            http_status: delivered.http_status,
            retry_after: delivered
                .retry_after
                .map(|wait| self.store.clock().stretched(wait)),
            excerpt: delivered.reply_excerpt,
            duration_ms: i64::try_from(delivered.duration.as_millis()).unwrap_or(i64::MAX),
            own_url: parcel.own_url.is_some(),
            draw: clock::random_u64(),
        };
        match self.store.settle_delivery(tried).await {
            Ok(Some(settled)) => {
                tracing::debug!(
                    outcome = %outcome.code(),
                    state = settled.state.name(),
                    "delivery tried"
                );
                if let Some(why) = settled.disabled {
                    tracing::warn!(
                        reason = why,
                        "a webhook endpoint is disabled: it acknowledges nothing; UpdateWebhookEndpoint turns it on again"
                    );
                }
            }
            Ok(None) => tracing::debug!("settled by somebody else meanwhile"),
            Err(error) => {
                tracing::warn!(%error, "not settled; it is posted again when the lease ends");
            }
        }
    }

    async fn post(&self, to: &Receiver, parcel: &Parcel) -> Delivered {
        let not = |outcome| Delivered {
            outcome,
            http_status: None,
            retry_after: None,
            reply_excerpt: String::new(),
            duration: Duration::ZERO,
        };
        // Rules may be stricter than when it was made.
        let url = parcel.own_url.as_ref().unwrap_or(&to.url);
        let Ok(url) = ReceiverUrl::parse(url, self.settings.reach) else {
            return not(Outcome::AddressRefused);
        };
        let message = parcel.event.as_ref();
        let message = message.and_then(|event| body::message(to, event, clock::wall()));
        let Some(message) = message else {
            return not(Outcome::NotSent);
        };
        self.door.post(&url, &message.headers, message.body).await
    }
}
