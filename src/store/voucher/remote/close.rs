//! Ending by hand what a platform left in doubt: two people have found out.

use super::super::super::Store;
use super::super::super::entity::remote_call::Model;
use super::super::super::request::{Call, Claimed};
use super::super::super::tx::{Fault, Tx};
use super::super::{Access, ByOrder, OrderView};
use super::settle::By;
use super::{RemoteFate, to_json};
use crate::domain::approval::{Need, Rule};
use crate::domain::id::{OrderId, ShopId};
use crate::domain::remote_voucher::RemoteId;
use crate::domain::voucher::{CallKind, CallState, Verdict};
use crate::domain::{Error, Reason, Result};

/// What people found out.
#[derive(Clone, Debug)]
pub struct Closing {
    /// The order.
    pub order: OrderId,
    /// The call of it.
    pub line: i32,
    /// What is true.
    pub verdict: Verdict,
    /// The platform's number of the voucher that was given.
    pub voucher: Option<RemoteId>,
    /// The platform's numbers of the order.
    pub orders: Vec<RemoteId>,
    /// How they know.
    pub reason: String,
}

impl Store {
    /// Ends a call that waits for people, once a second person has agreed.
    ///
    /// # Errors
    /// ORDER_NOT_FOUND, NOT_IN_REVIEW, APPROVAL_REQUIRED, APPROVAL_REJECTED, field errors.
    pub async fn close_remote(
        &self,
        call: Call,
        shop: ShopId,
        access: Access,
        closing: Closing,
    ) -> Result<OrderView> {
        let (end, store) = (call.end(), self.clone());
        let done = self.write_or_try(end, move |tx| {
            let (call, closing, store) = (call.clone(), closing.clone(), store.clone());
            Box::pin(async move {
                let by = ByOrder::Id(closing.order);
                let order = super::super::order::find_order(tx, shop, access, &by).await?;
                let replayed = tx.claim_request(&call, order.id.0, None).await? != Claimed::New;
                if !replayed {
                    let closed = tx.close_remote(&store, &call, shop, &closing).await;
                    if let Err(error) = tx.or_wait(&call, closed).await? {
                        return Ok(Err(error));
                    }
                }
                let at = tx.clock(&store).await?;
                let mut views = super::super::read::orders(tx, &store, &[order.id], at).await?;
                let view = views.remove(&order.id);
                let mut view =
                    view.ok_or_else(|| Error::internal("an order is gone", "voucher"))?;
                view.replayed = replayed;
                Ok(Ok(view))
            })
        });
        done.await?
    }
}

impl Tx {
    async fn close_remote(
        &self,
        store: &Store,
        call: &Call,
        shop: ShopId,
        closing: &Closing,
    ) -> Result<(), Fault> {
        let calls = self.calls_of(closing.order).await?;
        let known = calls.iter().any(|call| call.line == closing.line);
        if calls.is_empty() {
            return Err(closed(closing.order, "none").into());
        }
        if !known {
            let text = "the order has no call of this line; GetVoucherOrder lists them";
            return Err(Error::field("line", Reason::IdInvalid, text.to_owned()).into());
        }
        let (desk, order, kept) = self.open_call(store, closing.order, closing.line).await?;
        if kept.state != CallState::Review {
            return Err(closed(order.id, kept.state.name()).into());
        }
        let fate = fate(kept.kind, closing)?;
        if let (Some(id), Some(number)) = (kept.voucher_id, &closing.voucher)
            && self.is_known(id, number).await?
        {
            let text = "another voucher of this product has that number";
            let error = Error::field("remote_voucher_id", Reason::IdInvalid, text.to_owned());
            return Err(error.into());
        }
        let need = Need {
            count: 1,
            amount: order.amount_fen,
            ..Need::new(
                Rule::CloseReview,
                Some(shop),
                format!(
                    "end the {} of voucher order {}, line {} ({} yuan), as {}: {}",
                    kept.kind.name(),
                    order.id,
                    closing.line,
                    order.amount_fen,
                    closing.verdict.name(),
                    closing.reason
                ),
            )
        };
        self.demand(call, Some(need)).await?;
        let approval = self.used_approval(call).await?;
        let why = format!(
            "{}: {} ({}: {})",
            closing.verdict.name(),
            closing.reason,
            approval.decider,
            approval.reason
        );
        let orders = to_json(&closing.orders)?;
        let next = Model {
            state: match closing.verdict {
                Verdict::Done => CallState::Done,
                Verdict::NotDone => CallState::Failed,
            },
            codes_cipher: None,
            fence: kept.fence + 1,
            remote_orders: match closing.orders.is_empty() {
                true => kept.remote_orders.clone(),
                false => orders,
            },
            ..kept
        };
        let by = By {
            actor: &call.actor,
            reason: Some(&why),
        };
        self.end_call(desk, order, next, &fate, &by).await
    }
}

fn closed(order: OrderId, state: &str) -> Error {
    let text = "this call is not for people to decide; only one that is in REVIEW is";
    Error::new(Reason::NotInReview, text.to_owned())
        .fact("order_id", order)
        .fact("state", state)
}

/// What a verdict proves.
fn fate(kind: CallKind, closing: &Closing) -> Result<RemoteFate> {
    let refuse = |field: &'static str, reason: Reason, text: &str| {
        Err(Error::field(field, reason, text.to_owned()))
    };
    match (closing.verdict, kind, &closing.voucher) {
        (Verdict::NotDone, _, None) => Ok(RemoteFate::NotDone {
            code: Verdict::NotDone.name().to_owned(),
        }),
        (Verdict::Done, CallKind::Give, Some(voucher)) => Ok(RemoteFate::Given {
            voucher: voucher.clone(),
            window: None,
            order: closing.orders.first().cloned(),
        }),
        (Verdict::Done, CallKind::Give, None) => refuse(
            "remote_voucher_id",
            Reason::FieldRequired,
            "required: the number of the voucher that was given there",
        ),
        (Verdict::Done, CallKind::Spend | CallKind::Undo, None) => Ok(RemoteFate::Turned {
            orders: closing.orders.clone(),
        }),
        (_, _, Some(_)) => refuse(
            "remote_voucher_id",
            Reason::FieldNotAllowed,
            "only a gift that was given has a new number",
        ),
    }
}
