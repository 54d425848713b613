//! Who is meant: users by uid, or the members of groups, with their openid of the
//! appid that sends, as they are in this instant.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
    Statement,
};

use super::super::Store;
use super::super::entity::{group_member, recipient, recipient_group, recipient_openid};
use super::super::tx::{Fault, Tx, to_error};
use crate::domain::id::{BranchId, GroupId, RecipientId, ShopId};
use crate::domain::text::{Appid, Uid};
use crate::domain::{Reason, Result, missing};

/// Somebody who is to get a packet.
#[derive(Clone, Debug, Default)]
pub(super) struct Person {
    /// Who; none if the shop does not know him.
    pub(super) recipient: Option<RecipientId>,
    /// The uid, if he has one.
    pub(super) uid: Option<Uid>,
    /// The branch that he is attributed to.
    pub(super) branch: i64,
    /// His openid: ciphertext and blind index.
    pub(super) openid: Option<(Vec<u8>, Vec<u8>)>,
    /// Whether he has as much of the campaign as one may get.
    pub(super) over_cap: bool,
}

impl Person {
    /// Why he alone gets nothing, if so.
    pub(super) fn refusal(&self) -> Option<Reason> {
        match (&self.openid, self.recipient) {
            (Some(_), _) if self.over_cap => Some(Reason::RecipientLimit),
            (Some(_), _) => None,
            (None, Some(_)) => Some(Reason::OpenidMissing),
            (None, None) => Some(Reason::RecipientNotFound),
        }
    }
}

#[derive(FromQueryResult)]
struct Member {
    id: RecipientId,
    uid: Option<Uid>,
    shop_sub_id: BranchId,
    openid_cipher: Option<Vec<u8>>,
    openid_index: Option<Vec<u8>>,
}

impl Store {
    /// How many memberships groups have.
    pub(super) async fn members_of(&self, shop: ShopId, groups: &[GroupId]) -> Result<usize> {
        let count = group_member::Entity::find()
            .filter(group_member::Column::ShopId.eq(shop))
            .filter(group_member::Column::GroupId.is_in(groups.iter().copied()))
            .count(self.reader())
            .await
            .map_err(to_error)?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }
}

impl Tx {
    /// Users, in the order of their uids in the call.
    pub(super) async fn users(
        &self,
        shop: ShopId,
        appid: &Appid,
        uids: &[Uid],
    ) -> Result<Vec<Person>, Fault> {
        let mut found: HashMap<Uid, Person> = HashMap::with_capacity(uids.len());
        for chunk in uids.chunks(500) {
            let people = recipient::Entity::find()
                .filter(recipient::Column::ShopId.eq(shop))
                .filter(recipient::Column::Uid.is_in(chunk.iter().cloned()))
                .all(self)
                .await?;
            let openids = recipient_openid::Entity::find()
                .filter(recipient_openid::Column::RecipientId.is_in(people.iter().map(|p| p.id)))
                .filter(recipient_openid::Column::Appid.eq(appid.clone()))
                .all(self)
                .await?;
            let mut openids: HashMap<RecipientId, recipient_openid::Model> =
                openids.into_iter().map(|o| (o.recipient_id, o)).collect();
            for person in people {
                let openid = openids.remove(&person.id);
                let Some(uid) = person.uid else { continue };
                let known = Person {
                    recipient: Some(person.id),
                    uid: Some(uid.clone()),
                    branch: person.shop_sub_id.0,
                    openid: openid.map(|o| (o.openid_cipher, o.openid_index)),
                    over_cap: false,
                };
                found.insert(uid, known);
            }
        }
        let unknown = |uid: &Uid| Person {
            uid: Some(uid.clone()),
            ..Person::default()
        };
        let person = |uid| found.remove(uid).unwrap_or_else(|| unknown(uid));
        Ok(uids.iter().map(person).collect())
    }

    /// The groups of a shop, by id.
    pub(in crate::store) async fn groups(
        &self,
        shop: ShopId,
        ids: &[GroupId],
    ) -> Result<BTreeMap<GroupId, recipient_group::Model>, Fault> {
        let rows = recipient_group::Entity::find()
            .filter(recipient_group::Column::ShopId.eq(shop))
            .filter(recipient_group::Column::Id.is_in(ids.iter().copied()))
            .all(self)
            .await?;
        let groups: BTreeMap<GroupId, recipient_group::Model> =
            rows.into_iter().map(|row| (row.id, row)).collect();
        match ids.iter().find(|id| !groups.contains_key(id)) {
            Some(id) => Err(missing::group(*id).into()),
            None => Ok(groups),
        }
    }

    /// The members of a group: one statement, so one instant.
    pub(super) async fn members(
        &self,
        shop: ShopId,
        group: GroupId,
        appid: &Appid,
    ) -> Result<Vec<Person>, Fault> {
        let text = "SELECT r.id, r.uid, r.shop_sub_id, o.openid_cipher, o.openid_index \
                    FROM group_member m JOIN recipient r ON r.id = m.recipient_id \
                    LEFT JOIN recipient_openid o ON o.recipient_id = r.id AND o.appid = $2 \
                    WHERE m.shop_id = $3 AND m.group_id = $1 ORDER BY r.id";
        let values = [group.0.into(), appid.as_str().into(), shop.0.into()];
        let statement = Statement::from_sql_and_values(self.get_database_backend(), text, values);
        let rows = Member::find_by_statement(statement).all(self).await?;
        let person = |row: Member| Person {
            recipient: Some(row.id),
            uid: row.uid,
            branch: row.shop_sub_id.0,
            openid: row.openid_cipher.zip(row.openid_index),
            over_cap: false,
        };
        Ok(rows.into_iter().map(person).collect())
    }
}
