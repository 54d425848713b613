//! Voucher products and their money.

use sea_orm::entity::prelude::*;

use crate::domain::campaign::CampaignState;
use crate::domain::cap::Caps;
use crate::domain::id::{AccountId, AppId, ProductId, ShopId};
use crate::domain::remote_voucher::RemoteId;
use crate::domain::text::Code;
use crate::domain::voucher::{Kind, Standing, StepUp, Validity};
use crate::domain::{Error, Fen, Result, Timestamp};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "voucher_product")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ProductId,
    /// Whose it is.
    pub shop_id: ShopId,
    /// The name that the caller gave it.
    pub code: Code,
    /// How people call it.
    pub name: String,
    /// How its vouchers are held.
    pub kind: Kind,
    /// Where it stands.
    pub state: CampaignState,
    /// The smallest face value.
    pub min_face_fen: Fen,
    /// The largest face value.
    pub max_face_fen: Fen,
    /// How long a voucher is valid, as JSON.
    pub validity: String,
    /// How many of it one order may spend.
    pub max_per_order: i32,
    /// Whether a spend may take a part.
    pub partial: bool,
    /// How long a spend can be undone.
    pub undo_seconds: i64,
    /// What an owner confirms a spend with.
    pub step_up: StepUp,
    /// The app that owns it.
    pub owner_app_id: Option<AppId>,
    /// The account of the platform where its vouchers live; none: here.
    pub account_id: Option<AccountId>,
    /// Its code on that platform.
    pub remote_code: Option<String>,
    /// How many may be given.
    pub stock_count: Option<i64>,
    /// How many were given.
    pub issued_count: i64,
    /// Its caps, as JSON.
    pub caps: String,
    /// Whether people are counted one by one.
    pub counts_recipients: bool,
    /// All that was funded.
    pub granted_fen: Fen,
    /// All that was taken out again.
    pub defunded_fen: Fen,
    /// All that went into vouchers.
    pub debited_fen: Fen,
    /// All that came back from vouchers.
    pub credited_fen: Fen,
    /// Spent.
    pub redeemed_fen: Fen,
    /// Counts its journal entries; also its etag.
    pub version: i64,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
}

impl Model {
    /// Where its vouchers live and what it is called there; none: here.
    ///
    /// # Errors
    /// INTERNAL: the column is no name.
    pub fn home(&self) -> Result<Option<(AccountId, RemoteId)>> {
        let Some((account, code)) = self.account_id.zip(self.remote_code.as_ref()) else {
            return Ok(None);
        };
        let code = RemoteId::parse(code);
        let code = code.ok_or_else(|| Error::internal("a stored code is none", "product"))?;
        Ok(Some((account, code)))
    }

    /// Free money. The table keeps it from being negative.
    #[must_use]
    pub fn available(&self) -> Fen {
        Fen(self.granted_fen.0 - self.defunded_fen.0 - self.debited_fen.0 + self.credited_fen.0)
    }

    /// Money on vouchers. The table keeps it from being negative.
    #[must_use]
    pub fn liability(&self) -> Fen {
        Fen(self.debited_fen.0 - self.credited_fen.0 - self.redeemed_fen.0)
    }

    /// What the rules of a gift look at.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            id: self.id,
            state: self.state,
            available: self.available(),
            stock: self.stock_count,
            issued: self.issued_count,
        }
    }

    /// What it allows one person and one day.
    ///
    /// # Errors
    /// INTERNAL: the column is no JSON.
    pub fn caps(&self) -> Result<Caps> {
        serde_json::from_str(&self.caps).map_err(|e| Error::internal("stored caps are no JSON", e))
    }

    /// How long a voucher is valid that is given now.
    ///
    /// # Errors
    /// INTERNAL: the column is no JSON.
    pub fn validity(&self) -> Result<Validity> {
        serde_json::from_str(&self.validity)
            .map_err(|e| Error::internal("a stored validity is no JSON", e))
    }
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
