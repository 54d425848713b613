//! Vouchers.

use sea_orm::entity::prelude::*;

use crate::domain::id::{OrderId, ProductId, RecipientId, ShopId, VoucherId};
use crate::domain::voucher::VoucherState;
use crate::domain::{Fen, Timestamp};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "voucher")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: VoucherId,
    /// The shop.
    pub shop_id: ShopId,
    /// The product.
    pub product_id: ProductId,
    /// The owner.
    pub recipient_id: Option<RecipientId>,
    /// Where it stands.
    pub state: VoucherState,
    /// The face value.
    pub face_fen: Fen,
    /// What is on it.
    pub balance_fen: Fen,
    /// Valid from then on; none: from the gift on.
    pub start_time: Option<Timestamp>,
    /// Valid until just before then.
    pub end_time: Timestamp,
    /// Its code, encrypted.
    pub code_cipher: Option<Vec<u8>>,
    /// The blind index of its code.
    pub code_index: Option<Vec<u8>>,
    /// Its number on the platform where it lives; none: it lives here, or is not given yet.
    pub remote_id: Option<String>,
    /// The order that gave it.
    pub give_order_id: OrderId,
    /// Its place in that order, from 0.
    pub give_line: i32,
    /// The order that holds it.
    pub hold_order_id: Option<OrderId>,
    /// How many uses of it there were, with those that were taken back.
    pub redemption_count: i32,
    /// Counts its journal entries.
    pub version: i64,
    /// When it was given.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
