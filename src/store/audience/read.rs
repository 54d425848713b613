//! Reading recipients back. What names a person comes decrypted; whoever shows it
//! decides whether to mask it.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::super::Store;
use super::super::entity::{group_member, issuance, recipient, recipient_openid};
use super::super::page::{Page, page_query};
use super::super::tx::to_error;
use super::{open_mobile, open_openid};
use crate::domain::id::{GroupId, RecipientId, ShopId};
use crate::domain::search::Keyword;
use crate::domain::text::{Mobile, Openid, Uid};
use crate::domain::{Error, Reason, Result};

/// A recipient with what names him.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The row.
    pub row: recipient::Model,
    /// The mobile number.
    pub mobile: Option<Mobile>,
    /// The openids, by appid.
    pub openids: BTreeMap<String, Openid>,
}

/// How a recipient is named.
#[derive(Clone, Debug)]
pub enum ByRecipient {
    /// By our id.
    Id(RecipientId),
    /// By the caller's.
    Uid(Uid),
}

/// Which recipients to list.
#[derive(Clone, Debug, Default)]
pub struct PeopleFilter {
    /// Members of this group.
    pub group: Option<GroupId>,
    /// Found by nickname or mobile.
    pub keyword: Option<Keyword>,
}

impl Store {
    /// One recipient, by id or uid.
    ///
    /// # Errors
    /// RECIPIENT_NOT_FOUND.
    pub async fn recipient(&self, shop: ShopId, by: &ByRecipient) -> Result<Shown> {
        let mut query = recipient::Entity::find().filter(recipient::Column::ShopId.eq(shop));
        query = match by {
            ByRecipient::Id(id) => query.filter(recipient::Column::Id.eq(*id)),
            ByRecipient::Uid(uid) => query.filter(recipient::Column::Uid.eq(uid.clone())),
        };
        let row = query
            .one(self.reader())
            .await
            .map_err(to_error)?
            .ok_or_else(|| {
                let text = "no such recipient in this shop".to_owned();
                let error = Error::new(Reason::RecipientNotFound, text);
                match by {
                    ByRecipient::Id(id) => error.fact("recipient_id", id),
                    ByRecipient::Uid(uid) => error.fact("uid", uid),
                }
            })?;
        let mut shown = self.show(vec![row]).await?;
        shown
            .pop()
            .ok_or_else(|| Error::internal("a recipient vanished", "recipient"))
    }

    /// A page of recipients, newest first.
    ///
    /// # Errors
    /// GROUP_NOT_FOUND, KEYWORD_TOO_BROAD.
    pub async fn recipients(
        &self,
        shop: ShopId,
        filter: &PeopleFilter,
        page: Page,
    ) -> Result<Vec<Shown>> {
        let known = match &filter.keyword {
            Some(keyword) => Some(self.people_known(shop, keyword, "keyword").await?),
            None => None,
        };
        let mut query = page_query(recipient::Entity::find(), recipient::Column::Id, page)
            .filter(recipient::Column::ShopId.eq(shop));
        if let Some(group) = filter.group {
            self.group(shop, group).await?;
            // The page's ids from the group's own order, so that a small group of a
            // large shop costs what it holds.
            let mut members = page_query(
                group_member::Entity::find(),
                group_member::Column::RecipientId,
                page,
            )
            .select_only()
            .column(group_member::Column::RecipientId)
            .filter(group_member::Column::ShopId.eq(shop))
            .filter(group_member::Column::GroupId.eq(group));
            if let Some(known) = &known {
                members =
                    members.filter(group_member::Column::RecipientId.is_in(known.iter().copied()));
            }
            let ids: Vec<RecipientId> = members
                .into_tuple()
                .all(self.reader())
                .await
                .map_err(to_error)?;
            query = query.filter(recipient::Column::Id.is_in(ids));
        } else if let Some(known) = known {
            query = query.filter(recipient::Column::Id.is_in(known));
        }
        let rows = query.all(self.reader()).await.map_err(to_error)?;
        self.show(rows).await
    }

    async fn show(&self, rows: Vec<recipient::Model>) -> Result<Vec<Shown>> {
        let openids = recipient_openid::Entity::find()
            .filter(recipient_openid::Column::RecipientId.is_in(rows.iter().map(|r| r.id)))
            .all(self.reader())
            .await
            .map_err(to_error)?;
        let mut by_recipient: HashMap<RecipientId, BTreeMap<String, Openid>> = HashMap::new();
        for row in openids {
            let openid = open_openid(self.keys(), row.shop_id, &row.openid_cipher)?;
            by_recipient
                .entry(row.recipient_id)
                .or_default()
                .insert(row.appid.to_string(), openid);
        }
        rows.into_iter()
            .map(|row| {
                Ok(Shown {
                    mobile: self.mobile_of(&row)?,
                    openids: by_recipient.remove(&row.id).unwrap_or_default(),
                    row,
                })
            })
            .collect()
    }

    /// A recipient's mobile number.
    ///
    /// # Errors
    /// INTERNAL: it does not decrypt.
    pub fn mobile_of(&self, row: &recipient::Model) -> Result<Option<Mobile>> {
        row.mobile_cipher
            .as_ref()
            .map(|cipher| open_mobile(self.keys(), row.shop_id, cipher))
            .transpose()
    }

    /// The openid of a packet.
    ///
    /// # Errors
    /// INTERNAL: it does not decrypt.
    pub fn openid_of(&self, row: &issuance::Model) -> Result<Option<Openid>> {
        row.openid_cipher
            .as_ref()
            .map(|cipher| open_openid(self.keys(), row.shop_id, cipher))
            .transpose()
    }
}
