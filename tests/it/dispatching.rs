//! What becomes of queued packets when their campaign stops, or their account cannot
//! pay: they wait, or give their money back once; none fails for it.

mod batches;

use std::time::Duration;

use hongbao::grpc::pb::{self, IssuanceState as S};

use crate::sending::ready;
use crate::support::{Options, Raw, TestApp, TestDb, on_both, reason};

const SHOP: i64 = 1;

on_both!(
    a_paused_campaign_keeps_its_queue,
    an_ended_campaign_gives_back_once,
    an_end_amid_sending_gives_back_once,
    a_wrong_key_holds_the_account_back,
);

pub async fn pause(app: &TestApp, campaign_id: i64) {
    let request = pb::PauseCampaignRequest {
        shop_id: SHOP,
        request_id: app.client.fresh(),
        campaign_id,
        ..Default::default()
    };
    app.client
        .campaigns()
        .pause_campaign(request)
        .await
        .unwrap();
}

pub async fn activate(app: &TestApp, campaign_id: i64) {
    let request = pb::ActivateCampaignRequest {
        shop_id: SHOP,
        request_id: app.client.fresh(),
        campaign_id,
        ..Default::default()
    };
    app.client
        .campaigns()
        .activate_campaign(request)
        .await
        .unwrap();
}

pub async fn end(app: &TestApp, campaign_id: i64) {
    let request = pb::EndCampaignRequest {
        shop_id: SHOP,
        request_id: app.client.fresh(),
        campaign_id,
        ..Default::default()
    };
    app.client.campaigns().end_campaign(request).await.unwrap();
}

/// The refusal of a resend.
pub async fn resend(app: &TestApp, issuance_id: i64) -> String {
    let request = pb::ResendRequest {
        shop_id: SHOP,
        request_id: app.client.fresh(),
        issuance_id,
        ..Default::default()
    };
    let status = app.client.issuances().resend(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    reason(&status)
}

/// Packets to so many people, accepted and not sent yet.
async fn queue(app: &TestApp, campaign: i64, count: u32) -> Vec<i64> {
    let mut ids = Vec::new();
    for n in 0..count {
        let sent = app.client.send(SHOP, campaign, &format!("oQueue{n}")).await;
        ids.push(sent.unwrap().issuance_id);
    }
    ids
}

/// A server that accepts and does not send.
async fn idle(db: TestDb, amount_fen: i64) -> (TestApp, i64) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let campaign = ready(&app, amount_fen).await;
    (app, campaign)
}

async fn awake(app: TestApp) -> TestApp {
    app.restart(|config| config.dispatcher.enabled = true).await
}

async fn a_paused_campaign_keeps_its_queue(db: TestDb) {
    let (app, campaign) = idle(db, 1_000).await;
    let ids = queue(&app, campaign, 5).await;
    pause(&app, campaign).await;
    let app = awake(app).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    for id in &ids {
        let seen = app.client.get(SHOP, *id).await.issuance.unwrap();
        assert_eq!(seen.state(), S::Queued);
    }
    let status = app.client.send(SHOP, campaign, "oLate").await.unwrap_err();
    assert_eq!(reason(&status), "CAMPAIGN_PAUSED");
    assert_eq!(app.simulator.books().totals().sends, 0);
    assert_eq!(app.client.budget(SHOP, campaign).await.held_fen, 500);
    activate(&app, campaign).await;
    for id in ids {
        app.client.await_state(SHOP, id, &[S::Received]).await;
    }
    app.assert_sound().await;
    app.stop().await;
}

async fn an_ended_campaign_gives_back_once(db: TestDb) {
    let (app, campaign) = idle(db, 1_000).await;
    let ids = queue(&app, campaign, 5).await;
    end(&app, campaign).await;
    let app = awake(app).await;
    for id in &ids {
        app.client.await_state(SHOP, *id, &[S::Cancelled]).await;
        assert_eq!(resend(&app, *id).await, "ISSUANCE_CANCELLED");
        let seen = app.client.get(SHOP, *id).await;
        assert!(seen.attempts.is_empty(), "{seen:?}");
    }
    let raw = Raw::open(&app.db).await;
    let reasons = "SELECT DISTINCT reason FROM journal WHERE aggregate = 'ISSUANCE' AND to_state = 'CANCELLED'";
    assert_eq!(raw.texts(reasons).await, ["CAMPAIGN_ENDED"]);
    raw.close().await;
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!((budget.available_fen, budget.held_fen), (1_000, 0));
    assert_eq!(issued(&app, campaign).await, 0);
    assert_eq!(app.simulator.books().totals().sends, 0);
    app.assert_sound().await;
    app.stop().await;
}

pub async fn issued(app: &TestApp, campaign_id: i64) -> i64 {
    let request = pb::GetCampaignRequest {
        shop_id: SHOP,
        campaign_id,
    };
    let found = app.client.campaigns().get_campaign(request).await.unwrap();
    found.into_inner().campaign.unwrap().issued_count
}

async fn an_end_amid_sending_gives_back_once(db: TestDb) {
    let (app, campaign) = idle(db, 20_000).await;
    let ids = queue(&app, campaign, 120).await;
    let app = app
        .restart(|config| {
            config.dispatcher.enabled = true;
            config.dispatcher.concurrency = 4;
        })
        .await;
    // Some are under way, the rest still wait.
    while app.simulator.books().totals().sends < 10 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    end(&app, campaign).await;
    let (mut paid, mut cancelled) = (0, 0);
    for id in ids {
        let ended = app
            .client
            .await_state(SHOP, id, &[S::Received, S::Cancelled])
            .await;
        if ended.state() == S::Received {
            paid += 1;
        } else {
            cancelled += 1;
        }
    }
    assert!(paid >= 10 && cancelled > 0, "{paid} paid, {cancelled} not");
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!(budget.paid_fen, paid * 100);
    assert_eq!(budget.available_fen, 20_000 - paid * 100);
    assert_eq!(issued(&app, campaign).await, paid);
    assert_eq!(
        app.simulator.books().totals().payments,
        u64::try_from(paid).unwrap()
    );
    app.assert_sound().await;
    app.stop().await;
}

async fn a_wrong_key_holds_the_account_back(db: TestDb) {
    let (app, campaign) = idle(db, 1_000).await;
    let ids = queue(&app, campaign, 5).await;
    let right = app.simulator.merchant().api_key.clone();
    let app = app
        .restart(|config| {
            config.dispatcher.enabled = true;
            credential(config).api_key = Some("0123456789abcdef0123456789abcdef".into());
        })
        .await;
    let request = pb::GetProviderAccountRequest { account_id: 1 };
    let breaker = loop {
        let found = app.client.admin().get_provider_account(request).await;
        let breaker = found
            .unwrap()
            .into_inner()
            .account
            .unwrap()
            .breaker
            .unwrap();
        if breaker.open {
            break breaker;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(breaker.code, "SIGN_ERROR");
    // Half an hour of refusals fails nothing.
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    for id in &ids {
        let seen = app.client.get(SHOP, *id).await.issuance.unwrap();
        assert!(matches!(seen.state(), S::Queued | S::Sending), "{seen:?}");
        assert!(!seen.frozen);
    }
    let app = app
        .restart(|config| credential(config).api_key = Some(right))
        .await;
    for id in ids {
        let ended = app.client.await_state(SHOP, id, &[S::Received]).await;
        assert_eq!(ended.attempt_count, 1, "the same number to the end");
    }
    app.assert_sound().await;
    app.stop().await;
}

fn credential(config: &mut hongbao::config::Config) -> &mut hongbao::config::CredentialConfig {
    config.credentials.get_mut("simulator").unwrap()
}
