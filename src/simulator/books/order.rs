//! Orders, payments and sums: what the books are asked for.

use serde::Serialize;

use super::entry::{Accepted, Due, Entry, Share, State, Step};

/// One paid number, for whoever audits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Payment {
    pub mch_id: String,
    pub mch_billno: String,
    pub openid_hash: String,
    pub amount_fen: i64,
    pub state: State,
    pub remark: String,
    /// When the money left, in simulated milliseconds since the Unix epoch.
    pub paid_at_ms: i64,
    /// How often the money left; more than 1 is a broken simulator.
    pub times_paid: u32,
    /// How many send requests named this number.
    pub sends: u32,
    pub queries: u32,
    /// What came back: all of it, or the shares of a group packet that nobody took.
    pub returned_fen: i64,
}

/// Sums over the books.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Stored orders, paid or not.
    pub orders: u64,
    pub payments: u64,
    pub paid_fen: i64,
    pub returned: u64,
    pub returned_fen: i64,
    pub received: u64,
    pub failed: u64,
    pub sends: u64,
    pub queries: u64,
    /// Payments made while an earlier one with the same `remark` was still out (neither failed nor
    /// refunded as a whole), or for a number already paid. It counts double payments where every business
    /// order has a `remark` of its own, and means nothing where texts are shared.
    pub double_payments: u64,
    pub balance_fen: i64,
    /// Part of the balance that accepted orders wait for.
    pub held_fen: i64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Requests {
    pub(super) sends: u32,
    pub(super) queries: u32,
}

/// An order and where it stands.
#[derive(Debug)]
pub(in super::super) struct Order {
    pub(in super::super) accepted: Accepted,
    pub(in super::super) state: State,
    pub(in super::super) paid_at_ms: Option<i64>,
    pub(super) times_paid: u32,
    pub(super) steps_done: usize,
    pub(in super::super) sent_at_ms: Option<i64>,
    /// When the last state was reached.
    pub(in super::super) since_ms: i64,
    /// When the shares of a group packet were taken, from the first on.
    pub(in super::super) taken_ms: Vec<i64>,
    pub(in super::super) returned_fen: i64,
    /// Known only since this start: the books hold a hash.
    pub(in super::super) openid: Option<String>,
}

impl Order {
    pub(super) fn new(accepted: Accepted) -> Self {
        Self {
            state: State::Sending,
            paid_at_ms: None,
            times_paid: 0,
            steps_done: 0,
            sent_at_ms: None,
            since_ms: accepted.at_ms,
            taken_ms: Vec::new(),
            returned_fen: 0,
            openid: None,
            accepted,
        }
    }

    /// The shares that were taken so far, and when.
    pub(in super::super) fn taken(&self) -> impl Iterator<Item = (&Share, i64)> {
        self.accepted
            .shares
            .iter()
            .zip(self.taken_ms.iter().copied())
    }

    /// What nobody has taken yet.
    fn left_fen(&self) -> i64 {
        let taken_fen = self.taken().map(|(share, _)| share.amount_fen).sum();
        self.accepted.amount_fen.saturating_sub(taken_fen)
    }

    /// The line that carries out a step of the plan.
    pub(super) fn line_for(&self, due: Due) -> Entry {
        let mch_billno = self.accepted.mch_billno.clone();
        match due.step {
            Step::Pay => Entry::Paid {
                mch_billno,
                amount_fen: self.accepted.amount_fen,
                at_ms: due.at_ms,
            },
            Step::Take => Entry::Taken {
                mch_billno,
                amount_fen: self
                    .accepted
                    .shares
                    .get(self.taken_ms.len())
                    .map_or(0, |share| share.amount_fen),
                at_ms: due.at_ms,
            },
            Step::Become(state) => Entry::Became {
                mch_billno,
                state,
                at_ms: due.at_ms,
                returned_fen: (state == State::Refund).then(|| self.left_fen()),
            },
        }
    }

    /// For the auditor, if money ever left for this order.
    pub(super) fn payment(&self, requests: Requests) -> Option<Payment> {
        Some(Payment {
            mch_id: self.accepted.mch_id.clone(),
            mch_billno: self.accepted.mch_billno.clone(),
            openid_hash: self.accepted.openid_hash.clone(),
            amount_fen: self.accepted.amount_fen,
            state: self.state,
            remark: self.accepted.remark.clone(),
            paid_at_ms: self.paid_at_ms?,
            times_paid: self.times_paid,
            sends: requests.sends,
            queries: requests.queries,
            returned_fen: self.returned_fen,
        })
    }
}
