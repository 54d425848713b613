//! IssuanceService.

use std::pin::Pin;

use futures::Stream;
use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::call::wait_until;
use super::pb::issuance_service_server::IssuanceService;
use super::server::Backend;
use super::{call, convert, page, parse, pb, status};

mod ask;
mod list;
mod many;
mod read;
pub(super) mod render;
mod single;
mod watch;

type Watch = Pin<Box<dyn Stream<Item = Result<pb::WatchBatchResponse, Status>> + Send>>;

/// A call that is parsed, served and rendered by one function: who calls, what, and
/// until when it may wait.
macro_rules! serve {
    ($request:expr, |$caller:ident, $asked:ident, $until:ident| $work:expr) => {{
        let $caller = Caller::of(&$request)?;
        let $until = wait_until(&$request);
        let $asked = $request.into_inner();
        $work.await.map(Response::new).map_err(status::status)
    }};
    ($request:expr, |$caller:ident, $asked:ident| $work:expr) => {
        serve!($request, |$caller, $asked, _until| $work)
    };
}

#[tonic::async_trait]
impl IssuanceService for Backend {
    async fn send_to_users(
        &self,
        request: Request<pb::SendToUsersRequest>,
    ) -> Result<Response<pb::SendToUsersResponse>, Status> {
        serve!(request, |caller, asked, until| many::to_users(
            self, &caller, &asked, until
        ))
    }

    async fn send_to_groups(
        &self,
        request: Request<pb::SendToGroupsRequest>,
    ) -> Result<Response<pb::SendToGroupsResponse>, Status> {
        serve!(request, |caller, asked, until| many::to_groups(
            self, &caller, &asked, until
        ))
    }

    async fn scan_send(
        &self,
        request: Request<pb::ScanSendRequest>,
    ) -> Result<Response<pb::ScanSendResponse>, Status> {
        serve!(request, |caller, asked, until| single::scan(
            self, &caller, &asked, until
        ))
    }

    async fn send_red_packet(
        &self,
        request: Request<pb::SendRedPacketRequest>,
    ) -> Result<Response<pb::SendRedPacketResponse>, Status> {
        serve!(request, |caller, asked, until| single::send(
            self, &caller, &asked, until
        ))
    }

    async fn resend(
        &self,
        request: Request<pb::ResendRequest>,
    ) -> Result<Response<pb::ResendResponse>, Status> {
        serve!(request, |caller, asked, until| single::resend(
            self, &caller, &asked, until
        ))
    }

    async fn cancel_batch(
        &self,
        request: Request<pb::CancelBatchRequest>,
    ) -> Result<Response<pb::CancelBatchResponse>, Status> {
        serve!(request, |caller, asked, until| many::cancel(
            self, &caller, &asked, until
        ))
    }

    async fn refresh_status(
        &self,
        request: Request<pb::RefreshStatusRequest>,
    ) -> Result<Response<pb::RefreshStatusResponse>, Status> {
        serve!(request, |caller, asked, until| ask::refresh(
            self, &caller, &asked, until
        ))
    }

    async fn query_provider_status(
        &self,
        request: Request<pb::QueryProviderStatusRequest>,
    ) -> Result<Response<pb::QueryProviderStatusResponse>, Status> {
        serve!(request, |caller, asked, until| ask::query(
            self, &caller, &asked, until
        ))
    }

    async fn list_provider_exchanges(
        &self,
        request: Request<pb::ListProviderExchangesRequest>,
    ) -> Result<Response<pb::ListProviderExchangesResponse>, Status> {
        serve!(request, |caller, asked| ask::exchanges(
            self, &caller, &asked
        ))
    }

    async fn get_issuance(
        &self,
        request: Request<pb::GetIssuanceRequest>,
    ) -> Result<Response<pb::GetIssuanceResponse>, Status> {
        serve!(request, |caller, asked| read::get(self, &caller, &asked))
    }

    async fn list_issuances(
        &self,
        request: Request<pb::ListIssuancesRequest>,
    ) -> Result<Response<pb::ListIssuancesResponse>, Status> {
        serve!(request, |caller, asked| list::issuances(
            self, &caller, &asked
        ))
    }

    async fn list_batches(
        &self,
        request: Request<pb::ListBatchesRequest>,
    ) -> Result<Response<pb::ListBatchesResponse>, Status> {
        serve!(request, |caller, asked| list::batches(
            self, &caller, &asked
        ))
    }

    async fn get_batch(
        &self,
        request: Request<pb::GetBatchRequest>,
    ) -> Result<Response<pb::GetBatchResponse>, Status> {
        serve!(request, |caller, asked| read::get_batch(
            self, &caller, &asked
        ))
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
