//! What an app signs its calls with, and what of it this service asks for.

use std::time::Duration;

use chrono::NaiveDateTime;
use sea_orm::{DeriveActiveEnum, EnumIter};

use super::Timestamp;
use super::error::{Error, Reason};

/// How far a signed time may be from the server's, in seconds: unless said otherwise, and at
/// most.
pub const WINDOW_DEFAULT: i32 = 300;
/// See [`WINDOW_DEFAULT`].
pub const WINDOW_MAX: i32 = 900;
/// How long a nonce is kept: longer than a signature that was made with it can be good.
pub const NONCE_KEPT: Duration = Duration::from_secs(3_600);

/// Which calls of an app must be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Required {
    /// None; a signature that is there must be right even so.
    Nothing,
    /// Those that give, spend or hold vouchers.
    Vouchers,
    /// All.
    Everything,
}

/// What seed 002 hashes with before RSA, which its document does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum MapHash {
    /// SHA1withRSA.
    Sha1,
    /// SHA256withRSA.
    Sha256,
    /// MD5withRSA.
    Md5,
}

/// The time in a signature: seconds since 1970 in 10 digits, or `yyyyMMddHHmmss` in Beijing.
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match text.len() {
        10 => Timestamp::from_parts(text.parse().ok()?, 0),
        14 => {
            let naive = NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%S").ok()?;
            Timestamp::parse_beijing(&naive.format("%Y-%m-%d %H:%M:%S").to_string())
        }
        _ => None,
    }
}

/// Whether a signed time lies within so many seconds of now, in either direction.
#[must_use]
pub fn is_current(text: &str, now: Timestamp, window_seconds: i32) -> bool {
    let window = i64::from(window_seconds) * 1_000_000;
    parse_time(text).is_some_and(|at| at.0.abs_diff(now.0) <= window.unsigned_abs())
}

/// A nonce: so many to 64 of `[A-Za-z0-9_-]`.
#[must_use]
pub fn is_nonce(text: &str, least: usize) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (least..=64).contains(&text.len()) && text.bytes().all(token)
}

/// A shared key: 16 to 128 printable ASCII characters without blanks.
#[must_use]
pub fn is_key(text: &str) -> bool {
    (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The refusal of a call whose signature is missing or wrong. It says nothing more, or it
/// would help whoever guesses.
#[must_use]
pub fn invalid() -> Error {
    let text = "the signature is missing or wrong; docs/signatures.md has an example to compare with, value by value";
    Error::new(Reason::SignatureInvalid, text.to_owned())
}

/// The refusal of a signed time that is too far away.
#[must_use]
pub fn skewed(now: Timestamp, window_seconds: i32) -> Error {
    let text = format!(
        "the signed time must be within {window_seconds} s of the server's, as seconds since 1970 (10 digits) or yyyyMMddHHmmss in Beijing"
    );
    Error::new(Reason::TimestampSkew, text)
        .fact("server_time", now.to_parts().0)
        .fact("window_seconds", window_seconds)
}

/// The refusal of a nonce that was used.
#[must_use]
pub fn replayed() -> Error {
    let text = "this nonce was used for another call; make a new one for each, and repeat a call byte for byte or with a new nonce";
    Error::new(Reason::NonceReplayed, text.to_owned())
}

/// The refusal of an order that could mean something else.
#[must_use]
pub fn ambiguous() -> Error {
    let text = "other values would have the same digest: begin the remark with a Chinese character, give orders a prefix of their own (see docs/signatures.md), or sign the call as recommended there";
    Error::new(Reason::SignatureAmbiguous, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_time_are_read_and_no_other() {
        let at = Timestamp::parse_beijing("2015-05-04 15:30:00").unwrap();
        assert_eq!(parse_time("20150504153000"), Some(at));
        assert_eq!(parse_time(&at.to_parts().0.to_string()), Some(at));
        for bad in [
            "",
            "0",
            "-143072460",
            "1430724600000",
            "20150504250000",
            "20151304153000",
            "TIMESTAMP!",
            "１４３０７２４６００",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_window_is_open_to_both_sides() {
        let now = Timestamp::from_parts(1_795_700_000, 500_000_000).unwrap();
        for (text, due) in [
            ("1795700000", true),
            ("1795699701", true),
            ("1795699700", false),
            ("1795700300", true),
            ("1795700301", false),
            ("9999999999", false),
            ("99991231235959", false),
        ] {
            assert_eq!(is_current(text, now, 300), due, "{text}");
        }
    }

    #[test]
    fn nonces_and_keys_have_an_alphabet() {
        assert!(is_nonce("n0nce123", 8) && !is_nonce("n0nce123", 16));
        assert!(!is_nonce("n0nce 123", 8) && !is_nonce(&"n".repeat(65), 8));
        assert!(is_key("0123456789abcdef") && !is_key("0123456789abcde"));
        assert!(!is_key("0123456789 abcdef") && !is_key("0123456789abcdé0"));
    }
}
