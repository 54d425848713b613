//! How a packet gets its amount.
//!
//! A random amount is derived by a keyed hash from what the caller named, not
//! drawn: the same request gets the same amount, also from a database that lost
//! the commit of the first try. The key keeps recipients from computing it.

use ring::hmac;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use super::money::Fen;
use super::number::{Seed, tag};

/// How the amount is found.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AmountType {
    /// Always the same.
    Fixed,
    /// An independent draw for each recipient.
    Random,
    /// The caller says it.
    CallerSet,
    /// A share of a pot, see [`super::split`].
    Split,
}

/// The rule of a campaign: `0 < min <= max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmountRule {
    kind: AmountType,
    min: Fen,
    max: Fen,
}

impl AmountRule {
    /// The rule, if its bounds make sense: positive, in order, and equal where fixed.
    #[must_use]
    pub fn new(kind: AmountType, min: Fen, max: Fen) -> Option<Self> {
        let ordered = min > Fen::ZERO && min <= max;
        let fits = kind != AmountType::Fixed || min == max;
        (ordered && fits).then_some(Self { kind, min, max })
    }

    /// How the amount is found.
    #[must_use]
    pub fn kind(self) -> AmountType {
        self.kind
    }

    /// The smallest amount.
    #[must_use]
    pub fn min(self) -> Fen {
        self.min
    }

    /// The largest amount.
    #[must_use]
    pub fn max(self) -> Fen {
        self.max
    }

    /// Whether an amount lies within the bounds.
    #[must_use]
    pub fn allows(self, amount: Fen) -> bool {
        (self.min..=self.max).contains(&amount)
    }

    /// The amount for one item of a request. `asked` is the caller's amount, or the
    /// item's share of a pot, and counts only where the rule does not fix it; nothing
    /// if it is out of bounds.
    #[must_use]
    pub fn amount(self, key: &hmac::Key, seed: &Seed<'_>, asked: Option<Fen>) -> Option<Fen> {
        match self.kind {
            AmountType::Fixed => Some(self.min),
            AmountType::Random => Some(self.draw(key, seed)),
            AmountType::CallerSet | AmountType::Split => {
                asked.filter(|amount| self.allows(*amount))
            }
        }
    }

    /// 128 bits of keyed hash, reduced to the range: the bias is below 2^-64.
    fn draw(self, key: &hmac::Key, seed: &Seed<'_>) -> Fen {
        let hash = tag(key, "amount", seed, None);
        let wide = hash
            .as_ref()
            .iter()
            .take(16)
            .fold(0_u128, |acc, byte| (acc << 8) | u128::from(*byte));
        let span = u128::try_from(self.max.0 - self.min.0).unwrap_or(0) + 1;
        Fen(self.min.0 + i64::try_from(wide % span).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::{AppId, ShopId};

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, b"a key of the environment, 32 byte")
    }

    fn seed(item: &str) -> Seed<'_> {
        Seed {
            shop: ShopId(1),
            app: AppId(1),
            request: "r",
            item,
        }
    }

    #[test]
    fn refuses_rules_that_make_no_sense() {
        assert_eq!(AmountRule::new(AmountType::Random, Fen(0), Fen(1)), None);
        assert_eq!(AmountRule::new(AmountType::Random, Fen(2), Fen(1)), None);
        assert_eq!(AmountRule::new(AmountType::Fixed, Fen(1), Fen(2)), None);
    }

    #[test]
    fn the_caller_decides_only_where_the_rule_says_so() {
        let rule = AmountRule::new(AmountType::CallerSet, Fen(100), Fen(200)).unwrap();
        assert_eq!(
            rule.amount(&key(), &seed("u"), Some(Fen(150))),
            Some(Fen(150))
        );
        assert_eq!(rule.amount(&key(), &seed("u"), Some(Fen(201))), None);
        assert_eq!(rule.amount(&key(), &seed("u"), None), None);
        let fixed = AmountRule::new(AmountType::Fixed, Fen(100), Fen(100)).unwrap();
        assert_eq!(
            fixed.amount(&key(), &seed("u"), Some(Fen(999))),
            Some(Fen(100))
        );
    }

    #[test]
    fn draws_spread_evenly() {
        let rule = AmountRule::new(AmountType::Random, Fen(1), Fen(10)).unwrap();
        let mut seen = [0_u32; 10];
        for n in 0..10_000 {
            let amount = rule.amount(&key(), &seed(&format!("u{n}")), None).unwrap();
            seen[usize::try_from(amount.0 - 1).unwrap()] += 1;
        }
        // Chi-square with 9 degrees of freedom: 27.9 is exceeded once in a thousand.
        let chi: i64 = seen
            .iter()
            .map(|n| (i64::from(*n) - 1_000).pow(2))
            .sum::<i64>()
            / 1_000;
        assert!(chi < 28, "counts {seen:?}");
    }

    proptest! {
        #[test]
        fn a_draw_is_within_bounds_and_repeats(min in 1_i64..100_000, more in 0_i64..100_000, item in "[a-z0-9]{1,12}") {
            let rule = AmountRule::new(AmountType::Random, Fen(min), Fen(min + more)).unwrap();
            let first = rule.amount(&key(), &seed(&item), None).unwrap();
            prop_assert!(rule.allows(first));
            prop_assert_eq!(rule.amount(&key(), &seed(&item), None), Some(first));
        }
    }
}
