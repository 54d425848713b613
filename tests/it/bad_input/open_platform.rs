//! What comes with orders through an open platform (seed 003).

use hongbao::grpc::pb;
use tonic::Code;

use super::{Table, bad, no, refused};
use crate::support::{SHOP, TestDb, on_both};

on_both!(
    orders_are_read_strictly,
    campaigns_are_read_strictly,
    reports_are_of_a_platform
);

async fn orders_are_read_strictly(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let named = client.draft(SHOP, table.account, "named");
    client.make_campaign(named, 10_000).await;
    let order = pb::SendRedPacketRequest {
        campaign_code: "named".into(),
        ..client.send_request(SHOP, 0, "oAlice")
    };
    refused!(table, issuances.send_red_packet, order, {
        "#30 not a mobile number": |r| r.mobile = "1391234567".into() => bad(&[("mobile", "MOBILE_INVALID")]),
        "#38 the metadata service": |r| r.callback_url = "http://169.254.169.254".into() => bad(&[("callback_url", "RECEIVER_URL_INVALID")]),
        "#38 a mapped loopback": |r| r.callback_url = "http://[::ffff:127.0.0.1]".into() => bad(&[("callback_url", "RECEIVER_URL_INVALID")]),
        "#38 no scheme": |r| r.callback_url = "www.example.com".into() => bad(&[("callback_url", "RECEIVER_URL_INVALID")]),
        "nothing that signs": |r| r.callback_url = "https://example.com/1".into() => bad(&[("callback_url", "FIELD_NOT_ALLOWED")]),
        "a code that is none": |r| r.campaign_code = "two words".into() => bad(&[("campaign_code", "ID_INVALID")]),
        "named twice": |r| r.campaign_id = 1 => bad(&[("campaign_code", "FIELD_NOT_ALLOWED")]),
    });
    table.finish().await;
}

async fn campaigns_are_read_strictly(db: TestDb) {
    let table = Table::start(db).await;
    let draft = table.app.client.draft(SHOP, table.account, "strict");
    refused!(table, campaigns.create_campaign, draft, {
        "a template that is none": |r| r.template_id = "a b".into() => bad(&[("template_id", "ID_INVALID")]),
        "a template of WeChat Pay": |r| r.template_id = "1001".into() => bad(&[("template_id", "FIELD_NOT_ALLOWED")]),
        "a price below nothing": |r| r.settlement_bp = -1 => bad(&[("settlement_bp", "OUT_OF_RANGE")]),
        "a price of more than twice": |r| r.settlement_bp = 20_001 => bad(&[("settlement_bp", "OUT_OF_RANGE")]),
    });
    table.finish().await;
}

async fn reports_are_of_a_platform(db: TestDb) {
    let table = Table::start(db).await;
    let list = pb::ListProviderCallbacksRequest {
        credential: "simulator".into(),
        ..Default::default()
    };
    // One of WeChat Pay, of a voucher platform, and none at all.
    for name in ["simulator", "map", "agg"] {
        let before = table.raw.counts().await;
        let mut asked = list.clone();
        asked.credential = name.into();
        let mut admin = table.app.client.admin();
        let answer = admin.list_provider_callbacks(asked).await;
        let want = no(Code::FailedPrecondition, "CREDENTIAL_NOT_CONFIGURED");
        table.judge(name, &before, answer.map(drop), &want).await;
    }
    table.finish().await;
}
