//! Simulated time: real time run faster by a whole factor, continued across restarts.
//!
//! The books write down at which simulated instant they were opened and how fast time ran then, so
//! that a restart goes on where simulated time would be now. A packet that was due to be refunded
//! while the simulator was down is refunded at the next start.

use std::time::{Instant, SystemTime};

use chrono::{DateTime, FixedOffset};

pub(super) const SECOND_MS: i64 = 1_000;
pub(super) const MINUTE_MS: i64 = 60 * SECOND_MS;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;
const BEIJING_SECONDS: i32 = 8 * 3600;

/// A clock in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    base: Instant,
    base_ms: i64,
    scale: u32,
}

impl Clock {
    /// A clock that shows `start_ms` now and then runs `scale` times as fast as real time.
    pub(super) fn starting_at(start_ms: i64, scale: u32) -> Self {
        Self {
            base: monotonic(),
            base_ms: start_ms,
            scale,
        }
    }

    pub(super) fn now_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.base.elapsed().as_millis()).unwrap_or(i64::MAX);
        after(self.base_ms, elapsed, self.scale)
    }
}

/// Where simulated time stands when `elapsed_ms` of real time have passed.
pub(super) fn after(start_ms: i64, elapsed_ms: i64, scale: u32) -> i64 {
    start_ms.saturating_add(elapsed_ms.max(0).saturating_mul(i64::from(scale)))
}

/// Real time that never runs back, for spans of it.
#[expect(
    clippy::disallowed_methods,
    reason = "the provider's side has a clock of its own"
)]
pub(super) fn monotonic() -> Instant {
    Instant::now()
}

/// Real time, for the header of the books, in milliseconds since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "the provider's side has a clock of its own"
)]
pub(super) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// `yyyy-MM-dd HH:mm:ss` in Beijing, the only form in which the provider writes a time.
pub(super) fn beijing(at_ms: i64) -> String {
    format_beijing(at_ms, "%Y-%m-%d %H:%M:%S")
}

/// `yyyyMMdd` in Beijing, which is also the key of a business day.
pub(super) fn beijing_day(at_ms: i64) -> String {
    format_beijing(at_ms, "%Y%m%d")
}

/// Counts minutes.
pub(super) fn minute_number(at_ms: i64) -> i64 {
    at_ms.div_euclid(MINUTE_MS)
}

/// Counts Beijing days.
pub(super) fn day_number(at_ms: i64) -> i64 {
    at_ms.saturating_add(8 * HOUR_MS).div_euclid(DAY_MS)
}

fn format_beijing(at_ms: i64, pattern: &str) -> String {
    let zone = FixedOffset::east_opt(BEIJING_SECONDS);
    let time = DateTime::from_timestamp_millis(at_ms);
    match (zone, time) {
        (Some(zone), Some(time)) => time.with_timezone(&zone).format(pattern).to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_in_beijing() {
        assert_eq!(beijing(0), "1970-01-01 08:00:00");
        assert_eq!(beijing_day(16 * HOUR_MS), "19700102");
    }

    #[test]
    fn scale_multiplies_and_never_runs_back() {
        assert_eq!(after(100, 10, 3600), 36_100);
        assert_eq!(after(100, -10, 3600), 100);
        assert_eq!(after(0, i64::MAX, 2), i64::MAX);
    }
}
