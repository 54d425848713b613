//! Which packets a filter keeps, at once and page by page.

use hongbao::grpc::pb;

use super::{all, list, quiet, to_users};
use crate::support::{SHOP, TestDb, on_both};

on_both!(filters_restrict);

async fn filters_restrict(db: TestDb) {
    let (app, account) = quiet(db).await;
    let one = app
        .client
        .make_campaign(app.client.draft(SHOP, account, "one"), 1_000_000)
        .await;
    let two = app
        .client
        .make_campaign(app.client.draft(SHOP, account, "two"), 1_000_000)
        .await;
    let people: Vec<(String, String)> = (0..9)
        .map(|n| (format!("u{n}"), format!("oU{n}")))
        .collect();
    app.client.make_people(SHOP, &app.appid(), &people).await;
    let mut uids: Vec<String> = people.into_iter().map(|(uid, _)| uid).collect();
    uids.push("nobody".to_owned());
    let first = to_users(&app, one, &uids, 1).await;
    let second = to_users(&app, two, &uids[..4], 2).await;
    app.client.send(SHOP, two, "oSingle").await.unwrap();
    let everything = all(&app, Default::default()).await;
    assert_eq!(everything.len(), 15);
    let middle = everything[3].create_time;
    let empty = pb::IssuanceFilter::default;
    use pb::IssuanceState as S;
    type Keeps = fn(&pb::Issuance, &(i64, i64, i64, Option<prost_types::Timestamp>)) -> bool;
    let ids = (one, first, second, middle);
    let at = |time: &Option<prost_types::Timestamp>| time.map(|t| (t.seconds, t.nanos));
    let later = everything
        .iter()
        .filter(|i| at(&i.create_time) >= at(&middle))
        .count();
    let cases: Vec<(&str, pb::IssuanceFilter, usize, Keeps)> = vec![
        (
            "campaign",
            pb::IssuanceFilter {
                campaign_id: one,
                ..empty()
            },
            10,
            |i, k| i.campaign_id == k.0,
        ),
        (
            "batch",
            pb::IssuanceFilter {
                batch_id: second,
                ..empty()
            },
            4,
            |i, k| i.batch_id == k.2,
        ),
        (
            "state",
            pb::IssuanceFilter {
                states: vec![S::Failed.into()],
                ..empty()
            },
            1,
            |i, _| i.uid == "nobody",
        ),
        (
            "states",
            pb::IssuanceFilter {
                states: vec![S::Failed.into(), S::Queued.into()],
                ..empty()
            },
            15,
            |_, _| true,
        ),
        (
            "no such state",
            pb::IssuanceFilter {
                states: vec![S::Review.into()],
                ..empty()
            },
            0,
            |_, _| false,
        ),
        (
            "source",
            pb::IssuanceFilter {
                source: 2,
                ..empty()
            },
            4,
            |i, _| i.source == 2,
        ),
        (
            "uid",
            pb::IssuanceFilter {
                uid: "u3".into(),
                ..empty()
            },
            2,
            |i, _| i.uid == "u3",
        ),
        (
            "a uid that is no pattern",
            pb::IssuanceFilter {
                uid: "u%".into(),
                ..empty()
            },
            0,
            |_, _| false,
        ),
        (
            "uid and campaign",
            pb::IssuanceFilter {
                uid: "u3".into(),
                campaign_id: one,
                ..empty()
            },
            1,
            |i, k| i.batch_id == k.1,
        ),
        (
            "from",
            pb::IssuanceFilter {
                create_time_from: middle,
                ..empty()
            },
            later,
            |_, _| true,
        ),
        (
            "to, exclusive",
            pb::IssuanceFilter {
                create_time_to: middle,
                ..empty()
            },
            15 - later,
            |_, _| true,
        ),
        (
            "from and to",
            pb::IssuanceFilter {
                create_time_from: middle,
                create_time_to: middle,
                ..empty()
            },
            0,
            |_, _| false,
        ),
    ];
    for (name, filter, count, keeps) in cases {
        let found = all(&app, filter.clone()).await;
        assert_eq!(found.len(), count, "{name}");
        assert!(found.iter().all(|i| keeps(i, &ids)), "{name}: {found:?}");
        // The same rows page by page.
        let (mut request, mut paged) = (list(3, filter), Vec::new());
        loop {
            let page = app
                .client
                .issuances()
                .list_issuances(request.clone())
                .await
                .unwrap()
                .into_inner();
            paged.extend(page.issuances);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!(paged, found, "{name}");
    }
    app.stop().await;
}
