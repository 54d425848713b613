//! Pages, filters and masks.

use std::collections::BTreeSet;

use hongbao::grpc::pb;

use crate::support::{Options, SHOP, TestApp, TestDb, on_both};

on_both!(
    pages_hold_still_while_rows_arrive,
    filters_restrict,
    other_lists_have_pages,
    nobody_is_named
);

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

/// Walks a list by pages of two and gives the ids.
macro_rules! walk {
    ($app:expr, $service:ident.$method:ident, $request:expr, $field:ident.$id:ident) => {{
        let mut request = $request;
        request.page_size = 2;
        let mut ids: Vec<i64> = Vec::new();
        loop {
            let page = $app.client.$service().$method(request.clone()).await;
            let page = page.unwrap().into_inner();
            assert!(page.$field.len() <= 2);
            ids.extend(page.$field.iter().map(|row| row.$id));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert!(
            ids.is_sorted_by(|a, b| a > b),
            "newest first, each once: {ids:?}"
        );
        ids
    }};
}

async fn other_lists_have_pages(db: TestDb) {
    let (app, account) = quiet(db).await;
    let client = &app.client;
    let mut campaigns = BTreeSet::new();
    for n in 0..5 {
        let draft = client.draft(SHOP, account, &format!("c{n}"));
        campaigns.insert(client.make_campaign(draft, 0).await);
        client.make_shop(100 + n).await;
        let grant = pb::Grant {
            permissions: vec![1],
            shop_ids: vec![SHOP],
            all_shops: false,
        };
        let new = pb::CreateAppRequest {
            request_id: client.fresh(),
            name: format!("app{n}"),
            grants: vec![grant],
            ..Default::default()
        };
        client.admin().create_app(new).await.unwrap();
    }
    let people: Vec<(String, String)> = (0..5)
        .map(|n| (format!("u{n}"), format!("oU{n}")))
        .collect();
    client.make_people(SHOP, &app.appid(), &people).await;
    client.make_people(100, &app.appid(), &people[..3]).await;
    let found = walk!(
        app,
        campaigns.list_campaigns,
        pb::ListCampaignsRequest {
            shop_id: SHOP,
            ..Default::default()
        },
        campaigns.campaign_id
    );
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), campaigns);
    let found = walk!(
        app,
        audience.list_recipients,
        pb::ListRecipientsRequest {
            shop_id: SHOP,
            ..Default::default()
        },
        recipients.recipient_id
    );
    assert_eq!(found.len(), 5);
    let found = walk!(
        app,
        admin.list_shops,
        pb::ListShopsRequest::default(),
        shops.shop_id
    );
    assert_eq!(found, [104, 103, 102, 101, 100, SHOP]);
    let found = walk!(
        app,
        admin.list_apps,
        pb::ListAppsRequest::default(),
        apps.app_id
    );
    assert_eq!(found.len(), 6);
    let found = walk!(
        app,
        admin.list_provider_accounts,
        pb::ListProviderAccountsRequest::default(),
        accounts.account_id
    );
    assert_eq!(found, [account]);
    app.stop().await;
}

async fn nobody_is_named(db: TestDb) {
    let app = TestApp::start(db).await;
    let campaign = crate::sending::ready(&app, 10_000).await;
    let client = &app.client;
    let (openid, mobile) = ("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "13812345678");
    let person = pb::RecipientInput {
        uid: "u1".into(),
        mobile: mobile.into(),
        openids: vec![pb::OpenidInput {
            appid: app.appid(),
            openid: openid.into(),
        }],
        ..Default::default()
    };
    let upsert = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: "u".into(),
        recipients: vec![person],
        ..Default::default()
    };
    let mut said = vec![format!(
        "{:?}",
        client.audience().upsert_recipients(upsert).await.unwrap()
    )];
    let batch_id = to_users(&app, campaign, &["u1".to_owned()], 1).await;
    let mut send = client.send_request(SHOP, campaign, openid);
    send.wait = true;
    let sent = client.issuances().send_red_packet(send).await.unwrap();
    let issuance = sent.get_ref().issuance.clone().unwrap();
    said.push(format!("{sent:?}"));
    let by = Some(pb::get_recipient_request::Ref::Uid("u1".into()));
    let get = pb::GetRecipientRequest {
        shop_id: SHOP,
        r#ref: by,
    };
    let found = client
        .audience()
        .get_recipient(get)
        .await
        .unwrap()
        .into_inner()
        .recipient
        .unwrap();
    assert_eq!(found.obfuscated_mobile, "138****5678");
    assert_eq!(found.openids[0].obfuscated_openid, "oUpF…eS6o");
    assert_eq!(issuance.obfuscated_openid, "oUpF…eS6o");
    let people = pb::ListRecipientsRequest {
        shop_id: SHOP,
        ..Default::default()
    };
    said.push(format!(
        "{found:?} {:?}",
        client.audience().list_recipients(people).await.unwrap()
    ));
    said.push(format!(
        "{:?}",
        client.get(SHOP, issuance.issuance_id).await
    ));
    said.push(format!("{:?}", all(&app, Default::default()).await));
    let get = pb::GetBatchRequest {
        shop_id: SHOP,
        batch_id,
    };
    said.push(format!(
        "{:?}",
        client.issuances().get_batch(get).await.unwrap()
    ));
    // Nor does a refusal name him.
    let thief = pb::RecipientInput {
        uid: "u2".into(),
        mobile: mobile.into(),
        openids: vec![pb::OpenidInput {
            appid: app.appid(),
            openid: openid.into(),
        }],
        ..Default::default()
    };
    let upsert = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: "t".into(),
        recipients: vec![thief],
        ..Default::default()
    };
    said.push(format!(
        "{:?}",
        client
            .audience()
            .upsert_recipients(upsert)
            .await
            .unwrap_err()
    ));
    let wrong = client
        .send(SHOP, campaign, &format!("{openid}={mobile}"))
        .await;
    said.push(format!("{:?}", wrong.unwrap_err()));
    for text in said {
        assert!(!text.contains(openid) && !text.contains(mobile), "{text}");
    }
    app.stop().await;
}
