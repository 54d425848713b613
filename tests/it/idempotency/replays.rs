//! Every write of the contract, called twice.

use std::collections::BTreeSet;

use hongbao::grpc::pb;
use tonic::Code;

use super::{quiet, writes};

mod audience;
mod sends;
mod vouchers;
mod webhooks;
use crate::support::{Raw, SHOP, TestDb, on_both, reason};

on_both!(every_write_replays);

/// The same call twice, then its name with another body and through another method. A
/// call is named by its request id, unless it is said otherwise.
macro_rules! replays {
    ($client:expr, $seen:expr, $service:ident.$method:ident, $($rest:tt)+) => {
        replays!($client, $seen, $service.$method by request_id, $($rest)+)
    };
    ($client:expr, $seen:expr, $service:ident.$method:ident by $named:ident, $request:expr, |$other:ident| $change:expr, |$answer:ident| $resource:expr) => {{
        let request = $request;
        let name = stringify!($method);
        let first = $client.$service().$method(request.clone()).await;
        let $answer = first.expect(name).into_inner();
        assert!(!$answer.replayed, "{name}");
        let made = format!("{:?}", $resource);
        let again = $client.$service().$method(request.clone()).await;
        let $answer = again.expect(name).into_inner();
        assert!($answer.replayed, "{name}");
        assert_eq!(format!("{:?}", $resource), made, "{name}");
        let mut tried = request.clone();
        tried.validate_only = true;
        let tried = $client.$service().$method(tried).await;
        assert!(tried.expect(name).into_inner().replayed, "{name}");

        let mut $other = request.clone();
        $change;
        let status = $client.$service().$method($other).await.unwrap_err();
        assert_eq!(reason(&status), "REQUEST_ID_REUSED", "{name}: {status:?}");
        assert_eq!(status.code(), Code::AlreadyExists, "{name}");

        let shop = pb::CreateShopRequest {
            request_id: request.$named.clone(),
            name: "through another method".into(),
            ..Default::default()
        };
        if name != "create_shop" {
            let status = $client.admin().create_shop(shop).await.unwrap_err();
            assert_eq!(reason(&status), "REQUEST_ID_REUSED", "{name}: {status:?}");
        }
        $seen.insert(name.replace('_', ""));
        made
    }};
}

use replays;

async fn every_write_replays(db: TestDb) {
    let (app, account) = quiet(db).await;
    let (client, mut seen) = (&app.client, BTreeSet::new());
    let shop = pb::CreateShopRequest {
        request_id: "shop".into(),
        name: "one".into(),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        admin.create_shop,
        shop,
        |r| r.name = "two".into(),
        |a| a.shop.as_ref().unwrap().shop_id
    );
    let merchant = app.simulator.merchant();
    let update = pb::UpdateProviderAccountRequest {
        request_id: "account".into(),
        account_id: account,
        enabled: Some(true),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        admin.update_provider_account,
        update,
        |r| r.enabled = Some(false),
        |a| a.account.as_ref().unwrap().account_id
    );
    let grants = vec![pb::Grant {
        permissions: vec![1],
        shop_ids: vec![SHOP],
        all_shops: false,
    }];
    let new = pb::CreateAppRequest {
        request_id: "app".into(),
        name: "app".into(),
        grants,
        ..Default::default()
    };
    let app_id = replays!(
        client,
        seen,
        admin.create_app,
        new,
        |r| r.name = "other".into(),
        |a| a.app.as_ref().unwrap().app_id
    );
    let key = pb::CreateApiKeyRequest {
        request_id: "key".into(),
        app_id: app_id.parse().unwrap(),
        ..Default::default()
    };
    let key = replays!(
        client,
        seen,
        admin.create_api_key,
        key,
        |r| r.app_id = 1,
        |a| a.key.as_ref().unwrap().key_id.clone()
    );
    let key_id = key.trim_matches('"').to_owned();
    let own = app.key.split('_').nth(1).unwrap().to_owned();
    let revoke = pb::RevokeApiKeyRequest {
        request_id: "revoke".into(),
        key_id,
        ..Default::default()
    };
    replays!(
        client,
        seen,
        admin.revoke_api_key,
        revoke,
        |r| r.key_id = own,
        |a| a.key.as_ref().unwrap().revoke_time
    );

    let signing = pb::SetAppSigningRequest {
        request_id: "signing".into(),
        app_id: app_id.parse().unwrap(),
        schemes: vec![pb::SigningScheme::HmacSha256.into()],
        required_for: pb::SigningRequired::Everything.into(),
        app_key: "a-key-of-16-bytes".into(),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        admin.set_app_signing,
        signing,
        |r| r.app_key.push('s'),
        |a| a.signing
    );

    let person = pb::RecipientInput {
        uid: "u1".into(),
        openids: vec![pb::OpenidInput {
            appid: app.appid(),
            openid: "oU1".into(),
        }],
        ..Default::default()
    };
    let upsert = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: "upsert".into(),
        recipients: vec![person],
        ..Default::default()
    };
    replays!(
        client,
        seen,
        audience.upsert_recipients,
        upsert,
        |r| r.recipients[0].nickname = "x".into(),
        |a| (a.created_count, a.updated_count)
    );

    let draft = pb::CreateCampaignRequest {
        request_id: "camp".into(),
        ..client.draft(SHOP, account, "camp")
    };
    let campaign = replays!(
        client,
        seen,
        campaigns.create_campaign,
        draft,
        |r| r.code = "other".into(),
        |a| a.campaign.as_ref().unwrap().campaign_id
    );
    let campaign_id: i64 = campaign.parse().unwrap();
    macro_rules! turns {
        ($method:ident, $request:ident { $($field:ident: $value:expr),* }, |$r:ident| $change:expr) => {
            let request = pb::$request { shop_id: SHOP, request_id: stringify!($method).into(), campaign_id, $($field: $value,)* ..Default::default() };
            replays!(client, seen, campaigns.$method, request, |$r| $change, |a| a.campaign.as_ref().unwrap().campaign_id);
        };
    }
    turns!(
        fund_campaign,
        FundCampaignRequest { amount_fen: 1_000 },
        |r| r.amount_fen = 1_001
    );
    turns!(
        defund_campaign,
        DefundCampaignRequest { amount_fen: 100 },
        |r| r.amount_fen = 101
    );
    let mask = Some(prost_types::FieldMask {
        paths: vec!["stock_count".into()],
    });
    turns!(
        update_campaign,
        UpdateCampaignRequest {
            update_mask: mask,
            stock_count: 9
        },
        |r| r.stock_count = 8
    );
    turns!(activate_campaign, ActivateCampaignRequest {}, |r| r
        .campaign_id =
        99);

    let mut send = client.send_request(SHOP, campaign_id, "oOne");
    send.request_id = "send".into();
    replays!(
        client,
        seen,
        issuances.send_red_packet,
        send,
        |r| r.openid.push('2'),
        |a| a.issuance.as_ref().unwrap().issuance_id
    );
    let many = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: "many".into(),
        campaign_id,
        uids: vec!["u1".into(), "late".into()],
        source: 1,
        ..Default::default()
    };
    replays!(
        client,
        seen,
        issuances.send_to_users,
        many,
        |r| r.uids.reverse(),
        |a| a.batch.as_ref().unwrap().batch_id
    );
    // Somebody who was unknown comes, and his packet is sent again.
    client
        .make_people(
            SHOP,
            &app.appid(),
            &[("late".to_owned(), "oLate".to_owned())],
        )
        .await;
    let failed = pb::IssuanceFilter {
        uid: "late".into(),
        ..Default::default()
    };
    let failed = pb::ListIssuancesRequest {
        shop_id: SHOP,
        filter: Some(failed),
        ..Default::default()
    };
    let failed = client
        .issuances()
        .list_issuances(failed)
        .await
        .unwrap()
        .into_inner();
    let issuance_id = failed.issuances[0].issuance_id;
    let resend = pb::ResendRequest {
        shop_id: SHOP,
        request_id: "resend".into(),
        issuance_id,
        ..Default::default()
    };
    replays!(
        client,
        seen,
        issuances.resend,
        resend,
        |r| r.issuance_id = 1,
        |a| a.issuance.as_ref().unwrap().issuance_id
    );
    audience::replay(&app, &mut seen).await;
    sends::replay(&app, account, &mut seen).await;
    Box::pin(vouchers::replay(&app, &mut seen)).await;
    Box::pin(webhooks::replay(&app, &mut seen)).await;
    turns!(pause_campaign, PauseCampaignRequest {}, |r| r.campaign_id =
        99);
    turns!(end_campaign, EndCampaignRequest {}, |r| r.campaign_id = 99);

    // Only one account can be made with the one merchant, and `quiet` has made it.
    let account = pb::CreateProviderAccountRequest {
        request_id: "again".into(),
        protocol: "wechat_pay_v2".into(),
        mch_id: merchant.mch_id.clone(),
        credential: "simulator".into(),
        appids: vec![app.appid()],
        shop_ids: vec![SHOP],
        ..Default::default()
    };
    let raw = Raw::open(&app.db).await;
    raw.execute("UPDATE provider_account SET protocol = 'retired'")
        .await;
    replays!(
        client,
        seen,
        admin.create_provider_account,
        account,
        |r| r.client_ip = "10.0.0.1".into(),
        |a| a.account.as_ref().unwrap().account_id
    );
    let scope = |scope| Some(pb::StopScope { scope: Some(scope) });
    let stop = pb::StopAllRequest {
        request_id: "stop".into(),
        scope: scope(pb::stop_scope::Scope::AccountId(1)),
        reason: "r".into(),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        admin.stop_all,
        stop,
        |r| r.scope = scope(pb::stop_scope::Scope::ShopId(SHOP)),
        |a| a.stop.as_ref().unwrap().stopped
    );
    // What only people do is called twice in `people.rs`.
    seen.extend(crate::people::WRITES.map(str::to_owned));
    assert_eq!(seen, writes());
    app.assert_sound().await;
    app.stop().await;
}
