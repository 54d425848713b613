//! People are shown in full to those who ask for it and may: PII_READ in the shop that
//! is asked about, beside the RPC's own permission.

use hongbao::grpc::pb::{self, Permission as P};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::requests::good;
use super::things::{MOBILE, OTHER, Things, make_app};
use super::{rpcs, with};
use crate::support::{Options, SHOP, TestApp, TestDb, call, on_both, reason};

on_both!(people_are_shown_to_those_who_may_see_them);

fn grant(permissions: &[P], shop_id: i64) -> pb::Grant {
    pb::Grant {
        permissions: permissions.iter().map(|p| (*p).into()).collect(),
        shop_ids: vec![shop_id],
        all_shops: false,
    }
}

async fn people_are_shown_to_those_who_may_see_them(db: TestDb) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let things = Things::make(&app).await;
    let usual = [
        P::CampaignRead,
        P::IssuanceRead,
        P::IssuanceSend,
        P::IssuanceAsk,
        P::AudienceRead,
        P::ExchangeRead,
        P::VoucherRead,
    ];
    let here = vec![grant(&usual, SHOP)];
    let elsewhere = [
        here.clone(),
        vec![grant(&[usual.as_slice(), &[P::PiiRead]].concat(), OTHER)],
    ]
    .concat();
    let both = [here.clone(), vec![grant(&[P::PiiRead], SHOP)]].concat();
    let without = make_app(&app.client, here).await;
    let elsewhere = make_app(&app.client, elsewhere).await;
    let with_it = make_app(&app.client, both).await;
    things.let_see(&[&without, &elsewhere, &with_it]).await;
    let channel = app.client.channel();
    let mut asked = Vec::new();
    let (rpcs, messages) = rpcs();
    for rpc in rpcs {
        let Some(field) = rpc.field(&messages, "unmask") else {
            continue;
        };
        let name = rpc.name();
        let masked = good(name, &things);
        let unmask = [masked.clone(), with(&field, "1")].concat();
        let ask = async |key: &str, message: &[u8]| {
            let answer = call(&channel, &rpc.path, false, Some(key), message.to_vec()).await;
            answer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        for key in [&without, &elsewhere] {
            let status = ask(key, &unmask).await.expect_err(name);
            assert_eq!(status.code(), Code::PermissionDenied, "{name}");
            assert_eq!(reason(&status), "PERMISSION_MISSING", "{name}");
            let details = status.get_error_details();
            let permission = &details.error_info().unwrap().metadata["permission"];
            assert!(permission.ends_with("PII_READ"), "{name}: {permission}");
        }
        let (masked, shown) = (ask(&without, &masked).await, ask(&with_it, &unmask).await);
        asked.push(name.to_owned());
        if name == "QueryProviderStatus" {
            // Nobody sends here.
            let both = [masked.unwrap_err(), shown.unwrap_err()];
            assert_eq!(both.map(|status| reason(&status)), ["ISSUANCE_NOT_SENT"; 2]);
            continue;
        }
        let openid = match name {
            "ListIssuances" => "oPaid".to_owned(),
            "GetVoucher" | "ListVouchers" => MOBILE.to_owned(),
            _ => format!("oOf{SHOP}"),
        };
        let (masked, shown) = (masked.expect(name), shown.expect(name));
        // The packet of `GetIssuance` was refused for want of an openid.
        if name != "GetIssuance" {
            assert!(shown.contains(&openid), "{name}: {shown}");
        }
        assert!(!masked.contains(&openid), "{name}: {masked}");
    }
    asked.sort();
    let due = [
        "GetIssuance",
        "GetRecipient",
        "GetVoucher",
        "ListIssuances",
        "ListRecipients",
        "ListVouchers",
        "QueryProviderStatus",
    ];
    assert_eq!(asked, due);
    app.stop().await;
}
