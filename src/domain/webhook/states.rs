//! Where endpoints and deliveries stand.

use sea_orm::{DeriveActiveEnum, EnumIter};

/// How what is posted is written and signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Style {
    /// Standard Webhooks.
    Standard,
    /// Seed 003's status report.
    OpenPlatform,
}

/// Where an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum EndpointState {
    /// It is posted to.
    Active,
    /// Somebody has stopped it.
    Paused,
    /// It acknowledged nothing for too long.
    Disabled,
}

impl EndpointState {
    /// The name, as in rows and the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Paused => "PAUSED",
            Self::Disabled => "DISABLED",
        }
    }
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum DeliveryState {
    /// It will be tried.
    Pending,
    /// It was acknowledged.
    Delivered,
    /// It was tried in vain.
    Dead,
}

impl DeliveryState {
    /// The name, as in rows and the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Delivered => "DELIVERED",
            Self::Dead => "DEAD",
        }
    }
}
