//! Reading back: single resources, pages, counts, and what the gauges show.

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, Select,
};

use super::Store;
use super::entity::{attempt, issuance, issuance_batch, request};
use super::tx::to_error;
use crate::domain::id::{AccountId, AppId, BatchId, IssuanceId, ShopId};
use crate::domain::schedule::Job;
use crate::domain::text::{MchBillno, RequestId};
use crate::domain::{Fen, Result, State, Timestamp, missing};

/// Packets that were refused alone which one answer names.
const REFUSED_MAX: u64 = 1_000;

/// How an issuance is named.
#[derive(Clone, Debug)]
pub enum ByIssuance {
    /// By our id.
    Id(IssuanceId),
    /// By a merchant order number.
    Number(MchBillno),
    /// By the app and the request id of the call that asked for one packet.
    Request(AppId, RequestId),
}

/// Packets and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: i64,
    /// Their sum.
    pub sum: Fen,
}

#[derive(Debug, FromQueryResult)]
pub(super) struct StateRow {
    pub state: State,
    pub packets: i64,
    pub fen: i64,
}

/// How much there is of something, and how old the oldest of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting<T> {
    /// Of what.
    pub of: T,
    /// How much.
    pub count: i64,
    /// The age of the oldest, in seconds of the service's time.
    pub oldest_secs: i64,
}

impl Store {
    /// One issuance with its attempts, first to last.
    ///
    /// # Errors
    /// ISSUANCE_NOT_FOUND.
    pub async fn issuance(
        &self,
        shop: ShopId,
        by: &ByIssuance,
    ) -> Result<(issuance::Model, Vec<attempt::Model>)> {
        let id = match by {
            ByIssuance::Id(id) => Some(*id),
            ByIssuance::Number(number) => attempt::Entity::find()
                .filter(attempt::Column::MchBillno.eq(number.clone()))
                .one(self.reader())
                .await
                .map_err(to_error)?
                .map(|row| row.issuance_id),
            ByIssuance::Request(app, id) => request::Entity::find_by_id((*app, id.clone()))
                .filter(request::Column::Method.is_in(["SendRedPacket", "ScanSend"]))
                .one(self.reader())
                .await
                .map_err(to_error)?
                .map(|row| IssuanceId(row.resource_id)),
        };
        let row = match id {
            Some(id) => issuance::Entity::find_by_id(id)
                .filter(issuance::Column::ShopId.eq(shop))
                .one(self.reader())
                .await
                .map_err(to_error)?,
            None => None,
        };
        let row = row.ok_or_else(|| match by {
            ByIssuance::Id(id) => missing::issuance(*id),
            ByIssuance::Number(number) => missing::number(number),
            ByIssuance::Request(_, id) => missing::order(id),
        })?;
        let attempts = attempt::Entity::find()
            .filter(attempt::Column::IssuanceId.eq(row.id))
            .order_by_asc(attempt::Column::AttemptNo)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        Ok((row, attempts))
    }

    /// A batch with its counts.
    ///
    /// # Errors
    /// BATCH_NOT_FOUND.
    pub async fn batch(&self, shop: ShopId, id: BatchId) -> Result<issuance_batch::Model> {
        let row = issuance_batch::Entity::find_by_id(id)
            .filter(issuance_batch::Column::ShopId.eq(shop))
            .one(self.reader())
            .await
            .map_err(to_error)?;
        row.ok_or_else(|| missing::batch(id))
    }

    /// Packets of batches that were refused alone, the first of them.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn refused_of(&self, ids: &[BatchId]) -> Result<Vec<issuance::Model>> {
        issuance::Entity::find()
            .filter(issuance::Column::BatchId.is_in(ids.iter().copied()))
            .filter(issuance::Column::State.eq(State::Failed))
            .filter(issuance::Column::AttemptCount.eq(0))
            .order_by_asc(issuance::Column::Id)
            .limit(REFUSED_MAX)
            .all(self.reader())
            .await
            .map_err(to_error)
    }

    /// How much work is due, by job.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn due_work(&self) -> Result<Vec<Waiting<Job>>> {
        let now = self.now().await?;
        let mut due = Vec::new();
        for job in Job::ALL {
            let query = issuance::Entity::find()
                .filter(issuance::Column::Job.eq(job))
                .filter(issuance::Column::DueTime.is_not_null())
                .filter(issuance::Column::DueTime.lte(now));
            due.push(
                self.measure(job, query, issuance::Column::DueTime, now)
                    .await?,
            );
        }
        Ok(due)
    }

    /// How many packets are in each state that has not ended.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn open_packets(&self) -> Result<Vec<Waiting<State>>> {
        let now = self.now().await?;
        let mut open = Vec::new();
        for state in State::ALL.into_iter().filter(|state| !state.is_final()) {
            let query = issuance::Entity::find()
                .filter(issuance::Column::DueTime.is_not_null())
                .filter(issuance::Column::State.eq(state));
            open.push(
                self.measure(state, query, issuance::Column::UpdateTime, now)
                    .await?,
            );
        }
        Ok(open)
    }

    async fn measure<T>(
        &self,
        of: T,
        query: Select<issuance::Entity>,
        since: issuance::Column,
        now: Timestamp,
    ) -> Result<Waiting<T>> {
        let row: Option<(i64, Option<i64>)> = query
            .select_only()
            .column_as(Expr::col(issuance::Column::Id).count(), "packets")
            .column_as(Expr::col(since).min(), "oldest")
            .into_tuple()
            .one(self.reader())
            .await
            .map_err(to_error)?;
        let (count, oldest) = row.unwrap_or_default();
        let oldest_secs = oldest.map_or(0, |at| Ord::max(now.0 - at, 0) / 1_000_000);
        Ok(Waiting {
            of,
            count,
            oldest_secs,
        })
    }

    /// Accounts whose breaker is open, by id.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn breakers(&self) -> Result<Vec<(AccountId, bool)>> {
        Ok(self
            .all_accounts()
            .await?
            .into_iter()
            .map(|row| (row.id, row.breaker_code.is_some()))
            .collect())
    }
}

/// Packets by state.
pub(super) async fn tally(db: &impl ConnectionTrait, of: Expr) -> Result<Vec<StateRow>, DbErr> {
    issuance::Entity::find()
        .select_only()
        .column(issuance::Column::State)
        .column_as(Expr::col(issuance::Column::Id).count(), "packets")
        .column_as(Expr::cust("CAST(SUM(amount_fen) AS BIGINT)"), "fen")
        .filter(of)
        .group_by(issuance::Column::State)
        .into_model::<StateRow>()
        .all(db)
        .await
}
