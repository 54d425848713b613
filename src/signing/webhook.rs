//! Signatures of what we post to others' servers, as Standard Webhooks has them (symmetric,
//! `v1`): HMAC-SHA256 over `id.timestamp.body`, sent in three headers.
//!
//! While a secret is being replaced both sign, and the receiver takes either.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// The header with the message's id: the same for every try, so that a receiver knows repeats.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the time of the try, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// What a receiver should allow between its clock and ours, and for the way.
pub const TOLERANCE: Duration = Duration::from_secs(300);

const SECRET_PREFIX: &str = "whsec_";
const VERSION: &str = "v1,";
/// Lengths of secrets, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Lengths of ids.
const ID_BYTES: std::ops::RangeInclusive<usize> = 1..=64;
/// More signatures than this are not looked at: each costs an HMAC.
const SIGNATURES_MAX: usize = 8;

/// The id of a message: 1 to 64 of `[A-Za-z0-9_-]`. A dot in it could be taken for the one
/// behind it, and one signature would fit two messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// The id, if it keeps the rule above.
    pub fn parse(raw: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let valid = ID_BYTES.contains(&raw.len()) && raw.bytes().all(allowed);
        valid.then(|| Self(raw.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A secret that we share with a receiver. Never printed.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Reads `whsec_` and base64 of 24 to 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_bytes(&STANDARD.decode(text.strip_prefix(SECRET_PREFIX)?).ok()?)
    }

    /// Makes one of 24 to 64 random bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        SECRET_BYTES
            .contains(&bytes.len())
            .then(|| Self(bytes.to_vec()))
    }

    /// Makes one of as many random bytes as SHA-256 has.
    pub fn of_random(bytes: [u8; 32]) -> Self {
        Self(bytes.to_vec())
    }

    /// The text that [`Self::parse`] reads: for the receiver, once, and for encryption.
    pub fn expose(&self) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(&self.0))
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The value of [`SIGNATURE_HEADER`] for one try, `timestamp` in seconds since 1970: a
/// signature by the newest secret and, while that is being introduced, one by the older.
pub fn sign(
    newest: &Secret,
    older: Option<&Secret>,
    id: &MessageId,
    timestamp: i64,
    body: &[u8],
) -> String {
    let content = content(id.as_str(), &timestamp.to_string(), body);
    let one = |secret: &Secret| {
        let tag = hmac::sign(&secret.key(), &content);
        format!("{VERSION}{}", STANDARD.encode(tag))
    };
    let signatures: Vec<_> = std::iter::once(newest).chain(older).map(one).collect();
    signatures.join(" ")
}

/// Why a message is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// The id is none.
    #[error("webhook-id is missing or malformed")]
    Id,
    /// The time is none.
    #[error("webhook-timestamp is no number of seconds")]
    Timestamp,
    /// The time is too far from now, before or after.
    #[error("webhook-timestamp is too far from now")]
    Stale,
    /// No signature fits.
    #[error("no signature fits")]
    Signature,
}

/// What came in the three headers.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    /// [`ID_HEADER`].
    pub id: &'a str,
    /// [`TIMESTAMP_HEADER`].
    pub timestamp: &'a str,
    /// [`SIGNATURE_HEADER`].
    pub signature: &'a str,
}

/// What a receiver does: whether a message is signed with a secret and of now, `now` in
/// seconds since 1970. Signatures are compared in constant time.
///
/// # Errors
/// Why not.
pub fn verify(
    secret: &Secret,
    headers: Headers<'_>,
    body: &[u8],
    now: i64,
    tolerance: Duration,
) -> Result<(), Refused> {
    MessageId::parse(headers.id).ok_or(Refused::Id)?;
    let digits = headers.timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let timestamp: i64 = headers.timestamp.parse().map_err(|_| Refused::Timestamp)?;
    if !digits {
        return Err(Refused::Timestamp);
    }
    if timestamp.abs_diff(now) > tolerance.as_secs() {
        return Err(Refused::Stale);
    }
    let (key, content) = (secret.key(), content(headers.id, headers.timestamp, body));
    let fits = |signature: &str| {
        signature
            .strip_prefix(VERSION)
            .and_then(|text| STANDARD.decode(text).ok())
            .is_some_and(|tag| hmac::verify(&key, &content, &tag).is_ok())
    };
    let mut signatures = headers.signature.split(' ').take(SIGNATURES_MAX);
    if signatures.any(fits) {
        Ok(())
    } else {
        Err(Refused::Signature)
    }
}

fn content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests;
