//! Stopping at once. A claim shares a lock on the rows of everything, its account and
//! its shops from before it looks for work until it commits; a stop writes its row, so
//! it waits for the claims under way, and holds for all that come after its answer.
//! So the figure of what is in flight is exact: nothing joins it any more.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Expr, LockType, Query};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

use super::Store;
use super::entity::issuance;
use super::entity::stop::{ActiveModel, Column, Entity, Model};
use super::money_breaker::breaker_of;
use super::read::Tally;
use super::request::{Call, Claimed, Written};
use super::tx::{Fault, Tx, to_error};
use crate::domain::id::{AccountId, ShopId};
use crate::domain::plan;
use crate::domain::schedule::Job;
use crate::domain::stop::{self, Kind, Scope};
use crate::domain::{Error, Fen, Reason, Result, State, missing};

/// What a stop leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Claimed to be sent: on their way, or waiting for their turn.
    pub in_flight: Tally,
    /// Sent without a clear answer yet: may have been paid.
    pub unknown: Tally,
    /// Held back.
    pub queued: Tally,
}

/// A stop, and what it leaves.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The row.
    pub row: Model,
    /// What it leaves.
    pub left: Left,
}

impl Store {
    /// Stops, or lets go on.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND, ACCOUNT_NOT_FOUND; SECOND_APPROVER_REQUIRED: whoever stopped
    /// it cannot let it go on; APPROVAL_REQUIRED, APPROVAL_REJECTED: the account's money
    /// breaker has tripped.
    pub async fn stop(
        &self,
        call: Call,
        scope: Scope,
        stopped: bool,
        reason: String,
    ) -> Result<Written<Stopped>> {
        let end = call.end();
        let done = self.write_or_try(end, move |tx| {
            let (call, reason) = (call.clone(), reason.clone());
            Box::pin(async move {
                let (_, subject) = scope.key();
                let replayed = tx.claim_request(&call, subject, None).await? != Claimed::New;
                let before = tx.lock_stop(scope).await?;
                if let (false, false, Scope::Account(id)) = (replayed, stopped, scope) {
                    let of = (None, format!("account {id}"));
                    let gone_on = tx.go_on(&call, plan::Scope::Account, id.0, of).await;
                    if let Err(error) = tx.or_wait(&call, gone_on).await? {
                        return Ok(Err(error));
                    }
                }
                if !replayed && before.stopped != stopped {
                    tx.turn_stop(&call, &before, stopped, reason).await?;
                }
                let row = tx.lock_stop(scope).await?;
                let left = tx.left(scope).await?;
                let row = Stopped { row, left };
                Ok(Ok(Written { row, replayed }))
            })
        });
        done.await?
    }

    /// What is stopped now, with what each stop leaves.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn stops(&self) -> Result<Vec<Model>> {
        Entity::find()
            .filter(Column::Stopped.eq(true))
            .all(self.reader())
            .await
            .map_err(to_error)
    }
}

impl Tx {
    async fn lock_stop(&self, scope: Scope) -> Result<Model, Fault> {
        let (kind, subject) = scope.key();
        let row = Entity::find_by_id((kind, subject))
            .lock_exclusive()
            .one(self)
            .await?;
        row.ok_or_else(|| {
            match scope {
                Scope::Everything => Error::internal("nothing can be stopped", "stop"),
                Scope::Account(id) => missing::account(id),
                Scope::Shop(id) => missing::shop(id),
            }
            .into()
        })
    }

    async fn turn_stop(
        &self,
        call: &Call,
        before: &Model,
        stopped: bool,
        reason: String,
    ) -> Result<(), Fault> {
        if !stopped && before.stopped_by == Some(call.app) {
            let text = "whoever stopped it cannot let it go on, with whatever key; another operator has to";
            let error = Error::new(Reason::SecondApproverRequired, text.to_owned());
            let error = error.fact("scope", before.scope.name());
            return Err(error.fact("subject", before.subject).into());
        }
        Entity::update_many()
            .col_expr(Column::Stopped, Expr::value(stopped))
            .col_expr(Column::StoppedBy, Expr::value(stopped.then_some(call.app)))
            .col_expr(Column::Reason, Expr::value(reason))
            .col_expr(Column::Actor, Expr::value(call.actor.clone()))
            .col_expr(Column::UpdateTime, Expr::value(self.now()))
            .filter(Column::Scope.eq(before.scope))
            .filter(Column::Subject.eq(before.subject))
            .exec(self)
            .await?;
        Ok(())
    }

    /// The row of something that can be stopped from now on.
    pub(super) async fn insert_stop(&self, scope: Scope) -> Result<(), Fault> {
        let (kind, subject) = scope.key();
        let row = ActiveModel {
            scope: Set(kind),
            subject: Set(subject),
            stopped: Set(false),
            reason: Set(String::new()),
            stopped_by: Set(None),
            actor: Set(String::new()),
            update_time: Set(self.now()),
        };
        Entity::insert(row).exec_without_returning(self).await?;
        Ok(())
    }

    /// Whether a claim for an account may send at all. Until it ends, neither can be stopped.
    pub(super) async fn may_claim(&self, account: AccountId) -> Result<bool, Fault> {
        let which = Condition::any()
            .add(Column::Scope.eq(Kind::Everything))
            .add(
                Column::Scope
                    .eq(Kind::Account)
                    .and(Column::Subject.eq(account.0)),
            );
        let rows = Entity::find()
            .filter(which)
            .lock(LockType::Share)
            .all(self)
            .await?;
        Ok(rows.iter().all(|row| !row.stopped))
    }

    /// Those of some rows whose shops are not stopped. Until the claim ends, none of them can be.
    pub(super) async fn of_open_shops(
        &self,
        rows: Vec<issuance::Model>,
    ) -> Result<Vec<issuance::Model>, Fault> {
        let shops: BTreeSet<i64> = rows.iter().map(|row| row.shop_id.0).collect();
        if shops.is_empty() {
            return Ok(rows);
        }
        let stopped: BTreeSet<i64> = Entity::find()
            .filter(Column::Scope.eq(Kind::Shop))
            .filter(Column::Subject.is_in(shops))
            .lock(LockType::Share)
            .all(self)
            .await?
            .into_iter()
            .filter(|row| row.stopped)
            .map(|row| row.subject)
            .collect();
        let open = rows.into_iter();
        Ok(open
            .filter(|row| !stopped.contains(&row.shop_id.0))
            .collect())
    }

    /// Why a shop may not send through an account, if so.
    pub(super) async fn stop_refusals(
        &self,
        shop: ShopId,
        account: AccountId,
    ) -> Result<Vec<Error>, Fault> {
        let stopped = self.stopped(shop, account).await?;
        let breaker = breaker_of(self, plan::Scope::Account, account.0).await?;
        let tripped = breaker.and_then(|row| row.trip_reason);
        let tripped = tripped.map(|why| plan::refusal(plan::Scope::Account, account.0, &why));
        Ok(stopped.into_iter().chain(tripped).collect())
    }

    async fn stopped(&self, shop: ShopId, account: AccountId) -> Result<Vec<Error>, Fault> {
        let of = |kind, subject: i64| Column::Scope.eq(kind).and(Column::Subject.eq(subject));
        let which = Condition::any()
            .add(of(Kind::Everything, 0))
            .add(of(Kind::Account, account.0))
            .add(of(Kind::Shop, shop.0));
        let rows = Entity::find()
            .filter(which)
            .filter(Column::Stopped.eq(true))
            .all(self)
            .await?;
        let refusal = |row: Model| stop::refusal(row.scope, row.subject, &row.reason);
        Ok(rows.into_iter().map(refusal).collect())
    }

    /// Why vouchers of a shop are neither given nor spent, if so. The rows are held as they
    /// are until the unit ends, as a claim holds them: a stop waits for the units under way,
    /// and holds for all that come after its answer.
    pub(super) async fn stopped_for_vouchers(&self, shop: ShopId) -> Result<Vec<Error>, Fault> {
        self.stopped_for(shop, None).await
    }

    /// The same, also of the account that they go through.
    pub(super) async fn stopped_for(
        &self,
        shop: ShopId,
        account: Option<AccountId>,
    ) -> Result<Vec<Error>, Fault> {
        let of = |kind, subject: i64| Column::Scope.eq(kind).and(Column::Subject.eq(subject));
        let mut which = Condition::any()
            .add(of(Kind::Everything, 0))
            .add(of(Kind::Shop, shop.0));
        if let Some(account) = account {
            which = which.add(of(Kind::Account, account.0));
        }
        let rows = Entity::find()
            .filter(which)
            .order_by_asc(Column::Scope)
            .order_by_asc(Column::Subject)
            .lock(LockType::Share)
            .all(self)
            .await?;
        let stopped = rows.into_iter().filter(|row| row.stopped);
        let refusal = |row: Model| stop::refusal(row.scope, row.subject, &row.reason);
        Ok(stopped.map(refusal).collect())
    }

    /// What is on its way, in doubt, and queued within a scope.
    async fn left(&self, scope: Scope) -> Result<Left, Fault> {
        use issuance::Column as I;
        let within = match scope {
            Scope::Everything => Condition::all(),
            Scope::Account(id) => Condition::all().add(I::AccountId.eq(id)),
            Scope::Shop(id) => Condition::all().add(I::ShopId.eq(id)),
        };
        let open = [State::Queued, State::Sending, State::Unknown];
        let rows: Vec<(State, Job, i64, i64)> = issuance::Entity::find()
            .select_only()
            .column(I::State)
            .column(I::Job)
            .column_as(Expr::col(I::Id).count(), "packets")
            .column_as(Expr::cust("CAST(SUM(amount_fen) AS BIGINT)"), "fen")
            .filter(within)
            .filter(I::DueTime.is_not_null())
            .filter(I::State.is_in(open))
            .group_by(I::State)
            .group_by(I::Job)
            .into_tuple()
            .all(self)
            .await?;
        let mut left = Left::default();
        for (state, job, count, fen) in rows {
            let tally = match (state, job) {
                (State::Sending, Job::Query | Job::Sync) => &mut left.in_flight,
                (State::Unknown, Job::Query | Job::Sync) => &mut left.unknown,
                _ => &mut left.queued,
            };
            tally.count += count;
            tally.sum = Fen(tally.sum.0.saturating_add(fen));
        }
        Ok(left)
    }
}

/// The shops that are stopped, for a claim to pass by.
pub(super) fn stopped_shops() -> sea_orm::sea_query::SelectStatement {
    Query::select()
        .column(Column::Subject)
        .from(Entity)
        .and_where(Column::Scope.eq(Kind::Shop))
        .and_where(Column::Stopped.eq(true))
        .to_owned()
}
