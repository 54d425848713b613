//! Groups, and imports into them.

use hongbao::grpc::pb;
use tonic::Code;

use super::{
    get_group, idle, make_group, people, person, recipient, send_to_groups, set_members, to_groups,
    uids, upsert,
};
use crate::support::{SHOP, TestDb, on_both, reason};

on_both!(
    groups_are_made_filled_and_found,
    groups_are_listed_by_id,
    an_import_takes_what_is_right,
);

async fn groups_are_made_filled_and_found(db: TestDb) {
    let (app, _) = idle(db).await;
    let client = &app.client;
    let all = people("G", 0..5);
    client.make_people(SHOP, &app.appid(), &all).await;
    let make = pb::UpsertGroupRequest {
        shop_id: SHOP,
        request_id: "own-id".into(),
        wx_group_id: 77,
        name: "老顾客 VIP".into(),
        ..Default::default()
    };
    let made = client.audience().upsert_group(make.clone()).await.unwrap();
    let made = made.into_inner().group.unwrap();
    assert_eq!(
        (made.wx_group_id, made.shop_id, made.member_count),
        (77, SHOP, 0)
    );
    let other = make_group(client, "newcomers", &uids(&all)).await;
    assert_ne!(other, 77);
    assert_eq!(get_group(client, other).await.member_count, 5);
    // In twice and out twice are fine; the count is of people.
    let ids = uids(&all);
    let now = set_members(client, other, &ids[..3], &ids[3..4]).await;
    assert_eq!(now.member_count, 4);
    let now = set_members(client, other, &[], &ids[3..4]).await;
    assert_eq!(now.member_count, 4);
    // All or none.
    let wrong = pb::SetGroupMembersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        wx_group_id: other,
        add_uids: vec![ids[3].clone(), "nobody".into()],
        ..Default::default()
    };
    let refused = client
        .audience()
        .set_group_members(wrong)
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "RECIPIENT_NOT_FOUND");
    assert_eq!(get_group(client, other).await.member_count, 4);
    // A rename keeps id and members, and search follows it.
    let rename = pb::UpsertGroupRequest {
        request_id: "renamed".into(),
        wx_group_id: other,
        name: "Regulars".into(),
        ..make.clone()
    };
    client.audience().upsert_group(rename).await.unwrap();
    let found = async |keyword: &str| {
        let request = pb::ListGroupsRequest {
            shop_id: SHOP,
            keyword: keyword.to_owned(),
            ..Default::default()
        };
        let found = client.audience().list_groups(request).await.unwrap();
        let groups = found.into_inner().groups;
        Vec::from_iter(groups.into_iter().map(|g| (g.wx_group_id, g.member_count)))
    };
    let mut all_groups = found("").await;
    all_groups.sort_unstable();
    assert_eq!(all_groups, [(other, 4), (77, 0)]);
    assert_eq!(found("regul").await, [(other, 4)]);
    assert_eq!(found("newcom").await, []);
    assert_eq!(found("vip").await, [(77, 0)]);
    let replay = client.audience().upsert_group(make).await.unwrap();
    assert!(replay.into_inner().replayed);
    let missing = pb::GetGroupRequest {
        shop_id: SHOP,
        wx_group_id: 78,
    };
    let missing = client.audience().get_group(missing).await.unwrap_err();
    assert_eq!(
        (missing.code(), reason(&missing)),
        (Code::NotFound, "GROUP_NOT_FOUND".into())
    );
    app.stop().await;
}

/// An id that a caller brings says nothing about when the group was made.
async fn groups_are_listed_by_id(db: TestDb) {
    let (app, _) = idle(db).await;
    let client = &app.client;
    let first = pb::UpsertGroupRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        wx_group_id: 77_777,
        name: "first".into(),
        ..Default::default()
    };
    client.audience().upsert_group(first).await.unwrap();
    let second = make_group(client, "second", &[]).await;
    let all = pb::ListGroupsRequest {
        shop_id: SHOP,
        ..Default::default()
    };
    let found = client
        .audience()
        .list_groups(all)
        .await
        .unwrap()
        .into_inner();
    let ids: Vec<i64> = found.groups.iter().map(|g| g.wx_group_id).collect();
    assert_eq!(ids, [77_777, second]);
    app.stop().await;
}

async fn an_import_takes_what_is_right(db: TestDb) {
    let (app, _) = idle(db).await;
    let client = &app.client;
    let group = make_group(client, "imported", &[]).await;
    upsert(client, vec![person(&app, "owner", "oTaken")])
        .await
        .unwrap();
    let mut rows: Vec<pb::RecipientInput> = people("I", 0..3_000)
        .iter()
        .map(|(uid, openid)| person(&app, uid, openid))
        .collect();
    for (n, row) in rows.iter_mut().enumerate() {
        row.nickname = format!("客户{n}");
        row.mobile = format!("138{n:08}");
    }
    // Wrong in each of the three messages, and each in another way.
    rows[7].mobile = "12345".into();
    rows[1_005].openids[0].openid = "oTaken".into();
    rows[1_006].shop_sub_id = Some(9);
    rows[2_999].uid = rows[2_998].uid.clone();
    let stream = |request_id: &str| {
        let messages: Vec<pb::ImportRecipientsRequest> = rows
            .chunks(1_000)
            .map(|chunk| pb::ImportRecipientsRequest {
                shop_id: SHOP,
                request_id: request_id.to_owned(),
                recipients: chunk.to_vec(),
                wx_group_ids: vec![group],
            })
            .collect();
        let mut request = tonic::Request::new(futures::stream::iter(messages));
        request.set_timeout(std::time::Duration::from_secs(50));
        request
    };
    let mut audience = client.audience();
    let done = audience
        .import_recipients(stream("import"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (done.created_count, done.updated_count, done.refused_count),
        (2_996, 0, 4)
    );
    assert!(!done.replayed);
    let refused: Vec<_> = done
        .refusals
        .iter()
        .map(|r| (r.index, r.uid.as_str(), r.field.as_str(), r.reason.as_str()))
        .collect();
    assert_eq!(
        refused,
        [
            (7, "I7", "mobile", "MOBILE_INVALID"),
            (1_005, "I1005", "openids[0].openid", "BELONGS_TO_ANOTHER"),
            (1_006, "I1006", "shop_sub_id", "BRANCH_NOT_FOUND"),
            (2_999, "I2998", "uid", "DUPLICATE_ITEM"),
        ]
    );
    assert_eq!(get_group(client, group).await.member_count, 2_996);
    assert_eq!(recipient(client, "owner").await.openids[0].openid, "oTaken");
    assert_eq!(recipient(client, "I42").await.nickname, "客户42");
    // The same stream once more, as after a break: nobody is there twice.
    let done = audience
        .import_recipients(stream("import"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (done.created_count, done.updated_count, done.refused_count),
        (0, 2_996, 4)
    );
    assert!(done.replayed);
    assert_eq!(get_group(client, group).await.member_count, 2_996);
    // And all of them can be sent to in one call.
    let campaign = client
        .make_campaign(client.draft(SHOP, 1, "mass"), 299_600)
        .await;
    let sent = send_to_groups(client, to_groups(client, campaign, &[group]))
        .await
        .unwrap();
    let counts = sent.batches[0].counts.unwrap();
    assert_eq!(
        (counts.requested_count, counts.queued_count),
        (2_996, 2_996)
    );
    assert_eq!(client.budget(SHOP, campaign).await.available_fen, 0);
    app.assert_sound().await;
    app.stop().await;
}
