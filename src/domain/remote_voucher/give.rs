//! What two looks and an answer say of a voucher that was given once.

use std::time::Duration;

use super::{Baseline, Fen, GiveOutcome, Patience, RemoteId};
use crate::domain::outcome::RejectionKind;

/// What became of a give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The person has the voucher.
    Sent {
        /// Its number.
        voucher: RemoteId,
        /// The platform's number of the order, if it said one.
        order: Option<RemoteId>,
        /// How we know.
        proof: Proof,
    },
    /// The person has it not, and no request is left that could give it.
    NotSent(NotSent),
    /// Nothing is proven yet: look again later, and do not give again.
    StillUnknown {
        /// A short stable word for `last_error`, metrics and logs.
        code: String,
    },
    /// What is seen fits no one story: a person decides, and nothing is given again.
    Review(Review),
}

/// How we know that a voucher was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The platform said so.
    Told,
    /// It is in the list since.
    Found,
}

/// How we know that nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// No byte of the request left.
    Unsent(String),
    /// The platform refused with a listed code, and the list agrees.
    Refused(String),
    /// The platform was quiet for long enough, and its list is what it was.
    Absent,
    /// It was never asked: the vouchers cannot be spent, or the spend cannot be undone.
    Unfit,
}

/// Why a person has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// The platform named a voucher that was there before.
    KnownVoucher,
    /// The one new voucher has another sum than ours.
    OtherVoucher,
    /// Several vouchers are new.
    SeveralVouchers,
    /// Vouchers that were there are gone, so the list proves nothing.
    VouchersGone,
    /// The platform refused, yet what was asked for is there.
    RefusedYetThere,
    /// The platform confirmed something else than we asked for.
    Mismatch(&'static str),
    /// Some vouchers of the order changed, some did not.
    Partly,
    /// It never became clear.
    NeverClear,
}

impl Review {
    /// A short stable word for `last_error`, metrics and logs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::KnownVoucher => "KNOWN_VOUCHER",
            Self::OtherVoucher => "OTHER_VOUCHER",
            Self::SeveralVouchers => "SEVERAL_VOUCHERS",
            Self::VouchersGone => "VOUCHERS_GONE",
            Self::RefusedYetThere => "REFUSED_YET_THERE",
            Self::Mismatch(_) => "MISMATCH",
            Self::Partly => "PARTLY",
            Self::NeverClear => "NEVER_CLEAR",
        }
    }
}

/// What an answer says before anybody looks.
enum Said {
    Ends(Fate),
    /// Only a look can tell; `refused` when the platform said a listed no.
    Look {
        refused: bool,
        code: String,
    },
}

/// What became of a give of `sum`. `before` is the list from before the request, `after`
/// one from at least `age` after it; none, if it could not be read whole.
#[must_use]
pub fn resolve_give(
    sum: Fen,
    before: &Baseline,
    answer: &GiveOutcome,
    after: Option<&Baseline>,
    age: Duration,
    patience: &Patience,
) -> Fate {
    let (refused, code) = match said(before, answer) {
        Said::Ends(fate) => return fate,
        Said::Look { refused, code } => (refused, code),
    };
    let open = |review| match age >= patience.give_up {
        true => Fate::Review(review),
        false => Fate::StillUnknown { code: code.clone() },
    };
    let Some(after) = after else {
        return open(Review::NeverClear);
    };
    let (fresh, gone) = before.differences(after);
    match (&*fresh, gone.is_empty()) {
        // A list that forgets cannot say that nothing was given.
        ([], false) => open(Review::VouchersGone),
        (_, false) => Fate::Review(Review::VouchersGone),
        ([], true) if refused => Fate::NotSent(NotSent::Refused(code)),
        ([], true) if age >= patience.quiet => Fate::NotSent(NotSent::Absent),
        ([], true) => open(Review::NeverClear),
        (_, true) if refused => Fate::Review(Review::RefusedYetThere),
        ([one], true) if before.holds(&one.id) => Fate::Review(Review::KnownVoucher),
        ([one], true) if one.sum == sum => Fate::Sent {
            voucher: one.id.clone(),
            order: None,
            proof: Proof::Found,
        },
        ([_], true) => Fate::Review(Review::OtherVoucher),
        (_, true) => Fate::Review(Review::SeveralVouchers),
    }
}

fn said(before: &Baseline, answer: &GiveOutcome) -> Said {
    match answer {
        GiveOutcome::Given { voucher, .. } if before.holds(&voucher.id) => {
            Said::Ends(Fate::Review(Review::KnownVoucher))
        }
        GiveOutcome::Given { voucher, order } => Said::Ends(Fate::Sent {
            voucher: voucher.id.clone(),
            order: order.clone(),
            proof: Proof::Told,
        }),
        GiveOutcome::Rejected(no) if no.kind == RejectionKind::NotSent => {
            Said::Ends(Fate::NotSent(NotSent::Unsent(no.code.clone())))
        }
        GiveOutcome::Rejected(no) => Said::Look {
            refused: true,
            code: no.code.clone(),
        },
        GiveOutcome::Unknown(cause) => Said::Look {
            refused: false,
            code: cause.code(),
        },
        GiveOutcome::Mismatch { field } => Said::Ends(Fate::Review(Review::Mismatch(field))),
    }
}
