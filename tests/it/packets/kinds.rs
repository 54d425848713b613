//! Group packets, packets of mini programs, and what a single packet may bring along.

use hongbao::grpc::pb::{self, IssuanceState as S};

use super::asking::{ask, by_id};
use super::{PAID, draft, exchanges, packets, resend, rule, stage, unmasked};
use crate::support::{Client, Options, SHOP, TestApp, TestDb, on_both, reason, violations};

on_both!(
    a_group_packet_is_taken_by_all,
    what_is_left_of_a_group_packet_comes_back,
    a_live_question_of_a_group_names_takers,
    a_mini_program_gets_its_package,
);

/// A server with a shop, an account and a purse of 100 yuan.
pub(super) async fn purse(db: TestDb, time_scale: u32) -> (TestApp, i64, i64) {
    let options = Options {
        time_scale,
        ..Options::default()
    };
    let (app, account) = stage(db, options).await;
    let rule = rule(pb::AmountType::CallerSet, 100, 20_000);
    let direct = pb::CreateCampaignRequest {
        kind: pb::CampaignKind::Direct.into(),
        ..draft(&app.client, account, "direct", rule)
    };
    let campaign = app.client.make_campaign(direct, 10_000).await;
    (app, account, campaign)
}

pub(super) fn single(client: &Client, openid: &str, amount_fen: i64) -> pb::SendRedPacketRequest {
    pb::SendRedPacketRequest {
        amount_fen,
        wait: true,
        ..client.send_request(SHOP, 0, openid)
    }
}

fn fission(
    client: &Client,
    openid: &str,
    amount_fen: i64,
    total_num: i32,
) -> pb::SendRedPacketRequest {
    pb::SendRedPacketRequest {
        kind: pb::RedPacketKind::Fission.into(),
        total_num,
        amt_type: pb::AmtType::AllRand.into(),
        ..single(client, openid, amount_fen)
    }
}

pub(super) async fn send(
    client: &Client,
    request: pb::SendRedPacketRequest,
) -> Result<pb::Issuance, tonic::Status> {
    let sent = client.issuances().send_red_packet(request).await?;
    Ok(sent.into_inner().issuance.unwrap())
}

pub(super) async fn can(
    client: &Client,
    account_id: i64,
    capability: pb::ProviderCapability,
    can: bool,
) {
    let mut request = pb::UpdateProviderAccountRequest {
        request_id: client.fresh(),
        account_id,
        ..Default::default()
    };
    let list = if can {
        &mut request.add_capabilities
    } else {
        &mut request.remove_capabilities
    };
    list.push(capability.into());
    client
        .admin()
        .update_provider_account(request)
        .await
        .unwrap();
}

async fn a_group_packet_is_taken_by_all(db: TestDb) {
    let (app, account, campaign) = purse(db, 20_000).await;
    let client = &app.client;
    let refused = send(client, fission(client, "oSeed", 900, 5))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "PROVIDER_CAPABILITY");
    assert_eq!(client.budget(SHOP, campaign).await.held_fen, 0);
    can(client, account, pb::ProviderCapability::Fission, true).await;
    // The mean share keeps the bounds, on both sides; the number of people too.
    for (amount, people, path, due) in [
        (499, 5, "amount_fen", "AMOUNT_OUT_OF_RANGE"),
        (60_001, 3, "amount_fen", "AMOUNT_OUT_OF_RANGE"),
        (900, 2, "total_num", "OUT_OF_RANGE"),
        (9_000, 21, "total_num", "OUT_OF_RANGE"),
    ] {
        let refused = send(client, fission(client, "oSeed", amount, people))
            .await
            .unwrap_err();
        assert_eq!(
            violations(&refused),
            [(path.to_owned(), due.to_owned())],
            "{amount} {people}"
        );
    }
    let sent = send(client, fission(client, "oSeed", 903, 5))
        .await
        .unwrap();
    assert!(PAID.contains(&sent.state()), "{sent:?}");
    assert_eq!(
        (sent.kind(), sent.total_num),
        (pb::RedPacketKind::Fission, 5)
    );
    assert_eq!(sent.amt_type(), pb::AmtType::AllRand);
    let id = sent.issuance_id;
    let taken = client.await_state(SHOP, id, &[S::Received]).await;
    assert_eq!((taken.received_fen, taken.refunded_fen), (903, 0));
    let seen = unmasked(client, id).await;
    assert_eq!(seen.receipts.len(), 5, "{:?}", seen.receipts);
    assert!(
        seen.receipts
            .iter()
            .all(|r| r.pid == id && r.amount_fen > 0)
    );
    assert_eq!(seen.receipts.iter().map(|r| r.amount_fen).sum::<i64>(), 903);
    assert!(seen.receipts.iter().any(|r| r.openid == "oSeed"));
    let masked = client.get(SHOP, id).await.receipts;
    assert!(
        masked
            .iter()
            .all(|r| r.openid.is_empty() && !r.obfuscated_openid.is_empty())
    );
    assert!(masked.is_sorted_by_key(|r| r.receive_time.map(|t| (t.seconds, t.nanos))));
    let budget = client.budget(SHOP, campaign).await;
    assert_eq!((budget.available_fen, budget.paid_fen), (9_097, 903));
    let said = &exchanges(client, id).await[0];
    assert_eq!(said.call, "sendgroupredpack");
    assert!(said.request.contains("ALL_RAND") && said.request.contains("<total_num>5<"));
    let refused = resend(client, id).await.unwrap_err();
    assert_eq!(reason(&refused), "ALREADY_SENT");
    app.assert_sound().await;
    app.stop().await;
}

async fn what_is_left_of_a_group_packet_comes_back(db: TestDb) {
    let (app, account, campaign) = purse(db, 20_000).await;
    let client = &app.client;
    can(client, account, pb::ProviderCapability::Fission, true).await;
    let sent = send(client, fission(client, "oSIM-PARTIAL_REFUND-1", 1_207, 6))
        .await
        .unwrap();
    let id = sent.issuance_id;
    // While it runs, what was taken is known but the money is one.
    let ended = client
        .await_state(SHOP, id, &[S::Refunded, S::Received, S::Review])
        .await;
    assert_eq!(ended.state(), S::Refunded, "{ended:?}");
    let payments = app.simulator.books().payments();
    let returned = payments[0].returned_fen;
    assert!(returned > 0 && returned < 1_207);
    assert_eq!(
        (ended.refunded_fen, ended.received_fen),
        (returned, 1_207 - returned)
    );
    assert!(ended.refund_time.is_some());
    let receipts = client.get(SHOP, id).await.receipts;
    assert_eq!(receipts.len(), 5);
    assert_eq!(
        receipts.iter().map(|r| r.amount_fen).sum::<i64>(),
        1_207 - returned
    );
    let budget = client.budget(SHOP, campaign).await;
    assert_eq!(budget.paid_fen, 1_207 - returned);
    assert_eq!(budget.available_fen, 10_000 - budget.paid_fen);
    assert_eq!((budget.held_fen, budget.transit_fen), (0, 0));
    let refused = resend(client, id).await.unwrap_err();
    assert_eq!(reason(&refused), "ALREADY_SENT");
    app.assert_sound().await;
    app.stop().await;
}

async fn a_mini_program_gets_its_package(db: TestDb) {
    let (app, account, _) = purse(db, 3_600).await;
    let client = &app.client;
    let mini = || pb::SendRedPacketRequest {
        kind: pb::RedPacketKind::MiniProgram.into(),
        ..single(client, "oMini", 200)
    };
    let request = mini();
    let sent = send(client, request.clone()).await.unwrap();
    assert!(PAID.contains(&sent.state()), "{sent:?}");
    assert!(!sent.package.is_empty());
    let seen = client.get(SHOP, sent.issuance_id).await.issuance.unwrap();
    assert_eq!(seen.package, sent.package);
    let replay = send(client, request).await.unwrap();
    assert_eq!(replay.package, sent.package);
    let listed = packets(client, Default::default()).await;
    assert_eq!((listed.len(), listed[0].package.as_str()), (1, ""));
    let said = &exchanges(client, sent.issuance_id).await[0];
    assert_eq!(said.call, "sendminiprogramhb");
    assert!(said.request.contains("MINI_PROGRAM_JSAPI"));
    assert!(!said.request.contains("client_ip"));
    // A NAMED campaign may send it as well.
    let named = client
        .make_campaign(client.draft(SHOP, account, "named"), 1_000)
        .await;
    let request = pb::SendRedPacketRequest {
        campaign_id: named,
        amount_fen: 0,
        ..mini()
    };
    assert!(!send(client, request).await.unwrap().package.is_empty());
    let risky = pb::SendRedPacketRequest {
        risk_info: "posttime%3d1".into(),
        ..mini()
    };
    let refused = send(client, risky).await.unwrap_err();
    assert_eq!(
        violations(&refused),
        [("risk_info".into(), "FIELD_NOT_ALLOWED".into())]
    );
    can(client, account, pb::ProviderCapability::MiniProgram, false).await;
    let refused = send(client, mini()).await.unwrap_err();
    assert_eq!(reason(&refused), "PROVIDER_CAPABILITY");
    app.assert_sound().await;
    app.stop().await;
}

async fn a_live_question_of_a_group_names_takers(db: TestDb) {
    let (app, account, _) = purse(db, 1).await;
    let client = &app.client;
    can(client, account, pb::ProviderCapability::Fission, true).await;
    let request = fission(client, "oSIM-PARTIAL_REFUND-2", 800, 4);
    let id = send(client, request).await.unwrap().issuance_id;
    let status = ask(client, by_id(id)).await.unwrap().status.unwrap();
    assert_eq!((status.hb_type.as_str(), status.total_num), ("GROUP", 4));
    assert_eq!((status.hblist.len(), status.total_amount_fen), (3, 800));
    let masked = |r: &pb::ProviderReceipt| r.openid.is_empty() && r.obfuscated_openid.contains('…');
    assert!(status.hblist.iter().all(masked));
    app.assert_sound().await;
    app.stop().await;
}
