//! The record of every write, which is the table that makes writes idempotent: a row
//! is in the transaction of its effect, and stays for ever.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Store;
use super::entity::request::{Column, Entity, Model};
use super::tx::to_error;
use crate::domain::id::{AppId, ShopId};
use crate::domain::{Result, Timestamp};

/// Which writes; what is none does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// By whom.
    pub app: Option<AppId>,
    /// In which shop.
    pub shop: Option<ShopId>,
    /// By which methods; empty: any.
    pub methods: Vec<String>,
    /// From here on.
    pub start: Option<Timestamp>,
    /// Before this.
    pub end: Option<Timestamp>,
}

/// A place in the record: a time, and how many rows of just that time lie before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The time of the last row that was seen.
    pub time: Timestamp,
    /// How many rows of that time were.
    pub seen: u64,
}

impl Store {
    /// A page of the record, newest first.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn audit(
        &self,
        filter: Filter,
        after: Option<Place>,
        size: u64,
    ) -> Result<Vec<Model>> {
        let mut query = Entity::find();
        if let Some(app) = filter.app {
            query = query.filter(Column::AppId.eq(app));
        }
        if let Some(shop) = filter.shop {
            query = query.filter(Column::ShopId.eq(shop));
        }
        if !filter.methods.is_empty() {
            query = query.filter(Column::Method.is_in(filter.methods));
        }
        if let Some(start) = filter.start {
            query = query.filter(Column::CreateTime.gte(start));
        }
        if let Some(end) = filter.end {
            query = query.filter(Column::CreateTime.lt(end));
        }
        if let Some(place) = after {
            query = query
                .filter(Column::CreateTime.lte(place.time))
                .offset(place.seen);
        }
        query
            .order_by_desc(Column::CreateTime)
            .order_by_desc(Column::AppId)
            .order_by_desc(Column::RequestId)
            .limit(size)
            .all(self.reader())
            .await
            .map_err(to_error)
    }
}
