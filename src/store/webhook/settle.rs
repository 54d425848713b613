//! What became of a try.

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::super::Store;
use super::super::entity::webhook_delivery::{Column, Entity, Model};
use super::super::entity::webhook_endpoint;
use super::super::tx::{Fault, Tx};
use super::{SENDER, entry};
use crate::domain::id::EndpointId;
use crate::domain::webhook::{
    DeliveryState, EndpointState, Outcome, Standing, Verdict, pause, verdict,
};
use crate::domain::{Error, Result, Timestamp};

/// An endpoint that acknowledges much is not written at each acknowledgement.
const FRESH: Duration = Duration::from_secs(1);

/// One try, as it went.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The place of the event.
    pub position: i64,
    /// The fence of the claim.
    pub fence: i64,
    /// What it means.
    pub outcome: Outcome,
    /// The HTTP status.
    pub http_status: Option<u16>,
    /// How long the receiver asks to be left alone, in service time.
    pub retry_after: Option<Duration>,
    /// The beginning of its reply.
    pub excerpt: String,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// Whether it went to a packet's own URL, which says nothing of the endpoint.
    pub own_url: bool,
    /// Spreads the next try.
    pub draw: u64,
}

/// What settling did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriedSettled {
    /// Where the delivery stands.
    pub state: DeliveryState,
    /// Why its endpoint was disabled, if that was the last straw.
    pub disabled: Option<&'static str>,
}

impl Store {
    /// Writes down what became of a try; nothing if its claim was over, but that the receiver
    /// has acknowledged is true whoever has it in hand.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn settle_delivery(&self, tried: Tried) -> Result<Option<TriedSettled>> {
        let store = self.clone();
        self.write(move |tx| {
            let (store, tried) = (store.clone(), tried.clone());
            Box::pin(async move { tx.settle_delivery(&store, &tried).await })
        })
        .await
    }
}

impl Tx {
    async fn settle_delivery(
        &self,
        store: &Store,
        tried: &Tried,
    ) -> Result<Option<TriedSettled>, Fault> {
        let endpoint = webhook_endpoint::Entity::find_by_id(tried.endpoint)
            .lock_exclusive()
            .one(self)
            .await?;
        let row = Entity::find_by_id((tried.endpoint, tried.position))
            .lock_exclusive()
            .one(self)
            .await?;
        // Its endpoint was taken away meanwhile.
        let (Some(endpoint), Some(row)) = (endpoint, row) else {
            return Ok(None);
        };
        let holds = row.fence == tried.fence || tried.outcome.is_done();
        if row.state != DeliveryState::Pending || !holds {
            return Ok(None);
        }
        let state = self.move_delivery(store, &row, tried).await?;
        let disabled = match tried.own_url {
            true => None,
            false => self.judge_endpoint(endpoint, tried.outcome).await?,
        };
        Ok(Some(TriedSettled { state, disabled }))
    }

    async fn move_delivery(
        &self,
        store: &Store,
        row: &Model,
        tried: &Tried,
    ) -> Result<DeliveryState, Fault> {
        let now = self.now();
        let tries = row.try_count.saturating_add(1);
        let failures = u32::try_from(tries).unwrap_or(u32::MAX);
        let next = match tried.outcome.is_done() {
            true => None,
            false => pause(failures, tried.draw, tried.retry_after).map(|pause| now.plus(pause)),
        };
        let state = match (tried.outcome.is_done(), next) {
            (true, _) => DeliveryState::Delivered,
            (false, Some(_)) => DeliveryState::Pending,
            (false, None) => DeliveryState::Dead,
        };
        let done = (state == DeliveryState::Delivered).then_some(now);
        let excerpt = match tried.excerpt.as_str() {
            "" => None,
            text => Some(store.seal_of("reply", tried.endpoint, text)?),
        };
        Entity::update_many()
            .col_expr(Column::State, Expr::value(state))
            .col_expr(Column::TryCount, Expr::value(tries))
            .col_expr(Column::DueTime, Expr::value(next))
            .col_expr(
                Column::LastOutcome,
                Expr::value(Some(tried.outcome.code().into_owned())),
            )
            .col_expr(
                Column::HttpStatus,
                Expr::value(tried.http_status.map(i32::from)),
            )
            .col_expr(Column::ExcerptCipher, Expr::value(excerpt))
            .col_expr(Column::DurationMs, Expr::value(Some(tried.duration_ms)))
            .col_expr(Column::TryTime, Expr::value(Some(now)))
            .col_expr(Column::AcknowledgeTime, Expr::value(done))
            .filter(Column::EndpointId.eq(tried.endpoint))
            .filter(Column::Position.eq(tried.position))
            .exec(self)
            .await?;
        Ok(state)
    }

    /// How the endpoint stands after a try, and whether it is left alone from now on.
    async fn judge_endpoint(
        &self,
        row: webhook_endpoint::Model,
        outcome: Outcome,
    ) -> Result<Option<&'static str>, Fault> {
        use webhook_endpoint::Column as W;
        let now = self.now();
        let fresh = |at: Timestamp| now.since(at) < FRESH;
        let healthy = outcome.is_done() && row.failure_count == 0;
        if healthy && row.acknowledge_time.is_some_and(fresh) {
            return Ok(None);
        }
        let before = Standing {
            failing_since: row.failing_since,
            failures: u32::try_from(row.failure_count).unwrap_or(u32::MAX),
        };
        let standing = before.after(outcome, now);
        let failures = i32::try_from(standing.failures).unwrap_or(i32::MAX);
        let why = match verdict(standing, outcome, now) {
            Verdict::Disable(why) if row.state == EndpointState::Active => Some(why.name()),
            Verdict::Disable(_) | Verdict::Keep => None,
        };
        let acknowledged = outcome.is_done().then_some(now).or(row.acknowledge_time);
        let mut update = webhook_endpoint::Entity::update_many()
            .col_expr(W::FailureCount, Expr::value(failures))
            .col_expr(W::FailingSince, Expr::value(standing.failing_since))
            .col_expr(
                W::LastOutcome,
                Expr::value(Some(outcome.code().into_owned())),
            )
            .col_expr(W::AcknowledgeTime, Expr::value(acknowledged));
        if let Some(why) = why {
            update = update
                .col_expr(W::State, Expr::value(EndpointState::Disabled))
                .col_expr(W::DisabledReason, Expr::value(Some(why)))
                .col_expr(W::Version, Expr::value(row.version + 1));
        }
        let done = update.filter(W::Id.eq(row.id)).exec(self).await?;
        if done.rows_affected != 1 {
            return Err(Error::internal("an endpoint is gone", "webhook").into());
        }
        if let Some(why) = why {
            let from = row.state.name();
            let after = webhook_endpoint::Model {
                state: EndpointState::Disabled,
                version: row.version + 1,
                ..row
            };
            let told = entry(&after, Some(from), "DISABLED", Some(why), SENDER, now);
            self.append(vec![told]).await?;
        }
        Ok(why)
    }
}
