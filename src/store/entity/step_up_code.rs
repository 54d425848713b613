//! What owners confirm spends with, hashed.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::RecipientId;
use crate::domain::voucher::{StepUp, Tries};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "step_up_code")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub recipient_id: RecipientId,
    /// What kind.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: StepUp,
    /// The keyed hash; none: there is none, and wrong ones are counted.
    pub hash: Option<Vec<u8>>,
    /// Holds until just before then; none: for ever.
    pub expire_time: Option<Timestamp>,
    /// Wrong ones in a row.
    pub wrong_count: i32,
    /// Locked until just before then.
    pub locked_until: Option<Timestamp>,
    /// When it last changed.
    pub update_time: Timestamp,
}

impl Model {
    /// How often its owner was wrong.
    #[must_use]
    pub fn tries(&self) -> Tries {
        Tries {
            wrong: self.wrong_count,
            locked_until: self.locked_until,
        }
    }
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
