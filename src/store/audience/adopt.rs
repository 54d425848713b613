//! Whose openid or mobile it is: somebody else's is refused; that of one who was
//! first seen by a scan, and has no uid yet, becomes the caller's.

use std::collections::HashMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Statement};

use super::super::Store;
use super::super::entity::search_gram::Kind;
use super::super::entity::{group_member, issuance, recipient, recipient_openid};
use super::super::tx::{Fault, Tx};
use super::upsert::Look;
use super::{Person, Refusal, mobile_index, openid_column};
use crate::domain::Reason;
use crate::domain::id::{RecipientId, ShopId};

impl Tx {
    pub(super) async fn look_at_openids(
        &self,
        store: &Store,
        shop: ShopId,
        people: &[Person],
        look: &mut Look,
    ) -> Result<(), Fault> {
        let column = openid_column(shop);
        let mut wanted: HashMap<(String, Vec<u8>), (usize, usize)> = HashMap::new();
        for (index, person) in people.iter().enumerate() {
            for (at, (appid, openid)) in person.openids.iter().enumerate() {
                let blind = store.keys().blind_index(&column, openid.expose());
                wanted.insert((appid.to_string(), blind), (index, at));
            }
        }
        let indexes: Vec<Vec<u8>> = wanted.keys().map(|(_, index)| index.clone()).collect();
        for chunk in indexes.chunks(500) {
            let taken = recipient_openid::Entity::find()
                .filter(recipient_openid::Column::ShopId.eq(shop))
                .filter(recipient_openid::Column::OpenidIndex.is_in(chunk.iter().cloned()))
                .all(self)
                .await?;
            let owners = self
                .owners(taken.iter().map(|row| row.recipient_id))
                .await?;
            for row in taken {
                let key = (row.appid.to_string(), row.openid_index);
                let (Some((index, at)), Some(owner)) =
                    (wanted.get(&key), owners.get(&row.recipient_id))
                else {
                    continue;
                };
                let Some(person) = people.get(*index) else {
                    continue;
                };
                match &owner.uid {
                    Some(uid) if *uid == person.uid => {}
                    Some(_) => look.refusals.push(Refusal {
                        index: *index,
                        uid: person.uid.to_string(),
                        field: format!("openids[{at}].openid"),
                        reason: Reason::BelongsToAnother,
                        message: "belongs to another recipient of the shop".to_owned(),
                    }),
                    None => {
                        look.nameless.entry(*index).or_default().insert(owner.id);
                    }
                }
            }
        }
        Ok(())
    }

    async fn owners(
        &self,
        ids: impl Iterator<Item = RecipientId>,
    ) -> Result<HashMap<RecipientId, recipient::Model>, Fault> {
        let rows = recipient::Entity::find()
            .filter(recipient::Column::Id.is_in(ids))
            .lock_exclusive()
            .all(self)
            .await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    pub(super) async fn look_at_mobiles(
        &self,
        store: &Store,
        shop: ShopId,
        people: &[Person],
        look: &mut Look,
    ) -> Result<(), Fault> {
        let wanted: HashMap<Vec<u8>, usize> = people
            .iter()
            .enumerate()
            .filter_map(|(index, person)| {
                let mobile = person.mobile.as_ref()?;
                Some((mobile_index(store.keys(), shop, mobile), index))
            })
            .collect();
        let indexes: Vec<Vec<u8>> = wanted.keys().cloned().collect();
        for chunk in indexes.chunks(500) {
            let taken = recipient::Entity::find()
                .filter(recipient::Column::ShopId.eq(shop))
                .filter(recipient::Column::MobileIndex.is_in(chunk.iter().cloned()))
                .all(self)
                .await?;
            for owner in taken {
                let index = owner.mobile_index.as_ref().and_then(|i| wanted.get(i));
                let Some((index, person)) = index.and_then(|i| Some((*i, people.get(*i)?))) else {
                    continue;
                };
                if owner.uid.as_ref() != Some(&person.uid) {
                    look.refusals.push(Refusal {
                        index,
                        uid: person.uid.to_string(),
                        field: "mobile".to_owned(),
                        reason: Reason::BelongsToAnother,
                        message: "belongs to another recipient of the shop".to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// The row that a person has already: his own, or that of a nameless one whose
    /// openid he brings. Further nameless ones become part of it.
    pub(super) async fn adopt(
        &self,
        shop: ShopId,
        index: usize,
        person: &Person,
        look: &Look,
    ) -> Result<Option<recipient::Model>, Fault> {
        let mut own = look.known.get(&person.uid).cloned();
        let Some(nameless) = look.nameless.get(&index) else {
            return Ok(own);
        };
        for id in nameless {
            match &own {
                None => own = recipient::Entity::find_by_id(*id).one(self).await?,
                Some(own) => self.merge(shop, *id, own.id).await?,
            }
        }
        Ok(own)
    }

    /// One person, seen twice: what the nameless row has goes to the named one.
    async fn merge(&self, shop: ShopId, from: RecipientId, to: RecipientId) -> Result<(), Fault> {
        // Scans are numbered for each person: those of the one come after those of the other.
        let text = "UPDATE issuance SET recipient_id = $2, scan_no = scan_no + (\
                    SELECT COALESCE(MAX(other.scan_no), 0) FROM issuance other \
                    WHERE other.campaign_id = issuance.campaign_id AND other.recipient_id = $2) \
                    WHERE recipient_id = $1 AND scan_no IS NOT NULL";
        let values = [from.0.into(), to.0.into()];
        let backend = self.get_database_backend();
        self.execute_raw(Statement::from_sql_and_values(backend, text, values))
            .await?;
        issuance::Entity::update_many()
            .col_expr(issuance::Column::RecipientId, Expr::value(Some(to)))
            .filter(issuance::Column::RecipientId.eq(from))
            .exec(self)
            .await?;
        let groups = group_member::Entity::find()
            .filter(group_member::Column::RecipientId.eq(from))
            .all(self)
            .await?;
        group_member::Entity::delete_many()
            .filter(group_member::Column::RecipientId.eq(from))
            .exec(self)
            .await?;
        for group in groups {
            self.join(shop, group.group_id, &[to]).await?;
        }
        recipient_openid::Entity::delete_many()
            .filter(recipient_openid::Column::RecipientId.eq(from))
            .exec(self)
            .await?;
        self.unname(shop, Kind::Recipient, from.0).await?;
        recipient::Entity::delete_by_id(from).exec(self).await?;
        Ok(())
    }
}
