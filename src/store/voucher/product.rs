//! Voucher products: made, changed, funded, granted.

use std::collections::BTreeSet;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, Condition, ConnectionTrait, EntityTrait,
    IntoActiveModel as _, QueryFilter, QueryOrder, QuerySelect, Set,
};

use super::super::Store;
use super::super::entity::voucher_product::{Column, Entity, Model};
use super::super::entity::{app, journal, shop, voucher_product_grant};
use super::super::journal::insert_all;
use super::super::page::{Page, page_query};
use super::super::request::{Call, Claimed, Written};
use super::super::tx::{Fault, Tx, is_duplicate, to_error};
use super::access::May;
use super::{Access, ByProduct, NewProduct, Product, ProductUpdate};
use crate::domain::campaign::{CampaignState, Verb};
use crate::domain::id::{AppId, ProductId, ShopId};
use crate::domain::ledger::Posting;
use crate::domain::money::BUDGET_MAX;
use crate::domain::state::Position;
use crate::domain::voucher::missing_product;
use crate::domain::{Error, Fen, Reason, Result, missing};

/// What an operator does to a product.
#[derive(Clone, Debug)]
pub enum ProductChange {
    /// Changes its rules.
    Update(Box<ProductUpdate>),
    /// Activates, pauses or ends it. A state that it has already is fine.
    Turn(Verb),
    /// Moves money into it, or out of what is free.
    Move(Posting),
    /// Says which apps may use it: app, see, give, spend.
    Grant(Vec<(AppId, bool, bool, bool)>),
}

impl Store {
    /// Makes a draft.
    ///
    /// # Errors
    /// ALREADY_EXISTS, APP_NOT_FOUND, SHOP_NOT_FOUND.
    pub async fn create_product(&self, call: Call, new: NewProduct) -> Result<Written<Product>> {
        let id = ProductId(self.id("voucher_product").await?);
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, new) = (call.clone(), new.clone());
            Box::pin(async move {
                if let Claimed::Replay { resource, .. } =
                    tx.claim_request(&call, id.0, None).await?
                {
                    let row = product(tx, new.shop, &ByProduct::Id(ProductId(resource))).await?;
                    return Ok(Written {
                        row,
                        replayed: true,
                    });
                }
                tx.create_product(&call, new, id).await
            })
        })
        .await
    }

    /// Changes a product.
    ///
    /// # Errors
    /// PRODUCT_NOT_FOUND, PRODUCT_NOT_ALLOWED, PRODUCT_ENDED, PRODUCT_STATE, ETAG_MISMATCH,
    /// AMOUNT_OVERFLOW, BUDGET_IN_USE, APP_NOT_FOUND, field errors.
    pub async fn change_product(
        &self,
        call: Call,
        shop: ShopId,
        access: Access,
        id: ProductId,
        change: ProductChange,
    ) -> Result<Written<Product>> {
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, change) = (call.clone(), change.clone());
            Box::pin(async move {
                let before = tx.lock_product(shop, id).await?;
                let grants = access.grants(tx, [id]).await?;
                access.must(&before, &grants, May::Own, ("product_id", &id))?;
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                if !replayed {
                    tx.change_product(&call, before, change).await?;
                }
                let row = product(tx, shop, &ByProduct::Id(id)).await?;
                Ok(Written { row, replayed })
            })
        })
        .await
    }

    /// One product that the caller may see.
    ///
    /// # Errors
    /// PRODUCT_NOT_FOUND.
    pub async fn product(&self, shop: ShopId, access: Access, by: &ByProduct) -> Result<Product> {
        let found = product(self.reader(), shop, by).await?;
        let grants = access
            .grants(self.reader(), [found.row.id])
            .await
            .map_err(to_error)?;
        if access.may(&found.row, &grants, May::See) {
            return Ok(found);
        }
        Err(not_found(by))
    }

    /// A page of the products that the caller may see, newest first.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn products(&self, shop: ShopId, access: Access, page: Page) -> Result<Vec<Model>> {
        let mut query =
            page_query(Entity::find(), Column::Id, page).filter(Column::ShopId.eq(shop));
        if !access.is_person {
            use voucher_product_grant as g;
            let granted = sea_orm::sea_query::Query::select()
                .column(g::Column::ProductId)
                .from(g::Entity)
                .and_where(g::Column::AppId.eq(access.app))
                .to_owned();
            let seen = Condition::any()
                .add(Column::OwnerAppId.eq(access.app))
                .add(Column::Id.in_subquery(granted));
            query = query.filter(seen);
        }
        query.all(self.reader()).await.map_err(to_error)
    }
}

async fn product(
    db: &impl ConnectionTrait,
    shop: ShopId,
    by: &ByProduct,
) -> Result<Product, Fault> {
    let mut query = Entity::find().filter(Column::ShopId.eq(shop));
    query = match by {
        ByProduct::Id(id) => query.filter(Column::Id.eq(*id)),
        ByProduct::Code(code) => query.filter(Column::Code.eq(code.clone())),
    };
    let row = query.one(db).await?.ok_or_else(|| not_found(by))?;
    let grants = voucher_product_grant::Entity::find()
        .filter(voucher_product_grant::Column::ProductId.eq(row.id))
        .order_by_asc(voucher_product_grant::Column::AppId)
        .all(db)
        .await?;
    Ok(Product { row, grants })
}

fn not_found(by: &ByProduct) -> Error {
    match by {
        ByProduct::Id(id) => missing_product("product_id", id),
        ByProduct::Code(code) => missing_product("product_code", code),
    }
}

impl Tx {
    async fn create_product(
        &self,
        call: &Call,
        new: NewProduct,
        id: ProductId,
    ) -> Result<Written<Product>, Fault> {
        let known = shop::Entity::find_by_id(new.shop).one(self).await?;
        known.ok_or_else(|| missing::shop(new.shop))?;
        if let Some(owner) = new.owner {
            self.known_apps(&[owner]).await?;
        }
        if let Some((account, _)) = &new.home {
            self.known_platform(new.shop, *account).await?;
        }
        let now = self.now();
        let row = Model {
            id,
            shop_id: new.shop,
            code: new.code.clone(),
            name: new.rules.name,
            kind: new.kind,
            state: CampaignState::Draft,
            min_face_fen: new.min_face,
            max_face_fen: new.max_face,
            validity: new.rules.validity.to_json()?,
            max_per_order: new.rules.max_per_order,
            partial: new.partial,
            undo_seconds: new.rules.undo_seconds,
            step_up: new.step_up,
            owner_app_id: new.owner,
            account_id: new.home.as_ref().map(|(account, _)| *account),
            remote_code: new.home.as_ref().map(|(_, code)| code.to_string()),
            stock_count: new.rules.stock,
            issued_count: 0,
            caps: new.rules.caps.to_json()?,
            counts_recipients: new.rules.caps.bound_people(),
            granted_fen: Fen::ZERO,
            defunded_fen: Fen::ZERO,
            debited_fen: Fen::ZERO,
            credited_fen: Fen::ZERO,
            redeemed_fen: Fen::ZERO,
            version: 1,
            create_time: now,
            update_time: now,
        };
        let insert = Entity::insert(row.clone().into_active_model().reset_all());
        if let Err(error) = insert.exec_without_returning(self).await {
            return Err(if is_duplicate(&error) {
                let text = "the shop has a voucher product of this code".to_owned();
                Error::new(Reason::AlreadyExists, text)
                    .fact("field", "code")
                    .into()
            } else {
                error.into()
            });
        }
        self.append(vec![entry(&row, None, "CREATED", None, &call.actor)])
            .await?;
        let row = Product {
            row,
            grants: Vec::new(),
        };
        Ok(Written {
            row,
            replayed: false,
        })
    }

    async fn lock_product(&self, shop: ShopId, id: ProductId) -> Result<Model, Fault> {
        let query = Entity::find_by_id(id)
            .filter(Column::ShopId.eq(shop))
            .lock_exclusive();
        let row = query.one(self).await?;
        Ok(row.ok_or_else(|| missing_product("product_id", id))?)
    }

    /// That apps are there.
    async fn known_apps(&self, apps: &[AppId]) -> Result<(), Fault> {
        let rows: Vec<AppId> = app::Entity::find()
            .select_only()
            .column(app::Column::Id)
            .filter(app::Column::Id.is_in(apps.iter().copied()))
            .into_tuple()
            .all(self)
            .await?;
        let there: BTreeSet<AppId> = rows.into_iter().collect();
        match apps.iter().find(|app| !there.contains(app)) {
            Some(app) => Err(missing::app(*app).into()),
            None => Ok(()),
        }
    }

    async fn change_product(
        &self,
        call: &Call,
        before: Model,
        change: ProductChange,
    ) -> Result<(), Fault> {
        let mut after = before.clone();
        let (kind, posting) = match change {
            ProductChange::Update(update) => {
                apply(&mut after, &before, *update)?;
                ("UPDATED", None)
            }
            ProductChange::Turn(verb) => {
                let state = before.state.after(verb).ok_or_else(|| illegal(&before))?;
                if state == before.state {
                    return Ok(());
                }
                after.state = state;
                let kind = match state {
                    CampaignState::Active => "ACTIVATED",
                    CampaignState::Paused => "PAUSED",
                    CampaignState::Ended | CampaignState::Draft => "ENDED",
                };
                (kind, None)
            }
            ProductChange::Move(posting) => {
                move_money(&mut after, &before, posting)?;
                let kind = if posting.to() == Position::Available {
                    "FUNDED"
                } else {
                    "DEFUNDED"
                };
                (kind, Some(posting))
            }
            ProductChange::Grant(grants) => {
                self.set_grants(before.id, grants).await?;
                ("GRANTED", None)
            }
        };
        self.keep_product(&before, after, kind, posting, &call.actor)
            .await
    }

    async fn set_grants(
        &self,
        id: ProductId,
        grants: Vec<(AppId, bool, bool, bool)>,
    ) -> Result<(), Fault> {
        let apps: Vec<AppId> = grants.iter().map(|(app, ..)| *app).collect();
        self.known_apps(&apps).await?;
        voucher_product_grant::Entity::delete_many()
            .filter(voucher_product_grant::Column::ProductId.eq(id))
            .exec(self)
            .await?;
        let rows =
            grants.into_iter().map(
                |(app, see, give, spend)| voucher_product_grant::ActiveModel {
                    product_id: Set(id),
                    app_id: Set(app),
                    may_see: Set(see),
                    may_give: Set(give),
                    may_spend: Set(spend),
                },
            );
        insert_all::<voucher_product_grant::Entity, _>(self, rows.collect()).await
    }

    /// Writes what an operator changed: only the columns that he can change, for the
    /// money of vouchers moves on behind the row lock.
    async fn keep_product(
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
            .col_expr(Column::Name, Expr::value(after.name.clone()))
            .col_expr(Column::State, Expr::value(after.state))
            .col_expr(Column::Validity, Expr::value(after.validity.clone()))
            .col_expr(Column::MaxPerOrder, Expr::value(after.max_per_order))
            .col_expr(Column::UndoSeconds, Expr::value(after.undo_seconds))
            .col_expr(Column::StockCount, Expr::value(after.stock_count))
            .col_expr(Column::Caps, Expr::value(after.caps.clone()))
            .col_expr(
                Column::CountsRecipients,
                Expr::value(after.counts_recipients),
            )
            .col_expr(Column::GrantedFen, Expr::value(after.granted_fen))
            .col_expr(Column::DefundedFen, Expr::value(after.defunded_fen))
            .col_expr(Column::Version, Expr::value(after.version))
            .col_expr(Column::UpdateTime, Expr::value(after.update_time))
            .filter(Column::Id.eq(after.id))
            .filter(Column::Version.eq(before.version))
            .exec(self)
            .await?;
        if changed.rows_affected != 1 {
            return Err(Fault::Again);
        }
        let from = Some(before.state.name());
        self.append(vec![entry(&after, from, kind, posting, actor)])
            .await
    }
}

/// What an update makes of a product.
fn apply(after: &mut Model, before: &Model, update: ProductUpdate) -> Result<()> {
    if before.state == CampaignState::Ended {
        return Err(ended(before.id));
    }
    if update
        .version
        .is_some_and(|version| version != before.version)
    {
        let text = "the product has changed since you read it; read it again".to_owned();
        return Err(Error::new(Reason::EtagMismatch, text).fact("etag", before.version));
    }
    if let Some(name) = update.name {
        after.name = name;
    }
    if let Some(validity) = update.validity {
        after.validity = validity.to_json()?;
    }
    after.max_per_order = update.max_per_order.unwrap_or(before.max_per_order);
    after.undo_seconds = update.undo_seconds.unwrap_or(before.undo_seconds);
    after.stock_count = update.stock.unwrap_or(before.stock_count);
    if after
        .stock_count
        .is_some_and(|stock| stock < before.issued_count)
    {
        let text = format!("{} vouchers were given already", before.issued_count);
        return Err(Error::field("stock_count", Reason::OutOfRange, text));
    }
    if let Some(caps) = update.caps {
        after.caps = caps.to_json()?;
        if before.state == CampaignState::Draft {
            after.counts_recipients = caps.bound_people();
        } else if caps.bound_people() && !before.counts_recipients {
            let text = "this product was activated without counting people; make a new one to bound what a person gets";
            return Err(Error::field(
                "caps",
                Reason::FieldNotAllowed,
                text.to_owned(),
            ));
        }
    }
    Ok(())
}

fn move_money(after: &mut Model, before: &Model, posting: Posting) -> Result<()> {
    let amount = posting.amount();
    if posting.to() == Position::Available {
        if before.state == CampaignState::Ended {
            return Err(ended(before.id));
        }
        let sum = before
            .granted_fen
            .checked_add(amount)
            .filter(|sum| *sum <= BUDGET_MAX);
        after.granted_fen = sum.ok_or_else(|| {
            let text = "a budget holds at most 2^62 fen".to_owned();
            Error::field("amount_fen", Reason::AmountOverflow, text)
        })?;
        return Ok(());
    }
    if before.available() < amount {
        let text = format!(
            "only {} yuan are free; the rest is on vouchers",
            before.available()
        );
        return Err(Error::new(Reason::BudgetInUse, text)
            .fact("available_fen", before.available().0)
            .fact("required_fen", amount.0));
    }
    after.defunded_fen = Fen(before.defunded_fen.0 + amount.0);
    Ok(())
}

fn illegal(before: &Model) -> Error {
    let text = format!("a product that is {} cannot do this", before.state.name());
    Error::new(Reason::ProductState, text)
        .fact("product_id", before.id)
        .fact("state", before.state.name())
}

fn ended(id: ProductId) -> Error {
    let text = "the product has ended for ever".to_owned();
    Error::new(Reason::ProductEnded, text).fact("product_id", id)
}

/// The entry of a product's change, as the row is after it.
fn entry(
    after: &Model,
    from: Option<&'static str>,
    kind: &'static str,
    posting: Option<Posting>,
    actor: &str,
) -> journal::ActiveModel {
    journal::ActiveModel {
        aggregate: Set(journal::Aggregate::Product),
        aggregate_id: Set(after.id.0),
        seq: Set(after.version),
        line: Set(0),
        shop_id: Set(after.shop_id),
        campaign_id: Set(None),
        product_id: Set(Some(after.id)),
        order_id: Set(None),
        kind: Set(kind.to_owned()),
        from_state: Set(from.map(str::to_owned)),
        to_state: Set(after.state.name().to_owned()),
        debit_account: Set(posting.map(Posting::from)),
        credit_account: Set(posting.map(Posting::to)),
        amount_fen: Set(posting.map(Posting::amount)),
        reason: Set(None),
        actor: Set(actor.to_owned()),
        create_time: Set(after.update_time),
        position: Set(None),
    }
}
