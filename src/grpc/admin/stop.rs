//! Stopping at once, and going on.

use super::{Backend, Caller, Fields, convert, parse_call, pb};
use crate::domain::id::{AccountId, ShopId};
use crate::domain::plan;
use crate::domain::stop::{Kind, Scope};
use crate::domain::{Reason, Result};
use crate::store::Call;
use crate::store::entity::{money_breaker, stop};
use crate::store::read::Tally;
use crate::store::request::Written;
use crate::store::stop::Stopped;

pub(super) async fn stop(
    backend: &Backend,
    caller: &Caller,
    r: &pb::StopAllRequest,
) -> Result<pb::StopAllResponse> {
    let mut fields = Fields::default();
    let call = parse_call!(&mut fields, caller, "StopAll", None, r, StopAllRequest);
    let done = turn(backend, fields, call, r.scope.as_ref(), &r.reason, true).await?;
    let left = done.row.left;
    if !r.validate_only && !done.replayed {
        tracing::warn!(
            app_id = caller.principal.app.0,
            reason = done.row.row.reason,
            scope = done.row.row.scope.name(),
            subject = done.row.row.subject,
            in_flight = left.in_flight.count,
            "stopped"
        );
    }
    Ok(pb::StopAllResponse {
        stop: Some(render(&done.row.row)),
        in_flight: sum(left.in_flight),
        unknown: sum(left.unknown),
        queued: sum(left.queued),
        replayed: done.replayed,
    })
}

pub(super) async fn resume(
    backend: &Backend,
    caller: &Caller,
    r: &pb::ResumeAllRequest,
) -> Result<pb::ResumeAllResponse> {
    let mut fields = Fields::default();
    let call = parse_call!(&mut fields, caller, "ResumeAll", None, r, ResumeAllRequest);
    caller.principal.must_be_person()?;
    let done = turn(backend, fields, call, r.scope.as_ref(), &r.reason, false).await?;
    backend.wake.notify_waiters();
    if !r.validate_only && !done.replayed {
        tracing::warn!(
            app_id = caller.principal.app.0,
            reason = done.row.row.reason,
            scope = done.row.row.scope.name(),
            subject = done.row.row.subject,
            "goes on"
        );
    }
    Ok(pb::ResumeAllResponse {
        stop: Some(render(&done.row.row)),
        queued: sum(done.row.left.queued),
        replayed: done.replayed,
        still_stopped: list(backend).await?.stops,
    })
}

pub(super) async fn list(backend: &Backend) -> Result<pb::ListStopsResponse> {
    let found = backend.store.stops().await?;
    let tripped = backend.store.tripped().await?;
    let tripped = tripped
        .iter()
        .filter(|row| row.scope == plan::Scope::Account);
    let tripped = tripped.map(render_tripped);
    Ok(pb::ListStopsResponse {
        stops: found.iter().map(render).chain(tripped).collect(),
    })
}

async fn turn(
    backend: &Backend,
    mut fields: Fields,
    call: Option<Call>,
    scope: Option<&pb::StopScope>,
    reason: &str,
    stopped: bool,
) -> Result<Written<Stopped>> {
    let scope = parse_scope(&mut fields, scope);
    let reason = fields.reason(reason);
    let parsed = call.zip(scope).zip(reason);
    let ((call, scope), reason) = fields.finish(parsed)?;
    backend.store.stop(call, scope, stopped, reason).await
}

fn parse_scope(fields: &mut Fields, raw: Option<&pb::StopScope>) -> Option<Scope> {
    use pb::stop_scope::Scope as Raw;
    match raw.and_then(|raw| raw.scope.as_ref()) {
        Some(Raw::Everything(true)) => Some(Scope::Everything),
        Some(Raw::AccountId(id)) => {
            let id = fields.id(*id, "scope.account_id", AccountId::parse);
            id.map(Scope::Account)
        }
        Some(Raw::ShopId(id)) => fields
            .id(*id, "scope.shop_id", ShopId::parse)
            .map(Scope::Shop),
        Some(Raw::Everything(false)) | None => {
            let text = "required: everything, account_id or shop_id";
            fields.bad("scope", Reason::FieldRequired, text);
            None
        }
    }
}

fn render(row: &stop::Model) -> pb::Stop {
    use pb::stop_scope::Scope as Raw;
    let scope = match row.scope {
        Kind::Everything => Raw::Everything(true),
        Kind::Account => Raw::AccountId(row.subject),
        Kind::Shop => Raw::ShopId(row.subject),
    };
    pb::Stop {
        scope: Some(pb::StopScope { scope: Some(scope) }),
        stopped: row.stopped,
        reason: row.reason.clone(),
        actor: row.actor.clone(),
        update_time: convert::time(row.update_time),
    }
}

/// An account that its money breaker holds back reads like one that was stopped.
fn render_tripped(row: &money_breaker::Model) -> pb::Stop {
    let scope = pb::stop_scope::Scope::AccountId(row.subject);
    pb::Stop {
        scope: Some(pb::StopScope { scope: Some(scope) }),
        stopped: true,
        reason: row.trip_reason.clone().unwrap_or_default(),
        actor: "breaker".to_owned(),
        update_time: convert::optional_time(row.trip_time),
    }
}

fn sum(tally: Tally) -> Option<pb::PacketSum> {
    Some(pb::PacketSum {
        packet_count: tally.count,
        amount_fen: tally.sum.0,
    })
}
