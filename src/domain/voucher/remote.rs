//! Orders whose vouchers live on a platform that somebody else runs: where the calls to it
//! stand, and what that makes of an order.

use std::time::Duration;

use sea_orm::{DeriveActiveEnum, EnumIter};

use super::OrderState;

named! {
    /// What a call asks of a platform.
    CallKind {
        /// Give a voucher.
        Give = "GIVE",
        /// Spend an order's vouchers.
        Spend = "SPEND",
        /// Undo that spend.
        Undo = "UNDO",
    }
}

named! {
    /// Where a call stands.
    CallState {
        /// Nothing has left.
        Queued = "QUEUED",
        /// Somebody has it in hand; it may have left.
        Sending = "SENDING",
        /// It left, and what became of it is looked for.
        Unknown = "UNKNOWN",
        /// What is seen fits no one story: two people decide.
        Review = "REVIEW",
        /// It is done there.
        Done = "DONE",
        /// It is not done, and nothing is left that could do it.
        Failed = "FAILED",
    }
}

impl CallState {
    /// Whether somebody will still work on it.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Sending | Self::Unknown)
    }
}

named! {
    /// Where the calls of an order stand, together.
    Remote {
        /// One is open.
        Pending = "PENDING",
        /// One waits for people, and none is open.
        Review = "REVIEW",
        /// All have ended, and something is done.
        Done = "DONE",
        /// All have ended, and nothing is done.
        Failed = "FAILED",
    }
}

impl Remote {
    /// What some calls make of their order: all its gifts, or its latest turn.
    #[must_use]
    pub fn of(kind: CallKind, calls: &[CallState]) -> Self {
        let any = |is: fn(CallState) -> bool| calls.iter().any(|state| is(*state));
        if any(CallState::is_open) {
            Self::Pending
        } else if any(|state| state == CallState::Review) {
            Self::Review
        } else if kind == CallKind::Undo || any(|state| state == CallState::Done) {
            // What could not be undone is spent, as it was.
            Self::Done
        } else {
            Self::Failed
        }
    }
}

/// Where an order stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderShown {
    /// A platform has been asked and has not confirmed.
    Pending,
    /// Two people have to find out.
    Review,
    /// Nothing was given, or spent.
    Failed,
    /// Vouchers were given.
    Given,
    /// Vouchers are held.
    Reserved,
    /// They are spent.
    Spent,
    /// They were let go of.
    Released,
    /// The spend was taken back.
    Undone,
}

impl OrderShown {
    /// What a row means.
    #[must_use]
    pub fn of(state: OrderState, remote: Option<Remote>) -> Self {
        match (remote, state) {
            (Some(Remote::Pending), _) => Self::Pending,
            (Some(Remote::Review), _) => Self::Review,
            (Some(Remote::Failed), _) => Self::Failed,
            (Some(Remote::Done) | None, OrderState::Given) => Self::Given,
            (Some(Remote::Done) | None, OrderState::Reserved) => Self::Reserved,
            (Some(Remote::Done) | None, OrderState::Spent) => Self::Spent,
            (Some(Remote::Done) | None, OrderState::Released) => Self::Released,
            (Some(Remote::Done) | None, OrderState::Undone) => Self::Undone,
        }
    }

    /// The states of rows that show so, and of their calls: none for orders without.
    #[must_use]
    pub fn rows(self) -> (Option<OrderState>, &'static [Remote]) {
        match self {
            Self::Pending => (None, &[Remote::Pending]),
            Self::Review => (None, &[Remote::Review]),
            Self::Failed => (None, &[Remote::Failed]),
            Self::Given => (Some(OrderState::Given), &[Remote::Done]),
            Self::Reserved => (Some(OrderState::Reserved), &[]),
            Self::Spent => (Some(OrderState::Spent), &[Remote::Done]),
            Self::Released => (Some(OrderState::Released), &[]),
            Self::Undone => (Some(OrderState::Undone), &[Remote::Done]),
        }
    }

    /// The name, as in the contract without prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => Remote::Pending.name(),
            Self::Review => Remote::Review.name(),
            Self::Failed => Remote::Failed.name(),
            Self::Given => OrderState::Given.name(),
            Self::Reserved => OrderState::Reserved.name(),
            Self::Spent => OrderState::Spent.name(),
            Self::Released => OrderState::Released.name(),
            Self::Undone => OrderState::Undone.name(),
        }
    }
}

/// What two people found out about a call in REVIEW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The platform has done it.
    Done,
    /// It has not, and will not.
    NotDone,
}

impl Verdict {
    /// The name, as in the contract without prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => CallState::Done.name(),
            Self::NotDone => "NOT_DONE",
        }
    }
}

/// How often a call is begun of which surely nothing left; then it fails.
pub const TRIES_MAX: i32 = 10;

/// How long a call of which nothing left waits before it is begun again.
#[must_use]
pub fn try_after(tries: i32) -> Duration {
    let doubled = 1_u64 << tries.clamp(0, 6).unsigned_abs();
    Duration::from_secs(doubled)
}

/// How long after a look that proved nothing the next one comes.
#[must_use]
pub fn look_after(looks: i32) -> Duration {
    const STEPS: [u64; 6] = [5, 30, 120, 600, 1_800, 3_600];
    let step = usize::try_from(looks.max(0)).unwrap_or(usize::MAX);
    Duration::from_secs(STEPS.get(step).copied().unwrap_or(3_600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_what_its_calls_are() {
        use CallState as C;
        let gifts = |calls: &[C]| Remote::of(CallKind::Give, calls);
        assert_eq!(gifts(&[C::Done, C::Queued, C::Review]), Remote::Pending);
        assert_eq!(gifts(&[C::Done, C::Failed, C::Review]), Remote::Review);
        assert_eq!(gifts(&[C::Done, C::Failed]), Remote::Done);
        assert_eq!(gifts(&[C::Failed, C::Failed]), Remote::Failed);
        assert_eq!(Remote::of(CallKind::Spend, &[C::Failed]), Remote::Failed);
        assert_eq!(Remote::of(CallKind::Undo, &[C::Failed]), Remote::Done);
        assert_eq!(Remote::of(CallKind::Undo, &[C::Review]), Remote::Review);
    }

    #[test]
    fn what_is_shown_is_found_by_the_rows_that_show_it() {
        let all = [
            None,
            Some(Remote::Pending),
            Some(Remote::Review),
            Some(Remote::Done),
            Some(Remote::Failed),
        ];
        for state in [
            OrderState::Given,
            OrderState::Reserved,
            OrderState::Spent,
            OrderState::Released,
            OrderState::Undone,
        ] {
            for remote in all {
                let shown = OrderShown::of(state, remote);
                let (rows, calls) = shown.rows();
                let local = remote.is_none() && rows == Some(state);
                // A platform knows no holds, so nothing rests RESERVED or RELEASED there.
                let held = matches!(state, OrderState::Reserved | OrderState::Released);
                let there = remote.is_some_and(|remote| calls.contains(&remote));
                assert!(
                    local || there || (held && remote == Some(Remote::Done)),
                    "{state:?} {remote:?}"
                );
            }
        }
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        assert_eq!(try_after(0), Duration::from_secs(1));
        assert_eq!(try_after(i32::MAX), Duration::from_secs(64));
        assert_eq!(look_after(0), Duration::from_secs(5));
        assert_eq!(look_after(i32::MAX), Duration::from_secs(3_600));
    }
}
