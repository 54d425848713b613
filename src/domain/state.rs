//! The states of an issuance and of its attempts, and where the money is in each.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

/// Where a packet stands. An issuance shows the state of its latest attempt.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Accepted, money held, nothing sent.
    Queued,
    /// A request may be on its way; what was answered so far proves that nothing was paid.
    Sending,
    /// Sent at least once without a clear answer.
    Unknown,
    /// In doubt for too long, or contradictory: a person decides.
    Review,
    /// The recipient can take it.
    Sent,
    /// Taken.
    Received,
    /// Not taken in time; the money is on its way back.
    Refunding,
    /// Not taken; the money is back.
    Refunded,
    /// Proven not to have been paid.
    Failed,
    /// Withdrawn before anything was sent.
    Cancelled,
}

/// Where the money of a packet lies. It is a function of the state (and, for a group
/// packet that was refunded in part, of how much came back), so the ledger can be
/// checked against the states at any instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Position {
    /// Outside of the campaign or product: where funding comes from and goes back to.
    External,
    /// Free for new packets or vouchers.
    Available,
    /// Promised to a packet whose fate is open.
    Held,
    /// Sent, not yet taken.
    Transit,
    /// Taken by the recipient.
    Paid,
    /// On vouchers that can still be spent, or will be let go of.
    Liability,
    /// Spent with vouchers.
    Redeemed,
    /// The merchant's balance at a provider, beside what campaigns have: fees are paid out of
    /// it, and discounts stay in it.
    Merchant,
    /// What providers charged beside the face value of packets.
    Fee,
    /// What providers charged less than the face value of packets.
    Discount,
}

impl Position {
    /// The name, as in rows and the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::External => "EXTERNAL",
            Self::Available => "AVAILABLE",
            Self::Held => "HELD",
            Self::Transit => "TRANSIT",
            Self::Paid => "PAID",
            Self::Liability => "LIABILITY",
            Self::Redeemed => "REDEEMED",
            Self::Merchant => "MERCHANT",
            Self::Fee => "FEE",
            Self::Discount => "DISCOUNT",
        }
    }
}

impl State {
    /// Every state, in the order of the declaration.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Sending,
        Self::Unknown,
        Self::Review,
        Self::Sent,
        Self::Received,
        Self::Refunding,
        Self::Refunded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Where the money of a packet in this state lies.
    #[must_use]
    pub fn position(self) -> Position {
        match self {
            Self::Queued | Self::Sending | Self::Unknown | Self::Review => Position::Held,
            Self::Sent | Self::Refunding => Position::Transit,
            Self::Received => Position::Paid,
            Self::Refunded | Self::Failed | Self::Cancelled => Position::Available,
        }
    }

    /// Whether nothing more happens by itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Received | Self::Refunded | Self::Failed | Self::Cancelled => true,
            Self::Queued
            | Self::Sending
            | Self::Unknown
            | Self::Review
            | Self::Sent
            | Self::Refunding => false,
        }
    }

    /// Whether the provider has yet to say whether it was paid. A batch without
    /// such packets is settled.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Queued | Self::Sending | Self::Unknown => true,
            Self::Review
            | Self::Sent
            | Self::Received
            | Self::Refunding
            | Self::Refunded
            | Self::Failed
            | Self::Cancelled => false,
        }
    }

    /// Whether the packet counts against the campaign's stock: one that failed or
    /// was withdrawn does not, one that was refunded still does.
    #[must_use]
    pub fn counts_against_stock(self) -> bool {
        match self {
            Self::Failed | Self::Cancelled => false,
            Self::Queued
            | Self::Sending
            | Self::Unknown
            | Self::Review
            | Self::Sent
            | Self::Received
            | Self::Refunding
            | Self::Refunded => true,
        }
    }

    /// The name, as in the contract without prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Sending => "SENDING",
            Self::Unknown => "UNKNOWN",
            Self::Review => "REVIEW",
            Self::Sent => "SENT",
            Self::Received => "RECEIVED",
            Self::Refunding => "REFUNDING",
            Self::Refunded => "REFUNDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }
}
