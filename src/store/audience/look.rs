//! Looking at people before they are written: who is there already, and whose openid
//! or mobile it is that somebody brings.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::super::Store;
use super::super::entity::{recipient, recipient_openid, shop_branch};
use super::super::tx::{Fault, Tx};
use super::{Person, Refusal, mobile_index, openid_column};
use crate::domain::Reason;
use crate::domain::id::{BranchId, RecipientId, ShopId};
use crate::domain::text::Uid;

/// What is known of people before they are written.
#[derive(Default)]
pub(super) struct Look {
    /// Recipients by uid, locked.
    pub(super) known: HashMap<Uid, recipient::Model>,
    /// Recipients without uid whose openid or mobile somebody brings, by his place.
    pub(super) nameless: HashMap<usize, BTreeSet<RecipientId>>,
    /// Who cannot be taken.
    pub(super) refusals: Vec<Refusal>,
}

impl Look {
    pub(super) fn is_refused(&self, index: usize) -> bool {
        self.refusals.iter().any(|refusal| refusal.index == index)
    }
}

impl Tx {
    /// Who is there already, and who wants what belongs to somebody else.
    pub(super) async fn look(
        &self,
        store: &Store,
        shop: ShopId,
        people: &[Person],
    ) -> Result<Look, Fault> {
        let mut look = Look {
            known: self.known(shop, people).await?,
            ..Look::default()
        };
        self.look_at_branches(shop, people, &mut look).await?;
        self.look_at_openids(store, shop, people, &mut look).await?;
        self.look_at_mobiles(store, shop, people, &mut look).await?;
        look.refusals.sort_by_key(|refusal| refusal.index);
        Ok(look)
    }

    async fn known(
        &self,
        shop: ShopId,
        people: &[Person],
    ) -> Result<HashMap<Uid, recipient::Model>, Fault> {
        let mut known = HashMap::new();
        for chunk in people.chunks(500) {
            let rows = recipient::Entity::find()
                .filter(recipient::Column::ShopId.eq(shop))
                .filter(recipient::Column::Uid.is_in(chunk.iter().map(|p| p.uid.clone())))
                .lock_exclusive()
                .all(self)
                .await?;
            known.extend(
                rows.into_iter()
                    .filter_map(|row| Some((row.uid.clone()?, row))),
            );
        }
        Ok(known)
    }

    async fn look_at_branches(
        &self,
        shop: ShopId,
        people: &[Person],
        look: &mut Look,
    ) -> Result<(), Fault> {
        let named = people.iter().filter_map(|person| person.branch);
        let named: BTreeSet<BranchId> = named.filter(|branch| branch.0 > 0).collect();
        if named.is_empty() {
            return Ok(());
        }
        let there: Vec<BranchId> = shop_branch::Entity::find()
            .select_only()
            .column(shop_branch::Column::ShopSubId)
            .filter(shop_branch::Column::ShopId.eq(shop))
            .filter(shop_branch::Column::ShopSubId.is_in(named))
            .into_tuple()
            .all(self)
            .await?;
        for (index, person) in people.iter().enumerate() {
            if person
                .branch
                .is_some_and(|b| b.0 > 0 && !there.contains(&b))
            {
                look.refusals.push(Refusal {
                    index,
                    uid: person.uid.to_string(),
                    field: "shop_sub_id".to_owned(),
                    reason: Reason::BranchNotFound,
                    message: "no such branch of this shop; CreateBranch makes one".to_owned(),
                });
            }
        }
        Ok(())
    }

    async fn look_at_openids(
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
                        message: others(owner),
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

    async fn look_at_mobiles(
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
                .lock_exclusive()
                .all(self)
                .await?;
            for owner in taken {
                let index = owner.mobile_index.as_ref().and_then(|i| wanted.get(i));
                let Some((index, person)) = index.and_then(|i| Some((*i, people.get(*i)?))) else {
                    continue;
                };
                match &owner.uid {
                    Some(uid) if *uid == person.uid => {}
                    Some(_) => look.refusals.push(Refusal {
                        index,
                        uid: person.uid.to_string(),
                        field: "mobile".to_owned(),
                        reason: Reason::BelongsToAnother,
                        message: others(&owner),
                    }),
                    // First seen by a gift of vouchers.
                    None => {
                        look.nameless.entry(index).or_default().insert(owner.id);
                    }
                }
            }
        }
        Ok(())
    }
}

fn others(owner: &recipient::Model) -> String {
    let who = match &owner.uid {
        Some(uid) => format!("uid {uid}"),
        None => format!("recipient_id {}", owner.id),
    };
    format!("belongs to {who} of the shop; the whole record is left out")
}
