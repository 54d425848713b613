//! EventService.

use std::pin::Pin;

use futures::Stream;
use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::call::parse_call;
use super::parse::Fields;
use super::pb::event_service_server::EventService;
use super::server::Backend;
use super::{convert, page, pb, status};
use crate::store::webhook::EndpointWrite;

mod delivery;
mod endpoint;
mod render;
mod watch;

type Watch = Pin<Box<dyn Stream<Item = Result<pb::WatchEventsResponse, Status>> + Send>>;

/// A call that is parsed, served and rendered by one function.
macro_rules! serve {
    ($self:expr, $request:expr, $work:path) => {{
        let caller = Caller::of(&$request)?;
        let done = $work($self, &caller, &$request.into_inner()).await;
        done.map(Response::new).map_err(status::status)
    }};
}

impl Backend {
    /// An endpoint as a write leaves it, shown.
    async fn shown(
        &self,
        written: EndpointWrite,
    ) -> crate::domain::Result<Option<pb::WebhookEndpoint>> {
        let views = self.store.with_pending(vec![written.row]).await?;
        Ok(views.first().map(render::endpoint))
    }
}

#[tonic::async_trait]
impl EventService for Backend {
    type WatchEventsStream = Watch;

    async fn watch_events(
        &self,
        request: Request<pb::WatchEventsRequest>,
    ) -> Result<Response<Watch>, Status> {
        let caller = Caller::of(&request)?;
        let started = watch::start(self, &caller, &request.into_inner()).await;
        let stream = watch::watch(self.clone(), started.map_err(status::status)?);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        serve!(self, request, watch::list)
    }

    async fn create_webhook_endpoint(
        &self,
        request: Request<pb::CreateWebhookEndpointRequest>,
    ) -> Result<Response<pb::CreateWebhookEndpointResponse>, Status> {
        serve!(self, request, endpoint::create)
    }

    async fn get_webhook_endpoint(
        &self,
        request: Request<pb::GetWebhookEndpointRequest>,
    ) -> Result<Response<pb::GetWebhookEndpointResponse>, Status> {
        serve!(self, request, endpoint::get)
    }

    async fn list_webhook_endpoints(
        &self,
        request: Request<pb::ListWebhookEndpointsRequest>,
    ) -> Result<Response<pb::ListWebhookEndpointsResponse>, Status> {
        serve!(self, request, endpoint::list)
    }

    async fn update_webhook_endpoint(
        &self,
        request: Request<pb::UpdateWebhookEndpointRequest>,
    ) -> Result<Response<pb::UpdateWebhookEndpointResponse>, Status> {
        serve!(self, request, endpoint::update)
    }

    async fn delete_webhook_endpoint(
        &self,
        request: Request<pb::DeleteWebhookEndpointRequest>,
    ) -> Result<Response<pb::DeleteWebhookEndpointResponse>, Status> {
        serve!(self, request, endpoint::delete)
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<pb::RotateWebhookSecretRequest>,
    ) -> Result<Response<pb::RotateWebhookSecretResponse>, Status> {
        serve!(self, request, endpoint::rotate)
    }

    async fn ping_webhook_endpoint(
        &self,
        request: Request<pb::PingWebhookEndpointRequest>,
    ) -> Result<Response<pb::PingWebhookEndpointResponse>, Status> {
        serve!(self, request, endpoint::ping)
    }

    async fn list_webhook_deliveries(
        &self,
        request: Request<pb::ListWebhookDeliveriesRequest>,
    ) -> Result<Response<pb::ListWebhookDeliveriesResponse>, Status> {
        serve!(self, request, delivery::list)
    }

    async fn redeliver_webhooks(
        &self,
        request: Request<pb::RedeliverWebhooksRequest>,
    ) -> Result<Response<pb::RedeliverWebhooksResponse>, Status> {
        serve!(self, request, delivery::redeliver)
    }
}
