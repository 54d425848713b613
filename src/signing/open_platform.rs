//! The signatures of seed 003 (兑换系统开放接口, "open platform"): requests and callbacks alike.
//!
//! What is signed is the headers `businessId`, `nonce`, `signType` and `timestamp`, as `key=value`
//! joined by `&`, and then the raw body with nothing between. What is empty or was not sent is
//! left out, so a message without the header `signType` has no such entry. The body enters as the
//! bytes that are sent: `175` and `175.00` are the same number and two signatures.
//!
//! Because values are not escaped, one text can be read as several messages: `&` in a nonce could
//! hide another header, and a digit could move from the timestamp into the body. A reader takes
//! only messages for which [`Head::is_sound`] holds and whose body begins with a brace; among
//! those, a text stands for one message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::md5_hex;
use super::private::PrivateKey;
use super::rsa::{Hash, PublicKey};

/// Longer than any nonce or business id that was seen; what is longer is not looked at.
const MAX_VALUE: usize = 128;
/// 9,999,999,999,999 ms is the year 2286, and 1,000,000,000,000 ms is 2001: milliseconds of our
/// time have 13 digits, seconds have 10.
const TIMESTAMP_LEN: usize = 13;

/// How a message is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignType {
    /// RSA with padding of PKCS#1 v1.5 over SHA-256, in Base64: what an absent header means.
    Sha256Rsa,
    /// MD5 over the text and then the secret, in upper-case hexadecimal.
    Md5,
}

impl SignType {
    /// Both, in the order of the declaration.
    pub const ALL: [Self; 2] = [Self::Sha256Rsa, Self::Md5];

    /// Reads the value of the header `signType`, in exactly the platform's spelling: "md5" is
    /// none.
    pub fn parse(raw: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == raw)
    }

    /// The value of the header `signType`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256Rsa => "SHA256-RSA",
            Self::Md5 => "MD5",
        }
    }
}

/// The signed headers of a message, each as it stands there; one that is absent is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Who asks, or for whom the callback is (`businessId`).
    pub business_id: &'a str,
    /// Another one in every message (`nonce`).
    pub nonce: &'a str,
    /// [`SignType::name`], if the header is sent (`signType`).
    pub sign_type: &'a str,
    /// Milliseconds since 1970 as decimal digits (`timestamp`).
    pub timestamp: &'a str,
}

impl Head<'_> {
    /// What is signed, before an MD5 secret.
    pub fn text(&self, body: &[u8]) -> Vec<u8> {
        // Already in the order of the keys.
        let entries = [
            ("businessId", self.business_id),
            ("nonce", self.nonce),
            ("signType", self.sign_type),
            ("timestamp", self.timestamp),
        ];
        let mut text = Vec::with_capacity(256 + body.len());
        for (key, value) in entries.into_iter().filter(|(_, value)| !value.is_empty()) {
            if !text.is_empty() {
                text.push(b'&');
            }
            for part in [key, "=", value] {
                text.extend_from_slice(part.as_bytes());
            }
        }
        text.extend_from_slice(body);
        text
    }

    /// Whether the values can be read in one way only: the business id and the nonce are 1 to 128
    /// printable ASCII characters without `&`, the sign type is absent or known, the timestamp is
    /// 13 digits.
    pub fn is_sound(&self) -> bool {
        let plain = |value: &str| {
            (1..=MAX_VALUE).contains(&value.len())
                && value.bytes().all(|b| b.is_ascii_graphic() && b != b'&')
        };
        plain(self.business_id)
            && plain(self.nonce)
            && (self.sign_type.is_empty() || SignType::parse(self.sign_type).is_some())
            && self.timestamp.len() == TIMESTAMP_LEN
            && self.timestamp.bytes().all(|b| b.is_ascii_digit())
    }
}

/// The header `sign` by a shared secret: 32 upper-case hexadecimal digits.
pub fn md5_sign(head: &Head<'_>, body: &[u8], secret: &str) -> String {
    md5_hex::lower(&digest(head, body, secret)).to_ascii_uppercase()
}

/// Whether `sign`, in either case, is the signature by a shared secret; in constant time.
pub fn md5_verify(head: &Head<'_>, body: &[u8], secret: &str, sign: &str) -> bool {
    md5_hex::is(sign, &digest(head, body, secret))
}

fn digest(head: &Head<'_>, body: &[u8], secret: &str) -> [u8; 16] {
    md5_hex::digest(&[&head.text(body), secret.as_bytes()])
}

/// The header `sign` by a private key, in Base64; none if the system has no random numbers.
pub fn rsa_sign(head: &Head<'_>, body: &[u8], key: &PrivateKey) -> Option<String> {
    let signature = key.sign(Hash::Sha256, &head.text(body))?;
    Some(STANDARD.encode(signature))
}

/// Whether `sign` is the signature by the owner of a public key. Base64 means its case.
pub fn rsa_verify(head: &Head<'_>, body: &[u8], key: &PublicKey, sign: &str) -> bool {
    STANDARD
        .decode(sign)
        .is_ok_and(|signature| key.verify(Hash::Sha256, &head.text(body), &signature))
}

#[cfg(test)]
mod tests;
