//! SendToUsers, SendToGroups, CancelBatch.

use std::collections::HashSet;

use tokio::time::Instant;

use super::call::parse_call;
use super::parse::Fields;
use super::render::{render_batch, render_forecast, render_refused};
use super::{Backend, Caller, convert, pb};
use crate::domain::id::{BatchId, CampaignId, GroupId};
use crate::domain::text::Uid;
use crate::domain::{Error, Fen, Reason, Result};
use crate::store::entity::{issuance, issuance_batch};
use crate::store::issue::{Command, Issued, Named, Wanted};
use crate::telemetry;

/// Users of one call at most.
const USERS_MAX: usize = 1_000;
/// Groups of one call at most.
const GROUPS_MAX: usize = 100;
/// Repeated uids that a reply lists at most.
const DUPLICATES_SHOWN: usize = 100;

pub(super) async fn to_users(
    backend: &Backend,
    caller: &Caller,
    r: &pb::SendToUsersRequest,
    until: Instant,
) -> Result<pb::SendToUsersResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "SendToUsers",
        Some(shop),
        r,
        SendToUsersRequest,
        shop_id,
        wait
    );
    let campaign = fields.id(r.campaign_id, "campaign_id", CampaignId::parse);
    let source = fields.choice(r.source, "source", convert::parse_source);
    let (uids, duplicate_uids) = parse_uids(&mut fields, &r.uids);
    let pot = parse_pot(&mut fields, r.pot_fen);
    let branch = fields.branch(r.shop_sub_id, "shop_sub_id");
    let parsed = (|| Some((call?, campaign?, source?, pot?, branch?)))();
    let (call, campaign, source, pot, branch) = fields.finish(parsed)?;
    let issued = backend
        .issuer
        .issue(Command {
            call,
            shop,
            campaign: Some(Named::Id(campaign)),
            source,
            branch,
            wanted: Wanted::Users { uids, pot },
            traceparent: telemetry::traceparent_of_current_span(),
        })
        .await?;
    let wait = r.wait.then_some(until);
    let (batches, refused) = outcome(backend, shop, &issued, r.validate_only, wait).await?;
    Ok(pb::SendToUsersResponse {
        forecast: render_forecast(&issued),
        batch: batches.into_iter().next(),
        refused,
        duplicate_uids,
        replayed: issued.replayed,
    })
}

pub(super) async fn to_groups(
    backend: &Backend,
    caller: &Caller,
    r: &pb::SendToGroupsRequest,
    until: Instant,
) -> Result<pb::SendToGroupsResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "SendToGroups",
        Some(shop),
        r,
        SendToGroupsRequest,
        shop_id,
        wait
    );
    let campaign = fields.id(r.campaign_id, "campaign_id", CampaignId::parse);
    let source = fields.choice(r.source, "source", convert::parse_source);
    let groups = fields.ids(&r.wx_group_ids, "wx_group_ids", GroupId::parse, GROUPS_MAX);
    if r.wx_group_ids.is_empty() {
        let text = format!("name 1 to {GROUPS_MAX} groups");
        fields.bad("wx_group_ids", Reason::FieldRequired, text);
    }
    let pot = parse_pot(&mut fields, r.pot_fen);
    let branch = fields.branch(r.shop_sub_id, "shop_sub_id");
    let parsed = (|| Some((call?, campaign?, source?, groups?, pot?, branch?)))();
    let (call, campaign, source, groups, pot, branch) = fields.finish(parsed)?;
    let issued = backend
        .issuer
        .issue(Command {
            call,
            shop,
            campaign: Some(Named::Id(campaign)),
            source,
            branch,
            wanted: Wanted::Groups {
                groups,
                every_group: r.every_group,
                pot,
            },
            traceparent: telemetry::traceparent_of_current_span(),
        })
        .await?;
    let wait = r.wait.then_some(until);
    let (batches, refused) = outcome(backend, shop, &issued, r.validate_only, wait).await?;
    Ok(pb::SendToGroupsResponse {
        forecast: render_forecast(&issued),
        batches,
        refused,
        repeated_count: issued.repeated,
        replayed: issued.replayed,
    })
}

/// The batches of a call as they are now, or as a trial would have made them.
async fn outcome(
    backend: &Backend,
    shop: crate::domain::id::ShopId,
    issued: &Issued,
    validate_only: bool,
    wait: Option<Instant>,
) -> Result<(Vec<pb::IssuanceBatch>, Vec<pb::RefusedItem>)> {
    let (batches, refused) = if validate_only && !issued.replayed {
        let tried = |row: &issuance_batch::Model| issuance_batch::Model {
            id: BatchId(0),
            ..row.clone()
        };
        let untaken = |row: &issuance::Model| issuance::Model {
            id: crate::domain::id::IssuanceId(0),
            ..row.clone()
        };
        let refused: Vec<_> = issued.refused.iter().map(untaken).collect();
        (issued.batches.iter().map(tried).collect(), refused)
    } else {
        let ids: Vec<BatchId> = issued.batch_ids.iter().map(|id| BatchId(*id)).collect();
        let mut batches = Vec::with_capacity(ids.len());
        for id in &ids {
            batches.push(match wait {
                Some(until) => backend.issuer.await_batch(shop, *id, until).await?,
                None => backend.store.batch(shop, *id).await?,
            });
        }
        (batches, backend.store.refused_of(&ids).await?)
    };
    let batches = backend.store.with_campaigns(batches).await?;
    Ok((
        batches
            .iter()
            .map(|(row, of)| render_batch(row, of))
            .collect(),
        refused.iter().map(render_refused).collect(),
    ))
}

/// The pot of a call; none where it is 0. The outer option is nothing if it is wrong.
fn parse_pot(fields: &mut Fields, raw: i64) -> Option<Option<Fen>> {
    match raw {
        0 => Some(None),
        raw => fields.amount(raw, "pot_fen").map(Some),
    }
}

/// Each uid once, and those that stood more than once.
fn parse_uids(fields: &mut Fields, raw: &[String]) -> (Vec<Uid>, Vec<String>) {
    if raw.is_empty() {
        fields.bad("uids", Reason::FieldRequired, "name 1 to 1,000 users");
    }
    if raw.len() > USERS_MAX {
        let text = format!(
            "{} users; one call takes at most {USERS_MAX}, a group (SendToGroups) any number",
            raw.len()
        );
        fields.bad("uids", Reason::BatchTooLarge, text);
        return (Vec::new(), Vec::new());
    }
    let (mut seen, mut uids, mut repeated) =
        (HashSet::new(), Vec::with_capacity(raw.len()), Vec::new());
    for (index, text) in raw.iter().enumerate() {
        let Some(uid) = fields.uid(text, &format!("uids[{index}]")) else {
            continue;
        };
        if seen.insert(uid.clone()) {
            uids.push(uid);
        } else if !repeated.contains(text) && repeated.len() < DUPLICATES_SHOWN {
            repeated.push(text.clone());
        }
    }
    (uids, repeated)
}

pub(super) async fn cancel(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CancelBatchRequest,
    until: Instant,
) -> Result<pb::CancelBatchResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "CancelBatch",
        Some(shop),
        r,
        CancelBatchRequest,
        shop_id
    );
    let id = fields.id(r.batch_id, "batch_id", BatchId::parse);
    let (call, id) = fields.finish(call.zip(id))?;
    let done = backend.issuer.cancel_batch(call, shop, id, until).await?;
    let shown = backend.store.with_campaigns(vec![done.row]).await?;
    let shown = shown.first().map(|(row, of)| render_batch(row, of));
    Ok(pb::CancelBatchResponse {
        batch: Some(shown.ok_or_else(|| Error::internal("a batch vanished", "cancel"))?),
        replayed: done.replayed,
    })
}
