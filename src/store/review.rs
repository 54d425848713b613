//! Packets that people decide: which ones, what is known of them, and closing one.

use std::collections::BTreeMap;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::Store;
use super::batch::BatchMoves;
use super::entity::issuance::{Column, Entity, Model};
use super::entity::{approval, attempt, campaign, journal, provider_account, provider_exchange};
use super::journal::{Change, issuance_entry};
use super::request::{Call, Claimed, Written};
use super::tx::{Fault, Tx, to_error};
use super::usage::{Counted, Uses};
use crate::domain::approval::{Need, Rule};
use crate::domain::id::{AttemptId, IssuanceId, ShopId};
use crate::domain::ledger::{BudgetDelta, Posting};
use crate::domain::protocol::Protocol;
use crate::domain::review::{self, Verdict};
use crate::domain::schedule::Job;
use crate::domain::{Error, Fen, Reason, Result, State, Timestamp};

/// Exchanges of a case that are shown.
const EVIDENCE_MAX: u64 = 20;

/// What is known of a case.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Its attempts, first to last.
    pub attempts: Vec<attempt::Model>,
    /// The last exchanges, first to last, with the numbers that they were about.
    pub exchanges: Vec<(provider_exchange::Model, String)>,
}

/// How the journal calls what people have closed.
const CLOSED: &str = "REVIEW_CLOSED";

/// A case that was closed.
#[derive(Clone, Debug)]
pub struct Closed {
    /// The packet.
    pub row: Model,
    /// What it took.
    pub approval: approval::Model,
}

impl Store {
    /// Packets that a person has to look at, oldest first.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn reviews(
        &self,
        shop: ShopId,
        after: Option<(Timestamp, IssuanceId)>,
        size: u64,
    ) -> Result<Vec<Model>> {
        let mut query = Entity::find()
            .filter(Column::ShopId.eq(shop))
            .filter(waits());
        if let Some((time, id)) = after {
            let later = Condition::any()
                .add(Column::UpdateTime.gt(time))
                .add(Column::UpdateTime.eq(time).and(Column::Id.gt(id)));
            query = query.filter(later);
        }
        query
            .order_by_asc(Column::UpdateTime)
            .order_by_asc(Column::Id)
            .limit(size)
            .all(self.reader())
            .await
            .map_err(to_error)
    }

    /// How many packets wait for a person, in all shops, and since when the oldest does.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn reviews_waiting(&self) -> Result<(i64, Option<Timestamp>)> {
        let row: Option<(i64, Option<Timestamp>)> = Entity::find()
            .select_only()
            .column_as(Expr::col(Column::Id).count(), "waiting")
            .column_as(Expr::col(Column::UpdateTime).min(), "oldest")
            .filter(waits())
            .into_tuple()
            .one(self.reader())
            .await
            .map_err(to_error)?;
        Ok(row.unwrap_or_default())
    }

    /// What is known of a packet.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn evidence(&self, id: IssuanceId) -> Result<Evidence> {
        let attempts = attempt::Entity::find()
            .filter(attempt::Column::IssuanceId.eq(id))
            .order_by_asc(attempt::Column::AttemptNo)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let numbers: BTreeMap<AttemptId, String> = attempts
            .iter()
            .map(|attempt| (attempt.id, attempt.mch_billno.to_string()))
            .collect();
        let mut exchanges = provider_exchange::Entity::find()
            .filter(provider_exchange::Column::AttemptId.is_in(numbers.keys().copied()))
            .order_by_desc(provider_exchange::Column::Id)
            .limit(EVIDENCE_MAX)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        exchanges.reverse();
        let named = exchanges.into_iter().map(|exchange| {
            let number = numbers.get(&exchange.attempt_id).cloned();
            (exchange, number.unwrap_or_default())
        });
        Ok(Evidence {
            exchanges: named.collect(),
            attempts,
        })
    }

    /// Closes a case, once a second person has agreed.
    ///
    /// # Errors
    /// ISSUANCE_NOT_FOUND, NOT_IN_REVIEW, APPROVAL_REQUIRED, APPROVAL_REJECTED,
    /// BUDGET_EXHAUSTED, STOCK_EXHAUSTED.
    pub async fn close_review(
        &self,
        call: Call,
        shop: ShopId,
        id: IssuanceId,
        verdict: Verdict,
        reason: String,
    ) -> Result<Written<Closed>> {
        let end = call.end();
        let done = self.write_or_try(end, move |tx| {
            let (call, reason) = (call.clone(), reason.clone());
            Box::pin(async move {
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                if !replayed {
                    let closed = tx.close_review(&call, shop, id, verdict, &reason).await;
                    if let Err(error) = tx.or_wait(&call, closed).await? {
                        return Ok(Err(error));
                    }
                }
                let row = tx.issuance(shop, id).await?;
                let approval = tx.used_approval(&call).await?;
                let row = Closed { row, approval };
                Ok(Ok(Written { row, replayed }))
            })
        });
        done.await?
    }
}

/// What waits for a person; the table has an index of just these, which SQLite uses only
/// for these very words.
fn waits() -> Condition {
    Condition::any()
        .add(Column::State.eq(State::Review))
        .add(Expr::col(Column::Frozen))
}

impl Tx {
    async fn close_review(
        &self,
        call: &Call,
        shop: ShopId,
        id: IssuanceId,
        verdict: Verdict,
        reason: &str,
    ) -> Result<(), Fault> {
        let row = Entity::find_by_id(id)
            .filter(Column::ShopId.eq(shop))
            .lock_exclusive()
            .one(self)
            .await?;
        let row = row.ok_or_else(|| crate::domain::missing::issuance(id))?;
        if let Err(error) = review::is_open(row.state, row.frozen) {
            let error = error.fact("issuance_id", id);
            return Err(self.with_its_end(error, id).await?.into());
        }
        let summary = format!(
            "close packet {id} ({} yuan, {}) as {}: {reason}",
            row.amount_fen,
            row.state.name(),
            verdict.name()
        );
        let need = Need {
            campaign: Some(row.campaign_id),
            issuance: Some(id),
            count: 1,
            amount: row.amount_fen,
            ..Need::new(Rule::CloseReview, Some(shop), summary)
        };
        let campaign = self.lock_campaign(shop, row.campaign_id).await?;
        let to = verdict.state();
        affords(&campaign, &row, to)?;
        keeps_parts(&row, to)?;
        self.demand(call, Some(need)).await?;
        self.withdraw_closings(vec![id]).await?;
        // A trial has used nothing up.
        let approval = self.used_approval(call).await?;
        let why = format!(
            "{}: {reason} ({}: {})",
            verdict.name(),
            approval.decider,
            approval.reason
        );
        self.end_by_hand(call, &row, &campaign, verdict, why).await
    }

    /// A refusal that tells how and when the case ended, if there was one.
    async fn with_its_end(&self, error: Error, id: IssuanceId) -> Result<Error, Fault> {
        let review = State::Review.name();
        let by_itself = Condition::all()
            .add(journal::Column::FromState.eq(review))
            .add(journal::Column::ToState.ne(review));
        let ended = Condition::any()
            .add(by_itself)
            .add(journal::Column::Kind.eq(CLOSED));
        let entry = journal::Entity::find()
            .filter(journal::Column::Aggregate.eq(journal::Aggregate::Issuance))
            .filter(journal::Column::AggregateId.eq(id.0))
            .filter(ended)
            .order_by_desc(journal::Column::Seq)
            .one(self)
            .await?;
        Ok(match entry {
            Some(entry) => review::ended(error, &entry.to_state, &entry.actor, entry.create_time),
            None => error,
        })
    }

    /// Moves a packet to the end that people have found out.
    async fn end_by_hand(
        &self,
        call: &Call,
        row: &Model,
        campaign: &campaign::Model,
        verdict: Verdict,
        why: String,
    ) -> Result<(), Fault> {
        let (to, now) = (verdict.state(), self.now());
        // What was only sent is looked after again, where the provider has more to say of it.
        let account = provider_account::Entity::find_by_id(row.account_id)
            .one(self)
            .await?;
        let protocol = account.and_then(|row| Protocol::parse(&row.protocol));
        let open = !protocol.map_or(to.is_final(), |protocol| protocol.ends(to));
        let counted_day = match (to.counts_against_stock(), row.counted_day) {
            (false, _) => None,
            (true, day) => Some(day.unwrap_or(now.beijing_day())),
        };
        let (received, refunded) = match verdict {
            Verdict::NotPaid | Verdict::Sent => (Fen::ZERO, Fen::ZERO),
            Verdict::Paid => (row.amount_fen, Fen::ZERO),
            Verdict::Refunded if row.state == State::Refunded => {
                (row.received_fen, row.refunded_fen)
            }
            Verdict::Refunded => (Fen::ZERO, row.amount_fen),
        };
        let mut update = Entity::update_many()
            .col_expr(Column::State, Expr::value(to))
            .col_expr(Column::Job, Expr::value(open.then_some(Job::Sync)))
            .col_expr(Column::DueTime, Expr::value(open.then_some(now)))
            .col_expr(Column::Frozen, Expr::value(false))
            .col_expr(Column::CountedDay, Expr::value(counted_day))
            .col_expr(Column::ReceivedFen, Expr::value(received))
            .col_expr(Column::RefundedFen, Expr::value(refunded))
            .col_expr(Column::Version, Expr::value(row.version + 1))
            .col_expr(Column::Fence, Expr::value(row.fence + 1))
            .col_expr(Column::UpdateTime, Expr::value(now));
        if to == State::Sent && row.send_time.is_none() {
            update = update.col_expr(Column::SendTime, Expr::value(Some(now)));
        }
        if to == State::Received && row.receive_time.is_none() {
            update = update.col_expr(Column::ReceiveTime, Expr::value(Some(now)));
        }
        if to == State::Refunded && row.refund_time.is_none() {
            update = update.col_expr(Column::RefundTime, Expr::value(Some(now)));
        }
        let moved = update
            .filter(Column::Id.eq(row.id))
            .filter(Column::Version.eq(row.version))
            .exec(self)
            .await?;
        if moved.rows_affected != 1 {
            return Err(Fault::Again);
        }
        attempt::Entity::update_many()
            .col_expr(attempt::Column::State, Expr::value(to))
            .col_expr(attempt::Column::UpdateTime, Expr::value(now))
            .filter(attempt::Column::IssuanceId.eq(row.id))
            .filter(attempt::Column::AttemptNo.eq(row.attempt_count))
            .exec(self)
            .await?;
        if to == State::Sent {
            // That it was sent is known from now on: a failure that the provider tells
            // later contradicts it, and brings the packet back to people rather than
            // giving its money out again.
            attempt::Entity::update_many()
                .col_expr(attempt::Column::AcceptTime, Expr::value(Some(now)))
                .filter(attempt::Column::IssuanceId.eq(row.id))
                .filter(attempt::Column::AttemptNo.eq(row.attempt_count))
                .filter(attempt::Column::AcceptTime.is_null())
                .exec(self)
                .await?;
        }
        let posting = Posting::of_transition(row.state, to, row.amount_fen);
        let change = Change {
            before: row,
            from: Some(row.state),
            to,
            kind: CLOSED,
            reason: Some(why),
            posting,
            seq: row.version + 1,
        };
        self.append(vec![issuance_entry(change, &call.actor, now)])
            .await?;
        let mut moves = BatchMoves::default();
        moves.add(row, to, row.attempt_count);
        self.count_moves(moves).await?;
        let unissued = self.recount(row, campaign, to, counted_day).await?;
        let mut delta = BudgetDelta::default();
        if posting.is_some_and(|posting| !delta.add(posting)) {
            return Err(Error::internal("a sum does not fit", "review").into());
        }
        self.book(row.campaign_id, delta, unissued).await
    }

    /// Caps, stock and the share of a pot follow: by how much fewer packets count.
    async fn recount(
        &self,
        row: &Model,
        campaign: &campaign::Model,
        to: State,
        day: Option<i64>,
    ) -> Result<i64, Fault> {
        match (row.state.counts_against_stock(), to.counts_against_stock()) {
            (true, false) => {
                let shares = row.share_position.iter().map(|_| row.id).collect();
                self.give_shares_back(shares).await?;
                let uses = self.uses_of(std::iter::once(row)).await?;
                self.give_uses_back(uses).await?;
                Ok(1)
            }
            (false, true) => {
                if let Some(position) = row.share_position
                    && !self.take_share(row.campaign_id, position, row.id).await?
                {
                    let text = "the packet's share of the pot was given to somebody else meanwhile";
                    let error = Error::new(Reason::StockExhausted, text.to_owned());
                    let error = error.fact("available_count", 0).fact("required_count", 1);
                    return Err(error.into());
                }
                let counted = Model {
                    counted_day: day,
                    ..row.clone()
                };
                let mut uses = Uses::default();
                if let Some(counted) = Counted::of(&counted, campaign.counts_recipients) {
                    uses.add(counted)?;
                }
                // What was paid was paid, whatever the caps say by now.
                if !self.count_uses(&uses, &BTreeMap::new()).await? {
                    return Err(Fault::Again);
                }
                Ok(-1)
            }
            (true, true) | (false, false) => Ok(0),
        }
    }
}

/// The money of a group packet that came back in part lies in two places; only the
/// provider's receipts say how much in which.
fn keeps_parts(row: &Model, to: State) -> Result<()> {
    let in_part = row.state == State::Refunded && row.refunded_fen < row.amount_fen;
    if in_part && to != State::Refunded {
        let text = "a part of this group packet was taken and the rest came back; only REFUNDED keeps that";
        let error = Error::field("verdict", Reason::FieldNotAllowed, text.to_owned());
        return Err(error);
    }
    Ok(())
}

/// A packet that had given back its money, and turns out to be paid, takes it anew.
fn affords(campaign: &campaign::Model, row: &Model, to: State) -> Result<()> {
    let back = Posting::of_transition(row.state, to, row.amount_fen)
        .filter(|posting| posting.from() == crate::domain::state::Position::Available);
    let more = i64::from(!row.state.counts_against_stock() && to.counts_against_stock());
    let sum = back.map_or(Fen::ZERO, Posting::amount);
    let refusals = campaign.standing().affords(sum, more);
    Error::all(refusals).map_or(Ok(()), Err)
}
