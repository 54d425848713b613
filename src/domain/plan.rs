//! The money breaker: what a campaign or an account is planned to spend, and when it
//! has left its plan.
//!
//! Spending is a bucket that leaks at the planned rate and holds no more than the
//! loss that was set. It is kept as an instant: when all that was taken up will have
//! been due. So in any span of time no more is taken up to be sent for the first time
//! than the plan's share of it and the loss, to the microsecond, however often one looks.

use std::time::Duration;

use sea_orm::{DeriveActiveEnum, EnumIter};

use super::error::{Error, Reason};
use super::money::Fen;
use super::time::Timestamp;

/// What has a money breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Scope {
    /// A provider account.
    Account,
    /// A campaign.
    Campaign,
}

impl Scope {
    /// Its name, as in rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "ACCOUNT",
            Self::Campaign => "CAMPAIGN",
        }
    }
}

/// What is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendPlan {
    /// How much goes out in a minute; 0: it is not watched.
    pub fen_per_minute: Fen,
    /// How much more than that may go out before it stops.
    pub loss_max: Fen,
    /// Of a hundred packets that ended, how many may have failed; 0: it is not watched.
    pub failure_percent: i32,
}

const MINUTE_MICROS: i128 = 60_000_000;

impl SpendPlan {
    /// How long the plan takes for an amount, in microseconds, rounded up.
    fn takes(&self, amount: Fen) -> i128 {
        let rate = i128::from(self.fen_per_minute.0).max(1);
        let micros = i128::from(amount.0) * MINUTE_MICROS;
        micros.div_euclid(rate) + i128::from(micros.rem_euclid(rate) != 0)
    }

    /// The same plan's instant for what was spent under another one.
    #[must_use]
    pub fn carry(&self, from: &Self, spent_until: Timestamp, now: Timestamp) -> Timestamp {
        if self.fen_per_minute == Fen::ZERO {
            return Timestamp(0);
        }
        let until = i128::from(now.0) + self.takes(from.ahead(spent_until, now));
        Timestamp(i64::try_from(until).unwrap_or(i64::MAX))
    }

    /// Whether it lets more out than another one.
    #[must_use]
    pub fn is_looser(&self, than: &Self) -> bool {
        let rate = |plan: &Self| match plan.fen_per_minute {
            Fen::ZERO => (i64::MAX, i64::MAX),
            Fen(rate) => (rate, plan.loss_max.0),
        };
        let share = |plan: &Self| match plan.failure_percent {
            0 => i32::MAX,
            percent => percent,
        };
        let (is, was) = (rate(self), rate(than));
        is.0 > was.0 || is.1 > was.1 || share(self) > share(than)
    }

    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        format!(
            "{} yuan a minute, {} yuan of loss, {} % of failures",
            self.fen_per_minute, self.loss_max, self.failure_percent
        )
    }

    /// Lets an amount go out: until when the plan is spent then. Nothing if it must not.
    #[must_use]
    pub fn spend(&self, spent_until: Timestamp, amount: Fen, now: Timestamp) -> Option<Timestamp> {
        if self.fen_per_minute == Fen::ZERO {
            return Some(spent_until);
        }
        let until = i128::from(spent_until.0.max(now.0)) + self.takes(amount);
        if until - i128::from(now.0) > self.takes(self.loss_max) {
            return None;
        }
        i64::try_from(until).ok().map(Timestamp)
    }

    /// How much more than planned has gone out by now, in fen.
    #[must_use]
    pub fn ahead(&self, spent_until: Timestamp, now: Timestamp) -> Fen {
        let micros = i128::from(spent_until.0.saturating_sub(now.0).max(0));
        let fen = micros * i128::from(self.fen_per_minute.0) / MINUTE_MICROS;
        Fen(i64::try_from(fen).unwrap_or(i64::MAX))
    }
}

/// Half of the time that failures are counted over.
const HALF: Duration = Duration::from_secs(150);
/// Fewer packets than this say nothing about the share that fails.
const ENDED_MIN: i64 = 20;

/// Packets that ended, and how many of them failed, in the running half and the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Which half it is.
    pub half: i64,
    /// Ended in it.
    pub ended: i64,
    /// Failed in it.
    pub failed: i64,
    /// Ended in the one before.
    pub ended_before: i64,
    /// Failed in the one before.
    pub failed_before: i64,
}

impl Window {
    /// The window as it is after some more packets have ended now.
    #[must_use]
    pub fn add(self, ended: i64, failed: i64, now: Timestamp) -> Self {
        let half = now
            .0
            .div_euclid(i64::try_from(HALF.as_micros()).unwrap_or(i64::MAX));
        let moved = match half.saturating_sub(self.half) {
            0 => self,
            1 => Self {
                half,
                ended_before: self.ended,
                failed_before: self.failed,
                ..Self::default()
            },
            // Another replica's clock may be a moment behind.
            past if past < 0 => self,
            _ => Self {
                half,
                ..Self::default()
            },
        };
        Self {
            ended: moved.ended.saturating_add(ended),
            failed: moved.failed.saturating_add(failed),
            ..moved
        }
    }

    /// Whether more failed than a share of them.
    #[must_use]
    pub fn passes(&self, failure_percent: i32) -> bool {
        let ended = self.ended.saturating_add(self.ended_before);
        let failed = self.failed.saturating_add(self.failed_before);
        failure_percent > 0
            && ended >= ENDED_MIN
            && failed.saturating_mul(100) >= ended.saturating_mul(i64::from(failure_percent))
    }

    /// What it counts, in words.
    #[must_use]
    pub fn words(&self) -> String {
        format!(
            "{} of {} packets failed within five minutes",
            self.failed.saturating_add(self.failed_before),
            self.ended.saturating_add(self.ended_before)
        )
    }
}

/// Why an amount did not go out, in words.
#[must_use]
pub fn overspent(plan: &SpendPlan, amount: Fen, ahead: Fen) -> String {
    format!(
        "{amount} yuan more would be {} yuan beyond the plan of {} yuan a minute; {} yuan is the loss that was set",
        Fen(ahead.0.saturating_add(amount.0)),
        plan.fen_per_minute,
        plan.loss_max
    )
}

/// The refusal of a send that a tripped breaker forbids.
#[must_use]
pub fn refusal(scope: Scope, subject: i64, why: &str) -> Error {
    let (reason, text) = match scope {
        Scope::Account => (
            Reason::Stopped,
            format!(
                "the money breaker of account {subject} has tripped ({why}); two people let it go on (ResumeAll)"
            ),
        ),
        Scope::Campaign => (
            Reason::CampaignPaused,
            format!(
                "the money breaker of the campaign has tripped ({why}); two people let it go on (ActivateCampaign)"
            ),
        ),
    };
    let error = Error::new(reason, text);
    match scope {
        Scope::Account => error.fact("scope", scope.name()).fact("subject", subject),
        Scope::Campaign => error.fact("campaign_id", subject),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(fen_per_minute: i64, loss_max: i64) -> SpendPlan {
        SpendPlan {
            fen_per_minute: Fen(fen_per_minute),
            loss_max: Fen(loss_max),
            failure_percent: 0,
        }
    }

    #[test]
    fn what_is_not_watched_always_goes_out() {
        let none = plan(0, 0);
        assert_eq!(
            none.spend(Timestamp(5), Fen(1 << 60), Timestamp(9)),
            Some(Timestamp(5))
        );
    }

    #[test]
    fn the_loss_is_the_last_that_goes_out_at_once() {
        let plan = plan(600, 1_000);
        let now = Timestamp(1_000_000);
        let mut until = Timestamp(0);
        for _ in 0..10 {
            until = plan.spend(until, Fen(100), now).unwrap();
        }
        assert_eq!(plan.ahead(until, now), Fen(1_000));
        assert_eq!(plan.spend(until, Fen(1), now), None);
        // A tenth of a second later the plan has caught up by one fen.
        let later = Timestamp(now.0 + 100_000);
        assert!(plan.spend(until, Fen(1), later).is_some());
        assert_eq!(plan.spend(until, Fen(2), later), None);
    }

    #[test]
    fn failures_are_counted_over_two_halves() {
        let half = 150_000_000;
        let at = |n: i64| Timestamp(n * half);
        let window = Window::default().add(19, 19, at(100));
        assert!(!window.passes(50), "too few to say");
        let window = window.add(1, 0, at(101));
        assert!(window.passes(95) && !window.passes(96));
        assert_eq!(window.add(0, 0, at(103)).ended_before, 0, "forgotten");
        assert!(!window.passes(0), "not watched");
        assert_eq!(window.add(1, 1, at(100)).ended, 2, "a clock behind");
    }

    #[test]
    fn what_was_spent_counts_under_another_plan() {
        let (old, now) = (plan(60_000, 7_000), Timestamp(5_000_000));
        let until = old.spend(Timestamp(0), Fen(6_000), now).unwrap();
        for new in [plan(6_000_000, 7_000), plan(600, 7_000)] {
            let carried = new.carry(&old, until, now);
            assert_eq!(new.ahead(carried, now), Fen(6_000));
            assert!(new.spend(carried, Fen(1_000), now).is_some());
            assert!(new.spend(carried, Fen(1_001), now).is_none());
        }
    }

    #[test]
    fn a_looser_plan_lets_more_out() {
        let is = plan(100, 50);
        assert!(!is.is_looser(&is));
        assert!(plan(101, 50).is_looser(&is) && plan(100, 51).is_looser(&is));
        assert!(plan(0, 0).is_looser(&is), "watches nothing");
        assert!(!plan(99, 50).is_looser(&is) && !is.is_looser(&plan(0, 0)));
        let watched = |failure_percent| SpendPlan {
            failure_percent,
            ..is
        };
        assert!(watched(0).is_looser(&watched(50)) && watched(51).is_looser(&watched(50)));
        assert!(!watched(49).is_looser(&watched(50)));
    }

    proptest! {
        /// Whatever is asked for and when: in no span does more go out than the plan's
        /// share of the span and the loss.
        #[test]
        fn the_loss_bounds_every_span(
            rate in 1_i64..1_000_000,
            loss in 1_i64..1_000_000,
            asks in prop::collection::vec((0_i64..30_000_000, 1_i64..100_000), 1..60),
        ) {
            let plan = plan(rate, loss);
            let (mut now, mut until) = (Timestamp(0), Timestamp(0));
            let mut paid: Vec<(i64, i64)> = Vec::new();
            for (wait, amount) in asks {
                now = Timestamp(now.0 + wait);
                if let Some(next) = plan.spend(until, Fen(amount), now) {
                    until = next;
                    paid.push((now.0, amount));
                }
            }
            for (first, (start, _)) in paid.iter().enumerate() {
                let mut sum = 0_i128;
                for (at, amount) in &paid[first..] {
                    sum += i128::from(*amount);
                    let planned = i128::from(rate) * i128::from(at - start);
                    // A microsecond's share of the plan is what rounding may add.
                    prop_assert!(sum * 60_000_000 <= planned + i128::from(loss) * 60_000_000 + i128::from(rate));
                }
            }
        }

        /// Whoever keeps to the plan is never stopped.
        #[test]
        fn the_plan_itself_always_fits(
            rate in 60_i64..1_000_000,
            amount in 1_i64..1_000,
            count in 1_usize..300,
        ) {
            let plan = plan(rate, amount);
            let (mut now, mut until) = (Timestamp(7), Timestamp(0));
            for _ in 0..count {
                let next = plan.spend(until, Fen(amount), now);
                prop_assert!(next.is_some());
                until = next.unwrap();
                // As long as the plan takes for one, in whole microseconds.
                now = Timestamp(now.0 + (amount * 60_000_000 + rate - 1) / rate);
            }
        }
    }
}
