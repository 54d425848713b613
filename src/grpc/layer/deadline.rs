//! How long a caller waits, and that its patience never ends the work.
//!
//! Left alone, tonic drops the handler when the deadline passes or the caller goes away. A handler
//! dropped inside a transaction leaves the connection with the transaction open (sqlx 0.9), and a
//! red packet whose record may or may not be there. So the inner call runs in a task of its own, on
//! a tracker that shutdown waits for, and the caller gets DEADLINE_EXCEEDED while the work goes on;
//! the same `request_id` returns its result.
//!
//! tonic has a timer of its own around all layers, started by the same header, which answers
//! CANCELLED, and so has tonic's client. The answer here leaves a little early to be first at both
//! ends. On the server a call is lost to tonic's timer only when a thread stands still for as long
//! as the lead; at the client, 200 parallel calls all saw DEADLINE_EXCEEDED with 50 ms of lead, and
//! with 20 ms one in four did not.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::HeaderMap;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::refuse;

/// How long before the caller's own deadline the answer leaves, at most.
const LEAD_MAX: Duration = Duration::from_millis(50);
/// Calls that take as long as their caller streams. A caller that has gone is noticed
/// by the keep-alive of its connection.
pub(in crate::grpc) const STREAMED: &[&str] = &["/hongbao.v1.AudienceService/ImportRecipients"];
/// How long they may take.
const STREAM_MAX: Duration = Duration::from_secs(3_600);

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
    fn patience(&self, path: &str, headers: &HeaderMap) -> Duration {
        let (default, max) = if STREAMED.contains(&path) {
            (STREAM_MAX, STREAM_MAX)
        } else {
            (self.default, self.max)
        };
        let wanted = grpc_timeout(headers).unwrap_or(default).min(max);
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
        let patience = self.layer.patience(request.uri().path(), request.headers());
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
                if has_passed(deadline) {
                    tracing::info!("the work ended after its deadline");
                }
                result
            }
            .in_current_span(),
        );
        Box::pin(async move {
            match until(deadline, work).await {
                Some(Ok(result)) => result,
                Some(Err(error)) => Ok(broken(&error)),
                None => Ok(expired()),
            }
        })
    }
}

/// Waits for `work`, and gives up on waiting at `deadline`.
///
/// Looks at the clock and not only at its timer. On a starved machine a call may be polled for the
/// first time when its time is over; a timer set in the past fires a moment after it is first
/// polled, and tonic's timer, polled next, may fire in that moment. With six times more threads
/// than cores, 19 of 36 runs of 800 calls lost one call with `timeout_at`, and 11 of 36 with this.
/// From inside tonic's timer there is no full cure. Such a call is told CANCELLED, and its work goes
/// on like all others.
async fn until<T>(deadline: Instant, mut work: JoinHandle<T>) -> Option<Result<T, JoinError>> {
    let mut timer = pin!(tokio::time::sleep_until(deadline));
    poll_fn(|cx| {
        if let Poll::Ready(result) = Pin::new(&mut work).poll(cx) {
            return Poll::Ready(Some(result));
        }
        if has_passed(deadline) || timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

fn has_passed(deadline: Instant) -> bool {
    !deadline.elapsed().is_zero()
}

/// A caller waits in real time, however fast the business clock of a test runs.
fn deadline_in(patience: Duration) -> Instant {
    crate::clock::monotonic_tokio() + patience
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
