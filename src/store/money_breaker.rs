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
use super::tx::{Fault, Tx, to_error};
use crate::domain::campaign::CampaignState;
use crate::domain::id::{AccountId, CampaignId};
use crate::domain::plan::{Scope, SpendPlan, overspent};
use crate::domain::{Error, Fen, Reason, Result, State, Timestamp};

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

/// Packets that ended, and how many of them failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    ended: i64,
    failed: i64,
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
    /// The breakers of an account and of some campaigns, locked in one order.
    async fn lock_breakers(
        &self,
        keys: impl Iterator<Item = (Scope, i64)>,
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
            .order_by_asc(Column::Scope)
            .order_by_asc(Column::Subject)
            .lock_exclusive()
            .all(self)
            .await?;
        let keyed = rows.into_iter().map(|row| ((row.scope, row.subject), row));
        Ok(keyed.collect())
    }

    /// Those of some packets about to be sent that the plans let out. What goes out
    /// again under its number was counted before. The first packet that does not fit
    /// trips the breaker, and holds back all of its campaign or account behind it.
    pub(super) async fn within_plan(
        &self,
        account: AccountId,
        rows: Vec<issuance::Model>,
    ) -> Result<Vec<issuance::Model>, Fault> {
        let fresh = |row: &&issuance::Model| row.state == State::Queued;
        let mut keys: Vec<(Scope, i64)> = rows
            .iter()
            .filter(fresh)
            .map(|row| (Scope::Campaign, row.campaign_id.0))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys.push((Scope::Account, account.0));
        let mut breakers = self.lock_breakers(keys.into_iter()).await?;
        if breakers.is_empty() {
            return Ok(rows);
        }
        let mut out = Vec::with_capacity(rows.len());
        let mut trips: BTreeMap<(Scope, i64), String> = BTreeMap::new();
        for row in rows {
            let of = [
                (Scope::Account, account.0),
                (Scope::Campaign, row.campaign_id.0),
            ];
            let tripped = |key: &(Scope, i64)| {
                trips.contains_key(key) || breakers.get(key).is_some_and(|b| b.trip_time.is_some())
            };
            if row.state != State::Queued {
                if !tripped(&of[0]) {
                    out.push(row);
                }
                continue;
            }
            if of.iter().any(tripped) {
                continue;
            }
            match self.spend(&breakers, of, row.amount_fen) {
                Ok(spent) => {
                    for (key, until) in spent {
                        if let Some(breaker) = breakers.get_mut(&key) {
                            breaker.spent_until = until;
                        }
                    }
                    out.push(row);
                }
                Err((key, why)) => {
                    trips.insert(key, why);
                }
            }
        }
        for (key, breaker) in &breakers {
            self.keep_breaker(breaker).await?;
            if let Some(why) = trips.remove(key) {
                self.trip(*key, why).await?;
            }
        }
        Ok(out)
    }

    /// Until when each plan is spent once an amount has gone out; or which one forbids
    /// it, and why.
    #[expect(clippy::type_complexity, reason = "two answers of one question")]
    fn spend(
        &self,
        breakers: &BTreeMap<(Scope, i64), Model>,
        of: [(Scope, i64); 2],
        amount: Fen,
    ) -> Result<Vec<((Scope, i64), Timestamp)>, ((Scope, i64), String)> {
        let mut spent = Vec::with_capacity(2);
        for key in of {
            let Some(breaker) = breakers.get(&key) else {
                continue;
            };
            let plan = breaker.plan();
            match plan.spend(breaker.spent_until, amount, self.now()) {
                Some(until) => spent.push((key, until)),
                None => {
                    let ahead = plan.ahead(breaker.spent_until, self.now());
                    return Err((key, overspent(&plan, amount, ahead)));
                }
            }
        }
        Ok(spent)
    }

    /// Counts packets that ended. Where too many of them failed, the breaker trips.
    pub(super) async fn count_ends(&self, ends: AllEnds) -> Result<(), Fault> {
        if ends.0.is_empty() {
            return Ok(());
        }
        // A look first: few have a plan, and fewer watch failures.
        let watched = Entity::find()
            .filter(Column::FailurePercent.gt(0))
            .all(self)
            .await?;
        let keys: Vec<(Scope, i64)> = watched
            .into_iter()
            .map(|row| (row.scope, row.subject))
            .filter(|key| ends.0.contains_key(key))
            .collect();
        for (key, mut breaker) in self.lock_breakers(keys.into_iter()).await? {
            let Some(more) = ends.0.get(&key) else {
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
                self.trip(key, window.words()).await?;
            }
        }
        Ok(())
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

    /// A breaker trips; a campaign is paused by it.
    async fn trip(&self, (scope, subject): (Scope, i64), why: String) -> Result<(), Fault> {
        tracing::warn!(
            scope = scope.name(),
            subject,
            why,
            "the money breaker has tripped; two people let it go on"
        );
        Entity::update_many()
            .col_expr(Column::TripReason, Expr::value(Some(why.clone())))
            .col_expr(Column::TripTime, Expr::value(Some(self.now())))
            .filter(Column::Scope.eq(scope))
            .filter(Column::Subject.eq(subject))
            .exec(self)
            .await?;
        match scope {
            Scope::Account => Ok(()),
            Scope::Campaign => self.pause_tripped(CampaignId(subject), why).await,
        }
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

    /// Gives a campaign or an account a plan, or none any more.
    pub(super) async fn set_plan(
        &self,
        scope: Scope,
        subject: i64,
        plan: Option<SpendPlan>,
    ) -> Result<(), Fault> {
        let before = breaker_of(self, scope, subject).await?;
        if before.is_some_and(|row| row.trip_time.is_some()) {
            let text = "the money breaker has tripped; let it go on first, which takes two people";
            return Err(Error::field("plan", Reason::FieldNotAllowed, text.to_owned()).into());
        }
        let Some(plan) = plan else {
            Entity::delete_by_id((scope, subject)).exec(self).await?;
            return Ok(());
        };
        let row = Model {
            scope,
            subject,
            fen_per_minute: plan.fen_per_minute,
            loss_max_fen: plan.loss_max,
            failure_percent: plan.failure_percent,
            spent_until: Timestamp(0),
            half: 0,
            ended_count: 0,
            failed_count: 0,
            ended_before: 0,
            failed_before: 0,
            trip_reason: None,
            trip_time: None,
        };
        // What has gone out already counts under a new plan too.
        let keep = OnConflict::columns([Column::Scope, Column::Subject])
            .update_columns([
                Column::FenPerMinute,
                Column::LossMaxFen,
                Column::FailurePercent,
            ])
            .to_owned();
        Entity::insert(row.into_active_model().reset_all())
            .on_conflict(keep)
            .exec_without_returning(self)
            .await?;
        Ok(())
    }

    /// Lets a tripped breaker go on, with all of its loss before it.
    pub(super) async fn clear_trip(&self, scope: Scope, subject: i64) -> Result<(), Fault> {
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
