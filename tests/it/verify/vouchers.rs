//! The rules of vouchers, each broken.

use hongbao::grpc::pb;

use super::corruptions::{Corruption, breaks};
use super::{Ids, each_is_named, findings, shut};
use crate::support::{SHOP, TestDb, on_both};
use crate::vouchers::{Scene, all_of, part_of};

on_both!(every_corruption_of_vouchers_is_named);

const ANNA: &str = "13912345678";

/// The placeholders are those of [`eventful`].
#[rustfmt::skip]
pub(super) const CORRUPTIONS: &[Corruption] = &[
    breaks("product-budget-is-the-ledger", &[],
        "UPDATE voucher_product SET granted_fen = granted_fen + 1 WHERE id = {product}", "{product}"),
    breaks("product-budget-is-the-ledger", &[],
        "UPDATE journal SET amount_fen = amount_fen + 1 WHERE product_id = {product} AND credit_account = 'REDEEMED'", "{product}"),
    breaks("liability-is-the-vouchers", &["voucher"],
        "UPDATE voucher SET state = 'VOIDED' WHERE id = {open}", "{product}"),
    breaks("liability-is-the-vouchers", &[],
        "UPDATE voucher_redemption SET amount_fen = amount_fen - 1 WHERE voucher_id = {spent}", "{product}"),
    breaks("product-not-overspent", &["voucher_product"],
        "UPDATE voucher_product SET debited_fen = granted_fen + 1 WHERE id = {product}", "{product}"),
    breaks("product-not-overspent", &["voucher_product"],
        "UPDATE voucher_product SET redeemed_fen = debited_fen + 1 WHERE id = {product}", "{product}"),
    breaks("product-stock-is-the-vouchers", &[],
        "UPDATE voucher_product SET issued_count = issued_count + 1 WHERE id = {product}", "{product}"),
    breaks("balance-is-the-uses", &[],
        "UPDATE voucher SET balance_fen = balance_fen - 1 WHERE id = {part}", "{part}"),
    breaks("balance-is-the-uses", &[],
        "UPDATE voucher SET redemption_count = redemption_count + 1 WHERE id = {spent}", "{spent}"),
    breaks("order-is-whole", &[],
        "UPDATE voucher_redemption SET state = 'UNDONE' WHERE voucher_id = {spent}", "{order}"),
    breaks("order-is-whole", &[],
        "UPDATE voucher_order SET amount_fen = amount_fen + 1 WHERE id = {order}", "{order}"),
    breaks("order-is-whole", &["voucher_redemption"],
        "DELETE FROM voucher_redemption WHERE order_id = {order}", "{order}"),
    breaks("order-is-whole", &[],
        "UPDATE voucher_order SET amount_fen = 1 WHERE id = {gift}", "{gift}"),
    breaks("held-by-its-order", &["voucher"],
        "UPDATE voucher SET state = 'ISSUED', hold_order_id = NULL WHERE id = {held}", "{held}"),
    breaks("held-by-its-order", &[],
        "UPDATE voucher SET hold_order_id = {order} WHERE id = {held}", "{held}"),
    breaks("voucher-history-unbroken", &[],
        "DELETE FROM journal WHERE aggregate = 'VOUCHER' AND aggregate_id = {spent} AND seq = 2", "{spent}"),
    breaks("voucher-history-unbroken", &[],
        "UPDATE journal SET from_state = 'FROZEN' WHERE aggregate = 'VOUCHER' AND aggregate_id = {spent} AND seq = 2", "{spent}"),
    breaks("product-history-unbroken", &[],
        "UPDATE voucher_product SET version = version + 1 WHERE id = {product}", "{product}"),
    breaks("voucher-legal-edges", &[],
        "UPDATE journal SET kind = 'VOIDED' WHERE aggregate = 'VOUCHER' AND aggregate_id = {spent} AND seq = 2", "{spent}"),
    breaks("spent-in-its-time", &[],
        "UPDATE voucher_redemption SET create_time = (SELECT end_time FROM voucher WHERE id = {spent}) WHERE voucher_id = {spent}", "{spent}"),
    breaks("remote-order-is-its-calls", &[],
        "UPDATE voucher_order SET remote = 'DONE' WHERE id = {asked}", "{asked}"),
    breaks("remote-order-is-its-calls", &[],
        "UPDATE voucher_order SET remote = 'PENDING' WHERE id = {gift}", "{gift}"),
    breaks("spent-there-as-here", &["remote_call"],
        "INSERT INTO remote_call (order_id, line, shop_id, account_id, kind, state, request_cipher, remote_orders, fence, tries, create_time, update_time)
         SELECT {order}, 0, shop_id, account_id, 'SPEND', 'FAILED', request_cipher, '[]', 0, 0, 0, 0 FROM remote_call WHERE order_id = {asked}", "{order}"),
    breaks("given-there-once", &["voucher"],
        "UPDATE voucher SET remote_id = '1' WHERE id = {pending}", "{pending}"),
    breaks("given-there-once", &["voucher_product"],
        "UPDATE voucher_product SET account_id = NULL, remote_code = NULL WHERE id = {there}", "{pending}"),
    breaks("caps-are-the-vouchers", &[],
        "UPDATE cap_usage SET used_count = used_count + 1 WHERE owner = 'PRODUCT' AND scope = 'DAY' AND owner_id = {product}", "{product}"),
    breaks("caps-are-the-vouchers", &[],
        "DELETE FROM cap_usage WHERE owner = 'PRODUCT' AND scope = 'RECIPIENT' AND owner_id = {product}", "{product}"),
];

async fn every_corruption_of_vouchers_is_named(db: TestDb) {
    let scene = Scene::open(db).await;
    let counted = |new: &mut pb::CreateVoucherProductRequest| {
        new.partial = true;
        new.caps = Some(pb::VoucherCaps {
            recipient: Some(pb::Cap {
                count: 100,
                amount_fen: 0,
            }),
            ..Default::default()
        });
    };
    let product = scene.product_with("p", counted).await;
    let mut given = Vec::new();
    for _ in 0..4 {
        given.push(scene.give("p", ANNA).await);
    }
    let [spent, part, held, open] = [0, 1, 2, 3].map(|n: usize| given[n].voucher_id);
    let order = scene
        .try_spend(scene.spending(ANNA, vec![all_of(spent)]))
        .await
        .unwrap();
    let some = scene.spending(ANNA, vec![part_of(part, 100)]);
    scene.try_spend(some).await.unwrap();
    let hold = pb::ReserveVouchersRequest {
        shop_id: SHOP,
        app_order_id: "hold".into(),
        owner: crate::vouchers::owner(ANNA),
        uses: vec![all_of(held)],
        ..Default::default()
    };
    scene
        .client
        .vouchers()
        .reserve_vouchers(hold)
        .await
        .unwrap();
    let account = crate::vouchers::remote::map_account(&scene).await;
    let elsewhere = |new: &mut pb::CreateVoucherProductRequest| {
        new.account_id = account;
        new.remote_product_code = "HONGBAO_YYD".into();
    };
    let there = scene.product_with("there", elsewhere).await;
    let pending = scene.give("there", ANNA).await;
    scene.app.assert_sound().await;
    let ids = Ids(vec![
        ("product", product),
        ("spent", spent),
        ("part", part),
        ("held", held),
        ("open", open),
        ("order", order.order_id),
        ("gift", given[0].give_order_id),
        ("there", there),
        ("pending", pending.voucher_id),
        ("asked", pending.give_order_id),
    ]);
    let config = scene.app.config.clone();
    let db = shut(scene.app).await;
    assert!(findings(&config, &db).await.is_empty());
    each_is_named(CORRUPTIONS, &config, &db, &ids).await;
}
