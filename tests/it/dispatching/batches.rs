//! #19: what becomes of a batch that is stopped: by its campaign, or by itself.

use std::time::Duration;

use hongbao::grpc::pb::{self, IssuanceState as S};

use super::{activate, awake, end, idle, issued, pause, resend};
use crate::support::{Raw, SHOP, TestApp, TestDb, on_both};

on_both!(
    a_batch_waits_for_a_paused_campaign,
    an_ended_campaign_withdraws_its_batches,
    a_cancelled_batch_gives_back_once,
    a_batch_that_is_cancelled_amid_sending_adds_up,
);

/// A send to a group of so many.
async fn send(app: &TestApp, campaign_id: i64, count: usize) -> pb::IssuanceBatch {
    let client = &app.client;
    let group = pb::UpsertGroupRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        wx_group_id: 7,
        name: "group".into(),
        ..Default::default()
    };
    client.audience().upsert_group(group).await.unwrap();
    let person = |n: usize| pb::RecipientInput {
        uid: format!("u{n}"),
        openids: vec![pb::OpenidInput {
            appid: app.appid(),
            openid: format!("oMember{n}"),
        }],
        ..Default::default()
    };
    let people = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        recipients: (0..count).map(person).collect(),
        wx_group_ids: vec![7],
        ..Default::default()
    };
    client.audience().upsert_recipients(people).await.unwrap();
    let send = pb::SendToGroupsRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id,
        wx_group_ids: vec![7],
        source: 2,
        ..Default::default()
    };
    let sent = client.issuances().send_to_groups(send).await.unwrap();
    sent.into_inner().batches.remove(0)
}

async fn cancel(app: &TestApp, batch_id: i64) -> pb::IssuanceBatch {
    let cancel = pb::CancelBatchRequest {
        shop_id: SHOP,
        request_id: app.client.fresh(),
        batch_id,
        ..Default::default()
    };
    let done = app.client.issuances().cancel_batch(cancel).await.unwrap();
    done.into_inner().batch.unwrap()
}

/// The counts, once they are as they are to be.
async fn counts(
    app: &TestApp,
    batch_id: i64,
    done: impl Fn(&pb::BatchCounts) -> bool,
) -> pb::BatchCounts {
    let get = pb::GetBatchRequest {
        shop_id: SHOP,
        batch_id,
    };
    let mut seen = pb::BatchCounts::default();
    for _ in 0..1_000 {
        let found = app.client.issuances().get_batch(get).await.unwrap();
        seen = found.into_inner().batch.unwrap().counts.unwrap();
        if done(&seen) {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{seen:?}");
}

/// Why packets were withdrawn.
async fn reasons(app: &TestApp) -> Vec<String> {
    let raw = Raw::open(&app.db).await;
    let text = "SELECT DISTINCT reason FROM journal WHERE aggregate = 'ISSUANCE' AND to_state = 'CANCELLED'";
    let reasons = raw.texts(text).await;
    raw.close().await;
    reasons
}

async fn any_packet(app: &TestApp, batch_id: i64, state: S) -> i64 {
    let list = pb::ListIssuancesRequest {
        shop_id: SHOP,
        filter: Some(pb::IssuanceFilter {
            batch_id,
            states: vec![state.into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let found = app.client.issuances().list_issuances(list).await.unwrap();
    found.into_inner().issuances[0].issuance_id
}

async fn a_batch_waits_for_a_paused_campaign(db: TestDb) {
    let (app, campaign) = idle(db, 1_000).await;
    let batch = send(&app, campaign, 5).await.batch_id;
    pause(&app, campaign).await;
    let app = awake(app).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    counts(&app, batch, |counts| counts.queued_count == 5).await;
    assert_eq!(app.simulator.books().totals().sends, 0);
    activate(&app, campaign).await;
    counts(&app, batch, |counts| counts.received_count == 5).await;
    app.assert_sound().await;
    app.stop().await;
}

async fn an_ended_campaign_withdraws_its_batches(db: TestDb) {
    let (app, campaign) = idle(db, 1_000).await;
    let batch = send(&app, campaign, 5).await.batch_id;
    end(&app, campaign).await;
    let app = awake(app).await;
    counts(&app, batch, |counts| counts.cancelled_count == 5).await;
    let packet = any_packet(&app, batch, S::Cancelled).await;
    assert_eq!(resend(&app, packet).await, "ISSUANCE_CANCELLED");
    assert_eq!(reasons(&app).await, ["CAMPAIGN_ENDED"]);
    assert_eq!(app.client.budget(SHOP, campaign).await.available_fen, 1_000);
    assert_eq!(app.simulator.books().totals().sends, 0);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_cancelled_batch_gives_back_once(db: TestDb) {
    let (app, campaign) = idle(db, 1_000).await;
    let batch = send(&app, campaign, 5).await.batch_id;
    // Twice, each time under an id of its own.
    let first = cancel(&app, batch).await;
    let again = cancel(&app, batch).await;
    assert_eq!(first, again);
    assert_eq!(first.counts.unwrap().cancelled_count, 5);
    let app = awake(app).await;
    let packet = any_packet(&app, batch, S::Cancelled).await;
    assert_eq!(resend(&app, packet).await, "ISSUANCE_CANCELLED");
    assert_eq!(reasons(&app).await, ["BATCH_CANCELLED"]);
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!((budget.available_fen, budget.held_fen), (1_000, 0));
    assert_eq!(issued(&app, campaign).await, 0);
    // The campaign goes on for others.
    let other = app.client.send(SHOP, campaign, "oOther").await.unwrap();
    let taken = [S::Received];
    app.client
        .await_state(SHOP, other.issuance_id, &taken)
        .await;
    assert_eq!(app.simulator.books().totals().sends, 1);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_batch_that_is_cancelled_amid_sending_adds_up(db: TestDb) {
    let (app, campaign) = idle(db, 20_000).await;
    let batch = send(&app, campaign, 120).await.batch_id;
    let app = app
        .restart(|config| {
            config.dispatcher.enabled = true;
            config.dispatcher.concurrency = 4;
        })
        .await;
    while app.simulator.books().totals().sends < 10 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let counted = cancel(&app, batch).await.counts.unwrap();
    assert_eq!(counted.queued_count, 0, "{counted:?}");
    let counts = counts(&app, batch, |counts| {
        counts.received_count + counts.cancelled_count == 120
    });
    let counts = counts.await;
    let (paid, cancelled) = (counts.received_count, counts.cancelled_count);
    assert!(paid >= 10 && cancelled > 0, "{paid} paid, {cancelled} not");
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!(budget.paid_fen, paid * 100);
    assert_eq!(budget.available_fen, 20_000 - paid * 100);
    let payments = app.simulator.books().totals().payments;
    assert_eq!(payments, u64::try_from(paid).unwrap());
    app.assert_sound().await;
    app.stop().await;
}
