//! Recipients, with their openids and mobile numbers encrypted.

use std::collections::{BTreeMap, HashMap};

use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, Set};
use serde::{Deserialize, Serialize};

use super::Store;
use super::crypt::Keys;
use super::entity::{recipient, recipient_openid};
use super::journal::insert_all;
use super::request::{Call, Claimed, Written};
use super::tx::{Fault, Tx, is_duplicate};
use crate::domain::id::{RecipientId, ShopId};
use crate::domain::text::{Appid, Mobile, Openid, Uid};
use crate::domain::{Error, Reason, Result};

/// A recipient to make or complete.
#[derive(Clone, Debug)]
pub struct Person {
    /// The caller's id for him.
    pub uid: Uid,
    /// His name; unchanged if none.
    pub nickname: Option<String>,
    /// His number; unchanged if none.
    pub mobile: Option<Mobile>,
    /// Openids to add or replace.
    pub openids: Vec<(Appid, Openid)>,
}

/// What an upsert did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upserted {
    /// How many were made.
    pub created: i32,
    /// How many were completed.
    pub updated: i32,
}

impl Store {
    /// Makes or completes recipients, all or none.
    ///
    /// # Errors
    /// SHOP_NOT_FOUND, BELONGS_TO_ANOTHER.
    pub async fn upsert_recipients(
        &self,
        call: Call,
        shop: ShopId,
        people: Vec<Person>,
    ) -> Result<Written<Upserted>> {
        let ids = self.ids("recipient", people.len()).await?;
        let (end, store) = (call.end(), self.clone());
        let people = std::sync::Arc::new(people);
        self.write_or_try(end, move |tx| {
            let (call, store, people, ids) =
                (call.clone(), store.clone(), people.clone(), ids.clone());
            Box::pin(async move { tx.upsert(&store, &call, shop, &people, &ids).await })
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
        people: &[Person],
        ids: &[i64],
    ) -> Result<Written<Upserted>, Fault> {
        let known = self.known(shop, people).await?;
        let updated = i32::try_from(known.len()).unwrap_or(i32::MAX);
        let created = i32::try_from(people.len()).unwrap_or(i32::MAX) - updated;
        let done = Upserted { created, updated };
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
        let (mut rows, mut openids) = (Vec::new(), Vec::new());
        for (person, id) in people.iter().zip(ids) {
            let id = match known.get(&person.uid) {
                Some(row) => {
                    self.complete_recipient(store, row, person).await?;
                    row.id
                }
                None => {
                    rows.push(self.new_recipient(store, shop, person, RecipientId(*id))?);
                    RecipientId(*id)
                }
            };
            for (appid, openid) in &person.openids {
                let (cipher, index) = seal_openid(store.keys(), shop, openid)?;
                openids.push(recipient_openid::ActiveModel {
                    recipient_id: Set(id),
                    appid: Set(appid.clone()),
                    shop_id: Set(shop),
                    openid_cipher: Set(cipher),
                    openid_index: Set(index),
                });
            }
        }
        self.nobody_else_has(&openids, people, &known, ids).await?;
        insert_all::<recipient::Entity, _>(self, rows)
            .await
            .map_err(|fault| belongs(fault, "mobile"))?;
        for chunk in openids.chunks(200) {
            let replace = OnConflict::columns([
                recipient_openid::Column::RecipientId,
                recipient_openid::Column::Appid,
            ])
            .update_columns([
                recipient_openid::Column::OpenidCipher,
                recipient_openid::Column::OpenidIndex,
            ])
            .to_owned();
            let insert = recipient_openid::Entity::insert_many(chunk.to_vec()).on_conflict(replace);
            insert
                .exec_without_returning(self)
                .await
                .map_err(|error| belongs(error.into(), "openid"))?;
        }
        Ok(Written {
            row: done,
            replayed: false,
        })
    }

    /// Refuses an openid that somebody else of the shop has, by the uid that asked
    /// for it. The unique index refuses it too, but cannot tell whose it is.
    async fn nobody_else_has(
        &self,
        wanted: &[recipient_openid::ActiveModel],
        people: &[Person],
        known: &HashMap<Uid, recipient::Model>,
        ids: &[i64],
    ) -> Result<(), Fault> {
        for chunk in wanted.chunks(500) {
            let indexes = chunk.iter().map(|row| row.openid_index.clone().unwrap());
            let taken = recipient_openid::Entity::find()
                .filter(recipient_openid::Column::OpenidIndex.is_in(indexes))
                .all(self)
                .await?;
            for owner in taken {
                let other = chunk.iter().find(|row| {
                    row.openid_index.as_ref() == &owner.openid_index
                        && row.appid.as_ref() == &owner.appid
                        && row.shop_id.as_ref() == &owner.shop_id
                        && row.recipient_id.as_ref() != &owner.recipient_id
                });
                let Some(other) = other else { continue };
                let wants = people.iter().zip(ids).find(|(person, id)| {
                    let id = known
                        .get(&person.uid)
                        .map_or(RecipientId(**id), |row| row.id);
                    *other.recipient_id.as_ref() == id
                });
                let uid = wants
                    .map(|(person, _)| person.uid.to_string())
                    .unwrap_or_default();
                let text = format!("the openid of {uid} belongs to another recipient of the shop");
                let error = Error::new(Reason::BelongsToAnother, text);
                return Err(error.fact("field", "openid").fact("uid", uid).into());
            }
        }
        Ok(())
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
        let (cipher, index) = mobile.unzip();
        Ok(recipient::ActiveModel {
            id: Set(id),
            shop_id: Set(shop),
            uid: Set(Some(person.uid.clone())),
            nickname: Set(person.nickname.clone().unwrap_or_default()),
            mobile_cipher: Set(cipher),
            mobile_index: Set(index),
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
            update_time: Set(self.now()),
            ..Default::default()
        };
        if let Some(nickname) = &person.nickname {
            change.nickname = Set(nickname.clone());
        }
        if let Some(mobile) = &person.mobile {
            let (cipher, index) = seal_mobile(store.keys(), row.shop_id, mobile)?;
            change.mobile_cipher = Set(Some(cipher));
            change.mobile_index = Set(Some(index));
        }
        recipient::Entity::update(change)
            .exec(self)
            .await
            .map_err(|error| belongs(error.into(), "mobile"))?;
        Ok(())
    }
}

/// A mobile or openid that somebody else of the shop has is refused, never taken over.
fn belongs(fault: Fault, field: &'static str) -> Fault {
    let duplicate = matches!(&fault, Fault::Db(error) if is_duplicate(error));
    if !duplicate {
        return fault;
    }
    let text = format!(
        "this {field} belongs to another recipient of the shop, or stands twice in the call"
    );
    Error::new(Reason::BelongsToAnother, text)
        .fact("field", field)
        .into()
}

fn openid_column(shop: ShopId) -> String {
    format!("openid/{shop}")
}

/// Encrypts an openid for a shop: ciphertext and blind index.
pub(super) fn seal_openid(
    keys: &Keys,
    shop: ShopId,
    openid: &Openid,
) -> Result<(Vec<u8>, Vec<u8>)> {
    let column = openid_column(shop);
    Ok((
        keys.seal(&column, openid.expose().as_bytes())?,
        keys.blind_index(&column, openid.expose()),
    ))
}

/// Decrypts what [`seal_openid`] made.
pub(super) fn open_openid(keys: &Keys, shop: ShopId, cipher: &[u8]) -> Result<Openid> {
    let text = keys.open_text(&openid_column(shop), cipher)?;
    Openid::parse(&text).ok_or_else(|| Error::internal("a stored openid is none", "openid"))
}

fn seal_mobile(keys: &Keys, shop: ShopId, mobile: &Mobile) -> Result<(Vec<u8>, Vec<u8>)> {
    let column = format!("mobile/{shop}");
    Ok((
        keys.seal(&column, mobile.expose().as_bytes())?,
        keys.blind_index(&column, mobile.expose()),
    ))
}

/// A recipient as it is shown: what names a person is masked.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The row.
    pub row: recipient::Model,
    /// The mobile number, masked.
    pub mobile: String,
    /// The openids, masked, by appid.
    pub openids: BTreeMap<String, String>,
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
            .map_err(super::tx::to_error)?
            .ok_or_else(|| {
                let error = Error::new(
                    Reason::RecipientNotFound,
                    "no such recipient in this shop".to_owned(),
                );
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
    /// DATABASE_UNAVAILABLE.
    pub async fn recipients(&self, shop: ShopId, page: super::page::Page) -> Result<Vec<Shown>> {
        let rows = super::page::page_query(recipient::Entity::find(), recipient::Column::Id, page)
            .filter(recipient::Column::ShopId.eq(shop))
            .all(self.reader())
            .await
            .map_err(super::tx::to_error)?;
        self.show(rows).await
    }

    async fn show(&self, rows: Vec<recipient::Model>) -> Result<Vec<Shown>> {
        let openids = recipient_openid::Entity::find()
            .filter(recipient_openid::Column::RecipientId.is_in(rows.iter().map(|r| r.id)))
            .all(self.reader())
            .await
            .map_err(super::tx::to_error)?;
        let mut by_recipient: HashMap<RecipientId, BTreeMap<String, String>> = HashMap::new();
        for row in openids {
            let openid = open_openid(self.keys(), row.shop_id, &row.openid_cipher)?;
            by_recipient
                .entry(row.recipient_id)
                .or_default()
                .insert(row.appid.to_string(), openid.masked());
        }
        rows.into_iter()
            .map(|row| {
                let mobile = match &row.mobile_cipher {
                    Some(cipher) => {
                        let text = self
                            .keys()
                            .open_text(&format!("mobile/{}", row.shop_id), cipher)?;
                        Mobile::parse(&text).map(|m| m.masked()).unwrap_or_default()
                    }
                    None => String::new(),
                };
                let openids = by_recipient.remove(&row.id).unwrap_or_default();
                Ok(Shown {
                    row,
                    mobile,
                    openids,
                })
            })
            .collect()
    }

    /// The openid of a packet, masked.
    ///
    /// # Errors
    /// INTERNAL: it does not decrypt.
    pub fn masked_openid(&self, row: &super::entity::issuance::Model) -> Result<String> {
        match &row.openid_cipher {
            Some(cipher) => Ok(open_openid(self.keys(), row.shop_id, cipher)?.masked()),
            None => Ok(String::new()),
        }
    }
}

/// How a recipient is named.
#[derive(Clone, Debug)]
pub enum ByRecipient {
    /// By our id.
    Id(RecipientId),
    /// By the caller's.
    Uid(Uid),
}
