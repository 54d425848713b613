//! IssuanceService.SendRedPacket: kinds of packets, gateways, and what is told to the
//! provider.

use hongbao::grpc::pb::{self, ProviderCapability};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::many::{direct, make_branches, splits};
use super::{Table, bad, no, refused};
use crate::support::{SHOP, TestDb, on_both};

on_both!(from_a_named_campaign, from_the_direct_campaign);

/// The numbers of the contract.
const FISSION: i32 = 2;
const MINI_PROGRAM: i32 = 3;

async fn from_a_named_campaign(db: TestDb) {
    let table = Table::start(db).await;
    make_branches(&table).await;
    let client = &table.app.client;
    let draft = client.draft(SHOP, table.account, "named");
    let id = client.make_campaign(draft, 1_000).await;
    let split = client
        .make_campaign(splits(&table, "split", 0, 0), 1_000)
        .await;
    let appid = table.app.appid();
    let good = pb::SendRedPacketRequest {
        request_id: "send".into(),
        kind: MINI_PROGRAM,
        total_num: 1,
        client_ip: "10.0.0.1".into(),
        shop_sub_id: 7,
        ..client.send_request(SHOP, id, "oOne")
    };
    let sent = refused!(table, issuances.send_red_packet, good, {
        "a group packet": |r| (r.kind, r.total_num) = (FISSION, 3) => bad(&[("kind", "FIELD_NOT_ALLOWED")]),
        "an appid of its own": |r| r.appid = appid.clone() => bad(&[("appid", "FIELD_NOT_ALLOWED")]),
        "a gateway of its own": |r| r.gateway_type = 2 => bad(&[("gateway_type", "FIELD_NOT_ALLOWED")]),
        "from a campaign that divides": |r| r.campaign_id = split => bad(&[("campaign_id", "FIELD_NOT_ALLOWED")]),
        "risk_info for a mini program": |r| r.risk_info = "x".into() => bad(&[("risk_info", "FIELD_NOT_ALLOWED")]),
        "a branch below zero": |r| r.shop_sub_id = -1 => bad(&[("shop_sub_id", "ID_INVALID")]),
        "#7 a branch that is not there": |r| r.shop_sub_id = 404 => no(Code::NotFound, "BRANCH_NOT_FOUND"),
        "#8 a branch of another shop": |r| r.shop_sub_id = 8 => no(Code::NotFound, "BRANCH_NOT_FOUND"),
    });
    let sent = sent.issuance.unwrap();
    assert_eq!(
        (sent.kind, sent.total_num, sent.shop_sub_id),
        (MINI_PROGRAM, 1, 7)
    );
    assert_eq!(sent.client_ip, "10.0.0.1");
    table.finish().await;
}

async fn able(table: &Table, add: &[ProviderCapability], remove: &[ProviderCapability]) {
    let client = &table.app.client;
    let numbers = |all: &[ProviderCapability]| all.iter().map(|one| (*one).into()).collect();
    let update = pb::UpdateProviderAccountRequest {
        request_id: client.fresh(),
        account_id: table.account,
        add_capabilities: numbers(add),
        remove_capabilities: numbers(remove),
        ..Default::default()
    };
    client
        .admin()
        .update_provider_account(update)
        .await
        .unwrap();
}

async fn from_the_direct_campaign(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    direct(&table, 20_000, 100_000).await;
    let gateways = pb::SetShopGatewaysRequest {
        request_id: "gateways".into(),
        shop_id: SHOP,
        gateways: vec![pb::ShopGateway {
            gateway_type: 2,
            account_id: table.account,
        }],
        ..Default::default()
    };
    client.admin().set_shop_gateways(gateways).await.unwrap();
    let good = pb::SendRedPacketRequest {
        request_id: "group".into(),
        amount_fen: 60_000,
        kind: FISSION,
        total_num: 3,
        amt_type: 1,
        appid: table.app.appid(),
        gateway_type: 2,
        risk_info: "x".repeat(127),
        client_ip: "255.255.255.255".into(),
        ..client.send_request(SHOP, 0, "oGroup")
    };
    // #37: the account says first what it can do.
    able(&table, &[], &[ProviderCapability::MiniProgram]).await;
    let before = table.raw.counts().await;
    let mini = pb::SendRedPacketRequest {
        kind: MINI_PROGRAM,
        total_num: 1,
        amt_type: 0,
        amount_fen: 100,
        risk_info: String::new(),
        ..good.clone()
    };
    for (row, request, capability) in [
        ("#37 fission", good.clone(), "FISSION"),
        ("#37 mini program", mini, "MINI_PROGRAM"),
    ] {
        let answer = client.issuances().send_red_packet(request).await;
        let details = answer.as_ref().unwrap_err().get_error_details();
        let facts = &details.error_info().unwrap().metadata;
        let account = table.account.to_string();
        assert_eq!(
            (&facts["account_id"], &*facts["capability"]),
            (&account, capability)
        );
        let want = no(Code::FailedPrecondition, "PROVIDER_CAPABILITY");
        table.judge(row, &before, answer.map(drop), &want).await;
    }
    able(&table, &[ProviderCapability::Fission], &[]).await;
    let texts = client.draft(1, 1, "x").texts;
    let sent = refused!(table, issuances.send_red_packet, good, {
        "#37 a kind that is not known": |r| r.kind = 4 => bad(&[("kind", "ENUM_UNKNOWN")]),
        "two people": |r| r.total_num = 2 => bad(&[("total_num", "OUT_OF_RANGE")]),
        "nobody": |r| r.total_num = 0 => bad(&[("total_num", "OUT_OF_RANGE")]),
        "21 people": |r| r.total_num = 21 => bad(&[("total_num", "OUT_OF_RANGE")]),
        "less than nobody": |r| r.total_num = i32::MIN => bad(&[("total_num", "OUT_OF_RANGE")]),
        "a normal packet for three": |r| (r.kind, r.amt_type) = (1, 0) => bad(&[("total_num", "OUT_OF_RANGE")]),
        "a packet of no kind for two": |r| (r.kind, r.amt_type, r.total_num) = (0, 0, 2) => bad(&[("total_num", "OUT_OF_RANGE")]),
        "a normal packet that is divided": |r| (r.kind, r.total_num) = (1, 1) => bad(&[("amt_type", "FIELD_NOT_ALLOWED")]),
        "a mini program's packet that is divided": |r| (r.kind, r.risk_info, r.total_num) = (MINI_PROGRAM, String::new(), 0) => bad(&[("amt_type", "FIELD_NOT_ALLOWED")]),
        "#37 divided in a way that is not known": |r| r.amt_type = 2 => bad(&[("amt_type", "ENUM_UNKNOWN")]),
        "#33 an appid out of its alphabet": |r| r.appid = "w x".into() => bad(&[("appid", "APPID_INVALID")]),
        "#33 an appid of 33": |r| r.appid = "w".repeat(33) => bad(&[("appid", "APPID_INVALID")]),
        "an appid of another merchant": |r| r.appid = "wxother".into() => bad(&[("appid", "APPID_INVALID")]),
        "#37 a gateway that is not known": |r| r.gateway_type = 6 => bad(&[("gateway_type", "ENUM_UNKNOWN")]),
        "a gateway that is not mapped": |r| r.gateway_type = 1 => no(Code::FailedPrecondition, "GATEWAY_NOT_MAPPED"),
        "#32 risk_info of 128": |r| r.risk_info.push('x') => bad(&[("risk_info", "TEXT_INVALID")]),
        "#32 risk_info with a blank": |r| r.risk_info = "a b".into() => bad(&[("risk_info", "TEXT_INVALID")]),
        "#17 risk_info with NUL": |r| r.risk_info = "a\0".into() => bad(&[("risk_info", "TEXT_INVALID")]),
        "#32 risk_info in Chinese": |r| r.risk_info = "红".into() => bad(&[("risk_info", "TEXT_INVALID")]),
        "an address in IPv6": |r| r.client_ip = "::1".into() => bad(&[("client_ip", "ID_INVALID")]),
        "an address out of bounds": |r| r.client_ip = "10.0.0.256".into() => bad(&[("client_ip", "ID_INVALID")]),
        "an address by name": |r| r.client_ip = "localhost".into() => bad(&[("client_ip", "ID_INVALID")]),
        "#1 a mean share below the rule": |r| r.amount_fen = 299 => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 a mean share above the rule": |r| r.amount_fen = 60_001 => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#2 the largest amount": |r| r.amount_fen = i64::MAX => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "no amount": |r| r.amount_fen = 0 => bad(&[("amount_fen", "FIELD_REQUIRED")]),
        "#1 own texts, a mean share below the account": |r| (r.amount_fen, r.texts) = (89, texts.clone()) => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 own texts, a mean share below a yuan without scene": |r| (r.amount_fen, r.texts) = (299, texts.clone()) => bad(&[("texts.scene_id", "SCENE_ID_REQUIRED")]),
        "#20 more than the budget": |r| (r.amount_fen, r.total_num) = (100_001, 20) => no(Code::FailedPrecondition, "BUDGET_EXHAUSTED"),
        "all at once": |r| r = pb::SendRedPacketRequest {
            shop_id: SHOP, campaign_id: -1, amount_fen: -1, kind: 9, amt_type: 9, appid: "!".into(), gateway_type: 9,
            risk_info: " ".into(), client_ip: "x".into(), shop_sub_id: -1, ..Default::default()
        } => bad(&[("request_id", "REQUEST_ID_INVALID"), ("campaign_id", "ID_INVALID"), ("openid", "FIELD_REQUIRED"),
                   ("amount_fen", "AMOUNT_OUT_OF_RANGE"), ("kind", "ENUM_UNKNOWN"), ("amt_type", "ENUM_UNKNOWN"), ("appid", "APPID_INVALID"),
                   ("gateway_type", "ENUM_UNKNOWN"), ("risk_info", "TEXT_INVALID"), ("client_ip", "ID_INVALID"),
                   ("source", "ENUM_UNKNOWN"), ("shop_sub_id", "ID_INVALID")]),
    });
    let sent = sent.issuance.unwrap();
    assert_eq!((sent.kind, sent.total_num, sent.amt_type), (FISSION, 3, 1));
    assert_eq!((sent.gateway_type, sent.account_id), (2, table.account));
    assert_eq!(sent.risk_info, "", "not without being asked for");
    table.finish().await;
}
