//! What it takes to speak for a merchant of the platform.

use std::fmt;

use crate::domain::open_platform::PriceRule;
use crate::domain::text::{Code, MchId};
use crate::provider::Identity;
use crate::signing::open_platform::{Head, SignType, md5_sign, md5_verify, rsa_sign, rsa_verify};
use crate::signing::private::PrivateKey;
use crate::signing::rsa::PublicKey;

/// The secret of signatures by MD5, known to both sides. Never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The secret, if it is 8 to 128 printable ASCII characters without blanks. One with a line
    /// break from a mounted file would otherwise fail as a wrong signature, much later.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let fits = (8..=128).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(raw.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How requests are signed.
#[derive(Clone, Debug)]
pub enum Signer {
    /// RSA over SHA-256: what the platform takes unless it is told otherwise.
    Sha256Rsa(Box<PrivateKey>),
    /// MD5, for old merchants.
    Md5(Secret),
}

impl Signer {
    pub(super) fn sign_type(&self) -> SignType {
        match self {
            Self::Sha256Rsa(_) => SignType::Sha256Rsa,
            Self::Md5(_) => SignType::Md5,
        }
    }

    /// None if the system has no random numbers.
    pub(super) fn sign(&self, head: &Head<'_>, body: &[u8]) -> Option<String> {
        match self {
            Self::Sha256Rsa(key) => rsa_sign(head, body, key),
            Self::Md5(secret) => Some(md5_sign(head, body, &secret.0)),
        }
    }
}

/// How callbacks are signed. The page of callbacks lists no `signType`, and its sample is MD5
/// whatever requests are signed with, so it is a setting of its own.
#[derive(Clone, Debug)]
pub enum CallbackKey {
    /// RSA over SHA-256, by the platform's key.
    Sha256Rsa(PublicKey),
    /// MD5, by the shared secret.
    Md5(Secret),
}

impl CallbackKey {
    pub(super) fn sign_type(&self) -> SignType {
        match self {
            Self::Sha256Rsa(_) => SignType::Sha256Rsa,
            Self::Md5(_) => SignType::Md5,
        }
    }

    pub(super) fn verifies(&self, head: &Head<'_>, body: &[u8], sign: &str) -> bool {
        match self {
            Self::Sha256Rsa(key) => rsa_verify(head, body, key, sign),
            Self::Md5(secret) => md5_verify(head, body, &secret.0, sign),
        }
    }
}

/// What it takes to speak for one merchant.
#[derive(Clone, Debug)]
pub struct OpenPlatformCredential {
    /// Its name in the configuration, for logs.
    pub name: String,
    /// Where the platform is, without `/v1/openapi`; plain `http` is for loopback alone.
    pub base_url: String,
    /// The merchant (`merchantId`): 1 to 64 characters, [`MchId::of_app`].
    pub merchant_id: MchId,
    /// The business that the platform has given the merchant (`businessId`).
    pub business_id: Code,
    /// The template of orders that name none (`templateId`).
    pub template_id: Code,
    /// How requests are signed.
    pub signer: Signer,
    /// How callbacks are signed; without it none is believed.
    pub callback_key: Option<CallbackKey>,
    /// Where the platform reports orders that name no address (`callbackUrl`): our listener.
    pub callback_url: Option<String>,
    /// What the platform may charge.
    pub price_rule: PriceRule,
    /// Proves who calls, where the platform asks for it.
    pub client_identity: Option<Identity>,
    /// The only authorities that are trusted, as PEM; without it, those of the system.
    pub ca_pem: Option<Vec<u8>>,
}
