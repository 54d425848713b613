//! Branches, gateways, groups and imports.

use std::collections::BTreeSet;

use hongbao::grpc::pb;
use tonic::Code;

use super::replays;
use crate::support::{SHOP, TestApp, reason};

/// Leaves a group 7 with one member behind.
pub(super) async fn replay(app: &TestApp, seen: &mut BTreeSet<String>) {
    let client = &app.client;
    let branch = pb::CreateBranchRequest {
        request_id: "branch".into(),
        shop_id: SHOP,
        shop_sub_id: 7,
        name: "branch".into(),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        admin.create_branch,
        branch,
        |r| r.name = "other".into(),
        |a| a.branch
    );
    let gateways = pb::SetShopGatewaysRequest {
        request_id: "gateways".into(),
        shop_id: SHOP,
        gateways: vec![pb::ShopGateway {
            gateway_type: 2,
            account_id: 1,
        }],
        ..Default::default()
    };
    replays!(
        client,
        seen,
        admin.set_shop_gateways,
        gateways,
        |r| r.gateways.clear(),
        |a| a.shop.as_ref().unwrap().gateways
    );
    let group = pb::UpsertGroupRequest {
        shop_id: SHOP,
        request_id: "group".into(),
        wx_group_id: 7,
        name: "group".into(),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        audience.upsert_group,
        group,
        |r| r.name = "other".into(),
        |a| a.group
    );
    // One that gets an id gets the same one again.
    let fresh = pb::UpsertGroupRequest {
        shop_id: SHOP,
        request_id: "fresh-group".into(),
        name: "fresh".into(),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        audience.upsert_group,
        fresh,
        |r| r.wx_group_id = 7,
        |a| a.group
    );
    let members = pb::SetGroupMembersRequest {
        shop_id: SHOP,
        request_id: "members".into(),
        wx_group_id: 7,
        add_uids: vec!["u1".into()],
        ..Default::default()
    };
    replays!(
        client,
        seen,
        audience.set_group_members,
        members,
        |r| r.remove_uids = vec!["late".into()],
        |a| a.group.as_ref().unwrap().member_count
    );
    import(app, seen).await;
}

/// A stream cannot be tried; it is repeated as a whole.
async fn import(app: &TestApp, seen: &mut BTreeSet<String>) {
    let client = &app.client;
    let message = |wx_group_ids: &[i64]| pb::ImportRecipientsRequest {
        shop_id: SHOP,
        request_id: "import".into(),
        recipients: vec![pb::RecipientInput {
            uid: "imported".into(),
            ..Default::default()
        }],
        wx_group_ids: wx_group_ids.to_vec(),
    };
    for (replayed, counts) in [(false, (1, 0)), (true, (0, 1))] {
        let stream = futures::stream::iter([message(&[])]);
        let done = client.audience().import_recipients(stream).await.unwrap();
        let done = done.into_inner();
        assert_eq!(done.replayed, replayed);
        assert_eq!((done.created_count, done.updated_count), counts);
    }
    let stream = futures::stream::iter([message(&[7])]);
    let status = client.audience().import_recipients(stream).await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    seen.insert("importrecipients".to_owned());
}
