//! When the quotas let the last packet out, if nothing else comes in between.
//!
//! Days are lived through one by one: each lets out what fits into its hours at the
//! account's rate, into each person's quota and into the account's, those that were
//! there before first.

use std::time::Duration;

use super::cap::Used;
use super::money::Fen;
use super::quota::{Full, Quota, next_day};
use super::time::Timestamp;

/// What one person has and is to get.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// What counts against his quota today.
    pub used: Used,
    /// What waits for him, with what is asked for now.
    pub pending: Used,
}

/// What goes out before and with a call.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// The instant.
    pub now: Timestamp,
    /// The guard near midnight.
    pub guard: Duration,
    /// Between two packets, in the service's time.
    pub interval: Duration,
    /// The quotas.
    pub quota: Quota,
    /// What counts against the account's quota today.
    pub account_used: Used,
    /// Packets of the account for other people that are queued already.
    pub ahead: Used,
    /// The people of the call.
    pub people: Vec<Wish>,
}

/// What bounds how soon the last packet goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The account's requests per second.
    Rate,
    /// A daily quota.
    Quota(Full),
}

impl Bound {
    /// A stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Rate => "RATE",
            Self::Quota(full) => full.code(),
        }
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// When the last packet goes out; none: not within ten years.
    pub last: Option<Timestamp>,
    /// What bounds it.
    pub bound: Bound,
}

/// Days that are looked at.
const DAYS_MAX: usize = 3_660;

impl Outlook {
    /// Lives through the days.
    #[must_use]
    pub fn forecast(mut self) -> Forecast {
        let mut bound = Bound::Rate;
        let mut day_starts = self.now;
        for _ in 0..DAYS_MAX {
            let day_ends = day_starts.next_beijing_midnight();
            let (sent, full) = self.live(day_ends.since(day_starts));
            let open: i64 = self.people.iter().map(|wish| wish.pending.count).sum();
            if open == 0 && self.ahead.count == 0 {
                let at = self.interval.saturating_mul(sent.saturating_sub(1));
                return Forecast {
                    last: Some(day_starts.plus(at)),
                    bound,
                };
            }
            bound = full.map_or(bound, Bound::Quota);
            day_starts = next_day(day_starts, self.guard);
            self.account_used = Used::default();
            for wish in &mut self.people {
                wish.used = Used::default();
            }
        }
        Forecast { last: None, bound }
    }

    /// One day: how many packets went out, and what kept the rest.
    fn live(&mut self, hours: Duration) -> (u32, Option<Full>) {
        let fits = hours.as_nanos() / self.interval.as_nanos().max(1) + 1;
        let room = u32::try_from(fits).unwrap_or(u32::MAX);
        let (mut sent, mut full) = (0, None);
        let whole = self.quota.of_account();
        while self.ahead.count > 0 && sent < room {
            let amount = mean(self.ahead);
            if !whole.allows(self.account_used, Used::one(amount)) {
                return (sent, Some(Full::Account));
            }
            self.ahead = without(self.ahead, amount);
            self.account_used = with(self.account_used, amount);
            sent += 1;
        }
        for wish in &mut self.people {
            while wish.pending.count > 0 && sent < room {
                let amount = mean(wish.pending);
                if let Some(kept) = self.quota.full(wish.used, self.account_used, amount) {
                    full = Some(kept);
                    break;
                }
                wish.pending = without(wish.pending, amount);
                wish.used = with(wish.used, amount);
                self.account_used = with(self.account_used, amount);
                sent += 1;
            }
        }
        (sent, full)
    }
}

/// What one of several packets holds; the last takes what is left.
fn mean(of: Used) -> Fen {
    Fen(of.sum.0 / of.count.max(1))
}

fn with(of: Used, amount: Fen) -> Used {
    Used {
        count: of.count + 1,
        sum: Fen(of.sum.0.saturating_add(amount.0)),
    }
}

fn without(of: Used, amount: Fen) -> Used {
    Used {
        count: of.count - 1,
        sum: Fen(of.sum.0 - amount.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_beijing(text).unwrap()
    }

    fn used(count: i64, sum: i64) -> Used {
        Used {
            count,
            sum: Fen(sum),
        }
    }

    fn outlook(people: usize, each: i64) -> Outlook {
        let wish = Wish {
            used: Used::default(),
            pending: used(each, each * 100),
        };
        Outlook {
            now: at("2026-11-26 12:00:00"),
            guard: Duration::from_secs(10),
            interval: Duration::from_secs(1),
            quota: Quota {
                openid_count: Some(10),
                openid_sum: Some(Fen(100_000)),
                sum: Some(Fen(100_000_000)),
            },
            account_used: Used::default(),
            ahead: Used::default(),
            people: vec![wish; people],
        }
    }

    #[test]
    fn what_fits_today_goes_at_the_rate() {
        let found = outlook(200, 5).forecast();
        assert_eq!(found.bound, Bound::Rate);
        assert_eq!(found.last, Some(at("2026-11-26 12:16:39")));
        let behind = Outlook {
            ahead: used(100, 10_000),
            ..outlook(200, 5)
        };
        assert_eq!(behind.forecast().last, Some(at("2026-11-26 12:18:19")));
    }

    #[test]
    fn twenty_five_each_take_three_days() {
        let found = outlook(200, 25).forecast();
        assert_eq!(found.bound, Bound::Quota(Full::Openid));
        // 1,000 are left for the third day, which begins when it has surely begun.
        assert_eq!(found.last, Some(at("2026-11-28 00:16:49")));
    }

    #[test]
    fn the_account_and_the_hours_bound_too() {
        let mut poor = outlook(1, 5);
        poor.quota.sum = Some(Fen(200));
        let found = poor.forecast();
        assert_eq!(found.bound, Bound::Quota(Full::Account));
        assert_eq!(found.last, Some(at("2026-11-28 00:00:10")));
        let mut slow = outlook(200, 10);
        slow.interval = Duration::from_secs(60);
        let found = slow.forecast();
        assert_eq!(found.bound, Bound::Rate);
        assert!(found.last > Some(at("2026-11-27 20:00:00")));
        let mut never = outlook(1, 1);
        never.quota.openid_sum = Some(Fen(99));
        assert_eq!(never.forecast().last, None);
    }
}
