//! Many orders whose replies and reports go wrong in every way: each ends once, nobody is paid
//! twice.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use hongbao::grpc::pb::IssuanceState as S;
use hongbao::simulator::{OpenCallbackKind, OpenConfig, OpenFault as F, OpenFaults};

use super::{by_chance, campaign, platform};
use crate::support::{Options, Raw, SHOP, TestApp, TestDb, block_on_long, on_both};

on_both!(two_hundred_orders_end_once);

#[test]
#[ignore = "many minutes long; run by scripts/orders"]
fn ten_thousand_orders_sqlite() {
    block_on_long(orders(TestDb::sqlite(), 10_000));
}

#[test]
#[ignore = "many minutes long; run by scripts/orders"]
fn ten_thousand_orders_postgres() {
    block_on_long(orders(TestDb::postgres(), 10_000));
}

async fn two_hundred_orders_end_once(db: TestDb) {
    orders(db, 200).await;
}

/// Of a thousand orders more than half have something wrong with them.
fn faults(with_late: bool) -> OpenFaults {
    let mut faults = vec![
        (F::FailBefore, 15),
        (F::FailAfter, 15),
        (F::Abnormal98After, 15),
        (F::Abnormal99Before, 15),
        (F::TooOldAfter, 10),
        (F::NonceBefore, 10),
        (F::DuplicateAfter, 10),
        (F::TimeoutAfter, 5),
        (F::Reset, 15),
        (F::ResetAfter, 15),
        (F::HalfBody, 15),
        (F::Html502, 15),
        (F::UnknownCode, 10),
        (F::WrongBizCode, 5),
        (F::NotFoundLag, 20),
        (F::SlowProcessing, 20),
        (F::LateFailure, 15),
        (F::FailedAtOnce, 15),
        (F::Cancelled, 15),
        (F::CallbackEarly, 40),
        (F::CallbackLost, 60),
        (F::CallbackDoubled, 60),
        (F::CallbackForged, 60),
        (F::CallbackStale, 40),
        (F::CallbackReordered, 40),
        (F::CallbackStranger, 30),
        (F::CallbackContrary, 30),
    ];
    // Two days, which a short test has not.
    faults.extend(with_late.then_some((F::CallbackLate, 20)));
    by_chance(&faults).with_query(F::Html502, 50)
}

async fn orders(db: TestDb, count: usize) {
    let began = std::time::Instant::now();
    let large = count > 1_000;
    let open = OpenConfig {
        opening_balance_fen: 1_000_000_000,
        ..platform(faults(large))
    };
    let options = Options {
        open: Some(Box::new(open)),
        provider_timeout_ms: 500,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let campaign = campaign(&app, "").await;
    let sends = futures::stream::iter(0..count).map(|n| {
        let client = &app.client;
        async move { client.send(SHOP, campaign, &format!("oOrder{n}")).await }
    });
    let sent: Vec<_> = sends.buffer_unordered(64).collect().await;
    assert!(sent.iter().all(Result::is_ok));
    let raw = Raw::open(&app.db).await;
    // What is in doubt longer than three days is a person's; nothing else is left.
    let open = "SELECT COUNT(*) FROM issuance WHERE state IN ('QUEUED', 'SENDING', 'UNKNOWN')";
    while raw.number(open).await > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let books = app.simulator.books();
    while books.open_book().callbacks.pending > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut ends: BTreeMap<String, i64> = BTreeMap::new();
    for state in [S::Sent, S::Failed, S::Review] {
        let name = state.as_str_name().trim_start_matches("ISSUANCE_STATE_");
        let query = format!("SELECT COUNT(*) FROM issuance WHERE state = '{name}'");
        ends.insert(name.to_owned(), raw.number(&query).await);
    }
    let all: i64 = ends.values().sum();
    assert_eq!(all, i64::try_from(count).unwrap(), "{ends:?}");
    let book = books.open_book();
    assert_eq!(book.double_payments, 0);
    let payments = books.open_payments();
    assert!(payments.iter().all(|payment| payment.times_paid == 1));
    // One number each: nobody was ever sent to under a second one.
    let numbers = "SELECT COUNT(*) FROM attempt WHERE attempt_no > 1";
    assert_eq!(raw.number(numbers).await, 0);
    // Each end is in the journal once.
    let ended = "SELECT COUNT(*) FROM journal WHERE aggregate = 'ISSUANCE' AND line = 0
        AND kind IN ('SENT', 'FAILED') AND from_state NOT IN ('SENT', 'FAILED')";
    let of = |name: &str| ends.get(name).copied().unwrap_or(0);
    assert!(raw.number(ended).await <= all && raw.number(ended).await >= of("SENT") + of("FAILED"));
    // Whoever forges or is late is counted, and nothing of it is kept.
    let tried = |kind| book.callbacks.tries.get(&kind).copied().unwrap_or(0);
    let page = crate::surface::page(app.running.admin_addr, "/metrics").await;
    let counted = |outcome: &str| {
        let name = format!("hongbao_provider_callbacks_total{{outcome=\"{outcome}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&*name));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    assert!(tried(OpenCallbackKind::Forged) > 0);
    assert_eq!(counted("bad_signature"), tried(OpenCallbackKind::Forged));
    assert_eq!(counted("timestamp_skew"), tried(OpenCallbackKind::Stale));
    let strangers = "SELECT COUNT(*) FROM provider_callback WHERE effect = 'QUARANTINED'";
    assert!(raw.number(strangers).await > 0);
    println!(
        "{count} orders: {ends:?}; {} paid, {} failed, {} cancelled at the platform, 0 twice; \
         callbacks tried {:?}, answered {:?}; {} s",
        book.payments,
        book.failed,
        book.cancelled,
        book.callbacks.tries,
        book.callbacks.answers,
        began.elapsed().as_secs()
    );
    raw.close().await;
    app.assert_sound().await;
    app.stop().await;
}
