//! What was refunded or has failed is sent again, under another number each time.

use hongbao::grpc::pb::IssuanceState as S;
use hongbao::simulator::{Fault, FaultTable};

use super::asking::{ask, by_id, by_number};
use super::{PAID, resend, stage};
use crate::support::{Options, SHOP, TestDb, on_both, reason};

on_both!(
    what_was_refunded_is_sent_again,
    what_has_failed_is_sent_again,
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
    // The older number can still be asked about.
    let told = ask(client, by_number(&back.mch_billno)).await.unwrap();
    assert_eq!(told.status.unwrap().mch_billno, back.mch_billno);
    assert_eq!(client.budget(SHOP, campaign).await.available_fen, 1_000);
    app.assert_sound().await;
    app.stop().await;
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
