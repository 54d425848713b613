//! Who may do what with whose product.

use hongbao::domain::role::Role;
use hongbao::grpc::pb;

use super::{Scene, causes, owner};
use crate::support::{Client, SHOP, TestDb, on_both, reason};

on_both!(
    an_app_uses_what_it_owns_and_what_it_was_granted,
    a_person_is_bound_by_roles_alone,
);

const ANNA: &str = "13912345678";

/// An app with every permission of vouchers in the shop; its id.
async fn another_app(scene: &Scene, name: &str) -> (i64, Client) {
    use pb::Permission as P;
    let permissions = [
        P::VoucherRead,
        P::VoucherGive,
        P::VoucherSpend,
        P::VoucherAdmin,
        P::VoucherFund,
    ];
    let new = pb::CreateAppRequest {
        request_id: scene.client.fresh(),
        name: name.into(),
        grants: vec![pb::Grant {
            permissions: permissions.map(i32::from).to_vec(),
            shop_ids: vec![SHOP],
            all_shops: false,
        }],
        ..Default::default()
    };
    let made = scene
        .client
        .admin()
        .create_app(new)
        .await
        .unwrap()
        .into_inner();
    (
        made.app.unwrap().app_id,
        scene.client.with_key(Some(&made.api_key)),
    )
}

async fn grant(scene: &Scene, product_id: i64, grants: &[(i64, bool, bool, bool)]) {
    let grants = grants
        .iter()
        .map(|(app_id, see, give, spend)| pb::VoucherProductGrant {
            app_id: *app_id,
            may_see: *see,
            may_give: *give,
            may_spend: *spend,
        });
    let set = pb::SetVoucherProductGrantsRequest {
        shop_id: SHOP,
        request_id: scene.client.fresh(),
        product_id,
        grants: grants.collect(),
        ..Default::default()
    };
    let set = scene
        .client
        .vouchers()
        .set_voucher_product_grants(set)
        .await
        .unwrap();
    let _ = set.into_inner();
}

async fn an_app_uses_what_it_owns_and_what_it_was_granted(db: TestDb) {
    let scene = Scene::open(db).await;
    let product = scene.product("mine").await;
    let voucher = scene.give("mine", ANNA).await;
    let (app_id, other) = another_app(&scene, "other").await;
    let get = pb::GetVoucherProductRequest {
        shop_id: SHOP,
        product_id: product,
        ..Default::default()
    };
    let get_voucher = pb::GetVoucherRequest {
        shop_id: SHOP,
        voucher_id: voucher.voucher_id,
        ..Default::default()
    };
    let list = pb::ListVouchersRequest {
        shop_id: SHOP,
        filter: Some(pb::VoucherFilter {
            owner: owner(ANNA),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut vouchers = other.vouchers();
    // Not granted: it reads like one that is not there.
    let status = vouchers.get_voucher_product(get.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "PRODUCT_NOT_FOUND");
    let missing = pb::GetVoucherProductRequest {
        product_id: 999_999,
        ..get.clone()
    };
    let none = vouchers.get_voucher_product(missing).await.unwrap_err();
    assert_eq!(none.message(), status.message());
    let status = vouchers.get_voucher(get_voucher.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "VOUCHER_NOT_FOUND");
    assert!(
        vouchers
            .list_vouchers(list.clone())
            .await
            .unwrap()
            .into_inner()
            .vouchers
            .is_empty()
    );
    let status = vouchers
        .give_voucher(scene.gift("mine", ANNA))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PRODUCT_NOT_FOUND");
    let spend = || scene.spending(ANNA, vec![super::all_of(voucher.voucher_id)]);
    let status = vouchers.spend_vouchers(spend()).await.unwrap_err();
    assert!(
        causes(&status)[0].contains("cause=NOT_FOUND"),
        "{:?}",
        causes(&status)
    );

    // May see: seen, neither given nor spent nor changed.
    grant(&scene, product, &[(app_id, true, false, false)]).await;
    let seen = vouchers
        .get_voucher_product(get.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(
        seen.grants.is_empty(),
        "who else may is the owner's to know"
    );
    vouchers.get_voucher(get_voucher.clone()).await.unwrap();
    assert_eq!(
        vouchers
            .list_vouchers(list.clone())
            .await
            .unwrap()
            .into_inner()
            .vouchers
            .len(),
        1
    );
    let status = vouchers
        .give_voucher(scene.gift("mine", ANNA))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (tonic::Code::PermissionDenied, "PRODUCT_NOT_ALLOWED")
    );
    let status = vouchers.spend_vouchers(spend()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (tonic::Code::PermissionDenied, "PRODUCT_NOT_ALLOWED")
    );
    let pause = pb::PauseVoucherProductRequest {
        shop_id: SHOP,
        request_id: other.fresh(),
        product_id: product,
        ..Default::default()
    };
    let status = vouchers.pause_voucher_product(pause).await.unwrap_err();
    assert_eq!(reason(&status), "PRODUCT_NOT_ALLOWED");

    // May give, may spend: each by itself.
    grant(&scene, product, &[(app_id, false, true, false)]).await;
    vouchers
        .give_voucher(scene.gift("mine", ANNA))
        .await
        .unwrap();
    let status = vouchers.spend_vouchers(spend()).await.unwrap_err();
    assert_eq!(reason(&status), "PRODUCT_NOT_ALLOWED");
    grant(&scene, product, &[(app_id, false, false, true)]).await;
    let spent = vouchers
        .spend_vouchers(spend())
        .await
        .unwrap()
        .into_inner()
        .order
        .unwrap();
    let status = vouchers
        .give_voucher(scene.gift("mine", ANNA))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PRODUCT_NOT_ALLOWED");

    // An order is its app's: the owner of the product reads the voucher, not the order.
    let status = scene.try_undo(spent.order_id).await.unwrap_err();
    assert_eq!(reason(&status), "ORDER_NOT_FOUND");
    let by_number = pb::GetVoucherOrderRequest {
        shop_id: SHOP,
        order: Some(pb::VoucherOrderRef {
            order: Some(pb::voucher_order_ref::Order::AppOrderId(
                spent.app_order_id.clone(),
            )),
        }),
    };
    let found = vouchers
        .get_voucher_order(by_number.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.order.unwrap().order_id, spent.order_id);
    let status = scene
        .client
        .vouchers()
        .get_voucher_order(by_number)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "ORDER_NOT_FOUND");
    // Who may not spend any more does not undo either.
    grant(&scene, product, &[]).await;
    let undo = pb::UndoSpendRequest {
        shop_id: SHOP,
        request_id: other.fresh(),
        order: super::order_ref(spent.order_id),
        ..Default::default()
    };
    let status = vouchers.undo_spend(undo).await.unwrap_err();
    assert_eq!(reason(&status), "PRODUCT_NOT_ALLOWED");
    let status = vouchers.get_voucher(get_voucher).await.unwrap_err();
    assert_eq!(reason(&status), "VOUCHER_NOT_FOUND");
    scene.close().await;
}

async fn a_person_is_bound_by_roles_alone(db: TestDb) {
    let scene = Scene::open(db).await;
    let product = scene.product("theirs").await;
    let voucher = scene.give("theirs", ANNA).await;
    let operator = scene.app.person("olga", &[Role::Operator]).await;
    let viewer = scene.app.person("vera", &[Role::Viewer]).await;
    let pause = pb::PauseVoucherProductRequest {
        shop_id: SHOP,
        request_id: operator.fresh(),
        product_id: product,
        ..Default::default()
    };
    let status = viewer
        .vouchers()
        .pause_voucher_product(pause.clone())
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    operator
        .vouchers()
        .pause_voucher_product(pause)
        .await
        .unwrap();
    let get = pb::GetVoucherRequest {
        shop_id: SHOP,
        voucher_id: voucher.voucher_id,
        unmask: true,
        ..Default::default()
    };
    let status = viewer
        .vouchers()
        .get_voucher(get.clone())
        .await
        .unwrap_err();
    assert_eq!(
        reason(&status),
        "PERMISSION_MISSING",
        "a number is not for everybody"
    );
    let masked = pb::GetVoucherRequest {
        unmask: false,
        ..get.clone()
    };
    let seen = viewer
        .vouchers()
        .get_voucher(masked)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(seen.voucher.unwrap().mobile, "");
    let shown = scene
        .client
        .vouchers()
        .get_voucher(get)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(shown.voucher.unwrap().mobile, ANNA);
    assert_eq!(seen.history[0].actor, "app:admin");
    scene.close().await;
}
