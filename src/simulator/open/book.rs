//! What the platform's lines of the books add up to: orders, callbacks, balance, what is due next.
//!
//! [`Shelf::apply`] is the only function that changes anything, for a line that is being written and
//! for one that is read back.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use super::super::books::{Payment, State};
use super::super::chaos;
use super::super::clock::{HOUR_MS, MINUTE_MS, SECOND_MS};
use super::line::{Accepted, Line};
use super::plan::{Call, OpenStatus};
use super::view::{OpenBook, OpenCallback, OpenOrder};

/// How long after each failed try of a callback the next one comes.
const RETRIES_MS: [i64; 9] = [
    15 * SECOND_MS,
    30 * SECOND_MS,
    3 * MINUTE_MS,
    10 * MINUTE_MS,
    20 * MINUTE_MS,
    30 * MINUTE_MS,
    60 * MINUTE_MS,
    3 * HOUR_MS,
    6 * HOUR_MS,
];

#[derive(Debug, Clone, Copy, Default)]
struct Requests {
    sends: u32,
    queries: u32,
}

/// An order and where it stands.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) accepted: Accepted,
    pub(super) status: OpenStatus,
    pub(super) since_ms: i64,
    paid_at_ms: Option<i64>,
    times_paid: u32,
    steps_done: usize,
    callbacks: Vec<OpenCallback>,
}

/// Which callback: of which order, and which one of it.
pub(super) type Key = (String, usize);

/// The lines, added up.
#[derive(Debug, Default)]
pub(in super::super) struct Shelf {
    orders: HashMap<String, Order>,
    by_order_code: HashMap<String, String>,
    requests: HashMap<String, Requests>,
    /// Orders in stock that are used up, by template.
    used: HashMap<String, u64>,
    due: BinaryHeap<Reverse<(i64, String)>>,
    /// Callbacks that are to be tried, by time.
    calls: BTreeSet<(i64, String, usize)>,
    sums: OpenBook,
    funded: bool,
}

impl Shelf {
    pub(in super::super) fn apply(&mut self, line: Line) {
        match line {
            Line::Funded { micro_yuan, .. } => {
                self.funded = true;
                let balance = &mut self.sums.balance_micro_yuan;
                *balance = balance.saturating_add(micro_yuan);
            }
            Line::Asked { call, biz_code, .. } => {
                let requests = self.requests.entry(biz_code).or_default();
                match call {
                    chaos::Call::Send => {
                        requests.sends += 1;
                        self.sums.sends += 1;
                    }
                    chaos::Call::Query => {
                        requests.queries += 1;
                        self.sums.queries += 1;
                    }
                }
            }
            Line::Stored(accepted) => self.stored(*accepted),
            Line::Became {
                biz_code,
                status,
                at_ms,
            } => self.became(&biz_code, status, at_ms),
            Line::Tried {
                biz_code,
                callback,
                answer,
                acknowledged,
                at_ms,
            } => self.tried(&biz_code, callback, answer, acknowledged, at_ms),
        }
    }

    fn stored(&mut self, accepted: Accepted) {
        self.sums.orders += 1;
        self.hold(accepted.price_micro_yuan);
        *self.used.entry(accepted.template_id.clone()).or_default() += 1;
        let callbacks = accepted.callbacks.iter().map(|call| OpenCallback {
            kind: call.kind,
            says: call.says,
            tries: 0,
            acknowledged: false,
            answer: None,
            next_at_ms: accepted.callback_url.as_ref().map(|_| call.at_ms),
        });
        let order = Order {
            status: OpenStatus::Stored,
            since_ms: accepted.at_ms,
            paid_at_ms: None,
            times_paid: 0,
            steps_done: 0,
            callbacks: callbacks.collect(),
            accepted,
        };
        let biz_code = order.accepted.biz_code.clone();
        for (index, callback) in order.callbacks.iter().enumerate() {
            if let Some(at_ms) = callback.next_at_ms {
                self.calls.insert((at_ms, biz_code.clone(), index));
            }
        }
        self.by_order_code
            .insert(order.accepted.order_code.clone(), biz_code.clone());
        self.schedule(&order);
        self.orders.insert(biz_code, order);
    }

    fn became(&mut self, biz_code: &str, status: OpenStatus, at_ms: i64) {
        let Some(mut order) = self.orders.remove(biz_code) else {
            return;
        };
        order.status = status;
        order.since_ms = at_ms;
        order.steps_done += 1;
        match status {
            OpenStatus::Stored | OpenStatus::Processing => {}
            OpenStatus::Success => self.paid(&mut order, at_ms),
            OpenStatus::Failed => {
                self.sums.failed += 1;
                self.give_back(&order);
            }
            OpenStatus::Cancelled => {
                self.sums.cancelled += 1;
                self.give_back(&order);
            }
        }
        self.schedule(&order);
        self.orders.insert(biz_code.to_owned(), order);
    }

    fn paid(&mut self, order: &mut Order, at_ms: i64) {
        let (face_fen, price) = (order.accepted.face_fen, order.accepted.price_micro_yuan);
        let person = self
            .sums
            .people
            .entry(order.accepted.openid_hash.clone())
            .or_default();
        if order.times_paid > 0 || person.payments > 0 {
            self.sums.double_payments += 1;
        }
        person.payments += 1;
        person.paid_fen = person.paid_fen.saturating_add(face_fen);
        order.times_paid += 1;
        order.paid_at_ms = Some(at_ms);
        let sums = &mut self.sums;
        sums.payments += 1;
        sums.paid_fen = sums.paid_fen.saturating_add(face_fen);
        sums.balance_micro_yuan = sums.balance_micro_yuan.saturating_sub(price);
        sums.held_micro_yuan = sums.held_micro_yuan.saturating_sub(price);
    }

    fn give_back(&mut self, order: &Order) {
        self.hold(order.accepted.price_micro_yuan.saturating_neg());
        if let Some(used) = self.used.get_mut(&order.accepted.template_id) {
            *used = used.saturating_sub(1);
        }
    }

    fn hold(&mut self, micro_yuan: i64) {
        let held = &mut self.sums.held_micro_yuan;
        *held = held.saturating_add(micro_yuan);
    }

    fn tried(&mut self, biz_code: &str, index: usize, answer: String, done: bool, at_ms: i64) {
        let order = self.orders.get_mut(biz_code);
        let Some(callback) = order.and_then(|order| order.callbacks.get_mut(index)) else {
            return;
        };
        let sums = &mut self.sums.callbacks;
        *sums.tries.entry(callback.kind).or_default() += 1;
        *sums.answers.entry(answer.clone()).or_default() += 1;
        if let Some(was_ms) = callback.next_at_ms.take() {
            self.calls.remove(&(was_ms, biz_code.to_owned(), index));
        }
        let wait = usize::try_from(callback.tries)
            .ok()
            .and_then(|tries| RETRIES_MS.get(tries))
            .filter(|_| callback.kind.is_retried() && !done);
        callback.tries += 1;
        callback.acknowledged = done;
        callback.answer = Some(answer);
        match wait {
            Some(wait_ms) => {
                let next_ms = at_ms.saturating_add(*wait_ms);
                callback.next_at_ms = Some(next_ms);
                self.calls.insert((next_ms, biz_code.to_owned(), index));
            }
            None if done => sums.acknowledged += 1,
            None => sums.given_up += 1,
        }
    }

    fn schedule(&mut self, order: &Order) {
        if let Some(step) = order.accepted.plan.get(order.steps_done) {
            let key = (step.at_ms, order.accepted.biz_code.clone());
            self.due.push(Reverse(key));
        }
    }

    /// The line for the earliest step that is due at `now_ms`. The caller must apply it.
    pub(in super::super) fn next_due(&mut self, now_ms: i64) -> Option<Line> {
        while let Some(Reverse((at_ms, _))) = self.due.peek() {
            if *at_ms > now_ms {
                return None;
            }
            let Reverse((at_ms, biz_code)) = self.due.pop()?;
            let Some(order) = self.orders.get(&biz_code) else {
                continue;
            };
            // A line read back schedules its follower again; only the step that is really next
            // counts.
            match order.accepted.plan.get(order.steps_done) {
                Some(step) if step.at_ms == at_ms => {
                    return Some(Line::Became {
                        biz_code,
                        status: step.status,
                        at_ms,
                    });
                }
                Some(_) | None => {}
            }
        }
        None
    }

    /// The callbacks to try now, the earliest first.
    pub(super) fn calls_due(&self, now_ms: i64) -> impl Iterator<Item = Key> {
        self.calls
            .iter()
            .take_while(move |(at_ms, _, _)| *at_ms <= now_ms)
            .map(|(_, biz_code, index)| (biz_code.clone(), *index))
    }

    /// The order of a callback, the callback, and how often it was tried.
    pub(super) fn call(&self, (biz_code, index): &Key) -> Option<(&Order, Call, u32)> {
        let order = self.orders.get(biz_code)?;
        let call = order.accepted.callbacks.get(*index)?;
        let tries = order.callbacks.get(*index)?.tries;
        Some((order, *call, tries))
    }

    pub(super) fn is_funded(&self) -> bool {
        self.funded
    }

    pub(super) fn order(&self, biz_code: &str) -> Option<&Order> {
        self.orders.get(biz_code)
    }

    /// The bizCode behind the platform's own number.
    pub(super) fn biz_code(&self, order_code: &str) -> Option<&str> {
        self.by_order_code.get(order_code).map(String::as_str)
    }

    /// How many calls of this kind named the order so far.
    pub(super) fn calls_of(&self, call: chaos::Call, biz_code: &str) -> u32 {
        let requests = self.requests_of(biz_code);
        match call {
            chaos::Call::Send => requests.sends,
            chaos::Call::Query => requests.queries,
        }
    }

    fn requests_of(&self, biz_code: &str) -> Requests {
        self.requests.get(biz_code).copied().unwrap_or_default()
    }

    /// Orders of a template that are stored and neither failed nor cancelled.
    pub(super) fn used(&self, template_id: &str) -> u64 {
        self.used.get(template_id).copied().unwrap_or(0)
    }

    /// What a new order may cost.
    pub(super) fn available_micro_yuan(&self) -> i64 {
        let sums = &self.sums;
        sums.balance_micro_yuan.saturating_sub(sums.held_micro_yuan)
    }

    pub(in super::super) fn book(&self) -> OpenBook {
        let mut book = self.sums.clone();
        book.callbacks.pending = u64::try_from(self.calls.len()).unwrap_or(u64::MAX);
        book
    }

    /// Every stored order, in the order of storing.
    pub(in super::super) fn orders(&self) -> Vec<OpenOrder> {
        let view = |order: &Order| {
            let accepted = &order.accepted;
            let requests = self.requests_of(&accepted.biz_code);
            OpenOrder {
                biz_code: accepted.biz_code.clone(),
                order_code: accepted.order_code.clone(),
                template_id: accepted.template_id.clone(),
                openid_hash: accepted.openid_hash.clone(),
                face_fen: accepted.face_fen,
                price_micro_yuan: accepted.price_micro_yuan,
                status: order.status,
                at_ms: accepted.at_ms,
                since_ms: order.since_ms,
                times_paid: order.times_paid,
                sends: requests.sends,
                queries: requests.queries,
                callbacks: order.callbacks.clone(),
            }
        };
        let mut orders: Vec<OpenOrder> = self.orders.values().map(view).collect();
        orders.sort_by(|a, b| (a.at_ms, &a.biz_code).cmp(&(b.at_ms, &b.biz_code)));
        orders
    }

    /// Every order that somebody was paid for, in the order of payment, as the books of red packets
    /// have it: the account is the merchantId, the number the bizCode. Whether a packet was opened
    /// or came back is not known here, so that each stays SENT.
    pub(in super::super) fn payments(&self) -> Vec<Payment> {
        let paid = |order: &Order| {
            let accepted = &order.accepted;
            let requests = self.requests_of(&accepted.biz_code);
            Some(Payment {
                mch_id: accepted.merchant_id.clone(),
                mch_billno: accepted.biz_code.clone(),
                openid_hash: accepted.openid_hash.clone(),
                amount_fen: accepted.face_fen,
                state: State::Sent,
                remark: String::new(),
                paid_at_ms: order.paid_at_ms?,
                times_paid: order.times_paid,
                sends: requests.sends,
                queries: requests.queries,
                returned_fen: 0,
            })
        };
        let mut payments: Vec<Payment> = self.orders.values().filter_map(paid).collect();
        payments.sort_by(|a, b| (a.paid_at_ms, &a.mch_billno).cmp(&(b.paid_at_ms, &b.mch_billno)));
        payments
    }
}
