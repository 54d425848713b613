//! Endpoints: made, changed, taken away; and deliveries begun anew.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::super::Store;
use super::super::entity::webhook_endpoint::{Column, Entity, Model};
use super::super::entity::{app, webhook_delivery};
use super::super::request::{Call, Claimed};
use super::super::tx::{Fault, Tx};
use super::super::voucher::Access;
use super::{PING, entry, missing};
use crate::domain::event::{Types, event_id};
use crate::domain::id::{AppId, EndpointId, ShopId};
use crate::domain::webhook::{DeliveryState, EndpointState, ReceiverUrl, Style};
use crate::domain::{Error, Reason, Result, Timestamp, missing as gone};

/// Deliveries that one call begins anew at most.
const REDELIVERED_MAX: u64 = 10_000;
/// Places that one statement names.
const CHUNK: usize = 500;

/// An endpoint to be made.
#[derive(Clone, Debug)]
pub struct NewEndpoint {
    /// Whose it is.
    pub app: AppId,
    /// Where to post.
    pub url: ReceiverUrl,
    /// How it is written and signed.
    pub style: Style,
    /// Which types.
    pub types: Types,
    /// Whether the events of a packet that brought a URL are posted there instead.
    pub order_callbacks: bool,
    /// What signs.
    pub secret: Secret,
}

/// What signs. Never printed.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is done to an endpoint.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is told elsewhere, of other things, or not for now.
    Update {
        /// Where to post.
        url: Option<ReceiverUrl>,
        /// Which types.
        types: Option<Types>,
        /// Whether it is posted to.
        state: Option<EndpointState>,
    },
    /// Another secret signs; the old one beside it for so long.
    Rotate {
        /// What signs.
        secret: Secret,
        /// For how long, in seconds.
        overlap: i64,
    },
    /// It is told that it is there.
    Ping,
}

impl Change {
    fn kind(&self) -> &'static str {
        match self {
            Self::Update { .. } => "UPDATED",
            Self::Rotate { .. } => "SECRET_ROTATED",
            Self::Ping => PING,
        }
    }
}

/// An endpoint as a write leaves it.
#[derive(Clone, Debug)]
pub struct EndpointWrite {
    /// The row.
    pub row: Model,
    /// What signs now.
    pub secret: Secret,
    /// Whether an earlier call had done it.
    pub replayed: bool,
}

/// What is to be delivered again.
#[derive(Clone, Debug)]
pub enum Redelivery {
    /// The event of a place.
    One(i64),
    /// What happened in a time.
    Range {
        /// From then on.
        start: Timestamp,
        /// Until just before then.
        end: Timestamp,
        /// Only what is dead.
        only_dead: bool,
    },
}

impl Store {
    /// Makes an endpoint.
    ///
    /// # Errors
    /// APP_NOT_FOUND.
    pub async fn create_endpoint(
        &self,
        call: Call,
        shop: ShopId,
        new: NewEndpoint,
    ) -> Result<EndpointWrite> {
        let id = EndpointId(self.id("webhook_endpoint").await?);
        let (end, store) = (call.end(), self.clone());
        self.write_or_try(end, move |tx| {
            let (call, new, store) = (call.clone(), new.clone(), store.clone());
            Box::pin(async move {
                if let Claimed::Replay { resource, .. } =
                    tx.claim_request(&call, id.0, None).await?
                {
                    let row = Entity::find_by_id(EndpointId(resource)).one(tx).await?;
                    let row = row.ok_or_else(|| missing(EndpointId(resource)))?;
                    return written(&store, row, true);
                }
                let owner = app::Entity::find_by_id(new.app).one(tx).await?;
                owner.ok_or_else(|| gone::app(new.app))?;
                let now = tx.now();
                let row = Model {
                    id,
                    shop_id: shop,
                    app_id: new.app,
                    url_cipher: store.seal_of("url", id, new.url.expose())?,
                    url_shown: new.url.shown(),
                    style: new.style,
                    types: new.types.to_text(),
                    order_callbacks: new.order_callbacks,
                    secret_cipher: store.seal_of("secret", id, &new.secret.0)?,
                    old_secret_cipher: None,
                    old_secret_until: None,
                    state: EndpointState::Active,
                    disabled_reason: None,
                    failure_count: 0,
                    failing_since: None,
                    last_outcome: None,
                    acknowledge_time: None,
                    version: 1,
                    create_time: now,
                    update_time: now,
                };
                let told = entry(&row, None, "CREATED", None, &call.actor, now);
                let active = row.clone().into_active_model().reset_all();
                Entity::insert(active).exec_without_returning(tx).await?;
                tx.append(vec![told]).await?;
                written(&store, row, false)
            })
        })
        .await
    }

    /// Changes an endpoint.
    ///
    /// # Errors
    /// ENDPOINT_NOT_FOUND.
    pub async fn change_endpoint(
        &self,
        call: Call,
        shop: ShopId,
        access: Access,
        id: EndpointId,
        change: Change,
    ) -> Result<EndpointWrite> {
        let (end, store) = (call.end(), self.clone());
        self.write_or_try(end, move |tx| {
            let (call, change, store) = (call.clone(), change.clone(), store.clone());
            Box::pin(async move {
                let row = tx.lock_endpoint(shop, access, id).await?;
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                let row = match replayed {
                    true => row,
                    false => tx.change_endpoint(&store, &call, row, &change).await?,
                };
                written(&store, row, replayed)
            })
        })
        .await
    }

    /// Takes an endpoint away, with what was to be delivered. True if an earlier call had.
    ///
    /// # Errors
    /// ENDPOINT_NOT_FOUND.
    pub async fn delete_endpoint(
        &self,
        call: Call,
        shop: ShopId,
        access: Access,
        id: EndpointId,
    ) -> Result<bool> {
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let call = call.clone();
            Box::pin(async move {
                if tx.claim_request(&call, id.0, None).await? != Claimed::New {
                    return Ok(true);
                }
                let row = tx.lock_endpoint(shop, access, id).await?;
                webhook_delivery::Entity::delete_many()
                    .filter(webhook_delivery::Column::EndpointId.eq(id))
                    .exec(tx)
                    .await?;
                Entity::delete_by_id(id).exec(tx).await?;
                let from = row.state.name();
                let after = Model {
                    version: row.version + 1,
                    ..row
                };
                let now = tx.now();
                let told = entry(&after, Some(from), "DELETED", None, &call.actor, now);
                tx.append(vec![told]).await?;
                Ok(false)
            })
        })
        .await
    }

    /// Begins deliveries anew: how many, and whether an earlier call had done it.
    ///
    /// # Errors
    /// ENDPOINT_NOT_FOUND, DELIVERY_NOT_FOUND.
    pub async fn redeliver(
        &self,
        call: Call,
        shop: ShopId,
        access: Access,
        id: EndpointId,
        what: Redelivery,
    ) -> Result<(u64, bool)> {
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, what) = (call.clone(), what.clone());
            Box::pin(async move {
                tx.lock_endpoint(shop, access, id).await?;
                if let Claimed::Replay { reply, .. } = tx.claim_request(&call, id.0, None).await? {
                    let count = reply.and_then(|count| count.parse().ok());
                    return Ok((count.unwrap_or(0), true));
                }
                let count = tx.redeliver(shop, id, &what).await?;
                tx.keep_reply(&call, Some(count.to_string())).await?;
                Ok((count, false))
            })
        })
        .await
    }
}

fn written(store: &Store, row: Model, replayed: bool) -> Result<EndpointWrite, Fault> {
    let secret = store.open_of("secret", row.id, &row.secret_cipher)?;
    Ok(EndpointWrite {
        secret: Secret(secret),
        row,
        replayed,
    })
}

impl Tx {
    async fn lock_endpoint(
        &self,
        shop: ShopId,
        access: Access,
        id: EndpointId,
    ) -> Result<Model, Fault> {
        let mut query = Entity::find_by_id(id).filter(Column::ShopId.eq(shop));
        if !access.is_person {
            query = query.filter(Column::AppId.eq(access.app));
        }
        let row = query.lock_exclusive().one(self).await?;
        Ok(row.ok_or_else(|| missing(id))?)
    }

    async fn change_endpoint(
        &self,
        store: &Store,
        call: &Call,
        row: Model,
        change: &Change,
    ) -> Result<Model, Fault> {
        let (id, now, from) = (row.id, self.now(), row.state.name());
        let mut after = Model {
            version: row.version + 1,
            update_time: now,
            ..row
        };
        match change {
            Change::Update { url, types, state } => {
                if let Some(url) = url {
                    after.url_cipher = store.seal_of("url", id, url.expose())?;
                    after.url_shown = url.shown();
                }
                if let Some(types) = types {
                    after.types = types.to_text();
                }
                if let Some(state) = state {
                    after.state = *state;
                    after.disabled_reason = None;
                    (after.failure_count, after.failing_since) = (0, None);
                }
                if *state == Some(EndpointState::Active) {
                    self.hurry_deliveries(id).await?;
                }
            }
            Change::Rotate { secret, overlap } => {
                after.old_secret_cipher = Some(after.secret_cipher);
                after.old_secret_until =
                    Some(now.plus(Duration::from_secs(overlap.unsigned_abs())));
                after.secret_cipher = store.seal_of("secret", id, &secret.0)?;
            }
            Change::Ping => {}
        }
        let active = after.clone().into_active_model().reset_all();
        Entity::update(active).exec(self).await?;
        let told = entry(&after, Some(from), change.kind(), None, &call.actor, now);
        self.append(vec![told]).await?;
        Ok(after)
    }

    /// What waits is tried at once: its pauses were for a receiver that did not answer.
    async fn hurry_deliveries(&self, id: EndpointId) -> Result<(), Fault> {
        use webhook_delivery::Column as D;
        webhook_delivery::Entity::update_many()
            .col_expr(D::DueTime, Expr::value(Some(self.now())))
            .filter(D::EndpointId.eq(id))
            .filter(D::State.eq(DeliveryState::Pending))
            .exec(self)
            .await?;
        Ok(())
    }

    async fn redeliver(
        &self,
        shop: ShopId,
        id: EndpointId,
        what: &Redelivery,
    ) -> Result<u64, Fault> {
        use webhook_delivery::Column as D;
        let query = webhook_delivery::Entity::find().filter(D::EndpointId.eq(id));
        let query = match what {
            Redelivery::One(position) => query.filter(D::Position.eq(*position)),
            Redelivery::Range {
                start,
                end,
                only_dead,
            } => {
                let query = query
                    .filter(D::EventTime.gte(*start))
                    .filter(D::EventTime.lt(*end));
                match only_dead {
                    true => query.filter(D::State.eq(DeliveryState::Dead)),
                    false => query,
                }
            }
        };
        let places: Vec<i64> = query
            .select_only()
            .column(D::Position)
            .order_by_asc(D::Position)
            .limit(REDELIVERED_MAX)
            .into_tuple()
            .all(self)
            .await?;
        if let (Redelivery::One(position), true) = (what, places.is_empty()) {
            let text = "nothing of this event was, or is to be, delivered to this endpoint: it was made later, or does not want this type";
            let error = Error::new(Reason::DeliveryNotFound, text.to_owned());
            return Err(error.fact("event_id", event_id(shop, *position)).into());
        }
        for chunk in places.chunks(CHUNK) {
            webhook_delivery::Entity::update_many()
                .col_expr(D::State, Expr::value(DeliveryState::Pending))
                .col_expr(D::TryCount, Expr::value(0))
                .col_expr(D::DueTime, Expr::value(Some(self.now())))
                .col_expr(D::AcknowledgeTime, Expr::value(None::<Timestamp>))
                // Whoever has it in hand settles nothing any more.
                .col_expr(D::Fence, Expr::col(D::Fence).add(1))
                .filter(D::EndpointId.eq(id))
                .filter(D::Position.is_in(chunk.iter().copied()))
                .exec(self)
                .await?;
        }
        Ok(u64::try_from(places.len()).unwrap_or(u64::MAX))
    }
}
