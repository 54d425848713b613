//! Group packets, packets of mini programs, and what a single packet may bring along.

use hongbao::grpc::pb::{self, IssuanceState as S};
use hongbao::simulator::{self, Merchant};

use super::{PAID, draft, exchanges, packets, resend, rule, stage, unmasked};
use crate::support::{Client, Options, SHOP, TestApp, TestDb, on_both, reason, texts, violations};

on_both!(
    a_group_packet_is_taken_by_all,
    what_is_left_of_a_group_packet_comes_back,
    a_mini_program_gets_its_package,
    a_gateway_chooses_the_account,
    what_a_packet_brings_reaches_the_provider,
    a_named_campaign_leaves_nothing_to_the_caller,
);

/// A server with a shop, an account and a purse of 100 yuan.
async fn purse(db: TestDb, time_scale: u32) -> (TestApp, i64, i64) {
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

fn single(client: &Client, openid: &str, amount_fen: i64) -> pb::SendRedPacketRequest {
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

async fn send(
    client: &Client,
    request: pb::SendRedPacketRequest,
) -> Result<pb::Issuance, tonic::Status> {
    let sent = client.issuances().send_red_packet(request).await?;
    Ok(sent.into_inner().issuance.unwrap())
}

async fn can(client: &Client, account_id: i64, capability: pb::ProviderCapability, can: bool) {
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

async fn a_gateway_chooses_the_account(db: TestDb) {
    let (app, account, _) = purse(db, 3_600).await;
    // A second merchant, with a provider of its own.
    let merchant = Merchant {
        mch_id: "1900000222".into(),
        appids: vec!["wxsecond".into()],
        ..Merchant::from_seed(2)
    };
    let second = simulator::start(simulator::Config {
        merchant: merchant.clone(),
        time_scale: 3_600,
        taken_per_mille: 1_000,
        ..Default::default()
    });
    let second = second.await.unwrap();
    let app = app
        .restart(|config| {
            let mut credential = config.credentials["simulator"].clone();
            credential.base_url = second.base_url();
            credential.mch_id.clone_from(&merchant.mch_id);
            credential.api_key = Some(merchant.api_key.clone());
            config.credentials.insert("second".into(), credential);
        })
        .await;
    let client = &app.client;
    let new = pb::CreateProviderAccountRequest {
        request_id: client.fresh(),
        protocol: "wechat_pay_v2".into(),
        mch_id: merchant.mch_id.clone(),
        credential: "second".into(),
        appids: merchant.appids.clone(),
        shop_ids: vec![SHOP],
        ..Default::default()
    };
    let made = client.admin().create_provider_account(new).await.unwrap();
    let other = made.into_inner().account.unwrap().account_id;
    let by = |gateway: pb::GatewayType, appid: &str| pb::SendRedPacketRequest {
        gateway_type: gateway.into(),
        appid: appid.to_owned(),
        ..single(client, "oGate", 150)
    };
    use pb::GatewayType as G;
    let refused = send(client, by(G::WeixinTenpayJs, "wxsecond"))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "GATEWAY_NOT_MAPPED");
    let map = pb::SetShopGatewaysRequest {
        request_id: client.fresh(),
        shop_id: SHOP,
        gateways: vec![
            pb::ShopGateway {
                gateway_type: G::WeixinTenpayJs.into(),
                account_id: other,
            },
            pb::ShopGateway {
                gateway_type: G::WeixinTenpayApp.into(),
                account_id: account,
            },
        ],
        ..Default::default()
    };
    let set = client.admin().set_shop_gateways(map).await.unwrap();
    assert_eq!(set.into_inner().shop.unwrap().gateways.len(), 2);
    // The campaign's appid is not one of the other merchant's.
    let refused = send(client, by(G::WeixinTenpayJs, "")).await.unwrap_err();
    assert_eq!(
        violations(&refused),
        [("appid".into(), "APPID_INVALID".into())]
    );
    let sent = send(client, by(G::WeixinTenpayJs, "wxsecond"))
        .await
        .unwrap();
    assert!(PAID.contains(&sent.state()), "{sent:?}");
    assert_eq!((sent.account_id, sent.appid.as_str()), (other, "wxsecond"));
    assert_eq!(sent.gateway_type(), G::WeixinTenpayJs);
    assert!(sent.mch_billno.starts_with("1900000222"));
    assert_eq!(
        client.get(SHOP, sent.issuance_id).await.attempts[0].mch_id,
        "1900000222"
    );
    let by_app = send(client, by(G::WeixinTenpayApp, "")).await.unwrap();
    let by_none = send(client, single(client, "oGate", 150)).await.unwrap();
    assert_eq!((by_app.account_id, by_none.account_id), (account, account));
    assert_eq!(by_none.gateway_type(), G::Unspecified);
    let sums = |s: &simulator::Simulator| s.books().totals().paid_fen;
    assert_eq!((sums(&second), sums(&app.simulator)), (150, 300));
    // Another map holds for what is sent from now on.
    let map = pb::SetShopGatewaysRequest {
        request_id: client.fresh(),
        shop_id: SHOP,
        ..Default::default()
    };
    client.admin().set_shop_gateways(map).await.unwrap();
    let refused = send(client, by(G::WeixinTenpayApp, "")).await.unwrap_err();
    assert_eq!(reason(&refused), "GATEWAY_NOT_MAPPED");
    app.assert_sound().await;
    app.stop().await;
    second.shutdown().await;
}

async fn what_a_packet_brings_reaches_the_provider(db: TestDb) {
    let (app, _, _) = purse(db, 3_600).await;
    let client = &app.client;
    let risk_info =
        "posttime%3d123123412%26clientversion%3d234134%26mobile%3d13800138000%26deviceid%3dIOS";
    let request = pb::SendRedPacketRequest {
        texts: Some(pb::RedPacketTexts {
            send_name: "发送方".into(),
            act_name: "own activity".into(),
            wishing: "万事如意 & <好运>".into(),
            remark: "own remark".into(),
            scene_id: "PRODUCT_2".into(),
        }),
        risk_info: risk_info.into(),
        client_ip: "203.0.113.9".into(),
        kind: pb::RedPacketKind::Normal.into(),
        total_num: 1,
        ..single(client, "oRich", 285)
    };
    let sent = send(client, request.clone()).await.unwrap();
    assert!(PAID.contains(&sent.state()), "{sent:?}");
    let id = sent.issuance_id;
    let said = &exchanges(client, id).await[0];
    for due in [
        "发送方",
        "own activity",
        "own remark",
        "PRODUCT_2",
        risk_info,
        "203.0.113.9",
        "oRich",
        "<total_amount>285<",
        "<total_num>1<",
        sent.mch_billno.as_str(),
        app.appid().as_str(),
    ] {
        assert!(
            said.request.contains(due),
            "{due} is not in {}",
            said.request
        );
    }
    assert_eq!(
        (said.call.as_str(), said.outcome.as_str(), said.http_status),
        ("sendredpack", "ACCEPTED", 200)
    );
    assert!(said.response.contains("SUCCESS") && !said.late);
    let seen = unmasked(client, id).await.issuance.unwrap();
    assert_eq!(
        (seen.risk_info.as_str(), seen.client_ip.as_str()),
        (risk_info, "203.0.113.9")
    );
    assert_eq!(
        (seen.openid.as_str(), &seen.texts),
        ("oRich", &request.texts)
    );
    let masked = client.get(SHOP, id).await.issuance.unwrap();
    assert_eq!(
        (masked.risk_info, masked.openid),
        (String::new(), String::new())
    );
    // Another risk_info is another call.
    let other = pb::SendRedPacketRequest {
        risk_info: "posttime%3d9".into(),
        ..request
    };
    let refused = send(client, other).await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
    app.assert_sound().await;
    app.stop().await;
}

async fn a_named_campaign_leaves_nothing_to_the_caller(db: TestDb) {
    let (app, account, _) = purse(db, 3_600).await;
    let client = &app.client;
    can(client, account, pb::ProviderCapability::Fission, true).await;
    let named = client
        .make_campaign(client.draft(SHOP, account, "named"), 1_000)
        .await;
    let appid = app.appid();
    type Change = fn(&mut pb::SendRedPacketRequest, &str);
    let cases: [(&str, Change); 5] = [
        ("amount_fen", |r, _| r.amount_fen = 100),
        ("texts", |r, _| r.texts = Some(texts())),
        ("appid", |r, appid| appid.clone_into(&mut r.appid)),
        ("gateway_type", |r, _| r.gateway_type = 2),
        ("kind", |r, _| {
            r.kind = pb::RedPacketKind::Fission.into();
            r.total_num = 3;
        }),
    ];
    for (path, change) in cases {
        let mut request = client.send_request(SHOP, named, "oNamed");
        change(&mut request, &appid);
        let refused = send(client, request).await.unwrap_err();
        assert_eq!(
            violations(&refused),
            [(path.to_owned(), "FIELD_NOT_ALLOWED".to_owned())]
        );
    }
    assert_eq!(client.budget(SHOP, named).await.available_fen, 1_000);
    app.stop().await;
}
