//! What the lines of the books add up to: orders, balance, counts, and what is due next.
//!
//! [`Ledger::apply`] is the only function that changes anything, for a line that is being written
//! and for one that is read back, so the two cannot come to different sums.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::super::chaos::Call;
use super::super::map::MapBook;
use super::super::open::Shelf;
use super::entry::{Accepted, Entry, State};
use super::order::{Order, Payment, Requests, Totals};
use super::windows::Windows;

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
    pub(in super::super) windows: Windows,
    /// The voucher platform's part.
    pub(in super::super) map: MapBook,
    /// The open platform's part.
    pub(in super::super) open: Shelf,
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
                self.seen(call, mch_billno, at_ms);
                self.saw(at_ms);
            }
            Entry::Accepted(accepted) => self.accepted(*accepted),
            Entry::Paid {
                mch_billno, at_ms, ..
            } => self.paid(&mch_billno, at_ms),
            Entry::Taken {
                mch_billno, at_ms, ..
            } => self.taken(&mch_billno, at_ms),
            Entry::Became {
                mch_billno,
                state,
                at_ms,
                returned_fen,
            } => self.became(&mch_billno, state, at_ms, returned_fen),
            Entry::Map(line) => {
                self.saw(line.at_ms());
                self.map.apply(*line);
            }
            Entry::Open(line) => {
                self.saw(line.at_ms());
                self.open.apply(*line);
            }
        }
    }

    fn saw(&mut self, at_ms: i64) {
        self.last_ms = self.last_ms.max(at_ms);
    }

    fn seen(&mut self, call: Call, mch_billno: String, at_ms: i64) {
        let requests = self.requests.entry(mch_billno).or_default();
        match call {
            Call::Send => {
                requests.sends += 1;
                self.totals.sends += 1;
                self.windows.request(at_ms);
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
        let amount_fen = accepted.amount_fen;
        self.windows
            .order(accepted.at_ms, &accepted.openid_hash, amount_fen);
        let order = Order::new(accepted);
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

    fn taken(&mut self, mch_billno: &str, at_ms: i64) {
        self.saw(at_ms);
        let Some(mut order) = self.orders.remove(mch_billno) else {
            return;
        };
        order.taken_ms.push(at_ms);
        self.step_done(order);
    }

    fn became(&mut self, mch_billno: &str, state: State, at_ms: i64, returned_fen: Option<i64>) {
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
                self.give_back(&order, order.accepted.amount_fen);
            }
            State::Refund => {
                let returned_fen = returned_fen.unwrap_or(order.accepted.amount_fen);
                order.returned_fen = returned_fen;
                self.totals.returned += 1;
                self.totals.returned_fen = self.totals.returned_fen.saturating_add(returned_fen);
                self.give_back(&order, returned_fen);
            }
        }
        self.step_done(order);
    }

    /// Releases what was held, or returns what was paid, all of it or the shares not taken.
    fn give_back(&mut self, order: &Order, amount: i64) {
        if order.paid_at_ms.is_none() {
            self.totals.held_fen = self.totals.held_fen.saturating_sub(amount);
            return;
        }
        self.totals.balance_fen = self.totals.balance_fen.saturating_add(amount);
        if amount < order.accepted.amount_fen {
            // Somebody keeps a share: to pay the same business order again would be to pay twice.
            return;
        }
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
                break;
            }
            let Some(Reverse((at_ms, mch_billno))) = self.due.pop() else {
                break;
            };
            // A line read back schedules its follower again; only the step that is really next counts.
            let Some(order) = self.orders.get(&mch_billno) else {
                continue;
            };
            match order.accepted.plan.get(order.steps_done) {
                Some(next) if next.at_ms == at_ms => return Some(order.line_for(*next)),
                Some(_) | None => {}
            }
        }
        let line = self.open.next_due(now_ms)?;
        Some(Entry::Open(Box::new(line)))
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
        let requests = self.requests_of(mch_billno);
        match call {
            Call::Send => requests.sends,
            Call::Query => requests.queries,
        }
    }

    fn requests_of(&self, mch_billno: &str) -> Requests {
        self.requests.get(mch_billno).copied().unwrap_or_default()
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
            .filter_map(|order| order.payment(self.requests_of(&order.accepted.mch_billno)))
            .collect();
        payments.sort_by(|a, b| (a.paid_at_ms, &a.mch_billno).cmp(&(b.paid_at_ms, &b.mch_billno)));
        payments
    }
}
