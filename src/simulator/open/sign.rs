//! Whose key signs what: `signing` knows how.

use super::config::OpenConfig;
use super::reply::Refusal;
use crate::signing::open_platform::{Head, SignType, md5_sign, md5_verify, rsa_sign, rsa_verify};

/// Whether the merchant signed this request.
pub(super) fn verify(
    config: &OpenConfig,
    head: &Head<'_>,
    body: &[u8],
    sign: &str,
) -> Result<(), Refusal> {
    let refusal = Refusal::of(Refusal::SIGNATURE);
    let sign_type = match head.sign_type {
        "" => SignType::Sha256Rsa,
        given => SignType::parse(given)
            .ok_or_else(|| Refusal::parameter("signType", "is neither SHA256-RSA nor MD5"))?,
    };
    let right = match (sign_type, &config.public_key) {
        // Upper-case digits only: the platform's own samples have no others.
        (SignType::Md5, _) => {
            let upper = !sign.bytes().any(|byte| byte.is_ascii_lowercase());
            upper && md5_verify(head, body, &config.secret, sign)
        }
        (SignType::Sha256Rsa, Some(key)) => rsa_verify(head, body, key, sign),
        (SignType::Sha256Rsa, None) => {
            return Err(refusal.about("no public key of the merchant is known here"));
        }
    };
    match right && head.business_id == config.business_id {
        true => Ok(()),
        false => Err(refusal),
    }
}

/// The platform's signature of a callback. A forged one has the form of a right one, and is over
/// something else.
pub(super) fn callback(
    config: &OpenConfig,
    head: &Head<'_>,
    body: &[u8],
    forged: bool,
) -> Option<String> {
    let more: &[u8] = if forged { b" " } else { b"" };
    let body = [body, more].concat();
    match &config.platform_key {
        Some(key) => rsa_sign(head, &body, &key.private),
        None => Some(md5_sign(head, &body, &config.secret)),
    }
}
