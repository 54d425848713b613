//! AdminService.

use std::net::Ipv4Addr;

use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::call::{body, call};
use super::parse::Fields;
use super::pb::admin_service_server::AdminService;
use super::server::Backend;
use super::{convert, page, pb, status};
use crate::domain::grant::{Grant, Shops};
use crate::domain::id::{AccountId, AppId, ShopId};
use crate::domain::machine::Protocol;
use crate::domain::text::{Appid, Code, MchId};
use crate::domain::{Fen, Reason, Result};
use crate::service::identity;
use crate::store::account::{Account, AccountUpdate, NewAccount, appids};
use crate::store::app::{App, NewApp};
use crate::store::entity::{api_key, shop};

/// The largest id that every JSON reader keeps exactly.
const SHOP_ID_MAX: i64 = 1 << 53;
/// Requests per second of an account at most.
const RATE_MAX: i64 = 10_000;
/// A packet at most, in fen; WeChat Pay allows no account more than this.
const AMOUNT_MAX: i64 = 10_000_000;
/// Permissions of one grant at most, more than there are.
const PERMISSIONS_MAX: usize = 50;
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
        create_account(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn update_provider_account(
        &self,
        request: Request<pb::UpdateProviderAccountRequest>,
    ) -> Result<Response<pb::UpdateProviderAccountResponse>, Status> {
        let caller = Caller::of(&request)?;
        update_account(self, &caller, &request.into_inner())
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
        create_app(self, &caller, &request.into_inner())
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
        create_key(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn revoke_api_key(
        &self,
        request: Request<pb::RevokeApiKeyRequest>,
    ) -> Result<Response<pb::RevokeApiKeyResponse>, Status> {
        let caller = Caller::of(&request)?;
        revoke_key(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }
}

fn page_of<'a>(
    size: i32,
    token: &str,
    scope: &'a str,
) -> Result<(crate::store::read::Page, &'a [u8])> {
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

async fn create_account(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateProviderAccountRequest,
) -> Result<pb::CreateProviderAccountResponse> {
    let mut fields = Fields::default();
    let body = body!(CreateProviderAccountRequest, r, request_id, validate_only);
    let call = call(
        &mut fields,
        caller,
        "CreateProviderAccount",
        None,
        &r.request_id,
        r.validate_only,
        &body,
    );
    let new = parse_account(&mut fields, r);
    let (call, new) = fields.finish(call.zip(new))?;
    backend
        .providers
        .check(&new.credential, &new.mch_id, &new.shops)?;
    let done = backend.store.create_account(call, new).await?;
    backend.wake.notify_waiters();
    Ok(pb::CreateProviderAccountResponse {
        account: Some(render_account(&done.row)?),
        replayed: done.replayed,
    })
}

fn parse_account(fields: &mut Fields, r: &pb::CreateProviderAccountRequest) -> Option<NewAccount> {
    let protocol = fields.name(
        &r.protocol,
        "protocol",
        Protocol::parse,
        Reason::EnumUnknown,
        "\"wechat_pay_v2\"",
    );
    let mch_id = fields.name(
        &r.mch_id,
        "mch_id",
        MchId::parse,
        Reason::IdInvalid,
        "8 to 10 digits",
    );
    let credential = fields.name(
        &r.credential,
        "credential",
        Code::parse,
        Reason::IdInvalid,
        NAME_RULE,
    );
    check_count(fields, "appids", r.appids.len(), 20);
    let mut appids = Vec::new();
    for (index, appid) in r.appids.iter().enumerate().take(20) {
        let rule = "1 to 32 characters of [A-Za-z0-9_-]";
        appids.extend(fields.name(
            appid,
            &format!("appids[{index}]"),
            Appid::parse,
            Reason::AppidInvalid,
            rule,
        ));
    }
    if r.shop_ids.is_empty() {
        fields.bad(
            "shop_ids",
            Reason::FieldRequired,
            "name the shops that may pay through it",
        );
    }
    let shops = parse_shops(fields, "shop_ids", &r.shop_ids);
    let client_ip = match r.client_ip.as_str() {
        "" => Some(Ipv4Addr::LOCALHOST),
        text => fields.take(
            text.parse().ok(),
            "client_ip",
            Reason::IdInvalid,
            "must be a dotted IPv4 address",
        ),
    };
    let min = fields.within(or(r.min_amount_fen, 100), "min_amount_fen", 1, AMOUNT_MAX);
    let max = fields.within(
        or(r.max_amount_fen, 20_000),
        "max_amount_fen",
        1,
        AMOUNT_MAX,
    );
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        fields.bad(
            "max_amount_fen",
            Reason::AmountOutOfRange,
            "must be at least min_amount_fen",
        );
    }
    let sends = parse_rate(fields, "sends_per_second", r.sends_per_second);
    let queries = parse_rate(fields, "queries_per_second", r.queries_per_second);
    Some(NewAccount {
        protocol: protocol?.name(),
        mch_id: mch_id?,
        credential: credential?,
        appids,
        shops,
        client_ip: client_ip?.to_string(),
        min_amount: Fen(min?),
        max_amount: Fen(max?),
        sends_per_second: sends?,
        queries_per_second: queries?,
        confirm_refusals: r.confirm_refusals.unwrap_or(true),
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

fn or(raw: i64, default: i64) -> i64 {
    if raw == 0 { default } else { raw }
}

fn parse_rate(fields: &mut Fields, path: &str, raw: i32) -> Option<i32> {
    let rate = fields.within(or(i64::from(raw), 30), path, 1, RATE_MAX)?;
    i32::try_from(rate).ok()
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

async fn update_account(
    backend: &Backend,
    caller: &Caller,
    r: &pb::UpdateProviderAccountRequest,
) -> Result<pb::UpdateProviderAccountResponse> {
    let mut fields = Fields::default();
    let body = body!(UpdateProviderAccountRequest, r, request_id, validate_only);
    let call = call(
        &mut fields,
        caller,
        "UpdateProviderAccount",
        None,
        &r.request_id,
        r.validate_only,
        &body,
    );
    let id = fields.id(r.account_id, "account_id", AccountId::parse);
    let mut rate = |path: &str, raw: Option<i32>| {
        raw.and_then(|rate| fields.within(i64::from(rate), path, 1, RATE_MAX))
            .and_then(|rate| i32::try_from(rate).ok())
    };
    let sends_per_second = rate("sends_per_second", r.sends_per_second);
    let queries_per_second = rate("queries_per_second", r.queries_per_second);
    let update = AccountUpdate {
        add_shops: parse_shops(&mut fields, "add_shop_ids", &r.add_shop_ids),
        enabled: r.enabled,
        sends_per_second,
        queries_per_second,
        confirm_refusals: r.confirm_refusals,
        close_breaker: r.close_breaker,
    };
    let (call, id) = fields.finish(call.zip(id))?;
    if !update.add_shops.is_empty() {
        let account = backend.store.account(id).await?;
        backend.providers.check(
            &account.row.credential,
            &account.row.mch_id,
            &update.add_shops,
        )?;
    }
    let done = backend.store.update_account(call, id, update).await?;
    backend.wake.notify_waiters();
    Ok(pb::UpdateProviderAccountResponse {
        account: Some(render_account(&done.row)?),
        replayed: done.replayed,
    })
}

async fn create_app(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateAppRequest,
) -> Result<pb::CreateAppResponse> {
    let mut fields = Fields::default();
    let body = body!(CreateAppRequest, r, request_id, validate_only);
    let call = call(
        &mut fields,
        caller,
        "CreateApp",
        None,
        &r.request_id,
        r.validate_only,
        &body,
    );
    let name = fields.name(&r.name, "name", Code::parse, Reason::IdInvalid, NAME_RULE);
    let default_shop = fields.optional_id(r.default_shop_id, "default_shop_id", ShopId::parse);
    check_count(&mut fields, "grants", r.grants.len(), 20);
    let grants: Vec<Grant> = r
        .grants
        .iter()
        .enumerate()
        .take(20)
        .filter_map(|(i, grant)| parse_grant(&mut fields, i, grant))
        .collect();
    let parsed = (|| {
        Some((
            call?,
            NewApp {
                name: name?,
                default_shop: default_shop?,
                grants,
            },
        ))
    })();
    let (call, new) = fields.finish(parsed)?;
    let (key, secret) = identity::new_key();
    let done = backend.store.create_app(call, new, key).await?;
    let api_key = if done.replayed || r.validate_only {
        String::new()
    } else {
        secret
    };
    Ok(pb::CreateAppResponse {
        app: Some(render_app(&done.row)),
        api_key,
        replayed: done.replayed,
    })
}

fn parse_grant(fields: &mut Fields, index: usize, raw: &pb::Grant) -> Option<Grant> {
    let path = format!("grants[{index}]");
    check_count(
        fields,
        &format!("{path}.permissions"),
        raw.permissions.len(),
        PERMISSIONS_MAX,
    );
    let permissions = raw.permissions.iter().enumerate().take(PERMISSIONS_MAX);
    let permissions: Vec<_> = permissions
        .filter_map(|(i, p)| {
            fields.choice(
                *p,
                &format!("{path}.permissions[{i}]"),
                convert::parse_permission,
            )
        })
        .collect();
    if !raw.all_shops && permissions.iter().any(|p| p.is_platform()) {
        fields.bad(
            format!("{path}.all_shops"),
            Reason::FieldRequired,
            "platform-level permissions need all_shops",
        );
    }
    if raw.all_shops && !raw.shop_ids.is_empty() {
        fields.bad(
            format!("{path}.shop_ids"),
            Reason::FieldNotAllowed,
            "leave it empty with all_shops",
        );
    }
    if !raw.all_shops && raw.shop_ids.is_empty() {
        fields.bad(
            format!("{path}.shop_ids"),
            Reason::FieldRequired,
            "name shops, or set all_shops",
        );
    }
    let shops = match raw.all_shops {
        true => Shops::All,
        false => Shops::Only(parse_shops(
            fields,
            &format!("{path}.shop_ids"),
            &raw.shop_ids,
        )),
    };
    Some(Grant { permissions, shops })
}

async fn create_key(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateApiKeyRequest,
) -> Result<pb::CreateApiKeyResponse> {
    let mut fields = Fields::default();
    let body = body!(CreateApiKeyRequest, r, request_id, validate_only);
    let call = call(
        &mut fields,
        caller,
        "CreateApiKey",
        None,
        &r.request_id,
        r.validate_only,
        &body,
    );
    let id = fields.id(r.app_id, "app_id", AppId::parse);
    let (call, id) = fields.finish(call.zip(id))?;
    let (key, secret) = identity::new_key();
    let done = backend.store.create_key(call, id, key).await?;
    let api_key = if done.replayed || r.validate_only {
        String::new()
    } else {
        secret
    };
    Ok(pb::CreateApiKeyResponse {
        key: Some(render_key(&done.row)),
        api_key,
        replayed: done.replayed,
    })
}

async fn revoke_key(
    backend: &Backend,
    caller: &Caller,
    r: &pb::RevokeApiKeyRequest,
) -> Result<pb::RevokeApiKeyResponse> {
    let mut fields = Fields::default();
    let body = body!(RevokeApiKeyRequest, r, request_id, validate_only);
    let call = call(
        &mut fields,
        caller,
        "RevokeApiKey",
        None,
        &r.request_id,
        r.validate_only,
        &body,
    );
    let rule = "the second field of the key";
    let id = fields.name(&r.key_id, "key_id", Code::parse, Reason::IdInvalid, rule);
    let (call, id) = fields.finish(call.zip(id))?;
    let done = backend.store.revoke_key(call, id.to_string()).await?;
    backend.identity.forget();
    Ok(pb::RevokeApiKeyResponse {
        key: Some(render_key(&done.row)),
        replayed: done.replayed,
    })
}

fn render_shop(row: &shop::Model) -> pb::Shop {
    pb::Shop {
        shop_id: row.id.0,
        name: row.name.clone(),
        create_time: convert::time(row.create_time),
    }
}

fn render_account(account: &Account) -> Result<pb::ProviderAccount> {
    let row = &account.row;
    Ok(pb::ProviderAccount {
        account_id: row.id.0,
        protocol: row.protocol.clone(),
        mch_id: row.mch_id.to_string(),
        credential: row.credential.to_string(),
        appids: appids(row)?.iter().map(ToString::to_string).collect(),
        shop_ids: account.shops.iter().map(|shop| shop.0).collect(),
        client_ip: row.client_ip.clone(),
        min_amount_fen: row.min_amount_fen.0,
        max_amount_fen: row.max_amount_fen.0,
        sends_per_second: row.sends_per_second,
        queries_per_second: row.queries_per_second,
        confirm_refusals: row.confirm_refusals,
        enabled: row.enabled,
        breaker: Some(pb::Breaker {
            open: row.breaker_code.is_some(),
            code: row.breaker_code.clone().unwrap_or_default(),
            probe_time: convert::optional_time(row.breaker_until),
        }),
        create_time: convert::time(row.create_time),
    })
}

fn render_app(app: &App) -> pb::App {
    let grants = app.grants.iter().map(|grant| pb::Grant {
        permissions: grant
            .permissions
            .iter()
            .map(|p| convert::permission(*p))
            .collect(),
        shop_ids: match &grant.shops {
            Shops::All => Vec::new(),
            Shops::Only(shops) => shops.iter().map(|shop| shop.0).collect(),
        },
        all_shops: grant.shops == Shops::All,
    });
    pb::App {
        app_id: app.row.id.0,
        name: app.row.name.to_string(),
        default_shop_id: app.row.default_shop_id.map_or(0, |shop| shop.0),
        grants: grants.collect(),
        keys: app.keys.iter().map(render_key).collect(),
        create_time: convert::time(app.row.create_time),
    }
}

fn render_key(row: &api_key::Model) -> pb::ApiKey {
    pb::ApiKey {
        key_id: row.id.clone(),
        create_time: convert::time(row.create_time),
        revoke_time: convert::optional_time(row.revoke_time),
    }
}
