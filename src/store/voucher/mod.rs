//! Vouchers: products, gifts, spends, and what a person does to single vouchers.
//!
//! Whatever changes vouchers does so at a desk (`desk.rs`): it locks them by id, reads
//! the clock after that, changes them in memory, and writes everything at the end in
//! one order for all: orders, vouchers, uses, journal, caps, and last each product's
//! money by one conditional UPDATE.

use super::Store;
use super::entity::{voucher, voucher_order, voucher_product, voucher_product_grant};
use crate::domain::cap::Caps;
use crate::domain::grant::{Principal, PrincipalKind};
use crate::domain::id::{AccountId, AppId, ProductId, RecipientId, ShopId, VoucherId};
use crate::domain::remote_voucher::RemoteId;
use crate::domain::text::{Code, Mobile, OrderNo, Uid};
use crate::domain::voucher::{Kind, StepUp, Validity, VoucherCode};
use crate::domain::{Fen, Timestamp};

mod access;
mod desk;
mod give;
mod hand;
mod order;
mod orders;
mod owner;
mod product;
mod read;
mod remote;
mod spend;
mod step_up;
mod sweep;
mod unit;

pub use hand::Hand;
pub use order::OrderChange;
pub use orders::OrderFilter;
pub use owner::OwnerRow;
pub use read::{Filter, ValidityFilter, VoucherHistory, place};
pub use remote::{
    Asked, Closing, RemoteCall, RemoteFate, RemoteSaid, RemoteWords, RemoteWork, Settled,
    Settlement,
};
pub use step_up::{Brought, Claim, Confirmed};
pub use sweep::Swept;
pub use unit::{Command, Wanted};

/// Who asks, for what he may do with products.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// The app or person.
    pub app: AppId,
    /// A person is bound by roles alone.
    pub is_person: bool,
}

impl Access {
    /// What a principal brings along.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        Self {
            app: principal.app,
            is_person: principal.kind == PrincipalKind::Operator,
        }
    }
}

/// Who owns a voucher, by one of his names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// By his number.
    Mobile(Mobile),
    /// By the caller's id for him.
    Uid(Uid),
    /// By our id.
    Id(RecipientId),
}

/// A product by one of its names.
#[derive(Clone, Debug)]
pub enum ByProduct {
    /// By our id.
    Id(ProductId),
    /// By the caller's name.
    Code(Code),
}

/// A product to be made.
#[derive(Clone, Debug)]
pub struct NewProduct {
    /// Whose.
    pub shop: ShopId,
    /// Its name for callers.
    pub code: Code,
    /// How its vouchers are held.
    pub kind: Kind,
    /// The smallest face value.
    pub min_face: Fen,
    /// The largest face value.
    pub max_face: Fen,
    /// Whether a spend may take a part.
    pub partial: bool,
    /// What an owner confirms a spend with.
    pub step_up: StepUp,
    /// The app that owns it.
    pub owner: Option<AppId>,
    /// The account of the platform where its vouchers live, and its code there; none: here.
    pub home: Option<(AccountId, RemoteId)>,
    /// What can change later.
    pub rules: Rules,
}

/// What of a product can change.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Its name for people.
    pub name: String,
    /// How long a voucher is valid.
    pub validity: Validity,
    /// How many may be given.
    pub stock: Option<i64>,
    /// What one person and one day may get.
    pub caps: Caps,
    /// How many of it one order may spend.
    pub max_per_order: i32,
    /// How long a spend can be undone.
    pub undo_seconds: i64,
}

/// What to change of a product; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct ProductUpdate {
    /// A new name.
    pub name: Option<String>,
    /// A new validity, for vouchers to come.
    pub validity: Option<Validity>,
    /// A new stock, or no bound.
    pub stock: Option<Option<i64>>,
    /// New caps, all of them.
    pub caps: Option<Caps>,
    /// How many of it one order may spend.
    pub max_per_order: Option<i32>,
    /// How long a spend can be undone.
    pub undo_seconds: Option<i64>,
    /// The version that the caller has read.
    pub version: Option<i64>,
}

pub use product::ProductChange;

/// A product with who may use it.
#[derive(Clone, Debug)]
pub struct Product {
    /// The row.
    pub row: voucher_product::Model,
    /// Apps beside its owner.
    pub grants: Vec<voucher_product_grant::Model>,
}

/// A voucher to give.
#[derive(Clone, Debug)]
pub struct Gift {
    /// Who gets it.
    pub owner: Option<Owner>,
    /// The face value; none: the product's.
    pub face: Option<Fen>,
}

/// A voucher to spend.
#[derive(Clone, Debug)]
pub struct Use {
    /// Which.
    pub voucher: ByVoucher,
    /// How much of it; none: all.
    pub amount: Option<Fen>,
}

/// A voucher by one of its names.
#[derive(Clone, Debug)]
pub enum ByVoucher {
    /// By its id.
    Id(VoucherId),
    /// By its number, which has its id within.
    Number(String, VoucherId),
    /// By its code.
    Code(VoucherCode),
}

/// An order by one of its names.
#[derive(Clone, Debug)]
pub enum ByOrder {
    /// By its id.
    Id(crate::domain::id::OrderId),
    /// By the number that the calling app gave it.
    Number(OrderNo),
}

/// A voucher with what is shown beside it.
#[derive(Clone, Debug)]
pub struct VoucherView {
    /// The row.
    pub row: voucher::Model,
    /// Its product.
    pub product: voucher_product::Model,
    /// Its owner.
    pub owner: Option<OwnerRow>,
    /// Its code, for whom it was given through.
    pub code: Option<VoucherCode>,
}

/// An order with its vouchers as they are now.
#[derive(Clone, Debug)]
pub struct OrderView {
    /// The row.
    pub row: voucher_order::Model,
    /// Its vouchers, each with how much of it the order takes.
    pub lines: Vec<(VoucherView, Fen)>,
    /// The instant that it is shown at.
    pub at: Timestamp,
    /// Whether an earlier call had made it.
    pub replayed: bool,
}

/// The associated data of a voucher's code.
fn code_column(shop: ShopId) -> String {
    format!("voucher code/{shop}")
}

impl Store {
    /// The blind index of a voucher's code.
    fn code_index(&self, shop: ShopId, code: &VoucherCode) -> Vec<u8> {
        self.keys().blind_index(&code_column(shop), code.expose())
    }
}
