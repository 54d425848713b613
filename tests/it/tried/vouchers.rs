//! Vouchers: products, gifts, spends, holds, hands and what owners confirm with.

use std::collections::BTreeSet;

use hongbao::grpc::pb;

use super::tried;
use crate::support::{Client, Raw, SHOP, TestApp};
use crate::vouchers::{all_of, by_uid, days, instant, order_ref};

/// The year 2100, in microseconds.
const LATER: i64 = 4_102_444_800_000_000;

type Ground = (TestApp, Raw, BTreeSet<String>);

/// What differs between two products that were made alike.
fn product(found: Option<pb::VoucherProduct>) -> pb::VoucherProduct {
    pb::VoucherProduct {
        product_id: 0,
        create_time: None,
        update_time: None,
        ..found.unwrap()
    }
}

/// What was taken or given, the state of the voucher after it, what is on it.
type Line = (i64, i32, i64);

/// What an order promises. Times go on, and a trial makes nothing that could have an id.
fn order(found: Option<pb::VoucherOrder>) -> (String, i32, i32, i64, Vec<Line>) {
    let found = found.unwrap();
    let line = |line: pb::VoucherOrderLine| {
        let voucher = line.voucher.unwrap();
        (line.amount_fen, voucher.state, voucher.balance_fen)
    };
    (
        found.app_order_id,
        found.kind,
        found.state,
        found.amount_fen,
        found.lines.into_iter().map(line).collect(),
    )
}

pub(super) async fn tried(ground: &mut Ground) {
    let client = ground.0.client.clone();
    let id = || client.fresh();
    let new = pb::CreateVoucherProductRequest {
        shop_id: SHOP,
        request_id: id(),
        code: "tried".into(),
        name: "有油贷红包".into(),
        min_face_fen: 100,
        validity: days(3_650),
        ..Default::default()
    };
    let made = tried!(ground, vouchers.create_voucher_product, new, |a| product(
        a.product
    ));
    let product_id = made.product.unwrap().product_id;
    macro_rules! change {
        ($method:ident, $request:ident { $($field:ident $(: $value:expr)?),* }) => {
            let request = pb::$request { shop_id: SHOP, request_id: id(), product_id, $($field $(: $value)?,)* ..Default::default() };
            tried!(ground, vouchers.$method, request, |a| product(a.product));
        };
    }
    let update_mask = Some(prost_types::FieldMask {
        paths: vec!["name".into(), "stock_count".into()],
    });
    change!(
        update_voucher_product,
        UpdateVoucherProductRequest {
            update_mask,
            name: "红包".into(),
            stock_count: 9
        }
    );
    change!(
        fund_voucher_product,
        FundVoucherProductRequest { amount_fen: 10_000 }
    );
    change!(
        defund_voucher_product,
        DefundVoucherProductRequest { amount_fen: 1_000 }
    );
    change!(activate_voucher_product, ActivateVoucherProductRequest {});
    let grants = vec![pb::VoucherProductGrant {
        app_id: 1,
        may_see: true,
        ..Default::default()
    }];
    let grant = pb::SetVoucherProductGrantsRequest {
        shop_id: SHOP,
        request_id: id(),
        product_id,
        grants,
        ..Default::default()
    };
    tried!(ground, vouchers.set_voucher_product_grants, grant, |a| (
        product(a.product),
        a.grants
    ));
    orders(ground, &client).await;
    change!(pause_voucher_product, PauseVoucherProductRequest {});
    change!(end_voucher_product, EndVoucherProductRequest {});
}

async fn orders(ground: &mut Ground, client: &Client) {
    let id = || client.fresh();
    let gift = pb::GiveVoucherRequest {
        shop_id: SHOP,
        app_order_id: id(),
        product_code: "tried".into(),
        owner: by_uid("new-holder"),
        ..Default::default()
    };
    tried!(ground, vouchers.give_voucher, gift, |a| order(a.order));
    let gifts = vec![
        pb::VoucherGift {
            owner: by_uid("new-holder"),
            face_fen: 100,
        };
        3
    ];
    let batch = pb::BatchGiveVouchersRequest {
        shop_id: SHOP,
        app_order_id: id(),
        product_code: "tried".into(),
        gifts,
        ..Default::default()
    };
    let given = tried!(ground, vouchers.batch_give_vouchers, batch, |a| order(
        a.order
    ));
    let lines = given.order.unwrap().lines.into_iter();
    let ids: Vec<i64> = lines.map(|line| line.voucher.unwrap().voucher_id).collect();
    let spend = pb::SpendVouchersRequest {
        shop_id: SHOP,
        app_order_id: id(),
        owner: by_uid("new-holder"),
        uses: vec![all_of(ids[0])],
        ..Default::default()
    };
    let spent = tried!(ground, vouchers.spend_vouchers, spend, |a| order(a.order));
    let mut held = Vec::new();
    for voucher_id in &ids[1..] {
        let reserve = pb::ReserveVouchersRequest {
            shop_id: SHOP,
            app_order_id: id(),
            owner: by_uid("new-holder"),
            uses: vec![all_of(*voucher_id)],
            hold_seconds: 86_400,
            ..Default::default()
        };
        let made = tried!(ground, vouchers.reserve_vouchers, reserve, |a| order(
            a.order
        ));
        held.push(made.order.unwrap().order_id);
    }
    macro_rules! change {
        ($method:ident, $request:ident, $order:expr) => {
            let request = pb::$request {
                shop_id: SHOP,
                request_id: id(),
                order: order_ref($order),
                ..Default::default()
            };
            tried!(ground, vouchers.$method, request, |a| order(a.order));
        };
    }
    change!(undo_spend, UndoSpendRequest, spent.order.unwrap().order_id);
    change!(
        spend_reserved_vouchers,
        SpendReservedVouchersRequest,
        held[0]
    );
    change!(release_vouchers, ReleaseVouchersRequest, held[1]);
    hands(ground, client, &ids).await;
}

async fn hands(ground: &mut Ground, client: &Client, ids: &[i64]) {
    macro_rules! hand {
        ($method:ident, $request:ident { $($field:ident $(: $value:expr)?),* }, $id:expr) => {
            let request = pb::$request {
                shop_id: SHOP,
                request_id: client.fresh(),
                voucher_ids: vec![$id],
                reason: "r".into(),
                $($field $(: $value)?,)*
                ..Default::default()
            };
            tried!(ground, vouchers.$method, request, |a| {
                let shown = a.vouchers.into_iter();
                shown.map(|one| (one.voucher_id, one.state, one.end_time)).collect::<Vec<_>>()
            });
        };
    }
    let end_time = Some(instant(LATER));
    hand!(extend_vouchers, ExtendVouchersRequest { end_time }, ids[0]);
    hand!(freeze_vouchers, FreezeVouchersRequest {}, ids[0]);
    hand!(void_vouchers, VoidVouchersRequest {}, ids[2]);
    // The digits of a trial are none that anybody has.
    let code = pb::CreateAccountCodeRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        owner: by_uid("new-holder"),
        ..Default::default()
    };
    tried!(ground, vouchers.create_account_code, code, |a| a
        .expire_time
        .is_some());
    let password = pb::SetPaymentCodeRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        owner: by_uid("new-holder"),
        payment_code_md5: "0123456789abcdef0123456789ABCDEF".into(),
        ..Default::default()
    };
    tried!(ground, vouchers.set_payment_code, password, |a| a.present);
}
