//! Counts of the running minute and the running Beijing day, for the limits of the documents.
//!
//! They are part of the ledger, so a restart does not hand out a new day's allowance.

use std::collections::HashMap;

use super::super::clock;

/// A count that starts again with every window of time.
#[derive(Debug, Default)]
struct Window<T> {
    number: i64,
    count: T,
}

impl<T: Default> Window<T> {
    /// The count of window `number`; an earlier window's is gone.
    fn at(&mut self, number: i64) -> &mut T {
        if self.number != number {
            self.number = number;
            self.count = T::default();
        }
        &mut self.count
    }
}

#[derive(Debug, Default)]
pub(in super::super) struct Windows {
    minute: Window<u32>,
    day: Window<HashMap<String, u32>>,
}

impl Windows {
    pub(super) fn request(&mut self, at_ms: i64) {
        *self.minute.at(clock::minute_number(at_ms)) += 1;
    }

    pub(super) fn order(&mut self, at_ms: i64, openid_hash: &str) {
        let day = self.day.at(clock::day_number(at_ms));
        *day.entry(openid_hash.to_owned()).or_insert(0) += 1;
    }

    /// Send requests in the minute of `at_ms`.
    pub(in super::super) fn requests(&mut self, at_ms: i64) -> u32 {
        *self.minute.at(clock::minute_number(at_ms))
    }

    /// Orders stored for an openid in the Beijing day of `at_ms`.
    pub(in super::super) fn orders(&mut self, at_ms: i64, openid_hash: &str) -> u32 {
        let day = self.day.at(clock::day_number(at_ms));
        day.get(openid_hash).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_day_begins_at_midnight_in_beijing() {
        let midnight = 16 * clock::HOUR_MS;
        let mut windows = Windows::default();
        windows.order(midnight - 1, "a");
        assert_eq!(windows.orders(midnight - 1, "a"), 1);
        assert_eq!(windows.orders(midnight - 1, "b"), 0);
        assert_eq!(windows.orders(midnight, "a"), 0);
    }

    #[test]
    fn a_minute_is_counted_by_itself() {
        let mut windows = Windows::default();
        windows.request(59_999);
        windows.request(59_999);
        assert_eq!(windows.requests(0), 2);
        assert_eq!(windows.requests(60_000), 0);
    }
}
