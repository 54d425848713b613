//! Who can get packets.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::{BranchId, RecipientId, ShopId};
use crate::domain::text::Uid;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recipient")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RecipientId,
    /// The shop that knows him.
    pub shop_id: ShopId,
    /// The branch that he is attributed to.
    pub shop_sub_id: BranchId,
    /// The caller's id for him.
    pub uid: Option<Uid>,
    /// How he calls himself.
    pub nickname: String,
    /// His mobile number, encrypted.
    pub mobile_cipher: Option<Vec<u8>>,
    /// Its blind index.
    pub mobile_index: Option<Vec<u8>>,
    /// The blind index of its last four digits.
    pub mobile_tail_index: Option<Vec<u8>>,
    /// When he was first seen.
    pub create_time: Timestamp,
    /// When he last changed.
    pub update_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
