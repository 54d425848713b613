//! Pages, filters and masks.

mod filters;
mod masks;
mod others;

use hongbao::grpc::pb;

use crate::support::{Options, SHOP, TestApp, TestDb, on_both};

on_both!(pages_hold_still_while_rows_arrive);

/// A server at rest with an account.
async fn quiet(db: TestDb) -> (TestApp, i64) {
    let options = Options {
        dispatcher: false,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    app.client.make_shop(SHOP).await;
    let merchant = app.simulator.merchant();
    let (mch_id, appid) = (merchant.mch_id.clone(), app.appid());
    let account = app.client.make_account(&mch_id, &appid, &[SHOP]).await;
    (app, account)
}

fn list(page_size: i32, filter: pb::IssuanceFilter) -> pb::ListIssuancesRequest {
    pb::ListIssuancesRequest {
        shop_id: SHOP,
        filter: Some(filter),
        page_size,
        ..Default::default()
    }
}

async fn all(app: &TestApp, filter: pb::IssuanceFilter) -> Vec<pb::Issuance> {
    let found = app
        .client
        .issuances()
        .list_issuances(list(500, filter))
        .await;
    found.unwrap().into_inner().issuances
}

async fn to_users(app: &TestApp, campaign_id: i64, uids: &[String], source: i32) -> i64 {
    let request = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: app.client.fresh(),
        campaign_id,
        uids: uids.to_vec(),
        source,
        ..Default::default()
    };
    let sent = app.client.issuances().send_to_users(request).await.unwrap();
    sent.into_inner().batch.unwrap().batch_id
}

async fn pages_hold_still_while_rows_arrive(db: TestDb) {
    let (app, account) = quiet(db).await;
    let campaign = app
        .client
        .make_campaign(app.client.draft(SHOP, account, "c"), 1_000_000)
        .await;
    let people: Vec<(String, String)> = (0..100)
        .map(|n| (format!("u{n}"), format!("oU{n}")))
        .collect();
    app.client.make_people(SHOP, &app.appid(), &people).await;
    let uids: Vec<String> = people.into_iter().map(|(uid, _)| uid).collect();
    to_users(&app, campaign, &uids, 1).await;
    for n in 0..20 {
        app.client
            .send(SHOP, campaign, &format!("oOne{n}"))
            .await
            .unwrap();
    }
    let there: Vec<i64> = all(&app, Default::default())
        .await
        .iter()
        .map(|i| i.issuance_id)
        .collect();
    assert_eq!(there.len(), 120);
    assert!(there.is_sorted_by(|a, b| a > b), "newest first");

    let mut request = list(7, Default::default());
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = app
            .client
            .issuances()
            .list_issuances(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(page.issuances.len() <= 7);
        seen.extend(page.issuances.iter().map(|i| i.issuance_id));
        pages += 1;
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
        app.client
            .send(SHOP, campaign, &format!("oLate{pages}"))
            .await
            .unwrap();
    }
    assert_eq!(seen, there, "each row once, and no later one");
    assert_eq!(pages, 18);

    // Sizes are coerced.
    for (size, due) in [(0, 50), (1, 1), (500, 137), (501, 137), (i32::MAX, 137)] {
        let page = app
            .client
            .issuances()
            .list_issuances(list(size, Default::default()))
            .await;
        assert_eq!(
            page.unwrap().into_inner().issuances.len(),
            due,
            "page_size {size}"
        );
    }
    // A page that is exactly full is followed by an empty one or by none.
    let mut exact = list(137, Default::default());
    let page = app
        .client
        .issuances()
        .list_issuances(exact.clone())
        .await
        .unwrap()
        .into_inner();
    if !page.next_page_token.is_empty() {
        exact.page_token = page.next_page_token;
        let rest = app
            .client
            .issuances()
            .list_issuances(exact)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(rest, pb::ListIssuancesResponse::default());
    }
    app.stop().await;
}
