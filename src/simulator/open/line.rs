//! The platform's lines of the books: facts, appended and never changed.

use serde::{Deserialize, Serialize};

use super::super::chaos;
use super::fault::OpenFault;
use super::plan::{Call, OpenStatus, Step};

/// An order as it was stored: what was asked for, and what is going to happen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Accepted {
    pub(super) merchant_id: String,
    pub(super) biz_code: String,
    pub(super) order_code: String,
    pub(super) template_id: String,
    /// Whose; the openid itself is nowhere in the books.
    pub(super) openid_hash: String,
    pub(super) face_fen: i64,
    pub(super) price_micro_yuan: i64,
    /// Where it is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) callback_url: Option<String>,
    pub(super) at_ms: i64,
    /// Until then no query finds it.
    pub(super) visible_at_ms: i64,
    pub(super) plan: Vec<Step>,
    pub(super) callbacks: Vec<Call>,
}

/// One line of the books.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(in super::super) enum Line {
    /// The merchant paid in.
    Funded {
        micro_yuan: i64,
        at_ms: i64,
    },
    /// A request that was well-formed and rightly signed.
    Asked {
        call: chaos::Call,
        biz_code: String,
        nth: u32,
        fault: Option<OpenFault>,
        at_ms: i64,
    },
    Stored(Box<Accepted>),
    Became {
        biz_code: String,
        status: OpenStatus,
        at_ms: i64,
    },
    /// A try of a callback has ended.
    Tried {
        biz_code: String,
        /// Which one of the order.
        callback: usize,
        answer: String,
        acknowledged: bool,
        at_ms: i64,
    },
}

impl Line {
    pub(in super::super) fn at_ms(&self) -> i64 {
        match self {
            Self::Stored(accepted) => accepted.at_ms,
            Self::Funded { at_ms, .. }
            | Self::Asked { at_ms, .. }
            | Self::Became { at_ms, .. }
            | Self::Tried { at_ms, .. } => *at_ms,
        }
    }
}
