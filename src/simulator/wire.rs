//! Decisions as bytes: whole replies, broken ones, and connections that end without any.
//!
//! An error out of here makes hyper drop the connection without a reply, which is what a timeout
//! and a reset look like from outside; a body that fails half-way leaves its Content-Length unmet.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream;
use http::{HeaderValue, Response, StatusCode, header};
use tokio_util::sync::CancellationToken;

use super::engine::Wire;

const XML: HeaderValue = HeaderValue::from_static("text/xml; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html");
const HUGE: usize = 2 * 1024 * 1024;
const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";
const NOT_FOUND: &str = "<html><head><title>404 Not Found</title></head></html>\r\n";
const GARBAGE: &[u8] = b"\x00\xff\xfe<xml><return_code>SUCC\x80\x81\x00\x1f\x8b\x08";
/// Ten levels of ten: ten thousand million times `lol` for a parser that expands entities.
const BOMB_LEVELS: u8 = 10;
/// Gives the first half of a body time to leave before the connection ends.
const HALF_WAIT: Duration = Duration::from_millis(50);

/// A connection that ends without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cut {
    #[error("closed without a reply")]
    Closed,
    #[error("reset without a reply")]
    Reset,
}

/// Renders a decision; may take as long as `hold`, less when the simulator stops.
pub(super) async fn render(
    wire: Wire,
    hold: Duration,
    stop: &CancellationToken,
) -> Result<Response<Body>, Cut> {
    match wire {
        Wire::Xml(xml) => Ok(reply(StatusCode::OK, XML, xml)),
        Wire::Json(json) => Ok(reply(StatusCode::OK, JSON, json)),
        Wire::Half(xml) => Ok(half(xml)),
        Wire::Html502 => Ok(reply(StatusCode::BAD_GATEWAY, HTML, BAD_GATEWAY)),
        Wire::Garbage => Ok(reply(StatusCode::OK, XML, GARBAGE)),
        Wire::Huge => Ok(reply(StatusCode::OK, XML, huge())),
        Wire::Dtd => Ok(reply(StatusCode::OK, XML, bomb())),
        Wire::Hold => {
            let _stopped = tokio::time::timeout(hold, stop.cancelled()).await;
            Err(Cut::Closed)
        }
        Wire::Reset => Err(Cut::Reset),
    }
}

/// A path that the provider does not know.
pub(super) fn not_found() -> Response<Body> {
    reply(StatusCode::NOT_FOUND, HTML, NOT_FOUND)
}

/// A body beyond the limit.
pub(super) fn too_large() -> Response<Body> {
    reply(StatusCode::PAYLOAD_TOO_LARGE, HTML, "")
}

fn reply(status: StatusCode, kind: HeaderValue, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn half(xml: String) -> Response<Body> {
    let whole = Bytes::from(xml);
    let length = HeaderValue::from(whole.len());
    let first = whole.slice(..whole.len() / 2);
    let chunks = stream::unfold(Some(first), |first| async move {
        let Some(first) = first else {
            tokio::time::sleep(HALF_WAIT).await;
            return Some((Err(io::Error::other("cut off half-way")), None));
        };
        Some((Ok(first), None))
    });
    let mut response = reply(StatusCode::OK, XML, Body::from_stream(chunks));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length);
    response
}

fn huge() -> Body {
    let head = Bytes::from_static(b"<xml><return_code>SUCCESS</return_code><junk>");
    let tail = Bytes::from_static(b"</junk></xml>");
    let junk = Bytes::from(vec![b'x'; HUGE]);
    let chunks = [head, junk, tail].map(Ok::<_, Infallible>);
    Body::from_stream(stream::iter(chunks))
}

fn bomb() -> String {
    let mut text = String::from("<?xml version=\"1.0\"?>\n<!DOCTYPE xml [\n<!ENTITY l0 \"lol\">\n");
    for level in 1..=BOMB_LEVELS {
        let inner = format!("&l{};", level - 1).repeat(10);
        text.push_str(&format!("<!ENTITY l{level} \"{inner}\">\n"));
    }
    text.push_str(&format!(
        "]>\n<xml><return_code>SUCCESS</return_code><result_code>SUCCESS</result_code>\
         <send_listid>&l{BOMB_LEVELS};</send_listid></xml>"
    ));
    text
}
