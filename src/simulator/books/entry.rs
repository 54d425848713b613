//! The lines of the books file: facts, one JSON object a line, appended and never changed.
//!
//! The file is the truth; what is in memory is these lines applied in order, at start and while
//! running by the same function. An openid appears as a hash only.

use serde::{Deserialize, Serialize};

use super::super::chaos::Call;
use super::super::fault::Fault;
use super::super::map::Line;
use super::super::open;

/// The state of an order, in the provider's words (`RFUND_ING` is spelt so by the provider).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    Sending,
    Sent,
    Received,
    Failed,
    RfundIng,
    Refund,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Sending => "SENDING",
            Self::Sent => "SENT",
            Self::Received => "RECEIVED",
            Self::Failed => "FAILED",
            Self::RfundIng => "RFUND_ING",
            Self::Refund => "REFUND",
        }
    }
}

/// Something that will happen to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Step {
    /// The money leaves the merchant's balance.
    Pay,
    /// The next share of a group packet is taken.
    Take,
    Become(State),
}

/// A step and its simulated time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Due {
    pub(in super::super) at_ms: i64,
    pub(in super::super) step: Step,
}

/// A share of a group packet, fixed when the order is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Share {
    pub(in super::super) amount_fen: i64,
    /// An openid made up by the simulator; absent for the seed user, of whom the books hold a hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) taker: Option<String>,
}

/// An order as it was stored: what was asked for, and what is going to happen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Accepted {
    pub(in super::super) mch_id: String,
    pub(in super::super) mch_billno: String,
    pub(in super::super) openid_hash: String,
    pub(in super::super) amount_fen: i64,
    pub(in super::super) remark: String,
    pub(in super::super) act_name: String,
    pub(in super::super) wishing: String,
    /// Over every parameter that a re-sent order must repeat.
    pub(in super::super) fingerprint: String,
    pub(in super::super) send_listid: String,
    pub(in super::super) at_ms: i64,
    /// Until then no query finds the order.
    pub(in super::super) visible_at_ms: i64,
    /// Whether sends are answered PROCESSING while the order is SENDING.
    pub(in super::super) processing: bool,
    pub(in super::super) reason: Option<String>,
    /// The shares of a group packet, in the order in which they are taken; none of any other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in super::super) shares: Vec<Share>,
    /// What a mini-program opens the packet with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) package: Option<String>,
    pub(in super::super) plan: Vec<Due>,
}

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub(in super::super) enum Entry {
    /// The simulator was started; `sim_ms` is where simulated time stood at `wall_ms`.
    Opened {
        mch_id: String,
        wall_ms: i64,
        sim_ms: i64,
        scale: u32,
    },
    /// Money came onto the merchant's balance.
    Funded {
        amount_fen: i64,
        at_ms: i64,
    },
    /// A request that was well-formed and rightly signed.
    Seen {
        call: Call,
        mch_billno: String,
        nth: u32,
        fault: Option<Fault>,
        at_ms: i64,
    },
    Accepted(Box<Accepted>),
    Paid {
        mch_billno: String,
        amount_fen: i64,
        at_ms: i64,
    },
    /// Somebody took a share of a group packet.
    Taken {
        mch_billno: String,
        amount_fen: i64,
        at_ms: i64,
    },
    Became {
        mch_billno: String,
        state: State,
        at_ms: i64,
        /// What comes back with REFUND; absent in books from before there were shares, and then
        /// it is everything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        returned_fen: Option<i64>,
    },
    /// Of the voucher platform.
    Map(Box<Line>),
    /// Of the open platform.
    Open(Box<open::Line>),
}
