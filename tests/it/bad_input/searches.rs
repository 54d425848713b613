//! IssuanceService: how lists are filtered, ordered and paged.

use hongbao::grpc::pb::{self, IssuanceOrder};
use tonic::Status;

use super::many::{make_branches, splits};
use super::{OTHER, Table, bad, refused, time};
use crate::support::{SHOP, TestDb, on_both};

on_both!(lists_of_packets, lists_of_batches, broad_keywords);

/// Three packets, two of them in batches.
async fn ready(db: TestDb) -> (Table, i64, i64) {
    let table = Table::start(db).await;
    make_branches(&table).await;
    let client = &table.app.client;
    let id = client
        .make_campaign(splits(&table, "code", 0, 0), 10_000)
        .await;
    let people = ["ann", "anna"].map(|uid| (uid.to_owned(), format!("o-{uid}")));
    client.make_people(SHOP, &table.app.appid(), &people).await;
    let mut batch_id = 0;
    for uids in [
        vec!["ann".to_owned(), "anna".to_owned()],
        vec!["ann".to_owned()],
    ] {
        let send = pb::SendToUsersRequest {
            shop_id: SHOP,
            request_id: client.fresh(),
            campaign_id: id,
            pot_fen: 150 * i64::try_from(uids.len()).unwrap(),
            uids,
            source: 1,
            ..Default::default()
        };
        let sent = client.issuances().send_to_users(send).await.unwrap();
        batch_id = sent.into_inner().batch.unwrap().batch_id;
    }
    (table, id, batch_id)
}

async fn lists_of_packets(db: TestDb) {
    let (table, campaign_id, batch_id) = ready(db).await;
    let client = &table.app.client;
    let filter = |change: fn(&mut pb::IssuanceFilter)| {
        let mut filter = pb::IssuanceFilter {
            campaign_id,
            ..Default::default()
        };
        change(&mut filter);
        Some(filter)
    };
    let list = |order: IssuanceOrder| pb::ListIssuancesRequest {
        shop_id: SHOP,
        filter: filter(|_| {}),
        page_size: 1,
        order: order.into(),
        ..Default::default()
    };
    let page = async |request| {
        let page = client.issuances().list_issuances(request).await.unwrap();
        page.into_inner().next_page_token
    };
    let newest = page(list(IssuanceOrder::NewestFirst)).await;
    let largest = page(list(IssuanceOrder::LargestFirst)).await;
    let named = page(pb::ListIssuancesRequest {
        filter: filter(|f| f.keyword = "cod".into()),
        ..list(IssuanceOrder::NewestFirst)
    });
    let named = named.await;
    assert!(!newest.is_empty() && !largest.is_empty() && !named.is_empty());
    let batches = pb::ListBatchesRequest {
        shop_id: SHOP,
        page_size: 1,
        ..Default::default()
    };
    let batches = client.issuances().list_batches(batches).await.unwrap();
    let batches = batches.into_inner().next_page_token;
    let good = pb::ListIssuancesRequest {
        page_token: largest.clone(),
        include_total: true,
        ..list(IssuanceOrder::LargestFirst)
    };
    let found = refused!(table, issuances.list_issuances, good, {
        "#27 a negative page": |r| r.page_size = -1 => bad(&[("page_size", "OUT_OF_RANGE")]),
        "#28 an order that is not known": |r| { r.order = 5; r.page_token.clear(); } => bad(&[("order", "ENUM_UNKNOWN")]),
        "#28 an order below zero": |r| { r.order = -1; r.page_token.clear(); } => bad(&[("order", "ENUM_UNKNOWN")]),
        "#28 by amount in a whole shop": |r| { r.filter = None; r.page_token.clear(); } => bad(&[("order", "FIELD_NOT_ALLOWED")]),
        "#27 a skip below zero": |r| { r.skip = -1; r.page_token.clear(); } => bad(&[("skip", "OUT_OF_RANGE")]),
        "#27 a skip of 10,001": |r| { r.skip = 10_001; r.page_token.clear(); } => bad(&[("skip", "OUT_OF_RANGE")]),
        "#27 the largest skip": |r| { r.skip = i32::MAX; r.page_token.clear(); } => bad(&[("skip", "OUT_OF_RANGE")]),
        "a skip and a token": |r| r.skip = 1 => bad(&[("skip", "FIELD_NOT_ALLOWED")]),
        "#47 a token of another order": |r| r.page_token = newest.clone() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token of another order, with as many keys": |r| r.order = IssuanceOrder::SmallestFirst.into() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token of another filter": |r| r.filter = filter(|f| f.source = 2) => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token without its filter": |r| { r.order = 1; r.page_token = newest.clone(); r.filter = None; } => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token of another keyword": |r| { r.order = 1; r.page_token = named.clone(); r.filter = filter(|f| f.keyword = "code".into()); }
            => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token of another list": |r| { r.order = 1; r.page_token = batches.clone(); } => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token of another shop": |r| r.shop_id = OTHER => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#37 an amount type that is not known": |r| { r.page_token.clear(); r.filter = filter(|f| f.amount_type = 5); } => bad(&[("filter.amount_type", "ENUM_UNKNOWN")]),
        "#29 a keyword of 31 characters": |r| { r.page_token.clear(); r.filter = filter(|f| f.keyword = "红".repeat(31)); } => bad(&[("filter.keyword", "TEXT_TOO_LONG")]),
        "#29 a keyword of 10,000 characters": |r| { r.page_token.clear(); r.filter = filter(|f| f.keyword = "x".repeat(10_000)); } => bad(&[("filter.keyword", "TEXT_TOO_LONG")]),
        "a keyword for a batch, and no batch": |r| { r.page_token.clear(); r.filter = filter(|f| f.batch_keyword = "ann".into()); } => bad(&[("filter.batch_keyword", "FIELD_NOT_ALLOWED")]),
        "two keywords": |r| { r.page_token.clear(); r.filter = filter(|f| { f.keyword = "a".into(); f.batch_id = 1; f.batch_keyword = "b".into(); }); }
            => bad(&[("filter.batch_keyword", "FIELD_NOT_ALLOWED")]),
        "all at once": |r| r = pb::ListIssuancesRequest {
            shop_id: SHOP, page_size: -1, page_token: "?".into(), skip: -1, order: 3,
            filter: Some(pb::IssuanceFilter { amount_type: -1, keyword: "x".repeat(31), batch_keyword: "y".repeat(31), ..Default::default() }),
            ..Default::default()
        } => bad(&[("filter.amount_type", "ENUM_UNKNOWN"), ("filter.keyword", "TEXT_TOO_LONG"), ("filter.batch_keyword", "TEXT_TOO_LONG"),
                   ("filter.batch_keyword", "FIELD_NOT_ALLOWED"), ("filter.batch_keyword", "FIELD_NOT_ALLOWED"), ("order", "FIELD_NOT_ALLOWED"),
                   ("page_size", "OUT_OF_RANGE"), ("page_token", "PAGE_TOKEN_INVALID"), ("skip", "OUT_OF_RANGE")]),
    });
    assert_eq!((found.issuances.len(), found.total_count), (1, 3));
    // The bounds themselves are good; #29: signs of other languages mean themselves.
    for (request, due) in [
        (
            pb::ListIssuancesRequest {
                skip: 10_000,
                page_size: 9,
                ..list(IssuanceOrder::OldestFirst)
            },
            0,
        ),
        (
            pb::ListIssuancesRequest {
                skip: 2,
                page_size: 9,
                ..list(IssuanceOrder::SmallestFirst)
            },
            1,
        ),
        (
            pb::ListIssuancesRequest {
                page_size: 9,
                filter: filter(|f| f.keyword = "%".into()),
                ..list(IssuanceOrder::NewestFirst)
            },
            0,
        ),
        (
            pb::ListIssuancesRequest {
                page_size: 9,
                filter: filter(|f| f.keyword = "c_d".into()),
                ..list(IssuanceOrder::NewestFirst)
            },
            0,
        ),
        (
            pb::ListIssuancesRequest {
                page_size: 9,
                filter: filter(|f| f.keyword = "\\".into()),
                ..list(IssuanceOrder::NewestFirst)
            },
            0,
        ),
        (
            pb::ListIssuancesRequest {
                page_size: 9,
                filter: filter(|f| f.keyword = "' OR 1=1 --".into()),
                ..list(IssuanceOrder::NewestFirst)
            },
            0,
        ),
        (
            pb::ListIssuancesRequest {
                page_size: 9,
                filter: filter(|f| f.keyword = "CODE".into()),
                ..list(IssuanceOrder::NewestFirst)
            },
            3,
        ),
    ] {
        let shown = format!("{request:?}");
        let found = client.issuances().list_issuances(request).await.unwrap();
        assert_eq!(found.into_inner().issuances.len(), due, "{shown}");
    }
    assert!(batch_id > 0);
    table.finish().await;
}

async fn lists_of_batches(db: TestDb) {
    let (table, campaign_id, _) = ready(db).await;
    let client = &table.app.client;
    let filter = |change: fn(&mut pb::BatchFilter)| {
        let mut filter = pb::BatchFilter {
            campaign_id,
            ..Default::default()
        };
        change(&mut filter);
        Some(filter)
    };
    let list = |oldest_first| pb::ListBatchesRequest {
        shop_id: SHOP,
        filter: filter(|_| {}),
        page_size: 1,
        oldest_first,
        ..Default::default()
    };
    let page = async |request| {
        let page = client.issuances().list_batches(request).await.unwrap();
        page.into_inner().next_page_token
    };
    let (newest, oldest) = (page(list(false)).await, page(list(true)).await);
    let packets = pb::ListIssuancesRequest {
        shop_id: SHOP,
        page_size: 1,
        ..Default::default()
    };
    let packets = client.issuances().list_issuances(packets).await.unwrap();
    let packets = packets.into_inner().next_page_token;
    let good = pb::ListBatchesRequest {
        page_token: newest.clone(),
        include_total: true,
        ..list(false)
    };
    let found = refused!(table, issuances.list_batches, good, {
        "#27 a negative page": |r| r.page_size = i32::MIN => bad(&[("page_size", "OUT_OF_RANGE")]),
        "#27 a skip below zero": |r| { r.skip = -1; r.page_token.clear(); } => bad(&[("skip", "OUT_OF_RANGE")]),
        "#27 a skip of 10,001": |r| { r.skip = 10_001; r.page_token.clear(); } => bad(&[("skip", "OUT_OF_RANGE")]),
        "a skip and a token": |r| r.skip = 10_000 => bad(&[("skip", "FIELD_NOT_ALLOWED")]),
        "#47 a token of another order": |r| r.page_token = oldest.clone() => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token of another filter": |r| r.filter = filter(|f| f.groups_only = true) => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token without its filter": |r| r.filter = None => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token of another list": |r| { r.filter = None; r.page_token = packets.clone(); } => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 a token of another shop": |r| r.shop_id = OTHER => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "#47 half a token": |r| { r.page_token.pop(); } => bad(&[("page_token", "PAGE_TOKEN_INVALID")]),
        "ids below zero": |r| { r.page_token.clear(); r.filter = filter(|f| { f.campaign_id = -1; f.wx_group_id = -1; }); }
            => bad(&[("filter.campaign_id", "ID_INVALID"), ("filter.wx_group_id", "ID_INVALID")]),
        "#29 a keyword of 31 characters": |r| { r.page_token.clear(); r.filter = filter(|f| f.keyword = "红".repeat(31)); } => bad(&[("filter.keyword", "TEXT_TOO_LONG")]),
        "times that are none": |r| { r.page_token.clear(); r.filter = filter(|f| { f.create_time_from = time(-1); f.create_time_to = time(i64::MAX); }); }
            => bad(&[("filter.create_time_from", "TIME_RANGE_INVALID"), ("filter.create_time_to", "TIME_RANGE_INVALID")]),
        "a time that runs back": |r| { r.page_token.clear(); r.filter = filter(|f| { f.create_time_from = time(2); f.create_time_to = time(1); }); }
            => bad(&[("filter.create_time_to", "TIME_RANGE_INVALID")]),
        "keyword and skip at once": |r| { r.page_token.clear(); r.skip = -1; r.filter = filter(|f| f.keyword = "x".repeat(31)); }
            => bad(&[("filter.keyword", "TEXT_TOO_LONG"), ("skip", "OUT_OF_RANGE")]),
    });
    assert_eq!((found.batches.len(), found.total_count), (1, 2));
    table.finish().await;
}

/// #29: 10,000 matches are looked at, one more is too many. They are put there by hand.
async fn broad_keywords(db: TestDb) {
    let (table, _, batch_id) = ready(db).await;
    let client = &table.app.client;
    let crowd = async |kind: &str, gram: &str, from: i64, to: i64| {
        let text = format!(
            "INSERT INTO search_gram (shop_id, kind, gram, ref_id) \
             WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to}) \
             SELECT {SHOP}, '{kind}', '{gram}', 1000000000 + i FROM n"
        );
        table.raw.run(&text).await;
    };
    for (kind, gram) in [("RECIPIENT", "r"), ("CAMPAIGN", "c"), ("GROUP", "g")] {
        // "code" has a "c" of its own.
        let own = i64::from(gram == "c");
        crowd(kind, gram, 1 + own, 10_000).await;
    }
    let ask = async |what: &str, keyword: &str| -> Result<(), Status> {
        let (shop_id, keyword) = (SHOP, keyword.to_owned());
        let client = client.clone();
        match what {
            "people" => {
                let request = pb::ListRecipientsRequest {
                    shop_id,
                    keyword,
                    ..Default::default()
                };
                client.audience().list_recipients(request).await.map(drop)
            }
            "groups" => {
                let request = pb::ListGroupsRequest {
                    shop_id,
                    keyword,
                    ..Default::default()
                };
                client.audience().list_groups(request).await.map(drop)
            }
            "campaigns" => {
                let request = pb::ListCampaignsRequest {
                    shop_id,
                    keyword,
                    ..Default::default()
                };
                client.campaigns().list_campaigns(request).await.map(drop)
            }
            "batches" => {
                let filter = Some(pb::BatchFilter {
                    keyword,
                    ..Default::default()
                });
                let request = pb::ListBatchesRequest {
                    shop_id,
                    filter,
                    ..Default::default()
                };
                client.issuances().list_batches(request).await.map(drop)
            }
            "packets" => {
                let filter = Some(pb::IssuanceFilter {
                    keyword,
                    ..Default::default()
                });
                let request = pb::ListIssuancesRequest {
                    shop_id,
                    filter,
                    ..Default::default()
                };
                client.issuances().list_issuances(request).await.map(drop)
            }
            _ => {
                let batch_keyword = keyword;
                let filter = Some(pb::IssuanceFilter {
                    batch_id,
                    batch_keyword,
                    ..Default::default()
                });
                let request = pb::ListIssuancesRequest {
                    shop_id,
                    filter,
                    ..Default::default()
                };
                client.issuances().list_issuances(request).await.map(drop)
            }
        }
    };
    let rows = [
        ("people", "r", "keyword"),
        ("groups", "g", "keyword"),
        ("campaigns", "c", "keyword"),
        ("batches", "c", "filter.keyword"),
        ("batches", "g", "filter.keyword"),
        ("packets", "r", "filter.keyword"),
        ("packets", "c", "filter.keyword"),
        ("packets of a batch", "r", "filter.batch_keyword"),
    ];
    for (what, keyword, _) in rows {
        let answer = ask(what, keyword).await;
        assert!(answer.is_ok(), "10,000 {what} of {keyword}: {answer:?}");
    }
    for (kind, gram) in [("RECIPIENT", "r"), ("CAMPAIGN", "c"), ("GROUP", "g")] {
        crowd(kind, gram, 10_001, 10_001).await;
    }
    let before = table.raw.counts().await;
    for (what, keyword, path) in rows {
        let answer = ask(what, keyword).await;
        let want = bad(&[(path, "KEYWORD_TOO_BROAD")]);
        table
            .judge(
                &format!("10,001 {what} of {keyword}"),
                &before,
                answer,
                &want,
            )
            .await;
    }
    table.finish().await;
}

/// All that is wrong is said at once.
#[test]
fn keywords_are_read_whatever_else_is_wrong() {
    crate::support::block_on(async {
        let (table, ..) = ready(TestDb::sqlite()).await;
        let list = pb::ListIssuancesRequest {
            shop_id: SHOP,
            ..Default::default()
        };
        refused!(table, issuances.list_issuances, list, {
            "time and keyword": |r| r.filter = Some(pb::IssuanceFilter {
                create_time_from: time(-1), amount_type: 9, keyword: "x".repeat(31), ..Default::default()
            }) => bad(&[("filter.create_time_from", "TIME_RANGE_INVALID"), ("filter.amount_type", "ENUM_UNKNOWN"), ("filter.keyword", "TEXT_TOO_LONG")]),
        });
        table.finish().await;
    });
}
