//! What is used of the caps of a campaign or of a voucher product.

use sea_orm::entity::prelude::*;

use crate::domain::Fen;
use crate::domain::cap::{Owner, OwnerKind, Scope, UsageKey, Used};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "cap_usage")]
pub struct Model {
    /// What kind of thing the caps belong to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub owner: OwnerKind,
    /// Which of them.
    #[sea_orm(primary_key, auto_increment = false)]
    pub owner_id: i64,
    /// What is counted.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope: Scope,
    /// Which recipient or branch; 0 where it is neither.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: i64,
    /// The Beijing day; 0 where days do not matter.
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i64,
    /// How many packets count.
    pub used_count: i64,
    /// Their sum.
    pub used_fen: Fen,
    /// The bound on the number at the last taking.
    pub limit_count: Option<i64>,
    /// The bound on the sum at the last taking.
    pub limit_fen: Option<Fen>,
}

impl Model {
    /// Under what it counts.
    #[must_use]
    pub fn key(&self) -> UsageKey {
        UsageKey {
            owner: Owner::of_key(self.owner, self.owner_id),
            scope: self.scope,
            subject: self.subject,
            day: self.day,
        }
    }

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
