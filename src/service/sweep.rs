//! Takes away what is of no use any more. Nothing waits for it: a sweep that is late changes
//! no answer.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// Between two sweeps.
const EVERY: Duration = Duration::from_secs(60);

/// Sweeps until told to stop.
pub async fn run(store: Store, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match store.purge_nonces().await {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "old nonces are gone"),
            Err(error) => tracing::debug!(%error, "old nonces could not be taken away"),
        }
    }
}
