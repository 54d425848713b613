//! WatchBatch.

use std::time::Duration;

use futures::Stream;
use tonic::Status;

use super::render::render_batch;
use super::{Backend, pb, status};
use crate::domain::{Error, Reason, Result};
use crate::store::entity::issuance_batch;

/// Between two looks at a watched batch.
const WATCH_EVERY: Duration = Duration::from_millis(200);

/// The batch at first and whenever it changes, until it is settled or the server stops.
pub(super) fn watch(
    backend: Backend,
    first: issuance_batch::Model,
) -> impl Stream<Item = Result<pb::WatchBatchResponse, Status>> + Send {
    futures::stream::unfold(Some((backend, first, true)), move |state| async move {
        let (backend, mut shown, fresh) = state?;
        if !fresh {
            match next(&backend, &shown).await {
                Ok(changed) => shown = changed,
                Err(error) => return Some((Err(status::status(error)), None)),
            }
        }
        let reply = match show(&backend, &shown).await {
            Ok(batch) => pb::WatchBatchResponse { batch: Some(batch) },
            Err(error) => return Some((Err(status::status(error)), None)),
        };
        let next = (!shown.is_settled()).then_some((backend, shown, false));
        Some((Ok(reply), next))
    })
}

/// The batch once it is otherwise than it was shown.
async fn next(backend: &Backend, shown: &issuance_batch::Model) -> Result<issuance_batch::Model> {
    loop {
        tokio::select! {
            () = backend.stop.cancelled() => {
                let text = "the server shuts down; watch again".to_owned();
                return Err(Error::new(Reason::ShuttingDown, text));
            }
            () = tokio::time::sleep(WATCH_EVERY) => {}
        }
        let batch = backend.store.batch(shown.shop_id, shown.id).await?;
        if batch != *shown {
            return Ok(batch);
        }
    }
}

async fn show(backend: &Backend, row: &issuance_batch::Model) -> Result<pb::IssuanceBatch> {
    let shown = backend.store.with_campaigns(vec![row.clone()]).await?;
    let shown = shown.first().map(|(row, of)| render_batch(row, of));
    shown.ok_or_else(|| Error::internal("a batch vanished", "watch"))
}
