//! The pages for operators' machines: `/metrics`, `/livez`, `/readyz`, `/version`.
//!
//! `/livez` says that the process answers, and nothing else: a probe that asked the database would
//! restart every replica when the database is away. `/readyz` does ask, so that traffic goes
//! elsewhere.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use futures::future::BoxFuture;
use serde::Serialize;

use crate::telemetry::Metrics;

/// Kubernetes gives up after one second unless told otherwise; the answer has to be quicker than
/// that.
const READINESS_WAIT_MAX: Duration = Duration::from_millis(800);

/// Whether this replica can take calls, and if not, why: `Err("migrations pending")`. The text is
/// shown to whoever asks.
pub type Readiness = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What the pages show.
#[derive(Clone)]
pub struct AdminState {
    pub metrics: Metrics,
    pub readiness: Readiness,
    pub version: Version,
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Which build this is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Version {
    pub name: &'static str,
    pub version: &'static str,
    /// Set by the image build through `HONGBAO_COMMIT`.
    pub commit: &'static str,
}

impl Default for Version {
    fn default() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("HONGBAO_COMMIT").unwrap_or("unknown"),
        }
    }
}

/// The pages, to be served by [`super::serve`].
pub fn router(state: AdminState) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route(
            "/version",
            get(|State(state): State<AdminState>| async move { Json(state.version) }),
        )
        .with_state(state)
}

async fn metrics(State(state): State<AdminState>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)],
        state.metrics.render(),
    )
}

async fn readyz(State(state): State<AdminState>) -> impl IntoResponse {
    match tokio::time::timeout(READINESS_WAIT_MAX, (state.readiness)()).await {
        Ok(Ok(())) => (StatusCode::OK, "ok\n".to_owned()),
        Ok(Err(why)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no answer in time\n".to_owned(),
        ),
    }
}
