//! What the end of a call does to vouchers and orders, at the desk.

use super::super::super::entity::{voucher, voucher_order};
use super::super::super::tx::{Fault, Tx};
use super::super::desk::{Desk, Happening};
use super::super::give::later;
use super::super::hand::back;
use super::super::order::{OrderChange, turn};
use super::RemoteFate;
use super::settle::By;
use crate::domain::id::{OrderId, VoucherId};
use crate::domain::remote_voucher::RemoteId;
use crate::domain::voucher::{CallKind, OrderState, VoucherState};
use crate::domain::{Error, Fen, Result, Timestamp};

impl Tx {
    pub(super) async fn done(
        &self,
        desk: &mut Desk<'_>,
        order: &voucher_order::Model,
        kind: CallKind,
        line: i32,
        fate: &RemoteFate,
        by: &By<'_>,
    ) -> Result<(), Fault> {
        match (kind, fate) {
            (
                CallKind::Give,
                RemoteFate::Given {
                    voucher, window, ..
                },
            ) => {
                desk.given_there(order.id, line, voucher, *window, by)?;
            }
            (CallKind::Give, _) => {
                return Err(Error::internal("a gift has no number", "remote").into());
            }
            (CallKind::Spend, _) => {
                // It is done, whatever the products say by now.
                self.turn_there(desk, order, OrderChange::SpendReserved, by)
                    .await?;
            }
            (CallKind::Undo, _) => self.turn_there(desk, order, OrderChange::Undo, by).await?,
        }
        Ok(())
    }

    pub(super) async fn not_done(
        &self,
        desk: &mut Desk<'_>,
        order: &voucher_order::Model,
        kind: CallKind,
        by: &By<'_>,
    ) -> Result<(), Fault> {
        match kind {
            CallKind::Give => desk.not_given(order.id, by)?,
            CallKind::Spend => {
                self.turn_there(desk, order, OrderChange::Release, by)
                    .await?
            }
            // It stays spent.
            CallKind::Undo => {}
        }
        Ok(())
    }

    async fn turn_there(
        &self,
        desk: &mut Desk<'_>,
        order: &voucher_order::Model,
        change: OrderChange,
        by: &By<'_>,
    ) -> Result<(), Fault> {
        let lines = self.lines_of(&[order.id]).await?;
        turn(desk, &lines, change, by.actor)?;
        let undo = desk.forget_spends();
        let (state, until) = match change {
            OrderChange::SpendReserved => (OrderState::Spent, Some(later(desk.now, undo))),
            OrderChange::Release => (OrderState::Released, None),
            OrderChange::Undo => (OrderState::Undone, None),
        };
        self.turn_orders(&[order.id], state, until, desk.now).await
    }
}

impl Desk<'_> {
    /// How many vouchers there are.
    pub(super) fn count(&self) -> u64 {
        self.rows().count().try_into().unwrap_or(u64::MAX)
    }

    /// What they are worth.
    pub(super) fn sum(&self) -> Fen {
        Fen::checked_sum(self.rows().map(|row| row.face_fen)).unwrap_or(Fen::ZERO)
    }

    fn pending(&self) -> Result<VoucherId> {
        let mut rows = self.rows();
        let row = rows.find(|row| row.state == VoucherState::Pending);
        row.map(|row| row.id)
            .ok_or_else(|| Error::internal("a gift is not pending", "remote"))
    }

    fn given_there(
        &mut self,
        order: OrderId,
        line: i32,
        voucher: &RemoteId,
        window: Option<(Option<Timestamp>, Timestamp)>,
        by: &By<'_>,
    ) -> Result<()> {
        let id = self.pending()?;
        tracing::debug!(order_id = order.0, line, "given there");
        let happening = Happening {
            kind: "GIVEN",
            posting: None,
            order: Some(order),
            reason: by.reason,
            actor: by.actor,
        };
        let change = |row: &mut voucher::Model| {
            row.state = VoucherState::Issued;
            row.remote_id = Some(voucher.to_string());
            // The platform judges its validity, so what it says is what holds.
            let sound = |(start, end): &(Option<Timestamp>, Timestamp)| {
                start.is_none_or(|start| start < *end)
            };
            if let Some((start, end)) = window.filter(sound) {
                (row.start_time, row.end_time) = (start, end);
            }
        };
        self.change(id, change, happening)
    }

    fn not_given(&mut self, order: OrderId, by: &By<'_>) -> Result<()> {
        let id = self.pending()?;
        let balance = self.voucher(id).map_or(Fen::ZERO, |row| row.balance_fen);
        let happening = Happening {
            kind: "NOT_GIVEN",
            posting: back(balance),
            order: Some(order),
            reason: by.reason,
            actor: by.actor,
        };
        self.change(id, |row| row.state = VoucherState::Voided, happening)
    }

    /// What was done elsewhere does not ask whether the products are open here. The shortest
    /// of their windows for an undo, in seconds.
    fn forget_spends(&mut self) -> i64 {
        let mut undo = i64::MAX;
        for shelf in self.shelves.values_mut() {
            shelf.spends = false;
            undo = undo.min(shelf.row.undo_seconds);
        }
        undo
    }
}
