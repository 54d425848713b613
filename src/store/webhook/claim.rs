//! Taking due deliveries, with all that it takes to make them.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::super::Store;
use super::super::entity::webhook_delivery::{Column, Entity, Model};
use super::super::entity::webhook_endpoint;
use super::super::event::EventView;
use super::super::tx::{Fault, Tx, to_error};
use super::super::voucher::Access;
use crate::domain::id::{AppId, EndpointId, ShopId};
use crate::domain::webhook::{DeliveryState, EndpointState, Style};
use crate::domain::{Result, Timestamp};

/// Where to post, and what signs it.
#[derive(Clone)]
pub struct Receiver {
    /// The endpoint.
    pub id: EndpointId,
    /// Whose events.
    pub shop: ShopId,
    /// Whose endpoint.
    pub app: AppId,
    /// How it is written and signed.
    pub style: Style,
    /// The URL.
    pub url: String,
    /// Whether a packet's own URL goes before it.
    pub order_callbacks: bool,
    /// What signs, the newest first.
    pub secrets: Vec<String>,
}

impl std::fmt::Debug for Receiver {
    /// Without URL and secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("endpoint_id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A delivery that was claimed.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The row, as the claim left it.
    pub row: Model,
    /// What to tell; none: the app may not see it any more.
    pub event: Option<EventView>,
    /// The packet's own URL, which is posted to instead of the endpoint's.
    pub own_url: Option<String>,
}

impl Store {
    /// The endpoints that are posted to and have something due.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn due_receivers(&self) -> Result<Vec<Receiver>> {
        use webhook_endpoint::Column as W;
        let now = self.now().await?;
        let due = Query::select()
            .expr(Expr::val(1))
            .from(Entity)
            .and_where(
                Expr::col((Entity, Column::EndpointId)).equals((webhook_endpoint::Entity, W::Id)),
            )
            .and_where(Column::DueTime.lte(now))
            .to_owned();
        let rows = webhook_endpoint::Entity::find()
            .filter(W::State.eq(EndpointState::Active))
            .filter(Expr::exists(due))
            .order_by_asc(W::Id)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        // One that cannot be read must not keep the others from being told.
        let open = rows.iter().filter_map(|row| {
            let opened = self.receiver(row, now);
            opened
                .inspect_err(|error| {
                    tracing::error!(%error, endpoint_id = row.id.0, "an endpoint cannot be read");
                })
                .ok()
        });
        Ok(open.collect())
    }

    fn receiver(&self, row: &webhook_endpoint::Model, now: Timestamp) -> Result<Receiver> {
        let old = row.old_secret_until.is_some_and(|until| now < until);
        let old = row.old_secret_cipher.as_deref().filter(|_| old);
        let mut secrets = vec![self.open_of("secret", row.id, &row.secret_cipher)?];
        if let Some(cipher) = old {
            secrets.push(self.open_of("secret", row.id, cipher)?);
        }
        Ok(Receiver {
            id: row.id,
            shop: row.shop_id,
            app: row.app_id,
            style: row.style,
            url: self.open_of("url", row.id, &row.url_cipher)?,
            order_callbacks: row.order_callbacks,
            secrets,
        })
    }

    /// Claims due deliveries to an endpoint, oldest first, each for so long.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn claim_deliveries(
        &self,
        to: &Receiver,
        limit: u64,
        lease: Duration,
    ) -> Result<Vec<Parcel>> {
        let endpoint = to.id;
        let rows = self
            .write(move |tx| {
                Box::pin(async move { tx.claim_deliveries(endpoint, limit, lease).await })
            })
            .await?;
        let access = Access {
            app: to.app,
            is_person: false,
        };
        let places = rows.iter().map(|row| row.position);
        let mut events = self.events_at(to.shop, access, places).await?;
        let parcel = |row: Model| {
            let event = events.remove(&row.position);
            let packet = event.as_ref().and_then(|event| event.packet.as_ref());
            let own = packet.filter(|packet| to.order_callbacks && packet.app_id == to.app);
            Ok(Parcel {
                own_url: own.map_or(Ok(None), |packet| self.callback_url(packet))?,
                event,
                row,
            })
        };
        rows.into_iter().map(parcel).collect()
    }
}

impl Tx {
    async fn claim_deliveries(
        &self,
        endpoint: EndpointId,
        limit: u64,
        lease: Duration,
    ) -> Result<Vec<Model>, Fault> {
        let now = self.now();
        let mut rows = Entity::find()
            .filter(Column::EndpointId.eq(endpoint))
            .filter(Column::DueTime.lte(now))
            .order_by_asc(Column::DueTime)
            .order_by_asc(Column::Position)
            .limit(limit)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .all(self)
            .await?;
        let places: Vec<i64> = rows.iter().map(|row| row.position).collect();
        if places.is_empty() {
            return Ok(rows);
        }
        let until = now.plus(lease);
        Entity::update_many()
            .col_expr(Column::DueTime, Expr::value(Some(until)))
            .col_expr(Column::Fence, Expr::col(Column::Fence).add(1))
            .filter(Column::EndpointId.eq(endpoint))
            .filter(Column::Position.is_in(places))
            .filter(Column::State.eq(DeliveryState::Pending))
            .exec(self)
            .await?;
        for row in &mut rows {
            row.fence += 1;
            row.due_time = Some(until);
        }
        Ok(rows)
    }
}
