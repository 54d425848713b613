//! The journal as a feed: nothing is skipped, whatever commits late; subjects in their order.

mod killed;
#[cfg(feature = "nats")]
mod nats;

use std::collections::BTreeMap;
use std::time::Duration;

use hongbao::app;
use hongbao::grpc::pb::{self, EventSubject, IssuanceState as S};

use crate::sending::ready;
use crate::support::{
    Client, Options, Raw, SHOP, TestApp, TestDb, block_on, on_both, reason, violations,
};

on_both!(
    a_feed_has_every_entry_once_in_order,
    a_stream_goes_on_from_its_cursor,
    filters_choose,
    a_reader_who_polls_while_many_write_skips_nothing,
    an_app_is_not_told_of_products_that_it_may_not_see,
    a_cursor_is_of_its_shop,
);

/// Ten hours a second: packets end soon.
async fn quick(db: TestDb) -> TestApp {
    let options = Options {
        time_scale: 36_000,
        ..Options::default()
    };
    TestApp::start_with(db, options).await
}

/// All events from a cursor on, in parts.
pub async fn all(client: &Client, filter: Option<pb::EventFilter>) -> Vec<pb::Event> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let list = pb::ListEventsRequest {
            shop_id: SHOP,
            cursor,
            page_size: 7,
            filter: filter.clone(),
        };
        let part = client.events().list_events(list).await.unwrap();
        let part = part.into_inner();
        found.extend(part.events);
        cursor = part.cursor;
        if !part.has_more {
            return found;
        }
    }
}

/// Waits until all entries have their places; how many there are.
async fn placed(app: &TestApp) -> i64 {
    let raw = Raw::open(&app.db).await;
    for _ in 0..500 {
        if raw
            .number("SELECT COUNT(*) FROM journal WHERE position IS NULL")
            .await
            == 0
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let count = raw
        .number("SELECT COUNT(*) FROM journal WHERE position IS NOT NULL")
        .await;
    let all = raw.number("SELECT COUNT(*) FROM journal").await;
    assert_eq!(count, all, "some have no place");
    raw.close().await;
    count
}

/// Places go up by one, and the changes of each subject, too.
fn in_order(events: &[pb::Event]) {
    let mut seqs: BTreeMap<(i32, i64), i64> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.position, i64::try_from(index).unwrap() + 1);
        assert_eq!(event.event_id, format!("evt_{SHOP}_{}", event.position));
        let seq = seqs.entry((event.subject, event.subject_id)).or_default();
        let next = if event.line > 0 { *seq } else { *seq + 1 };
        assert_eq!(event.seq, next, "{event:?}");
        *seq = event.seq;
    }
}

async fn sent(app: &TestApp, campaign: i64, openid: &str) -> i64 {
    let packet = app.client.send(SHOP, campaign, openid).await.unwrap();
    let id = packet.issuance_id;
    app.client
        .await_state(SHOP, id, &[S::Received, S::Refunded, S::Failed])
        .await;
    id
}

async fn a_feed_has_every_entry_once_in_order(db: TestDb) {
    let app = quick(db).await;
    let campaign = ready(&app, 100_000).await;
    for n in 0..12 {
        sent(&app, campaign, &format!("oFeed{n}")).await;
    }
    let count = placed(&app).await;
    let events = all(&app.client, None).await;
    assert_eq!(i64::try_from(events.len()).unwrap(), count);
    in_order(&events);
    let packet = events
        .iter()
        .find(|event| event.r#type == "issuance.sent")
        .unwrap();
    assert_eq!(packet.subject(), EventSubject::Issuance);
    assert_eq!(packet.to_state, "SENT");
    let facts = packet.facts.clone().unwrap();
    assert_eq!((facts.campaign_id, facts.face_fen), (campaign, 100));
    assert!(!facts.mch_billno.is_empty() && !facts.request_id.is_empty());
    app.stop().await;
}

async fn a_stream_goes_on_from_its_cursor(db: TestDb) {
    let app = quick(db).await;
    let campaign = ready(&app, 100_000).await;
    let watch = |cursor: String| pb::WatchEventsRequest {
        shop_id: SHOP,
        from_beginning: cursor.is_empty(),
        cursor,
        filter: None,
    };
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for n in 0..6 {
        // A reader that breaks off in the middle of what there is.
        sent(&app, campaign, &format!("oWatch{n}")).await;
        let mut events = app.client.events();
        let mut stream = events
            .watch_events(watch(cursor.clone()))
            .await
            .unwrap()
            .into_inner();
        for _ in 0..=n {
            let message = stream.message().await.unwrap().unwrap();
            cursor = message.cursor;
            seen.extend(message.event);
        }
    }
    let count = placed(&app).await;
    let mut events = app.client.events();
    let mut stream = events
        .watch_events(watch(cursor))
        .await
        .unwrap()
        .into_inner();
    while i64::try_from(seen.len()).unwrap() < count {
        let message = stream.message().await.unwrap().unwrap();
        seen.extend(message.event);
    }
    in_order(&seen);
    // From now on: at first where it stands, then what happens.
    let from_now = pb::WatchEventsRequest {
        shop_id: SHOP,
        ..Default::default()
    };
    let mut stream = events.watch_events(from_now).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert!(first.event.is_none() && !first.cursor.is_empty());
    sent(&app, campaign, "oLater").await;
    let next = stream.message().await.unwrap().unwrap().event.unwrap();
    assert_eq!(next.position, count + 1);
    assert_eq!(next.from_state, "");
    app.stop().await;
}

async fn filters_choose(db: TestDb) {
    let app = quick(db).await;
    let campaign = ready(&app, 100_000).await;
    let one = sent(&app, campaign, "oOne").await;
    sent(&app, campaign, "oTwo").await;
    let batch = pb::SendToUsersRequest {
        shop_id: SHOP,
        request_id: app.client.fresh(),
        campaign_id: campaign,
        uids: vec!["nobody".into()],
        source: 1,
        ..Default::default()
    };
    let batch = app.client.issuances().send_to_users(batch).await.unwrap();
    let batch_id = batch.into_inner().batch.unwrap().batch_id;
    placed(&app).await;
    let found = async |filter: pb::EventFilter| {
        let events = all(&app.client, Some(filter)).await;
        let names = events
            .into_iter()
            .map(|event| (event.r#type, event.subject_id));
        names.collect::<Vec<_>>()
    };
    let of = |types: &[&str]| pb::EventFilter {
        types: types.iter().map(|t| (*t).to_owned()).collect(),
        ..Default::default()
    };
    let sends = found(of(&["issuance.sent"])).await;
    assert_eq!(sends.len(), 2, "{sends:?}");
    let campaigns = found(of(&["campaign.*"])).await;
    assert!(
        campaigns.len() >= 3 && campaigns.iter().all(|(_, id)| *id == campaign),
        "{campaigns:?}"
    );
    let packet = found(pb::EventFilter {
        issuance_id: one,
        ..Default::default()
    })
    .await;
    assert!(
        packet.len() >= 3 && packet.iter().all(|(_, id)| *id == one),
        "{packet:?}"
    );
    let of_batch = found(pb::EventFilter {
        batch_id,
        ..Default::default()
    })
    .await;
    assert!(
        !of_batch.is_empty() && of_batch.iter().all(|(_, id)| *id != one),
        "{of_batch:?}"
    );
    let of_campaign = found(pb::EventFilter {
        campaign_id: campaign,
        ..Default::default()
    })
    .await;
    assert_eq!(of_campaign.len(), all(&app.client, None).await.len());
    let nothing = found(of(&["voucher.*", "issuance.resent"])).await;
    assert!(nothing.is_empty());
    app.stop().await;
}

async fn a_reader_who_polls_while_many_write_skips_nothing(db: TestDb) {
    let app = quick(db).await;
    let campaign = ready(&app, 1_000_000).await;
    let senders = (0..8).map(|n| {
        let client = app.client.clone();
        tokio::spawn(async move {
            for m in 0..20 {
                client
                    .send(SHOP, campaign, &format!("oMany{n}-{m}"))
                    .await
                    .unwrap();
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    let watcher = {
        let client = app.client.clone();
        tokio::spawn(async move {
            let mut events = client.events();
            let watch = pb::WatchEventsRequest {
                shop_id: SHOP,
                from_beginning: true,
                ..Default::default()
            };
            let mut stream = events.watch_events(watch).await.unwrap().into_inner();
            let (mut seen, mut ended) = (Vec::new(), 0);
            while ended < 160 {
                let Some(event) = stream.message().await.unwrap().unwrap().event else {
                    continue;
                };
                let over = ["RECEIVED", "REFUNDED", "FAILED"].contains(&&*event.to_state);
                ended += usize::from(over && event.subject() == EventSubject::Issuance);
                seen.push(event);
            }
            seen
        })
    };
    for sender in senders {
        sender.await.unwrap();
    }
    let seen = watcher.await.unwrap();
    in_order(&seen);
    let count = placed(&app).await;
    assert!(i64::try_from(seen.len()).unwrap() <= count);
    app.assert_sound().await;
    app.stop().await;
}

/// Two servers give places to the same shop.
#[test]
fn two_servers_give_each_place_once() {
    block_on(async {
        let app = TestApp::start_with(TestDb::postgres(), Options::default()).await;
        let campaign = ready(&app, 1_000_000).await;
        let other = app::start(&app.config).await.unwrap();
        let second = Client::connect(other.grpc_addr, &app.key).await;
        for n in 0..40 {
            let client = if n % 2 == 0 { &app.client } else { &second };
            client
                .send(SHOP, campaign, &format!("oBoth{n}"))
                .await
                .unwrap();
        }
        for packet in 0..100 {
            let seen = all(
                &app.client,
                Some(pb::EventFilter {
                    types: vec!["issuance.received".into(), "issuance.refunded".into()],
                    ..Default::default()
                }),
            )
            .await;
            if seen.len() >= 40 {
                break;
            }
            assert!(packet < 99, "{} of 40", seen.len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        placed(&app).await;
        in_order(&all(&second, None).await);
        other.shutdown().await;
        app.stop().await;
    });
}

async fn an_app_is_not_told_of_products_that_it_may_not_see(db: TestDb) {
    let options = Options {
        time_scale: 1,
        dispatcher: false,
        tells: true,
        ..Options::default()
    };
    let app = TestApp::start_with(db, options).await;
    let client = app.client.clone();
    client.make_shop(SHOP).await;
    let scene = crate::vouchers::Scene { app, client };
    let product = scene.product_with("secret", |_| {}).await;
    let gift = scene.gift("secret", "13912345678");
    scene.try_give(gift).await.unwrap();
    placed(&scene.app).await;
    let ours = all(&scene.client, None).await;
    let given = ours.iter().find(|event| event.r#type == "voucher.given");
    let voucher_id = given.unwrap().subject_id;
    let of_one = pb::EventFilter {
        voucher_id,
        ..Default::default()
    };
    let of_one = all(&scene.client, Some(of_one)).await;
    let types: Vec<&str> = of_one.iter().map(|event| &*event.r#type).collect();
    assert_eq!(types, ["voucher.given"]);
    let grants = vec![pb::Grant {
        permissions: vec![pb::Permission::EventRead.into()],
        shop_ids: vec![SHOP],
        all_shops: false,
    }];
    let new = pb::CreateAppRequest {
        request_id: scene.client.fresh(),
        name: "stranger".into(),
        grants,
        ..Default::default()
    };
    let made = scene
        .client
        .admin()
        .create_app(new)
        .await
        .unwrap()
        .into_inner();
    let stranger = scene.client.with_key(Some(&made.api_key));
    let theirs = all(&stranger, None).await;
    let products = [EventSubject::Product, EventSubject::Voucher];
    assert!(
        theirs
            .iter()
            .all(|event| !products.contains(&event.subject()))
    );
    let grant = pb::SetVoucherProductGrantsRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        product_id: product,
        grants: vec![pb::VoucherProductGrant {
            app_id: made.app.unwrap().app_id,
            may_see: true,
            ..Default::default()
        }],
        ..Default::default()
    };
    scene
        .client
        .vouchers()
        .set_voucher_product_grants(grant)
        .await
        .unwrap();
    placed(&scene.app).await;
    let theirs = all(&stranger, None).await;
    assert!(theirs.iter().any(|event| event.r#type == "voucher.given"));
    scene.close().await;
}

async fn a_cursor_is_of_its_shop(db: TestDb) {
    let app = quick(db).await;
    ready(&app, 1_000).await;
    app.client.make_shop(2).await;
    let list = |shop_id, cursor: &str| pb::ListEventsRequest {
        shop_id,
        cursor: cursor.to_owned(),
        ..Default::default()
    };
    let mut events = app.client.events();
    let ours = events
        .list_events(list(SHOP, ""))
        .await
        .unwrap()
        .into_inner()
        .cursor;
    events.list_events(list(SHOP, &ours)).await.unwrap();
    for (shop, cursor) in [(2, ours.as_str()), (SHOP, "AAAA"), (SHOP, "1")] {
        let status = events.list_events(list(shop, cursor)).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_FIELDS");
        assert_eq!(
            violations(&status),
            [("cursor".into(), "CURSOR_INVALID".into())]
        );
    }
    app.stop().await;
}
