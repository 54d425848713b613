//! What packets do to a campaign's money: the two statements that touch its hot row,
//! each the last one before COMMIT.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter};

use super::super::entity::campaign::{Column, Entity};
use super::super::tx::{Fault, Tx};
use crate::domain::Fen;
use crate::domain::campaign::CampaignState;
use crate::domain::cap::Caps;
use crate::domain::id::CampaignId;
use crate::domain::ledger::BudgetDelta;

impl Tx {
    /// Takes money for new packets, if the campaign still allows it: the one
    /// statement that guards the budget. Called last, right before COMMIT. False
    /// if it does not, and then nothing was taken.
    pub(in crate::store) async fn take(
        &self,
        id: CampaignId,
        sum: Fen,
        count: i64,
        uncounted: i64,
        caps: &Caps,
    ) -> Result<bool, Fault> {
        let now = self.now();
        let stock = count - uncounted;
        let taken = Entity::update_many()
            .col_expr(Column::DebitedFen, Expr::col(Column::DebitedFen).add(sum))
            .col_expr(
                Column::IssuedCount,
                Expr::col(Column::IssuedCount).add(stock),
            )
            .filter(Column::Id.eq(id))
            .filter(Column::State.eq(CampaignState::Active))
            // Judged under these caps: if an operator changed them, it is judged again.
            .filter(Column::Caps.eq(caps.to_json()?))
            .filter(Column::StartTime.lte(now))
            .filter(Column::EndTime.is_null().or(Column::EndTime.gt(now)))
            .filter(
                Expr::col(Column::GrantedFen)
                    .sub(Expr::col(Column::DefundedFen))
                    .sub(Expr::col(Column::DebitedFen))
                    .add(Expr::col(Column::CreditedFen))
                    .gte(sum),
            )
            .filter(
                Column::StockCount
                    .is_null()
                    .or(Expr::col(Column::IssuedCount)
                        .add(stock)
                        .lte(Expr::col(Column::StockCount))),
            )
            .exec(self)
            .await?;
        Ok(taken.rows_affected == 1)
    }

    /// Books what packets did to a campaign's money. Called last, right before COMMIT.
    pub(in crate::store) async fn book(
        &self,
        id: CampaignId,
        delta: BudgetDelta,
        unissued: i64,
    ) -> Result<(), Fault> {
        if delta == BudgetDelta::default() && unissued == 0 {
            return Ok(());
        }
        Entity::update_many()
            .col_expr(
                Column::DebitedFen,
                Expr::col(Column::DebitedFen).add(delta.debited),
            )
            .col_expr(
                Column::CreditedFen,
                Expr::col(Column::CreditedFen).add(delta.credited),
            )
            .col_expr(
                Column::TransitFen,
                Expr::col(Column::TransitFen).add(delta.transit),
            )
            .col_expr(Column::PaidFen, Expr::col(Column::PaidFen).add(delta.paid))
            .col_expr(Column::FeeFen, Expr::col(Column::FeeFen).add(delta.fee))
            .col_expr(
                Column::DiscountFen,
                Expr::col(Column::DiscountFen).add(delta.discount),
            )
            .col_expr(
                Column::IssuedCount,
                Expr::col(Column::IssuedCount).sub(unissued),
            )
            .filter(Column::Id.eq(id))
            .exec(self)
            .await?;
        Ok(())
    }
}
