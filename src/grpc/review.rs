//! ReviewService.

use std::collections::BTreeMap;

use tonic::{Request, Response, Status};

use super::auth::Caller;
use super::call::parse_call;
use super::issuance::render::{Shows, render, render_attempt};
use super::parse::Fields;
use super::pb::review_service_server::ReviewService;
use super::server::Backend;
use super::{convert, page, pb, status};
use crate::domain::approval::Stage;
use crate::domain::grant::Permission;
use crate::domain::id::{ApprovalId, IssuanceId, ShopId};
use crate::domain::{Error, Reason, Result, Timestamp};
use crate::store::entity::{approval, issuance};
use crate::store::packets::Packet;
use crate::store::review::Evidence;

#[tonic::async_trait]
impl ReviewService for Backend {
    async fn list_reviews(
        &self,
        request: Request<pb::ListReviewsRequest>,
    ) -> Result<Response<pb::ListReviewsResponse>, Status> {
        let caller = Caller::of(&request)?;
        list_reviews(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn close_review(
        &self,
        request: Request<pb::CloseReviewRequest>,
    ) -> Result<Response<pb::CloseReviewResponse>, Status> {
        let caller = Caller::of(&request)?;
        close_review(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn list_approvals(
        &self,
        request: Request<pb::ListApprovalsRequest>,
    ) -> Result<Response<pb::ListApprovalsResponse>, Status> {
        let caller = Caller::of(&request)?;
        list_approvals(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }

    async fn decide_approval(
        &self,
        request: Request<pb::DecideApprovalRequest>,
    ) -> Result<Response<pb::DecideApprovalResponse>, Status> {
        let caller = Caller::of(&request)?;
        decide_approval(self, &caller, &request.into_inner())
            .await
            .map(Response::new)
            .map_err(status::status)
    }
}

async fn list_reviews(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListReviewsRequest,
) -> Result<pb::ListReviewsResponse> {
    let shop = caller.shop(r.shop_id)?;
    let scope = format!("reviews of {shop}");
    let mut fields = Fields::default();
    let size = page::parse_size(&mut fields, r.page_size);
    let after = page::parse_after(&mut fields, &r.page_token, scope.as_bytes(), 2);
    let (size, after) = fields.finish(size.zip(after))?;
    let after = after.and_then(|keys| match keys.as_slice() {
        [time, id] => Some((Timestamp(*time), IssuanceId(*id))),
        _ => None,
    });
    let rows = backend.store.reviews(shop, after, size).await?;
    let place = |row: &issuance::Model| vec![row.update_time.0, row.id.0];
    let next_page_token = page::next_after(&rows, size, scope.as_bytes(), place);
    let ids: Vec<IssuanceId> = rows.iter().map(|row| row.id).collect();
    let pending = backend.store.pending_closings(&ids).await?;
    let pending: BTreeMap<_, _> = pending
        .iter()
        .filter_map(|row| Some((row.issuance_id?, row)))
        .collect();
    let mut cases = Vec::with_capacity(rows.len());
    for packet in backend.store.packets(rows).await? {
        let evidence = backend.store.evidence(packet.row.id).await?;
        let proposed = pending.get(&packet.row.id).copied();
        cases.push(render_case(backend, &packet, &evidence, proposed)?);
    }
    Ok(pb::ListReviewsResponse {
        cases,
        next_page_token,
    })
}

fn render_case(
    backend: &Backend,
    packet: &Packet,
    evidence: &Evidence,
    pending: Option<&approval::Model>,
) -> Result<pb::ReviewCase> {
    let row = &packet.row;
    let attempts = evidence.attempts.iter();
    let exchanges = evidence.exchanges.iter();
    let exchanges = exchanges.map(|(exchange, number)| pb::ReviewEvidence {
        mch_billno: number.clone(),
        call: exchange.call.clone(),
        outcome: exchange.outcome.clone(),
        http_status: exchange.http_status.unwrap_or(0),
        late: exchange.late,
        create_time: convert::time(exchange.create_time),
    });
    Ok(pb::ReviewCase {
        issuance: Some(render(backend, packet, Shows::NOTHING)?),
        cause: row.last_error.clone().unwrap_or_default(),
        since: convert::time(row.update_time),
        attempts: attempts
            .map(|attempt| render_attempt(attempt, row))
            .collect(),
        evidence: exchanges.collect(),
        pending: pending.map(render_approval),
    })
}

async fn close_review(
    backend: &Backend,
    caller: &Caller,
    r: &pb::CloseReviewRequest,
) -> Result<pb::CloseReviewResponse> {
    let shop = caller.shop(r.shop_id)?;
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "CloseReview",
        Some(shop),
        r,
        CloseReviewRequest,
        shop_id
    );
    let id = fields.id(r.issuance_id, "issuance_id", IssuanceId::parse);
    let verdict = fields.choice(r.verdict, "verdict", convert::parse_verdict);
    let reason = fields.reason(&r.reason);
    let parsed = call.zip(id).zip(verdict.zip(reason));
    let ((call, id), (verdict, reason)) = fields.finish(parsed)?;
    caller.principal.must_be_person()?;
    let closing = backend.store.close_review(call, shop, id, verdict, reason);
    let done = closing.await?;
    if !r.validate_only && !done.replayed {
        tracing::warn!(
            issuance_id = id.0,
            verdict = verdict.name(),
            approval_id = done.row.approval.id.0,
            "a case is closed by hand"
        );
    }
    let packets = backend.store.packets(vec![done.row.row]).await?;
    let packet = packets
        .first()
        .ok_or_else(|| Error::internal("a packet vanished", "review"))?;
    Ok(pb::CloseReviewResponse {
        issuance: Some(render(backend, packet, Shows::NOTHING)?),
        approval: Some(render_approval(&done.row.approval)),
        replayed: done.replayed,
    })
}

async fn list_approvals(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ListApprovalsRequest,
) -> Result<pb::ListApprovalsResponse> {
    let mut fields = Fields::default();
    let shop = fields.optional_id(r.shop_id, "shop_id", ShopId::parse);
    let stage = match r.state {
        0 => Some(None),
        raw => fields
            .choice(raw, "state", convert::parse_approval_state)
            .map(Some),
    };
    let scope = format!("approvals {} {}", r.shop_id, r.state);
    let page = page::parse(&mut fields, r.page_size, &r.page_token, scope.as_bytes());
    let ((shop, stage), page) = fields.finish(shop.zip(stage).zip(page))?;
    match shop {
        Some(_) => drop(caller.shop(r.shop_id)?),
        None if caller.principal.holds_everywhere(Permission::Approve) => {}
        None => {
            let text = "name a shop; all of them need a grant over all shops".to_owned();
            return Err(Error::field("shop_id", Reason::FieldRequired, text));
        }
    }
    let found = backend.store.approvals(shop, stage, page).await?;
    let next_page_token = page::next(&found, page, scope.as_bytes(), |row| row.id.0);
    Ok(pb::ListApprovalsResponse {
        approvals: found.iter().map(render_approval).collect(),
        next_page_token,
    })
}

async fn decide_approval(
    backend: &Backend,
    caller: &Caller,
    r: &pb::DecideApprovalRequest,
) -> Result<pb::DecideApprovalResponse> {
    let mut fields = Fields::default();
    let call = parse_call!(
        &mut fields,
        caller,
        "DecideApproval",
        None,
        r,
        DecideApprovalRequest
    );
    let id = fields.id(r.approval_id, "approval_id", ApprovalId::parse);
    let reason = fields.reason(&r.reason);
    let ((call, id), reason) = fields.finish(call.zip(id).zip(reason))?;
    caller.principal.must_be_person()?;
    let stage = match r.approve {
        true => Stage::Approved,
        false => Stage::Rejected,
    };
    let by = (*caller.principal).clone();
    let deciding = backend.store.decide_approval(call, by, id, stage, reason);
    let done = deciding.await?;
    if !r.validate_only && !done.replayed {
        tracing::warn!(
            approval_id = id.0,
            rule = done.row.rule.name(),
            state = stage.name(),
            "a second person has decided"
        );
    }
    Ok(pb::DecideApprovalResponse {
        approval: Some(render_approval(&done.row)),
        replayed: done.replayed,
    })
}

fn render_approval(row: &approval::Model) -> pb::Approval {
    pb::Approval {
        approval_id: row.id.0,
        shop_id: row.shop_id.map_or(0, |id| id.0),
        rule: convert::approval_rule(row.rule),
        state: convert::approval_state(row.state),
        summary: row.summary.clone(),
        actor: row.actor.clone(),
        method: row.method.clone(),
        request_id: row.request_id.to_string(),
        campaign_id: row.campaign_id.map_or(0, |id| id.0),
        issuance_id: row.issuance_id.map_or(0, |id| id.0),
        packet_count: row.packet_count,
        amount_fen: row.amount_fen.0,
        decider: row.decider.clone(),
        reason: row.reason.clone(),
        decide_time: convert::optional_time(row.decide_time),
        create_time: convert::time(row.create_time),
    }
}
