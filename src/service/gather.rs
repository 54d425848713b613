//! Many calls in one transaction.
//!
//! One task gathers what has arrived while the last transaction was under way, and
//! does it in the next one. Under light load that is one call at once and no delay;
//! under heavy load the hot row of a campaign or product is locked once for all.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::domain::{Error, Reason, Result};

/// Calls that wait for their turn at most; more are refused as overload.
const QUEUE_MAX: usize = 1_024;
/// Calls of one transaction at most.
const CALLS_MAX: usize = 128;
/// Things of one transaction, beyond which no further call is added.
const THINGS_MAX: usize = 1_000;

/// What does a slice of commands in one transaction.
pub trait Slice: Clone + Send + Sync + 'static {
    /// One call.
    type Command: Clone + Send + 'static;
    /// What became of it.
    type Done: Send + 'static;

    /// How much of a transaction a command takes.
    fn size(command: &Self::Command) -> usize;

    /// Each command wholly or not at all, all in one transaction, in their order.
    ///
    /// # Errors
    /// For all of them, what kept the transaction from being.
    fn run(
        &self,
        commands: Vec<Self::Command>,
    ) -> impl Future<Output = Result<Vec<Result<Self::Done>>>> + Send;
}

struct Job<S: Slice> {
    command: S::Command,
    reply: oneshot::Sender<Result<S::Done>>,
}

/// Gathers calls. Cheap to clone; the task ends when the last clone is dropped.
#[derive(Debug)]
pub struct Gatherer<S: Slice> {
    slice: S,
    queue: mpsc::Sender<Job<S>>,
}

impl<S: Slice> Clone for Gatherer<S> {
    fn clone(&self) -> Self {
        Self {
            slice: self.slice.clone(),
            queue: self.queue.clone(),
        }
    }
}

impl<S: Slice> Gatherer<S> {
    /// Starts the task. `wake` is told after each transaction.
    #[must_use]
    pub fn start(slice: S, wake: Option<Arc<Notify>>, tracker: &TaskTracker) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        tracker.spawn(gather(slice.clone(), jobs, wake));
        Self { slice, queue }
    }

    /// Does one command with its neighbours.
    ///
    /// # Errors
    /// What the rules refuse; SERVER_OVERLOADED, SHUTTING_DOWN, DATABASE_UNAVAILABLE.
    pub async fn together(&self, command: S::Command) -> Result<S::Done> {
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

    /// Does one command beside the queue, in a transaction of its own.
    ///
    /// # Errors
    /// What the rules refuse; DATABASE_UNAVAILABLE.
    pub async fn alone(&self, command: S::Command) -> Result<S::Done> {
        alone(&self.slice, command).await
    }
}

async fn gather<S: Slice>(slice: S, mut jobs: mpsc::Receiver<Job<S>>, wake: Option<Arc<Notify>>) {
    let mut next = None;
    loop {
        let Some(first) = (match next.take() {
            Some(job) => Some(job),
            None => jobs.recv().await,
        }) else {
            return;
        };
        let mut things = S::size(&first.command);
        let mut batch = vec![first];
        while batch.len() < CALLS_MAX {
            let Ok(job) = jobs.try_recv() else { break };
            things += S::size(&job.command);
            if things > THINGS_MAX {
                next = Some(job);
                break;
            }
            batch.push(job);
        }
        together(&slice, batch).await;
        if let Some(wake) = &wake {
            wake.notify_waiters();
        }
    }
}

/// One transaction for all; if that fails as a whole, one for each, so that one call
/// cannot sink its neighbours. A database that is away is away for each: all are told
/// at once, instead of waiting in turn until their deadlines pass.
async fn together<S: Slice>(slice: &S, jobs: Vec<Job<S>>) {
    let (commands, replies): (Vec<S::Command>, Vec<_>) =
        jobs.into_iter().map(|job| (job.command, job.reply)).unzip();
    match slice.run(commands.clone()).await {
        Ok(results) => {
            for (reply, result) in replies.into_iter().zip(results) {
                // A caller that has gone reads its result by its request id.
                let _ = reply.send(result);
            }
        }
        Err(error) if error.reason == Reason::DatabaseUnavailable => {
            tracing::warn!(%error, source = ?error.source, calls = commands.len(), "the database is away");
            for reply in replies {
                let _ = reply.send(Err(error.again()));
            }
        }
        Err(error) => {
            tracing::warn!(%error, calls = commands.len(), "a common transaction failed; each call on its own now");
            for (reply, command) in replies.into_iter().zip(commands) {
                let _ = reply.send(alone(slice, command).await);
            }
        }
    }
}

async fn alone<S: Slice>(slice: &S, command: S::Command) -> Result<S::Done> {
    let results = slice.run(vec![command]).await?;
    results
        .into_iter()
        .next()
        .unwrap_or_else(|| Err(Error::internal("a call without result", "gather")))
}
