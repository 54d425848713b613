//! The lists of campaigns, people, shops, apps and accounts.

use std::collections::BTreeSet;

use hongbao::grpc::pb;

use super::quiet;
use crate::support::{SHOP, TestDb, on_both};

on_both!(other_lists_have_pages);

/// Walks a list by pages of two and gives the ids.
macro_rules! walk {
    ($app:expr, $service:ident.$method:ident, $request:expr, $field:ident.$id:ident) => {{
        let mut request = $request;
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
            page_size: 2,
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
            page_size: 2,
            ..Default::default()
        },
        recipients.recipient_id
    );
    assert_eq!(found.len(), 5);
    let found = walk!(
        app,
        admin.list_shops,
        pb::ListShopsRequest {
            page_size: 2,
            ..Default::default()
        },
        shops.shop_id
    );
    assert_eq!(found, [104, 103, 102, 101, 100, SHOP]);
    let found = walk!(
        app,
        admin.list_apps,
        pb::ListAppsRequest {
            page_size: 2,
            ..Default::default()
        },
        apps.app_id
    );
    assert_eq!(found.len(), 6);
    let found = walk!(
        app,
        admin.list_provider_accounts,
        pb::ListProviderAccountsRequest {
            page_size: 2,
            ..Default::default()
        },
        accounts.account_id
    );
    assert_eq!(found, [account]);
    app.stop().await;
}
