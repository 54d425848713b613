//! What is done to single vouchers by hand: void, frozen, let go again, extended.

use std::collections::BTreeSet;
use std::sync::Arc;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::super::Store;
use super::super::entity::{journal, voucher, voucher_product};
use super::super::request::{Call, Claimed, Written};
use super::super::tx::{Fault, Tx};
use super::access::{May, not_allowed};
use super::desk::{Desk, Happening};
use super::owner::People;
use super::unit::{in_the_way, refused};
use super::{Access, VoucherView};
use crate::domain::id::{ShopId, VoucherId};
use crate::domain::ledger::Posting;
use crate::domain::state::Position;
use crate::domain::voucher::{Cause, VoucherState, unusable};
use crate::domain::{Error, Fen, Reason, Result, Timestamp};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// Make void for ever.
    Void,
    /// Freeze.
    Freeze,
    /// Let go again.
    Unfreeze,
    /// Move the end of validity.
    Extend(Timestamp),
}

impl Hand {
    /// What the history of a voucher, and metrics, call it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Void => "VOIDED",
            Self::Freeze => "FROZEN",
            Self::Unfreeze => "UNFROZEN",
            Self::Extend(_) => "EXTENDED",
        }
    }

    /// The state after, and what moves.
    fn apply(
        self,
        row: &voucher::Model,
        was_frozen: bool,
        now: Timestamp,
    ) -> Result<(VoucherState, Option<Posting>), Cause> {
        use VoucherState as S;
        let ended = now >= row.end_time;
        match (self, row.state) {
            (Self::Void, S::Issued | S::Frozen) if !ended => Ok((S::Voided, back(row.balance_fen))),
            (Self::Void, S::Issued | S::Frozen) => Err(Cause::Expired),
            (Self::Freeze, S::Issued) if !ended => Ok((S::Frozen, None)),
            (Self::Freeze, S::Issued) => Err(Cause::Expired),
            (Self::Unfreeze, S::Frozen) => Ok((S::Issued, None)),
            (Self::Extend(end), _) if end <= row.end_time && row.state != S::Expired => {
                Err(Cause::NotLater)
            }
            (Self::Extend(_), S::Issued | S::Frozen | S::Reserved) => Ok((row.state, None)),
            (Self::Extend(_), S::Expired) => {
                let anew =
                    Posting::of_voucher(Position::Available, Position::Liability, row.balance_fen);
                // Who froze it has not let it go.
                let state = if was_frozen { S::Frozen } else { S::Issued };
                Ok((state, anew))
            }
            (Self::Unfreeze, S::Issued | S::Reserved) => Err(Cause::NotFrozen),
            (_, S::Spent) => Err(Cause::Spent),
            (_, S::Voided) => Err(Cause::Voided),
            (_, S::Expired) => Err(Cause::Expired),
            (_, S::Reserved) => Err(Cause::Reserved),
            (_, S::Pending) => Err(Cause::Pending),
            (Self::Freeze, S::Frozen) => Err(Cause::Frozen),
        }
    }
}

/// What goes back to the budget.
pub(super) fn back(balance: Fen) -> Option<Posting> {
    Posting::of_voucher(Position::Liability, Position::Available, balance)
}

impl Store {
    /// Does something to vouchers, all or none.
    ///
    /// # Errors
    /// VOUCHER_NOT_USABLE, PRODUCT_NOT_ALLOWED, BUDGET_EXHAUSTED.
    pub async fn hand_vouchers(
        &self,
        call: Call,
        shop: ShopId,
        access: Access,
        ids: Vec<VoucherId>,
        hand: Hand,
        reason: String,
    ) -> Result<Written<(Vec<VoucherView>, Timestamp)>> {
        let (end, store) = (call.end(), self.clone());
        let shared = Arc::new((ids, reason));
        self.write_or_try(end, move |tx| {
            let (call, store, shared) = (call.clone(), store.clone(), Arc::clone(&shared));
            Box::pin(async move {
                let (ids, reason) = &*shared;
                let first = ids.first().map_or(0, |id| id.0);
                let replayed = tx.claim_request(&call, first, None).await? != Claimed::New;
                if !replayed {
                    tx.hand(&store, &call, shop, access, ids, hand, reason)
                        .await?;
                }
                let at = tx.clock(&store).await?;
                let row = (super::read::by_ids(tx, &store, shop, ids).await?, at);
                Ok(Written { row, replayed })
            })
        })
        .await
    }
}

impl Tx {
    #[expect(clippy::too_many_arguments, reason = "one call of one place")]
    async fn hand(
        &self,
        store: &Store,
        call: &Call,
        shop: ShopId,
        access: Access,
        ids: &[VoucherId],
        hand: Hand,
        reason: &str,
    ) -> Result<(), Fault> {
        let wanted: BTreeSet<VoucherId> = ids.iter().copied().collect();
        let mut desk = Desk::open(self, store, People::default(), wanted, Vec::new()).await?;
        let grants = access.grants(self, desk.shelves.keys().copied()).await?;
        if let Hand::Extend(end) = hand
            && end <= desk.now
        {
            let text = "must lie in the future".to_owned();
            return Err(Error::field("end_time", Reason::TimeRangeInvalid, text).into());
        }
        let frozen = self.frozen_before(ids).await?;
        let mut refusals = Vec::new();
        for id in ids {
            let name = id.to_string();
            let row = desk.voucher(*id).filter(|row| row.shop_id == shop).cloned();
            let product = row
                .as_ref()
                .map(|row| desk.shelf(row.product_id).map(|s| s.row.clone()));
            let product: Option<voucher_product::Model> = product.transpose()?;
            let seen = product
                .as_ref()
                .is_some_and(|p| access.may(p, &grants, May::See));
            let (Some(row), Some(product), true) = (row, product, seen) else {
                refusals.push(unusable(&name, None, Cause::NotFound));
                continue;
            };
            if !access.may(&product, &grants, May::Own) {
                return Err(not_allowed(product.id, May::Own).into());
            }
            if product.account_id.is_some() {
                refusals.push(in_the_way(&name, &row, Cause::Remote));
                continue;
            }
            match hand.apply(&row, frozen.contains(&row.id), desk.now) {
                Ok((state, posting)) => {
                    let takes = posting.filter(|posting| posting.from() == Position::Available);
                    if let Some(takes) = takes {
                        let shelf = desk.shelf(product.id)?;
                        let standing = crate::domain::voucher::Standing {
                            available: shelf.available(),
                            ..product.standing()
                        };
                        refusals.extend(standing.affords(takes.amount(), 0));
                    }
                    let happening = Happening {
                        kind: hand.kind(),
                        posting,
                        order: None,
                        reason: Some(reason),
                        actor: &call.actor,
                    };
                    let change = |row: &mut voucher::Model| {
                        row.state = state;
                        if let Hand::Extend(end) = hand {
                            row.end_time = end;
                        }
                    };
                    desk.change(*id, change, happening)?;
                }
                Err(cause) => refusals.push(in_the_way(&name, &row, cause)),
            }
        }
        if !refusals.is_empty() {
            return Err(refused(refusals));
        }
        desk.close().await
    }

    /// Which of some vouchers were frozen when they expired.
    async fn frozen_before(&self, ids: &[VoucherId]) -> Result<BTreeSet<VoucherId>, Fault> {
        use journal::Column;
        let rows = journal::Entity::find()
            .filter(Column::Aggregate.eq(journal::Aggregate::Voucher))
            .filter(Column::AggregateId.is_in(ids.iter().map(|id| id.0)))
            .filter(Column::Kind.eq("EXPIRED"))
            .order_by_asc(Column::Seq)
            .all(self)
            .await?;
        let mut frozen = BTreeSet::new();
        for row in rows {
            let id = VoucherId(row.aggregate_id);
            match row.from_state.as_deref() == Some(VoucherState::Frozen.name()) {
                true => frozen.insert(id),
                false => frozen.remove(&id),
            };
        }
        Ok(frozen)
    }
}
