//! RSA signatures with padding of PKCS#1 v1.5. Only public keys are worked with here.

use rsa::pkcs8::{DecodePublicKey as _, EncodePublicKey as _, LineEnding};
use rsa::traits::PublicKeyParts as _;

/// Moduli that are taken, in bits: shorter ones can be factored, longer ones cost too much.
const BITS: std::ops::RangeInclusive<u32> = 2_048..=4_096;
/// The exponent that everybody uses; small ones have had too many accidents.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// What is hashed with before RSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, as certificates of 2015 have it.
    Sha1,
    /// SHA-256.
    Sha256,
    /// MD5.
    Md5,
}

/// A public key.
#[derive(Clone, Debug)]
pub struct PublicKey(rsa::PublicKey);

impl PublicKey {
    /// Reads PEM: a public key ("BEGIN PUBLIC KEY") or an X.509 certificate, of which only the
    /// key is looked at. 2,048 to 4,096 bits, exponent 65537.
    pub fn from_pem(pem: &str) -> Option<Self> {
        let key = if pem.contains("BEGIN CERTIFICATE") {
            let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
            let certificate = block.parse_x509().ok()?;
            rsa::PublicKey::from_public_key_der(certificate.public_key().raw).ok()?
        } else {
            rsa::PublicKey::from_public_key_pem(pem.trim()).ok()?
        };
        let exponent = key.e().to_be_bytes_trimmed_vartime();
        let sound = BITS.contains(&key.n().bit_width_vartime()) && *exponent == EXPONENT;
        sound.then_some(Self(key))
    }

    /// The key as PEM, always as "BEGIN PUBLIC KEY".
    pub fn to_pem(&self) -> Option<String> {
        self.0.to_public_key_pem(LineEnding::LF).ok()
    }

    /// Whether this is the signature of a message by the owner of the key.
    pub fn verify(&self, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        let key = &self.0;
        match hash {
            Hash::Sha1 => key.pkcs1v15_verify::<sha1::Sha1>(message, signature),
            Hash::Sha256 => key.pkcs1v15_verify::<sha2::Sha256>(message, signature),
            Hash::Md5 => key.pkcs1v15_verify::<md5::Md5>(message, signature),
        }
        .is_ok()
    }
}
