//! Orders: all or none, parts, holds, undoing, and what a person does by hand.

use hongbao::grpc::pb;
use hongbao::grpc::pb::{VoucherOrderState as O, VoucherState as V};

use super::{Scene, all_of, causes, order_ref, part_of, until};
use crate::support::{SHOP, TestDb, on_both, reason};

on_both!(
    one_bad_voucher_keeps_all_others,
    a_part_leaves_the_rest,
    a_hold_is_spent_or_let_go_of,
    a_hold_is_spent_also_after_the_end,
    what_is_undone_late_or_on_a_void_voucher,
    a_person_voids_freezes_and_extends,
);

const ANNA: &str = "13912345678";
const BORIS: &str = "13912345679";

async fn one_bad_voucher_keeps_all_others(db: TestDb) {
    let scene = Scene::open(db).await;
    let product = scene.product("p").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(scene.give("p", ANNA).await.voucher_id);
    }
    let others = scene.give("p", BORIS).await.voucher_id;
    scene.spend(ANNA, &ids[2..]).await.unwrap();
    let raw = scene.raw().await;
    let before = raw.counts().await;
    let all = [ids[0], others, ids[1], ids[2], 999_999];
    let status = scene.spend(ANNA, &all).await.unwrap_err();
    assert_eq!(reason(&status), "VOUCHER_NOT_USABLE");
    let found = causes(&status);
    let gone = |id: i64| format!("VOUCHER_NOT_USABLE cause=NOT_FOUND voucher={id}");
    let spent = format!(
        "VOUCHER_NOT_USABLE cause=SPENT voucher={0} voucher_id={0} state=SPENT",
        ids[2]
    );
    assert_eq!(
        found,
        [gone(others), spent, gone(999_999)],
        "another's reads like none"
    );
    assert_eq!(raw.counts().await, before);
    assert_eq!(scene.money(product).await.2, 10_000);
    scene.spend(ANNA, &ids[..2]).await.unwrap();
    scene.close().await;
}

async fn a_part_leaves_the_rest(db: TestDb) {
    let scene = Scene::open(db).await;
    let product = scene.product_with("part", |new| new.partial = true).await;
    scene
        .product_with("whole", |new| new.max_per_order = 1)
        .await;
    let voucher = scene.give("part", ANNA).await.voucher_id;
    let spend = |fen| scene.spending(ANNA, vec![part_of(voucher, fen)]);
    let first = scene.try_spend(spend(3_000)).await.unwrap();
    assert_eq!(first.amount_fen, 3_000);
    assert_eq!(first.lines[0].voucher.as_ref().unwrap().balance_fen, 7_000);
    let status = scene.try_spend(spend(7_001)).await.unwrap_err();
    assert!(causes(&status)[0].contains("cause=BALANCE_TOO_SMALL"));
    let rest = scene.try_spend(spend(0)).await.unwrap();
    assert_eq!(rest.amount_fen, 7_000);
    assert_eq!(scene.state(voucher).await, V::Spent);
    scene.try_undo(first.order_id).await.unwrap();
    let shown = scene.voucher(voucher).await.voucher.unwrap();
    assert_eq!((shown.state(), shown.balance_fen), (V::Issued, 3_000));
    assert_eq!(scene.money(product).await, (99_990_000, 3_000, 7_000));
    let (one, two) = (
        scene.give("whole", ANNA).await,
        scene.give("whole", ANNA).await,
    );
    let half = scene.spending(ANNA, vec![part_of(one.voucher_id, 5_000)]);
    let status = scene.try_spend(half).await.unwrap_err();
    assert!(causes(&status)[0].contains("cause=ONLY_WHOLE"));
    let both = scene.spend(ANNA, &[one.voucher_id, two.voucher_id]).await;
    assert_eq!(reason(&both.unwrap_err()), "ORDER_LIMIT");
    scene.close().await;
}

async fn hold(
    scene: &Scene,
    ids: &[i64],
    hold_seconds: i64,
) -> Result<pb::VoucherOrder, tonic::Status> {
    let spend = scene.spending(ANNA, ids.iter().map(|id| all_of(*id)).collect());
    let reserve = pb::ReserveVouchersRequest {
        shop_id: SHOP,
        app_order_id: spend.app_order_id,
        owner: spend.owner,
        uses: spend.uses,
        remark: spend.remark,
        hold_seconds,
        ..Default::default()
    };
    let held = scene.client.vouchers().reserve_vouchers(reserve).await?;
    Ok(held.into_inner().order.unwrap())
}

async fn spend_held(scene: &Scene, order: i64) -> Result<pb::VoucherOrder, tonic::Status> {
    let spend = pb::SpendReservedVouchersRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        order: order_ref(order),
        ..Default::default()
    };
    let spent = scene
        .client
        .vouchers()
        .spend_reserved_vouchers(spend)
        .await?;
    Ok(spent.into_inner().order.unwrap())
}

async fn a_hold_is_spent_or_let_go_of(db: TestDb) {
    let scene = Scene::open(db).await;
    let product = scene.product("hold").await;
    let (one, two) = (
        scene.give("hold", ANNA).await,
        scene.give("hold", ANNA).await,
    );
    let ids = [one.voucher_id, two.voucher_id];
    let held = hold(&scene, &ids, 0).await.unwrap();
    assert_eq!(held.state(), O::Reserved);
    assert!(held.hold_until.is_some());
    assert_eq!(scene.state(ids[0]).await, V::Reserved);
    assert_eq!(scene.money(product).await, (99_980_000, 20_000, 0));
    let status = scene.spend(ANNA, &ids[..1]).await.unwrap_err();
    assert!(causes(&status)[0].contains("cause=RESERVED"));
    let status = hold(&scene, &ids[1..], 0).await.unwrap_err();
    assert!(causes(&status)[0].contains("cause=RESERVED"));
    let status = scene.try_undo(held.order_id).await.unwrap_err();
    assert_eq!(reason(&status), "ORDER_STATE");

    let release = pb::ReleaseVouchersRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        order: order_ref(held.order_id),
        ..Default::default()
    };
    let released = scene
        .client
        .vouchers()
        .release_vouchers(release)
        .await
        .unwrap();
    assert_eq!(released.into_inner().order.unwrap().state(), O::Released);
    assert_eq!(
        reason(&spend_held(&scene, held.order_id).await.unwrap_err()),
        "ORDER_STATE"
    );

    let held = hold(&scene, &ids, 60).await.unwrap();
    let spent = spend_held(&scene, held.order_id).await.unwrap();
    assert_eq!(spent.state(), O::Spent);
    assert_eq!(spent.order_id, held.order_id);
    assert_eq!(scene.money(product).await, (99_980_000, 0, 20_000));
    scene.try_undo(held.order_id).await.unwrap();
    assert_eq!(scene.money(product).await, (99_980_000, 20_000, 0));

    // A hold that is over is let go of by itself, and cannot be spent from that instant.
    let held = hold(&scene, &ids, 1).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    assert_eq!(
        reason(&spend_held(&scene, held.order_id).await.unwrap_err()),
        "ORDER_STATE"
    );
    scene.app.store().sweep_vouchers(100).await.unwrap();
    assert_eq!(scene.state(ids[0]).await, V::Issued);
    scene.spend(ANNA, &ids).await.unwrap();
    scene.close().await;
}

async fn a_hold_is_spent_also_after_the_end(db: TestDb) {
    let scene = Scene::open(db).await;
    let now = scene.app.store().now().await.unwrap().0;
    let end = now + 4_000_000;
    scene
        .product_with("brief", |new| new.validity = until(end))
        .await;
    let voucher = scene.give("brief", ANNA).await;
    let held = hold(&scene, &[voucher.voucher_id], 600).await.unwrap();
    while scene.app.store().now().await.unwrap().0 < end {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let swept = scene.app.store().sweep_vouchers(100).await.unwrap();
    assert_eq!(swept.expired, 0, "its order may still spend it");
    let spent = spend_held(&scene, held.order_id).await.unwrap();
    assert_eq!(spent.state(), O::Spent);
    // Taken back, it has expired.
    scene.try_undo(held.order_id).await.unwrap();
    assert_eq!(scene.state(voucher.voucher_id).await, V::Expired);
    let status = scene.spend(ANNA, &[voucher.voucher_id]).await.unwrap_err();
    assert!(causes(&status)[0].contains("cause=EXPIRED"));
    scene.close().await;
}

async fn what_is_undone_late_or_on_a_void_voucher(db: TestDb) {
    let scene = Scene::open(db).await;
    let product = scene.product_with("part", |new| new.partial = true).await;
    scene
        .product_with("brief", |new| new.undo_seconds = Some(1))
        .await;
    let brief = scene.give("brief", ANNA).await.voucher_id;
    let voucher = scene.give("part", ANNA).await.voucher_id;
    // Of an order over both products the shorter time counts.
    let both = scene.spending(ANNA, vec![part_of(voucher, 1_000), all_of(brief)]);
    let both = scene.try_spend(both).await.unwrap();
    let part = scene.spending(ANNA, vec![part_of(voucher, 4_000)]);
    let part = scene.try_spend(part).await.unwrap();
    let void = pb::VoidVouchersRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        voucher_ids: vec![voucher],
        reason: "fraud".into(),
        ..Default::default()
    };
    let voided = scene
        .client
        .vouchers()
        .void_vouchers(void)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(voided.vouchers[0].state(), V::Voided);
    assert_eq!(scene.money(product).await, (99_995_000, 0, 5_000));
    // Void, so that what comes back is free again.
    scene.try_undo(part.order_id).await.unwrap();
    assert_eq!(scene.money(product).await, (99_999_000, 0, 1_000));
    assert_eq!(scene.state(voucher).await, V::Voided);
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    let status = scene.try_undo(both.order_id).await.unwrap_err();
    assert_eq!(reason(&status), "UNDO_TOO_LATE");
    let status = scene.try_undo(999_999).await.unwrap_err();
    assert_eq!(reason(&status), "ORDER_NOT_FOUND");
    scene.close().await;
}

async fn a_person_voids_freezes_and_extends(db: TestDb) {
    let scene = Scene::open(db).await;
    let product = scene.product("hand").await;
    let voucher = scene.give("hand", ANNA).await;
    let id = voucher.voucher_id;
    let freeze = |unfreeze| pb::FreezeVouchersRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        voucher_ids: vec![id],
        reason: "asked by the owner".into(),
        unfreeze,
        ..Default::default()
    };
    let mut vouchers = scene.client.vouchers();
    let frozen = vouchers
        .freeze_vouchers(freeze(false))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            frozen.vouchers[0].state(),
            frozen.vouchers[0].status.as_str()
        ),
        (V::Frozen, "无效")
    );
    let status = scene.spend(ANNA, &[id]).await.unwrap_err();
    assert!(causes(&status)[0].contains("cause=FROZEN"));
    let status = vouchers.freeze_vouchers(freeze(false)).await.unwrap_err();
    assert!(causes(&status)[0].contains("cause=FROZEN"));
    vouchers.freeze_vouchers(freeze(true)).await.unwrap();
    let end = voucher.end_time.unwrap();
    let extend = |seconds: i64| pb::ExtendVouchersRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        voucher_ids: vec![id],
        reason: "goodwill".into(),
        end_time: Some(prost_types::Timestamp {
            seconds: end.seconds + seconds,
            nanos: 0,
        }),
        ..Default::default()
    };
    let status = vouchers.extend_vouchers(extend(0)).await.unwrap_err();
    assert!(causes(&status)[0].contains("cause=NOT_LATER"));
    let later = vouchers
        .extend_vouchers(extend(86_400))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        later.vouchers[0].end_time.unwrap().seconds,
        end.seconds + 86_400
    );
    let void = pb::VoidVouchersRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        voucher_ids: vec![id],
        reason: "given by mistake".into(),
        ..Default::default()
    };
    vouchers.void_vouchers(void).await.unwrap();
    assert_eq!(scene.money(product).await, (100_000_000, 0, 0));
    let told = scene.voucher(id).await.history;
    let kinds: Vec<&str> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["GIVEN", "FROZEN", "UNFROZEN", "EXTENDED", "VOIDED"]);
    assert_eq!(told[4].reason, "given by mistake");
    scene.close().await;
}
