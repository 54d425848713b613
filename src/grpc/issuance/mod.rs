//! IssuanceService.

use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::layer::Deadline;
use super::pb::issuance_service_server::IssuanceService;
use super::server::Backend;
use super::{call, convert, page, parse, pb, status};
use crate::clock;

mod read;
mod render;
mod send;
mod watch;

use render::render_batch;

/// What is kept of a deadline for the way back.
const ANSWER_TIME: Duration = Duration::from_millis(150);

type Watch = Pin<Box<dyn Stream<Item = Result<pb::WatchBatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl IssuanceService for Backend {
    async fn send_to_users(
        &self,
        request: Request<pb::SendToUsersRequest>,
    ) -> Result<Response<pb::SendToUsersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let until = wait_until(&request);
        let asked = request.into_inner();
        let sent = send::send_to_users(self, &caller, &asked, until).await;
        sent.map(Response::new).map_err(status::status)
    }

    async fn send_red_packet(
        &self,
        request: Request<pb::SendRedPacketRequest>,
    ) -> Result<Response<pb::SendRedPacketResponse>, Status> {
        let caller = Caller::of(&request)?;
        let until = wait_until(&request);
        let sent = send::send_red_packet(self, &caller, &request.into_inner(), until).await;
        sent.map(Response::new).map_err(status::status)
    }

    async fn resend(
        &self,
        request: Request<pb::ResendRequest>,
    ) -> Result<Response<pb::ResendResponse>, Status> {
        let caller = Caller::of(&request)?;
        let until = wait_until(&request);
        let sent = send::resend(self, &caller, &request.into_inner(), until).await;
        sent.map(Response::new).map_err(status::status)
    }

    async fn get_issuance(
        &self,
        request: Request<pb::GetIssuanceRequest>,
    ) -> Result<Response<pb::GetIssuanceResponse>, Status> {
        let caller = Caller::of(&request)?;
        read::get(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_issuances(
        &self,
        request: Request<pb::ListIssuancesRequest>,
    ) -> Result<Response<pb::ListIssuancesResponse>, Status> {
        let caller = Caller::of(&request)?;
        read::list(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn get_batch(
        &self,
        request: Request<pb::GetBatchRequest>,
    ) -> Result<Response<pb::GetBatchResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        let batch = read::find_batch(self, &caller, asked.shop_id, asked.batch_id)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::GetBatchResponse {
            batch: Some(render_batch(&batch)),
        }))
    }

    type WatchBatchStream = Watch;

    async fn watch_batch(
        &self,
        request: Request<pb::WatchBatchRequest>,
    ) -> Result<Response<Watch>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        let first = read::find_batch(self, &caller, asked.shop_id, asked.batch_id)
            .await
            .map_err(status::status)?;
        Ok(Response::new(Box::pin(watch::watch(self.clone(), first))))
    }
}

/// Until when a call that waits may do so.
fn wait_until<T>(request: &Request<T>) -> Instant {
    let deadline = request
        .extensions()
        .get::<Deadline>()
        .map(|deadline| deadline.0);
    let now = clock::monotonic_tokio();
    let left = deadline.map_or(Duration::from_secs(5), |at| {
        at.saturating_duration_since(now)
    });
    now + left.saturating_sub(ANSWER_TIME.max(left / 4).min(Duration::from_secs(1)))
}
