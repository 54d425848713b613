//! The breaker that holds an account back while the provider refuses it as a whole.

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::Store;
use super::entity::provider_account::{Column, Entity};
use super::tx::{Fault, Tx};
use crate::domain::id::AccountId;
use crate::domain::{Result, Timestamp, missing};

impl Store {
    /// Holds an account back: each time in a row for twice as long, from half a
    /// minute to half an hour. `probe` says that the refusal answered the probe of a
    /// breaker that was open. True if it was closed before.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn open_breaker(&self, id: AccountId, code: String, probe: bool) -> Result<bool> {
        self.write(move |tx| {
            let code = code.clone();
            Box::pin(async move {
                let row = Entity::find_by_id(id)
                    .one(tx)
                    .await?
                    .ok_or_else(|| missing::account(id))?;
                // Packets that were under way when it opened say the same again.
                if !probe && row.breaker_until.is_some_and(|until| until > tx.now()) {
                    return Ok(false);
                }
                let trips = row.breaker_trips.clamp(0, 6);
                let wait = Duration::from_secs(30 << trips.unsigned_abs());
                let until = tx.now().plus(wait);
                set_breaker(tx, id, Some(code), Some(until), trips + 1).await?;
                Ok(row.breaker_code.is_none())
            })
        })
        .await
    }

    /// Lets an account go on.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn close_breaker(&self, id: AccountId) -> Result<()> {
        self.write(move |tx| Box::pin(async move { set_breaker(tx, id, None, None, 0).await }))
            .await
    }
}

pub(super) async fn set_breaker(
    tx: &Tx,
    id: AccountId,
    code: Option<String>,
    until: Option<Timestamp>,
    trips: i32,
) -> Result<(), Fault> {
    Entity::update_many()
        .col_expr(Column::BreakerCode, Expr::value(code))
        .col_expr(Column::BreakerUntil, Expr::value(until))
        .col_expr(Column::BreakerTrips, Expr::value(trips))
        .filter(Column::Id.eq(id))
        .exec(tx)
        .await?;
    Ok(())
}
