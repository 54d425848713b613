//! Taking due calls off the work list, and noting that one is about to leave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sea_orm::sea_query::{Expr, LockBehavior, LockType};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::super::super::Store;
use super::super::super::entity::provider_account;
use super::super::super::entity::remote_call::{Column, Entity, Model};
use super::super::super::stop::stopped_shops;
use super::super::super::tx::{Fault, Tx, is_duplicate, to_error};
use super::super::step_up::Brought;
use super::ask::codes;
use super::{RemoteWork, asked, from_json, to_json};
use crate::domain::id::{AccountId, OrderId};
use crate::domain::remote_voucher::Baseline;
use crate::domain::voucher::{CallKind, CallState};
use crate::domain::{Error, Reason, Result, Timestamp};

/// Another gift of the same person and product is under way, or in doubt.
const PAIR_BUSY: &str = "PAIR_BUSY";
/// Whoever had sent it is gone, and with him the answer.
const LEASE_LOST: &str = "LEASE_LOST";
/// Another one waits for people.
const PAIR_IN_REVIEW: &str = "PAIR_IN_REVIEW";
/// Between two looks whether they have decided.
const REVIEW_PAUSE: Duration = Duration::from_secs(60);

impl Store {
    /// Claims due calls of an account: each for so long, and those that wait for another
    /// gift of their pair until `pause` has passed. Of an account that is not enabled only
    /// those that may have left.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn claim_remote(
        &self,
        account: &provider_account::Model,
        limit: u64,
        lease: Duration,
        pause: Duration,
    ) -> Result<Vec<RemoteWork>> {
        let (account, enabled) = (account.id, account.enabled);
        let any = due(account, self.now().await?, !enabled)
            .select_only()
            .column(Column::OrderId)
            .into_tuple::<OrderId>()
            .one(self.reader())
            .await
            .map_err(to_error)?;
        if any.is_none() {
            return Ok(Vec::new());
        }
        let claimed = self.write(move |tx| {
            Box::pin(async move {
                let stopped = !enabled || !tx.may_claim(account).await?;
                tx.claim_remote(account, stopped, limit, lease, pause).await
            })
        });
        // One that cannot be read must not keep its neighbours from being done.
        let work = claimed.await?.into_iter().filter_map(|row| {
            let (order_id, line) = (row.order_id.0, row.line);
            let work = work(self, row);
            work.inspect_err(|error| {
                tracing::error!(%error, order_id, line, "a call to a platform cannot be read");
            })
            .ok()
        });
        Ok(work.collect())
    }

    /// Notes that the request of a claim is about to leave, with what was there before.
    ///
    /// # Errors
    /// CONCURRENT_UPDATE: the claim is over, or it has left already; STOPPED. Nothing may be
    /// sent then.
    pub async fn keep_remote(
        &self,
        claimed: &Model,
        before: Option<&Baseline>,
        within: Duration,
    ) -> Result<()> {
        let baseline = before.map(to_json).transpose()?;
        let (order, line, fence) = (claimed.order_id, claimed.line, claimed.fence);
        let (shop, account) = (claimed.shop_id, claimed.account_id);
        self.write(move |tx| {
            let baseline = baseline.clone();
            Box::pin(async move {
                // Held until this is committed: after the answer to a stop nothing leaves.
                if let Some(error) = Error::all(tx.stopped_for(shop, Some(account)).await?) {
                    return Err(error.into());
                }
                let now = tx.now();
                let kept = Entity::update_many()
                    .col_expr(Column::Baseline, Expr::value(baseline))
                    .col_expr(Column::SentTime, Expr::value(Some(now)))
                    .col_expr(Column::EndedTime, Expr::value(Some(now.plus(within))))
                    .col_expr(Column::DueTime, Expr::value(Some(now.plus(within))))
                    .col_expr(Column::UpdateTime, Expr::value(now))
                    .filter(Column::OrderId.eq(order))
                    .filter(Column::Line.eq(line))
                    .filter(Column::Fence.eq(fence))
                    .filter(Column::State.eq(CallState::Sending))
                    .filter(Column::SentTime.is_null())
                    .exec(tx)
                    .await?;
                if kept.rows_affected == 1 {
                    return Ok(());
                }
                let text = "the claim of this call is over".to_owned();
                Err(Error::new(Reason::ConcurrentUpdate, text).into())
            })
        })
        .await
    }
}

fn work(store: &Store, row: Model) -> Result<RemoteWork> {
    let before = row.baseline.as_deref().map(from_json).transpose()?;
    Ok(RemoteWork {
        asked: asked(store.keys(), &row)?,
        codes: Brought(codes(store, &row)?),
        before: before.unwrap_or_default(),
        row,
    })
}

/// What is due: what may have left always, what has not only where nothing is stopped.
fn due(account: AccountId, now: Timestamp, stopped: bool) -> Select<Entity> {
    let mut which = Condition::any().add(Column::SentTime.is_not_null());
    if !stopped {
        which = which.add(Column::ShopId.not_in_subquery(stopped_shops()));
    }
    Entity::find()
        .filter(Column::AccountId.eq(account))
        .filter(Column::DueTime.lte(now))
        .filter(which)
}

impl Tx {
    async fn claim_remote(
        &self,
        account: AccountId,
        stopped: bool,
        limit: u64,
        lease: Duration,
        pause: Duration,
    ) -> Result<Vec<Model>, Fault> {
        let rows = due(account, self.now(), stopped)
            .order_by_asc(Column::DueTime)
            .order_by_asc(Column::OrderId)
            .order_by_asc(Column::Line)
            .limit(limit)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .all(self)
            .await?;
        let mut busy = self.busy_pairs(&rows).await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for mut row in rows {
            let queued = row.state == CallState::Queued;
            let before = row
                .pair_index
                .clone()
                .filter(|_| queued)
                .and_then(|pair| busy.insert(pair, CallState::Sending));
            let waits = before.is_some();
            if let Some(before) = before {
                let people = before == CallState::Review;
                let (code, pause) = match people {
                    true => (PAIR_IN_REVIEW, REVIEW_PAUSE),
                    false => (PAIR_BUSY, pause),
                };
                row.due_time = Some(self.now().plus(pause));
                row.last_error = Some(code.to_owned());
            } else {
                // What it waited for is over; one that had left has lost its sender.
                row.last_error = match (row.sent_time, row.state) {
                    (None, _) => None,
                    (Some(_), CallState::Sending) => Some(LEASE_LOST.to_owned()),
                    (Some(_), _) => row.last_error,
                };
                row.state = match row.sent_time {
                    None => CallState::Sending,
                    Some(_) => CallState::Unknown,
                };
                row.fence += 1;
                row.due_time = Some(self.now().plus(lease));
            }
            let update = Entity::update_many()
                .col_expr(Column::State, Expr::value(row.state))
                .col_expr(Column::Fence, Expr::value(row.fence))
                .col_expr(Column::DueTime, Expr::value(row.due_time))
                .col_expr(Column::LastError, Expr::value(row.last_error.clone()))
                .col_expr(Column::UpdateTime, Expr::value(self.now()))
                .filter(Column::OrderId.eq(row.order_id))
                .filter(Column::Line.eq(row.line))
                .exec(self);
            match update.await {
                Ok(_) => {}
                // Another replica took a gift of this pair a moment ago.
                Err(error) if is_duplicate(&error) => return Err(Fault::Again),
                Err(error) => return Err(error.into()),
            }
            if !waits {
                claimed.push(row);
            }
        }
        Ok(claimed)
    }

    /// The pairs of these gifts of which one is under way, in doubt, or with people.
    async fn busy_pairs(&self, rows: &[Model]) -> Result<BTreeMap<Vec<u8>, CallState>, Fault> {
        let asked: BTreeSet<Vec<u8>> = rows
            .iter()
            .filter(|row| row.kind == CallKind::Give && row.state == CallState::Queued)
            .filter_map(|row| row.pair_index.clone())
            .collect();
        if asked.is_empty() {
            return Ok(BTreeMap::new());
        }
        let open = [CallState::Sending, CallState::Unknown, CallState::Review];
        let found: Vec<(Option<Vec<u8>>, CallState)> = Entity::find()
            .select_only()
            .column(Column::PairIndex)
            .column(Column::State)
            .filter(Column::PairIndex.is_in(asked))
            .filter(Column::State.is_in(open))
            .into_tuple()
            .all(self)
            .await?;
        let found = found.into_iter();
        Ok(found
            .filter_map(|(pair, state)| Some((pair?, state)))
            .collect())
    }

    /// The calls of an order, first to last.
    pub(super) async fn calls_of(&self, order: OrderId) -> Result<Vec<Model>, Fault> {
        Ok(Entity::find()
            .filter(Column::OrderId.eq(order))
            .order_by_asc(Column::Line)
            .all(self)
            .await?)
    }
}
