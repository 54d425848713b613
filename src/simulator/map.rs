//! The voucher platform of seed 002: give, query, spend, undo, with faults and in the same
//! books as the rest.
//!
//! It does what a known installation does and no more: an `appOrderId` that comes again gives
//! again. A client that repeats a give after a time-out gives twice, and the books count it.

mod config;
mod fault;
mod reply;
mod request;
mod shelf;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

pub use config::{MapCall, MapConfig, MapProduct};
pub use fault::{MapFault, MapFaults};
pub(super) use shelf::Line;
pub use shelf::{MapBook, MapSpend, MapVoucher};

use super::books::{Books, Change, Entry};
use super::clock::{DAY_MS, HOUR_MS, MINUTE_MS};
use super::draw;
use super::engine::Wire;
use fault::{Answer, Code, Keep};
use reply::Refusal;
use request::{Asked, Give, Order, Ordered, Query, Spend, Undo};

/// How long what is hidden stays so.
const HIDDEN_MS: i64 = 5 * MINUTE_MS;

/// One platform with one app.
#[derive(Debug)]
pub(super) struct Platform {
    config: MapConfig,
    seed: u64,
    faults: Mutex<MapFaults>,
    nonces: Mutex<HashSet<String>>,
}

/// What a call came to: a reply or a refusal.
type Truth = Result<Value, Refusal>;

impl Platform {
    pub(super) fn new(config: MapConfig, seed: u64) -> Self {
        Self {
            faults: Mutex::new(config.faults.clone()),
            config,
            seed,
            nonces: Mutex::default(),
        }
    }

    pub(super) fn call_at(&self, path: &str) -> Option<MapCall> {
        self.config.call_at(path)
    }

    pub(super) fn config(&self) -> &MapConfig {
        &self.config
    }

    pub(super) fn faults(&self) -> MapFaults {
        self.with_faults(|faults| faults.clone())
    }

    pub(super) fn set_faults(&self, change: MapFaults) {
        self.with_faults(|faults| *faults = change);
    }

    fn with_faults<T>(&self, act: impl FnOnce(&mut MapFaults) -> T) -> T {
        act(&mut self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) async fn answer(&self, books: &Books, call: MapCall, body: &[u8]) -> Wire {
        let decided = match call {
            MapCall::Give => self.ordered(books, call, body, Self::give),
            MapCall::Spend => self.ordered(books, call, body, Self::spend),
            MapCall::Undo => self.ordered(
                books,
                call,
                body,
                |of: &Self, change, undo: &Vec<Undo>, keep| of.undo(change, undo, keep),
            ),
            MapCall::Query => self.asked(body).map(|query| {
                books.change(|change| {
                    let (_, answer) = self.note(change, call);
                    (self.query(change, &query, answer), answer)
                })
            }),
        };
        let ((truth, answer), receipt) = match decided {
            Ok(decided) => decided,
            Err(refusal) => return json(&reply::refusal(call, refusal)),
        };
        if receipt.on_disk().await.is_err() {
            return Wire::Reset;
        }
        if answer == Answer::Slow {
            tokio::time::sleep(self.config.slow).await;
        }
        garble(call, answer, truth)
    }

    /// A change: read, checked, noted, carried out as the fault says.
    fn ordered<T>(
        &self,
        books: &Books,
        call: MapCall,
        body: &[u8],
        act: impl Fn(&Self, &mut Change<'_>, &T, Keep) -> Truth,
    ) -> Result<((Truth, Answer), super::books::Receipt), Refusal>
    where
        T: Order + serde::de::DeserializeOwned,
    {
        let request: Ordered<T> = request::read(body)?;
        request::order(&request, &self.config)?;
        self.once(&request::nonces(&request))?;
        Ok(books.change(|change| {
            let (keep, answer) = self.note(change, call);
            (act(self, change, &request.order, keep), answer)
        }))
    }

    fn asked(&self, body: &[u8]) -> Result<Query, Refusal> {
        let asked: Asked = request::read(body)?;
        request::known(&asked.app, &self.config)?;
        self.once(&[&asked.app.nonce])?;
        let query = asked.query;
        let known = ["YES", "NO#", "ALL"].contains(&&*query.expire_in);
        let whole = known && query.page_size > 0 && query.page_index > 0;
        match whole && request::is_mobile(&query.mobile_num) {
            true => Ok(query),
            false => Err(Refusal::Parameter),
        }
    }

    /// A nonce that comes again is a request that came again.
    fn once(&self, nonces: &[&str]) -> Result<(), Refusal> {
        let mut known = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = nonces.iter().all(|nonce| known.insert((*nonce).to_owned()));
        fresh.then_some(()).ok_or(Refusal::Signature)
    }

    fn note(&self, change: &mut Change<'_>, call: MapCall) -> (Keep, Answer) {
        let nth = change.ledger.map.calls(call).saturating_add(1);
        let fault = self.with_faults(|faults| faults.strike(self.seed, call, nth));
        let at_ms = change.now_ms;
        change.record(Entry::Map(Box::new(Line::Asked {
            call,
            nth,
            fault,
            at_ms,
        })));
        fault.map_or((Keep::Done, Answer::Truth), MapFault::effect)
    }

    fn give(&self, change: &mut Change<'_>, give: &Give, keep: Keep) -> Truth {
        let product = self.config.products.get(&give.red_paper_product_id);
        let product = product.ok_or(Refusal::NoProduct)?;
        let (times, hidden_ms) = match keep {
            Keep::Nothing => return Err(Refusal::Other),
            Keep::Done => (1, 0),
            Keep::Hidden => (1, HIDDEN_MS),
            Keep::Twice => (2, 0),
        };
        let now_ms = change.now_ms;
        let mut last = None;
        for _ in 0..times {
            let n = change.ledger.map.vouchers.len().saturating_add(1);
            let voucher = MapVoucher {
                voucher_id: format!("RP{n:014}"),
                order_id: format!("{n:020}"),
                app_order_id: give.app_order_id.clone(),
                mobile_hash: draw::short_hash(&give.mobile_num),
                product: give.red_paper_product_id.clone(),
                sum_fen: give.sum,
                at_ms: now_ms,
                end_ms: midnight_after(now_ms, i64::from(product.days)),
                visible_at_ms: now_ms.saturating_add(hidden_ms),
                spent_by: None,
            };
            change.record(Entry::Map(Box::new(Line::Given(voucher.clone()))));
            last = Some(voucher);
        }
        let last = last.ok_or(Refusal::Other)?;
        Ok(reply::given(&self.config, &last, now_ms))
    }

    fn query(&self, change: &Change<'_>, query: &Query, answer: Answer) -> Truth {
        let now_ms = change.now_ms;
        let products: Vec<&str> = query
            .red_paper_product_id
            .split('|')
            .filter(|id| !id.is_empty())
            .collect();
        let hash = draw::short_hash(&query.mobile_num);
        let listed = change.ledger.map.listed(&hash, now_ms).filter(|voucher| {
            let of_product = products.is_empty() || products.contains(&voucher.product.as_str());
            let valid = voucher.end_ms > now_ms;
            of_product
                && match query.expire_in.as_str() {
                    "YES" => valid,
                    "NO#" => !valid,
                    _ => true,
                }
        });
        let all: Vec<&MapVoucher> = listed.collect();
        if all.is_empty() || answer == Answer::NothingFound {
            return Err(Refusal::NothingFound);
        }
        let size = query.page_size.min(self.config.page_max);
        let skipped = query.page_index.saturating_sub(1).saturating_mul(size);
        let page: Vec<&MapVoucher> = all.iter().copied().skip(skipped).take(size).collect();
        let lie = usize::from(answer == Answer::WrongTotal);
        let (asked, total) = ((size, query.page_index), all.len().saturating_add(lie));
        Ok(reply::listed(&self.config, &page, asked, total, now_ms))
    }

    fn spend(&self, change: &mut Change<'_>, spend: &Spend, keep: Keep) -> Truth {
        let hash = draw::short_hash(&spend.mobile_num);
        let now_ms = change.now_ms;
        let ids: Vec<&str> = spend.red_paper_id.split('|').collect();
        let usable = |id: &&str| {
            let mut listed = change.ledger.map.listed(&hash, now_ms);
            listed.any(|v| v.voucher_id == **id && v.end_ms > now_ms && v.spent_by.is_none())
        };
        let distinct: HashSet<&&str> = ids.iter().collect();
        if distinct.len() != ids.len() || !ids.iter().all(usable) {
            return Err(Refusal::NotUsable);
        }
        if keep == Keep::Nothing {
            return Err(Refusal::Other);
        }
        let first = change.ledger.map.spends.saturating_add(1);
        let order = |n: usize| match self.config.order_for_each {
            true => format!("ud{first:016}{n:04}"),
            false => format!("ud{first:020}"),
        };
        let orders: Vec<(String, String)> = ids
            .iter()
            .enumerate()
            .map(|(n, id)| (order(n), (*id).to_owned()))
            .collect();
        let spent = |(order_id, voucher_id): &(String, String)| MapSpend {
            order_id: order_id.clone(),
            voucher_id: voucher_id.clone(),
        };
        change.record(Entry::Map(Box::new(Line::Spent {
            app_order_id: spend.app_order_id.clone(),
            vouchers: orders.iter().map(spent).collect(),
            at_ms: now_ms,
        })));
        Ok(reply::spent(&orders, self.config.order_for_each))
    }

    fn undo(&self, change: &mut Change<'_>, undo: &[Undo], keep: Keep) -> Truth {
        let known = |undo: &Undo| change.ledger.map.knows_order(&undo.order_id);
        if !undo.iter().all(known) {
            return Err(Refusal::NoOrder);
        }
        if keep == Keep::Nothing {
            return Err(Refusal::Other);
        }
        let at_ms = change.now_ms;
        change.record(Entry::Map(Box::new(Line::Undone {
            order_ids: undo.iter().map(|undo| undo.order_id.clone()).collect(),
            at_ms,
        })));
        Ok(reply::undone())
    }
}

/// The end of the Beijing day that is so many days later.
fn midnight_after(now_ms: i64, days: i64) -> i64 {
    let beijing_ms = now_ms.saturating_add(8 * HOUR_MS);
    let day = beijing_ms.div_euclid(DAY_MS).saturating_add(days);
    let next = day.saturating_add(1).saturating_mul(DAY_MS);
    next.saturating_sub(8 * HOUR_MS)
}

fn garble(call: MapCall, answer: Answer, truth: Truth) -> Wire {
    let written = |truth: Truth| truth.unwrap_or_else(|refusal| reply::refusal(call, refusal));
    match answer {
        Answer::Truth | Answer::Slow | Answer::NothingFound | Answer::WrongTotal => {
            json(&written(truth))
        }
        Answer::Error(Code::Other) => json(&reply::refusal(call, Refusal::Other)),
        Answer::Error(Code::Unknown) => json(&reply::refusal(call, Refusal::Unlisted)),
        Answer::Error(Code::NoUser) => json(&reply::refusal(call, Refusal::NoUser)),
        Answer::WrongSum => json(&reply::with_wrong_sum(written(truth))),
        Answer::NoId => json(&reply::without_id(written(truth))),
        Answer::Sloppy => Wire::Json(reply::sloppy(&written(truth))),
        Answer::Half => Wire::Half(written(truth).to_string()),
        Answer::Hold => Wire::Hold,
        Answer::Reset => Wire::Reset,
        Answer::Html502 => Wire::Html502,
        Answer::Garbage => Wire::Garbage,
        Answer::Huge => Wire::Huge,
    }
}

fn json(reply: &Value) -> Wire {
    Wire::Json(reply.to_string())
}
