//! Shops, their branches, and which accounts pay for which kind of merchant.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel as _,
    QueryFilter, QueryOrder, Set,
};

use super::Store;
use super::entity::{shop, shop_branch, shop_gateway};
use super::page::{Page, page_query};
use super::request::{Call, Claimed, Written};
use super::tx::{Fault, Tx, is_duplicate, to_error};
use crate::domain::id::{AccountId, BranchId, ShopId};
use crate::domain::packet::GatewayType;
use crate::domain::stop::Scope;
use crate::domain::{Error, Reason, Result};

/// Accounts by the kind of merchant.
pub type Gateways = BTreeMap<GatewayType, AccountId>;

/// A shop with its map of accounts.
#[derive(Clone, Debug)]
pub struct Shop {
    /// The row.
    pub row: shop::Model,
    /// Its accounts by the kind of merchant.
    pub gateways: Gateways,
}

impl Store {
    /// Makes a shop, with its own id if it brings one.
    ///
    /// # Errors
    /// ALREADY_EXISTS.
    pub async fn create_shop(
        &self,
        call: Call,
        id: Option<ShopId>,
        name: String,
    ) -> Result<Written<Shop>> {
        let fresh = ShopId(self.id("shop").await?);
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, name) = (call.clone(), name.clone());
            Box::pin(async move { tx.create_shop(&call, id, fresh, name).await })
        })
        .await
    }

    /// A page of shops, newest first.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn shops(&self, page: Page) -> Result<Vec<Shop>> {
        let rows = page_query(shop::Entity::find(), shop::Column::Id, page)
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let mut maps: HashMap<ShopId, Gateways> = HashMap::new();
        let ids = rows.iter().map(|row| row.id);
        for (shop, gateway, account) in mapped(self.reader(), ids).await? {
            maps.entry(shop).or_default().insert(gateway, account);
        }
        let shop = |row: shop::Model| Shop {
            gateways: maps.remove(&row.id).unwrap_or_default(),
            row,
        };
        Ok(rows.into_iter().map(shop).collect())
    }

    /// Replaces a shop's map of accounts.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND, ACCOUNT_NOT_FOUND.
    pub async fn set_gateways(
        &self,
        call: Call,
        id: ShopId,
        map: Gateways,
    ) -> Result<Written<Shop>> {
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, map) = (call.clone(), map.clone());
            Box::pin(async move {
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                let row = tx.known_shop(id).await?;
                if !replayed {
                    tx.replace_gateways(id, map).await?;
                }
                let gateways = gateways(tx, id).await?;
                Ok(Written {
                    row: Shop { row, gateways },
                    replayed,
                })
            })
        })
        .await
    }

    /// Makes a branch of a shop.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND, ALREADY_EXISTS.
    pub async fn create_branch(
        &self,
        call: Call,
        shop: ShopId,
        branch: BranchId,
        name: String,
    ) -> Result<Written<shop_branch::Model>> {
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, name) = (call.clone(), name.clone());
            Box::pin(async move { tx.create_branch(&call, shop, branch, name).await })
        })
        .await
    }

    /// A page of a shop's branches, largest id first.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND.
    pub async fn branches(&self, shop: ShopId, page: Page) -> Result<Vec<shop_branch::Model>> {
        let known = shop::Entity::find_by_id(shop).one(self.reader()).await;
        if known.map_err(to_error)?.is_none() {
            return Err(crate::domain::missing::shop(shop));
        }
        let all = shop_branch::Entity::find().filter(shop_branch::Column::ShopId.eq(shop));
        page_query(all, shop_branch::Column::ShopSubId, page)
            .all(self.reader())
            .await
            .map_err(to_error)
    }
}

impl Tx {
    async fn create_shop(
        &self,
        call: &Call,
        own: Option<ShopId>,
        fresh: ShopId,
        name: String,
    ) -> Result<Written<Shop>, Fault> {
        // An id that a shop brought along may lie where the next leased one would.
        let id = match own {
            Some(id) => id,
            None => self.free_shop_id(fresh).await?,
        };
        if let Claimed::Replay { resource, .. } = self.claim_request(call, id.0, None).await? {
            let row = self.known_shop(ShopId(resource)).await?;
            let gateways = gateways(self, row.id).await?;
            return Ok(Written {
                row: Shop { row, gateways },
                replayed: true,
            });
        }
        let row = shop::Model {
            id,
            name,
            create_time: self.now(),
        };
        let insert = shop::Entity::insert(row.clone().into_active_model().reset_all());
        insert
            .exec_without_returning(self)
            .await
            .map_err(|error| taken(error, "shop_id", "there is a shop of this id"))?;
        self.insert_stop(Scope::Shop(id)).await?;
        Ok(Written {
            row: Shop {
                row,
                gateways: Gateways::new(),
            },
            replayed: false,
        })
    }

    async fn free_shop_id(&self, fresh: ShopId) -> Result<ShopId, Fault> {
        if shop::Entity::find_by_id(fresh).one(self).await?.is_none() {
            return Ok(fresh);
        }
        let highest = shop::Entity::find()
            .order_by_desc(shop::Column::Id)
            .one(self)
            .await?;
        let highest = highest.map_or(fresh.0, |row| row.id.0);
        let next = highest
            .checked_add(1)
            .ok_or_else(|| Error::internal("no shop id is left", "shop"))?;
        Ok(ShopId(next))
    }

    async fn replace_gateways(&self, shop: ShopId, map: Gateways) -> Result<(), Fault> {
        shop_gateway::Entity::delete_many()
            .filter(shop_gateway::Column::ShopId.eq(shop))
            .exec(self)
            .await?;
        for (gateway, account) in map {
            self.account_of(shop, account).await?;
            let row = shop_gateway::ActiveModel {
                shop_id: Set(shop),
                gateway_type: Set(gateway),
                account_id: Set(account),
            };
            shop_gateway::Entity::insert(row)
                .exec_without_returning(self)
                .await?;
        }
        Ok(())
    }

    async fn create_branch(
        &self,
        call: &Call,
        shop: ShopId,
        branch: BranchId,
        name: String,
    ) -> Result<Written<shop_branch::Model>, Fault> {
        let claimed = self.claim_request(call, branch.0, None).await?;
        self.known_shop(shop).await?;
        if claimed != Claimed::New {
            let row = shop_branch::Entity::find_by_id((shop, branch))
                .one(self)
                .await?;
            let row = row.ok_or_else(|| crate::domain::missing::branch(branch))?;
            return Ok(Written {
                row,
                replayed: true,
            });
        }
        let row = shop_branch::Model {
            shop_id: shop,
            shop_sub_id: branch,
            name,
            create_time: self.now(),
        };
        let insert = shop_branch::Entity::insert(row.clone().into_active_model().reset_all());
        insert
            .exec_without_returning(self)
            .await
            .map_err(|error| taken(error, "shop_sub_id", "the shop has a branch of this id"))?;
        Ok(Written {
            row,
            replayed: false,
        })
    }
}

async fn gateways(db: &impl ConnectionTrait, shop: ShopId) -> Result<Gateways, Fault> {
    let rows = mapped(db, [shop]).await?.into_iter();
    Ok(rows
        .map(|(_, gateway, account)| (gateway, account))
        .collect())
}

/// What some shops have mapped.
async fn mapped(
    db: &impl ConnectionTrait,
    shops: impl IntoIterator<Item = ShopId>,
) -> Result<Vec<(ShopId, GatewayType, AccountId)>, Fault> {
    let rows = shop_gateway::Entity::find()
        .filter(shop_gateway::Column::ShopId.is_in(shops))
        .all(db)
        .await?;
    let entry = |row: shop_gateway::Model| (row.shop_id, row.gateway_type, row.account_id);
    Ok(rows.into_iter().map(entry).collect())
}

fn taken(error: sea_orm::DbErr, field: &'static str, text: &str) -> Fault {
    if is_duplicate(&error) {
        let error = Error::new(Reason::AlreadyExists, text.to_owned());
        return error.fact("field", field).into();
    }
    error.into()
}
