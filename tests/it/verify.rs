//! Every rule of `hongbao verify` sees what breaks it. Each is given rows that were
//! sound and then broken past the service, and must name the broken one.

use hongbao::app;
use hongbao::config::Config;
use hongbao::grpc::pb::{self, IssuanceState as S};
use hongbao::store::verify::{CHECKS, Finding};
use hongbao::store::{Settings, Store};

use crate::sending::ready;
use crate::support::{Raw, TestApp, TestDb, on_both};

const SHOP: i64 = 1;

/// Rows to be broken: which table's guards must go first, what breaks the rule, and
/// what the rule must name.
struct Corruption {
    check: &'static str,
    unguard: &'static [&'static str],
    sql: &'static str,
    names: &'static str,
}

const fn breaks(
    check: &'static str,
    unguard: &'static [&'static str],
    sql: &'static str,
    names: &'static str,
) -> Corruption {
    Corruption {
        check,
        unguard,
        sql,
        names,
    }
}

/// The placeholders are those of [`Ids`].
#[rustfmt::skip]
const CORRUPTIONS: &[Corruption] = &[
    breaks("budget-is-the-ledger", &[],
        "UPDATE campaign SET granted_fen = granted_fen + 1 WHERE id = {campaign}", "{campaign}"),
    breaks("budget-is-the-ledger", &[],
        "DELETE FROM journal WHERE aggregate = 'CAMPAIGN' AND debit_account = 'EXTERNAL' AND campaign_id = {campaign}", "{campaign}"),
    breaks("budget-is-the-ledger", &[],
        "UPDATE journal SET amount_fen = amount_fen + 1 WHERE campaign_id = {campaign} AND credit_account = 'PAID'", "{campaign}"),
    breaks("budget-is-the-packets", &[],
        "UPDATE issuance SET amount_fen = amount_fen + 1 WHERE id = {received}", "{campaign}"),
    breaks("budget-is-the-packets", &["issuance"],
        "UPDATE issuance SET state = 'SENT' WHERE id = {received}", "{campaign}"),
    breaks("budget-not-overspent", &["campaign"],
        "UPDATE campaign SET debited_fen = granted_fen + credited_fen + 1 WHERE id = {campaign}", "{campaign}"),
    breaks("budget-not-overspent", &["campaign"],
        "UPDATE campaign SET paid_fen = debited_fen + 1 WHERE id = {campaign}", "{campaign}"),
    breaks("stock-is-the-packets", &[],
        "UPDATE campaign SET issued_count = issued_count + 1 WHERE id = {campaign}", "{campaign}"),
    breaks("one-live-attempt", &["attempt"],
        "INSERT INTO attempt (id, issuance_id, attempt_no, account_id, mch_id, mch_billno, state, send_count, first_send_time, query_count, doubtful, provider_order_no, create_time, update_time)
         SELECT id + 100000, issuance_id, attempt_no + 1, account_id, mch_id, 'another', 'SENDING', 1, first_send_time, 0, FALSE, '', create_time, update_time
         FROM attempt WHERE issuance_id = {received}", "{received}"),
    breaks("one-live-attempt", &[],
        "UPDATE attempt SET attempt_no = 3 WHERE issuance_id = {received}", "{received}"),
    breaks("number-used-once", &["attempt"],
        "UPDATE attempt SET mch_billno = (SELECT mch_billno FROM issuance WHERE id = {received}) WHERE issuance_id = {refused}", "{received}"),
    breaks("packet-shows-its-attempt", &[],
        "UPDATE issuance SET mch_billno = 'another' WHERE id = {received}", "{received}"),
    breaks("packet-shows-its-attempt", &[],
        "UPDATE attempt SET state = 'SENT' WHERE issuance_id = {received}", "{received}"),
    breaks("packet-shows-its-attempt", &[],
        "UPDATE issuance SET attempt_count = 1 WHERE id = {resent}", "{resent}"),
    breaks("packet-shows-its-attempt", &["attempt", "provider_exchange"],
        "DELETE FROM attempt WHERE issuance_id = {received}", "{received}"),
    breaks("nothing-forgotten", &["issuance"],
        "UPDATE issuance SET due_time = 1, job = 'SYNC' WHERE id = {received}", "{received}"),
    breaks("nothing-forgotten", &["issuance"],
        "UPDATE issuance SET due_time = NULL, job = NULL WHERE id = {queued}", "{queued}"),
    breaks("nothing-forgotten", &["issuance"],
        "UPDATE issuance SET job = NULL WHERE id = {queued}", "{queued}"),
    breaks("failed-only-by-proof", &[],
        "DELETE FROM provider_exchange WHERE attempt_id IN (SELECT id FROM attempt WHERE issuance_id = {failed})", "{failed}"),
    breaks("failed-only-by-proof", &[],
        "DELETE FROM provider_exchange WHERE outcome = 'NOT_FOUND' AND attempt_id IN (SELECT id FROM attempt WHERE issuance_id = {refused})", "{refused}"),
    breaks("failed-only-by-proof", &[],
        "UPDATE attempt SET send_count = 2 WHERE issuance_id = {refused}", "{refused}"),
    breaks("failed-only-by-proof", &[],
        "UPDATE attempt SET doubtful = TRUE WHERE issuance_id = {refused}", "{refused}"),
    breaks("sent-only-by-proof", &[],
        "DELETE FROM provider_exchange WHERE attempt_id IN (SELECT id FROM attempt WHERE issuance_id = {received})", "{received}"),
    breaks("packet-history-unbroken", &[],
        "DELETE FROM journal WHERE aggregate = 'ISSUANCE' AND aggregate_id = {received} AND seq = 2", "{received}"),
    breaks("packet-history-unbroken", &[],
        "UPDATE journal SET from_state = 'REVIEW' WHERE aggregate = 'ISSUANCE' AND aggregate_id = {received} AND to_state = 'SENT'", "{received}"),
    breaks("packet-history-unbroken", &["issuance"],
        "UPDATE issuance SET state = 'REFUNDED' WHERE id = {received}", "{received}"),
    breaks("packet-history-unbroken", &[],
        "UPDATE issuance SET version = version + 1 WHERE id = {received}", "{received}"),
    breaks("campaign-history-unbroken", &[],
        "UPDATE campaign SET version = version + 1 WHERE id = {campaign}", "{campaign}"),
    breaks("campaign-history-unbroken", &[],
        "DELETE FROM journal WHERE aggregate = 'CAMPAIGN' AND aggregate_id = {campaign} AND seq = 1", "{campaign}"),
    breaks("legal-edges", &[],
        "UPDATE journal SET from_state = 'RECEIVED', to_state = 'FAILED' WHERE aggregate = 'ISSUANCE' AND aggregate_id = {received} AND to_state = 'RECEIVED'", "{received}"),
    breaks("legal-edges", &[],
        "UPDATE journal SET from_state = 'SENDING' WHERE aggregate = 'ISSUANCE' AND aggregate_id = {failed} AND to_state = 'FAILED'", "{failed}"),
    breaks("batch-is-its-packets", &[],
        "UPDATE issuance_batch SET requested_count = requested_count + 1 WHERE id = {batch}", "{batch}"),
    breaks("request-has-its-effect", &[],
        "DELETE FROM request WHERE request_id = (SELECT request_id FROM issuance WHERE id = {received})", "{received}"),
    breaks("request-has-its-effect", &[],
        "UPDATE request SET resource_id = 777777 WHERE method = 'SendToUsers'", "777777"),
    breaks("request-has-its-effect", &[],
        "UPDATE request SET resource_id = 777777 WHERE method = 'SendRedPacket'", "777777"),
    breaks("one-tenant", &[],
        "UPDATE issuance SET shop_id = 2 WHERE id = {received}", "{received}"),
    breaks("one-tenant", &[],
        "UPDATE issuance_batch SET shop_id = 2 WHERE id = {batch}", "{member}"),
];

#[test]
fn every_check_is_tried() {
    for check in CHECKS {
        assert!(
            CORRUPTIONS.iter().any(|c| c.check == check.name),
            "no corruption tries {}",
            check.name
        );
    }
    for corruption in CORRUPTIONS {
        assert!(
            CHECKS.iter().any(|check| check.name == corruption.check),
            "{} is no check",
            corruption.check
        );
    }
}

on_both!(every_corruption_is_named, the_binary_says_so_too);

/// What the placeholders stand for.
struct Ids(Vec<(&'static str, i64)>);

impl Ids {
    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, id)| {
            text.replace(&format!("{{{name}}}"), &id.to_string())
        })
    }
}

/// A database in which much has happened, and nobody works on it any more.
async fn eventful(db: TestDb) -> (TestDb, Config, Ids) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 5_000).await;
    let client = &app.client;
    let mut ids = vec![("campaign", campaign)];
    for (name, openid, end) in [
        ("received", "oAlice", S::Received),
        ("failed", "oSIM-SEND_FAILED-1", S::Failed),
        ("refused", "oSIM-OPENID_ERROR-1", S::Failed),
        ("resent", "oSIM-SEND_FAILED-2", S::Failed),
    ] {
        let id = client
            .send(SHOP, campaign, openid)
            .await
            .unwrap()
            .issuance_id;
        client.await_state(SHOP, id, &[end]).await;
        ids.push((name, id));
    }
    let again = pb::ResendRequest {
        shop_id: SHOP,
        request_id: "again".into(),
        issuance_id: ids[4].1,
        ..Default::default()
    };
    client.issuances().resend(again).await.unwrap();
    client.await_state(SHOP, ids[4].1, &[S::Failed]).await;
    let people: Vec<(String, String)> = (0..3)
        .map(|n| (format!("u{n}"), format!("oBatch{n}")))
        .collect();
    client.make_people(SHOP, &app.appid(), &people).await;
    let batch = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: "batch".into(),
        campaign_id: campaign,
        uids: people.into_iter().map(|(uid, _)| uid).collect(),
        source: pb::IssuanceSource::Lottery.into(),
        wait: true,
        ..Default::default()
    };
    let sent = client.issuances().send_to_users(batch).await.unwrap();
    ids.push(("batch", sent.into_inner().batch.unwrap().batch_id));
    app.assert_sound().await;
    // Nobody works on the last one.
    let app = app
        .restart(|config| config.dispatcher.enabled = false)
        .await;
    let queued = app.client.send(SHOP, campaign, "oQueued").await.unwrap();
    ids.push(("queued", queued.issuance_id));
    let (config, db) = (app.config.clone(), shut(app).await);
    let raw = Raw::open(&db).await;
    let member = format!("SELECT MIN(id) FROM issuance WHERE batch_id = {}", ids[5].1);
    ids.push(("member", raw.number(&member).await));
    raw.close().await;
    (db, config, Ids(ids))
}

async fn shut(app: TestApp) -> TestDb {
    app.running.shutdown().await;
    app.simulator.shutdown().await;
    app.db
}

async fn findings(config: &Config, db: &TestDb) -> Vec<Finding> {
    let settings = Settings {
        url: db.url.clone(),
        ..app::database(config)
    };
    let store = Store::open(&settings, app::keys(config).unwrap())
        .await
        .unwrap();
    let found = store.verify().await.unwrap();
    store.close().await;
    found
}

async fn every_corruption_is_named(db: TestDb) {
    let (db, config, ids) = eventful(db).await;
    assert!(findings(&config, &db).await.is_empty());
    for corruption in CORRUPTIONS {
        let copy = db.copy();
        let raw = Raw::open(&copy).await;
        for table in corruption.unguard {
            raw.unguard(table).await;
        }
        let sql = ids.fill(corruption.sql);
        assert!(
            raw.try_run(&sql).await.unwrap() > 0,
            "breaks nothing: {sql}"
        );
        raw.close().await;
        let found = findings(&config, &copy).await;
        let wanted: i64 = ids.fill(corruption.names).parse().unwrap();
        let named = found
            .iter()
            .any(|f| f.check.name == corruption.check && f.ids.contains(&wanted));
        assert!(
            named,
            "{} does not name {wanted} after {sql}: {found:?}",
            corruption.check
        );
    }
}

async fn the_binary_says_so_too(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 5_000).await;
    let sent = app.client.send(SHOP, campaign, "oAlice").await.unwrap();
    app.client
        .await_state(SHOP, sent.issuance_id, &[S::Received])
        .await;
    let config = app.config.clone();
    let db = shut(app).await;
    let verify = || {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_hongbao"))
            .arg("verify")
            .env_remove("HONGBAO_CONFIG")
            .env("HONGBAO__DATABASE__URL", &db.url)
            .env("HONGBAO__KEYS__FILE", config.keys.file.as_ref().unwrap())
            .env("HONGBAO__CLOCK__SCALE", config.clock.scale.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text, error)
    };
    let (code, text, error) = verify();
    assert_eq!(code, Some(0), "{text}{error}");
    assert!(text.contains("every rule holds"), "{text}");

    let raw = Raw::open(&db).await;
    raw.run(&format!(
        "UPDATE campaign SET granted_fen = granted_fen + 1 WHERE id = {campaign}"
    ))
    .await;
    raw.close().await;
    let (code, text, error) = verify();
    assert_eq!(code, Some(1), "{text}{error}");
    assert!(text.contains("RULES ARE BROKEN"), "{text}");
    assert!(text.contains(&format!("[{campaign}]")), "{text}");
}
