//! Leases: the rows of a claim become its own until the lease ends.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter};

use super::super::batch::BatchMoves;
use super::super::entity::{attempt, issuance};
use super::super::journal::{Change, issuance_entry};
use super::super::tx::{Fault, Tx};
use super::DISPATCHER;
use crate::domain::id::IssuanceId;
use crate::domain::ledger::Posting;
use crate::domain::schedule::Job;
use crate::domain::{State, Timestamp};

impl Tx {
    /// Writes down that these packets are about to be asked about. One that was
    /// being sent has lost its sender, and with him the answer, unless the provider said that
    /// it has the order.
    pub(super) async fn begin_query(
        &self,
        rows: Vec<issuance::Model>,
        until: Timestamp,
    ) -> Result<(Vec<issuance::Model>, Vec<attempt::Model>), Fault> {
        if rows.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut attempts = self.live_attempts(&rows).await?;
        let taken: HashSet<IssuanceId> = attempts
            .iter()
            .filter(|attempt| attempt.take_time.is_some())
            .map(|attempt| attempt.issuance_id)
            .collect();
        let (lost, rest): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|row| row.state == State::Sending && !taken.contains(&row.id));
        let lost_ids: Vec<_> = lost.iter().map(|r| r.id).collect();
        if !lost.is_empty() {
            attempt::Entity::update_many()
                .col_expr(attempt::Column::State, Expr::value(State::Unknown))
                .col_expr(attempt::Column::Doubtful, Expr::value(true))
                .col_expr(
                    attempt::Column::LastError,
                    Expr::value(Some("LEASE_LOST".to_owned())),
                )
                .filter(
                    attempt::Column::Id.is_in(
                        attempts
                            .iter()
                            .filter(|a| lost_ids.contains(&a.issuance_id))
                            .map(|a| a.id),
                    ),
                )
                .exec(self)
                .await?;
        }
        attempt::Entity::update_many()
            .col_expr(
                attempt::Column::QueryCount,
                Expr::col(attempt::Column::QueryCount).add(1),
            )
            .col_expr(
                attempt::Column::QueriesSinceSend,
                Expr::col(attempt::Column::QueriesSinceSend).add(1),
            )
            .col_expr(attempt::Column::UpdateTime, Expr::value(self.now()))
            .filter(attempt::Column::Id.is_in(attempts.iter().map(|a| a.id)))
            .exec(self)
            .await?;
        for attempt in &mut attempts {
            attempt.query_count += 1;
            attempt.queries_since_send += 1;
            if lost_ids.contains(&attempt.issuance_id) {
                attempt.state = State::Unknown;
                attempt.doubtful = true;
            }
        }
        let mut out = self.lease_rows(lost, State::Unknown, 0, until).await?;
        let mut by_state: HashMap<State, Vec<issuance::Model>> = HashMap::new();
        for row in rest {
            by_state.entry(row.state).or_default().push(row);
        }
        for (state, rows) in by_state {
            out.extend(self.lease_rows(rows, state, 0, until).await?);
        }
        Ok((out, attempts))
    }

    pub(super) async fn live_attempts(
        &self,
        rows: &[issuance::Model],
    ) -> Result<Vec<attempt::Model>, Fault> {
        let keys = rows.iter().map(|r| r.id.0);
        Ok(attempt::Entity::find()
            .filter(attempt::Column::LiveKey.is_in(keys))
            .all(self)
            .await?)
    }

    /// Moves the due time of claimed rows to the end of the lease, raises their
    /// fence, and journals a change of state.
    pub(super) async fn lease_rows(
        &self,
        mut rows: Vec<issuance::Model>,
        state: State,
        new_attempts: i32,
        until: Timestamp,
    ) -> Result<Vec<issuance::Model>, Fault> {
        if rows.is_empty() {
            return Ok(rows);
        }
        // What is sent is asked about next; what is asked about keeps its job.
        let sends = state == State::Sending;
        let mut update = issuance::Entity::update_many()
            .col_expr(issuance::Column::DueTime, Expr::value(Some(until)))
            .col_expr(
                issuance::Column::Fence,
                Expr::col(issuance::Column::Fence).add(1_i64),
            )
            .col_expr(
                issuance::Column::AttemptCount,
                Expr::col(issuance::Column::AttemptCount).add(new_attempts),
            );
        if sends {
            update = update.col_expr(issuance::Column::Job, Expr::value(Some(Job::Query)));
        }
        update
            .filter(issuance::Column::Id.is_in(rows.iter().map(|r| r.id)))
            .exec(self)
            .await?;
        let changed: Vec<_> = rows.iter().filter(|r| r.state != state).cloned().collect();
        if !changed.is_empty() {
            let mut update = issuance::Entity::update_many();
            if state == State::Unknown {
                let lost = Some("LEASE_LOST".to_owned());
                update = update.col_expr(issuance::Column::LastError, Expr::value(lost));
            }
            update
                .col_expr(issuance::Column::State, Expr::value(state))
                .col_expr(
                    issuance::Column::Version,
                    Expr::col(issuance::Column::Version).add(1_i64),
                )
                .col_expr(issuance::Column::UpdateTime, Expr::value(self.now()))
                .filter(issuance::Column::Id.is_in(changed.iter().map(|r| r.id)))
                .exec(self)
                .await?;
            let entries = changed.iter().map(|row| {
                let change = Change {
                    before: row,
                    from: Some(row.state),
                    to: state,
                    kind: state.name(),
                    reason: (state == State::Unknown).then(|| "LEASE_LOST".to_owned()),
                    posting: Posting::of_transition(row.state, state, row.amount_fen),
                    seq: row.version + 1,
                };
                issuance_entry(change, DISPATCHER, self.now())
            });
            self.append(entries.collect()).await?;
            let mut moves = BatchMoves::default();
            for row in &changed {
                moves.add(row, state, row.attempt_count + new_attempts);
            }
            self.count_moves(moves).await?;
        }
        for row in &mut rows {
            row.version += i64::from(row.state != state);
            row.state = state;
            row.fence += 1;
            row.attempt_count += new_attempts;
            row.due_time = Some(until);
            if sends {
                row.job = Some(Job::Query);
            }
        }
        Ok(rows)
    }
}
