//! Uses of vouchers by orders.

use sea_orm::entity::prelude::*;

use crate::domain::id::{OrderId, VoucherId};
use crate::domain::voucher::OrderState;
use crate::domain::{Fen, Timestamp};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "voucher_redemption")]
pub struct Model {
    /// The voucher.
    #[sea_orm(primary_key, auto_increment = false)]
    pub voucher_id: VoucherId,
    /// The how-manieth use of it, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub redemption_no: i32,
    /// The order.
    pub order_id: OrderId,
    /// Its place in the order, from 0.
    pub line: i32,
    /// How much of it.
    pub amount_fen: Fen,
    /// The state of the order.
    pub state: OrderState,
    /// When it was made.
    pub create_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
