//! The statements of a settlement.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

use super::super::Store;
use super::super::claim::DISPATCHER;
use super::super::entity::{attempt, issuance, journal, provider_exchange};
use super::super::journal::{Change, issuance_entry};
use super::super::tx::{Fault, Tx};
use super::{Answer, Settlement, outcome_word, says_cost};
use crate::domain::id::{AttemptId, ExchangeId};
use crate::domain::ledger::Posting;
use crate::domain::machine::Step;
use crate::domain::outcome::{QueryOutcome, Report, SendOutcome};
use crate::domain::{Fen, Result, State};

impl Tx {
    /// A closed number that was paid after all: nobody may send the packet again
    /// before a person has looked.
    pub(in crate::store) async fn freeze(
        &self,
        row: &mut issuance::Model,
    ) -> Result<journal::ActiveModel, Fault> {
        issuance::Entity::update_many()
            .col_expr(issuance::Column::Frozen, Expr::value(true))
            .col_expr(issuance::Column::Version, Expr::value(row.version + 1))
            .col_expr(issuance::Column::UpdateTime, Expr::value(self.now()))
            .filter(issuance::Column::Id.eq(row.id))
            .exec(self)
            .await?;
        let change = Change {
            before: row,
            from: Some(row.state),
            to: row.state,
            kind: "CONTRADICTION",
            reason: Some("PAID_AFTER_CLOSED".to_owned()),
            posting: None,
            seq: row.version + 1,
        };
        let entry = issuance_entry(change, DISPATCHER, self.now());
        row.version += 1;
        row.frozen = true;
        Ok(entry)
    }

    /// A late answer moves nothing, but that the number was paid is known from now
    /// on: a failure of it would be a contradiction.
    pub(super) async fn note_accepted(&self, row: &mut attempt::Model) -> Result<(), Fault> {
        row.accept_time = Some(self.now());
        attempt::Entity::update_many()
            .col_expr(attempt::Column::AcceptTime, Expr::value(row.accept_time))
            .filter(attempt::Column::Id.eq(row.id))
            .exec(self)
            .await?;
        Ok(())
    }

    /// A late answer may be news: ask soon. One question too many does no harm.
    pub(super) async fn hurry(&self, row: &issuance::Model) -> Result<(), Fault> {
        issuance::Entity::update_many()
            .col_expr(issuance::Column::DueTime, Expr::value(Some(self.now())))
            .filter(issuance::Column::Id.eq(row.id))
            .filter(issuance::Column::Job.is_not_null())
            .filter(issuance::Column::State.is_in([State::Unknown, State::Review, State::Sent]))
            .exec(self)
            .await?;
        Ok(())
    }

    pub(super) fn exchange_row(
        &self,
        store: &Store,
        settlement: &Settlement,
        id: ExchangeId,
        late: bool,
    ) -> Result<provider_exchange::ActiveModel> {
        let seal = |what: &str, bytes: &[u8]| {
            store
                .keys()
                .seal(&exchange_column(what, settlement.attempt), bytes)
        };
        let exchange = &settlement.exchange;
        Ok(provider_exchange::ActiveModel {
            id: Set(id),
            attempt_id: Set(settlement.attempt),
            call: Set(exchange.call.to_owned()),
            request_cipher: Set(seal("request", &exchange.request)?),
            response_cipher: Set(exchange
                .response
                .as_deref()
                .map(|bytes| seal("response", bytes))
                .transpose()?),
            http_status: Set(exchange.http_status.map(i32::from)),
            outcome: Set(outcome_word(&settlement.answer)),
            late: Set(late),
            duration_ms: Set(exchange.duration_ms),
            create_time: Set(self.now()),
        })
    }

    /// The entries of a step: one, with a second line where money goes two ways.
    pub(super) fn entries_of(
        &self,
        row: &issuance::Model,
        settlement: &Settlement,
        step: &Step,
        postings: [Option<Posting>; 2],
    ) -> Vec<journal::ActiveModel> {
        // A case that ends without people names the word that ended it.
        let told = (row.state == State::Review && step.state != State::Review).then(|| {
            let word = outcome_word(&settlement.answer);
            format!("PROVIDER_SAID: {word} ({})", settlement.exchange.call)
        });
        let news = step.state != row.state || step.contradiction;
        let lines = 1 + usize::from(postings.iter().all(Option::is_some));
        let lines = postings
            .into_iter()
            .zip(0..)
            .take(if news { lines } else { 0 });
        let lines = lines.map(|(posting, line)| {
            let change = Change {
                before: row,
                from: Some(row.state),
                to: step.state,
                kind: match (step.contradiction, posting) {
                    (true, _) => "CONTRADICTION",
                    // What it costs is told for itself: whoever counts what was sent counts once.
                    (false, Some(posting)) if posting.is_cost() => "CHARGED",
                    (false, _) => step.state.name(),
                },
                reason: step.last_error.clone().or_else(|| told.clone()),
                posting,
                seq: row.version + 1,
            };
            journal::ActiveModel {
                line: Set(line),
                ..issuance_entry(change, DISPATCHER, self.now())
            }
        });
        lines.collect()
    }

    pub(super) async fn move_attempt(
        &self,
        store: &Store,
        settlement: &Settlement,
        before: &mut attempt::Model,
        step: &Step,
    ) -> Result<(), Fault> {
        let now = self.now();
        let mut row = attempt::ActiveModel {
            id: Set(before.id),
            state: Set(step.state),
            doubtful: Set(before.doubtful || step.note_doubt),
            update_time: Set(now),
            ..Default::default()
        };
        if step.note_refusal {
            row.refuse_time = Set(Some(now));
        }
        if step.note_taken {
            row.take_time = Set(Some(now));
        }
        if let Some(cost) = says_cost(&settlement.answer) {
            row.cost_fen = Set(Some(cost));
        }
        if step.note_not_found && before.not_found_time.is_none() {
            row.not_found_time = Set(Some(now));
        }
        if step.state == State::Sent && before.accept_time.is_none() {
            row.accept_time = Set(Some(now));
        }
        if step.last_error.is_some() {
            row.last_error = Set(step.last_error.clone());
        }
        let number = provider_number(&settlement.answer);
        if !number.is_empty() {
            row.provider_order_no = Set(number.to_owned());
        }
        if let Answer::Send(SendOutcome::Accepted {
            package: Some(package),
            ..
        }) = &settlement.answer
        {
            let column = package_column(before.id);
            row.package_cipher = Set(Some(store.keys().seal(&column, package.as_bytes())?));
        }
        attempt::Entity::update(row).exec(self).await?;
        // A late answer in the same slice is held against what is true by now.
        before.state = step.state;
        if matches!(step.state, State::Failed | State::Refunded) {
            before.live_key = None;
        }
        Ok(())
    }

    pub(super) async fn move_issuance(
        &self,
        settlement: &Settlement,
        row: &mut issuance::Model,
        step: &Step,
    ) -> Result<(), Fault> {
        let now = self.now();
        let changed = step.state != row.state || step.contradiction;
        let due = step
            .plan
            .map(|plan| now.plus(plan.spread(settlement.random)));
        let mut update = issuance::Entity::update_many()
            .col_expr(issuance::Column::State, Expr::value(step.state))
            .col_expr(
                issuance::Column::Job,
                Expr::value(step.plan.map(|plan| plan.job)),
            )
            .col_expr(issuance::Column::DueTime, Expr::value(due))
            .col_expr(
                issuance::Column::Version,
                Expr::value(row.version + i64::from(changed)),
            )
            .col_expr(
                issuance::Column::Frozen,
                Expr::value(row.frozen || step.contradiction),
            );
        if !step.state.counts_against_stock() {
            update = update.col_expr(issuance::Column::CountedDay, Expr::value(None::<i64>));
        }
        if changed {
            update = update.col_expr(issuance::Column::UpdateTime, Expr::value(now));
        }
        if let Some(error) = &step.last_error {
            update = update.col_expr(
                issuance::Column::LastError,
                Expr::value(Some(error.clone())),
            );
        }
        if step.state == State::Sent && row.send_time.is_none() {
            update = update.col_expr(issuance::Column::SendTime, Expr::value(Some(now)));
        }
        if let Answer::Query(QueryOutcome::Known(report)) = &settlement.answer {
            if step.state == State::Received {
                let at = report.received_at.unwrap_or(now);
                update = update.col_expr(issuance::Column::ReceiveTime, Expr::value(Some(at)));
            }
            let (received, refunded) = portions(row, step.state, report);
            update = update
                .col_expr(issuance::Column::ReceivedFen, Expr::value(received))
                .col_expr(issuance::Column::RefundedFen, Expr::value(refunded));
            if step.state == State::Refunded {
                let at = report.refunded_at.unwrap_or(now);
                update = update.col_expr(issuance::Column::RefundTime, Expr::value(Some(at)));
            }
        }
        let moved = update
            .filter(issuance::Column::Id.eq(row.id))
            .filter(issuance::Column::Fence.eq(settlement.fence))
            .filter(issuance::Column::State.eq(row.state))
            .exec(self)
            .await?;
        if moved.rows_affected != 1 {
            return Err(Fault::Again);
        }
        row.state = step.state;
        row.counted_day = row
            .counted_day
            .filter(|_| step.state.counts_against_stock());
        row.version += i64::from(changed);
        row.frozen |= step.contradiction;
        Ok(())
    }
}

fn provider_number(answer: &Answer) -> &str {
    match answer {
        Answer::Send(
            SendOutcome::Accepted {
                provider_order_no, ..
            }
            | SendOutcome::Taken {
                provider_order_no, ..
            },
        ) => provider_order_no,
        Answer::Query(QueryOutcome::Known(report)) => &report.provider_order_no,
        Answer::Send(
            SendOutcome::Rejected(_) | SendOutcome::Unknown(_) | SendOutcome::Mismatch { .. },
        )
        | Answer::Query(
            QueryOutcome::NotFound
            | QueryOutcome::Rejected(_)
            | QueryOutcome::Unknown(_)
            | QueryOutcome::Mismatch { .. },
        ) => "",
    }
}

/// How much of a packet was taken and how much came back, as a report leaves it.
fn portions(row: &issuance::Model, state: State, report: &Report) -> (Fen, Fen) {
    let taken: i64 = report.receipts.iter().map(|receipt| receipt.amount.0).sum();
    match state {
        State::Received => (row.amount_fen, Fen::ZERO),
        State::Refunded if row.state != State::Refunded => {
            let refunded = report.refunded.unwrap_or(row.amount_fen);
            (Fen(row.amount_fen.0 - refunded.0), refunded)
        }
        State::Sent | State::Refunding => {
            let known = row.received_fen.max(Fen(taken.min(row.amount_fen.0)));
            (known, Fen::ZERO)
        }
        State::Queued
        | State::Sending
        | State::Unknown
        | State::Review
        | State::Refunded
        | State::Failed
        | State::Cancelled => (row.received_fen, row.refunded_fen),
    }
}

/// The associated data of a package's ciphertext.
pub(in crate::store) fn package_column(attempt: AttemptId) -> String {
    format!("package/{attempt}")
}

/// The associated data of an exchange's ciphertext.
pub(in crate::store) fn exchange_column(what: &str, attempt: AttemptId) -> String {
    format!("exchange.{what}/{attempt}")
}
