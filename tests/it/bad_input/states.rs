//! Sending again, from every state that a packet can be in.
//!
//! The dispatcher is off, and rows are put into each state by hand: what is judged
//! is the answer at the edge.

use hongbao::grpc::pb;
use tonic::Code;

use super::scans::scan;
use super::{OTHER, Table, bad, no, refused};
use crate::support::{SHOP, TestDb, on_both};

on_both!(resends, a_scan_that_is_sent_again_counts);

/// What has ended has no next look.
const ENDED: &str = ", job = NULL, due_time = NULL";
/// Three shared it, and a part came back.
const PARTLY_TAKEN: &str = ", job = NULL, due_time = NULL, kind = 'FISSION', total_num = 3, received_fen = 40, refunded_fen = 60";
/// As it was before.
const WHOLE: &str = "kind = 'NORMAL', total_num = 1, received_fen = 0, refunded_fen = 0";

async fn resends(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let draft = client.draft(SHOP, table.account, "open");
    let campaign = client.make_campaign(draft, 1_000).await;
    let batch = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: "batch".into(),
        campaign_id: campaign,
        uids: vec!["nobody".into()],
        source: 1,
        ..Default::default()
    };
    let batch = client.issuances().send_to_users(batch).await.unwrap();
    let batch = batch.into_inner();
    let refusal = batch.refused[0].reason.as_ref().unwrap();
    assert_eq!(refusal.reason, "RECIPIENT_NOT_FOUND");
    let list = pb::ListIssuancesRequest {
        shop_id: SHOP,
        ..Default::default()
    };
    let listed = client.issuances().list_issuances(list).await.unwrap();
    let nobody = listed.into_inner().issuances[0].issuance_id;
    let packet = client.send(SHOP, campaign, "oOne").await.unwrap();
    let id = packet.issuance_id;
    let resend = pb::ResendRequest {
        shop_id: SHOP,
        request_id: "again".into(),
        issuance_id: id,
        ..Default::default()
    };
    let set = async |change: &str| {
        let text = format!("UPDATE issuance SET {change} WHERE id = {id}");
        assert_eq!(table.raw.execute(&text).await, 1);
    };
    let cases = [
        ("#22", "QUEUED", "OUTCOME_UNKNOWN"),
        ("#22", "SENDING", "OUTCOME_UNKNOWN"),
        ("#22", "UNKNOWN", "OUTCOME_UNKNOWN"),
        ("#22", "REVIEW", "OUTCOME_UNKNOWN"),
        ("#23", "SENT", "ALREADY_SENT"),
        ("#23", "REFUNDING", "ALREADY_SENT"),
        ("#23", "RECEIVED", "ALREADY_SENT"),
        ("withdrawn", "CANCELLED", "ISSUANCE_CANCELLED"),
        ("#23 partly taken", "REFUNDED", "ALREADY_SENT"),
    ];
    for (row, state, reason) in cases {
        let change = match state {
            "RECEIVED" | "CANCELLED" => ENDED,
            "REFUNDED" => PARTLY_TAKEN,
            _ => "",
        };
        set(&format!("state = '{state}'{change}")).await;
        let before = table.raw.counts().await;
        let answer = client.issuances().resend(resend.clone()).await;
        let want = no(Code::FailedPrecondition, reason);
        let name = format!("resend: {row} {state}");
        table.judge(&name, &before, answer.map(drop), &want).await;
    }
    set(&format!("state = 'FAILED', frozen = TRUE, {WHOLE}{ENDED}")).await;
    let before = table.raw.counts().await;
    let answer = client.issuances().resend(resend.clone()).await;
    let want = no(Code::FailedPrecondition, "ISSUANCE_FROZEN");
    table
        .judge("resend: frozen", &before, answer.map(drop), &want)
        .await;
    set("state = 'FAILED', frozen = FALSE").await;
    let sent = refused!(table, issuances.resend, resend, {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#7 no packet": |r| r.issuance_id = 0 => bad(&[("issuance_id", "ID_INVALID")]),
        "#7 not there": |r| r.issuance_id = 404_404 => no(Code::NotFound, "ISSUANCE_NOT_FOUND"),
        "#8 of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "ISSUANCE_NOT_FOUND"),
        "still without openid": |r| r.issuance_id = nobody => no(Code::FailedPrecondition, "OPENID_MISSING"),
    });
    assert_eq!(sent.issuance.unwrap().state(), pb::IssuanceState::Queued);
    // What was put there by hand breaks the books, so they are not looked at.
    let wrong = table.wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    table.app.stop().await;
}

/// #21: a scan that failed counts again when it is sent again, and his other one too.
async fn a_scan_that_is_sent_again_counts(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let draft = client.draft(SHOP, table.account, "open");
    let campaign = client.make_campaign(draft, 1_000).await;
    let first = scan(&table, "scan-1", campaign, "oOne").await.unwrap();
    let id = first.issuance.unwrap().issuance_id;
    let fail = format!("UPDATE issuance SET state = 'FAILED'{ENDED} WHERE id = {id}");
    assert_eq!(table.raw.execute(&fail).await, 1);
    let second = scan(&table, "scan-2", campaign, "oOne").await.unwrap();
    assert!(!second.replayed);
    assert_ne!(second.issuance.unwrap().issuance_id, id);
    let resend = pb::ResendRequest {
        shop_id: SHOP,
        request_id: "again".into(),
        issuance_id: id,
        ..Default::default()
    };
    let before = table.raw.counts().await;
    let answer = client.issuances().resend(resend.clone()).await;
    let want = no(Code::FailedPrecondition, "RECIPIENT_LIMIT");
    table
        .judge(
            "#21 resend: one scan too many",
            &before,
            answer.map(drop),
            &want,
        )
        .await;
    // With a limit of two there is room for both.
    let update = pb::UpdateCampaignRequest {
        shop_id: SHOP,
        request_id: "limit".into(),
        campaign_id: campaign,
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["scan_limit".into()],
        }),
        scan_limit: 2,
        ..Default::default()
    };
    client.campaigns().update_campaign(update).await.unwrap();
    let sent = client.issuances().resend(resend).await.unwrap();
    let sent = sent.into_inner().issuance.unwrap();
    assert_eq!(sent.state(), pb::IssuanceState::Queued);
    // What was put there by hand breaks the books, so they are not looked at.
    let wrong = table.wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    table.app.stop().await;
}
