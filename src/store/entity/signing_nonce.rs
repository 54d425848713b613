//! Nonces that were used, and for which call.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::AppId;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "signing_nonce")]
pub struct Model {
    /// Who used it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: AppId,
    /// The nonce.
    #[sea_orm(primary_key, auto_increment = false)]
    pub nonce: String,
    /// SHA-256 of all that the call said.
    pub call_hash: Vec<u8>,
    /// When, by the database's own clock.
    pub seen_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
