//! What an answer makes of a call: pure.

use super::super::super::entity::remote_call::Model;
use super::{RemoteFate, to_json};
use crate::domain::Timestamp;
use crate::domain::remote_voucher::RemoteId;
use crate::domain::voucher::{CallState, TRIES_MAX, look_after, try_after};

/// The call as an answer leaves it.
pub(super) fn step(call: &Model, fate: &RemoteFate, now: Timestamp) -> Model {
    let first = call.state == CallState::Sending;
    let mut next = Model {
        due_time: None,
        last_error: None,
        ended_time: call.ended_time.map(|ended| if first { now } else { ended }),
        ..call.clone()
    };
    match fate {
        RemoteFate::Later { code, unsent: true } if call.tries + 1 >= TRIES_MAX => {
            next.state = CallState::Failed;
            next.last_error = Some(code.clone());
        }
        RemoteFate::Given { order, .. } => {
            next.state = CallState::Done;
            next.remote_orders = names(order.iter());
        }
        RemoteFate::Turned { orders } => {
            next.state = CallState::Done;
            next.remote_orders = names(orders.iter());
        }
        RemoteFate::NotDone { code } => {
            next.state = CallState::Failed;
            next.last_error = Some(code.clone());
        }
        RemoteFate::Review { code } => {
            next.state = CallState::Review;
            next.last_error = Some(code.clone());
        }
        RemoteFate::Later { code, unsent: true } | RemoteFate::Waits { code } => {
            let waits = matches!(fate, RemoteFate::Waits { .. });
            next.state = CallState::Queued;
            next.tries = call.tries + i32::from(!waits);
            let tries = if waits { 0 } else { call.tries };
            next.due_time = Some(now.plus(try_after(tries)));
            next.last_error = Some(code.clone());
            (next.sent_time, next.ended_time, next.baseline) = (None, None, None);
        }
        RemoteFate::Later {
            code,
            unsent: false,
        } => {
            next.state = CallState::Unknown;
            let looks = if first { 0 } else { call.tries };
            next.tries = looks + 1;
            next.due_time = Some(now.plus(look_after(looks)));
            // A look that finds nothing says less than what went wrong at first.
            let kept = call.last_error.clone().filter(|_| !first);
            next.last_error = kept.or(Some(code.clone()));
        }
    }
    // What has left is not sent again, so what confirmed it is of no use any more.
    if next.state != CallState::Queued {
        next.codes_cipher = None;
    }
    next
}

fn names<'a>(ids: impl Iterator<Item = &'a RemoteId>) -> String {
    to_json(&ids.collect::<Vec<_>>()).unwrap_or_else(|_| "[]".to_owned())
}
