//! Writing down what a platform said, and what that makes of an order and its vouchers.

use std::collections::BTreeSet;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, Set};

use super::super::super::Store;
use super::super::super::entity::remote_call::{Column, Entity, Model};
use super::super::super::entity::{remote_exchange, voucher, voucher_order};
use super::super::super::journal::insert_all;
use super::super::super::tx::{Fault, Tx};
use super::super::desk::Desk;
use super::super::owner::People;
use super::step::step;
use super::{DISPATCHER, HEARD, RemoteFate, SAID, Settlement, column};
use crate::domain::id::{ExchangeId, OrderId, VoucherId};
use crate::domain::remote_voucher::{RemoteId, Review};
use crate::domain::voucher::{CallKind, CallState, Remote};
use crate::domain::{Error, Fen, Result};

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
                name: Set(said.exchange.call.to_owned()),
                request_cipher: Set(seal(SAID, &said.exchange.request)?),
                response_cipher: Set(said
                    .exchange
                    .response
                    .as_deref()
                    .map(|bytes| seal(HEARD, bytes))
                    .transpose()?),
                http_status: Set(said.exchange.http_status.map(i32::from)),
                outcome: Set(said.outcome.clone()),
                late: Set(late),
                duration_ms: Set(said.exchange.duration_ms),
                create_time: Set(self.now().minus(said.ago)),
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
}
