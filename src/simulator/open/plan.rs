//! What will become of a stored order and of the callbacks about it: fixed when it is stored, and
//! written into the books with it, so that a restart changes nobody's fate.

use serde::{Deserialize, Serialize};

use super::super::clock::{HOUR_MS, MINUTE_MS, SECOND_MS};
use super::fault::{Calls, Keep};

/// How long an order is only stored, and when it is final.
const STORED_MS: i64 = SECOND_MS;
const FINAL_MS: i64 = 3 * SECOND_MS;
const LATE_MS: i64 = 10 * MINUTE_MS;
const FAILURE_MS: i64 = 20 * MINUTE_MS;
const HIDDEN_MS: i64 = 5 * MINUTE_MS;
const CALLBACK_LATE_MS: i64 = 48 * HOUR_MS;
const REORDERED_MS: i64 = 10 * SECOND_MS;

/// Where an order stands, in the platform's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenStatus {
    Stored,
    Processing,
    Success,
    Failed,
    Cancelled,
}

impl OpenStatus {
    /// As replies and callbacks have it.
    pub fn number(self) -> u32 {
        match self {
            Self::Stored => 0,
            Self::Processing => 1,
            Self::Success => 2,
            Self::Failed => 3,
            Self::Cancelled => 4,
        }
    }

    /// Whether it stays so.
    pub fn is_final(self) -> bool {
        match self {
            Self::Stored | Self::Processing => false,
            Self::Success | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// What is wrong with a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenCallbackKind {
    /// Nothing.
    Right,
    /// The same once more.
    Again,
    /// Wrongly signed, and a lie.
    Forged,
    /// Its timestamp is old.
    Stale,
    /// It says what the order was, after it has said what the order is.
    Reordered,
    /// Its order is unknown to everybody.
    Stranger,
    /// It says what is not so.
    Contrary,
}

impl OpenCallbackKind {
    /// Whether it is tried again until it is acknowledged.
    pub(super) fn is_retried(self) -> bool {
        match self {
            Self::Forged | Self::Stale => false,
            Self::Right | Self::Again | Self::Reordered | Self::Stranger | Self::Contrary => true,
        }
    }
}

/// A state and its simulated time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Step {
    pub(super) at_ms: i64,
    pub(super) status: OpenStatus,
}

/// A callback as it was planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Call {
    /// When it is first tried.
    pub(super) at_ms: i64,
    pub(super) says: OpenStatus,
    pub(super) kind: OpenCallbackKind,
}

/// A fate, from the moment of storing on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) steps: Vec<Step>,
    pub(super) callbacks: Vec<Call>,
    /// Until then no query finds the order.
    pub(super) visible_at_ms: i64,
}

/// Plans an order that is stored at `now_ms`; `Keep::Nothing` has no plan.
pub(super) fn fate(keep: Keep, calls: Calls, now_ms: i64) -> Option<Fate> {
    use OpenStatus::{Cancelled, Failed, Processing, Success};
    let step = |after_ms: i64, status| Step {
        at_ms: now_ms.saturating_add(after_ms),
        status,
    };
    let via = |after_ms, status| vec![step(STORED_MS, Processing), step(after_ms, status)];
    let steps = match keep {
        Keep::Nothing => return None,
        Keep::Normal | Keep::Hidden | Keep::Overpriced => via(FINAL_MS, Success),
        Keep::AtOnce => vec![step(0, Processing), step(0, Success)],
        Keep::PaidLater => via(LATE_MS, Success),
        Keep::FailsLater => via(FAILURE_MS, Failed),
        Keep::FailsNow => vec![step(0, Failed)],
        Keep::Cancels => via(LATE_MS, Cancelled),
    };
    let last = steps.last().copied()?;
    let hidden_ms = match keep {
        Keep::Hidden => HIDDEN_MS,
        Keep::Nothing
        | Keep::Normal
        | Keep::AtOnce
        | Keep::Overpriced
        | Keep::PaidLater
        | Keep::FailsLater
        | Keep::FailsNow
        | Keep::Cancels => 0,
    };
    Some(Fate {
        steps,
        callbacks: callbacks(calls, now_ms, last),
        visible_at_ms: now_ms.saturating_add(hidden_ms),
    })
}

fn callbacks(calls: Calls, now_ms: i64, last: Step) -> Vec<Call> {
    use OpenCallbackKind as Kind;
    let after = |wait_ms: i64, says, kind| Call {
        at_ms: last.at_ms.saturating_add(wait_ms),
        says,
        kind,
    };
    let right = after(0, last.status, Kind::Right);
    let contrary = match last.status {
        OpenStatus::Success | OpenStatus::Stored | OpenStatus::Processing => OpenStatus::Failed,
        OpenStatus::Failed | OpenStatus::Cancelled => OpenStatus::Success,
    };
    match calls {
        Calls::One => vec![right],
        Calls::Lost => Vec::new(),
        Calls::Late => vec![after(CALLBACK_LATE_MS, last.status, Kind::Right)],
        Calls::Doubled => vec![
            right,
            after(0, last.status, Kind::Again),
            after(MINUTE_MS, last.status, Kind::Again),
        ],
        Calls::Forged => vec![
            Call {
                at_ms: now_ms.saturating_add(STORED_MS),
                says: contrary,
                kind: Kind::Forged,
            },
            right,
        ],
        Calls::Stale => vec![
            after(0, last.status, Kind::Stale),
            after(REORDERED_MS, last.status, Kind::Right),
        ],
        Calls::Reordered => vec![
            right,
            after(REORDERED_MS, OpenStatus::Processing, Kind::Reordered),
        ],
        Calls::Stranger => vec![
            Call {
                at_ms: now_ms.saturating_add(STORED_MS),
                says: OpenStatus::Success,
                kind: Kind::Stranger,
            },
            right,
        ],
        Calls::Contrary => vec![right, after(MINUTE_MS, contrary, Kind::Contrary)],
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::OpenFault;
    use super::*;

    #[test]
    fn every_fate_ends_and_ends_once() {
        for spec in OpenFault::table() {
            let Some(fate) = fate(spec.keep, spec.calls, 5) else {
                assert_eq!(spec.keep, Keep::Nothing);
                continue;
            };
            assert!(fate.steps.is_sorted_by_key(|step| step.at_ms));
            let finals = fate.steps.iter().filter(|step| step.status.is_final());
            assert_eq!(finals.count(), 1, "{:?}", spec.fault);
            assert!(fate.steps.last().unwrap().status.is_final());
        }
    }

    #[test]
    fn a_callback_that_is_right_says_how_it_ended_and_not_before() {
        for spec in OpenFault::table() {
            let Some(fate) = fate(spec.keep, spec.calls, 5) else {
                continue;
            };
            let last = fate.steps.last().unwrap();
            let mut right = fate
                .callbacks
                .iter()
                .filter(|call| call.kind == OpenCallbackKind::Right);
            match right.next() {
                None => assert_eq!(spec.fault, OpenFault::CallbackLost),
                Some(call) => {
                    assert_eq!(call.says, last.status, "{:?}", spec.fault);
                    assert!(call.at_ms >= last.at_ms);
                }
            }
            assert_eq!(right.next(), None, "{:?}", spec.fault);
        }
    }
}
