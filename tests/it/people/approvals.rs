//! Sends and funding that take two people.

use hongbao::domain::grant::Shops;
use hongbao::domain::id::ShopId;
use hongbao::domain::role::Role;
use hongbao::grpc::pb;

use super::{decide, waits_for};
use crate::support::{Client, Options, Raw, SHOP, TestApp, TestDb, fact, on_both, reason};

on_both!(
    a_large_send_takes_two_people,
    a_rejected_call_stays_rejected,
    funding_and_loosening_take_two_people,
    an_approval_covers_what_was_seen,
    approvals_are_of_their_shops,
);

/// A campaign from which one person may send 3 packets of 1 yuan at once, with 10 people.
async fn guarded(db: TestDb) -> (TestApp, i64) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let client = &app.client;
    client.make_shop(SHOP).await;
    let merchant = app.simulator.merchant();
    let (mch_id, appid) = (merchant.mch_id.clone(), app.appid());
    let account = client.make_account(&mch_id, &appid, &[SHOP]).await;
    let people: Vec<(String, String)> = (0..10)
        .map(|n| (format!("u{n}"), format!("oTwo{n}")))
        .collect();
    client.make_people(SHOP, &appid, &people).await;
    let mut draft = client.draft(SHOP, account, "two");
    draft.approve_send_above_fen = Some(300);
    draft.approve_fund_above_fen = Some(5_000);
    let campaign = client.make_campaign(draft, 5_000).await;
    (app, campaign)
}

fn to(client: &Client, campaign_id: i64, count: usize) -> pb::SendToUsersRequest {
    pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id,
        uids: (0..count).map(|n| format!("u{n}")).collect(),
        source: pb::IssuanceSource::Manual.into(),
        ..Default::default()
    }
}

async fn a_large_send_takes_two_people(db: TestDb) {
    let (app, campaign) = guarded(db).await;
    let client = &app.client;
    let bob = app.person("bob", &[Role::Approver]).await;
    let small = to(client, campaign, 3);
    client.issuances().send_to_users(small).await.unwrap();
    let large = to(client, campaign, 4);
    let raw = Raw::open(&app.db).await;
    let before = raw.counts().await;
    let trial = pb::SendToUsersRequest {
        validate_only: true,
        ..large.clone()
    };
    let status = client.issuances().send_to_users(trial).await.unwrap_err();
    assert_eq!(reason(&status), "APPROVAL_REQUIRED");
    assert_eq!(raw.counts().await, before);
    let status = client
        .issuances()
        .send_to_users(large.clone())
        .await
        .unwrap_err();
    let approval = waits_for(&status);
    assert_eq!(fact(&status, "amount_fen"), "400");
    let mut after = raw.counts().await;
    *after.get_mut("approval").unwrap() -= 1;
    assert_eq!(after, before, "only the approval is written");
    assert_eq!(client.budget(SHOP, campaign).await.held_fen, 300);

    let listed = pb::ListApprovalsRequest {
        shop_id: SHOP,
        state: pb::ApprovalState::Pending.into(),
        ..Default::default()
    };
    let listed = bob.reviews().list_approvals(listed).await.unwrap();
    let listed = listed.into_inner().approvals;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (
            listed[0].packet_count,
            listed[0].amount_fen,
            listed[0].actor.as_str()
        ),
        (4, 400, "app:admin")
    );
    assert_eq!(listed[0].request_id, large.request_id);
    decide(&bob, approval, true).await.unwrap();
    // A trial of it is accepted now, and uses nothing up.
    let trial = pb::SendToUsersRequest {
        validate_only: true,
        ..large.clone()
    };
    client.issuances().send_to_users(trial).await.unwrap();
    // What the same name asks for now is not what was approved.
    let mut other = large.clone();
    other.uids.push("u9".into());
    let status = client.issuances().send_to_users(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    let calls = (0..8).map(|_| {
        let (client, large) = (client.clone(), large.clone());
        tokio::spawn(async move { client.issuances().send_to_users(large).await })
    });
    let mut new = 0;
    for call in calls.collect::<Vec<_>>() {
        let sent = call.await.unwrap().unwrap().into_inner();
        new += usize::from(!sent.replayed);
    }
    assert_eq!(new, 1, "used once");
    assert_eq!(client.budget(SHOP, campaign).await.held_fen, 700);
    let status = client
        .issuances()
        .send_to_users(to(client, campaign, 4))
        .await
        .unwrap_err();
    assert!(waits_for(&status) > approval, "the next one asks anew");
    raw.close().await;
    app.assert_sound().await;
    app.stop().await;
}

async fn a_rejected_call_stays_rejected(db: TestDb) {
    let (app, campaign) = guarded(db).await;
    let client = &app.client;
    let bob = app.person("bob", &[Role::Approver]).await;
    let large = to(client, campaign, 4);
    let status = client
        .issuances()
        .send_to_users(large.clone())
        .await
        .unwrap_err();
    let approval = waits_for(&status);
    decide(&bob, approval, false).await.unwrap();
    let status = client.issuances().send_to_users(large).await.unwrap_err();
    assert_eq!(reason(&status), "APPROVAL_REJECTED");
    assert_eq!(fact(&status, "decider"), "operator:bob");
    let status = decide(&bob, approval, true).await.unwrap_err();
    assert_eq!(reason(&status), "APPROVAL_DECIDED");
    let status = decide(&bob, 99, true).await.unwrap_err();
    assert_eq!(reason(&status), "APPROVAL_NOT_FOUND");
    app.assert_sound().await;
    app.stop().await;
}

async fn funding_and_loosening_take_two_people(db: TestDb) {
    let (app, campaign_id) = guarded(db).await;
    let client = &app.client;
    let bob = app.person("bob", &[Role::Approver]).await;
    let fund = pb::FundCampaignRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id,
        amount_fen: 5_001,
        ..Default::default()
    };
    let status = client
        .campaigns()
        .fund_campaign(fund.clone())
        .await
        .unwrap_err();
    decide(&bob, waits_for(&status), true).await.unwrap();
    let funded = client.campaigns().fund_campaign(fund).await.unwrap();
    let budget = funded.into_inner().campaign.unwrap().budget.unwrap();
    assert_eq!(budget.granted_fen, 10_001);

    let change = |send: Option<i64>, fund: Option<i64>| pb::UpdateCampaignRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id,
        approve_send_above_fen: send,
        approve_fund_above_fen: fund,
        update_mask: Some(prost_types::FieldMask {
            paths: vec![
                "approve_send_above_fen".into(),
                "approve_fund_above_fen".into(),
            ],
        }),
        ..Default::default()
    };
    // One person may tighten, and not loosen what is there.
    let tight = change(Some(200), Some(5_000));
    client.campaigns().update_campaign(tight).await.unwrap();
    for (send, fund) in [(Some(201), Some(5_000)), (Some(200), None), (None, Some(0))] {
        let looser = change(send, fund);
        let status = client.campaigns().update_campaign(looser).await;
        waits_for(&status.unwrap_err());
    }
    let none = change(None, None);
    let status = client
        .campaigns()
        .update_campaign(none.clone())
        .await
        .unwrap_err();
    decide(&bob, waits_for(&status), true).await.unwrap();
    let loose = client.campaigns().update_campaign(none).await.unwrap();
    let loose = loose.into_inner().campaign.unwrap();
    assert_eq!(loose.approve_send_above_fen, None);
    let large = to(client, campaign_id, 10);
    client.issuances().send_to_users(large).await.unwrap();
    app.assert_sound().await;
    app.stop().await;
}

/// A group that grew between the look and the send is looked at again.
async fn an_approval_covers_what_was_seen(db: TestDb) {
    let (app, campaign_id) = guarded(db).await;
    let client = &app.client;
    let bob = app.person("bob", &[Role::Approver]).await;
    let group = pb::UpsertGroupRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        wx_group_id: 5,
        name: "five".into(),
        ..Default::default()
    };
    client.audience().upsert_group(group).await.unwrap();
    let join = |uids: std::ops::Range<usize>| pb::SetGroupMembersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        wx_group_id: 5,
        add_uids: uids.map(|n| format!("u{n}")).collect(),
        ..Default::default()
    };
    client
        .audience()
        .set_group_members(join(0..4))
        .await
        .unwrap();
    let send = pb::SendToGroupsRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id,
        wx_group_ids: vec![5],
        source: pb::IssuanceSource::Manual.into(),
        ..Default::default()
    };
    let status = client
        .issuances()
        .send_to_groups(send.clone())
        .await
        .unwrap_err();
    let approval = waits_for(&status);
    decide(&bob, approval, true).await.unwrap();
    client
        .audience()
        .set_group_members(join(4..6))
        .await
        .unwrap();
    let status = client
        .issuances()
        .send_to_groups(send.clone())
        .await
        .unwrap_err();
    assert_eq!(waits_for(&status), approval);
    assert_eq!(fact(&status, "amount_fen"), "600");
    let seen = decide(&bob, approval, true).await.unwrap();
    assert_eq!(seen.packet_count, 6);
    client.issuances().send_to_groups(send).await.unwrap();
    assert_eq!(client.budget(SHOP, campaign_id).await.held_fen, 600);
    app.assert_sound().await;
    app.stop().await;
}

async fn approvals_are_of_their_shops(db: TestDb) {
    let (app, campaign) = guarded(db).await;
    let client = &app.client;
    client.make_shop(2).await;
    let only = |shop| Shops::Only(vec![ShopId(shop)]);
    let elsewhere = app.person_in("eve", &[Role::Approver], only(2)).await;
    let eve = client.with_key(Some(&elsewhere));
    let here = app.person_in("bob", &[Role::Approver], only(SHOP)).await;
    let bob = client.with_key(Some(&here));
    let large = to(client, campaign, 4);
    let status = client.issuances().send_to_users(large).await.unwrap_err();
    let approval = waits_for(&status);
    let status = decide(&eve, approval, true).await.unwrap_err();
    assert_eq!(reason(&status), "APPROVAL_NOT_FOUND");
    let all = pb::ListApprovalsRequest::default();
    let status = eve.reviews().list_approvals(all).await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_FIELDS");
    decide(&bob, approval, true).await.unwrap();
    app.stop().await;
}
