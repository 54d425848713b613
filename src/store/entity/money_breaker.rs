//! What campaigns and accounts were planned to spend, and what became of it.

use sea_orm::entity::prelude::*;

use crate::domain::plan::{Scope, SpendPlan, Window};
use crate::domain::{Fen, Timestamp};

/// One row, for whatever has a plan.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "money_breaker")]
pub struct Model {
    /// What kind of thing.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope: Scope,
    /// Which campaign or account.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: i64,
    /// How much goes out in a minute; 0: not watched.
    pub fen_per_minute: Fen,
    /// How much more may go out.
    pub loss_max_fen: Fen,
    /// How many of a hundred may fail; 0: not watched.
    pub failure_percent: i32,
    /// When all that went out will have been due.
    pub spent_until: Timestamp,
    /// The running half of the window.
    pub half: i64,
    /// Packets that ended in it.
    pub ended_count: i64,
    /// Of which failed.
    pub failed_count: i64,
    /// Packets that ended in the half before.
    pub ended_before: i64,
    /// Of which failed.
    pub failed_before: i64,
    /// Why it tripped; none while it has not.
    pub trip_reason: Option<String>,
    /// When.
    pub trip_time: Option<Timestamp>,
}

impl Model {
    /// What is planned.
    #[must_use]
    pub fn plan(&self) -> SpendPlan {
        SpendPlan {
            fen_per_minute: self.fen_per_minute,
            loss_max: self.loss_max_fen,
            failure_percent: self.failure_percent,
        }
    }

    /// What ended lately.
    #[must_use]
    pub fn window(&self) -> Window {
        Window {
            half: self.half,
            ended: self.ended_count,
            failed: self.failed_count,
            ended_before: self.ended_before,
            failed_before: self.failed_before,
        }
    }
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
