//! Vouchers of two tenants, and a good request for every RPC about them.

use hongbao::domain::grant::Shops;
use hongbao::domain::role::Role;
use hongbao::grpc::pb;
use prost::Message as _;

use super::things::Things;
use crate::support::{Client, SHOP, TestApp};
use crate::vouchers::{all_of, by_uid, days, instant, order_ref};

/// What one tenant has of vouchers.
pub(super) struct Shelf {
    pub(super) product_id: i64,
    /// One whose owner may move its money.
    funded_id: i64,
    pub(super) code: String,
    pub(super) voucher_id: i64,
    pub(super) voucher_no: String,
    /// An order that was spent, and its number.
    pub(super) spent: i64,
    pub(super) app_order_id: String,
    /// An order that holds.
    held: i64,
    /// Who makes products for everybody.
    maker: Client,
}

/// The products of a shop, each owned by the app of a key, from which others give and
/// spend.
struct Making<'a> {
    /// Makes products for everybody.
    maker: Client,
    giver: Client,
    spender: Client,
    shop_id: i64,
    uid: &'a str,
}

impl Making<'_> {
    async fn product(&self, code: &str, owner_app_id: i64) -> i64 {
        let (shop_id, id) = (self.shop_id, || self.maker.fresh());
        let mut vouchers = self.maker.vouchers();
        let new = pb::CreateVoucherProductRequest {
            shop_id,
            request_id: id(),
            code: code.to_owned(),
            name: "product".into(),
            min_face_fen: 100,
            validity: days(30),
            owner_app_id,
            ..Default::default()
        };
        let made = vouchers.create_voucher_product(new).await.unwrap();
        let product_id = made.into_inner().product.unwrap().product_id;
        let fund = pb::FundVoucherProductRequest {
            shop_id,
            request_id: id(),
            product_id,
            amount_fen: 10_000,
            ..Default::default()
        };
        vouchers.fund_voucher_product(fund).await.unwrap();
        let activate = pb::ActivateVoucherProductRequest {
            shop_id,
            request_id: id(),
            product_id,
            ..Default::default()
        };
        vouchers.activate_voucher_product(activate).await.unwrap();
        product_id
    }

    async fn grant(&self, product_id: i64, grants: Vec<pb::VoucherProductGrant>) {
        let grant = pb::SetVoucherProductGrantsRequest {
            shop_id: self.shop_id,
            request_id: self.maker.fresh(),
            product_id,
            grants,
            ..Default::default()
        };
        let mut vouchers = self.maker.vouchers();
        vouchers.set_voucher_product_grants(grant).await.unwrap();
    }

    async fn give(&self, code: &str) -> pb::Voucher {
        let gift = pb::GiveVoucherRequest {
            shop_id: self.shop_id,
            app_order_id: self.maker.fresh(),
            product_code: code.to_owned(),
            owner: by_uid(self.uid),
            ..Default::default()
        };
        let given = self.giver.vouchers().give_voucher(gift).await.unwrap();
        let order = given.into_inner().order.unwrap();
        order.lines[0].voucher.clone().unwrap()
    }

    async fn shelf(&self, code: String, product_id: i64, funded_id: i64) -> Shelf {
        let first = self.give(&code).await;
        let (second, third) = (self.give(&code).await, self.give(&code).await);
        let app_order_id = format!("spent-{}", self.shop_id);
        let spend = pb::SpendVouchersRequest {
            shop_id: self.shop_id,
            app_order_id: app_order_id.clone(),
            owner: by_uid(self.uid),
            uses: vec![all_of(second.voucher_id)],
            ..Default::default()
        };
        let spent = self.spender.vouchers().spend_vouchers(spend).await.unwrap();
        let hold = pb::ReserveVouchersRequest {
            shop_id: self.shop_id,
            app_order_id: self.maker.fresh(),
            owner: by_uid(self.uid),
            uses: vec![all_of(third.voucher_id)],
            hold_seconds: 86_400,
            ..Default::default()
        };
        let held = self
            .spender
            .vouchers()
            .reserve_vouchers(hold)
            .await
            .unwrap();
        Shelf {
            product_id,
            funded_id,
            code,
            voucher_id: first.voucher_id,
            voucher_no: first.voucher_no,
            spent: spent.into_inner().order.unwrap().order_id,
            app_order_id,
            held: held.into_inner().order.unwrap().order_id,
            maker: self.maker.clone(),
        }
    }
}

/// Products that the apps of some keys own, see, give and spend.
pub(super) async fn ours<'k>(
    app: &TestApp,
    keys: impl Fn(&'static str) -> &'k str,
    uid: &str,
) -> Shelf {
    let maker = app.person_in("makes", &[Role::Operator], Shops::All).await;
    let client = |key: &str| app.client.with_key(Some(key));
    let making = Making {
        maker: client(&maker),
        giver: client(keys("VOUCHER_GIVE")),
        spender: client(keys("VOUCHER_SPEND")),
        shop_id: SHOP,
        uid,
    };
    let apps = apps_of(&app.client).await;
    let app_of = |permission| app_of(&apps, keys(permission));
    let code = format!("product-{SHOP}");
    let product_id = making.product(&code, app_of("VOUCHER_ADMIN")).await;
    let funded_id = making.product("funded", app_of("VOUCHER_FUND")).await;
    let grant = |permission| pb::VoucherProductGrant {
        app_id: app_of(permission),
        may_see: permission == "VOUCHER_READ",
        may_give: permission == "VOUCHER_GIVE",
        may_spend: permission == "VOUCHER_SPEND",
    };
    let grants = ["VOUCHER_READ", "VOUCHER_GIVE", "VOUCHER_SPEND"].map(grant);
    making.grant(product_id, grants.to_vec()).await;
    making.shelf(code, product_id, funded_id).await
}

/// A product of another shop, which an app of its own has.
pub(super) async fn theirs(client: &Client, shop_id: i64) -> Shelf {
    let making = Making {
        maker: client.clone(),
        giver: client.clone(),
        spender: client.clone(),
        shop_id,
        uid: "person-of-vouchers",
    };
    let code = format!("product-{shop_id}");
    let product_id = making.product(&code, 0).await;
    making.shelf(code, product_id, product_id).await
}

/// Lets the apps of some keys see a product beside those that use it.
pub(super) async fn let_see(client: &Client, shelf: &Shelf, keys: &[&str]) {
    let apps = apps_of(client).await;
    let get = pb::GetVoucherProductRequest {
        shop_id: SHOP,
        product_id: shelf.product_id,
        ..Default::default()
    };
    let found = shelf.maker.vouchers().get_voucher_product(get).await;
    let mut grants = found.unwrap().into_inner().grants;
    grants.extend(keys.iter().map(|key| pb::VoucherProductGrant {
        app_id: app_of(&apps, key),
        may_see: true,
        ..Default::default()
    }));
    let grant = pb::SetVoucherProductGrantsRequest {
        shop_id: SHOP,
        request_id: client.fresh(),
        product_id: shelf.product_id,
        grants,
        ..Default::default()
    };
    let mut vouchers = shelf.maker.vouchers();
    vouchers.set_voucher_product_grants(grant).await.unwrap();
}

fn app_of(apps: &[pb::App], key: &str) -> i64 {
    let key_id = key.split('_').nth(1).unwrap();
    let of = |app: &&pb::App| app.keys.iter().any(|key| key.key_id == key_id);
    apps.iter().find(of).unwrap().app_id
}

async fn apps_of(client: &Client) -> Vec<pb::App> {
    let list = pb::ListAppsRequest {
        page_size: 1_000,
        ..Default::default()
    };
    let listed = client.admin().list_apps(list).await.unwrap();
    listed.into_inner().apps
}

/// A request that is accepted from a caller who may make it; none: not about vouchers.
#[expect(clippy::needless_update, reason = "some requests have no other field")]
pub(super) fn good(name: &str, things: &Things) -> Option<Vec<u8>> {
    let shelf = &things.shelf;
    let Shelf {
        product_id,
        voucher_id,
        ..
    } = *shelf;
    let (shop_id, validate_only, reason) = (SHOP, true, "r".to_owned());
    let (request_id, app_order_id) = ("tried".to_owned(), "tried".to_owned());
    let (product_code, owner) = (shelf.code.clone(), by_uid(&things.ours.uid));
    let (voucher_ids, uses) = (vec![voucher_id], vec![all_of(voucher_id)]);
    macro_rules! make {
        ($request:ident { $($field:ident $(: $value:expr)?),* }) => {
            pb::$request { shop_id, $($field $(: $value)?,)* ..Default::default() }.encode_to_vec()
        };
    }
    macro_rules! write {
        ($request:ident { $($field:ident $(: $value:expr)?),* }) => {
            make!($request { request_id, validate_only, $($field $(: $value)?),* })
        };
    }
    macro_rules! order {
        ($request:ident { $($field:ident $(: $value:expr)?),* }) => {
            make!($request { app_order_id, validate_only, $($field $(: $value)?),* })
        };
    }
    Some(match name {
        "CreateVoucherProduct" => write!(CreateVoucherProductRequest {
            code: "new".into(),
            name: "n".into(),
            min_face_fen: 100,
            validity: days(1)
        }),
        "GetVoucherProduct" => make!(GetVoucherProductRequest { product_id }),
        "ListVoucherProducts" => make!(ListVoucherProductsRequest {}),
        "UpdateVoucherProduct" => {
            let update_mask = Some(prost_types::FieldMask {
                paths: vec!["stock_count".into()],
            });
            write!(UpdateVoucherProductRequest {
                product_id,
                update_mask
            })
        }
        "ActivateVoucherProduct" => write!(ActivateVoucherProductRequest { product_id }),
        "PauseVoucherProduct" => write!(PauseVoucherProductRequest { product_id }),
        "EndVoucherProduct" => write!(EndVoucherProductRequest { product_id }),
        "FundVoucherProduct" => write!(FundVoucherProductRequest {
            product_id: shelf.funded_id,
            amount_fen: 1
        }),
        "DefundVoucherProduct" => write!(DefundVoucherProductRequest {
            product_id: shelf.funded_id,
            amount_fen: 1
        }),
        "SetVoucherProductGrants" => write!(SetVoucherProductGrantsRequest { product_id }),
        "GiveVoucher" => order!(GiveVoucherRequest {
            product_code,
            owner
        }),
        "BatchGiveVouchers" => order!(BatchGiveVouchersRequest {
            product_code,
            gifts: vec![pb::VoucherGift { owner, face_fen: 0 }]
        }),
        "GetVoucher" => make!(GetVoucherRequest {
            voucher_no: shelf.voucher_no.clone()
        }),
        "ListVouchers" => {
            let filter = Some(pb::VoucherFilter {
                owner,
                ..Default::default()
            });
            make!(ListVouchersRequest { filter })
        }
        "ListVoucherOrders" => make!(ListVoucherOrdersRequest {}),
        "ListVoucherExchanges" => make!(ListVoucherExchangesRequest {
            order: order_ref(shelf.spent)
        }),
        "CloseVoucherReview" => write!(CloseVoucherReviewRequest {
            order_id: shelf.spent,
            verdict: 2,
            reason: "r".into()
        }),
        "SpendVouchers" => order!(SpendVouchersRequest { owner, uses }),
        "ReserveVouchers" => order!(ReserveVouchersRequest { owner, uses }),
        "UndoSpend" => write!(UndoSpendRequest {
            order: order_ref(shelf.spent)
        }),
        "SpendReservedVouchers" => write!(SpendReservedVouchersRequest {
            order: order_ref(shelf.held)
        }),
        "ReleaseVouchers" => write!(ReleaseVouchersRequest {
            order: order_ref(shelf.held)
        }),
        "GetVoucherOrder" => make!(GetVoucherOrderRequest {
            order: order_ref(shelf.spent)
        }),
        "VoidVouchers" => write!(VoidVouchersRequest {
            voucher_ids,
            reason
        }),
        "FreezeVouchers" => write!(FreezeVouchersRequest {
            voucher_ids,
            reason
        }),
        "ExtendVouchers" => write!(ExtendVouchersRequest {
            voucher_ids,
            reason,
            // The year 2100.
            end_time: Some(instant(4_102_444_800_000_000))
        }),
        "CreateAccountCode" => write!(CreateAccountCodeRequest { owner }),
        "SetPaymentCode" => write!(SetPaymentCodeRequest { owner }),
        _ => return None,
    })
}
