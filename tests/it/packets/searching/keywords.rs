//! What a keyword finds, character by character, and what is no search at all.

use hongbao::grpc::pb;

use super::super::{idle, packets, person, upsert};
use super::scene::{Scene, scene};
use crate::support::{SHOP, TestDb, on_both, violations};

on_both!(keywords_mean_themselves, bad_searches_are_refused);

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
