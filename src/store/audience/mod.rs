//! Recipients and groups, with openids and mobile numbers encrypted.

use super::crypt::Keys;
use crate::domain::id::{BranchId, ShopId};
use crate::domain::text::{Appid, Mobile, Openid, Uid};
use crate::domain::{Error, Reason, Result};

mod adopt;
mod group;
mod look;
mod read;
mod upsert;

pub use group::Group;
pub use read::{ByRecipient, PeopleFilter, Shown};
pub use upsert::{Imported, Upserted};

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
    /// The branch to attribute him to; unchanged if none.
    pub branch: Option<BranchId>,
}

/// A recipient that is left out of an import, by his place in the message.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// His place.
    pub index: usize,
    /// His uid.
    pub uid: String,
    /// The field that is wrong.
    pub field: String,
    /// Why.
    pub reason: Reason,
    /// What is wrong.
    pub message: String,
}

fn openid_column(shop: ShopId) -> String {
    format!("openid/{shop}")
}

fn mobile_column(shop: ShopId) -> String {
    format!("mobile/{shop}")
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

/// The blind index of a mobile number.
pub(super) fn mobile_index(keys: &Keys, shop: ShopId, mobile: &Mobile) -> Vec<u8> {
    keys.blind_index(&mobile_column(shop), mobile.expose())
}

/// The blind index of a mobile number's last four digits.
pub(super) fn mobile_tail_index(keys: &Keys, shop: ShopId, digits: &str) -> Vec<u8> {
    keys.blind_index(&format!("mobile tail/{shop}"), digits)
}

/// A mobile number as it is kept.
pub(super) struct SealedMobile {
    pub(super) cipher: Vec<u8>,
    pub(super) index: Vec<u8>,
    pub(super) tail_index: Vec<u8>,
}

pub(super) fn seal_mobile(keys: &Keys, shop: ShopId, mobile: &Mobile) -> Result<SealedMobile> {
    Ok(SealedMobile {
        cipher: keys.seal(&mobile_column(shop), mobile.expose().as_bytes())?,
        index: mobile_index(keys, shop, mobile),
        tail_index: mobile_tail_index(keys, shop, mobile.last_four()),
    })
}

/// Decrypts a mobile number.
pub(super) fn open_mobile(keys: &Keys, shop: ShopId, cipher: &[u8]) -> Result<Mobile> {
    let text = keys.open_text(&mobile_column(shop), cipher)?;
    Mobile::kept(&text).ok_or_else(|| Error::internal("a stored mobile is none", "mobile"))
}
