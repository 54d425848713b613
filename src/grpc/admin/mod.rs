//! AdminService.

use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::call::{body, call};
use super::parse::Fields;
use super::pb::admin_service_server::AdminService;
use super::server::Backend;
use super::{convert, page, pb, status};
use crate::domain::id::{AccountId, ShopId};
use crate::domain::{Reason, Result};
use crate::store::entity::shop;
use crate::store::page::Page;

mod account;
mod app;

use account::render_account;
use app::render_app;

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
        create_shop(self, &caller, &request.into_inner())
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
        let next_page_token = page::next(&found, page, scope, |shop| shop.id.0);
        Ok(Response::new(pb::ListShopsResponse {
            shops: found.iter().map(render_shop).collect(),
            next_page_token,
        }))
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
}

fn page_of<'a>(size: i32, token: &str, scope: &'a str) -> Result<(Page, &'a [u8])> {
    let mut fields = Fields::default();
    let page = page::parse(&mut fields, size, token, scope.as_bytes());
    Ok((fields.finish(page)?, scope.as_bytes()))
}

async fn create_shop(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateShopRequest,
) -> Result<pb::CreateShopResponse> {
    let mut fields = Fields::default();
    let body = body!(CreateShopRequest, r, request_id, validate_only);
    let call = call(
        &mut fields,
        caller,
        "CreateShop",
        None,
        &r.request_id,
        r.validate_only,
        &body,
    );
    let id = fields.optional_id(r.shop_id, "shop_id", |raw| {
        ShopId::parse(raw).filter(|id| id.0 <= SHOP_ID_MAX)
    });
    if r.name.is_empty() {
        fields.bad("name", Reason::FieldRequired, "required: 1 to 64 bytes");
    }
    let name = fields.text(&r.name, "name", 64);
    let parsed = (|| Some((call?, id?, name?)))();
    let (call, id, name) = fields.finish(parsed)?;
    let done = backend.store.create_shop(call, id, name).await?;
    Ok(pb::CreateShopResponse {
        shop: Some(render_shop(&done.row)),
        replayed: done.replayed,
    })
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

fn render_shop(row: &shop::Model) -> pb::Shop {
    pb::Shop {
        shop_id: row.id.0,
        name: row.name.clone(),
        create_time: convert::time(row.create_time),
    }
}
