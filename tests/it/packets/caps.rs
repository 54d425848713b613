//! What one person, one day and one branch may get: never a packet more, however many
//! ask at once, and as many again once packets have failed or were withdrawn.

use futures::future::join_all;
use hongbao::grpc::pb::{self, CapScope, IssuanceState as S};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{
    cancel, make_branch, make_group, packets, people, person, recipient, resend, scan,
    send_to_groups, stage, to_groups, uids, upsert,
};
use crate::fence::fail_all;
use crate::support::{Client, Options, Raw, SHOP, TestApp, TestDb, on_both, reason, violations};

on_both!(
    exactly_the_cap_is_issued_and_again_as_often,
    exactly_the_cap_is_issued_and_again_after_failures,
    whoever_has_enough_is_refused_alone,
    a_day_and_a_branch_refuse_the_whole,
    all_refusals_are_told_at_once,
    caps_change_while_the_campaign_lives,
    two_rows_of_one_person_share_their_usage,
    a_resent_packet_counts_once,
);

/// A server that accepts and does not send, in real time: no midnight passes by.
async fn idle(db: TestDb) -> (TestApp, i64) {
    let options = Options {
        dispatcher: false,
        time_scale: 1,
        ..Options::default()
    };
    stage(db, options).await
}

/// Who ask at once.
const ASKING: usize = 24;
/// How many may get something.
const CAP: i64 = 7;

fn cap(count: i64, amount_fen: i64) -> Option<pb::Cap> {
    Some(pb::Cap { count, amount_fen })
}

/// The caps that are raced for, and why they refuse.
fn raced() -> [(&'static str, pb::CampaignCaps, &'static str); 5] {
    let none = pb::CampaignCaps::default();
    let branch = pb::BranchCap {
        shop_sub_id: 5,
        cap: cap(CAP, 0),
    };
    [
        (
            "person",
            pb::CampaignCaps {
                recipient: cap(CAP, 0),
                ..none.clone()
            },
            "RECIPIENT_LIMIT",
        ),
        (
            "person, fen",
            pb::CampaignCaps {
                recipient: cap(0, CAP * 100 + 99),
                ..none.clone()
            },
            "RECIPIENT_LIMIT",
        ),
        (
            "person and day",
            pb::CampaignCaps {
                recipient_day: cap(CAP, 0),
                ..none.clone()
            },
            "RECIPIENT_LIMIT",
        ),
        (
            "day",
            pb::CampaignCaps {
                day: cap(0, CAP * 100),
                ..none.clone()
            },
            "DAILY_BUDGET_EXHAUSTED",
        ),
        (
            "branch",
            pb::CampaignCaps {
                branches: vec![branch],
                ..none
            },
            "BRANCH_LIMIT",
        ),
    ]
}

async fn capped(client: &Client, account: i64, code: &str, caps: pb::CampaignCaps) -> i64 {
    let draft = pb::CreateCampaignRequest {
        caps: Some(caps),
        ..client.draft(SHOP, account, code)
    };
    client.make_campaign(draft, 1_000_000).await
}

fn to_one(client: &Client, campaign_id: i64, uid: &str) -> pb::SendToUsersRequest {
    pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id,
        uids: vec![uid.to_owned()],
        source: pb::IssuanceSource::Manual.into(),
        shop_sub_id: 5,
        ..Default::default()
    }
}

/// Many calls for one person at once, through several servers in turn: the batches
/// that were accepted. Each of the others says why not, of the whole or of the person.
async fn storm(clients: &[Client], campaign: i64, uid: &str, due: &str) -> Vec<i64> {
    let calls = (0..ASKING).map(|n| {
        let client = clients[n % clients.len()].clone();
        let request = to_one(&client, campaign, uid);
        tokio::spawn(async move { client.issuances().send_to_users(request).await })
    });
    let mut accepted = Vec::new();
    for answer in join_all(calls).await {
        match answer.unwrap().map(tonic::Response::into_inner) {
            Ok(answer) => {
                let batch = answer.batch.unwrap();
                match answer.refused.first() {
                    Some(item) => assert_eq!(item.reason.as_ref().unwrap().reason, due),
                    None => accepted.push(batch.batch_id),
                }
            }
            Err(status) => assert_eq!(reason(&status), due, "{status:?}"),
        }
    }
    accepted
}

/// So many rounds of each cap, with withdrawals and failures in between, through all
/// servers that there are.
async fn race(app: &TestApp, account: i64, clients: &[Client], rounds: usize) {
    let client = &app.client;
    let person = [("racer".to_owned(), "oRacer".to_owned())];
    client.make_people(SHOP, &app.appid(), &person).await;
    for round in 0..rounds {
        for (name, caps, due) in raced() {
            let code = format!("{}-{round}", name.replace([' ', ','], "-"));
            let campaign = capped(client, account, &code, caps).await;
            let accepted = storm(clients, campaign, "racer", due).await;
            assert_eq!(accepted.len(), 7, "{name}, round {round}");
            for batch in &accepted[..3] {
                cancel(client, *batch).await;
            }
            let again = storm(clients, campaign, "racer", due).await;
            assert_eq!(again.len(), 3, "{name}, round {round}, after withdrawals");
            fail_all(app).await;
            let again = storm(clients, campaign, "racer", due).await;
            assert_eq!(again.len(), 7, "{name}, round {round}, after failures");
        }
    }
}

async fn exactly_the_cap_is_issued_and_again_as_often(db: TestDb) {
    let (app, account) = idle(db).await;
    make_branch(&app.client, 5).await;
    race(&app, account, std::slice::from_ref(&app.client), 2).await;
    app.assert_sound().await;
    app.stop().await;
}

async fn exactly_the_cap_is_issued_and_again_after_failures(db: TestDb) {
    let options = Options {
        time_scale: 2_000,
        ..Options::default()
    };
    let (app, account) = stage(db, options).await;
    let client = &app.client;
    make_branch(client, 5).await;
    let unlucky = [("unlucky".to_owned(), "oSIM-SEND_FAILED-1".to_owned())];
    client.make_people(SHOP, &app.appid(), &unlucky).await;
    for (name, caps, _) in raced() {
        // A day passes in 43 seconds: those that end with a day are raced for above.
        if name.contains("day") {
            continue;
        }
        let code = name.replace([' ', ','], "-");
        let campaign = capped(client, account, &code, caps.clone()).await;
        let mut failed = 0_usize;
        while failed < 21 {
            let request = to_one(client, campaign, "unlucky");
            let answer = client.issuances().send_to_users(request).await;
            let refused = match answer.map(tonic::Response::into_inner) {
                Ok(answer) => !answer.refused.is_empty(),
                Err(_) => true,
            };
            let filter = pb::IssuanceFilter {
                campaign_id: campaign,
                ..Default::default()
            };
            let rows = packets(client, filter).await;
            let rows = rows
                .iter()
                .filter(|row| row.attempt_count > 0 || row.state() != S::Failed);
            let (over, open): (Vec<_>, Vec<_>) = rows.partition(|row| row.state() == S::Failed);
            assert!(open.len() <= 7, "{name}: {} are open", open.len());
            // Packets fail while we look, so a refusal may be older than the look.
            assert!(!refused || open.len() + over.len() > failed, "{name}");
            failed = over.len();
        }
        // All have failed: the whole cap is there again.
        for _ in 0..2_000 {
            let usage = usage(client, campaign, "unlucky").await;
            if usage
                .iter()
                .all(|row| row.used_count == 0 && row.used_fen == 0)
            {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        let usage = usage(client, campaign, "unlucky").await;
        assert!(usage.iter().all(|row| row.used_count == 0), "{usage:?}");
    }
    app.assert_sound().await;
    app.stop().await;
}

async fn usage(client: &Client, campaign_id: i64, uid: &str) -> Vec<pb::CapUsage> {
    let request = pb::GetCampaignStatsRequest {
        shop_id: SHOP,
        campaign_id,
        uid: uid.to_owned(),
    };
    let stats = client.campaigns().get_campaign_stats(request).await;
    stats.unwrap().into_inner().usage
}

fn used(usage: &[pb::CapUsage], scope: CapScope) -> Vec<(i64, i64, i64)> {
    let rows = usage.iter().filter(|row| row.scope() == scope);
    rows.map(|row| (row.shop_sub_id, row.used_count, row.used_fen))
        .collect()
}

async fn whoever_has_enough_is_refused_alone(db: TestDb) {
    let (app, account) = idle(db).await;
    let client = &app.client;
    let people = people("cap", 0..5);
    client.make_people(SHOP, &app.appid(), &people).await;
    let group = make_group(client, "all", &uids(&people)).await;
    let other = make_group(client, "two", &uids(&people[..2])).await;
    let caps = pb::CampaignCaps {
        recipient: cap(2, 0),
        ..Default::default()
    };
    let campaign = capped(client, account, "c", caps).await;
    let sent = client
        .issuances()
        .send_to_users(pb::SendToUsersRequest {
            shop_sub_id: 0,
            ..to_one(client, campaign, "cap0")
        })
        .await
        .unwrap();
    assert!(sent.into_inner().refused.is_empty());
    // In both groups, with a packet for each: cap0 has one already and gets one of two.
    let request = pb::SendToGroupsRequest {
        every_group: true,
        ..to_groups(client, campaign, &[group, other])
    };
    let tried = pb::SendToGroupsRequest {
        validate_only: true,
        ..request.clone()
    };
    let tried = send_to_groups(client, tried).await.unwrap();
    let sent = send_to_groups(client, request).await.unwrap();
    let counts = |answer: &pb::SendToGroupsResponse| -> Vec<(i64, i64)> {
        let batches = answer.batches.iter();
        batches
            .map(|b| b.counts.unwrap())
            .map(|c| (c.accepted_count, c.refused_count))
            .collect()
    };
    assert_eq!(counts(&sent), [(5, 0), (1, 1)]);
    assert_eq!(counts(&tried), counts(&sent));
    let refused = packets(
        client,
        pb::IssuanceFilter {
            states: vec![S::Failed.into()],
            ..Default::default()
        },
    )
    .await;
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].uid, "cap0");
    assert_eq!(refused[0].last_error, "RECIPIENT_LIMIT");
    let status = resend(client, refused[0].issuance_id).await.unwrap_err();
    assert_eq!(reason(&status), "RECIPIENT_LIMIT");
    // By his openid, and by a scan, he is the same person.
    for status in [
        client.send(SHOP, campaign, "ocap0").await.unwrap_err(),
        scan(client, campaign, "ocap0").await.unwrap_err(),
    ] {
        assert_eq!(reason(&status), "RECIPIENT_LIMIT", "{status:?}");
    }
    // One whom the shop has never seen is counted from his first packet on.
    for _ in 0..2 {
        client.send(SHOP, campaign, "oNobody").await.unwrap();
    }
    let status = client.send(SHOP, campaign, "oNobody").await.unwrap_err();
    assert_eq!(reason(&status), "RECIPIENT_LIMIT");
    let usage = usage(client, campaign, "cap0").await;
    assert_eq!(used(&usage, CapScope::Recipient), [(0, 2, 200)]);
    assert_eq!(used(&usage, CapScope::Day), [(0, 9, 900)]);
    app.assert_sound().await;
    app.stop().await;
}

async fn a_day_and_a_branch_refuse_the_whole(db: TestDb) {
    let (app, account) = idle(db).await;
    let client = &app.client;
    make_branch(client, 5).await;
    let people = people("p", 0..4);
    client.make_people(SHOP, &app.appid(), &people).await;
    let caps = pb::CampaignCaps {
        day: cap(0, 500),
        branches: vec![
            pb::BranchCap {
                shop_sub_id: 5,
                cap: cap(2, 0),
            },
            pb::BranchCap {
                shop_sub_id: 0,
                cap: cap(0, 300),
            },
        ],
        ..Default::default()
    };
    let campaign = capped(client, account, "c", caps).await;
    let send = |branch, n: usize| pb::SendToUsersRequest {
        uids: uids(&people[..n]),
        shop_sub_id: branch,
        ..to_one(client, campaign, "p0")
    };
    let ask = async |request| client.issuances().send_to_users(request).await;
    let status = ask(send(5, 3)).await.unwrap_err();
    assert_eq!(reason(&status), "BRANCH_LIMIT");
    ask(send(5, 2)).await.unwrap();
    let status = ask(send(0, 4)).await.unwrap_err();
    let details = status.get_error_details();
    let told = details.precondition_failure().unwrap();
    let told: Vec<&str> = told.violations.iter().map(|v| v.r#type.as_str()).collect();
    assert_eq!(told, ["DAILY_BUDGET_EXHAUSTED", "BRANCH_LIMIT"]);
    ask(send(0, 3)).await.unwrap();
    let status = ask(send(0, 1)).await.unwrap_err();
    let facts = status.get_error_details();
    let facts = &facts.error_info().unwrap().metadata;
    for (fact, value) in [
        ("used_fen", "500"),
        ("cap_fen", "500"),
        ("required_fen", "100"),
    ] {
        assert_eq!(facts[fact], value, "{facts:?}");
    }
    let usage = usage(client, campaign, "").await;
    assert_eq!(used(&usage, CapScope::Branch), [(0, 3, 300), (5, 2, 200)]);
    assert_eq!(used(&usage, CapScope::Day), [(0, 5, 500)]);
    app.assert_sound().await;
    app.stop().await;
}

async fn all_refusals_are_told_at_once(db: TestDb) {
    let (app, account) = idle(db).await;
    let client = &app.client;
    let people = people("p", 0..3);
    client.make_people(SHOP, &app.appid(), &people).await;
    let draft = pb::CreateCampaignRequest {
        caps: Some(pb::CampaignCaps {
            day: cap(1, 0),
            ..Default::default()
        }),
        stock_count: 2,
        ..client.draft(SHOP, account, "c")
    };
    let campaign = client.make_campaign(draft, 250).await;
    let pause = pb::PauseCampaignRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id: campaign,
        ..Default::default()
    };
    client.campaigns().pause_campaign(pause).await.unwrap();
    let disable = pb::UpdateProviderAccountRequest {
        request_id: client.fresh(),
        account_id: account,
        enabled: Some(false),
        ..Default::default()
    };
    client
        .admin()
        .update_provider_account(disable)
        .await
        .unwrap();
    let request = pb::SendToUsersRequest {
        uids: uids(&people),
        shop_sub_id: 0,
        ..to_one(client, campaign, "p0")
    };
    let tried = pb::SendToUsersRequest {
        validate_only: true,
        ..request.clone()
    };
    let told = |status: &Status| -> Vec<(String, String)> {
        let details = status.get_error_details();
        let violations = details.precondition_failure().unwrap().violations.clone();
        violations
            .into_iter()
            .map(|v| (v.r#type, v.subject))
            .collect()
    };
    let tried = client.issuances().send_to_users(tried).await.unwrap_err();
    let sent = client.issuances().send_to_users(request).await.unwrap_err();
    assert_eq!(told(&tried), told(&sent));
    let reasons: Vec<String> = told(&sent).into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(
        reasons,
        [
            "ACCOUNT_DISABLED",
            "CAMPAIGN_PAUSED",
            "BUDGET_EXHAUSTED",
            "STOCK_EXHAUSTED",
            "DAILY_BUDGET_EXHAUSTED"
        ]
    );
    assert_eq!(
        reason(&sent),
        "ACCOUNT_DISABLED",
        "the first is the status's own"
    );
    app.stop().await;
}

async fn update(client: &Client, campaign_id: i64, caps: pb::CampaignCaps) -> Result<(), Status> {
    let request = pb::UpdateCampaignRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        campaign_id,
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["caps".into()],
        }),
        caps: Some(caps.clone()),
        ..Default::default()
    };
    let done = client.campaigns().update_campaign(request).await?;
    assert_eq!(done.into_inner().campaign.unwrap().caps, Some(caps));
    Ok(())
}

async fn caps_change_while_the_campaign_lives(db: TestDb) {
    let (app, account) = idle(db).await;
    let client = &app.client;
    let day = |count| pb::CampaignCaps {
        day: cap(count, 0),
        ..Default::default()
    };
    let campaign = capped(client, account, "c", pb::CampaignCaps::default()).await;
    for _ in 0..3 {
        client.send(SHOP, campaign, "oAlice").await.unwrap();
    }
    // What was issued before the cap counts.
    update(client, campaign, day(3)).await.unwrap();
    let status = client.send(SHOP, campaign, "oAlice").await.unwrap_err();
    assert_eq!(reason(&status), "DAILY_BUDGET_EXHAUSTED");
    update(client, campaign, day(2)).await.unwrap();
    client.send(SHOP, campaign, "oAlice").await.unwrap_err();
    update(client, campaign, day(4)).await.unwrap();
    client.send(SHOP, campaign, "oAlice").await.unwrap();
    // People were not counted, and cannot be from now on.
    let people = pb::CampaignCaps {
        recipient: cap(1, 0),
        ..Default::default()
    };
    let status = update(client, campaign, people).await.unwrap_err();
    let told = ("caps".to_owned(), "FIELD_NOT_ALLOWED".to_owned());
    assert_eq!(violations(&status), [told]);
    let stranger = pb::CampaignCaps {
        branches: vec![pb::BranchCap {
            shop_sub_id: 77,
            cap: cap(1, 0),
        }],
        ..Default::default()
    };
    let status = update(client, campaign, stranger).await.unwrap_err();
    assert_eq!(reason(&status), "BRANCH_NOT_FOUND");
    app.assert_sound().await;
    app.stop().await;
}

async fn two_rows_of_one_person_share_their_usage(db: TestDb) {
    let (app, account) = idle(db).await;
    let client = &app.client;
    let caps = pb::CampaignCaps {
        recipient: cap(3, 0),
        ..Default::default()
    };
    let campaign = capped(client, account, "c", caps).await;
    upsert(client, vec![person(&app, "alice", "oAlice")])
        .await
        .unwrap();
    client.send(SHOP, campaign, "oAlice").await.unwrap();
    let first = client.send(SHOP, campaign, "oOther").await.unwrap();
    let batch_id = {
        let request = pb::SendToUsersRequest {
            shop_sub_id: 0,
            ..to_one(client, campaign, "alice")
        };
        let sent = client.issuances().send_to_users(request).await.unwrap();
        sent.into_inner().batch.unwrap().batch_id
    };
    // She brings the other openid, for the same appid: both rows are hers.
    upsert(client, vec![person(&app, "alice", "oOther")])
        .await
        .unwrap();
    let alice = recipient(client, "alice").await;
    let moved = client.get(SHOP, first.issuance_id).await.issuance.unwrap();
    assert_eq!(moved.recipient_id, alice.recipient_id);
    let usage_of_her = usage(client, campaign, "alice").await;
    assert_eq!(used(&usage_of_her, CapScope::Recipient), [(0, 3, 300)]);
    let status = client.send(SHOP, campaign, "oOther").await.unwrap_err();
    assert_eq!(reason(&status), "RECIPIENT_LIMIT");
    cancel(client, batch_id).await;
    client.send(SHOP, campaign, "oOther").await.unwrap();
    app.assert_sound().await;
    app.stop().await;
}

async fn a_resent_packet_counts_once(db: TestDb) {
    let options = Options {
        time_scale: 20_000,
        ..Options::default()
    };
    let (app, account) = stage(db, options).await;
    let client = &app.client;
    let caps = pb::CampaignCaps {
        recipient: cap(1, 0),
        ..Default::default()
    };
    let campaign = capped(client, account, "c", caps).await;
    for (uid, openid, end, again) in [
        ("back", "oSIM-REFUND-1", S::Refunded, true),
        ("lost", "oSIM-SEND_FAILED-1", S::Failed, false),
    ] {
        upsert(client, vec![person(&app, uid, openid)])
            .await
            .unwrap();
        let sent = client.send(SHOP, campaign, openid).await.unwrap();
        client.await_state(SHOP, sent.issuance_id, &[end]).await;
        let counts = i64::from(again);
        let now = usage(client, campaign, uid).await;
        assert_eq!(used(&now, CapScope::Recipient), [(0, counts, counts * 100)]);
        resend(client, sent.issuance_id).await.unwrap();
        client.await_state(SHOP, sent.issuance_id, &[end]).await;
        let now = usage(client, campaign, uid).await;
        assert_eq!(used(&now, CapScope::Recipient), [(0, counts, counts * 100)]);
    }
    let raw = Raw::open(&app.db).await;
    let negative = "SELECT COUNT(*) FROM cap_usage WHERE used_count < 0 OR used_fen < 0";
    assert_eq!(raw.number(negative).await, 0);
    app.assert_sound().await;
    app.stop().await;
}

/// One server accepts calls one transaction after another; two of them race.
#[test]
fn two_servers_hold_one_cap() {
    crate::support::block_on(async {
        let (app, account) = idle(TestDb::postgres()).await;
        let client = &app.client;
        make_branch(client, 5).await;
        let second = hongbao::app::start(&app.config).await.unwrap();
        let other = Client::connect(second.grpc_addr, &app.key).await;
        let clients = [client.clone(), other];
        race(&app, account, &clients, 4).await;
        second.shutdown().await;
        app.assert_sound().await;
        app.stop().await;
    });
}

/// 200 rounds: `scripts/caps`.
#[test]
#[ignore = "a campaign: scripts/caps"]
fn two_hundred_rounds_on_both_databases() {
    let rounds = std::env::var("ROUNDS").map_or(200, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async move {
        for db in [TestDb::sqlite(), TestDb::postgres()] {
            let (app, account) = idle(db).await;
            make_branch(&app.client, 5).await;
            let mut clients = vec![app.client.clone()];
            // SQLite has one process.
            let second = match app.db.url.starts_with("sqlite") {
                true => None,
                false => Some(hongbao::app::start(&app.config).await.unwrap()),
            };
            if let Some(second) = &second {
                clients.push(Client::connect(second.grpc_addr, &app.key).await);
            }
            let since = std::time::Instant::now();
            race(&app, account, &clients, rounds).await;
            if let Some(second) = second {
                second.shutdown().await;
            }
            app.assert_sound().await;
            println!(
                "{}, {} server(s): {rounds} rounds of {} caps, {ASKING} asking for {CAP}: exactly {CAP}, 3 again after 3 withdrawals, 7 again after 7 failures; {:.0?}",
                app.db.url.split(':').next().unwrap_or_default(),
                clients.len(),
                raced().len(),
                since.elapsed()
            );
            app.stop().await;
        }
    });
}
