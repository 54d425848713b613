//! Pots that are divided: among the people of a call, or among those who scan.

use futures::future::join_all;
use hongbao::app;
use hongbao::grpc::pb::{self, IssuanceState as S};
use hongbao::simulator::{Fault, FaultTable};

use super::{
    PAID, draft, idle, make_group, of_batch, packets, people, resend, rule, scan, send_to_groups,
    stage, to_groups, uids,
};
use crate::support::{Client, Options, SHOP, TestApp, TestDb, on_both, reason, violations};

on_both!(
    a_call_divides_its_pot,
    the_same_request_divides_alike,
    a_scanned_pot_is_given_away_once,
    a_failed_packet_gives_its_share_back,
    thirty_scans_at_once_empty_the_pot,
);

fn split(
    client: &Client,
    account: i64,
    stock_count: i64,
    pot_fen: i64,
) -> pb::CreateCampaignRequest {
    let rule = pb::AmountRule {
        pot_fen,
        ..rule(pb::AmountType::Split, 100, 400)
    };
    pb::CreateCampaignRequest {
        stock_count,
        ..draft(client, account, "split", rule)
    }
}

fn amounts(rows: &[pb::Issuance]) -> Vec<i64> {
    rows.iter().map(|row| row.amount_fen).collect()
}

fn in_bounds(amounts: &[i64]) -> bool {
    amounts.iter().all(|fen| (100..=400).contains(fen))
}

fn to_users(
    client: &Client,
    campaign_id: i64,
    uids: Vec<String>,
    pot_fen: i64,
) -> pb::SendToUsersRequest {
    pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id,
        uids,
        source: pb::IssuanceSource::Lottery.into(),
        pot_fen,
        ..Default::default()
    }
}

async fn a_call_divides_its_pot(db: TestDb) {
    let (app, account) = idle(db).await;
    let client = &app.client;
    let all = people("P", 0..12);
    client.make_people(SHOP, &app.appid(), &all).await;
    let campaign = client
        .make_campaign(split(client, account, 0, 0), 10_000)
        .await;
    let mut named = uids(&all[..7]);
    named.push("nobody".into());
    let request = to_users(client, campaign, named, 1_501);
    let tried = pb::SendToUsersRequest {
        validate_only: true,
        ..request.clone()
    };
    let tried = client
        .issuances()
        .send_to_users(tried)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(tried.batch.unwrap().amount_fen, 1_501);
    let sent = client
        .issuances()
        .send_to_users(request)
        .await
        .unwrap()
        .into_inner();
    let batch = sent.batch.unwrap();
    assert_eq!(
        (batch.amount_fen, batch.amount_type()),
        (1_501, pb::AmountType::Split)
    );
    let mut rows = of_batch(client, batch.batch_id).await;
    rows.retain(|row| row.state() == S::Queued);
    let shares = amounts(&rows);
    assert_eq!(
        (shares.len(), shares.iter().sum::<i64>()),
        (7, 1_501),
        "{shares:?}"
    );
    assert!(in_bounds(&shares), "{shares:?}");
    assert!(
        shares.iter().any(|share| *share != shares[0]),
        "drawn, not divided evenly"
    );

    // One pot for all groups of a call; who is in both has one share of it.
    let first = make_group(client, "a", &uids(&all[..6])).await;
    let second = make_group(client, "b", &uids(&all[4..])).await;
    let request = pb::SendToGroupsRequest {
        pot_fen: 3_000,
        ..to_groups(client, campaign, &[first, second])
    };
    let sent = send_to_groups(client, request).await.unwrap();
    let sum: i64 = sent.batches.iter().map(|b| b.amount_fen).sum();
    assert_eq!((sum, sent.repeated_count), (3_000, 2));
    let mut shares = Vec::new();
    for batch in &sent.batches {
        let rows = amounts(&of_batch(client, batch.batch_id).await);
        assert_eq!(rows.iter().sum::<i64>(), batch.amount_fen);
        shares.extend(rows);
    }
    assert!(shares.len() == 12 && in_bounds(&shares), "{shares:?}");
    assert_eq!(client.budget(SHOP, campaign).await.held_fen, 4_501);

    // Pots that cannot be divided so, and calls that bring one where there is none.
    let refused = async |campaign: i64, pot: i64| {
        let request = to_users(client, campaign, uids(&all[..3]), pot);
        violations(&client.issuances().send_to_users(request).await.unwrap_err())
    };
    let one = |reason: &str| vec![("pot_fen".to_owned(), reason.to_owned())];
    assert_eq!(refused(campaign, 299).await, one("AMOUNT_OUT_OF_RANGE"));
    assert_eq!(refused(campaign, 1_201).await, one("AMOUNT_OUT_OF_RANGE"));
    assert_eq!(refused(campaign, 0).await, one("FIELD_REQUIRED"));
    let fixed = client
        .make_campaign(client.draft(SHOP, account, "fixed"), 1_000)
        .await;
    assert_eq!(refused(fixed, 300).await, one("FIELD_NOT_ALLOWED"));
    let status = client.send(SHOP, campaign, "oSingle").await.unwrap_err();
    assert_eq!(
        violations(&status),
        [("campaign_id".into(), "FIELD_NOT_ALLOWED".into())]
    );
    app.assert_sound().await;
    app.stop().await;
}

async fn the_same_request_divides_alike(db: TestDb) {
    let (app, account) = idle(db).await;
    let all = people("P", 0..20);
    app.client.make_people(SHOP, &app.appid(), &all).await;
    let campaign = app
        .client
        .make_campaign(split(&app.client, account, 0, 0), 10_000)
        .await;
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
    let divided = async |url: &str, request_id: &str, mut named: Vec<String>| {
        let mut config = config.clone();
        config.database.url = url.to_owned();
        let running = app::start(&config).await.unwrap();
        let client = Client::connect(running.grpc_addr, &key).await;
        named.truncate(20);
        let request = pb::SendToUsersRequest {
            request_id: request_id.to_owned(),
            ..to_users(&client, campaign, named, 4_000)
        };
        let sent = client.issuances().send_to_users(request).await.unwrap();
        let id = sent.into_inner().batch.unwrap().batch_id;
        let rows = of_batch(&client, id).await;
        let mut got: Vec<_> = rows
            .into_iter()
            .map(|r| (r.uid, r.amount_fen, r.mch_billno))
            .collect();
        got.sort();
        running.shutdown().await;
        got
    };
    let first = divided(&db.url, "divide", uids(&all)).await;
    // A database that lost the call, and the same people in another order.
    let mut turned = uids(&all);
    turned.reverse();
    assert_eq!(divided(&copy.url, "divide", turned).await, first);
    let other = divided(&db.url, "other", uids(&all)).await;
    let just = |rows: &[(String, i64, String)]| Vec::from_iter(rows.iter().map(|r| r.1));
    assert_ne!(just(&other), just(&first), "another request draws anew");
    simulator.shutdown().await;
}

async fn pot(db: TestDb, stock: i64, pot_fen: i64) -> (TestApp, i64) {
    let (app, account) = stage(db, Options::default()).await;
    let draft = split(&app.client, account, stock, pot_fen);
    let campaign = app.client.make_campaign(draft, pot_fen).await;
    (app, campaign)
}

async fn a_scanned_pot_is_given_away_once(db: TestDb) {
    let (app, campaign) = pot(db, 8, 2_003).await;
    let client = &app.client;
    let mut shares = Vec::new();
    for n in 0..8 {
        let (packet, replayed) = scan(client, campaign, &format!("oPot{n}")).await.unwrap();
        assert!(!replayed);
        shares.push(packet.amount_fen);
    }
    assert_eq!(shares.iter().sum::<i64>(), 2_003);
    assert!(in_bounds(&shares), "{shares:?}");
    let late = scan(client, campaign, "oLate").await.unwrap_err();
    assert_eq!(reason(&late), "STOCK_EXHAUSTED");
    // Who has his share gets it back also when nothing is left.
    let (back, replayed) = scan(client, campaign, "oPot3").await.unwrap();
    assert!(replayed && back.amount_fen == shares[3]);
    assert_eq!(client.budget(SHOP, campaign).await.available_fen, 0);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_failed_packet_gives_its_share_back(db: TestDb) {
    let (app, campaign) = pot(db, 3, 700).await;
    let client = &app.client;
    let fail_next = || {
        let once = FaultTable::default().with_next(Fault::SendFailed);
        app.simulator.set_faults(once).unwrap();
    };
    let (one, _) = scan(client, campaign, "oOne").await.unwrap();
    let (two, _) = scan(client, campaign, "oTwo").await.unwrap();
    // The last share comes back and is taken again by the same packet.
    fail_next();
    let (three, _) = scan(client, campaign, "oThree").await.unwrap();
    client
        .await_state(SHOP, three.issuance_id, &[S::Failed])
        .await;
    assert_eq!(one.amount_fen + two.amount_fen + three.amount_fen, 700);
    fail_next();
    let failed = resend(client, three.issuance_id).await.unwrap();
    assert_eq!(failed.amount_fen, three.amount_fen);
    client
        .await_state(SHOP, three.issuance_id, &[S::Failed])
        .await;
    app.assert_sound().await;
    // Then somebody else takes it, and the packet has none any more.
    let (four, replayed) = scan(client, campaign, "oFour").await.unwrap();
    assert!(!replayed && PAID.contains(&four.state()), "{four:?}");
    assert_eq!(four.amount_fen, three.amount_fen);
    let refused = resend(client, three.issuance_id).await.unwrap_err();
    // The money is gone with the share; either may be said.
    assert!(matches!(
        reason(&refused).as_str(),
        "STOCK_EXHAUSTED" | "BUDGET_EXHAUSTED"
    ));
    client.fund(SHOP, campaign, 1_000).await;
    let refused = resend(client, three.issuance_id).await.unwrap_err();
    assert_eq!(reason(&refused), "STOCK_EXHAUSTED");
    let late = scan(client, campaign, "oThree").await.unwrap_err();
    assert_eq!(reason(&late), "STOCK_EXHAUSTED");
    let paid: i64 = app
        .simulator
        .books()
        .payments()
        .iter()
        .map(|p| p.amount_fen)
        .sum();
    assert_eq!(paid, 700);
    app.assert_sound().await;
    app.stop().await;
}

async fn thirty_scans_at_once_empty_the_pot(db: TestDb) {
    let (app, campaign) = pot(db, 30, 7_000).await;
    let client = &app.client;
    // Four more than there are shares.
    let openids: Vec<String> = (0..34).map(|n| format!("oRush{n}")).collect();
    let scans = join_all(openids.iter().map(|openid| scan(client, campaign, openid))).await;
    let (made, refused): (Vec<_>, Vec<_>) = scans.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (30, 4));
    for status in refused {
        let reason = reason(&status.unwrap_err());
        assert!(
            matches!(reason.as_str(), "STOCK_EXHAUSTED" | "BUDGET_EXHAUSTED"),
            "{reason}"
        );
    }
    let shares = amounts(&packets(client, Default::default()).await);
    assert_eq!((shares.len(), shares.iter().sum::<i64>()), (30, 7_000));
    assert!(in_bounds(&shares), "{shares:?}");
    let budget = client.budget(SHOP, campaign).await;
    assert_eq!(budget.available_fen, 0);
    let paid: i64 = app
        .simulator
        .books()
        .payments()
        .iter()
        .map(|p| p.amount_fen)
        .sum();
    assert_eq!(paid, 7_000);
    app.assert_sound().await;
    app.stop().await;
}
