//! Campaigns and their money.

use sea_orm::entity::prelude::*;

use crate::domain::amount::{AmountRule, AmountType};
use crate::domain::campaign::{CampaignKind, CampaignState, Standing};
use crate::domain::cap::Caps;
use crate::domain::id::{AccountId, CampaignId, ShopId};
use crate::domain::text::{Appid, Code};
use crate::domain::{Error, Fen, Result, Timestamp};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "campaign")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CampaignId,
    /// Whose it is.
    pub shop_id: ShopId,
    /// The name that the caller gave it.
    pub code: Code,
    /// What kind it is.
    pub kind: CampaignKind,
    /// Where it stands.
    pub state: CampaignState,
    /// How an amount is found.
    pub amount_type: AmountType,
    /// The smallest amount.
    pub min_amount_fen: Fen,
    /// The largest amount.
    pub max_amount_fen: Fen,
    /// The pot that scans draw from.
    pub pot_fen: Option<Fen>,
    /// How many packets one person may get by scanning.
    pub scan_limit: i32,
    /// The activity's name in the current texts, for lists.
    pub act_name: String,
    /// The current texts.
    pub revision: i64,
    /// Who pays.
    pub account_id: AccountId,
    /// Which appid sends.
    pub appid: Appid,
    /// Opens then.
    pub start_time: Timestamp,
    /// Closes then, exclusive.
    pub end_time: Option<Timestamp>,
    /// How many packets at most.
    pub stock_count: Option<i64>,
    /// How many there are, without failed and cancelled ones.
    pub issued_count: i64,
    /// All that was funded.
    pub granted_fen: Fen,
    /// All that was taken out again.
    pub defunded_fen: Fen,
    /// All that went into packets.
    pub debited_fen: Fen,
    /// All that came back from packets.
    pub credited_fen: Fen,
    /// Sent and not taken.
    pub transit_fen: Fen,
    /// Taken.
    pub paid_fen: Fen,
    /// What its packets cost beside their face value.
    pub fee_fen: Fen,
    /// What its packets cost less than their face value.
    pub discount_fen: Fen,
    /// The template of an open platform; the credential's if none. It never changes.
    pub template_id: Option<Code>,
    /// What callers are told that a packet costs them, in basis points of its face value. It
    /// never changes.
    pub settlement_bp: i32,
    /// Its caps, as JSON.
    pub caps: String,
    /// Whether people are counted one by one.
    pub counts_recipients: bool,
    /// A send of more than this takes two people.
    pub approve_send_above_fen: Option<Fen>,
    /// Funding of more than this takes two people.
    pub approve_fund_above_fen: Option<Fen>,
    /// Counts its journal entries; also its etag.
    pub version: i64,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
}

impl Model {
    /// Free money. The table keeps it from being negative.
    #[must_use]
    pub fn available(&self) -> Fen {
        Fen(self.granted_fen.0 - self.defunded_fen.0 - self.debited_fen.0 + self.credited_fen.0)
    }

    /// Money promised to packets whose fate is open. The table keeps it from being negative.
    #[must_use]
    pub fn held(&self) -> Fen {
        Fen(self.debited_fen.0 - self.credited_fen.0 - self.transit_fen.0 - self.paid_fen.0)
    }

    /// What the rules of a send look at.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            id: self.id,
            state: self.state,
            start: self.start_time,
            end: self.end_time,
            available: self.available(),
            stock: self.stock_count,
            issued: self.issued_count,
        }
    }

    /// What a packet of this face value costs its caller: half a fen goes up.
    #[must_use]
    pub fn settlement_price(&self, face: Fen) -> Fen {
        let share = i128::from(face.0) * i128::from(self.settlement_bp);
        let price = (share + 5_000).div_euclid(10_000);
        i64::try_from(price).map_or(face, Fen)
    }

    /// What it allows one person, one day, one branch.
    ///
    /// # Errors
    /// INTERNAL: the column is no JSON.
    pub fn caps(&self) -> Result<Caps> {
        serde_json::from_str(&self.caps).map_err(|e| Error::internal("stored caps are no JSON", e))
    }

    /// The rule that gives a packet its amount; a row that was written keeps it.
    #[must_use]
    pub fn amount_rule(&self) -> Option<AmountRule> {
        AmountRule::new(self.amount_type, self.min_amount_fen, self.max_amount_fen)
    }
}

/// Nothing is loaded through relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
