//! What a single packet may bring along: account, appid, texts, risk_info, client_ip.

use hongbao::grpc::pb;
use hongbao::simulator::{self, Merchant};

use super::kinds::{can, purse, send, single};
use super::{PAID, exchanges, unmasked};
use crate::support::{SHOP, TestDb, on_both, reason, texts, violations};

on_both!(
    a_gateway_chooses_the_account,
    what_a_packet_brings_reaches_the_provider,
    a_named_campaign_leaves_nothing_to_the_caller,
);

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
