//! WatchBatch.

use std::time::Duration;

use futures::Stream;
use tonic::Status;

use super::render::render_batch;
use super::{Backend, pb, status};
use crate::domain::{Error, Reason};
use crate::store::read::Batch;

/// Between two looks at a watched batch.
const WATCH_EVERY: Duration = Duration::from_millis(200);

/// The batch at first and whenever it changes, until it is settled or the server stops.
pub(super) fn watch(
    backend: Backend,
    first: Batch,
) -> impl Stream<Item = Result<pb::WatchBatchResponse, Status>> + Send {
    let (shop, id) = (first.row.shop_id, first.row.id);
    futures::stream::unfold(Some((backend, first, true)), move |state| async move {
        let (backend, mut shown, fresh) = state?;
        if fresh {
            let reply = pb::WatchBatchResponse {
                batch: Some(render_batch(&shown)),
            };
            let next = (!shown.is_settled()).then_some((backend, shown, false));
            return Some((Ok(reply), next));
        }
        loop {
            tokio::select! {
                () = backend.stop.cancelled() => {
                    let error = Error::new(Reason::ShuttingDown, "the server shuts down; watch again".to_owned());
                    return Some((Err(status::status(error)), None));
                }
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
            match backend.store.batch(shop, id).await {
                Ok(batch) if batch.states == shown.states => {}
                Ok(batch) => {
                    shown = batch;
                    let reply = pb::WatchBatchResponse {
                        batch: Some(render_batch(&shown)),
                    };
                    let next = (!shown.is_settled()).then_some((backend, shown, false));
                    return Some((Ok(reply), next));
                }
                Err(error) => return Some((Err(status::status(error)), None)),
            }
        }
    })
}
