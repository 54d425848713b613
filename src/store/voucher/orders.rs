//! Lists of orders.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};

use super::super::Store;
use super::super::entity::voucher_order::{Column, Entity};
use super::super::page::{Page, page_query};
use super::super::tx::to_error;
use super::{Access, OrderView};
use crate::domain::Result;
use crate::domain::id::{OrderId, ShopId};
use crate::domain::text::OrderNo;
use crate::domain::voucher::OrderShown;

/// Which orders.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// Of this number.
    pub number: Option<OrderNo>,
    /// That pay for this.
    pub associated: String,
    /// That stand so; any if empty.
    pub states: Vec<OrderShown>,
}

impl Store {
    /// A page of the caller's orders, for a person of those of all apps, newest first.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn voucher_orders_of(
        &self,
        shop: ShopId,
        access: Access,
        filter: &OrderFilter,
        page: Page,
    ) -> Result<Vec<OrderView>> {
        let mut query = page_query(Entity::find(), Column::Id, page)
            .filter(Column::ShopId.eq(shop))
            .filter(by_states(&filter.states));
        if !access.is_person {
            query = query.filter(Column::AppId.eq(access.app));
        }
        if let Some(number) = &filter.number {
            query = query.filter(Column::AppOrderId.eq(number.clone()));
        }
        if !filter.associated.is_empty() {
            query = query.filter(Column::AssociatedOrderId.eq(&filter.associated));
        }
        let db = self.reader();
        let ids: Vec<OrderId> = query
            .select_only()
            .column(Column::Id)
            .into_tuple()
            .all(db)
            .await
            .map_err(to_error)?;
        let at = self.now().await?;
        let mut found: HashMap<OrderId, OrderView> = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(100) {
            found.extend(super::read::orders(db, self, chunk, at).await?);
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }
}

fn by_states(states: &[OrderShown]) -> Condition {
    if states.is_empty() {
        return Condition::all();
    }
    states.iter().fold(Condition::any(), |any, shown| {
        let (state, remote) = shown.rows();
        let mut there = Condition::all();
        if let Some(state) = state {
            there = there.add(Column::State.eq(state));
            let here = there.clone().add(Column::Remote.is_null());
            let there = there.add(Column::Remote.is_in(remote.iter().copied()));
            return any.add(here).add(there);
        }
        any.add(there.add(Column::Remote.is_in(remote.iter().copied())))
    })
}
