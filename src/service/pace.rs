//! How fast an account may be asked: one limiter for each account and kind of
//! request in this process, whoever asks.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::domain::id::AccountId;
use crate::domain::quota::Lane;

type Limiters = HashMap<(AccountId, Lane), (i32, Arc<DefaultDirectRateLimiter>)>;

/// The limiters of this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Pace(Arc<Mutex<Limiters>>);

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pace")
    }
}

impl Pace {
    /// The limiter of an account at the speed that it has now.
    #[must_use]
    pub fn of(
        &self,
        account: AccountId,
        lane: Lane,
        per_second: i32,
    ) -> Arc<DefaultDirectRateLimiter> {
        let mut limiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (rate, limiter) = limiters
            .entry((account, lane))
            .or_insert_with(|| (per_second, limiter(per_second)));
        if *rate != per_second {
            (*rate, *limiter) = (per_second, self::limiter(per_second));
        }
        Arc::clone(limiter)
    }
}

fn limiter(per_second: i32) -> Arc<DefaultDirectRateLimiter> {
    let rate = NonZeroU32::new(per_second.unsigned_abs()).unwrap_or(NonZeroU32::MIN);
    // A burst of a tenth of a second: providers count in short windows.
    let burst = NonZeroU32::new(rate.get() / 10).unwrap_or(NonZeroU32::MIN);
    Arc::new(RateLimiter::direct(
        Quota::per_second(rate).allow_burst(burst),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_shares_the_limiter_until_the_speed_changes() {
        let pace = Pace::default();
        let first = pace.of(AccountId(1), Lane::Query, 5);
        assert!(Arc::ptr_eq(&first, &pace.of(AccountId(1), Lane::Query, 5)));
        assert!(!Arc::ptr_eq(&first, &pace.of(AccountId(1), Lane::Send, 5)));
        assert!(!Arc::ptr_eq(&first, &pace.of(AccountId(1), Lane::Query, 6)));
    }
}
