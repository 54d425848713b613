//! What is done to single vouchers by hand.

use hongbao::grpc::pb;

use super::super::{OTHER, Table, at, bad, over, refused, time};
use super::{EXPIRED, active, answers, draft, funded, given, made, not_now, swept};
use crate::support::{Client, SHOP, TestDb, fact, on_both, reason};
use crate::vouchers::{all_of, instant, owner};

on_both!(hands, hands_on_the_wrong_ones);

/// The year 2100, in microseconds.
const LATER: i64 = 4_102_444_800_000_000;

fn void(client: &Client, voucher_ids: Vec<i64>) -> pb::VoidVouchersRequest {
    pb::VoidVouchersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        voucher_ids,
        reason: "r".into(),
        ..Default::default()
    }
}

fn freeze(client: &Client, voucher_ids: Vec<i64>, unfreeze: bool) -> pb::FreezeVouchersRequest {
    pb::FreezeVouchersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        voucher_ids,
        reason: "r".into(),
        unfreeze,
        ..Default::default()
    }
}

fn extend(client: &Client, voucher_ids: Vec<i64>) -> pb::ExtendVouchersRequest {
    pb::ExtendVouchersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        voucher_ids,
        reason: "r".into(),
        end_time: Some(instant(LATER)),
        ..Default::default()
    }
}

async fn hands(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    active(client, draft(client, "plain")).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(given(client, "plain").await.voucher_id);
    }
    macro_rules! rows {
        ($method:ident, $good:expr, { $($more:tt)* }) => {
            refused!(table, vouchers.$method, $good, {
                "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
                "#6 no vouchers": |r| r.voucher_ids.clear() => bad(&[("voucher_ids", "FIELD_REQUIRED")]),
                "#24 51 vouchers": |r| r.voucher_ids = (1..=51).collect() => bad(&[("voucher_ids", "BATCH_TOO_LARGE")]),
                "#24 the same twice": |r| r.voucher_ids.push(r.voucher_ids[0]) => bad(&[("voucher_ids[1]", "DUPLICATE_ITEM")]),
                "#7 an id that is none": |r| r.voucher_ids.push(0) => bad(&[("voucher_ids[1]", "ID_INVALID")]),
                "#7 one that is not there": |r| r.voucher_ids.push(404_404) => not_now("VOUCHER_NOT_USABLE"),
                "#8 in another shop": |r| r.shop_id = OTHER => not_now("VOUCHER_NOT_USABLE"),
                "no reason": |r| r.reason.clear() => bad(&[("reason", "FIELD_REQUIRED")]),
                "#32 a reason of 256 bytes": |r| r.reason = over(255) => bad(&[("reason", "TEXT_TOO_LONG")]),
                "#17 a reason with NUL": |r| r.reason = "a\0b".into() => bad(&[("reason", "TEXT_INVALID")]),
                $($more)*
            })
        };
    }
    let mut good = void(client, vec![ids[0]]);
    good.reason = at(255);
    rows!(void_vouchers, good, {
        "all at once": |r| r = pb::VoidVouchersRequest { shop_id: SHOP, ..Default::default() }
            => bad(&[("request_id", "REQUEST_ID_INVALID"), ("voucher_ids", "FIELD_REQUIRED"), ("reason", "FIELD_REQUIRED")]),
    });
    rows!(freeze_vouchers, freeze(client, vec![ids[1]], false), {
        "one that is not frozen": |r| r.unfreeze = true => not_now("VOUCHER_NOT_USABLE"),
        "one that is void": |r| r.voucher_ids.push(ids[0]) => not_now("VOUCHER_NOT_USABLE"),
    });
    rows!(extend_vouchers, extend(client, vec![ids[2]]), {
        "no end": |r| r.end_time = None => bad(&[("end_time", "TIME_RANGE_INVALID")]),
        "an end in the past": |r| r.end_time = time(1_000_000_000) => bad(&[("end_time", "TIME_RANGE_INVALID")]),
        "#13 an end in the year 10,000": |r| r.end_time = time(253_402_300_800) => bad(&[("end_time", "TIME_RANGE_INVALID")]),
        "#13 an end before 1970": |r| r.end_time = time(-1) => bad(&[("end_time", "TIME_RANGE_INVALID")]),
        "one that is void": |r| r.voucher_ids.push(ids[0]) => not_now("VOUCHER_NOT_USABLE"),
    });
    table.finish().await;
}

/// Every cause for which a hand is not laid on a voucher.
async fn hands_on_the_wrong_ones(db: TestDb) {
    let table = Table::in_real_time(db).await;
    let client = &table.app.client;
    active(client, draft(client, "plain")).await;
    let give = async |code: &str| given(client, code).await.voucher_id;
    let (open, spent, held) = (
        give("plain").await,
        give("plain").await,
        give("plain").await,
    );
    let (frozen, gone) = (give("plain").await, give("plain").await);
    let spend = pb::SpendVouchersRequest {
        shop_id: SHOP,
        app_order_id: client.fresh(),
        owner: owner(super::ANN),
        uses: vec![all_of(spent)],
        ..Default::default()
    };
    client.vouchers().spend_vouchers(spend).await.unwrap();
    let hold = pb::ReserveVouchersRequest {
        shop_id: SHOP,
        app_order_id: client.fresh(),
        owner: owner(super::ANN),
        uses: vec![all_of(held)],
        ..Default::default()
    };
    client.vouchers().reserve_vouchers(hold).await.unwrap();
    let mut vouchers = client.vouchers();
    vouchers
        .freeze_vouchers(freeze(client, vec![frozen], false))
        .await
        .unwrap();
    vouchers
        .void_vouchers(void(client, vec![gone]))
        .await
        .unwrap();
    macro_rules! causes {
        ($method:ident, |$id:ident| $request:expr, [$(($voucher:expr, $cause:literal)),+ $(,)?]) => {$(
            // One that is fine stands before it: all or none.
            let $id = $voucher;
            let row = concat!("#25 ", $cause);
            answers!(table, client, $method, row, $request, not_now("VOUCHER_NOT_USABLE"));
            let status = client.vouchers().$method($request).await.unwrap_err();
            assert_eq!(reason(&status), "VOUCHER_NOT_USABLE");
            assert_eq!(fact(&status, "cause"), $cause, "{}: {status:?}", stringify!($method));
        )+};
    }
    let now = table.app.store().now().await.unwrap().0;
    causes!(
        void_vouchers,
        |id| void(client, vec![open, id]),
        [
            (404_404, "NOT_FOUND"),
            (spent, "SPENT"),
            (held, "RESERVED"),
            (gone, "VOIDED"),
        ]
    );
    causes!(
        freeze_vouchers,
        |id| freeze(client, vec![open, id], false),
        [
            (404_404, "NOT_FOUND"),
            (spent, "SPENT"),
            (held, "RESERVED"),
            (gone, "VOIDED"),
            (frozen, "FROZEN"),
        ]
    );
    causes!(
        freeze_vouchers,
        |id| freeze(client, vec![frozen, id], true),
        [
            (404_404, "NOT_FOUND"),
            (open, "NOT_FROZEN"),
            (held, "NOT_FROZEN"),
            (spent, "SPENT"),
            (gone, "VOIDED"),
        ]
    );
    causes!(
        extend_vouchers,
        |id| extend(client, vec![open, id]),
        [(404_404, "NOT_FOUND"), (spent, "SPENT"), (gone, "VOIDED"),]
    );
    let sooner = |id| pb::ExtendVouchersRequest {
        end_time: Some(instant(now + 60_000_000)),
        ..extend(client, vec![id])
    };
    causes!(extend_vouchers, |id| sooner(id), [(open, "NOT_LATER")]);
    // What has expired takes its money anew, and there is none any more.
    let end = table.app.store().now().await.unwrap().0 + 5_000_000;
    let mut short = draft(client, "short");
    short.validity = crate::vouchers::until(end);
    let product_id = made(client, short).await;
    funded(client, product_id, 100).await;
    let activate = super::activation(client, product_id);
    client
        .vouchers()
        .activate_voucher_product(activate)
        .await
        .unwrap();
    let expired = give("short").await;
    swept(&table, EXPIRED).await;
    causes!(
        freeze_vouchers,
        |id| freeze(client, vec![open, id], false),
        [(expired, "EXPIRED")]
    );
    let defund = pb::DefundVoucherProductRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        product_id,
        amount_fen: 100,
        ..Default::default()
    };
    let mut vouchers = client.vouchers();
    vouchers.defund_voucher_product(defund).await.unwrap();
    let anew = extend(client, vec![expired]);
    answers!(
        table,
        client,
        extend_vouchers,
        "#20 no money for it",
        anew,
        not_now("BUDGET_EXHAUSTED")
    );
    table.finish().await;
}
