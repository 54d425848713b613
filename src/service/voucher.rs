//! Giving and spending vouchers: what an owner confirms is checked first, in a
//! transaction of its own; then the order is made together with its neighbours.

use std::fmt::Debug;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::gather::{Gatherer, Slice};
use super::issue::Pause;
use crate::domain::voucher::{Remote, VoucherCode};
use crate::domain::{Fen, Result};
use crate::store::Store;
use crate::store::voucher::{
    Access, Brought, ByOrder, ByVoucher, Claim, Command, Confirmed, Hand, OrderView, VoucherView,
    Wanted,
};
use crate::telemetry::Metrics;

/// Holds what an owner confirms a spend with against what he has. One that asks
/// another system may stand in for the one that is built in.
pub trait StepUpCheck: Debug + Send + Sync {
    /// What is confirmed. It counts what is wrong, also if the spend is refused later.
    fn check(&self, claim: Claim) -> BoxFuture<'_, Result<Confirmed>>;
}

/// The built-in check: codes that CreateAccountCode and SetPaymentCode have made.
#[derive(Clone, Debug)]
pub struct StoredCodes(pub Store);

impl StepUpCheck for StoredCodes {
    fn check(&self, claim: Claim) -> BoxFuture<'_, Result<Confirmed>> {
        Box::pin(self.0.check_step_up(claim))
    }
}

/// Orders, made by the store.
#[derive(Clone, Debug)]
struct Orders(Store);

impl Slice for Orders {
    type Command = Command;
    type Done = OrderView;

    fn size(command: &Command) -> usize {
        command.wanted.size()
    }

    async fn run(&self, commands: Vec<Command>) -> Result<Vec<Result<OrderView>>> {
        self.0.voucher_orders(commands).await
    }
}

/// Gives and spends. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vouchers {
    store: Store,
    metrics: Metrics,
    check: Arc<dyn StepUpCheck>,
    /// Told when a platform is to be asked.
    wake: Arc<Notify>,
    gatherer: Gatherer<Orders>,
}

impl Vouchers {
    /// Starts the task that makes orders. It ends when the last clone is dropped.
    #[must_use]
    pub fn start(
        store: Store,
        metrics: Metrics,
        check: Arc<dyn StepUpCheck>,
        wake: Arc<Notify>,
        tracker: &TaskTracker,
    ) -> Self {
        let gatherer = Gatherer::start(Orders(store.clone()), None, tracker);
        Self {
            store,
            metrics,
            check,
            wake,
            gatherer,
        }
    }

    /// Makes one order, all of it or nothing. `claim` is what the caller brings for the
    /// owner to confirm, if anything.
    ///
    /// # Errors
    /// What the rules refuse; STEP_UP_WRONG, STEP_UP_LOCKED, CODE_LOCKED;
    /// SERVER_OVERLOADED, DATABASE_UNAVAILABLE.
    pub async fn order(&self, mut command: Command, claim: Option<Claim>) -> Result<OrderView> {
        let trial = command.call.validate_only;
        if let Wanted::Spend {
            uses, confirmed, ..
        } = &mut command.wanted
        {
            let codes: Vec<VoucherCode> = uses
                .iter()
                .filter_map(|used| match &used.voucher {
                    ByVoucher::Code(code) => Some(code.clone()),
                    ByVoucher::Id(_) | ByVoucher::Number(..) => None,
                })
                .collect();
            if !codes.is_empty() {
                let whose = (command.call.app, command.shop);
                let request = command.call.request.clone();
                self.store.count_guesses(whose, request, codes).await?;
            }
            if let Some(claim) = claim {
                let elsewhere = self.store.live_elsewhere(claim.shop, &claim.vouchers);
                *confirmed = match elsewhere.await? {
                    // The platform checks it.
                    true => Confirmed {
                        brought: Brought(claim.codes),
                        ..Confirmed::default()
                    },
                    false => self.check.check(claim).await?,
                };
            }
        }
        let done = match trial {
            true => self.gatherer.alone(command).await?,
            false => self.gatherer.together(command).await?,
        };
        if !trial && !done.replayed {
            self.made(&done);
        }
        Ok(done)
    }

    /// Tells of an order's change: what is to be done on a platform is counted when it is
    /// done.
    pub fn made(&self, order: &OrderView) {
        match order.row.remote {
            None => self.count(order),
            Some(_) => self.wake.notify_waiters(),
        }
    }

    /// Waits until the platform of an order's vouchers has said what became of it, or until
    /// then.
    ///
    /// # Errors
    /// ORDER_NOT_FOUND.
    pub async fn await_order(
        &self,
        access: Access,
        order: OrderView,
        until: Instant,
    ) -> Result<OrderView> {
        let (shop, replayed) = (order.row.shop_id, order.replayed);
        let by = ByOrder::Id(order.row.id);
        let mut pause = Pause::new(until);
        let mut now = order;
        while now.row.remote == Some(Remote::Pending) && pause.sleep().await {
            now = self.store.voucher_order(shop, access, &by).await?;
            now.replayed = replayed;
        }
        Ok(now)
    }

    /// Counts what a person did to single vouchers.
    pub fn handled(&self, hand: Hand, vouchers: &[VoucherView]) {
        let count = u64::try_from(vouchers.len()).unwrap_or(u64::MAX);
        let left = Fen::checked_sum(vouchers.iter().map(|view| view.row.balance_fen));
        let fen = left.unwrap_or(Fen::ZERO).0.unsigned_abs();
        self.metrics.vouchers(hand.kind(), count, fen);
    }

    /// Counts an order's change.
    fn count(&self, order: &OrderView) {
        let lines = u64::try_from(order.lines.len()).unwrap_or(u64::MAX);
        self.metrics.vouchers(
            order.row.shown().name(),
            lines,
            order.row.amount_fen.0.unsigned_abs(),
        );
    }
}
