//! `validate_only`: a write that is only tried answers as the real one would, and
//! leaves no row.

mod groups;
mod refused;
mod vouchers;
mod webhooks;

use std::collections::BTreeSet;

use hongbao::grpc::pb;

use crate::idempotency::writes;
use crate::support::{Options, Raw, SHOP, TestApp, TestDb, on_both};

on_both!(every_write_can_be_tried);

async fn quiet(db: TestDb) -> (TestApp, Raw) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let raw = Raw::open(&app.db).await;
    app.client.make_shop(SHOP).await;
    (app, raw)
}

/// What differs between two campaigns that were made alike.
fn campaign(found: Option<pb::Campaign>) -> pb::Campaign {
    pb::Campaign {
        campaign_id: 0,
        start_time: None,
        create_time: None,
        update_time: None,
        ..found.unwrap()
    }
}

/// A trial makes nothing that could have an id.
fn refused(items: Vec<pb::RefusedItem>) -> Vec<pb::RefusedItem> {
    let bare = |item| pb::RefusedItem {
        issuance_id: 0,
        ..item
    };
    items.into_iter().map(bare).collect()
}

fn issuance(found: Option<pb::Issuance>) -> pb::Issuance {
    pb::Issuance {
        issuance_id: 0,
        create_time: None,
        update_time: None,
        traceparent: String::new(),
        ..found.unwrap()
    }
}

fn batch(found: Option<pb::IssuanceBatch>) -> pb::IssuanceBatch {
    pb::IssuanceBatch {
        batch_id: 0,
        create_time: None,
        ..found.unwrap()
    }
}

fn account(found: Option<pb::ProviderAccount>) -> pb::ProviderAccount {
    pb::ProviderAccount {
        account_id: 0,
        create_time: None,
        ..found.unwrap()
    }
}

/// Tries a call, then makes it, with one name; gives the real answer.
macro_rules! tried {
    ($ground:expr, $service:ident.$method:ident, $request:expr, |$answer:ident| $shown:expr) => {{
        let (app, raw, seen) = (&$ground.0, &$ground.1, &mut $ground.2);
        let name = stringify!($method);
        let request = $request;
        let mut trial = request.clone();
        trial.validate_only = true;
        let before = raw.counts().await;
        let first = app.client.$service().$method(trial).await;
        let $answer = first.expect(name).into_inner();
        assert!(!$answer.replayed, "{name}");
        let promised = $shown;
        assert_eq!(raw.counts().await, before, "{name}: a trial wrote rows");
        let made = app.client.$service().$method(request).await;
        let made = made.expect(name).into_inner();
        let $answer = made.clone();
        assert!(!$answer.replayed, "{name}: the trial used the name up");
        assert_eq!($shown, promised, "{name}: the trial promised otherwise");
        seen.insert(name.replace('_', ""));
        made
    }};
}

use tried;

async fn every_write_can_be_tried(db: TestDb) {
    let (app, raw) = quiet(db).await;
    let merchant = app.simulator.merchant().clone();
    let client = app.client.clone();
    let mut ground = (app, raw, BTreeSet::new());
    let id = || client.fresh();
    let shop = pb::CreateShopRequest {
        request_id: id(),
        shop_id: 7,
        name: "seven".into(),
        ..Default::default()
    };
    tried!(ground, admin.create_shop, shop, |a| {
        let shop = a.shop.unwrap();
        (shop.shop_id, shop.name)
    });
    let new = pb::CreateProviderAccountRequest {
        request_id: id(),
        protocol: "wechat_pay_v2".into(),
        mch_id: merchant.mch_id.clone(),
        credential: "simulator".into(),
        appids: vec![merchant.appid().to_owned()],
        shop_ids: vec![SHOP],
        ..Default::default()
    };
    let made = tried!(ground, admin.create_provider_account, new, |a| account(
        a.account
    ));
    let account_id = made.account.unwrap().account_id;
    let update = pb::UpdateProviderAccountRequest {
        request_id: id(),
        account_id,
        add_shop_ids: vec![7],
        ..Default::default()
    };
    tried!(ground, admin.update_provider_account, update, |a| account(
        a.account
    ));
    let grants = vec![pb::Grant {
        permissions: vec![1],
        shop_ids: vec![SHOP],
        all_shops: false,
    }];
    let new = pb::CreateAppRequest {
        request_id: id(),
        name: "app".into(),
        grants,
        ..Default::default()
    };
    let made = tried!(ground, admin.create_app, new, |a| {
        let app = a.app.unwrap();
        (app.name, app.grants, app.keys.len())
    });
    assert!(!made.api_key.is_empty());
    let app_id = made.app.unwrap().app_id;
    let key = pb::CreateApiKeyRequest {
        request_id: id(),
        app_id,
        ..Default::default()
    };
    let made = tried!(ground, admin.create_api_key, key, |a| a
        .key
        .unwrap()
        .revoke_time);
    let revoke = pb::RevokeApiKeyRequest {
        request_id: id(),
        key_id: made.key.unwrap().key_id,
        ..Default::default()
    };
    tried!(ground, admin.revoke_api_key, revoke, |a| a
        .key
        .unwrap()
        .revoke_time
        .is_some());

    let signing = pb::SetAppSigningRequest {
        request_id: id(),
        app_id,
        schemes: vec![pb::SigningScheme::HmacSha256.into()],
        required_for: pb::SigningRequired::Everything.into(),
        app_key: "a key that is tried".replace(' ', "-"),
        ..Default::default()
    };
    tried!(ground, admin.set_app_signing, signing, |a| {
        let signing = a.signing.unwrap();
        (signing.schemes, signing.required_for, signing.has_app_key)
    });

    let person = |uid: &str| pb::RecipientInput {
        uid: uid.into(),
        openids: vec![pb::OpenidInput {
            appid: merchant.appid().to_owned(),
            openid: format!("o{uid}"),
        }],
        ..Default::default()
    };
    let upsert = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: id(),
        recipients: vec![person("u1"), person("u2")],
        ..Default::default()
    };
    tried!(ground, audience.upsert_recipients, upsert, |a| (
        a.created_count,
        a.updated_count
    ));

    let mut draft = client.draft(SHOP, account_id, "camp");
    draft.amount = Some(pb::AmountRule {
        r#type: pb::AmountType::Random.into(),
        min_fen: 100,
        max_fen: 20_000,
        ..Default::default()
    });
    let made = tried!(ground, campaigns.create_campaign, draft, |a| campaign(
        a.campaign
    ));
    let campaign_id = made.campaign.unwrap().campaign_id;
    macro_rules! change {
        ($method:ident, $request:ident { $($field:ident: $value:expr),* }) => {
            let request = pb::$request { shop_id: SHOP, request_id: id(), campaign_id, $($field: $value,)* ..Default::default() };
            tried!(ground, campaigns.$method, request, |a| campaign(a.campaign));
        };
    }
    change!(
        fund_campaign,
        FundCampaignRequest {
            amount_fen: 1_000_000
        }
    );
    change!(defund_campaign, DefundCampaignRequest { amount_fen: 1_000 });
    let mask = prost_types::FieldMask {
        paths: vec!["texts".into(), "stock_count".into()],
    };
    change!(
        update_campaign,
        UpdateCampaignRequest {
            update_mask: Some(mask),
            stock_count: 9,
            texts: client.draft(1, 1, "x").texts
        }
    );
    change!(activate_campaign, ActivateCampaignRequest {});

    // The amounts are random, and the numbers are derived: both are those of the trial.
    let mut send = client.send_request(SHOP, campaign_id, "oOne");
    send.wait = false;
    tried!(ground, issuances.send_red_packet, send, |a| issuance(
        a.issuance
    ));
    let many = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: id(),
        campaign_id,
        source: 1,
        uids: ["u1", "u2", "u1", "late"].map(str::to_owned).to_vec(),
        ..Default::default()
    };
    let made = tried!(ground, issuances.send_to_users, many, |a| (
        batch(a.batch),
        refused(a.refused),
        a.duplicate_uids
    ));
    let counts = made.batch.unwrap().counts.unwrap();
    assert_eq!(
        (
            counts.requested_count,
            counts.accepted_count,
            counts.refused_count
        ),
        (3, 2, 1)
    );
    client
        .make_people(
            SHOP,
            merchant.appid(),
            &[("late".to_owned(), "oLate".to_owned())],
        )
        .await;
    let filter = Some(pb::IssuanceFilter {
        uid: "late".into(),
        ..Default::default()
    });
    let list = pb::ListIssuancesRequest {
        shop_id: SHOP,
        filter,
        ..Default::default()
    };
    let found = client
        .issuances()
        .list_issuances(list)
        .await
        .unwrap()
        .into_inner();
    let resend = pb::ResendRequest {
        shop_id: SHOP,
        request_id: id(),
        issuance_id: found.issuances[0].issuance_id,
        ..Default::default()
    };
    tried!(ground, issuances.resend, resend, |a| issuance(a.issuance));
    groups::tried(&mut ground, account_id).await;
    Box::pin(vouchers::tried(&mut ground)).await;
    Box::pin(webhooks::tried(&mut ground)).await;
    change!(pause_campaign, PauseCampaignRequest {});
    change!(end_campaign, EndCampaignRequest {});

    let scope = |scope| Some(pb::StopScope { scope: Some(scope) });
    let stop = pb::StopAllRequest {
        request_id: id(),
        scope: scope(pb::stop_scope::Scope::AccountId(account_id)),
        reason: "r".into(),
        ..Default::default()
    };
    tried!(ground, admin.stop_all, stop, |a| {
        let stop = a.stop.unwrap();
        (stop.stopped, stop.reason, a.queued, a.in_flight)
    });
    let (app, _, mut seen) = ground;
    // A stream cannot be tried: ImportRecipients has no validate_only.
    seen.insert("importrecipients".to_owned());
    // What only people do is tried in `people.rs`.
    seen.extend(crate::people::WRITES.map(str::to_owned));
    assert_eq!(seen, writes());
    app.assert_sound().await;
    app.stop().await;
}
