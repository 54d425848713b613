//! Yuan as decimal text: what a request says, what a template takes off, what an order costs.
//!
//! A price is counted in millionths of a yuan, so that fen times four decimals of discount stay
//! whole. Nothing here is ever a float.

/// Millionths of a yuan in a fen.
const MICRO_PER_FEN: i64 = 10_000;
const MICRO_PER_YUAN: u64 = 1_000_000;
/// Yuan before the point: nine digits, as many as the largest amount that is taken has.
const YUAN_DIGITS: usize = 9;

/// Fen from the text of a JSON number of yuan: plain digits, at most two of them after a point,
/// more than zero.
pub(super) fn fen(text: &str) -> Option<i64> {
    parts(text, 2).filter(|fen| *fen > 0)
}

/// A decimal text as a whole number of its last allowed decimal.
fn parts(text: &str, decimals: usize) -> Option<i64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (text, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = (1..=YUAN_DIGITS).contains(&whole.len()) && fraction.len() <= decimals;
    if !fits || !digits(whole) || !digits(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<decimals$}").parse().ok()
}

/// Millionths of a yuan as decimal text without zeros at the end: `0.985`, `175`.
pub(super) fn yuan(micro: i64) -> String {
    let sign = if micro < 0 { "-" } else { "" };
    let size = micro.unsigned_abs();
    let (whole, rest) = (size / MICRO_PER_YUAN, size % MICRO_PER_YUAN);
    let text = format!("{sign}{whole}.{rest:06}");
    let text = text.trim_end_matches('0');
    text.strip_suffix('.').unwrap_or(text).to_owned()
}

pub(super) fn micro_of_fen(fen: i64) -> i64 {
    fen.saturating_mul(MICRO_PER_FEN)
}

/// What of the face value is paid to the platform: 1 is all of it, more is a fee on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discount {
    per_ten_thousand: i64,
}

impl Discount {
    /// The price is the face value.
    pub const NONE: Self = Self {
        per_ten_thousand: 10_000,
    };

    /// Reads a factor such as `0.985`: more than 0, at most 10, at most four decimals.
    pub fn parse(text: &str) -> Option<Self> {
        let per_ten_thousand = parts(text, 4)?;
        (1..=100_000)
            .contains(&per_ten_thousand)
            .then_some(Self { per_ten_thousand })
    }

    /// The price of a face value, in millionths of a yuan, exact.
    pub(super) fn price_micro(self, fen: i64) -> i64 {
        fen.saturating_mul(self.per_ten_thousand)
    }

    /// As [`Discount::parse`] reads it.
    pub(super) fn text(self) -> String {
        yuan(self.per_ten_thousand.saturating_mul(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuan_are_read_digit_by_digit() {
        for (text, expected) in [
            ("175", Some(17_500)),
            ("175.00", Some(17_500)),
            ("0.3", Some(30)),
            ("0.01", Some(1)),
            ("999999999.99", Some(99_999_999_999)),
            ("0", None),
            ("0.00", None),
            ("-1", None),
            ("1.005", None),
            ("1.", None),
            (".5", None),
            ("1e2", None),
            ("1000000000", None),
            ("１", None),
            ("", None),
        ] {
            assert_eq!(fen(text), expected, "{text}");
        }
    }

    #[test]
    fn prices_are_exact() {
        let price = |discount: &str, fen| yuan(Discount::parse(discount).unwrap().price_micro(fen));
        assert_eq!(price("1", 17_500), "175");
        assert_eq!(price("0.985", 101), "0.99485");
        assert_eq!(price("1.006", 100), "1.006");
        assert_eq!(price("0.9999", 1), "0.009999");
        assert_eq!(yuan(-1_500_000), "-1.5");
        assert_eq!(micro_of_fen(3), 30_000);
    }

    #[test]
    fn a_discount_is_a_small_factor() {
        assert_eq!(Discount::parse("1"), Some(Discount::NONE));
        assert_eq!(Discount::parse("0.985").unwrap().text(), "0.985");
        for bad in ["0", "10.1", "0.00001", "-1", "x", ""] {
            assert_eq!(Discount::parse(bad), None, "{bad}");
        }
    }
}
