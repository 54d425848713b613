//! Whether a voucher can be spent, and the one wording for each cause why not.

use super::VoucherState;
use crate::domain::error::{Error, Reason};
use crate::domain::id::VoucherId;
use crate::domain::{Fen, Timestamp};

/// Why a voucher is in the way of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Not there, another's, or of a product that the caller may not see.
    NotFound,
    /// Its validity has not begun.
    NotStarted,
    /// Its validity has ended.
    Expired,
    /// All of it is spent.
    Spent,
    /// An order holds it.
    Reserved,
    /// It is frozen.
    Frozen,
    /// It is not frozen.
    NotFrozen,
    /// It is void.
    Voided,
    /// More was asked than is on it.
    BalanceTooSmall,
    /// Its product is only spent whole.
    OnlyWhole,
    /// Its end is not before the new one.
    NotLater,
    /// It is being given.
    Pending,
    /// It lives on a platform that somebody else runs.
    Remote,
}

impl Cause {
    /// The name, for machines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "NOT_FOUND",
            Self::NotStarted => "NOT_STARTED",
            Self::Expired => "EXPIRED",
            Self::Spent => "SPENT",
            Self::Reserved => "RESERVED",
            Self::Frozen => "FROZEN",
            Self::NotFrozen => "NOT_FROZEN",
            Self::Voided => "VOIDED",
            Self::BalanceTooSmall => "BALANCE_TOO_SMALL",
            Self::OnlyWhole => "ONLY_WHOLE",
            Self::NotLater => "NOT_LATER",
            Self::Pending => "PENDING",
            Self::Remote => "REMOTE",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::NotFound => "there is none of this name that is his",
            Self::NotStarted => "its validity has not begun",
            Self::Expired => "its validity has ended",
            Self::Spent => "it is spent",
            Self::Reserved => "an order holds it",
            Self::Frozen => "it is frozen",
            Self::NotFrozen => "it is not frozen",
            Self::Voided => "it is void",
            Self::BalanceTooSmall => "more was asked than is on it",
            Self::OnlyWhole => "its product is only spent whole; leave amount_fen 0",
            Self::NotLater => "it is valid until then or longer",
            Self::Pending => "the platform of its product has not confirmed it yet",
            Self::Remote => "it lives on the platform of its product, which alone can do this",
        }
    }
}

/// What of a voucher a spend looks at.
#[derive(Clone, Copy, Debug)]
pub struct Slip {
    /// Its state.
    pub state: VoucherState,
    /// Valid from then on; none: from the gift on.
    pub start: Option<Timestamp>,
    /// Valid until just before then.
    pub end: Timestamp,
    /// What is on it.
    pub balance: Fen,
    /// Whether a part may be taken.
    pub partial: bool,
}

/// How much a spend takes of a voucher at an instant; `asked` of none takes all.
///
/// # Errors
/// Why it takes nothing.
pub fn judge(slip: &Slip, asked: Option<Fen>, now: Timestamp) -> Result<Fen, Cause> {
    match slip.state {
        VoucherState::Issued => {}
        VoucherState::Reserved => return Err(Cause::Reserved),
        VoucherState::Pending => return Err(Cause::Pending),
        VoucherState::Spent => return Err(Cause::Spent),
        VoucherState::Voided => return Err(Cause::Voided),
        VoucherState::Expired => return Err(Cause::Expired),
        VoucherState::Frozen if now < slip.end => return Err(Cause::Frozen),
        VoucherState::Frozen => return Err(Cause::Expired),
    }
    if now >= slip.end {
        return Err(Cause::Expired);
    }
    if slip.start.is_some_and(|start| now < start) {
        return Err(Cause::NotStarted);
    }
    match asked {
        None => Ok(slip.balance),
        Some(asked) if asked > slip.balance => Err(Cause::BalanceTooSmall),
        Some(asked) if asked < slip.balance && !slip.partial => Err(Cause::OnlyWhole),
        Some(asked) => Ok(asked),
    }
}

/// The refusal for one voucher, by the name that the caller has for it.
#[must_use]
pub fn unusable(name: &str, id: Option<VoucherId>, cause: Cause) -> Error {
    let text = format!("voucher {name}: {}; nothing was done", cause.words());
    let mut error = Error::new(Reason::VoucherNotUsable, text).fact("cause", cause.name());
    // What the caller called it; a code has no name.
    if !name.contains(' ') {
        error = error.fact("voucher", name);
    }
    match id.filter(|_| cause != Cause::NotFound) {
        Some(id) => error.fact("voucher_id", id),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slip(state: VoucherState) -> Slip {
        Slip {
            state,
            start: Some(Timestamp(100)),
            end: Timestamp(200),
            balance: Fen(500),
            partial: true,
        }
    }

    #[test]
    fn only_an_issued_one_is_spent_and_only_in_its_time() {
        use VoucherState as S;
        let at = |state, now| judge(&slip(state), None, Timestamp(now));
        assert_eq!(at(S::Issued, 99), Err(Cause::NotStarted));
        assert_eq!(at(S::Issued, 100), Ok(Fen(500)));
        assert_eq!(at(S::Issued, 199), Ok(Fen(500)));
        assert_eq!(at(S::Issued, 200), Err(Cause::Expired));
        let causes = [
            (S::Reserved, Cause::Reserved),
            (S::Spent, Cause::Spent),
            (S::Frozen, Cause::Frozen),
            (S::Voided, Cause::Voided),
            (S::Expired, Cause::Expired),
        ];
        for (state, cause) in causes {
            assert_eq!(at(state, 150), Err(cause));
        }
        assert_eq!(at(S::Frozen, 200), Err(Cause::Expired));
    }

    #[test]
    fn a_part_is_taken_where_the_product_allows_it() {
        let now = Timestamp(150);
        let mut slip = slip(VoucherState::Issued);
        assert_eq!(judge(&slip, Some(Fen(1)), now), Ok(Fen(1)));
        assert_eq!(
            judge(&slip, Some(Fen(501)), now),
            Err(Cause::BalanceTooSmall)
        );
        slip.partial = false;
        assert_eq!(judge(&slip, Some(Fen(499)), now), Err(Cause::OnlyWhole));
        assert_eq!(judge(&slip, Some(Fen(500)), now), Ok(Fen(500)));
    }
}
