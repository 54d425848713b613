//! Provider accounts, and the breaker that holds one back.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder,
};

use super::Store;
use super::breaker::set_breaker;
use super::entity::provider_account::{Column, Entity, Model};
use super::entity::{account_shop, money_breaker, shop};
use super::money_breaker::breaker_of;
use super::request::{Call, Claimed, Written};
use super::tx::{Fault, Tx, is_duplicate, to_error};
use crate::domain::approval::{Need, Rule};
use crate::domain::cap::Used;
use crate::domain::id::{AccountId, ShopId};
use crate::domain::packet::Capability;
use crate::domain::plan::{self, SpendPlan};
use crate::domain::stop::Scope;
use crate::domain::text::{Appid, Code, MchId};
use crate::domain::{Error, Fen, Reason, Result, missing};

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The protocol's name.
    pub protocol: &'static str,
    /// The merchant.
    pub mch_id: MchId,
    /// The name of its secrets.
    pub credential: Code,
    /// The appids bound to it.
    pub appids: Vec<Appid>,
    /// The shops that may pay through it.
    pub shops: Vec<ShopId>,
    /// Our address as the provider sees it.
    pub client_ip: String,
    /// The smallest packet.
    pub min_amount: Fen,
    /// The largest packet.
    pub max_amount: Fen,
    /// Payments per second.
    pub sends_per_second: i32,
    /// Queries per second.
    pub queries_per_second: i32,
    /// Packets for one openid on a day; 0: no bound.
    pub openid_day_count: i64,
    /// Their sum; 0: no bound.
    pub openid_day_fen: Fen,
    /// The sum of all packets on a day; 0: no bound.
    pub day_fen: Fen,
    /// Whether a confirmed refusal fails an attempt.
    pub confirm_refusals: bool,
    /// What it can do beside sending to one openid.
    pub capabilities: Vec<Capability>,
    /// What it is planned to spend.
    pub plan: Option<SpendPlan>,
}

/// What to change of an account; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct AccountUpdate {
    /// Shops to add.
    pub add_shops: Vec<ShopId>,
    /// Appids to add.
    pub add_appids: Vec<Appid>,
    /// Whether it may be used.
    pub enabled: Option<bool>,
    /// Payments per second.
    pub sends_per_second: Option<i32>,
    /// Queries per second.
    pub queries_per_second: Option<i32>,
    /// Packets for one openid on a day.
    pub openid_day_count: Option<i64>,
    /// Their sum.
    pub openid_day_fen: Option<Fen>,
    /// The sum of all packets on a day.
    pub day_fen: Option<Fen>,
    /// Whether a confirmed refusal fails an attempt.
    pub confirm_refusals: Option<bool>,
    /// Capabilities to add.
    pub add_capabilities: Vec<Capability>,
    /// Capabilities to take away.
    pub remove_capabilities: Vec<Capability>,
    /// Whether to close the breaker.
    pub close_breaker: bool,
    /// A new plan of what it spends, or none.
    pub plan: Option<Option<SpendPlan>>,
}

/// An account with the shops that it is granted to.
#[derive(Clone, Debug)]
pub struct Account {
    /// The row.
    pub row: Model,
    /// The shops.
    pub shops: Vec<ShopId>,
    /// What counts against today's quota.
    pub used: Used,
    /// Its money breaker, if it has a plan.
    pub breaker: Option<money_breaker::Model>,
}

impl Store {
    /// Makes an account.
    ///
    /// # Errors
    /// ALREADY_EXISTS, SHOP_NOT_FOUND.
    pub async fn create_account(&self, call: Call, new: NewAccount) -> Result<Written<Account>> {
        let id = AccountId(self.id("account").await?);
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, new) = (call.clone(), new.clone());
            Box::pin(async move { tx.create_account(&call, new, id).await })
        })
        .await
    }

    /// Changes an account.
    ///
    /// # Errors
    /// ACCOUNT_NOT_FOUND, SHOP_NOT_FOUND; APPROVAL_REQUIRED, APPROVAL_REJECTED: a looser plan.
    pub async fn update_account(
        &self,
        call: Call,
        id: AccountId,
        update: AccountUpdate,
    ) -> Result<Written<Account>> {
        let end = call.end();
        let done = self.write_or_try(end, move |tx| {
            let (call, update) = (call.clone(), update.clone());
            Box::pin(async move {
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                if !replayed {
                    let changed = tx.update_account(&call, id, update).await;
                    if let Err(error) = tx.or_wait(&call, changed).await? {
                        return Ok(Err(error));
                    }
                }
                Ok(Ok(Written {
                    row: account(tx, id, tx.now().beijing_day()).await?,
                    replayed,
                }))
            })
        });
        done.await?
    }

    /// One account.
    ///
    /// # Errors
    /// ACCOUNT_NOT_FOUND.
    pub async fn account(&self, id: AccountId) -> Result<Account> {
        let day = self.now().await?.beijing_day();
        Ok(account(self.reader(), id, day).await?)
    }

    /// A page of accounts, newest first.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn accounts(&self, page: super::page::Page) -> Result<Vec<Account>> {
        let rows = super::page::page_query(Entity::find(), Column::Id, page)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let day = self.now().await?.beijing_day();
        let mut accounts = Vec::with_capacity(rows.len());
        for row in rows {
            accounts.push(whole(self.reader(), row, day).await?);
        }
        Ok(accounts)
    }

    /// The accounts that the dispatcher works for.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn enabled_accounts(&self) -> Result<Vec<Model>> {
        let query = Entity::find()
            .filter(Column::Enabled.eq(true))
            .order_by_asc(Column::Id);
        query.all(self.reader()).await.map_err(to_error)
    }

    /// Every account, for checks at start.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn all_accounts(&self) -> Result<Vec<Model>> {
        Entity::find().all(self.reader()).await.map_err(to_error)
    }
}

impl Tx {
    async fn create_account(
        &self,
        call: &Call,
        new: NewAccount,
        id: AccountId,
    ) -> Result<Written<Account>, Fault> {
        if let Claimed::Replay { resource, .. } = self.claim_request(call, id.0, None).await? {
            return Ok(Written {
                row: account(self, AccountId(resource), self.now().beijing_day()).await?,
                replayed: true,
            });
        }
        let appids = json(&new.appids)?;
        let capabilities: BTreeSet<_> = new.capabilities.into_iter().collect();
        let capabilities = json(&capabilities)?;
        let row = Model {
            id,
            protocol: new.protocol.to_owned(),
            mch_id: new.mch_id,
            credential: new.credential,
            appids,
            client_ip: new.client_ip,
            min_amount_fen: new.min_amount,
            max_amount_fen: new.max_amount,
            sends_per_second: new.sends_per_second,
            queries_per_second: new.queries_per_second,
            openid_day_count: new.openid_day_count,
            openid_day_fen: new.openid_day_fen,
            day_fen: new.day_fen,
            confirm_refusals: new.confirm_refusals,
            capabilities,
            enabled: true,
            breaker_code: None,
            breaker_until: None,
            breaker_trips: 0,
            create_time: self.now(),
        };
        if let Err(error) = Entity::insert(row.into_active_model().reset_all())
            .exec_without_returning(self)
            .await
        {
            return Err(if is_duplicate(&error) {
                let text = "there is an account for this merchant; grant it to the shop with UpdateProviderAccount";
                Error::new(Reason::AlreadyExists, text.to_owned())
                    .fact("field", "mch_id")
                    .into()
            } else {
                error.into()
            });
        }
        self.insert_pace(id).await?;
        self.insert_stop(Scope::Account(id)).await?;
        if new.plan.is_some() {
            self.set_plan(plan::Scope::Account, id.0, new.plan).await?;
        }
        self.grant_shops(id, &new.shops).await?;
        Ok(Written {
            row: account(self, id, self.now().beijing_day()).await?,
            replayed: false,
        })
    }

    async fn update_account(
        &self,
        call: &Call,
        id: AccountId,
        update: AccountUpdate,
    ) -> Result<(), Fault> {
        let before = Entity::find_by_id(id)
            .one(self)
            .await?
            .ok_or_else(|| missing::account(id))?;
        if let Some(plan) = update.plan {
            let of = format!("account {id}");
            let looser = self.loosened_plan(plan::Scope::Account, id.0, plan, &of);
            let looser = looser.await?;
            let need = looser.map(|summary| Need::new(Rule::LoosenBound, None, summary));
            self.demand(call, need).await?;
        }
        let mut change = Entity::update_many().filter(Column::Id.eq(id)).col_expr(
            Column::Enabled,
            Expr::value(update.enabled.unwrap_or(before.enabled)),
        );
        if let Some(sends) = update.sends_per_second {
            change = change.col_expr(Column::SendsPerSecond, Expr::value(sends));
        }
        if let Some(queries) = update.queries_per_second {
            change = change.col_expr(Column::QueriesPerSecond, Expr::value(queries));
        }
        if let Some(count) = update.openid_day_count {
            change = change.col_expr(Column::OpenidDayCount, Expr::value(count));
        }
        if let Some(sum) = update.openid_day_fen {
            change = change.col_expr(Column::OpenidDayFen, Expr::value(sum));
        }
        if let Some(sum) = update.day_fen {
            change = change.col_expr(Column::DayFen, Expr::value(sum));
        }
        if let Some(confirm) = update.confirm_refusals {
            change = change.col_expr(Column::ConfirmRefusals, Expr::value(confirm));
        }
        if !update.add_appids.is_empty() {
            let mut all = appids(&before)?;
            for appid in update.add_appids {
                if !all.contains(&appid) {
                    all.push(appid);
                }
            }
            change = change.col_expr(Column::Appids, Expr::value(json(&all)?));
        }
        let mut able = capabilities(&before)?;
        able.extend(update.add_capabilities);
        able.retain(|known| !update.remove_capabilities.contains(known));
        change = change.col_expr(Column::Capabilities, Expr::value(json(&able)?));
        change.exec(self).await?;
        if let Some(plan) = update.plan {
            self.set_plan(plan::Scope::Account, id.0, plan).await?;
        }
        if update.close_breaker {
            set_breaker(self, id, None, None, 0).await?;
        }
        self.grant_shops(id, &update.add_shops).await
    }

    async fn grant_shops(&self, id: AccountId, shops: &[ShopId]) -> Result<(), Fault> {
        for shop in shops {
            self.known_shop(*shop).await?;
            let row = account_shop::ActiveModel {
                account_id: sea_orm::Set(id),
                shop_id: sea_orm::Set(*shop),
            };
            let keep = OnConflict::columns([
                account_shop::Column::AccountId,
                account_shop::Column::ShopId,
            ])
            .do_nothing()
            .to_owned();
            account_shop::Entity::insert(row)
                .on_conflict(keep)
                .exec_without_returning(self)
                .await?;
        }
        Ok(())
    }

    /// A shop that exists.
    pub(super) async fn known_shop(&self, id: ShopId) -> Result<shop::Model, Fault> {
        let row = shop::Entity::find_by_id(id).one(self).await?;
        Ok(row.ok_or_else(|| missing::shop(id))?)
    }
}

async fn account(
    db: &impl sea_orm::ConnectionTrait,
    id: AccountId,
    day: i64,
) -> Result<Account, Fault> {
    let row = Entity::find_by_id(id)
        .one(db)
        .await?
        .ok_or_else(|| missing::account(id))?;
    whole(db, row, day).await
}

async fn whole(db: &impl sea_orm::ConnectionTrait, row: Model, day: i64) -> Result<Account, Fault> {
    Ok(Account {
        shops: shops_of(db, row.id).await?,
        used: super::quota::used_of_account(db, row.id, day).await?,
        breaker: breaker_of(db, plan::Scope::Account, row.id.0).await?,
        row,
    })
}

async fn shops_of(db: &impl sea_orm::ConnectionTrait, id: AccountId) -> Result<Vec<ShopId>, Fault> {
    let rows = account_shop::Entity::find()
        .filter(account_shop::Column::AccountId.eq(id))
        .order_by_asc(account_shop::Column::ShopId)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| row.shop_id).collect())
}

fn json(list: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(list).map_err(|e| Error::internal("a list is no JSON", e))
}

/// What an account can do beside sending to one openid.
///
/// # Errors
/// INTERNAL: the row holds no list.
pub fn capabilities(row: &Model) -> Result<BTreeSet<Capability>> {
    serde_json::from_str(&row.capabilities)
        .map_err(|e| Error::internal("stored capabilities are no JSON", e))
}

/// The appids of an account, first the default.
///
/// # Errors
/// INTERNAL: the row holds no list.
pub fn appids(row: &Model) -> Result<Vec<Appid>> {
    serde_json::from_str(&row.appids).map_err(|e| Error::internal("stored appids are no JSON", e))
}
