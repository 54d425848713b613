//! Vouchers that belong to whoever has their code, and what owners confirm spends with.

use hongbao::grpc::pb;
use hongbao::grpc::pb::VoucherState as V;
use tonic::Code;

use super::{Scene, causes, owner};
use crate::support::{SHOP, TestDb, on_both, reason};

on_both!(
    a_code_is_a_voucher,
    whoever_guesses_codes_is_locked_out,
    an_account_code_confirms_one_spend,
    a_payment_code_is_wrong_five_times,
);

const ANNA: &str = "13912345678";

fn by_code(code: &str) -> pb::VoucherUse {
    pb::VoucherUse {
        voucher: Some(pb::voucher_use::Voucher::Code(code.to_owned())),
        amount_fen: 0,
    }
}

async fn a_code_is_a_voucher(db: TestDb) {
    let scene = Scene::open(db).await;
    scene
        .product_with("card", |new| new.kind = pb::VoucherKind::Code.into())
        .await;
    let gift = pb::GiveVoucherRequest {
        owner: None,
        ..scene.gift("card", ANNA)
    };
    let order = scene.try_give(gift.clone()).await.unwrap();
    let voucher = order.lines[0].voucher.clone().unwrap();
    assert_eq!(voucher.code.len(), 16);
    assert_eq!(voucher.recipient_id, 0);
    let again = scene.try_give(gift).await.unwrap();
    assert_eq!(
        again.lines[0].voucher.as_ref().unwrap().code,
        voucher.code,
        "a replay has it too"
    );
    // Nobody else reads it: neither the list nor the voucher.
    let shown = scene.voucher(voucher.voucher_id).await;
    assert_eq!(shown.voucher.unwrap().code, "");
    let bytes = scene.app.db.bytes();
    let found = bytes
        .windows(16)
        .any(|window| window == voucher.code.as_bytes());
    assert!(!found, "the code lies in the database in the clear");

    let spend = |uses| pb::SpendVouchersRequest {
        owner: None,
        ..scene.spending(ANNA, uses)
    };
    // By its id it is nobody's.
    let by_id = scene.spending(ANNA, vec![super::all_of(voucher.voucher_id)]);
    let status = scene.try_spend(by_id).await.unwrap_err();
    assert!(causes(&status)[0].contains("cause=NOT_FOUND"));
    let (head, tail) = voucher.code.split_at(8);
    let typed = format!("{}-{} ", head.to_lowercase(), tail);
    let twice = spend(vec![by_code(&typed), by_code(&voucher.code)]);
    let status = scene.try_spend(twice).await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_FIELDS");
    let spent = scene.try_spend(spend(vec![by_code(&typed)])).await.unwrap();
    assert_eq!(spent.lines[0].voucher.as_ref().unwrap().state(), V::Spent);
    // A slip of the finger is found before the database is asked.
    let mut slip = voucher.code.clone();
    slip.replace_range(0..1, if slip.starts_with('2') { "3" } else { "2" });
    let status = scene
        .try_spend(spend(vec![by_code(&slip)]))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "INVALID_FIELDS")
    );
    scene.close().await;
}

async fn whoever_guesses_codes_is_locked_out(db: TestDb) {
    let scene = Scene::open(db).await;
    scene
        .product_with("card", |new| new.kind = pb::VoucherKind::Code.into())
        .await;
    let gift = pb::GiveVoucherRequest {
        owner: None,
        ..scene.gift("card", ANNA)
    };
    let real = scene.try_give(gift.clone()).await.unwrap();
    let real = real.lines[0].voucher.as_ref().unwrap().code.clone();
    let gift = pb::GiveVoucherRequest {
        app_order_id: scene.client.fresh(),
        ..gift
    };
    let spare = scene.try_give(gift).await.unwrap();
    let spare = spare.lines[0].voucher.as_ref().unwrap().code.clone();
    let spend = |code: &str| pb::SpendVouchersRequest {
        owner: None,
        ..scene.spending(ANNA, vec![by_code(code)])
    };
    let guess = || {
        let bytes = hongbao::clock::random();
        hongbao::domain::voucher::VoucherCode::from_random(bytes)
            .expose()
            .to_owned()
    };
    let spent = spend(&spare);
    scene.try_spend(spent.clone()).await.unwrap();
    // Twenty and one at once: what comes after the lock does not lift it.
    for count in [19, 2] {
        let uses = (0..count).map(|_| by_code(&guess())).collect();
        let guesses = pb::SpendVouchersRequest {
            owner: None,
            ..scene.spending(ANNA, uses)
        };
        let status = scene.try_spend(guesses).await.unwrap_err();
        assert_eq!(reason(&status), "VOUCHER_NOT_USABLE");
    }
    let status = scene.try_spend(spend(&guess())).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "CODE_LOCKED")
    );
    // Also the right one is not heard now, or the lock would say which one it was.
    let status = scene.try_spend(spend(&real)).await.unwrap_err();
    assert_eq!(reason(&status), "CODE_LOCKED");
    // What was made before is read again all the same.
    scene.try_spend(spent).await.unwrap();
    scene.close().await;
}

async fn account_code(scene: &Scene) -> String {
    let request = pb::CreateAccountCodeRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        owner: owner(ANNA),
        ..Default::default()
    };
    let mut vouchers = scene.client.vouchers();
    let made = vouchers
        .create_account_code(request.clone())
        .await
        .unwrap()
        .into_inner();
    let again = vouchers
        .create_account_code(request)
        .await
        .unwrap()
        .into_inner();
    assert!(again.replayed && again.account_code.is_empty());
    made.account_code
}

async fn an_account_code_confirms_one_spend(db: TestDb) {
    let scene = Scene::open(db).await;
    scene
        .product_with("careful", |new| {
            new.step_up = pb::StepUp::AccountCode.into()
        })
        .await;
    let one = scene.give("careful", ANNA).await.voucher_id;
    let two = scene.give("careful", ANNA).await.voucher_id;
    let status = scene.spend(ANNA, &[one]).await.unwrap_err();
    assert_eq!(reason(&status), "STEP_UP_REQUIRED");
    let with = |ids: &[i64], code: &str| pb::SpendVouchersRequest {
        account_code: code.to_owned(),
        ..scene.spending(ANNA, ids.iter().map(|id| super::all_of(*id)).collect())
    };
    let code = account_code(&scene).await;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let status = scene.try_spend(with(&[one], wrong)).await.unwrap_err();
    assert_eq!(reason(&status), "STEP_UP_WRONG");
    // A spend that is refused for another reason does not use the code up.
    let status = scene
        .try_spend(with(&[one, 999_999], &code))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "VOUCHER_NOT_USABLE");
    let spend = with(&[one], &code);
    let spent = scene.try_spend(spend.clone()).await.unwrap();
    let again = scene.try_spend(spend).await.unwrap();
    assert_eq!(
        again.order_id, spent.order_id,
        "the same call again is only read"
    );
    let status = scene.try_spend(with(&[two], &code)).await.unwrap_err();
    assert_eq!(reason(&status), "STEP_UP_WRONG", "it confirms one spend");
    // Two at once with one code: one of them.
    let code = account_code(&scene).await;
    let three = scene.give("careful", ANNA).await.voucher_id;
    let (a, b) = tokio::join!(
        scene.try_spend(with(&[two], &code)),
        scene.try_spend(with(&[three], &code)),
    );
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    let refused = a.err().or(b.err()).unwrap();
    assert_eq!(reason(&refused), "STEP_UP_WRONG");
    scene.close().await;
}

async fn a_payment_code_is_wrong_five_times(db: TestDb) {
    let scene = Scene::open(db).await;
    scene
        .product_with("guarded", |new| {
            new.step_up = pb::StepUp::PaymentCode.into()
        })
        .await;
    let voucher = scene.give("guarded", ANNA).await.voucher_id;
    let right = "5f4dcc3b5aa765d61d8327deb882cf99";
    let set = |digest: &str| pb::SetPaymentCodeRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        owner: owner(ANNA),
        payment_code_md5: digest.to_owned(),
        ..Default::default()
    };
    let mut vouchers = scene.client.vouchers();
    assert!(
        vouchers
            .set_payment_code(set(right))
            .await
            .unwrap()
            .into_inner()
            .present
    );
    let with = |digest: &str| pb::SpendVouchersRequest {
        payment_code_md5: digest.to_owned(),
        ..scene.spending(ANNA, vec![super::all_of(voucher)])
    };
    for _ in 0..4 {
        let status = scene.try_spend(with(&"0".repeat(32))).await.unwrap_err();
        assert_eq!(reason(&status), "STEP_UP_WRONG");
    }
    // A trial is a try too.
    let trial = pb::SpendVouchersRequest {
        validate_only: true,
        ..with(&"0".repeat(32))
    };
    let status = scene.try_spend(trial).await.unwrap_err();
    assert_eq!(reason(&status), "STEP_UP_WRONG");
    let status = scene.try_spend(with(right)).await.unwrap_err();
    assert_eq!(reason(&status), "STEP_UP_LOCKED");
    // A new password lifts the lock; hex in either case is the same digest.
    vouchers.set_payment_code(set(right)).await.unwrap();
    scene.try_spend(with(&right.to_uppercase())).await.unwrap();
    scene.close().await;
}
