//! The schema: how it is brought up to date, what a server refuses to serve on, and
//! what the database refuses by itself, whatever the code above it does.

use hongbao::grpc::pb::{self, IssuanceState as S};
use hongbao::store::crypt::{KeyFile, Keys};
use hongbao::store::{Settings, Store, migrate};

use crate::sending::ready;
use crate::support::{Options, Raw, Server, TestApp, TestDb, block_on, on_both};

const SHOP: i64 = 1;

fn settings(url: &str, time_scale: u32) -> Settings {
    Settings {
        url: url.to_owned(),
        connections_max: 4,
        time_scale,
    }
}

fn keys() -> Keys {
    Keys::new(&KeyFile::generate()).unwrap()
}

/// A database without a table.
fn empty(like: &TestDb) -> TestDb {
    let folder = tempfile::tempdir().unwrap();
    let url = if like.is_postgres() {
        let name = format!("empty{}", std::process::id());
        Server::shared().sql("postgres", &format!("DROP DATABASE IF EXISTS {name}"));
        Server::shared().sql("postgres", &format!("CREATE DATABASE {name}"));
        Server::shared().url(&name)
    } else {
        format!("sqlite://{}", folder.path().join("empty.db").display())
    };
    TestDb { url, folder }
}

on_both!(
    pending_migrations_are_refused_and_made_once,
    other_keys_and_another_pace_of_time_are_refused,
    the_database_refuses_by_itself,
);

async fn pending_migrations_are_refused_and_made_once(db: TestDb) {
    let db = empty(&db);
    let settings = settings(&db.url, 1);
    if db.is_postgres() {
        let text = Store::open(&settings, keys())
            .await
            .unwrap_err()
            .to_string();
        assert!(text.contains("migrations are pending"), "{text}");
        assert!(text.contains("hongbao migrate"), "{text}");
    }
    // Several start at once, as replicas with an init container do. On SQLite the
    // process lock keeps a second one out.
    let mut migrators = tokio::task::JoinSet::new();
    let at_once = if db.is_postgres() { 4 } else { 1 };
    for _ in 0..at_once {
        let settings = settings.clone();
        migrators.spawn(async move { migrate(&settings).await });
    }
    while let Some(done) = migrators.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(migrate(&settings).await.unwrap(), Vec::<String>::new());
    let raw = Raw::open(&db).await;
    assert_eq!(
        raw.number("SELECT COUNT(*) FROM seaql_migrations").await,
        i64::try_from(<migrations::Migrator as migrations::MigratorTrait>::migrations().len())
            .unwrap()
    );
    raw.run("DELETE FROM seaql_migrations").await;
    let text = Store::open(&settings, keys())
        .await
        .unwrap_err()
        .to_string();
    assert!(text.contains("migrations are pending"), "{text}");
}

async fn other_keys_and_another_pace_of_time_are_refused(db: TestDb) {
    let file = KeyFile::generate();
    let right = || Keys::new(&file).unwrap();
    let (real, fast) = (settings(&db.url, 1), settings(&db.url, 60));
    Store::open(&fast, right()).await.unwrap().close().await;

    let text = Store::open(&fast, keys()).await.unwrap_err().to_string();
    assert!(text.contains("not the keys"), "{text}");
    let text = Store::open(&real, right()).await.unwrap_err().to_string();
    assert!(text.contains("clock.scale = 60"), "{text}");
    let text = Store::open(&settings(&db.url, 61), right())
        .await
        .unwrap_err()
        .to_string();
    assert!(text.contains("clock.scale = 60"), "{text}");

    // Time goes on where it was.
    let store = Store::open(&fast, right()).await.unwrap();
    let before = store.now().await.unwrap();
    store.close().await;
    let store = Store::open(&fast, right()).await.unwrap();
    assert!(store.now().await.unwrap() >= before);
    store.close().await;
}

async fn the_database_refuses_by_itself(db: TestDb) {
    let app = TestApp::start_with(db, Options::default()).await;
    let campaign = ready(&app, 1_000).await;
    let sent = app.client.send(SHOP, campaign, "oAlice").await.unwrap();
    let id = sent.issuance_id;
    app.client.await_state(SHOP, id, &[S::Received]).await;
    let app = app
        .restart(|config| config.dispatcher.enabled = false)
        .await;
    let queued = app.client.send(SHOP, campaign, "oBob").await.unwrap();
    let other = queued.issuance_id;

    let raw = Raw::open(&app.db).await;
    let attempt = |new: &str| {
        format!(
            "INSERT INTO attempt (id, issuance_id, attempt_no, account_id, mch_id, mch_billno, state, send_count, first_send_time, create_time, update_time) \
             SELECT 900000, {new} account_id, mch_id, mch_billno || '{suffix}', 'SENDING', 1, 1, 1, 1 FROM attempt WHERE issuance_id = {id}",
            suffix = if new.starts_with(&other.to_string()) {
                ""
            } else {
                "X"
            },
        )
    };
    let words = raw.refused(&attempt(&format!("{id}, 2,"))).await;
    assert!(words.contains("live_key"), "a second live attempt: {words}");
    let words = raw.refused(&attempt(&format!("{other}, 1,"))).await;
    assert!(words.contains("mch_billno"), "a number used again: {words}");
    let words = raw
        .refused(&format!(
            "UPDATE attempt SET live_key = NULL WHERE issuance_id = {id}"
        ))
        .await;
    assert!(words.contains("live_key"), "{words}");

    for (what, sql) in [
        ("overspent", format!("UPDATE campaign SET debited_fen = granted_fen + credited_fen + 1 WHERE id = {campaign}")),
        ("paid more than was taken", format!("UPDATE campaign SET paid_fen = debited_fen + 1 WHERE id = {campaign}")),
        ("defunded what is used", format!("UPDATE campaign SET defunded_fen = granted_fen WHERE id = {campaign}")),
        ("more than the stock", format!("UPDATE campaign SET stock_count = 1 WHERE id = {campaign}")),
        ("an end with a next look", format!("UPDATE issuance SET due_time = 1, job = 'SYNC' WHERE id = {id}")),
        ("no end and no next look", format!("UPDATE issuance SET due_time = NULL, job = NULL WHERE id = {other}")),
        ("a next look without a job", format!("UPDATE issuance SET job = NULL WHERE id = {other}")),
        ("an amount of 0", format!("UPDATE issuance SET amount_fen = 0 WHERE id = {other}")),
        ("a negative amount", format!("UPDATE issuance SET amount_fen = -1 WHERE id = {other}")),
        ("a state of no state machine", format!("UPDATE issuance SET state = 'TELEPORTED' WHERE id = {other}")),
        ("queued without a number", format!("UPDATE issuance SET mch_billno = NULL WHERE id = {other}")),
        ("an attempt that sent nothing", format!("UPDATE attempt SET send_count = 0 WHERE issuance_id = {id}")),
        ("moved nothing", format!("UPDATE journal SET amount_fen = 0 WHERE aggregate_id = {id} AND amount_fen IS NOT NULL")),
        ("moved nowhere", format!("UPDATE journal SET debit_account = credit_account WHERE aggregate_id = {id} AND amount_fen IS NOT NULL")),
        ("a packet of no campaign", format!("UPDATE issuance SET campaign_id = 999999 WHERE id = {other}")),
        ("two entries in one place", format!("UPDATE journal SET seq = 1 WHERE aggregate = 'ISSUANCE' AND aggregate_id = {id}")),
        ("a second direct purse", "UPDATE campaign SET kind = 'DIRECT'; INSERT INTO campaign (id, shop_id, code, kind, state, amount_type, min_amount_fen, max_amount_fen, revision, account_id, appid, start_time, version, create_time, update_time) SELECT 900000, shop_id, 'again', 'DIRECT', state, amount_type, 100, 100, 1, account_id, appid, 1, 1, 1, 1 FROM campaign".to_owned()),
    ] {
        let words = raw.refused(&sql).await.to_lowercase();
        assert!(
            words.contains("constraint"),
            "{what}: refused, but not by a rule: {words}"
        );
    }
    let request = pb::GetIssuanceRequest {
        shop_id: SHOP,
        r#ref: Some(pb::get_issuance_request::Ref::IssuanceId(other)),
        ..Default::default()
    };
    let seen = app.client.issuances().get_issuance(request).await.unwrap();
    assert_eq!(seen.into_inner().issuance.unwrap().state(), S::Queued);
    app.stop().await;
}

#[test]
fn a_server_that_may_forget_is_refused() {
    block_on(async {
        let db = TestDb::postgres();
        let (_, name) = db.url.rsplit_once('/').unwrap();
        Server::shared().sql(
            "postgres",
            &format!("ALTER DATABASE {name} SET synchronous_commit = off"),
        );
        let error = Store::open(&settings(&db.url, 1), keys())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("synchronous_commit"), "{error}");
    });
}

/// Packets of one batch are due at one instant: an index that does not end in the id
/// makes PostgreSQL sort the whole queue for every claim.
#[test]
fn what_is_due_is_read_in_the_order_of_an_index() {
    block_on(async {
        let db = TestDb::postgres();
        let raw = Raw::open(&db).await;
        for method in ["seqscan", "bitmapscan"] {
            raw.run(&format!("SET enable_{method} = off")).await;
        }
        let plan = raw
            .texts(
                "EXPLAIN SELECT * FROM issuance WHERE account_id = 1 AND job = 'SEND' AND due_time <= 9 \
                 ORDER BY due_time, id LIMIT 64 FOR UPDATE SKIP LOCKED",
            )
            .await
            .join("\n");
        assert!(plan.contains("issuance_due"), "{plan}");
        assert!(!plan.contains("Sort"), "{plan}");
    });
}
