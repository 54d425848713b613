//! Asking a provider because somebody wants to know: soon, through the dispatcher
//! and its schedule, for any number of packets; or live, for one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::exchange::{outcome_label, record};
use super::issue::Pause;
use super::pace::Pace;
use super::providers::Providers;
use crate::clock;
use crate::domain::id::{IssuanceId, ShopId};
use crate::domain::outcome::QueryOutcome;
use crate::domain::quota::Lane;
use crate::domain::status_reply::StatusReply;
use crate::domain::{Error, Reason, Result, State};
use crate::provider::Payment;
use crate::store::Store;
use crate::store::entity::issuance;
use crate::store::read::ByIssuance;
use crate::store::settle::{Answer, OBSERVED, Settlement, outcome_word};
use crate::telemetry::Metrics;

/// How long a live question waits for its packet to move.
const MOVED_WITHIN: Duration = Duration::from_secs(3);

/// Asks providers on demand. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The packets.
    pub store: Store,
    /// Whom to ask.
    pub providers: Arc<Providers>,
    /// How fast.
    pub pace: Pace,
    /// What is counted.
    pub metrics: Metrics,
    /// Told when the dispatcher has something to ask.
    pub wake: Arc<Notify>,
}

/// What became of a refresh of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The provider answered.
    Answered,
    /// It has ended.
    Final,
    /// Nothing was sent yet.
    NotSent,
    /// There is no answer yet.
    Pending,
    /// There is no such packet.
    NotFound,
}

/// What a provider said live.
#[derive(Clone, Debug)]
pub struct Told {
    /// In its own words.
    pub reply: StatusReply,
    /// What that proves, in a word.
    pub outcome: String,
    /// Where the packet stands here.
    pub state: State,
}

impl Asker {
    /// Has the provider asked about packets now, and waits for its answers.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn refresh(
        &self,
        shop: ShopId,
        ids: &[IssuanceId],
        until: Instant,
    ) -> Result<Vec<(IssuanceId, Refreshed, Option<issuance::Model>)>> {
        let refresh = self.store.refresh(shop, ids.to_vec()).await?;
        self.wake.notify_waiters();
        let mut answered: HashSet<IssuanceId> = HashSet::new();
        let mut open = refresh.asked();
        let mut pause = Pause::new(until);
        while !open.is_empty() {
            answered.extend(self.store.answered(&open, refresh.since).await?);
            open.retain(|id| !answered.contains(id));
            if !open.is_empty() && !pause.sleep().await {
                break;
            }
        }
        let mut now = self.store.issuances_by_id(shop, ids).await?;
        let result = |id: &IssuanceId| {
            let refreshed = match refresh.rows.get(id) {
                None => Refreshed::NotFound,
                Some(row) if row.state == State::Queued => Refreshed::NotSent,
                Some(row) if row.job.is_none() => Refreshed::Final,
                Some(_) if answered.contains(id) => Refreshed::Answered,
                Some(_) => Refreshed::Pending,
            };
            (*id, refreshed, now.remove(id))
        };
        Ok(ids.iter().map(result).collect())
    }

    /// Asks the provider about one packet, and keeps the answer as evidence: it moves
    /// nothing itself, but if it is news the dispatcher asks again at once.
    ///
    /// # Errors
    /// ISSUANCE_NOT_FOUND, ISSUANCE_NOT_SENT, CREDENTIAL_NOT_CONFIGURED,
    /// PROVIDER_UNREACHABLE.
    pub async fn ask(&self, shop: ShopId, by: &ByIssuance, until: Instant) -> Result<Told> {
        let (row, attempts) = self.store.issuance(shop, by).await?;
        let attempt = match by {
            ByIssuance::Id(_) | ByIssuance::Request(..) => attempts.last(),
            ByIssuance::Number(number) => attempts.iter().find(|a| a.mch_billno == *number),
        };
        let Some(attempt) = attempt.cloned() else {
            let text = "nothing was sent of this packet yet; there is nothing to ask".to_owned();
            let error = Error::new(Reason::IssuanceNotSent, text).fact("issuance_id", row.id);
            return Err(error.fact("state", row.state.name()));
        };
        let account = self.store.account(attempt.account_id).await?.row;
        let (provider, protocol) = self.providers.of(&account).ok_or_else(|| {
            let text = "this replica has no credential for the account that paid".to_owned();
            Error::new(Reason::CredentialNotConfigured, text)
                .fact("credential", &account.credential)
        })?;
        let payment = self.payment(&row, &attempt, &account.client_ip).await?;
        let limiter = self
            .pace
            .of(account.id, Lane::Query, account.queries_per_second);
        let rate = account.queries_per_second;
        let wait = self.store.slot(account.id, Lane::Query, rate).await?;
        tokio::time::sleep(wait).await;
        limiter.until_ready().await;
        let said = provider.query(&payment).await;
        let reply = provider.describe(&said);
        let exchange = record(&said);
        let answer = Answer::Query(said.outcome);
        let label = outcome_label(&answer);
        self.metrics
            .provider_exchange(protocol.name(), exchange.call, label, said.duration);
        let outcome = outcome_word(&answer);
        let known = matches!(answer, Answer::Query(QueryOutcome::Known(_)));
        let settlement = Settlement {
            issuance: row.id,
            attempt: attempt.id,
            fence: OBSERVED,
            exchange,
            answer,
            protocol,
            confirm_refusals: account.confirm_refusals,
            random: clock::random_u64(),
        };
        self.store.settle(vec![settlement]).await?;
        self.wake.notify_waiters();
        let reply = reply.ok_or_else(|| {
            let text = "the provider gave no readable answer; ask again later".to_owned();
            Error::new(Reason::ProviderUnreachable, text).fact("cause", &outcome)
        })?;
        let in_doubt = matches!(row.state, State::Unknown | State::Review);
        let state = if known && in_doubt {
            self.moved(shop, &row, until).await?
        } else {
            row.state
        };
        Ok(Told {
            reply,
            outcome,
            state,
        })
    }

    /// Where a packet in doubt stands once the dispatcher has looked after the news, or
    /// after a moment.
    async fn moved(&self, shop: ShopId, row: &issuance::Model, until: Instant) -> Result<State> {
        let mut pause = Pause::new(until.min(clock::monotonic_tokio() + MOVED_WITHIN));
        loop {
            let now = self.store.issuances_by_id(shop, &[row.id]).await?;
            let state = now.get(&row.id).map_or(row.state, |row| row.state);
            if state != row.state || !pause.sleep().await {
                return Ok(state);
            }
        }
    }

    async fn payment(
        &self,
        row: &issuance::Model,
        attempt: &crate::store::entity::attempt::Model,
        client_ip: &str,
    ) -> Result<Payment> {
        let whole = |what| Error::internal("a packet is not whole", what);
        let openid = self.store.openid_of(row)?.ok_or_else(|| whole("openid"))?;
        let packets = self.store.packets(vec![row.clone()]).await?;
        let packet = packets.into_iter().next().ok_or_else(|| whole("packet"))?;
        Ok(Payment {
            mch_id: attempt.mch_id.clone(),
            appid: row.appid.clone(),
            mch_billno: attempt.mch_billno.clone(),
            openid,
            amount: row.amount_fen,
            kind: row.kind,
            total_num: row.total_num,
            risk_info: None,
            texts: packet.texts,
            client_ip: client_ip.to_owned(),
            template_id: None,
            mobile: None,
        })
    }
}
