//! The dispatcher: claims due packets, speaks to providers, settles what they say.
//!
//! Each enabled account has a lane of its own, so that a slow or broken one holds
//! nobody else up. A lane claims no more than it can have under way, and never
//! holds a transaction while it waits for a provider. Answers of all lanes are
//! settled together, many in one transaction.
//!
//! Replicas need not know of each other: a claim skips what another one holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use super::exchange::Settings;
use super::exchange::{CLAIM_AHEAD, Lane, settle_all};
use super::halt::Halt;
use super::pace::Pace;
use super::providers::Providers;
use crate::clock;
use crate::domain::id::AccountId;
use crate::domain::schedule::Job;
use crate::domain::{Result, State};
use crate::store::Store;
use crate::store::claim::Claimed;
use crate::store::entity::provider_account;
use crate::store::money_breaker::Trip;
use crate::telemetry::Metrics;

/// Between two looks at the accounts and at what is stopped.
const SUPERVISE_EVERY: Duration = Duration::from_millis(100);
/// Answers that wait to be settled at most.
const ANSWERS_MAX: usize = 1_024;

/// What the lanes share.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    /// The work list.
    pub store: Store,
    /// Whom to speak to.
    pub providers: Arc<Providers>,
    /// What is counted.
    pub metrics: Metrics,
    /// How fast.
    pub pace: Pace,
    /// Told when there may be work.
    pub wake: Arc<Notify>,
    /// How to work.
    pub settings: Settings,
    /// What is stopped.
    pub halt: Halt,
    /// What a shutdown waits for.
    pub tracker: TaskTracker,
    /// Told when no more is to be claimed.
    pub stop: CancellationToken,
}

impl Dispatcher {
    /// Keeps a lane running for each enabled account until told to stop. What is
    /// under way then is finished and settled by tracked tasks.
    pub async fn run(self) {
        let (answers, settled) = mpsc::channel(ANSWERS_MAX);
        self.tracker.spawn(settle_all(
            self.store.clone(),
            self.metrics.clone(),
            settled,
        ));
        let mut lanes: HashMap<AccountId, tokio::task::JoinHandle<()>> = HashMap::new();
        while !self.stop.is_cancelled() {
            if let Err(error) = self.halt.read(&self.store).await {
                tracing::warn!(%error, "the stops could not be read");
            }
            match self.store.enabled_accounts().await {
                Ok(accounts) => {
                    lanes.retain(|_, lane| !lane.is_finished());
                    for account in accounts {
                        let Some(provider) = self.providers.of(&account) else {
                            tracing::debug!(account_id = account.id.0, credential = %account.credential, "no such credential here");
                            continue;
                        };
                        lanes.entry(account.id).or_insert_with(|| {
                            let lane = Lane::new(&self, &account, provider, &answers);
                            self.tracker.spawn(run_lane(self.clone(), account.id, lane))
                        });
                    }
                }
                Err(error) => tracing::warn!(%error, "the accounts could not be read"),
            }
            self.pause(SUPERVISE_EVERY).await;
        }
    }

    async fn pause(&self, at_most: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }
}

/// Works for one account until it is disabled or everything stops.
async fn run_lane(dispatcher: Dispatcher, id: AccountId, lane: Lane) {
    tracing::info!(account_id = id.0, "dispatching");
    let room = Room::new(&dispatcher, &lane);
    loop {
        if dispatcher.stop.is_cancelled() {
            return;
        }
        // Listen before looking, or a packet that arrives in between waits for the next poll.
        let woken = dispatcher.wake.notified();
        let claimed = match dispatcher.store.account(id).await {
            Ok(account) if !account.row.enabled => {
                tracing::info!(
                    account_id = id.0,
                    "the account is disabled; its packets wait"
                );
                return;
            }
            // New limits need a new lane; the supervisor starts it.
            Ok(account) if !lane.fits(&account.row) => return,
            Ok(account) => round(&dispatcher, &account.row, &lane, &room).await,
            Err(error) => Err(error),
        };
        let more = claimed.unwrap_or_else(|error| {
            tracing::warn!(%error, account_id = id.0, "nothing could be claimed; trying again");
            false
        });
        if !more {
            let spread = Duration::from_millis(clock::random_u64() % 50);
            tokio::select! {
                () = dispatcher.stop.cancelled() => return,
                () = woken => {}
                () = room.freed() => {}
                () = tokio::time::sleep(dispatcher.settings.poll + spread) => {}
            }
        }
    }
}

/// How many exchanges of a lane may be under way: as many as go out soon at the
/// account's rate. The rest stays for other replicas, and a crash leaves little in
/// doubt.
struct Room {
    /// How many payments fit.
    size: usize,
    sends: Arc<Semaphore>,
    queries: Arc<Semaphore>,
}

impl Room {
    fn new(dispatcher: &Dispatcher, lane: &Lane) -> Self {
        let most = dispatcher.settings.concurrency;
        let fits = |job| lane.capacity(job).clamp(1, most.max(1));
        Self {
            size: fits(Job::Send),
            sends: Arc::new(Semaphore::new(fits(Job::Send))),
            queries: Arc::new(Semaphore::new(fits(Job::Query))),
        }
    }

    /// When payments had filled their room: once a quarter of it is free again, so
    /// that a busy lane goes on without waiting for its next look, and still claims
    /// several packets at a time. Otherwise never.
    async fn freed(&self) {
        if self.sends.available_permits() > 0 {
            return std::future::pending().await;
        }
        let quarter = u32::try_from(self.size / 4).unwrap_or(1).max(1);
        // Taken and given back at once; an error would mean that it is closed, which nobody does.
        drop(self.sends.acquire_many(quarter).await);
    }

    fn of(&self, job: Job) -> &Arc<Semaphore> {
        match job {
            Job::Send => &self.sends,
            Job::Query | Job::Sync => &self.queries,
        }
    }
}

/// One look at each kind of work. True if there may be more at once.
async fn round(
    dispatcher: &Dispatcher,
    account: &provider_account::Model,
    lane: &Lane,
    room: &Room,
) -> Result<bool> {
    let mut more = false;
    for job in Job::ALL {
        let room = room.of(job);
        let free = room.available_permits();
        // Payments and doubt come first; looking after sent packets takes what is left.
        let limit = if job == Job::Sync { free / 2 } else { free };
        let (limit, probe) = match job {
            Job::Send => may_send(dispatcher, account, lane, limit).await?,
            Job::Query | Job::Sync => (limit, None),
        };
        if limit == 0 {
            continue;
        }
        let lease = dispatcher
            .store
            .clock()
            .stretched(dispatcher.settings.lease);
        let began = clock::monotonic();
        let wanted = u64::try_from(limit).unwrap_or(1);
        let store = &dispatcher.store;
        let claims = store
            .claim(account, job, wanted, lease, CLAIM_AHEAD)
            .await?;
        let claimed = clock::monotonic_tokio();
        if claims.cancelled > 0 {
            dispatcher
                .metrics
                .transitions("QUEUED", "CANCELLED", claims.cancelled);
        }
        claims.trips.iter().for_each(Trip::tell);
        for (quota, packets) in &claims.waiting {
            dispatcher.metrics.quota_waits(quota, *packets);
            tracing::info!(
                account_id = account.id.0,
                quota,
                packets,
                "packets wait for another day"
            );
        }
        let full = claims.packets.len() == limit && probe.is_none();
        more |= full || claims.cancelled > 0 || !claims.waiting.is_empty();
        let mut probe = probe;
        for packet in claims.packets {
            let Ok(permit) = Arc::clone(room).acquire_owned().await else {
                return Ok(false);
            };
            tell(dispatcher, job, &packet);
            let held = (permit, probe.take());
            let (lane, account) = (lane.clone(), account.clone());
            let turn = claimed + packet.wait;
            dispatcher.tracker.spawn(async move {
                // Its turn among all replicas; then the lane's own, which spreads what is late.
                tokio::time::sleep_until(turn).await;
                lane.exchange(&account, job, packet, began).await;
                drop(held);
            });
        }
    }
    Ok(more)
}

/// How many payments may be begun: none while the breaker is open; when it is due,
/// one at a time as a probe, until one goes through.
async fn may_send(
    dispatcher: &Dispatcher,
    account: &provider_account::Model,
    lane: &Lane,
    limit: usize,
) -> Result<(usize, Option<OwnedSemaphorePermit>)> {
    // The claim would find nothing, but take its turn among the writers to see it.
    if dispatcher.halt.holds_account(account.id) {
        return Ok((0, None));
    }
    let Some(until) = account.breaker_until else {
        return Ok((limit, None));
    };
    if until > dispatcher.store.now().await? {
        return Ok((0, None));
    }
    let probe = lane.take_probe();
    Ok((limit.min(usize::from(probe.is_some())), probe))
}

/// What a claim has changed, for whoever watches.
fn tell(dispatcher: &Dispatcher, job: Job, packet: &Claimed) {
    let (id, from, to) = (packet.issuance.id.0, packet.from, packet.issuance.state);
    if from != to {
        dispatcher.metrics.transitions(from.name(), to.name(), 1);
    }
    if to == State::Unknown && from == State::Sending {
        tracing::warn!(
            issuance_id = id,
            "issuance {id} has lost its sender; asking the provider what became of it"
        );
    }
    if job == Job::Send && packet.attempt.send_count > 1 {
        tracing::info!(
            issuance_id = id,
            send_count = packet.attempt.send_count,
            "issuance {id} goes out again under the same number"
        );
    }
}
