//! How fast vouchers are given and spent, as a ratio to a bare script that sends the
//! same statements to the same database, a transaction for each order.
//!
//! `scripts/measure --vouchers` runs it; docs/measurements.md keeps the result. Each
//! rate is the middle one of three, the service and the script taking turns, and in the
//! end `verify` holds over the rows of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};
use hongbao::grpc::pb;
use tokio::task::JoinSet;

use super::{Scene, all_of, owner};
use crate::support::{Raw, SHOP, TestDb};

/// Callers of the service at once.
const CALLERS: usize = 64;
/// How long each rate is taken.
const TAKE: Duration = Duration::from_secs(5);
/// People who get vouchers.
const PEOPLE: usize = 1_000;
/// Where the script's own ids begin.
const FIRST: i64 = 100_000_000;

#[test]
#[ignore = "two minutes long; run by scripts/measure --vouchers"]
fn sqlite() {
    block_on(measure(TestDb::sqlite()));
}

#[test]
#[ignore = "two minutes long; run by scripts/measure --vouchers"]
fn postgres() {
    block_on(measure(TestDb::postgres()));
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(test);
}

fn mobile(n: usize) -> String {
    format!("139{:08}", n % PEOPLE)
}

fn per_second(done: u128, since: Instant) -> u128 {
    done * 1_000 / since.elapsed().as_millis()
}

/// Gives vouchers to everybody in turn; their ids and numbers.
async fn stock_up(scene: &Scene, count: usize) -> Vec<(i64, String)> {
    let mut stock = Vec::with_capacity(count);
    while stock.len() < count {
        let first = stock.len();
        let gifts = (first..first + 1_000).map(|n| pb::VoucherGift {
            owner: owner(&mobile(n)),
            face_fen: 0,
        });
        let batch = pb::BatchGiveVouchersRequest {
            shop_id: SHOP,
            app_order_id: scene.client.fresh(),
            product_code: "hot".into(),
            gifts: gifts.collect(),
            ..Default::default()
        };
        let given = scene
            .client
            .vouchers()
            .batch_give_vouchers(batch)
            .await
            .unwrap();
        for (at, line) in given.into_inner().order.unwrap().lines.iter().enumerate() {
            stock.push((
                line.voucher.as_ref().unwrap().voucher_id,
                mobile(first + at),
            ));
        }
    }
    stock
}

/// Calls a second by many callers at once.
async fn of_service(
    scene: &Scene,
    stock: Option<Arc<Vec<(i64, String)>>>,
    next: Arc<AtomicUsize>,
) -> u128 {
    let (mut callers, since) = (JoinSet::new(), Instant::now());
    for _ in 0..CALLERS {
        let (client, stock, next) = (scene.client.clone(), stock.clone(), Arc::clone(&next));
        callers.spawn(async move {
            let mut done = 0;
            while since.elapsed() < TAKE {
                let n = next.fetch_add(1, Ordering::Relaxed);
                match &stock {
                    None => {
                        let gift = pb::GiveVoucherRequest {
                            shop_id: SHOP,
                            app_order_id: client.fresh(),
                            product_code: "hot".into(),
                            owner: owner(&mobile(n)),
                            remark: "measured".into(),
                            ..Default::default()
                        };
                        client.vouchers().give_voucher(gift).await.unwrap();
                    }
                    Some(stock) => {
                        let (id, whose) = &stock[n];
                        let spend = pb::SpendVouchersRequest {
                            shop_id: SHOP,
                            app_order_id: client.fresh(),
                            owner: owner(whose),
                            uses: vec![all_of(*id)],
                            remark: "measured".into(),
                            ..Default::default()
                        };
                        client.vouchers().spend_vouchers(spend).await.unwrap();
                    }
                }
                done += 1;
            }
            done
        });
    }
    per_second(callers.join_all().await.into_iter().sum(), since)
}

/// What the script knows.
struct Script {
    postgres: bool,
    product: i64,
    next: AtomicI64,
}

impl Script {
    fn words(&self) -> (&'static str, &'static str, &'static str) {
        match self.postgres {
            true => (
                "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT",
                "'\\x00'",
                " FOR SHARE",
            ),
            false => (
                "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
                "x'00'",
                "",
            ),
        }
    }

    /// The statements before anything is judged.
    async fn begin(&self, raw: &Raw, id: i64, method: &str, person: i64) -> i64 {
        let (clock, bytes, share) = self.words();
        raw.run(if self.postgres {
            "BEGIN"
        } else {
            "BEGIN IMMEDIATE"
        })
        .await;
        let now = raw.number(clock).await;
        raw.run(&format!("INSERT INTO request (app_id, request_id, method, shop_id, fingerprint, resource_id, reply, actor, create_time)
            VALUES (1, 'script-{id}', '{method}', 1, {bytes}, {id}, NULL, 'app:admin', {now}) ON CONFLICT (app_id, request_id) DO NOTHING")).await;
        raw.numbers("SELECT subject FROM stop WHERE (scope = 'EVERYTHING' OR (scope = 'SHOP' AND subject = 1)) AND stopped").await;
        raw.numbers(&format!(
            "SELECT id FROM recipient WHERE shop_id = 1 AND id = {person}"
        ))
        .await;
        raw.numbers(&format!(
            "SELECT id FROM recipient WHERE id = {person} ORDER BY id{share}"
        ))
        .await;
        raw.number(clock).await
    }

    async fn order(&self, raw: &Raw, id: i64, kind: &str, state: &str, now: i64) {
        let undo = if kind == "SPEND" {
            (now + 1_000_000).to_string()
        } else {
            "NULL".to_owned()
        };
        raw.run(&format!("INSERT INTO voucher_order (id, shop_id, app_id, app_order_id, kind, state, associated_order_id, remark, amount_fen, hold_until, undo_until, create_time, update_time)
            VALUES ({id}, 1, 1, 'script-{id}', '{kind}', '{state}', '', 'measured', 10000, NULL, {undo}, {now}, {now})")).await;
    }

    async fn journal(
        &self,
        raw: &Raw,
        (voucher, order, seq): (i64, i64, i64),
        (kind, from, to): (&str, &str, &str),
        (debit, credit): (&str, &str),
        now: i64,
    ) {
        let product = self.product;
        raw.run(&format!("INSERT INTO journal (aggregate, aggregate_id, seq, line, shop_id, campaign_id, product_id, order_id, kind, from_state, to_state, debit_account, credit_account, amount_fen, reason, actor, create_time)
            VALUES ('VOUCHER', {voucher}, {seq}, 0, 1, NULL, {product}, {order}, '{kind}', {from}, '{to}', '{debit}', '{credit}', 10000, NULL, 'app:admin', {now})")).await;
    }

    /// Reads an order back, as its reply does.
    async fn reply(&self, raw: &Raw, order: i64, voucher: i64, person: i64) {
        raw.numbers(&format!(
            "SELECT id FROM voucher_order WHERE id IN ({order})"
        ))
        .await;
        raw.numbers(&format!("SELECT id FROM voucher WHERE id IN ({voucher})"))
            .await;
        raw.numbers(&format!(
            "SELECT id FROM voucher_product WHERE id IN ({})",
            self.product
        ))
        .await;
        raw.numbers(&format!("SELECT id FROM recipient WHERE id IN ({person})"))
            .await;
    }

    async fn give(&self, raw: &Raw, person: i64) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let product = self.product;
        raw.numbers(&format!(
            "SELECT id FROM voucher_product WHERE shop_id = 1 AND code = 'hot' AND id = {product}"
        ))
        .await;
        let now = self.begin(raw, id, "GiveVoucher", person).await;
        self.order(raw, id, "GIVE", "GIVEN", now).await;
        let end = now + 864_000_000_000;
        raw.run(&format!("INSERT INTO voucher (id, shop_id, product_id, recipient_id, state, face_fen, balance_fen, start_time, end_time, code_cipher, code_index, give_order_id, give_line, hold_order_id, redemption_count, version, create_time, update_time)
            VALUES ({id}, 1, {product}, {person}, 'ISSUED', 10000, 10000, NULL, {end}, NULL, NULL, {id}, 0, NULL, 0, 1, {now}, {now})")).await;
        self.journal(
            raw,
            (id, id, 1),
            ("GIVEN", "NULL", "ISSUED"),
            ("AVAILABLE", "LIABILITY"),
            now,
        )
        .await;
        let day = (now + 28_800_000_000) / 86_400_000_000;
        raw.run(&format!("INSERT INTO cap_usage (owner, owner_id, scope, subject, day, used_count, used_fen, limit_count, limit_fen)
            VALUES ('PRODUCT', {product}, 'DAY', 0, {day}, 1, 10000, NULL, NULL)
            ON CONFLICT (owner, owner_id, scope, subject, day) DO UPDATE SET used_count = cap_usage.used_count + 1, used_fen = cap_usage.used_fen + 10000")).await;
        raw.run(&format!("UPDATE voucher_product SET debited_fen = debited_fen + 10000, issued_count = issued_count + 1
            WHERE id = {product} AND state = 'ACTIVE' AND granted_fen - defunded_fen - debited_fen + credited_fen >= 10000")).await;
        self.reply(raw, id, id, person).await;
        raw.run("COMMIT").await;
    }

    async fn spend(&self, raw: &Raw, voucher: i64, person: i64) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let product = self.product;
        let update = if self.postgres { " FOR UPDATE" } else { "" };
        let now = self.begin(raw, id, "SpendVouchers", person).await;
        raw.numbers(&format!(
            "SELECT id FROM voucher WHERE id IN ({voucher}) ORDER BY id{update}"
        ))
        .await;
        raw.numbers(&format!(
            "SELECT id FROM voucher_product WHERE id = {product}"
        ))
        .await;
        self.order(raw, id, "SPEND", "SPENT", now).await;
        raw.run(&format!("UPDATE voucher SET state = 'SPENT', balance_fen = 0, redemption_count = redemption_count + 1, version = version + 1, update_time = {now}
            WHERE id = {voucher} AND version = 1")).await;
        raw.run(&format!("INSERT INTO voucher_redemption (voucher_id, redemption_no, order_id, line, amount_fen, state, create_time)
            VALUES ({voucher}, 1, {id}, 0, 10000, 'SPENT', {now})")).await;
        self.journal(
            raw,
            (voucher, id, 2),
            ("SPENT", "'ISSUED'", "SPENT"),
            ("LIABILITY", "REDEEMED"),
            now,
        )
        .await;
        raw.run(&format!("UPDATE voucher_product SET redeemed_fen = redeemed_fen + 10000 WHERE id = {product} AND state IN ('ACTIVE', 'ENDED')")).await;
        self.reply(raw, id, voucher, person).await;
        raw.run("COMMIT").await;
    }
}

/// Transactions a second of the script, on as many connections as the service has, or
/// on the one that SQLite lets write.
async fn of_script(
    script: &Arc<Script>,
    url: &str,
    people: &Arc<Vec<i64>>,
    stock: Option<Arc<Vec<(i64, i64)>>>,
    next: &Arc<AtomicUsize>,
) -> u128 {
    let connections = if script.postgres { 8 } else { 1 };
    let mut raws = Vec::new();
    for _ in 0..connections {
        raws.push(Raw::connect(url).await);
    }
    let (mut tasks, since) = (JoinSet::new(), Instant::now());
    for raw in raws {
        let (script, people) = (Arc::clone(script), Arc::clone(people));
        let (stock, next) = (stock.clone(), Arc::clone(next));
        tasks.spawn(async move {
            let mut done = 0;
            while since.elapsed() < TAKE {
                let n = next.fetch_add(1, Ordering::Relaxed);
                match &stock {
                    None => script.give(&raw, people[n % people.len()]).await,
                    Some(stock) => script.spend(&raw, stock[n].0, stock[n].1).await,
                }
                done += 1;
            }
            raw.close().await;
            done
        });
    }
    per_second(tasks.join_all().await.into_iter().sum(), since)
}

async fn measure(db: TestDb) {
    let scene = Scene::open(db).await;
    let product = scene.product("hot").await;
    scene.fund(product, 100_000_000_000).await;
    let postgres = scene.app.db.is_postgres();
    // More than three takes can spend.
    let stock = if postgres { 60_000 } else { 200_000 };
    let mine = Arc::new(stock_up(&scene, stock).await);
    let raw = scene.raw().await;
    if postgres {
        raw.run("ANALYZE").await;
    }
    let people = Arc::new(raw.numbers("SELECT id FROM recipient ORDER BY id").await);
    let theirs = stock_up(&scene, stock).await;
    let owners = raw
        .numbers(&format!(
            "SELECT recipient_id FROM voucher WHERE id >= {} ORDER BY id",
            theirs[0].0
        ))
        .await;
    let theirs = Arc::new(
        theirs
            .iter()
            .map(|(id, _)| *id)
            .zip(owners)
            .collect::<Vec<_>>(),
    );
    let script = Arc::new(Script {
        postgres,
        product,
        next: AtomicI64::new(FIRST),
    });
    let url = scene.app.db.url.clone();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "orders a second",
        "service",
        "script",
        "ratio",
    ]);
    let counter = || Arc::new(AtomicUsize::new(0));
    let (given, scripted, spent, paid) = (counter(), counter(), counter(), counter());
    for (name, is_gift) in [("give", true), ("spend", false)] {
        let (mut service, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let stock = (!is_gift).then(|| Arc::clone(&mine));
            let next = if is_gift { &given } else { &spent };
            service.push(of_service(&scene, stock, Arc::clone(next)).await);
            let stock = (!is_gift).then(|| Arc::clone(&theirs));
            let next = if is_gift { &scripted } else { &paid };
            bare.push(of_script(&script, &url, &people, stock, next).await);
        }
        let middle = |rates: &mut Vec<u128>| {
            rates.sort_unstable();
            rates[1]
        };
        let (service, bare) = (middle(&mut service), middle(&mut bare));
        table.add_row([
            name.to_owned(),
            service.to_string(),
            bare.to_string(),
            format!("{}.{:02}", service / bare, service * 100 / bare % 100),
        ]);
    }
    println!(
        "\n{}: {CALLERS} callers",
        if postgres { "PostgreSQL" } else { "SQLite" }
    );
    println!("{table}");
    scene.close().await;
}
