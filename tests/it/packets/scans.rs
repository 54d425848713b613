//! Scanned codes: one packet for one person, whoever calls how often.

use std::collections::BTreeSet;

use futures::future::join_all;
use hongbao::app;
use hongbao::grpc::pb::{self, IssuanceState as S};
use hongbao::simulator::{Fault, FaultTable};

use super::{
    PAID, make_branch, packets, person, recipient, resend, scan, stage, to_scanner, upsert,
};
use crate::support::{Client, Options, SHOP, TestApp, TestDb, on_both, reason};

on_both!(
    a_scan_makes_its_recipient_and_pays,
    many_scans_of_one_person_are_one_packet,
    a_limit_of_two_gives_two,
    a_failed_packet_does_not_count,
    a_scanner_gets_his_uid_later,
    two_rows_of_one_person_become_one,
    a_merged_packet_keeps_numbers_of_its_own,
    a_lost_packet_gets_its_number_again,
);

/// A server and a campaign for scans with so many packets for each.
async fn ready(db: TestDb, scan_limit: i32) -> (TestApp, i64) {
    let (app, account) = stage(db, Options::default()).await;
    let campaign = pb::CreateCampaignRequest {
        scan_limit,
        ..app.client.draft(SHOP, account, "scan")
    };
    let campaign = app.client.make_campaign(campaign, 10_000).await;
    (app, campaign)
}

async fn a_scan_makes_its_recipient_and_pays(db: TestDb) {
    let (app, campaign) = ready(db, 0).await;
    let client = &app.client;
    make_branch(client, 5).await;
    let request = pb::ScanSendRequest {
        shop_sub_id: 5,
        ..to_scanner(client, campaign, "obUMWuG0Ma9hDaJ0CiA9emuNektg")
    };
    let tried = pb::ScanSendRequest {
        validate_only: true,
        ..request.clone()
    };
    let tried = client
        .issuances()
        .scan_send(tried)
        .await
        .unwrap()
        .into_inner();
    let tried = tried.issuance.unwrap();
    assert!(
        packets(client, Default::default()).await.is_empty(),
        "a trial writes nothing"
    );
    let sent = client
        .issuances()
        .scan_send(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(!sent.replayed);
    let p = sent.issuance.unwrap();
    // The wait is over when the provider has answered.
    assert!(PAID.contains(&p.state()), "{p:?}");
    // Every field of seed 000's redpackData.
    assert!(p.issuance_id > 0);
    assert_eq!(p.uid, "");
    assert_eq!(p.openid, "obUMWuG0Ma9hDaJ0CiA9emuNektg");
    assert_eq!(p.mch_billno.len(), 28);
    assert!(p.mch_billno.starts_with(&app.simulator.merchant().mch_id));
    assert_eq!(p.mch_billno, tried.mch_billno, "a trial says the number");
    assert_eq!((p.campaign_id, p.amount_fen), (campaign, 100));
    assert!(p.send_time.is_some() && p.create_time.is_some() && p.update_time.is_some());
    assert!(p.send_time.unwrap().seconds >= p.create_time.unwrap().seconds);
    assert!(p.provider_order_no.len() >= 28, "{p:?}");
    assert_eq!(p.last_error, "");
    assert_eq!(p.source(), pb::IssuanceSource::Scan);
    assert_eq!((p.batch_id, p.shop_id, p.shop_sub_id), (0, SHOP, 5));
    let paid = app.simulator.books().payments();
    assert_eq!((paid.len(), &paid[0].mch_billno), (1, &p.mch_billno));

    let by = pb::get_recipient_request::Ref::RecipientId(p.recipient_id);
    let get = pb::GetRecipientRequest {
        shop_id: SHOP,
        r#ref: Some(by),
        unmask: true,
    };
    let made = client.audience().get_recipient(get).await.unwrap();
    let made = made.into_inner().recipient.unwrap();
    assert_eq!((made.uid.as_str(), made.shop_sub_id), ("", 5));
    assert_eq!(made.openids[0].openid, p.openid);
    assert_eq!(made.openids[0].appid, app.appid());

    let (second, replayed) = scan(client, campaign, &p.openid).await.unwrap();
    assert!(replayed && second.issuance_id == p.issuance_id);
    let same = client
        .issuances()
        .scan_send(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(same.replayed && same.issuance.unwrap().issuance_id == p.issuance_id);
    let other = pb::ScanSendRequest {
        openid: "oOther".into(),
        ..request
    };
    let refused = client.issuances().scan_send(other).await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
    assert_eq!(packets(client, Default::default()).await.len(), 1);
    app.assert_sound().await;
    app.stop().await;
}

async fn many_scans_of_one_person_are_one_packet(db: TestDb) {
    let (app, campaign) = ready(db, 0).await;
    let client = &app.client;
    let scans = join_all((0..20).map(|_| scan(client, campaign, "oHasty"))).await;
    let scans: Vec<_> = scans.into_iter().map(Result::unwrap).collect();
    let ids: BTreeSet<i64> = scans.iter().map(|(p, _)| p.issuance_id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(scans.iter().filter(|(_, replayed)| !replayed).count(), 1);
    assert_eq!(app.simulator.books().totals().payments, 1);
    let all = pb::ListRecipientsRequest {
        shop_id: SHOP,
        ..Default::default()
    };
    let all = client.audience().list_recipients(all).await.unwrap();
    assert_eq!(all.into_inner().recipients.len(), 1);
    let budget = client.budget(SHOP, campaign).await;
    assert_eq!(budget.available_fen, 9_900);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_limit_of_two_gives_two(db: TestDb) {
    let (app, campaign) = ready(db, 2).await;
    let client = &app.client;
    let (first, _) = scan(client, campaign, "oTwice").await.unwrap();
    let scans = join_all((0..10).map(|_| scan(client, campaign, "oTwice"))).await;
    let scans: Vec<_> = scans.into_iter().map(Result::unwrap).collect();
    let made: Vec<_> = scans.iter().filter(|(_, replayed)| !replayed).collect();
    assert_eq!(made.len(), 1);
    let second = &made[0].0;
    assert_ne!(first.issuance_id, second.issuance_id);
    assert_ne!(first.mch_billno, second.mch_billno);
    assert_eq!(first.recipient_id, second.recipient_id);
    let replays = scans.iter().filter(|(_, replayed)| *replayed);
    let back: BTreeSet<i64> = replays.map(|(p, _)| p.issuance_id).collect();
    assert_eq!(
        back,
        BTreeSet::from([first.issuance_id]),
        "the first comes back"
    );
    assert_eq!(app.simulator.books().totals().payments, 2);
    // A raised limit holds from now on.
    let raise = pb::UpdateCampaignRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id: campaign,
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["scan_limit".into()],
        }),
        scan_limit: 3,
        ..Default::default()
    };
    client.campaigns().update_campaign(raise).await.unwrap();
    assert!(!scan(client, campaign, "oTwice").await.unwrap().1);
    assert!(scan(client, campaign, "oTwice").await.unwrap().1);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_failed_packet_does_not_count(db: TestDb) {
    let (app, campaign) = ready(db, 0).await;
    let client = &app.client;
    // Whoever the provider refuses may scan again, under another number.
    let (one, _) = scan(client, campaign, "oSIM-OPENID_ERROR-1").await.unwrap();
    client
        .await_state(SHOP, one.issuance_id, &[S::Failed])
        .await;
    let (two, replayed) = scan(client, campaign, "oSIM-OPENID_ERROR-1").await.unwrap();
    assert!(!replayed && two.mch_billno != one.mch_billno);
    // The provider fails him once; the next scan is paid, so the first is not sent again.
    let once = FaultTable::default().with_next(Fault::SendFailed);
    client
        .await_state(SHOP, two.issuance_id, &[S::Failed])
        .await;
    app.simulator.set_faults(once).unwrap();
    let (failed, _) = scan(client, campaign, "oUnlucky").await.unwrap();
    client
        .await_state(SHOP, failed.issuance_id, &[S::Failed])
        .await;
    let (paid, replayed) = scan(client, campaign, "oUnlucky").await.unwrap();
    assert!(!replayed && PAID.contains(&paid.state()), "{paid:?}");
    let refused = resend(client, failed.issuance_id).await.unwrap_err();
    assert_eq!(reason(&refused), "RECIPIENT_LIMIT");
    let (back, replayed) = scan(client, campaign, "oUnlucky").await.unwrap();
    assert!(
        replayed && back.issuance_id == paid.issuance_id,
        "not the failed one"
    );
    // With nothing after it, a failed one is sent again, and counts again.
    app.simulator
        .set_faults(FaultTable::default().with_next(Fault::SendFailed))
        .unwrap();
    let (failed, _) = scan(client, campaign, "oMended").await.unwrap();
    client
        .await_state(SHOP, failed.issuance_id, &[S::Failed])
        .await;
    let mended = resend(client, failed.issuance_id).await.unwrap();
    assert!(PAID.contains(&mended.state()), "{mended:?}");
    assert_ne!(mended.mch_billno, failed.mch_billno);
    assert!(scan(client, campaign, "oMended").await.unwrap().1);
    assert_eq!(app.simulator.books().totals().payments, 2);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_scanner_gets_his_uid_later(db: TestDb) {
    let (app, campaign) = ready(db, 0).await;
    let client = &app.client;
    let (packet, _) = scan(client, campaign, "oAdopted").await.unwrap();
    let input = pb::RecipientInput {
        nickname: "小明".into(),
        mobile: "13900001111".into(),
        ..person(&app, "u794", "oAdopted")
    };
    let done = upsert(client, vec![input]).await.unwrap();
    assert_eq!((done.created_count, done.updated_count), (0, 1));
    let now = recipient(client, "u794").await;
    assert_eq!(now.recipient_id, packet.recipient_id, "the row of the scan");
    assert_eq!((now.mobile.as_str(), now.openids.len()), ("13900001111", 1));
    let filter = pb::IssuanceFilter {
        keyword: "小明".into(),
        ..Default::default()
    };
    let found = packets(client, filter).await;
    assert_eq!((found.len(), found[0].issuance_id), (1, packet.issuance_id));
    assert_eq!(found[0].nickname, "小明");
    let (back, replayed) = scan(client, campaign, "oAdopted").await.unwrap();
    assert!(replayed && back.issuance_id == packet.issuance_id);
    // What is his is nobody else's.
    let thief = upsert(client, vec![person(&app, "u795", "oAdopted")]).await;
    assert_eq!(reason(&thief.unwrap_err()), "BELONGS_TO_ANOTHER");
    app.assert_sound().await;
    app.stop().await;
}

async fn two_rows_of_one_person_become_one(db: TestDb) {
    let (app, campaign) = ready(db, 2).await;
    let client = &app.client;
    // Known by uid with an openid of old, with one packet; seen by scans with another one, with two.
    upsert(client, vec![person(&app, "u1", "oOld")])
        .await
        .unwrap();
    let (named, _) = scan(client, campaign, "oOld").await.unwrap();
    assert_eq!(named.uid, "u1");
    let (first, _) = scan(client, campaign, "oNew").await.unwrap();
    let (second, _) = scan(client, campaign, "oNew").await.unwrap();
    assert_eq!(first.recipient_id, second.recipient_id);
    assert_ne!(first.recipient_id, named.recipient_id);
    let done = upsert(client, vec![person(&app, "u1", "oNew")])
        .await
        .unwrap();
    assert_eq!((done.created_count, done.updated_count), (0, 1));
    let get = pb::GetRecipientRequest {
        shop_id: SHOP,
        r#ref: Some(pb::get_recipient_request::Ref::RecipientId(
            first.recipient_id,
        )),
        ..Default::default()
    };
    let gone = client.audience().get_recipient(get).await.unwrap_err();
    assert_eq!(reason(&gone), "RECIPIENT_NOT_FOUND");
    let rows = packets(client, Default::default()).await;
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert_eq!(row.recipient_id, named.recipient_id, "{row:?}");
    }
    let openids = recipient(client, "u1").await.openids;
    assert_eq!((openids.len(), openids[0].openid.as_str()), (1, "oNew"));
    // He has more than one may get, whichever row had them.
    let (_, replayed) = scan(client, campaign, "oNew").await.unwrap();
    assert!(replayed);
    assert_eq!(app.simulator.books().totals().payments, 3);
    app.assert_sound().await;
    app.stop().await;
}

/// What names a scan must not change when its person becomes another's row.
async fn a_merged_packet_keeps_numbers_of_its_own(db: TestDb) {
    let (app, campaign) = ready(db, 3).await;
    let client = &app.client;
    upsert(client, vec![person(&app, "u1", "oOld")])
        .await
        .unwrap();
    scan(client, campaign, "oOld").await.unwrap();
    let failing = async |packet: Option<i64>| {
        let once = FaultTable::default().with_next(Fault::SendFailed);
        app.simulator.set_faults(once).unwrap();
        let sent = match packet {
            Some(id) => resend(client, id).await.unwrap(),
            None => scan(client, campaign, "oNew").await.unwrap().0,
        };
        let id = sent.issuance_id;
        client.await_state(SHOP, id, &[S::Failed]).await.issuance_id
    };
    let (first, second) = (failing(None).await, failing(None).await);
    failing(Some(second)).await;
    upsert(client, vec![person(&app, "u1", "oNew")])
        .await
        .unwrap();
    let sent = resend(client, first).await.unwrap();
    // Whatever becomes of it, nobody else waits for it.
    let innocent = scan(client, campaign, "oInnocent").await.unwrap().0;
    assert!(PAID.contains(&innocent.state()), "{innocent:?}");
    let others = client.get(SHOP, second).await.attempts;
    assert!(others.iter().all(|a| a.mch_billno != sent.mch_billno));
    assert!(PAID.contains(&sent.state()), "{sent:?}");
    app.assert_sound().await;
    app.stop().await;
}

async fn a_lost_packet_gets_its_number_again(db: TestDb) {
    let (app, campaign) = ready(db, 0).await;
    scan(&app.client, campaign, "oBefore").await.unwrap();
    let TestApp {
        running,
        simulator,
        config,
        db,
        key,
        ..
    } = app;
    running.shutdown().await;
    let copy = db.copy();
    let on = async |config: hongbao::config::Config, request_id: &str| {
        let running = app::start(&config).await.unwrap();
        let client = Client::connect(running.grpc_addr, &key).await;
        let request = pb::ScanSendRequest {
            request_id: request_id.to_owned(),
            ..to_scanner(&client, campaign, "oLost")
        };
        let sent = client
            .issuances()
            .scan_send(request)
            .await
            .unwrap()
            .into_inner();
        assert!(!sent.replayed);
        let id = sent.issuance.unwrap().issuance_id;
        let packet = client.await_state(SHOP, id, &[S::Received]).await;
        (running, client, packet)
    };
    let (running, _, paid) = on(config.clone(), "phone-1").await;
    running.shutdown().await;
    // The database is back at an older state, and the phone scans again.
    let mut config = config;
    config.database.url.clone_from(&copy.url);
    let (running, client, again) = on(config.clone(), "phone-2").await;
    assert_eq!(again.mch_billno, paid.mch_billno);
    assert_eq!(again.amount_fen, paid.amount_fen);
    let app = TestApp {
        running,
        simulator,
        config,
        db: copy,
        client,
        key,
    };
    let payments = app.simulator.books().payments();
    let mine: Vec<_> = payments
        .iter()
        .filter(|p| p.mch_billno == paid.mch_billno)
        .collect();
    assert_eq!((mine.len(), mine[0].times_paid), (1, 1));
    assert_eq!(payments.len(), 2);
    app.assert_sound().await;
    app.stop().await;
}
