//! What one packet costs in rows and bytes: one batch of 1,000, from the call to
//! the recipient, through the real binary, with a provider that behaves.
//!
//! `scripts/measure` runs it; docs/measurements.md keeps the result. The batch is
//! accepted by a server that does not dispatch and sent by a second one, so that
//! the two halves can be told apart.

mod group;
mod lists;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};
use hongbao::grpc::pb;

use crate::chaos::journal::{openid_of, uid_of};
use crate::chaos::process::{Provider, Server};
use crate::chaos::rng::Rng;
use crate::chaos::watch::Rows;
use crate::support::{Client, TestDb};

const SHOP: i64 = 1;
const PACKETS: u64 = 1_000;
/// PostgreSQL's backends tell what they wrote after being idle for this long.
const STATISTICS_LAG: Duration = Duration::from_secs(11);

const TABLES: &[&str] = &[
    "issuance_batch",
    "issuance",
    "attempt",
    "provider_exchange",
    "journal",
    "request",
    "campaign",
    "id_block",
];

#[test]
#[ignore = "a minute long; run by scripts/measure"]
fn sqlite() {
    block_on(measure(TestDb::sqlite()));
}

#[test]
#[ignore = "a minute long; run by scripts/measure"]
fn postgres() {
    block_on(measure(TestDb::postgres()));
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(300), test)
            .await
            .expect("the measurement hangs");
    });
}

/// What stands in the database at an instant.
#[derive(Clone, Debug, Default)]
struct Snapshot {
    rows: BTreeMap<&'static str, i64>,
    /// Rows inserted and updated so far; PostgreSQL only.
    written: BTreeMap<String, (i64, i64)>,
    /// Bytes of a table with its indexes; PostgreSQL only.
    table_bytes: BTreeMap<String, i64>,
    size: i64,
    wal: i64,
}

async fn snapshot(rows: &Rows, postgres: bool) -> Snapshot {
    let mut seen = Snapshot::default();
    for table in TABLES {
        let sql = format!("SELECT COUNT(*) AS n FROM {table}");
        seen.rows.insert(table, rows.number(&sql).await);
    }
    if postgres {
        tokio::time::sleep(STATISTICS_LAG).await;
        let inserted = "SELECT relname::TEXT AS name, n_tup_ins AS n FROM pg_stat_user_tables";
        let updated = "SELECT relname::TEXT AS name, n_tup_upd AS n FROM pg_stat_user_tables";
        let bytes = "SELECT relname::TEXT AS name, pg_total_relation_size(relid) AS n FROM pg_stat_user_tables";
        for (name, n) in rows.named(inserted).await {
            seen.written.entry(name).or_default().0 = n;
        }
        for (name, n) in rows.named(updated).await {
            seen.written.entry(name).or_default().1 = n;
        }
        seen.table_bytes = rows.named(bytes).await.into_iter().collect();
        seen.size = rows
            .number("SELECT pg_database_size(current_database()) AS n")
            .await;
        seen.wal = rows
            .number("SELECT (pg_current_wal_lsn() - '0/0')::BIGINT AS n")
            .await;
    } else {
        rows.checkpoint().await;
        seen.size = rows
            .number(
                "SELECT page_count * page_size AS n FROM pragma_page_count(), pragma_page_size()",
            )
            .await;
    }
    seen
}

async fn measure(db: TestDb) {
    let postgres = db.is_postgres();
    let folder = db.folder.path().to_owned();
    let mut rng = Rng::new(u64::from(std::process::id()));
    hongbao::app::write_key_file(&folder.join("keys.toml")).unwrap();
    let provider = Provider::start(&folder, 1, false);
    let mut server = |name: &str| Server::new(&folder, name, &db.url, &provider, &mut rng);
    let (mut accepting, mut sending) = (server("accepting"), server("sending"));
    let key = accepting.create_app();
    accepting.start_with(&[("HONGBAO__DISPATCHER__ENABLED", "false")]);
    accepting.ready().await;
    let client = Client::connect(accepting.addr, &key).await;
    let campaign = prepare(&client, &provider).await;
    let rows = Rows::connect(&db).await;

    let before = snapshot(&rows, postgres).await;
    let written = accepting.bytes_written();
    let since = Instant::now();
    send(&client, campaign).await;
    let accept_time = since.elapsed();
    let accept_bytes = accepting.bytes_written() - written;
    let accepted = snapshot(&rows, postgres).await;
    accepting.kill();

    sending.start();
    sending.ready().await;
    let written = sending.bytes_written();
    let since = Instant::now();
    while rows.open().await > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let send_time = since.elapsed();
    let send_bytes = sending.bytes_written() - written;
    let ended = snapshot(&rows, postgres).await;
    sending.kill();

    println!(
        "\n{}: one batch of {PACKETS}; accepted in {} ms, every packet ended {} ms later",
        if postgres { "PostgreSQL" } else { "SQLite" },
        accept_time.as_millis(),
        send_time.as_millis()
    );
    println!("{}", per_table(&before, &accepted, &ended));
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "bytes per packet",
        "to accept",
        "to send and follow",
        "in all",
    ]);
    let mut line = |name: &str, accept: i64, send: i64| {
        let per = |n: i64| (n / i64::try_from(PACKETS).unwrap()).to_string();
        table.add_row([name.to_owned(), per(accept), per(send), per(accept + send)]);
    };
    line(
        "growth of the database",
        accepted.size - before.size,
        ended.size - accepted.size,
    );
    if postgres {
        line("WAL", accepted.wal - before.wal, ended.wal - accepted.wal);
    } else {
        line("written to the disk by `serve`", accept_bytes, send_bytes);
    }
    println!("{table}");
}

fn per_table(before: &Snapshot, accepted: &Snapshot, ended: &Snapshot) -> Table {
    let mut header = vec![
        "per 1,000 packets",
        "rows after accepting",
        "rows at the end",
    ];
    if !ended.written.is_empty() {
        header.extend(["inserts", "updates", "KiB with indexes"]);
    }
    let mut table = Table::new();
    let columns = header.len() - 1;
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    let mut sums = [0; 5];
    for name in TABLES {
        let written = |seen: &Snapshot| seen.written.get(*name).copied().unwrap_or_default();
        let bytes = |seen: &Snapshot| seen.table_bytes.get(*name).copied().unwrap_or_default();
        let cells = [
            accepted.rows[name] - before.rows[name],
            ended.rows[name] - before.rows[name],
            written(ended).0 - written(before).0,
            written(ended).1 - written(before).1,
            (bytes(ended) - bytes(before)) / 1_024,
        ];
        for (sum, cell) in sums.iter_mut().zip(cells) {
            *sum += cell;
        }
        table.add_row(row(name, &cells[..columns]));
    }
    table.add_row(row("all", &sums[..columns]));
    table
}

fn row(name: &str, cells: &[i64]) -> Vec<String> {
    let cells = cells.iter().map(i64::to_string);
    std::iter::once(name.to_owned()).chain(cells).collect()
}

async fn prepare(client: &Client, provider: &Provider) -> i64 {
    client.make_shop(SHOP).await;
    let account = client
        .make_account(&provider.mch_id, &provider.appid, &[SHOP])
        .await;
    let people: Vec<(String, String)> = (0..PACKETS)
        .map(|person| (uid_of(person), openid_of(person)))
        .collect();
    client.make_people(SHOP, &provider.appid, &people).await;
    let draft = client.draft(SHOP, account, "measured");
    client.make_campaign(draft, 10_000_000).await
}

async fn send(client: &Client, campaign_id: i64) {
    let request = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: "measured".into(),
        campaign_id,
        uids: (0..PACKETS).map(uid_of).collect(),
        source: pb::IssuanceSource::Lottery.into(),
        ..Default::default()
    };
    client.issuances().send_to_users(request).await.unwrap();
}
