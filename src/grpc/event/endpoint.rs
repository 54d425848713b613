//! Endpoints.

use super::{Backend, Caller, Fields, convert, page, parse_call, pb, render};
use crate::clock;
use crate::domain::id::{AppId, EndpointId};
use crate::domain::webhook::{EndpointState, Reach, Style};
use crate::domain::{Error, Reason, Result};
use crate::store::voucher::Access;
use crate::store::webhook::{Change, NewEndpoint, Secret};

/// How long an old secret signs beside a new one, where nothing is said, and at most.
const OVERLAP: i64 = 86_400;
const OVERLAP_MAX: i64 = 7 * 86_400;

pub(super) async fn create(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CreateWebhookEndpointRequest,
) -> Result<pb::CreateWebhookEndpointResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "CreateWebhookEndpoint",
        Some(shop),
        r,
        CreateWebhookEndpointRequest,
        shop_id
    );
    let url = fields.receiver(&r.url, "url", backend.reach);
    let style = match r.style {
        0 => Some(Style::Standard),
        raw => fields.choice(raw, "style", convert::parse_webhook_style),
    };
    let types = fields.types(&r.types, "types");
    let me = caller.principal.app;
    let access = Access::of(&caller.principal);
    let app = match r.app_id {
        0 => Some(me),
        raw => fields.id(raw, "app_id", AppId::parse),
    };
    if app.is_some_and(|app| app != me) && !access.is_person {
        let text = "only a person makes endpoints of other apps; leave it 0";
        fields.bad("app_id", Reason::IdInvalid, text);
    }
    let parsed = call.zip(url).zip(style).zip(types).zip(app);
    let ((((call, url), style), types), app) = fields.finish(parsed)?;
    let trial = call.validate_only;
    let new = NewEndpoint {
        app,
        url,
        style,
        types,
        order_callbacks: r.order_callbacks,
        secret: secret(style),
    };
    let written = backend.store.create_endpoint(call, shop, new).await?;
    let (replayed, secret) = (written.replayed, written.secret.0.clone());
    Ok(pb::CreateWebhookEndpointResponse {
        endpoint: backend.shown(written).await?,
        // The secret of a trial signs nothing.
        secret: if trial { String::new() } else { secret },
        replayed,
    })
}

/// A new secret, as receivers of a style keep it.
fn secret(style: Style) -> Secret {
    Secret(match style {
        Style::Standard => crate::service::webhook::new_secret(clock::random()),
        Style::OpenPlatform => clock::random::<24>()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    })
}

pub(super) async fn get(
    backend: &Backend,
    caller: &Caller,
    r: &pb::GetWebhookEndpointRequest,
) -> Result<pb::GetWebhookEndpointResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let id = fields.id(r.endpoint_id, "endpoint_id", EndpointId::parse);
    let id = fields.finish(id)?;
    let access = Access::of(&caller.principal);
    let found = backend.store.endpoint(shop, access, id).await?;
    Ok(pb::GetWebhookEndpointResponse {
        endpoint: Some(render::endpoint(&found)),
    })
}

pub(super) async fn list(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListWebhookEndpointsRequest,
) -> Result<pb::ListWebhookEndpointsResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let scope = format!("webhook endpoints {shop}").into_bytes();
    let page = page::parse(&mut fields, r.page_size, &r.page_token, &scope);
    let page = fields.finish(page)?;
    let access = Access::of(&caller.principal);
    let found = backend.store.endpoints(shop, access, page).await?;
    Ok(pb::ListWebhookEndpointsResponse {
        endpoints: found.iter().map(render::endpoint).collect(),
        next_page_token: page::next(&found, page, &scope, |view| view.row.id.0),
    })
}

pub(super) async fn update(
    backend: &Backend,
    caller: &Caller,
    r: &pb::UpdateWebhookEndpointRequest,
) -> Result<pb::UpdateWebhookEndpointResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "UpdateWebhookEndpoint",
        Some(shop),
        r,
        UpdateWebhookEndpointRequest,
        shop_id
    );
    let id = fields.id(r.endpoint_id, "endpoint_id", EndpointId::parse);
    let change = parse_change(&mut fields, r, backend.reach);
    let ((call, id), change) = fields.finish(call.zip(id).zip(Some(change)))?;
    let access = Access::of(&caller.principal);
    let written = backend
        .store
        .change_endpoint(call, shop, access, id, change)
        .await?;
    let replayed = written.replayed;
    Ok(pb::UpdateWebhookEndpointResponse {
        endpoint: backend.shown(written).await?,
        replayed,
    })
}

fn parse_change(fields: &mut Fields, r: &pb::UpdateWebhookEndpointRequest, reach: Reach) -> Change {
    let (mut url, mut types, mut state) = (None, None, None);
    let mask = r.update_mask.as_ref();
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() {
        let text = "required: url, types, state";
        fields.bad("update_mask", Reason::FieldRequired, text);
    }
    for path in paths {
        match path.as_str() {
            "url" => url = fields.receiver(&r.url, "url", reach),
            "types" => types = fields.types(&r.types, "types"),
            "state" => {
                let parsed = fields.choice(r.state, "state", convert::parse_endpoint_state);
                if parsed == Some(EndpointState::Disabled) {
                    let text = "must be ACTIVE or PAUSED; only failures disable an endpoint";
                    fields.bad("state", Reason::EnumUnknown, text);
                }
                state = parsed;
            }
            other => {
                let text = format!("{other:?} cannot be changed; url, types and state can");
                fields.bad("update_mask", Reason::UpdateMaskInvalid, text);
            }
        }
    }
    Change::Update { url, types, state }
}

pub(super) async fn delete(
    backend: &Backend,
    caller: &Caller,
    r: &pb::DeleteWebhookEndpointRequest,
) -> Result<pb::DeleteWebhookEndpointResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "DeleteWebhookEndpoint",
        Some(shop),
        r,
        DeleteWebhookEndpointRequest,
        shop_id
    );
    let id = fields.id(r.endpoint_id, "endpoint_id", EndpointId::parse);
    let (call, id) = fields.finish(call.zip(id))?;
    let access = Access::of(&caller.principal);
    let replayed = backend
        .store
        .delete_endpoint(call, shop, access, id)
        .await?;
    Ok(pb::DeleteWebhookEndpointResponse { replayed })
}

pub(super) async fn rotate(
    backend: &Backend,
    caller: &Caller,
    r: &pb::RotateWebhookSecretRequest,
) -> Result<pb::RotateWebhookSecretResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "RotateWebhookSecret",
        Some(shop),
        r,
        RotateWebhookSecretRequest,
        shop_id
    );
    let id = fields.id(r.endpoint_id, "endpoint_id", EndpointId::parse);
    let overlap = match r.overlap_seconds {
        0 => Some(OVERLAP),
        raw => fields.within(raw, "overlap_seconds", 1, OVERLAP_MAX),
    };
    let ((call, id), overlap) = fields.finish(call.zip(id).zip(overlap))?;
    let access = Access::of(&caller.principal);
    let style = backend.store.endpoint(shop, access, id).await?.row.style;
    let trial = call.validate_only;
    let change = Change::Rotate {
        secret: secret(style),
        overlap,
    };
    let written = backend
        .store
        .change_endpoint(call, shop, access, id, change)
        .await?;
    let (replayed, secret) = (written.replayed, written.secret.0.clone());
    Ok(pb::RotateWebhookSecretResponse {
        endpoint: backend.shown(written).await?,
        secret: if trial { String::new() } else { secret },
        replayed,
    })
}

pub(super) async fn ping(
    backend: &Backend,
    caller: &Caller,
    r: &pb::PingWebhookEndpointRequest,
) -> Result<pb::PingWebhookEndpointResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "PingWebhookEndpoint",
        Some(shop),
        r,
        PingWebhookEndpointRequest,
        shop_id
    );
    let id = fields.id(r.endpoint_id, "endpoint_id", EndpointId::parse);
    let (call, id) = fields.finish(call.zip(id))?;
    let access = Access::of(&caller.principal);
    if backend.store.endpoint(shop, access, id).await?.row.style == Style::OpenPlatform {
        let text = "an endpoint of style OPEN_PLATFORM is told of orders alone; send one to try it";
        let reason = Reason::FieldNotAllowed;
        return Err(Error::field("endpoint_id", reason, text.to_owned()));
    }
    let written = backend
        .store
        .change_endpoint(call, shop, access, id, Change::Ping)
        .await?;
    let replayed = written.replayed;
    Ok(pb::PingWebhookEndpointResponse {
        endpoint: backend.shown(written).await?,
        replayed,
    })
}
