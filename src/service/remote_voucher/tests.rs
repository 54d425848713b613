//! Orders of events that no simulator makes: pages that repeat, and calls that overlap.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::*;
use crate::domain::Fen;
use crate::domain::remote_voucher::{ListOutcome, Page, PageQuery, Pair, RemoteStatus};
use crate::provider::Said;

/// A platform that answers pages from a queue and gives nothing.
#[derive(Debug, Default)]
struct Scripted {
    pages: Mutex<VecDeque<ListOutcome>>,
    gives: Mutex<usize>,
}

fn said<T>(call: &'static str, outcome: T) -> Said<T> {
    Said {
        outcome,
        call,
        request: Vec::new(),
        response: None,
        http_status: Some(200),
        duration: Duration::ZERO,
    }
}

impl VoucherPlatform for Scripted {
    async fn give(&self, _: &Give) -> Said<GiveOutcome> {
        *self.gives.lock().unwrap() += 1;
        said("give", lost())
    }

    async fn list(&self, _: &PageQuery) -> Said<ListOutcome> {
        let next = self
            .pages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        said(
            "query",
            next.unwrap_or(ListOutcome::Unknown(Cause::Timeout)),
        )
    }

    async fn spend(&self, _: &Spend) -> Said<TurnOutcome> {
        said("spend", TurnOutcome::Unknown(Cause::Timeout))
    }

    async fn undo(&self, _: &Undo) -> Said<TurnOutcome> {
        said("undo", TurnOutcome::Unknown(Cause::Timeout))
    }
}

fn id(raw: &str) -> RemoteId {
    RemoteId::parse(raw).unwrap()
}

fn page(names: &str, total: u64) -> ListOutcome {
    let voucher = |name: &str| RemoteVoucher {
        id: id(name),
        product: id("P"),
        sum: Fen(100),
        start: None,
        end: None,
        status: RemoteStatus::Usable,
    };
    ListOutcome::Listed(Page {
        vouchers: names.split_whitespace().map(voucher).collect(),
        total,
    })
}

fn scripted(pages: &[(&str, u64)]) -> Scripted {
    let pages = pages.iter().map(|(names, total)| page(names, *total));
    Scripted {
        pages: Mutex::new(pages.collect()),
        ..Scripted::default()
    }
}

fn give() -> Give {
    Give {
        pair: Pair {
            mobile: Mobile::parse("13912345678").unwrap(),
            product: id("P"),
        },
        sum: Fen(100),
        order: id("o"),
        remark: "r".to_owned(),
    }
}

#[tokio::test]
async fn pages_make_a_list_only_if_they_fit_together() {
    let mobile = give().pair.mobile;
    for (pages, want) in [
        (&[("", 0), ("", 0)][..], Ok(0)),
        (&[("", 0), ("a", 1)], Err("LIST_CHANGED")),
        (&[("", 0)], Err("TIMEOUT")),
        (&[("a b", 3), ("c", 3)], Ok(3)),
        (&[("a b", 4), ("a b", 4)], Err("LIST_REPEATS")),
        (&[("a b", 3), ("c d", 3)], Err("LIST_TOO_LONG")),
        (&[("a b", 3), ("", 3)], Err("LIST_TOO_SHORT")),
        (&[("a b", 3), ("c", 4)], Err("LIST_CHANGED")),
        (&[("a b", 3)], Err("TIMEOUT")),
    ] {
        let (platform, pairs) = (scripted(pages), Pairs::default());
        let vouchers = Vouchers::new(&platform, &pairs, Patience::default());
        let look = vouchers.query(&mobile, &[]).await.fate;
        match (look, want) {
            (Look::Whole(all), Ok(count)) => assert_eq!(all.len(), count, "{pages:?}"),
            (Look::Unclear(is), Err(code)) => assert_eq!(is, code, "{pages:?}"),
            (look, want) => panic!("{look:?} {want:?}"),
        }
    }
}

#[tokio::test]
async fn a_lost_answer_and_an_unreadable_list_leave_it_open() {
    let (platform, pairs) = (scripted(&[("a", 1)]), Pairs::default());
    let vouchers = Vouchers::new(&platform, &pairs, Patience::default());
    let told = vouchers.give(&give(), |_| async { Ok(()) }).await.unwrap();
    let code = "LEASE_LOST".to_owned();
    assert_eq!(told.fate, Fate::StillUnknown { code });
    let calls: Vec<_> = told.spoken.iter().map(|said| said.call).collect();
    assert_eq!(calls, ["query", "give", "query"]);
    assert_eq!(*platform.gives.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_pair_is_free_again_when_its_give_is_dropped() {
    let (platform, pairs) = (scripted(&[("a", 1)]), Pairs::default());
    let vouchers = Vouchers::new(&platform, &pairs, Patience::default());
    let order = give();
    let stuck = vouchers.give(&order, |_| std::future::pending());
    let waited = tokio::time::timeout(Duration::from_millis(20), stuck).await;
    assert!(waited.is_err());
    assert_eq!(*platform.gives.lock().unwrap(), 0);
    assert!(pairs.enter(&order.pair).is_some());
}
