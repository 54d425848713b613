//! Orders of vouchers that are called twenty times at once with one number.

use hongbao::grpc::pb;

use super::at_once;
use crate::support::{Client, TestDb, on_both};
use crate::vouchers::{Scene, all_of};

on_both!(one_number_is_one_order);

async fn give(client: Client, gift: pb::GiveVoucherRequest) -> (i64, bool) {
    let given = client.vouchers().give_voucher(gift).await.unwrap();
    let given = given.into_inner();
    (given.order.unwrap().order_id, given.replayed)
}

async fn spend(client: Client, spend: pb::SpendVouchersRequest) -> (i64, bool) {
    let spent = client.vouchers().spend_vouchers(spend).await.unwrap();
    let spent = spent.into_inner();
    (spent.order.unwrap().order_id, spent.replayed)
}

async fn one_number_is_one_order(db: TestDb) {
    let scene = Scene::open(db).await;
    let product_id = scene.product("plain").await;
    for round in 1..=5 {
        let mobile = "13912345678";
        let gift = scene.gift("plain", mobile);
        let order_id = at_once(|| give(scene.client.clone(), gift.clone())).await;
        let again = scene.try_give(gift).await.unwrap();
        assert_eq!(again.order_id, order_id);
        let voucher_id = again.lines[0].voucher.as_ref().unwrap().voucher_id;
        let order = scene.spending(mobile, vec![all_of(voucher_id)]);
        at_once(|| spend(scene.client.clone(), order.clone())).await;
        let left = 100_000_000 - 10_000 * round;
        assert_eq!(scene.money(product_id).await, (left, 0, 10_000 * round));
    }
    scene.close().await;
}
