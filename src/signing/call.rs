//! What a caller of this service signs when it signs a call: the recommended way.
//!
//! Five lines, each with one meaning, so that nothing can stand for something else: the name of
//! the scheme, the path of the RPC, the time, the nonce, the SHA-256 of the message.

use ring::hmac;
use sha2::{Digest as _, Sha256};

use super::md5_hex;
use super::rsa::{Hash, PublicKey};

/// The first line; a later scheme will have another.
const SCHEME: &str = "HONGBAO-SIGN-1";
/// What stands for the digest of calls that send a stream: its messages are not covered.
pub const STREAM: &str = "STREAM";

/// The digest of a message, as 64 lower-case hexadecimal digits.
pub fn body_digest(message: &[u8]) -> String {
    md5_hex::lower(&Sha256::digest(message))
}

/// What is signed.
pub fn canonical(path: &str, timestamp: &str, nonce: &str, digest: &str) -> String {
    format!("{SCHEME}\n{path}\n{timestamp}\n{nonce}\n{digest}")
}

/// The signature by a shared key: HMAC-SHA256.
pub fn hmac_sign(key: &str, text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

/// Whether it is the signature by a shared key, compared in constant time.
pub fn hmac_verify(key: &str, text: &str, signature: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    hmac::verify(&key, text.as_bytes(), signature).is_ok()
}

/// Whether it is the signature by the owner of a public key: RSA over SHA-256.
pub fn rsa_verify(key: &PublicKey, text: &str, signature: &[u8]) -> bool {
    key.verify(Hash::Sha256, text.as_bytes(), signature)
}
