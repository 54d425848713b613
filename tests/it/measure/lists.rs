//! Every filter of the lists over 10,000,000 packets on PostgreSQL: how long a first
//! and a deep page take, which index serves them, and that nothing scans the table.
//!
//! `scripts/measure --lists` runs it in a release build; docs/measurements.md keeps
//! the result. The rows are made by SQL; the pages are read by the store, as the
//! server reads them; the plans are those that PostgreSQL itself logged (auto_explain)
//! for these very statements.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};
use hongbao::domain::amount::AmountType;
use hongbao::domain::id::{BatchId, CampaignId, GroupId, ShopId};
use hongbao::domain::search::Keyword;
use hongbao::domain::source::Source;
use hongbao::domain::text::Uid;
use hongbao::domain::{State, Timestamp};
use hongbao::grpc::pb;
use hongbao::store::list::{BatchFilter, Filter, Order, Part, Place};
use serde_json::Value;

use crate::support::{Options, Raw, SHOP, Server, TestApp, TestDb};

/// 2026-01-01, and a year of packets from there on, evenly.
const START: i64 = 1_767_225_600_000_000;
const YEAR: i64 = 365 * 86_400 * 1_000_000;
const PAGE: u64 = 50;

#[test]
#[ignore = "many minutes and 10 GB; run by scripts/measure --lists"]
fn pages_of_ten_million() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(3_600), measure())
            .await
            .expect("the measurement hangs");
    });
}

fn rows() -> i64 {
    std::env::var("ROWS").map_or(10_000_000, |text| text.parse().unwrap())
}

async fn measure() {
    let db = TestDb::postgres();
    let name = db.url.rsplit_once('/').unwrap().1.to_owned();
    let options = Options {
        dispatcher: false,
        time_scale: 1,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let since = Instant::now();
    make_things(&app).await;
    let raw = Raw::open(&app.db).await;
    make_rows(&raw).await;
    println!("made {} packets in {:.0?}", rows(), since.elapsed());
    // From here on PostgreSQL logs the plan of each statement of new connections.
    for (setting, value) in [
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_analyze", "on"),
        ("auto_explain.log_format", "json"),
    ] {
        let sql = format!("ALTER DATABASE {name} SET {setting} = '{value}'");
        Server::shared().sql("postgres", &sql);
    }
    let app = app.restart(|_| ()).await;
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "filter and order",
        "rows",
        "first page, ms",
        "deep page, ms",
        "total, ms",
        "rows read for a page",
        "served by",
    ]);
    // A place half-way down the list: of the year, or of the hours that the filter allows.
    let deep = |order: Order, from: Option<Timestamp>| {
        let middle = from.map_or(START + YEAR / 2, |from| from.0 + 1_800_000_000);
        Place(match order {
            Order::NewestFirst | Order::OldestFirst => vec![middle, i64::MAX / 2],
            Order::LargestFirst | Order::SmallestFirst => vec![150, middle, i64::MAX / 2],
        })
    };
    for (label, filter, order) in cases() {
        let first = page(&app, &filter, order, None).await;
        let later = page(&app, &filter, order, Some(deep(order, filter.from))).await;
        let since = Instant::now();
        let part = Part {
            size: 1,
            ..Part::default()
        };
        let listed = app.store().issuances(ShopId(SHOP), &filter, &part, true);
        let total = listed.await.unwrap().total.unwrap();
        let counted = since.elapsed();
        table.add_row([
            label.to_owned(),
            total.to_string(),
            ms(first.took),
            ms(later.took),
            ms(counted),
            format!("{} / {}", first.read, later.read),
            first
                .indexes
                .union(&later.indexes)
                .cloned()
                .collect::<Vec<_>>()
                .join(", "),
        ]);
    }
    println!("{table}");
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "batches",
        "rows",
        "first page, ms",
        "deep page, ms",
        "rows read",
        "served by",
    ]);
    for (label, filter) in batch_cases() {
        let first = batch_page(&app, &filter, None).await;
        let later = batch_page(&app, &filter, Some(deep(Order::NewestFirst, filter.from))).await;
        let part = Part {
            size: 1,
            ..Part::default()
        };
        let listed = app
            .store()
            .batches(ShopId(SHOP), &filter, &part, true)
            .await;
        table.add_row([
            label.to_owned(),
            listed.unwrap().total.unwrap().to_string(),
            ms(first.took),
            ms(later.took),
            format!("{} / {}", first.read, later.read),
            first
                .indexes
                .union(&later.indexes)
                .cloned()
                .collect::<Vec<_>>()
                .join(", "),
        ]);
    }
    println!("{table}");
    app.stop().await;
}

fn ms(took: Duration) -> String {
    let tenths = took.as_micros() / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn cases() -> Vec<(&'static str, Filter, Order)> {
    let all = Filter::default;
    let newest = Order::NewestFirst;
    let keyword = |text: &str| Some(Keyword::parse(text).unwrap());
    let campaign = Some(CampaignId(3));
    let batch = Some(BatchId(500));
    let states = |states: &[State]| Filter {
        states: states.to_vec(),
        ..Filter::default()
    };
    vec![
        ("none", all(), newest),
        ("none, oldest first", all(), Order::OldestFirst),
        ("campaign", Filter { campaign, ..all() }, newest),
        ("batch", Filter { batch, ..all() }, newest),
        (
            "status 1: FAILED, CANCELLED",
            states(&[State::Failed, State::Cancelled]),
            newest,
        ),
        (
            "status 2: SENT, REFUNDING",
            states(&[State::Sent, State::Refunding]),
            newest,
        ),
        ("status 3: RECEIVED", states(&[State::Received]), newest),
        ("status 4: REFUNDED", states(&[State::Refunded]), newest),
        (
            "status 5: QUEUED, SENDING, UNKNOWN, REVIEW",
            states(&[State::Queued, State::Sending, State::Unknown, State::Review]),
            newest,
        ),
        (
            "type 1: FIXED",
            Filter {
                amount_type: Some(AmountType::Fixed),
                ..all()
            },
            newest,
        ),
        (
            "type 2: RANDOM",
            Filter {
                amount_type: Some(AmountType::Random),
                ..all()
            },
            newest,
        ),
        (
            "source: MANUAL (most)",
            Filter {
                source: Some(Source::Manual),
                ..all()
            },
            newest,
        ),
        (
            "source: GAME (few)",
            Filter {
                source: Some(Source::Game),
                ..all()
            },
            newest,
        ),
        (
            "keyword: a campaign",
            Filter {
                keyword: keyword("大派送7"),
                ..all()
            },
            newest,
        ),
        (
            "keyword: 5 nicknames",
            Filter {
                keyword: keyword("特别的名字"),
                ..all()
            },
            newest,
        ),
        (
            "keyword: 9,999 nicknames",
            Filter {
                keyword: keyword("王五"),
                ..all()
            },
            newest,
        ),
        (
            "keyword in a batch: nickname",
            Filter {
                batch,
                batch_keyword: keyword("特别的名字"),
                ..all()
            },
            newest,
        ),
        (
            "keyword in a batch: last four digits",
            Filter {
                batch,
                batch_keyword: keyword("0001"),
                ..all()
            },
            newest,
        ),
        (
            "creation time: an hour",
            Filter {
                from: Some(Timestamp(START + YEAR / 3)),
                to: Some(Timestamp(START + YEAR / 3 + 3_600_000_000)),
                ..all()
            },
            newest,
        ),
        (
            "uid",
            Filter {
                uid: Uid::parse("special-1"),
                ..all()
            },
            newest,
        ),
        (
            "campaign, largest first",
            Filter { campaign, ..all() },
            Order::LargestFirst,
        ),
        (
            "batch, smallest first",
            Filter { batch, ..all() },
            Order::SmallestFirst,
        ),
        (
            "campaign, status 1 and source",
            Filter {
                campaign,
                states: vec![State::Failed, State::Cancelled],
                source: Some(Source::Lottery),
                ..all()
            },
            newest,
        ),
    ]
}

fn batch_cases() -> Vec<(&'static str, BatchFilter)> {
    let all = BatchFilter::default;
    let keyword = |text: &str| Some(Keyword::parse(text).unwrap());
    vec![
        ("none", all()),
        (
            "campaign",
            BatchFilter {
                campaign: Some(CampaignId(3)),
                ..all()
            },
        ),
        (
            "group",
            BatchFilter {
                group: Some(GroupId(7)),
                ..all()
            },
        ),
        (
            "keyword: a campaign",
            BatchFilter {
                keyword: keyword("大派送7"),
                ..all()
            },
        ),
        (
            "keyword: a group",
            BatchFilter {
                keyword: keyword("老客户 7"),
                ..all()
            },
        ),
        (
            "creation time: a day",
            BatchFilter {
                from: Some(Timestamp(START + YEAR / 3)),
                to: Some(Timestamp(START + YEAR / 3 + 86_400_000_000)),
                ..all()
            },
        ),
    ]
}

/// What a page cost.
struct Cost {
    took: Duration,
    /// Rows of the table that its plan touched.
    read: i64,
    indexes: BTreeSet<String>,
}

async fn page(app: &TestApp, filter: &Filter, order: Order, after: Option<Place>) -> Cost {
    let part = Part {
        order,
        after,
        skip: 0,
        size: PAGE,
    };
    // Once to warm the cache, then the best of three, and the plan of the last.
    let mut took = Duration::MAX;
    let mut mark = 0;
    for turn in 0..4 {
        mark = Server::shared().log_size();
        let since = Instant::now();
        let listed = app
            .store()
            .issuances(ShopId(SHOP), filter, &part, false)
            .await;
        listed.unwrap();
        if turn > 0 {
            took = took.min(since.elapsed());
        }
    }
    cost(took, mark, "issuance")
}

async fn batch_page(app: &TestApp, filter: &BatchFilter, after: Option<Place>) -> Cost {
    let part = Part {
        after,
        size: PAGE,
        ..Part::default()
    };
    let (mut took, mut mark) = (Duration::MAX, 0);
    for turn in 0..4 {
        mark = Server::shared().log_size();
        let since = Instant::now();
        let listed = app
            .store()
            .batches(ShopId(SHOP), filter, &part, false)
            .await;
        listed.unwrap();
        if turn > 0 {
            took = took.min(since.elapsed());
        }
    }
    cost(took, mark, "issuance_batch")
}

/// Reads the plans that were logged since `mark`.
fn cost(took: Duration, mark: usize, table: &str) -> Cost {
    let log = Server::shared().log_since(mark);
    let mut cost = Cost {
        took,
        read: 0,
        indexes: BTreeSet::new(),
    };
    let mut plans = 0;
    for text in log.split("plan:\n").skip(1) {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let Some(Ok(plan)) = values.next() else {
            continue;
        };
        let query = plan["Query Text"].as_str().unwrap_or_default();
        if query.starts_with("SELECT u.id AS id FROM") && query.contains(&format!("FROM {table} j"))
        {
            plans += 1;
            walk(&plan["Plan"], table, &mut cost);
        }
    }
    assert!(
        plans > 0,
        "no plan was logged: {}",
        &log[..log.len().min(2_000)]
    );
    cost
}

/// Looks at each node of a plan.
fn walk(node: &Value, table: &str, cost: &mut Cost) {
    let kind = node["Node Type"].as_str().unwrap_or_default();
    let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
    if node["Relation Name"] == table {
        assert_ne!(kind, "Seq Scan", "the table is scanned: {node:#}");
        let rows = to_i64(number("Actual Rows")) + to_i64(number("Rows Removed by Filter"));
        cost.read += rows * to_i64(number("Actual Loops"));
    }
    if let Some(index) = node["Index Name"].as_str() {
        cost.indexes.insert(index.to_owned());
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        walk(child, table, cost);
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "counts of rows"
)]
fn to_i64(rows: f64) -> i64 {
    rows.round() as i64
}

/// Twenty campaigns, five people with mobile numbers, by the API.
async fn make_things(app: &TestApp) {
    let client = &app.client;
    client.make_shop(SHOP).await;
    let mch_id = app.simulator.merchant().mch_id.clone();
    let account = client.make_account(&mch_id, &app.appid(), &[SHOP]).await;
    for n in 1..=20 {
        let mut draft = client.draft(SHOP, account, &format!("campaign-{n}"));
        draft.texts.as_mut().unwrap().act_name = format!("大派送{n}");
        if n % 2 == 0 {
            let amount = draft.amount.as_mut().unwrap();
            amount.r#type = pb::AmountType::Random.into();
            amount.max_fen = 200;
        }
        client.campaigns().create_campaign(draft).await.unwrap();
    }
    let people = (1..=5).map(|n| pb::RecipientInput {
        uid: format!("special-{n}"),
        nickname: format!("特别的名字{n}"),
        mobile: format!("1380000000{n}"),
        ..Default::default()
    });
    let request = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        recipients: people.collect(),
        ..Default::default()
    };
    client.audience().upsert_recipients(request).await.unwrap();
    for n in 1..=20 {
        let request = pb::UpsertGroupRequest {
            shop_id: SHOP,
            request_id: client.fresh(),
            wx_group_id: n,
            name: format!("老客户 {n}"),
            ..Default::default()
        };
        client.audience().upsert_group(request).await.unwrap();
    }
}

/// 100,000 people, 2,000 batches, and the packets, with the indexes taken away and
/// made again, for that is many times faster.
async fn make_rows(raw: &Raw) {
    raw.run("SET session_replication_role = replica").await;
    raw.run("SET maintenance_work_mem = '1GB'").await;
    raw.run(
        "INSERT INTO recipient (id, shop_id, uid, nickname, create_time, update_time)
         SELECT n, 1, 'u' || n, CASE WHEN n % 10 = 0 AND n < 199990 THEN '王五 ' ELSE '用户' END || n, 0, 0
         FROM generate_series(100001::bigint, 200000) n",
    )
    .await;
    raw.run(
        "INSERT INTO search_gram SELECT DISTINCT 1, 'RECIPIENT', substr(lower(r.nickname), at, len), r.id
         FROM recipient r, generate_series(1, 12) at, generate_series(1, 2) len
         WHERE r.id > 100000 AND at + len - 1 <= length(r.nickname)",
    )
    .await;
    raw.run(&format!(
        "INSERT INTO issuance_batch (id, shop_id, shop_sub_id, campaign_id, source, group_id, group_name, every_group,
           requested_count, refused_count, queued_count, sending_count, unknown_count, review_count, sent_count,
           received_count, refunding_count, refunded_count, failed_count, cancelled_count, amount_fen, create_time)
         SELECT n, 1, 0, n % 20 + 1, 'MANUAL', n % 20 + 1, '老客户 ' || (n % 20 + 1), FALSE,
           0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {START} + {YEAR} / 2000 * n
         FROM generate_series(1::bigint, 2000) n"
    ))
    .await;
    let indexes = raw
        .texts("SELECT indexdef FROM pg_indexes WHERE tablename = 'issuance' AND indexname <> 'issuance_pkey'")
        .await;
    for name in raw
        .texts("SELECT indexname::text FROM pg_indexes WHERE tablename = 'issuance' AND indexname <> 'issuance_pkey'")
        .await
    {
        raw.run(&format!("DROP INDEX {name}")).await;
    }
    let step = 1_000_000;
    for from in (1..=rows()).step_by(1_000_000) {
        let to = (from + step - 1).min(rows());
        raw.run(&insert(from, to)).await;
        println!("  {to} packets");
    }
    for index in indexes {
        raw.run(&index).await;
    }
    raw.run("VACUUM (ANALYZE) issuance").await;
    for table in ["recipient", "search_gram", "issuance_batch", "campaign"] {
        raw.run(&format!("ANALYZE {table}")).await;
    }
}

fn insert(from: i64, to: i64) -> String {
    let all = rows();
    format!(
        "INSERT INTO issuance (id, shop_id, campaign_id, campaign_revision, kind, total_num, shop_sub_id, batch_id,
           recipient_id, uid, app_id, request_id, account_id, appid, openid_cipher, openid_index, amount_fen, source,
           refunded_fen, received_fen, state, mch_billno, attempt_count, job, due_time, version, create_time, update_time)
         SELECT n, 1, n % 20 + 1, 1, 'NORMAL', 1, 0, n * 2000 / ({all} + 1) + 1,
           CASE WHEN n % 20000 = 19 THEN (SELECT id FROM recipient WHERE uid = 'special-' || (n / 20000 % 5 + 1))
             ELSE 100001 + (n * 7919) % 100000 END,
           CASE WHEN n % 20000 = 19 THEN 'special-' || (n / 20000 % 5 + 1) ELSE 'u' || (100001 + (n * 7919) % 100000) END,
           1, 'r' || n, 1, 'wx8888888888888888', decode(repeat('ab', 57), 'hex'), decode(md5('o' || n), 'hex'),
           100 + n % 101, CASE WHEN n % 10007 = 0 THEN 'GAME' WHEN n % 7 = 0 THEN 'LOTTERY' ELSE 'MANUAL' END,
           CASE WHEN s.state = 'REFUNDED' THEN 100 + n % 101 ELSE 0 END,
           CASE WHEN s.state = 'RECEIVED' THEN 100 + n % 101 ELSE 0 END,
           s.state, '1900000109' || lpad(n::text, 18, '0'), 1,
           CASE s.state WHEN 'SENT' THEN 'SYNC' WHEN 'REFUNDING' THEN 'SYNC' WHEN 'QUEUED' THEN 'SEND'
             WHEN 'UNKNOWN' THEN 'QUERY' WHEN 'REVIEW' THEN 'QUERY' END,
           CASE WHEN s.state IN ('SENT', 'REFUNDING', 'QUEUED', 'UNKNOWN', 'REVIEW') THEN 4102444800000000 END,
           1, {START} + {YEAR} / {all} * n, {START} + {YEAR} / {all} * n
         FROM generate_series({from}::bigint, {to}::bigint) n, LATERAL (SELECT CASE
           WHEN n % 100 < 80 THEN 'RECEIVED' WHEN n % 100 < 90 THEN 'REFUNDED' WHEN n % 100 < 95 THEN 'FAILED'
           WHEN n % 1000 < 990 THEN 'SENT' WHEN n % 5000 < 4999 THEN 'REFUNDING' WHEN n % 50000 = 49999 THEN 'UNKNOWN'
           WHEN n % 100000 = 4999 THEN 'REVIEW' ELSE 'QUEUED' END AS state) s"
    )
}
