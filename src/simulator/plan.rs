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

/// Plans an order that is stored at `at_ms`. `Keep::Nothing` has no plan.
pub(super) fn plan(keep: Keep, at_ms: i64, mch_billno: &str, odds: Odds) -> Option<Plan> {
    let taken = odds.taken_at(at_ms, mch_billno);
    let plan = match keep {
        Keep::Nothing => return None,
        Keep::Normal => Plan::paid(at_ms, at_ms, taken),
        Keep::NeverTaken => Plan::paid(at_ms, at_ms, None),
        Keep::TakenAtOnce => Plan::of([
            (at_ms, Step::Pay),
            (at_ms, Step::Become(State::Sent)),
            (at_ms, Step::Become(State::Received)),
        ]),
        Keep::Hidden => Plan {
            visible_at_ms: at_ms.saturating_add(HIDDEN_MS),
            ..Plan::paid(at_ms, at_ms, taken)
        },
        Keep::PaidLater => Plan {
            processing: true,
            ..Plan::paid(at_ms, at_ms.saturating_add(LATE_MS), taken)
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

    /// Paid at `paid_ms`; taken when said, otherwise on its way back 24 hours after it was stored.
    fn paid(at_ms: i64, paid_ms: i64, taken_ms: Option<i64>) -> Self {
        let sent_ms = paid_ms.saturating_add(SENDING_MS);
        let expiry_ms = at_ms.saturating_add(DAY_MS);
        let delivery = [(paid_ms, Step::Pay), (sent_ms, Step::Become(State::Sent))];
        match taken_ms {
            Some(taken_ms) => {
                let taken_ms = taken_ms.max(sent_ms);
                let end = [(taken_ms, Step::Become(State::Received))];
                Self::of(delivery.into_iter().chain(end))
            }
            None => {
                let back_ms = expiry_ms.saturating_add(30 * MINUTE_MS);
                let end = [
                    (expiry_ms, Step::Become(State::RfundIng)),
                    (back_ms, Step::Become(State::Refund)),
                ];
                Self::of(delivery.into_iter().chain(end))
            }
        }
    }
}

impl Odds {
    fn taken_at(self, at_ms: i64, mch_billno: &str) -> Option<i64> {
        let lot = draw::below(1000, self.seed, &["taken", mch_billno]);
        let wait = draw::span_ms(MINUTE_MS, 4 * HOUR_MS, self.seed, &["wait", mch_billno]);
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
        let plan = plan(keep, 0, mch_billno, ODDS).unwrap();
        assert!(plan.steps.is_sorted_by_key(|due| due.at_ms));
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
        assert!(plan(Keep::Nothing, 0, "n", ODDS).is_none());
    }

    #[test]
    fn a_refund_comes_after_24_hours() {
        let plan = plan(Keep::NeverTaken, 5, "n", ODDS).unwrap();
        let refunding = plan.steps.get(2).unwrap();
        assert_eq!(refunding.step, Step::Become(State::RfundIng));
        assert_eq!(refunding.at_ms, 5 + DAY_MS);
    }
}
