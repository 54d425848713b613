//! Withdrawing a batch, and stopping a campaign under one: what was not sent comes
//! back, what was is finished, and the counts add up throughout.

use std::time::Duration;

use hongbao::grpc::pb::{self, IssuanceState as S};

use super::{
    awake, batch, cancel, closes, ended, idle, make_group, of_batch, people, person, resend,
    send_to_groups, to_groups, uids, upsert,
};
use crate::dispatching::{activate, end, issued, pause};
use crate::support::{SHOP, TestApp, TestDb, on_both, reason};

on_both!(
    what_is_queued_is_withdrawn_amid_sending,
    a_paused_batch_is_withdrawn_at_once,
    a_large_batch_is_withdrawn_whole,
    a_packet_sent_again_after_its_batch_was_cancelled_is_paid,
    a_pause_holds_a_batch_and_an_end_gives_it_back,
);

/// A batch of so many packets, accepted and not sent.
async fn queued(db: TestDb, count: u32, amount_fen: i64) -> (TestApp, i64, i64) {
    let (app, account) = idle(db).await;
    let client = &app.client;
    let all = people("C", 0..count);
    client.make_people(SHOP, &app.appid(), &all).await;
    let group = make_group(client, "g", &uids(&all)).await;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), amount_fen)
        .await;
    let sent = send_to_groups(client, to_groups(client, campaign, &[group]))
        .await
        .unwrap();
    (app, campaign, sent.batches[0].batch_id)
}

/// Sends on, few at a time, until so many requests have gone out.
async fn underway(app: TestApp, sends: u64) -> TestApp {
    let app = app
        .restart(|config| {
            config.dispatcher.enabled = true;
            config.dispatcher.concurrency = 4;
        })
        .await;
    while app.simulator.books().totals().sends < sends {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    app
}

async fn what_is_queued_is_withdrawn_amid_sending(db: TestDb) {
    let (app, campaign, id) = queued(db, 150, 20_000).await;
    let app = underway(app, 10).await;
    let client = &app.client;
    let request = pb::CancelBatchRequest {
        shop_id: SHOP,
        request_id: "cancel".into(),
        batch_id: id,
        ..Default::default()
    };
    let tried = pb::CancelBatchRequest {
        validate_only: true,
        ..request.clone()
    };
    client.issuances().cancel_batch(tried).await.unwrap();
    assert!(
        batch(client, id).await.cancel_time.is_none(),
        "a trial withdraws nothing"
    );
    let done = client
        .issuances()
        .cancel_batch(request.clone())
        .await
        .unwrap()
        .into_inner();
    let now = done.batch.unwrap();
    closes(&now);
    assert!(!done.replayed && now.cancel_time.is_some());
    let counts = now.counts.unwrap();
    assert_eq!(counts.queued_count, 0, "{counts:?}");
    let withdrawn = counts.cancelled_count;
    let counts = ended(client, id).await.counts.unwrap();
    assert!(withdrawn > 0 && counts.received_count >= 4, "{counts:?}");
    assert_eq!(
        counts.cancelled_count, withdrawn,
        "what was in flight is finished"
    );
    assert_eq!(counts.received_count + counts.cancelled_count, 150);
    let budget = client.budget(SHOP, campaign).await;
    assert_eq!(budget.paid_fen, counts.received_count * 100);
    assert_eq!(budget.available_fen, 20_000 - budget.paid_fen);
    assert_eq!(issued(&app, campaign).await, counts.received_count);
    let payments = app.simulator.books().totals().payments;
    assert_eq!(payments, u64::try_from(counts.received_count).unwrap());
    let replay = client
        .issuances()
        .cancel_batch(request)
        .await
        .unwrap()
        .into_inner();
    assert!(replay.replayed);
    let again = cancel(client, id).await.batch.unwrap();
    assert_eq!(
        (again.counts, again.cancel_time),
        (Some(counts), now.cancel_time)
    );
    let rows = of_batch(client, id).await;
    let gone = rows.iter().find(|row| row.state() == S::Cancelled).unwrap();
    let refused = resend(client, gone.issuance_id).await.unwrap_err();
    assert_eq!(reason(&refused), "ISSUANCE_CANCELLED");
    app.assert_sound().await;
    app.stop().await;
}

async fn a_paused_batch_is_withdrawn_at_once(db: TestDb) {
    let (app, campaign, id) = queued(db, 30, 3_000).await;
    pause(&app, campaign).await;
    let app = awake(app).await;
    let client = &app.client;
    assert_eq!(client.budget(SHOP, campaign).await.held_fen, 3_000);
    let now = cancel(client, id).await.batch.unwrap();
    closes(&now);
    assert_eq!(now.counts.unwrap().cancelled_count, 30);
    assert!(now.settled);
    let budget = client.budget(SHOP, campaign).await;
    assert_eq!((budget.available_fen, budget.held_fen), (3_000, 0));
    activate(&app, campaign).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(app.simulator.books().totals().sends, 0);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_large_batch_is_withdrawn_whole(db: TestDb) {
    let (app, campaign, id) = queued(db, 2_500, 250_000).await;
    let client = &app.client;
    let mut request = tonic::Request::new(pb::CancelBatchRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        batch_id: id,
        ..Default::default()
    });
    request.set_timeout(Duration::from_secs(50));
    let done = client
        .issuances()
        .cancel_batch(request)
        .await
        .unwrap()
        .into_inner();
    let now = done.batch.unwrap();
    closes(&now);
    assert_eq!(now.counts.unwrap().cancelled_count, 2_500);
    let budget = client.budget(SHOP, campaign).await;
    assert_eq!((budget.available_fen, budget.held_fen), (250_000, 0));
    assert_eq!(issued(&app, campaign).await, 0);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_packet_sent_again_after_its_batch_was_cancelled_is_paid(db: TestDb) {
    let (app, account) = idle(db).await;
    let bare = pb::RecipientInput {
        uid: "bare".into(),
        ..Default::default()
    };
    let client = &app.client;
    upsert(client, vec![bare, person(&app, "other", "oOther")])
        .await
        .unwrap();
    let both = ["bare".to_owned(), "other".to_owned()];
    let group = make_group(client, "g", &both).await;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 1_000)
        .await;
    let sent = send_to_groups(client, to_groups(client, campaign, &[group]))
        .await
        .unwrap();
    let id = sent.batches[0].batch_id;
    let refused = sent.refused[0].issuance_id;
    cancel(client, id).await;
    upsert(client, vec![person(&app, "bare", "oBare")])
        .await
        .unwrap();
    let app = awake(app).await;
    let client = &app.client;
    // Either it is refused, or it is sent; to accept it and to withdraw it is neither.
    if let Ok(sent) = resend(client, refused).await {
        let states = [S::Received, S::Cancelled];
        let end = client.await_state(SHOP, sent.issuance_id, &states).await;
        assert_eq!(end.state(), S::Received, "{end:?}");
    }
    app.assert_sound().await;
    app.stop().await;
}

async fn a_pause_holds_a_batch_and_an_end_gives_it_back(db: TestDb) {
    let (app, campaign, id) = queued(db, 150, 20_000).await;
    let app = underway(app, 10).await;
    let client = &app.client;
    pause(&app, campaign).await;
    // What is in flight is finished, and nothing new begins.
    let mut held = batch(client, id).await.counts.unwrap();
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = batch(client, id).await.counts.unwrap();
        let busy = now.sending_count + now.unknown_count + now.sent_count;
        if busy == 0 && now == held {
            break;
        }
        held = now;
    }
    assert!(
        held.queued_count > 0 && held.received_count >= 4,
        "{held:?}"
    );
    let sends = app.simulator.books().totals().sends;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(batch(client, id).await.counts.unwrap(), held);
    assert_eq!(app.simulator.books().totals().sends, sends);
    let budget = client.budget(SHOP, campaign).await;
    assert_eq!(budget.held_fen, held.queued_count * 100);
    app.assert_sound().await;
    // On again for a moment, then over for ever.
    activate(&app, campaign).await;
    while app.simulator.books().totals().sends < sends + 5 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    end(&app, campaign).await;
    let counts = ended(client, id).await.counts.unwrap();
    assert_eq!(counts.received_count + counts.cancelled_count, 150);
    assert!(counts.received_count > held.received_count, "{counts:?}");
    let budget = client.budget(SHOP, campaign).await;
    assert_eq!(budget.available_fen, 20_000 - counts.received_count * 100);
    assert_eq!((budget.held_fen, budget.transit_fen), (0, 0));
    assert_eq!(issued(&app, campaign).await, counts.received_count);
    app.assert_sound().await;
    app.stop().await;
}
