//! Apps, grants and keys.

use super::{
    Backend, Caller, Fields, NAME_RULE, check_count, convert, parse_call, parse_shops, pb,
};
use crate::domain::grant::{Grant, PrincipalKind, Shops};
use crate::domain::id::{AppId, ShopId};
use crate::domain::text::Code;
use crate::domain::{Reason, Result};
use crate::service::identity;
use crate::store::app::{App, NewApp};
use crate::store::entity::api_key;

/// Permissions of one grant at most, more than there are.
const PERMISSIONS_MAX: usize = 50;

pub(super) async fn create_app(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateAppRequest,
) -> Result<pb::CreateAppResponse> {
    let mut fields = Fields::default();
    let call = parse_call!(&mut fields, caller, "CreateApp", None, r, CreateAppRequest);
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
                kind: PrincipalKind::App,
                roles: Vec::new(),
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

pub(super) async fn create_key(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateApiKeyRequest,
) -> Result<pb::CreateApiKeyResponse> {
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "CreateApiKey",
        None,
        r,
        CreateApiKeyRequest
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

pub(super) async fn revoke_key(
    backend: &Backend,
    caller: &Caller,
    r: &pb::RevokeApiKeyRequest,
) -> Result<pb::RevokeApiKeyResponse> {
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "RevokeApiKey",
        None,
        r,
        RevokeApiKeyRequest
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

pub(super) fn render_app(app: &App) -> pb::App {
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
        kind: convert::principal_kind(app.row.kind),
        roles: app.roles.iter().map(|role| convert::role(*role)).collect(),
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
