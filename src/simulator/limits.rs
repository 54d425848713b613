//! The limits that count requests in real seconds, and how often any limit refused.
//!
//! Real seconds, whatever the time scale: an exchange takes as long as it takes, and a client that
//! spreads its requests does so by a real clock. All of it is in memory and begins anew with the
//! simulator; what is counted by simulated day or minute is part of the books.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::chaos::Call;
use super::clock;
use super::config::Limits;
use super::reply::Refusal;

const SECOND: Duration = Duration::from_secs(1);
/// The name under which refused queries are counted; the reply says FREQ_LIMIT.
const FREQ_LIMIT_QUERY: &str = "FREQ_LIMIT_QUERY";
/// Everything that is counted, so that a limit which never refused is a 0.
const COUNTED: [&str; 5] = [
    "FREQ_LIMIT",
    FREQ_LIMIT_QUERY,
    "RCVDAMOUNT_LIMIT",
    "SENDAMOUNT_LIMIT",
    "SENDNUM_LIMIT",
];

/// The limits in force, and what they have seen since the simulator started.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// Those let through, which is what a limit counts.
    sends: LastSecond,
    queries: LastSecond,
    /// Every send, let through or not.
    arrivals: LastSecond,
    peak_sends: usize,
    refused: BTreeMap<&'static str, u64>,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            seen: Mutex::new(Seen {
                sends: LastSecond::default(),
                queries: LastSecond::default(),
                arrivals: LastSecond::default(),
                peak_sends: 0,
                refused: COUNTED.map(|name| (name, 0)).into(),
            }),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Notes a request that arrives; false if the last second has no place left for it.
    pub(super) fn arrives(&self, call: Call) -> bool {
        self.seen(|seen| {
            // Under the lock, so that the instants are in order.
            let now = clock::monotonic();
            match call {
                Call::Send => {
                    let arrived = seen.arrivals.add(now);
                    seen.peak_sends = seen.peak_sends.max(arrived);
                    seen.sends.take(now, self.limits.sends_per_second)
                }
                Call::Query => seen.queries.take(now, self.limits.queries_per_second),
            }
        })
    }

    /// The refusal of a request that came too often.
    pub(super) fn too_often(&self, call: Call) -> Refusal {
        match call {
            Call::Send => self.refusal("FREQ_LIMIT"),
            Call::Query => {
                self.count(FREQ_LIMIT_QUERY);
                Refusal::code("FREQ_LIMIT")
            }
        }
    }

    /// The refusal of a send by the limit that has this code.
    pub(super) fn refusal(&self, code: &'static str) -> Refusal {
        self.count(code);
        Refusal::code(code)
    }

    /// How often each limit refused.
    pub(super) fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.seen(|seen| seen.refused.clone())
    }

    /// The most sends that arrived within any one real second.
    pub(super) fn peak_sends_per_second(&self) -> usize {
        self.seen(|seen| seen.peak_sends)
    }

    fn count(&self, name: &'static str) {
        self.seen(|seen| *seen.refused.entry(name).or_insert(0) += 1);
    }

    fn seen<T>(&self, with: impl FnOnce(&mut Seen) -> T) -> T {
        with(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The instants of the second that ends now, the earliest first.
#[derive(Debug, Default)]
struct LastSecond(VecDeque<Instant>);

impl LastSecond {
    /// Adds one; how many there are now.
    fn add(&mut self, now: Instant) -> usize {
        self.forget(now);
        self.0.push_back(now);
        self.0.len()
    }

    /// Adds one if there is a place for it. Without a limit there is nothing to remember.
    fn take(&mut self, now: Instant, limit: Option<u32>) -> bool {
        let Some(limit) = limit else {
            return true;
        };
        self.forget(now);
        let free = u32::try_from(self.0.len()).is_ok_and(|count| count < limit);
        if free {
            self.0.push_back(now);
        }
        free
    }

    fn forget(&mut self, now: Instant) {
        let over = |at: &Instant| now.saturating_duration_since(*at) >= SECOND;
        while self.0.front().is_some_and(over) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_one_second_after_it_was_taken() {
        let begin = clock::monotonic();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut window = LastSecond::default();
        assert!(window.take(at(0), Some(2)));
        assert!(window.take(at(600), Some(2)));
        assert!(!window.take(at(999), Some(2)));
        // The refused one took no place, and the second is no calendar second.
        assert!(window.take(at(1_000), Some(2)));
        assert!(!window.take(at(1_599), Some(2)));
        assert!(window.take(at(1_600), Some(2)));
        assert!(!window.take(at(5_000), Some(0)));
        assert!(window.take(at(5_000), None));
    }

    #[test]
    fn what_is_refused_still_shows_in_the_peak() {
        let gate = Gate::new(Limits {
            sends_per_second: Some(1),
            ..Limits::default()
        });
        let admitted = [(); 3].map(|()| gate.arrives(Call::Send));
        assert_eq!(admitted, [true, false, false]);
        assert!(
            gate.arrives(Call::Query),
            "a query takes no place of a send"
        );
        assert_eq!(gate.peak_sends_per_second(), 3);
    }

    #[test]
    fn every_limit_is_counted_under_its_own_name() {
        let gate = Gate::new(Limits::default());
        assert!(gate.refused().values().all(|count| *count == 0));
        let codes = [Call::Send, Call::Query].map(|call| gate.too_often(call));
        assert_eq!(codes, [(); 2].map(|()| Refusal::code("FREQ_LIMIT")));
        let refused = gate.refused();
        assert_eq!((refused["FREQ_LIMIT"], refused[FREQ_LIMIT_QUERY]), (1, 1));
        assert_eq!(refused.len(), COUNTED.len());
    }
}
