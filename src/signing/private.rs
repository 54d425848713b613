//! RSA signatures with padding of PKCS#1 v1.5, by our own private key: seed 002's `tsig`.
//!
//! What is signed has our nonce in it and nothing that another chooses, and each operation is
//! blinded, so that the time it takes says nothing of the key. Blinding does not change the
//! signature: the same key and message always give the same bytes.

use std::fmt;

use ring::rand::{SecureRandom as _, SystemRandom};
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::traits::PublicKeyParts as _;

use super::rsa::Hash;

/// Moduli that are taken, in bits.
const BITS: std::ops::RangeInclusive<u32> = 2_048..=4_096;

/// A private key. Never printed.
#[derive(Clone)]
pub struct PrivateKey(rsa::PrivateKey);

impl PrivateKey {
    /// Reads PEM: "BEGIN PRIVATE KEY" (PKCS#8) or "BEGIN RSA PRIVATE KEY" (PKCS#1), 2,048 to
    /// 4,096 bits.
    pub fn from_pem(pem: &str) -> Option<Self> {
        let pem = pem.trim();
        let key = match rsa::PrivateKey::from_pkcs8_pem(pem) {
            Ok(key) => key,
            Err(_) => rsa::PrivateKey::from_pkcs1_pem(pem).ok()?,
        };
        BITS.contains(&key.n().bit_width_vartime())
            .then_some(Self(key))
    }

    /// The signature of a message; none if the system has no random numbers.
    pub fn sign(&self, hash: Hash, message: &[u8]) -> Option<Vec<u8>> {
        let (key, random) = (&self.0, &mut Blinding(SystemRandom::new()));
        match hash {
            Hash::Sha1 => key.pkcs1v15_sign_with_rng::<sha1::Sha1, _>(random, message),
            Hash::Sha256 => key.pkcs1v15_sign_with_rng::<sha2::Sha256, _>(random, message),
            Hash::Md5 => key.pkcs1v15_sign_with_rng::<md5::Md5, _>(random, message),
        }
        .ok()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// The system's random numbers, as the crate takes them.
struct Blinding(SystemRandom);

/// The system gave no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random numbers")]
struct NoRandom;

impl Blinding {
    fn bytes<const N: usize>(&self) -> Result<[u8; N], NoRandom> {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes).map_err(|_| NoRandom)?;
        Ok(bytes)
    }
}

impl TryRng for Blinding {
    type Error = NoRandom;

    fn try_next_u32(&mut self) -> Result<u32, NoRandom> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandom> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        self.0.fill(bytes).map_err(|_| NoRandom)
    }
}

impl TryCryptoRng for Blinding {}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::super::rsa::PublicKey;
    use super::*;

    const KEY: &str = include_str!("../../tests/golden/map/private.pem");
    const PUBLIC: &str = include_str!("../../tests/golden/map/public.pem");

    /// Signatures of the same text by openssl.
    const OPENSSL: &str = include_str!("../../tests/golden/map/openssl.json");

    #[test]
    fn openssl_signs_alike_and_the_key_is_not_printed() {
        let openssl: serde_json::Value = serde_json::from_str(OPENSSL).unwrap();
        let message = openssl["message"].as_str().unwrap().as_bytes();
        let (key, public) = (
            PrivateKey::from_pem(KEY).unwrap(),
            PublicKey::from_pem(PUBLIC).unwrap(),
        );
        for (name, hash) in [
            ("sha1", Hash::Sha1),
            ("sha256", Hash::Sha256),
            ("md5", Hash::Md5),
        ] {
            let signature = key.sign(hash, message).unwrap();
            let theirs = STANDARD.decode(openssl[name].as_str().unwrap()).unwrap();
            assert_eq!(signature, theirs, "{name}");
            assert!(public.verify(hash, message, &signature), "{name}");
            assert!(!public.verify(hash, b"massage", &signature), "{name}");
        }
        assert_eq!(format!("{key:?}"), "PrivateKey(…)");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in ["", "secret", PUBLIC] {
            assert!(PrivateKey::from_pem(bad).is_none(), "{bad}");
        }
    }
}
