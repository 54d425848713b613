//! AdminService: accounts at a voucher platform, and where they have no place.

use hongbao::grpc::pb;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{Table, bad, no, refused};
use crate::support::{SHOP, TestDb, on_both};

on_both!(accounts_that_give_vouchers);

async fn accounts_that_give_vouchers(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let good = pb::CreateProviderAccountRequest {
        request_id: "map".into(),
        protocol: "map".into(),
        mch_id: "zjhtwallet".into(),
        credential: "map".into(),
        shop_ids: vec![SHOP],
        ..Default::default()
    };
    let made = refused!(table, admin.create_provider_account, good.clone(), {
        "no app id": |r| r.mch_id.clear() => bad(&[("mch_id", "FIELD_REQUIRED")]),
        "an app id with a blank": |r| r.mch_id = "a b".into() => bad(&[("mch_id", "ID_INVALID")]),
        "an app id of 65": |r| r.mch_id = "a".repeat(65) => bad(&[("mch_id", "ID_INVALID")]),
        "appids": |r| r.appids = vec!["wx1".into()] => bad(&[("appids", "FIELD_NOT_ALLOWED")]),
        "an address that is told": |r| r.client_ip = "10.0.0.1".into() => bad(&[("client_ip", "FIELD_NOT_ALLOWED")]),
        "what packets can be": |r| r.capabilities = vec![1] => bad(&[("capabilities", "FIELD_NOT_ALLOWED")]),
        "a quota by openid": |r| r.openid_day_count = Some(1) => bad(&[("openid_day_count", "FIELD_NOT_ALLOWED")]),
        "a sum by openid": |r| r.openid_day_fen = Some(1) => bad(&[("openid_day_fen", "FIELD_NOT_ALLOWED")]),
        "a sum of the day": |r| r.day_fen = Some(1) => bad(&[("day_fen", "FIELD_NOT_ALLOWED")]),
        "too large a voucher": |r| r.max_amount_fen = 10_000_001 => bad(&[("max_amount_fen", "OUT_OF_RANGE")]),
        "a merchant's credential": |r| r.credential = "simulator".into() => no(Code::FailedPrecondition, "CREDENTIAL_NOT_CONFIGURED"),
        "another app": |r| r.mch_id = "another".into() => no(Code::FailedPrecondition, "CREDENTIAL_NOT_CONFIGURED"),
        "a merchant with an app's credential": |r| (r.protocol, r.mch_id, r.appids) = ("wechat_pay_v2".into(), "1900000109".into(), vec!["wx1".into()])
            => no(Code::FailedPrecondition, "CREDENTIAL_NOT_CONFIGURED"),
    });
    let account = made.account.unwrap();
    assert_eq!(
        (&*account.protocol, &*account.mch_id),
        ("map", "zjhtwallet")
    );
    assert_eq!(
        (account.min_amount_fen, account.max_amount_fen),
        (1, 10_000_000)
    );
    assert_eq!((account.openid_day_count, account.day_fen), (0, 0));
    assert!(account.appids.is_empty() && account.capabilities.is_empty());

    let campaign = pb::CreateCampaignRequest {
        request_id: "packets".into(),
        ..client.draft(SHOP, table.account, "packets")
    };
    let id = account.account_id;
    refused!(table, campaigns.create_campaign, campaign.clone(), {
        "red packets through a voucher platform": |r| r.account_id = id => no(Code::FailedPrecondition, "PROVIDER_CAPABILITY"),
    });
    let abroad = pb::CreateCampaignRequest {
        account_id: id,
        ..client.draft(SHOP, id, "abroad")
    };
    let status = client
        .campaigns()
        .create_campaign(abroad)
        .await
        .unwrap_err();
    let details = status.get_error_details();
    let facts = &details.error_info().unwrap().metadata;
    assert_eq!(
        (&*facts["capability"], &*facts["account_id"]),
        ("RED_PACKET", &*id.to_string())
    );
    assert!(status.message().contains("gives vouchers"), "{status}");

    let gateways = pb::SetShopGatewaysRequest {
        request_id: "gateways".into(),
        shop_id: SHOP,
        gateways: vec![pb::ShopGateway {
            gateway_type: 2,
            account_id: table.account,
        }],
        ..Default::default()
    };
    refused!(table, admin.set_shop_gateways, gateways, {
        "a gateway to a voucher platform": |r| r.gateways[0].account_id = id => no(Code::FailedPrecondition, "PROVIDER_CAPABILITY"),
    });
    let update = pb::UpdateProviderAccountRequest {
        request_id: "update".into(),
        account_id: id,
        sends_per_second: Some(7),
        ..Default::default()
    };
    let changed = refused!(table, admin.update_provider_account, update, {
        "appids": |r| r.add_appids = vec!["wx1".into()] => bad(&[("add_appids", "FIELD_NOT_ALLOWED")]),
        "what packets can be": |r| r.add_capabilities = vec![1] => bad(&[("add_capabilities", "FIELD_NOT_ALLOWED")]),
        "a sum of the day": |r| r.day_fen = Some(1) => bad(&[("day_fen", "FIELD_NOT_ALLOWED")]),
    });
    assert_eq!(changed.account.unwrap().sends_per_second, 7);
    table.finish().await;
}
