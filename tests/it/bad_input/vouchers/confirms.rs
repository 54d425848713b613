//! What owners confirm spends with, and codes that are guessed. Wrong ones are counted,
//! and a row counts them: it is there before the rows are counted here.

use hongbao::grpc::pb;
use hongbao::grpc::pb::voucher_use::Voucher as V;
use tonic::{Code, Status};

use super::super::{OTHER, Table, bad, no, refused};
use super::gifts::wrong_owners;
use super::{ANN, BOB, active, answers, draft, given, not_now};
use crate::support::{SHOP, TestDb, fact, on_both, reason};
use crate::vouchers::{all_of, owner};

on_both!(codes_are_made, owners_confirm, codes_are_guessed);

const RIGHT: &str = "0123456789abcdef0123456789abcdef";
const WRONG: &str = "ffffffffffffffffffffffffffffffff";

async fn codes_are_made(db: TestDb) {
    let table = Table::in_real_time(db).await;
    let client = &table.app.client;
    active(client, draft(client, "plain")).await;
    given(client, "plain").await;
    let nobody = || no(Code::NotFound, "RECIPIENT_NOT_FOUND");
    let code = |owner| pb::CreateAccountCodeRequest {
        shop_id: SHOP,
        request_id: "code".into(),
        owner,
        ..Default::default()
    };
    wrong_owners!(table, create_account_code, "owner", |owner| code(owner));
    let made = refused!(table, vouchers.create_account_code, code(owner(ANN)), {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "nobody": |r| r.owner = None => bad(&[("owner", "FIELD_REQUIRED")]),
        "#7 a number that is nobody's": |r| r.owner = owner(BOB) => nobody(),
        "#8 another shop's": |r| r.shop_id = OTHER => nobody(),
    });
    assert_eq!(made.account_code.len(), 6);
    let password = |owner| pb::SetPaymentCodeRequest {
        shop_id: SHOP,
        request_id: "password".into(),
        owner,
        payment_code_md5: RIGHT.to_uppercase(),
        ..Default::default()
    };
    wrong_owners!(table, set_payment_code, "owner", |owner| password(owner));
    let set = refused!(table, vouchers.set_payment_code, password(owner(ANN)), {
        "#17 no request id": |r| r.request_id.clear() => bad(&[("request_id", "REQUEST_ID_INVALID")]),
        "nobody": |r| r.owner = None => bad(&[("owner", "FIELD_REQUIRED")]),
        "31 hex digits": |r| { r.payment_code_md5.pop(); } => bad(&[("payment_code_md5", "CODE_INVALID")]),
        "32 letters": |r| r.payment_code_md5 = "g".repeat(32) => bad(&[("payment_code_md5", "CODE_INVALID")]),
        "#7 a number that is nobody's": |r| r.owner = owner(BOB) => nobody(),
        "#8 another shop's": |r| r.shop_id = OTHER => nobody(),
    });
    assert!(set.present);
    table.finish().await;
}

/// A spend of a product that asks for a password.
async fn owners_confirm(db: TestDb) {
    let table = Table::in_real_time(db).await;
    let client = &table.app.client;
    for (code, step_up) in [
        ("digits", pb::StepUp::AccountCode),
        ("secret", pb::StepUp::PaymentCode),
    ] {
        let mut new = draft(client, code);
        new.step_up = step_up.into();
        active(client, new).await;
    }
    let digits = given(client, "digits").await.voucher_id;
    let secret = given(client, "secret").await.voucher_id;
    let password = pb::SetPaymentCodeRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        owner: owner(ANN),
        payment_code_md5: RIGHT.into(),
        ..Default::default()
    };
    client.vouchers().set_payment_code(password).await.unwrap();
    let spend =
        |voucher_id: i64, account_code: &str, payment_code_md5: &str| pb::SpendVouchersRequest {
            shop_id: SHOP,
            app_order_id: client.fresh(),
            owner: owner(ANN),
            uses: vec![all_of(voucher_id)],
            account_code: account_code.into(),
            payment_code_md5: payment_code_md5.into(),
            ..Default::default()
        };
    let asks = || not_now("STEP_UP_REQUIRED");
    answers!(
        table,
        client,
        spend_vouchers,
        "no digits",
        spend(digits, "", ""),
        asks()
    );
    answers!(
        table,
        client,
        spend_vouchers,
        "no password",
        spend(secret, "", ""),
        asks()
    );
    answers!(
        table,
        client,
        spend_vouchers,
        "a password for digits",
        spend(digits, "", RIGHT),
        asks()
    );
    // Digits that were never made: the row that counts them is made now.
    let ask =
        async |request| -> Status { client.vouchers().spend_vouchers(request).await.unwrap_err() };
    let first = ask(spend(digits, "000000", "")).await;
    assert_eq!(reason(&first), "STEP_UP_WRONG");
    let wrong = || not_now("STEP_UP_WRONG");
    answers!(
        table,
        client,
        spend_vouchers,
        "digits that were not made",
        spend(digits, "000000", ""),
        wrong()
    );
    // #11: a digest in the other case is the same digest.
    let tried = pb::SpendVouchersRequest {
        validate_only: true,
        ..spend(secret, "", &RIGHT.to_uppercase())
    };
    client.vouchers().spend_vouchers(tried).await.unwrap();
    for left in (0..5).rev() {
        let request = spend(secret, "", WRONG);
        let before = table.raw.counts().await;
        let status = ask(request).await;
        assert_eq!(fact(&status, "attempts_left"), left.to_string());
        let row = format!("a wrong password, {left} left");
        table.judge(&row, &before, Err(status), &wrong()).await;
    }
    let locked = || not_now("STEP_UP_LOCKED");
    answers!(
        table,
        client,
        spend_vouchers,
        "the right one, too late",
        spend(secret, "", RIGHT),
        locked()
    );
    let hold = pb::ReserveVouchersRequest {
        shop_id: SHOP,
        app_order_id: client.fresh(),
        owner: owner(ANN),
        uses: vec![all_of(secret)],
        payment_code_md5: RIGHT.into(),
        ..Default::default()
    };
    answers!(
        table,
        client,
        reserve_vouchers,
        "a hold, too late",
        hold,
        locked()
    );
    table.finish().await;
}

/// Codes of vouchers that somebody guesses.
async fn codes_are_guessed(db: TestDb) {
    let table = Table::in_real_time(db).await;
    let client = &table.app.client;
    let mut cards = draft(client, "cards");
    cards.kind = pb::VoucherKind::Code.into();
    active(client, cards).await;
    let card = given(client, "cards").await;
    let spend = |code: &str| pb::SpendVouchersRequest {
        shop_id: SHOP,
        app_order_id: client.fresh(),
        uses: vec![pb::VoucherUse {
            voucher: Some(V::Code(code.to_owned())),
            amount_fen: 0,
        }],
        ..Default::default()
    };
    // All zeros: its sum is none, so it could be a code.
    let guess = "0".repeat(16);
    let status = client.vouchers().spend_vouchers(spend(&guess)).await;
    assert_eq!(reason(&status.unwrap_err()), "VOUCHER_NOT_USABLE");
    let locked = || no(Code::ResourceExhausted, "CODE_LOCKED");
    for n in 2..=20 {
        let row = format!("guess {n}");
        answers!(
            table,
            client,
            spend_vouchers,
            row,
            spend(&guess),
            not_now("VOUCHER_NOT_USABLE")
        );
    }
    answers!(
        table,
        client,
        spend_vouchers,
        "guess 21",
        spend(&guess),
        locked()
    );
    answers!(
        table,
        client,
        spend_vouchers,
        "the right one, too late",
        spend(&card.code),
        locked()
    );
    let nobodys = pb::SpendVouchersRequest {
        account_code: "123456".into(),
        ..spend(&card.code)
    };
    let whose = bad(&[("owner", "FIELD_REQUIRED")]);
    answers!(
        table,
        client,
        spend_vouchers,
        "digits of nobody",
        nobodys,
        whose
    );
    table.finish().await;
}
