//! VoucherService: products, and what the other files of vouchers stand on.

use hongbao::grpc::pb;
use hongbao::grpc::pb::voucher_validity::Validity as V;
use tonic::Code;

use super::{Table, Want, at, bad, no, over, refused, time};
use crate::support::{Client, SHOP, TestDb, on_both};
use crate::vouchers::{days, owner};

mod confirms;
mod gifts;
mod hands;
mod lists;
mod spends;

on_both!(new_products, products, grants);

/// Whose vouchers they are.
const ANN: &str = "13912345678";
/// Somebody who has none.
const BOB: &str = "13812345678";
/// Numbers of orders that are none, with the reason of `OrderNo`.
const NUMBERS: [&str; 7] = ["", " a", "a ", "\u{3000}a", "a\0b", "a\nb", "a\u{202E}b"];

/// Calls an RPC as somebody, and judges the answer.
macro_rules! answers {
    ($table:expr, $client:expr, $method:ident, $row:expr, $request:expr, $want:expr) => {{
        let table: &crate::bad_input::Table = &$table;
        let before = table.raw.counts().await;
        let answer = $client.vouchers().$method($request).await;
        let row = format!("{}: {}", stringify!($method), $row);
        table.judge(&row, &before, answer.map(drop), &$want).await;
    }};
}
use answers;

/// The refusal of a state.
fn not_now(reason: &'static str) -> Want {
    no(Code::FailedPrecondition, reason)
}

/// A draft of 1 yuan a voucher.
fn draft(client: &Client, code: &str) -> pb::CreateVoucherProductRequest {
    pb::CreateVoucherProductRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        code: code.into(),
        name: "新年🧧红包".into(),
        min_face_fen: 100,
        validity: days(30),
        ..Default::default()
    }
}

/// Waits until the sweeper has written down what has passed, so that it does not write
/// while rows are counted.
async fn swept(table: &Table, passed: &str) {
    while table.raw.number(passed).await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

const EXPIRED: &str = "SELECT COUNT(*) FROM voucher WHERE state = 'EXPIRED'";
const RELEASED: &str = "SELECT COUNT(*) FROM voucher_order WHERE state = 'RELEASED'";

async fn made(client: &Client, new: pb::CreateVoucherProductRequest) -> i64 {
    let made = client.vouchers().create_voucher_product(new).await.unwrap();
    made.into_inner().product.unwrap().product_id
}

async fn funded(client: &Client, product_id: i64, amount_fen: i64) {
    let fund = pb::FundVoucherProductRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        product_id,
        amount_fen,
        ..Default::default()
    };
    client.vouchers().fund_voucher_product(fund).await.unwrap();
}

/// A product that is active and holds 10,000 yuan.
async fn active(client: &Client, new: pb::CreateVoucherProductRequest) -> i64 {
    let product_id = made(client, new).await;
    funded(client, product_id, 1_000_000).await;
    let activate = activation(client, product_id);
    let mut vouchers = client.vouchers();
    vouchers.activate_voucher_product(activate).await.unwrap();
    product_id
}

fn activation(client: &Client, product_id: i64) -> pb::ActivateVoucherProductRequest {
    pb::ActivateVoucherProductRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        product_id,
        ..Default::default()
    }
}

async fn paused(client: &Client, product_id: i64) {
    let pause = pb::PauseVoucherProductRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        product_id,
        ..Default::default()
    };
    let mut vouchers = client.vouchers();
    vouchers.pause_voucher_product(pause).await.unwrap();
}

async fn ended(client: &Client, product_id: i64) {
    let end = pb::EndVoucherProductRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        product_id,
        ..Default::default()
    };
    client.vouchers().end_voucher_product(end).await.unwrap();
}

fn gift(client: &Client, code: &str) -> pb::GiveVoucherRequest {
    pb::GiveVoucherRequest {
        shop_id: SHOP,
        app_order_id: client.fresh(),
        product_code: code.into(),
        owner: owner(ANN),
        ..Default::default()
    }
}

async fn given(client: &Client, code: &str) -> pb::Voucher {
    given_by(client, gift(client, code)).await
}

async fn given_by(client: &Client, gift: pb::GiveVoucherRequest) -> pb::Voucher {
    let given = client.vouchers().give_voucher(gift).await.unwrap();
    let order = given.into_inner().order.unwrap();
    order.lines[0].voucher.clone().unwrap()
}

fn window(change: impl FnOnce(&mut pb::VoucherWindow)) -> Option<pb::VoucherValidity> {
    let mut window = pb::VoucherWindow::default();
    change(&mut window);
    Some(pb::VoucherValidity {
        validity: Some(V::Window(window)),
    })
}

fn from(start_after_days: i32, valid_days: i32) -> Option<pb::VoucherValidity> {
    let days = pb::VoucherDays {
        start_after_days,
        valid_days,
    };
    Some(pb::VoucherValidity {
        validity: Some(V::Days(days)),
    })
}

fn cap(count: i64, amount_fen: i64) -> Option<pb::Cap> {
    Some(pb::Cap { count, amount_fen })
}

async fn new_products(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    made(client, draft(client, "taken")).await;
    let good = pb::CreateVoucherProductRequest {
        name: at(128),
        max_face_fen: 100_000_000,
        stock_count: 1_000_000_000,
        max_per_order: 50,
        undo_seconds: Some(31_536_000),
        caps: Some(pb::VoucherCaps {
            day: cap(1, 0),
            ..Default::default()
        }),
        ..draft(client, &"c".repeat(64))
    };
    const END: &str = "validity.window.end_time";
    const TEXT: &str = "validity.window.end_text";
    let made = refused!(table, vouchers.create_voucher_product, good, {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#17 a request id of 65": |r| r.request_id = "r".repeat(65) => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "no code": |r| r.code.clear() => bad(&[("code", "FIELD_REQUIRED")]),
        "a code of 65": |r| r.code.push('c') => bad(&[("code", "ID_INVALID")]),
        "#28 a code of SQL": |r| r.code = "id;drop table".into() => bad(&[("code", "ID_INVALID")]),
        "a code that is taken": |r| r.code = "taken".into() => no(Code::AlreadyExists, "ALREADY_EXISTS"),
        "#37 an unknown kind": |r| r.kind = 3 => bad(&[("kind", "ENUM_UNKNOWN")]),
        "#37 a kind below zero": |r| r.kind = -1 => bad(&[("kind", "ENUM_UNKNOWN")]),
        "#37 an unknown step-up": |r| r.step_up = 4 => bad(&[("step_up", "ENUM_UNKNOWN")]),
        "a step-up for whoever has the code": |r| (r.kind, r.step_up) = (2, 2) => bad(&[("step_up", "FIELD_NOT_ALLOWED")]),
        "#1 a face of nothing": |r| r.min_face_fen = 0 => bad(&[("min_face_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 a face below zero": |r| r.min_face_fen = i64::MIN => bad(&[("min_face_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 a face above a million yuan": |r| (r.min_face_fen, r.max_face_fen) = (100_000_001, 0) => bad(&[("min_face_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 max below min": |r| r.max_face_fen = 99 => bad(&[("max_face_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 max above a million yuan": |r| r.max_face_fen = i64::MAX => bad(&[("max_face_fen", "AMOUNT_OUT_OF_RANGE")]),
        "an owner below zero": |r| r.owner_app_id = -1 => bad(&[("owner_app_id", "ID_INVALID")]),
        "an app that makes another's": |r| r.owner_app_id = 404 => bad(&[("owner_app_id", "FIELD_NOT_ALLOWED")]),
        "no name": |r| r.name.clear() => bad(&[("name", "FIELD_REQUIRED")]),
        "#32 a name of 129 bytes": |r| r.name = over(128) => bad(&[("name", "TEXT_TOO_LONG")]),
        "#32 a name that reads backwards": |r| r.name = "a\u{202E}b".into() => bad(&[("name", "TEXT_INVALID")]),
        "#32 a name with a joiner": |r| r.name = "a\u{200D}b".into() => bad(&[("name", "TEXT_INVALID")]),
        "#17 a name with NUL": |r| r.name = "a\0b".into() => bad(&[("name", "TEXT_INVALID")]),
        "no validity": |r| r.validity = None => bad(&[("validity", "FIELD_REQUIRED")]),
        "an empty validity": |r| r.validity = Some(pb::VoucherValidity::default()) => bad(&[("validity", "FIELD_REQUIRED")]),
        "no days": |r| r.validity = days(0) => bad(&[("validity.days.valid_days", "OUT_OF_RANGE")]),
        "days out of bounds": |r| r.validity = from(-1, 3_651)
            => bad(&[("validity.days.start_after_days", "OUT_OF_RANGE"), ("validity.days.valid_days", "OUT_OF_RANGE")]),
        "a window without end": |r| r.validity = window(|w| w.start_time = Some(prost_types::Timestamp::default())) => bad(&[(END, "TIME_RANGE_INVALID")]),
        "a window that ends as it begins": |r| r.validity = window(|w| (w.start_time, w.end_time) = (time(4_000_000_000), time(4_000_000_000)))
            => bad(&[(END, "TIME_RANGE_INVALID")]),
        "#13 an end in the year 10,000": |r| r.validity = window(|w| w.end_time = time(253_402_300_800)) => bad(&[(END, "TIME_RANGE_INVALID")]),
        "#13 an end before 1970": |r| r.validity = window(|w| w.end_time = time(-1)) => bad(&[(END, "TIME_RANGE_INVALID")]),
        "a day that is none": |r| r.validity = window(|w| w.end_text = "2030-02-30 24:00:00".into()) => bad(&[(TEXT, "TIME_RANGE_INVALID")]),
        "#26 an end after 24:00:00": |r| r.validity = window(|w| w.end_text = "2030-01-01 24:00:01".into()) => bad(&[(TEXT, "TIME_RANGE_INVALID")]),
        "an end in full-width digits": |r| r.validity = window(|w| w.end_text = "２０３０-01-01 24:00:00".into()) => bad(&[(TEXT, "TIME_RANGE_INVALID")]),
        "two ends": |r| r.validity = window(|w| { w.end_time = time(4_000_000_000); w.end_text = "2030-01-01 24:00:00".into(); })
            => bad(&[(END, "TIME_RANGE_INVALID")]),
        "a stock below zero": |r| r.stock_count = -1 => bad(&[("stock_count", "OUT_OF_RANGE")]),
        "a stock of more than a billion": |r| r.stock_count += 1 => bad(&[("stock_count", "OUT_OF_RANGE")]),
        "caps out of bounds": |r| r.caps = Some(pb::VoucherCaps { recipient: cap(-1, 0), recipient_day: cap(1_000_000_001, 0), day: cap(0, i64::MAX) })
            => bad(&[("caps.recipient.count", "OUT_OF_RANGE"), ("caps.recipient_day.count", "OUT_OF_RANGE"), ("caps.day.amount_fen", "OUT_OF_RANGE")]),
        "51 an order": |r| r.max_per_order = 51 => bad(&[("max_per_order", "OUT_OF_RANGE")]),
        "fewer than none an order": |r| r.max_per_order = -1 => bad(&[("max_per_order", "OUT_OF_RANGE")]),
        "no time to undo, and less": |r| r.undo_seconds = Some(-1) => bad(&[("undo_seconds", "OUT_OF_RANGE")]),
        "more than a year to undo": |r| r.undo_seconds = Some(31_536_001) => bad(&[("undo_seconds", "OUT_OF_RANGE")]),
        "#7 a shop that is not there": |r| r.shop_id = 404 => no(Code::NotFound, "SHOP_NOT_FOUND"),
        "all at once": |r| r = pb::CreateVoucherProductRequest { shop_id: SHOP, kind: 9, step_up: 9, stock_count: -1, max_per_order: 99, undo_seconds: Some(-1), ..Default::default() }
            => bad(&[("request_id", "REQUEST_ID_INVALID"), ("code", "FIELD_REQUIRED"), ("kind", "ENUM_UNKNOWN"), ("step_up", "ENUM_UNKNOWN"),
                     ("min_face_fen", "AMOUNT_OUT_OF_RANGE"), ("name", "FIELD_REQUIRED"), ("validity", "FIELD_REQUIRED"), ("stock_count", "OUT_OF_RANGE"),
                     ("max_per_order", "OUT_OF_RANGE"), ("undo_seconds", "OUT_OF_RANGE")]),
    });
    assert_eq!(made.product.unwrap().owner_app_id, 1);
    table.finish().await;
}

async fn products(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let product_id = active(client, draft(client, "plain")).await;
    given(client, "plain").await;
    given(client, "plain").await;
    let fresh = made(client, draft(client, "fresh")).await;
    let over = active(client, draft(client, "over")).await;
    ended(client, over).await;
    let mask = |path: &str| {
        Some(prost_types::FieldMask {
            paths: vec![path.to_owned()],
        })
    };
    let update = pb::UpdateVoucherProductRequest {
        shop_id: SHOP,
        request_id: "update".into(),
        product_id,
        update_mask: mask("name"),
        name: "n".into(),
        ..Default::default()
    };
    refused!(table, vouchers.update_voucher_product, update, {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "#7 no product": |r| r.product_id = 0 => bad(&[("product_id", "ID_INVALID")]),
        "#7 a product below zero": |r| r.product_id = -1 => bad(&[("product_id", "ID_INVALID")]),
        "#7 a product that is not there": |r| r.product_id = 404 => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "#8 a product of another shop": |r| r.shop_id = super::OTHER => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "no mask": |r| r.update_mask = None => bad(&[("update_mask", "FIELD_REQUIRED")]),
        "an empty mask": |r| r.update_mask = Some(prost_types::FieldMask::default()) => bad(&[("update_mask", "FIELD_REQUIRED")]),
        "what is for ever": |r| r.update_mask = mask("min_face_fen") => bad(&[("update_mask", "UPDATE_MASK_INVALID")]),
        "#28 a column of SQL": |r| r.update_mask = mask("id;drop table") => bad(&[("update_mask", "UPDATE_MASK_INVALID")]),
        "an etag of letters": |r| r.etag = "x".into() => bad(&[("etag", "ID_INVALID")]),
        "an old etag": |r| r.etag = "1".into() => no(Code::Aborted, "ETAG_MISMATCH"),
        "no name": |r| r.name.clear() => bad(&[("name", "FIELD_REQUIRED")]),
        "no validity": |r| r.update_mask = mask("validity") => bad(&[("validity", "FIELD_REQUIRED")]),
        "fewer than were given": |r| (r.update_mask, r.stock_count) = (mask("stock_count"), 1) => bad(&[("stock_count", "OUT_OF_RANGE")]),
        "a person's cap, too late": |r| (r.update_mask, r.caps) = (mask("caps"), Some(pb::VoucherCaps { recipient: cap(1, 0), ..Default::default() }))
            => bad(&[("caps", "FIELD_NOT_ALLOWED")]),
        "one that has ended": |r| r.product_id = over => not_now("PRODUCT_ENDED"),
    });
    refused!(table, vouchers.activate_voucher_product, activation(client, product_id), {
        "#7 not there": |r| r.product_id = 404 => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "#7 no product": |r| r.product_id = 0 => bad(&[("product_id", "ID_INVALID")]),
        "#18 one that has ended": |r| r.product_id = over => not_now("PRODUCT_STATE"),
    });
    let pause = pb::PauseVoucherProductRequest {
        shop_id: SHOP,
        request_id: "pause".into(),
        product_id,
        ..Default::default()
    };
    refused!(table, vouchers.pause_voucher_product, pause, {
        "#7 not there": |r| r.product_id = 404 => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "#18 a draft": |r| r.product_id = fresh => not_now("PRODUCT_STATE"),
        "#18 one that has ended": |r| r.product_id = over => not_now("PRODUCT_STATE"),
    });
    let end = pb::EndVoucherProductRequest {
        shop_id: SHOP,
        request_id: "end".into(),
        product_id: fresh,
        ..Default::default()
    };
    refused!(table, vouchers.end_voucher_product, end, {
        "#7 not there": |r| r.product_id = 404 => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
    });
    let fund = pb::FundVoucherProductRequest {
        shop_id: SHOP,
        request_id: "fund".into(),
        product_id,
        amount_fen: 1,
        ..Default::default()
    };
    refused!(table, vouchers.fund_voucher_product, fund, {
        "#1 nothing": |r| r.amount_fen = 0 => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#1 less than nothing": |r| r.amount_fen = i64::MIN => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#2 more than a budget holds": |r| r.amount_fen = i64::MAX => bad(&[("amount_fen", "AMOUNT_OVERFLOW")]),
        "#2 more than the rest of a budget": |r| r.amount_fen = 1 << 62 => bad(&[("amount_fen", "AMOUNT_OVERFLOW")]),
        "#7 not there": |r| r.product_id = 404 => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "one that has ended": |r| r.product_id = over => not_now("PRODUCT_ENDED"),
    });
    let defund = pb::DefundVoucherProductRequest {
        shop_id: SHOP,
        request_id: "defund".into(),
        product_id,
        // Two vouchers are out, and a fen came in.
        amount_fen: 999_801,
        ..Default::default()
    };
    refused!(table, vouchers.defund_voucher_product, defund, {
        "#1 nothing": |r| r.amount_fen = 0 => bad(&[("amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#2 more than a budget holds": |r| r.amount_fen = i64::MAX => bad(&[("amount_fen", "AMOUNT_OVERFLOW")]),
        "#49 a fen that is on a voucher": |r| r.amount_fen += 1 => not_now("BUDGET_IN_USE"),
        "#7 not there": |r| r.product_id = 404 => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
    });
    refused!(table, vouchers.get_voucher_product, pb::GetVoucherProductRequest { shop_id: SHOP, product_id, ..Default::default() }, {
        "#7 neither id nor code": |r| r.product_id = 0 => bad(&[("code", "FIELD_REQUIRED")]),
        "#7 an id below zero": |r| r.product_id = -1 => bad(&[("product_id", "ID_INVALID")]),
        "#7 an id that is not there": |r| r.product_id = 404 => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "#7 a code that is not there": |r| (r.product_id, r.code) = (0, "nowhere".into()) => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "#28 a code of SQL": |r| (r.product_id, r.code) = (0, "id;drop table".into()) => bad(&[("code", "ID_INVALID")]),
        "#8 one of another shop": |r| r.shop_id = super::OTHER => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
    });
    table.finish().await;
}

/// What one app lets others do with its product, and what it does not.
async fn grants(db: TestDb) {
    let table = Table::start(db).await;
    let client = &table.app.client;
    let product_id = active(client, draft(client, "plain")).await;
    let voucher = given(client, "plain").await;
    let all = pb::Grant {
        permissions: (17..=21).collect(),
        shop_ids: vec![SHOP],
        all_shops: false,
    };
    let new = pb::CreateAppRequest {
        request_id: client.fresh(),
        name: "other".into(),
        grants: vec![all],
        ..Default::default()
    };
    let new = client.admin().create_app(new).await.unwrap().into_inner();
    let (other, app_id) = (client.with_key(Some(&new.api_key)), new.app.unwrap().app_id);
    let grant = |app_id| pb::VoucherProductGrant {
        app_id,
        may_see: true,
        ..Default::default()
    };
    let set = pb::SetVoucherProductGrantsRequest {
        shop_id: SHOP,
        request_id: "grants".into(),
        product_id,
        grants: vec![grant(app_id)],
        ..Default::default()
    };
    let spend = pb::SpendVouchersRequest {
        shop_id: SHOP,
        app_order_id: "spend".into(),
        owner: owner(ANN),
        uses: vec![crate::vouchers::all_of(voucher.voucher_id)],
        ..Default::default()
    };
    let unseen = no(Code::NotFound, "PRODUCT_NOT_FOUND");
    answers!(
        table,
        other,
        give_voucher,
        "#8 of what it may not see",
        gift(client, "plain"),
        unseen
    );
    answers!(
        table,
        other,
        spend_vouchers,
        "#8 of what it may not see",
        spend.clone(),
        not_now("VOUCHER_NOT_USABLE")
    );
    refused!(table, vouchers.set_voucher_product_grants, set.clone(), {
        "#7 no product": |r| r.product_id = 0 => bad(&[("product_id", "ID_INVALID")]),
        "#7 a product that is not there": |r| r.product_id = 404 => no(Code::NotFound, "PRODUCT_NOT_FOUND"),
        "#7 no app": |r| r.grants[0].app_id = 0 => bad(&[("grants[0].app_id", "ID_INVALID")]),
        "#7 an app that is not there": |r| r.grants.push(grant(404)) => no(Code::NotFound, "APP_NOT_FOUND"),
        "an app twice": |r| r.grants.push(grant(app_id)) => bad(&[("grants[1]", "DUPLICATE_ITEM")]),
        "a grant of nothing": |r| r.grants[0].may_see = false => bad(&[("grants[0]", "FIELD_REQUIRED")]),
        "101 apps": |r| r.grants = (1..=101).map(grant).collect() => bad(&[("grants", "BATCH_TOO_LARGE")]),
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
    });
    // It sees the product now, and may do nothing else with it.
    let denied = || no(Code::PermissionDenied, "PRODUCT_NOT_ALLOWED");
    answers!(
        table,
        other,
        give_voucher,
        "#9",
        gift(client, "plain"),
        denied()
    );
    answers!(table, other, spend_vouchers, "#9", spend, denied());
    answers!(
        table,
        other,
        activate_voucher_product,
        "#9",
        activation(client, product_id),
        denied()
    );
    answers!(
        table,
        other,
        set_voucher_product_grants,
        "#9",
        set,
        denied()
    );
    let void = pb::VoidVouchersRequest {
        shop_id: SHOP,
        request_id: "void".into(),
        voucher_ids: vec![voucher.voucher_id],
        reason: "r".into(),
        ..Default::default()
    };
    answers!(table, other, void_vouchers, "#9", void, denied());
    table.finish().await;
}
