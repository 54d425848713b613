//! AdminService: branches, gateways and what an account can do.

use hongbao::grpc::pb::{self, GatewayType, ProviderCapability};
use tonic::Code;

use super::{OTHER, Table, at, bad, no, over, refused};
use crate::support::{SHOP, TestDb, on_both};

on_both!(branches, gateways, capabilities);

fn branch(request_id: &str, shop_id: i64, shop_sub_id: i64) -> pb::CreateBranchRequest {
    pb::CreateBranchRequest {
        request_id: request_id.to_owned(),
        shop_id,
        shop_sub_id,
        name: at(64),
        ..Default::default()
    }
}

async fn branches(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    for (shop, id) in [(SHOP, 7), (OTHER, 7), (OTHER, 8)] {
        let made = branch(&client.fresh(), shop, id);
        client.admin().create_branch(made).await.unwrap();
    }
    refused!(table, admin.create_branch, branch("branch", SHOP, 1 << 53), {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "no shop": |r| r.shop_id = 0 => bad(&[("shop_id", "ID_INVALID")]),
        "#7 a shop that is not there": |r| r.shop_id = 404 => no(Code::NotFound, "SHOP_NOT_FOUND"),
        "the head office": |r| r.shop_sub_id = 0 => bad(&[("shop_sub_id", "ID_INVALID")]),
        "an id below zero": |r| r.shop_sub_id = -1 => bad(&[("shop_sub_id", "ID_INVALID")]),
        "#50 an id that JSON cannot hold": |r| r.shop_sub_id += 1 => bad(&[("shop_sub_id", "ID_INVALID")]),
        "an id that is taken": |r| r.shop_sub_id = 7 => no(Code::AlreadyExists, "ALREADY_EXISTS"),
        "no name": |r| r.name.clear() => bad(&[("name", "FIELD_REQUIRED")]),
        "#32 a name of 65 bytes": |r| r.name = over(64) => bad(&[("name", "TEXT_TOO_LONG")]),
        "#17 a name with NUL": |r| r.name = "a\0b".into() => bad(&[("name", "TEXT_INVALID")]),
        "all at once": |r| r = pb::CreateBranchRequest::default()
            => bad(&[("request_id", "REQUEST_ID_INVALID"), ("shop_id", "ID_INVALID"), ("shop_sub_id", "ID_INVALID"), ("name", "FIELD_REQUIRED")]),
    });
    let list = |shop_id| pb::ListBranchesRequest {
        shop_id,
        page_size: 1,
        ..Default::default()
    };
    let page = async |shop| {
        let page = client.admin().list_branches(list(shop)).await.unwrap();
        page.into_inner().next_page_token
    };
    let (page_token, others) = (page(SHOP).await, page(OTHER).await);
    refused!(table, admin.list_branches, pb::ListBranchesRequest { page_token, ..list(SHOP) }, {
        "no shop": |r| { r.shop_id = 0; r.page_token.clear(); } => bad(&[("shop_id", "ID_INVALID")]),
        "#7 a shop that is not there": |r| { r.shop_id = 404; r.page_token.clear(); } => no(Code::NotFound, "SHOP_NOT_FOUND"),
        "#27 a negative page": |r| r.page_size = -1 => bad(&[("page_size", "OUT_OF_RANGE")]),
        "#47 half a token": |r| { r.page_token.pop(); } => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token of another shop": |r| r.page_token = others.clone() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
    });
    table.finish().await;
}

fn gateway(r#type: i32, account_id: i64) -> pb::ShopGateway {
    pb::ShopGateway {
        gateway_type: r#type,
        account_id,
    }
}

async fn gateways(db: TestDb) {
    let table = Table::start(db).await;
    let account = table.account;
    let set = pb::SetShopGatewaysRequest {
        request_id: "gateways".into(),
        shop_id: SHOP,
        gateways: (1..=5).rev().map(|kind| gateway(kind, account)).collect(),
        ..Default::default()
    };
    let done = refused!(table, admin.set_shop_gateways, set.clone(), {
        "#17 blanks around the request id": |r| r.request_id = " a ".into() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "no shop": |r| r.shop_id = 0 => bad(&[("shop_id", "ID_INVALID")]),
        "#7 a shop that is not there": |r| r.shop_id = 404 => no(Code::NotFound, "SHOP_NOT_FOUND"),
        "#7 an empty map for a shop that is not there": |r| { r.shop_id = 404; r.gateways.clear(); } => no(Code::NotFound, "SHOP_NOT_FOUND"),
        "#8 a shop that the account is not granted to": |r| r.shop_id = OTHER => no(Code::NotFound, "ACCOUNT_NOT_FOUND"),
        "#7 an account that is not there": |r| r.gateways[4].account_id = 404 => no(Code::NotFound, "ACCOUNT_NOT_FOUND"),
        "no account": |r| r.gateways[2].account_id = 0 => bad(&[("gateways[2].account_id", "ID_INVALID")]),
        "#37 no gateway": |r| r.gateways[0].gateway_type = 0 => bad(&[("gateways[0].gateway_type", "ENUM_UNKNOWN")]),
        "#37 a gateway that is not known": |r| r.gateways[1].gateway_type = 6 => bad(&[("gateways[1].gateway_type", "ENUM_UNKNOWN")]),
        "#4 a gateway twice": |r| r.gateways.push(gateway(3, account)) => bad(&[("gateways[5].gateway_type", "DUPLICATE_ITEM")]),
        "all at once": |r| r = pb::SetShopGatewaysRequest { gateways: vec![gateway(-1, -1)], ..Default::default() }
            => bad(&[("request_id", "REQUEST_ID_INVALID"), ("shop_id", "ID_INVALID"),
                     ("gateways[0].gateway_type", "ENUM_UNKNOWN"), ("gateways[0].account_id", "ID_INVALID")]),
    });
    let map = done.shop.unwrap().gateways;
    let kinds: Vec<i32> = map.iter().map(|entry| entry.gateway_type).collect();
    assert_eq!(kinds, [1, 2, 3, 4, 5], "in the order of the contract");

    // The map is replaced, not completed.
    let client = &table.app.client;
    let one = pb::SetShopGatewaysRequest {
        request_id: "one".into(),
        gateways: vec![gateway(GatewayType::WeixinTenpayApp.into(), account)],
        ..set
    };
    let done = client.admin().set_shop_gateways(one).await.unwrap();
    assert_eq!(
        done.into_inner().shop.unwrap().gateways,
        [gateway(4, account)]
    );
    let shops = pb::ListShopsRequest::default();
    let shops = client.admin().list_shops(shops).await.unwrap().into_inner();
    let found = shops.shops.iter().find(|shop| shop.shop_id == SHOP);
    assert_eq!(found.unwrap().gateways, [gateway(4, account)]);
    table.finish().await;
}

async fn capabilities(db: TestDb) {
    use ProviderCapability::{Fission, MiniProgram};
    let table = Table::start(db).await;
    refused!(table, admin.create_provider_account, Table::account_request(&table.app), {
        "#37 a capability that is not known": |r| r.capabilities = vec![1, 3] => bad(&[("capabilities[1]", "ENUM_UNKNOWN")]),
        "#37 a capability that is none": |r| r.capabilities = vec![0] => bad(&[("capabilities[0]", "ENUM_UNKNOWN")]),
    });
    let update = pb::UpdateProviderAccountRequest {
        request_id: "update".into(),
        account_id: table.account,
        add_appids: vec!["wxmore".into(); 2],
        add_capabilities: vec![Fission.into(), Fission.into()],
        ..Default::default()
    };
    let done = refused!(table, admin.update_provider_account, update, {
        "21 appids": |r| r.add_appids = vec!["wx".into(); 21] => bad(&[("add_appids", "BATCH_TOO_LARGE")]),
        "#33 appids out of their alphabet": |r| r.add_appids = vec![String::new(), "wx".into(), "w x".into()]
            => bad(&[("add_appids[0]", "FIELD_REQUIRED"), ("add_appids[2]", "APPID_INVALID")]),
        "#37 capabilities that are not known": |r| { r.add_capabilities = vec![0]; r.remove_capabilities = vec![1, 99]; }
            => bad(&[("add_capabilities[0]", "ENUM_UNKNOWN"), ("remove_capabilities[1]", "ENUM_UNKNOWN")]),
        "all at once": |r| r = pb::UpdateProviderAccountRequest {
            add_shop_ids: vec![0], add_appids: vec!["!".into()], add_capabilities: vec![7], sends_per_second: Some(0), ..Default::default()
        } => bad(&[("request_id", "REQUEST_ID_INVALID"), ("account_id", "ID_INVALID"), ("sends_per_second", "OUT_OF_RANGE"),
                   ("add_shop_ids[0]", "ID_INVALID"), ("add_appids[0]", "APPID_INVALID"), ("add_capabilities[0]", "ENUM_UNKNOWN")]),
    });
    let account = done.account.unwrap();
    assert_eq!(
        account.capabilities,
        [i32::from(Fission), i32::from(MiniProgram)]
    );
    assert_eq!(account.appids, [table.app.appid(), "wxmore".to_owned()]);
    let remove = pb::UpdateProviderAccountRequest {
        request_id: "remove".into(),
        account_id: table.account,
        remove_capabilities: vec![MiniProgram.into()],
        ..Default::default()
    };
    let client = &table.app.client;
    let done = client
        .admin()
        .update_provider_account(remove)
        .await
        .unwrap();
    let left = done.into_inner().account.unwrap().capabilities;
    assert_eq!(left, [i32::from(Fission)]);
    table.finish().await;
}

/// All that is wrong is said at once.
#[test]
fn capabilities_are_read_whatever_else_is_wrong() {
    crate::support::block_on(async {
        let table = Table::start(TestDb::sqlite()).await;
        refused!(table, admin.create_provider_account, Table::account_request(&table.app), {
            "protocol and capability": |r| { r.protocol = "alipay".into(); r.capabilities = vec![9]; }
                => bad(&[("protocol", "ENUM_UNKNOWN"), ("capabilities[0]", "ENUM_UNKNOWN")]),
        });
        table.finish().await;
    });
}
