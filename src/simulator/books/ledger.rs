//! What the lines of the books add up to: orders, balance, counts, and what is due next.
//!
//! [`Ledger::apply`] is the only function that changes anything, for a line that is being written
//! and for one that is read back, so the two cannot come to different sums.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use serde::Serialize;

use super::super::chaos::Call;
use super::entry::{Accepted, Due, Entry, State, Step};

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
    /// Payments made while an earlier one with the same `remark` was still out (neither refunded
    /// nor failed), or for a number already paid. It counts double payments where every business
    /// order has a `remark` of its own, and means nothing where texts are shared.
    pub double_payments: u64,
    pub balance_fen: i64,
    /// Part of the balance that accepted orders wait for.
    pub held_fen: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Requests {
    sends: u32,
    queries: u32,
}

/// An order and where it stands.
#[derive(Debug)]
pub(in super::super) struct Order {
    pub(in super::super) accepted: Accepted,
    pub(in super::super) state: State,
    pub(in super::super) paid_at_ms: Option<i64>,
    times_paid: u32,
    steps_done: usize,
    pub(in super::super) sent_at_ms: Option<i64>,
    /// When the last state was reached.
    pub(in super::super) since_ms: i64,
    /// Known only since this start: the books hold a hash.
    pub(in super::super) openid: Option<String>,
}

/// Where simulated time stood when the books were last opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) wall_ms: i64,
    pub(super) sim_ms: i64,
    pub(super) scale: u32,
}

#[derive(Debug, Default)]
pub(in super::super) struct Ledger {
    orders: HashMap<String, Order>,
    requests: HashMap<String, Requests>,
    out_by_remark: HashMap<String, u32>,
    totals: Totals,
    due: BinaryHeap<Reverse<(i64, String)>>,
    pub(super) opening: Option<Opening>,
    pub(super) mch_id: Option<String>,
    pub(super) last_ms: i64,
}

impl Ledger {
    pub(in super::super) fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Opened {
                mch_id,
                wall_ms,
                sim_ms,
                scale,
            } => {
                self.opening = Some(Opening {
                    wall_ms,
                    sim_ms,
                    scale,
                });
                self.mch_id = Some(mch_id);
                self.saw(sim_ms);
            }
            Entry::Funded { amount_fen, at_ms } => {
                self.totals.balance_fen = self.totals.balance_fen.saturating_add(amount_fen);
                self.saw(at_ms);
            }
            Entry::Seen {
                call,
                mch_billno,
                at_ms,
                ..
            } => {
                self.seen(call, mch_billno);
                self.saw(at_ms);
            }
            Entry::Accepted(accepted) => self.accepted(*accepted),
            Entry::Paid {
                mch_billno, at_ms, ..
            } => self.paid(&mch_billno, at_ms),
            Entry::Became {
                mch_billno,
                state,
                at_ms,
            } => self.became(&mch_billno, state, at_ms),
        }
    }

    fn saw(&mut self, at_ms: i64) {
        self.last_ms = self.last_ms.max(at_ms);
    }

    fn seen(&mut self, call: Call, mch_billno: String) {
        let requests = self.requests.entry(mch_billno).or_default();
        match call {
            Call::Send => {
                requests.sends += 1;
                self.totals.sends += 1;
            }
            Call::Query => {
                requests.queries += 1;
                self.totals.queries += 1;
            }
        }
    }

    fn accepted(&mut self, accepted: Accepted) {
        self.saw(accepted.at_ms);
        self.totals.orders += 1;
        self.totals.held_fen = self.totals.held_fen.saturating_add(accepted.amount_fen);
        let order = Order {
            state: State::Sending,
            paid_at_ms: None,
            times_paid: 0,
            steps_done: 0,
            sent_at_ms: None,
            since_ms: accepted.at_ms,
            openid: None,
            accepted,
        };
        self.schedule(&order);
        self.orders.insert(order.accepted.mch_billno.clone(), order);
    }

    fn paid(&mut self, mch_billno: &str, at_ms: i64) {
        self.saw(at_ms);
        let Some(mut order) = self.orders.remove(mch_billno) else {
            return;
        };
        let amount = order.accepted.amount_fen;
        let out = self
            .out_by_remark
            .entry(order.accepted.remark.clone())
            .or_insert(0);
        if *out > 0 || order.times_paid > 0 {
            self.totals.double_payments += 1;
        }
        *out += 1;
        self.totals.payments += 1;
        self.totals.paid_fen = self.totals.paid_fen.saturating_add(amount);
        self.totals.held_fen = self.totals.held_fen.saturating_sub(amount);
        self.totals.balance_fen = self.totals.balance_fen.saturating_sub(amount);
        order.times_paid += 1;
        order.paid_at_ms = Some(at_ms);
        self.step_done(order);
    }

    fn became(&mut self, mch_billno: &str, state: State, at_ms: i64) {
        self.saw(at_ms);
        let Some(mut order) = self.orders.remove(mch_billno) else {
            return;
        };
        order.state = state;
        order.since_ms = at_ms;
        match state {
            State::Sending | State::RfundIng => {}
            State::Sent => order.sent_at_ms = Some(at_ms),
            State::Received => self.totals.received += 1,
            State::Failed => {
                self.totals.failed += 1;
                self.give_back(&order);
            }
            State::Refund => {
                self.totals.returned += 1;
                self.totals.returned_fen = self
                    .totals
                    .returned_fen
                    .saturating_add(order.accepted.amount_fen);
                self.give_back(&order);
            }
        }
        self.step_done(order);
    }

    /// Releases what was held, or returns what was paid.
    fn give_back(&mut self, order: &Order) {
        let amount = order.accepted.amount_fen;
        if order.paid_at_ms.is_none() {
            self.totals.held_fen = self.totals.held_fen.saturating_sub(amount);
            return;
        }
        self.totals.balance_fen = self.totals.balance_fen.saturating_add(amount);
        if let Some(out) = self.out_by_remark.get_mut(&order.accepted.remark) {
            *out = out.saturating_sub(1);
        }
    }

    fn step_done(&mut self, mut order: Order) {
        order.steps_done += 1;
        self.schedule(&order);
        self.orders.insert(order.accepted.mch_billno.clone(), order);
    }

    fn schedule(&mut self, order: &Order) {
        if let Some(due) = order.accepted.plan.get(order.steps_done) {
            let key = (due.at_ms, order.accepted.mch_billno.clone());
            self.due.push(Reverse(key));
        }
    }

    /// The line for the earliest step that is due at `now_ms`. The caller must apply it.
    pub(super) fn next_due(&mut self, now_ms: i64) -> Option<Entry> {
        while let Some(Reverse((at_ms, _))) = self.due.peek() {
            if *at_ms > now_ms {
                return None;
            }
            let Reverse((at_ms, mch_billno)) = self.due.pop()?;
            // A line read back schedules its follower again; only the step that is really next counts.
            let Some(order) = self.orders.get(&mch_billno) else {
                continue;
            };
            match order.accepted.plan.get(order.steps_done) {
                Some(next) if next.at_ms == at_ms => return Some(order.line_for(*next)),
                Some(_) | None => {}
            }
        }
        None
    }

    pub(in super::super) fn order(&self, mch_billno: &str) -> Option<&Order> {
        self.orders.get(mch_billno)
    }

    /// Keeps the openid in memory, for the query's list of receivers.
    pub(in super::super) fn remember_openid(&mut self, mch_billno: &str, openid: &str) {
        if let Some(order) = self.orders.get_mut(mch_billno) {
            order.openid = Some(openid.to_owned());
        }
    }

    /// How many calls of this kind named the number so far.
    pub(in super::super) fn calls(&self, call: Call, mch_billno: &str) -> u32 {
        let requests = self.requests.get(mch_billno).copied().unwrap_or_default();
        match call {
            Call::Send => requests.sends,
            Call::Query => requests.queries,
        }
    }

    /// What a new order may use.
    pub(in super::super) fn available_fen(&self) -> i64 {
        let totals = &self.totals;
        totals.balance_fen.saturating_sub(totals.held_fen)
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals.clone()
    }

    /// Every number that money left for, in the order of payment.
    pub(super) fn payments(&self) -> Vec<Payment> {
        let mut payments: Vec<Payment> = self
            .orders
            .values()
            .filter_map(|order| order.payment(self.requests.get(&order.accepted.mch_billno)))
            .collect();
        payments.sort_by(|a, b| (a.paid_at_ms, &a.mch_billno).cmp(&(b.paid_at_ms, &b.mch_billno)));
        payments
    }
}

impl Order {
    fn line_for(&self, due: Due) -> Entry {
        let mch_billno = self.accepted.mch_billno.clone();
        match due.step {
            Step::Pay => Entry::Paid {
                mch_billno,
                amount_fen: self.accepted.amount_fen,
                at_ms: due.at_ms,
            },
            Step::Become(state) => Entry::Became {
                mch_billno,
                state,
                at_ms: due.at_ms,
            },
        }
    }

    fn payment(&self, requests: Option<&Requests>) -> Option<Payment> {
        let requests = requests.copied().unwrap_or_default();
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
        })
    }
}
