//! What two looks and an answer say of a spend, or of an undone spend.

use std::time::Duration;

use super::give::{NotSent, Review};
use super::{Patience, RemoteId, RemoteStatus, RemoteVoucher, TurnOrder, TurnOutcome};
use crate::domain::Timestamp;
use crate::domain::outcome::RejectionKind;

/// Which way vouchers are turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// They are spent.
    Spend,
    /// A spend of them is undone.
    Undo,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnFate {
    /// All of it is done.
    Done {
        /// The orders, as far as the platform named them; none when only the list told.
        orders: Vec<TurnOrder>,
    },
    /// None of it is done, and no request is left that could do it.
    NotDone(NotSent),
    /// Nothing is proven yet: look again later, and do not ask again.
    StillUnknown {
        /// A short stable word for `last_error`, metrics and logs.
        code: String,
    },
    /// What is seen fits no one story: a person decides.
    Review(Review),
}

/// How one voucher looks afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Turned,
    AsItWas,
    Unclear,
}

/// The vouchers that cannot be turned as they stand: not listed, or already on the other
/// side. A request that names one is not made.
#[must_use]
pub fn unfit(turn: Turn, vouchers: &[RemoteId], listed: &[RemoteVoucher]) -> Vec<RemoteId> {
    let fit = |id: &&RemoteId| match (turn, status(id, listed)) {
        (Turn::Spend, Some(status)) => status == RemoteStatus::Usable,
        (Turn::Undo, Some(status)) => status != RemoteStatus::Usable,
        (_, None) => false,
    };
    vouchers.iter().filter(|id| !fit(id)).cloned().collect()
}

/// What became of a turn of `vouchers`, none of which was [`unfit`] before. `after` is a
/// list from at least `age` after the request, at `now`; none, if it could not be read
/// whole.
#[must_use]
pub fn resolve_turn(
    turn: Turn,
    vouchers: &[RemoteId],
    answer: &TurnOutcome,
    after: Option<&[RemoteVoucher]>,
    now: Timestamp,
    age: Duration,
    patience: &Patience,
) -> TurnFate {
    let (refused, code) = match answer {
        TurnOutcome::Done { orders } => {
            return TurnFate::Done {
                orders: orders.clone(),
            };
        }
        TurnOutcome::Rejected(no) if no.kind == RejectionKind::NotSent => {
            return TurnFate::NotDone(NotSent::Unsent(no.code.clone()));
        }
        TurnOutcome::Mismatch { field } => return TurnFate::Review(Review::Mismatch(field)),
        TurnOutcome::Rejected(no) => (true, no.code.clone()),
        TurnOutcome::Unknown(cause) => (false, cause.code()),
    };
    let open = |review| match age >= patience.give_up {
        true => TurnFate::Review(review),
        false => TurnFate::StillUnknown { code: code.clone() },
    };
    let Some(after) = after else {
        return open(Review::NeverClear);
    };
    let sides: Vec<Side> = vouchers
        .iter()
        .map(|id| side(turn, id, after, now))
        .collect();
    let all = |is: Side| sides.iter().all(|side| *side == is);
    if sides.contains(&Side::Unclear) {
        return open(Review::NeverClear);
    }
    match (all(Side::Turned), all(Side::AsItWas)) {
        (true, _) if refused => TurnFate::Review(Review::RefusedYetThere),
        (true, _) => TurnFate::Done { orders: Vec::new() },
        (_, true) if refused => TurnFate::NotDone(NotSent::Refused(code)),
        (_, true) if age >= patience.quiet => TurnFate::NotDone(NotSent::Absent),
        (_, true) => open(Review::NeverClear),
        (false, false) => TurnFate::Review(Review::Partly),
    }
}

fn status(id: &RemoteId, listed: &[RemoteVoucher]) -> Option<RemoteStatus> {
    let mut found = listed.iter().filter(|voucher| voucher.id == *id);
    match (found.next(), found.next()) {
        (Some(voucher), None) => Some(voucher.status),
        // Listed twice: neither line is believed.
        _ => None,
    }
}

fn side(turn: Turn, id: &RemoteId, listed: &[RemoteVoucher], now: Timestamp) -> Side {
    let ended = listed
        .iter()
        .filter(|voucher| voucher.id == *id)
        .any(|voucher| voucher.end.is_none_or(|end| end <= now));
    let spent = match status(id, listed) {
        Some(RemoteStatus::Usable) => false,
        Some(RemoteStatus::Spent) => true,
        // "Invalid" is what a platform says of spent and of expired vouchers alike.
        Some(RemoteStatus::Invalid) if !ended => true,
        Some(RemoteStatus::Invalid | RemoteStatus::Other) | None => return Side::Unclear,
    };
    match (turn, spent) {
        (Turn::Spend, true) | (Turn::Undo, false) => Side::Turned,
        (Turn::Spend, false) | (Turn::Undo, true) => Side::AsItWas,
    }
}
