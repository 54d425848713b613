//! Publishing feeds elsewhere: how far each shop's is there, and who goes on with it.

use std::time::Duration;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set};

use super::super::Store;
use super::super::entity::event_sink::{ActiveModel, Column, Entity};
use super::super::entity::{event_head, event_sink};
use super::super::tx::to_error;
use crate::domain::id::ShopId;
use crate::domain::{Result, Timestamp};

impl Store {
    /// The shops whose feed is not wholly published, and that nobody publishes now.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn unpublished(&self, sink: &str) -> Result<Vec<ShopId>> {
        let now = self.now().await?;
        let heads = event_head::Entity::find()
            .order_by_asc(event_head::Column::ShopId)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let sinks = Entity::find()
            .filter(Column::Name.eq(sink))
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let open = heads.into_iter().filter(|head| {
            let there = sinks.iter().find(|row| row.shop_id == head.shop_id);
            let free = there.is_none_or(|row| row.lease_until <= now);
            free && head.position > there.map_or(0, |row| row.position)
        });
        Ok(open.map(|head| head.shop_id).collect())
    }

    /// Takes the right to publish what follows in a shop's feed for so long, and gives the last
    /// place that is there; nothing if somebody else has it.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn take_sink(
        &self,
        sink: &str,
        shop: ShopId,
        lease: Duration,
    ) -> Result<Option<event_sink::Model>> {
        let sink = sink.to_owned();
        self.write(move |tx| {
            let sink = sink.clone();
            Box::pin(async move {
                let first = ActiveModel {
                    name: Set(sink.clone()),
                    shop_id: Set(shop),
                    position: Set(0),
                    lease_until: Set(Timestamp(0)),
                };
                let keep = OnConflict::columns([Column::Name, Column::ShopId])
                    .do_nothing()
                    .to_owned();
                Entity::insert(first)
                    .on_conflict(keep)
                    .exec_without_returning(tx)
                    .await?;
                let until = tx.now().plus(lease);
                let taken = Entity::update_many()
                    .col_expr(Column::LeaseUntil, Expr::value(until))
                    .filter(Column::Name.eq(&*sink))
                    .filter(Column::ShopId.eq(shop))
                    .filter(Column::LeaseUntil.lte(tx.now()))
                    .exec(tx)
                    .await?;
                if taken.rows_affected == 0 {
                    return Ok(None);
                }
                Ok(Entity::find_by_id((sink, shop)).one(tx).await?)
            })
        })
        .await
    }

    /// Writes down how far a shop's feed is there, and lets others go on. Nothing if somebody
    /// else has taken it meanwhile: what he publishes again is known by its name.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn leave_sink(&self, taken: &event_sink::Model, through: i64) -> Result<()> {
        let taken = taken.clone();
        self.write(move |tx| {
            let taken = taken.clone();
            Box::pin(async move {
                Entity::update_many()
                    .col_expr(Column::Position, Expr::value(through))
                    .col_expr(Column::LeaseUntil, Expr::value(tx.now()))
                    .filter(Column::Name.eq(&*taken.name))
                    .filter(Column::ShopId.eq(taken.shop_id))
                    .filter(Column::LeaseUntil.eq(taken.lease_until))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        })
        .await
    }
}
