//! What goes wrong at the open platform: one enum, one table that says what each fault does to the
//! order, to its callback and to the reply.

use serde::{Deserialize, Serialize};

use super::super::chaos::{FaultTable, Strike};

/// The faults in force; also the body of `POST /_sim/open/faults`.
pub type OpenFaults = FaultTable<OpenFault>;

/// A way in which the platform misbehaves, or a refusal on demand. [`OpenFault::spec`] describes
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OpenFault {
    #[serde(rename = "FAIL_BEFORE")]
    FailBefore,
    #[serde(rename = "FAIL_AFTER")]
    FailAfter,
    #[serde(rename = "ABNORMAL_98_BEFORE")]
    Abnormal98Before,
    #[serde(rename = "ABNORMAL_98_AFTER")]
    Abnormal98After,
    #[serde(rename = "ABNORMAL_99_BEFORE")]
    Abnormal99Before,
    #[serde(rename = "ABNORMAL_99_AFTER")]
    Abnormal99After,
    #[serde(rename = "TOO_OLD_BEFORE")]
    TooOldBefore,
    #[serde(rename = "TOO_OLD_AFTER")]
    TooOldAfter,
    #[serde(rename = "NONCE_BEFORE")]
    NonceBefore,
    #[serde(rename = "NONCE_AFTER")]
    NonceAfter,
    #[serde(rename = "DUPLICATE_BEFORE")]
    DuplicateBefore,
    #[serde(rename = "DUPLICATE_AFTER")]
    DuplicateAfter,
    #[serde(rename = "TIMEOUT_BEFORE")]
    TimeoutBefore,
    #[serde(rename = "TIMEOUT_AFTER")]
    TimeoutAfter,
    #[serde(rename = "RESET")]
    Reset,
    #[serde(rename = "RESET_AFTER")]
    ResetAfter,
    #[serde(rename = "HALF_BODY")]
    HalfBody,
    #[serde(rename = "HTML_502")]
    Html502,
    #[serde(rename = "UNKNOWN_CODE")]
    UnknownCode,
    #[serde(rename = "GARBAGE")]
    Garbage,
    #[serde(rename = "HUGE_BODY")]
    HugeBody,
    #[serde(rename = "SLOW")]
    Slow,
    #[serde(rename = "SLOPPY")]
    Sloppy,
    #[serde(rename = "WRONG_BIZ_CODE")]
    WrongBizCode,
    #[serde(rename = "NO_ORDER_CODE")]
    NoOrderCode,
    #[serde(rename = "WRONG_PRICE")]
    WrongPrice,
    #[serde(rename = "BAD_SIGN")]
    BadSign,
    #[serde(rename = "BAD_PARAMETER")]
    BadParameter,
    #[serde(rename = "NO_TEMPLATE")]
    NoTemplate,
    #[serde(rename = "NO_BALANCE")]
    NoBalance,
    #[serde(rename = "BAD_IP")]
    BadIp,
    #[serde(rename = "NO_STOCK")]
    NoStock,
    #[serde(rename = "NOT_FOUND_LAG")]
    NotFoundLag,
    #[serde(rename = "SLOW_PROCESSING")]
    SlowProcessing,
    #[serde(rename = "LATE_FAILURE")]
    LateFailure,
    #[serde(rename = "FAILED_AT_ONCE")]
    FailedAtOnce,
    #[serde(rename = "CANCELLED")]
    Cancelled,
    #[serde(rename = "CALLBACK_EARLY")]
    CallbackEarly,
    #[serde(rename = "CALLBACK_LOST")]
    CallbackLost,
    #[serde(rename = "CALLBACK_LATE")]
    CallbackLate,
    #[serde(rename = "CALLBACK_DOUBLED")]
    CallbackDoubled,
    #[serde(rename = "CALLBACK_FORGED")]
    CallbackForged,
    #[serde(rename = "CALLBACK_STALE")]
    CallbackStale,
    #[serde(rename = "CALLBACK_REORDERED")]
    CallbackReordered,
    #[serde(rename = "CALLBACK_STRANGER")]
    CallbackStranger,
    #[serde(rename = "CALLBACK_CONTRARY")]
    CallbackContrary,
}

/// What becomes of an order that was not stored before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Not stored: the same bizCode may be sent again and is then new.
    Nothing,
    /// Stored, and paid some seconds later.
    Normal,
    /// Stored and paid at once.
    AtOnce,
    /// Stored and paid, but no query finds it for some minutes.
    Hidden,
    /// Stored and paid at another price than agreed.
    Overpriced,
    /// Processing for some minutes, then paid.
    PaidLater,
    /// Processing for some minutes, then failed.
    FailsLater,
    /// Stored as failed.
    FailsNow,
    /// Cancelled after some minutes.
    Cancels,
}

/// How the callback about an order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calls {
    /// One, when the order is final.
    One,
    Lost,
    Late,
    Doubled,
    /// One that is wrongly signed and lies, before the right one.
    Forged,
    /// One with an old timestamp, before the right one.
    Stale,
    /// One that says "processing", after the right one.
    Reordered,
    /// One about an order that nobody knows, before the right one.
    Stranger,
    /// One that says the contrary, after the right one.
    Contrary,
}

/// What the caller gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Truth,
    /// This status, whatever was stored.
    Status(u32),
    /// The truth with every number as a text.
    Sloppy,
    /// The truth with another bizCode.
    WrongBizCode,
    /// The truth without an orderCode.
    NoOrderCode,
    /// The truth, after a while.
    Slow,
    /// Silence, then the end of the connection.
    Hold,
    Reset,
    Half,
    Html502,
    Garbage,
    Huge,
}

/// One line of the fault table.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct OpenSpec {
    #[serde(rename = "name")]
    pub fault: OpenFault,
    /// What becomes of an order that was not stored before.
    pub order: &'static str,
    /// What the caller, or the receiver of callbacks, sees.
    pub seen: &'static str,
    /// How many sends of one bizCode an openid of the form `oSIM-<FAULT>-…` strikes; 0 is every
    /// one.
    pub strikes: u32,
    /// Whether it can also strike a query.
    pub on_query: bool,
    #[serde(skip)]
    pub(super) keep: Keep,
    #[serde(skip)]
    pub(super) calls: Calls,
    #[serde(skip)]
    pub(super) answer: Answer,
}

impl OpenFault {
    /// Every fault there is, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|spec| spec.fault)
    }

    /// The whole table.
    pub fn table() -> &'static [OpenSpec] {
        TABLE
    }

    /// The line of the table, if the table is complete, which a test makes sure of.
    pub fn spec(self) -> Option<&'static OpenSpec> {
        TABLE.iter().find(|spec| spec.fault == self)
    }
}

impl Strike for OpenFault {
    fn name(self) -> &'static str {
        match self {
            Self::FailBefore => "FAIL_BEFORE",
            Self::FailAfter => "FAIL_AFTER",
            Self::Abnormal98Before => "ABNORMAL_98_BEFORE",
            Self::Abnormal98After => "ABNORMAL_98_AFTER",
            Self::Abnormal99Before => "ABNORMAL_99_BEFORE",
            Self::Abnormal99After => "ABNORMAL_99_AFTER",
            Self::TooOldBefore => "TOO_OLD_BEFORE",
            Self::TooOldAfter => "TOO_OLD_AFTER",
            Self::NonceBefore => "NONCE_BEFORE",
            Self::NonceAfter => "NONCE_AFTER",
            Self::DuplicateBefore => "DUPLICATE_BEFORE",
            Self::DuplicateAfter => "DUPLICATE_AFTER",
            Self::TimeoutBefore => "TIMEOUT_BEFORE",
            Self::TimeoutAfter => "TIMEOUT_AFTER",
            Self::Reset => "RESET",
            Self::ResetAfter => "RESET_AFTER",
            Self::HalfBody => "HALF_BODY",
            Self::Html502 => "HTML_502",
            Self::UnknownCode => "UNKNOWN_CODE",
            Self::Garbage => "GARBAGE",
            Self::HugeBody => "HUGE_BODY",
            Self::Slow => "SLOW",
            Self::Sloppy => "SLOPPY",
            Self::WrongBizCode => "WRONG_BIZ_CODE",
            Self::NoOrderCode => "NO_ORDER_CODE",
            Self::WrongPrice => "WRONG_PRICE",
            Self::BadSign => "BAD_SIGN",
            Self::BadParameter => "BAD_PARAMETER",
            Self::NoTemplate => "NO_TEMPLATE",
            Self::NoBalance => "NO_BALANCE",
            Self::BadIp => "BAD_IP",
            Self::NoStock => "NO_STOCK",
            Self::NotFoundLag => "NOT_FOUND_LAG",
            Self::SlowProcessing => "SLOW_PROCESSING",
            Self::LateFailure => "LATE_FAILURE",
            Self::FailedAtOnce => "FAILED_AT_ONCE",
            Self::Cancelled => "CANCELLED",
            Self::CallbackEarly => "CALLBACK_EARLY",
            Self::CallbackLost => "CALLBACK_LOST",
            Self::CallbackLate => "CALLBACK_LATE",
            Self::CallbackDoubled => "CALLBACK_DOUBLED",
            Self::CallbackForged => "CALLBACK_FORGED",
            Self::CallbackStale => "CALLBACK_STALE",
            Self::CallbackReordered => "CALLBACK_REORDERED",
            Self::CallbackStranger => "CALLBACK_STRANGER",
            Self::CallbackContrary => "CALLBACK_CONTRARY",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|fault| fault.name() == name)
    }

    fn strikes(self) -> u32 {
        self.spec().map_or(0, |spec| spec.strikes)
    }

    fn on_query(self) -> bool {
        self.spec().is_some_and(|spec| spec.on_query)
    }
}

/// A refusal: nothing is stored. With `strikes` 0 it is about the order itself and comes again.
const fn refuses(fault: OpenFault, status: u32, strikes: u32, seen: &'static str) -> OpenSpec {
    OpenSpec {
        strikes,
        ..reply(fault, Keep::Nothing, Answer::Status(status), seen)
    }
}

/// The order goes as it would, the reply does not.
const fn reply(fault: OpenFault, keep: Keep, answer: Answer, seen: &'static str) -> OpenSpec {
    OpenSpec {
        on_query: true,
        answer,
        ..fate(
            fault,
            keep,
            match keep {
                Keep::Nothing => "nothing is stored",
                Keep::Normal
                | Keep::AtOnce
                | Keep::Hidden
                | Keep::Overpriced
                | Keep::PaidLater
                | Keep::FailsLater
                | Keep::FailsNow
                | Keep::Cancels => "paid",
            },
            seen,
        )
    }
}

/// The reply is the truth, the order has a fate of its own.
const fn fate(fault: OpenFault, keep: Keep, order: &'static str, seen: &'static str) -> OpenSpec {
    OpenSpec {
        fault,
        order,
        seen,
        strikes: 1,
        on_query: false,
        keep,
        calls: Calls::One,
        answer: Answer::Truth,
    }
}

/// Reply and order are as they should be, the callback is not.
const fn calls(fault: OpenFault, calls: Calls, seen: &'static str) -> OpenSpec {
    OpenSpec {
        calls,
        ..fate(fault, Keep::Normal, "paid", seen)
    }
}

#[rustfmt::skip]
const TABLE: &[OpenSpec] = &[
    refuses(OpenFault::FailBefore, 1, 1, "status 1"),
    reply(OpenFault::FailAfter, Keep::Normal, Answer::Status(1), "status 1"),
    refuses(OpenFault::Abnormal98Before, 98, 1, "status 98"),
    reply(OpenFault::Abnormal98After, Keep::Normal, Answer::Status(98), "status 98"),
    refuses(OpenFault::Abnormal99Before, 99, 1, "status 99"),
    reply(OpenFault::Abnormal99After, Keep::Normal, Answer::Status(99), "status 99"),
    refuses(OpenFault::TooOldBefore, 5, 1, "status 5, whatever the timestamp"),
    reply(OpenFault::TooOldAfter, Keep::Normal, Answer::Status(5), "status 5, whatever the timestamp"),
    refuses(OpenFault::NonceBefore, 6, 1, "status 6, whatever the nonce"),
    reply(OpenFault::NonceAfter, Keep::Normal, Answer::Status(6), "status 6, as when something on the way sent the request twice"),
    OpenSpec { on_query: false, ..refuses(OpenFault::DuplicateBefore, 8, 1, "status 8, yet a query says 7") },
    OpenSpec { on_query: false, ..reply(OpenFault::DuplicateAfter, Keep::Normal, Answer::Status(8), "status 8 for a bizCode that is new") },
    reply(OpenFault::TimeoutBefore, Keep::Nothing, Answer::Hold, "no byte; the connection is held, then closed"),
    reply(OpenFault::TimeoutAfter, Keep::Normal, Answer::Hold, "no byte; the connection is held, then closed"),
    reply(OpenFault::Reset, Keep::Nothing, Answer::Reset, "connection reset without a byte"),
    reply(OpenFault::ResetAfter, Keep::Normal, Answer::Reset, "connection reset without a byte"),
    reply(OpenFault::HalfBody, Keep::Normal, Answer::Half, "half of the JSON under the Content-Length of the whole, then the connection ends"),
    reply(OpenFault::Html502, Keep::Normal, Answer::Html502, "HTTP 502 with an HTML page"),
    reply(OpenFault::UnknownCode, Keep::Normal, Answer::Status(383), "status 383, which no table lists"),
    reply(OpenFault::Garbage, Keep::Normal, Answer::Garbage, "HTTP 200 with bytes that are neither JSON nor UTF-8"),
    reply(OpenFault::HugeBody, Keep::Normal, Answer::Huge, "HTTP 200 with 2 MiB that are no JSON"),
    reply(OpenFault::Slow, Keep::Normal, Answer::Slow, "the truth, after 300 ms of real time"),
    reply(OpenFault::Sloppy, Keep::Normal, Answer::Sloppy, "the truth with numbers as texts"),
    reply(OpenFault::WrongBizCode, Keep::Normal, Answer::WrongBizCode, "success with another bizCode"),
    reply(OpenFault::NoOrderCode, Keep::Normal, Answer::NoOrderCode, "success without an orderCode"),
    fate(OpenFault::WrongPrice, Keep::Overpriced, "paid, one fen dearer than agreed",
        "a settlementPrice that is one fen too high, in reply, query and callback"),
    refuses(OpenFault::BadSign, 2, 0, "status 2 for a signature that was right"),
    refuses(OpenFault::BadParameter, 3, 0, "status 3"),
    OpenSpec { on_query: false, ..refuses(OpenFault::NoTemplate, 7, 0, "status 7") },
    OpenSpec { on_query: false, ..refuses(OpenFault::NoBalance, 9, 1, "status 9, whatever the balance") },
    refuses(OpenFault::BadIp, 10, 0, "status 10"),
    OpenSpec { on_query: false, ..refuses(OpenFault::NoStock, 11, 1, "status 11, whatever the stock") },
    fate(OpenFault::NotFoundLag, Keep::Hidden, "paid",
        "success, yet for 5 simulated minutes the query says 7"),
    fate(OpenFault::SlowProcessing, Keep::PaidLater, "paid after 10 simulated minutes",
        "success; the query says 1, then 2"),
    fate(OpenFault::LateFailure, Keep::FailsLater, "fails after 20 simulated minutes, nothing is paid",
        "success; query and callback say 3 in the end"),
    fate(OpenFault::FailedAtOnce, Keep::FailsNow, "stored as failed, nothing is paid",
        "success; query and callback say 3"),
    fate(OpenFault::Cancelled, Keep::Cancels, "cancelled after 10 simulated minutes, nothing is paid",
        "success; query and callback say 4 in the end"),
    OpenSpec { answer: Answer::Slow, ..fate(OpenFault::CallbackEarly, Keep::AtOnce, "paid at once",
        "success after 300 ms of real time; the callback comes before it") },
    calls(OpenFault::CallbackLost, Calls::Lost, "success; no callback"),
    calls(OpenFault::CallbackLate, Calls::Late, "success; the callback comes 48 simulated hours late"),
    calls(OpenFault::CallbackDoubled, Calls::Doubled, "success; the callback comes twice at once, and once more after a simulated minute"),
    calls(OpenFault::CallbackForged, Calls::Forged, "success; before the order is final, one wrongly signed callback that says 3, never repeated"),
    calls(OpenFault::CallbackStale, Calls::Stale, "success; first one callback, rightly signed, with a timestamp that is an hour old (times the time scale), never repeated"),
    calls(OpenFault::CallbackReordered, Calls::Reordered, "success; after the callback that says 2 comes one that says 1"),
    calls(OpenFault::CallbackStranger, Calls::Stranger, "success; before its callback comes one about an order that nobody knows"),
    calls(OpenFault::CallbackContrary, Calls::Contrary, "success; a simulated minute after the callback that says 2 comes one that says 3"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete_and_names_agree() {
        for fault in OpenFault::all() {
            assert_eq!(fault.spec().unwrap().fault, fault);
            assert_eq!(OpenFault::from_name(fault.name()), Some(fault));
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
            assert!(fault.name().len() <= 21, "{}", fault.name());
        }
        assert_eq!(OpenFault::table().len(), 46);
    }

    #[test]
    fn nothing_is_stored_only_where_the_caller_is_refused_or_cut_off() {
        for spec in OpenFault::table() {
            if spec.keep == Keep::Nothing {
                assert!(matches!(
                    spec.answer,
                    Answer::Status(_) | Answer::Hold | Answer::Reset
                ));
            }
        }
    }

    #[test]
    fn the_documentation_lists_every_fault() {
        let page = include_str!("../../../docs/simulator.md");
        for spec in OpenFault::table() {
            let name = spec.fault.name();
            let line = format!("| `{name}` | {} | {} |", spec.order, spec.seen);
            assert!(page.contains(&line), "{line}");
        }
    }
}
