//! How long a caller waits, and that its patience never ends the work.
//!
//! Left alone, tonic drops the handler when the deadline passes or the caller goes away. A handler
//! dropped inside a transaction leaves the connection with the transaction open (sqlx 0.9), and a
//! red packet whose record may or may not be there. So the inner call runs in a task of its own, on
//! a tracker that shutdown waits for, and the caller gets DEADLINE_EXCEEDED while the work goes on;
//! the same `request_id` returns its result.
//!
//! tonic has a timer of its own around all layers, started by the same header, which answers
//! CANCELLED. The answer here leaves a little early to be first at both ends: with 50 ms of lead,
//! every Rust client of 200 in parallel saw DEADLINE_EXCEEDED; with 20 ms one in four did not.

use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::HeaderMap;
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::refuse;

/// How long before the caller's own deadline the answer leaves, at most.
const LEAD_MAX: Duration = Duration::from_millis(50);

/// When the caller is answered whether the work is done or not; in the extensions of every request.
/// A handler that only waits, e.g. for the result of a dispatch, returns what it has a moment
/// before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

/// Wraps a service in [`WithDeadline`].
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    tracker: TaskTracker,
    default: Duration,
    max: Duration,
}

impl DeadlineLayer {
    /// `default` is for callers that set no deadline, `max` for those that set a longer one.
    /// Shutdown is to wait for `tracker`.
    pub fn new(tracker: TaskTracker, default: Duration, max: Duration) -> Self {
        Self {
            tracker,
            default,
            max,
        }
    }

    /// The time from now until the answer.
    fn patience(&self, headers: &HeaderMap) -> Duration {
        let wanted = grpc_timeout(headers).unwrap_or(self.default).min(self.max);
        wanted.saturating_sub(LEAD_MAX.min(wanted / 4))
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = WithDeadline<S>;

    fn layer(&self, inner: S) -> WithDeadline<S> {
        WithDeadline {
            inner,
            layer: self.clone(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct WithDeadline<S> {
    inner: S,
    layer: DeadlineLayer,
}

impl<S> Service<http::Request<Body>> for WithDeadline<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // From here and not from the first poll: tonic's timer starts right after this function.
        let patience = self.layer.patience(request.headers());
        if patience.is_zero() {
            return Box::pin(async { Ok(expired()) });
        }
        let deadline = deadline_in(patience);
        request.extensions_mut().insert(Deadline(deadline));
        // The service that reported ready is the one to be called.
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        let work = self.layer.tracker.spawn(
            async move {
                let result = ready.call(request).await;
                if !deadline.elapsed().is_zero() {
                    tracing::info!("the work ended after its deadline");
                }
                result
            }
            .in_current_span(),
        );
        Box::pin(async move {
            match tokio::time::timeout_at(deadline, pin!(work)).await {
                Ok(Ok(result)) => result,
                Ok(Err(error)) => Ok(broken(&error)),
                Err(_) => Ok(expired()),
            }
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a caller waits in real time, however fast the business clock of a test runs"
)]
fn deadline_in(patience: Duration) -> Instant {
    Instant::now() + patience
}

fn expired() -> http::Response<Body> {
    let message =
        "the deadline passed and the work goes on; the same request_id returns its result";
    refuse(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        message,
        &[],
        None,
    )
}

fn broken(error: &JoinError) -> http::Response<Body> {
    if error.is_cancelled() {
        let message = "the server is shutting down; repeat with the same request_id";
        return refuse(Code::Unavailable, "SHUTTING_DOWN", message, &[], None);
    }
    // Not the text of the panic: it may quote the request. The panic hook has logged the place.
    tracing::error!("the handler panicked; the caller is told INTERNAL");
    refuse(
        Code::Internal,
        "INTERNAL",
        "a bug; the request id finds it in the log",
        &[],
        None,
    )
}

/// `grpc-timeout` is at most 8 digits and a unit; like tonic, we take a malformed one for none.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => count.checked_mul(3600).map(Duration::from_secs),
        "M" => count.checked_mul(60).map(Duration::from_secs),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests run in real time, and end with their runtime"
)]
mod tests;
