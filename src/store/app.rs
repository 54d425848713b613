//! Apps and their keys.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder,
};

use super::Store;
use super::entity::{api_key, app};
use super::request::{Call, Claimed, Written};
use super::tx::{Fault, Tx, is_duplicate, to_error};
use crate::domain::grant::{Grant, Principal, Shops};
use crate::domain::id::{AppId, ShopId};
use crate::domain::text::Code;
use crate::domain::{Error, Reason, Result, missing};

/// An app to be made.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// Its name.
    pub name: Code,
    /// The shop that it means when it names none.
    pub default_shop: Option<ShopId>,
    /// What it may do.
    pub grants: Vec<Grant>,
}

/// A key to be kept: its public part and the hash of its secret.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The public part.
    pub id: String,
    /// SHA-256 of the secret.
    pub hash: Vec<u8>,
}

/// An app with its keys.
#[derive(Clone, Debug)]
pub struct App {
    /// The row.
    pub row: app::Model,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// Its keys, oldest first.
    pub keys: Vec<api_key::Model>,
}

impl Store {
    /// Makes an app with a first key.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND, ALREADY_EXISTS.
    pub async fn create_app(&self, call: Call, new: NewApp, key: NewKey) -> Result<Written<App>> {
        let id = AppId(self.id("app").await?);
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, new, key) = (call.clone(), new.clone(), key.clone());
            Box::pin(async move {
                if let Claimed::Replay { resource, .. } =
                    tx.claim_request(&call, id.0, None).await?
                {
                    return Ok(Written {
                        row: app(tx, AppId(resource)).await?,
                        replayed: true,
                    });
                }
                tx.insert_app(id, new, key).await?;
                Ok(Written {
                    row: app(tx, id).await?,
                    replayed: false,
                })
            })
        })
        .await
    }

    /// Makes an app outside of any call: the first one of an installation.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND, ALREADY_EXISTS.
    pub async fn found_app(&self, new: NewApp, key: NewKey) -> Result<App> {
        let id = AppId(self.id("app").await?);
        self.write(move |tx| {
            let (new, key) = (new.clone(), key.clone());
            Box::pin(async move {
                tx.insert_app(id, new, key).await?;
                app(tx, id).await
            })
        })
        .await
    }

    /// Whether there is any app yet.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn has_apps(&self) -> Result<bool> {
        Ok(app::Entity::find()
            .one(self.reader())
            .await
            .map_err(to_error)?
            .is_some())
    }

    /// A page of apps, newest first.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn apps(&self, page: super::page::Page) -> Result<Vec<App>> {
        let rows = super::page::page_query(app::Entity::find(), app::Column::Id, page)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let mut apps = Vec::with_capacity(rows.len());
        for row in rows {
            apps.push(with_keys(self.reader(), row).await?);
        }
        Ok(apps)
    }

    /// Gives an app a further key.
    ///
    /// # Errors
    /// APP_NOT_FOUND.
    pub async fn create_key(
        &self,
        call: Call,
        id: AppId,
        key: NewKey,
    ) -> Result<Written<api_key::Model>> {
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, key) = (call.clone(), key.clone());
            Box::pin(async move {
                // A replay shows the newest key: the id of a key is text and does
                // not fit where requests keep what they made.
                let replayed = tx.claim_request(&call, id.0, Some(key.id.clone())).await?;
                if let Claimed::Replay { reply, .. } = replayed {
                    return Ok(Written {
                        row: find_key(tx, reply.as_deref().unwrap_or_default()).await?,
                        replayed: true,
                    });
                }
                app(tx, id).await?;
                tx.insert_key(id, &key).await?;
                Ok(Written {
                    row: find_key(tx, &key.id).await?,
                    replayed: false,
                })
            })
        })
        .await
    }

    /// Makes a key worthless.
    ///
    /// # Errors
    /// KEY_NOT_FOUND.
    pub async fn revoke_key(&self, call: Call, key: String) -> Result<Written<api_key::Model>> {
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, key) = (call.clone(), key.clone());
            Box::pin(async move {
                let row = find_key(tx, &key).await?;
                let replayed = tx.claim_request(&call, row.app_id.0, None).await? != Claimed::New;
                if !replayed && row.revoke_time.is_none() {
                    api_key::Entity::update_many()
                        .col_expr(api_key::Column::RevokeTime, Expr::value(Some(tx.now())))
                        .filter(api_key::Column::Id.eq(key.clone()))
                        .exec(tx)
                        .await?;
                }
                Ok(Written {
                    row: find_key(tx, &key).await?,
                    replayed,
                })
            })
        })
        .await
    }

    /// A good key with whom it stands for; nothing if it is unknown or revoked.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn key_holder(&self, key: &str) -> Result<Option<(Vec<u8>, Principal)>> {
        let found = api_key::Entity::find_by_id(key)
            .one(self.reader())
            .await
            .map_err(to_error)?;
        let Some(row) = found.filter(|row| row.revoke_time.is_none()) else {
            return Ok(None);
        };
        let app = app(self.reader(), row.app_id).await?;
        let principal = Principal {
            app: app.row.id,
            name: app.row.name.to_string(),
            default_shop: app.row.default_shop_id,
            grants: app.grants,
        };
        Ok(Some((row.secret_hash, principal)))
    }
}

impl Tx {
    async fn insert_app(&self, id: AppId, new: NewApp, key: NewKey) -> Result<(), Fault> {
        let named = new.grants.iter().flat_map(|grant| match &grant.shops {
            Shops::All => Vec::new(),
            Shops::Only(shops) => shops.clone(),
        });
        for shop in named.chain(new.default_shop) {
            self.known_shop(shop).await?;
        }
        let grants = serde_json::to_string(&new.grants)
            .map_err(|e| Error::internal("grants are no JSON", e))?;
        let row = app::Model {
            id,
            name: new.name,
            default_shop_id: new.default_shop,
            grants,
            create_time: self.now(),
        };
        if let Err(error) = app::Entity::insert(row.into_active_model().reset_all())
            .exec_without_returning(self)
            .await
        {
            return Err(if is_duplicate(&error) {
                Error::new(
                    Reason::AlreadyExists,
                    "there is an app of this name".to_owned(),
                )
                .fact("field", "name")
                .into()
            } else {
                error.into()
            });
        }
        self.insert_key(id, &key).await
    }

    async fn insert_key(&self, app: AppId, key: &NewKey) -> Result<(), Fault> {
        let row = api_key::Model {
            id: key.id.clone(),
            app_id: app,
            secret_hash: key.hash.clone(),
            create_time: self.now(),
            revoke_time: None,
        };
        api_key::Entity::insert(row.into_active_model().reset_all())
            .exec_without_returning(self)
            .await?;
        Ok(())
    }
}

async fn app(db: &impl sea_orm::ConnectionTrait, id: AppId) -> Result<App, Fault> {
    let row = app::Entity::find_by_id(id)
        .one(db)
        .await?
        .ok_or_else(|| missing::app(id))?;
    with_keys(db, row).await
}

async fn with_keys(db: &impl sea_orm::ConnectionTrait, row: app::Model) -> Result<App, Fault> {
    let keys = api_key::Entity::find()
        .filter(api_key::Column::AppId.eq(row.id))
        .order_by_asc(api_key::Column::CreateTime)
        .all(db)
        .await?;
    let grants = serde_json::from_str(&row.grants)
        .map_err(|e| Error::internal("stored grants are no JSON", e))?;
    Ok(App { row, grants, keys })
}

async fn find_key(db: &impl sea_orm::ConnectionTrait, id: &str) -> Result<api_key::Model, Fault> {
    let row = api_key::Entity::find_by_id(id).one(db).await?;
    Ok(row.ok_or_else(|| missing::key(id))?)
}
