//! Campaigns and their money.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect, Set};

use super::Store;
use super::entity::campaign::{ActiveModel, Column, Entity, Model};
use super::entity::{account_shop, campaign_revision, provider_account, shop};
use super::journal::campaign_entry;
use super::request::{Call, Claimed};
use super::tx::{Fault, Tx, is_duplicate};
use crate::domain::amount::AmountRule;
use crate::domain::campaign::{CampaignKind, CampaignState, Verb};
use crate::domain::id::{AccountId, CampaignId, ShopId};
use crate::domain::ledger::{BudgetDelta, Posting};
use crate::domain::money::BUDGET_MAX;
use crate::domain::text::{Appid, Code, Texts};
use crate::domain::{Error, Fen, Reason, Result, Timestamp, account};

/// A campaign to be made.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Whose.
    pub shop: ShopId,
    /// Its name.
    pub code: Code,
    /// What kind.
    pub kind: CampaignKind,
    /// The amount rule.
    pub amount: AmountRule,
    /// The texts.
    pub texts: Texts,
    /// Who pays.
    pub account: AccountId,
    /// Which appid sends; the account's first if none.
    pub appid: Option<Appid>,
    /// Opens then; now if none.
    pub start: Option<Timestamp>,
    /// Closes then.
    pub end: Option<Timestamp>,
    /// How many at most.
    pub stock: Option<i64>,
}

/// What to change of a campaign; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// New texts.
    pub texts: Option<Texts>,
    /// A new opening.
    pub start: Option<Timestamp>,
    /// A new closing, or none at all.
    pub end: Option<Option<Timestamp>>,
    /// A new stock, or no bound.
    pub stock: Option<Option<i64>>,
    /// The version that the caller has read.
    pub version: Option<i64>,
}

/// A write's result and whether it is an earlier call's.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// What was made or changed, as it is now.
    pub row: T,
    /// Whether an earlier call had done it.
    pub replayed: bool,
}

/// A campaign with its current texts.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The row.
    pub row: Model,
    /// The texts of its revision.
    pub texts: Texts,
}

impl Store {
    /// Makes a draft.
    ///
    /// # Errors
    /// ACCOUNT_NOT_FOUND, ALREADY_EXISTS, field errors that need the account.
    pub async fn create_campaign(&self, call: Call, draft: Draft) -> Result<Written<Campaign>> {
        let id = CampaignId(self.id("campaign").await?);
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, draft) = (call.clone(), draft.clone());
            Box::pin(async move { tx.create_campaign(&call, draft, id).await })
        })
        .await
    }

    /// Changes a campaign.
    ///
    /// # Errors
    /// CAMPAIGN_NOT_FOUND, CAMPAIGN_ENDED, ETAG_MISMATCH, field errors.
    pub async fn update_campaign(
        &self,
        call: Call,
        shop: ShopId,
        id: CampaignId,
        update: Update,
    ) -> Result<Written<Campaign>> {
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, update) = (call.clone(), update.clone());
            Box::pin(async move {
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                if !replayed {
                    tx.update_campaign(&call, shop, id, update).await?;
                }
                Ok(Written {
                    row: tx.campaign(shop, id).await?,
                    replayed,
                })
            })
        })
        .await
    }

    /// Activates, pauses or ends a campaign. A state that it has already is fine.
    ///
    /// # Errors
    /// CAMPAIGN_NOT_FOUND, CAMPAIGN_STATE.
    pub async fn turn_campaign(
        &self,
        call: Call,
        shop: ShopId,
        id: CampaignId,
        verb: Verb,
    ) -> Result<Written<Campaign>> {
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let call = call.clone();
            Box::pin(async move {
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                if !replayed {
                    tx.turn_campaign(&call, shop, id, verb).await?;
                }
                Ok(Written {
                    row: tx.campaign(shop, id).await?,
                    replayed,
                })
            })
        })
        .await
    }

    /// Moves money into a campaign, or out of what is free.
    ///
    /// # Errors
    /// CAMPAIGN_NOT_FOUND, CAMPAIGN_ENDED, AMOUNT_OVERFLOW, BUDGET_IN_USE.
    pub async fn move_money(
        &self,
        call: Call,
        shop: ShopId,
        id: CampaignId,
        posting: Posting,
    ) -> Result<Written<Campaign>> {
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let call = call.clone();
            Box::pin(async move {
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                if !replayed {
                    tx.move_money(&call, shop, id, posting).await?;
                }
                Ok(Written {
                    row: tx.campaign(shop, id).await?,
                    replayed,
                })
            })
        })
        .await
    }
}

impl Tx {
    async fn create_campaign(
        &self,
        call: &Call,
        draft: Draft,
        id: CampaignId,
    ) -> Result<Written<Campaign>, Fault> {
        if let Claimed::Replay { resource, .. } = self.claim_request(call, id.0, None).await? {
            return Ok(Written {
                row: self.campaign(draft.shop, CampaignId(resource)).await?,
                replayed: true,
            });
        }
        let payer = self.account_of(draft.shop, draft.account).await?;
        let appid = default_appid(&payer, draft.appid.as_ref())?;
        let bounds = payer.min_amount_fen..=payer.max_amount_fen;
        account::accepts(
            bounds,
            draft.amount.min(),
            draft.amount.max(),
            Some(&draft.texts),
        )?;
        let now = self.now();
        let start = draft.start.unwrap_or(now);
        if draft.end.is_some_and(|end| end <= start) {
            let text = "end_time must be after start_time, which is now if it is absent".to_owned();
            return Err(Error::field("end_time", Reason::TimeRangeInvalid, text).into());
        }
        let row = ActiveModel {
            id: Set(id),
            shop_id: Set(draft.shop),
            code: Set(draft.code.clone()),
            kind: Set(draft.kind),
            state: Set(CampaignState::Draft),
            amount_type: Set(draft.amount.kind()),
            min_amount_fen: Set(draft.amount.min()),
            max_amount_fen: Set(draft.amount.max()),
            revision: Set(1),
            account_id: Set(draft.account),
            appid: Set(appid),
            start_time: Set(start),
            end_time: Set(draft.end),
            stock_count: Set(draft.stock),
            issued_count: Set(0),
            granted_fen: Set(Fen::ZERO),
            defunded_fen: Set(Fen::ZERO),
            debited_fen: Set(Fen::ZERO),
            credited_fen: Set(Fen::ZERO),
            transit_fen: Set(Fen::ZERO),
            paid_fen: Set(Fen::ZERO),
            version: Set(1),
            create_time: Set(now),
            update_time: Set(now),
        };
        if let Err(error) = Entity::insert(row).exec_without_returning(self).await {
            return Err(if is_duplicate(&error) {
                taken(&draft).into()
            } else {
                error.into()
            });
        }
        self.insert_revision(id, 1, &draft.texts).await?;
        let campaign = self.campaign(draft.shop, id).await?;
        self.append(vec![campaign_entry(
            &campaign.row,
            None,
            "CREATED",
            None,
            &call.actor,
        )])
        .await?;
        Ok(Written {
            row: campaign,
            replayed: false,
        })
    }

    async fn insert_revision(
        &self,
        id: CampaignId,
        revision: i64,
        texts: &Texts,
    ) -> Result<(), Fault> {
        let texts =
            serde_json::to_string(texts).map_err(|e| Error::internal("texts are no JSON", e))?;
        let row = campaign_revision::ActiveModel {
            campaign_id: Set(id),
            revision: Set(revision),
            texts: Set(texts),
            create_time: Set(self.now()),
        };
        campaign_revision::Entity::insert(row)
            .exec_without_returning(self)
            .await?;
        Ok(())
    }

    async fn update_campaign(
        &self,
        call: &Call,
        shop: ShopId,
        id: CampaignId,
        update: Update,
    ) -> Result<(), Fault> {
        let before = self.lock_campaign(shop, id).await?;
        if before.state == CampaignState::Ended {
            return Err(ended(id).into());
        }
        if update
            .version
            .is_some_and(|version| version != before.version)
        {
            let text = "the campaign has changed since you read it; read it again".to_owned();
            return Err(Error::new(Reason::EtagMismatch, text)
                .fact("etag", before.version)
                .into());
        }
        let mut after = before.clone();
        after.start_time = update.start.unwrap_or(before.start_time);
        after.end_time = update.end.unwrap_or(before.end_time);
        after.stock_count = update.stock.unwrap_or(before.stock_count);
        if after.end_time.is_some_and(|end| end <= after.start_time) {
            let text = "end_time must be after start_time".to_owned();
            return Err(Error::field("end_time", Reason::TimeRangeInvalid, text).into());
        }
        if after
            .stock_count
            .is_some_and(|stock| stock < before.issued_count)
        {
            let text = format!("{} packets are issued already", before.issued_count);
            return Err(Error::field("stock_count", Reason::OutOfRange, text).into());
        }
        if let Some(texts) = &update.texts {
            let payer = self.account_of(shop, before.account_id).await?;
            account::accepts(
                payer.min_amount_fen..=payer.max_amount_fen,
                before.min_amount_fen,
                before.max_amount_fen,
                Some(texts),
            )?;
            after.revision += 1;
            self.insert_revision(id, after.revision, texts).await?;
        }
        self.keep_campaign(&before, after, "UPDATED", None, &call.actor)
            .await
    }

    async fn turn_campaign(
        &self,
        call: &Call,
        shop: ShopId,
        id: CampaignId,
        verb: Verb,
    ) -> Result<(), Fault> {
        let before = self.lock_campaign(shop, id).await?;
        let Some(state) = before.state.after(verb) else {
            let text = format!("a campaign that is {} cannot do this", before.state.name());
            let error = Error::new(Reason::CampaignState, text);
            return Err(error
                .fact("campaign_id", id)
                .fact("state", before.state.name())
                .into());
        };
        if state == before.state {
            return Ok(());
        }
        let kind = match state {
            CampaignState::Active => "ACTIVATED",
            CampaignState::Paused => "PAUSED",
            CampaignState::Ended | CampaignState::Draft => "ENDED",
        };
        let after = Model {
            state,
            ..before.clone()
        };
        self.keep_campaign(&before, after, kind, None, &call.actor)
            .await
    }

    async fn move_money(
        &self,
        call: &Call,
        shop: ShopId,
        id: CampaignId,
        posting: Posting,
    ) -> Result<(), Fault> {
        use crate::domain::state::Position;
        let before = self.lock_campaign(shop, id).await?;
        let mut after = before.clone();
        let amount = posting.amount();
        if posting.to() == Position::Available {
            if before.state == CampaignState::Ended {
                return Err(ended(id).into());
            }
            after.granted_fen = before
                .granted_fen
                .checked_add(amount)
                .filter(|sum| *sum <= BUDGET_MAX)
                .ok_or_else(|| {
                    Error::field(
                        "amount_fen",
                        Reason::AmountOverflow,
                        "a budget holds at most 2^62 fen".to_owned(),
                    )
                })?;
            return self
                .keep_campaign(&before, after, "FUNDED", Some(posting), &call.actor)
                .await;
        }
        if before.available() < amount {
            let text = format!(
                "only {} yuan are free; the rest is in packets",
                before.available()
            );
            let error =
                Error::new(Reason::BudgetInUse, text).fact("available_fen", before.available().0);
            return Err(error.fact("required_fen", amount.0).into());
        }
        after.defunded_fen = Fen(before.defunded_fen.0 + amount.0);
        self.keep_campaign(&before, after, "DEFUNDED", Some(posting), &call.actor)
            .await
    }

    /// Writes what an operator changed: only the columns that he can change, for
    /// the money of packets moves on beside him on SQLite's single writer or
    /// behind the row lock.
    async fn keep_campaign(
        &self,
        before: &Model,
        mut after: Model,
        kind: &'static str,
        posting: Option<Posting>,
        actor: &str,
    ) -> Result<(), Fault> {
        after.version = before.version + 1;
        after.update_time = self.now();
        let changed = Entity::update_many()
            .col_expr(Column::State, Expr::value(after.state))
            .col_expr(Column::Revision, Expr::value(after.revision))
            .col_expr(Column::StartTime, Expr::value(after.start_time))
            .col_expr(Column::EndTime, Expr::value(after.end_time))
            .col_expr(Column::StockCount, Expr::value(after.stock_count))
            .col_expr(Column::GrantedFen, Expr::value(after.granted_fen))
            .col_expr(Column::DefundedFen, Expr::value(after.defunded_fen))
            .col_expr(Column::Version, Expr::value(after.version))
            .col_expr(Column::UpdateTime, Expr::value(after.update_time))
            .filter(Column::Id.eq(after.id))
            .filter(Column::Version.eq(before.version))
            .exec(self)
            .await?;
        if changed.rows_affected != 1 {
            return Err(Error::new(
                Reason::ConcurrentUpdate,
                "somebody else changed it first; repeat the call".to_owned(),
            )
            .into());
        }
        self.append(vec![campaign_entry(
            &after,
            Some(before.state.name()),
            kind,
            posting,
            actor,
        )])
        .await
    }

    /// Takes money for new packets, if the campaign still allows it: the one
    /// statement that guards the budget. Called last, right before COMMIT. False
    /// if it does not, and then nothing was taken.
    pub(super) async fn take(
        &self,
        id: CampaignId,
        sum: Fen,
        count: i64,
        uncounted: i64,
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
    pub(super) async fn book(
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
            .col_expr(
                Column::IssuedCount,
                Expr::col(Column::IssuedCount).sub(unissued),
            )
            .filter(Column::Id.eq(id))
            .exec(self)
            .await?;
        Ok(())
    }

    /// A campaign of a shop, locked until the unit ends.
    pub(super) async fn lock_campaign(&self, shop: ShopId, id: CampaignId) -> Result<Model, Fault> {
        let row = Entity::find_by_id(id)
            .filter(Column::ShopId.eq(shop))
            .lock_exclusive()
            .one(self)
            .await?;
        Ok(row.ok_or_else(|| not_found(id))?)
    }

    /// A campaign of a shop with its texts.
    pub(super) async fn campaign(&self, shop: ShopId, id: CampaignId) -> Result<Campaign, Fault> {
        super::read::campaign(self, shop, id).await
    }

    /// An account that a shop may pay through.
    pub(super) async fn account_of(
        &self,
        shop: ShopId,
        id: AccountId,
    ) -> Result<provider_account::Model, Fault> {
        let known = shop::Entity::find_by_id(shop).one(self).await?;
        known.ok_or_else(|| crate::domain::grant::shop_not_found(shop))?;
        let granted = account_shop::Entity::find_by_id((id, shop))
            .one(self)
            .await?;
        let row = provider_account::Entity::find_by_id(id).one(self).await?;
        match (granted, row) {
            (Some(_), Some(row)) => Ok(row),
            _ => Err(super::account::not_found(id).into()),
        }
    }
}

/// The appid that sends: the one asked for if the account has it, else its first.
fn default_appid(payer: &provider_account::Model, asked: Option<&Appid>) -> Result<Appid> {
    let appids = super::account::appids(payer)?;
    let found = match asked {
        Some(appid) => appids.into_iter().find(|a| a == appid),
        None => appids.into_iter().next(),
    };
    found.ok_or_else(|| {
        Error::field(
            "appid",
            Reason::AppidInvalid,
            "this appid is not bound to the account's merchant".to_owned(),
        )
    })
}

fn taken(draft: &Draft) -> Error {
    let (field, text) = match draft.kind {
        CampaignKind::Named => ("code", "the shop has a campaign of this code"),
        CampaignKind::Direct => (
            "kind",
            "the shop has a campaign of this code, or a DIRECT campaign already",
        ),
    };
    Error::new(Reason::AlreadyExists, text.to_owned()).fact("field", field)
}

/// The one wording for a campaign that is not there or not yours.
pub(super) fn not_found(id: CampaignId) -> Error {
    Error::new(
        Reason::CampaignNotFound,
        "no such campaign in this shop".to_owned(),
    )
    .fact("campaign_id", id)
}

fn ended(id: CampaignId) -> Error {
    Error::new(
        Reason::CampaignEnded,
        "the campaign has ended for ever".to_owned(),
    )
    .fact("campaign_id", id)
}
