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

use sea_orm::sea_query::{LockBehavior, LockType, Query};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::Store;
use super::entity::{attempt, campaign, campaign_revision, issuance, provider_account};
use super::money_breaker::Trip;
use super::stop::stopped_shops;
use super::tx::{Fault, Tx, to_error};
use crate::domain::campaign::CampaignState;
use crate::domain::id::{AccountId, CampaignId, IssuanceId};
use crate::domain::packet::RiskInfo;
use crate::domain::quota::Lane;
use crate::domain::schedule::Job;
use crate::domain::text::{Code, Mobile, Openid, Texts};
use crate::domain::{Error, Result, State, Timestamp};

mod cancel;
mod lease;
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
    /// The campaign's template at an open platform.
    pub template_id: Option<Code>,
    /// The recipient's mobile number for the provider.
    pub mobile: Option<Mobile>,
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
    /// Money breakers that tripped.
    pub trips: Vec<Trip>,
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
                        let mut gate = tx.gate(account.id, &rows).await?;
                        let fitting = tx.within_quota(&store, &account, rows, &mut gate).await?;
                        claims.waiting.clone_from(&fitting.waiting);
                        let sent = tx.begin_send(&account, fitting, ids, until).await?;
                        for (reason, rows) in withdrawn.by_reason() {
                            tx.cancel(rows, reason, DISPATCHER).await?;
                        }
                        claims.trips = tx.close_gate(gate).await?;
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

    /// The recipient's mobile number for the provider, as the caller gave it.
    ///
    /// # Errors
    /// INTERNAL: it does not decrypt.
    pub fn mobile_for_provider(&self, row: &issuance::Model) -> Result<Option<Mobile>> {
        let Some(cipher) = &row.mobile_cipher else {
            return Ok(None);
        };
        let column = super::issue::mobile_column(row.id);
        let text = self.keys().open_text(&column, cipher)?;
        let broken = || Error::internal("a stored mobile is none", "mobile");
        Mobile::kept(&text).ok_or_else(broken).map(Some)
    }

    /// Where the packet's own events are posted, as the caller said.
    ///
    /// # Errors
    /// INTERNAL: it does not decrypt.
    pub fn callback_url(&self, row: &issuance::Model) -> Result<Option<String>> {
        let column = super::issue::callback_column(row.id);
        let cipher = row.callback_cipher.as_ref();
        cipher
            .map(|cipher| self.keys().open_text(&column, cipher))
            .transpose()
    }

    /// The same without the query, for people; empty if there is none.
    ///
    /// # Errors
    /// INTERNAL: it does not decrypt.
    pub fn callback_shown(&self, row: &issuance::Model) -> Result<String> {
        let url = self.callback_url(row)?.unwrap_or_default();
        Ok(url.split('?').next().unwrap_or_default().to_owned())
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
        let mut templates: HashMap<CampaignId, Option<Code>> = HashMap::new();
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
            let template_id = match templates.get(&row.campaign_id) {
                Some(template) => template.clone(),
                None => {
                    let template = self.template_of(row.campaign_id).await?;
                    templates.insert(row.campaign_id, template.clone());
                    template
                }
            };
            packets.push(Claimed {
                risk_info,
                template_id,
                mobile: store.mobile_for_provider(&row)?,
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

    async fn template_of(&self, id: CampaignId) -> Result<Option<Code>, Fault> {
        let row = campaign::Entity::find_by_id(id).one(self).await?;
        Ok(row
            .ok_or_else(|| Error::internal("a campaign is missing", "claim"))?
            .template_id)
    }

    async fn texts_of(&self, key: (CampaignId, i64)) -> Result<String, Fault> {
        let revision = campaign_revision::Entity::find_by_id(key).one(self).await?;
        Ok(revision
            .ok_or_else(|| Error::internal("a revision is missing", "claim"))?
            .texts)
    }
}
