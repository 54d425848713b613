//! Every filter of seed 000 and every order, held against a model: all rows, kept
//! and sorted here. Random combinations, pages and totals must give the same ids.

use std::cmp::Reverse;

use hongbao::grpc::pb::{self, IssuanceState as S};

use super::{
    awake, cancel, draft, idle, make_group, packets, people, person, rule, send_to_groups,
    to_groups, upsert,
};
use crate::chaos::rng::Rng;
use crate::support::{SHOP, TestApp, TestDb, on_both, violations};

mod batches;

on_both!(
    every_filter_of_issuances_is_the_models,
    keywords_mean_themselves,
    bad_searches_are_refused,
);

/// Nicknames with all that can go wrong in a pattern, and mobiles.
pub(super) const NAMES: [(&str, &str, &str); 10] = [
    ("n0", "Alice", "13812345678"),
    ("n1", "ALICE Böse", "13912345678"),
    ("n2", "小明😀😀", "13812340000"),
    ("n3", "50%_off", ""),
    ("n4", "50 off", ""),
    ("n5", "O'Brien \"Bob\"", ""),
    ("n6", "a_b\\c", "13800001234"),
    ("n7", "axb", ""),
    ("n8", "新年明", ""),
    ("n9", "", "13711112222"),
];

pub(super) struct Scene {
    pub(super) app: TestApp,
    pub(super) campaigns: Vec<i64>,
    pub(super) groups: Vec<i64>,
}

fn texts(act_name: &str) -> pb::RedPacketTexts {
    pb::RedPacketTexts {
        act_name: act_name.to_owned(),
        ..crate::support::texts()
    }
}

/// Packets in many states, from all kinds of calls, then a server at rest.
pub(super) async fn scene(db: TestDb) -> Scene {
    let (app, account) = idle(db).await;
    let client = &app.client;
    let input = |(uid, nickname, mobile): &(&str, &str, &str)| pb::RecipientInput {
        nickname: (*nickname).to_owned(),
        mobile: (*mobile).to_owned(),
        ..person(&app, uid, &format!("oSearch-{uid}"))
    };
    upsert(client, NAMES.iter().map(input).collect())
        .await
        .unwrap();
    let plain = people("P", 0..12);
    client.make_people(SHOP, &app.appid(), &plain).await;
    let rules = [
        (
            "spring-50%",
            "50%_off",
            rule(pb::AmountType::Fixed, 100, 100),
        ),
        ("WINTER", "新年红包", rule(pb::AmountType::Random, 100, 500)),
        (
            "alice.x",
            "Fixed again",
            rule(pb::AmountType::Fixed, 300, 300),
        ),
    ];
    let mut campaigns = Vec::new();
    for (code, act_name, rule) in rules {
        let code: String = code.chars().filter(|c| *c != '%').collect();
        let campaign = pb::CreateCampaignRequest {
            texts: Some(texts(act_name)),
            scan_limit: 2,
            ..draft(client, account, &code, rule)
        };
        campaigns.push(client.make_campaign(campaign, 1_000_000).await);
    }
    let named: Vec<String> = NAMES.iter().map(|(uid, _, _)| (*uid).to_owned()).collect();
    let mut mixed = named[..6].to_vec();
    mixed.extend(plain.iter().map(|(uid, _)| uid.clone()));
    let groups = vec![
        make_group(client, "Alle 50%", &named).await,
        make_group(client, "gemischt", &mixed).await,
    ];
    for (n, campaign) in campaigns.iter().enumerate() {
        let request = pb::SendToUsersRequest {
            shop_id: SHOP,
            request_id: client.fresh(),
            campaign_id: *campaign,
            uids: [&named[n..n + 6], &["nobody".to_owned()]].concat(),
            source: [1, 2, 3][n],
            ..Default::default()
        };
        client.issuances().send_to_users(request).await.unwrap();
        let sent = send_to_groups(client, to_groups(client, *campaign, &groups))
            .await
            .unwrap();
        if n == 1 {
            cancel(client, sent.batches[1].batch_id).await;
        }
        for fault in ["OPENID_ERROR", "FAILED_LATER"] {
            let openid = format!("oSIM-{fault}-{n}");
            client.send(SHOP, *campaign, &openid).await.unwrap();
        }
    }
    let app = awake(app).await;
    for _ in 0..1_000 {
        let open = pb::IssuanceFilter {
            states: [S::Queued, S::Sending, S::Unknown, S::Sent]
                .map(i32::from)
                .to_vec(),
            ..Default::default()
        };
        if packets(&app.client, open).await.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let app = app
        .restart(|config| config.dispatcher.enabled = false)
        .await;
    let client = &app.client;
    for (n, campaign) in campaigns.iter().enumerate() {
        let (openid, appended) = (format!("oSearch-n{n}"), format!("oNewScan{n}"));
        for openid in [openid, appended] {
            super::scan_idle(client, *campaign, &openid).await.unwrap();
        }
        let request = pb::SendToGroupsRequest {
            source: [4, 5, 6][n],
            ..to_groups(client, *campaign, &groups[..1])
        };
        send_to_groups(client, request).await.unwrap();
        client.send(SHOP, *campaign, "oSearch-n2").await.unwrap();
    }
    Scene {
        app,
        campaigns,
        groups,
    }
}

pub(super) fn time(at: Option<prost_types::Timestamp>) -> (i64, i32) {
    at.map_or((0, 0), |at| (at.seconds, at.nanos))
}

/// Whether one text contains another, whatever the case.
pub(super) fn has(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// Code and act_name of a campaign as they are now.
pub(super) async fn names(app: &TestApp) -> Vec<(i64, String, String)> {
    let request = pb::ListCampaignsRequest {
        shop_id: SHOP,
        ..Default::default()
    };
    let listed = app
        .client
        .campaigns()
        .list_campaigns(request)
        .await
        .unwrap();
    let campaigns = listed.into_inner().campaigns.into_iter();
    campaigns
        .map(|c| (c.campaign_id, c.code, c.texts.unwrap().act_name))
        .collect()
}

fn fits(row: &pb::Issuance, f: &pb::IssuanceFilter, names: &[(i64, String, String)]) -> bool {
    let campaign = names
        .iter()
        .find(|(id, _, _)| *id == row.campaign_id)
        .unwrap();
    let by_name = has(&row.nickname, &f.keyword) && row.recipient_id != 0
        || has(&campaign.1, &f.keyword)
        || has(&campaign.2, &f.keyword);
    let tail = f.batch_keyword.len() == 4 && f.batch_keyword.bytes().all(|b| b.is_ascii_digit());
    let by_person = has(&row.nickname, &f.batch_keyword) && row.recipient_id != 0
        || !row.mobile.is_empty()
            && (row.mobile == f.batch_keyword || tail && row.mobile.ends_with(&f.batch_keyword));
    (f.campaign_id == 0 || row.campaign_id == f.campaign_id)
        && (f.batch_id == 0 || row.batch_id == f.batch_id)
        && (f.states.is_empty() || f.states.contains(&row.state))
        && (f.source == 0 || row.source == f.source)
        && (f.uid.is_empty() || row.uid == f.uid)
        && (f.amount_type == 0 || row.amount_type == f.amount_type)
        && f.create_time_from
            .is_none_or(|from| time(row.create_time) >= time(Some(from)))
        && f.create_time_to
            .is_none_or(|to| time(row.create_time) < time(Some(to)))
        && (f.keyword.is_empty() || by_name)
        && (f.batch_keyword.is_empty() || by_person)
}

fn sorted(rows: &[pb::Issuance], order: pb::IssuanceOrder) -> Vec<i64> {
    use pb::IssuanceOrder as O;
    let mut rows: Vec<_> = rows
        .iter()
        .map(|r| (r.amount_fen, time(r.create_time), r.issuance_id))
        .collect();
    match order {
        O::Unspecified | O::NewestFirst => rows.sort_by_key(|r| Reverse((r.1, r.2))),
        O::OldestFirst => rows.sort_by_key(|r| (r.1, r.2)),
        O::LargestFirst => rows.sort_by_key(|r| Reverse(*r)),
        O::SmallestFirst => rows.sort_unstable(),
    }
    rows.into_iter().map(|row| row.2).collect()
}

fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    from[usize::try_from(rng.below(u64::try_from(from.len()).unwrap())).unwrap()].clone()
}

const KEYWORDS: [&str; 12] = [
    "alice",
    "ALICE",
    "😀",
    "50%",
    "%",
    "_",
    "'",
    "\"",
    "明",
    "\\",
    "Böse",
    "fixed AGAIN",
];
const BATCH_KEYWORDS: [&str; 7] = [
    "alice",
    "13812345678",
    "5678",
    "1234",
    "678",
    "明",
    "13912345678",
];

fn some_filter(rng: &mut Rng, rows: &[pb::Issuance]) -> pb::IssuanceFilter {
    let mut f = pb::IssuanceFilter::default();
    let row = pick(rng, rows);
    if rng.percent(40) {
        f.campaign_id = row.campaign_id;
    }
    if rng.percent(30) {
        f.batch_id = row.batch_id;
    }
    if rng.percent(30) {
        f.states = (0..=rng.below(3)).map(|_| pick(rng, rows).state).collect();
    }
    if rng.percent(25) {
        f.source = pick(rng, rows).source;
    }
    if rng.percent(15) {
        f.uid = pick(rng, rows).uid;
    }
    if rng.percent(25) {
        f.amount_type = 1 + i32::try_from(rng.below(4)).unwrap();
    }
    if rng.percent(20) {
        f.create_time_from = pick(rng, rows).create_time;
    }
    if rng.percent(20) {
        f.create_time_to = pick(rng, rows).create_time;
    }
    if time(f.create_time_from) > time(f.create_time_to) {
        f.create_time_to = None;
    }
    if f.batch_id != 0 && rng.percent(50) {
        f.batch_keyword = pick(rng, &BATCH_KEYWORDS).to_owned();
    } else if rng.percent(35) {
        f.keyword = pick(rng, &KEYWORDS).to_owned();
    }
    f
}

async fn every_filter_of_issuances_is_the_models(db: TestDb) {
    let Scene { app, .. } = scene(db).await;
    let client = &app.client;
    let rows = packets(client, Default::default()).await;
    let names = names(&app).await;
    for state in [S::Queued, S::Received, S::Failed, S::Review, S::Cancelled] {
        assert!(
            rows.iter().any(|row| row.state() == state),
            "no {state:?} in the scene"
        );
    }
    let mut rng = Rng::new(7);
    let (mut hits, mut searched) = (0, 0);
    for n in 0..250 {
        let filter = some_filter(&mut rng, &rows);
        let orders = if filter.campaign_id + filter.batch_id == 0 {
            3
        } else {
            5
        };
        let order = i32::try_from(rng.below(orders)).unwrap();
        let due: Vec<pb::Issuance> = rows
            .iter()
            .filter(|r| fits(r, &filter, &names))
            .cloned()
            .collect();
        let due = sorted(&due, order.try_into().unwrap());
        let size = 1 + rng.below(40);
        let skip = if rng.percent(30) { rng.below(30) } else { 0 };
        let mut request = pb::ListIssuancesRequest {
            shop_id: SHOP,
            filter: Some(filter.clone()),
            page_size: i32::try_from(size).unwrap(),
            skip: i32::try_from(skip).unwrap(),
            include_total: true,
            order,
            ..Default::default()
        };
        let mut found = Vec::new();
        for _ in 0..4 {
            let page = client
                .issuances()
                .list_issuances(request.clone())
                .await
                .unwrap()
                .into_inner();
            assert_eq!(
                usize::try_from(page.total_count).unwrap(),
                due.len(),
                "{n}: {filter:?}"
            );
            found.extend(page.issuances.iter().map(|row| row.issuance_id));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
            request.skip = 0;
        }
        let due: Vec<i64> = due
            .into_iter()
            .skip(usize::try_from(skip).unwrap())
            .take(found.len().max(usize::try_from(4 * size).unwrap()))
            .collect();
        assert_eq!(
            found, due,
            "{n}: {filter:?}, order {order}, {size} a page, {skip} skipped"
        );
        hits += usize::from(!due.is_empty());
        searched += usize::from(
            !due.is_empty() && !(filter.keyword.is_empty() && filter.batch_keyword.is_empty()),
        );
    }
    assert!(
        hits > 60 && searched > 10,
        "{hits} and {searched} of 250 find something"
    );
    app.assert_sound().await;
    app.stop().await;
}

async fn keywords_mean_themselves(db: TestDb) {
    let Scene { app, groups, .. } = scene(db).await;
    let client = &app.client;
    let list = pb::ListBatchesRequest {
        shop_id: SHOP,
        filter: Some(pb::BatchFilter {
            wx_group_id: groups[0],
            ..Default::default()
        }),
        ..Default::default()
    };
    let batches = client
        .issuances()
        .list_batches(list)
        .await
        .unwrap()
        .into_inner()
        .batches;
    let found = async |batch_keyword: &str| {
        let filter = pb::IssuanceFilter {
            batch_id: batches[0].batch_id,
            batch_keyword: batch_keyword.to_owned(),
            ..Default::default()
        };
        let mut uids: Vec<String> = packets(client, filter)
            .await
            .into_iter()
            .map(|r| r.uid)
            .collect();
        uids.sort();
        uids.join(" ")
    };
    for (keyword, due) in [
        ("alice", "n0 n1"),
        ("BÖSE", "n1"),
        ("😀", "n2"),
        ("😀😀", "n2"),
        ("50%_", "n3"),
        ("%", "n3"),
        ("_", "n3 n6"),
        ("a_b", "n6"),
        ("\\", "n6"),
        ("'", "n5"),
        ("\"bob\"", "n5"),
        ("明", "n2 n8"),
        ("13812345678", "n0"),
        ("5678", "n0 n1"),
        ("1234", "n6"),
        ("2345", ""),
        ("678", ""),
        ("1381234567", ""),
        ("138****5678", ""),
        ("2222", "n9"),
        ("nobody", ""),
    ] {
        assert_eq!(found(keyword).await, due, "{keyword}");
    }
    // A nickname that changed is found by the new one alone.
    let renamed = pb::RecipientInput {
        nickname: "Zoë".into(),
        ..person(&app, "n0", "oSearch-n0")
    };
    upsert(client, vec![renamed]).await.unwrap();
    assert_eq!(found("zoë").await, "n0");
    assert_eq!(found("alice").await, "n1");
    app.stop().await;
}

async fn bad_searches_are_refused(db: TestDb) {
    let (app, _) = idle(db).await;
    let refused = async |filter: pb::IssuanceFilter, order: i32| {
        let request = pb::ListIssuancesRequest {
            shop_id: SHOP,
            filter: Some(filter),
            order,
            ..Default::default()
        };
        let status = app
            .client
            .issuances()
            .list_issuances(request)
            .await
            .unwrap_err();
        violations(&status)
    };
    let one = |path: &str, reason: &str| vec![(path.to_owned(), reason.to_owned())];
    let empty = pb::IssuanceFilter::default;
    let long = pb::IssuanceFilter {
        keyword: "红".repeat(31),
        ..empty()
    };
    assert_eq!(
        refused(long, 0).await,
        one("filter.keyword", "TEXT_TOO_LONG")
    );
    let alone = pb::IssuanceFilter {
        batch_keyword: "a".into(),
        ..empty()
    };
    assert_eq!(
        refused(alone, 0).await,
        one("filter.batch_keyword", "FIELD_NOT_ALLOWED")
    );
    assert_eq!(refused(empty(), 3).await, one("order", "FIELD_NOT_ALLOWED"));
    assert_eq!(refused(empty(), 9).await, one("order", "ENUM_UNKNOWN"));
    let state = pb::IssuanceFilter {
        states: vec![99],
        ..empty()
    };
    assert_eq!(
        refused(state, 0).await,
        one("filter.states[0]", "ENUM_UNKNOWN")
    );
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let turned = pb::IssuanceFilter {
        create_time_from: at(20),
        create_time_to: at(10),
        ..empty()
    };
    assert_eq!(
        refused(turned, 0).await,
        one("filter.create_time_to", "TIME_RANGE_INVALID")
    );
    // Thirty characters, not bytes, are fine.
    let just = pb::IssuanceFilter {
        keyword: "红".repeat(30),
        ..empty()
    };
    assert!(packets(&app.client, just).await.is_empty());
    app.stop().await;
}
