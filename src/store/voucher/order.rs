//! What becomes of an order: a spend is undone, a hold is spent or let go of.

use std::collections::BTreeSet;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::super::Store;
use super::super::entity::{voucher, voucher_order, voucher_redemption};
use super::super::request::{Call, Claimed};
use super::super::tx::{Fault, Tx};
use super::access::{May, not_allowed};
use super::desk::{Desk, Happening, Shelf};
use super::give::later;
use super::owner::People;
use super::spend::{spent, take_from};
use super::{Access, ByOrder, OrderView};
use crate::domain::id::{OrderId, ShopId};
use crate::domain::ledger::Posting;
use crate::domain::state::Position;
use crate::domain::voucher::{OrderKind, OrderState, Remote, VoucherState};
use crate::domain::{Error, Fen, Reason, Result, Timestamp};

/// What is asked of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderChange {
    /// Take a spend back.
    Undo,
    /// Spend what is held.
    SpendReserved,
    /// Let go of what is held.
    Release,
}

impl OrderChange {
    /// The state that it asks for, and the one that it leads to.
    fn edge(self) -> (OrderState, OrderState) {
        match self {
            Self::Undo => (OrderState::Spent, OrderState::Undone),
            Self::SpendReserved => (OrderState::Reserved, OrderState::Spent),
            Self::Release => (OrderState::Reserved, OrderState::Released),
        }
    }

    /// What the history of a voucher calls it.
    fn kind(self) -> &'static str {
        match self {
            Self::Undo => "UNDONE",
            Self::SpendReserved => "SPENT",
            Self::Release => "RELEASED",
        }
    }
}

impl Store {
    /// Changes an order, the whole of it.
    ///
    /// # Errors
    /// ORDER_NOT_FOUND, ORDER_STATE, UNDO_TOO_LATE, PRODUCT_PAUSED, STOPPED.
    pub async fn change_order(
        &self,
        call: Call,
        shop: ShopId,
        access: Access,
        by: ByOrder,
        change: OrderChange,
    ) -> Result<OrderView> {
        let (end, store) = (call.end(), self.clone());
        self.write_or_try(end, move |tx| {
            let (call, by, store) = (call.clone(), by.clone(), store.clone());
            Box::pin(async move {
                let row = find_order(tx, shop, access, &by).await?;
                let claimed = tx.claim_request(&call, row.id.0, None).await?;
                let replayed = claimed != Claimed::New;
                if !replayed {
                    tx.change_order(&store, &call, (shop, access), row.id, change)
                        .await?;
                }
                let at = tx.clock(&store).await?;
                let mut views = super::read::orders(tx, &store, &[row.id], at).await?;
                let mut view = views.remove(&row.id).ok_or_else(|| missing(&by))?;
                view.replayed = replayed;
                Ok(view)
            })
        })
        .await
    }
}

impl Tx {
    async fn change_order(
        &self,
        store: &Store,
        call: &Call,
        (shop, access): (ShopId, Access),
        id: OrderId,
        change: OrderChange,
    ) -> Result<(), Fault> {
        // Before vouchers are locked, as gifts and spends do.
        let stopped = match change {
            OrderChange::SpendReserved => self.stopped_for_vouchers(shop).await?,
            OrderChange::Undo | OrderChange::Release => Vec::new(),
        };
        // The lines of an order never change, so they are read before they are locked.
        let lines = self.lines_of(&[id]).await?;
        let vouchers = lines.iter().map(|line| line.voucher_id).collect();
        let mut desk = Desk::open(self, store, People::default(), vouchers, Vec::new()).await?;
        let order = self.lock_orders(&[id]).await?.pop();
        let order = order.ok_or_else(|| Error::internal("an order is gone", "voucher"))?;
        judge(&order, change, desk.now)?;
        if change != OrderChange::Release {
            // Letting go is always allowed; money moves only for who may spend today.
            let grants = access.grants(self, desk.shelves.keys().copied()).await?;
            let refused = |shelf: &&Shelf| !access.may(&shelf.row, &grants, May::Spend);
            if let Some(shelf) = desk.shelves.values().find(refused) {
                return Err(not_allowed(shelf.row.id, May::Spend).into());
            }
        }
        if change == OrderChange::SpendReserved {
            if let Some(error) = Error::all(stopped) {
                return Err(error.into());
            }
            for shelf in desk.shelves.values() {
                if let Some(error) = shelf.row.standing().unspendable() {
                    return Err(error.into());
                }
            }
        }
        if order.remote.is_some() {
            // Spent there: it is undone when the platform says so.
            self.ask_to_undo(&mut desk, &order).await?;
            self.await_platform(order.id, desk.now).await?;
            return desk.close().await;
        }
        turn(&mut desk, &lines, change, &call.actor)?;
        let undo = desk
            .shelves
            .values()
            .map(|shelf| shelf.row.undo_seconds)
            .min();
        let (_, state) = change.edge();
        let until = undo.filter(|_| state == OrderState::Spent);
        let until = until.map(|seconds| later(desk.now, seconds));
        self.turn_orders(&[id], state, until, desk.now).await?;
        desk.close().await
    }

    /// A platform is asked, so the order waits for it.
    async fn await_platform(&self, id: OrderId, now: Timestamp) -> Result<(), Fault> {
        use voucher_order::Column;
        voucher_order::Entity::update_many()
            .col_expr(Column::Remote, Expr::value(Some(Remote::Pending)))
            .col_expr(Column::UpdateTime, Expr::value(now))
            .filter(Column::Id.eq(id))
            .exec(self)
            .await?;
        Ok(())
    }

    /// The uses of vouchers by some spends, in order.
    pub(super) async fn lines_of(
        &self,
        orders: &[OrderId],
    ) -> Result<Vec<voucher_redemption::Model>, Fault> {
        use voucher_redemption::Column;
        Ok(voucher_redemption::Entity::find()
            .filter(Column::OrderId.is_in(orders.iter().copied()))
            .order_by_asc(Column::OrderId)
            .order_by_asc(Column::Line)
            .all(self)
            .await?)
    }

    /// Orders, locked by id.
    pub(super) async fn lock_orders(
        &self,
        ids: &[OrderId],
    ) -> Result<Vec<voucher_order::Model>, Fault> {
        use voucher_order::Column;
        Ok(voucher_order::Entity::find()
            .filter(Column::Id.is_in(ids.iter().copied()))
            .order_by_asc(Column::Id)
            .lock_exclusive()
            .all(self)
            .await?)
    }

    /// Writes the new state of orders that are locked, and of their uses.
    pub(super) async fn turn_orders(
        &self,
        ids: &[OrderId],
        state: OrderState,
        undo_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        use voucher_order::Column as O;
        use voucher_redemption::Column as R;
        voucher_order::Entity::update_many()
            .col_expr(O::State, Expr::value(state))
            .col_expr(O::HoldUntil, Expr::value(None::<Timestamp>))
            .col_expr(O::UndoUntil, Expr::value(undo_until))
            .col_expr(O::UpdateTime, Expr::value(now))
            .filter(O::Id.is_in(ids.iter().copied()))
            .exec(self)
            .await?;
        voucher_redemption::Entity::update_many()
            .col_expr(R::State, Expr::value(state))
            .filter(R::OrderId.is_in(ids.iter().copied()))
            .exec(self)
            .await?;
        Ok(())
    }
}

/// Changes the vouchers of an order's lines.
pub(super) fn turn(
    desk: &mut Desk<'_>,
    lines: &[voucher_redemption::Model],
    change: OrderChange,
    actor: &str,
) -> Result<()> {
    for line in lines {
        let amount = line.amount_fen;
        let row = desk.voucher(line.voucher_id);
        let row = row.ok_or_else(|| Error::internal("a voucher is gone", "voucher"))?;
        let product = row.product_id;
        let gone = matches!(row.state, VoucherState::Voided | VoucherState::Expired);
        let posting = match change {
            OrderChange::Release => None,
            OrderChange::SpendReserved => spent(amount),
            // Void or expired meanwhile: it is free again, instead of on the voucher.
            OrderChange::Undo if gone => {
                Posting::of_voucher(Position::Redeemed, Position::Available, amount)
            }
            OrderChange::Undo => {
                Posting::of_voucher(Position::Redeemed, Position::Liability, amount)
            }
        };
        let happening = Happening {
            kind: change.kind(),
            posting,
            order: Some(line.order_id),
            reason: None,
            actor,
        };
        let apply = |row: &mut voucher::Model| match change {
            OrderChange::Release => {
                row.state = VoucherState::Issued;
                row.hold_order_id = None;
            }
            OrderChange::SpendReserved => take_from(row, amount),
            OrderChange::Undo => {
                row.balance_fen = Fen(row.balance_fen.0.saturating_add(amount.0));
                if row.state == VoucherState::Spent {
                    row.state = VoucherState::Issued;
                }
            }
        };
        desk.change(line.voucher_id, apply, happening)?;
        if change == OrderChange::SpendReserved {
            desk.shelf_mut(product)?.spends = true;
        }
    }
    Ok(())
}

fn judge(order: &voucher_order::Model, change: OrderChange, now: Timestamp) -> Result<()> {
    let (from, _) = change.edge();
    let refuse = |text: String| {
        Err(Error::new(Reason::OrderState, text)
            .fact("order_id", order.id)
            .fact("state", order.shown().name()))
    };
    if matches!(order.remote, Some(Remote::Pending | Remote::Review)) {
        let text = "a call to the platform of its vouchers is under way or in doubt; GetVoucherOrder says how it goes";
        return refuse(text.to_owned());
    }
    if order.kind != OrderKind::Spend {
        return refuse("this order is a gift; VoidVouchers takes vouchers back".to_owned());
    }
    if order.state != from {
        return refuse(format!(
            "the order is {}, it must be {} for this",
            order.shown().name(),
            from.name()
        ));
    }
    if change == OrderChange::SpendReserved && order.hold_until.is_some_and(|end| now >= end) {
        return refuse(
            "hold_until has come, the vouchers are let go of; spend them anew".to_owned(),
        );
    }
    match order.undo_until {
        Some(until) if change == OrderChange::Undo && now >= until => {
            let text = "the time in which this order could be undone has passed".to_owned();
            let error = Error::new(Reason::UndoTooLate, text).fact("order_id", order.id);
            Err(error.fact("undo_until", until))
        }
        _ => Ok(()),
    }
}

/// An order that the caller may see: an app its own, a person any of the shop.
pub(super) async fn find_order(
    db: &impl ConnectionTrait,
    shop: ShopId,
    access: Access,
    by: &ByOrder,
) -> Result<voucher_order::Model, Fault> {
    use voucher_order::Column;
    let mut query = voucher_order::Entity::find().filter(Column::ShopId.eq(shop));
    query = match by {
        ByOrder::Id(id) => query.filter(Column::Id.eq(*id)),
        ByOrder::Number(number) => query
            .filter(Column::AppOrderId.eq(number.clone()))
            .filter(Column::AppId.eq(access.app)),
    };
    if !access.is_person {
        query = query.filter(Column::AppId.eq(access.app));
    }
    let row = query.one(db).await?;
    Ok(row.ok_or_else(|| missing(by))?)
}

fn missing(by: &ByOrder) -> Error {
    let text = "no such voucher order of yours in this shop".to_owned();
    let error = Error::new(Reason::OrderNotFound, text);
    match by {
        ByOrder::Id(id) => error.fact("order_id", id),
        ByOrder::Number(number) => error.fact("app_order_id", number),
    }
}

/// Ids of orders, each once.
pub(super) fn distinct(lines: &[voucher_redemption::Model]) -> Vec<OrderId> {
    let ids: BTreeSet<OrderId> = lines.iter().map(|line| line.order_id).collect();
    ids.into_iter().collect()
}
