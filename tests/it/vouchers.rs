//! Vouchers over gRPC, on both databases.

use hongbao::grpc::pb;
use hongbao::grpc::pb::VoucherState as V;
use tonic::Status;

use crate::support::{Client, Options, Raw, SHOP, TestApp, TestDb};

mod access;
mod codes;
mod giving;
mod life;
mod measure;
mod orders;
mod races;
pub mod remote;
mod time;

/// A shop that has vouchers, on real time. The sweeper comes by every two seconds.
pub struct Scene {
    pub app: TestApp,
    pub client: Client,
}

/// Whose vouchers they are.
pub fn owner(mobile: &str) -> Option<pb::VoucherOwner> {
    Some(pb::VoucherOwner {
        owner: Some(pb::voucher_owner::Owner::Mobile(mobile.to_owned())),
    })
}

pub fn by_uid(uid: &str) -> Option<pb::VoucherOwner> {
    Some(pb::VoucherOwner {
        owner: Some(pb::voucher_owner::Owner::Uid(uid.to_owned())),
    })
}

/// A voucher by its id, all of it.
pub fn all_of(voucher_id: i64) -> pb::VoucherUse {
    part_of(voucher_id, 0)
}

pub fn part_of(voucher_id: i64, amount_fen: i64) -> pb::VoucherUse {
    pb::VoucherUse {
        voucher: Some(pb::voucher_use::Voucher::VoucherId(voucher_id)),
        amount_fen,
    }
}

/// An order by its id.
pub fn order_ref(order_id: i64) -> Option<pb::VoucherOrderRef> {
    Some(pb::VoucherOrderRef {
        order: Some(pb::voucher_order_ref::Order::OrderId(order_id)),
    })
}

/// Valid for so many days from the gift.
pub fn days(valid_days: i32) -> Option<pb::VoucherValidity> {
    let days = pb::VoucherDays {
        start_after_days: 0,
        valid_days,
    };
    Some(pb::VoucherValidity {
        validity: Some(pb::voucher_validity::Validity::Days(days)),
    })
}

/// Valid until an instant in microseconds.
pub fn until(micros: i64) -> Option<pb::VoucherValidity> {
    let window = pb::VoucherWindow {
        end_time: Some(instant(micros)),
        ..Default::default()
    };
    Some(pb::VoucherValidity {
        validity: Some(pb::voucher_validity::Validity::Window(window)),
    })
}

pub fn instant(micros: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000)).unwrap() * 1_000,
    }
}

impl Scene {
    pub async fn open(db: TestDb) -> Self {
        Self::open_with(db, 1).await
    }

    pub async fn open_with(db: TestDb, time_scale: u32) -> Self {
        let options = Options {
            time_scale,
            dispatcher: false,
            ..Options::default()
        };
        let app = TestApp::start_with(db, options).await;
        let client = app.client.clone();
        client.make_shop(SHOP).await;
        Self { app, client }
    }

    pub async fn close(self) {
        self.app.assert_sound().await;
        self.app.stop().await;
    }

    /// A product of 100 yuan a voucher that is active and holds a million yuan.
    pub async fn product(&self, code: &str) -> i64 {
        self.product_with(code, |_| {}).await
    }

    pub async fn product_with(
        &self,
        code: &str,
        change: impl FnOnce(&mut pb::CreateVoucherProductRequest),
    ) -> i64 {
        let mut new = pb::CreateVoucherProductRequest {
            shop_id: SHOP,
            request_id: self.client.fresh(),
            code: code.into(),
            name: "有油贷红包".into(),
            min_face_fen: 10_000,
            validity: days(30),
            ..Default::default()
        };
        change(&mut new);
        let mut vouchers = self.client.vouchers();
        let made = vouchers.create_voucher_product(new).await.unwrap();
        let product_id = made.into_inner().product.unwrap().product_id;
        self.fund(product_id, 100_000_000).await;
        self.activate(product_id).await;
        product_id
    }

    pub async fn fund(&self, product_id: i64, amount_fen: i64) {
        let fund = pb::FundVoucherProductRequest {
            shop_id: SHOP,
            request_id: self.client.fresh(),
            product_id,
            amount_fen,
            ..Default::default()
        };
        self.client
            .vouchers()
            .fund_voucher_product(fund)
            .await
            .unwrap();
    }

    pub async fn activate(&self, product_id: i64) {
        let activate = pb::ActivateVoucherProductRequest {
            shop_id: SHOP,
            request_id: self.client.fresh(),
            product_id,
            ..Default::default()
        };
        let mut vouchers = self.client.vouchers();
        vouchers.activate_voucher_product(activate).await.unwrap();
    }

    pub async fn pause(&self, product_id: i64) {
        let pause = pb::PauseVoucherProductRequest {
            shop_id: SHOP,
            request_id: self.client.fresh(),
            product_id,
            ..Default::default()
        };
        self.client
            .vouchers()
            .pause_voucher_product(pause)
            .await
            .unwrap();
    }

    pub async fn show(&self, product_id: i64) -> pb::VoucherProduct {
        let get = pb::GetVoucherProductRequest {
            shop_id: SHOP,
            product_id,
            ..Default::default()
        };
        let found = self
            .client
            .vouchers()
            .get_voucher_product(get)
            .await
            .unwrap();
        found.into_inner().product.unwrap()
    }

    /// What is available, on vouchers, and redeemed.
    pub async fn money(&self, product_id: i64) -> (i64, i64, i64) {
        let budget = self.show(product_id).await.budget.unwrap();
        (
            budget.available_fen,
            budget.liability_fen,
            budget.redeemed_fen,
        )
    }

    pub fn gift(&self, code: &str, mobile: &str) -> pb::GiveVoucherRequest {
        pb::GiveVoucherRequest {
            shop_id: SHOP,
            app_order_id: self.client.fresh(),
            product_code: code.into(),
            owner: owner(mobile),
            remark: "某某为用户赠送有油贷红包".into(),
            ..Default::default()
        }
    }

    pub async fn try_give(&self, gift: pb::GiveVoucherRequest) -> Result<pb::VoucherOrder, Status> {
        let given = self.client.vouchers().give_voucher(gift).await?;
        Ok(given.into_inner().order.unwrap())
    }

    pub async fn give(&self, code: &str, mobile: &str) -> pb::Voucher {
        let order = self.try_give(self.gift(code, mobile)).await.unwrap();
        order.lines[0].voucher.clone().unwrap()
    }

    pub fn spending(&self, mobile: &str, uses: Vec<pb::VoucherUse>) -> pb::SpendVouchersRequest {
        pb::SpendVouchersRequest {
            shop_id: SHOP,
            app_order_id: self.client.fresh(),
            owner: owner(mobile),
            uses,
            remark: "使用红包消费".into(),
            ..Default::default()
        }
    }

    pub async fn try_spend(
        &self,
        spend: pb::SpendVouchersRequest,
    ) -> Result<pb::VoucherOrder, Status> {
        let spent = self.client.vouchers().spend_vouchers(spend).await?;
        Ok(spent.into_inner().order.unwrap())
    }

    pub async fn spend(&self, mobile: &str, ids: &[i64]) -> Result<pb::VoucherOrder, Status> {
        let uses = ids.iter().map(|id| all_of(*id)).collect();
        self.try_spend(self.spending(mobile, uses)).await
    }

    pub async fn try_undo(&self, order_id: i64) -> Result<pb::VoucherOrder, Status> {
        let undo = pb::UndoSpendRequest {
            shop_id: SHOP,
            request_id: self.client.fresh(),
            order: order_ref(order_id),
            ..Default::default()
        };
        let undone = self.client.vouchers().undo_spend(undo).await?;
        Ok(undone.into_inner().order.unwrap())
    }

    pub async fn voucher(&self, voucher_id: i64) -> pb::GetVoucherResponse {
        let get = pb::GetVoucherRequest {
            shop_id: SHOP,
            voucher_id,
            ..Default::default()
        };
        self.client
            .vouchers()
            .get_voucher(get)
            .await
            .unwrap()
            .into_inner()
    }

    pub async fn state(&self, voucher_id: i64) -> V {
        self.voucher(voucher_id).await.voucher.unwrap().state()
    }

    /// The vouchers that a filter finds, newest first.
    pub async fn list(&self, filter: pb::VoucherFilter) -> Vec<pb::Voucher> {
        let list = pb::ListVouchersRequest {
            shop_id: SHOP,
            filter: Some(filter),
            ..Default::default()
        };
        let found = self.client.vouchers().list_vouchers(list).await.unwrap();
        found.into_inner().vouchers
    }

    pub async fn raw(&self) -> Raw {
        Raw::open(&self.app.db).await
    }
}

/// Every cause that a refusal names, by the voucher's id where it has one.
pub fn causes(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let found = status.get_details_precondition_failure();
    let violations = found.map(|failure| failure.violations).unwrap_or_default();
    violations
        .into_iter()
        .map(|v| format!("{} {}", v.r#type, v.subject))
        .collect()
}
