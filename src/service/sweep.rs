//! Writes down what has expired, and lets go of holds that are over.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::telemetry::Metrics;

/// Vouchers of one transaction at most.
const MOST: u64 = 500;
/// Between two looks that found nothing.
const EVERY: Duration = Duration::from_secs(2);

/// Sweeps until told to stop. Several replicas may: each finds what is left.
pub async fn run(store: Store, metrics: Metrics, stop: CancellationToken) {
    loop {
        let more = match store.sweep_vouchers(MOST).await {
            Ok(swept) => {
                metrics.vouchers("EXPIRED", swept.expired, swept.freed.0.unsigned_abs());
                if swept.expired > 0 || swept.released > 0 {
                    tracing::info!(
                        expired = swept.expired,
                        freed_fen = swept.freed.0,
                        released = swept.released,
                        "vouchers that are over are written down"
                    );
                }
                swept.expired >= MOST
            }
            Err(error) => {
                tracing::debug!(%error, "vouchers could not be swept");
                false
            }
        };
        if more && !stop.is_cancelled() {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
