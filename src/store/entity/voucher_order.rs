//! Gifts and spends of vouchers.

use sea_orm::entity::prelude::*;

use crate::domain::id::{AppId, OrderId, ShopId};
use crate::domain::text::OrderNo;
use crate::domain::voucher::{OrderKind, OrderShown, OrderState, Remote};
use crate::domain::{Fen, Timestamp};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "voucher_order")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OrderId,
    /// The shop.
    pub shop_id: ShopId,
    /// The app that made it.
    pub app_id: AppId,
    /// The app's own number.
    pub app_order_id: OrderNo,
    /// What it does.
    pub kind: OrderKind,
    /// Where it stands.
    pub state: OrderState,
    /// The caller's order that it pays for.
    pub associated_order_id: String,
    /// The caller's remark.
    pub remark: String,
    /// The sum of its lines.
    pub amount_fen: Fen,
    /// Where the calls to the platform of its vouchers stand; none: they live here.
    pub remote: Option<Remote>,
    /// The last that went wrong there.
    pub last_error: Option<String>,
    /// While reserved: held until just before then.
    pub hold_until: Option<Timestamp>,
    /// While spent: can be undone until just before then.
    pub undo_until: Option<Timestamp>,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
}

impl Model {
    /// Where it stands, for people.
    #[must_use]
    pub fn shown(&self) -> OrderShown {
        OrderShown::of(self.state, self.remote)
    }
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
