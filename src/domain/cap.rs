//! What a campaign or a voucher product allows one person, one day, one branch.
//!
//! A packet counts from the transaction that accepts it until it is proven not to
//! have been paid or is withdrawn; what is in doubt, and what was refunded, counts.
//! The same bounds stand once more in the statement that counts, so a verdict of
//! here that is a moment old cannot go beyond them; here they get their words.

use std::collections::BTreeMap;

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use super::error::{Error, Reason, Result};
use super::id::{BranchId, CampaignId, ProductId};
use super::money::Fen;

/// A bound on a number of packets, on their sum, or on both; none: no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cap {
    /// How many packets at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Their sum at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<Fen>,
}

/// Packets and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// How many.
    pub count: i64,
    /// Their sum.
    pub sum: Fen,
}

impl Used {
    /// One packet.
    #[must_use]
    pub fn one(sum: Fen) -> Self {
        Self { count: 1, sum }
    }

    /// Both together; nothing if it does not fit.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            count: self.count.checked_add(other.count)?,
            sum: self.sum.checked_add(other.sum)?,
        })
    }
}

impl Cap {
    /// Whether it bounds nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.count.is_none() && self.sum.is_none()
    }

    /// Whether so much more fits beside what is used.
    #[must_use]
    pub fn allows(&self, used: Used, more: Used) -> bool {
        used.plus(more).is_some_and(|all| {
            self.count.is_none_or(|most| all.count <= most)
                && self.sum.is_none_or(|most| all.sum <= most)
        })
    }

    /// The bound in words, for people.
    fn words(&self, things: &str) -> String {
        match (self.count, self.sum) {
            (Some(count), Some(sum)) => format!("{count} {things} and {sum} yuan"),
            (Some(count), None) => format!("{count} {things}"),
            (None, Some(sum)) => format!("{sum} yuan"),
            (None, None) => "no bound".to_owned(),
        }
    }
}

/// All caps of a campaign or of a voucher product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    /// One person, as long as the campaign lives.
    #[serde(default, skip_serializing_if = "Cap::is_none")]
    pub recipient: Cap,
    /// One person on one day.
    #[serde(default, skip_serializing_if = "Cap::is_none")]
    pub recipient_day: Cap,
    /// Everybody together on one day: the daily budget.
    #[serde(default, skip_serializing_if = "Cap::is_none")]
    pub day: Cap,
    /// Branches, as long as the campaign lives; one that is not here has no bound.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub branches: BTreeMap<BranchId, Cap>,
}

impl Caps {
    /// Whether people have to be counted one by one.
    #[must_use]
    pub fn bound_people(&self) -> bool {
        !self.recipient.is_none() || !self.recipient_day.is_none()
    }

    /// Its column.
    ///
    /// # Errors
    /// INTERNAL: it is no JSON, which is a bug.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::internal("caps are no JSON", e))
    }

    /// The bound that applies to what is counted under a key.
    #[must_use]
    pub fn of(&self, key: &UsageKey) -> Cap {
        match key.scope {
            Scope::Day => self.day,
            Scope::Branch => self
                .branches
                .get(&BranchId(key.subject))
                .copied()
                .unwrap_or_default(),
            Scope::Recipient => self.recipient,
            Scope::RecipientDay => self.recipient_day,
        }
    }

    /// The refusal, if so much more does not fit beside what is used.
    #[must_use]
    pub fn refusal(&self, key: &UsageKey, used: Used, more: Used) -> Option<Error> {
        let cap = self.of(key);
        if cap.allows(used, more) {
            return None;
        }
        let (of, things, id) = key.owner.words();
        let bound = cap.words(things);
        let (reason, text) = match key.scope {
            Scope::Day => (
                Reason::DailyBudgetExhausted,
                format!(
                    "the {of} may issue {bound} a day; wait until midnight in Beijing, or raise caps.day"
                ),
            ),
            Scope::Branch => (
                Reason::BranchLimit,
                format!(
                    "branch {} of this {of} may issue {bound}; raise caps.branches",
                    key.subject
                ),
            ),
            Scope::Recipient => (
                Reason::RecipientLimit,
                format!("one person may get {bound} of this {of}"),
            ),
            Scope::RecipientDay => (
                Reason::RecipientLimit,
                format!("one person may get {bound} of this {of} on one day"),
            ),
        };
        let mut error = Error::new(reason, text)
            .fact(id, key.owner.key().1)
            .fact("cap", key.scope.name())
            .fact("used_count", used.count)
            .fact("used_fen", used.sum.0)
            .fact("required_count", more.count)
            .fact("required_fen", more.sum.0);
        if let Some(count) = cap.count {
            error = error.fact("cap_count", count);
        }
        if let Some(sum) = cap.sum {
            error = error.fact("cap_fen", sum.0);
        }
        if key.scope == Scope::Branch {
            error = error.fact("shop_sub_id", key.subject);
        }
        Some(error)
    }
}

/// What is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Scope {
    /// Everybody on one day.
    Day,
    /// A branch.
    Branch,
    /// A person.
    Recipient,
    /// A person on one day.
    RecipientDay,
}

impl Scope {
    /// The name, as in rows and the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "DAY",
            Self::Branch => "BRANCH",
            Self::Recipient => "RECIPIENT",
            Self::RecipientDay => "RECIPIENT_DAY",
        }
    }
}

/// Whose caps they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A campaign's.
    Campaign(CampaignId),
    /// A voucher product's.
    Product(ProductId),
}

/// What kind of thing an [`Owner`] is, as rows have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum OwnerKind {
    /// A campaign.
    Campaign,
    /// A voucher product.
    Product,
}

impl Owner {
    /// As rows have it.
    #[must_use]
    pub fn key(self) -> (OwnerKind, i64) {
        match self {
            Self::Campaign(id) => (OwnerKind::Campaign, id.0),
            Self::Product(id) => (OwnerKind::Product, id.0),
        }
    }

    /// From what rows have.
    #[must_use]
    pub fn of_key(kind: OwnerKind, id: i64) -> Self {
        match kind {
            OwnerKind::Campaign => Self::Campaign(CampaignId(id)),
            OwnerKind::Product => Self::Product(ProductId(id)),
        }
    }

    /// What it is called in a refusal: its noun, what it issues, and the key of its id.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Campaign(_) => ("campaign", "packets", "campaign_id"),
            Self::Product(_) => ("product", "vouchers", "product_id"),
        }
    }
}

/// Under what a packet or a voucher counts. The order is the one in which counters are
/// locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsageKey {
    /// Of which campaign or product.
    pub owner: Owner,
    /// What.
    pub scope: Scope,
    /// Which person or branch; 0 where it is neither.
    pub subject: i64,
    /// The Beijing day; 0 where days do not matter.
    pub day: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cap(count: Option<i64>, fen: Option<i64>) -> Cap {
        Cap {
            count,
            sum: fen.map(Fen),
        }
    }

    fn used(count: i64, fen: i64) -> Used {
        Used {
            count,
            sum: Fen(fen),
        }
    }

    #[test]
    fn a_cap_is_reached_and_not_passed() {
        let both = cap(Some(3), Some(500));
        assert!(both.allows(used(2, 400), used(1, 100)));
        assert!(!both.allows(used(3, 400), used(1, 100)));
        assert!(!both.allows(used(2, 401), used(1, 100)));
        assert!(Cap::default().allows(used(i64::MAX - 1, 0), used(1, 0)));
        assert!(
            !Cap::default().allows(used(i64::MAX, 0), used(1, 0)),
            "what does not fit is never allowed"
        );
    }

    #[test]
    fn a_refusal_says_the_rule_and_its_numbers() {
        let caps = Caps {
            day: cap(None, Some(1_000)),
            ..Caps::default()
        };
        let key = UsageKey {
            owner: Owner::Campaign(CampaignId(7)),
            scope: Scope::Day,
            subject: 0,
            day: 20_000,
        };
        assert!(caps.refusal(&key, used(9, 900), used(1, 100)).is_none());
        let error = caps.refusal(&key, used(9, 900), used(2, 200)).unwrap();
        assert_eq!(error.reason, Reason::DailyBudgetExhausted);
        for fact in [
            ("used_fen", "900"),
            ("required_fen", "200"),
            ("cap_fen", "1000"),
        ] {
            assert!(error.facts.iter().any(|(k, v)| (*k, v.as_str()) == fact));
        }
    }

    #[test]
    fn caps_survive_their_column() {
        let caps = Caps {
            recipient: cap(Some(1), None),
            branches: BTreeMap::from([(BranchId(0), cap(None, Some(5)))]),
            ..Caps::default()
        };
        let text = serde_json::to_string(&caps).unwrap();
        assert_eq!(serde_json::from_str::<Caps>(&text).unwrap(), caps);
        assert_eq!(serde_json::to_string(&Caps::default()).unwrap(), "{}");
    }
}
