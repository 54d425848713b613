//! What a person can stop at once: everything, an account, a shop.

use sea_orm::{DeriveActiveEnum, EnumIter};

use super::error::{Error, Reason};
use super::id::{AccountId, ShopId};

/// What kind of thing is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Kind {
    /// All of the installation.
    Everything,
    /// A provider account.
    Account,
    /// A shop.
    Shop,
}

impl Kind {
    /// The name, as in rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Everything => "EVERYTHING",
            Self::Account => "ACCOUNT",
            Self::Shop => "SHOP",
        }
    }
}

/// What is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the installation.
    Everything,
    /// A provider account, in all shops.
    Account(AccountId),
    /// A shop, through all accounts.
    Shop(ShopId),
}

impl Scope {
    /// Its kind, and which one; 0 for everything.
    #[must_use]
    pub fn key(self) -> (Kind, i64) {
        match self {
            Self::Everything => (Kind::Everything, 0),
            Self::Account(id) => (Kind::Account, id.0),
            Self::Shop(id) => (Kind::Shop, id.0),
        }
    }
}

/// The refusal of a send that a stop forbids.
#[must_use]
pub fn refusal(kind: Kind, subject: i64, reason: &str) -> Error {
    let what = match kind {
        Kind::Everything => "everything is stopped".to_owned(),
        Kind::Account => format!("account {subject} is stopped"),
        Kind::Shop => format!("shop {subject} is stopped"),
    };
    let text = format!("{what} ({reason}); another person, an operator, can call ResumeAll");
    Error::new(Reason::Stopped, text)
        .fact("scope", kind.name())
        .fact("subject", subject)
}
