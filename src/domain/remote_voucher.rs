//! Vouchers on a platform that somebody else runs, and how doubt about one ends.
//!
//! Such a platform (seed 002) knows no idempotency: whoever gives again after a time-out
//! gives twice. So a voucher is given once, and doubt is resolved by looking. The list of
//! the pair (mobile, product) is read before and after, and what is new in it is compared
//! with what was asked for. [`resolve_give`] says what that proves; [`resolve_turn`] says
//! the same of spending and of undoing a spend. Both are pure, name every case, and never
//! ask for the call to be made again.
//!
//! What a list can prove has two limits, which no code here can lift. Another program that
//! gives a voucher of the same sum to the same pair between the two looks is taken for us.
//! And a request may sit in a buffer: that nothing is new proves little at once, and
//! enough only when the platform has had [`Patience::quiet`] to take it.

mod give;
#[cfg(test)]
mod tests;
mod turn;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outcome::{Cause, Rejection};
use super::text::Mobile;
use super::{Fen, Timestamp};

pub use give::{Fate, NotSent, Proof, Review, resolve_give};
pub use turn::{Turn, TurnFate, resolve_turn, unfit};

/// A name that a platform gives or takes: a product, a voucher, an order. 1 to 128
/// printable ASCII characters without blanks and without `|`, which separates them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RemoteId(String);

impl RemoteId {
    /// The name, if it keeps the rule above.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let fits = (1..=128).contains(&raw.len());
        let shaped = raw.bytes().all(|b| b.is_ascii_graphic() && b != b'|');
        (fits && shaped).then(|| Self(raw.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RemoteId {
    type Error = &'static str;

    fn try_from(raw: String) -> Result<Self, Self::Error> {
        Self::parse(&raw).ok_or("a name of a platform has 1 to 128 characters and no |")
    }
}

impl From<RemoteId> for String {
    fn from(id: RemoteId) -> Self {
        id.0
    }
}

impl std::fmt::Display for RemoteId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose vouchers of which product. One give at a time for each pair, or the lists of two
/// gives cannot be told apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The person, as the platform knows people.
    pub mobile: Mobile,
    /// The platform's product.
    pub product: RemoteId,
}

/// A voucher to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Give {
    /// To whom, of what.
    pub pair: Pair,
    /// Its face value.
    pub sum: Fen,
    /// Our own number of the order. The platform does not look at it twice.
    pub order: RemoteId,
    /// What the person reads.
    pub remark: String,
}

/// What the platform may ask of the owner at a spend. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StepUp {
    /// A code from a message to the owner (seed 002: accountCode).
    pub account_code: Option<String>,
    /// The owner's payment password (seed 002: paymentCodeMD5).
    pub payment_code_md5: Option<String>,
}

impl std::fmt::Debug for StepUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StepUp(…)")
    }
}

/// Vouchers to be spent, all of them or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// Whose.
    pub mobile: Mobile,
    /// Which.
    pub vouchers: Vec<RemoteId>,
    /// Our own number of the order.
    pub order: RemoteId,
    /// What it is spent for, if that has a number.
    pub associated_order: Option<RemoteId>,
    /// What the person reads.
    pub remark: String,
    /// What the owner proved.
    pub step_up: StepUp,
}

/// Spends to be undone, all of them or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// The platform's numbers of the spends.
    pub orders: Vec<RemoteId>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// Whose.
    pub mobile: Mobile,
    /// Of which products; none: of all that we may see.
    pub products: Vec<RemoteId>,
    /// The page, from 1 on.
    pub page: u32,
    /// Vouchers on a page.
    pub size: u32,
}

/// Where a voucher stands, in the platform's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteStatus {
    /// It can be spent.
    Usable,
    /// It cannot: expired, frozen or spent.
    Invalid,
    /// It was spent.
    Spent,
    /// A word that nobody has told us.
    Other,
}

/// A voucher as the platform lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteVoucher {
    /// Its number.
    pub id: RemoteId,
    /// Its product.
    pub product: RemoteId,
    /// Its face value.
    pub sum: Fen,
    /// From when on; none: from the beginning.
    pub start: Option<Timestamp>,
    /// Until when; none: the platform does not say, or not readably.
    pub end: Option<Timestamp>,
    /// Where it stands.
    pub status: RemoteStatus,
}

/// A page of vouchers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The vouchers.
    pub vouchers: Vec<RemoteVoucher>,
    /// How many there are on all pages together.
    pub total: u64,
}

/// What a request to give proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GiveOutcome {
    /// The platform gave it, and its echo is what we asked for.
    Given {
        /// The voucher.
        voucher: RemoteVoucher,
        /// The platform's number of the order, if it says one.
        order: Option<RemoteId>,
    },
    /// The platform said no, in a way that is listed; or no byte left.
    Rejected(Rejection),
    /// Nothing is proven.
    Unknown(Cause),
    /// The platform confirmed something else than we asked for.
    Mismatch {
        /// The field that differs.
        field: &'static str,
    },
}

/// What a look at a page proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListOutcome {
    /// The page.
    Listed(Page),
    /// The platform refused to answer; or no byte left.
    Rejected(Rejection),
    /// Nothing is proven.
    Unknown(Cause),
    /// The platform shows another person's, product's or page's list than we asked for.
    Mismatch {
        /// The field that differs.
        field: &'static str,
    },
}

/// One order that a spend made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnOrder {
    /// The platform's number: what an undo names.
    pub order: RemoteId,
    /// The voucher, if the platform says which.
    pub voucher: Option<RemoteId>,
}

/// What a request to spend, or to undo a spend, proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnOutcome {
    /// It is done.
    Done {
        /// The orders, as far as the platform names them.
        orders: Vec<TurnOrder>,
    },
    /// The platform said no, in a way that is listed; or no byte left.
    Rejected(Rejection),
    /// Nothing is proven.
    Unknown(Cause),
    /// The platform confirmed something else than we asked for.
    Mismatch {
        /// The field that differs.
        field: &'static str,
    },
}

/// What an outcome proved, as a short stable word for people: `DONE`, a code, or a cause.
pub trait Word {
    /// The word.
    fn word(&self) -> String;
}

impl Word for GiveOutcome {
    fn word(&self) -> String {
        match self {
            Self::Given { .. } => DONE.to_owned(),
            Self::Rejected(no) => no.code.clone(),
            Self::Unknown(cause) => cause.code(),
            Self::Mismatch { field } => mismatch(field),
        }
    }
}

impl Word for ListOutcome {
    fn word(&self) -> String {
        match self {
            Self::Listed(page) => format!("LISTED_{}", page.vouchers.len()),
            Self::Rejected(no) => no.code.clone(),
            Self::Unknown(cause) => cause.code(),
            Self::Mismatch { field } => mismatch(field),
        }
    }
}

impl Word for TurnOutcome {
    fn word(&self) -> String {
        match self {
            Self::Done { .. } => DONE.to_owned(),
            Self::Rejected(no) => no.code.clone(),
            Self::Unknown(cause) => cause.code(),
            Self::Mismatch { field } => mismatch(field),
        }
    }
}

const DONE: &str = "DONE";

fn mismatch(field: &str) -> String {
    format!("MISMATCH_{field}")
}

/// How long doubt may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// So long after the request a list without anything new proves that it was not taken.
    pub quiet: Duration,
    /// So long after the request a person is asked.
    pub give_up: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(600),
            give_up: Duration::from_secs(86_400),
        }
    }
}

/// A voucher of a pair, as far as two looks compare it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Held {
    /// Its number.
    pub id: RemoteId,
    /// Its face value.
    pub sum: Fen,
}

/// All vouchers of a pair at one look. It is kept before the request leaves, so that
/// another process can resolve what this one began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline(Vec<Held>);

impl Baseline {
    /// The vouchers in an order of their own, so that two looks compare.
    #[must_use]
    pub fn of(vouchers: &[RemoteVoucher]) -> Self {
        let held = vouchers.iter().map(|voucher| Held {
            id: voucher.id.clone(),
            sum: voucher.sum,
        });
        Self::from_iter(held)
    }

    /// Whether a number is there, with whatever sum.
    #[must_use]
    pub fn holds(&self, id: &RemoteId) -> bool {
        self.0.iter().any(|held| held.id == *id)
    }

    /// What `later` has more than this, and what it has less; each as often as it differs.
    #[must_use]
    pub fn differences(&self, later: &Self) -> (Vec<Held>, Vec<Held>) {
        (without(&later.0, &self.0), without(&self.0, &later.0))
    }
}

impl FromIterator<Held> for Baseline {
    fn from_iter<I: IntoIterator<Item = Held>>(held: I) -> Self {
        let mut held: Vec<_> = held.into_iter().collect();
        held.sort();
        Self(held)
    }
}

/// What is in `all` and not in `taken`, each as often as it is left.
fn without(all: &[Held], taken: &[Held]) -> Vec<Held> {
    let mut taken = taken.to_vec();
    let mut left = Vec::new();
    for held in all {
        match taken.iter().position(|other| other == held) {
            Some(index) => {
                taken.swap_remove(index);
            }
            None => left.push(held.clone()),
        }
    }
    left
}
