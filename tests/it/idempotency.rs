//! One effect for one request id, however often and at once a call is repeated.
//!
//! `HONGBAO_FULL=1` runs a thousand request ids of twenty duplicates each; without
//! it fifty do.

mod orders;
mod replays;
mod scans;

use std::collections::BTreeSet;

use futures::future::join_all;
use hongbao::grpc::{DESCRIPTOR, pb};
use prost::Message as _;
use prost_types::method_options::IdempotencyLevel;

use crate::support::{Client, Options, Raw, SHOP, TestApp, TestDb, on_both, reason};

on_both!(
    duplicates_have_one_effect,
    two_resends_are_one_packet,
    a_refused_call_leaves_its_id_free,
);

const DUPLICATES: usize = 20;

async fn quiet(db: TestDb) -> (TestApp, i64) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    app.client.make_shop(SHOP).await;
    let merchant = app.simulator.merchant();
    let (mch_id, appid) = (merchant.mch_id.clone(), app.appid());
    let account = app.client.make_account(&mch_id, &appid, &[SHOP]).await;
    (app, account)
}

/// Twenty callers at once; each result is the packet, batch or campaign that the
/// call made, and whether the caller was told that another one had made it.
async fn at_once<F>(calls: impl Fn() -> F) -> i64
where
    F: Future<Output = (i64, bool)> + Send + 'static,
{
    let tasks = (0..DUPLICATES).map(|_| tokio::spawn(calls()));
    let answers: Vec<(i64, bool)> = join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let made: BTreeSet<i64> = answers.iter().map(|(id, _)| *id).collect();
    assert_eq!(made.len(), 1, "{answers:?}");
    let first = answers.iter().filter(|(_, replayed)| !replayed).count();
    assert_eq!(first, 1, "{answers:?}");
    answers[0].0
}

async fn single(client: Client, request: pb::SendRedPacketRequest) -> (i64, bool) {
    let answer = client.issuances().send_red_packet(request).await;
    let answer = answer.unwrap().into_inner();
    (answer.issuance.unwrap().issuance_id, answer.replayed)
}

async fn many(client: Client, request: pb::SendToUsersRequest) -> (i64, bool) {
    let answer = client.issuances().send_to_users(request).await;
    let answer = answer.unwrap().into_inner();
    (answer.batch.unwrap().batch_id, answer.replayed)
}

async fn fund(client: Client, request: pb::FundCampaignRequest) -> (i64, bool) {
    let answer = client.campaigns().fund_campaign(request).await;
    let answer = answer.unwrap().into_inner();
    (answer.campaign.unwrap().campaign_id, answer.replayed)
}

async fn duplicates_have_one_effect(db: TestDb) {
    let full = std::env::var_os("HONGBAO_FULL").is_some();
    let requests: i64 = if full { 1_000 } else { 50 };
    let (app, account) = quiet(db).await;
    let client = &app.client;
    let campaign = client.draft(SHOP, account, "camp");
    let campaign = client.make_campaign(campaign, 1_000_000).await;
    let people = [("u1".to_owned(), "oU1".to_owned())];
    client.make_people(SHOP, &app.appid(), &people).await;
    let mut made = BTreeSet::new();
    let began = std::time::Instant::now();
    for n in 0..requests {
        // Of ten ids, eight send one packet, one sends a batch, one moves money.
        let request_id = format!("dup-{n}");
        let kind = match n % 10 {
            0 => "fund",
            1 => "batch",
            _ => "single",
        };
        let id = match kind {
            "fund" => {
                let request = pb::FundCampaignRequest {
                    shop_id: SHOP,
                    request_id,
                    campaign_id: campaign,
                    amount_fen: 1,
                    ..Default::default()
                };
                at_once(|| fund(client.clone(), request.clone())).await
            }
            "batch" => {
                let request = pb::SendToUsersRequest {
                    shop_id: SHOP,
                    request_id,
                    campaign_id: campaign,
                    uids: vec!["u1".into(), "nobody".into()],
                    source: 1,
                    ..Default::default()
                };
                at_once(|| many(client.clone(), request.clone())).await
            }
            _ => {
                let mut request = client.send_request(SHOP, campaign, &format!("oDup{n}"));
                request.request_id = request_id;
                at_once(|| single(client.clone(), request.clone())).await
            }
        };
        made.insert((kind, if kind == "fund" { n } else { id }));
    }
    println!(
        "{requests} ids x {DUPLICATES} duplicates in {:?}",
        began.elapsed()
    );
    assert_eq!(
        i64::try_from(made.len()).unwrap(),
        requests,
        "two ids share an effect"
    );
    let tenth = requests / 10;
    let budget = client.budget(SHOP, campaign).await;
    assert_eq!(budget.granted_fen, 1_000_000 + tenth);
    assert_eq!(budget.held_fen, 100 * 9 * tenth);
    let raw = Raw::open(&app.db).await;
    let packets = "SELECT COUNT(*) FROM issuance WHERE state = 'QUEUED'";
    assert_eq!(raw.number(packets).await, 9 * tenth);
    let batches = "SELECT COUNT(*) FROM issuance_batch";
    assert_eq!(raw.number(batches).await, tenth);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_refused_call_leaves_its_id_free(db: TestDb) {
    let (app, account) = quiet(db).await;
    let client = &app.client;
    let campaign = client.draft(SHOP, account, "poor");
    let campaign = client.make_campaign(campaign, 0).await;
    let mut request = client.send_request(SHOP, campaign, "oOne");
    request.request_id = "patient".into();
    let status = client
        .issuances()
        .send_red_packet(request.clone())
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "BUDGET_EXHAUSTED");
    // The same id may even name another call now.
    client.fund(SHOP, campaign, 100).await;
    request.openid = "oTwo".into();
    let sent = client
        .issuances()
        .send_red_packet(request)
        .await
        .unwrap()
        .into_inner();
    assert!(!sent.replayed);
    app.assert_sound().await;
    app.stop().await;
}

/// Two people who press the button at once, each with a request id of his own.
async fn two_resends_are_one_packet(db: TestDb) {
    let (app, account) = quiet(db).await;
    let client = &app.client;
    let campaign = client.draft(SHOP, account, "camp");
    let campaign = client.make_campaign(campaign, 100_000).await;
    for round in 0..10 {
        let uid = format!("late{round}");
        let request = pb::SendToUsersRequest {
            shop_id: SHOP,
            request_id: client.fresh(),
            campaign_id: campaign,
            uids: vec![uid.clone()],
            source: 1,
            ..Default::default()
        };
        many(client.clone(), request).await;
        let people = [(uid, format!("oLate{round}"))];
        client.make_people(SHOP, &app.appid(), &people).await;
        let list = pb::ListIssuancesRequest {
            shop_id: SHOP,
            ..Default::default()
        };
        let listed = client.issuances().list_issuances(list).await.unwrap();
        let issuance_id = listed.into_inner().issuances[0].issuance_id;
        let calls = (0..4).map(|_| {
            let (client, request_id) = (client.clone(), client.fresh());
            tokio::spawn(async move {
                let request = pb::ResendRequest {
                    shop_id: SHOP,
                    request_id,
                    issuance_id,
                    ..Default::default()
                };
                client.issuances().resend(request).await
            })
        });
        let mut sent = 0;
        for answer in join_all(calls).await {
            match answer.unwrap() {
                Ok(_) => sent += 1,
                Err(status) => assert_eq!(reason(&status), "OUTCOME_UNKNOWN", "{status:?}"),
            }
        }
        assert_eq!(sent, 1);
    }
    assert_eq!(client.budget(SHOP, campaign).await.held_fen, 1_000);
    app.assert_sound().await;
    app.stop().await;
}

/// The RPCs whose request names the call, by a request id or as an order by the caller's
/// number, without their separators.
pub fn writes() -> BTreeSet<String> {
    let set = prost_types::FileDescriptorSet::decode(DESCRIPTOR).unwrap();
    let names = ["request_id", "app_order_id"];
    let named = |message: &str| {
        let name = message.rsplit('.').next().unwrap();
        let found = set
            .file
            .iter()
            .flat_map(|file| &file.message_type)
            .find(|m| m.name() == name);
        found.is_some_and(|m| m.field.iter().any(|field| names.contains(&field.name())))
    };
    let methods = set
        .file
        .iter()
        .flat_map(|file| &file.service)
        .flat_map(|service| &service.method);
    let reads = IdempotencyLevel::NoSideEffects;
    methods
        .filter(|method| {
            method
                .options
                .clone()
                .unwrap_or_default()
                .idempotency_level()
                != reads
        })
        .filter(|method| named(method.input_type()))
        .map(|method| method.name().to_lowercase())
        .collect()
}
