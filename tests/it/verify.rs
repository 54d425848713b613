//! Every rule of `hongbao verify` sees what breaks it. Each is given rows that were
//! sound and then broken past the service, and must name the broken one.

use hongbao::app;
use hongbao::config::Config;
use hongbao::grpc::pb::{self, IssuanceState as S};
use hongbao::store::verify::{Finding, checks};
use hongbao::store::{Settings, Store};

mod corruptions;
mod vouchers;

use corruptions::{CORRUPTIONS, Corruption};

use crate::sending::ready;
use crate::support::{Raw, TestApp, TestDb, on_both};

const SHOP: i64 = 1;

#[test]
fn every_check_is_tried() {
    for check in checks() {
        assert!(
            all().any(|c| c.check == check.name),
            "no corruption tries {}",
            check.name
        );
    }
    for corruption in all() {
        assert!(
            checks().any(|check| check.name == corruption.check),
            "{} is no check",
            corruption.check
        );
    }
}

fn all() -> impl Iterator<Item = &'static Corruption> {
    CORRUPTIONS.iter().chain(vouchers::CORRUPTIONS)
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
    let people = [
        ("u0", "oBatch0"),
        ("u1", "oBatch1"),
        ("u2", "oBatch2"),
        ("u3", "oSIM-SEND_FAILED-3"),
    ];
    let people = people.map(|(uid, openid)| (uid.to_owned(), openid.to_owned()));
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
    let batch = sent.into_inner().batch.unwrap().batch_id;
    ids.push(("batch", batch));
    let members = pb::ListIssuancesRequest {
        shop_id: SHOP,
        filter: Some(pb::IssuanceFilter {
            batch_id: batch,
            ..Default::default()
        }),
        ..Default::default()
    };
    let members = client.issuances().list_issuances(members).await.unwrap();
    for member in members.into_inner().issuances {
        let ended = [S::Received, S::Failed];
        let member = client.await_state(SHOP, member.issuance_id, &ended).await;
        if member.state() == S::Failed {
            ids.push(("lost", member.issuance_id));
        }
    }
    ids.extend(pots(&app).await);
    ids.push(("capped", capped(&app).await));
    ids.push(("shared", shared(&app).await));
    app.assert_sound().await;
    // Nobody works on the last one.
    let app = app
        .restart(|config| config.dispatcher.enabled = false)
        .await;
    let queued = app.client.send(SHOP, campaign, "oQueued").await.unwrap();
    ids.push(("queued", queued.issuance_id));
    let (config, db) = (app.config.clone(), shut(app).await);
    let raw = Raw::open(&db).await;
    let member = format!("SELECT MIN(id) FROM issuance WHERE batch_id = {batch}");
    ids.push(("member", raw.number(&member).await));
    raw.close().await;
    (db, config, Ids(ids))
}

/// A pot that somebody scanned from, with and without luck, and one that nobody did.
async fn pots(app: &TestApp) -> Vec<(&'static str, i64)> {
    let client = &app.client;
    let pot = |code: &str| pb::CreateCampaignRequest {
        amount: Some(pb::AmountRule {
            r#type: pb::AmountType::Split.into(),
            min_fen: 100,
            max_fen: 200,
            pot_fen: 600,
        }),
        stock_count: 4,
        ..client.draft(SHOP, 1, code)
    };
    let id = client.make_campaign(pot("pot"), 600).await;
    let unused = client.make_campaign(pot("unused"), 600).await;
    let mut ids = vec![("pot", id), ("unused", unused)];
    for (name, openid, end) in [
        ("scanned", "oScan", S::Received),
        ("unlucky", "oSIM-SEND_FAILED-4", S::Failed),
    ] {
        let scan = pb::ScanSendRequest {
            shop_id: SHOP,
            request_id: name.into(),
            campaign_id: id,
            openid: openid.into(),
            ..Default::default()
        };
        let sent = client.issuances().scan_send(scan).await.unwrap();
        let sent = sent.into_inner().issuance.unwrap().issuance_id;
        client.await_state(SHOP, sent, &[end]).await;
        ids.push((name, sent));
    }
    ids
}

/// A campaign that counts people.
async fn capped(app: &TestApp) -> i64 {
    let client = &app.client;
    let draft = pb::CreateCampaignRequest {
        caps: Some(pb::CampaignCaps {
            recipient_day: Some(pb::Cap {
                count: 2,
                amount_fen: 0,
            }),
            ..Default::default()
        }),
        ..client.draft(SHOP, 1, "capped")
    };
    let campaign = client.make_campaign(draft, 1_000).await;
    let sent = client.send(SHOP, campaign, "oCapped").await.unwrap();
    client
        .await_state(SHOP, sent.issuance_id, &[S::Received])
        .await;
    campaign
}

/// A group packet that three people took.
async fn shared(app: &TestApp) -> i64 {
    let client = &app.client;
    let able = pb::UpdateProviderAccountRequest {
        request_id: "able".into(),
        account_id: 1,
        add_capabilities: vec![pb::ProviderCapability::Fission.into()],
        ..Default::default()
    };
    client.admin().update_provider_account(able).await.unwrap();
    let direct = pb::CreateCampaignRequest {
        kind: pb::CampaignKind::Direct.into(),
        amount: Some(pb::AmountRule {
            r#type: pb::AmountType::CallerSet.into(),
            min_fen: 100,
            max_fen: 20_000,
            ..Default::default()
        }),
        ..client.draft(SHOP, 1, "direct")
    };
    client.make_campaign(direct, 900).await;
    let group = pb::SendRedPacketRequest {
        amount_fen: 900,
        kind: pb::RedPacketKind::Fission.into(),
        total_num: 3,
        ..client.send_request(SHOP, 0, "oGroup")
    };
    let sent = client.issuances().send_red_packet(group).await.unwrap();
    let id = sent.into_inner().issuance.unwrap().issuance_id;
    client.await_state(SHOP, id, &[S::Received]).await;
    let receipts = client.get(SHOP, id).await.receipts;
    let taken: i64 = receipts.iter().map(|receipt| receipt.amount_fen).sum();
    assert_eq!((receipts.len(), taken), (3, 900));
    id
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
    each_is_named(CORRUPTIONS, &config, &db, &ids).await;
}

async fn each_is_named(corruptions: &[Corruption], config: &Config, db: &TestDb, ids: &Ids) {
    for corruption in corruptions {
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
        let found = findings(config, &copy).await;
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
