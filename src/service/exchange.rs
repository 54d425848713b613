//! One exchange with a provider, from a claimed packet to a settled answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::DefaultDirectRateLimiter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::Instrument as _;

use super::dispatch::Dispatcher;
use super::halt::Halt;
use crate::clock;
use crate::domain::outcome::{QueryOutcome, Rejection, RejectionKind, SendOutcome};
use crate::domain::protocol::Protocol;
use crate::domain::quota;
use crate::domain::schedule::Job;
use crate::domain::{Reason, Result, State};
use crate::provider::{Payment, Provider, Said};
use crate::store::Store;
use crate::store::claim::Claimed;
use crate::store::entity::provider_account;
use crate::store::settle::{Answer, Exchange, Settlement};
use crate::telemetry::{self, Metrics};

/// What is claimed at once goes out within this long at the account's rate.
pub(super) const CLAIM_AHEAD: Duration = Duration::from_secs(2);
/// Answers of one transaction at most.
const SETTLE_MAX: usize = 64;

/// How the dispatcher works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Exchanges of one account under way at most.
    pub concurrency: usize,
    /// How long a claim holds, in real time. Longer than any exchange can take.
    pub lease: Duration,
    /// Between two looks at an idle work list, in real time.
    pub poll: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 64,
            lease: Duration::from_secs(30),
            poll: Duration::from_millis(200),
        }
    }
}

/// What the exchanges of one account share.
#[derive(Clone)]
pub struct Lane {
    store: Store,
    provider: Provider,
    protocol: Protocol,
    metrics: Metrics,
    settings: Settings,
    halt: Halt,
    rates: (i32, i32),
    probe: Arc<Semaphore>,
    sends: Arc<DefaultDirectRateLimiter>,
    queries: Arc<DefaultDirectRateLimiter>,
    answers: mpsc::Sender<Settlement>,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lane({:?})", self.protocol)
    }
}

impl Lane {
    /// The lane of an account, at the speed that it has now.
    #[must_use]
    pub fn new(
        shared: &Dispatcher,
        account: &provider_account::Model,
        (provider, protocol): (Provider, Protocol),
        answers: &mpsc::Sender<Settlement>,
    ) -> Self {
        let pace = &shared.pace;
        Self {
            store: shared.store.clone(),
            protocol,
            provider,
            metrics: shared.metrics.clone(),
            settings: shared.settings,
            halt: shared.halt.clone(),
            rates: (account.sends_per_second, account.queries_per_second),
            probe: Arc::new(Semaphore::new(1)),
            sends: pace.of(account.id, quota::Lane::Send, account.sends_per_second),
            queries: pace.of(account.id, quota::Lane::Query, account.queries_per_second),
            answers: answers.clone(),
        }
    }

    /// Whether the account still has the limits that the lane was made with.
    #[must_use]
    pub fn fits(&self, account: &provider_account::Model) -> bool {
        self.rates == (account.sends_per_second, account.queries_per_second)
    }

    /// How many packets may be under way at once: what can go out soon.
    #[must_use]
    pub fn capacity(&self, job: Job) -> usize {
        let per_second = match job {
            Job::Send => self.rates.0,
            Job::Query | Job::Sync => self.rates.1,
        };
        let seconds = CLAIM_AHEAD.as_secs();
        let packets = u64::from(per_second.unsigned_abs()).saturating_mul(seconds);
        usize::try_from(packets).unwrap_or(usize::MAX)
    }

    /// The right to probe an account that is held back; one at a time.
    #[must_use]
    pub fn take_probe(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.probe).try_acquire_owned().ok()
    }

    /// Speaks to the provider about a packet and hands the answer on.
    pub async fn exchange(
        &self,
        account: &provider_account::Model,
        job: Job,
        packet: Claimed,
        began: Instant,
    ) {
        let span = tracing::info_span!(
            "exchange",
            issuance_id = packet.issuance.id.0,
            attempt_no = packet.attempt.attempt_no,
            job = job.name()
        );
        if let Some(traceparent) = &packet.issuance.traceparent {
            telemetry::link_span_to(&span, traceparent);
        }
        self.exchange_in_span(account, job, packet, began)
            .instrument(span)
            .await;
    }

    async fn exchange_in_span(
        &self,
        account: &provider_account::Model,
        job: Job,
        packet: Claimed,
        began: Instant,
    ) {
        match job {
            Job::Send => self.sends.until_ready().await,
            Job::Query | Job::Sync => self.queries.until_ready().await,
        }
        // A process that was frozen must not send under a lease that others think
        // is over. Nothing was sent; the lease runs out and somebody asks.
        if clock::monotonic().duration_since(began) > self.settings.lease / 2 {
            tracing::warn!("claimed too long ago; left to its lease");
            return;
        }
        let payment = payment(account, &packet);
        let (answer, exchange) = match job {
            // Claimed before the stop, and not begun: no byte of it has left.
            Job::Send if self.halt.holds(account.id, packet.issuance.shop_id) => put_back(),
            Job::Send => {
                let said = self.provider.send(&payment).await;
                self.mind_breaker(account, &said.outcome).await;
                let exchange = record(&said);
                (Answer::Send(said.outcome), exchange)
            }
            Job::Query | Job::Sync => {
                let said = self.provider.query(&payment).await;
                let exchange = record(&said);
                (Answer::Query(said.outcome), exchange)
            }
        };
        let took = Duration::from_millis(u64::try_from(exchange.duration_ms).unwrap_or(0));
        self.metrics.provider_exchange(
            self.protocol.name(),
            exchange.call,
            outcome_label(&answer),
            took,
        );
        tracing::debug!(outcome = outcome_label(&answer), "answered");
        let settlement = Settlement {
            issuance: packet.issuance.id,
            attempt: packet.attempt.id,
            fence: packet.issuance.fence,
            exchange,
            answer,
            protocol: self.protocol,
            confirm_refusals: account.confirm_refusals,
            random: clock::random_u64(),
        };
        if self.answers.send(settlement).await.is_err() {
            tracing::error!(
                "nobody settles any more; the packet is asked about when its lease ends"
            );
        }
    }

    /// An answer that speaks of the account holds it back, or lets it go on.
    async fn mind_breaker(&self, account: &provider_account::Model, outcome: &SendOutcome) {
        // While the breaker is open, what is sent is its probe.
        let probe = account.breaker_code.is_some();
        let done = match outcome {
            SendOutcome::Rejected(rejection) if rejection.kind.stops_account() => {
                match self
                    .store
                    .open_breaker(account.id, rejection.code.clone(), probe)
                    .await
                {
                    Ok(true) => {
                        tracing::warn!(
                            account_id = account.id.0,
                            code = rejection.code,
                            "the account is held back; its packets wait"
                        );
                        Ok(())
                    }
                    other => other.map(drop),
                }
            }
            SendOutcome::Accepted { .. } | SendOutcome::Taken { .. } if probe => {
                tracing::info!(account_id = account.id.0, "the account goes on");
                self.store.close_breaker(account.id).await
            }
            SendOutcome::Accepted { .. }
            | SendOutcome::Taken { .. }
            | SendOutcome::Rejected(_)
            | SendOutcome::Unknown(_)
            | SendOutcome::Mismatch { .. } => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(%error, account_id = account.id.0, "the breaker could not be written");
        }
    }
}

/// The answer of a request that was never made.
fn put_back() -> (Answer, Exchange) {
    let rejection = Rejection {
        kind: RejectionKind::NotSent,
        code: Reason::Stopped.name().to_owned(),
    };
    let exchange = Exchange {
        call: "none",
        request: Vec::new(),
        response: None,
        http_status: None,
        duration_ms: 0,
    };
    (Answer::Send(SendOutcome::Rejected(rejection)), exchange)
}

/// All that the provider sees of a packet.
fn payment(account: &provider_account::Model, packet: &Claimed) -> Payment {
    let row = &packet.issuance;
    Payment {
        mch_id: packet.attempt.mch_id.clone(),
        appid: row.appid.clone(),
        mch_billno: packet.attempt.mch_billno.clone(),
        openid: packet.openid.clone(),
        amount: row.amount_fen,
        kind: row.kind,
        total_num: row.total_num,
        risk_info: packet.risk_info.clone(),
        texts: packet.texts.clone(),
        client_ip: row
            .client_ip
            .clone()
            .unwrap_or_else(|| account.client_ip.clone()),
        template_id: packet.template_id.clone(),
        mobile: packet.mobile.clone(),
    }
}

/// An exchange as it is recorded.
pub(super) fn record<T>(said: &Said<T>) -> Exchange {
    Exchange {
        call: said.call,
        request: said.request.clone(),
        response: said.response.clone(),
        http_status: said.http_status,
        duration_ms: i64::try_from(said.duration.as_millis()).unwrap_or(i64::MAX),
    }
}

/// One of a few words, for metrics.
pub(super) fn outcome_label(answer: &Answer) -> &'static str {
    match answer {
        Answer::Send(SendOutcome::Accepted { .. }) => "accepted",
        Answer::Send(SendOutcome::Taken { .. }) => "taken",
        Answer::Send(SendOutcome::Rejected(_)) | Answer::Query(QueryOutcome::Rejected(_)) => {
            "rejected"
        }
        Answer::Send(SendOutcome::Unknown(_)) | Answer::Query(QueryOutcome::Unknown(_)) => {
            "unknown"
        }
        Answer::Send(SendOutcome::Mismatch { .. })
        | Answer::Query(QueryOutcome::Mismatch { .. }) => "mismatch",
        Answer::Query(QueryOutcome::Known(_)) => "known",
        Answer::Query(QueryOutcome::NotFound) => "not_found",
    }
}

/// Settles answers, as many at once as have arrived, until nobody sends any more.
/// A database that is away is waited for: an answer in hand is worth more than a
/// question later, though the question would find the same.
pub(super) async fn settle_all(
    store: Store,
    metrics: Metrics,
    mut answers: mpsc::Receiver<Settlement>,
) {
    let mut batch = Vec::with_capacity(SETTLE_MAX);
    while answers.recv_many(&mut batch, SETTLE_MAX).await > 0 {
        let settlements = std::mem::take(&mut batch);
        let Err(error) = settle(&store, &metrics, settlements.clone()).await else {
            continue;
        };
        // One that cannot be written down must not keep its neighbours from it.
        if error.reason == Reason::Internal && settlements.len() > 1 {
            tracing::warn!(%error, answers = settlements.len(), "not settled together; each on its own now");
            for settlement in settlements {
                let issuance_id = settlement.issuance.0;
                if let Err(error) = settle(&store, &metrics, vec![settlement]).await {
                    tracing::error!(%error, issuance_id, "not settled; it is asked about when its lease ends");
                }
            }
        } else {
            tracing::error!(%error, answers = settlements.len(), "not settled; each is asked about when its lease ends");
        }
    }
}

/// Settles answers in one transaction; tries again as long as that may help.
async fn settle(store: &Store, metrics: &Metrics, settlements: Vec<Settlement>) -> Result<()> {
    for pause_ms in [50, 200, 1_000] {
        match store.settle(settlements.clone()).await {
            Ok(done) => {
                done.iter().for_each(|settled| report(metrics, settled));
                return Ok(());
            }
            Err(error) if error.reason == Reason::Internal => return Err(error),
            Err(error) => {
                tracing::warn!(%error, answers = settlements.len(), "could not settle; trying again");
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
        }
    }
    let done = store.settle(settlements).await?;
    done.iter().for_each(|settled| report(metrics, settled));
    Ok(())
}

fn report(metrics: &Metrics, settled: &crate::store::settle::Settled) {
    let id = settled.issuance.0;
    if settled.contradiction {
        tracing::error!(
            issuance_id = id,
            state = settled.to.name(),
            "the provider contradicts itself; issuance {id} is frozen"
        );
    }
    if settled.late {
        tracing::warn!(
            issuance_id = id,
            "an answer came after its lease; kept as evidence"
        );
        return;
    }
    if settled.to == settled.from {
        return;
    }
    tracing::debug!(
        issuance_id = id,
        from = settled.from.name(),
        to = settled.to.name(),
        reason = settled.reason.as_deref().unwrap_or_default(),
        "settled"
    );
    metrics.transitions(settled.from.name(), settled.to.name(), 1);
    metrics.amount_fen(settled.to.name(), settled.amount.0.unsigned_abs());
    if settled.to == State::Review {
        tracing::warn!(
            issuance_id = id,
            reason = settled.reason.as_deref().unwrap_or("DOUBT"),
            "issuance {id} needs a person: its outcome is in doubt"
        );
    }
}
