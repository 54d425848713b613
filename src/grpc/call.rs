//! What every write has: a name, a body to compare repeats by, and a caller.

use std::time::Duration;

use prost::Message;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tonic::Request;

use super::auth::Caller;
use super::layer::Deadline;
use super::parse::Fields;
use crate::clock;
use crate::domain::Reason;
use crate::domain::id::ShopId;
use crate::domain::text::{OrderNo, RequestId};
use crate::store::Call;

/// What is kept of a deadline for the way back.
const ANSWER_TIME: Duration = Duration::from_millis(150);

/// Reads the name of a write. `body` is the request without what may differ in a
/// repeat: its name, its shop (already resolved), whether to wait.
///
/// The fingerprint is of our own encoding of what was understood, not of the bytes
/// that came: fields in order, defaults left out, unknown fields dropped. A field
/// that a later version adds does not change the fingerprints of those who leave
/// it out.
pub fn call(
    fields: &mut Fields,
    caller: &Caller,
    method: &'static str,
    shop: Option<ShopId>,
    request_id: &str,
    validate_only: bool,
    body: &impl Message,
) -> Option<Call> {
    let rule = "must be 1 to 64 characters of [A-Za-z0-9_.:-], a new one for every new call";
    let request = fields.take(
        RequestId::parse(request_id),
        "request_id",
        Reason::RequestIdInvalid,
        rule,
    )?;
    Some(named(caller, method, shop, request, validate_only, body))
}

/// Reads the name of a write that is an order of the caller's, with his own number.
pub fn order_call(
    fields: &mut Fields,
    caller: &Caller,
    method: &'static str,
    shop: ShopId,
    app_order_id: &str,
    validate_only: bool,
    body: &impl Message,
) -> Option<(Call, OrderNo)> {
    let rule = "must be 1 to 128 bytes without blanks at its ends and hidden characters, a new one for every new order";
    let number = OrderNo::parse(app_order_id);
    let number = fields.take(number, "app_order_id", Reason::OrderIdInvalid, rule)?;
    let request = RequestId::of_order(&number);
    let call = named(caller, method, Some(shop), request, validate_only, body);
    let call = Call {
        named_by: "app_order_id",
        ..call
    };
    Some((call, number))
}

fn named(
    caller: &Caller,
    method: &'static str,
    shop: Option<ShopId>,
    request: RequestId,
    validate_only: bool,
    body: &impl Message,
) -> Call {
    // The call's own name, on every line about it.
    tracing::Span::current().record("call_name", request.as_str());
    Call {
        app: caller.principal.app,
        actor: caller.principal.actor(),
        request,
        named_by: "request_id",
        method,
        shop,
        fingerprint: Sha256::digest(body.encode_to_vec()).into(),
        validate_only,
    }
}

/// A request without what may differ in a repeat.
macro_rules! body {
    ($message:ident, $request:expr, $($field:ident),+) => {
        pb::$message { $($field: Default::default(),)+ ..$request.clone() }
    };
}
pub(super) use body;

/// The name of a write: the method, its request without what may differ in a repeat
/// (its name, whether it is tried, and the fields that are listed), and its shop.
macro_rules! parse_call {
    ($fields:expr, $caller:expr, $method:literal, $shop:expr, $request:expr, $message:ident $(, $field:ident)*) => {
        $crate::grpc::call::call(
            $fields,
            $caller,
            $method,
            $shop,
            &$request.request_id,
            $request.validate_only,
            &$crate::grpc::call::body!($message, $request, request_id, validate_only $(, $field)*),
        )
    };
}
pub(super) use parse_call;

/// Until when a call that waits may do so.
#[must_use]
pub fn wait_until<T>(request: &Request<T>) -> Instant {
    let deadline = request
        .extensions()
        .get::<Deadline>()
        .map(|deadline| deadline.0);
    let now = clock::monotonic_tokio();
    let left = deadline.map_or(Duration::from_secs(5), |at| {
        at.saturating_duration_since(now)
    });
    now + left.saturating_sub(ANSWER_TIME.max(left / 4).min(Duration::from_secs(1)))
}
