//! The main path, from a caller's send to the provider's books.

use hongbao::grpc::pb::{self, IssuanceState as S};

use crate::support::{Options, TestApp, TestDb, on_both};

const SHOP: i64 = 1;

/// A shop, an account and a campaign with this much money.
pub async fn ready(app: &TestApp, amount_fen: i64) -> i64 {
    let client = &app.client;
    client.make_shop(SHOP).await;
    let merchant = app.simulator.merchant();
    let account = client
        .make_account(&merchant.mch_id, merchant.appid(), &[SHOP])
        .await;
    client
        .make_campaign(client.draft(SHOP, account, "camp"), amount_fen)
        .await
}

on_both!(
    a_packet_is_sent_and_taken,
    a_batch_counts_what_became_of_it,
    an_unclear_answer_is_resolved_under_the_same_number,
    a_failed_packet_gives_back_and_can_be_sent_again,
    an_untaken_packet_comes_back,
    an_account_without_money_waits,
);

async fn a_packet_is_sent_and_taken(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 1_000).await;
    let mut request = app.client.send_request(SHOP, campaign, "oAlice");
    request.wait = true;
    let sent = app
        .client
        .issuances()
        .send_red_packet(request)
        .await
        .unwrap()
        .into_inner();
    let issuance = sent.issuance.unwrap();
    assert_eq!(issuance.state(), S::Sent);
    assert_eq!(issuance.amount_fen, 100);
    assert!(
        issuance
            .mch_billno
            .starts_with(&app.simulator.merchant().mch_id)
    );
    let taken = app
        .client
        .await_state(SHOP, issuance.issuance_id, &[S::Received])
        .await;
    assert!(taken.send_time.is_some() && taken.receive_time.is_some());
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!((budget.available_fen, budget.paid_fen), (900, 100));
    let seen = app.client.get(SHOP, issuance.issuance_id).await;
    assert_eq!(seen.attempts.len(), 1);
    assert_eq!(seen.attempts[0].send_count, 1);
    assert!(seen.attempts[0].next_time.is_none());
    app.assert_sound().await;
    app.stop().await;
}

async fn a_batch_counts_what_became_of_it(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 10_000).await;
    let people: Vec<(String, String)> = (0..10)
        .map(|n| (format!("u{n}"), format!("oBatch{n}")))
        .collect();
    app.client.make_people(SHOP, &app.appid(), &people).await;
    app.client
        .make_people(SHOP, "wxother", &[("foreign".into(), "oForeign".into())])
        .await;
    let mut uids: Vec<String> = people.iter().map(|(uid, _)| uid.clone()).collect();
    uids.extend(["u3".into(), "nobody".into(), "foreign".into()]);
    let request = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: "batch".into(),
        campaign_id: campaign,
        uids,
        source: pb::IssuanceSource::Lottery.into(),
        wait: true,
        ..Default::default()
    };
    let sent = app
        .client
        .issuances()
        .send_to_users(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(sent.duplicate_uids, ["u3"]);
    let refused: Vec<(String, String)> = sent
        .refused
        .into_iter()
        .map(|item| (item.uid, item.reason.unwrap().reason))
        .collect();
    assert_eq!(
        refused,
        [
            ("nobody".into(), "RECIPIENT_NOT_FOUND".into()),
            ("foreign".into(), "OPENID_MISSING".into())
        ]
    );
    let batch = sent.batch.unwrap();
    let counts = batch.counts.unwrap();
    assert_eq!(
        (
            counts.requested_count,
            counts.accepted_count,
            counts.refused_count
        ),
        (12, 10, 2)
    );
    assert!(batch.settled && batch.amount_fen == 1_000);
    assert_eq!(counts.sent_count + counts.received_count, 10);

    let again = app
        .client
        .issuances()
        .send_to_users(request)
        .await
        .unwrap()
        .into_inner();
    assert!(again.replayed);
    assert_eq!(again.batch.unwrap().batch_id, batch.batch_id);
    assert_eq!(again.refused.len(), 2);

    let watch = pb::WatchBatchRequest {
        shop_id: SHOP,
        batch_id: batch.batch_id,
    };
    let mut stream = app
        .client
        .issuances()
        .watch_batch(watch)
        .await
        .unwrap()
        .into_inner();
    assert!(
        stream
            .message()
            .await
            .unwrap()
            .unwrap()
            .batch
            .unwrap()
            .settled
    );
    assert!(stream.message().await.unwrap().is_none());
    app.assert_sound().await;
    app.stop().await;
}

async fn an_unclear_answer_is_resolved_under_the_same_number(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 100_000).await;
    let faults = [
        "SYSTEMERROR_BEFORE",
        "SYSTEMERROR_AFTER",
        "PROCESSING",
        "TIMEOUT_BEFORE",
        "TIMEOUT_AFTER",
        "RESET",
        "RESET_AFTER",
        "HALF_BODY",
        "HTML_502",
        "UNKNOWN_CODE",
        "GARBAGE",
        "HUGE_BODY",
        "DTD",
        "NOTENOUGH",
        "FREQ_LIMIT",
    ];
    let mut sent = Vec::new();
    for fault in faults {
        sent.push((
            fault,
            app.client
                .send(SHOP, campaign, &format!("oSIM-{fault}-1"))
                .await
                .unwrap(),
        ));
    }
    for (fault, issuance) in sent {
        let ended = app
            .client
            .await_state(
                SHOP,
                issuance.issuance_id,
                &[S::Received, S::Failed, S::Review],
            )
            .await;
        assert_eq!(ended.state(), S::Received, "{fault}: {ended:?}");
        assert_eq!(ended.mch_billno, issuance.mch_billno, "{fault}");
        assert_eq!(ended.attempt_count, 1, "{fault}");
        assert!(!ended.last_error.is_empty(), "{fault}");
    }
    app.assert_sound().await;
    app.stop().await;
}

async fn a_failed_packet_gives_back_and_can_be_sent_again(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = ready(&app, 1_000).await;
    let issuance = app
        .client
        .send(SHOP, campaign, "oSIM-SEND_FAILED-1")
        .await
        .unwrap();
    let id = issuance.issuance_id;
    let failed = app.client.await_state(SHOP, id, &[S::Failed]).await;
    assert_eq!(app.client.budget(SHOP, campaign).await.available_fen, 1_000);

    let request = pb::ResendRequest {
        shop_id: SHOP,
        request_id: "again".into(),
        issuance_id: id,
        wait: true,
        ..Default::default()
    };
    let resent = app
        .client
        .issuances()
        .resend(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(!resent.replayed);
    assert_ne!(
        resent.issuance.unwrap().mch_billno,
        failed.mch_billno,
        "a closed number is never used again"
    );
    let ended = app
        .client
        .await_state(SHOP, id, &[S::Received, S::Failed])
        .await;
    assert_eq!(ended.attempt_count, 2);
    assert!(
        app.client
            .issuances()
            .resend(request)
            .await
            .unwrap()
            .into_inner()
            .replayed
    );
    app.assert_sound().await;
    app.stop().await;
}

async fn an_untaken_packet_comes_back(db: TestDb) {
    let app = TestApp::start_with(
        db,
        Options {
            time_scale: 20_000,
            ..Options::default()
        },
    )
    .await;
    let campaign = ready(&app, 1_000).await;
    let issuance = app
        .client
        .send(SHOP, campaign, "oSIM-REFUND-1")
        .await
        .unwrap();
    let back = app
        .client
        .await_state(SHOP, issuance.issuance_id, &[S::Refunded])
        .await;
    assert!(back.refund_time.is_some());
    let budget = app.client.budget(SHOP, campaign).await;
    assert_eq!(
        (budget.available_fen, budget.transit_fen, budget.paid_fen),
        (1_000, 0, 0)
    );
    app.assert_sound().await;
    app.stop().await;
}

async fn an_account_without_money_waits(db: TestDb) {
    let app = TestApp::start_with(
        db,
        Options {
            balance_fen: 250,
            ..Options::default()
        },
    )
    .await;
    let campaign = ready(&app, 10_000).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(
            app.client
                .send(SHOP, campaign, &format!("oPoor{n}"))
                .await
                .unwrap()
                .issuance_id,
        );
    }
    let held_back = async |open: bool| {
        for _ in 0..200 {
            let request = pb::GetProviderAccountRequest { account_id: 1 };
            let found = app.client.admin().get_provider_account(request).await;
            let breaker = found
                .unwrap()
                .into_inner()
                .account
                .unwrap()
                .breaker
                .unwrap();
            if breaker.open == open {
                return breaker;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("the breaker is never open = {open}");
    };
    assert_eq!(held_back(true).await.code, "NOTENOUGH");
    app.simulator.books().fund(1_000_000).await.unwrap();
    for id in ids {
        app.client.await_state(SHOP, id, &[S::Received]).await;
    }
    // A packet that went through closes it.
    held_back(false).await;
    app.assert_sound().await;
    app.stop().await;
}
