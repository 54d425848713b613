//! Every filter of seed 000 and every order, held against a model: all rows, kept
//! and sorted here. Random combinations, pages and totals must give the same ids.

mod batches;
mod keywords;
mod scene;

use std::cmp::Reverse;

use hongbao::grpc::pb::{self, IssuanceState as S};

use super::packets;
use crate::chaos::rng::Rng;
use crate::support::{SHOP, TestApp, TestDb, on_both};
use scene::{Scene, scene};

on_both!(every_filter_of_issuances_is_the_models);

fn time(at: Option<prost_types::Timestamp>) -> (i64, i32) {
    at.map_or((0, 0), |at| (at.seconds, at.nanos))
}

/// Whether one text contains another, whatever the case.
fn has(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// Code and act_name of a campaign as they are now.
async fn names(app: &TestApp) -> Vec<(i64, String, String)> {
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
        let by_word = !filter.keyword.is_empty() || !filter.batch_keyword.is_empty();
        searched += usize::from(!due.is_empty() && by_word);
    }
    assert!(
        hits > 60 && searched > 10,
        "{hits} and {searched} of 250 find something"
    );
    app.assert_sound().await;
    app.stop().await;
}
