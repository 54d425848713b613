//! What an owner confirms a spend with, and how often he may be wrong.

use std::time::Duration;

use sea_orm::{DeriveActiveEnum, EnumIter};

use crate::domain::Timestamp;

/// What is asked of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum StepUp {
    /// Nothing.
    None,
    /// Digits that were sent to him (seed 002: `accountCode`).
    AccountCode,
    /// His password (seed 002: `paymentCodeMD5`).
    PaymentCode,
}

impl StepUp {
    /// The name, as in rows and the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::AccountCode => "ACCOUNT_CODE",
            Self::PaymentCode => "PAYMENT_CODE",
        }
    }
}

/// Wrong ones in a row until nothing is taken for a while.
pub const WRONG_MAX: i32 = 5;
/// For how long.
pub const LOCK: Duration = Duration::from_secs(15 * 60);
/// How long the digits of an account code hold.
pub const ACCOUNT_CODE_TTL: Duration = Duration::from_secs(5 * 60);

/// How often somebody was wrong, and until when he is locked out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Wrong ones since the last right one, or since the last lock.
    pub wrong: i32,
    /// Locked until just before then.
    pub locked_until: Option<Timestamp>,
}

/// Somebody is locked out until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locked(pub Timestamp);

impl Tries {
    /// Whether another try is heard.
    ///
    /// # Errors
    /// Until when it is not.
    pub fn heard(self, now: Timestamp) -> Result<(), Locked> {
        match self.locked_until {
            Some(until) if now < until => Err(Locked(until)),
            _ => Ok(()),
        }
    }

    /// After one that was wrong, out of so many until the lock.
    #[must_use]
    pub fn after_wrong(self, now: Timestamp, most: i32) -> Self {
        let wrong = self.wrong.saturating_add(1);
        if wrong < most {
            return Self {
                wrong,
                locked_until: None,
            };
        }
        Self {
            wrong: 0,
            locked_until: Some(now.plus(LOCK)),
        }
    }

    /// After so many that were wrong at once: what comes after the lock is not heard, and
    /// does not lift it.
    #[must_use]
    pub fn after_wrongs(self, count: usize, now: Timestamp, most: i32) -> Self {
        let wrong = i32::try_from(count).unwrap_or(i32::MAX);
        if wrong == 0 {
            return self;
        }
        let before = Self {
            wrong: self
                .wrong
                .saturating_add(wrong - 1)
                .min(most.saturating_sub(1)),
            ..self
        };
        before.after_wrong(now, most)
    }

    /// How many more may be wrong.
    #[must_use]
    pub fn left(self, most: i32) -> i32 {
        if self.locked_until.is_some() {
            0
        } else {
            most.saturating_sub(self.wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_in_a_row_lock_for_a_quarter_of_an_hour() {
        let now = Timestamp(0);
        let mut tries = Tries::default();
        for left in (1..WRONG_MAX).rev() {
            tries = tries.after_wrong(now, WRONG_MAX);
            assert_eq!(tries.left(WRONG_MAX), left);
            assert_eq!(tries.heard(now), Ok(()));
        }
        tries = tries.after_wrong(now, WRONG_MAX);
        let until = now.plus(LOCK);
        assert_eq!(tries.left(WRONG_MAX), 0);
        assert_eq!(tries.heard(Timestamp(until.0 - 1)), Err(Locked(until)));
        for count in [5, 6, 50] {
            let at_once = Tries::default().after_wrongs(count, now, WRONG_MAX);
            assert_eq!(at_once.heard(now), Err(Locked(until)), "{count} at once");
        }
        assert_eq!(Tries::default().after_wrongs(4, now, WRONG_MAX).wrong, 4);
        assert_eq!(
            Tries::default().after_wrongs(0, now, WRONG_MAX),
            Tries::default()
        );
        assert_eq!(tries.heard(until), Ok(()));
        assert_eq!(
            tries.after_wrong(until, WRONG_MAX).wrong,
            1,
            "the count starts anew"
        );
    }
}
