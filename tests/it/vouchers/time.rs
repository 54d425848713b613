//! The last instant of validity: the database's clock decides, after the locks are held.

use std::time::Duration;

use hongbao::grpc::pb;
use hongbao::grpc::pb::VoucherState as V;
use tokio::task::JoinSet;

use super::{Scene, all_of, causes, owner, until};
use crate::support::{SHOP, TestDb, on_both, reason};

on_both!(
    a_lock_that_is_waited_for_does_not_stop_the_clock,
    spends_around_the_last_millisecond,
);

const ANNA: &str = "13912345678";

async fn now(scene: &Scene) -> i64 {
    scene.app.store().now().await.unwrap().0
}

async fn sleep_until(scene: &Scene, micros: i64) {
    let left = micros - now(scene).await;
    tokio::time::sleep(Duration::from_micros(u64::try_from(left).unwrap_or(0))).await;
}

async fn a_lock_that_is_waited_for_does_not_stop_the_clock(db: TestDb) {
    let scene = Scene::open(db).await;
    let end = now(&scene).await + 4_000_000;
    scene
        .product_with("brief", |new| new.validity = until(end))
        .await;
    let early = scene.give("brief", ANNA).await.voucher_id;
    let late = scene.give("brief", ANNA).await.voucher_id;
    let raw = scene.raw().await;
    // Called before the end, and the lock is had before it: spent.
    let held = raw.hold_table("voucher").await;
    let spend = scene.spending(ANNA, vec![all_of(early)]);
    let client = scene.client.clone();
    let call = tokio::spawn(async move { client.vouchers().spend_vouchers(spend).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!call.is_finished(), "it should wait for the lock");
    held.rollback().await.unwrap();
    call.await.unwrap().unwrap();
    // Called before the end as well, and the lock is had after it: too late.
    let held = raw.hold_table("voucher").await;
    assert!(
        now(&scene).await < end,
        "the machine was too slow for this test"
    );
    let spend = scene.spending(ANNA, vec![all_of(late)]);
    let client = scene.client.clone();
    let call = tokio::spawn(async move { client.vouchers().spend_vouchers(spend).await });
    sleep_until(&scene, end + 1_000).await;
    assert!(!call.is_finished(), "it should wait for the lock");
    held.rollback().await.unwrap();
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(reason(&status), "VOUCHER_NOT_USABLE");
    assert!(
        causes(&status)[0].contains("cause=EXPIRED"),
        "{:?}",
        causes(&status)
    );
    assert_eq!(scene.state(late).await, V::Expired);
    scene.close().await;
}

/// Spends from before the end to after it, some behind a lock that is held across it:
/// an order's own time and its voucher's end agree, whatever the order of events.
async fn spends_around_the_last_millisecond(db: TestDb) {
    let scene = Scene::open(db).await;
    let end = now(&scene).await + 6_000_000;
    scene
        .product_with("brief", |new| new.validity = until(end))
        .await;
    let gifts = (0..60).map(|_| pb::VoucherGift {
        owner: owner(ANNA),
        face_fen: 0,
    });
    let batch = pb::BatchGiveVouchersRequest {
        shop_id: SHOP,
        app_order_id: "sixty".into(),
        product_code: "brief".into(),
        gifts: gifts.collect(),
        ..Default::default()
    };
    let mut vouchers = scene.client.vouchers();
    let given = vouchers
        .batch_give_vouchers(batch)
        .await
        .unwrap()
        .into_inner();
    let lines = given.order.unwrap().lines;
    let ids: Vec<i64> = lines
        .iter()
        .map(|line| line.voucher.as_ref().unwrap().voucher_id)
        .collect();
    let raw = scene.raw().await;
    sleep_until(&scene, end - 600_000).await;
    let mut calls = JoinSet::new();
    for (n, id) in ids.iter().enumerate() {
        let spend = scene.spending(ANNA, vec![all_of(*id)]);
        let client = scene.client.clone();
        // Twenty milliseconds apart, so that half of them start after the end.
        let start = Duration::from_millis(u64::try_from(n).unwrap() * 20);
        calls.spawn(async move {
            tokio::time::sleep(start).await;
            client.vouchers().spend_vouchers(spend).await
        });
    }
    sleep_until(&scene, end - 100_000).await;
    let held = raw.hold_table("voucher").await;
    sleep_until(&scene, end + 100_000).await;
    held.rollback().await.unwrap();
    let (mut spent, mut expired) = (0, 0);
    while let Some(done) = calls.join_next().await {
        match done.unwrap() {
            Ok(answer) => {
                let made = answer.into_inner().order.unwrap().create_time.unwrap();
                let micros = made.seconds * 1_000_000 + i64::from(made.nanos) / 1_000;
                assert!(micros < end, "{micros} is not before {end}");
                spent += 1;
            }
            Err(status) => {
                assert!(causes(&status)[0].contains("cause=EXPIRED"), "{status:?}");
                expired += 1;
            }
        }
    }
    assert!(
        spent > 0 && expired > 10,
        "{spent} spent, {expired} expired"
    );
    let count = "SELECT COUNT(*) FROM voucher_redemption";
    assert_eq!(raw.number(count).await, spent);
    scene.close().await;
}
