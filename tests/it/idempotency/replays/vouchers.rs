//! Vouchers: products, gifts, spends, holds, hands and what owners confirm with.

use std::collections::BTreeSet;

use hongbao::grpc::pb;
use tonic::Code;

use super::replays;
use crate::support::{SHOP, TestApp, reason};
use crate::vouchers::{all_of, by_uid, days, instant, order_ref};

/// The year 2100, in microseconds.
const LATER: i64 = 4_102_444_800_000_000;

/// An order of everything that is owned by the one person of this file.
fn spending(number: &str, voucher_id: i64) -> pb::SpendVouchersRequest {
    pb::SpendVouchersRequest {
        shop_id: SHOP,
        app_order_id: number.into(),
        owner: by_uid("holder"),
        uses: vec![all_of(voucher_id)],
        ..Default::default()
    }
}

/// Two products, and the vouchers of the first.
pub(super) async fn replay(app: &TestApp, seen: &mut BTreeSet<String>) {
    let client = &app.client;
    let new = |code: &str| pb::CreateVoucherProductRequest {
        shop_id: SHOP,
        request_id: format!("product-{code}"),
        code: code.into(),
        name: "有油贷红包".into(),
        min_face_fen: 100,
        validity: days(3_650),
        ..Default::default()
    };
    let mut vouchers = client.vouchers();
    let other = vouchers.create_voucher_product(new("other")).await.unwrap();
    let other = other.into_inner().product.unwrap().product_id;
    let product_id = replays!(
        client,
        seen,
        vouchers.create_voucher_product,
        new("first"),
        |r| r.name.push('x'),
        |a| a.product.as_ref().unwrap().product_id
    );
    let product_id: i64 = product_id.parse().unwrap();
    macro_rules! turns {
        ($method:ident, $request:ident { $($field:ident $(: $value:expr)?),* }, |$r:ident| $change:expr) => {
            let request = pb::$request { shop_id: SHOP, request_id: stringify!($method).into(), product_id, $($field $(: $value)?,)* ..Default::default() };
            replays!(client, seen, vouchers.$method, request, |$r| $change, |a| a.product.as_ref().unwrap().product_id);
        };
    }
    let update_mask = Some(prost_types::FieldMask {
        paths: vec!["name".into()],
    });
    turns!(
        update_voucher_product,
        UpdateVoucherProductRequest {
            update_mask,
            name: "红包".into()
        },
        |r| r.name.push('x')
    );
    turns!(
        fund_voucher_product,
        FundVoucherProductRequest { amount_fen: 10_000 },
        |r| r.amount_fen = 10_001
    );
    turns!(
        defund_voucher_product,
        DefundVoucherProductRequest { amount_fen: 100 },
        |r| r.amount_fen = 101
    );
    turns!(
        activate_voucher_product,
        ActivateVoucherProductRequest {},
        |r| r.product_id = other
    );
    let grants = vec![pb::VoucherProductGrant {
        app_id: 1,
        may_see: true,
        ..Default::default()
    }];
    turns!(
        set_voucher_product_grants,
        SetVoucherProductGrantsRequest { grants },
        |r| r.grants[0].may_spend = true
    );
    orders(app, seen).await;
    turns!(pause_voucher_product, PauseVoucherProductRequest {}, |r| {
        r.product_id = other
    });
    turns!(end_voucher_product, EndVoucherProductRequest {}, |r| r
        .product_id =
        other);
}

/// Gifts, spends and holds, named by the caller's own numbers.
async fn orders(app: &TestApp, seen: &mut BTreeSet<String>) {
    let client = &app.client;
    let gift = |number: &str| pb::GiveVoucherRequest {
        shop_id: SHOP,
        app_order_id: number.into(),
        product_code: "first".into(),
        owner: by_uid("holder"),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        vouchers.give_voucher by app_order_id,
        gift("give"),
        |r| r.owner = by_uid("somebody-else"),
        |a| &a.order
    );
    let gifts = vec![
        pb::VoucherGift {
            owner: by_uid("holder"),
            face_fen: 0,
        };
        3
    ];
    let batch = pb::BatchGiveVouchersRequest {
        shop_id: SHOP,
        app_order_id: "batch-give".into(),
        product_code: "first".into(),
        gifts,
        ..Default::default()
    };
    replays!(
        client,
        seen,
        vouchers.batch_give_vouchers by app_order_id,
        batch.clone(),
        |r| r.gifts[0].face_fen = 100,
        |a| &a.order
    );
    // A gift's number does not name a gift of several.
    let status = client.vouchers().give_voucher(gift("batch-give")).await;
    assert_eq!(reason(&status.unwrap_err()), "REQUEST_ID_REUSED");
    let given = client.vouchers().batch_give_vouchers(batch).await.unwrap();
    let lines = given.into_inner().order.unwrap().lines;
    let ids: Vec<i64> = lines
        .into_iter()
        .map(|line| line.voucher.unwrap().voucher_id)
        .collect();
    let order = replays!(
        client,
        seen,
        vouchers.spend_vouchers by app_order_id,
        spending("spend", ids[0]),
        |r| r.uses[0] = all_of(ids[1]),
        |a| a.order.as_ref().unwrap().order_id
    );
    // What the owner confirms with is not part of the order.
    let again = pb::SpendVouchersRequest {
        account_code: "123456".into(),
        ..spending("spend", ids[0])
    };
    let again = client.vouchers().spend_vouchers(again).await.unwrap();
    assert!(again.into_inner().replayed);
    let reserve = |number: &str, voucher_id| {
        let spend = spending(number, voucher_id);
        pb::ReserveVouchersRequest {
            shop_id: SHOP,
            app_order_id: spend.app_order_id,
            owner: spend.owner,
            uses: spend.uses,
            hold_seconds: 86_400,
            ..Default::default()
        }
    };
    let held = replays!(
        client,
        seen,
        vouchers.reserve_vouchers by app_order_id,
        reserve("reserve", ids[1]),
        |r| r.hold_seconds = 1,
        |a| a.order.as_ref().unwrap().order_id
    );
    let mut vouchers = client.vouchers();
    let let_go = vouchers.reserve_vouchers(reserve("let-go", ids[2])).await;
    let let_go = let_go.unwrap().into_inner().order.unwrap().order_id;
    let (order, held): (i64, i64) = (order.parse().unwrap(), held.parse().unwrap());
    macro_rules! change {
        ($method:ident, $request:ident, $order:expr) => {
            let request = pb::$request {
                shop_id: SHOP,
                request_id: stringify!($method).into(),
                order: order_ref($order),
                ..Default::default()
            };
            replays!(
                client,
                seen,
                vouchers.$method,
                request,
                |r| r.order = order_ref(if $order == held { order } else { held }),
                |a| a
                    .order
                    .as_ref()
                    .map(|order| (order.order_id, order.state, order.amount_fen))
            );
        };
    }
    change!(undo_spend, UndoSpendRequest, order);
    change!(spend_reserved_vouchers, SpendReservedVouchersRequest, held);
    change!(release_vouchers, ReleaseVouchersRequest, let_go);
    hands(app, seen, &ids).await;
}

/// Single vouchers, and what their owner confirms with.
async fn hands(app: &TestApp, seen: &mut BTreeSet<String>, ids: &[i64]) {
    let client = &app.client;
    macro_rules! hand {
        ($method:ident, $request:ident { $($field:ident $(: $value:expr)?),* }, $id:expr) => {
            let request = pb::$request {
                shop_id: SHOP,
                request_id: stringify!($method).into(),
                voucher_ids: vec![$id],
                reason: "r".into(),
                $($field $(: $value)?,)*
                ..Default::default()
            };
            replays!(client, seen, vouchers.$method, request, |r| r.reason.push('x'),
                |a| a.vouchers.iter().map(|one| (one.voucher_id, one.state, one.end_time)).collect::<Vec<_>>());
        };
    }
    hand!(
        extend_vouchers,
        ExtendVouchersRequest {
            end_time: Some(instant(LATER))
        },
        ids[0]
    );
    hand!(freeze_vouchers, FreezeVouchersRequest {}, ids[0]);
    hand!(void_vouchers, VoidVouchersRequest {}, ids[2]);

    let code = pb::CreateAccountCodeRequest {
        shop_id: SHOP,
        request_id: "account-code".into(),
        owner: by_uid("holder"),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        vouchers.create_account_code,
        code.clone(),
        |r| r.owner = by_uid("u1"),
        |a| a.expire_time
    );
    let again = client.vouchers().create_account_code(code).await.unwrap();
    assert_eq!(again.into_inner().account_code, "", "digits are said once");
    let password = pb::SetPaymentCodeRequest {
        shop_id: SHOP,
        request_id: "payment-code".into(),
        owner: by_uid("holder"),
        payment_code_md5: "0123456789abcdef0123456789ABCDEF".into(),
        ..Default::default()
    };
    replays!(
        client,
        seen,
        vouchers.set_payment_code,
        password,
        |r| r.payment_code_md5.clear(),
        |a| a.present
    );
}
