//! Callbacks of providers, as they arrive: `POST /callbacks/open_platform/{credential}`.
//!
//! This path alone of the listener is for the outside; an ingress lets nothing else through.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

use crate::provider::open_platform::{CallbackHead, Distrust};
use crate::service::callback::{Callbacks, Taken};

/// Many times what a callback has.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long its body may take to arrive.
const BODY_WAIT_MAX: Duration = Duration::from_secs(5);
/// What tells the platform not to say it again.
const ACKNOWLEDGED: &str = "SUCCESS";

/// The route, to be served by [`super::serve`].
pub fn router(callbacks: Callbacks) -> Router {
    Router::new()
        .route("/callbacks/open_platform/{credential}", post(open_platform))
        .with_state(callbacks)
}

async fn open_platform(
    State(callbacks): State<Callbacks>,
    Path(credential): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> (StatusCode, &'static str) {
    let Ok(head) = head(&headers) else {
        callbacks.metrics.provider_callback("unsound");
        return (StatusCode::UNAUTHORIZED, "UNSOUND\n");
    };
    let read = tokio::time::timeout(BODY_WAIT_MAX, to_bytes(body, BODY_BYTES_MAX));
    let Ok(Ok(body)) = read.await else {
        callbacks.metrics.provider_callback("unsound");
        return (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too large, or did not arrive\n",
        );
    };
    match callbacks.take(&credential, &head, body.to_vec()).await {
        Ok(Taken::Kept(_)) => (StatusCode::OK, ACKNOWLEDGED),
        Ok(Taken::NoSuchCredential) => (StatusCode::NOT_FOUND, "no such platform\n"),
        // The right one has signed it, so it has to know that it cannot be read.
        Ok(Taken::Distrusted(distrust @ Distrust::Unparsable)) => {
            (StatusCode::BAD_REQUEST, distrust.code())
        }
        Ok(Taken::Distrusted(distrust)) => (StatusCode::UNAUTHORIZED, distrust.code()),
        Err(error) => {
            tracing::warn!(%error, "a callback could not be kept; the platform will say it again");
            (StatusCode::SERVICE_UNAVAILABLE, "not kept; say it again\n")
        }
    }
}

/// A header stands twice, or is no text: it could mean two things.
struct Odd;

fn head(headers: &HeaderMap) -> Result<CallbackHead<'_>, Odd> {
    let one = |name: &str| {
        let mut found = headers.get_all(name).iter();
        let value = found.next();
        match (value, found.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| Odd),
            (Some(_), Some(_)) => Err(Odd),
        }
    };
    Ok(CallbackHead {
        business_id: one("businessId")?,
        nonce: one("nonce")?,
        timestamp: one("timestamp")?,
        sign: one("sign")?,
        sign_type: one("signType")?,
    })
}
