//! Branches, gateways, groups, and what is sent to them and to scanners.

use std::collections::BTreeSet;
use std::time::Duration;

use hongbao::grpc::pb;

use super::{batch, issuance, refused, tried};
use crate::support::{Raw, SHOP, TestApp};

pub(super) async fn tried(ground: &mut (TestApp, Raw, BTreeSet<String>), account_id: i64) {
    let client = ground.0.client.clone();
    let id = || client.fresh();
    let branch = pb::CreateBranchRequest {
        request_id: id(),
        shop_id: SHOP,
        shop_sub_id: 7,
        name: "branch".into(),
        ..Default::default()
    };
    tried!(ground, admin.create_branch, branch, |a| {
        let branch = a.branch.unwrap();
        (branch.shop_id, branch.shop_sub_id, branch.name)
    });
    let gateways = pb::SetShopGatewaysRequest {
        request_id: id(),
        shop_id: SHOP,
        gateways: vec![pb::ShopGateway {
            gateway_type: 2,
            account_id,
        }],
        ..Default::default()
    };
    tried!(ground, admin.set_shop_gateways, gateways, |a| a.shop);
    let group = |wx_group_id| pb::UpsertGroupRequest {
        shop_id: SHOP,
        request_id: id(),
        wx_group_id,
        name: "group".into(),
        ..Default::default()
    };
    for wx_group_id in [7, 8] {
        tried!(ground, audience.upsert_group, group(wx_group_id), |a| {
            let group = a.group.unwrap();
            (group.wx_group_id, group.name, group.member_count)
        });
    }
    let members = |wx_group_id, uids: &[&str]| pb::SetGroupMembersRequest {
        shop_id: SHOP,
        request_id: id(),
        wx_group_id,
        add_uids: uids.iter().map(|uid| (*uid).to_owned()).collect(),
        ..Default::default()
    };
    let nameless = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: id(),
        recipients: vec![pb::RecipientInput {
            uid: "without".into(),
            ..Default::default()
        }],
        wx_group_ids: vec![7],
        ..Default::default()
    };
    tried!(ground, audience.upsert_recipients, nameless, |a| (
        a.created_count,
        a.updated_count
    ));
    for set in [members(7, &["u1", "u2"]), members(8, &["u2", "late"])] {
        tried!(ground, audience.set_group_members, set, |a| {
            let group = a.group.unwrap();
            (group.wx_group_id, group.member_count)
        });
    }

    let mut draft = client.draft(SHOP, account_id, "pot");
    draft.amount = Some(pb::AmountRule {
        r#type: pb::AmountType::Split.into(),
        min_fen: 100,
        max_fen: 20_000,
        ..Default::default()
    });
    let campaign_id = client.make_campaign(draft, 100_000).await;
    // The shares of the pot are those of the trial.
    let groups = pb::SendToGroupsRequest {
        shop_id: SHOP,
        request_id: id(),
        campaign_id,
        wx_group_ids: vec![7, 8],
        source: 2,
        pot_fen: 4_321,
        ..Default::default()
    };
    let made = tried!(ground, issuances.send_to_groups, groups, |a| (
        a.batches
            .into_iter()
            .map(|row| batch(Some(row)))
            .collect::<Vec<_>>(),
        refused(a.refused),
        a.repeated_count
    ));
    assert_eq!((made.refused.len(), made.repeated_count), (1, 1));
    // How many a cancel withdraws is known when it has withdrawn them.
    let cancel = pb::CancelBatchRequest {
        shop_id: SHOP,
        request_id: id(),
        batch_id: made.batches[0].batch_id,
        ..Default::default()
    };
    tried!(ground, issuances.cancel_batch, cancel, |a| {
        let batch = a.batch.unwrap();
        (batch.batch_id, batch.cancel_time.is_some())
    });
    scan(ground, account_id).await;
}

/// A trial does not wait for the provider; the scan itself does.
async fn scan(ground: &mut (TestApp, Raw, BTreeSet<String>), account_id: i64) {
    let (client, raw) = (ground.0.client.clone(), &ground.1);
    let mut draft = client.draft(SHOP, account_id, "scans");
    draft.amount = Some(pb::AmountRule {
        r#type: pb::AmountType::Split.into(),
        min_fen: 100,
        max_fen: 20_000,
        pot_fen: 54_321,
    });
    draft.stock_count = 10;
    let campaign_id = client.make_campaign(draft, 100_000).await;
    let scan = pb::ScanSendRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id,
        openid: "oScan".into(),
        ..Default::default()
    };
    let trial = pb::ScanSendRequest {
        validate_only: true,
        ..scan.clone()
    };
    let before = raw.counts().await;
    let began = std::time::Instant::now();
    let promised = client.issuances().scan_send(trial).await.unwrap();
    let promised = promised.into_inner();
    assert!(!promised.replayed && began.elapsed() < Duration::from_secs(2));
    assert_eq!(raw.counts().await, before, "a trial wrote rows");
    let mut request = tonic::Request::new(scan);
    request.set_timeout(Duration::from_millis(700));
    let made = client.issuances().scan_send(request).await.unwrap();
    let made = made.into_inner();
    assert!(!made.replayed);
    // The newcomer has an id now.
    let bare = |found| pb::Issuance {
        recipient_id: 0,
        ..issuance(found)
    };
    assert_eq!(bare(made.issuance), bare(promised.issuance));
    ground.2.insert("scansend".to_owned());
}
