//! Gifts, one and many.

use hongbao::grpc::pb;
use hongbao::grpc::pb::voucher_owner::Owner as O;
use tonic::Code;

use super::super::{Table, at, bad, no, over, refused, time};
use super::{
    ANN, NUMBERS, active, answers, cap, draft, ended, funded, gift, given, made, not_now, paused,
    window,
};
use crate::support::{SHOP, TestDb, on_both};
use crate::vouchers::{by_uid, owner};

on_both!(single_gifts, many_gifts, gifts_that_do_not_fit);

/// A row's name, an owner, the field that is wrong and why.
type BadOwner = (
    &'static str,
    Option<pb::VoucherOwner>,
    &'static str,
    &'static str,
);

/// Owners that are wrong as they stand.
pub(in crate::bad_input) fn bad_owners() -> Vec<BadOwner> {
    let id = |id| {
        Some(pb::VoucherOwner {
            owner: Some(O::RecipientId(id)),
        })
    };
    vec![
        ("#31 no number", owner(""), "mobile", "FIELD_REQUIRED"),
        (
            "#31 full width",
            owner("１３９１２３４５６７８"),
            "mobile",
            "MOBILE_INVALID",
        ),
        (
            "#31 12 digits",
            owner("139123456789"),
            "mobile",
            "MOBILE_INVALID",
        ),
        (
            "#31 10 digits",
            owner("1391234567"),
            "mobile",
            "MOBILE_INVALID",
        ),
        (
            "#31 letters",
            owner("1391234567a"),
            "mobile",
            "MOBILE_INVALID",
        ),
        (
            "#31 0086",
            owner("008613912345678"),
            "mobile",
            "MOBILE_INVALID",
        ),
        (
            "#31 +86 twice",
            owner("+86+8613912345678"),
            "mobile",
            "MOBILE_INVALID",
        ),
        (
            "#31 +87",
            owner("+8713912345678"),
            "mobile",
            "MOBILE_INVALID",
        ),
        (
            "#31 a blank",
            owner("139 1234 5678"),
            "mobile",
            "MOBILE_INVALID",
        ),
        ("#17 NUL", owner("1391234567\0"), "mobile", "MOBILE_INVALID"),
        ("no uid", by_uid(""), "uid", "FIELD_REQUIRED"),
        ("a uid of 65", by_uid(&"u".repeat(65)), "uid", "ID_INVALID"),
        ("a uid with a blank", by_uid("a b"), "uid", "ID_INVALID"),
        ("#7 no id", id(0), "recipient_id", "ID_INVALID"),
        ("#7 an id below zero", id(-1), "recipient_id", "ID_INVALID"),
    ]
}

/// Runs owners that are wrong over an RPC, at a path.
macro_rules! wrong_owners {
    ($table:expr, $method:ident, $path:literal, |$owner:ident| $request:expr) => {
        for (row, $owner, field, reason) in $crate::bad_input::vouchers::gifts::bad_owners() {
            let path: &'static str = match field {
                "mobile" => concat!($path, ".mobile"),
                "uid" => concat!($path, ".uid"),
                _ => concat!($path, ".recipient_id"),
            };
            let client = &$table.app.client;
            answers!(
                $table,
                client,
                $method,
                row,
                $request,
                bad(&[(path, reason)])
            );
        }
    };
}
pub(super) use wrong_owners;

async fn single_gifts(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    active(client, draft(client, "plain")).await;
    let mut range = draft(client, "range");
    range.max_face_fen = 1_000;
    active(client, range).await;
    for number in NUMBERS {
        let mut request = gift(client, "plain");
        request.app_order_id = number.into();
        let row = format!("#17 the number {number:?}");
        let want = bad(&[("app_order_id", "ORDER_ID_INVALID")]);
        answers!(table, client, give_voucher, row, request, want);
    }
    let nobody = pb::VoucherOwner {
        owner: Some(O::RecipientId(404)),
    };
    let good = pb::GiveVoucherRequest {
        // #31: +86 in front is taken off. #32: an emoji is a character.
        owner: owner(&format!("+86{ANN}")),
        remark: at(251) + "🧧",
        app_order_id: at(128),
        ..gift(client, "plain")
    };
    let made = refused!(table, vouchers.give_voucher, good.clone(), {
        "#17 129 characters": |r| r.app_order_id = "x".repeat(129) => bad(&[("app_order_id", "ORDER_ID_INVALID")]),
        "#17 129 bytes": |r| r.app_order_id = over(128) => bad(&[("app_order_id", "ORDER_ID_INVALID")]),
        "no product": |r| r.product_code.clear() => bad(&[("product_code", "FIELD_REQUIRED")]),
        "#28 a product of SQL": |r| r.product_code = "id;drop table".into() => bad(&[("product_code", "ID_INVALID")]),
        "#7 a product that is not there": |r| r.product_code = "nowhere".into() => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "#8 a product of another shop": |r| r.shop_id = super::super::OTHER => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "nobody": |r| r.owner = None => bad(&[("owner", "FIELD_REQUIRED")]),
        "an owner without a name": |r| r.owner = Some(pb::VoucherOwner::default()) => bad(&[("owner", "FIELD_REQUIRED")]),
        "#7 somebody who is not there": |r| r.owner = Some(nobody.clone()) => no(Code::NotFound, "RECIPIENT_NOT_FOUND"),
        "#1 a face below zero": |r| r.face_fen = i64::MIN => bad(&[("face_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 a face above a million yuan": |r| r.face_fen = 100_000_001 => bad(&[("face_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 another face than the product's": |r| r.face_fen = 99 => bad(&[("face_fen", "AMOUNT_OUT_OF_RANGE")]),
        "no face where there is a choice": |r| r.product_code = "range".into() => bad(&[("face_fen", "FIELD_REQUIRED")]),
        "#1 a face above the product's": |r| (r.product_code, r.face_fen) = ("range".into(), 1_001) => bad(&[("face_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#32 a remark of 256 bytes": |r| r.remark.push('x') => bad(&[("remark", "TEXT_TOO_LONG")]),
        "#32 a remark that reads backwards": |r| r.remark = "a\u{202E}b".into() => bad(&[("remark", "TEXT_INVALID")]),
        "#32 a remark with a joiner": |r| r.remark = "👨\u{200D}👩".into() => bad(&[("remark", "TEXT_INVALID")]),
        "#17 a remark with NUL": |r| r.remark = "a\0b".into() => bad(&[("remark", "TEXT_INVALID")]),
        "all at once": |r| r = pb::GiveVoucherRequest { shop_id: SHOP, owner: owner("1"), face_fen: -1, remark: "\0".into(), ..Default::default() }
            => bad(&[("app_order_id", "ORDER_ID_INVALID"), ("product_code", "FIELD_REQUIRED"), ("owner.mobile", "MOBILE_INVALID"),
                     ("face_fen", "AMOUNT_OUT_OF_RANGE"), ("remark", "TEXT_INVALID")]),
    });
    assert!(!made.replayed);
    wrong_owners!(table, give_voucher, "owner", |owner| {
        pb::GiveVoucherRequest {
            owner,
            ..gift(client, "plain")
        }
    });
    // The number is used now.
    let reused = || no(Code::AlreadyExists, "REQUEST_ID_REUSED");
    let again = refused!(table, vouchers.give_voucher, good, {
        "#15 another owner": |r| r.owner = owner(super::BOB) => reused(),
        "#15 the face that it was": |r| r.face_fen = 100 => reused(),
        "#15 another remark": |r| r.remark.clear() => reused(),
    });
    assert!(again.replayed);
    table.finish().await;
}

async fn many_gifts(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    active(client, draft(client, "plain")).await;
    let mut range = draft(client, "range");
    range.max_face_fen = 1_000;
    active(client, range).await;
    let one = |owner, face_fen| pb::VoucherGift { owner, face_fen };
    let good = pb::BatchGiveVouchersRequest {
        shop_id: SHOP,
        app_order_id: "batch".into(),
        product_code: "plain".into(),
        gifts: vec![one(owner(ANN), 0); 1_000],
        ..Default::default()
    };
    let made = refused!(table, vouchers.batch_give_vouchers, good, {
        "#17 no number": |r| r.app_order_id.clear() => bad(&[("app_order_id", "ORDER_ID_INVALID")]),
        "#6 no gifts": |r| r.gifts.clear() => bad(&[("gifts", "FIELD_REQUIRED")]),
        "#5 1,001 gifts": |r| r.gifts.push(one(owner(ANN), 0)) => bad(&[("gifts", "BATCH_TOO_LARGE")]),
        "#7 a product that is not there": |r| r.product_code = "nowhere".into() => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "one for nobody": |r| r.gifts[999].owner = None => bad(&[("gifts[999].owner", "FIELD_REQUIRED")]),
        "the only one for nobody": |r| r.gifts = vec![one(None, 0)] => bad(&[("gifts[0].owner", "FIELD_REQUIRED")]),
        "#1 one of another face": |r| r.gifts[1].face_fen = 99 => bad(&[("gifts[1].face_fen", "AMOUNT_OUT_OF_RANGE")]),
        "one without a face": |r| r = pb::BatchGiveVouchersRequest { product_code: "range".into(), gifts: vec![one(owner(ANN), 0)], ..r.clone() }
            => bad(&[("gifts[0].face_fen", "FIELD_REQUIRED")]),
        "#31 #1 several": |r| r.gifts = vec![one(owner("１"), -1), one(owner(ANN), 0), one(by_uid(""), 100_000_001)]
            => bad(&[("gifts[0].owner.mobile", "MOBILE_INVALID"), ("gifts[0].face_fen", "AMOUNT_OUT_OF_RANGE"),
                     ("gifts[2].owner.uid", "FIELD_REQUIRED"), ("gifts[2].face_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#32 a remark of 256 bytes": |r| r.remark = over(255) => bad(&[("remark", "TEXT_TOO_LONG")]),
    });
    assert_eq!(made.order.unwrap().lines.len(), 1_000);
    table.finish().await;
}

/// Products that give nothing now.
async fn gifts_that_do_not_fit(db: TestDb) {
    let table = Table::in_real_time(db).await;
    let client = &table.app.client;
    let fresh = made(client, draft(client, "draft")).await;
    funded(client, fresh, 100).await;
    let product = active(client, draft(client, "paused")).await;
    paused(client, product).await;
    let product = active(client, draft(client, "ended")).await;
    ended(client, product).await;
    let mut past = draft(client, "past");
    past.validity = window(|w| w.end_time = time(1_000_000_000));
    active(client, past).await;
    let mut few = draft(client, "few");
    few.stock_count = 1;
    active(client, few).await;
    given(client, "few").await;
    // 10,000 yuan for vouchers of 6,000.
    let mut poor = draft(client, "poor");
    poor.min_face_fen = 600_000;
    active(client, poor).await;
    given(client, "poor").await;
    let caps = [
        ("person", cap(1, 0), None, None),
        ("person-day", None, cap(0, 199), None),
        ("day", None, None, cap(1, 0)),
    ];
    for (code, recipient, recipient_day, day) in caps {
        let mut capped = draft(client, code);
        capped.caps = Some(pb::VoucherCaps {
            recipient,
            recipient_day,
            day,
        });
        active(client, capped).await;
        given(client, code).await;
    }
    for (code, reason) in [
        ("draft", "PRODUCT_NOT_ACTIVE"),
        ("paused", "PRODUCT_PAUSED"),
        ("ended", "PRODUCT_ENDED"),
        ("past", "PRODUCT_WINDOW_ENDED"),
        ("few", "STOCK_EXHAUSTED"),
        ("poor", "BUDGET_EXHAUSTED"),
        ("person", "RECIPIENT_LIMIT"),
        ("person-day", "RECIPIENT_LIMIT"),
        ("day", "DAILY_BUDGET_EXHAUSTED"),
    ] {
        let row = format!("#18 #20 #21 of {code}");
        answers!(
            table,
            client,
            give_voucher,
            row,
            gift(client, code),
            not_now(reason)
        );
        let many = pb::BatchGiveVouchersRequest {
            shop_id: SHOP,
            app_order_id: client.fresh(),
            product_code: code.into(),
            gifts: vec![
                pb::VoucherGift {
                    owner: owner(ANN),
                    face_fen: 0,
                };
                2
            ],
            ..Default::default()
        };
        answers!(
            table,
            client,
            batch_give_vouchers,
            row,
            many,
            not_now(reason)
        );
    }
    let stop = pb::StopAllRequest {
        request_id: client.fresh(),
        scope: Some(pb::StopScope {
            scope: Some(pb::stop_scope::Scope::ShopId(SHOP)),
        }),
        reason: "r".into(),
        ..Default::default()
    };
    active(client, draft(client, "plain")).await;
    client.admin().stop_all(stop).await.unwrap();
    answers!(
        table,
        client,
        give_voucher,
        "a stopped shop",
        gift(client, "plain"),
        not_now("STOPPED")
    );
    table.finish().await;
}
