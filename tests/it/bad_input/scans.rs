//! IssuanceService.ScanSend.

use std::time::Duration;

use hongbao::grpc::pb;
use tonic::{Code, Request, Status};

use super::issuance::Closed;
use super::many::{direct, make_branches, splits};
use super::{OTHER, Table, bad, no, refused};
use crate::support::{SHOP, TestDb, on_both};

on_both!(scans, a_pot_is_given_away);

/// A scan that does not wait long: nobody sends here.
pub(super) async fn scan(
    table: &Table,
    request_id: &str,
    campaign_id: i64,
    openid: &str,
) -> Result<pb::ScanSendResponse, Status> {
    let mut request = Request::new(pb::ScanSendRequest {
        shop_id: SHOP,
        request_id: request_id.to_owned(),
        campaign_id,
        openid: openid.to_owned(),
        ..Default::default()
    });
    request.set_timeout(Duration::from_millis(700));
    let answer = table.app.client.issuances().scan_send(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn scans(db: TestDb) {
    let table = Table::start(db).await;
    make_branches(&table).await;
    let closed = Closed::make(&table).await;
    let client = &table.app.client;
    let draft = client.draft(SHOP, table.account, "open");
    let id = client.make_campaign(draft, 1_000).await;
    let poor = client.draft(SHOP, table.account, "poor");
    let poor = client.make_campaign(poor, 99).await;
    let split = client
        .make_campaign(splits(&table, "split", 0, 0), 1_000)
        .await;
    let direct = direct(&table, 200, 1_000).await;
    // Only tried, since a real one waits for the provider.
    let good = pb::ScanSendRequest {
        shop_id: SHOP,
        request_id: "scan".into(),
        validate_only: true,
        campaign_id: id,
        openid: "o".repeat(32),
        shop_sub_id: 7,
    };
    let tried = refused!(table, issuances.scan_send, good.clone(), {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#7 no campaign": |r| r.campaign_id = 0 => bad(&[("campaign_id", "ID_INVALID")]),
        "#7 a campaign that is not there": |r| r.campaign_id = 404 => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
        "#8 a campaign of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "CAMPAIGN_NOT_FOUND"),
        "#33 no openid": |r| r.openid.clear() => bad(&[("openid", "FIELD_REQUIRED")]),
        "#33 an openid of 33": |r| r.openid.push('o') => bad(&[("openid", "OPENID_INVALID")]),
        "#33 an openid out of its alphabet": |r| r.openid = "o=".into() => bad(&[("openid", "OPENID_INVALID")]),
        "a branch below zero": |r| r.shop_sub_id = -1 => bad(&[("shop_sub_id", "ID_INVALID")]),
        "#7 a branch that is not there": |r| r.shop_sub_id = 404 => no(Code::NotFound, "BRANCH_NOT_FOUND"),
        "#8 a branch of another shop": |r| r.shop_sub_id = 8 => no(Code::NotFound, "BRANCH_NOT_FOUND"),
        "from a DIRECT campaign": |r| r.campaign_id = direct => bad(&[("campaign_id", "FIELD_NOT_ALLOWED")]),
        "from a campaign without a pot of its own": |r| r.campaign_id = split => bad(&[("campaign_id", "FIELD_NOT_ALLOWED")]),
        "#18 a draft": |r| r.campaign_id = closed.draft => no(Code::FailedPrecondition, "CAMPAIGN_NOT_ACTIVE"),
        "#18 a paused one": |r| r.campaign_id = closed.paused => no(Code::FailedPrecondition, "CAMPAIGN_PAUSED"),
        "#18 an ended one": |r| r.campaign_id = closed.ended => no(Code::FailedPrecondition, "CAMPAIGN_ENDED"),
        "#18 one before its window": |r| r.campaign_id = closed.early => no(Code::FailedPrecondition, "CAMPAIGN_NOT_STARTED"),
        "#18 one after its window": |r| r.campaign_id = closed.late => no(Code::FailedPrecondition, "CAMPAIGN_ENDED"),
        "#20 a fen too little": |r| r.campaign_id = poor => no(Code::FailedPrecondition, "BUDGET_EXHAUSTED"),
        "all at once": |r| r = pb::ScanSendRequest { shop_id: SHOP, shop_sub_id: -1, ..Default::default() }
            => bad(&[("request_id", "REQUEST_ID_INVALID"), ("campaign_id", "ID_INVALID"), ("openid", "FIELD_REQUIRED"), ("shop_sub_id", "ID_INVALID")]),
    });
    assert_eq!(tried.issuance.unwrap().issuance_id, 0);
    // Refused as it is tried: no newcomer is left behind.
    let before = table.raw.counts().await;
    for (row, campaign, want) in [
        (
            "#20",
            poor,
            no(Code::FailedPrecondition, "BUDGET_EXHAUSTED"),
        ),
        (
            "#18",
            closed.paused,
            no(Code::FailedPrecondition, "CAMPAIGN_PAUSED"),
        ),
    ] {
        let answer = scan(&table, "real", campaign, "oNewcomer").await;
        table.judge(row, &before, answer.map(drop), &want).await;
    }
    // #21: who has his packet gets it back, whatever he calls his request, and also
    // from a campaign that is over.
    let first = scan(&table, "scan-1", id, "oOne").await.unwrap();
    let first_id = first.issuance.unwrap().issuance_id;
    assert!(!first.replayed);
    let end = pb::EndCampaignRequest {
        shop_id: SHOP,
        request_id: "end".into(),
        campaign_id: id,
        ..Default::default()
    };
    for ended in [false, true] {
        if ended {
            client.campaigns().end_campaign(end.clone()).await.unwrap();
        }
        let again = scan(&table, &client.fresh(), id, "oOne").await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.issuance.unwrap().issuance_id, first_id);
    }
    let before = table.raw.counts().await;
    let answer = scan(&table, "two", id, "oTwo").await;
    let want = no(Code::FailedPrecondition, "CAMPAIGN_ENDED");
    table
        .judge(
            "#18 a newcomer after the end",
            &before,
            answer.map(drop),
            &want,
        )
        .await;
    table.finish().await;
}

async fn a_pot_is_given_away(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let pot = client
        .make_campaign(splits(&table, "pot", 350, 2), 1_000)
        .await;
    let mut sum = 0;
    for openid in ["oOne", "oTwo"] {
        let sent = scan(&table, openid, pot, openid).await.unwrap();
        sum += sent.issuance.unwrap().amount_fen;
    }
    assert_eq!(sum, 350);
    let before = table.raw.counts().await;
    let answer = scan(&table, "three", pot, "oThree").await;
    let want = no(Code::FailedPrecondition, "STOCK_EXHAUSTED");
    table
        .judge("the pot is empty", &before, answer.map(drop), &want)
        .await;
    let single = client.send_request(SHOP, pot, "oFour");
    let answer = client.issuances().send_red_packet(single).await;
    let want = bad(&[("campaign_id", "FIELD_NOT_ALLOWED")]);
    table
        .judge(
            "a single packet from a pot",
            &before,
            answer.map(drop),
            &want,
        )
        .await;
    table.finish().await;
}
