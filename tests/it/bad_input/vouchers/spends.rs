//! Spends, holds, and what becomes of orders.

use hongbao::grpc::pb;
use hongbao::grpc::pb::voucher_order_ref::Order as R;
use hongbao::grpc::pb::voucher_use::Voucher as V;
use tonic::Code;

use super::super::{OTHER, Table, at, bad, no, over, refused};
use super::gifts::wrong_owners;
use super::{
    ANN, BOB, EXPIRED, NUMBERS, RELEASED, active, answers, draft, from, gift, given, given_by,
    not_now, paused, swept,
};
use crate::support::{Client, SHOP, TestDb, fact, on_both};
use crate::vouchers::{all_of, order_ref, owner, part_of, until};

on_both!(spends, vouchers_in_the_way, holds, orders);

fn using(voucher: V) -> pb::VoucherUse {
    pb::VoucherUse {
        voucher: Some(voucher),
        amount_fen: 0,
    }
}

fn spending(client: &Client, uses: Vec<pb::VoucherUse>) -> pb::SpendVouchersRequest {
    pb::SpendVouchersRequest {
        shop_id: SHOP,
        app_order_id: client.fresh(),
        owner: owner(ANN),
        uses,
        ..Default::default()
    }
}

async fn spent(client: &Client, voucher_id: i64) -> i64 {
    let spend = spending(client, vec![all_of(voucher_id)]);
    let spent = client.vouchers().spend_vouchers(spend).await.unwrap();
    spent.into_inner().order.unwrap().order_id
}

fn holding(client: &Client, voucher_id: i64, hold_seconds: i64) -> pb::ReserveVouchersRequest {
    pb::ReserveVouchersRequest {
        shop_id: SHOP,
        app_order_id: client.fresh(),
        owner: owner(ANN),
        uses: vec![all_of(voucher_id)],
        hold_seconds,
        ..Default::default()
    }
}

async fn held(client: &Client, voucher_id: i64, hold_seconds: i64) -> i64 {
    let hold = holding(client, voucher_id, hold_seconds);
    let held = client.vouchers().reserve_vouchers(hold).await.unwrap();
    held.into_inner().order.unwrap().order_id
}

async fn spends(db: TestDb) {
    let table = Table::in_real_time(db).await;
    let client = &table.app.client;
    active(client, draft(client, "plain")).await;
    let mut lone = draft(client, "lone");
    lone.max_per_order = 1;
    active(client, lone).await;
    let (first, second) = (given(client, "plain").await, given(client, "plain").await);
    let lone = [given(client, "lone").await, given(client, "lone").await];
    let lone = lone.map(|one| all_of(one.voucher_id));
    let stopped = active(client, draft(client, "paused")).await;
    let asleep = given(client, "paused").await.voucher_id;
    paused(client, stopped).await;
    let (a, b) = (first.voucher_id, second.voucher_id);
    for number in NUMBERS {
        let mut request = spending(client, vec![all_of(a)]);
        request.app_order_id = number.into();
        let row = format!("#17 the number {number:?}");
        let want = bad(&[("app_order_id", "ORDER_ID_INVALID")]);
        answers!(table, client, spend_vouchers, row, request, want);
    }
    wrong_owners!(table, spend_vouchers, "owner", |owner| {
        pb::SpendVouchersRequest {
            owner,
            ..spending(client, vec![all_of(a)])
        }
    });
    let good = pb::SpendVouchersRequest {
        uses: vec![
            using(V::VoucherNo(first.voucher_no.clone())),
            part_of(b, 100),
        ],
        associated_order_id: at(128),
        remark: at(255),
        ..spending(client, Vec::new())
    };
    refused!(table, vouchers.spend_vouchers, good.clone(), {
        "#17 129 characters": |r| r.app_order_id = "x".repeat(129) => bad(&[("app_order_id", "ORDER_ID_INVALID")]),
        "nobody": |r| r.owner = None => bad(&[("owner", "FIELD_REQUIRED")]),
        "#6 no vouchers": |r| r.uses.clear() => bad(&[("uses", "FIELD_REQUIRED")]),
        "#24 51 vouchers": |r| r.uses = (1..=51).map(all_of).collect() => bad(&[("uses", "BATCH_TOO_LARGE")]),
        "#24 the same twice": |r| r.uses.push(all_of(b)) => bad(&[("uses[2]", "DUPLICATE_ITEM")]),
        "#24 the same by id and number": |r| r.uses[1] = all_of(a) => bad(&[("uses[1]", "DUPLICATE_ITEM")]),
        "#24 a number of nothing, as a||b": |r| r.uses[1] = using(V::VoucherNo(String::new())) => bad(&[("uses[1].voucher_no", "FIELD_REQUIRED")]),
        "#24 two numbers in one": |r| r.uses[1] = using(V::VoucherNo(format!("{}|{}", first.voucher_no, second.voucher_no)))
            => bad(&[("uses[1].voucher_no", "ID_INVALID")]),
        "a use of nothing": |r| r.uses[1] = pb::VoucherUse::default() => bad(&[("uses[1]", "FIELD_REQUIRED")]),
        "#7 no id": |r| r.uses[1] = all_of(0) => bad(&[("uses[1].voucher_id", "ID_INVALID")]),
        "#7 an id below zero": |r| r.uses[1] = all_of(i64::MIN) => bad(&[("uses[1].voucher_id", "ID_INVALID")]),
        "#7 a number that is none": |r| r.uses[1] = using(V::VoucherNo("RP2015".into())) => bad(&[("uses[1].voucher_no", "ID_INVALID")]),
        "a code of 15": |r| r.uses[1] = using(V::Code("0".repeat(15))) => bad(&[("uses[1].code", "CODE_INVALID")]),
        "a code of 17": |r| r.uses[1] = using(V::Code("0".repeat(17))) => bad(&[("uses[1].code", "CODE_INVALID")]),
        "a code of other letters": |r| r.uses[1] = using(V::Code("U".repeat(16))) => bad(&[("uses[1].code", "CODE_INVALID")]),
        "a code with a slip": |r| r.uses[1] = using(V::Code("0000000000000001".into())) => bad(&[("uses[1].code", "CODE_INVALID")]),
        "#1 less than nothing": |r| r.uses[1].amount_fen = -1 => bad(&[("uses[1].amount_fen", "AMOUNT_OUT_OF_RANGE")]),
        "#32 129 bytes of another order": |r| r.associated_order_id = over(128) => bad(&[("associated_order_id", "TEXT_TOO_LONG")]),
        "#17 another order with a line": |r| r.associated_order_id = "a\nb".into() => bad(&[("associated_order_id", "TEXT_INVALID")]),
        "#32 a remark of 256 bytes": |r| r.remark.push('x') => bad(&[("remark", "TEXT_TOO_LONG")]),
        "#32 a remark that reads backwards": |r| r.remark = "a\u{202E}b".into() => bad(&[("remark", "TEXT_INVALID")]),
        "5 digits": |r| r.account_code = "12345".into() => bad(&[("account_code", "CODE_INVALID")]),
        "digits of full width": |r| r.account_code = "１２３４５６".into() => bad(&[("account_code", "CODE_INVALID")]),
        "31 hex digits": |r| r.payment_code_md5 = "a".repeat(31) => bad(&[("payment_code_md5", "CODE_INVALID")]),
        "32 letters": |r| r.payment_code_md5 = "g".repeat(32) => bad(&[("payment_code_md5", "CODE_INVALID")]),
        "two of which one order takes one": |r| r.uses = lone.to_vec() => not_now("ORDER_LIMIT"),
        "#18 of a product that is paused": |r| r.uses[0] = all_of(asleep) => not_now("PRODUCT_PAUSED"),
        "#8 in another shop": |r| r.shop_id = OTHER => not_now("VOUCHER_NOT_USABLE"),
        "all at once": |r| r = pb::SpendVouchersRequest { shop_id: SHOP, remark: "\0".into(), account_code: "1".into(), payment_code_md5: "1".into(), ..Default::default() }
            => bad(&[("app_order_id", "ORDER_ID_INVALID"), ("uses", "FIELD_REQUIRED"), ("remark", "TEXT_INVALID"),
                     ("account_code", "CODE_INVALID"), ("payment_code_md5", "CODE_INVALID")]),
    });
    let reused = || no(Code::AlreadyExists, "REQUEST_ID_REUSED");
    let again = refused!(table, vouchers.spend_vouchers, good, {
        "#15 other vouchers": |r| r.uses.reverse() => reused(),
        "#15 fewer": |r| { r.uses.pop(); } => reused(),
        "#15 another order to pay": |r| r.associated_order_id.clear() => reused(),
        "#15 another remark": |r| r.remark.clear() => reused(),
        "#15 another owner": |r| r.owner = owner(BOB) => reused(),
    });
    assert!(again.replayed);
    table.finish().await;
}

/// One voucher in the way, and nothing of the order is done.
async fn vouchers_in_the_way(db: TestDb) {
    let table = Table::in_real_time(db).await;
    let client = &table.app.client;
    active(client, draft(client, "plain")).await;
    let mut late = draft(client, "late");
    late.validity = from(1, 1);
    active(client, late).await;
    let soon = table.app.store().now().await.unwrap().0 + 3_000_000;
    let mut short = draft(client, "short");
    short.validity = until(soon);
    active(client, short).await;
    let mut cards = draft(client, "cards");
    cards.kind = pb::VoucherKind::Code.into();
    active(client, cards).await;
    let give = async |code: &str| given(client, code).await.voucher_id;
    let (good, short) = (give("plain").await, give("short").await);
    let gone = give("plain").await;
    spent(client, gone).await;
    let kept = give("plain").await;
    held(client, kept, 900).await;
    let (frozen, void) = (give("plain").await, give("plain").await);
    let freeze = pb::FreezeVouchersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        voucher_ids: vec![frozen],
        reason: "r".into(),
        ..Default::default()
    };
    client.vouchers().freeze_vouchers(freeze).await.unwrap();
    let voids = pb::VoidVouchersRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        voucher_ids: vec![void],
        reason: "r".into(),
        ..Default::default()
    };
    client.vouchers().void_vouchers(voids).await.unwrap();
    let mut bobs = gift(client, "plain");
    bobs.owner = owner(BOB);
    let bobs = given_by(client, bobs).await.voucher_id;
    let whole = given(client, "plain").await;
    let another_day = format!("RP20150404{}", &whole.voucher_no[10..]);
    let card = give("cards").await;
    let in_the_way = [
        ("NOT_FOUND", all_of(404_404)),
        ("NOT_FOUND", all_of(bobs)),
        ("NOT_FOUND", all_of(card)),
        ("NOT_FOUND", using(V::VoucherNo(another_day))),
        ("NOT_STARTED", all_of(give("late").await)),
        ("EXPIRED", all_of(short)),
        ("SPENT", all_of(gone)),
        ("RESERVED", all_of(kept)),
        ("FROZEN", all_of(frozen)),
        ("VOIDED", all_of(void)),
        ("BALANCE_TOO_SMALL", part_of(whole.voucher_id, 101)),
        ("ONLY_WHOLE", part_of(whole.voucher_id, 99)),
    ];
    swept(&table, EXPIRED).await;
    for (cause, used) in &in_the_way {
        let spend = spending(client, vec![all_of(good), used.clone()]);
        let row = format!("#25 {cause} {used:?}");
        answers!(
            table,
            client,
            spend_vouchers,
            row,
            spend.clone(),
            not_now("VOUCHER_NOT_USABLE")
        );
        let status = client.vouchers().spend_vouchers(spend).await.unwrap_err();
        assert_eq!(fact(&status, "cause"), *cause, "{row}: {status:?}");
        let mut hold = holding(client, good, 900);
        hold.uses.push(used.clone());
        answers!(
            table,
            client,
            reserve_vouchers,
            row,
            hold,
            not_now("VOUCHER_NOT_USABLE")
        );
    }
    // Each that is in the way is named.
    let uses = in_the_way[4..10].iter().map(|(_, used)| used.clone());
    let spend = spending(client, uses.collect());
    let status = client.vouchers().spend_vouchers(spend).await.unwrap_err();
    let said = format!("{status:?}");
    for (_, used) in &in_the_way[4..10] {
        let Some(V::VoucherId(id)) = used.voucher else {
            continue;
        };
        assert!(said.contains(&format!("voucher {id}: ")), "{id}: {said}");
    }
    // Somebody whom the shop does not know has none.
    let mut stranger = spending(client, vec![all_of(good)]);
    stranger.owner = owner("13700000000");
    answers!(
        table,
        client,
        spend_vouchers,
        "#25 a stranger",
        stranger,
        not_now("VOUCHER_NOT_USABLE")
    );
    spent(client, good).await;
    table.finish().await;
}

async fn holds(db: TestDb) {
    let table = Table::in_real_time(db).await;
    let client = &table.app.client;
    active(client, draft(client, "plain")).await;
    let voucher_id = given(client, "plain").await.voucher_id;
    wrong_owners!(table, reserve_vouchers, "owner", |owner| {
        pb::ReserveVouchersRequest {
            owner,
            ..holding(client, voucher_id, 0)
        }
    });
    let held = refused!(table, vouchers.reserve_vouchers, holding(client, voucher_id, 86_400), {
        "#17 no number": |r| r.app_order_id.clear() => bad(&[("app_order_id", "ORDER_ID_INVALID")]),
        "#17 a blank in front": |r| r.app_order_id = " a".into() => bad(&[("app_order_id", "ORDER_ID_INVALID")]),
        "no time": |r| r.hold_seconds = -1 => bad(&[("hold_seconds", "OUT_OF_RANGE")]),
        "more than a day": |r| r.hold_seconds += 1 => bad(&[("hold_seconds", "OUT_OF_RANGE")]),
        "nobody": |r| r.owner = None => bad(&[("owner", "FIELD_REQUIRED")]),
        "#24 the same twice": |r| r.uses.push(all_of(voucher_id)) => bad(&[("uses[1]", "DUPLICATE_ITEM")]),
        "#24 51 vouchers": |r| r.uses = (1..=51).map(all_of).collect() => bad(&[("uses", "BATCH_TOO_LARGE")]),
    });
    assert_eq!(held.order.unwrap().state(), pb::VoucherOrderState::Reserved);
    table.finish().await;
}

/// Orders that are named wrongly, or are not in a state for it.
async fn orders(db: TestDb) {
    let table = Table::in_real_time(db).await;
    let client = &table.app.client;
    active(client, draft(client, "plain")).await;
    let mut final_ = draft(client, "final");
    final_.undo_seconds = Some(0);
    active(client, final_).await;
    let give = async |code: &str| given(client, code).await;
    let gift_order = give("plain").await.give_order_id;
    let (undone, spent_now) = (
        give("plain").await.voucher_id,
        give("plain").await.voucher_id,
    );
    let (spent_order, undone) = (spent(client, spent_now).await, spent(client, undone).await);
    let late = spent(client, give("final").await.voucher_id).await;
    let lapsed = held(client, give("plain").await.voucher_id, 1).await;
    let kept = held(client, give("plain").await.voucher_id, 900).await;
    let other = held(client, give("plain").await.voucher_id, 900).await;
    swept(&table, RELEASED).await;
    let named = |order| Some(pb::VoucherOrderRef { order });
    let undo = pb::UndoSpendRequest {
        shop_id: SHOP,
        request_id: "undo".into(),
        order: order_ref(undone),
        ..Default::default()
    };
    refused!(table, vouchers.undo_spend, undo.clone(), {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "no order": |r| r.order = None => bad(&[("order", "FIELD_REQUIRED")]),
        "an order without a name": |r| r.order = named(None) => bad(&[("order", "FIELD_REQUIRED")]),
        "#7 no id": |r| r.order = order_ref(0) => bad(&[("order.order_id", "ID_INVALID")]),
        "#7 an id that is not there": |r| r.order = order_ref(404_404) => no(Code::NotFound, "ORDER_NOT_FOUND"),
        "#17 a number with blanks": |r| r.order = named(Some(R::AppOrderId("a ".into()))) => bad(&[("order.app_order_id", "ORDER_ID_INVALID")]),
        "#7 a number that is not there": |r| r.order = named(Some(R::AppOrderId("nowhere".into()))) => no(Code::NotFound, "ORDER_NOT_FOUND"),
        "#8 in another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "ORDER_NOT_FOUND"),
        "a gift": |r| r.order = order_ref(gift_order) => not_now("ORDER_STATE"),
        "a hold": |r| r.order = order_ref(kept) => not_now("ORDER_STATE"),
        "too late": |r| r.order = order_ref(late) => not_now("UNDO_TOO_LATE"),
    });
    let again = pb::UndoSpendRequest {
        request_id: "again".into(),
        ..undo
    };
    answers!(
        table,
        client,
        undo_spend,
        "an order that was undone",
        again,
        not_now("ORDER_STATE")
    );
    let spend = pb::SpendReservedVouchersRequest {
        shop_id: SHOP,
        request_id: "spend".into(),
        order: order_ref(kept),
        ..Default::default()
    };
    refused!(table, vouchers.spend_reserved_vouchers, spend, {
        "no order": |r| r.order = None => bad(&[("order", "FIELD_REQUIRED")]),
        "#7 an id that is not there": |r| r.order = order_ref(404_404) => no(Code::NotFound, "ORDER_NOT_FOUND"),
        "what is spent": |r| r.order = order_ref(spent_order) => not_now("ORDER_STATE"),
        "a hold that has lapsed": |r| r.order = order_ref(lapsed) => not_now("ORDER_STATE"),
    });
    let release = pb::ReleaseVouchersRequest {
        shop_id: SHOP,
        request_id: "release".into(),
        order: order_ref(other),
        ..Default::default()
    };
    refused!(table, vouchers.release_vouchers, release, {
        "no order": |r| r.order = None => bad(&[("order", "FIELD_REQUIRED")]),
        "#7 an id that is not there": |r| r.order = order_ref(404_404) => no(Code::NotFound, "ORDER_NOT_FOUND"),
        "what is spent": |r| r.order = order_ref(spent_order) => not_now("ORDER_STATE"),
        "a hold that was spent": |r| r.order = order_ref(kept) => not_now("ORDER_STATE"),
    });
    refused!(table, vouchers.get_voucher_order, pb::GetVoucherOrderRequest { shop_id: SHOP, order: order_ref(kept) }, {
        "no order": |r| r.order = None => bad(&[("order", "FIELD_REQUIRED")]),
        "#7 an id below zero": |r| r.order = order_ref(-1) => bad(&[("order.order_id", "ID_INVALID")]),
        "#7 an id that is not there": |r| r.order = order_ref(404_404) => no(Code::NotFound, "ORDER_NOT_FOUND"),
        "#17 a number of 129": |r| r.order = named(Some(R::AppOrderId("x".repeat(129)))) => bad(&[("order.app_order_id", "ORDER_ID_INVALID")]),
        "#8 in another shop": |r| r.shop_id = OTHER => no(Code::NotFound, "ORDER_NOT_FOUND"),
    });
    table.finish().await;
}
