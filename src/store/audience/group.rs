//! Named groups of recipients.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel as _,
    QueryFilter, QuerySelect, Set,
};

use super::super::Store;
use super::super::entity::search_gram::Kind;
use super::super::entity::{group_member, recipient, recipient_group};
use super::super::page::{Page, page_query};
use super::super::request::{Call, Claimed, Written};
use super::super::search::Named;
use super::super::tx::{Fault, Tx, to_error};
use crate::domain::id::{GroupId, RecipientId, ShopId};
use crate::domain::search::Keyword;
use crate::domain::text::Uid;
use crate::domain::{Error, Reason, Result, missing};

/// A group with the number of its members.
#[derive(Clone, Debug)]
pub struct Group {
    /// The row.
    pub row: recipient_group::Model,
    /// How many are in it now.
    pub members: i64,
}

impl Store {
    /// Makes a group, or renames it.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND.
    pub async fn upsert_group(
        &self,
        call: Call,
        shop: ShopId,
        id: Option<GroupId>,
        name: String,
    ) -> Result<Written<Group>> {
        let fresh = GroupId(self.id("group").await?);
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, name) = (call.clone(), name.clone());
            Box::pin(async move { tx.upsert_group(&call, shop, id, fresh, name).await })
        })
        .await
    }

    /// Puts recipients into a group and takes others out.
    ///
    /// # Errors
    /// GROUP_NOT_FOUND, RECIPIENT_NOT_FOUND.
    pub async fn set_members(
        &self,
        call: Call,
        shop: ShopId,
        id: GroupId,
        add: Vec<Uid>,
        remove: Vec<Uid>,
    ) -> Result<Written<Group>> {
        let end = call.end();
        self.write_or_try(end, move |tx| {
            let (call, add, remove) = (call.clone(), add.clone(), remove.clone());
            Box::pin(async move {
                let replayed = tx.claim_request(&call, id.0, None).await? != Claimed::New;
                let known = tx.groups(shop, &[id]).await?;
                if !replayed {
                    let add = tx.recipients(shop, &add).await?;
                    let remove = tx.recipients(shop, &remove).await?;
                    tx.join(shop, id, &add).await?;
                    tx.leave(shop, id, remove).await?;
                }
                let row = known.into_values().next();
                let row = row.ok_or_else(|| missing::group(id))?;
                Ok(Written {
                    row: with_members(tx, row).await?,
                    replayed,
                })
            })
        })
        .await
    }

    /// One group.
    ///
    /// # Errors
    /// GROUP_NOT_FOUND.
    pub async fn group(&self, shop: ShopId, id: GroupId) -> Result<Group> {
        let row = recipient_group::Entity::find_by_id((shop, id))
            .one(self.reader())
            .await
            .map_err(to_error)?;
        let row = row.ok_or_else(|| missing::group(id))?;
        with_members(self.reader(), row).await.map_err(Error::from)
    }

    /// A page of groups, highest id first.
    ///
    /// # Errors
    /// KEYWORD_TOO_BROAD.
    pub async fn groups(
        &self,
        shop: ShopId,
        keyword: Option<&Keyword>,
        page: Page,
    ) -> Result<Vec<Group>> {
        use recipient_group::Column;
        let mut query = page_query(recipient_group::Entity::find(), Column::Id, page)
            .filter(Column::ShopId.eq(shop));
        if let Some(keyword) = keyword {
            let named = self.groups_named(shop, keyword, "keyword").await?;
            query = query.filter(Column::Id.is_in(named));
        }
        let rows = query.all(self.reader()).await.map_err(to_error)?;
        let members = members(self.reader(), shop, rows.iter().map(|row| row.id)).await?;
        let group = |row: recipient_group::Model| Group {
            members: members.get(&row.id).copied().unwrap_or(0),
            row,
        };
        Ok(rows.into_iter().map(group).collect())
    }
}

async fn with_members(
    db: &impl ConnectionTrait,
    row: recipient_group::Model,
) -> Result<Group, Fault> {
    let members = members(db, row.shop_id, [row.id]).await?;
    Ok(Group {
        members: members.get(&row.id).copied().unwrap_or(0),
        row,
    })
}

/// How many are in each of these groups; one that nobody is in is left out.
async fn members(
    db: &impl ConnectionTrait,
    shop: ShopId,
    groups: impl IntoIterator<Item = GroupId>,
) -> Result<HashMap<GroupId, i64>, Fault> {
    use group_member::Column;
    let rows: Vec<(GroupId, i64)> = group_member::Entity::find()
        .select_only()
        .column(Column::GroupId)
        .column_as(Column::RecipientId.count(), "members")
        .filter(Column::ShopId.eq(shop))
        .filter(Column::GroupId.is_in(groups))
        .group_by(Column::GroupId)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().collect())
}

impl Tx {
    async fn upsert_group(
        &self,
        call: &Call,
        shop: ShopId,
        own: Option<GroupId>,
        fresh: GroupId,
        name: String,
    ) -> Result<Written<Group>, Fault> {
        // An id that was brought along may lie where the next leased one would.
        let mut id = own.unwrap_or(fresh);
        while own.is_none() && self.find_group(shop, id).await?.is_some() {
            id = GroupId(id.0 + 1);
        }
        let claimed = self.claim_request(call, id.0, None).await?;
        self.known_shop(shop).await?;
        if let Claimed::Replay { resource, .. } = claimed {
            id = GroupId(resource);
            let row = self.find_group(shop, id).await?;
            let row = row.ok_or_else(|| missing::group(id))?;
            return Ok(Written {
                row: with_members(self, row).await?,
                replayed: true,
            });
        }
        let row = match self.find_group(shop, id).await? {
            Some(before) => {
                let row = recipient_group::Model {
                    name,
                    update_time: self.now(),
                    ..before
                };
                let change = recipient_group::ActiveModel {
                    shop_id: Set(shop),
                    id: Set(id),
                    name: Set(row.name.clone()),
                    update_time: Set(row.update_time),
                    ..Default::default()
                };
                recipient_group::Entity::update(change).exec(self).await?;
                row
            }
            None => {
                let row = recipient_group::Model {
                    shop_id: shop,
                    id,
                    name,
                    create_time: self.now(),
                    update_time: self.now(),
                };
                let insert = row.clone().into_active_model().reset_all();
                recipient_group::Entity::insert(insert)
                    .exec_without_returning(self)
                    .await?;
                row
            }
        };
        self.rename(Named {
            shop,
            kind: Kind::Group,
            id: id.0,
            names: vec![&row.name],
        })
        .await?;
        Ok(Written {
            row: with_members(self, row).await?,
            replayed: false,
        })
    }

    async fn find_group(
        &self,
        shop: ShopId,
        id: GroupId,
    ) -> Result<Option<recipient_group::Model>, Fault> {
        Ok(recipient_group::Entity::find_by_id((shop, id))
            .one(self)
            .await?)
    }

    /// Recipients by uid, all of them or none.
    async fn recipients(&self, shop: ShopId, uids: &[Uid]) -> Result<Vec<RecipientId>, Fault> {
        let mut ids = Vec::with_capacity(uids.len());
        for chunk in uids.chunks(500) {
            let rows: Vec<(RecipientId, Option<Uid>)> = recipient::Entity::find()
                .select_only()
                .columns([recipient::Column::Id, recipient::Column::Uid])
                .filter(recipient::Column::ShopId.eq(shop))
                .filter(recipient::Column::Uid.is_in(chunk.iter().cloned()))
                .into_tuple()
                .all(self)
                .await?;
            let missing = chunk
                .iter()
                .find(|uid| !rows.iter().any(|(_, known)| known.as_ref() == Some(uid)));
            if let Some(uid) = missing {
                let text = format!("the shop has no recipient {uid}; UpsertRecipients makes him");
                let error = Error::new(Reason::RecipientNotFound, text);
                return Err(error.fact("uid", uid).into());
            }
            ids.extend(rows.into_iter().map(|(id, _)| id));
        }
        Ok(ids)
    }

    async fn leave(
        &self,
        shop: ShopId,
        group: GroupId,
        members: Vec<RecipientId>,
    ) -> Result<(), Fault> {
        if members.is_empty() {
            return Ok(());
        }
        group_member::Entity::delete_many()
            .filter(group_member::Column::ShopId.eq(shop))
            .filter(group_member::Column::GroupId.eq(group))
            .filter(group_member::Column::RecipientId.is_in(members))
            .exec(self)
            .await?;
        Ok(())
    }
}
