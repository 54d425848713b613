//! What a person has stopped.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::id::AppId;
use crate::domain::stop::Kind;

/// One row, for whatever can be stopped.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stop")]
pub struct Model {
    /// What kind of thing.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope: Kind,
    /// Which account or shop; 0 for everything.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: i64,
    /// Whether it is stopped.
    pub stopped: bool,
    /// Why it was stopped or goes on.
    pub reason: String,
    /// Which principal stopped it.
    pub stopped_by: Option<AppId>,
    /// Who acted last.
    pub actor: String,
    /// When.
    pub update_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
