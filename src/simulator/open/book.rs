//! The platform's orders and callbacks: lines of the books, and what they add up to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use serde::{Deserialize, Serialize};

use super::super::books::{Payment, State};
use super::super::chaos;
use super::super::clock::{HOUR_MS, MINUTE_MS, SECOND_MS};
use super::fault::OpenFault;
use super::plan::{Call, OpenCallbackKind, OpenStatus, Step};

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

/// A callback and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenCallback {
    pub kind: OpenCallbackKind,
    pub says: OpenStatus,
    pub tries: u32,
    pub acknowledged: bool,
    /// How the last try was answered.
    pub answer: Option<String>,
    /// When it is tried next, in simulated milliseconds since the Unix epoch; never again if absent.
    pub next_at_ms: Option<i64>,
}

/// An order, for whoever audits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenOrder {
    pub biz_code: String,
    pub order_code: String,
    pub template_id: String,
    pub openid_hash: String,
    pub face_fen: i64,
    pub price_micro_yuan: i64,
    pub status: OpenStatus,
    /// When it was stored, and since when it is what it is: simulated milliseconds.
    pub at_ms: i64,
    pub since_ms: i64,
    /// How often the person was paid; more than 1 is a broken simulator.
    pub times_paid: u32,
    /// How many requests named it.
    pub sends: u32,
    pub queries: u32,
    pub callbacks: Vec<OpenCallback>,
}

/// What one person got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OpenPerson {
    pub payments: u32,
    pub paid_fen: i64,
}

/// Sums over the callbacks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OpenCalls {
    /// Tries by what was wrong with them.
    pub tries: BTreeMap<OpenCallbackKind, u64>,
    /// Tries by how they were answered: the HTTP status and whether the body was SUCCESS, or why
    /// there was no answer.
    pub answers: BTreeMap<String, u64>,
    pub acknowledged: u64,
    /// Ended without having been acknowledged.
    pub given_up: u64,
    /// Neither yet.
    pub pending: u64,
}

/// Sums over everything that the platform has in its books.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OpenBook {
    pub orders: u64,
    pub payments: u64,
    pub paid_fen: i64,
    pub failed: u64,
    pub cancelled: u64,
    pub sends: u64,
    pub queries: u64,
    /// Payments of an order that was paid already, or to a person who was. It counts double
    /// payments where every business order goes to an openid of its own, and means nothing where
    /// people get several.
    pub double_payments: u64,
    /// Of the merchant at the platform, in millionths of a yuan.
    pub balance_micro_yuan: i64,
    /// Part of the balance that stored orders wait for.
    pub held_micro_yuan: i64,
    /// What each person got, by the hash of the openid.
    pub people: BTreeMap<String, OpenPerson>,
    pub callbacks: OpenCalls,
}

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
