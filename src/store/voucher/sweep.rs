//! Housekeeping: what has expired is written down and goes back to the budget, and
//! holds that are over are let go of. Nothing depends on when it happens.

use std::collections::BTreeSet;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::super::Store;
use super::super::entity::{voucher, voucher_order};
use super::super::tx::{Fault, Tx};
use super::desk::{Desk, Happening};
use super::hand::back;
use super::order::{OrderChange, distinct, turn};
use super::owner::People;
use crate::domain::id::{OrderId, VoucherId};
use crate::domain::voucher::{OrderState, VoucherState};
use crate::domain::{Fen, Result};

/// Who does it, in the journal.
const SWEEPER: &str = "sweeper";

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Vouchers that are written down as expired.
    pub expired: u64,
    /// What was left on them.
    pub freed: Fen,
    /// Holds that were let go of.
    pub released: u64,
    /// The vouchers that they held.
    pub let_go: u64,
    /// How much of them.
    pub held: Fen,
}

impl Store {
    /// Writes down at most so many ends.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn sweep_vouchers(&self, most: u64) -> Result<Swept> {
        let (vouchers, orders) = self.overdue(most).await?;
        if vouchers.is_empty() && orders.is_empty() {
            return Ok(Swept::default());
        }
        let store = self.clone();
        self.write(move |tx| {
            let (store, vouchers, orders) = (store.clone(), vouchers.clone(), orders.clone());
            Box::pin(async move { tx.sweep(&store, vouchers, orders).await })
        })
        .await
    }

    async fn overdue(&self, most: u64) -> Result<(BTreeSet<VoucherId>, Vec<OrderId>)> {
        use super::super::tx::to_error;
        let now = self.now().await?;
        let vouchers: Vec<VoucherId> = voucher::Entity::find()
            .select_only()
            .column(voucher::Column::Id)
            .filter(voucher::Column::State.is_in([VoucherState::Issued, VoucherState::Frozen]))
            .filter(voucher::Column::EndTime.lte(now))
            .order_by_asc(voucher::Column::EndTime)
            .limit(most)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let orders: Vec<OrderId> = voucher_order::Entity::find()
            .select_only()
            .column(voucher_order::Column::Id)
            .filter(voucher_order::Column::HoldUntil.lte(now))
            .order_by_asc(voucher_order::Column::HoldUntil)
            .limit(most)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)?;
        Ok((vouchers.into_iter().collect(), orders))
    }
}

impl Tx {
    async fn sweep(
        &self,
        store: &Store,
        vouchers: BTreeSet<VoucherId>,
        orders: Vec<OrderId>,
    ) -> Result<Swept, Fault> {
        let lines = self.lines_of(&orders).await?;
        let held = lines.iter().map(|line| line.voucher_id);
        let all: BTreeSet<VoucherId> = vouchers.iter().copied().chain(held).collect();
        let mut desk = Desk::open(self, store, People::default(), all, Vec::new()).await?;
        let now = desk.now;
        let mut swept = Swept::default();
        let orders = self.lock_orders(&distinct(&lines)).await?;
        let over: Vec<OrderId> = orders
            .into_iter()
            .filter(|order| order.hold_until.is_some_and(|end| now >= end))
            .map(|order| order.id)
            .collect();
        let lines: Vec<_> = lines
            .into_iter()
            .filter(|line| over.contains(&line.order_id))
            .collect();
        turn(&mut desk, &lines, OrderChange::Release, SWEEPER)?;
        if !over.is_empty() {
            swept.let_go = u64::try_from(lines.len()).unwrap_or(u64::MAX);
            let held = lines.iter().map(|line| line.amount_fen);
            swept.held = Fen::checked_sum(held).unwrap_or(Fen::ZERO);
            swept.released = u64::try_from(over.len()).unwrap_or(u64::MAX);
            self.turn_orders(&over, OrderState::Released, None, now)
                .await?;
        }
        for id in vouchers {
            let open = |state| matches!(state, VoucherState::Issued | VoucherState::Frozen);
            let row = desk
                .voucher(id)
                .filter(|row| open(row.state) && now >= row.end_time);
            let Some(left) = row.map(|row| row.balance_fen) else {
                continue;
            };
            let happening = Happening {
                kind: "EXPIRED",
                posting: back(left),
                order: None,
                reason: None,
                actor: SWEEPER,
            };
            desk.change(id, |row| row.state = VoucherState::Expired, happening)?;
            swept.expired += 1;
            swept.freed = Fen(swept.freed.0.saturating_add(left.0));
        }
        desk.close().await?;
        Ok(swept)
    }
}
