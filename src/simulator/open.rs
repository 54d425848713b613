//! The open platform of seed 003: red packets by signed JSON, orders that take their time, and
//! callbacks, with faults and in the same books as the rest.
//!
//! The platform is not idempotent: a bizCode that comes again is a duplicate, whatever is in the
//! request, and whoever is in doubt must ask. Order of checks: address, headers, signature,
//! timestamp, nonce, body, then the books.

pub(super) mod admin;
mod book;
mod config;
pub(super) mod courier;
mod fault;
mod keys;
mod line;
mod money;
mod plan;
mod post;
mod reply;
mod request;
mod sign;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;

pub(super) use book::Shelf;
pub use config::{OpenConfig, OpenMissing, OpenTemplate, OpenTime};
pub use fault::{OpenFault, OpenFaults, OpenSpec};
pub use keys::{OpenKeyFiles, OpenKeysError, PlatformKey, make_open_keys};
pub(super) use line::Line;
pub use money::Discount;
pub use plan::{OpenCallbackKind, OpenStatus};
pub(super) use post::is_reachable;
pub use view::{OpenBook, OpenCallback, OpenCalls, OpenOrder, OpenPerson};

use super::books::{Books, Change, Entry, Receipt};
use super::chaos::{Call, Chaos, FaultTableError, MARK};
use super::clock;
use super::draw;
use super::engine::Wire;
use fault::{Answer, Calls, Keep};
use reply::{Refusal, Style};
use request::{Head, Query, Send};

/// Everything that the platform answers is below this.
const PREFIX: &str = "/v1/openapi/";
/// What a template costs more than agreed, where the price is wrong: a fen.
const OVERPRICED_MICRO_YUAN: i64 = 10_000;

/// How often each call was answered with what since the start: a status, or what came instead.
pub type OpenReplies = BTreeMap<String, BTreeMap<String, u64>>;

/// One platform with one merchant.
#[derive(Debug)]
pub(super) struct Platform {
    config: OpenConfig,
    seed: u64,
    scale: u32,
    chaos: Mutex<Chaos<OpenFault>>,
    nonces: Mutex<Nonces>,
    replies: Mutex<OpenReplies>,
}

/// A request as it came.
#[derive(Debug)]
pub(super) struct Arrived<'a> {
    pub(super) is_post: bool,
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    pub(super) peer: Option<IpAddr>,
}

/// The nonces of the last window, and of the one before: after that a request is too old anyway.
#[derive(Debug, Default)]
struct Nonces {
    known: HashSet<String>,
    by_time: VecDeque<(i64, String)>,
}

/// What a call came to, and how its fault wants it to look.
#[derive(Debug)]
struct Decided {
    truth: Result<String, Refusal>,
    answer: Answer,
}

impl Platform {
    /// Pays the opening balance in, where the books have none.
    pub(super) fn new(
        config: OpenConfig,
        seed: u64,
        scale: u32,
        books: &Books,
    ) -> Result<Self, FaultTableError> {
        let chaos = Chaos::new(seed, config.faults.clone())?;
        let micro_yuan = money::micro_of_fen(config.opening_balance_fen);
        // Not awaited: the first reply that leaves comes after this line in the same file.
        let _receipt = books.change(|change| {
            if !change.ledger.open.is_funded() {
                record_funds(change, micro_yuan);
            }
        });
        Ok(Self {
            config,
            seed,
            scale,
            chaos: Mutex::new(chaos),
            nonces: Mutex::default(),
            replies: Mutex::default(),
        })
    }

    pub(super) fn owns(&self, path: &str) -> bool {
        path.starts_with(PREFIX)
    }

    pub(super) fn config(&self) -> &OpenConfig {
        &self.config
    }

    pub(super) fn faults(&self) -> OpenFaults {
        self.chaos(|chaos| chaos.table().clone())
    }

    pub(super) fn set_faults(&self, change: OpenFaults) -> Result<(), FaultTableError> {
        self.chaos(|chaos| chaos.change(change))
    }

    pub(super) fn replies(&self) -> OpenReplies {
        let replies = self.replies.lock();
        replies.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn chaos<T>(&self, with: impl FnOnce(&mut Chaos<OpenFault>) -> T) -> T {
        with(&mut self.chaos.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) async fn answer(&self, books: &Books, arrived: Arrived<'_>) -> Wire {
        let (word, decided) = match arrived.path.strip_prefix(PREFIX) {
            Some("order/redPacket") if arrived.is_post => ("send", self.place(books, &arrived)),
            Some("order/info") if arrived.is_post => ("query", self.find(books, &arrived)),
            Some(_) | None => ("other", Err(Refusal::of(Refusal::NO_METHOD))),
        };
        let decided = match decided {
            Ok((decided, receipt)) => match receipt.on_disk().await {
                Ok(()) => decided,
                Err(_) => return Wire::Reset,
            },
            Err(refusal) => Decided {
                truth: Err(refusal),
                answer: Answer::Truth,
            },
        };
        if decided.answer == Answer::Slow {
            tokio::time::sleep(self.config.slow).await;
        }
        let (told, wire) = garble(decided);
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        let count = replies.entry(word.to_owned()).or_default().entry(told);
        *count.or_default() += 1;
        wire
    }

    /// Everything that is checked before the body is read.
    fn admit<'a>(&self, books: &Books, arrived: &Arrived<'a>) -> Result<Head<'a>, Refusal> {
        let allowed = &self.config.allowed_ips;
        if !allowed.is_empty() && !arrived.peer.is_some_and(|peer| allowed.contains(&peer)) {
            return Err(Refusal::of(Refusal::IP));
        }
        let head = Head::read(arrived.headers)?;
        sign::verify(&self.config, &head.signed, arrived.body, head.sign)?;
        let (now_ms, window_ms) = (self.time_at(books.now_ms()), self.window_ms());
        let off_ms = now_ms.saturating_sub(head.timestamp_ms).saturating_abs();
        if off_ms > window_ms {
            let refusal = Refusal::of(Refusal::TOO_OLD);
            return Err(refusal.about(format!("timestamp, it is {now_ms} here")));
        }
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        match nonces.is_new(head.signed.nonce, now_ms, window_ms) {
            true => Ok(head),
            false => Err(Refusal::of(Refusal::NONCE)),
        }
    }

    /// The time of `timestamp` headers, in milliseconds since the Unix epoch, at a simulated time.
    fn time_at(&self, simulated_ms: i64) -> i64 {
        match self.config.timestamps {
            OpenTime::Simulated => simulated_ms,
            OpenTime::Real => clock::wall_ms(),
        }
    }

    /// How far a timestamp may be off, on its own clock.
    fn window_ms(&self) -> i64 {
        let window_ms = i64::try_from(self.config.window.as_millis()).unwrap_or(i64::MAX);
        match self.config.timestamps {
            OpenTime::Simulated => window_ms.saturating_mul(i64::from(self.scale.max(1))),
            OpenTime::Real => window_ms,
        }
    }

    /// `order/redPacket`.
    fn place(&self, books: &Books, arrived: &Arrived<'_>) -> Result<(Decided, Receipt), Refusal> {
        let head = self.admit(books, arrived)?;
        let send = Send::read(&head, &self.config, arrived.body)?;
        Ok(books.change(|change| {
            let biz_code = &send.biz_code;
            let nth = next(change, Call::Send, biz_code);
            let name = match biz_code.starts_with(MARK) {
                true => biz_code,
                false => &send.openid,
            };
            let fault = self.chaos(|chaos| chaos.on_send(biz_code, nth, name));
            note(change, Call::Send, biz_code, nth, fault);
            let (keep, calls, answer) = effect(fault);
            let stored = match (change.ledger.open.order(biz_code), keep) {
                (Some(_), _) => Err(Refusal::of(Refusal::DUPLICATE)),
                // Only an answer that tells no truth goes with this.
                (None, Keep::Nothing) => Err(Refusal::of(Refusal::FAILED)),
                (None, _) => self.store(change, &send, keep, calls),
            };
            let order = change.ledger.open.order(biz_code);
            let order = stored.and(order.ok_or_else(|| Refusal::of(Refusal::FAILED)));
            let truth = order.map(|order| reply::placed(order, style(answer)));
            Decided { truth, answer }
        }))
    }

    fn store(
        &self,
        change: &mut Change<'_>,
        send: &Send,
        keep: Keep,
        calls: Calls,
    ) -> Result<(), Refusal> {
        let shelf = &change.ledger.open;
        let (template_id, template) = (&send.template_id, send.template);
        if template
            .stock
            .is_some_and(|stock| shelf.used(template_id) >= stock)
        {
            return Err(Refusal::of(Refusal::STOCK));
        }
        let agreed = template.discount.price_micro(send.face_fen);
        let price_micro_yuan = match keep == Keep::Overpriced {
            true => agreed.saturating_add(OVERPRICED_MICRO_YUAN),
            false => agreed,
        };
        if shelf.available_micro_yuan() < price_micro_yuan {
            return Err(Refusal::of(Refusal::BALANCE));
        }
        let at_ms = change.now_ms;
        let fate = plan::fate(keep, calls, at_ms).ok_or_else(|| Refusal::of(Refusal::FAILED))?;
        let lot = draw::draw(self.seed, &["open order", &send.biz_code]) % 100_000_000_000_000;
        change.record(Entry::Open(Box::new(Line::Stored(Box::new(
            line::Accepted {
                merchant_id: self.config.merchant_id.clone(),
                biz_code: send.biz_code.clone(),
                order_code: format!("{}{lot:014}", clock::beijing_day(at_ms)),
                template_id: template_id.clone(),
                openid_hash: draw::short_hash(&send.openid),
                face_fen: send.face_fen,
                price_micro_yuan,
                callback_url: send.callback_url.clone(),
                at_ms,
                visible_at_ms: fate.visible_at_ms,
                plan: fate.steps,
                callbacks: fate.callbacks,
            },
        )))));
        // What happens at once is in the same write as the order.
        change.settle();
        Ok(())
    }

    /// `order/info`.
    fn find(&self, books: &Books, arrived: &Arrived<'_>) -> Result<(Decided, Receipt), Refusal> {
        let head = self.admit(books, arrived)?;
        let query = Query::read(&head, &self.config, arrived.body)?;
        Ok(books.change(|change| {
            let by_code = change.ledger.open.biz_code(&query.order_code);
            let biz_code = match (&*query.biz_code, by_code) {
                ("", known) => known.unwrap_or(&query.order_code).to_owned(),
                (given, _) => given.to_owned(),
            };
            // Both numbers must be of one order.
            let one = query.order_code.is_empty() || by_code == Some(&biz_code);
            let nth = next(change, Call::Query, &biz_code);
            let fault = self.chaos(|chaos| chaos.on_query(&biz_code, nth));
            note(change, Call::Query, &biz_code, nth, fault);
            let (_, _, answer) = effect(fault);
            let now_ms = change.now_ms;
            let order = change.ledger.open.order(&biz_code);
            let truth = order
                .filter(|order| one && now_ms >= order.accepted.visible_at_ms)
                .map(|order| reply::found(order, style(answer)))
                .ok_or_else(|| Refusal::not_found("bizCode"));
            Decided { truth, answer }
        }))
    }
}

impl Nonces {
    fn is_new(&mut self, nonce: &str, now_ms: i64, window_ms: i64) -> bool {
        let kept_ms = window_ms.saturating_mul(2);
        let over = |at_ms: i64| now_ms.saturating_sub(at_ms) > kept_ms;
        while let Some((_, old)) = self.by_time.pop_front_if(|(at_ms, _)| over(*at_ms)) {
            self.known.remove(&old);
        }
        let is_new = self.known.insert(nonce.to_owned());
        if is_new {
            self.by_time.push_back((now_ms, nonce.to_owned()));
        }
        is_new
    }
}

fn next(change: &Change<'_>, call: Call, biz_code: &str) -> u32 {
    let before = change.ledger.open.calls_of(call, biz_code);
    before.saturating_add(1)
}

fn note(change: &mut Change<'_>, call: Call, biz_code: &str, nth: u32, fault: Option<OpenFault>) {
    let at_ms = change.now_ms;
    change.record(Entry::Open(Box::new(Line::Asked {
        call,
        biz_code: biz_code.to_owned(),
        nth,
        fault,
        at_ms,
    })));
}

/// Adds to the merchant's balance at the platform.
fn record_funds(change: &mut Change<'_>, micro_yuan: i64) {
    let at_ms = change.now_ms;
    change.record(Entry::Open(Box::new(Line::Funded { micro_yuan, at_ms })));
}

fn effect(fault: Option<OpenFault>) -> (Keep, Calls, Answer) {
    let spec = fault.and_then(OpenFault::spec);
    spec.map_or((Keep::Normal, Calls::One, Answer::Truth), |spec| {
        (spec.keep, spec.calls, spec.answer)
    })
}

fn style(answer: Answer) -> Style {
    Style {
        texts: answer == Answer::Sloppy,
        wrong_biz_code: answer == Answer::WrongBizCode,
        no_order_code: answer == Answer::NoOrderCode,
    }
}

/// What goes onto the wire, and the word under which it is counted.
fn garble(decided: Decided) -> (String, Wire) {
    let (status, json) = match decided.truth {
        Ok(json) => (0, json),
        Err(refusal) => (refusal.status, refusal.json()),
    };
    let cut = |word: &str, wire| (word.to_owned(), wire);
    match decided.answer {
        Answer::Truth
        | Answer::Sloppy
        | Answer::WrongBizCode
        | Answer::NoOrderCode
        | Answer::Slow => (status.to_string(), Wire::Json(json)),
        Answer::Status(status) => {
            let refusal = Refusal::of(status);
            (status.to_string(), Wire::Json(refusal.json()))
        }
        Answer::Half => cut("half a body", Wire::Half(json)),
        Answer::Hold => cut("silence", Wire::Hold),
        Answer::Reset => cut("a reset", Wire::Reset),
        Answer::Html502 => cut("HTTP 502", Wire::Html502),
        Answer::Garbage => cut("garbage", Wire::Garbage),
        Answer::Huge => cut("2 MiB", Wire::Huge),
    }
}
