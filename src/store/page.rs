//! Keyset pages: a page starts where the one before ended, so rows that arrive
//! meanwhile shift nothing, and a deep page costs what the first one does.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

/// A keyset page, newest first.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Only rows with a smaller id.
    pub before: Option<i64>,
    /// How many at most.
    pub size: u64,
}

/// A page of a query.
pub(super) fn page_query<E: EntityTrait>(query: Select<E>, id: E::Column, page: Page) -> Select<E> {
    let query = match page.before {
        Some(before) => query.filter(id.lt(before)),
        None => query,
    };
    query.order_by_desc(id).limit(page.size)
}
