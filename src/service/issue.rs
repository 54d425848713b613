//! Accepting packets, many calls in one transaction, and waiting for what becomes
//! of them.
//!
//! One task gathers what has arrived while the last transaction was under way, and
//! accepts it in the next one. Under light load that is one call at once and no
//! delay; under heavy load the hot row of a campaign is locked once for all.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::domain::id::{BatchId, IssuanceId, ShopId};
use crate::domain::{Error, Reason, Result};
use crate::store::Call;
use crate::store::Store;
use crate::store::entity::{issuance, issuance_batch};
use crate::store::issue::{Command, Issued};
use crate::store::read::ByIssuance;
use crate::store::request::Written;
use crate::telemetry::Metrics;

/// Calls that wait for their turn at most; more are refused as overload.
const QUEUE_MAX: usize = 1_024;
/// Calls of one transaction at most.
const CALLS_MAX: usize = 128;
/// Packets of one transaction, beyond which no further call is added.
const PACKETS_MAX: usize = 1_000;

struct Job {
    command: Command,
    reply: oneshot::Sender<Result<Issued>>,
}

/// Accepts packets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Issuer {
    store: Store,
    metrics: Metrics,
    wake: Arc<Notify>,
    large: Arc<Semaphore>,
    queue: mpsc::Sender<Job>,
}

impl Issuer {
    /// Starts the task that accepts. It ends when the last issuer is dropped.
    /// `wake` is told whenever there is something to dispatch.
    #[must_use]
    pub fn start(store: Store, metrics: Metrics, wake: Arc<Notify>, tracker: &TaskTracker) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        tracker.spawn(accept_all(store.clone(), jobs, Arc::clone(&wake)));
        Self {
            store,
            metrics,
            wake,
            large: Arc::new(Semaphore::new(1)),
            queue,
        }
    }

    /// Accepts the packets of one call, all or none.
    ///
    /// # Errors
    /// What the rules refuse; SERVER_OVERLOADED, DATABASE_UNAVAILABLE.
    pub async fn issue(&self, command: Command) -> Result<Issued> {
        if command.call.validate_only {
            return accept_one(&self.store, command).await;
        }
        if command.wanted.is_large() {
            return self.issue_large(command).await;
        }
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Job { command, reply }).map_err(|_| {
            Error::new(
                Reason::ServerOverloaded,
                "too many calls wait to be accepted; repeat a little later".to_owned(),
            )
        })?;
        answer.await.map_err(|_| {
            Error::new(
                Reason::ShuttingDown,
                "the server shuts down; repeat with the same request_id".to_owned(),
            )
        })?
    }

    /// Accepts a send to groups: seconds of work, so it goes beside the queue, one at a
    /// time, and keeps nobody waiting who sends to few.
    async fn issue_large(&self, command: Command) -> Result<Issued> {
        let turn = self.large.acquire().await;
        let _turn = turn.map_err(|e| Error::internal("the turn is closed", e))?;
        let since = clock::monotonic();
        let issued = accept_one(&self.store, command).await?;
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

async fn accept_all(store: Store, mut jobs: mpsc::Receiver<Job>, wake: Arc<Notify>) {
    let mut next = None;
    loop {
        let Some(first) = (match next.take() {
            Some(job) => Some(job),
            None => jobs.recv().await,
        }) else {
            return;
        };
        let mut packets = first.command.wanted.size();
        let mut batch = vec![first];
        while batch.len() < CALLS_MAX {
            let Ok(job) = jobs.try_recv() else { break };
            packets += job.command.wanted.size();
            if packets > PACKETS_MAX {
                next = Some(job);
                break;
            }
            batch.push(job);
        }
        accept(&store, batch).await;
        wake.notify_waiters();
    }
}

/// One transaction for all; if that fails as a whole, one for each, so that one
/// call cannot sink its neighbours. A database that is away is away for each: all
/// are told at once, instead of waiting in turn until their deadlines pass.
async fn accept(store: &Store, jobs: Vec<Job>) {
    let (commands, replies): (Vec<Command>, Vec<_>) =
        jobs.into_iter().map(|job| (job.command, job.reply)).unzip();
    match store.issue(commands.clone()).await {
        Ok(results) => {
            for (reply, result) in replies.into_iter().zip(results) {
                // A caller that has gone reads its result by its request id.
                let _ = reply.send(result);
            }
        }
        Err(error) if error.reason == Reason::DatabaseUnavailable => {
            tracing::warn!(%error, source = ?error.source, calls = commands.len(), "the database is away");
            for reply in replies {
                let _ = reply.send(Err(Error::new(error.reason, error.message.clone())));
            }
        }
        Err(error) => {
            tracing::warn!(%error, calls = commands.len(), "a common transaction failed; each call on its own now");
            for (reply, command) in replies.into_iter().zip(commands) {
                let _ = reply.send(accept_one(store, command).await);
            }
        }
    }
}

async fn accept_one(store: &Store, command: Command) -> Result<Issued> {
    let results = store.issue(vec![command]).await?;
    results
        .into_iter()
        .next()
        .unwrap_or_else(|| Err(Error::internal("a call without result", "issue")))
}
