//! Groups, imports into them, and sends to them.

use hongbao::grpc::pb::{self, IssuanceState as S};
use tonic::Code;

use super::{
    awake, batch, closes, draft, ended, exchanges, get_group, idle, make_branch, make_group,
    of_batch, people, person, recipient, resend, rule, send_to_groups, set_members, stage,
    to_groups, uids, upsert,
};
use crate::support::{Options, SHOP, TestApp, TestDb, on_both, reason};

on_both!(
    groups_are_made_filled_and_found,
    #[ignore = "bug: ListGroups sorts by id, which a caller may bring, not newest first (store/audience/group.rs)"]
    groups_are_listed_newest_first,
    an_import_takes_what_is_right,
    a_send_to_groups_adds_up,
    somebody_in_two_groups_is_paid_once_or_for_each,
    what_was_accepted_stays,
    packets_belong_to_branches,
    what_cannot_be_sent_holds_nothing,
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
async fn groups_are_listed_newest_first(db: TestDb) {
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
    assert_eq!(ids, [second, 77_777]);
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
            (7, "", "mobile", "MOBILE_INVALID"),
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

/// Two groups of 20 and 10 of which two people are in both, and one more member
/// without openid in the second.
async fn two_groups(app: &TestApp) -> (i64, i64) {
    let client = &app.client;
    let all = people("M", 0..28);
    client.make_people(SHOP, &app.appid(), &all).await;
    let bare = pb::RecipientInput {
        uid: "bare".into(),
        ..Default::default()
    };
    upsert(client, vec![bare]).await.unwrap();
    let first = make_group(client, "first", &uids(&all[..20])).await;
    let mut second = uids(&all[18..]);
    second.push("bare".into());
    let second = make_group(client, "第二组", &second).await;
    (first, second)
}

async fn a_send_to_groups_adds_up(db: TestDb) {
    let (app, account) = stage(db, Options::default()).await;
    let client = &app.client;
    let (first, second) = two_groups(&app).await;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 10_000)
        .await;
    let request = to_groups(client, campaign, &[first, second]);
    let tried = pb::SendToGroupsRequest {
        validate_only: true,
        ..request.clone()
    };
    let tried = send_to_groups(client, tried).await.unwrap();
    let sent = send_to_groups(client, request.clone()).await.unwrap();
    assert!(!sent.replayed);
    assert_eq!(sent.repeated_count, 2);
    let refused = &sent.refused[0];
    assert_eq!((sent.refused.len(), refused.uid.as_str()), (1, "bare"));
    assert_eq!(refused.reason.as_ref().unwrap().reason, "OPENID_MISSING");
    assert_eq!(
        refused.recipient_id,
        recipient(client, "bare").await.recipient_id
    );
    let sizes = |batches: &[pb::IssuanceBatch]| -> Vec<_> {
        let size = |b: &pb::IssuanceBatch| {
            closes(b);
            let c = b.counts.unwrap();
            (
                b.wx_group_id,
                c.requested_count,
                c.accepted_count,
                c.refused_count,
                b.amount_fen,
            )
        };
        batches.iter().map(size).collect()
    };
    let due = [(first, 20, 20, 0, 2_000), (second, 9, 8, 1, 800)];
    assert_eq!(sizes(&sent.batches), due);
    assert_eq!(sizes(&tried.batches), due, "a trial says the same");
    assert!(tried.batches.iter().all(|b| b.batch_id == 0));

    let id = sent.batches[1].batch_id;
    let watch = pb::WatchBatchRequest {
        shop_id: SHOP,
        batch_id: id,
    };
    let mut stream = client
        .issuances()
        .watch_batch(watch)
        .await
        .unwrap()
        .into_inner();
    let mut last = None;
    while let Some(message) = stream.message().await.unwrap() {
        let now = message.batch.unwrap();
        closes(&now);
        assert!(last.is_none_or(|l: pb::IssuanceBatch| !l.settled && l.counts != now.counts));
        last = Some(now);
    }
    assert!(last.unwrap().settled, "the stream ends when all is done");
    for one in &sent.batches {
        let done = ended(client, one.batch_id).await;
        assert_eq!(
            done.counts.unwrap().received_count,
            one.counts.unwrap().accepted_count
        );
    }

    let list = pb::ListBatchesRequest {
        shop_id: SHOP,
        include_total: true,
        ..Default::default()
    };
    let listed = client
        .issuances()
        .list_batches(list)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.total_count, 2);
    let row = listed.batches.iter().find(|b| b.batch_id == id).unwrap();
    assert_eq!(row, &batch(client, id).await);
    assert_eq!(
        (row.group_name.as_str(), row.act_name.as_str()),
        ("第二组", "新年红包")
    );
    assert_eq!((row.min_fen, row.max_fen), (100, 100));
    assert_eq!(row.amount_type(), pb::AmountType::Fixed);
    assert_eq!(row.source(), pb::IssuanceSource::Manual);
    assert!(row.create_time.is_some() && row.cancel_time.is_none());

    let replay = send_to_groups(client, request).await.unwrap();
    assert!(replay.replayed);
    let ids = |r: &pb::SendToGroupsResponse| Vec::from_iter(r.batches.iter().map(|b| b.batch_id));
    assert_eq!(ids(&replay), ids(&sent));
    assert_eq!(replay.refused, sent.refused);
    assert_eq!(app.simulator.books().totals().payments, 28);
    assert_eq!(client.budget(SHOP, campaign).await.paid_fen, 2_800);
    app.assert_sound().await;
    app.stop().await;
}

async fn somebody_in_two_groups_is_paid_once_or_for_each(db: TestDb) {
    let (app, account) = idle(db).await;
    let client = &app.client;
    let (first, second) = two_groups(&app).await;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 10_000)
        .await;
    let both = async |every_group: bool| {
        let request = pb::SendToGroupsRequest {
            every_group,
            ..to_groups(client, campaign, &[second, first])
        };
        let sent = send_to_groups(client, request).await.unwrap();
        let mut packets = Vec::new();
        for one in &sent.batches {
            let rows = of_batch(client, one.batch_id).await;
            packets.extend(rows.into_iter().filter(|row| row.uid == "M19"));
        }
        (sent, packets)
    };
    let (sent, packets) = both(false).await;
    assert_eq!((sent.repeated_count, packets.len()), (2, 1));
    assert_eq!(
        packets[0].batch_id, sent.batches[0].batch_id,
        "in the first one named"
    );
    let (sent, packets) = both(true).await;
    assert_eq!((sent.repeated_count, packets.len()), (0, 2));
    assert_ne!(packets[0].mch_billno, packets[1].mch_billno);
    assert_eq!(
        sent.batches.iter().map(|b| b.amount_fen).sum::<i64>(),
        3_000
    );
    app.assert_sound().await;
    let app = awake(app).await;
    for one in &sent.batches {
        let done = ended(&app.client, one.batch_id).await.counts.unwrap();
        assert_eq!(done.received_count, done.accepted_count);
    }
    let payments = app.simulator.books().payments();
    assert_eq!(payments.len(), 57);
    assert!(payments.iter().all(|payment| payment.times_paid == 1));
    app.assert_sound().await;
    app.stop().await;
}

async fn what_was_accepted_stays(db: TestDb) {
    let (app, account) = idle(db).await;
    let client = &app.client;
    let (_, group) = two_groups(&app).await;
    client
        .make_people(SHOP, &app.appid(), &people("Late", 0..1))
        .await;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 10_000)
        .await;
    let sent = send_to_groups(client, to_groups(client, campaign, &[group]))
        .await
        .unwrap();
    let id = sent.batches[0].batch_id;
    let failed = sent.refused[0].issuance_id;
    let before = of_batch(client, id).await;
    // One leaves, one comes, one has another openid, the group another name.
    set_members(client, group, &["Late0".to_owned()], &["M20".to_owned()]).await;
    upsert(client, vec![person(&app, "M21", "oChanged")])
        .await
        .unwrap();
    let rename = pb::UpsertGroupRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        wx_group_id: group,
        name: "renamed".into(),
        ..Default::default()
    };
    client.audience().upsert_group(rename).await.unwrap();
    let refused = resend(client, failed).await.unwrap_err();
    assert_eq!(reason(&refused), "OPENID_MISSING");

    let app = awake(app).await;
    let client = &app.client;
    let done = ended(client, id).await;
    assert_eq!(done.group_name, "第二组");
    let counts = done.counts.unwrap();
    assert_eq!(
        (
            counts.requested_count,
            counts.received_count,
            counts.refused_count
        ),
        (11, 10, 1)
    );
    let after = of_batch(client, id).await;
    let who = |rows: &[pb::Issuance]| -> Vec<_> {
        rows.iter()
            .map(|r| (r.uid.clone(), r.openid.clone(), r.mch_billno.clone()))
            .collect()
    };
    assert_eq!(who(&after), who(&before));
    let moved = after.iter().find(|row| row.uid == "M21").unwrap();
    let said = exchanges(client, moved.issuance_id).await;
    assert!(said[0].request.contains("oM21") && !said[0].request.contains("oChanged"));

    // The one who was refused can be sent it once he can get it.
    upsert(client, vec![person(&app, "bare", "oBare")])
        .await
        .unwrap();
    let mended = resend(client, failed).await.unwrap();
    assert!(super::PAID.contains(&mended.state()), "{mended:?}");
    assert_eq!((mended.batch_id, mended.amount_fen), (id, 100));
    assert_eq!(
        mended.last_error, "OPENID_MISSING",
        "kept after it was mended"
    );
    client.await_state(SHOP, failed, &[S::Received]).await;
    let counts = ended(client, id).await.counts.unwrap();
    assert_eq!(
        (
            counts.accepted_count,
            counts.received_count,
            counts.refused_count
        ),
        (11, 11, 0)
    );
    app.assert_sound().await;
    app.stop().await;
}

async fn packets_belong_to_branches(db: TestDb) {
    let (app, account) = idle(db).await;
    let client = &app.client;
    make_branch(client, 5).await;
    make_branch(client, 6).await;
    let mut at_branch = person(&app, "b5", "oB5");
    at_branch.shop_sub_id = Some(5);
    upsert(client, vec![at_branch, person(&app, "head", "oHead")])
        .await
        .unwrap();
    assert_eq!(recipient(client, "b5").await.shop_sub_id, 5);
    let group = make_group(client, "g", &["b5".to_owned(), "head".to_owned()]).await;
    let campaign = client
        .make_campaign(client.draft(SHOP, account, "c"), 10_000)
        .await;
    for (asked, due) in [(0, [("b5", 5), ("head", 0)]), (6, [("b5", 6), ("head", 6)])] {
        let request = pb::SendToGroupsRequest {
            shop_sub_id: asked,
            ..to_groups(client, campaign, &[group])
        };
        let sent = send_to_groups(client, request).await.unwrap();
        assert_eq!(sent.batches[0].shop_sub_id, asked);
        let mut rows = of_batch(client, sent.batches[0].batch_id).await;
        rows.sort_by(|a, b| a.uid.cmp(&b.uid));
        let found: Vec<_> = rows
            .iter()
            .map(|r| (r.uid.as_str(), r.shop_sub_id))
            .collect();
        assert_eq!(found, due);
    }
    let request = pb::SendToGroupsRequest {
        shop_sub_id: 7,
        ..to_groups(client, campaign, &[group])
    };
    let refused = send_to_groups(client, request).await.unwrap_err();
    assert_eq!(reason(&refused), "BRANCH_NOT_FOUND");
    app.assert_sound().await;
    app.stop().await;
}

async fn what_cannot_be_sent_holds_nothing(db: TestDb) {
    let (app, account) = idle(db).await;
    let client = &app.client;
    let (first, second) = two_groups(&app).await;
    let empty = make_group(client, "empty", &[]).await;
    // One fen less than the 28 packets of 1 yuan.
    let fixed = draft(client, account, "c", rule(pb::AmountType::Fixed, 100, 100));
    let campaign = client.make_campaign(fixed, 2_799).await;
    let cases: [(&[i64], &str); 3] = [
        (&[empty], "GROUP_EMPTY"),
        (&[first, 4_711], "GROUP_NOT_FOUND"),
        (&[first, second], "BUDGET_EXHAUSTED"),
    ];
    for (groups, due) in cases {
        let request = to_groups(client, campaign, groups);
        let refused = send_to_groups(client, request).await.unwrap_err();
        assert_eq!(reason(&refused), due);
        assert!(
            super::packets(client, Default::default()).await.is_empty(),
            "{due}"
        );
        assert_eq!(client.budget(SHOP, campaign).await.held_fen, 0, "{due}");
    }
    client.fund(SHOP, campaign, 1).await;
    // An empty group beside others is a batch of nobody.
    let request = to_groups(client, campaign, &[first, second, empty]);
    let sent = send_to_groups(client, request).await.unwrap();
    assert_eq!(sent.batches.len(), 3);
    assert!(sent.batches[2].settled);
    assert_eq!(client.budget(SHOP, campaign).await.available_fen, 0);
    app.assert_sound().await;
    app.stop().await;
}
