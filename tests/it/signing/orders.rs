//! Gifts and spends that are signed as seed 002 has it, over gRPC, and those who try to
//! make something else of a signature.

use hongbao::grpc::pb::{self, SigningRequired as R, SigningScheme as S};
use hongbao::service::map_signature::{Give, Operation, Spend};
use tonic::{Code, Status};

use super::map::Ink;
use super::{Ground, seconds};
use crate::support::{SHOP, TestDb, on_both, reason};
use crate::vouchers::{days, owner};

on_both!(
    a_signed_order_passes_and_its_repeat,
    forgeries_are_refused_each_with_its_reason,
);

const ANNA: &str = "13912345678";

/// A product of the app that signs, from 1 fen to 1,000,000 yuan.
async fn ready(db: TestDb) -> Ground {
    let ground = Ground::make(db).await;
    let mut setting = ground.setting(&[S::Map], R::Vouchers);
    setting.order_id_prefix = Some("AO".into());
    ground.set(setting).await.unwrap();
    let mut vouchers = ground.client.vouchers();
    let new = pb::CreateVoucherProductRequest {
        request_id: "product".into(),
        code: "HONGBAO_YYD".into(),
        name: "有油贷红包".into(),
        min_face_fen: 1,
        max_face_fen: 100_000_000,
        validity: days(30),
        ..Default::default()
    };
    let made = vouchers
        .create_voucher_product(new)
        .await
        .unwrap()
        .into_inner();
    let product_id = made.product.unwrap().product_id;
    let fund = pb::FundVoucherProductRequest {
        request_id: "fund".into(),
        product_id,
        amount_fen: 1_000_000_000,
        ..Default::default()
    };
    vouchers.fund_voucher_product(fund).await.unwrap();
    let activate = pb::ActivateVoucherProductRequest {
        request_id: "activate".into(),
        product_id,
        ..Default::default()
    };
    vouchers.activate_voucher_product(activate).await.unwrap();
    ground
}

fn gift(order: &str, remark: &str) -> pb::GiveVoucherRequest {
    pb::GiveVoucherRequest {
        app_order_id: order.into(),
        product_code: "HONGBAO_YYD".into(),
        owner: owner(ANNA),
        face_fen: 100_000,
        remark: remark.into(),
        ..Default::default()
    }
}

fn sign(ink: &Ink, gift: &pb::GiveVoucherRequest) -> Option<pb::MapSignature> {
    let operation = Operation::Give(Give {
        mobile: ANNA,
        sum_fen: gift.face_fen,
        remark: &gift.remark,
        app_order_id: &gift.app_order_id,
        product_code: &gift.product_code,
    });
    Some(on_the_wire(ink, &operation))
}

fn on_the_wire(ink: &Ink, operation: &Operation<'_>) -> pb::MapSignature {
    let signed = ink.sign(operation);
    pb::MapSignature {
        app_timestamp: signed.app_timestamp,
        app_nonce: signed.app_nonce,
        app_signature: signed.app_signature,
        tsig_timestamp: signed.tsig_timestamp,
        tsig_nonce: signed.tsig_nonce,
        order_md5: signed.order_md5,
        tsig_signature: signed.tsig_signature,
    }
}

async fn give(
    ground: &Ground,
    gift: pb::GiveVoucherRequest,
) -> Result<pb::GiveVoucherResponse, Status> {
    Ok(ground
        .client
        .vouchers()
        .give_voucher(gift)
        .await?
        .into_inner())
}

async fn a_signed_order_passes_and_its_repeat(db: TestDb) {
    let ground = ready(db).await;
    let mut numbers = Vec::new();
    for order in ["AO1", "AO2"] {
        let mut gift = gift(order, "某某为用户赠送有油贷1000元红包");
        gift.map_signature = sign(&Ink::new(), &gift);
        let given = give(&ground, gift.clone()).await.unwrap();
        let again = give(&ground, gift.clone()).await.unwrap();
        assert!(
            !given.replayed && again.replayed,
            "the very same call may be repeated"
        );
        // A repeat that is signed anew is the same order too.
        gift.map_signature = sign(&Ink::new(), &gift);
        assert!(give(&ground, gift).await.unwrap().replayed);
        let line = given.order.unwrap().lines.remove(0);
        numbers.push(line.voucher.unwrap().voucher_no);
    }
    let uses = numbers.iter().map(|number| pb::VoucherUse {
        voucher: Some(pb::voucher_use::Voucher::VoucherNo(number.clone())),
        amount_fen: 0,
    });
    let mut spend = pb::SpendVouchersRequest {
        app_order_id: "AO201412122344888444".into(),
        owner: owner(ANNA),
        uses: uses.collect(),
        remark: "使用红包消费".into(),
        ..Default::default()
    };
    let signed = Operation::Spend(Spend {
        mobile: ANNA,
        voucher_nos: &numbers,
        remark: &spend.remark,
        app_order_id: &spend.app_order_id,
        associated_order_id: "",
        account_code: "",
        payment_code_md5: "",
        names_amounts: false,
    });
    let status = ground
        .client
        .vouchers()
        .spend_vouchers(spend.clone())
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "SIGNATURE_INVALID", "this app has to sign");
    spend.map_signature = Some(on_the_wire(&Ink::new(), &signed));
    let spent = ground
        .client
        .vouchers()
        .spend_vouchers(spend)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(spent.order.unwrap().amount_fen, 200_000);
    ground.app.assert_sound().await;
    ground.stop().await;
}

async fn forgeries_are_refused_each_with_its_reason(db: TestDb) {
    let ground = ready(db).await;
    let before = ground.raw.counts().await;
    let refused = async |gift: pb::GiveVoucherRequest| {
        let status = give(&ground, gift).await.unwrap_err();
        assert_eq!(ground.raw.counts().await, before, "{status:?}");
        assert_eq!(status.code(), Code::Unauthenticated);
        reason(&status)
    };
    let signed = |ink: &Ink, mut gift: pb::GiveVoucherRequest| {
        gift.map_signature = sign(ink, &gift);
        gift
    };

    // The sum and the remark change places, and the digest stays: 1 fen becomes 100,000 yuan.
    let honest = pb::GiveVoucherRequest {
        face_fen: 1,
        ..gift("AO10", "10000000")
    };
    let honest = signed(&Ink::new(), honest);
    let swapped = pb::GiveVoucherRequest {
        face_fen: 10_000_000,
        remark: "1".into(),
        ..honest.clone()
    };
    assert_eq!(refused(swapped).await, "SIGNATURE_AMBIGUOUS");
    assert_eq!(
        refused(honest).await,
        "SIGNATURE_AMBIGUOUS",
        "nor is it told which was meant"
    );
    // A character wanders from the order's number into the remark: "AO1" "2…" is "AO12" "…".
    let wandering = signed(&Ink::new(), gift("AO1", "2 gifts"));
    let wandered = pb::GiveVoucherRequest {
        app_order_id: "AO12".into(),
        remark: " gifts".into(),
        ..wandering
    };
    let said = refused(wandered).await;
    assert!(
        ["SIGNATURE_AMBIGUOUS", "SIGNATURE_INVALID"].contains(&said.as_str()),
        "{said}"
    );

    // Another field than was signed.
    let more = pb::GiveVoucherRequest {
        face_fen: 200_000,
        ..signed(&Ink::new(), gift("AO20", "赠送朋友"))
    };
    assert_eq!(refused(more).await, "SIGNATURE_INVALID");
    // Base64 in another case is another signature; hex in another case is the same.
    let mut other_case = signed(&Ink::new(), gift("AO21", "赠送朋友"));
    let signature = other_case.map_signature.as_mut().unwrap();
    signature.tsig_signature = signature.tsig_signature.to_lowercase();
    assert_eq!(refused(other_case).await, "SIGNATURE_INVALID");
    // Long ago, and in the future.
    for at in [-1_000, 1_000] {
        let mut ink = Ink::new();
        ink.app_timestamp = seconds(at).to_string();
        assert_eq!(
            refused(signed(&ink, gift("AO22", "赠送朋友"))).await,
            "TIMESTAMP_SKEW"
        );
    }
    // Unsigned.
    assert_eq!(refused(gift("AO23", "赠送朋友")).await, "SIGNATURE_INVALID");

    // The nonces of a call that was made, on another one.
    let ink = Ink::new();
    give(&ground, signed(&ink, gift("AO30", "赠送朋友")))
        .await
        .unwrap();
    let before = ground.raw.counts().await;
    let replayed = signed(&ink, gift("AO31", "赠送朋友"));
    let status = give(&ground, replayed).await.unwrap_err();
    assert_eq!(reason(&status), "NONCE_REPLAYED");
    assert_eq!(ground.raw.counts().await, before);

    // A good signature does not open another app's product.
    let theirs = pb::CreateVoucherProductRequest {
        shop_id: SHOP,
        request_id: "theirs".into(),
        code: "THEIRS".into(),
        name: "theirs".into(),
        min_face_fen: 100_000,
        validity: days(30),
        ..Default::default()
    };
    ground
        .app
        .client
        .vouchers()
        .create_voucher_product(theirs)
        .await
        .unwrap();
    let foreign = pb::GiveVoucherRequest {
        product_code: "THEIRS".into(),
        ..gift("AO40", "赠送朋友")
    };
    let status = give(&ground, signed(&Ink::new(), foreign))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "PRODUCT_NOT_FOUND")
    );
    ground.app.assert_sound().await;
    ground.stop().await;
}
