//! Which apps may use a voucher product beside its owner.

use sea_orm::entity::prelude::*;

use crate::domain::id::{AppId, ProductId};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "voucher_product_grant")]
pub struct Model {
    /// The product.
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: ProductId,
    /// The app.
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: AppId,
    /// May read the product and its vouchers.
    pub may_see: bool,
    /// May give vouchers.
    pub may_give: bool,
    /// May spend, hold and undo vouchers.
    pub may_spend: bool,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
