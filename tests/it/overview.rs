//! The installation at a glance: its figures are those of the other calls.

use std::process::Command;

use hongbao::domain::role::Role;
use hongbao::grpc::pb;

use crate::support::{Options, Raw, SHOP, TestApp, TestDb, block_on, on_both, reason};

on_both!(
    a_glance_agrees_with_the_rest,
    what_has_left_its_plan_is_first
);

async fn overview(client: &crate::support::Client) -> pb::GetOverviewResponse {
    let asked = pb::GetOverviewRequest::default();
    client
        .admin()
        .get_overview(asked)
        .await
        .unwrap()
        .into_inner()
}

/// A server that accepts and does not send, with two campaigns.
async fn stage(db: TestDb) -> (TestApp, [i64; 2]) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let client = &app.client;
    client.make_shop(SHOP).await;
    let merchant = app.simulator.merchant();
    let (mch_id, appid) = (merchant.mch_id.clone(), app.appid());
    let account = client.make_account(&mch_id, &appid, &[SHOP]).await;
    let mut draft = client.draft(SHOP, account, "busy");
    draft.approve_fund_above_fen = Some(5_000);
    let busy = client.make_campaign(draft, 5_000).await;
    let draft = client.draft(SHOP, account, "idle");
    let idle = client.make_campaign(draft, 700).await;
    for n in 0..3 {
        client
            .send(SHOP, busy, &format!("oGlance{n}"))
            .await
            .unwrap();
    }
    (app, [idle, busy])
}

async fn a_glance_agrees_with_the_rest(db: TestDb) {
    let (app, [idle, busy]) = stage(db).await;
    let client = &app.client;
    let large = pb::FundCampaignRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id: busy,
        amount_fen: 5_001,
        ..Default::default()
    };
    let status = client.campaigns().fund_campaign(large).await.unwrap_err();
    assert_eq!(reason(&status), "APPROVAL_REQUIRED");
    let viewer = app.person("vera", &[Role::Viewer]).await;
    let seen = overview(&viewer).await;
    let ids: Vec<i64> = seen.campaigns.iter().map(|c| c.campaign_id).collect();
    assert_eq!(ids, [busy, idle], "the busiest first");
    for campaign in &seen.campaigns {
        let budget = client.budget(SHOP, campaign.campaign_id).await;
        assert_eq!(campaign.budget, Some(budget));
    }
    assert_eq!(seen.campaigns[0].open.unwrap().queued_count, 3);
    assert_eq!(seen.campaigns[1].open.unwrap().queued_count, 0);
    assert_eq!(seen.accounts.len(), 1);
    assert_eq!(seen.accounts[0].open.unwrap().queued_count, 3);
    assert_eq!((seen.approval_count, seen.review_count), (1, 0));
    assert!(seen.approval_oldest_time.is_some() && seen.stops.is_empty());
    let stop = pb::StopAllRequest {
        request_id: client.fresh(),
        scope: Some(pb::StopScope {
            scope: Some(pb::stop_scope::Scope::ShopId(SHOP)),
        }),
        reason: "a look".into(),
        ..Default::default()
    };
    client.admin().stop_all(stop).await.unwrap();
    let stops = client.admin().list_stops(pb::ListStopsRequest {}).await;
    assert_eq!(
        overview(client).await.stops,
        stops.unwrap().into_inner().stops
    );
    let one = pb::GetOverviewRequest { campaign_limit: 1 };
    let one = client.admin().get_overview(one).await.unwrap();
    assert_eq!(one.into_inner().campaigns.len(), 1);
    let none = pb::GetOverviewRequest { campaign_limit: -1 };
    let status = client.admin().get_overview(none).await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_FIELDS");
    app.stop().await;
}

async fn what_has_left_its_plan_is_first(db: TestDb) {
    let (app, [idle, busy]) = stage(db).await;
    let raw = Raw::open(&app.db).await;
    raw.run(&format!(
        "INSERT INTO money_breaker (scope, subject, fen_per_minute, loss_max_fen, failure_percent, trip_reason, trip_time)
         VALUES ('CAMPAIGN', {idle}, 10, 10, 0, 'too much', 1)"
    ))
    .await;
    let first = |state: &'static str| {
        let (raw, app) = (&raw, &app);
        async move {
            raw.run(&format!(
                "UPDATE campaign SET state = '{state}' WHERE id = {idle}"
            ))
            .await;
            let one = pb::GetOverviewRequest { campaign_limit: 1 };
            let one = app.client.admin().get_overview(one).await.unwrap();
            one.into_inner().campaigns[0].campaign_id
        }
    };
    assert_eq!(first("PAUSED").await, idle, "it waits for people");
    assert_eq!(first("ENDED").await, busy, "it waits for nobody");
    app.stop().await;
}

/// `hongbao top` as a person would start it.
#[test]
fn top_prints_a_frame() {
    block_on(async {
        let (app, _) = stage(TestDb::sqlite()).await;
        let file = app.db.folder.path().join("top.svg");
        let key = app
            .person_in("vera", &[Role::Viewer], hongbao::domain::grant::Shops::All)
            .await;
        let server = format!("http://{}", app.running.grpc_addr);
        let svg = file.clone();
        let run = move |key: String| {
            Command::new(env!("CARGO_BIN_EXE_hongbao"))
                .args(["top", "--once", "--server", &server, "--svg"])
                .arg(&svg)
                .env("HONGBAO_KEY", key)
                .output()
                .unwrap()
        };
        let (run, run_again) = (run.clone(), run);
        let shown = tokio::task::spawn_blocking(move || run(key)).await.unwrap();
        let text = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.status.success(), "{text}");
        for part in [
            "busy",
            "idle",
            "ACTIVE",
            "queued 3",
            "waits for people",
            "nothing",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let drawn = std::fs::read_to_string(&file).unwrap();
        assert!(drawn.starts_with("<svg ") && drawn.contains("busy"));
        let wrong = tokio::task::spawn_blocking(move || run_again("hb_no".into()));
        let wrong = wrong.await.unwrap();
        assert!(!wrong.status.success());
        assert!(String::from_utf8_lossy(&wrong.stderr).contains("Unauthenticated"));
        app.stop().await;
    });
}
