//! Asking sooner: packets whose provider is to be asked now, and whether it was.

use std::collections::BTreeMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, JoinType, QueryFilter, QuerySelect};

use super::Store;
use super::entity::{attempt, issuance, provider_exchange};
use super::tx::to_error;
use crate::domain::id::{IssuanceId, ShopId};
use crate::domain::schedule::Job;
use crate::domain::{Result, State, Timestamp};

/// Packets that were to be refreshed, and since when.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// Answers count that came from here on.
    pub since: Timestamp,
    /// The packets that are there, as they were.
    pub rows: BTreeMap<IssuanceId, issuance::Model>,
}

impl Refresh {
    /// The packets whose provider has something to say.
    #[must_use]
    pub fn asked(&self) -> Vec<IssuanceId> {
        let open = |row: &&issuance::Model| row.job.is_some() && row.state != State::Queued;
        self.rows.values().filter(open).map(|row| row.id).collect()
    }
}

impl Store {
    /// Makes packets due to be asked about now. One whose payment is being sent has
    /// an answer under way already, and must not be taken from its sender.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn refresh(&self, shop: ShopId, ids: Vec<IssuanceId>) -> Result<Refresh> {
        self.write(move |tx| {
            let ids = ids.clone();
            Box::pin(async move {
                let mut rows = BTreeMap::new();
                for chunk in ids.chunks(500) {
                    let found = issuance::Entity::find()
                        .filter(issuance::Column::ShopId.eq(shop))
                        .filter(issuance::Column::Id.is_in(chunk.iter().copied()))
                        .all(tx)
                        .await?;
                    rows.extend(found.into_iter().map(|row| (row.id, row)));
                    let asked = [State::Unknown, State::Review, State::Sent, State::Refunding];
                    issuance::Entity::update_many()
                        .col_expr(issuance::Column::DueTime, Expr::value(Some(tx.now())))
                        .filter(issuance::Column::ShopId.eq(shop))
                        .filter(issuance::Column::Id.is_in(chunk.iter().copied()))
                        .filter(issuance::Column::State.is_in(asked))
                        .filter(issuance::Column::Job.is_in([Job::Query, Job::Sync]))
                        .filter(issuance::Column::DueTime.gt(tx.now()))
                        .exec(tx)
                        .await?;
                }
                Ok(Refresh {
                    since: tx.now(),
                    rows,
                })
            })
        })
        .await
    }

    /// Which of these packets were answered about since then.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn answered(&self, ids: &[IssuanceId], since: Timestamp) -> Result<Vec<IssuanceId>> {
        attempt::Entity::find()
            .select_only()
            .column(attempt::Column::IssuanceId)
            .distinct()
            .join(
                JoinType::InnerJoin,
                attempt::Entity::belongs_to(provider_exchange::Entity)
                    .from(attempt::Column::Id)
                    .to(provider_exchange::Column::AttemptId)
                    .into(),
            )
            .filter(attempt::Column::IssuanceId.is_in(ids.iter().copied()))
            .filter(provider_exchange::Column::CreateTime.gte(since))
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(to_error)
    }

    /// Packets by id, as they are now.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn issuances_by_id(
        &self,
        shop: ShopId,
        ids: &[IssuanceId],
    ) -> Result<BTreeMap<IssuanceId, issuance::Model>> {
        let rows = issuance::Entity::find()
            .filter(issuance::Column::ShopId.eq(shop))
            .filter(issuance::Column::Id.is_in(ids.iter().copied()))
            .all(self.reader())
            .await
            .map_err(to_error)?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }
}
