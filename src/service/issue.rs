//! Accepting packets, many calls in one transaction, and waiting for what becomes
//! of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::gather::{Gatherer, Slice};
use crate::clock;
use crate::domain::id::{BatchId, IssuanceId, ShopId};
use crate::domain::{Error, Result};
use crate::store::Call;
use crate::store::Store;
use crate::store::entity::{issuance, issuance_batch};
use crate::store::issue::{Command, Issued};
use crate::store::read::ByIssuance;
use crate::store::request::Written;
use crate::telemetry::Metrics;

/// Packets, accepted by the store.
#[derive(Clone, Debug)]
struct Packets(Store);

impl Slice for Packets {
    type Command = Command;
    type Done = Issued;

    fn size(command: &Command) -> usize {
        command.wanted.size()
    }

    async fn run(&self, commands: Vec<Command>) -> Result<Vec<Result<Issued>>> {
        self.0.issue(commands).await
    }
}

/// Accepts packets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Issuer {
    store: Store,
    metrics: Metrics,
    wake: Arc<Notify>,
    large: Arc<Semaphore>,
    gatherer: Gatherer<Packets>,
}

impl Issuer {
    /// Starts the task that accepts. It ends when the last issuer is dropped.
    /// `wake` is told whenever there is something to dispatch.
    #[must_use]
    pub fn start(store: Store, metrics: Metrics, wake: Arc<Notify>, tracker: &TaskTracker) -> Self {
        let packets = Packets(store.clone());
        let gatherer = Gatherer::start(packets, Some(Arc::clone(&wake)), tracker);
        Self {
            store,
            metrics,
            wake,
            large: Arc::new(Semaphore::new(1)),
            gatherer,
        }
    }

    /// Accepts the packets of one call, all or none.
    ///
    /// # Errors
    /// What the rules refuse; SERVER_OVERLOADED, DATABASE_UNAVAILABLE.
    pub async fn issue(&self, command: Command) -> Result<Issued> {
        if command.call.validate_only {
            return self.gatherer.alone(command).await;
        }
        if command.wanted.is_large() {
            return self.issue_large(command).await;
        }
        self.gatherer.together(command).await
    }

    /// Accepts a send to groups: seconds of work, so it goes beside the queue, one at a
    /// time, and keeps nobody waiting who sends to few.
    async fn issue_large(&self, command: Command) -> Result<Issued> {
        let turn = self.large.acquire().await;
        let _turn = turn.map_err(|e| Error::internal("the turn is closed", e))?;
        let since = clock::monotonic();
        let issued = self.gatherer.alone(command).await?;
        self.wake.notify_waiters();
        for batch in &issued.batches {
            tracing::info!(
                batch_id = batch.id.0,
                packets = batch.requested_count,
                refused = batch.refused_count,
                took_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
                "batch {} is accepted",
                batch.id
            );
        }
        Ok(issued)
    }

    /// Withdraws what is queued of a batch. What is left when the time is over is
    /// withdrawn by the dispatcher, when it would be sent.
    ///
    /// # Errors
    /// BATCH_NOT_FOUND.
    pub async fn cancel_batch(
        &self,
        call: Call,
        shop: ShopId,
        id: BatchId,
        until: Instant,
    ) -> Result<Written<issuance_batch::Model>> {
        let (actor, trial) = (call.actor.clone(), call.validate_only);
        let done = self.store.cancel_batch(call, shop, id).await?;
        if trial {
            return Ok(done);
        }
        let mut withdrawn = 0;
        loop {
            let some = self.store.withdraw(id, actor.clone()).await?;
            self.metrics.transitions("QUEUED", "CANCELLED", some);
            withdrawn += some;
            if some == 0 || clock::monotonic_tokio() >= until {
                break;
            }
        }
        tracing::info!(batch_id = id.0, withdrawn, "batch {id} is cancelled");
        Ok(Written {
            row: self.store.batch(shop, id).await?,
            replayed: done.replayed,
        })
    }

    /// Waits until a batch is settled, or until then.
    ///
    /// # Errors
    /// BATCH_NOT_FOUND.
    pub async fn await_batch(
        &self,
        shop: ShopId,
        id: BatchId,
        until: Instant,
    ) -> Result<issuance_batch::Model> {
        let mut pause = Pause::new(until);
        loop {
            let batch = self.store.batch(shop, id).await?;
            if batch.is_settled() || !pause.sleep().await {
                return Ok(batch);
            }
        }
    }

    /// Waits until the provider has said whether a packet was paid, or until then.
    ///
    /// # Errors
    /// ISSUANCE_NOT_FOUND.
    pub async fn await_issuance(
        &self,
        shop: ShopId,
        id: IssuanceId,
        until: Instant,
    ) -> Result<issuance::Model> {
        let mut pause = Pause::new(until);
        loop {
            let (row, _) = self.store.issuance(shop, &ByIssuance::Id(id)).await?;
            if !row.state.is_open() || !pause.sleep().await {
                return Ok(row);
            }
        }
    }
}

/// Looks again after growing pauses; the answer may come from another replica, so
/// there is nothing but the database to listen to.
pub(super) struct Pause {
    next: Duration,
    until: Instant,
}

impl Pause {
    pub(super) fn new(until: Instant) -> Self {
        Self {
            next: Duration::from_millis(10),
            until,
        }
    }

    /// False when there is no time left.
    pub(super) async fn sleep(&mut self) -> bool {
        let wake_at = clock::monotonic_tokio() + self.next;
        if wake_at >= self.until {
            return false;
        }
        tokio::time::sleep_until(wake_at).await;
        self.next = (self.next * 2).min(Duration::from_millis(200));
        true
    }
}
