//! The gRPC server: services, layers, limits.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::auth::AuthLayer;
use super::layer::{DeadlineLayer, RateLimitLayer, TraceLayer, trace};
use super::pb::admin_service_server::AdminServiceServer;
use super::pb::audience_service_server::AudienceServiceServer;
use super::pb::campaign_service_server::CampaignServiceServer;
use super::pb::event_service_server::EventServiceServer;
use super::pb::issuance_service_server::IssuanceServiceServer;
use super::pb::review_service_server::ReviewServiceServer;
use super::pb::voucher_service_server::VoucherServiceServer;
use super::signed::SignedLayer;
use super::{DESCRIPTOR, PERMISSIONS};
use crate::domain::webhook::Reach;
use crate::service::ask::Asker;
use crate::service::identity::Identity;
use crate::service::issue::Issuer;
use crate::service::providers::Providers;
use crate::service::signing::Signatures;
use crate::service::voucher::Vouchers;
use crate::store::Store;
use crate::telemetry::Metrics;

/// A message at most. A thousand recipients need less than half of it.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// An answer at most; 500 issuances need a fraction of it.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What handlers work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The database.
    pub store: Store,
    /// Accepts packets.
    pub issuer: Issuer,
    /// Gives and spends vouchers.
    pub vouchers: Vouchers,
    /// Asks providers on demand.
    pub asker: Asker,
    /// The configured credentials.
    pub providers: Arc<Providers>,
    /// Who calls.
    pub identity: Identity,
    /// What callers sign.
    pub signatures: Signatures,
    /// Told when there may be work for the dispatcher.
    pub wake: Arc<Notify>,
    /// How far receivers of webhooks may be.
    pub reach: Reach,
    /// Told when streams must end.
    pub stop: CancellationToken,
}

/// How the server works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Calls per second of one app in the long run.
    pub calls_per_second: NonZeroU32,
    /// Calls of one app at once.
    pub burst: NonZeroU32,
    /// The deadline of a call that brings none.
    pub deadline_default: Duration,
    /// The longest deadline.
    pub deadline_max: Duration,
    /// Whether to serve reflection.
    pub reflection: bool,
}

/// Every RPC as metrics name it: `hongbao.v1.CampaignService/GetCampaign`.
pub fn methods() -> impl Iterator<Item = &'static str> {
    PERMISSIONS
        .iter()
        .map(|(path, _)| path.trim_start_matches('/'))
}

/// The services whose health a client may ask for, beside "" and the probes'.
const SERVICES: [&str; 7] = [
    <CampaignServiceServer<Backend> as NamedService>::NAME,
    <IssuanceServiceServer<Backend> as NamedService>::NAME,
    <ReviewServiceServer<Backend> as NamedService>::NAME,
    <AudienceServiceServer<Backend> as NamedService>::NAME,
    <AdminServiceServer<Backend> as NamedService>::NAME,
    <EventServiceServer<Backend> as NamedService>::NAME,
    <VoucherServiceServer<Backend> as NamedService>::NAME,
];

/// Says whether this replica takes calls. `liveness` is always yes: a probe that
/// looked at the database would restart every replica when that is away.
pub async fn report(reporter: &HealthReporter, serving: bool) {
    let status = if serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    for name in SERVICES.into_iter().chain(["", "readiness"]) {
        reporter.set_service_status(name, status).await;
    }
    reporter
        .set_service_status("liveness", ServingStatus::Serving)
        .await;
}

/// Lets watchers of health go, or they would hold up the end for ever.
pub async fn forget_health(reporter: &mut HealthReporter) {
    for name in SERVICES.into_iter().chain(["", "readiness", "liveness"]) {
        reporter.clear_service_status(name).await;
    }
}

/// Serves until told to stop, and then until the connections have ended; the
/// caller bounds how long it waits for that.
///
/// # Errors
/// The listener fails, or the descriptors are broken.
pub async fn serve(
    listener: TcpListener,
    backend: Backend,
    settings: Settings,
    metrics: Metrics,
    tracker: TaskTracker,
    health: tonic_health::pb::health_server::HealthServer<
        impl tonic_health::pb::health_server::Health,
    >,
) -> anyhow::Result<()> {
    let stop = backend.stop.clone();
    // serve_with_incoming ignores the builder's nodelay; without it every answer waits 40 ms.
    let incoming = TcpIncoming::from(listener)
        .with_nodelay(Some(true))
        .with_keepalive(Some(Duration::from_secs(60)));
    let layers = tower::ServiceBuilder::new()
        .layer(TraceLayer::new(metrics.clone(), trace::random_request_id))
        .layer(DeadlineLayer::new(
            tracker,
            settings.deadline_default,
            settings.deadline_max,
        ))
        .layer(AuthLayer::new(backend.identity.clone()))
        .layer(RateLimitLayer::new(
            settings.calls_per_second,
            settings.burst,
            metrics,
        ))
        .layer(SignedLayer::new(backend.signatures.clone()));
    let mut router = Server::builder()
        .layer(layers)
        // tonic unsets hyper's own limits; each of these has to be said.
        .max_concurrent_streams(Some(256))
        .http2_max_pending_accept_reset_streams(Some(20))
        .http2_max_local_error_reset_streams(Some(1_024))
        .http2_max_header_list_size(Some(16 << 10))
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .max_connection_age(Duration::from_secs(30 * 60))
        .add_service(health);
    if settings.reflection {
        // grpcurl of many machines still asks for v1alpha.
        router = router
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?);
    }
    macro_rules! limited {
        ($server:ident) => {
            $server::new(backend.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(ANSWER_BYTES_MAX)
        };
    }
    router
        .add_service(limited!(CampaignServiceServer))
        .add_service(limited!(IssuanceServiceServer))
        .add_service(limited!(AudienceServiceServer))
        .add_service(limited!(AdminServiceServer))
        .add_service(limited!(ReviewServiceServer))
        .add_service(limited!(EventServiceServer))
        .add_service(limited!(VoucherServiceServer))
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await?;
    Ok(())
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that grpcurl shows the details of an error in words.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}
