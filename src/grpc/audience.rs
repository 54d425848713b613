//! AudienceService.

use std::collections::{HashMap, HashSet};

use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::call::{body, call};
use super::parse::Fields;
use super::pb::audience_service_server::AudienceService;
use super::server::Backend;
use super::{convert, page, pb, status};
use crate::domain::id::RecipientId;
use crate::domain::text::{Appid, Mobile, Openid, Uid};
use crate::domain::{Reason, Result};
use crate::store::audience::{ByRecipient, Person, Shown};

/// Recipients of one call at most.
const PEOPLE_MAX: usize = 1_000;
/// Openids of one recipient in one call at most.
const OPENIDS_MAX: usize = 10;
/// A nickname's bytes at most.
const NICKNAME_MAX: usize = 128;

#[tonic::async_trait]
impl AudienceService for Backend {
    async fn upsert_recipients(
        &self,
        request: Request<pb::UpsertRecipientsRequest>,
    ) -> Result<Response<pb::UpsertRecipientsResponse>, Status> {
        let caller = Caller::of(&request)?;
        upsert(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn get_recipient(
        &self,
        request: Request<pb::GetRecipientRequest>,
    ) -> Result<Response<pb::GetRecipientResponse>, Status> {
        let caller = Caller::of(&request)?;
        get(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_recipients(
        &self,
        request: Request<pb::ListRecipientsRequest>,
    ) -> Result<Response<pb::ListRecipientsResponse>, Status> {
        let caller = Caller::of(&request)?;
        list(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }
}

async fn upsert(
    backend: &Backend,
    caller: &Caller,
    r: &pb::UpsertRecipientsRequest,
) -> Result<pb::UpsertRecipientsResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let body = body!(
        UpsertRecipientsRequest,
        r,
        request_id,
        validate_only,
        shop_id
    );
    let call = call(
        &mut fields,
        caller,
        "UpsertRecipients",
        Some(shop),
        &r.request_id,
        r.validate_only,
        &body,
    );
    let people = parse_people(&mut fields, &r.recipients);
    let (call, people) = fields.finish(call.zip(people))?;
    let done = backend.store.upsert_recipients(call, shop, people).await?;
    Ok(pb::UpsertRecipientsResponse {
        created_count: done.row.created,
        updated_count: done.row.updated,
        replayed: done.replayed,
    })
}

fn parse_people(fields: &mut Fields, raw: &[pb::RecipientInput]) -> Option<Vec<Person>> {
    if raw.is_empty() {
        fields.bad(
            "recipients",
            Reason::FieldRequired,
            "name 1 to 1,000 recipients",
        );
    }
    if raw.len() > PEOPLE_MAX {
        let text = format!(
            "{} recipients; one call takes at most {PEOPLE_MAX}",
            raw.len()
        );
        fields.bad("recipients", Reason::BatchTooLarge, text);
        return None;
    }
    let mut seen = HashSet::new();
    let mut people = Vec::with_capacity(raw.len());
    for (index, raw) in raw.iter().enumerate() {
        let path = format!("recipients[{index}]");
        if !raw.uid.is_empty() && !seen.insert(raw.uid.as_str()) {
            fields.bad(
                format!("{path}.uid"),
                Reason::DuplicateItem,
                "stands more than once in this call",
            );
        }
        people.extend(parse_person(fields, &path, raw));
    }
    no_two_share(fields, &people);
    Some(people)
}

/// Nobody in a call may have the openid or the mobile of somebody else in it.
fn no_two_share(fields: &mut Fields, people: &[Person]) {
    let (mut mobiles, mut openids) = (HashMap::new(), HashMap::new());
    for (index, person) in people.iter().enumerate() {
        let path = format!("recipients[{index}]");
        if let Some(mobile) = &person.mobile
            && *mobiles.entry(mobile).or_insert(index) != index
        {
            let text = "another recipient of this call has the same number";
            fields.bad(format!("{path}.mobile"), Reason::DuplicateItem, text);
        }
        for (at, pair) in person.openids.iter().enumerate() {
            if *openids.entry(pair).or_insert(index) != index {
                let path = format!("{path}.openids[{at}].openid");
                let text = "another recipient of this call has the same openid";
                fields.bad(path, Reason::DuplicateItem, text);
            }
        }
    }
}

fn parse_person(fields: &mut Fields, path: &str, raw: &pb::RecipientInput) -> Option<Person> {
    let rule = "1 to 64 printable ASCII characters without blanks";
    let uid = fields.name(
        &raw.uid,
        &format!("{path}.uid"),
        Uid::parse,
        Reason::IdInvalid,
        rule,
    );
    let nickname = fields.text(&raw.nickname, &format!("{path}.nickname"), NICKNAME_MAX);
    let mobile = match raw.mobile.as_str() {
        "" => Some(None),
        mobile => {
            let rule = "must be an 11-digit Chinese mobile number, with or without +86";
            fields
                .take(
                    Mobile::parse(mobile),
                    &format!("{path}.mobile"),
                    Reason::MobileInvalid,
                    rule,
                )
                .map(Some)
        }
    };
    if raw.openids.len() > OPENIDS_MAX {
        fields.bad(
            format!("{path}.openids"),
            Reason::BatchTooLarge,
            format!("at most {OPENIDS_MAX}"),
        );
        return None;
    }
    let mut appids = HashSet::new();
    let mut openids = Vec::with_capacity(raw.openids.len());
    for (index, raw) in raw.openids.iter().enumerate() {
        let path = format!("{path}.openids[{index}]");
        let rule = "1 to 32 characters of [A-Za-z0-9_-]";
        let appid = fields.name(
            &raw.appid,
            &format!("{path}.appid"),
            Appid::parse,
            Reason::AppidInvalid,
            rule,
        );
        let openid = fields.name(
            &raw.openid,
            &format!("{path}.openid"),
            Openid::parse,
            Reason::OpenidInvalid,
            rule,
        );
        if !appids.insert(raw.appid.as_str()) {
            fields.bad(
                format!("{path}.appid"),
                Reason::DuplicateItem,
                "a recipient has one openid for an appid",
            );
        }
        openids.extend(appid.zip(openid));
    }
    Some(Person {
        uid: uid?,
        nickname: nickname.filter(|n| !n.is_empty()),
        mobile: mobile?,
        openids,
    })
}

async fn get(
    backend: &Backend,
    caller: &Caller,
    r: &pb::GetRecipientRequest,
) -> Result<pb::GetRecipientResponse> {
    use pb::get_recipient_request::Ref;
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let by = match &r.r#ref {
        Some(Ref::RecipientId(id)) => fields
            .id(*id, "recipient_id", RecipientId::parse)
            .map(ByRecipient::Id),
        Some(Ref::Uid(uid)) => fields
            .name(
                uid,
                "uid",
                Uid::parse,
                Reason::IdInvalid,
                "1 to 64 printable ASCII characters",
            )
            .map(ByRecipient::Uid),
        None => {
            fields.bad(
                "recipient_id",
                Reason::FieldRequired,
                "name recipient_id or uid",
            );
            None
        }
    };
    let found = backend.store.recipient(shop, &fields.finish(by)?).await?;
    Ok(pb::GetRecipientResponse {
        recipient: Some(render(&found)),
    })
}

async fn list(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListRecipientsRequest,
) -> Result<pb::ListRecipientsResponse> {
    let shop = caller.shop(r.shop_id)?;
    let scope = format!("recipients of {shop}");
    let mut fields = Fields::default();
    let page = page::parse(&mut fields, r.page_size, &r.page_token, scope.as_bytes());
    let page = fields.finish(page)?;
    let found = backend.store.recipients(shop, page).await?;
    let next_page_token = page::next(&found, page, scope.as_bytes(), |shown| shown.row.id.0);
    Ok(pb::ListRecipientsResponse {
        recipients: found.iter().map(render).collect(),
        next_page_token,
    })
}

fn render(shown: &Shown) -> pb::Recipient {
    let openids = shown
        .openids
        .iter()
        .map(|(appid, openid)| pb::RecipientOpenid {
            appid: appid.clone(),
            obfuscated_openid: openid.clone(),
        });
    pb::Recipient {
        recipient_id: shown.row.id.0,
        shop_id: shown.row.shop_id.0,
        uid: shown
            .row
            .uid
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        nickname: shown.row.nickname.clone(),
        obfuscated_mobile: shown.mobile.clone(),
        openids: openids.collect(),
        create_time: convert::time(shown.row.create_time),
        update_time: convert::time(shown.row.update_time),
    }
}
