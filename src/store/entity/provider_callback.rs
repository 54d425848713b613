//! What open platforms report by themselves: evidence, and a reason to ask.

use sea_orm::entity::prelude::*;
use sea_orm::{DeriveActiveEnum, EnumIter};

use crate::domain::Timestamp;
use crate::domain::id::{AttemptId, CallbackId};
use crate::domain::text::Code;

/// What a callback did when it first came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Effect {
    /// The provider is asked about the order now.
    Asked,
    /// Nothing: it says what is known, or the order's answer is under way.
    Known,
    /// It says that an order was paid which has ended unpaid here: the packet is frozen.
    Contradiction,
    /// Nobody here knows the order.
    Quarantined,
}

impl Effect {
    /// Its name in rows, metrics and the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Asked => "ASKED",
            Self::Known => "KNOWN",
            Self::Contradiction => "CONTRADICTION",
            Self::Quarantined => "QUARANTINED",
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "provider_callback")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CallbackId,
    /// The credential that it came for.
    pub credential: Code,
    /// SHA-256 of its body: the same report again is the same row.
    pub digest: Vec<u8>,
    /// The platform's number.
    pub order_code: String,
    /// The merchant's number.
    pub biz_code: String,
    /// The state that it names, in common words; none: it names none that is listed.
    pub said: Option<String>,
    /// The attempt of this number.
    pub attempt_id: Option<AttemptId>,
    /// What it did.
    pub effect: Effect,
    /// Its body, encrypted.
    pub body_cipher: Vec<u8>,
    /// How often it came.
    pub come_count: i64,
    /// When the platform signed the first of them.
    pub sign_time: Timestamp,
    /// When it first came.
    pub create_time: Timestamp,
    /// When it last came.
    pub update_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
