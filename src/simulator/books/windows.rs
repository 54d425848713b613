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
    day: Window<Day>,
}

/// What a Beijing day has stored.
#[derive(Debug, Default)]
struct Day {
    fen: i64,
    by_openid: HashMap<String, Stored>,
}

/// What a Beijing day has stored for one openid.
#[derive(Debug, Clone, Copy, Default)]
struct Stored {
    orders: u32,
    fen: i64,
}

impl Windows {
    pub(super) fn request(&mut self, at_ms: i64) {
        *self.minute.at(clock::minute_number(at_ms)) += 1;
    }

    pub(super) fn order(&mut self, at_ms: i64, openid_hash: &str, amount_fen: i64) {
        let day = self.day(at_ms);
        day.fen = day.fen.saturating_add(amount_fen);
        let stored = day.by_openid.entry(openid_hash.to_owned()).or_default();
        stored.orders += 1;
        stored.fen = stored.fen.saturating_add(amount_fen);
    }

    fn day(&mut self, at_ms: i64) -> &mut Day {
        self.day.at(clock::day_number(at_ms))
    }

    fn stored(&mut self, at_ms: i64, openid_hash: &str) -> Stored {
        let day = self.day(at_ms);
        day.by_openid.get(openid_hash).copied().unwrap_or_default()
    }

    /// Send requests in the minute of `at_ms`.
    pub(in super::super) fn requests(&mut self, at_ms: i64) -> u32 {
        *self.minute.at(clock::minute_number(at_ms))
    }

    /// Orders stored for an openid in the Beijing day of `at_ms`.
    pub(in super::super) fn orders(&mut self, at_ms: i64, openid_hash: &str) -> u32 {
        self.stored(at_ms, openid_hash).orders
    }

    /// Fen of the orders stored for an openid in the Beijing day of `at_ms`.
    pub(in super::super) fn fen_of(&mut self, at_ms: i64, openid_hash: &str) -> i64 {
        self.stored(at_ms, openid_hash).fen
    }

    /// Fen of all orders stored in the Beijing day of `at_ms`.
    pub(in super::super) fn fen(&mut self, at_ms: i64) -> i64 {
        self.day(at_ms).fen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_day_begins_at_midnight_in_beijing() {
        let midnight = 16 * clock::HOUR_MS;
        let mut windows = Windows::default();
        windows.order(midnight - 1, "a", 100);
        windows.order(midnight - 1, "b", 20);
        windows.order(midnight - 1, "b", 3);
        let mut counts = |at_ms| {
            let of = ["a", "b"].map(|who| (windows.orders(at_ms, who), windows.fen_of(at_ms, who)));
            (of, windows.fen(at_ms))
        };
        assert_eq!(counts(midnight - 1), ([(1, 100), (2, 23)], 123));
        assert_eq!(counts(midnight), ([(0, 0); 2], 0));
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
