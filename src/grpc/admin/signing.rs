//! What apps sign their calls with.

use super::{Backend, Caller, Fields, convert, pb};
use crate::domain::id::AppId;
use crate::domain::signing::{self, MapHash, Required, WINDOW_DEFAULT, WINDOW_MAX};
use crate::domain::{Reason, Result};
use crate::grpc::call::{body, call};
use crate::service::signing::public_key;
use crate::store::entity::app_signing;
use crate::store::signing::NewSigning;

/// Letters of an order's prefix at most.
const PREFIX_MAX: usize = 16;

pub(super) async fn set(
    backend: &Backend,
    caller: &Caller,
    r: &pb::SetAppSigningRequest,
) -> Result<pb::SetAppSigningResponse> {
    let mut fields = Fields::default();
    // The record of calls is no place from which a key could be guessed.
    let mut told = body!(SetAppSigningRequest, r, request_id, validate_only);
    told.app_key = backend.store.fingerprint_secret(&r.app_key);
    let call = call(
        &mut fields,
        caller,
        "SetAppSigning",
        None,
        &r.request_id,
        r.validate_only,
        &told,
    );
    let id = fields.id(r.app_id, "app_id", AppId::parse);
    let new = parse(&mut fields, r);
    let itself = id == Some(caller.principal.app);
    if itself && r.required_for() == pb::SigningRequired::Everything && !caller.signed {
        let text = "sign this call, to show that the next ones can be: first accept the scheme, then require it";
        fields.bad("required_for", Reason::FieldNotAllowed, text);
    }
    let ((call, id), new) = fields.finish(call.zip(id).zip(new))?;
    let done = backend.store.set_signing(call, id, new).await?;
    backend.signatures.forget();
    Ok(pb::SetAppSigningResponse {
        signing: Some(render(&done.row)),
        replayed: done.replayed,
    })
}

pub(super) async fn get(
    backend: &Backend,
    r: &pb::GetAppSigningRequest,
) -> Result<pb::GetAppSigningResponse> {
    let mut fields = Fields::default();
    let id = fields.id(r.app_id, "app_id", AppId::parse);
    let id = fields.finish(id)?;
    let found = backend.store.signing_row(id).await?;
    let nothing = || pb::AppSigning {
        app_id: id.0,
        required_for: convert::signing_required(Required::Nothing),
        ..Default::default()
    };
    Ok(pb::GetAppSigningResponse {
        signing: Some(found.as_ref().map_or_else(nothing, render)),
    })
}

fn parse(fields: &mut Fields, r: &pb::SetAppSigningRequest) -> Option<NewSigning> {
    let schemes = parse_schemes(fields, &r.schemes);
    let accepts = |scheme| schemes.contains(&scheme);
    let required = fields.choice(
        r.required_for,
        "required_for",
        convert::parse_signing_required,
    );
    let covered = match required {
        None | Some(Required::Nothing) => true,
        Some(Required::Vouchers) => !schemes.is_empty(),
        Some(Required::Everything) => {
            accepts(pb::SigningScheme::HmacSha256) || accepts(pb::SigningScheme::RsaSha256)
        }
    };
    if !covered {
        let text = "nothing that is accepted could sign that; MAP signs gifts and spends alone";
        fields.bad("schemes", Reason::FieldRequired, text);
    }
    let app_key = match r.app_key.as_str() {
        "" => Some(None),
        text => {
            let key = signing::is_key(text).then(|| text.to_owned());
            let rule = "must be 16 to 128 printable ASCII characters without blanks";
            fields
                .take(key, "app_key", Reason::IdInvalid, rule)
                .map(Some)
        }
    };
    let pem = match r.public_key_pem.as_str() {
        "" => Some(None),
        text => {
            let rule = "must be PEM of an RSA public key or certificate with 2,048 to 4,096 bits and the exponent 65537";
            fields
                .take(public_key(text), "public_key_pem", Reason::IdInvalid, rule)
                .map(Some)
        }
    };
    let map_hash = match r.map_hash {
        0 => Some(MapHash::Sha256),
        raw => fields.choice(raw, "map_hash", convert::parse_map_hash),
    };
    let prefix = r.order_id_prefix.as_deref().unwrap_or_default();
    let letters = prefix.len() <= PREFIX_MAX && prefix.bytes().all(|b| b.is_ascii_alphabetic());
    let prefix = fields.take(
        letters.then(|| r.order_id_prefix.clone()),
        "order_id_prefix",
        Reason::IdInvalid,
        "must be at most 16 letters",
    );
    let window = match r.window_seconds {
        0 => i64::from(WINDOW_DEFAULT),
        raw => i64::from(raw),
    };
    let window = fields.within(window, "window_seconds", 1, i64::from(WINDOW_MAX));
    Some(NewSigning {
        accepts_hmac: accepts(pb::SigningScheme::HmacSha256),
        accepts_rsa: accepts(pb::SigningScheme::RsaSha256),
        accepts_map: accepts(pb::SigningScheme::Map),
        required: required?,
        app_key: app_key?,
        public_key: pem?,
        map_hash: map_hash?,
        map_covers_associated: r.map_covers_associated_order_id,
        order_id_prefix: prefix?,
        window_seconds: i32::try_from(window?).ok()?,
    })
}

fn parse_schemes(fields: &mut Fields, raw: &[i32]) -> Vec<pb::SigningScheme> {
    let mut schemes = Vec::new();
    for (index, raw) in raw.iter().enumerate().take(10) {
        let path = format!("schemes[{index}]");
        let known = |raw| {
            let scheme = pb::SigningScheme::try_from(raw).ok();
            scheme.filter(|scheme| *scheme != pb::SigningScheme::Unspecified)
        };
        let Some(scheme) = fields.choice(*raw, &path, known) else {
            continue;
        };
        if schemes.contains(&scheme) {
            fields.bad(path, Reason::DuplicateItem, "stands more than once");
        }
        schemes.push(scheme);
    }
    schemes
}

fn render(row: &app_signing::Model) -> pb::AppSigning {
    let schemes = [
        (row.accepts_hmac, pb::SigningScheme::HmacSha256),
        (row.accepts_rsa, pb::SigningScheme::RsaSha256),
        (row.accepts_map, pb::SigningScheme::Map),
    ];
    let schemes = schemes.into_iter().filter(|(accepted, _)| *accepted);
    pb::AppSigning {
        app_id: row.app_id.0,
        schemes: schemes.map(|(_, scheme)| scheme.into()).collect(),
        required_for: convert::signing_required(row.required),
        has_app_key: row.app_key.is_some(),
        public_key_pem: row.public_key.clone().unwrap_or_default(),
        map_hash: convert::map_hash(row.map_hash),
        map_covers_associated_order_id: row.map_covers_associated,
        order_id_prefix: row.order_id_prefix.clone(),
        window_seconds: row.window_seconds,
        actor: row.actor.clone(),
        create_time: convert::time(row.create_time),
        update_time: convert::time(row.update_time),
    }
}
