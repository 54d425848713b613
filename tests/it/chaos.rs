//! The crash campaign: the real binary under load, killed again and again, with a
//! provider that misbehaves and keeps books of its own.
//!
//! | part | is |
//! |---|---|
//! | `process` | `hongbao simulate` and `hongbao serve`, started and killed |
//! | `load` | callers that repeat what was not answered |
//! | `journal` | what the callers asked for and were told, on disk |
//! | `watch` | every rule of the books, sampled while it runs |
//! | `books`, `audit` | the end: the provider's books, our database, the journal |
//!
//! `scripts/chaos` runs it. HONGBAO_CHAOS_CYCLES and HONGBAO_CHAOS_SEED change the
//! number of kills and the chance.

mod audit;
mod books;
pub mod journal;
mod load;
pub mod process;
pub mod rng;
pub mod watch;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use comfy_table::{ContentArrangement, Table, presets};
use hongbao::grpc::pb;

use crate::support::{Client, TestDb};
use audit::Audit;
use books::Theirs;
use journal::{Journal, Story, openid_of, uid_of};
use load::{Load, SHOP};
use process::{Provider, Server};
use rng::Rng;
use watch::{Rows, Sampler, open_store};

/// More than anybody asks for, so that nothing is refused.
const BUDGET_FEN: i64 = 100_000_000;
/// Between two kills.
const BREATH_MS: (u64, u64) = (200, 2_000);
/// After the last kill, everything ends within this time: untaken packets come back
/// after 24 hours (24 s), and what stays in doubt is handed to a person after 72.
const ENDS_WITHIN: Duration = Duration::from_secs(150);
/// A campaign that takes longer than its kills and its end hangs.
const SPARE: Duration = Duration::from_secs(300);

#[test]
#[ignore = "minutes long; run by scripts/chaos"]
fn sqlite() {
    run(TestDb::sqlite, 1);
}

#[test]
#[ignore = "minutes long; run by scripts/chaos"]
fn postgres() {
    run(TestDb::postgres, 2);
}

fn run(database: fn() -> TestDb, replicas: usize) {
    let cycles = from_environment("HONGBAO_CHAOS_CYCLES", 25);
    let seed = from_environment("HONGBAO_CHAOS_SEED", 1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let limit = ENDS_WITHIN + SPARE + Duration::from_secs(4 * cycles);
    let broken = runtime.block_on(async {
        tokio::time::timeout(limit, campaign(database(), replicas, cycles, seed))
            .await
            .expect("the campaign hangs")
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    assert!(broken.is_empty(), "broken: {broken:#?}");
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Returns the rules that were broken.
async fn campaign(db: TestDb, replicas: usize, cycles: u64, seed: u64) -> Vec<&'static str> {
    let began = Instant::now();
    let folder = db.folder.path().to_owned();
    let mut rng = Rng::new(seed);
    hongbao::app::write_key_file(&folder.join("keys.toml")).unwrap();
    let provider = Provider::start(&folder, seed, true);
    let mut servers: Vec<Server> = (0..replicas)
        .map(|n| {
            Server::new(
                &folder,
                &format!("replica-{n}"),
                &db.url,
                &provider,
                &mut rng,
            )
        })
        .collect();
    let key = servers[0].create_app();
    let mut clients = Vec::new();
    for server in &mut servers {
        server.start();
        server.ready().await;
        clients.push(Client::connect(server.addr, &key).await);
    }
    let people = cycles * 120;
    let campaign = prepare(&clients[0], &provider, people).await;

    let store = open_store(&db).await;
    let rows = Rows::connect(&db).await;
    let sampler = Sampler::start(store.clone());
    let journal = Journal::create(folder.join("client.jsonl"));
    let load = Arc::new(Load::new(journal, campaign, people));
    let callers = load.start(&clients, seed);
    for _ in 0..cycles {
        tokio::time::sleep(rng.millis(BREATH_MS.0, BREATH_MS.1)).await;
        let unlucky = usize::try_from(rng.below(u64::try_from(replicas).unwrap())).unwrap();
        servers[unlucky].kill();
        servers[unlucky].start();
    }
    let killing = began.elapsed();
    load.stop();
    for caller in callers {
        caller.await.unwrap();
    }
    provider.clear_faults().await;
    let ending = Instant::now();
    while rows.open().await > 0 && ending.elapsed() < ENDS_WITHIN {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let ending = ending.elapsed();
    let samples = sampler.stop().await;

    let story = Story::read(&load.journal.path);
    let theirs = Theirs::read(&provider.books);
    let audit = Audit {
        story: &story,
        theirs: &theirs,
        samples: &samples,
        store: &store,
        rows: &rows,
        mch_id: &provider.mch_id,
        campaign,
    };
    let verdicts = audit.run(&clients[0]).await;

    println!(
        "\n{} · {replicas} serve · {cycles} × kill -9 · seed {seed}",
        if db.is_postgres() {
            "PostgreSQL"
        } else {
            "SQLite"
        }
    );
    let errors: Vec<String> = servers.iter().flat_map(Server::errors).collect();
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(120);
    let counts = &load.counts;
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("kills", cycles.to_string());
    row("calls", counts.calls.load(Ordering::Relaxed).to_string());
    row("request ids", story.asked.len().to_string());
    row(
        "calls with a used id",
        counts.duplicates.load(Ordering::Relaxed).to_string(),
    );
    row(
        "calls cut off, repeated",
        counts.unanswered.load(Ordering::Relaxed).to_string(),
    );
    row("packets", story.packets().to_string());
    row("sends at the provider", theirs.totals.sends.to_string());
    row("queries at the provider", theirs.totals.queries.to_string());
    row("payments", theirs.payments.len().to_string());
    row(
        "faults struck",
        listed(theirs.faults.iter().map(|(k, v)| (k.clone(), *v))),
    );
    row(
        "states at the end",
        listed(
            rows.named(
                "SELECT state AS name, COUNT(*) AS n FROM issuance GROUP BY state ORDER BY state",
            )
            .await,
        ),
    );
    row("doubt by", listed(rows.named("SELECT COALESCE(reason, '-') AS name, COUNT(*) AS n FROM journal WHERE to_state = 'UNKNOWN' AND aggregate = 'ISSUANCE' GROUP BY reason ORDER BY reason").await));
    row(
        "sent under one number more than once",
        rows.number("SELECT COUNT(*) AS n FROM attempt WHERE send_count > 1")
            .await
            .to_string(),
    );
    row(
        "lines at ERROR in the servers' logs",
        errors.len().to_string(),
    );
    row(
        "samples not answered, the slowest in ms",
        format!("{} {}", samples.failed, samples.slowest.as_millis()),
    );
    row(
        "seconds of killing, until the end, in all",
        format!(
            "{} {} {}",
            killing.as_secs(),
            ending.as_secs(),
            began.elapsed().as_secs()
        ),
    );
    println!("{table}");
    for line in errors.iter().take(5) {
        println!("{line}");
    }
    audit::report(&verdicts)
}

/// "A 1, B 2".
fn listed<N: std::fmt::Display>(counts: impl IntoIterator<Item = (String, N)>) -> String {
    let words: Vec<String> = counts
        .into_iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    words.join(", ")
}

/// A shop, an account, an audience, and a campaign of random amounts with money.
async fn prepare(client: &Client, provider: &Provider, people: u64) -> i64 {
    client.make_shop(SHOP).await;
    let account = client
        .make_account(&provider.mch_id, &provider.appid, &[SHOP])
        .await;
    let people: Vec<(String, String)> = (0..people)
        .map(|person| (uid_of(person), openid_of(person)))
        .collect();
    client.make_people(SHOP, &provider.appid, &people).await;
    let mut draft = client.draft(SHOP, account, "chaos");
    draft.amount = Some(pb::AmountRule {
        r#type: pb::AmountType::Random.into(),
        min_fen: 100,
        max_fen: 1_000,
        ..Default::default()
    });
    client.make_campaign(draft, BUDGET_FEN).await
}
