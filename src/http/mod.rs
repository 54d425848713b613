//! The second listener: metrics, probes and the callbacks of providers.
//!
//! Everything is bounded, because this port is open to whoever can reach the pod: connections, the
//! time to send the headers, and the drain at the end (hyper waits for ever for a client that keeps
//! its connection open). A request runs in a tracked task, like a gRPC call: a client that hangs up
//! must not stop a handler in the middle of a transaction.

pub mod admin;
pub mod callback;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// What one listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections_max: usize,
    /// From the connection, or the end of the last reply, to the end of the next request's headers.
    pub header_wait_max: Duration,
    /// Bytes of headers, and of what is read ahead of a body.
    pub buffer_bytes_max: usize,
    /// From the end of the headers to the start of the reply; the handler goes on behind it.
    pub reply_wait_max: Duration,
    /// How long open connections may take to end once the server is told to stop.
    pub drain_wait_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            header_wait_max: Duration::from_secs(10),
            buffer_bytes_max: 16 * 1024,
            reply_wait_max: Duration::from_secs(10),
            drain_wait_max: Duration::from_secs(5),
        }
    }
}

/// Serves until `stop`, then lets open requests end, and returns at the latest after
/// `drain_wait_max`. Handlers run on `tracker`, which outlives this function: whoever closes the
/// database waits for it first.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = stop.cancelled() => break,
        };
        if let Some((stream, slot)) = accepted {
            let connection = connection(stream, app.clone(), limits, tracker.clone(), stop.clone());
            connections.spawn(async move {
                connection.await;
                drop(slot);
            });
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The next connection, as soon as there is room for it. Until then it waits in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            // Out of file handles, most likely: a loop without a pause would take a whole core as
            // well.
            tracing::warn!(%error, "a connection cannot be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    app: Router,
    limits: Limits,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        answer(request, app.clone(), limits, tracker.clone())
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_wait_max)
        .max_buf_size(limits.buffer_bytes_max)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return report(ended),
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    if let Ok(ended) = tokio::time::timeout(limits.drain_wait_max, connection).await {
        report(ended);
    }
}

/// Broken connections are the client's business.
fn report(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}

async fn answer(
    request: Request<Incoming>,
    app: Router,
    limits: Limits,
    tracker: TaskTracker,
) -> Result<Response<Body>, Infallible> {
    let handler = tracker.spawn(app.oneshot(request.map(Body::new)));
    Ok(
        match tokio::time::timeout(limits.reply_wait_max, handler).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Err(_)) => {
                tracing::error!("an HTTP handler panicked");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        },
    )
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests run in real time, and end with their runtime"
)]
mod tests;
