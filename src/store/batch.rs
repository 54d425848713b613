//! The counts of batches, which move with their packets: each change of a packet's
//! state moves it from one count to another in the same transaction, so a batch of
//! a hundred thousand is read as fast as one of ten. The table checks that they add up.

use std::collections::BTreeMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter};

use super::entity::issuance;
use super::entity::issuance_batch::{Column, Entity, Model};
use super::tx::{Fault, Tx};
use crate::domain::State;
use crate::domain::id::BatchId;

/// Where a packet counts: one that failed without an attempt was refused when it
/// was asked for.
fn count_of(state: State, attempt_count: i32) -> Column {
    match state {
        State::Failed if attempt_count == 0 => Column::RefusedCount,
        State::Queued => Column::QueuedCount,
        State::Sending => Column::SendingCount,
        State::Unknown => Column::UnknownCount,
        State::Review => Column::ReviewCount,
        State::Sent => Column::SentCount,
        State::Received => Column::ReceivedCount,
        State::Refunding => Column::RefundingCount,
        State::Refunded => Column::RefundedCount,
        State::Failed => Column::FailedCount,
        State::Cancelled => Column::CancelledCount,
    }
}

impl Model {
    /// How many packets are in a state; those that were refused alone are not among them.
    #[must_use]
    pub fn count(&self, state: State) -> i64 {
        match state {
            State::Queued => self.queued_count,
            State::Sending => self.sending_count,
            State::Unknown => self.unknown_count,
            State::Review => self.review_count,
            State::Sent => self.sent_count,
            State::Received => self.received_count,
            State::Refunding => self.refunding_count,
            State::Refunded => self.refunded_count,
            State::Failed => self.failed_count,
            State::Cancelled => self.cancelled_count,
        }
    }

    /// Whether no packet waits for the provider's word any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        State::ALL
            .into_iter()
            .all(|state| self.count(state) == 0 || !state.is_open())
    }
}

/// Packets that go from one count of their batch to another.
#[derive(Debug, Default)]
pub(super) struct BatchMoves(BTreeMap<BatchId, Vec<(Column, i64)>>);

impl BatchMoves {
    /// A packet, as it is before, becomes `to`, with so many attempts from then on.
    pub(super) fn add(&mut self, before: &issuance::Model, to: State, attempt_count: i32) {
        let Some(batch) = before.batch_id else { return };
        let from = count_of(before.state, before.attempt_count);
        let to = count_of(to, attempt_count);
        let moves = self.0.entry(batch).or_default();
        for (column, by) in [(from, -1), (to, 1)] {
            match moves
                .iter_mut()
                .find(|(known, _)| std::mem::discriminant(known) == std::mem::discriminant(&column))
            {
                Some((_, sum)) => *sum += by,
                None => moves.push((column, by)),
            }
        }
    }
}

impl Tx {
    /// Moves counts: after the packets and before the money, batches in the order of
    /// their ids, so that two transactions never wait for each other.
    pub(super) async fn count_moves(&self, moves: BatchMoves) -> Result<(), Fault> {
        for (batch, moves) in moves.0 {
            let moves: Vec<_> = moves.into_iter().filter(|(_, by)| *by != 0).collect();
            if moves.is_empty() {
                continue;
            }
            let mut update = Entity::update_many().filter(Column::Id.eq(batch));
            for (column, by) in moves {
                update = update.col_expr(column, Expr::col(column).add(by));
            }
            update.exec(self).await?;
        }
        Ok(())
    }
}
