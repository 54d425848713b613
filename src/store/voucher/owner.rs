//! Owners of vouchers: found by mobile, uid or id, or made at a gift. A person that
//! is found stays who he is until the unit ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

use super::super::Store;
use super::super::audience::{mobile_index, open_mobile, seal_mobile};
use super::super::entity::{recipient, step_up_code, voucher};
use super::super::tx::{Fault, Tx};
use super::Owner;
use crate::domain::id::{BranchId, RecipientId, ShopId, VoucherId};
use crate::domain::text::{Mobile, Uid};
use crate::domain::{Error, Reason, Result, Timestamp};

/// The owner of a voucher, as far as he is shown with it.
#[derive(Clone, Debug)]
pub struct OwnerRow {
    /// His id.
    pub id: RecipientId,
    /// The caller's id for him.
    pub uid: Option<Uid>,
    /// His number.
    pub mobile: Option<Mobile>,
}

impl OwnerRow {
    pub(super) fn of(store: &Store, row: &recipient::Model) -> Result<Self> {
        let cipher = row.mobile_cipher.as_deref();
        Ok(Self {
            id: row.id,
            uid: row.uid.clone(),
            mobile: cipher
                .map(|cipher| open_mobile(store.keys(), row.shop_id, cipher))
                .transpose()?,
        })
    }
}

/// What names somebody new: the shop, his uid, the blind index of his number.
type Names = (ShopId, Option<Uid>, Option<Vec<u8>>);

/// The people of a unit, by how they are named.
#[derive(Debug, Default)]
pub(super) struct People {
    found: HashMap<(ShopId, Owner), RecipientId>,
    /// Their numbers, as they are kept.
    ciphers: HashMap<RecipientId, (ShopId, Vec<u8>)>,
    /// By what names them, so that two units make them in one order.
    made: BTreeMap<Names, recipient::ActiveModel>,
}

impl People {
    /// Who is meant, if the shop knows him.
    pub(super) fn get(&self, shop: ShopId, owner: &Owner) -> Option<RecipientId> {
        self.found.get(&(shop, owner.clone())).copied()
    }

    /// Who is meant; somebody whom the shop does not know is made, with the id that is
    /// offered.
    ///
    /// # Errors
    /// RECIPIENT_NOT_FOUND: an id that is nobody's.
    pub(super) fn get_or_make(
        &mut self,
        store: &Store,
        shop: ShopId,
        owner: &Owner,
        offered: RecipientId,
        now: Timestamp,
    ) -> Result<RecipientId> {
        if let Some(id) = self.get(shop, owner) {
            return Ok(id);
        }
        let blank = recipient::ActiveModel {
            id: Set(offered),
            shop_id: Set(shop),
            shop_sub_id: Set(BranchId(0)),
            uid: Set(None),
            nickname: Set(String::new()),
            mobile_cipher: Set(None),
            mobile_index: Set(None),
            mobile_tail_index: Set(None),
            create_time: Set(now),
            update_time: Set(now),
        };
        let row = match owner {
            Owner::Id(_) => return Err(nobody(owner)),
            Owner::Uid(uid) => recipient::ActiveModel {
                uid: Set(Some(uid.clone())),
                ..blank
            },
            Owner::Mobile(mobile) => {
                let sealed = seal_mobile(store.keys(), shop, mobile)?;
                recipient::ActiveModel {
                    mobile_cipher: Set(Some(sealed.cipher)),
                    mobile_index: Set(Some(sealed.index)),
                    mobile_tail_index: Set(Some(sealed.tail_index)),
                    ..blank
                }
            }
        };
        let key = (
            shop,
            row.uid.clone().take().flatten(),
            row.mobile_index.clone().take().flatten(),
        );
        if let Some(cipher) = row.mobile_cipher.clone().take().flatten() {
            self.ciphers.insert(offered, (shop, cipher));
        }
        self.made.insert(key, row);
        self.found.insert((shop, owner.clone()), offered);
        Ok(offered)
    }

    /// The number of somebody, if he has one.
    pub(super) fn mobile(&self, store: &Store, person: RecipientId) -> Result<Option<Mobile>> {
        let kept = self.ciphers.get(&person);
        kept.map(|(shop, cipher)| open_mobile(store.keys(), *shop, cipher))
            .transpose()
    }

    /// Takes those who are to be made.
    pub(super) fn take_made(&mut self) -> Vec<recipient::ActiveModel> {
        std::mem::take(&mut self.made).into_values().collect()
    }
}

/// The refusal of a name that is nobody's. It does not repeat a number.
pub(super) fn nobody(owner: &Owner) -> Error {
    let text = "no such recipient in this shop".to_owned();
    let error = Error::new(Reason::RecipientNotFound, text);
    match owner {
        Owner::Mobile(mobile) => error.fact("mobile", mobile.masked()),
        Owner::Uid(uid) => error.fact("uid", uid),
        Owner::Id(id) => error.fact("recipient_id", id),
    }
}

/// The recipients whom some names mean.
pub(super) async fn find(
    db: &impl ConnectionTrait,
    store: &Store,
    wanted: &[(ShopId, Owner)],
    lock: bool,
) -> Result<HashMap<(ShopId, Owner), recipient::Model>, Fault> {
    use recipient::Column;
    let mut shops: BTreeMap<ShopId, Vec<&Owner>> = BTreeMap::new();
    for (shop, owner) in wanted {
        shops.entry(*shop).or_default().push(owner);
    }
    let mut ids: BTreeSet<RecipientId> = BTreeSet::new();
    let mut rows = Vec::new();
    for (shop, owners) in &shops {
        for chunk in owners.chunks(300) {
            let (mut mobiles, mut uids, mut named) = (Vec::new(), Vec::new(), Vec::new());
            for owner in chunk {
                match owner {
                    Owner::Mobile(mobile) => {
                        mobiles.push(mobile_index(store.keys(), *shop, mobile))
                    }
                    Owner::Uid(uid) => uids.push(uid.clone()),
                    Owner::Id(id) => named.push(*id),
                }
            }
            let mut any = Condition::any();
            if !mobiles.is_empty() {
                any = any.add(Column::MobileIndex.is_in(mobiles));
            }
            if !uids.is_empty() {
                any = any.add(Column::Uid.is_in(uids));
            }
            if !named.is_empty() {
                any = any.add(Column::Id.is_in(named));
            }
            let query = recipient::Entity::find()
                .filter(Column::ShopId.eq(*shop))
                .filter(any);
            rows.extend(query.all(db).await?);
        }
    }
    ids.extend(rows.iter().map(|row| row.id));
    if lock && !ids.is_empty() {
        let ids: Vec<RecipientId> = ids.into_iter().collect();
        rows.clear();
        for chunk in ids.chunks(500) {
            let query = recipient::Entity::find()
                .filter(Column::Id.is_in(chunk.iter().copied()))
                .order_by_asc(Column::Id)
                .lock(LockType::Share);
            rows.extend(query.all(db).await?);
        }
        if rows.len() != ids.len() {
            // Somebody was just found to be somebody else: look again.
            return Err(Fault::Again);
        }
    }
    let mut found = HashMap::new();
    for row in rows {
        let shop = row.shop_id;
        found.insert((shop, Owner::Id(row.id)), row.clone());
        if let Some(uid) = &row.uid {
            found.insert((shop, Owner::Uid(uid.clone())), row.clone());
        }
        if let Some(cipher) = &row.mobile_cipher {
            let mobile = open_mobile(store.keys(), shop, cipher)?;
            found.insert((shop, Owner::Mobile(mobile)), row);
        }
    }
    Ok(found)
}

impl Tx {
    /// One person, seen twice: the vouchers of the one row are the other's. What he
    /// confirms spends with, he sets anew.
    pub(in crate::store) async fn merge_vouchers(
        &self,
        from: RecipientId,
        to: RecipientId,
    ) -> Result<(), Fault> {
        let ids: Vec<VoucherId> = voucher::Entity::find()
            .select_only()
            .column(voucher::Column::Id)
            .filter(voucher::Column::RecipientId.eq(from))
            .order_by_asc(voucher::Column::Id)
            .lock_exclusive()
            .into_tuple()
            .all(self)
            .await?;
        for chunk in ids.chunks(500) {
            voucher::Entity::update_many()
                .col_expr(voucher::Column::RecipientId, Expr::value(Some(to)))
                .filter(voucher::Column::Id.is_in(chunk.iter().copied()))
                .exec(self)
                .await?;
        }
        step_up_code::Entity::delete_many()
            .filter(step_up_code::Column::RecipientId.eq(from))
            .exec(self)
            .await?;
        Ok(())
    }

    /// The people whom some names mean, held as they are.
    pub(super) async fn people(
        &self,
        store: &Store,
        wanted: &[(ShopId, Owner)],
    ) -> Result<People, Fault> {
        let found = find(self, store, wanted, true).await?;
        let ciphers = found.values().filter_map(|row| {
            let cipher = row.mobile_cipher.clone()?;
            Some((row.id, (row.shop_id, cipher)))
        });
        Ok(People {
            ciphers: ciphers.collect(),
            found: found
                .into_iter()
                .map(|(name, row)| (name, row.id))
                .collect(),
            made: BTreeMap::new(),
        })
    }
}
