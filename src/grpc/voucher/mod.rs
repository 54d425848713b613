//! VoucherService.

use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::call::{body, parse_call, wait_until};
use super::parse::Fields;
use super::pb::voucher_service_server::VoucherService;
use super::server::Backend;
use super::{convert, page, pb, status};
use crate::domain::campaign::Verb;
use crate::domain::ledger::Posting;
use crate::domain::voucher::Remote;
use crate::store::voucher::{Access, OrderView};
use product::Write;

mod order;
mod product;
mod read;
mod remote;
mod render;
mod single;

/// What of a request says which product is changed, and by which call.
macro_rules! write {
    ($method:literal, $r:expr) => {
        Write {
            method: $method,
            shop_id: $r.shop_id,
            request_id: &$r.request_id,
            validate_only: $r.validate_only,
            product_id: $r.product_id,
        }
    };
}

impl Backend {
    /// The order as the platform of its vouchers leaves it, if the caller waits for that.
    async fn confirmed(
        &self,
        caller: &Caller,
        done: OrderView,
        waits: bool,
        until: Instant,
    ) -> Result<OrderView, Status> {
        if !waits || done.row.remote != Some(Remote::Pending) {
            return Ok(done);
        }
        let access = Access::of(&caller.principal);
        let waited = self.vouchers.await_order(access, done, until).await;
        waited.map_err(status::status)
    }
}

#[tonic::async_trait]
impl VoucherService for Backend {
    async fn create_voucher_product(
        &self,
        request: Request<pb::CreateVoucherProductRequest>,
    ) -> Result<Response<pb::CreateVoucherProductResponse>, Status> {
        let caller = Caller::of(&request)?;
        let done = product::create(self, &caller, &request.into_inner())
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::CreateVoucherProductResponse {
            product: Some(render::product(&done.row.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn update_voucher_product(
        &self,
        request: Request<pb::UpdateVoucherProductRequest>,
    ) -> Result<Response<pb::UpdateVoucherProductResponse>, Status> {
        let caller = Caller::of(&request)?;
        let r = request.into_inner();
        let body = body!(
            UpdateVoucherProductRequest,
            r,
            request_id,
            validate_only,
            shop_id
        );
        let write = write!("UpdateVoucherProduct", r);
        let done = product::update(self, &caller, write, &body, &r)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::UpdateVoucherProductResponse {
            product: Some(render::product(&done.row.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn activate_voucher_product(
        &self,
        request: Request<pb::ActivateVoucherProductRequest>,
    ) -> Result<Response<pb::ActivateVoucherProductResponse>, Status> {
        let caller = Caller::of(&request)?;
        let r = request.into_inner();
        let body = body!(
            ActivateVoucherProductRequest,
            r,
            request_id,
            validate_only,
            shop_id
        );
        let write = write!("ActivateVoucherProduct", r);
        let done = product::turn(self, &caller, write, &body, Verb::Activate)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::ActivateVoucherProductResponse {
            product: Some(render::product(&done.row.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn pause_voucher_product(
        &self,
        request: Request<pb::PauseVoucherProductRequest>,
    ) -> Result<Response<pb::PauseVoucherProductResponse>, Status> {
        let caller = Caller::of(&request)?;
        let r = request.into_inner();
        let body = body!(
            PauseVoucherProductRequest,
            r,
            request_id,
            validate_only,
            shop_id
        );
        let write = write!("PauseVoucherProduct", r);
        let done = product::turn(self, &caller, write, &body, Verb::Pause)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::PauseVoucherProductResponse {
            product: Some(render::product(&done.row.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn end_voucher_product(
        &self,
        request: Request<pb::EndVoucherProductRequest>,
    ) -> Result<Response<pb::EndVoucherProductResponse>, Status> {
        let caller = Caller::of(&request)?;
        let r = request.into_inner();
        let body = body!(
            EndVoucherProductRequest,
            r,
            request_id,
            validate_only,
            shop_id
        );
        let write = write!("EndVoucherProduct", r);
        let done = product::turn(self, &caller, write, &body, Verb::End)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::EndVoucherProductResponse {
            product: Some(render::product(&done.row.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn fund_voucher_product(
        &self,
        request: Request<pb::FundVoucherProductRequest>,
    ) -> Result<Response<pb::FundVoucherProductResponse>, Status> {
        let caller = Caller::of(&request)?;
        let r = request.into_inner();
        let body = body!(
            FundVoucherProductRequest,
            r,
            request_id,
            validate_only,
            shop_id
        );
        let write = write!("FundVoucherProduct", r);
        let done = product::pay(self, &caller, write, &body, r.amount_fen, Posting::fund)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::FundVoucherProductResponse {
            product: Some(render::product(&done.row.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn defund_voucher_product(
        &self,
        request: Request<pb::DefundVoucherProductRequest>,
    ) -> Result<Response<pb::DefundVoucherProductResponse>, Status> {
        let caller = Caller::of(&request)?;
        let r = request.into_inner();
        let body = body!(
            DefundVoucherProductRequest,
            r,
            request_id,
            validate_only,
            shop_id
        );
        let write = write!("DefundVoucherProduct", r);
        let done = product::pay(self, &caller, write, &body, r.amount_fen, Posting::defund)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::DefundVoucherProductResponse {
            product: Some(render::product(&done.row.row).map_err(status::status)?),
            replayed: done.replayed,
        }))
    }

    async fn set_voucher_product_grants(
        &self,
        request: Request<pb::SetVoucherProductGrantsRequest>,
    ) -> Result<Response<pb::SetVoucherProductGrantsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let r = request.into_inner();
        let body = body!(
            SetVoucherProductGrantsRequest,
            r,
            request_id,
            validate_only,
            shop_id
        );
        let write = write!("SetVoucherProductGrants", r);
        let done = product::set_grants(self, &caller, write, &body, &r.grants)
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::SetVoucherProductGrantsResponse {
            product: Some(render::product(&done.row.row).map_err(status::status)?),
            replayed: done.replayed,
            grants: done.row.grants.iter().map(render::grant).collect(),
        }))
    }

    async fn get_voucher_product(
        &self,
        request: Request<pb::GetVoucherProductRequest>,
    ) -> Result<Response<pb::GetVoucherProductResponse>, Status> {
        let caller = Caller::of(&request)?;
        product::get(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_voucher_products(
        &self,
        request: Request<pb::ListVoucherProductsRequest>,
    ) -> Result<Response<pb::ListVoucherProductsResponse>, Status> {
        let caller = Caller::of(&request)?;
        product::list(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn get_voucher(
        &self,
        request: Request<pb::GetVoucherRequest>,
    ) -> Result<Response<pb::GetVoucherResponse>, Status> {
        let caller = Caller::of(&request)?;
        single::get(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_vouchers(
        &self,
        request: Request<pb::ListVouchersRequest>,
    ) -> Result<Response<pb::ListVouchersResponse>, Status> {
        let caller = Caller::of(&request)?;
        single::list(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn get_voucher_order(
        &self,
        request: Request<pb::GetVoucherOrderRequest>,
    ) -> Result<Response<pb::GetVoucherOrderResponse>, Status> {
        let caller = Caller::of(&request)?;
        order::get(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_voucher_exchanges(
        &self,
        request: Request<pb::ListVoucherExchangesRequest>,
    ) -> Result<Response<pb::ListVoucherExchangesResponse>, Status> {
        let caller = Caller::of(&request)?;
        remote::words(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_voucher_orders(
        &self,
        request: Request<pb::ListVoucherOrdersRequest>,
    ) -> Result<Response<pb::ListVoucherOrdersResponse>, Status> {
        let caller = Caller::of(&request)?;
        remote::list(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn close_voucher_review(
        &self,
        request: Request<pb::CloseVoucherReviewRequest>,
    ) -> Result<Response<pb::CloseVoucherReviewResponse>, Status> {
        let caller = Caller::of(&request)?;
        let done = remote::close(self, &caller, &request.into_inner())
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::CloseVoucherReviewResponse {
            order: Some(render::order(&done)),
            replayed: done.replayed,
        }))
    }

    async fn create_account_code(
        &self,
        request: Request<pb::CreateAccountCodeRequest>,
    ) -> Result<Response<pb::CreateAccountCodeResponse>, Status> {
        let caller = Caller::of(&request)?;
        single::account_code(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn set_payment_code(
        &self,
        request: Request<pb::SetPaymentCodeRequest>,
    ) -> Result<Response<pb::SetPaymentCodeResponse>, Status> {
        let caller = Caller::of(&request)?;
        single::payment_code(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn give_voucher(
        &self,
        request: Request<pb::GiveVoucherRequest>,
    ) -> Result<Response<pb::GiveVoucherResponse>, Status> {
        let (caller, until) = (Caller::of(&request)?, wait_until(&request));
        let r = request.into_inner();
        let done = order::give(self, &caller, &r)
            .await
            .map_err(status::status)?;
        let done = self
            .confirmed(&caller, done, r.wait && !r.validate_only, until)
            .await?;
        Ok(Response::new(pb::GiveVoucherResponse {
            order: Some(render::order(&done)),
            replayed: done.replayed,
        }))
    }

    async fn batch_give_vouchers(
        &self,
        request: Request<pb::BatchGiveVouchersRequest>,
    ) -> Result<Response<pb::BatchGiveVouchersResponse>, Status> {
        let (caller, until) = (Caller::of(&request)?, wait_until(&request));
        let r = request.into_inner();
        let done = order::batch_give(self, &caller, &r)
            .await
            .map_err(status::status)?;
        let done = self
            .confirmed(&caller, done, r.wait && !r.validate_only, until)
            .await?;
        Ok(Response::new(pb::BatchGiveVouchersResponse {
            order: Some(render::order(&done)),
            replayed: done.replayed,
        }))
    }

    async fn spend_vouchers(
        &self,
        request: Request<pb::SpendVouchersRequest>,
    ) -> Result<Response<pb::SpendVouchersResponse>, Status> {
        let (caller, until) = (Caller::of(&request)?, wait_until(&request));
        let r = request.into_inner();
        let done = order::spend(self, &caller, &r)
            .await
            .map_err(status::status)?;
        let done = self
            .confirmed(&caller, done, r.wait && !r.validate_only, until)
            .await?;
        Ok(Response::new(pb::SpendVouchersResponse {
            order: Some(render::order(&done)),
            replayed: done.replayed,
        }))
    }

    async fn reserve_vouchers(
        &self,
        request: Request<pb::ReserveVouchersRequest>,
    ) -> Result<Response<pb::ReserveVouchersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let done = order::reserve(self, &caller, &request.into_inner())
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::ReserveVouchersResponse {
            order: Some(render::order(&done)),
            replayed: done.replayed,
        }))
    }

    async fn undo_spend(
        &self,
        request: Request<pb::UndoSpendRequest>,
    ) -> Result<Response<pb::UndoSpendResponse>, Status> {
        let (caller, until) = (Caller::of(&request)?, wait_until(&request));
        let r = request.into_inner();
        let done = order::undo(self, &caller, &r)
            .await
            .map_err(status::status)?;
        let done = self
            .confirmed(&caller, done, r.wait && !r.validate_only, until)
            .await?;
        Ok(Response::new(pb::UndoSpendResponse {
            order: Some(render::order(&done)),
            replayed: done.replayed,
        }))
    }

    async fn spend_reserved_vouchers(
        &self,
        request: Request<pb::SpendReservedVouchersRequest>,
    ) -> Result<Response<pb::SpendReservedVouchersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let done = order::spend_reserved(self, &caller, &request.into_inner())
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::SpendReservedVouchersResponse {
            order: Some(render::order(&done)),
            replayed: done.replayed,
        }))
    }

    async fn release_vouchers(
        &self,
        request: Request<pb::ReleaseVouchersRequest>,
    ) -> Result<Response<pb::ReleaseVouchersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let done = order::release(self, &caller, &request.into_inner())
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::ReleaseVouchersResponse {
            order: Some(render::order(&done)),
            replayed: done.replayed,
        }))
    }

    async fn void_vouchers(
        &self,
        request: Request<pb::VoidVouchersRequest>,
    ) -> Result<Response<pb::VoidVouchersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let (vouchers, replayed) = single::void(self, &caller, &request.into_inner())
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::VoidVouchersResponse {
            vouchers,
            replayed,
        }))
    }

    async fn freeze_vouchers(
        &self,
        request: Request<pb::FreezeVouchersRequest>,
    ) -> Result<Response<pb::FreezeVouchersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let (vouchers, replayed) = single::freeze(self, &caller, &request.into_inner())
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::FreezeVouchersResponse {
            vouchers,
            replayed,
        }))
    }

    async fn extend_vouchers(
        &self,
        request: Request<pb::ExtendVouchersRequest>,
    ) -> Result<Response<pb::ExtendVouchersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let (vouchers, replayed) = single::extend(self, &caller, &request.into_inner())
            .await
            .map_err(status::status)?;
        Ok(Response::new(pb::ExtendVouchersResponse {
            vouchers,
            replayed,
        }))
    }
}
