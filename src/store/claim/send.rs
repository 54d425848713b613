//! Claiming packets to be sent: their attempts are written down before a byte is.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel as _, QueryFilter,
};

use super::super::entity::{attempt, issuance, provider_account};
use super::super::journal::insert_all;
use super::super::quota::Fitting;
use super::super::tx::{Fault, Tx};
use crate::domain::id::AttemptId;
use crate::domain::{Error, State, Timestamp};

impl Tx {
    /// Writes down that these packets are about to be sent.
    pub(super) async fn begin_send(
        &self,
        account: &provider_account::Model,
        fitting: Fitting,
        ids: Vec<i64>,
        until: Timestamp,
    ) -> Result<(Vec<issuance::Model>, Vec<attempt::Model>), Fault> {
        let now = self.now();
        let (fresh, again): (Vec<_>, Vec<_>) = fitting
            .rows
            .into_iter()
            .partition(|row| row.state == State::Queued);
        let mut attempts = self.send_again(&again, fitting.day).await?;
        let mut new = Vec::with_capacity(fresh.len());
        for (row, id) in fresh.iter().zip(ids) {
            let number = row
                .mch_billno
                .clone()
                .ok_or_else(|| Error::internal("a queued packet has no number", "claim"))?;
            new.push(attempt::Model {
                id: AttemptId(id),
                issuance_id: row.id,
                attempt_no: row.attempt_count + 1,
                account_id: account.id,
                mch_id: account.mch_id.clone(),
                mch_billno: number,
                state: State::Sending,
                send_count: 1,
                query_count: 0,
                queries_since_send: 0,
                doubtful: false,
                first_send_time: now,
                refuse_time: None,
                not_found_time: None,
                accept_time: None,
                provider_order_no: String::new(),
                take_time: None,
                cost_fen: None,
                package_cipher: None,
                quota_day: Some(fitting.day),
                last_error: None,
                create_time: now,
                update_time: now,
                live_key: None,
            });
        }
        let inserts = new.iter().map(|a| attempt::ActiveModel {
            live_key: sea_orm::ActiveValue::NotSet,
            ..a.clone().into_active_model().reset_all()
        });
        insert_all::<attempt::Entity, _>(self, inserts.collect()).await?;
        attempts.extend(new);
        let mut out = self.lease_rows(fresh, State::Sending, 1, until).await?;
        out.extend(self.lease_rows(again, State::Sending, 0, until).await?);
        Ok((out, attempts))
    }

    /// The live attempts of packets whose number goes out once more.
    async fn send_again(
        &self,
        rows: &[issuance::Model],
        day: i64,
    ) -> Result<Vec<attempt::Model>, Fault> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut attempts = self.live_attempts(rows).await?;
        attempt::Entity::update_many()
            .col_expr(attempt::Column::State, Expr::value(State::Sending))
            .col_expr(
                attempt::Column::SendCount,
                Expr::col(attempt::Column::SendCount).add(1),
            )
            .col_expr(attempt::Column::QueriesSinceSend, Expr::value(0))
            .col_expr(
                attempt::Column::NotFoundTime,
                Expr::value(None::<Timestamp>),
            )
            .col_expr(attempt::Column::TakeTime, Expr::value(None::<Timestamp>))
            .col_expr(attempt::Column::QuotaDay, Expr::value(Some(day)))
            .col_expr(attempt::Column::UpdateTime, Expr::value(self.now()))
            .filter(attempt::Column::Id.is_in(attempts.iter().map(|a| a.id)))
            .exec(self)
            .await?;
        for attempt in &mut attempts {
            attempt.queries_since_send = 0;
            attempt.state = State::Sending;
            attempt.send_count += 1;
            attempt.not_found_time = None;
            attempt.take_time = None;
        }
        Ok(attempts)
    }
}
