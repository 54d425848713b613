//! Gives entries their places, soon after they are there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::Result;
use crate::store::Store;
use crate::telemetry::Metrics;

/// Between two looks for entries without a place.
const EVERY: Duration = Duration::from_millis(100);

/// What gives places. Several replicas may: the row of the shop's head makes them take turns.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// The journal.
    pub store: Store,
    /// What is counted.
    pub metrics: Metrics,
    /// Told when there is something to deliver.
    pub wake: Arc<Notify>,
    /// Told when to end.
    pub stop: CancellationToken,
}

impl Publisher {
    /// Works until told to stop.
    pub async fn run(self) {
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "events could not be given their places; trying again");
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn round(&self) -> Result<()> {
        for shop in self.store.unplaced_shops().await? {
            loop {
                let placed = self.store.place(shop).await?;
                self.metrics.events(placed.entries);
                if placed.deliveries > 0 {
                    self.wake.notify_one();
                }
                if !placed.more || self.stop.is_cancelled() {
                    break;
                }
            }
        }
        Ok(())
    }
}
