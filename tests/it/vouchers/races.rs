//! Many who want the same vouchers at once, on PostgreSQL through three servers.
//!
//! `scripts/voucher-races` runs the long ones; the short ones are in every run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hongbao::app::{self, Running};
use hongbao::grpc::pb;
use tokio::task::JoinSet;

use super::{Scene, all_of, order_ref, owner};
use crate::chaos::rng::Rng;
use crate::support::{Client, SHOP, TestDb, block_on_long, on_both, reason};

on_both!(overlapping_sets_are_spent_whole, an_order_is_undone_once);

const ANNA: &str = "13912345678";

async fn overlapping_sets_are_spent_whole(db: TestDb) {
    race(db, 12, 200, 300).await;
}

async fn an_order_is_undone_once(db: TestDb) {
    undo_twice(db, 25).await;
}

#[test]
#[ignore = "many minutes long; run by scripts/voucher-races"]
fn a_hundred_thousand_spends_sqlite() {
    block_on_long(race(TestDb::sqlite(), 50, 4_000, 100_000));
}

#[test]
#[ignore = "many minutes long; run by scripts/voucher-races"]
fn a_hundred_thousand_spends_postgres() {
    block_on_long(race(TestDb::postgres(), 50, 4_000, 100_000));
}

#[test]
#[ignore = "a minute long; run by scripts/voucher-races"]
fn five_hundred_undone_twice_sqlite() {
    block_on_long(undo_twice(TestDb::sqlite(), 500));
}

#[test]
#[ignore = "a minute long; run by scripts/voucher-races"]
fn five_hundred_undone_twice_postgres() {
    block_on_long(undo_twice(TestDb::postgres(), 500));
}

/// What the clients know: who holds which voucher, by what they were answered.
#[derive(Default)]
struct Told {
    holders: Mutex<HashMap<i64, String>>,
    spent: AtomicU64,
    refused: AtomicU64,
    lines: AtomicU64,
}

/// Servers beside the first, where the database takes several. Within one server orders
/// take turns (`service/gather.rs`), so that only two of them meet at the database's locks.
struct Others(Vec<Running>);

impl Others {
    async fn start(scene: &Scene) -> Self {
        let count = if scene.app.db.is_postgres() { 2 } else { 0 };
        let mut servers = Vec::new();
        for _ in 0..count {
            servers.push(app::start(&scene.app.config).await.unwrap());
        }
        Self(servers)
    }

    /// A client of each server, the first's first.
    async fn clients(&self, scene: &Scene) -> Vec<Client> {
        let mut clients = vec![scene.client.clone()];
        for server in &self.0 {
            clients.push(Client::connect(server.grpc_addr, &scene.app.key).await);
        }
        clients
    }

    async fn stop(self) {
        for server in self.0 {
            server.shutdown().await;
        }
    }
}

/// Clients spend random sets of 1 to 20 of some vouchers, and undo most of what they
/// spent, until so many spends went through.
async fn race(db: TestDb, clients: usize, pool: usize, spends: u64) {
    let scene = Scene::open(db).await;
    let product = scene.product("raced").await;
    let ids = pool_of(&scene, pool).await;
    let (told, left) = (Arc::new(Told::default()), Arc::new(AtomicU64::new(spends)));
    let since = Instant::now();
    let others = Others::start(&scene).await;
    let doors = others.clients(&scene).await;
    let mut racers = JoinSet::new();
    for n in 0..clients {
        let (client, ids) = (doors[n % doors.len()].clone(), ids.clone());
        let (told, left) = (Arc::clone(&told), Arc::clone(&left));
        racers.spawn(async move {
            let mut rng = Rng::new(u64::try_from(n).unwrap() + 1);
            let mut round = 0;
            while left.load(Ordering::SeqCst) > 0 {
                round += 1;
                let order = format!("race-{n}-{round}");
                if spend_some(&client, &mut rng, &ids, &told, order).await {
                    let _ =
                        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
                }
            }
        });
    }
    let mut samples = 0;
    loop {
        let finished = tokio::time::timeout(Duration::from_secs(2), async {
            while let Some(done) = racers.join_next().await {
                done.unwrap();
            }
        });
        let over = finished.await.is_ok();
        let findings = scene.app.store().verify().await.unwrap();
        assert!(findings.is_empty(), "{findings:?}");
        samples += 1;
        if over {
            break;
        }
        if samples % 10 == 0 {
            println!(
                "{} spends are left after {:?}",
                left.load(Ordering::SeqCst),
                since.elapsed()
            );
        }
    }
    let (spent, refused) = (
        told.spent.load(Ordering::SeqCst),
        told.refused.load(Ordering::SeqCst),
    );
    println!(
        "{clients} clients over {pool} vouchers: {spent} spends went through with {} vouchers, {refused} were refused; {samples} samples of verify were clean; {:?}",
        told.lines.load(Ordering::SeqCst),
        since.elapsed()
    );
    assert!(spent >= spends && refused > 0, "{spent} {refused}");
    let (available, liability, redeemed) = scene.money(product).await;
    assert_eq!(available + liability + redeemed, 100_000_000);
    let holders = i64::try_from(told.holders.lock().unwrap().len()).unwrap();
    assert_eq!(redeemed, holders * 10_000);
    others.stop().await;
    no_ring(&scene).await;
    scene.close().await;
}

/// The database has seen nobody wait for each other in a ring. One that a retry rescues would
/// show in no answer.
async fn no_ring(scene: &Scene) {
    if !scene.app.db.is_postgres() {
        return;
    }
    let raw = scene.raw().await;
    // A server tells what it counted when it ends, or once a second.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(raw.number(counted).await, 0, "deadlocks");
    raw.close().await;
}

async fn pool_of(scene: &Scene, pool: usize) -> Vec<i64> {
    let mut ids = Vec::with_capacity(pool);
    while ids.len() < pool {
        ids.extend(some_of(scene, (pool - ids.len()).min(1_000)).await);
    }
    ids
}

async fn some_of(scene: &Scene, count: usize) -> Vec<i64> {
    let gifts = (0..count).map(|_| pb::VoucherGift {
        owner: owner(ANNA),
        face_fen: 0,
    });
    let batch = pb::BatchGiveVouchersRequest {
        shop_id: SHOP,
        app_order_id: scene.client.fresh(),
        product_code: "raced".into(),
        gifts: gifts.collect(),
        ..Default::default()
    };
    let given = scene
        .client
        .vouchers()
        .batch_give_vouchers(batch)
        .await
        .unwrap();
    let lines = given.into_inner().order.unwrap().lines;
    lines
        .iter()
        .map(|line| line.voucher.as_ref().unwrap().voucher_id)
        .collect()
}

async fn spend_some(
    client: &Client,
    rng: &mut Rng,
    ids: &[i64],
    told: &Told,
    order: String,
) -> bool {
    let mut set = std::collections::BTreeSet::new();
    let count = 1 + usize::try_from(rng.below(20)).unwrap();
    while set.len() < count {
        set.insert(ids[usize::try_from(rng.below(u64::try_from(ids.len()).unwrap())).unwrap()]);
    }
    let mut set: Vec<i64> = set.into_iter().collect();
    // Each in an order of his own, so that locks in the order of the call would ring.
    for at in (1..set.len()).rev() {
        set.swap(
            at,
            usize::try_from(rng.below(u64::try_from(at + 1).unwrap())).unwrap(),
        );
    }
    let spend = pb::SpendVouchersRequest {
        shop_id: SHOP,
        app_order_id: order.clone(),
        owner: owner(ANNA),
        uses: set.iter().map(|id| all_of(*id)).collect(),
        ..Default::default()
    };
    let done = match client.vouchers().spend_vouchers(spend).await {
        Ok(done) => done.into_inner().order.unwrap(),
        Err(status) => {
            assert_eq!(reason(&status), "VOUCHER_NOT_USABLE", "{status:?}");
            told.refused.fetch_add(1, Ordering::SeqCst);
            return false;
        }
    };
    assert_eq!(done.lines.len(), set.len(), "an order is whole");
    told.spent.fetch_add(1, Ordering::SeqCst);
    told.lines
        .fetch_add(u64::try_from(set.len()).unwrap(), Ordering::SeqCst);
    {
        let mut holders = told.holders.lock().unwrap();
        for id in &set {
            let other = holders.insert(*id, order.clone());
            assert_eq!(
                other, None,
                "voucher {id} is in two orders, {order} is the second"
            );
        }
    }
    if rng.below(20) == 0 && told.holders.lock().unwrap().len() < ids.len() / 50 {
        return true;
    }
    {
        let mut holders = told.holders.lock().unwrap();
        for id in &set {
            holders.remove(id);
        }
    }
    let undo = pb::UndoSpendRequest {
        shop_id: SHOP,
        request_id: format!("undo-{order}"),
        order: order_ref(done.order_id),
        ..Default::default()
    };
    client.vouchers().undo_spend(undo).await.unwrap();
    true
}

/// Every order is undone by two calls at once, and everything can be spent again.
async fn undo_twice(db: TestDb, orders: usize) {
    let scene = Scene::open(db).await;
    let product = scene.product("raced").await;
    let ids = pool_of(&scene, orders * 2).await;
    let before = scene.money(product).await;
    let mut spent = Vec::new();
    for pair in ids.chunks(2) {
        spent.push(scene.spend(ANNA, pair).await.unwrap().order_id);
    }
    let others = Others::start(&scene).await;
    let doors = others.clients(&scene).await;
    let mut calls = JoinSet::new();
    for order in &spent {
        for n in 0..2 {
            let undo = pb::UndoSpendRequest {
                shop_id: SHOP,
                request_id: scene.client.fresh(),
                order: order_ref(*order),
                ..Default::default()
            };
            let client = doors[n % doors.len()].clone();
            calls.spawn(async move { client.vouchers().undo_spend(undo).await });
        }
    }
    let (mut undone, mut refused) = (0, 0);
    while let Some(done) = calls.join_next().await {
        match done.unwrap() {
            Ok(_) => undone += 1,
            Err(status) => {
                assert_eq!(reason(&status), "ORDER_STATE", "{status:?}");
                refused += 1;
            }
        }
    }
    assert_eq!((undone, refused), (orders, orders));
    assert_eq!(scene.money(product).await, before);
    for pair in ids.chunks(2) {
        scene.spend(ANNA, pair).await.unwrap();
    }
    others.stop().await;
    println!(
        "{orders} orders undone twice at once: {undone} succeeded, {refused} were refused; all spent again"
    );
    scene.close().await;
}
