//! What was refunded or has failed is sent again, under another number each time.

use hongbao::grpc::pb::{self, IssuanceState as S};
use hongbao::simulator::{Fault, FaultTable};

use super::asking::{ask, by_id, by_number};
use super::{PAID, packets, recipient, resend, stage, upsert};
use crate::support::{Options, SHOP, TestDb, on_both, reason};

on_both!(
    what_was_refunded_is_sent_again,
    what_has_failed_is_sent_again,
    who_was_unknown_becomes_the_owner_of_his_packet,
    a_mended_openid_is_the_one_that_gets_it,
);

async fn what_was_refunded_is_sent_again(db: TestDb) {
    let options = Options {
        time_scale: 20_000,
        ..Options::default()
    };
    let (app, account) = stage(db, options).await;
    let client = &app.client;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 1_000)
        .await;
    let id = client
        .send(SHOP, campaign, "oSIM-REFUND-1")
        .await
        .unwrap()
        .issuance_id;
    let back = client.await_state(SHOP, id, &[S::Refunded]).await;
    assert_eq!((back.refunded_fen, back.received_fen), (100, 0));
    let told = ask(client, by_id(id)).await.unwrap().status.unwrap();
    assert_eq!(
        (told.status.as_str(), told.refund_amount_fen),
        ("REFUND", 100)
    );
    assert_eq!(told.refund_time.len(), 19);
    let sent = resend(client, id).await.unwrap();
    assert_ne!(
        sent.mch_billno, back.mch_billno,
        "a refunded number was paid once"
    );
    assert_eq!((sent.refunded_fen, sent.amount_fen), (0, 100));
    client.await_state(SHOP, id, &[S::Refunded]).await;
    let seen = client.get(SHOP, id).await;
    let history: Vec<_> = seen
        .attempts
        .iter()
        .map(|a| (a.attempt_no, a.state()))
        .collect();
    assert_eq!(history, [(1, S::Refunded), (2, S::Refunded)]);
    assert_eq!(seen.attempts[0].mch_billno, back.mch_billno);
    told_by_its_history(&seen.history);
    // The older number can still be asked about.
    let told = ask(client, by_number(&back.mch_billno)).await.unwrap();
    assert_eq!(told.status.unwrap().mch_billno, back.mch_billno);
    assert_eq!(client.budget(SHOP, campaign).await.available_fen, 1_000);
    app.assert_sound().await;
    app.stop().await;
}

/// Each entry begins where the one before ended, and what went out came back, twice.
fn told_by_its_history(history: &[pb::JournalEntry]) {
    let mut state = S::Unspecified;
    for (entry, seq) in history.iter().zip(1..) {
        assert_eq!((entry.seq, entry.from_state()), (seq, state), "{history:?}");
        state = entry.to_state();
    }
    assert_eq!(state, S::Refunded);
    let by_call: Vec<&str> = history
        .iter()
        .filter(|entry| entry.actor.starts_with("app:"))
        .map(|entry| entry.kind.as_str())
        .collect();
    assert_eq!(by_call, ["ISSUED", "RESENT"]);
    let moved = |from: &str, to: &str| -> i64 {
        let lines = history
            .iter()
            .filter(|entry| entry.debit_account == from && entry.credit_account == to);
        lines.map(|entry| entry.amount_fen).sum()
    };
    assert_eq!(
        [
            moved("AVAILABLE", "HELD"),
            moved("HELD", "TRANSIT"),
            moved("TRANSIT", "AVAILABLE")
        ],
        [200; 3]
    );
}

async fn what_has_failed_is_sent_again(db: TestDb) {
    let (app, account) = stage(db, Options::default()).await;
    let client = &app.client;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 1_000)
        .await;
    let once = FaultTable::default().with_next(Fault::SendFailed);
    app.simulator.set_faults(once).unwrap();
    let id = client
        .send(SHOP, campaign, "oUnlucky")
        .await
        .unwrap()
        .issuance_id;
    let failed = client.await_state(SHOP, id, &[S::Failed]).await;
    assert!(failed.last_error.contains("FAILED"), "{failed:?}");
    let sent = resend(client, id).await.unwrap();
    assert!(PAID.contains(&sent.state()), "{sent:?}");
    assert_eq!(
        sent.last_error, failed.last_error,
        "kept after it was mended"
    );
    client.await_state(SHOP, id, &[S::Received]).await;
    let seen = client.get(SHOP, id).await;
    let history: Vec<_> = seen
        .attempts
        .iter()
        .map(|a| (a.attempt_no, a.state()))
        .collect();
    assert_eq!(history, [(1, S::Failed), (2, S::Received)]);
    let numbers: Vec<_> = seen
        .attempts
        .iter()
        .map(|a| a.mch_billno.as_str())
        .collect();
    assert_eq!(
        numbers,
        [failed.mch_billno.as_str(), sent.mch_billno.as_str()]
    );
    assert_eq!(seen.attempts[0].last_error, failed.last_error);
    let refused = resend(client, id).await.unwrap_err();
    assert_eq!(reason(&refused), "ALREADY_SENT");
    app.assert_sound().await;
    app.stop().await;
}

/// A uid that nobody had when the packet was asked for.
async fn who_was_unknown_becomes_the_owner_of_his_packet(db: TestDb) {
    let (app, account) = stage(db, Options::default()).await;
    let client = &app.client;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 1_000)
        .await;
    let request = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id: campaign,
        uids: vec!["late".into()],
        source: pb::IssuanceSource::Manual.into(),
        ..Default::default()
    };
    let sent = client.issuances().send_to_users(request).await.unwrap();
    let refused = sent.into_inner().refused.remove(0);
    assert_eq!(refused.reason.unwrap().reason, "RECIPIENT_NOT_FOUND");
    let late = pb::RecipientInput {
        nickname: "无名".into(),
        ..super::person(&app, "late", "oLate")
    };
    upsert(client, vec![late]).await.unwrap();
    let sent = resend(client, refused.issuance_id).await.unwrap();
    assert_eq!(
        sent.recipient_id,
        recipient(client, "late").await.recipient_id
    );
    let by_name = pb::IssuanceFilter {
        keyword: "无名".into(),
        ..Default::default()
    };
    let found = packets(client, by_name).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].issuance_id, refused.issuance_id);
    app.assert_sound().await;
    app.stop().await;
}

/// Somebody was registered with an openid that can get nothing.
async fn a_mended_openid_is_the_one_that_gets_it(db: TestDb) {
    let options = Options {
        time_scale: 20_000,
        ..Options::default()
    };
    let (app, account) = stage(db, options).await;
    let client = &app.client;
    let draft = client.draft(SHOP, account, "c");
    let campaign = client.make_campaign(draft, 1_000).await;
    let wrong = [("carol".to_owned(), "oSIM-SEND_FAILED-1".to_owned())];
    client.make_people(SHOP, &app.appid(), &wrong).await;
    let to_carol = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id: campaign,
        uids: vec!["carol".into()],
        source: pb::IssuanceSource::Manual.into(),
        ..Default::default()
    };
    client.issuances().send_to_users(to_carol).await.unwrap();
    let sent = packets(client, pb::IssuanceFilter::default()).await;
    let id = sent[0].issuance_id;
    client.await_state(SHOP, id, &[S::Failed]).await;
    let single = client.send(SHOP, campaign, "oSIM-SEND_FAILED-1").await;
    let single = single.unwrap().issuance_id;
    client.await_state(SHOP, single, &[S::Failed]).await;
    upsert(client, vec![super::person(&app, "carol", "oCarol")])
        .await
        .unwrap();
    resend(client, id).await.unwrap();
    client.await_state(SHOP, id, &[S::Received]).await;
    // The old openid gets nothing, whatever is sent to it.
    assert_eq!(app.simulator.books().totals().payments, 1);
    // Who asked for an openid gets that one.
    resend(client, single).await.unwrap();
    client.await_state(SHOP, single, &[S::Failed]).await;
    app.assert_sound().await;
    app.stop().await;
}
