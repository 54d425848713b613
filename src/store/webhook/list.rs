//! Endpoints and deliveries, shown; and taken away when they are old.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::super::Store;
use super::super::entity::webhook_delivery::{Column as D, Entity as Delivery, Model as Row};
use super::super::entity::webhook_endpoint::{Column, Entity, Model};
use super::super::event::EventView;
use super::super::page::{Page, page_query};
use super::super::tx::to_error;
use super::super::voucher::Access;
use super::missing;
use crate::domain::id::{EndpointId, ShopId};
use crate::domain::webhook::DeliveryState;
use crate::domain::{Result, Timestamp};

/// An endpoint with what waits for it.
#[derive(Clone, Debug)]
pub struct EndpointView {
    /// The row.
    pub row: Model,
    /// Deliveries that are pending.
    pub pending: i64,
}

/// A delivery, its reply in the clear.
#[derive(Clone, Debug)]
pub struct DeliveryView {
    /// The row.
    pub row: Row,
    /// The beginning of the last reply.
    pub excerpt: String,
    /// What its event is about; none: the app may not see it any more.
    pub event: Option<EventView>,
}

/// Which deliveries.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// That stand so; any if empty.
    pub states: Vec<DeliveryState>,
    /// Of the event of this place.
    pub position: Option<i64>,
}

impl Store {
    /// An endpoint that the caller may see: an app its own, a person any of the shop.
    ///
    /// # Errors
    /// ENDPOINT_NOT_FOUND.
    pub async fn endpoint(
        &self,
        shop: ShopId,
        access: Access,
        id: EndpointId,
    ) -> Result<EndpointView> {
        let found = Entity::find_by_id(id)
            .filter(Column::ShopId.eq(shop))
            .one(self.reader())
            .await
            .map_err(to_error)?;
        let own = found.filter(|row| access.is_person || row.app_id == access.app);
        let row = own.ok_or_else(|| missing(id))?;
        let mut views = self.with_pending(vec![row]).await?;
        views.pop().ok_or_else(|| missing(id))
    }

    /// A page of endpoints that the caller may see, newest first.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn endpoints(
        &self,
        shop: ShopId,
        access: Access,
        page: Page,
    ) -> Result<Vec<EndpointView>> {
        let mut query =
            page_query(Entity::find(), Column::Id, page).filter(Column::ShopId.eq(shop));
        if !access.is_person {
            query = query.filter(Column::AppId.eq(access.app));
        }
        let rows = query.all(self.reader()).await.map_err(to_error)?;
        self.with_pending(rows).await
    }

    /// Rows as they are shown.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn with_pending(&self, rows: Vec<Model>) -> Result<Vec<EndpointView>> {
        let counts: Vec<(EndpointId, i64)> = Delivery::find()
            .select_only()
            .column(D::EndpointId)
            .column_as(D::Position.count(), "pending")
            .filter(D::EndpointId.is_in(rows.iter().map(|row| row.id)))
            .filter(D::State.eq(DeliveryState::Pending))
            .group_by(D::EndpointId)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let counts: HashMap<EndpointId, i64> = counts.into_iter().collect();
        let view = |row: Model| EndpointView {
            pending: counts.get(&row.id).copied().unwrap_or(0),
            row,
        };
        Ok(rows.into_iter().map(view).collect())
    }

    /// A page of what was, or is to be, delivered to an endpoint, newest first.
    ///
    /// # Errors
    /// ENDPOINT_NOT_FOUND.
    pub async fn deliveries(
        &self,
        shop: ShopId,
        access: Access,
        id: EndpointId,
        filter: &DeliveryFilter,
        page: Page,
    ) -> Result<Vec<DeliveryView>> {
        self.endpoint(shop, access, id).await?;
        let mut query =
            page_query(Delivery::find(), D::Position, page).filter(D::EndpointId.eq(id));
        if !filter.states.is_empty() {
            query = query.filter(D::State.is_in(filter.states.iter().copied()));
        }
        if let Some(position) = filter.position {
            query = query.filter(D::Position.eq(position));
        }
        let rows = query.all(self.reader()).await.map_err(to_error)?;
        let places = rows.iter().map(|row| row.position);
        let mut events = self.events_at(shop, access, places).await?;
        let view = |row: Row| {
            let excerpt = row.excerpt_cipher.as_deref();
            let excerpt = excerpt.map(|cipher| self.open_of("reply", id, cipher));
            Ok(DeliveryView {
                excerpt: excerpt.transpose()?.unwrap_or_default(),
                event: events.remove(&row.position),
                row,
            })
        };
        rows.into_iter().map(view).collect()
    }

    /// How many deliveries stand so, and when the oldest event of them happened.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn deliveries_waiting(&self) -> Result<(i64, Option<Timestamp>)> {
        let found: Option<(i64, Option<Timestamp>)> = Delivery::find()
            .select_only()
            .column_as(D::Position.count(), "waiting")
            .column_as(D::EventTime.min(), "oldest")
            .filter(D::DueTime.is_not_null())
            .into_tuple()
            .one(self.reader())
            .await
            .map_err(to_error)?;
        Ok(found.unwrap_or((0, None)))
    }

    /// Takes away deliveries that are over, of events from before an instant: how many.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn purge_deliveries(&self, before: Timestamp, limit: u64) -> Result<u64> {
        self.write(move |tx| {
            Box::pin(async move {
                let old: Vec<(EndpointId, i64)> = Delivery::find()
                    .select_only()
                    .column(D::EndpointId)
                    .column(D::Position)
                    .filter(D::DueTime.is_null())
                    .filter(D::EventTime.lt(before))
                    .order_by_asc(D::EventTime)
                    .limit(limit)
                    .into_tuple()
                    .all(tx)
                    .await?;
                let mut places: HashMap<EndpointId, Vec<i64>> = HashMap::new();
                for (endpoint, position) in old {
                    places.entry(endpoint).or_default().push(position);
                }
                let mut gone = 0;
                for (endpoint, positions) in places {
                    let done = Delivery::delete_many()
                        .filter(D::EndpointId.eq(endpoint))
                        .filter(D::Position.is_in(positions))
                        .filter(D::DueTime.is_null())
                        .exec(tx)
                        .await?;
                    gone += done.rows_affected;
                }
                Ok(gone)
            })
        })
        .await
    }
}
