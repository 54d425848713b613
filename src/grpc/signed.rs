//! Whether a call is signed, for apps that sign: after authentication, before any handler.
//!
//! Three metadata entries carry a signature: `x-hongbao-timestamp`, `x-hongbao-nonce` and
//! `x-hongbao-signature`. What is signed includes the bytes of the message, so the message is
//! read here and handed on. A call that brings none of the three passes, unless its app must
//! sign it; one that brings any must bring all, and they must be right.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use prost::bytes::Bytes;
use tonic::body::Body;
use tower::{Layer, Service};

use super::auth::Caller;
use super::layer::Reason as LogReason;
use super::layer::deadline::STREAMED;
use super::server::MESSAGE_BYTES_MAX;
use super::status;
use crate::domain::Result;
use crate::domain::signing::invalid;
use crate::service::signing::{STREAM, Shown, Signatures, body_digest};

/// The metadata of a signature.
const NAMES: [&str; 3] = [
    "x-hongbao-timestamp",
    "x-hongbao-nonce",
    "x-hongbao-signature",
];
/// In front of a message on the wire: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Wraps a service in [`Signed`].
#[derive(Clone, Debug)]
pub struct SignedLayer {
    signatures: Signatures,
}

impl SignedLayer {
    /// Asks what apps sign with.
    #[must_use]
    pub fn new(signatures: Signatures) -> Self {
        Self { signatures }
    }
}

impl<S> Layer<S> for SignedLayer {
    type Service = Signed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Signed {
            inner,
            signatures: self.signatures.clone(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Signed<S> {
    inner: S,
    signatures: Signatures,
}

impl<S> Service<Request<Body>> for Signed<S>
where
    S: Service<Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let signatures = self.signatures.clone();
        Box::pin(async move {
            match admit(&signatures, request).await {
                Ok(request) => inner.call(request).await,
                Err(error) => {
                    let reason = LogReason(error.reason.name());
                    let mut response = status::status(error).into_http();
                    response.extensions_mut().insert(reason);
                    Ok(response)
                }
            }
        })
    }
}

/// The call as it may go on.
async fn admit(signatures: &Signatures, request: Request<Body>) -> Result<Request<Body>> {
    // Paths that are not ours have no caller.
    let Some(caller) = request.extensions().get::<Caller>() else {
        return Ok(request);
    };
    let path = request.uri().path().to_owned();
    let policy = signatures.policy(caller.principal.app).await?;
    let demanded = policy
        .as_deref()
        .is_some_and(|policy| policy.demands(&path, caller.permission));
    let Some(shown) = shown(request.headers())? else {
        return if demanded {
            Err(invalid())
        } else {
            Ok(request)
        };
    };
    let (mut request, digest) = if STREAMED.contains(&path.as_str()) {
        (request, STREAM.to_owned())
    } else {
        read(request).await?
    };
    signatures
        .verify(policy.as_deref(), &path, &shown, &digest)
        .await?;
    if let Some(caller) = request.extensions_mut().get_mut::<Caller>() {
        caller.signed = true;
    }
    Ok(request)
}

/// The signature that metadata hold; nothing where they hold no part of one.
fn shown(headers: &HeaderMap) -> Result<Option<Shown>> {
    if NAMES.iter().all(|name| !headers.contains_key(*name)) {
        return Ok(None);
    }
    let mut parts = NAMES.iter().map(|name| {
        let mut values = headers.get_all(*name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then(|| value.to_owned())
    });
    let shown = (|| {
        Some(Shown {
            timestamp: parts.next()??,
            nonce: parts.next()??,
            signature: parts.next()??,
        })
    })();
    shown.map(Some).ok_or_else(invalid)
}

/// Reads the one message of a call: the call with it, and its digest. What is no message
/// whole and uncompressed is signed by nobody.
async fn read(request: Request<Body>) -> Result<(Request<Body>, String)> {
    let (parts, body) = request.into_parts();
    let read = Limited::new(body, MESSAGE_BYTES_MAX + PREFIX_BYTES).collect();
    let bytes = read.await.map_err(|_| invalid())?.to_bytes();
    let digest = body_digest(message(&bytes).ok_or_else(invalid)?);
    let whole = Full::new(bytes).map_err(|never: Infallible| match never {});
    Ok((Request::from_parts(parts, Body::new(whole)), digest))
}

/// The message in its frame.
fn message(bytes: &Bytes) -> Option<&[u8]> {
    let (prefix, message) = bytes.split_at_checked(PREFIX_BYTES)?;
    let (compressed, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    (*compressed == 0 && usize::try_from(length).ok()? == message.len()).then_some(message)
}
