//! Plans and money breakers on the wire.

use super::parse::Fields;
use super::{convert, pb};
use crate::domain::money::BUDGET_MAX;
use crate::domain::plan::SpendPlan;
use crate::domain::{Fen, Reason};
use crate::store::entity::money_breaker;

/// A plan, or none. The outer option is nothing if it is wrong.
pub(super) fn parse(fields: &mut Fields, raw: Option<&pb::SpendPlan>) -> Option<Option<SpendPlan>> {
    let Some(raw) = raw else { return Some(None) };
    let path = |name: &str| format!("plan.{name}");
    let rate = fields.within(raw.fen_per_minute, &path("fen_per_minute"), 0, BUDGET_MAX.0)?;
    let least = i64::from(rate > 0);
    let most = if rate > 0 { BUDGET_MAX.0 } else { 0 };
    let loss = fields.within(raw.loss_max_fen, &path("loss_max_fen"), least, most);
    let percent = i64::from(raw.failure_percent);
    let percent = fields.within(percent, &path("failure_percent"), 0, 100)?;
    if rate == 0 && percent == 0 {
        let text = "a plan watches spending (fen_per_minute, loss_max_fen), failures (failure_percent) or both";
        fields.bad("plan", Reason::FieldRequired, text);
        return None;
    }
    Some(Some(SpendPlan {
        fen_per_minute: Fen(rate),
        loss_max: Fen(loss?),
        failure_percent: i32::try_from(percent).ok()?,
    }))
}

pub(super) fn render(row: Option<&money_breaker::Model>) -> Option<pb::MoneyBreaker> {
    let row = row?;
    Some(pb::MoneyBreaker {
        plan: Some(pb::SpendPlan {
            fen_per_minute: row.fen_per_minute.0,
            loss_max_fen: row.loss_max_fen.0,
            failure_percent: row.failure_percent,
        }),
        tripped: row.trip_time.is_some(),
        trip_reason: row.trip_reason.clone().unwrap_or_default(),
        trip_time: convert::optional_time(row.trip_time),
    })
}
