//! Groups.

use std::collections::HashSet;

use super::{Backend, Caller, Fields, convert, page, parse_call, pb};
use crate::domain::id::GroupId;
use crate::domain::text::Uid;
use crate::domain::{Reason, Result};
use crate::store::audience::Group;

/// The largest id that every JSON reader keeps exactly.
const GROUP_ID_MAX: i64 = 1 << 53;
/// Members that one call puts in or takes out at most.
const MEMBERS_MAX: usize = 1_000;

pub(super) async fn upsert(
    backend: &Backend,
    caller: &Caller,
    r: &pb::UpsertGroupRequest,
) -> Result<pb::UpsertGroupResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "UpsertGroup",
        Some(shop),
        r,
        UpsertGroupRequest,
        shop_id
    );
    let id = fields.optional_id(r.wx_group_id, "wx_group_id", |raw| {
        GroupId::parse(raw).filter(|id| id.0 <= GROUP_ID_MAX)
    });
    if r.name.is_empty() {
        fields.bad("name", Reason::FieldRequired, "required: 1 to 64 bytes");
    }
    let name = fields.text(&r.name, "name", 64);
    let parsed = (|| Some((call?, id?, name?)))();
    let (call, id, name) = fields.finish(parsed)?;
    let done = backend.store.upsert_group(call, shop, id, name).await?;
    Ok(pb::UpsertGroupResponse {
        group: Some(render(&done.row)),
        replayed: done.replayed,
    })
}

pub(super) async fn set_members(
    backend: &Backend,
    caller: &Caller,
    r: &pb::SetGroupMembersRequest,
) -> Result<pb::SetGroupMembersResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "SetGroupMembers",
        Some(shop),
        r,
        SetGroupMembersRequest,
        shop_id
    );
    let id = fields.id(r.wx_group_id, "wx_group_id", GroupId::parse);
    let count = r.add_uids.len() + r.remove_uids.len();
    if count == 0 {
        let text = "name 1 to 1,000 users to put in or take out";
        fields.bad("add_uids", Reason::FieldRequired, text);
    }
    if count > MEMBERS_MAX {
        let text = format!("{count} users; one call takes at most {MEMBERS_MAX}");
        fields.bad("add_uids", Reason::BatchTooLarge, text);
    }
    let mut seen = HashSet::new();
    let add = parse_uids(&mut fields, "add_uids", &r.add_uids, &mut seen);
    let remove = parse_uids(&mut fields, "remove_uids", &r.remove_uids, &mut seen);
    let (call, id) = fields.finish(call.zip(id))?;
    let done = backend
        .store
        .set_members(call, shop, id, add, remove)
        .await?;
    Ok(pb::SetGroupMembersResponse {
        group: Some(render(&done.row)),
        replayed: done.replayed,
    })
}

fn parse_uids<'a>(
    fields: &mut Fields,
    path: &str,
    raw: &'a [String],
    seen: &mut HashSet<&'a str>,
) -> Vec<Uid> {
    let mut uids = Vec::with_capacity(raw.len());
    for (index, text) in raw.iter().enumerate() {
        let path = format!("{path}[{index}]");
        uids.extend(fields.uid(text, &path));
        if !seen.insert(text) {
            let text = "stands more than once in this call";
            fields.bad(path, Reason::DuplicateItem, text);
        }
    }
    uids
}

pub(super) async fn get(
    backend: &Backend,
    caller: &Caller,
    r: &pb::GetGroupRequest,
) -> Result<pb::GetGroupResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let id = fields.id(r.wx_group_id, "wx_group_id", GroupId::parse);
    let found = backend.store.group(shop, fields.finish(id)?).await?;
    Ok(pb::GetGroupResponse {
        group: Some(render(&found)),
    })
}

pub(super) async fn list(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListGroupsRequest,
) -> Result<pb::ListGroupsResponse> {
    let shop = caller.shop(r.shop_id)?;
    let scope = format!("groups of {shop} {}", r.keyword);
    let mut fields = Fields::default();
    let page = page::parse(&mut fields, r.page_size, &r.page_token, scope.as_bytes());
    let keyword = fields.keyword(&r.keyword, "keyword");
    let (page, keyword) = fields.finish(page.zip(keyword))?;
    let found = backend.store.groups(shop, keyword.as_ref(), page).await?;
    let next_page_token = page::next(&found, page, scope.as_bytes(), |group| group.row.id.0);
    Ok(pb::ListGroupsResponse {
        groups: found.iter().map(render).collect(),
        next_page_token,
    })
}

fn render(group: &Group) -> pb::RecipientGroup {
    let row = &group.row;
    pb::RecipientGroup {
        wx_group_id: row.id.0,
        shop_id: row.shop_id.0,
        name: row.name.clone(),
        member_count: group.members,
        create_time: convert::time(row.create_time),
        update_time: convert::time(row.update_time),
    }
}
