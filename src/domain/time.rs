//! Instants and the business zone.
//!
//! An instant is microseconds since 1970 in UTC, an integer in both databases,
//! so it sorts and compares alike everywhere. The business zone is +08:00, fixed:
//! China has had no summer time since 1991, and a time-zone table in a money path
//! would be one more thing that can differ between two machines.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    DeriveValueType,
    Serialize,
    Deserialize,
)]
pub struct Timestamp(pub i64);

const MICROS_PER_SECOND: i64 = 1_000_000;
const BEIJING_OFFSET_MICROS: i64 = 8 * 3_600 * MICROS_PER_SECOND;
const DAY_MICROS: i64 = 24 * 3_600 * MICROS_PER_SECOND;

impl Timestamp {
    /// From whole seconds and nanoseconds, if it lies in 1970..9999.
    #[must_use]
    pub fn from_parts(seconds: i64, nanos: i32) -> Option<Self> {
        let valid = (0..=253_402_300_799).contains(&seconds) && (0..1_000_000_000).contains(&nanos);
        valid.then(|| Self(seconds * MICROS_PER_SECOND + i64::from(nanos) / 1_000))
    }

    /// Whole seconds and the nanoseconds within.
    #[must_use]
    pub fn to_parts(self) -> (i64, i32) {
        let nanos = self.0.rem_euclid(MICROS_PER_SECOND) * 1_000;
        (
            self.0.div_euclid(MICROS_PER_SECOND),
            i32::try_from(nanos).unwrap_or(0),
        )
    }

    /// This much later; stays at the end of time rather than wrapping.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// So long before.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// How long since `earlier`; zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The day in Beijing, in days since 1970-01-01 there.
    #[must_use]
    pub fn beijing_day(self) -> i64 {
        self.0
            .saturating_add(BEIJING_OFFSET_MICROS)
            .div_euclid(DAY_MICROS)
    }

    /// The next midnight in Beijing, strictly later: when daily quotas start anew.
    #[must_use]
    pub fn next_beijing_midnight(self) -> Self {
        let local = self.0.saturating_add(BEIJING_OFFSET_MICROS);
        let next = (local.div_euclid(DAY_MICROS) + 1).saturating_mul(DAY_MICROS);
        Self(next - BEIJING_OFFSET_MICROS)
    }

    /// The midnight in Beijing with which a day of [`Self::beijing_day`] begins.
    #[must_use]
    pub fn beijing_midnight(day: i64) -> Self {
        Self(
            day.saturating_mul(DAY_MICROS)
                .saturating_sub(BEIJING_OFFSET_MICROS),
        )
    }

    /// Reads WeChat Pay's `yyyy-MM-dd HH:mm:ss`, which is Beijing time without saying so.
    #[must_use]
    pub fn parse_beijing(text: &str) -> Option<Self> {
        let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok()?;
        Some(Self(
            naive.and_utc().timestamp_micros() - BEIJING_OFFSET_MICROS,
        ))
    }

    /// Reads an end as [`Self::parse_beijing`] does, and `24:00:00` as the midnight that
    /// ends the day (seed 002: `endTime`).
    #[must_use]
    pub fn parse_beijing_end(text: &str) -> Option<Self> {
        match text.strip_suffix(" 24:00:00") {
            Some(day) => {
                Some(Self::parse_beijing(&format!("{day} 00:00:00"))?.next_beijing_midnight())
            }
            None => Self::parse_beijing(text),
        }
    }

    /// Writes an end so that [`Self::parse_beijing_end`] reads it again, without what
    /// is less than a second: a midnight belongs to the day that it ends.
    #[must_use]
    pub fn beijing_end(self) -> String {
        let midnight = Self::beijing_midnight(self.beijing_day());
        let shown = if self == midnight {
            self.0.saturating_sub(1)
        } else {
            self.0
        };
        let local =
            DateTime::<Utc>::from_timestamp_micros(shown.saturating_add(BEIJING_OFFSET_MICROS));
        match local {
            Some(day) if self == midnight => format!("{} 24:00:00", day.format("%Y-%m-%d")),
            Some(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
            None => self.to_string(),
        }
    }

    /// The day in Beijing as `yyyyMMdd`.
    #[must_use]
    pub fn beijing_date(self) -> String {
        let local = self.0.saturating_add(BEIJING_OFFSET_MICROS);
        DateTime::<Utc>::from_timestamp_micros(local)
            .map(|time| time.format("%Y%m%d").to_string())
            .unwrap_or_default()
    }
}

impl std::fmt::Display for Timestamp {
    /// RFC 3339 in UTC.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(time) => write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.6fZ")),
            None => write!(f, "{}us", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn midnight_is_beijings() {
        // 2026-11-22T15:59:59Z is 23:59:59 in Beijing.
        let before = Timestamp::parse_beijing("2026-11-22 23:59:59").unwrap();
        let midnight = Timestamp::parse_beijing("2026-11-23 00:00:00").unwrap();
        assert_eq!(before.next_beijing_midnight(), midnight);
        assert_eq!(before.beijing_day() + 1, midnight.beijing_day());
        assert_eq!(Timestamp(0).beijing_day(), 0);
        assert_eq!(
            midnight.next_beijing_midnight(),
            midnight.plus(Duration::from_secs(86_400))
        );
        assert_eq!(before.to_string(), "2026-11-22T15:59:59.000000Z");
    }

    #[test]
    fn a_day_ends_at_its_twenty_fourth_hour() {
        let end = Timestamp::parse_beijing_end("2015-05-31 24:00:00").unwrap();
        assert_eq!(Some(end), Timestamp::parse_beijing("2015-06-01 00:00:00"));
        assert_eq!(end.beijing_end(), "2015-05-31 24:00:00");
        assert_eq!(end.beijing_date(), "20150601");
        let noon = Timestamp::parse_beijing_end("2016-02-29 12:00:01").unwrap();
        assert_eq!(noon.beijing_end(), "2016-02-29 12:00:01");
        assert_eq!(Timestamp::beijing_midnight(end.beijing_day()), end);
        for bad in [
            "2015-02-29 24:00:00",
            "2015-05-31 24:00:01",
            "2015-05-31 25:00:00",
            " 24:00:00",
            "",
        ] {
            assert_eq!(Timestamp::parse_beijing_end(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn parts_round_trip_and_refuse_nonsense() {
        let t = Timestamp::from_parts(1_700_000_000, 123_456_789).unwrap();
        assert_eq!(t.to_parts(), (1_700_000_000, 123_456_000));
        assert_eq!(Timestamp::from_parts(-1, 0), None);
        assert_eq!(Timestamp::from_parts(0, 1_000_000_000), None);
        assert_eq!(Timestamp::from_parts(253_402_300_800, 0), None);
    }
}
