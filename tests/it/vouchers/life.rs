//! The life of a voucher, as seed 002 tells it: given, queried, spent with another,
//! undone, spent again, expired.

use hongbao::grpc::pb;
use hongbao::grpc::pb::VoucherState as V;

use super::{Scene, all_of, causes, days, owner, until};
use crate::support::{SHOP, TestDb, on_both, reason};

on_both!(
    a_voucher_lives,
    what_has_expired_goes_back_to_the_budget,
    a_list_finds_by_owner_product_validity_and_state,
    pages_go_by_token_and_by_number,
);

const ANNA: &str = "13912345678";
const BORIS: &str = "13912345679";

async fn a_voucher_lives(db: TestDb) {
    let scene = Scene::open(db).await;
    let product = scene.product("HONGBAO_YYD").await;
    let first = scene.give("HONGBAO_YYD", ANNA).await;
    let second = scene.give("HONGBAO_YYD", ANNA).await;
    assert_eq!(first.product_name, "有油贷红包");
    assert_eq!((first.face_fen, first.balance_fen), (10_000, 10_000));
    assert_eq!((first.state(), first.status.as_str()), (V::Issued, "正常"));
    assert_eq!(first.obfuscated_mobile, "139****5678");
    assert_eq!(first.mobile, "");
    assert!(first.end_text.ends_with(" 24:00:00"), "{}", first.end_text);
    assert!(first.voucher_no.starts_with("RP20"), "{}", first.voucher_no);
    assert!(first.start_time.is_none(), "valid at once");
    assert_eq!(scene.money(product).await, (99_980_000, 20_000, 0));

    // Seed 002 spends two of one product in its own example.
    let ids = [first.voucher_id, second.voucher_id];
    let spent = scene.spend(ANNA, &ids).await.unwrap();
    assert_eq!(spent.state(), pb::VoucherOrderState::Spent);
    assert_eq!(spent.amount_fen, 20_000);
    let lines: Vec<(i64, i64, String)> = spent
        .lines
        .iter()
        .map(|line| {
            let voucher = line.voucher.as_ref().unwrap();
            (voucher.voucher_id, line.amount_fen, voucher.status.clone())
        })
        .collect();
    let used = |id: i64| (id, 10_000, "已消费".to_owned());
    assert_eq!(lines, [used(ids[0]), used(ids[1])]);
    assert_eq!(scene.money(product).await, (99_980_000, 0, 20_000));
    let status = scene.spend(ANNA, &ids[..1]).await.unwrap_err();
    assert_eq!(reason(&status), "VOUCHER_NOT_USABLE");
    assert_eq!(causes(&status).len(), 1);

    let undone = scene.try_undo(spent.order_id).await.unwrap();
    assert_eq!(undone.state(), pb::VoucherOrderState::Undone);
    assert_eq!(scene.money(product).await, (99_980_000, 20_000, 0));
    let status = scene.try_undo(spent.order_id).await.unwrap_err();
    assert_eq!(reason(&status), "ORDER_STATE");
    scene.spend(ANNA, &ids).await.unwrap();

    let told = scene.voucher(ids[0]).await;
    let kinds: Vec<&str> = told
        .history
        .iter()
        .map(|event| event.kind.as_str())
        .collect();
    assert_eq!(kinds, ["GIVEN", "SPENT", "UNDONE", "SPENT"]);
    assert_eq!(told.history[0].actor, "app:admin");
    assert_eq!(told.history[2].debit_account, "REDEEMED");
    assert_eq!(told.history[2].credit_account, "LIABILITY");
    let states: Vec<i32> = told.uses.iter().map(|used| used.state).collect();
    use pb::VoucherOrderState as O;
    assert_eq!(states, [i32::from(O::Undone), i32::from(O::Spent)]);
    scene.close().await;
}

async fn what_has_expired_goes_back_to_the_budget(db: TestDb) {
    // An hour a second.
    let scene = Scene::open_with(db, 3_600).await;
    let now = scene.app.store().now().await.unwrap().0;
    let hour = 3_600_000_000;
    let product = scene
        .product_with("short", |new| new.validity = until(now + 3 * hour))
        .await;
    let voucher = scene.give("short", ANNA).await;
    assert_eq!(scene.money(product).await.1, 10_000);
    // Nothing is asked of the sweeper: it comes by itself.
    let mut shown = scene.voucher(voucher.voucher_id).await;
    while shown.history.len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        shown = scene.voucher(voucher.voucher_id).await;
    }
    let voucher = shown.voucher.unwrap();
    assert_eq!(
        (voucher.state(), voucher.status.as_str()),
        (V::Expired, "无效")
    );
    assert_eq!(shown.history[1].kind, "EXPIRED");
    assert_eq!(shown.history[1].actor, "sweeper");
    assert_eq!(scene.money(product).await, (100_000_000, 0, 0));
    let status = scene.spend(ANNA, &[voucher.voucher_id]).await.unwrap_err();
    assert!(
        causes(&status)[0].contains("cause=EXPIRED"),
        "{:?}",
        causes(&status)
    );
    // A person extends it: it takes its money anew.
    let extend = pb::ExtendVouchersRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        voucher_ids: vec![voucher.voucher_id],
        reason: "the shop was closed".into(),
        end_time: Some(super::instant(now + 240 * hour)),
        ..Default::default()
    };
    let extended = scene
        .client
        .vouchers()
        .extend_vouchers(extend)
        .await
        .unwrap();
    assert_eq!(extended.into_inner().vouchers[0].state(), V::Issued);
    assert_eq!(scene.money(product).await, (99_990_000, 10_000, 0));
    scene.spend(ANNA, &[voucher.voucher_id]).await.unwrap();
    // One that was frozen when it expired is frozen again, not let go.
    let now = scene.app.store().now().await.unwrap().0;
    let update = pb::UpdateVoucherProductRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        product_id: product,
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["validity".into()],
        }),
        validity: until(now + 6 * hour),
        ..Default::default()
    };
    scene
        .client
        .vouchers()
        .update_voucher_product(update)
        .await
        .unwrap();
    let frozen = scene.give("short", ANNA).await.voucher_id;
    let freeze = pb::FreezeVouchersRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        voucher_ids: vec![frozen],
        reason: "fraud".into(),
        ..Default::default()
    };
    scene
        .client
        .vouchers()
        .freeze_vouchers(freeze)
        .await
        .unwrap();
    while scene.voucher(frozen).await.history.len() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let extend = pb::ExtendVouchersRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        voucher_ids: vec![frozen],
        reason: "looked at again".into(),
        end_time: Some(super::instant(now + 2_400 * hour)),
        ..Default::default()
    };
    let extended = scene
        .client
        .vouchers()
        .extend_vouchers(extend)
        .await
        .unwrap();
    assert_eq!(extended.into_inner().vouchers[0].state(), V::Frozen);
    scene.close().await;
}

async fn a_list_finds_by_owner_product_validity_and_state(db: TestDb) {
    let scene = Scene::open(db).await;
    scene.product("one").await;
    scene.product("two").await;
    let later = pb::VoucherDays {
        start_after_days: 2,
        valid_days: 5,
    };
    let later = pb::VoucherValidity {
        validity: Some(pb::voucher_validity::Validity::Days(later)),
    };
    scene
        .product_with("later", |new| new.validity = Some(later))
        .await;
    let one = scene.give("one", ANNA).await.voucher_id;
    let two = scene.give("two", ANNA).await.voucher_id;
    let future = scene.give("later", ANNA).await;
    assert_eq!(future.state(), V::NotStarted);
    assert!(future.start_time.is_some());
    let other = scene.give("one", BORIS).await.voucher_id;
    scene.spend(ANNA, &[two]).await.unwrap();

    let find = async |owner: Option<pb::VoucherOwner>,
                      codes: &[&str],
                      validity: pb::VoucherValidityFilter,
                      states: &[V]| {
        let filter = pb::VoucherFilter {
            owner,
            product_codes: codes.iter().map(|code| (*code).to_owned()).collect(),
            validity: validity.into(),
            states: states.iter().map(|state| i32::from(*state)).collect(),
        };
        let found = scene.list(filter).await;
        found
            .into_iter()
            .map(|voucher| voucher.voucher_id)
            .collect::<Vec<_>>()
    };
    use pb::VoucherValidityFilter as F;
    let later = future.voucher_id;
    assert_eq!(find(owner(ANNA), &[], F::All, &[]).await, [later, two, one]);
    assert_eq!(
        find(owner(ANNA), &["one", "two"], F::All, &[]).await,
        [two, one]
    );
    assert_eq!(find(owner(ANNA), &[], F::Valid, &[]).await, [two, one]);
    assert_eq!(find(owner(ANNA), &[], F::NotValid, &[]).await, [later]);
    assert_eq!(find(owner(ANNA), &[], F::All, &[V::Spent]).await, [two]);
    assert_eq!(
        find(owner(ANNA), &[], F::All, &[V::Issued, V::NotStarted]).await,
        [later, one]
    );
    assert_eq!(find(None, &["one"], F::All, &[]).await, [other, one]);
    assert!(
        find(owner("13900000000"), &[], F::All, &[])
            .await
            .is_empty()
    );
    let status = scene.spend(ANNA, &[later]).await.unwrap_err();
    assert!(causes(&status)[0].contains("cause=NOT_STARTED"));
    scene.close().await;
}

async fn pages_go_by_token_and_by_number(db: TestDb) {
    let scene = Scene::open(db).await;
    scene
        .product_with("many", |new| new.validity = days(1))
        .await;
    let gifts = (0..7).map(|_| pb::VoucherGift {
        owner: owner(ANNA),
        face_fen: 0,
    });
    let batch = pb::BatchGiveVouchersRequest {
        shop_id: SHOP,
        app_order_id: "seven".into(),
        product_code: "many".into(),
        gifts: gifts.collect(),
        ..Default::default()
    };
    let given = scene
        .client
        .vouchers()
        .batch_give_vouchers(batch)
        .await
        .unwrap();
    let lines = given.into_inner().order.unwrap().lines;
    let mut ids: Vec<i64> = lines
        .iter()
        .map(|line| line.voucher.as_ref().unwrap().voucher_id)
        .collect();
    ids.reverse();
    let mut list = pb::ListVouchersRequest {
        shop_id: SHOP,
        page_size: 3,
        with_total: true,
        filter: Some(pb::VoucherFilter {
            owner: owner(ANNA),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = scene
            .client
            .vouchers()
            .list_vouchers(list.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(page.total_count, Some(7));
        seen.extend(page.vouchers.iter().map(|voucher| voucher.voucher_id));
        if page.next_page_token.is_empty() {
            break;
        }
        list.page_token = page.next_page_token;
    }
    assert_eq!(seen, ids);
    list.page_token.clear();
    let mut by_number = Vec::new();
    for index in 1..=3 {
        list.page_index = index;
        let page = scene
            .client
            .vouchers()
            .list_vouchers(list.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(page.next_page_token, "");
        by_number.extend(page.vouchers.iter().map(|voucher| voucher.voucher_id));
    }
    assert_eq!(by_number, ids);
    let spend = scene.spending(ANNA, ids.iter().map(|id| all_of(*id)).collect());
    assert_eq!(scene.try_spend(spend).await.unwrap().amount_fen, 70_000);
    scene.close().await;
}
