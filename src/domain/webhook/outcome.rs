//! What an answer to a delivery means.

use std::borrow::Cow;
use std::time::Duration;

use super::super::text::has_hidden;

/// So much of a reply is kept, in bytes of the reply.
pub const EXCERPT_BYTES: usize = 256;
/// The longest pause that a receiver may ask for.
pub const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// How one try to deliver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// 2xx: the receiver has it.
    Done,
    /// 410: the receiver wants no more, of this or of anything.
    Gone,
    /// 3xx. It is not followed: the receiver must be told to us by its own URL.
    Redirect,
    /// Another status.
    Status(u16),
    /// No head of a reply within the time.
    Timeout,
    /// The receiver, or all that its name leads to, lies where the service must not reach.
    AddressRefused,
    /// The name is not known, or cannot be asked for now.
    NameNotFound,
    /// No connection within its time.
    ConnectionFailed,
    /// The connection broke before the head of a reply had come, or what came is no HTTP.
    ConnectionLost,
    /// No agreement about TLS: mostly a certificate that is not the host's, or has expired.
    TlsFailed,
    /// The request could not be made of what was given. Nothing was sent.
    NotSent,
}

impl Outcome {
    /// What a status means.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Done,
            300..=399 => Self::Redirect,
            410 => Self::Gone,
            other => Self::Status(other),
        }
    }

    /// Whether the delivery has ended well.
    #[must_use]
    pub fn is_done(self) -> bool {
        self == Self::Done
    }

    /// A short stable word for rows, logs and metrics: `DONE`, `HTTP_500`, `TIMEOUT`.
    #[must_use]
    pub fn code(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Done => "DONE",
            Self::Gone => "HTTP_410",
            Self::Redirect => "REDIRECT",
            Self::Status(status) => return Cow::Owned(format!("HTTP_{status}")),
            Self::Timeout => "TIMEOUT",
            Self::AddressRefused => "ADDRESS_REFUSED",
            Self::NameNotFound => "NAME_NOT_FOUND",
            Self::ConnectionFailed => "CONNECTION_FAILED",
            Self::ConnectionLost => "CONNECTION_LOST",
            Self::TlsFailed => "TLS_FAILED",
            Self::NotSent => "NOT_SENT",
        })
    }

    /// The same with few values, for the label of a metric: `HTTP_4XX` for every refusal.
    #[must_use]
    pub fn class(self) -> Cow<'static, str> {
        match self {
            Self::Status(status) => Cow::Owned(format!("HTTP_{}XX", status / 100)),
            Self::Done
            | Self::Gone
            | Self::Redirect
            | Self::Timeout
            | Self::AddressRefused
            | Self::NameNotFound
            | Self::ConnectionFailed
            | Self::ConnectionLost
            | Self::TlsFailed
            | Self::NotSent => self.code(),
        }
    }
}

/// How long a receiver asks us to wait by `Retry-After`, at most [`WAIT_MAX`]. Only 429 and
/// 503 can ask, and only in seconds: a date would need the receiver's clock.
#[must_use]
pub fn wait_asked(status: u16, header: &str) -> Option<Duration> {
    let header = header.trim();
    let digits = !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(status, 429 | 503) || !digits {
        return None;
    }
    // More digits than a number has is long enough.
    let seconds = header.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds).min(WAIT_MAX))
}

/// The beginning of a reply, for people: [`EXCERPT_BYTES`] of it, what is no UTF-8 or could
/// do something to a terminal as `U+FFFD`. At most three times as many bytes.
#[must_use]
pub fn excerpt(reply: &[u8]) -> String {
    let kept = reply.get(..EXCERPT_BYTES).unwrap_or(reply);
    let visible = |c: char| {
        if has_hidden(c.encode_utf8(&mut [0; 4])) {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    String::from_utf8_lossy(kept).chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_a_meaning() {
        for (status, outcome, code, class) in [
            (101, Outcome::Status(101), "HTTP_101", "HTTP_1XX"),
            (200, Outcome::Done, "DONE", "DONE"),
            (204, Outcome::Done, "DONE", "DONE"),
            (299, Outcome::Done, "DONE", "DONE"),
            (301, Outcome::Redirect, "REDIRECT", "REDIRECT"),
            (308, Outcome::Redirect, "REDIRECT", "REDIRECT"),
            (400, Outcome::Status(400), "HTTP_400", "HTTP_4XX"),
            (409, Outcome::Status(409), "HTTP_409", "HTTP_4XX"),
            (410, Outcome::Gone, "HTTP_410", "HTTP_410"),
            (429, Outcome::Status(429), "HTTP_429", "HTTP_4XX"),
            (500, Outcome::Status(500), "HTTP_500", "HTTP_5XX"),
            (999, Outcome::Status(999), "HTTP_999", "HTTP_9XX"),
        ] {
            let found = Outcome::of_status(status);
            assert_eq!(found, outcome);
            assert_eq!((&*found.code(), &*found.class()), (code, class));
            assert_eq!(found.is_done(), (200..300).contains(&status));
        }
    }

    #[test]
    fn codes_differ() {
        let codes: std::collections::HashSet<_> = [
            Outcome::Done,
            Outcome::Gone,
            Outcome::Redirect,
            Outcome::Status(500),
            Outcome::Timeout,
            Outcome::AddressRefused,
            Outcome::NameNotFound,
            Outcome::ConnectionFailed,
            Outcome::ConnectionLost,
            Outcome::TlsFailed,
            Outcome::NotSent,
        ]
        .map(Outcome::code)
        .into();
        assert_eq!(codes.len(), 11);
    }

    #[test]
    fn a_receiver_may_ask_for_an_hour_at_most() {
        let seconds = |status, header| wait_asked(status, header).map(|wait| wait.as_secs());
        for (status, header, wait) in [
            (429, "0", Some(0)),
            (429, "120", Some(120)),
            (503, " 7 ", Some(7)),
            (503, "3600", Some(3_600)),
            (503, "3601", Some(3_600)),
            (429, "99999999999999999999999", Some(3_600)),
            (429, "", None),
            (429, "-1", None),
            (429, "+1", None),
            (429, "1.5", None),
            (429, "Wed, 21 Oct 2026 07:28:00 GMT", None),
            (500, "120", None),
            (200, "120", None),
        ] {
            assert_eq!(seconds(status, header), wait, "{status} {header}");
        }
    }

    #[test]
    fn excerpts_are_short_and_harmless() {
        assert_eq!(excerpt(b""), "");
        assert_eq!(excerpt("收到 ok".as_bytes()), "收到 ok");
        assert_eq!(
            excerpt(b"a\x1b[2Jb\r\nc\0"),
            "a\u{FFFD}[2Jb\u{FFFD}\u{FFFD}c\u{FFFD}"
        );
        assert_eq!(excerpt("a\u{202E}b".as_bytes()), "a\u{FFFD}b");
        assert_eq!(excerpt(&[b'x'; 300]), "x".repeat(EXCERPT_BYTES));
        let noise = excerpt(&[0xff; 300]);
        assert_eq!(noise.chars().count(), EXCERPT_BYTES);
        assert!(noise.len() <= 3 * EXCERPT_BYTES);
    }
}
