//! What takes two people. A call that needs a second one leaves its approval and
//! nothing else; the same call, made again, uses the approval up in the transaction
//! that has its effect. So nobody has to run what somebody else has written, and an
//! approval cannot be used twice.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel as _, QueryFilter,
    QuerySelect,
};

use super::Store;
use super::entity::approval::{Column, Entity, Model};
use super::page::{Page, page_query};
use super::request::{Call, Claimed, Written};
use super::tx::{Fault, Tx, is_duplicate, to_error};
use crate::domain::approval::{Need, Rule, Stage, rejected};
use crate::domain::grant::{Permission, Principal};
use crate::domain::id::{AppId, ApprovalId, IssuanceId, ShopId};
use crate::domain::{Error, Reason, Result, Timestamp, missing};

impl Store {
    /// A page of approvals, newest first: of a shop, or of all, in one stage or any.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn approvals(
        &self,
        shop: Option<ShopId>,
        stage: Option<Stage>,
        page: Page,
    ) -> Result<Vec<Model>> {
        let mut query = Entity::find();
        if let Some(shop) = shop {
            query = query.filter(Column::ShopId.eq(shop));
        }
        if let Some(stage) = stage {
            query = query.filter(Column::State.eq(stage));
        }
        page_query(query, Column::Id, page)
            .all(self.reader())
            .await
            .map_err(to_error)
    }

    /// What is proposed for cases and nobody has decided.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn pending_closings(&self, ids: &[IssuanceId]) -> Result<Vec<Model>> {
        Entity::find()
            .filter(Column::State.eq(Stage::Pending))
            .filter(Column::Rule.eq(Rule::CloseReview))
            .filter(Column::IssuanceId.is_in(ids.iter().copied()))
            .all(self.reader())
            .await
            .map_err(to_error)
    }

    /// How many approvals wait, and since when the oldest does.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn approvals_waiting(&self) -> Result<(i64, Option<Timestamp>)> {
        let row: Option<(i64, Option<Timestamp>)> = Entity::find()
            .select_only()
            .column_as(Expr::col(Column::Id).count(), "waiting")
            .column_as(Expr::col(Column::CreateTime).min(), "oldest")
            .filter(Column::State.eq(Stage::Pending))
            .into_tuple()
            .one(self.reader())
            .await
            .map_err(to_error)?;
        Ok(row.unwrap_or_default())
    }

    /// Agrees to a call, or says no.
    ///
    /// # Errors
    /// APPROVAL_NOT_FOUND, SECOND_APPROVER_REQUIRED, APPROVAL_DECIDED.
    pub async fn decide_approval(
        &self,
        call: Call,
        by: Principal,
        id: ApprovalId,
        stage: Stage,
        reason: String,
    ) -> Result<Written<Model>> {
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, by, reason) = (call.clone(), by.clone(), reason.clone());
            Box::pin(async move {
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                let before = Entity::find_by_id(id).lock_exclusive().one(tx).await?;
                let before = before
                    .filter(|row| may_see(&by, row))
                    .ok_or_else(|| missing::approval(id))?;
                if !replayed {
                    tx.decide(&call, &before, stage, reason).await?;
                }
                let row = Entity::find_by_id(id).one(tx).await?;
                let row = row.ok_or_else(|| missing::approval(id))?;
                Ok(Written { row, replayed })
            })
        })
        .await
    }
}

/// Whether a principal decides in the shop of an approval.
fn may_see(by: &Principal, row: &Model) -> bool {
    match row.shop_id {
        Some(shop) => by.holds_in(Permission::Approve, shop).is_ok(),
        None => by.holds_everywhere(Permission::Approve),
    }
}

impl Tx {
    /// Uses up the approval of a call, if there is one that covers it; else leaves
    /// one that waits, and says why the call is refused. A look does neither: of a
    /// trial, and of a call that is refused for other reasons as well.
    pub(super) async fn approved(
        &self,
        call: &Call,
        need: &Need,
        look: bool,
    ) -> Result<Option<Error>, Fault> {
        let look = look || call.validate_only;
        let found = self.approval_of(call.app, call).await?;
        let Some(row) = found else {
            if look {
                return Ok(Some(need.required(None)));
            }
            let id = self.ask_second(call, need).await?;
            return Ok(Some(need.required(Some(id))));
        };
        if row.method != call.method || row.fingerprint != call.fingerprint {
            let text = format!(
                "this request_id already names a {} call with other contents that waits for approval; use a new one",
                row.method
            );
            return Ok(Some(
                Error::new(Reason::RequestIdReused, text)
                    .fact("request_id", &call.request)
                    .fact("method", &row.method),
            ));
        }
        let covered =
            |decided| need.is_covered(row.packet_count, row.amount_fen, decided, self.now());
        match (row.state, row.decide_time) {
            (Stage::Rejected, _) => Ok(Some(rejected(row.id, &row.decider, &row.reason))),
            (Stage::Approved, Some(decided)) if covered(decided) => {
                if !look {
                    self.use_up(&row).await?;
                }
                Ok(None)
            }
            (Stage::Pending | Stage::Approved | Stage::Used | Stage::Withdrawn, _) => {
                if !look {
                    self.ask_again(&row, need).await?;
                }
                Ok(Some(need.required(Some(row.id))))
            }
        }
    }

    /// That a call may go through: it needs nobody else, or its approval is used up.
    ///
    /// # Errors
    /// APPROVAL_REQUIRED, APPROVAL_REJECTED.
    pub(super) async fn demand(&self, call: &Call, need: Option<Need>) -> Result<(), Fault> {
        let Some(need) = need else { return Ok(()) };
        let refusal = self.approved(call, &need, false).await?;
        refusal.map_or(Ok(()), |refusal| Err(refusal.into()))
    }

    /// Withdraws what was proposed for cases that have ended otherwise.
    pub(super) async fn withdraw_closings(&self, cases: Vec<IssuanceId>) -> Result<(), Fault> {
        if cases.is_empty() {
            return Ok(());
        }
        Entity::update_many()
            .col_expr(Column::State, Expr::value(Stage::Withdrawn))
            .filter(Column::IssuanceId.is_in(cases))
            .filter(Column::State.is_in([Stage::Pending, Stage::Approved]))
            .exec(self)
            .await?;
        Ok(())
    }

    async fn approval_of(&self, app: AppId, call: &Call) -> Result<Option<Model>, Fault> {
        let row = Entity::find()
            .filter(Column::AppId.eq(app))
            .filter(Column::RequestId.eq(call.request.clone()))
            .lock_exclusive()
            .one(self)
            .await?;
        Ok(row)
    }

    /// The approval that a call has used up.
    pub(super) async fn used_approval(&self, call: &Call) -> Result<Model, Fault> {
        let row = self.approval_of(call.app, call).await?;
        Ok(row.ok_or_else(|| Error::internal("an approval is missing", "approval"))?)
    }

    /// Writes down what a call needs a second person for. Ids follow each other,
    /// since people read them to each other; whoever loses the race runs again.
    async fn ask_second(&self, call: &Call, need: &Need) -> Result<ApprovalId, Fault> {
        let last: Option<Option<i64>> = Entity::find()
            .select_only()
            .column_as(Expr::col(Column::Id).max(), "last")
            .into_tuple()
            .one(self)
            .await?;
        let id = ApprovalId(last.flatten().unwrap_or(0) + 1);
        let row = Model {
            id,
            app_id: call.app,
            request_id: call.request.clone(),
            actor: call.actor.clone(),
            method: call.method.to_owned(),
            fingerprint: call.fingerprint.to_vec(),
            shop_id: need.shop,
            campaign_id: need.campaign,
            issuance_id: need.issuance,
            rule: need.rule,
            summary: need.summary.clone(),
            packet_count: need.count,
            amount_fen: need.amount,
            state: Stage::Pending,
            decided_by: None,
            decider: String::new(),
            reason: String::new(),
            decide_time: None,
            create_time: self.now(),
        };
        match Entity::insert(row.into_active_model().reset_all())
            .exec_without_returning(self)
            .await
        {
            Ok(_) => Ok(id),
            Err(error) if is_duplicate(&error) => Err(Fault::Again),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks anew for what the call needs now: it has grown, or the decision is old.
    async fn ask_again(&self, row: &Model, need: &Need) -> Result<(), Fault> {
        Entity::update_many()
            .col_expr(Column::State, Expr::value(Stage::Pending))
            .col_expr(Column::Summary, Expr::value(need.summary.clone()))
            .col_expr(Column::PacketCount, Expr::value(need.count))
            .col_expr(Column::AmountFen, Expr::value(need.amount))
            .col_expr(Column::DecidedBy, Expr::value(None::<AppId>))
            .col_expr(Column::Decider, Expr::value(String::new()))
            .col_expr(Column::Reason, Expr::value(String::new()))
            .col_expr(Column::DecideTime, Expr::value(None::<Timestamp>))
            .filter(Column::Id.eq(row.id))
            .exec(self)
            .await?;
        Ok(())
    }

    async fn use_up(&self, row: &Model) -> Result<(), Fault> {
        let used = Entity::update_many()
            .col_expr(Column::State, Expr::value(Stage::Used))
            .filter(Column::Id.eq(row.id))
            .filter(Column::State.eq(Stage::Approved))
            .exec(self)
            .await?;
        if used.rows_affected != 1 {
            return Err(Fault::Again);
        }
        Ok(())
    }

    async fn decide(
        &self,
        call: &Call,
        before: &Model,
        stage: Stage,
        reason: String,
    ) -> Result<(), Fault> {
        if before.app_id == call.app {
            let text =
                "whoever makes a call cannot approve it, with whatever key; another person has to";
            return Err(Error::new(Reason::SecondApproverRequired, text.to_owned())
                .fact("approval_id", before.id)
                .into());
        }
        if before.state == stage {
            return Ok(());
        }
        if before.state != Stage::Pending {
            let text = if before.state == Stage::Withdrawn {
                "the case has ended otherwise".to_owned()
            } else {
                let (who, how) = (&before.decider, before.state.name());
                format!("{who} has decided this already: {how}")
            };
            return Err(Error::new(Reason::ApprovalDecided, text)
                .fact("approval_id", before.id)
                .fact("state", before.state.name())
                .into());
        }
        Entity::update_many()
            .col_expr(Column::State, Expr::value(stage))
            .col_expr(Column::DecidedBy, Expr::value(Some(call.app)))
            .col_expr(Column::Decider, Expr::value(call.actor.clone()))
            .col_expr(Column::Reason, Expr::value(reason))
            .col_expr(Column::DecideTime, Expr::value(Some(self.now())))
            .filter(Column::Id.eq(before.id))
            .exec(self)
            .await?;
        Ok(())
    }

    /// A unit that was refused because it waits for a second person keeps what it has
    /// asked for, and gives its request id back. The unit must have written nothing else.
    pub(super) async fn or_wait<T>(
        &self,
        call: &Call,
        done: Result<T, Fault>,
    ) -> Result<Result<T>, Fault> {
        match done {
            Ok(done) => Ok(Ok(done)),
            Err(Fault::Refused(error)) if error.reason == Reason::ApprovalRequired => {
                self.release_request(call).await?;
                Ok(Err(error))
            }
            Err(fault) => Err(fault),
        }
    }
}
