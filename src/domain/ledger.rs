//! Money movements. A posting takes a positive amount out of one account and puts
//! it into another, so an unbalanced one cannot be written down.

use super::money::Fen;
use super::state::{Position, State};

/// One movement within the accounts of a campaign or of a voucher product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    from: Position,
    to: Position,
    amount: Fen,
}

impl Posting {
    fn new(from: Position, to: Position, amount: Fen) -> Option<Self> {
        (from != to && amount > Fen::ZERO).then_some(Self { from, to, amount })
    }

    /// Money comes into a campaign.
    #[must_use]
    pub fn fund(amount: Fen) -> Option<Self> {
        Self::new(Position::External, Position::Available, amount)
    }

    /// Money leaves a campaign unspent.
    #[must_use]
    pub fn defund(amount: Fen) -> Option<Self> {
        Self::new(Position::Available, Position::External, amount)
    }

    /// Money is promised to a packet.
    #[must_use]
    pub fn hold(amount: Fen) -> Option<Self> {
        Self::new(Position::Available, Position::Held, amount)
    }

    /// What a voucher's change moves: nothing where the money stays where it is.
    #[must_use]
    pub fn of_voucher(from: Position, to: Position, amount: Fen) -> Option<Self> {
        Self::new(from, to, amount)
    }

    /// What a change of state moves; nothing where the money stays where it is.
    #[must_use]
    pub fn of_transition(from: State, to: State, amount: Fen) -> Option<Self> {
        Self::new(from.position(), to.position(), amount)
    }

    /// What the end of a group packet moves of which `refunded` came back and the
    /// rest had been taken: the one state whose money lies in two places.
    #[must_use]
    pub fn of_partial_refund(from: State, amount: Fen, refunded: Fen) -> [Option<Self>; 2] {
        let taken = Fen(amount.0.saturating_sub(refunded.0));
        [
            Self::new(from.position(), Position::Available, refunded),
            Self::new(from.position(), Position::Paid, taken),
        ]
    }

    /// What a packet of this face value costs beside it, or less than it: nothing where the
    /// provider charges just that.
    #[must_use]
    pub fn of_cost(face: Fen, cost: Fen) -> Option<Self> {
        let more = cost.0.checked_sub(face.0)?;
        match more {
            0.. => Self::new(Position::Merchant, Position::Fee, Fen(more)),
            _ => Self::new(
                Position::Discount,
                Position::Merchant,
                Fen(more.checked_neg()?),
            ),
        }
    }

    /// Whether it books what a packet costs, and moves nothing of a budget.
    #[must_use]
    pub fn is_cost(self) -> bool {
        self.from == Position::Merchant || self.to == Position::Merchant
    }

    /// The account that it is taken from.
    #[must_use]
    pub fn from(self) -> Position {
        self.from
    }

    /// The account that it is put into.
    #[must_use]
    pub fn to(self) -> Position {
        self.to
    }

    /// How much; positive.
    #[must_use]
    pub fn amount(self) -> Fen {
        self.amount
    }
}

/// What postings do to the columns of a campaign's budget. `debited` and
/// `credited` only ever grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetDelta {
    /// Out of what is available, into packets.
    pub debited: Fen,
    /// Back from packets.
    pub credited: Fen,
    /// Change of what is sent and not taken.
    pub transit: Fen,
    /// Change of what is taken.
    pub paid: Fen,
    /// Change of what is spent with vouchers.
    pub redeemed: Fen,
    /// What packets cost beside their face value.
    pub fee: Fen,
    /// What packets cost less than their face value.
    pub discount: Fen,
}

impl BudgetDelta {
    /// Adds a packet's or a voucher's posting; false if the sum does not fit.
    #[must_use]
    pub fn add(&mut self, posting: Posting) -> bool {
        let amount = posting.amount.0;
        let mut fits = true;
        let mut apply = |column: &mut Fen, by: i64| match column.0.checked_add(by) {
            Some(sum) => column.0 = sum,
            None => fits = false,
        };
        match posting.from {
            Position::Available => apply(&mut self.debited, amount),
            Position::Transit => apply(&mut self.transit, -amount),
            Position::Paid => apply(&mut self.paid, -amount),
            Position::Redeemed => apply(&mut self.redeemed, -amount),
            Position::Discount => apply(&mut self.discount, amount),
            Position::Fee
            | Position::Merchant
            | Position::Held
            | Position::Liability
            | Position::External => {}
        }
        match posting.to {
            Position::Available => apply(&mut self.credited, amount),
            Position::Transit => apply(&mut self.transit, amount),
            Position::Paid => apply(&mut self.paid, amount),
            Position::Redeemed => apply(&mut self.redeemed, amount),
            Position::Fee => apply(&mut self.fee, amount),
            Position::Discount
            | Position::Merchant
            | Position::Held
            | Position::Liability
            | Position::External => {}
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_moves_nothing() {
        assert_eq!(Posting::fund(Fen(0)), None);
        assert_eq!(Posting::fund(Fen(-1)), None);
        assert_eq!(
            Posting::of_transition(State::Queued, State::Unknown, Fen(1)),
            None
        );
    }

    #[test]
    fn what_a_packet_costs_is_kept_apart_from_its_face() {
        let books = |cost| {
            let mut delta = BudgetDelta::default();
            let posting = Posting::of_cost(Fen(100), Fen(cost));
            assert!(posting.is_none_or(|posting| delta.add(posting)));
            (delta.fee, delta.discount, delta.debited)
        };
        assert_eq!(books(100), (Fen(0), Fen(0), Fen(0)));
        assert_eq!(books(103), (Fen(3), Fen(0), Fen(0)));
        assert_eq!(books(98), (Fen(0), Fen(2), Fen(0)));
        assert_eq!(Posting::of_cost(Fen(1), Fen(i64::MIN)), None);
    }

    #[test]
    fn a_partial_refund_moves_all_of_it() {
        let mut delta = BudgetDelta::default();
        for posting in Posting::of_partial_refund(State::Sent, Fen(900), Fen(300)) {
            assert!(delta.add(posting.unwrap()));
        }
        assert_eq!(
            (delta.credited, delta.paid, delta.transit),
            (Fen(300), Fen(600), Fen(-900))
        );
        assert_eq!(
            Posting::of_partial_refund(State::Sent, Fen(9), Fen(9))[1],
            None
        );
    }

    proptest! {
        /// Whatever path a packet takes, the columns say where its money is.
        #[test]
        fn columns_follow_the_state(path in proptest::collection::vec(0_usize..10, 1..8), amount in 1_i64..1_000_000) {
            let mut delta = BudgetDelta::default();
            prop_assert!(delta.add(Posting::hold(Fen(amount)).unwrap()));
            let mut state = State::Queued;
            for index in path {
                let next = State::ALL[index];
                if let Some(posting) = Posting::of_transition(state, next, Fen(amount)) {
                    prop_assert!(delta.add(posting));
                }
                state = next;
            }
            let held = delta.debited.0 - delta.credited.0 - delta.transit.0 - delta.paid.0;
            let at = |position| if state.position() == position { amount } else { 0 };
            prop_assert_eq!(held, at(Position::Held));
            prop_assert_eq!(delta.transit.0, at(Position::Transit));
            prop_assert_eq!(delta.paid.0, at(Position::Paid));
            prop_assert!(delta.debited.0 >= 0 && delta.credited.0 >= 0);
        }
    }
}
