//! When a failed delivery is tried again, and when a receiver is left alone.

use std::time::Duration;

use super::super::time::Timestamp;
use super::outcome::Outcome;

/// The pauses after the first failure, the second, and so on, in seconds: eleven tries within
/// about two days.
const PAUSES: [u64; 10] = [
    5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400,
];
/// A pause is this many thousandths of itself at least, and [`SPREAD`] less one more at most.
const SHORTEST: u64 = 800;
const SPREAD: u64 = 401;

/// A receiver without one 2xx for so long is left alone.
pub const DISABLED_AFTER: Duration = Duration::from_secs(3 * 86_400);
/// But not before so many failures in a row: one that hears of us once a week is not dead
/// because it missed two calls.
pub const FAILURES_MIN: u32 = 10;

/// How long after the `failures`-th failure of a delivery the next try comes, spread by up to
/// 20 % so that what failed together does not come back together. None: there is no next try,
/// the delivery is dead.
///
/// `draw` is any number, drawn by the caller.
#[must_use]
pub fn retry_after(failures: u32, draw: u64) -> Option<Duration> {
    let index = usize::try_from(failures.saturating_sub(1)).ok()?;
    let seconds = PAUSES.get(index)?;
    Some(Duration::from_millis(seconds * (SHORTEST + draw % SPREAD)))
}

/// The same, but at least as long as the receiver asked for (see [`super::wait_asked`]).
#[must_use]
pub fn pause(failures: u32, draw: u64, asked: Option<Duration>) -> Option<Duration> {
    let pause = retry_after(failures, draw)?;
    Some(pause.max(asked.unwrap_or_default()))
}

/// How a receiver has answered of late, over all deliveries to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Standing {
    /// When the first failure since its last 2xx was; none: nothing has failed since.
    pub failing_since: Option<Timestamp>,
    /// How many there were since.
    pub failures: u32,
}

impl Standing {
    /// The standing after one more try, which ended at `now`.
    #[must_use]
    pub fn after(self, outcome: Outcome, now: Timestamp) -> Self {
        match outcome {
            Outcome::Done => Self::default(),
            Outcome::NotSent => self,
            Outcome::Gone
            | Outcome::Redirect
            | Outcome::Status(_)
            | Outcome::Timeout
            | Outcome::AddressRefused
            | Outcome::NameNotFound
            | Outcome::ConnectionFailed
            | Outcome::ConnectionLost
            | Outcome::TlsFailed => Self {
                failing_since: self.failing_since.or(Some(now)),
                failures: self.failures.saturating_add(1),
            },
        }
    }
}

/// Why a receiver is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disabled {
    /// It said so: 410.
    Gone,
    /// No 2xx for [`DISABLED_AFTER`], and [`FAILURES_MIN`] failures or more.
    Failing,
}

impl Disabled {
    /// A short stable word for rows and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gone => "GONE",
            Self::Failing => "FAILING",
        }
    }
}

/// What becomes of a receiver after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is tried further.
    Keep,
    /// It is left alone until a person turns it on again, who also forgets its [`Standing`].
    Disable(Disabled),
}

/// What becomes of a receiver after a try that ended at `now`; `standing` has that try in it
/// already.
#[must_use]
pub fn verdict(standing: Standing, outcome: Outcome, now: Timestamp) -> Verdict {
    if outcome == Outcome::Gone {
        return Verdict::Disable(Disabled::Gone);
    }
    let long = standing
        .failing_since
        .is_some_and(|since| now.since(since) >= DISABLED_AFTER);
    if long && standing.failures >= FAILURES_MIN {
        Verdict::Disable(Disabled::Failing)
    } else {
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    fn at(hours: u64) -> Timestamp {
        Timestamp(0).plus(Duration::from_secs(hours * HOUR))
    }

    #[test]
    fn pauses_are_those_of_the_table_spread_by_a_fifth() {
        let millis = |failures, draw| retry_after(failures, draw).map(|pause| pause.as_millis());
        // 200 is the middle of the draw.
        let middle: Vec<_> = (1..=10).filter_map(|n| millis(n, 200)).collect();
        assert_eq!(
            middle,
            [
                5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400
            ]
            .map(|seconds: u128| seconds * 1_000)
        );
        assert_eq!((millis(1, 0), millis(1, 400)), (Some(4_000), Some(6_000)));
        assert_eq!(millis(1, 401), Some(4_000));
        assert_eq!(millis(10, 400), Some(103_680_000));
        assert_eq!((millis(11, 0), millis(u32::MAX, 7)), (None, None));
        // Nothing has failed yet: as after the first.
        assert_eq!(millis(0, 200), Some(5_000));
        for draw in [0, 1, 200, 399, 400, 401, u64::MAX] {
            let pause = millis(2, draw).unwrap();
            assert!((24_000..=36_000).contains(&pause), "{draw}: {pause}");
        }
    }

    #[test]
    fn a_delivery_lives_about_two_days() {
        let total = |draw| {
            (1..=10)
                .filter_map(|n| retry_after(n, draw))
                .sum::<Duration>()
        };
        assert_eq!(total(200).as_secs(), 168_155);
        assert!(total(400) < DISABLED_AFTER);
    }

    #[test]
    fn what_a_receiver_asks_for_only_makes_it_longer() {
        let asked = Some(Duration::from_secs(60));
        assert_eq!(pause(1, 200, asked), asked);
        assert_eq!(pause(1, 200, None), Some(Duration::from_secs(5)));
        assert_eq!(pause(6, 200, asked), Some(Duration::from_secs(HOUR)));
        assert_eq!(pause(11, 200, asked), None);
    }

    #[test]
    fn three_days_and_ten_failures_end_a_receiver() {
        let mut standing = Standing::default();
        let mut ended = None;
        for hour in 0..200 {
            standing = standing.after(Outcome::Status(500), at(hour));
            if verdict(standing, Outcome::Status(500), at(hour)) != Verdict::Keep {
                ended = Some(hour);
                break;
            }
        }
        assert_eq!(ended, Some(72));

        // Seldom: three days are over long before ten failures.
        let mut standing = Standing::default();
        let mut ended = None;
        for week in 0..20 {
            standing = standing.after(Outcome::Timeout, at(week * 168));
            if verdict(standing, Outcome::Timeout, at(week * 168)) != Verdict::Keep {
                ended = Some(standing.failures);
                break;
            }
        }
        assert_eq!(ended, Some(FAILURES_MIN));
    }

    #[test]
    fn one_good_answer_forgives_all() {
        let bad = Standing {
            failing_since: Some(at(0)),
            failures: 500,
        };
        let good = bad.after(Outcome::Done, at(80));
        assert_eq!(good, Standing::default());
        assert_eq!(verdict(good, Outcome::Done, at(80)), Verdict::Keep);
        let again = good.after(Outcome::Redirect, at(81));
        assert_eq!((again.failing_since, again.failures), (Some(at(81)), 1));
    }

    #[test]
    fn what_we_could_not_send_is_not_the_receivers_fault() {
        let standing = Standing::default().after(Outcome::NotSent, at(1));
        assert_eq!(standing, Standing::default());
    }

    #[test]
    fn gone_is_at_once() {
        let standing = Standing::default().after(Outcome::Gone, at(0));
        assert_eq!(
            verdict(standing, Outcome::Gone, at(0)),
            Verdict::Disable(Disabled::Gone)
        );
    }
}
