//! How often one app may call.
//!
//! Protects the server from a caller in a loop, in this process; it is not a money limit. Those are
//! rows that change in the transaction of the issue. Keyed by the app and not by address: behind a
//! mesh all calls come from one. The limiter is GCRA: a burst, and then a steady rate, with one
//! timestamp per app.

use std::collections::hash_map::RandomState;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Either, Ready, ready};
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};

use super::{AppId, is_infrastructure, refuse};
use crate::telemetry::Metrics;

/// After so many checks, apps that have not called for a while are forgotten; else memory grows
/// with every app ever seen.
const CHECKS_BETWEEN_SWEEPS: u32 = 4096;

type Limiter = RateLimiter<i64, HashMapStateStore<i64, RandomState>, DefaultClock>;

/// Wraps a service in [`RateLimit`]. All clones share one set of limits.
#[derive(Clone, Debug)]
pub struct RateLimitLayer(Arc<Limits>);

#[derive(Debug)]
struct Limits {
    limiter: Limiter,
    clock: DefaultClock,
    checks: AtomicU32,
    metrics: Metrics,
}

impl RateLimitLayer {
    /// Every app may make `burst` calls at once, and `per_second` in the long run.
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32, metrics: Metrics) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let limiter = RateLimiter::hashmap(quota);
        Self(Arc::new(Limits {
            limiter,
            clock: DefaultClock::default(),
            checks: AtomicU32::new(0),
            metrics,
        }))
    }
}

impl Limits {
    fn check(&self, app: AppId) -> Result<(), Duration> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_BETWEEN_SWEEPS
            == CHECKS_BETWEEN_SWEEPS - 1
        {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let wait = match self.limiter.check_key(&app.0) {
            Ok(()) => return Ok(()),
            Err(refused) => refused.wait_time_from(self.clock.now()),
        };
        self.metrics.rate_limited(app.0);
        Err(wait.max(Duration::from_millis(1)))
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit {
            inner,
            limits: self.0.clone(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    limits: Arc<Limits>,
}

impl<S> Service<http::Request<Body>> for RateLimit<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Self::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // A call without an app has passed an authentication that exempts it.
        let app = request
            .extensions()
            .get::<AppId>()
            .copied()
            .filter(|_| !is_infrastructure(request.uri().path()));
        match app.map(|app| (app, self.limits.check(app))) {
            Some((app, Err(wait))) => Either::Right(ready(Ok(too_often(app, wait)))),
            Some((_, Ok(()))) | None => Either::Left(self.inner.call(request)),
        }
    }
}

fn too_often(app: AppId, wait: Duration) -> http::Response<Body> {
    let message = format!(
        "app {} calls too often; wait {} ms",
        app.0,
        wait.as_millis()
    );
    refuse(
        Code::ResourceExhausted,
        "RATE_LIMITED",
        &message,
        &[("app_id", app.0.to_string())],
        Some(wait),
    )
}

#[cfg(test)]
mod tests;
