//! What will become of a stored order: a list of steps in simulated time, fixed when it is stored.
//!
//! The plan is written into the books with the order, so a restart changes nobody's fate.

use super::books::{Due, State, Step};
use super::clock::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use super::draw;
use super::fault::Keep;

/// How long a paid packet is SENDING before it is SENT.
const SENDING_MS: i64 = 2 * SECOND_MS;
const LATE_MS: i64 = 10 * MINUTE_MS;
const FAILURE_MS: i64 = 20 * MINUTE_MS;
const HIDDEN_MS: i64 = 5 * MINUTE_MS;
const STUCK_REASON: &str = "该用户今日领取红包个数超过限制";
const FAILED_REASON: &str = "红包发放失败";

/// A fate, from the moment of storing on.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Due>,
    pub(super) visible_at_ms: i64,
    pub(super) processing: bool,
    pub(super) reason: Option<String>,
}

/// The share of packets that are taken, and the seed that says which.
#[derive(Debug, Clone, Copy)]
pub(super) struct Odds {
    pub(super) seed: u64,
    pub(super) taken_per_mille: u16,
}

/// The moments at which somebody takes a packet or a share of it, up to the last one taken.
#[derive(Debug)]
struct Takes {
    taken_ms: Vec<i64>,
    /// Nothing is left over.
    all: bool,
    /// Each one is a step of its own.
    shares: bool,
}

/// Plans an order that is stored at `at_ms`; `shares` is 0 for a packet that is not divided.
/// `Keep::Nothing` has no plan.
pub(super) fn plan(
    keep: Keep,
    at_ms: i64,
    mch_billno: &str,
    shares: usize,
    odds: Odds,
) -> Option<Plan> {
    let later = |paid_ms: i64, takes| {
        let sent_ms = paid_ms.saturating_add(SENDING_MS);
        Plan::paid(at_ms, paid_ms, sent_ms, takes)
    };
    let at_once = |takes| Plan::paid(at_ms, at_ms, at_ms, takes);
    let by_chance = || odds.takes(at_ms, mch_billno, shares);
    let plan = match keep {
        Keep::Nothing => return None,
        Keep::Normal => later(at_ms, by_chance()),
        Keep::NeverTaken => later(at_ms, Takes::none(shares)),
        Keep::PartlyTaken if shares == 0 => later(at_ms, Takes::none(shares)),
        Keep::PartlyTaken => at_once(Takes {
            taken_ms: vec![at_ms; shares.saturating_sub(1)],
            all: false,
            shares: true,
        }),
        Keep::TakenAtOnce => at_once(Takes {
            taken_ms: vec![at_ms; shares.max(1)],
            all: true,
            shares: shares > 0,
        }),
        Keep::Hidden => Plan {
            visible_at_ms: at_ms.saturating_add(HIDDEN_MS),
            ..later(at_ms, by_chance())
        },
        Keep::PaidLater => Plan {
            processing: true,
            ..later(at_ms.saturating_add(LATE_MS), by_chance())
        },
        Keep::FailsLater => Plan {
            processing: true,
            ..Plan::failed(at_ms.saturating_add(FAILURE_MS))
        },
        Keep::FailsQuietly => Plan::failed(at_ms.saturating_add(FAILURE_MS)),
        Keep::Stuck => Plan {
            processing: true,
            reason: Some(STUCK_REASON.to_owned()),
            ..Plan::failed(at_ms.saturating_add(DAY_MS))
        },
        Keep::FailsNow => Plan {
            reason: Some(FAILED_REASON.to_owned()),
            ..Plan::failed(at_ms)
        },
    };
    Some(plan)
}

impl Plan {
    fn of(steps: impl IntoIterator<Item = (i64, Step)>) -> Self {
        Self {
            steps: steps
                .into_iter()
                .map(|(at_ms, step)| Due { at_ms, step })
                .collect(),
            visible_at_ms: i64::MIN,
            processing: false,
            reason: None,
        }
    }

    fn failed(at_ms: i64) -> Self {
        Self::of([(at_ms, Step::Become(State::Failed))])
    }

    /// Paid and sent; what is not taken is on its way back 24 hours after the order was stored.
    fn paid(at_ms: i64, paid_ms: i64, sent_ms: i64, takes: Takes) -> Self {
        let mut steps = vec![(paid_ms, Step::Pay), (sent_ms, Step::Become(State::Sent))];
        let mut last_ms = sent_ms;
        for taken_ms in takes.taken_ms {
            last_ms = last_ms.max(taken_ms);
            if takes.shares {
                steps.push((last_ms, Step::Take));
            }
        }
        if takes.all {
            steps.push((last_ms, Step::Become(State::Received)));
        } else {
            let expiry_ms = at_ms.saturating_add(DAY_MS);
            let back_ms = expiry_ms.saturating_add(30 * MINUTE_MS);
            steps.push((expiry_ms, Step::Become(State::RfundIng)));
            steps.push((back_ms, Step::Become(State::Refund)));
        }
        Self::of(steps)
    }
}

impl Takes {
    fn none(shares: usize) -> Self {
        Self {
            taken_ms: Vec::new(),
            all: false,
            shares: shares > 0,
        }
    }
}

impl Odds {
    /// The packet's one fate, or that of each share by itself.
    fn takes(self, at_ms: i64, mch_billno: &str, shares: usize) -> Takes {
        let mut taken_ms: Vec<i64> = if shares == 0 {
            self.taken_at(at_ms, &[mch_billno]).into_iter().collect()
        } else {
            (0..shares)
                .filter_map(|index| self.taken_at(at_ms, &[mch_billno, &index.to_string()]))
                .collect()
        };
        taken_ms.sort_unstable();
        Takes {
            all: taken_ms.len() == shares.max(1),
            taken_ms,
            shares: shares > 0,
        }
    }

    fn taken_at(self, at_ms: i64, name: &[&str]) -> Option<i64> {
        let lot = draw::below(1000, self.seed, &[&["taken"], name].concat());
        let name = [&["wait"], name].concat();
        let wait = draw::between(MINUTE_MS, 4 * HOUR_MS, self.seed, &name);
        (lot < u64::from(self.taken_per_mille)).then(|| at_ms.saturating_add(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODDS: Odds = Odds {
        seed: 1,
        taken_per_mille: 800,
    };

    fn ends_in(keep: Keep, mch_billno: &str) -> Step {
        for shares in [0, 3] {
            let plan = plan(keep, 0, mch_billno, shares, ODDS).unwrap();
            assert!(plan.steps.is_sorted_by_key(|due| due.at_ms));
        }
        let plan = plan(keep, 0, mch_billno, 0, ODDS).unwrap();
        plan.steps.last().unwrap().step
    }

    #[test]
    fn about_the_configured_share_is_taken() {
        let taken = (0..2_000)
            .filter(|n: &u32| {
                ends_in(Keep::Normal, &n.to_string()) == Step::Become(State::Received)
            })
            .count();
        assert!((1_540..1_660).contains(&taken), "{taken}");
    }

    #[test]
    fn every_fate_ends() {
        assert_eq!(ends_in(Keep::NeverTaken, "n"), Step::Become(State::Refund));
        assert_eq!(
            ends_in(Keep::TakenAtOnce, "n"),
            Step::Become(State::Received)
        );
        for keep in [
            Keep::FailsLater,
            Keep::FailsQuietly,
            Keep::Stuck,
            Keep::FailsNow,
        ] {
            assert_eq!(ends_in(keep, "n"), Step::Become(State::Failed));
        }
        assert!(plan(Keep::Nothing, 0, "n", 0, ODDS).is_none());
    }

    #[test]
    fn a_refund_comes_after_24_hours() {
        let plan = plan(Keep::NeverTaken, 5, "n", 0, ODDS).unwrap();
        let refunding = plan.steps.get(2).unwrap();
        assert_eq!(refunding.step, Step::Become(State::RfundIng));
        assert_eq!(refunding.at_ms, 5 + DAY_MS);
    }

    /// How many shares of five are taken, and how it ends.
    fn group(keep: Keep, mch_billno: &str) -> (usize, Step) {
        let plan = plan(keep, 0, mch_billno, 5, ODDS).unwrap();
        let takes = plan.steps.iter().filter(|due| due.step == Step::Take);
        (takes.count(), plan.steps.last().unwrap().step)
    }

    #[test]
    fn every_share_has_its_own_fate_and_a_group_is_received_when_none_is_left() {
        let mut taken = 0;
        for n in 0..400 {
            let (takes, end) = group(Keep::Normal, &n.to_string());
            taken += takes;
            let whole = end == Step::Become(State::Received);
            assert_eq!(whole, takes == 5);
            assert!(whole || end == Step::Become(State::Refund));
        }
        assert!((1_540..1_660).contains(&taken), "{taken}");
    }

    #[test]
    fn faults_say_how_much_of_a_group_is_taken() {
        let (received, refund) = (State::Received, State::Refund);
        assert_eq!(group(Keep::TakenAtOnce, "n"), (5, Step::Become(received)));
        assert_eq!(group(Keep::PartlyTaken, "n"), (4, Step::Become(refund)));
        assert_eq!(group(Keep::NeverTaken, "n"), (0, Step::Become(refund)));
        let plan = plan(Keep::PartlyTaken, 0, "n", 0, ODDS).unwrap();
        assert_eq!(plan.steps.last().unwrap().step, Step::Become(refund));
    }
}
