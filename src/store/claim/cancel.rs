//! Withdrawing packets that were never sent: when a campaign has ended or a batch
//! was cancelled, a queued packet is withdrawn instead of claimed, also by those who
//! cancel, a thousand at a time.

use std::collections::BTreeMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect};

use super::super::Store;
use super::super::batch::BatchMoves;
use super::super::entity::{campaign, issuance, issuance_batch};
use super::super::journal::{Change, issuance_entry};
use super::super::request::{Call, Claimed, Written};
use super::super::tx::{Fault, Tx};
use crate::domain::campaign::CampaignState;
use crate::domain::id::{BatchId, CampaignId, ShopId};
use crate::domain::ledger::{BudgetDelta, Posting};
use crate::domain::schedule::Job;
use crate::domain::{Error, Result, State, Timestamp, missing};

const CAMPAIGN_ENDED: &str = "CAMPAIGN_ENDED";
const BATCH_CANCELLED: &str = "BATCH_CANCELLED";
/// Packets of one transaction.
const WITHDRAW_MAX: u64 = 1_000;

/// Queued packets that are not to be sent any more.
#[derive(Default)]
pub(super) struct Withdrawn {
    of_campaigns: Vec<issuance::Model>,
    of_batches: Vec<issuance::Model>,
}

impl Withdrawn {
    pub(super) fn len(&self) -> usize {
        self.of_campaigns.len() + self.of_batches.len()
    }

    pub(super) fn by_reason(self) -> [(&'static str, Vec<issuance::Model>); 2] {
        [
            (CAMPAIGN_ENDED, self.of_campaigns),
            (BATCH_CANCELLED, self.of_batches),
        ]
    }
}

impl Store {
    /// Marks a batch as one whose queued packets are to be withdrawn.
    ///
    /// # Errors
    /// BATCH_NOT_FOUND.
    pub async fn cancel_batch(
        &self,
        call: Call,
        shop: ShopId,
        id: BatchId,
    ) -> Result<Written<issuance_batch::Model>> {
        use issuance_batch::Column;
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let call = call.clone();
            Box::pin(async move {
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                if !replayed {
                    issuance_batch::Entity::update_many()
                        .col_expr(Column::CancelTime, Expr::value(Some(tx.now())))
                        .filter(Column::Id.eq(id))
                        .filter(Column::ShopId.eq(shop))
                        .filter(Column::CancelTime.is_null())
                        .exec(tx)
                        .await?;
                }
                let row = issuance_batch::Entity::find_by_id(id)
                    .filter(Column::ShopId.eq(shop))
                    .one(tx)
                    .await?;
                let row = row.ok_or_else(|| missing::batch(id))?;
                Ok(Written { row, replayed })
            })
        })
        .await
    }

    /// Withdraws some of what is queued of a cancelled batch: how many; none are left
    /// when there are none.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn withdraw(&self, batch: BatchId, actor: String) -> Result<u64> {
        self.write(move |tx| {
            let actor = actor.clone();
            Box::pin(async move {
                let rows = issuance::Entity::find()
                    .filter(issuance::Column::BatchId.eq(batch))
                    .filter(issuance::Column::State.eq(State::Queued))
                    .order_by_asc(issuance::Column::Id)
                    .limit(WITHDRAW_MAX)
                    .lock_exclusive()
                    .all(tx)
                    .await?;
                let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
                tx.cancel(rows, BATCH_CANCELLED, &actor).await?;
                Ok(count)
            })
        })
        .await
    }
}

impl Tx {
    /// Queued packets of campaigns that have ended and of batches that were
    /// cancelled, and the rest.
    pub(super) async fn split_withdrawn(
        &self,
        due: Vec<issuance::Model>,
    ) -> Result<(Withdrawn, Vec<issuance::Model>), Fault> {
        let queued = || due.iter().filter(|i| i.state == State::Queued);
        if queued().next().is_none() {
            return Ok((Withdrawn::default(), due));
        }
        let ended: Vec<CampaignId> = campaign::Entity::find()
            .select_only()
            .column(campaign::Column::Id)
            .filter(campaign::Column::Id.is_in(distinct(queued().map(|i| i.campaign_id))))
            .filter(campaign::Column::State.eq(CampaignState::Ended))
            .into_tuple()
            .all(self)
            .await?;
        let cancelled: Vec<BatchId> = issuance_batch::Entity::find()
            .select_only()
            .column(issuance_batch::Column::Id)
            .filter(issuance_batch::Column::Id.is_in(distinct(queued().filter_map(|i| i.batch_id))))
            .filter(issuance_batch::Column::CancelTime.is_not_null())
            .into_tuple()
            .all(self)
            .await?;
        let (mut withdrawn, mut rest) = (Withdrawn::default(), Vec::with_capacity(due.len()));
        for row in due {
            let queued = row.state == State::Queued;
            if queued && ended.contains(&row.campaign_id) {
                withdrawn.of_campaigns.push(row);
            } else if queued && row.batch_id.is_some_and(|id| cancelled.contains(&id)) {
                withdrawn.of_batches.push(row);
            } else {
                rest.push(row);
            }
        }
        Ok((withdrawn, rest))
    }

    /// Withdraws packets that were never sent, and gives their money back.
    pub(super) async fn cancel(
        &self,
        rows: Vec<issuance::Model>,
        reason: &'static str,
        actor: &str,
    ) -> Result<(), Fault> {
        if rows.is_empty() {
            return Ok(());
        }
        let to = State::Cancelled;
        issuance::Entity::update_many()
            .col_expr(issuance::Column::State, Expr::value(to))
            .col_expr(issuance::Column::Job, Expr::value(None::<Job>))
            .col_expr(issuance::Column::DueTime, Expr::value(None::<Timestamp>))
            .col_expr(issuance::Column::CountedDay, Expr::value(None::<i64>))
            .col_expr(
                issuance::Column::Version,
                Expr::col(issuance::Column::Version).add(1_i64),
            )
            .col_expr(issuance::Column::UpdateTime, Expr::value(self.now()))
            .filter(issuance::Column::Id.is_in(rows.iter().map(|r| r.id)))
            .exec(self)
            .await?;
        let mut deltas: BTreeMap<CampaignId, (BudgetDelta, i64)> = BTreeMap::new();
        let mut moves = BatchMoves::default();
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let posting = Posting::of_transition(row.state, to, row.amount_fen);
            let (delta, unissued) = deltas.entry(row.campaign_id).or_default();
            if posting.is_some_and(|posting| !delta.add(posting)) {
                return Err(Error::internal("a sum does not fit", "cancel").into());
            }
            *unissued += 1;
            moves.add(row, to, row.attempt_count);
            let change = Change {
                before: row,
                from: Some(row.state),
                to,
                kind: to.name(),
                reason: Some(reason.to_owned()),
                posting,
                seq: row.version + 1,
            };
            entries.push(issuance_entry(change, actor, self.now()));
        }
        self.append(entries).await?;
        let shares = rows.iter().filter(|row| row.share_position.is_some());
        self.give_shares_back(shares.map(|row| row.id).collect())
            .await?;
        self.count_moves(moves).await?;
        let uses = self.uses_of(rows.iter()).await?;
        self.give_uses_back(uses).await?;
        for (campaign, (delta, unissued)) in deltas {
            self.book(campaign, delta, unissued).await?;
        }
        Ok(())
    }
}

fn distinct<T: Ord>(ids: impl Iterator<Item = T>) -> std::collections::BTreeSet<T> {
    ids.collect()
}
