//! Every change of state and every movement of money.

use sea_orm::entity::prelude::*;

pub use crate::domain::event::Aggregate;
use crate::domain::id::{CampaignId, OrderId, ProductId, ShopId};
use crate::domain::state::Position;
use crate::domain::{Fen, Timestamp};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "journal")]
pub struct Model {
    /// Of what kind of thing.
    #[sea_orm(primary_key, auto_increment = false)]
    pub aggregate: Aggregate,
    /// Of which.
    #[sea_orm(primary_key, auto_increment = false)]
    pub aggregate_id: i64,
    /// The how-manieth change, from 1, without gaps.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// Lines of one change, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub line: i32,
    /// The tenant.
    pub shop_id: ShopId,
    /// Whose accounts, of a packet or campaign.
    pub campaign_id: Option<CampaignId>,
    /// Whose accounts, of a voucher or product.
    pub product_id: Option<ProductId>,
    /// The voucher order that did it.
    pub order_id: Option<OrderId>,
    /// What happened.
    pub kind: String,
    /// The state before.
    pub from_state: Option<String>,
    /// The state after.
    pub to_state: String,
    /// Where money was taken.
    pub debit_account: Option<Position>,
    /// Where it was put.
    pub credit_account: Option<Position>,
    /// How much.
    pub amount_fen: Option<Fen>,
    /// Why, as a code.
    pub reason: Option<String>,
    /// Who did it.
    pub actor: String,
    /// When.
    pub create_time: Timestamp,
    /// Its place in the shop's feed; none: it has none yet. Set once, and nothing else ever is.
    pub position: Option<i64>,
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
