//! Sends to groups: who gets a packet, what is held, and what stays as it was accepted.

use hongbao::grpc::pb::{self, IssuanceState as S};

use super::{
    awake, batch, closes, draft, ended, exchanges, idle, make_branch, make_group, of_batch, people,
    person, recipient, resend, rule, send_to_groups, set_members, stage, to_groups, uids, upsert,
};
use crate::support::{Options, SHOP, TestApp, TestDb, on_both, reason};

on_both!(
    a_send_to_groups_adds_up,
    somebody_in_two_groups_is_paid_once_or_for_each,
    what_was_accepted_stays,
    packets_belong_to_branches,
    what_cannot_be_sent_holds_nothing,
);

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
    assert_eq!(payments.len(), 58);
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
