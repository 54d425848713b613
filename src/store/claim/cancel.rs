//! Queued packets of campaigns that have ended are withdrawn when they are claimed.

use std::collections::BTreeMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect};

use super::super::entity::{campaign, issuance};
use super::super::journal::{Change, issuance_entry};
use super::super::tx::{Fault, Tx};
use super::DISPATCHER;
use crate::domain::campaign::CampaignState;
use crate::domain::id::CampaignId;
use crate::domain::ledger::{BudgetDelta, Posting};
use crate::domain::schedule::Job;
use crate::domain::{Error, State, Timestamp};

impl Tx {
    /// Queued packets of campaigns that have ended, and the rest.
    pub(super) async fn split_ended(
        &self,
        due: Vec<issuance::Model>,
    ) -> Result<(Vec<issuance::Model>, Vec<issuance::Model>), Fault> {
        let queued: Vec<CampaignId> = due
            .iter()
            .filter(|i| i.state == State::Queued)
            .map(|i| i.campaign_id)
            .collect();
        if queued.is_empty() {
            return Ok((Vec::new(), due));
        }
        let ended: Vec<CampaignId> = campaign::Entity::find()
            .select_only()
            .column(campaign::Column::Id)
            .filter(campaign::Column::Id.is_in(queued))
            .filter(campaign::Column::State.eq(CampaignState::Ended))
            .into_tuple()
            .all(self)
            .await?;
        Ok(due
            .into_iter()
            .partition(|i| i.state == State::Queued && ended.contains(&i.campaign_id)))
    }

    /// Withdraws packets that were never sent, and gives their money back.
    pub(super) async fn cancel(&self, rows: Vec<issuance::Model>) -> Result<(), Fault> {
        if rows.is_empty() {
            return Ok(());
        }
        let to = State::Cancelled;
        issuance::Entity::update_many()
            .col_expr(issuance::Column::State, Expr::value(to))
            .col_expr(issuance::Column::Job, Expr::value(None::<Job>))
            .col_expr(issuance::Column::DueTime, Expr::value(None::<Timestamp>))
            .col_expr(
                issuance::Column::Version,
                Expr::col(issuance::Column::Version).add(1_i64),
            )
            .col_expr(issuance::Column::UpdateTime, Expr::value(self.now()))
            .filter(issuance::Column::Id.is_in(rows.iter().map(|r| r.id)))
            .exec(self)
            .await?;
        let mut deltas: BTreeMap<CampaignId, (BudgetDelta, i64)> = BTreeMap::new();
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let posting = Posting::of_transition(row.state, to, row.amount_fen);
            let (delta, unissued) = deltas.entry(row.campaign_id).or_default();
            if posting.is_some_and(|posting| !delta.add(posting)) {
                return Err(Error::internal("a sum does not fit", "cancel").into());
            }
            *unissued += 1;
            let change = Change {
                before: row,
                from: Some(row.state),
                to,
                kind: to.name(),
                reason: Some("CAMPAIGN_ENDED".to_owned()),
                posting,
                seq: row.version + 1,
            };
            entries.push(issuance_entry(change, DISPATCHER, self.now()));
        }
        self.append(entries).await?;
        for (campaign, (delta, unissued)) in deltas {
            self.book(campaign, delta, unissued).await?;
        }
        Ok(())
    }
}
