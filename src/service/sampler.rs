//! What the gauges show: read from the database now and then, since no replica
//! knows the whole.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::schedule::Job;
use crate::store::Store;
use crate::telemetry::{Metrics, metrics};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Samples until told to stop.
pub async fn run(store: Store, metrics: Metrics, stop: CancellationToken) {
    loop {
        if let Err(error) = sample(&store, &metrics).await {
            tracing::debug!(%error, "the gauges could not be read");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn sample(store: &Store, metrics: &Metrics) -> crate::domain::Result<()> {
    for waiting in store.waiting().await? {
        let depth = u64::try_from(waiting.count).unwrap_or(0);
        let oldest = Duration::from_secs(u64::try_from(waiting.oldest_secs).unwrap_or(0));
        match waiting.job {
            Some(Job::Send) => metrics.queue(metrics::Job::Send, depth, oldest),
            Some(Job::Query) => metrics.queue(metrics::Job::Query, depth, oldest),
            Some(Job::Sync) => metrics.queue(metrics::Job::Sync, depth, oldest),
            None => metrics.review(depth, oldest),
        }
    }
    for (account, open) in store.breakers().await? {
        metrics.provider_breaker(account.0, open);
    }
    Ok(())
}
