//! AudienceService.

use tonic::{Request, Response, Status, Streaming};

use super::auth::Caller;
use super::call::parse_call;
use super::parse::Fields;
use super::pb::audience_service_server::AudienceService;
use super::server::Backend;
use super::{convert, page, pb, status};
use crate::domain::id::{GroupId, RecipientId};
use crate::domain::{Reason, Result};
use crate::store::audience::{ByRecipient, PeopleFilter, Shown};

mod group;
mod import;
mod people;

use people::parse_people;

/// Groups of one call at most.
const GROUPS_MAX: usize = 20;

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

    async fn import_recipients(
        &self,
        request: Request<Streaming<pb::ImportRecipientsRequest>>,
    ) -> Result<Response<pb::ImportRecipientsResponse>, Status> {
        let caller = Caller::of(&request)?;
        import::import(self, &caller, request.into_inner())
            .await
            .map(Response::new)
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

    async fn upsert_group(
        &self,
        request: Request<pb::UpsertGroupRequest>,
    ) -> Result<Response<pb::UpsertGroupResponse>, Status> {
        let caller = Caller::of(&request)?;
        group::upsert(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn set_group_members(
        &self,
        request: Request<pb::SetGroupMembersRequest>,
    ) -> Result<Response<pb::SetGroupMembersResponse>, Status> {
        let caller = Caller::of(&request)?;
        group::set_members(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn get_group(
        &self,
        request: Request<pb::GetGroupRequest>,
    ) -> Result<Response<pb::GetGroupResponse>, Status> {
        let caller = Caller::of(&request)?;
        group::get(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_groups(
        &self,
        request: Request<pb::ListGroupsRequest>,
    ) -> Result<Response<pb::ListGroupsResponse>, Status> {
        let caller = Caller::of(&request)?;
        group::list(self, &caller, &request.into_inner())
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
    let call = parse_call!(
        &mut fields,
        caller,
        "UpsertRecipients",
        Some(shop),
        r,
        UpsertRecipientsRequest,
        shop_id
    );
    let people = parse_people(&mut fields, &r.recipients);
    let groups = fields.ids(&r.wx_group_ids, "wx_group_ids", GroupId::parse, GROUPS_MAX);
    let parsed = (|| Some((call?, groups?, people?)))();
    let (call, groups, people) = fields.finish(parsed)?;
    let done = backend
        .store
        .upsert_recipients(call, shop, groups, people)
        .await?;
    Ok(pb::UpsertRecipientsResponse {
        created_count: done.row.created,
        updated_count: done.row.updated,
        replayed: done.replayed,
    })
}

async fn get(
    backend: &Backend,
    caller: &Caller,
    r: &pb::GetRecipientRequest,
) -> Result<pb::GetRecipientResponse> {
    use pb::get_recipient_request::Ref;
    let shop = caller.shop(r.shop_id)?;
    caller.may_unmask(shop, r.unmask)?;
    let mut fields = Fields::default();
    let by = match &r.r#ref {
        Some(Ref::RecipientId(id)) => fields
            .id(*id, "recipient_id", RecipientId::parse)
            .map(ByRecipient::Id),
        Some(Ref::Uid(uid)) => fields.uid(uid, "uid").map(ByRecipient::Uid),
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
        recipient: Some(render(&found, r.unmask)),
    })
}

async fn list(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListRecipientsRequest,
) -> Result<pb::ListRecipientsResponse> {
    let shop = caller.shop(r.shop_id)?;
    caller.may_unmask(shop, r.unmask)?;
    let scope = format!("recipients of {shop} {} {}", r.wx_group_id, r.keyword);
    let mut fields = Fields::default();
    let page = page::parse(&mut fields, r.page_size, &r.page_token, scope.as_bytes());
    let group = fields.optional_id(r.wx_group_id, "wx_group_id", GroupId::parse);
    let keyword = fields.keyword(&r.keyword, "keyword");
    let parsed = (|| Some((page?, group?, keyword?)))();
    let (page, group, keyword) = fields.finish(parsed)?;
    let filter = PeopleFilter { group, keyword };
    let found = backend.store.recipients(shop, &filter, page).await?;
    let next_page_token = page::next(&found, page, scope.as_bytes(), |shown| shown.row.id.0);
    Ok(pb::ListRecipientsResponse {
        recipients: found.iter().map(|shown| render(shown, r.unmask)).collect(),
        next_page_token,
    })
}

fn render(shown: &Shown, unmask: bool) -> pb::Recipient {
    let openids = shown
        .openids
        .iter()
        .map(|(appid, openid)| pb::RecipientOpenid {
            appid: appid.clone(),
            obfuscated_openid: openid.masked(),
            openid: if unmask {
                openid.expose().to_owned()
            } else {
                String::new()
            },
        });
    let row = &shown.row;
    let mobile = shown.mobile.as_ref();
    pb::Recipient {
        recipient_id: row.id.0,
        shop_id: row.shop_id.0,
        uid: row
            .uid
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        nickname: row.nickname.clone(),
        obfuscated_mobile: mobile.map(|m| m.masked()).unwrap_or_default(),
        openids: openids.collect(),
        create_time: convert::time(row.create_time),
        update_time: convert::time(row.update_time),
        shop_sub_id: row.shop_sub_id.0,
        mobile: mobile
            .filter(|_| unmask)
            .map(|m| m.expose().to_owned())
            .unwrap_or_default(),
    }
}
