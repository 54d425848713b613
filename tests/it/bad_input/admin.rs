//! AdminService.

use hongbao::domain::role::Role;
use hongbao::grpc::pb::{self, Permission};
use tonic::Code;

use super::{OTHER, Table, at, bad, no, over, refused};
use crate::support::{SHOP, TestDb, on_both};

on_both!(shops_and_accounts, apps_and_keys, stops);

async fn shops_and_accounts(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let shop = pb::CreateShopRequest {
        request_id: "shop".into(),
        shop_id: 1 << 53,
        name: at(64),
        ..Default::default()
    };
    refused!(table, admin.create_shop, shop, {
        "#17 a request id of 65": |r| r.request_id = "r".repeat(65) => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "no name": |r| r.name.clear() => bad(&[("name", "FIELD_REQUIRED")]),
        "#32 a name of 65 bytes": |r| r.name = over(64) => bad(&[("name", "TEXT_TOO_LONG")]),
        "#17 a name with NUL": |r| r.name = "a\0b".into() => bad(&[("name", "TEXT_INVALID")]),
        "an id below zero": |r| r.shop_id = -1 => bad(&[("shop_id", "ID_INVALID")]),
        "#50 an id that JSON cannot hold": |r| r.shop_id = (1 << 53) + 1 => bad(&[("shop_id", "ID_INVALID")]),
        "an id that is taken": |r| r.shop_id = SHOP => no(Code::AlreadyExists, "ALREADY_EXISTS"),
        "all at once": |r| { r.request_id.clear(); r.shop_id = -1; r.name.clear(); }
            => bad(&[("request_id", "REQUEST_ID_INVALID"), ("shop_id", "ID_INVALID"), ("name", "FIELD_REQUIRED")]),
    });
    let list = pb::ListShopsRequest {
        page_size: 1,
        ..Default::default()
    };
    let page = client.admin().list_shops(list.clone()).await.unwrap();
    let page_token = page.into_inner().next_page_token;
    refused!(table, admin.list_shops, pb::ListShopsRequest { page_token: page_token.clone(), ..list }, {
        "#27 a negative page": |r| r.page_size = -1 => bad(&[("page_size", "OUT_OF_RANGE")]),
        "#47 half a token": |r| { r.page_token.pop(); } => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
    });
    refused!(table, admin.list_provider_accounts, pb::ListProviderAccountsRequest::default(), {
        "#47 a token of another list": |r| r.page_token = page_token.clone() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
    });
    refused!(table, admin.list_apps, pb::ListAppsRequest::default(), {
        "#47 a token of another list": |r| r.page_token = page_token.clone() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
    });

    // The good request is the one that made the account: a replay.
    let replayed = refused!(table, admin.create_provider_account, Table::account_request(&table.app), {
        "no protocol": |r| r.protocol.clear() => bad(&[("protocol", "FIELD_REQUIRED")]),
        "#37 an unknown protocol": |r| r.protocol = "alipay".into() => bad(&[("protocol", "ENUM_UNKNOWN")]),
        "a merchant id of letters": |r| r.mch_id = "merchant1".into() => bad(&[("mch_id", "ID_INVALID")]),
        "a merchant id of 11": |r| r.mch_id = "1".repeat(11) => bad(&[("mch_id", "ID_INVALID")]),
        "a path for a credential": |r| r.credential = "../etc".into() => bad(&[("credential", "ID_INVALID")]),
        "a credential that is not configured": |r| { r.request_id = "a".into(); r.credential = "nowhere".into(); }
            => no(Code::FailedPrecondition, "CREDENTIAL_NOT_CONFIGURED"),
        "a merchant that is not the credential's": |r| { r.request_id = "a".into(); r.mch_id = "1900000000".into(); }
            => no(Code::FailedPrecondition, "CREDENTIAL_NOT_CONFIGURED"),
        "a merchant that has an account": |r| r.request_id = "a".into() => no(Code::AlreadyExists, "ALREADY_EXISTS"),
        "no appid": |r| r.appids.clear() => bad(&[("appids", "FIELD_REQUIRED")]),
        "21 appids": |r| r.appids = vec!["wx".into(); 21] => bad(&[("appids", "BATCH_TOO_LARGE")]),
        "an appid out of its alphabet": |r| r.appids = vec!["wx".into(), "w x".into()] => bad(&[("appids[1]", "APPID_INVALID")]),
        "no shop": |r| r.shop_ids.clear() => bad(&[("shop_ids", "FIELD_REQUIRED")]),
        "1,001 shops": |r| r.shop_ids = vec![1; 1_001] => bad(&[("shop_ids", "BATCH_TOO_LARGE")]),
        "a shop below zero": |r| r.shop_ids = vec![1, -1] => bad(&[("shop_ids[1]", "ID_INVALID")]),
        "an address in IPv6": |r| r.client_ip = "::1".into() => bad(&[("client_ip", "ID_INVALID")]),
        "#1 min above max": |r| (r.min_amount_fen, r.max_amount_fen) = (200, 100) => bad(&[("max_amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "bounds out of bounds": |r| (r.min_amount_fen, r.max_amount_fen) = (-1, 10_000_001)
            => bad(&[("min_amount_fen", "OUT_OF_RANGE"), ("max_amount_fen", "OUT_OF_RANGE")]),
        "rates out of bounds": |r| (r.sends_per_second, r.queries_per_second) = (-1, 10_001)
            => bad(&[("sends_per_second", "OUT_OF_RANGE"), ("queries_per_second", "OUT_OF_RANGE")]),
    });
    assert!(replayed.replayed);
    let update = pb::UpdateProviderAccountRequest {
        request_id: "update".into(),
        account_id: table.account,
        add_shop_ids: vec![OTHER],
        ..Default::default()
    };
    refused!(table, admin.update_provider_account, update, {
        "no account": |r| r.account_id = 0 => bad(&[("account_id", "ID_INVALID")]),
        "#7 an account that is not there": |r| r.account_id = 404 => no(Code::NotFound, "ACCOUNT_NOT_FOUND"),
        "#7 one that is not there, and no shops": |r| { r.account_id = 404; r.add_shop_ids.clear(); } => no(Code::NotFound, "ACCOUNT_NOT_FOUND"),
        "#7 a shop that is not there": |r| r.add_shop_ids = vec![404] => no(Code::NotFound, "SHOP_NOT_FOUND"),
        "1,001 shops": |r| r.add_shop_ids = vec![OTHER; 1_001] => bad(&[("add_shop_ids", "BATCH_TOO_LARGE")]),
        "a rate of nothing": |r| r.sends_per_second = Some(0) => bad(&[("sends_per_second", "OUT_OF_RANGE")]),
        "too high a rate": |r| r.queries_per_second = Some(10_001) => bad(&[("queries_per_second", "OUT_OF_RANGE")]),
    });
    refused!(table, admin.get_provider_account, pb::GetProviderAccountRequest { account_id: table.account }, {
        "#7 not there": |r| r.account_id = 404 => no(Code::NotFound, "ACCOUNT_NOT_FOUND"),
        "#7 no id": |r| r.account_id = 0 => bad(&[("account_id", "ID_INVALID")]),
    });
    table.finish().await;
}

fn grant(permissions: &[Permission], shop_ids: &[i64], all_shops: bool) -> pb::Grant {
    pb::Grant {
        permissions: permissions.iter().map(|p| (*p).into()).collect(),
        shop_ids: shop_ids.to_vec(),
        all_shops,
    }
}

async fn apps_and_keys(db: TestDb) {
    let table = Table::start(db).await;
    let read = [Permission::CampaignRead];
    let app = pb::CreateAppRequest {
        request_id: "app".into(),
        name: "n".repeat(64),
        default_shop_id: SHOP,
        grants: vec![grant(&read, &[SHOP], false); 20],
        ..Default::default()
    };
    let made = refused!(table, admin.create_app, app, {
        "no name": |r| r.name.clear() => bad(&[("name", "FIELD_REQUIRED")]),
        "a name of 65": |r| r.name.push('n') => bad(&[("name", "ID_INVALID")]),
        "a name that is taken": |r| r.name = "admin".into() => no(Code::AlreadyExists, "ALREADY_EXISTS"),
        "a default shop below zero": |r| r.default_shop_id = -1 => bad(&[("default_shop_id", "ID_INVALID")]),
        "#7 a default shop that is not there": |r| r.default_shop_id = 404 => no(Code::NotFound, "SHOP_NOT_FOUND"),
        "#7 a granted shop that is not there": |r| r.grants[0].shop_ids = vec![404] => no(Code::NotFound, "SHOP_NOT_FOUND"),
        "no grant": |r| r.grants.clear() => bad(&[("grants", "FIELD_REQUIRED")]),
        "21 grants": |r| r.grants.push(grant(&read, &[SHOP], false)) => bad(&[("grants", "BATCH_TOO_LARGE")]),
        "a grant of nothing": |r| r.grants[3].permissions.clear() => bad(&[("grants[3].permissions", "FIELD_REQUIRED")]),
        "#37 an unknown permission": |r| r.grants[0].permissions = vec![1, 99] => bad(&[("grants[0].permissions[1]", "ENUM_UNKNOWN")]),
        "51 permissions, the last unknown": |r| { r.grants[0].permissions = vec![1; 50]; r.grants[0].permissions.push(99); }
            => bad(&[("grants[0].permissions", "BATCH_TOO_LARGE")]),
        "no shop": |r| r.grants[0].shop_ids.clear() => bad(&[("grants[0].shop_ids", "FIELD_REQUIRED")]),
        "all shops and some": |r| r.grants[0].all_shops = true => bad(&[("grants[0].shop_ids", "FIELD_NOT_ALLOWED")]),
        "a shop below zero": |r| r.grants[0].shop_ids = vec![-7] => bad(&[("grants[0].shop_ids[0]", "ID_INVALID")]),
        "the platform in one shop": |r| r.grants[0] = grant(&[Permission::AppAdmin], &[SHOP], false)
            => bad(&[("grants[0].all_shops", "FIELD_REQUIRED")]),
    });
    assert!(made.api_key.starts_with("hb_"));
    let made = made.app.unwrap();
    let key = pb::CreateApiKeyRequest {
        request_id: "key".into(),
        app_id: made.app_id,
        ..Default::default()
    };
    refused!(table, admin.create_api_key, key, {
        "no app": |r| r.app_id = 0 => bad(&[("app_id", "ID_INVALID")]),
        "#7 an app that is not there": |r| r.app_id = 404 => no(Code::NotFound, "APP_NOT_FOUND"),
    });
    let revoke = pb::RevokeApiKeyRequest {
        request_id: "revoke".into(),
        key_id: made.keys[0].key_id.clone(),
        ..Default::default()
    };
    refused!(table, admin.revoke_api_key, revoke, {
        "no key": |r| r.key_id.clear() => bad(&[("key_id", "FIELD_REQUIRED")]),
        "#7 a key that is not there": |r| r.key_id = "0".repeat(16) => no(Code::NotFound, "KEY_NOT_FOUND"),
        "#17 NUL": |r| r.key_id = "\0".into() => bad(&[("key_id", "ID_INVALID")]),
        "#17 a key id without end": |r| r.key_id = "k".repeat(10_000) => bad(&[("key_id", "ID_INVALID")]),
    });
    table.finish().await;
}

async fn stops(db: TestDb) {
    use pb::stop_scope::Scope;
    let table = Table::start(db).await.by_person(&[Role::Operator]).await;
    let scope = |scope| Some(pb::StopScope { scope: Some(scope) });
    let stop = pb::StopAllRequest {
        request_id: "stop".into(),
        scope: scope(Scope::ShopId(SHOP)),
        reason: at(255),
        ..Default::default()
    };
    refused!(table, admin.stop_all, stop, {
        "no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "no scope": |r| r.scope = None => bad(&[("scope", "FIELD_REQUIRED")]),
        "an empty scope": |r| r.scope = Some(pb::StopScope { scope: None }) => bad(&[("scope", "FIELD_REQUIRED")]),
        "not everything": |r| r.scope = scope(Scope::Everything(false)) => bad(&[("scope", "FIELD_REQUIRED")]),
        "a shop below zero": |r| r.scope = scope(Scope::ShopId(-1)) => bad(&[("scope.shop_id", "ID_INVALID")]),
        "a shop that is not there": |r| r.scope = scope(Scope::ShopId(404)) => no(Code::NotFound, "SHOP_NOT_FOUND"),
        "an account that is not there": |r| r.scope = scope(Scope::AccountId(404)) => no(Code::NotFound, "ACCOUNT_NOT_FOUND"),
        "no reason": |r| r.reason.clear() => bad(&[("reason", "FIELD_REQUIRED")]),
        "a reason of 256 bytes": |r| r.reason = over(255) => bad(&[("reason", "TEXT_TOO_LONG")]),
        "a hidden reason": |r| r.reason = "a\u{202E}b".into() => bad(&[("reason", "TEXT_INVALID")]),
    });
    let resume = pb::ResumeAllRequest {
        request_id: "resume".into(),
        scope: scope(Scope::AccountId(1)),
        reason: "r".into(),
        ..Default::default()
    };
    refused!(table, admin.resume_all, resume, {
        "no scope": |r| r.scope = None => bad(&[("scope", "FIELD_REQUIRED")]),
        "no reason": |r| r.reason.clear() => bad(&[("reason", "FIELD_REQUIRED")]),
        "#48 by whoever stopped it": |r| r.scope = scope(Scope::ShopId(SHOP))
            => no(Code::FailedPrecondition, "SECOND_APPROVER_REQUIRED"),
    });
    table.finish().await;
}
