//! Where vouchers are changed: locked by id, changed in memory, written at the end.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait,
    IntoActiveModel as _, QueryFilter, QueryOrder, QuerySelect, Set, Statement,
};

use super::super::Store;
use super::super::entity::{
    journal, recipient, remote_call, voucher, voucher_order, voucher_product, voucher_redemption,
};
use super::super::journal::insert_all;
use super::super::tx::{Fault, Tx, is_duplicate};
use super::super::usage::Uses;
use super::owner::People;
use crate::domain::campaign::CampaignState;
use crate::domain::cap::{Caps, Owner as CapOwner};
use crate::domain::id::{OrderId, ProductId, VoucherId};
use crate::domain::ledger::{BudgetDelta, Posting};
use crate::domain::{Error, Fen, Result, Timestamp};

/// Rows of one statement at most.
const CHUNK: usize = 500;

/// A product at the desk, with what was done to its money.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) row: voucher_product::Model,
    pub(super) delta: BudgetDelta,
    pub(super) issued: i64,
    /// Whether something was given: it must be active then.
    pub(super) gives: bool,
    /// Whether something was spent: it must not be paused then.
    pub(super) spends: bool,
}

impl Shelf {
    /// What is free, after what this unit has taken.
    pub(super) fn available(&self) -> Fen {
        let free = self.row.available().0;
        Fen(free
            .saturating_sub(self.delta.debited.0)
            .saturating_add(self.delta.credited.0))
    }
}

/// A voucher at the desk.
#[derive(Debug)]
struct Card {
    row: voucher::Model,
    /// The version that the database has; none: it is new.
    kept: Option<i64>,
}

/// What happens to a voucher.
pub(super) struct Happening<'a> {
    pub(super) kind: &'static str,
    pub(super) posting: Option<Posting>,
    pub(super) order: Option<OrderId>,
    pub(super) reason: Option<&'a str>,
    pub(super) actor: &'a str,
}

/// The working set of a unit.
pub(super) struct Desk<'t> {
    pub(super) tx: &'t Tx,
    pub(super) store: &'t Store,
    /// The instant that decides: read after everything was locked.
    pub(super) now: Timestamp,
    pub(super) people: People,
    pub(super) shelves: BTreeMap<ProductId, Shelf>,
    cards: BTreeMap<VoucherId, Card>,
    new_orders: Vec<voucher_order::Model>,
    uses_made: Vec<voucher_redemption::ActiveModel>,
    calls: Vec<remote_call::Model>,
    journal: Vec<journal::ActiveModel>,
    pub(super) counted: Uses,
    pub(super) caps: BTreeMap<CapOwner, Caps>,
}

impl<'t> Desk<'t> {
    /// Locks vouchers, and reads their products, those that are named beside them, and
    /// the clock.
    pub(super) async fn open(
        tx: &'t Tx,
        store: &'t Store,
        people: People,
        vouchers: BTreeSet<VoucherId>,
        products: Vec<voucher_product::Model>,
    ) -> Result<Self, Fault> {
        use voucher::Column;
        let ids: Vec<VoucherId> = vouchers.into_iter().collect();
        let mut cards = BTreeMap::new();
        for chunk in ids.chunks(CHUNK) {
            let rows = voucher::Entity::find()
                .filter(Column::Id.is_in(chunk.iter().copied()))
                .order_by_asc(Column::Id)
                .lock_exclusive()
                .all(tx)
                .await?;
            let card = |row: voucher::Model| {
                (
                    row.id,
                    Card {
                        kept: Some(row.version),
                        row,
                    },
                )
            };
            cards.extend(rows.into_iter().map(card));
        }
        let now = tx.clock(store).await?;
        let mut shelves: BTreeMap<ProductId, Shelf> = products
            .into_iter()
            .map(|row| (row.id, Shelf::of(row)))
            .collect();
        let unknown: BTreeSet<ProductId> = cards
            .values()
            .map(|card| card.row.product_id)
            .filter(|id| !shelves.contains_key(id))
            .collect();
        if !unknown.is_empty() {
            let rows = voucher_product::Entity::find()
                .filter(voucher_product::Column::Id.is_in(unknown))
                .all(tx)
                .await?;
            shelves.extend(rows.into_iter().map(|row| (row.id, Shelf::of(row))));
        }
        Ok(Self {
            tx,
            store,
            now,
            people,
            shelves,
            cards,
            new_orders: Vec::new(),
            uses_made: Vec::new(),
            calls: Vec::new(),
            journal: Vec::new(),
            counted: Uses::default(),
            caps: BTreeMap::new(),
        })
    }

    /// A voucher as it is after what this unit did.
    pub(super) fn voucher(&self, id: VoucherId) -> Option<&voucher::Model> {
        self.cards.get(&id).map(|card| &card.row)
    }

    /// All vouchers, by id.
    pub(super) fn rows(&self) -> impl Iterator<Item = &voucher::Model> {
        self.cards.values().map(|card| &card.row)
    }

    /// A product's shelf; it is there for every voucher of the desk.
    pub(super) fn shelf(&self, id: ProductId) -> Result<&Shelf> {
        self.shelves.get(&id).ok_or_else(lost)
    }

    /// The same, to be changed.
    pub(super) fn shelf_mut(&mut self, id: ProductId) -> Result<&mut Shelf> {
        self.shelves.get_mut(&id).ok_or_else(lost)
    }

    /// Puts a new order down.
    pub(super) fn order(&mut self, row: voucher_order::Model) {
        self.new_orders.push(row);
    }

    /// Puts a use of a voucher down.
    pub(super) fn used(&mut self, row: voucher_redemption::Model) {
        self.uses_made.push(row.into_active_model().reset_all());
    }

    /// Puts a call to a platform down.
    pub(super) fn ask(&mut self, row: remote_call::Model) {
        self.calls.push(row);
    }

    /// Puts a new voucher down.
    pub(super) fn give(&mut self, row: voucher::Model, happening: Happening<'_>) -> Result<()> {
        self.note(&row, None, &happening)?;
        self.cards.insert(row.id, Card { row, kept: None });
        Ok(())
    }

    /// Changes a voucher.
    pub(super) fn change(
        &mut self,
        id: VoucherId,
        change: impl FnOnce(&mut voucher::Model),
        happening: Happening<'_>,
    ) -> Result<()> {
        let now = self.now;
        let card = self.cards.get_mut(&id).ok_or_else(lost)?;
        let from = card.row.state.name();
        change(&mut card.row);
        card.row.version += 1;
        card.row.update_time = now;
        let row = card.row.clone();
        self.note(&row, Some(from), &happening)
    }

    fn note(
        &mut self,
        after: &voucher::Model,
        from: Option<&'static str>,
        happening: &Happening<'_>,
    ) -> Result<()> {
        if let Some(posting) = happening.posting {
            let shelf = self.shelf_mut(after.product_id)?;
            if !shelf.delta.add(posting) {
                return Err(Error::internal("a sum does not fit", "voucher"));
            }
        }
        let posting = happening.posting;
        self.journal.push(journal::ActiveModel {
            aggregate: Set(journal::Aggregate::Voucher),
            aggregate_id: Set(after.id.0),
            seq: Set(after.version),
            line: Set(0),
            shop_id: Set(after.shop_id),
            campaign_id: Set(None),
            product_id: Set(Some(after.product_id)),
            order_id: Set(happening.order),
            kind: Set(happening.kind.to_owned()),
            from_state: Set(from.map(str::to_owned)),
            to_state: Set(after.state.name().to_owned()),
            debit_account: Set(posting.map(Posting::from)),
            credit_account: Set(posting.map(Posting::to)),
            amount_fen: Set(posting.map(Posting::amount)),
            reason: Set(happening.reason.map(str::to_owned)),
            actor: Set(happening.actor.to_owned()),
            create_time: Set(self.now),
            position: Set(None),
        });
        Ok(())
    }

    /// Writes all of it. Where somebody was faster, the unit is to be run again.
    pub(super) async fn close(mut self) -> Result<(), Fault> {
        self.write_people().await?;
        let orders = std::mem::take(&mut self.new_orders);
        let orders = orders
            .into_iter()
            .map(|row| row.into_active_model().reset_all());
        insert_all::<voucher_order::Entity, _>(self.tx, orders.collect()).await?;
        let (new, old): (Vec<Card>, Vec<Card>) = std::mem::take(&mut self.cards)
            .into_values()
            .filter(|card| card.kept != Some(card.row.version))
            .partition(|card| card.kept.is_none());
        let new = new
            .into_iter()
            .map(|card| card.row.into_active_model().reset_all());
        insert_all::<voucher::Entity, _>(self.tx, new.collect()).await?;
        for chunk in old.chunks(CHUNK) {
            self.update(chunk).await?;
        }
        let uses = std::mem::take(&mut self.uses_made);
        insert_all::<voucher_redemption::Entity, _>(self.tx, uses).await?;
        let calls = std::mem::take(&mut self.calls).into_iter();
        let calls = calls.map(|row| row.into_active_model().reset_all());
        insert_all::<remote_call::Entity, _>(self.tx, calls.collect()).await?;
        self.tx.append(std::mem::take(&mut self.journal)).await?;
        if !self.tx.count_uses(&self.counted, &self.caps).await? {
            return Err(Fault::Again);
        }
        for (id, shelf) in std::mem::take(&mut self.shelves) {
            let caps = self.caps.get(&CapOwner::Product(id));
            if !self.tx.book_product(&shelf, caps).await? {
                return Err(Fault::Again);
            }
        }
        Ok(())
    }

    async fn write_people(&mut self) -> Result<(), Fault> {
        let made = self.people.take_made();
        match insert_all::<recipient::Entity, _>(self.tx, made).await {
            // Looked at a moment ago and not there: somebody else was faster.
            Err(Fault::Db(error)) if is_duplicate(&error) => Err(Fault::Again),
            done => done,
        }
    }

    /// All changed vouchers by one statement, each where its version is the one that
    /// was read.
    async fn update(&self, cards: &[Card]) -> Result<(), Fault> {
        const COLUMNS: usize = 11;
        let mut values: Vec<sea_orm::Value> = Vec::with_capacity(cards.len() * COLUMNS);
        let mut rows = Vec::with_capacity(cards.len());
        for card in cards {
            let row = &card.row;
            let first = values.len();
            values.extend([
                row.id.0.into(),
                card.kept.into(),
                row.state.name().into(),
                row.balance_fen.0.into(),
                row.remote_id.clone().into(),
                row.start_time.map(|time| time.0).into(),
                row.end_time.0.into(),
                row.hold_order_id.map(|id| id.0).into(),
                i64::from(row.redemption_count).into(),
                row.version.into(),
                row.update_time.0.into(),
            ]);
            let named: Vec<String> = (1..=COLUMNS)
                .map(|column| format!("${}", first + column))
                .collect();
            rows.push(format!("({})", named.join(", ")));
        }
        let text = format!(
            "WITH changed (id, kept, state, balance_fen, remote_id, start_time, end_time, hold_order_id, redemption_count, version, update_time) \
             AS (VALUES {}) UPDATE voucher SET state = c.state, balance_fen = c.balance_fen, remote_id = c.remote_id, \
             start_time = c.start_time, end_time = c.end_time, \
             hold_order_id = c.hold_order_id, redemption_count = c.redemption_count, version = c.version, \
             update_time = c.update_time FROM changed c WHERE voucher.id = c.id AND voucher.version = c.kept",
            rows.join(", ")
        );
        let statement =
            Statement::from_sql_and_values(self.tx.get_database_backend(), text, values);
        let done = self.tx.execute_raw(statement).await?;
        if done.rows_affected() == u64::try_from(cards.len()).unwrap_or(u64::MAX) {
            Ok(())
        } else {
            Err(Fault::Again)
        }
    }
}

impl Shelf {
    fn of(row: voucher_product::Model) -> Self {
        Self {
            row,
            delta: BudgetDelta::default(),
            issued: 0,
            gives: false,
            spends: false,
        }
    }
}

fn lost() -> Error {
    Error::internal("a voucher is not at the desk", "voucher")
}

impl Tx {
    /// Books what vouchers did to a product's money, if the product still allows it:
    /// the one statement that guards the budget. Called last, right before COMMIT.
    async fn book_product(&self, shelf: &Shelf, caps: Option<&Caps>) -> Result<bool, Fault> {
        use voucher_product::Column as C;
        let delta = shelf.delta;
        if delta == BudgetDelta::default() && !shelf.spends && !shelf.gives {
            return Ok(true);
        }
        let more = |column: C, by: Fen| Expr::col(column).add(by);
        let mut update = voucher_product::Entity::update_many()
            .col_expr(C::DebitedFen, more(C::DebitedFen, delta.debited))
            .col_expr(C::CreditedFen, more(C::CreditedFen, delta.credited))
            .col_expr(C::RedeemedFen, more(C::RedeemedFen, delta.redeemed))
            .col_expr(C::IssuedCount, Expr::col(C::IssuedCount).add(shelf.issued))
            .filter(C::Id.eq(shelf.row.id))
            .filter(
                Expr::col(C::GrantedFen)
                    .sub(Expr::col(C::DefundedFen))
                    .sub(Expr::col(C::DebitedFen))
                    .add(Expr::col(C::CreditedFen))
                    .gte(Fen(delta.debited.0.saturating_sub(delta.credited.0))),
            )
            .filter(
                C::StockCount.is_null().or(Expr::col(C::IssuedCount)
                    .add(shelf.issued)
                    .lte(Expr::col(C::StockCount))),
            );
        if shelf.gives {
            update = update.filter(C::State.eq(CampaignState::Active));
            if let Some(caps) = caps {
                // Judged under these caps: if an operator changed them, it is judged again.
                update = update.filter(C::Caps.eq(caps.to_json()?));
            }
        }
        if shelf.spends {
            update = update.filter(C::State.is_in([CampaignState::Active, CampaignState::Ended]));
        }
        Ok(update.exec(self).await?.rows_affected == 1)
    }
}
