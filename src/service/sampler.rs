//! What the gauges show: read from the database now and then, since no replica
//! knows the whole.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::Timestamp;
use crate::domain::plan::Scope;
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
    let seconds = |secs: i64| Duration::from_secs(u64::try_from(secs).unwrap_or(0));
    for due in store.due_work().await? {
        let job = match due.of {
            Job::Send => metrics::Job::Send,
            Job::Query => metrics::Job::Query,
            Job::Sync => metrics::Job::Sync,
        };
        metrics.queue(job, due.count.unsigned_abs(), seconds(due.oldest_secs));
    }
    for open in store.open_packets().await? {
        let (count, oldest) = (open.count.unsigned_abs(), seconds(open.oldest_secs));
        metrics.open(open.of.name(), count, oldest);
    }
    let now = store.now().await?;
    let age = |since: Option<Timestamp>| since.map_or(Duration::ZERO, |at| now.since(at));
    for (state, count, oldest) in store.remote_open().await? {
        metrics.remote_open(state.name(), count.unsigned_abs(), age(oldest));
    }
    let (count, oldest) = store.reviews_waiting().await?;
    metrics.review(count.unsigned_abs(), age(oldest));
    let (count, oldest) = store.approvals_waiting().await?;
    metrics.approvals(count.unsigned_abs(), age(oldest));
    let tripped = store.tripped().await?;
    for scope in [Scope::Account, Scope::Campaign] {
        let count = tripped.iter().filter(|row| row.scope == scope).count();
        metrics.money_breaker(scope.name(), count.try_into().unwrap_or(u64::MAX));
    }
    for (account, open) in store.breakers().await? {
        metrics.provider_breaker(account.0, open);
    }
    Ok(())
}
