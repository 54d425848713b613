//! The money breaker: spending is counted when packets are claimed, failures when they
//! are settled, both under the lock of one row that all replicas share. What trips it
//! stays where it is, with its hold.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait,
    IntoActiveModel as _, QueryFilter, QueryOrder, QuerySelect, Set,
};

use super::Store;
use super::entity::money_breaker::{Column, Entity, Model};
use super::entity::{campaign, issuance};
use super::journal::campaign_entry;
use super::request::Call;
use super::tx::{Fault, Tx, to_error};
use crate::domain::approval::{Need, Rule};
use crate::domain::campaign::{CampaignState, Standing};
use crate::domain::id::{CampaignId, ShopId};
use crate::domain::plan::{Scope, SpendPlan, refusal};
use crate::domain::{Error, Reason, Result, State, Timestamp};

mod gate;

pub(super) use gate::Gate;

/// Who acts when a breaker trips.
const BREAKER: &str = "breaker";

impl Store {
    /// The breakers that have tripped.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn tripped(&self) -> Result<Vec<Model>> {
        Entity::find()
            .filter(Column::TripTime.is_not_null())
            .order_by_asc(Column::Scope)
            .order_by_asc(Column::Subject)
            .all(self.reader())
            .await
            .map_err(to_error)
    }
}

/// The breaker of a campaign or an account, if it has one.
pub(super) async fn breaker_of(
    db: &impl ConnectionTrait,
    scope: Scope,
    subject: i64,
) -> Result<Option<Model>, Fault> {
    Ok(Entity::find_by_id((scope, subject)).one(db).await?)
}

/// A plan stays as long as its breaker has tripped.
fn may_change(row: &Model) -> Result<()> {
    if row.trip_time.is_none() {
        return Ok(());
    }
    let text = "the money breaker has tripped; let it go on first, which takes two people";
    Err(Error::field(
        "plan",
        Reason::FieldNotAllowed,
        text.to_owned(),
    ))
}

/// Packets that ended, and how many of them failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    ended: i64,
    failed: i64,
}

/// A breaker that trips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    /// Of what.
    pub scope: Scope,
    /// Which campaign or account.
    pub subject: i64,
    /// Why, in words.
    pub why: String,
}

impl Trip {
    /// Says it in the log.
    pub fn tell(&self) {
        tracing::warn!(
            scope = self.scope.name(),
            subject = self.subject,
            why = self.why,
            "the money breaker has tripped; two people let it go on"
        );
    }
}

/// What a settlement counts, by what has a breaker.
#[derive(Debug, Default)]
pub(super) struct AllEnds(BTreeMap<(Scope, i64), Ends>);

impl AllEnds {
    /// Counts a packet whose fate was open and is not any more.
    pub(super) fn add(&mut self, before: &issuance::Model, to: State) {
        let open = |state: State| state.is_open() || state == State::Review;
        if !open(before.state) || open(to) {
            return;
        }
        for key in [
            (Scope::Account, before.account_id.0),
            (Scope::Campaign, before.campaign_id.0),
        ] {
            let ends = self.0.entry(key).or_default();
            ends.ended += 1;
            ends.failed += i64::from(to == State::Failed);
        }
    }
}

impl Tx {
    /// Breakers by their keys, locked in one order.
    async fn lock_breakers(
        &self,
        keys: impl Iterator<Item = (Scope, i64)>,
        of: Condition,
    ) -> Result<BTreeMap<(Scope, i64), Model>, Fault> {
        let mut which = Condition::any();
        for (scope, subject) in keys {
            which = which.add(Column::Scope.eq(scope).and(Column::Subject.eq(subject)));
        }
        if which.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows = Entity::find()
            .filter(which)
            .filter(of)
            .order_by_asc(Column::Scope)
            .order_by_asc(Column::Subject)
            .lock_exclusive()
            .all(self)
            .await?;
        let keyed = rows.into_iter().map(|row| ((row.scope, row.subject), row));
        Ok(keyed.collect())
    }

    /// Counts packets that ended: what is to be tripped, since too many of them failed.
    pub(super) async fn count_ends(&self, ends: AllEnds) -> Result<Vec<Trip>, Fault> {
        let watched = Condition::all().add(Column::FailurePercent.gt(0));
        let keys = ends.0.keys().copied();
        let mut trips = Vec::new();
        for ((scope, subject), mut breaker) in self.lock_breakers(keys, watched).await? {
            let Some(more) = ends.0.get(&(scope, subject)) else {
                continue;
            };
            let window = breaker.window().add(more.ended, more.failed, self.now());
            breaker.half = window.half;
            breaker.ended_count = window.ended;
            breaker.failed_count = window.failed;
            breaker.ended_before = window.ended_before;
            breaker.failed_before = window.failed_before;
            self.keep_breaker(&breaker).await?;
            if breaker.trip_time.is_none() && window.passes(breaker.failure_percent) {
                trips.push(Trip {
                    scope,
                    subject,
                    why: window.words(),
                });
            }
        }
        Ok(trips)
    }

    async fn keep_breaker(&self, row: &Model) -> Result<(), Fault> {
        Entity::update_many()
            .col_expr(Column::SpentUntil, Expr::value(row.spent_until))
            .col_expr(Column::Half, Expr::value(row.half))
            .col_expr(Column::EndedCount, Expr::value(row.ended_count))
            .col_expr(Column::FailedCount, Expr::value(row.failed_count))
            .col_expr(Column::EndedBefore, Expr::value(row.ended_before))
            .col_expr(Column::FailedBefore, Expr::value(row.failed_before))
            .filter(Column::Scope.eq(row.scope))
            .filter(Column::Subject.eq(row.subject))
            .exec(self)
            .await?;
        Ok(())
    }

    /// Breakers trip; campaigns are paused by them.
    pub(super) async fn trip(&self, trips: &[Trip]) -> Result<(), Fault> {
        for trip in trips {
            Entity::update_many()
                .col_expr(Column::TripReason, Expr::value(Some(trip.why.clone())))
                .col_expr(Column::TripTime, Expr::value(Some(self.now())))
                .filter(Column::Scope.eq(trip.scope))
                .filter(Column::Subject.eq(trip.subject))
                .exec(self)
                .await?;
            if trip.scope == Scope::Campaign {
                let id = CampaignId(trip.subject);
                self.pause_tripped(id, trip.why.clone()).await?;
            }
        }
        Ok(())
    }

    async fn pause_tripped(&self, id: CampaignId, why: String) -> Result<(), Fault> {
        let row = campaign::Entity::find_by_id(id)
            .lock_exclusive()
            .one(self)
            .await?;
        let Some(before) = row.filter(|row| row.state == CampaignState::Active) else {
            return Ok(());
        };
        let after = campaign::Model {
            state: CampaignState::Paused,
            version: before.version + 1,
            update_time: self.now(),
            ..before.clone()
        };
        campaign::Entity::update_many()
            .col_expr(campaign::Column::State, Expr::value(after.state))
            .col_expr(campaign::Column::Version, Expr::value(after.version))
            .col_expr(campaign::Column::UpdateTime, Expr::value(after.update_time))
            .filter(campaign::Column::Id.eq(id))
            .exec(self)
            .await?;
        let mut entry = campaign_entry(&after, Some(before.state.name()), "TRIPPED", None, BREAKER);
        entry.reason = Set(Some(why));
        self.append(vec![entry]).await
    }

    /// Gives a campaign or an account a plan, or none any more. What has gone out
    /// already counts under a new plan too.
    pub(super) async fn set_plan(
        &self,
        scope: Scope,
        subject: i64,
        plan: Option<SpendPlan>,
    ) -> Result<(), Fault> {
        let key = std::iter::once((scope, subject));
        let before = self.lock_breakers(key, Condition::all()).await?;
        let before = before.get(&(scope, subject));
        before.map_or(Ok(()), may_change)?;
        let Some(plan) = plan else {
            Entity::delete_by_id((scope, subject)).exec(self).await?;
            return Ok(());
        };
        let spent_until = before.map_or(Timestamp(0), |row| {
            plan.carry(&row.plan(), row.spent_until, self.now())
        });
        let row = Model {
            scope,
            subject,
            fen_per_minute: plan.fen_per_minute,
            loss_max_fen: plan.loss_max,
            failure_percent: plan.failure_percent,
            spent_until,
            half: 0,
            ended_count: 0,
            failed_count: 0,
            ended_before: 0,
            failed_before: 0,
            trip_reason: None,
            trip_time: None,
        };
        let keep = OnConflict::columns([Column::Scope, Column::Subject])
            .update_columns([
                Column::FenPerMinute,
                Column::LossMaxFen,
                Column::FailurePercent,
                Column::SpentUntil,
            ])
            .to_owned();
        Entity::insert(row.into_active_model().reset_all())
            .on_conflict(keep)
            .exec_without_returning(self)
            .await?;
        Ok(())
    }

    /// Why a campaign issues nothing now, if so.
    pub(super) async fn closed(&self, standing: &Standing) -> Result<Option<Error>, Fault> {
        let Err(error) = standing.open_at(self.now()) else {
            return Ok(None);
        };
        if error.reason != Reason::CampaignPaused {
            return Ok(Some(error));
        }
        let id = standing.id.0;
        let breaker = breaker_of(self, Scope::Campaign, id).await?;
        let tripped = breaker.and_then(|row| row.trip_reason);
        let tripped = tripped.map(|why| refusal(Scope::Campaign, id, &why));
        Ok(Some(tripped.unwrap_or(error)))
    }

    /// A change of plan that lets more out than before, in words: it takes two people.
    pub(super) async fn loosened_plan(
        &self,
        scope: Scope,
        subject: i64,
        plan: Option<SpendPlan>,
        of: &str,
    ) -> Result<Option<String>, Fault> {
        let Some(before) = breaker_of(self, scope, subject).await? else {
            return Ok(None);
        };
        may_change(&before)?;
        let words = match plan {
            Some(plan) if !plan.is_looser(&before.plan()) => return Ok(None),
            Some(plan) => plan.words(),
            None => "no plan".to_owned(),
        };
        let before = before.plan().words();
        Ok(Some(format!("plan {of} for {words} instead of {before}")))
    }

    /// What has tripped goes on by two people, with all of its loss before it. `of` says
    /// in which shop, and what it is.
    pub(super) async fn go_on(
        &self,
        call: &Call,
        scope: Scope,
        subject: i64,
        (shop, of): (Option<ShopId>, String),
    ) -> Result<(), Fault> {
        let breaker = breaker_of(self, scope, subject).await?;
        let Some(why) = breaker.and_then(|row| row.trip_reason) else {
            return Ok(());
        };
        let summary = format!("let {of} go on, whose money breaker has tripped ({why})");
        let need = Need {
            campaign: (scope == Scope::Campaign).then_some(CampaignId(subject)),
            ..Need::new(Rule::BreakerTripped, shop, summary)
        };
        self.demand(call, Some(need)).await?;
        self.clear_trip(scope, subject).await
    }

    async fn clear_trip(&self, scope: Scope, subject: i64) -> Result<(), Fault> {
        Entity::update_many()
            .col_expr(Column::TripReason, Expr::value(None::<String>))
            .col_expr(Column::TripTime, Expr::value(None::<Timestamp>))
            .col_expr(Column::SpentUntil, Expr::value(Timestamp(0)))
            .col_expr(Column::EndedCount, Expr::value(0_i64))
            .col_expr(Column::FailedCount, Expr::value(0_i64))
            .col_expr(Column::EndedBefore, Expr::value(0_i64))
            .col_expr(Column::FailedBefore, Expr::value(0_i64))
            .filter(Column::Scope.eq(scope))
            .filter(Column::Subject.eq(subject))
            .exec(self)
            .await?;
        Ok(())
    }
}
