//! Carries callbacks to their receivers: what is due is tried, how it ended goes into the books,
//! and the books say when it is tried again.
//!
//! A try whose end was not written down is made again after a restart: a receiver must cope with
//! that at a real platform, too.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::books::Entry;
use super::super::clock;
use super::super::draw;
use super::super::engine::Engine;
use super::Platform;
use super::book::{Key, Order};
use super::line::Line;
use super::plan::{Call, OpenCallbackKind};
use super::post::{self, Ended};
use super::reply;
use super::sign;
use crate::signing::open_platform::Head;

/// How often it is looked for what is due.
const TICK: Duration = Duration::from_millis(20);
/// Tries under way at the same time, at most.
const AT_ONCE: usize = 64;
/// So many windows old is a timestamp that is stale.
const STALE_WINDOWS: i64 = 12;

/// A callback that is to be tried now.
#[derive(Debug)]
struct Errand {
    key: Key,
    url: String,
    headers: [(&'static str, String); 4],
    body: String,
}

/// Works until the simulator stops.
pub(in super::super) async fn work(engine: Arc<Engine>, stop: CancellationToken) {
    let mut tries = JoinSet::new();
    let mut under_way = HashSet::new();
    while !stop.is_cancelled() {
        let errands = due(&engine, &under_way);
        // What a callback reports is on disk before it leaves, as with a reply.
        if !errands.is_empty() && engine.books.flush().on_disk().await.is_err() {
            break;
        }
        for errand in errands {
            under_way.insert(errand.key.clone());
            tries.spawn(carry(Arc::clone(&engine), errand));
        }
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = tries.join_next() => {
                if let Ok(key) = ended {
                    under_way.remove(&key);
                }
            }
            () = tokio::time::sleep(TICK) => {}
        }
    }
    tries.shutdown().await;
}

/// What is to be tried now. Only a repetition may overlap with another callback of its order;
/// otherwise a fast clock would make every sequence a race.
fn due(engine: &Engine, under_way: &HashSet<Key>) -> Vec<Errand> {
    let Some(platform) = &engine.open else {
        return Vec::new();
    };
    let (errands, _receipt) = engine.books.change(|change| {
        let shelf = &change.ledger.open;
        let mut busy = under_way.clone();
        let mut errands = Vec::new();
        for key in shelf.calls_due(change.now_ms) {
            if busy.len() >= AT_ONCE {
                break;
            }
            let Some((order, call, tries)) = shelf.call(&key) else {
                continue;
            };
            let overlaps = call.kind == OpenCallbackKind::Again;
            let waits = !overlaps && busy.iter().any(|(biz_code, _)| *biz_code == key.0);
            if waits || busy.contains(&key) {
                continue;
            }
            busy.insert(key.clone());
            errands.extend(errand(platform, change.now_ms, key, (order, call, tries)));
        }
        errands
    });
    errands
}

/// What is sent is fixed by the order, but for nonce and timestamp, which are new with each try.
fn errand(
    platform: &Platform,
    now_ms: i64,
    key: Key,
    (order, call, tries): (&Order, Call, u32),
) -> Option<Errand> {
    let url = order.accepted.callback_url.clone()?;
    let body = body(platform, order, call);
    let time_ms = platform.time_at(now_ms);
    let age_ms = match call.kind {
        OpenCallbackKind::Stale => platform.window_ms().saturating_mul(STALE_WINDOWS),
        OpenCallbackKind::Right
        | OpenCallbackKind::Again
        | OpenCallbackKind::Forged
        | OpenCallbackKind::Reordered
        | OpenCallbackKind::Stranger
        | OpenCallbackKind::Contrary => 0,
    };
    let timestamp = time_ms.saturating_sub(age_ms).to_string();
    let nonce = nonce(platform.seed, &key, tries);
    let config = platform.config();
    let head = Head {
        business_id: &config.business_id,
        nonce: &nonce,
        // No document lists the header on a callback.
        sign_type: "",
        timestamp: &timestamp,
    };
    let forged = call.kind == OpenCallbackKind::Forged;
    let sign = sign::callback(config, &head, body.as_bytes(), forged)?;
    Some(Errand {
        url,
        headers: [
            ("businessId", config.business_id.clone()),
            ("nonce", nonce),
            ("timestamp", timestamp),
            ("sign", sign),
        ],
        body,
        key,
    })
}

fn body(platform: &Platform, order: &Order, call: Call) -> String {
    let accepted = &order.accepted;
    let (order_code, biz_code) = match call.kind {
        OpenCallbackKind::Stranger => {
            let lot = draw::draw(platform.seed, &["stranger", &accepted.biz_code]);
            (format!("9{lot:021}"), format!("SIMSTRANGER{lot:021}"))
        }
        OpenCallbackKind::Right
        | OpenCallbackKind::Again
        | OpenCallbackKind::Forged
        | OpenCallbackKind::Stale
        | OpenCallbackKind::Reordered
        | OpenCallbackKind::Contrary => (accepted.order_code.clone(), accepted.biz_code.clone()),
    };
    reply::report(order, &order_code, &biz_code, call.says)
}

/// New with every try, also with one that a restart repeats.
fn nonce(seed: u64, (biz_code, index): &Key, tries: u32) -> String {
    let now = clock::wall_ms().to_string();
    let (index, tries) = (index.to_string(), tries.to_string());
    let half = |name| draw::draw(seed, &[name, biz_code, &index, &tries, &now]);
    format!("{:016x}{:016x}", half("nonce"), half("second half of it"))
}

async fn carry(engine: Arc<Engine>, errand: Errand) -> Key {
    let limit = engine
        .open
        .as_ref()
        .map(|open| open.config().callback_timeout);
    let limit = limit.unwrap_or_default();
    let ended = post::post(&errand.url, &errand.headers, errand.body, limit).await;
    let Ended {
        answer,
        acknowledged,
    } = ended;
    let key = errand.key;
    let ((), receipt) = engine.books.change(|change| {
        let at_ms = change.now_ms;
        let (biz_code, callback) = key.clone();
        change.record(Entry::Open(Box::new(Line::Tried {
            biz_code,
            callback,
            answer,
            acknowledged,
            at_ms,
        })));
    });
    if receipt.on_disk().await.is_err() {
        // It is in memory that it was tried; after a restart it is tried again.
        tracing::error!("how a callback ended could not be written down");
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_try_has_a_nonce_of_its_own() {
        let key = |index| ("b".to_owned(), index);
        let first = nonce(1, &key(0), 0);
        assert_eq!(first.len(), 32);
        assert_ne!(nonce(1, &key(0), 1), first);
        assert_ne!(nonce(1, &key(1), 0), first);
    }
}
