//! Gifts: what bounds them, whom they make, and that one order is one gift.

use hongbao::grpc::pb;
use tokio::task::JoinSet;

use super::{Scene, by_uid, owner};
use crate::support::{SHOP, TestDb, fact, on_both, reason};

on_both!(
    budget_stock_and_caps_bound_gifts,
    a_batch_is_given_whole_or_not_at_all,
    one_order_is_one_gift_however_often_it_is_called,
    somebody_new_is_made_once_and_found_by_his_number_later,
    a_pause_stops_gifts_and_spends_and_an_end_only_gifts,
);

const ANNA: &str = "13912345678";

async fn budget_stock_and_caps_bound_gifts(db: TestDb) {
    let scene = Scene::open(db).await;
    let bounded = |new: &mut pb::CreateVoucherProductRequest| {
        new.stock_count = 5;
        new.max_face_fen = 20_000;
        let cap = |count| {
            Some(pb::Cap {
                count,
                amount_fen: 0,
            })
        };
        new.caps = Some(pb::VoucherCaps {
            recipient: cap(2),
            recipient_day: None,
            day: cap(4),
        });
    };
    let product = scene.product_with("bounded", bounded).await;
    let gift = |mobile: &str, face_fen| pb::GiveVoucherRequest {
        face_fen,
        ..scene.gift("bounded", mobile)
    };
    let refused = async |gift| reason(&scene.try_give(gift).await.unwrap_err());
    assert_eq!(
        refused(gift(ANNA, 0)).await,
        "INVALID_FIELDS",
        "it is not fixed"
    );
    assert_eq!(refused(gift(ANNA, 20_001)).await, "INVALID_FIELDS");
    scene.try_give(gift(ANNA, 10_000)).await.unwrap();
    scene.try_give(gift(ANNA, 20_000)).await.unwrap();
    assert_eq!(refused(gift(ANNA, 10_000)).await, "RECIPIENT_LIMIT");
    scene.try_give(gift("13900000001", 10_000)).await.unwrap();
    scene.try_give(gift("13900000002", 10_000)).await.unwrap();
    assert_eq!(
        refused(gift("13900000003", 10_000)).await,
        "DAILY_BUDGET_EXHAUSTED"
    );
    let update = pb::UpdateVoucherProductRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        product_id: product,
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["caps".into()],
        }),
        ..Default::default()
    };
    scene
        .client
        .vouchers()
        .update_voucher_product(update)
        .await
        .unwrap();
    scene.try_give(gift("13900000003", 10_000)).await.unwrap();
    assert_eq!(
        refused(gift("13900000004", 10_000)).await,
        "STOCK_EXHAUSTED"
    );
    let shown = scene.show(product).await;
    assert_eq!(shown.issued_count, 5);
    let defund = pb::DefundVoucherProductRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        product_id: product,
        amount_fen: shown.budget.unwrap().available_fen,
        ..Default::default()
    };
    scene
        .client
        .vouchers()
        .defund_voucher_product(defund.clone())
        .await
        .unwrap();
    let more = pb::DefundVoucherProductRequest {
        request_id: scene.client.fresh(),
        amount_fen: 1,
        ..defund
    };
    let status = scene
        .client
        .vouchers()
        .defund_voucher_product(more)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "BUDGET_IN_USE");
    assert_eq!(scene.money(product).await, (0, 60_000, 0));
    // Nobody was made by a gift that was refused.
    let raw = scene.raw().await;
    assert_eq!(raw.number("SELECT COUNT(*) FROM recipient").await, 4);
    scene.close().await;
}

async fn a_batch_is_given_whole_or_not_at_all(db: TestDb) {
    let scene = Scene::open(db).await;
    let product = scene.product("batch").await;
    let gifts = |count: usize| -> Vec<pb::VoucherGift> {
        let mobile = |n: usize| format!("139{n:08}");
        (0..count)
            .map(|n| pb::VoucherGift {
                owner: owner(&mobile(n % 900)),
                face_fen: 0,
            })
            .collect()
    };
    let batch = pb::BatchGiveVouchersRequest {
        shop_id: SHOP,
        app_order_id: "batch".into(),
        product_code: "batch".into(),
        gifts: gifts(1_000),
        ..Default::default()
    };
    let mut vouchers = scene.client.vouchers();
    let given = vouchers
        .batch_give_vouchers(batch.clone())
        .await
        .unwrap()
        .into_inner();
    let order = given.order.unwrap();
    assert_eq!((order.lines.len(), order.amount_fen), (1_000, 10_000_000));
    let again = vouchers
        .batch_give_vouchers(batch.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(again.replayed);
    assert_eq!(again.order.unwrap().lines, order.lines);
    let raw = scene.raw().await;
    assert_eq!(raw.number("SELECT COUNT(*) FROM recipient").await, 900);
    let before = raw.counts().await;
    let mut bad = pb::BatchGiveVouchersRequest {
        app_order_id: "bad".into(),
        gifts: gifts(10),
        ..batch
    };
    bad.gifts[9].owner = Some(pb::VoucherOwner {
        owner: Some(pb::voucher_owner::Owner::RecipientId(999_999)),
    });
    let status = vouchers.batch_give_vouchers(bad).await.unwrap_err();
    assert_eq!(reason(&status), "RECIPIENT_NOT_FOUND");
    assert_eq!(raw.counts().await, before);
    assert_eq!(scene.money(product).await.1, 10_000_000);
    scene.close().await;
}

async fn one_order_is_one_gift_however_often_it_is_called(db: TestDb) {
    let scene = Scene::open(db).await;
    let product = scene.product("once").await;
    let gift = pb::GiveVoucherRequest {
        app_order_id: "单号 1234567890 AO".into(),
        ..scene.gift("once", ANNA)
    };
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let (client, gift) = (scene.client.clone(), gift.clone());
        calls.spawn(async move {
            client
                .vouchers()
                .give_voucher(gift)
                .await
                .unwrap()
                .into_inner()
        });
    }
    let answers = calls.join_all().await;
    let fresh = answers.iter().filter(|answer| !answer.replayed).count();
    assert_eq!(fresh, 1);
    let ids: std::collections::BTreeSet<i64> = answers
        .iter()
        .map(|answer| answer.order.as_ref().unwrap().order_id)
        .collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(scene.money(product).await.1, 10_000);
    let same = pb::GiveVoucherRequest {
        owner: owner(&format!("+86{ANNA}")),
        ..gift.clone()
    };
    let same = scene.try_give(same).await.unwrap();
    assert!(
        ids.contains(&same.order_id),
        "the same number, written otherwise"
    );
    let number = gift.app_order_id.clone();
    let other = pb::GiveVoucherRequest {
        remark: "another".into(),
        ..gift
    };
    let status = scene.try_give(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    assert_eq!(fact(&status, "app_order_id"), number);
    scene.close().await;
}

async fn somebody_new_is_made_once_and_found_by_his_number_later(db: TestDb) {
    let scene = Scene::open(db).await;
    scene.product("new").await;
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let (client, gift) = (scene.client.clone(), scene.gift("new", ANNA));
        calls.spawn(async move { client.vouchers().give_voucher(gift).await.unwrap() });
    }
    calls.join_all().await;
    let raw = scene.raw().await;
    assert_eq!(raw.number("SELECT COUNT(*) FROM recipient").await, 1);
    // A caller brings the number with a uid: the vouchers are his.
    let person = pb::RecipientInput {
        uid: "anna".into(),
        mobile: ANNA.into(),
        ..Default::default()
    };
    let upsert = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        recipients: vec![person.clone()],
        ..Default::default()
    };
    let done = scene
        .client
        .audience()
        .upsert_recipients(upsert)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((done.created_count, done.updated_count), (0, 1));
    let found = scene
        .list(pb::VoucherFilter {
            owner: by_uid("anna"),
            ..Default::default()
        })
        .await;
    assert_eq!(found.len(), 10);
    assert_eq!(found[0].uid, "anna");
    // One who has a uid first, and gets his number later, is one person too.
    let gift = pb::GiveVoucherRequest {
        owner: by_uid("boris"),
        ..scene.gift("new", ANNA)
    };
    scene.try_give(gift).await.unwrap();
    let nameless = scene.give("new", "13911112222").await;
    let boris = pb::RecipientInput {
        uid: "boris".into(),
        mobile: "13911112222".into(),
        ..person
    };
    let upsert = pb::UpsertRecipientsRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        recipients: vec![boris],
        ..Default::default()
    };
    scene
        .client
        .audience()
        .upsert_recipients(upsert)
        .await
        .unwrap();
    let spend = pb::SpendVouchersRequest {
        owner: by_uid("boris"),
        ..scene.spending(ANNA, vec![super::all_of(nameless.voucher_id)])
    };
    scene.try_spend(spend).await.unwrap();
    assert_eq!(raw.number("SELECT COUNT(*) FROM recipient").await, 2);
    scene.close().await;
}

async fn a_pause_stops_gifts_and_spends_and_an_end_only_gifts(db: TestDb) {
    let scene = Scene::open(db).await;
    let product = scene.product("pause").await;
    let (one, two) = (
        scene.give("pause", ANNA).await,
        scene.give("pause", ANNA).await,
    );
    scene.pause(product).await;
    let refused = scene.try_give(scene.gift("pause", ANNA)).await.unwrap_err();
    assert_eq!(reason(&refused), "PRODUCT_PAUSED");
    let refused = scene.spend(ANNA, &[one.voucher_id]).await.unwrap_err();
    assert_eq!(reason(&refused), "PRODUCT_PAUSED");
    scene.activate(product).await;
    scene.spend(ANNA, &[one.voucher_id]).await.unwrap();
    let end = pb::EndVoucherProductRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        product_id: product,
        ..Default::default()
    };
    scene
        .client
        .vouchers()
        .end_voucher_product(end)
        .await
        .unwrap();
    let refused = scene.try_give(scene.gift("pause", ANNA)).await.unwrap_err();
    assert_eq!(reason(&refused), "PRODUCT_ENDED");
    scene.spend(ANNA, &[two.voucher_id]).await.unwrap();
    // A stop holds back both.
    let stop = pb::StopAllRequest {
        request_id: scene.client.fresh(),
        scope: Some(pb::StopScope {
            scope: Some(pb::stop_scope::Scope::ShopId(SHOP)),
        }),
        reason: "an alarm".into(),
        ..Default::default()
    };
    scene.product("other").await;
    let held = scene.give("other", ANNA).await;
    scene.client.admin().stop_all(stop).await.unwrap();
    let refused = scene.try_give(scene.gift("other", ANNA)).await.unwrap_err();
    assert_eq!(reason(&refused), "STOPPED");
    let refused = scene.spend(ANNA, &[held.voucher_id]).await.unwrap_err();
    assert_eq!(reason(&refused), "STOPPED");
    scene.close().await;
}
