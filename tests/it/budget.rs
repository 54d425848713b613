//! A budget and a stock under contention: never a packet more, and never one less.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures::future::join_all;
use hongbao::grpc::pb::{self, IssuanceState as S};
use tonic::{Code, Status};

use crate::support::{Client, Options, SHOP, TestApp, TestDb, on_both, reason};

on_both!(
    exactly_the_budget_is_issued,
    exactly_the_stock_is_issued,
    operators_race_with_senders,
);

const SENDERS: usize = 64;
/// Packets that each sender asks for.
const EACH: usize = 6;
/// What there is: a third of what is asked for.
const ENOUGH_FOR: i64 = 128;

const RUNNING: u8 = 0;
/// The campaign is being ended: from here on, it may be said to have ended.
const ENDING: u8 = 1;
const OVER: u8 = 2;

async fn account(app: &TestApp) -> i64 {
    app.client.make_shop(SHOP).await;
    let merchant = app.simulator.merchant();
    let (mch_id, appid) = (merchant.mch_id.clone(), app.appid());
    app.client.make_account(&mch_id, &appid, &[SHOP]).await
}

/// One after another from each of 64 senders; every answer.
async fn storm(client: &Client, campaign: i64) -> Vec<Result<pb::Issuance, Status>> {
    let senders = (0..SENDERS).map(|sender| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut answers = Vec::new();
            for n in 0..EACH {
                let openid = format!("oS{sender}-{n}");
                answers.push(client.send(SHOP, campaign, &openid).await);
            }
            answers
        })
    });
    let answers = join_all(senders).await;
    answers.into_iter().flat_map(Result::unwrap).collect()
}

/// Splits answers into ids and reasons, all of which must be this one.
fn sorted(answers: Vec<Result<pb::Issuance, Status>>, due: &str) -> Vec<i64> {
    let asked = answers.len();
    let mut ids = Vec::new();
    let mut refused = 0;
    for answer in answers {
        match answer {
            Ok(issuance) => ids.push(issuance.issuance_id),
            Err(status) => {
                assert_eq!(reason(&status), due, "{status:?}");
                assert_eq!(status.code(), Code::FailedPrecondition);
                refused += 1;
            }
        }
    }
    assert_eq!(ids.len() + refused, asked);
    assert_eq!(asked, SENDERS * EACH);
    ids
}

async fn exactly_the_budget_is_issued(db: TestDb) {
    let app = TestApp::start(db).await;
    let account = account(&app).await;
    let client = &app.client;
    let draft = client.draft(SHOP, account, "budget");
    // Ninety-nine fen more, which are too little for one more packet.
    let campaign = client.make_campaign(draft, ENOUGH_FOR * 100 + 99).await;
    let ids = sorted(storm(client, campaign).await, "BUDGET_EXHAUSTED");
    assert_eq!(ids.len() as i64, ENOUGH_FOR);
    for id in &ids {
        client.await_state(SHOP, *id, &[S::Received]).await;
    }
    let budget = client.budget(SHOP, campaign).await;
    assert_eq!((budget.available_fen, budget.held_fen), (99, 0));
    assert_eq!((budget.transit_fen, budget.paid_fen), (0, ENOUGH_FOR * 100));
    assert_eq!(app.simulator.books().payments().len() as i64, ENOUGH_FOR);
    app.assert_sound().await;
    app.stop().await;
}

async fn exactly_the_stock_is_issued(db: TestDb) {
    let app = TestApp::start(db).await;
    let account = account(&app).await;
    let client = &app.client;
    let mut draft = client.draft(SHOP, account, "stock");
    draft.stock_count = ENOUGH_FOR;
    let campaign = client.make_campaign(draft, 10_000_000).await;
    let ids = sorted(storm(client, campaign).await, "STOCK_EXHAUSTED");
    assert_eq!(ids.len() as i64, ENOUGH_FOR);
    for id in &ids {
        client.await_state(SHOP, *id, &[S::Received]).await;
    }
    let request = pb::GetCampaignRequest {
        shop_id: SHOP,
        campaign_id: campaign,
    };
    let found = client.campaigns().get_campaign(request).await.unwrap();
    let found = found.into_inner().campaign.unwrap();
    assert_eq!(
        (found.issued_count, found.stock_count),
        (ENOUGH_FOR, ENOUGH_FOR)
    );
    app.assert_sound().await;
    app.stop().await;
}

/// What an operator does while others send, over and over.
async fn operate(client: Client, campaign: i64, phase: Arc<AtomicU8>) -> usize {
    let mut turns = 0;
    let (shop_id, campaign_id) = (SHOP, campaign);
    while phase.load(Ordering::SeqCst) != OVER {
        let ending = || phase.load(Ordering::SeqCst) != RUNNING;
        let request_id = client.fresh();
        let mut campaigns = client.campaigns();
        macro_rules! ask {
            ($method:ident, $request:ident { $($field:ident: $value:expr),* }) => {{
                let request = pb::$request { shop_id, request_id, campaign_id, $($field: $value,)* ..Default::default() };
                campaigns.$method(request).await.map(drop)
            }};
        }
        let answer = match turns % 5 {
            0 => ask!(pause_campaign, PauseCampaignRequest {}),
            1 => ask!(fund_campaign, FundCampaignRequest { amount_fen: 700 }),
            2 => ask!(activate_campaign, ActivateCampaignRequest {}),
            3 => ask!(defund_campaign, DefundCampaignRequest { amount_fen: 300 }),
            _ => {
                let mask = prost_types::FieldMask {
                    paths: vec!["stock_count".into()],
                };
                ask!(
                    update_campaign,
                    UpdateCampaignRequest {
                        update_mask: Some(mask),
                        stock_count: 100_000 + turns as i64
                    }
                )
            }
        };
        if let Err(status) = answer {
            let reason = reason(&status);
            let fair = match reason.as_str() {
                "BUDGET_IN_USE" | "CONCURRENT_UPDATE" => true,
                "CAMPAIGN_ENDED" | "CAMPAIGN_STATE" => ending(),
                _ => false,
            };
            assert!(fair, "{status:?}");
        }
        turns += 1;
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    turns
}

async fn operators_race_with_senders(db: TestDb) {
    let options = Options {
        // Some packets fail and give back, some are not taken and come back.
        taken_per_mille: 700,
        time_scale: 20_000,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let account = account(&app).await;
    let client = &app.client;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "race"), 5_000)
        .await;
    let phase = Arc::new(AtomicU8::new(RUNNING));
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let (client, phase) = (client.clone(), Arc::clone(&phase));
            tokio::spawn(async move {
                let mut accepted = 0;
                for n in 0.. {
                    if phase.load(Ordering::SeqCst) == OVER {
                        break;
                    }
                    let fault = if n % 5 == 0 { "SIM-SEND_FAILED-" } else { "" };
                    let openid = format!("o{fault}{sender}-{n}");
                    match client.send(SHOP, campaign, &openid).await {
                        Ok(_) => accepted += 1,
                        Err(status) => {
                            let reason = reason(&status);
                            let fair = match reason.as_str() {
                                "BUDGET_EXHAUSTED" | "CAMPAIGN_PAUSED" | "CONCURRENT_UPDATE" => {
                                    true
                                }
                                "CAMPAIGN_ENDED" => phase.load(Ordering::SeqCst) != RUNNING,
                                _ => false,
                            };
                            assert!(fair, "{status:?}");
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                accepted
            })
        })
        .collect();
    let operators: Vec<_> = (0..2)
        .map(|_| tokio::spawn(operate(client.clone(), campaign, Arc::clone(&phase))))
        .collect();
    for _ in 0..16 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let findings = app.store().verify().await.unwrap();
        assert!(findings.is_empty(), "{findings:?}");
    }
    // Over for ever, in the middle of it.
    let end = pb::EndCampaignRequest {
        shop_id: SHOP,
        request_id: "end".into(),
        campaign_id: campaign,
        ..Default::default()
    };
    phase.store(ENDING, Ordering::SeqCst);
    client.campaigns().end_campaign(end).await.unwrap();
    tokio::time::sleep(Duration::from_millis(250)).await;
    phase.store(OVER, Ordering::SeqCst);
    let accepted: usize = join_all(senders)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    let turns: usize = join_all(operators)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    println!("{accepted} packets, {turns} turns of operators");
    assert!(
        accepted > 50 && turns > 50,
        "{accepted} packets, {turns} turns"
    );
    for n in 0.. {
        let findings = app.store().verify().await.unwrap();
        assert!(findings.is_empty(), "{findings:?}");
        let budget = client.budget(SHOP, campaign).await;
        let sum = budget.defunded_fen + budget.available_fen + budget.held_fen;
        assert_eq!(
            budget.granted_fen,
            sum + budget.transit_fen + budget.paid_fen
        );
        if budget.held_fen == 0 && budget.transit_fen == 0 {
            break;
        }
        assert!(n < 200, "never settled: {budget:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    app.assert_sound().await;
    app.stop().await;
}
