//! The same for batches.

use std::cmp::Reverse;

use hongbao::grpc::pb;

use super::scene::{Scene, scene};
use super::{has, names, pick, time};
use crate::chaos::rng::Rng;
use crate::support::{SHOP, TestDb, on_both};

on_both!(every_filter_of_batches_is_the_models);

fn fits(b: &pb::IssuanceBatch, f: &pb::BatchFilter, names: &[(i64, String, String)]) -> bool {
    let campaign = names
        .iter()
        .find(|(id, _, _)| *id == b.campaign_id)
        .unwrap();
    let by_name = has(&campaign.1, &f.keyword)
        || has(&campaign.2, &f.keyword)
        || b.wx_group_id != 0 && has(&b.group_name, &f.keyword);
    (f.campaign_id == 0 || b.campaign_id == f.campaign_id)
        && (f.wx_group_id == 0 || b.wx_group_id == f.wx_group_id)
        && (!f.groups_only || b.wx_group_id != 0)
        && f.create_time_from
            .is_none_or(|from| time(b.create_time) >= time(Some(from)))
        && f.create_time_to
            .is_none_or(|to| time(b.create_time) < time(Some(to)))
        && (f.keyword.is_empty() || by_name)
}

async fn every_filter_of_batches_is_the_models(db: TestDb) {
    let Scene {
        app,
        campaigns,
        groups,
    } = scene(db).await;
    let client = &app.client;
    let all = pb::ListBatchesRequest {
        shop_id: SHOP,
        page_size: 1_000,
        ..Default::default()
    };
    let rows = client
        .issuances()
        .list_batches(all)
        .await
        .unwrap()
        .into_inner()
        .batches;
    let names = names(&app).await;
    assert!(rows.len() >= 12);
    let mut rng = Rng::new(11);
    let mut hits = 0;
    for n in 0..150 {
        let mut filter = pb::BatchFilter {
            groups_only: rng.percent(30),
            ..Default::default()
        };
        if rng.percent(30) {
            filter.campaign_id = pick(&mut rng, &campaigns);
        }
        if rng.percent(25) {
            filter.wx_group_id = pick(&mut rng, &groups);
        }
        if rng.percent(25) {
            filter.create_time_from = pick(&mut rng, &rows).create_time;
        }
        if rng.percent(25) {
            filter.create_time_to = pick(&mut rng, &rows).create_time;
        }
        if time(filter.create_time_from) > time(filter.create_time_to) {
            filter.create_time_to = None;
        }
        if rng.percent(40) {
            let keywords = [
                "alle", "50%", "%", "spring", "红包", "GEMISCHT", "fixed", "none", "_",
            ];
            filter.keyword = pick(&mut rng, &keywords).to_owned();
        }
        let mut due: Vec<_> = rows.iter().filter(|b| fits(b, &filter, &names)).collect();
        let oldest_first = rng.percent(50);
        due.sort_by_key(|b| (time(b.create_time), b.batch_id));
        if !oldest_first {
            due.sort_by_key(|b| Reverse((time(b.create_time), b.batch_id)));
        }
        let due: Vec<i64> = due.into_iter().map(|b| b.batch_id).collect();
        let skip = if rng.percent(30) { rng.below(6) } else { 0 };
        let mut request = pb::ListBatchesRequest {
            shop_id: SHOP,
            filter: Some(filter.clone()),
            page_size: 1 + i32::try_from(rng.below(5)).unwrap(),
            skip: i32::try_from(skip).unwrap(),
            include_total: true,
            oldest_first,
            ..Default::default()
        };
        let mut found = Vec::new();
        loop {
            let page = client
                .issuances()
                .list_batches(request.clone())
                .await
                .unwrap()
                .into_inner();
            assert_eq!(
                usize::try_from(page.total_count).unwrap(),
                due.len(),
                "{n}: {filter:?}"
            );
            found.extend(page.batches.iter().map(|b| b.batch_id));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
            request.skip = 0;
        }
        assert_eq!(
            found,
            due[usize::try_from(skip).unwrap().min(due.len())..],
            "{n}: {filter:?}"
        );
        hits += usize::from(!due.is_empty());
    }
    assert!(hits > 60, "{hits} of 150 find something");
    app.stop().await;
}
