//! The worker of the platforms where vouchers live: claims due calls, makes each once or
//! looks what became of it, and settles what that proves.
//!
//! Replicas need not know of each other: a claim skips what another one holds, and only one
//! of them may note that a request is about to leave. A call that is under way is finished
//! and settled by a task of its own, also while the process ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::told::{Asks, Proven, refused, said};
use super::{Doubt, Pairs, Spent, Vouchers, lost};
use crate::clock;
use crate::domain::id::AccountId;
use crate::domain::outcome::Cause;
use crate::domain::remote_voucher::{Baseline, GiveOutcome, Patience, TurnOutcome};
use crate::domain::voucher::{CallKind, CallState};
use crate::domain::{Error, Reason, Result};
use crate::provider::map::MapPlatform;
use crate::service::halt::Halt;
use crate::service::providers::Providers;
use crate::store::Store;
use crate::store::voucher::{RemoteFate, RemoteWork, Settled, Settlement};
use crate::telemetry::Metrics;

/// How long a gift waits whose pair is busy, in real time.
const PAIR_PAUSE: Duration = Duration::from_millis(200);

/// What works through the calls.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The work list.
    pub store: Store,
    /// Whom to speak to.
    pub providers: Arc<Providers>,
    /// What is counted.
    pub metrics: Metrics,
    /// What is stopped.
    pub halt: Halt,
    /// Told when there may be work.
    pub wake: Arc<Notify>,
    /// How long doubt may last.
    pub patience: Patience,
    /// Calls of one account under way at most.
    pub concurrency: usize,
    /// How long a claim holds, in real time, and anew from when the request leaves: longer
    /// than a look, or a request and a look, can take.
    pub lease: Duration,
    /// Between two looks at an idle work list, in real time.
    pub poll: Duration,
    /// What a shutdown waits for.
    pub tracker: TaskTracker,
    /// Told when no more is to be claimed.
    pub stop: CancellationToken,
}

impl Worker {
    /// Works until told to stop.
    pub async fn run(self) {
        let mut rooms: HashMap<AccountId, (Arc<Semaphore>, Pairs)> = HashMap::new();
        loop {
            // Listen before looking, or a call that arrives in between waits for the next look.
            let woken = self.wake.notified();
            let more = self.round(&mut rooms).await;
            if self.stop.is_cancelled() {
                return;
            }
            if !more.unwrap_or_else(|error| {
                tracing::warn!(%error, "calls to voucher platforms could not be claimed");
                false
            }) {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = woken => {}
                    () = tokio::time::sleep(self.poll) => {}
                }
            }
        }
    }

    /// One look at each account. True if there may be more at once.
    async fn round(&self, rooms: &mut HashMap<AccountId, (Arc<Semaphore>, Pairs)>) -> Result<bool> {
        let mut more = false;
        for account in self.store.all_accounts().await? {
            let Some(platform) = self.providers.platform_of(&account) else {
                continue;
            };
            let (room, pairs) = rooms.entry(account.id).or_insert_with(|| {
                let room = Semaphore::new(self.concurrency.max(1));
                (Arc::new(room), Pairs::default())
            });
            let free = room.available_permits();
            if free == 0 {
                continue;
            }
            let clock = self.store.clock();
            let claim = self.store.claim_remote(
                &account,
                u64::try_from(free).unwrap_or(1),
                clock.stretched(self.lease),
                clock.stretched(PAIR_PAUSE),
            );
            let claimed = claim.await.unwrap_or_else(|error| {
                tracing::warn!(%error, account_id = account.id.0, "calls to its platform could not be claimed");
                Vec::new()
            });
            more |= claimed.len() == free;
            for work in claimed {
                let Ok(permit) = Arc::clone(room).acquire_owned().await else {
                    return Ok(false);
                };
                let span = tracing::info_span!(
                    "remote_call",
                    order_id = work.row.order_id.0,
                    line = work.row.line,
                    kind = work.row.kind.name()
                );
                let (worker, pairs) = (self.clone(), pairs.clone());
                let platform = platform.clone();
                let task = async move {
                    worker.work(&platform, &pairs, work).await;
                    drop(permit);
                };
                self.tracker.spawn(task.instrument(span));
            }
        }
        Ok(more)
    }

    /// One call, to its settled end.
    async fn work(&self, platform: &MapPlatform, pairs: &Pairs, work: RemoteWork) {
        let (order, line, fence) = (work.row.order_id, work.row.line, work.row.fence);
        let halted = work.row.state == CallState::Sending
            && self.halt.holds(work.row.account_id, work.row.shop_id);
        let told = match halted {
            true => Ok(Proven::waits(Reason::Stopped.name())),
            false => self.speak(platform, pairs, &work).await,
        };
        let proven = match told {
            Ok(proven) => proven,
            // Nothing was sent.
            Err(error) if error.reason == Reason::Stopped => Proven::waits(Reason::Stopped.name()),
            Err(error) if error.reason == Reason::Internal => {
                tracing::error!(%error, source = ?error.source, "a call cannot be made");
                return;
            }
            // The claim was over: whoever has it now goes on.
            Err(error) => {
                tracing::info!(%error, "a call was left to whoever has claimed it");
                return;
            }
        };
        tracing::debug!(outcome = proven.label(), "answered");
        let settlement = Settlement {
            order,
            line,
            fence,
            fate: proven.fate,
            refusal: proven.refusal,
            spoken: proven
                .spoken
                .into_iter()
                .map(|spoken| said(spoken, &self.store.clock()))
                .collect(),
        };
        self.settle(settlement).await;
    }

    async fn speak(
        &self,
        platform: &MapPlatform,
        pairs: &Pairs,
        work: &RemoteWork,
    ) -> Result<Proven> {
        let vouchers = Vouchers::new(platform, pairs, self.patience);
        let row = &work.row;
        let now = self.store.now().await?;
        let age = row
            .ended_time
            .map_or(Duration::ZERO, |ended| now.since(ended));
        let looks = row.state == CallState::Unknown;
        let within = self.store.clock().stretched(self.lease);
        let began = clock::monotonic();
        let keep = async |before: Option<&Baseline>| {
            self.store.keep_remote(row, before, within).await?;
            // A process that was frozen must not send what others look for by now.
            if began.elapsed() > self.lease {
                let text = "claimed too long ago; left to its lease".to_owned();
                return Err(Error::new(Reason::ConcurrentUpdate, text));
            }
            Ok(())
        };
        let keep = &keep;
        let asks = Asks::of(work)?;
        if looks {
            return Ok(match (&asks, asks.turned()) {
                (Asks::Give(give), _) => {
                    let answer = refused(row.refusal.as_deref());
                    let answer = answer.map_or_else(lost, GiveOutcome::Rejected);
                    let doubt = Doubt {
                        give,
                        before: &work.before,
                        answer: &answer,
                        age,
                    };
                    Proven::of_give(vouchers.look_again(&doubt).await)
                }
                (_, Some((turn, spent))) => {
                    let answer = refused(row.refusal.as_deref());
                    let lost = || TurnOutcome::Unknown(Cause::LeaseLost);
                    let answer = answer.map_or_else(lost, TurnOutcome::Rejected);
                    let told = vouchers.look_again_at(turn, &spent, &answer, now, age);
                    Proven::of_turn(told.await)
                }
                (_, None) => return Err(Error::internal("nothing to look for", "remote")),
            });
        }
        Ok(match &asks {
            Asks::Give(give) => {
                let keep = |before: Baseline| async move { keep(Some(&before)).await };
                Proven::of_give(vouchers.give(give, keep).await?)
            }
            Asks::Spend(spend, products) => {
                Proven::of_turn(vouchers.spend(spend, products, now, || keep(None)).await?)
            }
            Asks::Undo(undo, mobile, products, ids) => {
                let spent = Spent {
                    mobile,
                    products,
                    vouchers: ids,
                };
                Proven::of_turn(vouchers.undo(undo, &spent, now, || keep(None)).await?)
            }
        })
    }

    /// Writes down what was proven; tries again as long as that may help. What could not be
    /// written is looked for when the lease ends.
    async fn settle(&self, settlement: Settlement) {
        for pause_ms in [50, 200, 1_000, 0] {
            match self.store.settle_remote(settlement.clone()).await {
                Ok(settled) => return self.report(&settled, &settlement.fate),
                Err(error) if error.reason == Reason::Internal || pause_ms == 0 => {
                    tracing::error!(%error, source = ?error.source, "not settled; it is looked for when the lease ends");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "could not settle; trying again");
                    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                }
            }
        }
    }

    fn report(&self, settled: &Settled, fate: &RemoteFate) {
        if settled.late {
            let given = matches!(fate, RemoteFate::Given { .. } | RemoteFate::Turned { .. });
            if given && settled.from == CallState::Failed {
                tracing::error!(
                    "a platform has done what was taken for not done; a person must look"
                );
            } else {
                tracing::warn!("an answer came after its claim was over; kept as evidence");
            }
            return;
        }
        self.metrics
            .remote_call(settled.kind.name(), settled.to.name());
        match settled.to {
            CallState::Review => {
                tracing::warn!("needs people: what the platform shows fits no one story");
            }
            CallState::Unknown => tracing::info!("what became of it is not known yet"),
            CallState::Queued | CallState::Sending | CallState::Done | CallState::Failed => {
                tracing::debug!(state = settled.to.name(), "settled");
            }
        }
        let state = match (settled.kind, settled.to) {
            (CallKind::Give, CallState::Done) => "GIVEN",
            (CallKind::Give, CallState::Failed) => "NOT_GIVEN",
            (CallKind::Spend, CallState::Done) => "SPENT",
            (CallKind::Spend, CallState::Failed) => "RELEASED",
            (CallKind::Undo, CallState::Done) => "UNDONE",
            _ => return,
        };
        let fen = settled.amount.0.unsigned_abs();
        self.metrics.vouchers(state, settled.vouchers, fen);
    }
}
