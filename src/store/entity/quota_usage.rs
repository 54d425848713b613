//! What was asked for of a provider's daily quotas.

use sea_orm::entity::prelude::*;

use crate::domain::Fen;
use crate::domain::cap::Used;
use crate::domain::id::AccountId;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "quota_usage")]
pub struct Model {
    /// The account.
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: AccountId,
    /// The Beijing day.
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i64,
    /// Whose: the blind index of an openid, empty for the whole account.
    #[sea_orm(primary_key, auto_increment = false)]
    pub openid_index: Vec<u8>,
    /// How many numbers.
    pub used_count: i64,
    /// Their sum.
    pub used_fen: Fen,
}

impl Model {
    /// What is used.
    #[must_use]
    pub fn used(&self) -> Used {
        Used {
            count: self.used_count,
            sum: self.used_fen,
        }
    }
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
