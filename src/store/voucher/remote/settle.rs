//! Writing down what a platform said, and what that makes of an order and its vouchers.

use std::collections::BTreeSet;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, Set};

use super::super::super::Store;
use super::super::super::entity::remote_call::{Column, Entity, Model};
use super::super::super::entity::{remote_exchange, voucher, voucher_order};
use super::super::super::journal::insert_all;
use super::super::super::tx::{Fault, Tx};
use super::super::desk::{Desk, Happening};
use super::super::give::later;
use super::super::hand::back;
use super::super::order::{OrderChange, turn};
use super::super::owner::People;
use super::{DISPATCHER, RemoteFate, Settlement, column, to_json};
use crate::domain::id::{ExchangeId, OrderId, VoucherId};
use crate::domain::remote_voucher::{RemoteId, Review};
use crate::domain::voucher::{
    CallKind, CallState, OrderState, Remote, TRIES_MAX, VoucherState, look_after, try_after,
};
use crate::domain::{Error, Fen, Result, Timestamp};

/// The platform has done what was taken for not done: a person must look there.
const DONE_AFTER_ALL: &str = "DONE_AFTER_ALL";

/// What settling did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What the call asks.
    pub kind: CallKind,
    /// Where it stood.
    pub from: CallState,
    /// Where it stands.
    pub to: CallState,
    /// Whether the answer came after its claim was over: it moves nothing.
    pub late: bool,
    /// Vouchers that it is about.
    pub vouchers: u64,
    /// What is on them.
    pub amount: Fen,
}

/// Who settles, and why.
pub(super) struct By<'a> {
    pub(super) actor: &'a str,
    pub(super) reason: Option<&'a str>,
}

impl Store {
    /// Writes down what became of a claimed call.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE; nothing is written then.
    pub async fn settle_remote(&self, settlement: Settlement) -> Result<Settled> {
        let ids = self.ids("remote_exchange", settlement.spoken.len()).await?;
        let store = self.clone();
        self.write(move |tx| {
            let (store, settlement, ids) = (store.clone(), settlement.clone(), ids.clone());
            Box::pin(async move { tx.settle_remote(&store, &settlement, ids).await })
        })
        .await
    }
}

impl Tx {
    async fn settle_remote(
        &self,
        store: &Store,
        settlement: &Settlement,
        ids: Vec<i64>,
    ) -> Result<Settled, Fault> {
        let (order, line) = (settlement.order, settlement.line);
        let (desk, order, call) = self.open_call(store, order, line).await?;
        let open = matches!(call.state, CallState::Sending | CallState::Unknown);
        // That it was done is true whoever has it in hand by now; what was not seen may be news.
        let holds = call.fence == settlement.fence || settlement.fate.holds_late();
        let late = !open || !holds;
        self.note_exchanges(store, settlement, ids, late).await?;
        let mut settled = Settled {
            kind: call.kind,
            from: call.state,
            to: call.state,
            late,
            vouchers: desk.count(),
            amount: order.amount_fen,
        };
        if call.kind == CallKind::Give {
            settled.amount = desk.sum();
        }
        if late {
            self.note_late(&call, settlement).await?;
            return Ok(settled);
        }
        let fate = self.known_elsewhere(&call, &settlement.fate).await?;
        let mut next = step(&call, &fate, desk.now);
        next.refusal = settlement.refusal.clone().or(next.refusal);
        settled.to = next.state;
        let why = next.last_error.clone();
        let by = By {
            actor: DISPATCHER,
            reason: why.as_deref(),
        };
        self.end_call(desk, order, next, &fate, &by).await?;
        Ok(settled)
    }

    /// A late answer moves nothing by itself. A refusal is kept for the next look, which comes
    /// soon; that something was done after all is noted where people look.
    async fn note_late(&self, call: &Model, settlement: &Settlement) -> Result<(), Fault> {
        let of = |update: sea_orm::UpdateMany<Entity>| {
            update
                .filter(Column::OrderId.eq(call.order_id))
                .filter(Column::Line.eq(call.line))
        };
        let refusal = settlement.refusal.clone().or(call.refusal.clone());
        of(Entity::update_many())
            .col_expr(Column::DueTime, Expr::value(Some(self.now())))
            .col_expr(Column::Refusal, Expr::value(refusal))
            .filter(Column::State.eq(CallState::Unknown))
            .exec(self)
            .await?;
        let done = matches!(
            settlement.fate,
            RemoteFate::Given { .. } | RemoteFate::Turned { .. }
        );
        if done && call.state == CallState::Failed {
            let after_all = || Expr::value(Some(DONE_AFTER_ALL.to_owned()));
            of(Entity::update_many())
                .col_expr(Column::LastError, after_all())
                .exec(self)
                .await?;
            voucher_order::Entity::update_many()
                .col_expr(voucher_order::Column::LastError, after_all())
                .filter(voucher_order::Column::Id.eq(call.order_id))
                .exec(self)
                .await?;
        }
        Ok(())
    }

    /// A number that another voucher of the product has here is no proof: people look.
    async fn known_elsewhere(&self, call: &Model, fate: &RemoteFate) -> Result<RemoteFate, Fault> {
        let (
            RemoteFate::Given {
                voucher: number, ..
            },
            Some(id),
        ) = (fate, call.voucher_id)
        else {
            return Ok(fate.clone());
        };
        Ok(match self.is_known(id, number).await? {
            true => RemoteFate::Review {
                code: Review::KnownVoucher.code().to_owned(),
            },
            false => fate.clone(),
        })
    }

    /// Whether another voucher of the same product has a number of its platform.
    pub(super) async fn is_known(&self, id: VoucherId, number: &RemoteId) -> Result<bool, Fault> {
        use voucher::Column as V;
        let product = sea_orm::sea_query::Query::select()
            .column(V::ProductId)
            .from(voucher::Entity)
            .and_where(V::Id.eq(id))
            .to_owned();
        let other = voucher::Entity::find()
            .filter(V::ProductId.in_subquery(product))
            .filter(V::RemoteId.eq(number.as_str()))
            .filter(V::Id.ne(id));
        Ok(other.one(self).await?.is_some())
    }

    /// A call with what it is about, locked in the order of all units: vouchers, the order,
    /// the call.
    pub(super) async fn open_call<'t>(
        &'t self,
        store: &'t Store,
        order: OrderId,
        line: i32,
    ) -> Result<(Desk<'t>, voucher_order::Model, Model), Fault> {
        let gone = || Error::internal("a call is gone", "voucher");
        let call = Entity::find_by_id((order, line)).one(self).await?;
        let vouchers: BTreeSet<VoucherId> = match call.ok_or_else(gone)?.voucher_id {
            Some(voucher) => BTreeSet::from([voucher]),
            None => {
                let lines = self.lines_of(&[order]).await?;
                lines.iter().map(|line| line.voucher_id).collect()
            }
        };
        let desk = Desk::open(self, store, People::default(), vouchers, Vec::new()).await?;
        let order = self.lock_orders(&[order]).await?.pop().ok_or_else(gone)?;
        let call = Entity::find_by_id((order.id, line))
            .lock_exclusive()
            .one(self)
            .await?
            .ok_or_else(gone)?;
        Ok((desk, order, call))
    }

    async fn note_exchanges(
        &self,
        store: &Store,
        settlement: &Settlement,
        ids: Vec<i64>,
        late: bool,
    ) -> Result<(), Fault> {
        let seal = |what: &str, bytes: &[u8]| {
            let column = column(what, settlement.order, settlement.line);
            store.keys().seal(&column, bytes)
        };
        let rows = settlement.spoken.iter().zip(ids).map(|(said, id)| {
            Ok(remote_exchange::ActiveModel {
                id: Set(ExchangeId(id)),
                order_id: Set(settlement.order),
                line: Set(settlement.line),
                name: Set(said.call.to_owned()),
                request_cipher: Set(seal("said", &said.request)?),
                response_cipher: Set(said
                    .response
                    .as_deref()
                    .map(|bytes| seal("heard", bytes))
                    .transpose()?),
                http_status: Set(said.http_status.map(i32::from)),
                late: Set(late),
                duration_ms: Set(said.duration_ms),
                create_time: Set(self.now()),
            })
        });
        let rows: Result<Vec<_>> = rows.collect();
        insert_all::<remote_exchange::Entity, _>(self, rows?).await
    }

    /// Writes the call as it is now, and what that does to its order and its vouchers.
    pub(super) async fn end_call(
        &self,
        mut desk: Desk<'_>,
        order: voucher_order::Model,
        next: Model,
        fate: &RemoteFate,
        by: &By<'_>,
    ) -> Result<(), Fault> {
        let (key, now) = ((next.order_id, next.line), desk.now);
        let error = next.last_error.clone();
        let (kind, state) = (next.kind, next.state);
        Entity::update_many()
            .col_expr(Column::State, Expr::value(next.state))
            .col_expr(Column::CodesCipher, Expr::value(next.codes_cipher))
            .col_expr(Column::Baseline, Expr::value(next.baseline))
            .col_expr(Column::Refusal, Expr::value(next.refusal))
            .col_expr(Column::LastError, Expr::value(next.last_error))
            .col_expr(Column::RemoteOrders, Expr::value(next.remote_orders))
            .col_expr(Column::SentTime, Expr::value(next.sent_time))
            .col_expr(Column::EndedTime, Expr::value(next.ended_time))
            .col_expr(Column::DueTime, Expr::value(next.due_time))
            .col_expr(Column::Tries, Expr::value(next.tries))
            .col_expr(Column::Fence, Expr::value(next.fence))
            .col_expr(Column::UpdateTime, Expr::value(now))
            .filter(Column::OrderId.eq(key.0))
            .filter(Column::Line.eq(key.1))
            .exec(self)
            .await?;
        match state {
            CallState::Done => self.done(&mut desk, &order, kind, key.1, fate, by).await?,
            CallState::Failed => self.not_done(&mut desk, &order, kind, by).await?,
            CallState::Queued | CallState::Sending | CallState::Unknown | CallState::Review => {}
        }
        desk.close().await?;
        let states: Vec<CallState> = match kind {
            CallKind::Give => {
                let calls = self.calls_of(order.id).await?;
                calls.iter().map(|call| call.state).collect()
            }
            CallKind::Spend | CallKind::Undo => vec![state],
        };
        use voucher_order::Column as O;
        voucher_order::Entity::update_many()
            .col_expr(O::Remote, Expr::value(Some(Remote::of(kind, &states))))
            .col_expr(O::LastError, Expr::value(error))
            .col_expr(O::UpdateTime, Expr::value(now))
            .filter(O::Id.eq(order.id))
            .exec(self)
            .await?;
        Ok(())
    }

    async fn done(
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

    async fn not_done(
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
    fn count(&self) -> u64 {
        self.rows().count().try_into().unwrap_or(u64::MAX)
    }

    /// What they are worth.
    fn sum(&self) -> Fen {
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

/// The call as an answer leaves it.
fn step(call: &Model, fate: &RemoteFate, now: Timestamp) -> Model {
    let first = call.state == CallState::Sending;
    let mut next = Model {
        due_time: None,
        last_error: None,
        ended_time: call.ended_time.map(|ended| if first { now } else { ended }),
        ..call.clone()
    };
    match fate {
        RemoteFate::Later { code, unsent: true } if call.tries + 1 >= TRIES_MAX => {
            next.state = CallState::Failed;
            next.last_error = Some(code.clone());
        }
        RemoteFate::Given { order, .. } => {
            next.state = CallState::Done;
            next.remote_orders = names(order.iter());
        }
        RemoteFate::Turned { orders } => {
            next.state = CallState::Done;
            next.remote_orders = names(orders.iter());
        }
        RemoteFate::NotDone { code } => {
            next.state = CallState::Failed;
            next.last_error = Some(code.clone());
        }
        RemoteFate::Review { code } => {
            next.state = CallState::Review;
            next.last_error = Some(code.clone());
        }
        RemoteFate::Later { code, unsent: true } | RemoteFate::Waits { code } => {
            let waits = matches!(fate, RemoteFate::Waits { .. });
            next.state = CallState::Queued;
            next.tries = call.tries + i32::from(!waits);
            let tries = if waits { 0 } else { call.tries };
            next.due_time = Some(now.plus(try_after(tries)));
            next.last_error = Some(code.clone());
            (next.sent_time, next.ended_time, next.baseline) = (None, None, None);
        }
        RemoteFate::Later {
            code,
            unsent: false,
        } => {
            next.state = CallState::Unknown;
            let looks = if first { 0 } else { call.tries };
            next.tries = looks + 1;
            next.due_time = Some(now.plus(look_after(looks)));
            // A look that finds nothing says less than what went wrong at first.
            let kept = call.last_error.clone().filter(|_| !first);
            next.last_error = kept.or(Some(code.clone()));
        }
    }
    // What has left is not sent again, so what confirmed it is of no use any more.
    if next.state != CallState::Queued {
        next.codes_cipher = None;
    }
    next
}

fn names<'a>(ids: impl Iterator<Item = &'a RemoteId>) -> String {
    to_json(&ids.collect::<Vec<_>>()).unwrap_or_else(|_| "[]".to_owned())
}
