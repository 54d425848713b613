//! What an exchange with a provider proves.
//!
//! The types here have no door for "probably failed". A provider module may
//! call an order refused only by a code that its table lists with a source; a
//! time-out, a reset, a code that nobody has seen, a body that does not parse are
//! [`Unknown`](SendOutcome::Unknown), and the machine answers that with a query and
//! with the same number again, never with a new one.

use super::text::Openid;
use super::{Fen, Timestamp};

/// What a request to pay proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The provider took it, and its echo is what we asked for.
    Accepted {
        /// The provider's own number; may be empty.
        provider_order_no: String,
        /// What a mini program opens the packet with.
        package: Option<String>,
    },
    /// The provider has the order, under our number, and works on it. Of money it says nothing.
    Taken {
        /// The provider's own number; may be empty.
        provider_order_no: String,
        /// What it will charge, if it says so.
        cost: Option<Fen>,
    },
    /// The provider said no, in a way that is listed.
    Rejected(Rejection),
    /// Nothing is proven.
    Unknown(Cause),
    /// The provider confirmed something else than we asked for.
    Mismatch {
        /// The field that differs.
        field: &'static str,
    },
}

/// What a question about a number proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryOutcome {
    /// The provider knows the number and says where it stands.
    Known(Report),
    /// The provider knows no such number now. Closes nothing by itself: the
    /// request may still be on its way.
    NotFound,
    /// The provider refused to answer.
    Rejected(Rejection),
    /// Nothing is proven.
    Unknown(Cause),
    /// The provider tells of another payment than ours under this number.
    Mismatch {
        /// The field that differs.
        field: &'static str,
    },
}

/// What a provider tells of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Where it stands there.
    pub state: ProviderState,
    /// The provider's own number; may be empty.
    pub provider_order_no: String,
    /// Why it failed or hangs, for people; empty if the provider says nothing.
    pub reason: String,
    /// When the recipient took it.
    pub received_at: Option<Timestamp>,
    /// When it came back.
    pub refunded_at: Option<Timestamp>,
    /// How much came back; absent when the provider does not say. Of a group packet
    /// it may be a part, and is always said.
    pub refunded: Option<Fen>,
    /// Who took from a group packet so far, in the provider's order.
    pub receipts: Vec<Receipt>,
    /// What the provider charges for it, if that is another thing than the amount: rounded up
    /// to whole fen.
    pub cost: Option<Fen>,
}

/// What one receiver took of a group packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Who.
    pub openid: Openid,
    /// How much.
    pub amount: Fen,
    /// When.
    pub received_at: Option<Timestamp>,
}

/// Where a packet stands at the provider, in words common to all protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderState {
    /// Being worked on; may become anything.
    Sending,
    /// The recipient can take it.
    Sent,
    /// Taken.
    Received,
    /// Was not paid and will not be.
    Failed,
    /// On its way back.
    Refunding,
    /// Back.
    Refunded,
}

impl ProviderState {
    /// Every state, for tests that must see each pair.
    pub const ALL: [Self; 6] = [
        Self::Sending,
        Self::Sent,
        Self::Received,
        Self::Failed,
        Self::Refunding,
        Self::Refunded,
    ];
}

/// A listed refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What kind it is.
    pub kind: RejectionKind,
    /// The provider's code, or a cause of ours where no byte was sent.
    pub code: String,
}

/// What a refusal is about. The first three speak of the order, the rest only of
/// this one exchange: they prove nothing about an earlier request for the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectionKind {
    /// Order: refused before execution, for a reason that lies in the order or its recipient.
    Refused,
    /// Order: the provider says that it failed. Still only a query's state is proof.
    Failed,
    /// Order: the number is booked there with other parameters. Somebody paid or tried under it.
    NumberConflict,
    /// Exchange: no byte of the request left this machine.
    NotSent,
    /// Exchange: too fast.
    Throttled,
    /// Exchange: a daily limit is used up; it opens again at midnight in Beijing.
    DailyLimit,
    /// Exchange: the merchant's balance is too low. The whole account waits.
    Balance,
    /// Exchange: key, certificate, appid or rights are wrong. The whole account waits.
    Configuration,
}

/// How much a refusal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// About the order itself.
    Order,
    /// About this exchange only.
    Exchange,
}

impl RejectionKind {
    /// Every kind, for tests that must see each.
    pub const ALL: [Self; 8] = [
        Self::Refused,
        Self::Failed,
        Self::NumberConflict,
        Self::NotSent,
        Self::Throttled,
        Self::DailyLimit,
        Self::Balance,
        Self::Configuration,
    ];

    /// How much it says.
    #[must_use]
    pub fn scope(self) -> Scope {
        match self {
            Self::Refused | Self::Failed | Self::NumberConflict => Scope::Order,
            Self::NotSent
            | Self::Throttled
            | Self::DailyLimit
            | Self::Balance
            | Self::Configuration => Scope::Exchange,
        }
    }

    /// Whether every packet of the account would meet the same refusal, so that
    /// the account must wait instead of its packets failing one by one.
    #[must_use]
    pub fn stops_account(self) -> bool {
        match self {
            Self::Balance | Self::Configuration => true,
            Self::Refused
            | Self::Failed
            | Self::NumberConflict
            | Self::NotSent
            | Self::Throttled
            | Self::DailyLimit => false,
        }
    }
}

/// Why an exchange proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No answer in time.
    Timeout,
    /// The connection broke after the request may have left.
    ConnectionLost,
    /// An HTTP status other than 200; the body is not believed.
    HttpStatus(u16),
    /// The body is too large, not of the protocol, or lacks what it must have.
    Unparsable,
    /// The provider says that it does not know itself (SYSTEMERROR).
    ProviderUnsure(String),
    /// The provider works on it (PROCESSING).
    Processing(String),
    /// A code that no table lists.
    UnlistedCode(String),
    /// The process that had asked is gone; its answer, if any, was not recorded.
    LeaseLost,
}

impl Cause {
    /// A short stable word for `last_error`, metrics and logs.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Timeout => "TIMEOUT".to_owned(),
            Self::ConnectionLost => "CONNECTION_LOST".to_owned(),
            Self::HttpStatus(status) => format!("HTTP_{status}"),
            Self::Unparsable => "UNPARSABLE".to_owned(),
            Self::ProviderUnsure(code) | Self::Processing(code) | Self::UnlistedCode(code) => {
                code.clone()
            }
            Self::LeaseLost => "LEASE_LOST".to_owned(),
        }
    }
}
