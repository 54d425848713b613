//! Traps of the database drivers and of gRPC that were found before this was built.
//! Each test first springs the trap where it can, so that it cannot pass for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hongbao::domain::Reason;
use hongbao::grpc::pb::IssuanceState as S;
use hongbao::store::crypt::{KeyFile, Keys};
use hongbao::store::{Fault, Settings, Store};
use sea_orm::sqlx::Executor as _;
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, TransactionTrait as _,
};

use crate::sending::ready;
use crate::support::{Raw, TestApp, TestDb, block_on, on_both};

const SHOP: i64 = 1;

pub async fn open(db: &TestDb, connections_max: u32) -> Store {
    let settings = Settings {
        url: db.url.clone(),
        connections_max,
        time_scale: 1,
    };
    let keys = Keys::new(&KeyFile::generate()).unwrap();
    Store::open(&settings, keys).await.unwrap()
}

/// Writes one row, the way every unit does.
pub async fn write_setting(store: &Store, name: String) -> hongbao::domain::Result<()> {
    store
        .write(move |tx| {
            let sql = format!("INSERT INTO setting (name, value) VALUES ('{name}', 'x')");
            Box::pin(async move {
                tx.execute_unprepared(&sql).await?;
                Ok(())
            })
        })
        .await
}

const IDLE: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = current_database()";

/// Waits until no session of this database is inside of a transaction.
async fn left_open(raw: &Raw) -> i64 {
    let mut open = 0;
    for _ in 0..12 {
        open = raw.number(IDLE).await;
        if open == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    open
}

/// Starts work and cuts it off after some hundreds of microseconds, many times.
async fn cut_off<F, W>(times: u64, work: F)
where
    F: Fn(u64) -> W,
    W: Future<Output = ()> + Send + 'static,
{
    for n in 0..times {
        let task = tokio::spawn(work(n));
        tokio::time::sleep(Duration::from_micros(n * 37 % 1_500)).await;
        task.abort();
        let _cut = task.await;
    }
}

/// Cancels `begin` on a pool of two until a transaction is left open, or does not
/// see one in so many times. It looks after each time, for the next borrower of a
/// connection that leaks may end the transaction by chance.
async fn leaks(raw: &Raw, pool: &DatabaseConnection, times: u64) -> bool {
    for n in 0..times {
        let pool = pool.clone();
        let task = tokio::spawn(async move {
            if let Ok(tx) = pool.begin().await {
                let _rolled_back = tx.rollback().await;
            }
        });
        tokio::time::sleep(Duration::from_micros(n * 37 % 3_000)).await;
        task.abort();
        let _cut = task.await;
        if raw.number(IDLE).await > 0 && left_open(raw).await > 0 {
            return true;
        }
    }
    false
}

#[test]
fn a_cancelled_begin_leaks_unless_the_pool_heals_it() {
    block_on(async {
        let db = TestDb::postgres();
        let raw = Raw::open(&db).await;
        let mut options = ConnectOptions::new(db.url.clone());
        options.sqlx_logging(false).max_connections(2);
        let plain = Database::connect(options.clone()).await.unwrap();
        assert!(
            leaks(&raw, &plain, 5_000).await,
            "sqlx has learnt it: after_release may go"
        );
        plain.close().await.unwrap();
        // As src/store/mod.rs builds its pool.
        options.map_sqlx_postgres_pool_opts(|pool| {
            pool.after_release(|connection, _| {
                Box::pin(async move {
                    connection.execute("BEGIN; ROLLBACK").await?;
                    Ok(true)
                })
            })
        });
        let healed = Database::connect(options).await.unwrap();
        assert!(!leaks(&raw, &healed, 600).await);
        healed.close().await.unwrap();
    });
}

#[test]
fn cancelled_callers_leave_no_transaction_open() {
    block_on(async {
        let db = TestDb::postgres();
        let raw = Raw::open(&db).await;
        let store = open(&db, 2).await;
        cut_off(400, |n| {
            let store = store.clone();
            async move {
                let _answer = match n % 3 {
                    0 => write_setting(&store, format!("cut {n}")).await,
                    1 => store.check_writable().await,
                    _ => store.verify().await.map(drop),
                };
            }
        })
        .await;
        // Units that began go on, two at a time; this one waits for its turn behind them.
        write_setting(&store, "after".into()).await.unwrap();
        let mut open = left_open(&raw).await;
        for _ in 0..10 {
            // The last of them may be between two statements. What was left open stays so
            // for ten seconds, until PostgreSQL ends it.
            open = open.min(left_open(&raw).await);
        }
        assert_eq!(open, 0);
        let after = "SELECT COUNT(*) FROM setting WHERE name = 'after'";
        assert_eq!(raw.number(after).await, 1, "visible to others at once");
        // Units that began were finished, not cut: a caller's end is not theirs.
        let begun = "SELECT COUNT(*) FROM setting WHERE name LIKE 'cut %'";
        assert!(raw.number(begun).await > 100);
        store.close().await;
    });
}

on_both!(
    a_swallowed_error_cannot_be_committed,
    a_refused_unit_leaves_nothing,
    a_dropped_call_is_whole_or_not_at_all,
);

async fn a_swallowed_error_cannot_be_committed(db: TestDb) {
    let store = open(&db, 2).await;
    let raw = Raw::open(&db).await;
    let written = store
        .write(|tx| {
            Box::pin(async move {
                tx.execute_unprepared("INSERT INTO setting (name, value) VALUES ('first', 'x')")
                    .await?;
                let _swallowed = tx
                    .execute_unprepared("INSERT INTO setting (name, value) VALUES ('first', 'y')")
                    .await;
                Ok(())
            })
        })
        .await;
    assert_eq!(written.unwrap_err().reason, Reason::Internal);
    let count = "SELECT COUNT(*) FROM setting WHERE name = 'first'";
    assert_eq!(raw.number(count).await, 0);
    // The connection is as good as before.
    write_setting(&store, "first".into()).await.unwrap();
    assert_eq!(raw.number(count).await, 1);
    store.close().await;
}

async fn a_refused_unit_leaves_nothing(db: TestDb) {
    let store = open(&db, 2).await;
    let raw = Raw::open(&db).await;
    let runs = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&runs);
    let written: hongbao::domain::Result<()> = store
        .write(move |tx| {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                tx.execute_unprepared("INSERT INTO setting (name, value) VALUES ('again', 'x')")
                    .await?;
                Err(Fault::Again)
            })
        })
        .await;
    assert_eq!(written.unwrap_err().reason, Reason::ConcurrentUpdate);
    assert!(runs.load(Ordering::Relaxed) > 1, "it is run again first");
    let count = "SELECT COUNT(*) FROM setting WHERE name = 'again'";
    assert_eq!(raw.number(count).await, 0);
    store.close().await;
}

async fn a_dropped_call_is_whole_or_not_at_all(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 100_000).await;
    let mut requests = Vec::new();
    for n in 0_u64..80 {
        let mut request = app
            .client
            .send_request(SHOP, campaign, &format!("oDropped{n}"));
        request.wait = n % 4 == 0;
        let mut issuances = app.client.issuances();
        let again = request.clone();
        let call = tokio::spawn(async move { issuances.send_red_packet(request).await });
        tokio::time::sleep(Duration::from_micros(n * 251 % 20_000)).await;
        call.abort();
        requests.push((again, call.await.is_err()));
    }
    let dropped = requests.iter().filter(|(_, cut)| *cut).count();
    assert!(dropped > 10, "only {dropped} were cut off");
    let mut ids = std::collections::BTreeSet::new();
    let (mut replayed, mut fresh) = (0, 0);
    for (request, cut) in requests {
        let sent = app.client.issuances().send_red_packet(request).await;
        let sent = sent.unwrap().into_inner();
        if cut && sent.replayed {
            replayed += 1;
        } else if cut {
            fresh += 1;
        }
        ids.insert(sent.issuance.unwrap().issuance_id);
    }
    assert_eq!(ids.len(), 80, "one packet for each request id");
    assert!(replayed > 0 && replayed + fresh == dropped);
    for id in ids {
        app.client.await_state(SHOP, id, &[S::Received]).await;
    }
    assert_eq!(app.simulator.books().totals().payments, 80);
    app.assert_sound().await;
    app.stop().await;
}
