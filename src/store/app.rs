//! Apps and operators, and their keys.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder,
    Set,
};

use super::Store;
use super::entity::{api_key, app, request};
use super::request::{Call, Claimed, Written};
use super::tx::{Fault, Tx, is_duplicate, to_error};
use crate::domain::grant::{Grant, Principal, PrincipalKind, Shops};
use crate::domain::id::{AppId, ShopId};
use crate::domain::role::Role;
use crate::domain::text::{Code, RequestId};
use crate::domain::{Error, Reason, Result, missing};

/// An app or an operator to be made.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// A system or a person.
    pub kind: PrincipalKind,
    /// Its name.
    pub name: Code,
    /// The shop that it means when it names none.
    pub default_shop: Option<ShopId>,
    /// What it may do; of a person, where he may do what his roles allow.
    pub grants: Vec<Grant>,
    /// A person's roles.
    pub roles: Vec<Role>,
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
    /// A person's roles.
    pub roles: Vec<Role>,
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

    /// Makes an app or an operator outside of any call, where the database is.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND, ALREADY_EXISTS.
    pub async fn found_app(&self, new: NewApp, key: NewKey) -> Result<App> {
        let id = AppId(self.id("app").await?);
        self.write(move |tx| {
            let (new, key) = (new.clone(), key.clone());
            Box::pin(async move {
                let command = match new.kind {
                    PrincipalKind::App => "hongbao app create",
                    PrincipalKind::Operator => "hongbao operator create",
                };
                tx.insert_app(id, new, key.clone()).await?;
                tx.record_local(command, id.0, &key.id).await?;
                app(tx, id).await
            })
        })
        .await
    }

    /// Gives an operator a further key, outside of any call; the old ones are revoked
    /// unless they are to be kept.
    ///
    /// # Errors
    /// APP_NOT_FOUND: nobody has this name, or a system has.
    pub async fn new_operator_key(&self, name: Code, key: NewKey, keep: bool) -> Result<App> {
        self.write(move |tx| {
            let (name, key) = (name.clone(), key.clone());
            Box::pin(async move {
                let row = app::Entity::find()
                    .filter(app::Column::Name.eq(name.clone()))
                    .filter(app::Column::Kind.eq(PrincipalKind::Operator))
                    .one(tx)
                    .await?;
                let row = row.ok_or_else(|| {
                    let text = "there is no operator of this name".to_owned();
                    Error::new(Reason::AppNotFound, text).fact("name", name)
                })?;
                if !keep {
                    api_key::Entity::update_many()
                        .col_expr(api_key::Column::RevokeTime, Expr::value(Some(tx.now())))
                        .filter(api_key::Column::AppId.eq(row.id))
                        .filter(api_key::Column::RevokeTime.is_null())
                        .exec(tx)
                        .await?;
                }
                tx.insert_key(row.id, &key).await?;
                tx.record_local("hongbao operator key", row.id.0, &key.id)
                    .await?;
                app(tx, row.id).await
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
                let of = app(tx, id).await?;
                if of.row.kind == PrincipalKind::Operator {
                    let text = "an operator's keys are made where the database is (`hongbao operator key`), so that nobody becomes a second person over the wire";
                    let error = Error::field("app_id", Reason::FieldNotAllowed, text.to_owned());
                    return Err(error.into());
                }
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
            kind: app.row.kind,
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
        let roles = serde_json::to_string(&new.roles)
            .map_err(|e| Error::internal("roles are no JSON", e))?;
        let row = app::Model {
            id,
            name: new.name,
            kind: new.kind,
            roles,
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
                    "there is an app or an operator of this name".to_owned(),
                )
                .fact("field", "name")
                .into()
            } else {
                error.into()
            });
        }
        self.insert_key(id, &key).await
    }

    /// The record of a write that no call has made.
    async fn record_local(&self, method: &'static str, made: i64, key: &str) -> Result<(), Fault> {
        let name = RequestId::parse(key).ok_or_else(|| Error::internal("a key has no id", key))?;
        let row = request::ActiveModel {
            app_id: Set(AppId(0)),
            request_id: Set(name),
            method: Set(method.to_owned()),
            shop_id: Set(None),
            fingerprint: Set(Vec::new()),
            resource_id: Set(made),
            reply: Set(None),
            actor: Set("cli".to_owned()),
            create_time: Set(self.now()),
        };
        request::Entity::insert(row)
            .exec_without_returning(self)
            .await?;
        Ok(())
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
    let mut grants: Vec<Grant> = serde_json::from_str(&row.grants)
        .map_err(|e| Error::internal("stored grants are no JSON", e))?;
    let roles: Vec<Role> = serde_json::from_str(&row.roles)
        .map_err(|e| Error::internal("stored roles are no JSON", e))?;
    if row.kind == PrincipalKind::Operator {
        for grant in &mut grants {
            grant.permissions = Role::union(&roles);
        }
    }
    Ok(App {
        row,
        grants,
        roles,
        keys,
    })
}

async fn find_key(db: &impl sea_orm::ConnectionTrait, id: &str) -> Result<api_key::Model, Fault> {
    let row = api_key::Entity::find_by_id(id).one(db).await?;
    Ok(row.ok_or_else(|| missing::key(id))?)
}
