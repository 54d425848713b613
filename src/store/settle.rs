//! Writing down what an exchange proved.
//!
//! A slice of answers is settled in one transaction. Each answer is recorded, word
//! for word, also when the worker that got it had lost its lease meanwhile; but
//! only an answer to the latest claim moves the packet, by the rules of
//! [`crate::domain::machine`]. A late answer makes the packet due at once, so that
//! the provider is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};

use super::Store;
use super::claim::DISPATCHER;
use super::entity::{attempt, issuance, provider_exchange};
use super::journal::{Change, insert_all, issuance_entry};
use super::tx::{Fault, Tx};
use crate::domain::id::{AttemptId, CampaignId, ExchangeId, IssuanceId};
use crate::domain::ledger::{BudgetDelta, Posting};
use crate::domain::machine::{self, Facts, Protocol, Resolution, Step};
use crate::domain::outcome::{ProviderState, QueryOutcome, SendOutcome};
use crate::domain::{Error, Result, State, Timestamp};

/// What was said in one exchange.
#[derive(Clone)]
pub struct Exchange {
    /// The call, e.g. "sendredpack".
    pub call: &'static str,
    /// What we said.
    pub request: Vec<u8>,
    /// What they said.
    pub response: Option<Vec<u8>>,
    /// The HTTP status.
    pub http_status: Option<u16>,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exchange({} {:?})", self.call, self.http_status)
    }
}

/// What it proved.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A request to pay.
    Send(SendOutcome),
    /// A question.
    Query(QueryOutcome),
}

/// An answer to be settled.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The packet.
    pub issuance: IssuanceId,
    /// The attempt.
    pub attempt: AttemptId,
    /// The fence of the claim that it answers.
    pub fence: i64,
    /// What was said.
    pub exchange: Exchange,
    /// What it proved.
    pub answer: Answer,
    /// The protocol.
    pub protocol: Protocol,
    /// Option of the account.
    pub confirm_refusals: bool,
    /// Spreads the next look.
    pub random: u64,
}

/// What settling did to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The packet.
    pub issuance: IssuanceId,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Whether the answer came too late to move it.
    pub late: bool,
    /// Whether it contradicts what was known.
    pub contradiction: bool,
    /// How much the packet holds.
    pub amount: crate::domain::Fen,
}

impl Store {
    /// Settles answers.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE; nothing is settled then.
    pub async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Settled>> {
        let ids = self.ids("exchange", settlements.len()).await?;
        let shared = Arc::new((settlements, ids));
        let store = self.clone();
        self.write(move |tx| {
            let (shared, store) = (Arc::clone(&shared), store.clone());
            Box::pin(async move { tx.settle(&store, &shared.0, &shared.1).await })
        })
        .await
    }
}

impl Tx {
    async fn settle(
        &self,
        store: &Store,
        settlements: &[Settlement],
        ids: &[i64],
    ) -> Result<Vec<Settled>, Fault> {
        let mut issuances: BTreeMap<IssuanceId, issuance::Model> = issuance::Entity::find()
            .filter(issuance::Column::Id.is_in(settlements.iter().map(|s| s.issuance)))
            .order_by_asc(issuance::Column::Id)
            .lock_exclusive()
            .all(self)
            .await?
            .into_iter()
            .map(|row| (row.id, row))
            .collect();
        let mut attempts: BTreeMap<AttemptId, attempt::Model> = attempt::Entity::find()
            .filter(attempt::Column::Id.is_in(settlements.iter().map(|s| s.attempt)))
            .all(self)
            .await?
            .into_iter()
            .map(|row| (row.id, row))
            .collect();
        let mut books: BTreeMap<CampaignId, (BudgetDelta, i64)> = BTreeMap::new();
        let (mut exchanges, mut entries, mut done) = (Vec::new(), Vec::new(), Vec::new());
        for (settlement, id) in settlements.iter().zip(ids) {
            let row = issuances.get_mut(&settlement.issuance);
            let (Some(row), Some(attempt)) = (row, attempts.get_mut(&settlement.attempt)) else {
                return Err(Error::internal("an answer to a packet that is gone", "settle").into());
            };
            let late = row.fence != settlement.fence || attempt.live_key.is_none();
            exchanges.push(self.exchange_row(store, settlement, ExchangeId(*id), late)?);
            if late {
                let contradiction = contradicts(settlement, attempt);
                done.push(Settled {
                    late: true,
                    contradiction,
                    ..settled(row, row.state)
                });
                if contradiction {
                    entries.push(self.freeze(row).await?);
                } else if says_paid(&settlement.answer) && attempt.accept_time.is_none() {
                    self.note_accepted(attempt).await?;
                }
                self.hurry(row).await?;
                continue;
            }
            let step = judge(settlement, row, attempt, self.now());
            let change = Settled {
                contradiction: step.contradiction,
                ..settled(row, step.state)
            };
            if let Some(posting) = Posting::of_transition(row.state, step.state, row.amount_fen) {
                let (delta, unissued) = books.entry(row.campaign_id).or_default();
                if !delta.add(posting) {
                    return Err(Error::internal("a sum does not fit", "settle").into());
                }
                *unissued += i64::from(!step.state.counts_against_stock());
            }
            entries.extend(self.entry_of(row, &step));
            self.move_attempt(settlement, attempt, &step).await?;
            self.move_issuance(settlement, row, &step).await?;
            done.push(change);
        }
        insert_all::<provider_exchange::Entity, _>(self, exchanges).await?;
        self.append(entries).await?;
        for (campaign, (delta, unissued)) in books {
            self.book(campaign, delta, unissued).await?;
        }
        Ok(done)
    }

    /// A closed number that was paid after all: nobody may send the packet again
    /// before a person has looked.
    async fn freeze(
        &self,
        row: &mut issuance::Model,
    ) -> Result<super::entity::journal::ActiveModel, Fault> {
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
    async fn note_accepted(&self, row: &mut attempt::Model) -> Result<(), Fault> {
        row.accept_time = Some(self.now());
        attempt::Entity::update_many()
            .col_expr(attempt::Column::AcceptTime, Expr::value(row.accept_time))
            .filter(attempt::Column::Id.eq(row.id))
            .exec(self)
            .await?;
        Ok(())
    }

    /// A late answer may be news: ask soon. One question too many does no harm.
    async fn hurry(&self, row: &issuance::Model) -> Result<(), Fault> {
        issuance::Entity::update_many()
            .col_expr(issuance::Column::DueTime, Expr::value(Some(self.now())))
            .filter(issuance::Column::Id.eq(row.id))
            .filter(issuance::Column::State.is_in([State::Unknown, State::Review, State::Sent]))
            .exec(self)
            .await?;
        Ok(())
    }

    fn exchange_row(
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

    fn entry_of(
        &self,
        row: &issuance::Model,
        step: &Step,
    ) -> Option<super::entity::journal::ActiveModel> {
        let news = step.state != row.state || step.contradiction;
        news.then(|| {
            let change = Change {
                before: row,
                from: Some(row.state),
                to: step.state,
                kind: if step.contradiction {
                    "CONTRADICTION"
                } else {
                    step.state.name()
                },
                reason: step.last_error.clone(),
                posting: Posting::of_transition(row.state, step.state, row.amount_fen),
                seq: row.version + 1,
            };
            issuance_entry(change, DISPATCHER, self.now())
        })
    }

    async fn move_attempt(
        &self,
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
        attempt::Entity::update(row).exec(self).await?;
        // A late answer in the same slice is held against what is true by now.
        before.state = step.state;
        if matches!(step.state, State::Failed | State::Refunded) {
            before.live_key = None;
        }
        Ok(())
    }

    async fn move_issuance(
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
        row.version += i64::from(changed);
        row.frozen |= step.contradiction;
        Ok(())
    }
}

fn settled(row: &issuance::Model, to: State) -> Settled {
    Settled {
        issuance: row.id,
        from: row.state,
        to,
        late: false,
        contradiction: false,
        amount: row.amount_fen,
    }
}

/// Whether a late answer says that a number which is closed here was paid.
fn contradicts(settlement: &Settlement, attempt: &attempt::Model) -> bool {
    their_state(&settlement.answer).is_some_and(|theirs| {
        machine::resolve(settlement.protocol, theirs, attempt.state) == Resolution::Contradiction
    })
}

/// Whether the provider says that money went out under the number.
fn says_paid(answer: &Answer) -> bool {
    match their_state(answer) {
        Some(
            ProviderState::Sent
            | ProviderState::Received
            | ProviderState::Refunding
            | ProviderState::Refunded,
        ) => true,
        Some(ProviderState::Sending | ProviderState::Failed) | None => false,
    }
}

fn their_state(answer: &Answer) -> Option<ProviderState> {
    match answer {
        Answer::Send(SendOutcome::Accepted { .. }) => Some(ProviderState::Sent),
        Answer::Query(QueryOutcome::Known(report)) => Some(report.state),
        Answer::Send(
            SendOutcome::Rejected(_) | SendOutcome::Unknown(_) | SendOutcome::Mismatch { .. },
        )
        | Answer::Query(
            QueryOutcome::NotFound
            | QueryOutcome::Rejected(_)
            | QueryOutcome::Unknown(_)
            | QueryOutcome::Mismatch { .. },
        ) => None,
    }
}

fn judge(
    settlement: &Settlement,
    row: &issuance::Model,
    attempt: &attempt::Model,
    now: Timestamp,
) -> Step {
    let facts = Facts {
        state: row.state,
        send_count: attempt.send_count,
        query_count: attempt.query_count,
        first_sent_at: attempt.first_send_time,
        doubtful: attempt.doubtful,
        refused_at: attempt.refuse_time,
        not_found_at: attempt.not_found_time,
        sent_at: attempt.accept_time,
        frozen: row.frozen,
        confirm_refusals: settlement.confirm_refusals,
    };
    match &settlement.answer {
        Answer::Send(outcome) => machine::after_send(outcome, &facts, now),
        Answer::Query(outcome) => machine::after_query(settlement.protocol, outcome, &facts, now),
    }
}

fn provider_number(answer: &Answer) -> &str {
    match answer {
        Answer::Send(SendOutcome::Accepted { provider_order_no }) => provider_order_no,
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

/// One word for the exchange's row and for metrics.
#[must_use]
pub fn outcome_word(answer: &Answer) -> String {
    match answer {
        Answer::Send(SendOutcome::Accepted { .. }) => "ACCEPTED".to_owned(),
        Answer::Query(QueryOutcome::Known(report)) => format!("{:?}", report.state).to_uppercase(),
        Answer::Query(QueryOutcome::NotFound) => "NOT_FOUND".to_owned(),
        Answer::Send(SendOutcome::Rejected(rejection))
        | Answer::Query(QueryOutcome::Rejected(rejection)) => rejection.code.clone(),
        Answer::Send(SendOutcome::Unknown(cause)) | Answer::Query(QueryOutcome::Unknown(cause)) => {
            cause.code()
        }
        Answer::Send(SendOutcome::Mismatch { field })
        | Answer::Query(QueryOutcome::Mismatch { field }) => {
            format!("MISMATCH_{}", field.to_uppercase())
        }
    }
}

/// The associated data of an exchange's ciphertext.
pub(super) fn exchange_column(what: &str, attempt: AttemptId) -> String {
    format!("exchange.{what}/{attempt}")
}
