//! Writing down what an exchange proved.
//!
//! A slice of answers is settled in one transaction. Each answer is recorded, word
//! for word, also when the worker that got it had lost its lease meanwhile; but
//! only an answer to the latest claim moves the packet, by the rules of
//! [`crate::domain::machine`]. A late answer makes the packet due at once, so that
//! the provider is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Store;
use super::batch::BatchMoves;
use super::entity::{attempt, issuance, provider_exchange};
use super::journal::insert_all;
use super::money_breaker::{AllEnds, Trip};
use super::tx::{Fault, Tx};
use crate::domain::id::{AttemptId, CampaignId, ExchangeId, IssuanceId};
use crate::domain::ledger::{BudgetDelta, Posting};
use crate::domain::machine::{self, Facts, Resolution, Step};
use crate::domain::outcome::{ProviderState, QueryOutcome, SendOutcome};
use crate::domain::protocol::Protocol;
use crate::domain::{Error, Fen, Result, State, Timestamp};

mod receipts;
mod write;

pub(in crate::store) use write::{exchange_column, package_column};

use receipts::receipt_rows;

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

/// The fence of an answer that nobody claimed the packet for: evidence, like a late one.
pub const OBSERVED: i64 = -1;

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
    /// What went wrong, if anything did.
    pub reason: Option<String>,
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
        let settled = self.write(move |tx| {
            let (shared, store) = (Arc::clone(&shared), store.clone());
            Box::pin(async move { tx.settle(&store, &shared.0, &shared.1).await })
        });
        let (done, trips) = settled.await?;
        trips.iter().for_each(Trip::tell);
        Ok(done)
    }
}

impl Tx {
    async fn settle(
        &self,
        store: &Store,
        settlements: &[Settlement],
        ids: &[i64],
    ) -> Result<(Vec<Settled>, Vec<Trip>), Fault> {
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
        let (mut receipts, mut shares, mut moves) = (Vec::new(), Vec::new(), BatchMoves::default());
        let (mut uncounted, mut ends) = (Vec::new(), AllEnds::default());
        let mut closed = Vec::new();
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
                reason: step.last_error.clone(),
                ..settled(row, step.state)
            };
            let postings = postings(row, attempt, &step, &settlement.answer);
            for posting in postings.into_iter().flatten() {
                let (delta, _) = books.entry(row.campaign_id).or_default();
                if !delta.add(posting) {
                    return Err(Error::internal("a sum does not fit", "settle").into());
                }
            }
            if step.state != row.state && !step.state.counts_against_stock() {
                books.entry(row.campaign_id).or_default().1 += 1;
                shares.extend(row.share_position.map(|_| row.id));
                uncounted.push(row.clone());
            }
            entries.extend(self.entries_of(row, settlement, &step, postings));
            moves.add(row, step.state, row.attempt_count);
            ends.add(row, step.state);
            if row.state == State::Review && step.state != State::Review {
                closed.push(row.id);
            }
            self.move_attempt(store, settlement, attempt, &step).await?;
            receipts.extend(receipt_rows(store, settlement, row, attempt)?);
            self.move_issuance(settlement, row, &step).await?;
            done.push(change);
        }
        insert_all::<provider_exchange::Entity, _>(self, exchanges).await?;
        self.append(entries).await?;
        self.withdraw_closings(closed).await?;
        let trips = self.count_ends(ends).await?;
        self.insert_receipts(receipts).await?;
        self.give_shares_back(shares).await?;
        self.count_moves(moves).await?;
        let uses = self.uses_of(uncounted.iter()).await?;
        self.give_uses_back(uses).await?;
        self.trip(&trips).await?;
        for (campaign, (delta, unissued)) in books {
            self.book(campaign, delta, unissued).await?;
        }
        Ok((done, trips))
    }
}

/// What a step moves: one posting, or two where a group packet comes back in part, or where the
/// provider charges another sum than the face value.
fn postings(
    row: &issuance::Model,
    attempt: &attempt::Model,
    step: &Step,
    answer: &Answer,
) -> [Option<Posting>; 2] {
    match came_back(answer) {
        Some(refunded) if step.state == State::Refunded && row.state != State::Refunded => {
            Posting::of_partial_refund(row.state, row.amount_fen, refunded)
        }
        _ => {
            let whole = Posting::of_transition(row.state, step.state, row.amount_fen);
            let is_sent = step.state == State::Sent && row.state != State::Sent;
            let cost = says_cost(answer).or(attempt.cost_fen).filter(|_| is_sent);
            [
                whole,
                cost.and_then(|cost| Posting::of_cost(row.amount_fen, cost)),
            ]
        }
    }
}

/// How much came back, where the provider says so.
fn came_back(answer: &Answer) -> Option<Fen> {
    match answer {
        Answer::Query(QueryOutcome::Known(report)) => report.refunded,
        Answer::Query(_) | Answer::Send(_) => None,
    }
}

/// What the provider charges, where it says so.
fn says_cost(answer: &Answer) -> Option<Fen> {
    match answer {
        Answer::Send(SendOutcome::Taken { cost, .. }) => *cost,
        Answer::Query(QueryOutcome::Known(report)) => report.cost,
        Answer::Query(_) | Answer::Send(_) => None,
    }
}

fn settled(row: &issuance::Model, to: State) -> Settled {
    Settled {
        issuance: row.id,
        from: row.state,
        to,
        late: false,
        contradiction: false,
        reason: None,
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
            SendOutcome::Taken { .. }
            | SendOutcome::Rejected(_)
            | SendOutcome::Unknown(_)
            | SendOutcome::Mismatch { .. },
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
        protocol: settlement.protocol,
        taken: attempt.take_time.is_some(),
        state: row.state,
        send_count: attempt.send_count,
        query_count: attempt.queries_since_send,
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
        Answer::Query(outcome) => machine::after_query(outcome, &facts, now),
    }
}

/// One word for the exchange's row and for metrics.
#[must_use]
pub fn outcome_word(answer: &Answer) -> String {
    match answer {
        Answer::Send(SendOutcome::Accepted { .. }) => "ACCEPTED".to_owned(),
        Answer::Send(SendOutcome::Taken { .. }) => "TAKEN".to_owned(),
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
