//! What providers have reported by themselves.

use super::{Backend, Fields, NAME_RULE, convert, page, pb};
use crate::domain::text::Code;
use crate::domain::{Error, Reason, Result};
use crate::store::entity::provider_callback::{Effect, Model};

pub(super) async fn list(
    backend: &Backend,
    r: &pb::ListProviderCallbacksRequest,
) -> Result<pb::ListProviderCallbacksResponse> {
    let mut fields = Fields::default();
    let credential = fields.name(
        &r.credential,
        "credential",
        Code::parse,
        Reason::IdInvalid,
        NAME_RULE,
    );
    let scope = format!("callbacks {} {}", r.credential, r.quarantined_only).into_bytes();
    let page = page::parse(&mut fields, r.page_size, &r.page_token, &scope);
    let (credential, page) = fields.finish(credential.zip(page))?;
    if backend
        .providers
        .callbacks_of(credential.as_str())
        .is_none()
    {
        let text = "the configuration has no [credentials.NAME.open_platform] of this name here";
        let error = Error::new(Reason::CredentialNotConfigured, text.to_owned());
        return Err(error.fact("credential", &credential));
    }
    let store = &backend.store;
    let found = store.reports(&credential, r.quarantined_only, page).await?;
    Ok(pb::ListProviderCallbacksResponse {
        next_page_token: page::next(&found, page, &scope, |row| row.id.0),
        callbacks: found.into_iter().map(render).collect(),
    })
}

fn render(row: Model) -> pb::ProviderCallback {
    let effect = match row.effect {
        Effect::Asked => pb::ProviderCallbackEffect::Asked,
        Effect::Known => pb::ProviderCallbackEffect::Known,
        Effect::Contradiction => pb::ProviderCallbackEffect::Contradiction,
        Effect::Quarantined => pb::ProviderCallbackEffect::Quarantined,
    };
    pb::ProviderCallback {
        callback_id: row.id.0,
        credential: row.credential.to_string(),
        order_code: row.order_code,
        biz_code: row.biz_code,
        said: row.said.unwrap_or_default(),
        effect: effect.into(),
        come_count: row.come_count,
        sign_time: convert::time(row.sign_time),
        create_time: convert::time(row.create_time),
        update_time: convert::time(row.update_time),
    }
}
