//! Who took from a group packet.

use sea_orm::entity::prelude::*;

use crate::domain::id::IssuanceId;
use crate::domain::{Fen, Timestamp};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "issuance_receipt")]
pub struct Model {
    /// The packet.
    #[sea_orm(primary_key, auto_increment = false)]
    pub issuance_id: IssuanceId,
    /// Under which of its numbers.
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt_no: i32,
    /// The blind index of the openid.
    #[sea_orm(primary_key, auto_increment = false)]
    pub openid_index: Vec<u8>,
    /// The openid, encrypted.
    pub openid_cipher: Vec<u8>,
    /// The how-manieth in the provider's list, from 0.
    pub seq: i32,
    /// How much.
    pub amount_fen: Fen,
    /// When.
    pub receive_time: Option<Timestamp>,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
