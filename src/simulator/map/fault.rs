//! What goes wrong at the voucher platform: queued faults first, then by probability.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::super::draw;
use super::config::MapCall;

/// A way in which the platform misbehaves, or a refusal on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MapFault {
    /// 10000, and nothing happened.
    ErrorBefore,
    /// 10000, and it happened.
    ErrorAfter,
    /// No byte, and nothing happened.
    TimeoutBefore,
    /// No byte, and it happened.
    TimeoutAfter,
    /// No byte, and it happens five simulated minutes later.
    TimeoutLate,
    /// No byte, and it happened twice.
    TimeoutTwice,
    /// A reset, and nothing happened.
    Reset,
    /// A reset, and it happened.
    ResetAfter,
    /// Half of the reply, and it happened.
    HalfBody,
    /// HTTP 502 with a page, and it happened.
    Html502,
    /// Bytes that are no JSON, and it happened.
    Garbage,
    /// 2 MiB, and it happened.
    HugeBody,
    /// A code that nobody listed, and it happened.
    UnknownCode,
    /// The user is not registered there: a refusal before anything happens.
    NoUser,
    /// It happened, and the reply names another sum.
    WrongSum,
    /// It happened, and the reply lacks the voucher's number.
    NoId,
    /// It happened, and the reply is what the seed's samples are: a comma too many, numbers as
    /// texts, a byte order mark.
    Sloppy,
    /// It happened, and for five simulated minutes the list does not know.
    Lag,
    /// It happened, and the reply takes its time.
    Slow,
    /// The list is said to be empty.
    NothingFound,
    /// The list says that it has one more than it shows.
    WrongTotal,
}

/// What becomes of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Nothing,
    Done,
    /// Done, but no list shows it for some minutes.
    Hidden,
    Twice,
}

/// What the caller gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Truth,
    Error(Code),
    Hold,
    Reset,
    Half,
    Html502,
    Garbage,
    Huge,
    WrongSum,
    NoId,
    Sloppy,
    Slow,
    NothingFound,
    WrongTotal,
}

/// A code of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// 10000.
    Other,
    /// Listed nowhere.
    Unknown,
    /// The user is not registered.
    NoUser,
}

impl MapFault {
    pub(super) fn effect(self) -> (Keep, Answer) {
        match self {
            Self::ErrorBefore => (Keep::Nothing, Answer::Error(Code::Other)),
            Self::ErrorAfter => (Keep::Done, Answer::Error(Code::Other)),
            Self::TimeoutBefore => (Keep::Nothing, Answer::Hold),
            Self::TimeoutAfter => (Keep::Done, Answer::Hold),
            Self::TimeoutLate => (Keep::Hidden, Answer::Hold),
            Self::TimeoutTwice => (Keep::Twice, Answer::Hold),
            Self::Reset => (Keep::Nothing, Answer::Reset),
            Self::ResetAfter => (Keep::Done, Answer::Reset),
            Self::HalfBody => (Keep::Done, Answer::Half),
            Self::Html502 => (Keep::Done, Answer::Html502),
            Self::Garbage => (Keep::Done, Answer::Garbage),
            Self::HugeBody => (Keep::Done, Answer::Huge),
            Self::UnknownCode => (Keep::Done, Answer::Error(Code::Unknown)),
            Self::NoUser => (Keep::Nothing, Answer::Error(Code::NoUser)),
            Self::WrongSum => (Keep::Done, Answer::WrongSum),
            Self::NoId => (Keep::Done, Answer::NoId),
            Self::Sloppy => (Keep::Done, Answer::Sloppy),
            Self::Lag => (Keep::Hidden, Answer::Truth),
            Self::Slow => (Keep::Done, Answer::Slow),
            Self::NothingFound => (Keep::Done, Answer::NothingFound),
            Self::WrongTotal => (Keep::Done, Answer::WrongTotal),
        }
    }
}

/// The faults in force; also the body of `POST /_sim/map/faults`, which replaces them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MapFaults {
    /// Each strikes one of the next calls of its kind, in this order.
    pub next: BTreeMap<MapCall, VecDeque<MapFault>>,
    /// In per mille of the calls of a kind.
    pub odds: BTreeMap<MapCall, BTreeMap<MapFault, u16>>,
}

impl MapFaults {
    /// Queues a fault.
    #[must_use]
    pub fn with_next(mut self, call: MapCall, fault: MapFault) -> Self {
        self.next.entry(call).or_default().push_back(fault);
        self
    }

    /// The fault of the `nth` call of a kind.
    pub(super) fn strike(&mut self, seed: u64, call: MapCall, nth: u64) -> Option<MapFault> {
        if let Some(next) = self.next.get_mut(&call).and_then(VecDeque::pop_front) {
            return Some(next);
        }
        let odds = self.odds.get(&call)?;
        let mut left = draw::below(1000, seed, &["map", call.word(), &nth.to_string()]);
        for (fault, odds) in odds {
            match left.checked_sub(u64::from(*odds)) {
                None => return Some(*fault),
                Some(rest) => left = rest,
            }
        }
        None
    }
}
