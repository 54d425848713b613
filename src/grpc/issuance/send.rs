//! SendToUsers, SendRedPacket, Resend.

use std::collections::HashSet;

use tokio::time::Instant;

use super::call::{body, call};
use super::parse::Fields;
use super::render::{render, render_batch, render_refused, tried};
use super::{Backend, Caller, convert, pb};
use crate::domain::id::{BatchId, CampaignId, IssuanceId};
use crate::domain::text::{Openid, Uid};
use crate::domain::{Error, Reason, Result, State};
use crate::store::entity::issuance;
use crate::store::issue::{Command, Wanted};
use crate::store::read::ByIssuance;
use crate::telemetry;

/// Users of one call at most.
const USERS_MAX: usize = 1_000;
/// Repeated uids that a reply lists at most.
const DUPLICATES_SHOWN: usize = 100;

pub(super) async fn send_to_users(
    backend: &Backend,
    caller: &Caller,
    r: &pb::SendToUsersRequest,
    until: Instant,
) -> Result<pb::SendToUsersResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let body = body!(
        SendToUsersRequest,
        r,
        request_id,
        validate_only,
        shop_id,
        wait
    );
    let call = call(
        &mut fields,
        caller,
        "SendToUsers",
        Some(shop),
        &r.request_id,
        r.validate_only,
        &body,
    );
    let campaign = fields.id(r.campaign_id, "campaign_id", CampaignId::parse);
    let source = fields.choice(r.source, "source", convert::parse_source);
    let (uids, duplicate_uids) = parse_uids(&mut fields, &r.uids);
    let parsed = (|| Some((call?, campaign?, source?)))();
    let (call, campaign, source) = fields.finish(parsed)?;
    let traceparent = telemetry::traceparent_of_current_span();
    let wanted = Wanted::Users(uids);
    let command = Command {
        call,
        shop,
        campaign: Some(campaign),
        source,
        wanted,
        traceparent,
    };
    let issued = backend.issuer.issue(command).await?;
    let (batch, refused) = if r.validate_only && !issued.replayed {
        let batch = issued
            .batch
            .as_ref()
            .ok_or_else(|| Error::internal("a trial without batch", "SendToUsers"))?;
        let refused = issued
            .issuances
            .iter()
            .filter(|row| row.state == State::Failed)
            .map(|row| issuance::Model {
                id: IssuanceId(0),
                ..row.clone()
            })
            .collect();
        (render_batch(&tried(batch, &issued.issuances)), refused)
    } else {
        let id = BatchId(issued.resource);
        let batch = match r.wait {
            true => backend.issuer.await_batch(shop, id, until).await?,
            false => backend.store.batch(shop, id).await?,
        };
        (render_batch(&batch), backend.store.refused_of(id).await?)
    };
    let refused = refused.iter().map(render_refused).collect();
    Ok(pb::SendToUsersResponse {
        batch: Some(batch),
        refused,
        duplicate_uids,
        replayed: issued.replayed,
    })
}

/// Each uid once, and those that stood more than once.
fn parse_uids(fields: &mut Fields, raw: &[String]) -> (Vec<Uid>, Vec<String>) {
    if raw.is_empty() {
        fields.bad("uids", Reason::FieldRequired, "name 1 to 1,000 users");
    }
    if raw.len() > USERS_MAX {
        fields.bad(
            "uids",
            Reason::BatchTooLarge,
            format!("{} users; one call takes at most {USERS_MAX}", raw.len()),
        );
        return (Vec::new(), Vec::new());
    }
    let (mut seen, mut uids, mut repeated) =
        (HashSet::new(), Vec::with_capacity(raw.len()), Vec::new());
    for (index, text) in raw.iter().enumerate() {
        let rule = "1 to 64 printable ASCII characters without blanks";
        let Some(uid) = fields.name(
            text,
            &format!("uids[{index}]"),
            Uid::parse,
            Reason::IdInvalid,
            rule,
        ) else {
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

pub(super) async fn send_red_packet(
    backend: &Backend,
    caller: &Caller,
    r: &pb::SendRedPacketRequest,
    until: Instant,
) -> Result<pb::SendRedPacketResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let body = body!(
        SendRedPacketRequest,
        r,
        request_id,
        validate_only,
        shop_id,
        wait
    );
    let call = call(
        &mut fields,
        caller,
        "SendRedPacket",
        Some(shop),
        &r.request_id,
        r.validate_only,
        &body,
    );
    let campaign = fields.optional_id(r.campaign_id, "campaign_id", CampaignId::parse);
    let openid = fields.name(
        &r.openid,
        "openid",
        Openid::parse,
        Reason::OpenidInvalid,
        "1 to 32 characters of [A-Za-z0-9_-]",
    );
    let amount = if r.amount_fen == 0 {
        Some(None)
    } else {
        fields.amount(r.amount_fen, "amount_fen").map(Some)
    };
    let texts = match &r.texts {
        Some(texts) => fields
            .texts(Some(texts), "texts")
            .map(|texts| Some(Box::new(texts))),
        None => Some(None),
    };
    let source = fields.choice(r.source, "source", convert::parse_source);
    let parsed = (|| Some((call?, campaign?, openid?, amount?, texts?, source?)))();
    let (call, campaign, openid, amount, texts, source) = fields.finish(parsed)?;
    let traceparent = telemetry::traceparent_of_current_span();
    let wanted = Wanted::Openid {
        openid,
        amount,
        texts,
    };
    let issued = backend
        .issuer
        .issue(Command {
            call,
            shop,
            campaign,
            source,
            wanted,
            traceparent,
        })
        .await?;
    let row = if r.validate_only && !issued.replayed {
        let mut row = issued
            .issuances
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("a trial without packet", "SendRedPacket"))?;
        row.id = IssuanceId(0);
        row
    } else {
        backend
            .settled_issuance(shop, IssuanceId(issued.resource), r.wait.then_some(until))
            .await?
    };
    Ok(pb::SendRedPacketResponse {
        issuance: Some(render(backend, &row)?),
        replayed: issued.replayed,
    })
}

pub(super) async fn resend(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ResendRequest,
    until: Instant,
) -> Result<pb::ResendResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let body = body!(ResendRequest, r, request_id, validate_only, shop_id, wait);
    let call = call(
        &mut fields,
        caller,
        "Resend",
        Some(shop),
        &r.request_id,
        r.validate_only,
        &body,
    );
    let id = fields.id(r.issuance_id, "issuance_id", IssuanceId::parse);
    let (call, id) = fields.finish(call.zip(id))?;
    let done = backend.store.resend(call, shop, id).await?;
    backend.wake.notify_waiters();
    let row = match r.wait && !r.validate_only {
        true => backend.settled_issuance(shop, id, Some(until)).await?,
        false => done.row,
    };
    Ok(pb::ResendResponse {
        issuance: Some(render(backend, &row)?),
        replayed: done.replayed,
    })
}

impl Backend {
    /// A packet as it is now, or once the provider has said whether it was paid.
    async fn settled_issuance(
        &self,
        shop: crate::domain::id::ShopId,
        id: IssuanceId,
        until: Option<Instant>,
    ) -> Result<issuance::Model> {
        match until {
            Some(until) => self.issuer.await_issuance(shop, id, until).await,
            None => Ok(self.store.issuance(shop, &ByIssuance::Id(id)).await?.0),
        }
    }
}
