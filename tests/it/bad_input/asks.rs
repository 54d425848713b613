//! IssuanceService: asking the provider, and reading what was said.

use hongbao::grpc::pb::{self, IssuanceState as S, RefreshOutcome as O};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{OTHER, Table, bad, no, refused};
use crate::support::{SHOP, TestApp, TestDb, on_both, reason};

on_both!(
    refreshes,
    live_questions,
    a_provider_that_is_away_is_said_so
);

async fn refreshes(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let id = client.draft(SHOP, table.account, "open");
    let id = client.make_campaign(id, 1_000).await;
    let queued = client.send(SHOP, id, "oOne").await.unwrap().issuance_id;
    let batch = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: "batch".into(),
        campaign_id: id,
        uids: vec!["nobody".into()],
        source: 1,
        ..Default::default()
    };
    let batch = client.issuances().send_to_users(batch).await.unwrap();
    let failed = batch.into_inner().refused[0].issuance_id;
    let refresh = pb::RefreshStatusRequest {
        shop_id: SHOP,
        issuance_ids: vec![queued, 404_404, failed],
    };
    let done = refused!(table, issuances.refresh_status, refresh.clone(), {
        "#6 none": |r| r.issuance_ids.clear() => bad(&[("issuance_ids", "FIELD_REQUIRED")]),
        "#5 1,001": |r| r.issuance_ids = (1..=1_001).collect() => bad(&[("issuance_ids", "BATCH_TOO_LARGE")]),
        "#4 one twice": |r| r.issuance_ids.push(queued) => bad(&[("issuance_ids[3]", "DUPLICATE_ITEM")]),
        "#7 ids that are none": |r| r.issuance_ids = vec![0, 1, -1] => bad(&[("issuance_ids[0]", "ID_INVALID"), ("issuance_ids[2]", "ID_INVALID")]),
        "no shop": |r| r.shop_id = 0 => bad(&[("shop_id", "FIELD_REQUIRED")]),
    });
    let outcome = |done: &pb::RefreshStatusResponse| {
        let results = done.results.iter();
        results
            .map(|result| (result.issuance_id, result.outcome(), result.state()))
            .collect::<Vec<_>>()
    };
    let due = [
        (queued, O::NotSent, S::Queued),
        (404_404, O::NotFound, S::Unspecified),
        (failed, O::Final, S::Failed),
    ];
    assert_eq!(outcome(&done), due);
    assert_eq!((done.requested_count, done.refreshed_count), (3, 1));
    // #8: another shop's read as those that are not there.
    let theirs = pb::RefreshStatusRequest {
        shop_id: OTHER,
        ..refresh
    };
    let before = table.raw.counts().await;
    let done = client.issuances().refresh_status(theirs).await.unwrap();
    let done = done.into_inner();
    let due = [queued, 404_404, failed].map(|id| (id, O::NotFound, S::Unspecified));
    assert_eq!(outcome(&done), due);
    assert!(
        done.results
            .iter()
            .all(|result| result.last_error.is_empty())
    );
    assert_eq!((done.requested_count, done.refreshed_count), (3, 0));
    assert_eq!(table.raw.counts().await, before);
    table.finish().await;
}

async fn live_questions(db: TestDb) {
    use pb::query_provider_status_request::Ref;
    let table = Table::lively(db).await;
    let client = &table.app.client;
    let id = client.draft(SHOP, table.account, "open");
    let id = client.make_campaign(id, 1_000).await;
    let paid = client.send(SHOP, id, "oAlice").await.unwrap();
    client
        .await_state(SHOP, paid.issuance_id, &[S::Received])
        .await;
    // Nothing is sent of a paused campaign, and so nobody writes beside the rows.
    let still = client.draft(SHOP, table.account, "still");
    let still = client.make_campaign(still, 0).await;
    crate::dispatching::pause(&table.app, still).await;
    let batch = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: "batch".into(),
        campaign_id: id,
        uids: vec!["nobody".into()],
        source: 1,
        ..Default::default()
    };
    let batch = client.issuances().send_to_users(batch).await.unwrap();
    let unsent = batch.into_inner().refused[0].issuance_id;
    let query = pb::QueryProviderStatusRequest {
        shop_id: SHOP,
        r#ref: Some(Ref::MchBillno(paid.mch_billno.clone())),
        ..Default::default()
    };
    let told = refused!(table, issuances.query_provider_status, query, {
        "#6 neither id nor number": |r| r.r#ref = None => bad(&[("issuance_id", "FIELD_REQUIRED")]),
        "#7 an id below zero": |r| r.r#ref = Some(Ref::IssuanceId(-1)) => bad(&[("issuance_id", "ID_INVALID")]),
        "#7 an id that is not there": |r| r.r#ref = Some(Ref::IssuanceId(i64::MAX)) => no(Code::NotFound, "ISSUANCE_NOT_FOUND"),
        "#7 no number": |r| r.r#ref = Some(Ref::MchBillno(String::new())) => bad(&[("mch_billno", "FIELD_REQUIRED")]),
        "#7 a number of 27": |r| r.r#ref = Some(Ref::MchBillno("1".repeat(27))) => bad(&[("mch_billno", "ID_INVALID")]),
        "#7 a number that is not there": |r| r.r#ref = Some(Ref::MchBillno("1".repeat(28))) => no(Code::NotFound, "ISSUANCE_NOT_FOUND"),
        "#8 of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "ISSUANCE_NOT_FOUND"),
        "one that was never sent": |r| r.r#ref = Some(Ref::IssuanceId(unsent)) => no(Code::FailedPrecondition, "ISSUANCE_NOT_SENT"),
    });
    assert_eq!(
        (told.state(), told.outcome.as_str()),
        (S::Received, "RECEIVED")
    );
    let status = told.status.unwrap();
    assert_eq!(status.mch_billno, paid.mch_billno);
    assert_eq!(
        (status.status.as_str(), status.total_amount_fen),
        ("RECEIVED", 100)
    );
    let exchanges = pb::ListProviderExchangesRequest {
        shop_id: SHOP,
        issuance_id: paid.issuance_id,
    };
    let read = refused!(table, issuances.list_provider_exchanges, exchanges, {
        "#7 no packet": |r| r.issuance_id = 0 => bad(&[("issuance_id", "ID_INVALID")]),
        "#7 not there": |r| r.issuance_id = 404_404 => no(Code::NotFound, "ISSUANCE_NOT_FOUND"),
        "#8 of another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "ISSUANCE_NOT_FOUND"),
    });
    let first = &read.exchanges[0];
    assert_eq!(
        (first.call.as_str(), first.outcome.as_str()),
        ("sendredpack", "ACCEPTED")
    );
    let last = read.exchanges.last().unwrap();
    assert_eq!((last.call.as_str(), last.late), ("gethbinfo", true));
    table.finish().await;
}

async fn a_provider_that_is_away_is_said_so(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = crate::sending::ready(&app, 1_000).await;
    let sent = app.client.send(SHOP, campaign, "oAlice").await.unwrap();
    let id = sent.issuance_id;
    app.client.await_state(SHOP, id, &[S::Received]).await;
    let app = app
        .restart(|config| {
            let credential = config.credentials.get_mut("simulator").unwrap();
            credential.base_url = "http://127.0.0.1:1".into();
        })
        .await;
    let query = pb::QueryProviderStatusRequest {
        shop_id: SHOP,
        r#ref: Some(pb::query_provider_status_request::Ref::IssuanceId(id)),
        ..Default::default()
    };
    let answer = app.client.issuances().query_provider_status(query).await;
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(reason(&status), "PROVIDER_UNREACHABLE");
    let details = status.get_error_details();
    assert!(!details.error_info().unwrap().metadata["cause"].is_empty());
    assert!(details.retry_info().is_some());
    // It is evidence, and moves nothing.
    let found = app.client.get(SHOP, id).await.issuance.unwrap();
    assert_eq!((found.state(), found.frozen), (S::Received, false));
    app.assert_sound().await;
    app.stop().await;
}
