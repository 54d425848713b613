//! What happens to every call before a handler sees it, outermost first.
//!
//! [`trace`] names the call and reports it, [`deadline`] decides how long its caller waits, then
//! come authentication and [`rate_limit`], which needs to know the app. The order matters: whatever
//! a layer refuses must still have a request id and a log line, so `trace` is outside of all; and
//! nothing may end a handler early, so `deadline` is outside of everything that touches the
//! database.
//!
//! The layers talk through extensions. On the request: [`RequestId`], [`CallLog`] and [`Deadline`],
//! and [`AppId`], which the authentication puts there. On the response: [`Reason`].

pub mod deadline;
pub mod rate_limit;
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests run in real time, and end with their runtime"
)]
pub(crate) mod testing;
pub mod trace;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

pub use deadline::{Deadline, DeadlineLayer};
pub use rate_limit::RateLimitLayer;
pub use trace::TraceLayer;

/// `domain` of every `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "hongbao";

/// The app that calls; in the extensions of a request that has been authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AppId(pub i64);

/// The name of one call, the caller's own if it sent one; in the extensions of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What inner layers tell the access log. In the extensions of every request; clones are one cell.
#[derive(Clone, Debug, Default)]
pub struct CallLog(Arc<OnceLock<AppId>>);

impl CallLog {
    /// The first word stands: a call has one app.
    pub fn set_app(&self, app: AppId) {
        let _ = self.0.set(app);
    }

    pub fn app(&self) -> Option<AppId> {
        self.0.get().copied()
    }
}

/// Why a call was refused, for the access log; in the extensions of a response. Where it is
/// missing, the log takes the reason of the `ErrorInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(pub &'static str);

/// A status with the `ErrorInfo` that every error of this service carries, and `RetryInfo` where
/// waiting helps.
pub fn status(
    code: Code,
    reason: &'static str,
    message: &str,
    metadata: &[(&str, String)],
    retry_after: Option<Duration>,
) -> Status {
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    Status::with_error_details(code, message, details)
}

/// The answer of a layer that does not pass a call on.
pub fn refuse(
    code: Code,
    reason: &'static str,
    message: &str,
    metadata: &[(&str, String)],
    retry_after: Option<Duration>,
) -> http::Response<Body> {
    let mut response = status(code, reason, message, metadata, retry_after).into_http();
    response.extensions_mut().insert(Reason(reason));
    response
}

/// Health checks and reflection: no app, no limit, and no log line unless asked for.
fn is_infrastructure(path: &str) -> bool {
    path.starts_with("/grpc.health.") || path.starts_with("/grpc.reflection.")
}

/// The spelling of the gRPC documents, for logs and metrics.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Codes that are the server's fault. The others are answers, and must not wake anybody.
const fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests run in real time, and end with their runtime"
)]
mod tests;
