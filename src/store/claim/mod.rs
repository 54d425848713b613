//! Taking due packets off the work list.
//!
//! A claim is one transaction that moves `due_time` to the end of a lease and
//! raises the fence. For a payment it also writes down all that the provider will
//! see, before a byte is sent: the attempt with its number. The job becomes QUERY
//! in the same statement, so that if this process dies, whoever comes next asks
//! first. The lease only spares work; what keeps a packet from being paid twice is
//! that every claim of it uses the same number.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sea_orm::sea_query::{Expr, LockBehavior, LockType, Query};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::Store;
use super::batch::BatchMoves;
use super::entity::{attempt, campaign, campaign_revision, issuance, provider_account};
use super::journal::{Change, issuance_entry};
use super::stop::stopped_shops;
use super::tx::{Fault, Tx, to_error};
use crate::domain::campaign::CampaignState;
use crate::domain::id::{AccountId, CampaignId, IssuanceId};
use crate::domain::ledger::Posting;
use crate::domain::packet::RiskInfo;
use crate::domain::quota::Lane;
use crate::domain::schedule::Job;
use crate::domain::text::{Openid, Texts};
use crate::domain::{Error, Result, State, Timestamp};

mod cancel;
mod send;

/// Who acts when nobody asked.
pub(super) const DISPATCHER: &str = "dispatcher";

/// A packet that was claimed.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Where the packet stood before.
    pub from: State,
    /// The packet, as the claim left it.
    pub issuance: issuance::Model,
    /// Its live attempt, as the claim left it.
    pub attempt: attempt::Model,
    /// To whom.
    pub openid: Openid,
    /// What the recipient reads.
    pub texts: Texts,
    /// What the merchant tells of the recipient's device.
    pub risk_info: Option<RiskInfo>,
    /// How long after the claim its turn comes, in real time.
    pub wait: Duration,
}

/// What a claim found.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// What is to be done now.
    pub packets: Vec<Claimed>,
    /// How many packets of ended campaigns were withdrawn instead.
    pub cancelled: u64,
    /// How many wait for another day, by whose quota is full.
    pub waiting: BTreeMap<&'static str, u64>,
}

impl Store {
    /// Claims due packets of an account for one kind of job.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn claim(
        &self,
        account: &provider_account::Model,
        job: Job,
        limit: u64,
        lease: Duration,
        ahead: Duration,
    ) -> Result<Claims> {
        // A look beside the writers first: an idle dispatcher must not take turns
        // with them, nor use up ids.
        let waiting = self.count_due(account.id, job, limit).await?;
        if waiting == 0 {
            return Ok(Claims::default());
        }
        if job == Job::Send && self.account_is_full(account, self.now().await?).await? {
            return Ok(Claims::default());
        }
        let limit = u64::try_from(waiting).unwrap_or(limit);
        let ids = match job {
            Job::Send => self.ids("attempt", waiting).await?,
            Job::Query | Job::Sync => Vec::new(),
        };
        let (store, account) = (self.clone(), account.clone());
        self.write(move |tx| {
            let (store, account, ids) = (store.clone(), account.clone(), ids.clone());
            Box::pin(async move {
                let until = tx.now().plus(lease);
                if job == Job::Send && !tx.may_claim(account.id).await? {
                    return Ok(Claims::default());
                }
                let (lane, rate) = lane(&account, job);
                let slots = tx.slots(account.id, lane, rate, limit, ahead).await?;
                if slots.count == 0 {
                    return Ok(Claims::default());
                }
                let mut due = tx.due(account.id, job, slots.count).await?;
                if job == Job::Send {
                    due = tx.of_open_shops(due).await?;
                }
                let before: HashMap<IssuanceId, State> =
                    due.iter().map(|row| (row.id, row.state)).collect();
                let mut claims = Claims::default();
                let (rows, attempts) = match job {
                    Job::Send => {
                        let (withdrawn, rows) = tx.split_withdrawn(due).await?;
                        claims.cancelled = u64::try_from(withdrawn.len()).unwrap_or(u64::MAX);
                        let fitting = tx.within_quota(&store, &account, rows).await?;
                        claims.waiting.clone_from(&fitting.waiting);
                        let sent = tx.begin_send(&account, fitting, ids, until).await?;
                        for (reason, rows) in withdrawn.by_reason() {
                            tx.cancel(rows, reason, DISPATCHER).await?;
                        }
                        sent
                    }
                    Job::Query | Job::Sync => tx.begin_query(due, until).await?,
                };
                claims.packets = tx.complete(&store, rows, attempts, &before).await?;
                for (packet, n) in claims.packets.iter_mut().zip(0..) {
                    packet.wait = slots.wait(tx, n);
                }
                tx.take_slots(&slots, claims.packets.len()).await?;
                Ok(claims)
            })
        })
        .await
    }

    /// What the merchant told of the recipient's device.
    ///
    /// # Errors
    /// INTERNAL: it does not decrypt.
    pub fn risk_info(&self, row: &issuance::Model) -> Result<Option<RiskInfo>> {
        let Some(cipher) = &row.risk_info_cipher else {
            return Ok(None);
        };
        let column = super::issue::risk_info_column(row.id);
        let text = self.keys().open_text(&column, cipher)?;
        let broken = || Error::internal("a stored risk_info is none", "risk_info");
        RiskInfo::parse(&text).ok_or_else(broken).map(Some)
    }

    /// How many packets are due, at most `limit`.
    async fn count_due(&self, account: AccountId, job: Job, limit: u64) -> Result<usize> {
        let ids: Vec<IssuanceId> = due(account, job, self.now().await?)
            .select_only()
            .column(issuance::Column::Id)
            .limit(limit)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)?;
        Ok(ids.len())
    }
}

/// The lane of a job, and its rate.
fn lane(account: &provider_account::Model, job: Job) -> (Lane, i32) {
    match job {
        Job::Send => (Lane::Send, account.sends_per_second),
        Job::Query | Job::Sync => (Lane::Query, account.queries_per_second),
    }
}

/// What is due. A queued packet of a paused campaign is not, unless it is to be
/// withdrawn, and none to be sent of a shop that is stopped.
fn due(account: AccountId, job: Job, now: Timestamp) -> Select<issuance::Entity> {
    let query = issuance::Entity::find()
        .filter(issuance::Column::AccountId.eq(account))
        .filter(issuance::Column::Job.eq(job))
        .filter(issuance::Column::DueTime.lte(now));
    if job != Job::Send {
        return query;
    }
    let paused = Query::select()
        .column(campaign::Column::Id)
        .from(campaign::Entity)
        .and_where(campaign::Column::State.eq(CampaignState::Paused))
        .to_owned();
    let query = query.filter(issuance::Column::ShopId.not_in_subquery(stopped_shops()));
    query.filter(
        issuance::Column::State
            .ne(State::Queued)
            .or(issuance::Column::CampaignId.not_in_subquery(paused)),
    )
}

impl Tx {
    /// Due rows, oldest first, skipping what another replica holds right now.
    async fn due(
        &self,
        account: AccountId,
        job: Job,
        limit: u64,
    ) -> Result<Vec<issuance::Model>, Fault> {
        let rows = due(account, job, self.now())
            .order_by_asc(issuance::Column::DueTime)
            .order_by_asc(issuance::Column::Id)
            .limit(limit)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .all(self)
            .await?;
        Ok(rows)
    }

    /// Writes down that these packets are about to be asked about. One that was
    /// being sent has lost its sender, and with him the answer.
    async fn begin_query(
        &self,
        rows: Vec<issuance::Model>,
        until: Timestamp,
    ) -> Result<(Vec<issuance::Model>, Vec<attempt::Model>), Fault> {
        if rows.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut attempts = self.live_attempts(&rows).await?;
        let (lost, rest): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|row| row.state == State::Sending);
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

    async fn live_attempts(&self, rows: &[issuance::Model]) -> Result<Vec<attempt::Model>, Fault> {
        let keys = rows.iter().map(|r| r.id.0);
        Ok(attempt::Entity::find()
            .filter(attempt::Column::LiveKey.is_in(keys))
            .all(self)
            .await?)
    }

    /// Moves the due time of claimed rows to the end of the lease, raises their
    /// fence, and journals a change of state.
    async fn lease_rows(
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

    /// Adds what the exchange needs: openid and texts, in the clear.
    async fn complete(
        &self,
        store: &Store,
        rows: Vec<issuance::Model>,
        attempts: Vec<attempt::Model>,
        before: &HashMap<IssuanceId, State>,
    ) -> Result<Vec<Claimed>, Fault> {
        let mut attempts: HashMap<_, _> =
            attempts.into_iter().map(|a| (a.issuance_id, a)).collect();
        let mut revisions: HashMap<(CampaignId, i64), String> = HashMap::new();
        let mut packets = Vec::with_capacity(rows.len());
        for row in rows {
            let attempt = attempts
                .remove(&row.id)
                .ok_or_else(|| Error::internal("a claimed packet has no attempt", "claim"))?;
            let cipher = row
                .openid_cipher
                .as_deref()
                .ok_or_else(|| Error::internal("a claimed packet has no openid", "claim"))?;
            let openid = super::audience::open_openid(store.keys(), row.shop_id, cipher)?;
            let texts = match &row.texts {
                Some(own) => own.clone(),
                None => {
                    let key = (row.campaign_id, row.campaign_revision);
                    match revisions.get(&key) {
                        Some(texts) => texts.clone(),
                        None => {
                            let texts = self.texts_of(key).await?;
                            revisions.insert(key, texts.clone());
                            texts
                        }
                    }
                }
            };
            let texts = serde_json::from_str(&texts)
                .map_err(|e| Error::internal("stored texts are no JSON", e))?;
            let risk_info = store.risk_info(&row)?;
            packets.push(Claimed {
                risk_info,
                wait: Duration::ZERO,
                from: before.get(&row.id).copied().unwrap_or(row.state),
                issuance: row,
                attempt,
                openid,
                texts,
            });
        }
        Ok(packets)
    }

    async fn texts_of(&self, key: (CampaignId, i64)) -> Result<String, Fault> {
        let revision = campaign_revision::Entity::find_by_id(key).one(self).await?;
        Ok(revision
            .ok_or_else(|| Error::internal("a revision is missing", "claim"))?
            .texts)
    }
}
