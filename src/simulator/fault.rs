//! The faults: one enum, one table that says what each does to the money and what the caller sees.
//!
//! The table is data, not match arms spread over the engine, so that the help text, the admin
//! endpoint, the documentation and the behaviour cannot drift apart.

use serde::{Deserialize, Serialize};

use super::chaos::Strike;

/// A way in which the provider misbehaves, or a refusal on demand. [`Fault::spec`] describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fault {
    #[serde(rename = "SYSTEMERROR_BEFORE")]
    SystemErrorBefore,
    #[serde(rename = "SYSTEMERROR_AFTER")]
    SystemErrorAfter,
    #[serde(rename = "PROCESSING")]
    Processing,
    #[serde(rename = "PROCESSING_FAILED")]
    ProcessingFailed,
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
    #[serde(rename = "DTD")]
    Dtd,
    #[serde(rename = "WRONG_AMOUNT")]
    WrongAmount,
    #[serde(rename = "WRONG_BILLNO")]
    WrongBillno,
    #[serde(rename = "WRONG_OPENID")]
    WrongOpenid,
    #[serde(rename = "NOTENOUGH")]
    NotEnough,
    #[serde(rename = "FREQ_LIMIT")]
    FreqLimit,
    #[serde(rename = "SENDNUM_LIMIT")]
    SendNumLimit,
    #[serde(rename = "LIMIT_STORED")]
    LimitStored,
    #[serde(rename = "SEND_FAILED")]
    SendFailed,
    #[serde(rename = "PARAM_ERROR")]
    ParamError,
    #[serde(rename = "OPENID_ERROR")]
    OpenidError,
    #[serde(rename = "NO_AUTH")]
    NoAuth,
    #[serde(rename = "SIGN_ERROR")]
    SignError,
    #[serde(rename = "CA_ERROR")]
    CaError,
    #[serde(rename = "MONEY_LIMIT")]
    MoneyLimit,
    #[serde(rename = "V2_ACCOUNT_SIMPLE_BAN")]
    SimpleBan,
    #[serde(rename = "NOT_FOUND_LAG")]
    NotFoundLag,
    #[serde(rename = "SENDING_REASON")]
    SendingReason,
    #[serde(rename = "FAILED_LATER")]
    FailedLater,
    #[serde(rename = "REFUND")]
    Refund,
    #[serde(rename = "PARTIAL_REFUND")]
    PartialRefund,
    #[serde(rename = "RECEIVED")]
    Received,
}

/// What becomes of an order that was not stored before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Not stored: the same number may be sent again and is then new.
    Nothing,
    /// Stored and paid; later taken or refunded, as the seed says.
    Normal,
    /// Paid, and received at once.
    TakenAtOnce,
    /// Paid, never taken, refunded after 24 hours.
    NeverTaken,
    /// Paid; of a group packet all shares but one are taken at once. A packet that is not divided
    /// is never taken.
    PartlyTaken,
    /// Paid, but no query finds it for some minutes.
    Hidden,
    /// Accepted, paid some minutes later.
    PaidLater,
    /// Accepted with PROCESSING, fails later without a reason.
    FailsLater,
    /// Accepted with SUCCESS, fails later.
    FailsQuietly,
    /// Accepted, SENDING with a reason for a day, then failed.
    Stuck,
    /// Stored as failed.
    FailsNow,
}

/// What the caller gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// What the order's state says.
    Truth,
    /// FAIL with this `err_code`, whatever was stored.
    Refused(&'static str),
    /// The truth, with one echoed field changed.
    Wrong(Echo),
    /// Silence, then the end of the connection.
    Hold,
    /// A TCP reset.
    Reset,
    /// The first half of the truth.
    HalfBody,
    Html502,
    Garbage,
    Huge,
    Dtd,
}

/// The echoed field that lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Echo {
    Amount,
    Billno,
    Openid,
}

/// One line of the fault table.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spec {
    #[serde(rename = "name")]
    pub fault: Fault,
    /// What happens to the money of an order that was not stored before.
    pub money: &'static str,
    /// What the caller sees.
    pub seen: &'static str,
    /// How many send calls of one number an openid of the form `oSIM-<FAULT>-…` strikes; 0 is
    /// every one.
    pub strikes: u32,
    /// Whether it can also strike a query (where nothing is stored in any case).
    pub on_query: bool,
    #[serde(skip)]
    pub(super) keep: Keep,
    #[serde(skip)]
    pub(super) answer: Answer,
}

impl Fault {
    /// Every fault there is, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|spec| spec.fault)
    }

    /// The whole table.
    pub fn table() -> &'static [Spec] {
        TABLE
    }

    /// The name used in openids, flags and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::SystemErrorBefore => "SYSTEMERROR_BEFORE",
            Self::SystemErrorAfter => "SYSTEMERROR_AFTER",
            Self::Processing => "PROCESSING",
            Self::ProcessingFailed => "PROCESSING_FAILED",
            Self::TimeoutBefore => "TIMEOUT_BEFORE",
            Self::TimeoutAfter => "TIMEOUT_AFTER",
            Self::Reset => "RESET",
            Self::ResetAfter => "RESET_AFTER",
            Self::HalfBody => "HALF_BODY",
            Self::Html502 => "HTML_502",
            Self::UnknownCode => "UNKNOWN_CODE",
            Self::Garbage => "GARBAGE",
            Self::HugeBody => "HUGE_BODY",
            Self::Dtd => "DTD",
            Self::WrongAmount => "WRONG_AMOUNT",
            Self::WrongBillno => "WRONG_BILLNO",
            Self::WrongOpenid => "WRONG_OPENID",
            Self::NotEnough => "NOTENOUGH",
            Self::FreqLimit => "FREQ_LIMIT",
            Self::SendNumLimit => "SENDNUM_LIMIT",
            Self::LimitStored => "LIMIT_STORED",
            Self::SendFailed => "SEND_FAILED",
            Self::ParamError => "PARAM_ERROR",
            Self::OpenidError => "OPENID_ERROR",
            Self::NoAuth => "NO_AUTH",
            Self::SignError => "SIGN_ERROR",
            Self::CaError => "CA_ERROR",
            Self::MoneyLimit => "MONEY_LIMIT",
            Self::SimpleBan => "V2_ACCOUNT_SIMPLE_BAN",
            Self::NotFoundLag => "NOT_FOUND_LAG",
            Self::SendingReason => "SENDING_REASON",
            Self::FailedLater => "FAILED_LATER",
            Self::Refund => "REFUND",
            Self::PartialRefund => "PARTIAL_REFUND",
            Self::Received => "RECEIVED",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|fault| fault.name() == name)
    }

    /// The line of the table, if the table is complete, which a test makes sure of.
    pub fn spec(self) -> Option<&'static Spec> {
        TABLE.iter().find(|spec| spec.fault == self)
    }
}

impl Strike for Fault {
    fn name(self) -> &'static str {
        Self::name(self)
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::from_name(name)
    }

    fn strikes(self) -> u32 {
        self.spec().map_or(0, |spec| spec.strikes)
    }

    fn on_query(self) -> bool {
        self.spec().is_some_and(|spec| spec.on_query)
    }
}

const fn spec(
    fault: Fault,
    keep: Keep,
    answer: Answer,
    strikes: u32,
    on_query: bool,
    money: &'static str,
    seen: &'static str,
) -> Spec {
    Spec {
        fault,
        money,
        seen,
        strikes,
        on_query,
        keep,
        answer,
    }
}

#[rustfmt::skip]
const TABLE: &[Spec] = &[
    spec(Fault::SystemErrorBefore, Keep::Nothing, Answer::Refused("SYSTEMERROR"), 1, true,
        "nothing is stored",
        "SYSTEMERROR"),
    spec(Fault::SystemErrorAfter, Keep::Normal, Answer::Refused("SYSTEMERROR"), 1, true,
        "paid",
        "SYSTEMERROR"),
    spec(Fault::Processing, Keep::PaidLater, Answer::Truth, 1, false,
        "held, paid after 10 simulated minutes",
        "PROCESSING until paid; the query says SENDING"),
    spec(Fault::ProcessingFailed, Keep::FailsLater, Answer::Truth, 1, false,
        "held, given back after 20 simulated minutes",
        "PROCESSING; the query says SENDING, then FAILED without a reason"),
    spec(Fault::TimeoutBefore, Keep::Nothing, Answer::Hold, 1, true,
        "nothing is stored",
        "no byte; the connection is held, then closed"),
    spec(Fault::TimeoutAfter, Keep::Normal, Answer::Hold, 1, true,
        "paid",
        "no byte; the connection is held, then closed"),
    spec(Fault::Reset, Keep::Nothing, Answer::Reset, 1, true,
        "nothing is stored",
        "connection reset without a byte"),
    spec(Fault::ResetAfter, Keep::Normal, Answer::Reset, 1, true,
        "paid",
        "connection reset without a byte"),
    spec(Fault::HalfBody, Keep::Normal, Answer::HalfBody, 1, true,
        "paid",
        "half of the XML under the Content-Length of the whole, then the connection ends"),
    spec(Fault::Html502, Keep::Normal, Answer::Html502, 1, true,
        "paid",
        "HTTP 502 with an HTML page"),
    spec(Fault::UnknownCode, Keep::Normal, Answer::Refused("BIZ_SUSPENDED_X9"), 1, true,
        "paid",
        "FAIL with a code that no table lists"),
    spec(Fault::Garbage, Keep::Normal, Answer::Garbage, 1, true,
        "paid",
        "HTTP 200 with bytes that are neither XML nor UTF-8"),
    spec(Fault::HugeBody, Keep::Normal, Answer::Huge, 1, true,
        "paid",
        "HTTP 200 with 2 MiB of well-formed XML"),
    spec(Fault::Dtd, Keep::Normal, Answer::Dtd, 1, true,
        "paid",
        "HTTP 200 with a DTD that expands entities (an entity bomb)"),
    spec(Fault::WrongAmount, Keep::Normal, Answer::Wrong(Echo::Amount), 1, true,
        "paid",
        "SUCCESS that echoes another amount"),
    spec(Fault::WrongBillno, Keep::Normal, Answer::Wrong(Echo::Billno), 1, true,
        "paid",
        "SUCCESS that echoes another number"),
    spec(Fault::WrongOpenid, Keep::Normal, Answer::Wrong(Echo::Openid), 1, false,
        "paid",
        "SUCCESS that echoes another openid"),
    spec(Fault::NotEnough, Keep::Nothing, Answer::Refused("NOTENOUGH"), 1, false,
        "nothing is stored",
        "NOTENOUGH, whatever the balance"),
    spec(Fault::FreqLimit, Keep::Nothing, Answer::Refused("FREQ_LIMIT"), 1, true,
        "nothing is stored",
        "FREQ_LIMIT"),
    spec(Fault::SendNumLimit, Keep::Nothing, Answer::Refused("SENDNUM_LIMIT"), 0, false,
        "nothing is stored",
        "SENDNUM_LIMIT"),
    spec(Fault::LimitStored, Keep::Stuck, Answer::Refused("SENDNUM_LIMIT"), 1, false,
        "held, given back after 24 simulated hours",
        "SENDNUM_LIMIT, yet the query says SENDING with a reason, next day FAILED"),
    spec(Fault::SendFailed, Keep::FailsNow, Answer::Truth, 1, false,
        "stored as failed, nothing is paid",
        "SEND_FAILED; the query says FAILED"),
    spec(Fault::ParamError, Keep::Nothing, Answer::Refused("PARAM_ERROR"), 0, true,
        "nothing is stored",
        "PARAM_ERROR"),
    spec(Fault::OpenidError, Keep::Nothing, Answer::Refused("OPENID_ERROR"), 0, false,
        "nothing is stored",
        "OPENID_ERROR"),
    spec(Fault::NoAuth, Keep::Nothing, Answer::Refused("NO_AUTH"), 0, true,
        "nothing is stored",
        "NO_AUTH"),
    spec(Fault::SignError, Keep::Nothing, Answer::Refused("SIGN_ERROR"), 0, true,
        "nothing is stored",
        "SIGN_ERROR for a signature that was right"),
    spec(Fault::CaError, Keep::Nothing, Answer::Refused("CA_ERROR"), 0, true,
        "nothing is stored",
        "CA_ERROR"),
    spec(Fault::MoneyLimit, Keep::Nothing, Answer::Refused("MONEY_LIMIT"), 0, false,
        "nothing is stored",
        "MONEY_LIMIT"),
    spec(Fault::SimpleBan, Keep::Nothing, Answer::Refused("V2_ACCOUNT_SIMPLE_BAN"), 0, false,
        "nothing is stored",
        "V2_ACCOUNT_SIMPLE_BAN (the recipient has no real-named wallet)"),
    spec(Fault::NotFoundLag, Keep::Hidden, Answer::Truth, 1, false,
        "paid",
        "SUCCESS, yet for 5 simulated minutes the query says NOT_FOUND"),
    spec(Fault::SendingReason, Keep::Stuck, Answer::Truth, 1, false,
        "held, given back after 24 simulated hours",
        "PROCESSING; the query says SENDING with a reason, next day FAILED"),
    spec(Fault::FailedLater, Keep::FailsQuietly, Answer::Truth, 1, false,
        "held, given back after 20 simulated minutes",
        "SUCCESS; the query says SENDING, then FAILED"),
    spec(Fault::Refund, Keep::NeverTaken, Answer::Truth, 1, false,
        "paid, back after 24 simulated hours",
        "SUCCESS; the query says SENT, RFUND_ING, REFUND"),
    spec(Fault::PartialRefund, Keep::PartlyTaken, Answer::Truth, 1, false,
        "paid; of a group packet one share comes back after 24 simulated hours, of any other all",
        "SUCCESS; a group's query lists those who took the other shares at once, then RFUND_ING, REFUND"),
    spec(Fault::Received, Keep::TakenAtOnce, Answer::Truth, 1, false,
        "paid",
        "SUCCESS; the query says RECEIVED at once"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete_and_names_agree() {
        for fault in Fault::all() {
            assert_eq!(fault.spec().unwrap().fault, fault);
            assert_eq!(Fault::from_name(fault.name()), Some(fault));
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        }
        assert_eq!(Fault::table().len(), 35);
    }

    #[test]
    fn names_fit_into_an_openid() {
        for fault in Fault::all() {
            let name = fault.name();
            assert!(name.len() <= 21, "{name}");
            assert!(
                name.bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            );
        }
    }

    #[test]
    fn nothing_is_stored_only_where_the_caller_is_refused_or_cut_off() {
        for spec in Fault::table() {
            if spec.keep == Keep::Nothing {
                assert!(matches!(
                    spec.answer,
                    Answer::Refused(_) | Answer::Hold | Answer::Reset
                ));
            }
        }
    }

    #[test]
    fn the_documentation_lists_every_fault() {
        let page = include_str!("../../docs/simulator.md");
        for spec in Fault::table() {
            let line = format!(
                "| `{}` | {} | {} |",
                spec.fault.name(),
                spec.money,
                spec.seen
            );
            assert!(page.contains(&line), "{line}");
        }
    }
}
