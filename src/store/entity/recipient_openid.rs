//! Openids of recipients.

use sea_orm::entity::prelude::*;

use crate::domain::id::{RecipientId, ShopId};
use crate::domain::text::Appid;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recipient_openid")]
pub struct Model {
    /// Whose it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub recipient_id: RecipientId,
    /// Which appid it belongs to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub appid: Appid,
    /// The shop, for the unique index.
    pub shop_id: ShopId,
    /// The openid, encrypted.
    pub openid_cipher: Vec<u8>,
    /// Its blind index.
    pub openid_index: Vec<u8>,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
