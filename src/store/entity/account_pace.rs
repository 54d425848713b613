//! When an account's next requests may go out.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::AccountId;
use crate::domain::quota::Lane;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_pace")]
pub struct Model {
    /// The account.
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: AccountId,
    /// What kind of request.
    #[sea_orm(primary_key, auto_increment = false)]
    pub lane: Lane,
    /// The first instant that is not given away, by the database's own clock.
    pub next_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
