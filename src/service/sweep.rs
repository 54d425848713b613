//! Writes down what time has decided, and takes away what is of no use any more. Nothing
//! waits for it: a sweep that is late changes no answer.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::store::Store;
use crate::telemetry::Metrics;

/// Vouchers of one transaction at most.
const MOST: u64 = 500;
/// Between two looks for vouchers that are over.
const EVERY: Duration = Duration::from_secs(2);
/// Between two looks for nonces that are too old to be used.
const NONCES_EVERY: Duration = Duration::from_secs(60);

/// Sweeps until told to stop; deliveries that are over are `kept` for so long. Several replicas may: each finds what is left.
pub async fn run(store: Store, metrics: Metrics, kept: Duration, stop: CancellationToken) {
    let mut purged = clock::monotonic();
    loop {
        while vouchers(&store, &metrics).await && !stop.is_cancelled() {}
        if purged.elapsed() >= NONCES_EVERY {
            nonces(&store).await;
            while deliveries(&store, kept).await && !stop.is_cancelled() {}
            purged = clock::monotonic();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Whether there may be more: until a look finds nothing, it looks again at once.
async fn vouchers(store: &Store, metrics: &Metrics) -> bool {
    let swept = match store.sweep_vouchers(MOST).await {
        Ok(swept) => swept,
        Err(error) => {
            tracing::warn!(%error, "vouchers could not be swept");
            return false;
        }
    };
    metrics.vouchers("EXPIRED", swept.expired, swept.freed.0.unsigned_abs());
    metrics.vouchers("RELEASED", swept.let_go, swept.held.0.unsigned_abs());
    if swept.expired > 0 || swept.released > 0 {
        tracing::info!(
            expired = swept.expired,
            freed_fen = swept.freed.0,
            released = swept.released,
            "vouchers that are over are written down"
        );
    }
    swept.expired > 0 || swept.released > 0
}

async fn nonces(store: &Store) {
    match store.purge_nonces().await {
        Ok(0) => {}
        Ok(count) => tracing::debug!(count, "old nonces are gone"),
        Err(error) => tracing::debug!(%error, "old nonces could not be taken away"),
    }
}

/// Whether there may be more.
async fn deliveries(store: &Store, kept: Duration) -> bool {
    let purged = match store.now().await {
        Ok(now) => store.purge_deliveries(now.minus(kept), MOST).await,
        Err(error) => Err(error),
    };
    match purged {
        Ok(count) => count >= MOST,
        Err(error) => {
            tracing::debug!(%error, "old deliveries could not be taken away");
            false
        }
    }
}
