//! Signatures of both sides: `signing` says what is signed, this file with whose key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::config::OpenConfig;
use crate::signing::md5_hex;
use crate::signing::rsa::{Hash, PublicKey};

/// What the header `signType` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignType {
    Rsa,
    Md5,
}

impl SignType {
    /// Without the header it is RSA.
    pub(super) fn from_header(text: &str) -> Option<Self> {
        match text {
            "" | "SHA256-RSA" => Some(Self::Rsa),
            "MD5" => Some(Self::Md5),
            _ => None,
        }
    }
}

/// Everything that a signature covers; what is empty was not sent.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    pub(super) business_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) timestamp: &'a str,
    pub(super) sign_type: &'a str,
    pub(super) body: &'a [u8],
}

impl Signed<'_> {
    fn text(&self) -> Vec<u8> {
        let pairs = [
            ("businessId", self.business_id),
            ("nonce", self.nonce),
            ("signType", self.sign_type),
            ("timestamp", self.timestamp),
        ];
        let pairs: Vec<String> = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        [pairs.join("&").as_bytes(), self.body].concat()
    }

    /// Upper-case digits only: the platform's own samples have no others.
    pub(super) fn is_md5(&self, secret: &str, sign: &str) -> bool {
        let upper = !sign.bytes().any(|byte| byte.is_ascii_lowercase());
        let digest = md5_hex::digest(&[&self.text(), secret.as_bytes()]);
        upper && md5_hex::is(sign, &digest)
    }

    pub(super) fn is_rsa(&self, key: &PublicKey, sign: &str) -> bool {
        let signature = STANDARD.decode(sign);
        signature.is_ok_and(|signature| key.verify(Hash::Sha256, &self.text(), &signature))
    }

    /// The platform's signature, or one that is not the platform's.
    pub(super) fn by_platform(&self, config: &OpenConfig, forged: bool) -> Option<String> {
        let mut text = self.text();
        if forged {
            text.push(b' ');
        }
        match &config.platform_key {
            Some(key) => Some(STANDARD.encode(key.private.sign(Hash::Sha256, &text)?)),
            None => {
                let digest = md5_hex::digest(&[&text, config.secret.as_bytes()]);
                Some(md5_hex::lower(&digest).to_uppercase())
            }
        }
    }
}
