//! When the dispatcher looks at a packet next.
//!
//! Delays are base values; the caller spreads them by ±20 % so that a thousand
//! packets that met one outage do not come back in one instant.

use std::time::Duration;

use sea_orm::{DeriveActiveEnum, EnumIter};

/// What the dispatcher does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Job {
    /// Ask the provider to pay, under the packet's number.
    Send,
    /// Ask what became of a number that is in doubt.
    Query,
    /// Ask whether a sent packet was taken or came back.
    Sync,
}

impl Job {
    /// Every job.
    pub const ALL: [Self; 3] = [Self::Send, Self::Query, Self::Sync];

    /// Its name in metrics and rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Send => "SEND",
            Self::Query => "QUERY",
            Self::Sync => "SYNC",
        }
    }
}

/// The next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is done.
    pub job: Job,
    /// In how long, before spreading.
    pub after: Duration,
    /// Never sooner than this, however it is spread; `after` counts from here.
    pub wait: Duration,
}

impl Plan {
    /// This job after this long.
    #[must_use]
    pub fn new(job: Job, after: Duration) -> Self {
        Self {
            job,
            after,
            wait: Duration::ZERO,
        }
    }

    /// This job soon after something that it must not come before: spreading the
    /// wait for it would come hours too early.
    #[must_use]
    pub fn once_past(job: Job, wait: Duration) -> Self {
        Self {
            job,
            after: Duration::from_secs(10 * MINUTE),
            wait,
        }
    }

    /// The delay spread by ±20 % with a random number.
    #[must_use]
    pub fn spread(self, random: u64) -> Duration {
        let per_mille = 800 + u32::try_from(random % 401).unwrap_or(0);
        self.wait
            .saturating_add(self.after.saturating_mul(per_mille) / 1_000)
    }
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Questions about a number in doubt: soon at first, rarely later.
const DOUBT_SECONDS: [u64; 13] = [
    15,
    30,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    20 * MINUTE,
    40 * MINUTE,
    90 * MINUTE,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    24 * HOUR,
];

/// Ages of a sent packet at which it is looked at. WeChat Pay sends no callback
/// for red packets; one that nobody takes comes back after 24 hours, and the query
/// knows a number for 30 days.
const SYNC_SECONDS: [u64; 8] = [
    10 * MINUTE,
    HOUR,
    6 * HOUR,
    25 * HOUR,
    49 * HOUR,
    4 * DAY,
    7 * DAY,
    28 * DAY,
];

/// Requests that were refused for now: the same number again.
const RETRY_SECONDS: [u64; 6] = [2, 5, 15, MINUTE, 5 * MINUTE, 15 * MINUTE];

/// The delay before the next question about a number in doubt, after so many.
#[must_use]
pub fn doubt(query_count: i32) -> Duration {
    step(&DOUBT_SECONDS, query_count)
}

/// The delay before the same number goes out again, after so many requests.
#[must_use]
pub fn retry(send_count: i32) -> Duration {
    step(&RETRY_SECONDS, send_count.saturating_sub(1))
}

/// The next look at a packet that was sent this long ago; nothing after the last.
#[must_use]
pub fn sync(age: Duration) -> Option<Plan> {
    let next = SYNC_SECONDS
        .iter()
        .map(|s| Duration::from_secs(*s))
        .find(|at| *at > age)?;
    Some(Plan::new(Job::Sync, next - age))
}

/// The next look at a packet that waits for a person: the provider may still say.
#[must_use]
pub fn review() -> Plan {
    Plan::new(Job::Query, Duration::from_secs(DAY))
}

fn step(table: &[u64], index: i32) -> Duration {
    let index = usize::try_from(index.max(0))
        .unwrap_or(usize::MAX)
        .min(table.len().saturating_sub(1));
    Duration::from_secs(table.get(index).copied().unwrap_or(DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_stay_at_the_last() {
        assert_eq!(doubt(-1), Duration::from_secs(15));
        assert_eq!(doubt(0), Duration::from_secs(15));
        assert_eq!(doubt(1_000), Duration::from_secs(DAY));
        assert_eq!(retry(1), Duration::from_secs(2));
        assert_eq!(retry(99), Duration::from_secs(15 * MINUTE));
    }

    #[test]
    fn sync_walks_its_ages_and_ends() {
        assert_eq!(
            sync(Duration::ZERO).map(|p| p.after),
            Some(Duration::from_secs(10 * MINUTE))
        );
        let at_25h = Duration::from_secs(25 * HOUR);
        assert_eq!(
            sync(at_25h).map(|p| p.after),
            Some(Duration::from_secs(24 * HOUR))
        );
        assert_eq!(sync(Duration::from_secs(28 * DAY)), None);
    }

    #[test]
    fn spreading_keeps_within_a_fifth() {
        let plan = Plan::new(Job::Query, Duration::from_secs(100));
        for random in [0, 1, 400, 401, u64::MAX] {
            let spread = plan.spread(random);
            assert!(spread >= Duration::from_secs(80) && spread <= Duration::from_secs(120));
            let day = Duration::from_secs(DAY);
            let past = Plan::once_past(Job::Send, day).spread(random);
            assert!(past > day && past < day + Duration::from_secs(15 * MINUTE));
        }
    }
}
