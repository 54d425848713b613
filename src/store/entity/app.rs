//! Who calls: systems and people.

use sea_orm::entity::prelude::*;

use crate::domain::Timestamp;
use crate::domain::grant::PrincipalKind;
use crate::domain::id::{AppId, ShopId};
use crate::domain::text::Code;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "app")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AppId,
    /// Its name.
    pub name: Code,
    /// The shop it means when it names none.
    pub default_shop_id: Option<ShopId>,
    /// A system or a person.
    pub kind: PrincipalKind,
    /// A person's roles, as JSON of `domain::role::Role`.
    pub roles: String,
    /// What it may do, as JSON of `domain::grant::Grant`; where a person may do what
    /// the roles allow.
    pub grants: String,
    /// When it was made.
    pub create_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
