//! Making and completing recipients: all or none for a call, each for himself in an
//! import.

use std::sync::Arc;

use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, Set};
use serde::{Deserialize, Serialize};

use super::super::Store;
use super::super::entity::search_gram::Kind;
use super::super::entity::{group_member, recipient, recipient_openid};
use super::super::journal::insert_all;
use super::super::request::{Call, Claimed, Written};
use super::super::search::Named;
use super::super::tx::{Fault, Tx, is_duplicate};
use super::look::Look;
use super::{Person, Refusal, SealedMobile, seal_mobile, seal_openid};
use crate::domain::id::{BranchId, GroupId, RecipientId, ShopId};
use crate::domain::{Error, Reason, Result, missing};

/// What an upsert did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upserted {
    /// How many were made.
    pub created: i32,
    /// How many were completed.
    pub updated: i32,
}

/// What one message of an import did.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What was made and completed.
    pub done: Upserted,
    /// Who was left out.
    pub refusals: Vec<Refusal>,
}

impl Store {
    /// Makes or completes recipients, all or none, and puts them into groups.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND, GROUP_NOT_FOUND, BRANCH_NOT_FOUND, BELONGS_TO_ANOTHER.
    pub async fn upsert_recipients(
        &self,
        call: Call,
        shop: ShopId,
        groups: Vec<GroupId>,
        people: Vec<Person>,
    ) -> Result<Written<Upserted>> {
        let ids = self.ids("recipient", people.len()).await?;
        let (end, store) = (call.end(), self.clone());
        let shared = Arc::new((groups, people, ids));
        self.write_or_try(end, move |tx| {
            let (call, store, shared) = (call.clone(), store.clone(), Arc::clone(&shared));
            Box::pin(async move {
                let (groups, people, ids) = &*shared;
                tx.upsert(&store, &call, shop, groups, people, ids).await
            })
        })
        .await
    }

    /// Names an import. True if one of that name was there before.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND, GROUP_NOT_FOUND, REQUEST_ID_REUSED.
    pub async fn begin_import(
        &self,
        call: Call,
        shop: ShopId,
        groups: Vec<GroupId>,
    ) -> Result<bool> {
        self.write(move |tx| {
            let (call, groups) = (call.clone(), groups.clone());
            Box::pin(async move {
                let claimed = tx.claim_request(&call, shop.0, None).await?;
                tx.known_shop(shop).await?;
                tx.groups(shop, &groups).await?;
                Ok(claimed != Claimed::New)
            })
        })
        .await
    }

    /// One message of an import: who cannot be taken is left out.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn import(
        &self,
        shop: ShopId,
        groups: Vec<GroupId>,
        people: Vec<Person>,
    ) -> Result<Imported> {
        let ids = self.ids("recipient", people.len()).await?;
        let store = self.clone();
        let shared = Arc::new((groups, people, ids));
        self.write(move |tx| {
            let (store, shared) = (store.clone(), Arc::clone(&shared));
            Box::pin(async move {
                let (groups, people, ids) = &*shared;
                let taken = tx.look(&store, shop, people).await?;
                let done = tx.take_in(&store, shop, groups, people, ids, &taken);
                Ok(Imported {
                    done: done.await?,
                    refusals: taken.refusals,
                })
            })
        })
        .await
    }
}

impl Tx {
    async fn upsert(
        &self,
        store: &Store,
        call: &Call,
        shop: ShopId,
        groups: &[GroupId],
        people: &[Person],
        ids: &[i64],
    ) -> Result<Written<Upserted>, Fault> {
        let look = self.look(store, shop, people).await?;
        let updated = i32::try_from(look.known.len()).unwrap_or(i32::MAX);
        let all = i32::try_from(people.len()).unwrap_or(i32::MAX);
        let adopted = people.iter().enumerate().filter(|(index, person)| {
            !look.known.contains_key(&person.uid) && look.nameless.contains_key(index)
        });
        let updated = updated + i32::try_from(adopted.count()).unwrap_or(0);
        let done = Upserted {
            created: all - updated,
            updated,
        };
        let reply =
            serde_json::to_string(&done).map_err(|e| Error::internal("a reply is no JSON", e))?;
        if let Claimed::Replay { reply, .. } = self.claim_request(call, shop.0, Some(reply)).await?
        {
            let reply = reply.as_deref().map(serde_json::from_str).transpose();
            let row = reply
                .map_err(|e| Error::internal("a kept reply is no JSON", e))?
                .unwrap_or(done);
            return Ok(Written {
                row,
                replayed: true,
            });
        }
        self.known_shop(shop).await?;
        self.groups(shop, groups).await?;
        if let Some(refusal) = look.refusals.first() {
            return Err(refused(refusal, people).into());
        }
        let row = self
            .take_in(store, shop, groups, people, ids, &look)
            .await?;
        Ok(Written {
            row,
            replayed: false,
        })
    }

    /// Writes those who are not refused.
    async fn take_in(
        &self,
        store: &Store,
        shop: ShopId,
        groups: &[GroupId],
        people: &[Person],
        ids: &[i64],
        look: &Look,
    ) -> Result<Upserted, Fault> {
        let mut done = Upserted {
            created: 0,
            updated: 0,
        };
        let (mut rows, mut named, mut members, mut openids) = Default::default();
        for ((index, person), id) in people.iter().enumerate().zip(ids) {
            if look.is_refused(index) {
                continue;
            }
            let before = self.adopt(shop, index, person, look).await?;
            let id = match &before {
                Some(row) => {
                    done.updated += 1;
                    self.complete_recipient(store, row, person).await?;
                    row.id
                }
                None => {
                    done.created += 1;
                    let id = RecipientId(*id);
                    Vec::push(&mut rows, self.new_recipient(store, shop, person, id)?);
                    if let Some(name) = &person.nickname {
                        Vec::push(&mut named, (id, name.as_str()));
                    }
                    id
                }
            };
            Vec::push(&mut members, id);
            for (appid, openid) in &person.openids {
                let (cipher, index) = seal_openid(store.keys(), shop, openid)?;
                let row = recipient_openid::ActiveModel {
                    recipient_id: Set(id),
                    appid: Set(appid.clone()),
                    shop_id: Set(shop),
                    openid_cipher: Set(cipher),
                    openid_index: Set(index),
                };
                Vec::push(&mut openids, row);
            }
        }
        insert_all::<recipient::Entity, _>(self, rows)
            .await
            .map_err(|fault| belongs(fault, "mobile"))?;
        let named: Vec<Named<'_>> = named
            .into_iter()
            .map(|(id, name)| nickname(shop, id, name))
            .collect();
        self.name_all(&named).await?;
        self.put_openids(openids).await?;
        for group in groups {
            self.join(shop, *group, &members).await?;
        }
        Ok(done)
    }

    async fn put_openids(&self, rows: Vec<recipient_openid::ActiveModel>) -> Result<(), Fault> {
        use recipient_openid::Column;
        for chunk in rows.chunks(200) {
            let replace = OnConflict::columns([Column::RecipientId, Column::Appid])
                .update_columns([Column::OpenidCipher, Column::OpenidIndex])
                .to_owned();
            let insert = recipient_openid::Entity::insert_many(chunk.to_vec()).on_conflict(replace);
            insert
                .exec_without_returning(self)
                .await
                .map_err(|error| belongs(error.into(), "openid"))?;
        }
        Ok(())
    }

    /// Puts recipients into a group; who is in already stays.
    pub(super) async fn join(
        &self,
        shop: ShopId,
        group: GroupId,
        members: &[RecipientId],
    ) -> Result<(), Fault> {
        use group_member::Column;
        for chunk in members.chunks(500) {
            let rows = chunk.iter().map(|id| group_member::ActiveModel {
                shop_id: Set(shop),
                group_id: Set(group),
                recipient_id: Set(*id),
            });
            let keep = OnConflict::columns([Column::ShopId, Column::GroupId, Column::RecipientId])
                .do_nothing()
                .to_owned();
            group_member::Entity::insert_many(rows)
                .on_conflict(keep)
                .exec_without_returning(self)
                .await?;
        }
        Ok(())
    }

    fn new_recipient(
        &self,
        store: &Store,
        shop: ShopId,
        person: &Person,
        id: RecipientId,
    ) -> Result<recipient::ActiveModel> {
        let mobile = person
            .mobile
            .as_ref()
            .map(|m| seal_mobile(store.keys(), shop, m))
            .transpose()?;
        let (cipher, index, tail_index) = match mobile {
            Some(SealedMobile {
                cipher,
                index,
                tail_index,
            }) => (Some(cipher), Some(index), Some(tail_index)),
            None => (None, None, None),
        };
        Ok(recipient::ActiveModel {
            id: Set(id),
            shop_id: Set(shop),
            shop_sub_id: Set(person.branch.unwrap_or(BranchId(0))),
            uid: Set(Some(person.uid.clone())),
            nickname: Set(person.nickname.clone().unwrap_or_default()),
            mobile_cipher: Set(cipher),
            mobile_index: Set(index),
            mobile_tail_index: Set(tail_index),
            create_time: Set(self.now()),
            update_time: Set(self.now()),
        })
    }

    async fn complete_recipient(
        &self,
        store: &Store,
        row: &recipient::Model,
        person: &Person,
    ) -> Result<(), Fault> {
        let mut change = recipient::ActiveModel {
            id: Set(row.id),
            uid: Set(Some(person.uid.clone())),
            update_time: Set(self.now()),
            ..Default::default()
        };
        if let Some(name) = person
            .nickname
            .as_ref()
            .filter(|name| **name != row.nickname)
        {
            change.nickname = Set(name.clone());
            self.rename(nickname(row.shop_id, row.id, name)).await?;
        }
        if let Some(branch) = person.branch {
            change.shop_sub_id = Set(branch);
        }
        if let Some(mobile) = &person.mobile {
            let sealed = seal_mobile(store.keys(), row.shop_id, mobile)?;
            change.mobile_cipher = Set(Some(sealed.cipher));
            change.mobile_index = Set(Some(sealed.index));
            change.mobile_tail_index = Set(Some(sealed.tail_index));
        }
        recipient::Entity::update(change)
            .exec(self)
            .await
            .map_err(|error| belongs(error.into(), "mobile"))?;
        Ok(())
    }
}

fn nickname(shop: ShopId, id: RecipientId, name: &str) -> Named<'_> {
    Named {
        shop,
        kind: Kind::Recipient,
        id: id.0,
        names: vec![name],
    }
}

/// What a call is told that takes all or none.
fn refused(refusal: &Refusal, people: &[Person]) -> Error {
    let branch = people.get(refusal.index).and_then(|person| person.branch);
    match (refusal.reason, branch) {
        (Reason::BranchNotFound, Some(branch)) => missing::branch(branch),
        _ => {
            let field = if refusal.field == "mobile" {
                "mobile"
            } else {
                "openid"
            };
            let text = format!(
                "the {field} of {} belongs to another recipient of the shop",
                refusal.uid
            );
            Error::new(refusal.reason, text)
                .fact("field", field)
                .fact("uid", &refusal.uid)
        }
    }
}

/// Two calls that want the same thing at one instant: the index refuses the later one.
fn belongs(fault: Fault, field: &'static str) -> Fault {
    let duplicate = matches!(&fault, Fault::Db(error) if is_duplicate(error));
    if !duplicate {
        return fault;
    }
    // Looked at a moment ago and free: somebody else was faster, so look again.
    tracing::debug!(field, "taken meanwhile");
    Fault::Again
}
