//! AdminService.

use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::call::parse_call;
use super::parse::Fields;
use super::pb::admin_service_server::AdminService;
use super::server::Backend;
use super::{convert, page, pb, plan, status};
use crate::domain::id::{AccountId, ShopId};
use crate::domain::{Reason, Result};
use crate::store::page::Page;

mod account;
mod app;
mod audit;
mod callback;
mod overview;
mod shop;
mod signing;
mod stop;

use account::render_account;
use app::render_app;
use shop::render_shop;

/// The largest id that every JSON reader keeps exactly.
const SHOP_ID_MAX: i64 = 1 << 53;
const NAME_RULE: &str = "1 to 64 characters of [A-Za-z0-9_.:-]";

#[tonic::async_trait]
impl AdminService for Backend {
    async fn create_shop(
        &self,
        request: Request<pb::CreateShopRequest>,
    ) -> Result<Response<pb::CreateShopResponse>, Status> {
        let caller = Caller::of(&request)?;
        shop::create_shop(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_shops(
        &self,
        request: Request<pb::ListShopsRequest>,
    ) -> Result<Response<pb::ListShopsResponse>, Status> {
        let asked = request.into_inner();
        let (page, scope) =
            page_of(asked.page_size, &asked.page_token, "shops").map_err(status::status)?;
        let found = self.store.shops(page).await.map_err(status::status)?;
        let next_page_token = page::next(&found, page, scope, |shop| shop.row.id.0);
        Ok(Response::new(pb::ListShopsResponse {
            shops: found.iter().map(render_shop).collect(),
            next_page_token,
        }))
    }

    async fn create_branch(
        &self,
        request: Request<pb::CreateBranchRequest>,
    ) -> Result<Response<pb::CreateBranchResponse>, Status> {
        let caller = Caller::of(&request)?;
        shop::create_branch(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_branches(
        &self,
        request: Request<pb::ListBranchesRequest>,
    ) -> Result<Response<pb::ListBranchesResponse>, Status> {
        shop::list_branches(self, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn set_shop_gateways(
        &self,
        request: Request<pb::SetShopGatewaysRequest>,
    ) -> Result<Response<pb::SetShopGatewaysResponse>, Status> {
        let caller = Caller::of(&request)?;
        shop::set_gateways(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn create_provider_account(
        &self,
        request: Request<pb::CreateProviderAccountRequest>,
    ) -> Result<Response<pb::CreateProviderAccountResponse>, Status> {
        let caller = Caller::of(&request)?;
        account::create_account(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn update_provider_account(
        &self,
        request: Request<pb::UpdateProviderAccountRequest>,
    ) -> Result<Response<pb::UpdateProviderAccountResponse>, Status> {
        let caller = Caller::of(&request)?;
        account::update_account(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn get_provider_account(
        &self,
        request: Request<pb::GetProviderAccountRequest>,
    ) -> Result<Response<pb::GetProviderAccountResponse>, Status> {
        let mut fields = Fields::default();
        let id = fields.id(
            request.into_inner().account_id,
            "account_id",
            AccountId::parse,
        );
        let id = fields.finish(id).map_err(status::status)?;
        let found = self.store.account(id).await.map_err(status::status)?;
        let account = render_account(&found).map_err(status::status)?;
        Ok(Response::new(pb::GetProviderAccountResponse {
            account: Some(account),
        }))
    }

    async fn list_provider_accounts(
        &self,
        request: Request<pb::ListProviderAccountsRequest>,
    ) -> Result<Response<pb::ListProviderAccountsResponse>, Status> {
        let asked = request.into_inner();
        let (page, scope) =
            page_of(asked.page_size, &asked.page_token, "accounts").map_err(status::status)?;
        let found = self.store.accounts(page).await.map_err(status::status)?;
        let next_page_token = page::next(&found, page, scope, |account| account.row.id.0);
        let accounts = found
            .iter()
            .map(render_account)
            .collect::<Result<_>>()
            .map_err(status::status)?;
        Ok(Response::new(pb::ListProviderAccountsResponse {
            accounts,
            next_page_token,
        }))
    }

    async fn create_app(
        &self,
        request: Request<pb::CreateAppRequest>,
    ) -> Result<Response<pb::CreateAppResponse>, Status> {
        let caller = Caller::of(&request)?;
        app::create_app(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_apps(
        &self,
        request: Request<pb::ListAppsRequest>,
    ) -> Result<Response<pb::ListAppsResponse>, Status> {
        let asked = request.into_inner();
        let (page, scope) =
            page_of(asked.page_size, &asked.page_token, "apps").map_err(status::status)?;
        let found = self.store.apps(page).await.map_err(status::status)?;
        let next_page_token = page::next(&found, page, scope, |app| app.row.id.0);
        Ok(Response::new(pb::ListAppsResponse {
            apps: found.iter().map(render_app).collect(),
            next_page_token,
        }))
    }

    async fn create_api_key(
        &self,
        request: Request<pb::CreateApiKeyRequest>,
    ) -> Result<Response<pb::CreateApiKeyResponse>, Status> {
        let caller = Caller::of(&request)?;
        app::create_key(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn revoke_api_key(
        &self,
        request: Request<pb::RevokeApiKeyRequest>,
    ) -> Result<Response<pb::RevokeApiKeyResponse>, Status> {
        let caller = Caller::of(&request)?;
        app::revoke_key(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn set_app_signing(
        &self,
        request: Request<pb::SetAppSigningRequest>,
    ) -> Result<Response<pb::SetAppSigningResponse>, Status> {
        let caller = Caller::of(&request)?;
        signing::set(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn get_app_signing(
        &self,
        request: Request<pb::GetAppSigningRequest>,
    ) -> Result<Response<pb::GetAppSigningResponse>, Status> {
        signing::get(self, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn stop_all(
        &self,
        request: Request<pb::StopAllRequest>,
    ) -> Result<Response<pb::StopAllResponse>, Status> {
        let caller = Caller::of(&request)?;
        stop::stop(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn resume_all(
        &self,
        request: Request<pb::ResumeAllRequest>,
    ) -> Result<Response<pb::ResumeAllResponse>, Status> {
        let caller = Caller::of(&request)?;
        stop::resume(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_audit(
        &self,
        request: Request<pb::ListAuditRequest>,
    ) -> Result<Response<pb::ListAuditResponse>, Status> {
        audit::list(self, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn get_overview(
        &self,
        request: Request<pb::GetOverviewRequest>,
    ) -> Result<Response<pb::GetOverviewResponse>, Status> {
        overview::get(self, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_provider_callbacks(
        &self,
        request: Request<pb::ListProviderCallbacksRequest>,
    ) -> Result<Response<pb::ListProviderCallbacksResponse>, Status> {
        callback::list(self, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_stops(
        &self,
        _: Request<pb::ListStopsRequest>,
    ) -> Result<Response<pb::ListStopsResponse>, Status> {
        stop::list(self)
            .await
            .map(Response::new)
            .map_err(status::status)
    }
}

fn page_of<'a>(size: i32, token: &str, scope: &'a str) -> Result<(Page, &'a [u8])> {
    let mut fields = Fields::default();
    let page = page::parse(&mut fields, size, token, scope.as_bytes());
    Ok((fields.finish(page)?, scope.as_bytes()))
}

/// A list that holds something, and not too much.
fn check_count(fields: &mut Fields, path: &str, count: usize, max: usize) {
    if count == 0 {
        fields.bad(path, Reason::FieldRequired, format!("name 1 to {max}"));
    } else if count > max {
        fields.bad(path, Reason::BatchTooLarge, format!("at most {max}"));
    }
}

fn parse_shops(fields: &mut Fields, path: &str, raw: &[i64]) -> Vec<ShopId> {
    if raw.len() > 1_000 {
        fields.bad(path, Reason::BatchTooLarge, "at most 1,000 shops");
        return Vec::new();
    }
    let shops = raw.iter().enumerate();
    shops
        .filter_map(|(index, id)| fields.id(*id, &format!("{path}[{index}]"), ShopId::parse))
        .collect()
}
