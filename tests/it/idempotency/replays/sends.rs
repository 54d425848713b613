//! Sends to groups and to scanners, and cancelling.

use std::collections::BTreeSet;

use hongbao::grpc::pb;
use tonic::Code;

use super::replays;
use crate::support::{SHOP, TestApp, reason};

/// Sends to the group 7 and to a scanner, from a campaign of its own.
pub(super) async fn replay(app: &TestApp, account: i64, seen: &mut BTreeSet<String>) {
    let client = &app.client;
    let campaign = client.draft(SHOP, account, "groups");
    let campaign_id = client.make_campaign(campaign, 1_000).await;
    let groups = pb::SendToGroupsRequest {
        shop_id: SHOP,
        request_id: "groups".into(),
        campaign_id,
        wx_group_ids: vec![7],
        source: 2,
        ..Default::default()
    };
    let batch_id = replays!(
        client,
        seen,
        issuances.send_to_groups,
        groups,
        |r| r.every_group = true,
        |a| a.batches[0].batch_id
    );
    // Who joins the group afterwards is not in the batch.
    let members = pb::SetGroupMembersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        wx_group_id: 7,
        add_uids: vec!["late".into()],
        ..Default::default()
    };
    client.audience().set_group_members(members).await.unwrap();
    let again = pb::SendToGroupsRequest {
        shop_id: SHOP,
        request_id: "groups".into(),
        campaign_id,
        wx_group_ids: vec![7],
        source: 2,
        wait: false,
        ..Default::default()
    };
    let again = client.issuances().send_to_groups(again).await.unwrap();
    let again = again.into_inner();
    assert!(again.replayed);
    assert_eq!(again.batches[0].counts.unwrap().requested_count, 1);
    let cancel = pb::CancelBatchRequest {
        shop_id: SHOP,
        request_id: "cancel".into(),
        batch_id: batch_id.parse().unwrap(),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        issuances.cancel_batch,
        cancel,
        |r| r.batch_id = 1,
        |a| a.batch.as_ref().map(|b| (b.counts, b.cancel_time))
    );

    let scan = pb::ScanSendRequest {
        shop_id: SHOP,
        request_id: "scan".into(),
        campaign_id,
        openid: "oScan".into(),
        ..Default::default()
    };
    let ask = async |scan: &pb::ScanSendRequest| {
        // Nobody sends here, and so nothing ends the wait before the deadline.
        let mut request = tonic::Request::new(scan.clone());
        request.set_timeout(std::time::Duration::from_millis(700));
        let answer = client.issuances().scan_send(request).await?.into_inner();
        Ok((answer.issuance.unwrap().issuance_id, answer.replayed))
    };
    let (id, replayed) = ask(&scan).await.unwrap();
    assert!(!replayed);
    let tried = pb::ScanSendRequest {
        validate_only: true,
        ..scan.clone()
    };
    let another_id = pb::ScanSendRequest {
        request_id: "scan-2".into(),
        ..scan.clone()
    };
    for same in [&scan, &tried, &another_id, &another_id] {
        assert_eq!(ask(same).await.unwrap(), (id, true));
    }
    let other = pb::ScanSendRequest {
        openid: "oOther".into(),
        ..scan.clone()
    };
    let status: tonic::Status = ask(&other).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    // The id of a scan that found a packet stands for that packet.
    let other = pb::ScanSendRequest {
        openid: "oOther".into(),
        ..another_id
    };
    let status = ask(&other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    seen.insert("scansend".to_owned());
}
