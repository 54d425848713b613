//! What a provider allows a merchant, as a schedule: which instants requests go out
//! at, and on which day a number counts.
//!
//! WeChat Pay counts requests in seconds, and packets and money by days that begin at
//! midnight in Beijing (document 4011974053: 30 requests a second, 10 packets and
//! 1,000 yuan for one openid, 1,000,000 yuan for the merchant). Its clock is not ours:
//! near midnight a request may count on either day, so it must fit into both.

use std::ops::RangeInclusive;
use std::time::Duration;

use sea_orm::{DeriveActiveEnum, EnumIter};

use super::cap::{Cap, Used};
use super::money::Fen;
use super::time::Timestamp;

/// What goes out at a rate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Lane {
    /// Requests to pay.
    Send,
    /// Questions.
    Query,
}

/// What a provider allows on one day; none: no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Packets for one openid.
    pub openid_count: Option<i64>,
    /// Their sum.
    pub openid_sum: Option<Fen>,
    /// The sum of all packets of the merchant.
    pub sum: Option<Fen>,
}

/// Whose quota a packet does not fit into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// That of its openid.
    Openid,
    /// That of the account.
    Account,
}

impl Full {
    /// A stable word for `last_error` and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Openid => "OPENID_QUOTA",
            Self::Account => "ACCOUNT_QUOTA",
        }
    }
}

impl Quota {
    /// Whether openids are counted at all.
    #[must_use]
    pub fn counts_openids(&self) -> bool {
        self.openid_count.is_some() || self.openid_sum.is_some()
    }

    /// The quota of one openid.
    #[must_use]
    pub fn of_openid(&self) -> Cap {
        Cap {
            count: self.openid_count,
            sum: self.openid_sum,
        }
    }

    /// The quota of the whole account.
    #[must_use]
    pub fn of_account(&self) -> Cap {
        Cap {
            count: None,
            sum: self.sum,
        }
    }

    /// Whose quota does not hold one packet more, beside what is used of an openid's
    /// and of the account's.
    #[must_use]
    pub fn full(&self, openid: Used, account: Used, amount: Fen) -> Option<Full> {
        if !self.of_openid().allows(openid, Used::one(amount)) {
            return Some(Full::Openid);
        }
        (!self.of_account().allows(account, Used::one(amount))).then_some(Full::Account)
    }
}

/// How far the provider's clock may be from ours, and how long a request may be on
/// its way after it was counted, in real time.
const GUARD: Duration = Duration::from_secs(10);
/// The guard in scaled time at most.
const GUARD_MAX: Duration = Duration::from_secs(6 * 3_600);
/// Of a rate, this share in per mille is used: the rest is for requests that are late.
const USED_PER_MILLE: u64 = 900;

/// The guard where time runs so many times as fast.
#[must_use]
pub fn guard(scale: u32) -> Duration {
    GUARD.saturating_mul(scale).min(GUARD_MAX)
}

/// The days on which a request may count that goes out about now.
#[must_use]
pub fn days(now: Timestamp, guard: Duration) -> RangeInclusive<i64> {
    let micros = i64::try_from(guard.as_micros()).unwrap_or(i64::MAX);
    let earliest = Timestamp(now.0.saturating_sub(micros));
    earliest.beijing_day()..=now.plus(guard).beijing_day()
}

/// When a packet that does not fit today goes out at the earliest: on a day that is
/// surely the provider's as well.
#[must_use]
pub fn next_day(now: Timestamp, guard: Duration) -> Timestamp {
    let mut midnight = now.next_beijing_midnight();
    // Just past midnight yesterday's quota still binds, but not for a whole day.
    let micros = i64::try_from(guard.as_micros()).unwrap_or(i64::MAX);
    let earlier = Timestamp(now.0.saturating_sub(micros));
    if earlier.beijing_day() < now.beijing_day() {
        midnight = earlier.next_beijing_midnight();
    }
    midnight.plus(guard)
}

/// The time between two requests of a lane.
#[must_use]
pub fn interval(per_second: i32) -> Duration {
    let per_second = u64::from(per_second.unsigned_abs()).max(1);
    Duration::from_micros(1_000_000_000 / (per_second * USED_PER_MILLE))
}

/// How many of the wanted requests fit before `until`, the first at `next`.
#[must_use]
pub fn slots(next: Timestamp, until: Timestamp, interval: Duration, wanted: u64) -> u64 {
    if next >= until {
        return 0;
    }
    let ahead = until.since(next).as_micros();
    let fit = ahead / interval.as_micros().max(1) + 1;
    u64::try_from(fit).unwrap_or(u64::MAX).min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_beijing(text).unwrap()
    }

    #[test]
    fn near_midnight_a_request_counts_on_both_days() {
        let day = at("2026-11-26 12:00:00").beijing_day();
        let of = |text| days(at(text), 10 * SECOND);
        assert_eq!(of("2026-11-26 12:00:00"), day..=day);
        assert_eq!(of("2026-11-26 23:59:49"), day..=day);
        assert_eq!(of("2026-11-26 23:59:50"), day..=day + 1);
        assert_eq!(of("2026-11-27 00:00:09"), day..=day + 1);
        assert_eq!(of("2026-11-27 00:00:10"), day + 1..=day + 1);
    }

    #[test]
    fn what_does_not_fit_waits_for_a_day_that_is_surely_the_next() {
        let next = at("2026-11-27 00:00:10");
        assert_eq!(next_day(at("2026-11-26 12:00:00"), 10 * SECOND), next);
        assert_eq!(next_day(at("2026-11-26 23:59:59"), 10 * SECOND), next);
        assert_eq!(next_day(at("2026-11-27 00:00:05"), 10 * SECOND), next);
        assert!(next_day(at("2026-11-27 00:00:11"), 10 * SECOND) > next);
    }

    #[test]
    fn a_rate_is_kept_with_room_to_spare() {
        // 27 of 30 in a second.
        let interval = interval(30);
        let span = |requests: u32| interval * requests;
        assert!(span(26) < SECOND && span(28) > SECOND, "{interval:?}");
        let (now, until) = (Timestamp(0), Timestamp(2_000_000));
        assert_eq!(slots(now, until, interval, 1_000), 55);
        assert_eq!(slots(now, until, interval, 7), 7);
        assert_eq!(slots(until, until, interval, 7), 0);
        assert_eq!(slots(Timestamp(1_990_000), until, interval, 7), 1);
    }

    #[test]
    fn the_openid_is_named_before_the_account() {
        let quota = Quota {
            openid_count: Some(2),
            openid_sum: Some(Fen(1_000)),
            sum: Some(Fen(5_000)),
        };
        let used = |count, sum| Used {
            count,
            sum: Fen(sum),
        };
        let full = |openid, account, amount| quota.full(openid, account, Fen(amount));
        assert_eq!(full(used(1, 100), used(9, 100), 900), None);
        assert_eq!(full(used(2, 100), used(9, 100), 1), Some(Full::Openid));
        assert_eq!(full(used(1, 100), used(9, 100), 901), Some(Full::Openid));
        assert_eq!(full(used(0, 0), used(9, 4_500), 501), Some(Full::Account));
        let free = Quota::default();
        assert_eq!(free.full(used(99, 99), used(99, 99), Fen(1)), None);
    }
}
