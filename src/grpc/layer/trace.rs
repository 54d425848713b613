//! The outermost layer: names a call, puts it into its caller's trace, and reports how it ended.
//!
//! A gRPC status comes in the response headers when a call is refused at once, and otherwise in the
//! trailers after the last message. So the body is wrapped and watched to its end; a layer that
//! read headers only would report every failed handler as a success. A call that nobody waits for
//! any more never gets a status; it is reported as CANCELLED when its future or body is dropped.
//! Each call is reported exactly once, because `Call::finish` disarms the drop.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body as _, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field};

use super::{CallLog, Reason, RequestId, code_name, is_infrastructure, is_server_error};
use crate::telemetry::{Metrics, propagation};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_LENGTH_MAX: usize = 64;

/// Makes names for calls that came without one.
pub type NewRequestId = dyn Fn() -> String + Send + Sync;

/// Wraps a service in [`Trace`].
#[derive(Clone)]
pub struct TraceLayer {
    metrics: Metrics,
    new_id: Arc<NewRequestId>,
}

impl fmt::Debug for TraceLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceLayer").finish_non_exhaustive()
    }
}

impl TraceLayer {
    /// `new_id` is called for calls without a usable `x-request-id`; see [`random_request_id`].
    pub fn new(metrics: Metrics, new_id: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self {
            metrics,
            new_id: Arc::new(new_id),
        }
    }

    fn request_id(&self, headers: &HeaderMap) -> Arc<str> {
        let sent = headers
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        match sent.filter(|id| is_request_id(id)) {
            Some(id) => Arc::from(id),
            None => Arc::from((self.new_id)()),
        }
    }
}

/// 128 random bits in hex, or nothing at all on a machine without randomness, where no TLS would
/// work either.
pub fn random_request_id() -> String {
    let random = ring::rand::generate::<[u8; 16]>(&ring::rand::SystemRandom::new());
    random
        .map(|bits| format!("{:032x}", u128::from_be_bytes(bits.expose())))
        .unwrap_or_default()
}

/// The alphabet keeps a caller from writing into our logs.
fn is_request_id(id: &str) -> bool {
    let safe = |c: u8| c.is_ascii_alphanumeric() || b"_.:-".contains(&c);
    !id.is_empty() && id.len() <= REQUEST_ID_LENGTH_MAX && id.bytes().all(safe)
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace {
            inner,
            layer: self.clone(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
    layer: TraceLayer,
}

impl<S> Service<http::Request<Body>> for Trace<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let id = self.layer.request_id(request.headers());
        let call = Call::start(self.layer.metrics.clone(), &request, &id);
        request.extensions_mut().insert(RequestId(id.clone()));
        request.extensions_mut().insert(call.log.clone());
        let span = call.span.clone();
        let response = span.in_scope(|| self.inner.call(request));
        Box::pin(
            async move {
                match response.await {
                    Ok(response) => Ok(call.observe(response, &id)),
                    Err(error) => {
                        // tonic turns it into a status or resets the stream; which one is not to be
                        // seen from here.
                        let mut call = call;
                        call.finish(Code::Unknown, None);
                        Err(error)
                    }
                }
            }
            .instrument(span),
        )
    }
}

/// One call under way.
struct Call {
    metrics: Metrics,
    method: Arc<str>,
    infrastructure: bool,
    log: CallLog,
    span: Span,
    started: Instant,
    reported: bool,
}

impl Call {
    fn start(metrics: Metrics, request: &http::Request<Body>, id: &str) -> Self {
        let path = request.uri().path();
        let infrastructure = is_infrastructure(path);
        let method = metrics.method_of(path);
        let span = tracing::info_span!(
            parent: None,
            "rpc",
            request_id = id,
            method = &*method,
            app_id = field::Empty,
            call_name = field::Empty,
            shop_id = field::Empty,
            otel.name = &*method,
            otel.kind = "server",
            otel.status_code = field::Empty,
            rpc.system.name = "grpc",
            rpc.method = &*method,
            rpc.response.status_code = field::Empty,
            error.type = field::Empty,
        );
        propagation::set_parent_from(&span, request.headers());
        Self {
            metrics,
            method,
            infrastructure,
            log: CallLog::default(),
            span,
            started: crate::clock::monotonic(),
            reported: false,
        }
    }

    /// Reports now if the headers say how the call ended, and otherwise lets the body do it.
    fn observe(mut self, mut response: http::Response<Body>, id: &str) -> http::Response<Body> {
        if let Ok(value) = HeaderValue::from_str(id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        if let Some(code) = code_in(response.headers()) {
            let reason = reason_of(&response);
            self.finish(code, reason);
            return response;
        }
        response.map(|body| Body::new(Watched { body, call: self }))
    }

    fn finish(&mut self, code: Code, reason: Option<String>) {
        if std::mem::replace(&mut self.reported, true) {
            return;
        }
        let duration = self.started.elapsed();
        let name = code_name(code);
        self.metrics.rpc(self.method.clone(), name, duration);
        let app = self.log.app().map(|app| app.0);
        self.span.record("app_id", app);
        self.span.record("rpc.response.status_code", name);
        if is_server_error(code) {
            self.span.record("error.type", name);
            self.span.record("otel.status_code", "ERROR");
        }
        let _entered = self.span.enter();
        let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if self.infrastructure {
            tracing::debug!(status = name, duration_us, "call");
        } else {
            tracing::info!(status = name, reason, app_id = app, duration_us, "call");
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.finish(Code::Cancelled, None);
    }
}

/// A response body that is read to its trailers.
struct Watched {
    body: Body,
    call: Call,
}

impl http_body::Body for Watched {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        let entered = this.call.span.clone();
        let _entered = entered.enter();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let code = code_in(trailers).unwrap_or(Code::Unknown);
                    this.call.finish(code, reason_in(trailers, code));
                }
            }
            Some(Err(status)) => this.call.finish(status.code(), error_info_reason(status)),
            // An end without a status breaks the protocol; clients call it UNKNOWN or INTERNAL.
            None => this.call.finish(Code::Unknown, None),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    /// The server drops a body that says it is empty without reading it; the client sees no status.
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.call.finish(Code::Unknown, None);
        }
    }
}

fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers
        .get(Status::GRPC_STATUS)
        .map(|value| Code::from_bytes(value.as_bytes()))
}

fn reason_of(response: &http::Response<Body>) -> Option<String> {
    let extensions = response.extensions();
    if let Some(Reason(reason)) = extensions.get::<Reason>() {
        return Some((*reason).to_owned());
    }
    // tonic leaves the status that it wrote into the headers beside them.
    extensions.get::<Status>().and_then(error_info_reason)
}

fn reason_in(trailers: &HeaderMap, code: Code) -> Option<String> {
    if code == Code::Ok {
        return None;
    }
    Status::from_header_map(trailers)
        .as_ref()
        .and_then(error_info_reason)
}

fn error_info_reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

#[cfg(test)]
mod tests;
