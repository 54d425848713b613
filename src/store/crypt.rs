//! Keys, encrypted columns and blind indexes.
//!
//! Openids and mobile numbers are encrypted with AES-256-GCM under a key that has a
//! version, so keys can change without rewriting rows. To find a row by such a
//! value, a keyed hash of it stands beside. The associated data ties a value to its
//! column and tenant: copied elsewhere, it does not decrypt.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock;
use crate::domain::{Error, Result};

/// The keys of an environment, as they stand in its key file (TOML).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// Derives merchant order numbers and random amounts; 32 bytes in Base64. Must
    /// never change: with another key a retry after a failover would pay again.
    number: String,
    /// Derives blind indexes; 32 bytes in Base64. Must not change in place.
    index: String,
    /// The version that encrypts from now on.
    active: u8,
    /// Encryption keys by version, each 32 bytes in Base64. Old ones still decrypt.
    encryption: BTreeMap<String, String>,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyFile(…)")
    }
}

impl KeyFile {
    /// New random keys.
    #[must_use]
    pub fn generate() -> Self {
        let key = || STANDARD.encode(clock::random::<32>());
        Self {
            number: key(),
            index: key(),
            active: 1,
            encryption: BTreeMap::from([("1".to_owned(), key())]),
        }
    }

    /// The file's text, with a word to whoever opens it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "# The keys of one hongbao environment. Whoever has them can read openids; without\n\
             # them the database cannot be read. Keep a copy apart from it.\n\
             # `number` and `index` must never change. To change encryption, add a version\n\
             # and make it active; keep the old ones.\n\
             number = \"{}\"\nindex = \"{}\"\nactive = {}\n\n[encryption]\n",
            self.number, self.index, self.active
        );
        for (version, key) in &self.encryption {
            text.push_str(&format!("{version} = \"{key}\"\n"));
        }
        text
    }
}

/// The keys, ready for use.
pub struct Keys {
    number: hmac::Key,
    index: hmac::Key,
    active: u8,
    encryption: BTreeMap<u8, LessSafeKey>,
    fingerprint: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// Reads a key file.
    ///
    /// # Errors
    /// A key is not 32 bytes of Base64, a version is not 0 to 255, the active one is missing.
    pub fn new(file: &KeyFile) -> anyhow::Result<Self> {
        let number = decode("number", &file.number)?;
        let index = decode("index", &file.index)?;
        let mut encryption = BTreeMap::new();
        for (version, key) in &file.encryption {
            let version: u8 = version
                .parse()
                .map_err(|_| anyhow::anyhow!("key version {version} is not 0 to 255"))?;
            let key = UnboundKey::new(&AES_256_GCM, &decode("encryption", key)?)
                .map_err(|_| anyhow::anyhow!("encryption key {version} is not 32 bytes long"))?;
            encryption.insert(version, LessSafeKey::new(key));
        }
        anyhow::ensure!(
            encryption.contains_key(&file.active),
            "the active encryption key {} is missing",
            file.active
        );
        let mut print = Sha256::new();
        print.update(b"hongbao keys\0");
        print.update(number);
        print.update(index);
        let fingerprint = print
            .finalize()
            .iter()
            .take(8)
            .map(|b| format!("{b:02x}"))
            .collect();
        Ok(Self {
            number: hmac::Key::new(hmac::HMAC_SHA256, &number),
            index: hmac::Key::new(hmac::HMAC_SHA256, &index),
            active: file.active,
            encryption,
            fingerprint,
        })
    }

    /// The key that numbers and amounts are derived with.
    #[must_use]
    pub fn number(&self) -> &hmac::Key {
        &self.number
    }

    /// Tells the keys that must not change from others, without telling them.
    pub(super) fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    /// Encrypts a value for a column: version, nonce, ciphertext with tag.
    ///
    /// # Errors
    /// INTERNAL: the cipher refuses, which it does only for absurd lengths.
    pub(super) fn seal(&self, column: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let failed = || Error::internal("encryption failed", column);
        let key = self.encryption.get(&self.active).ok_or_else(failed)?;
        let nonce: [u8; NONCE_LEN] = clock::random();
        let mut body = plain.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(column.as_bytes()),
            &mut body,
        )
        .map_err(|_| failed())?;
        let mut sealed = vec![self.active];
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Decrypts what [`Keys::seal`] made for the same column.
    ///
    /// # Errors
    /// INTERNAL: the key is missing, or the value was changed or copied from elsewhere.
    pub(super) fn open(&self, column: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let failed = || {
            Error::internal(
                "a value does not decrypt; was it changed, or is a key missing?",
                column,
            )
        };
        let (version, rest) = sealed.split_first().ok_or_else(failed)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or_else(failed)?;
        let key = self.encryption.get(version).ok_or_else(failed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed())?;
        let mut body = body.to_vec();
        let plain = key
            .open_in_place(nonce, Aad::from(column.as_bytes()), &mut body)
            .map_err(|_| failed())?;
        Ok(plain.to_vec())
    }

    /// Like [`Keys::open`], for text.
    ///
    /// # Errors
    /// As [`Keys::open`].
    pub(super) fn open_text(&self, column: &str, sealed: &[u8]) -> Result<String> {
        String::from_utf8(self.open(column, sealed)?)
            .map_err(|e| Error::internal("a decrypted value is no text", e))
    }

    /// A keyed hash to find a value by. `column` separates what must not be compared.
    pub(super) fn blind_index(&self, column: &str, plain: &str) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.index);
        context.update(column.as_bytes());
        context.update(b"\0");
        context.update(plain.as_bytes());
        context.sign().as_ref().to_vec()
    }
}

fn decode(name: &str, text: &str) -> anyhow::Result<[u8; 32]> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| anyhow::anyhow!("key {name} is not Base64"))?;
    bytes
        .try_into()
        .map_err(|_| anyhow::anyhow!("key {name} is not 32 bytes long"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed cipher fails the test")]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(&KeyFile::generate()).unwrap()
    }

    #[test]
    fn a_value_reads_back_only_where_it_belongs() {
        let keys = keys();
        let sealed = keys.seal("issuance.openid/1", b"oUpF8uMu").unwrap();
        assert_eq!(
            keys.open_text("issuance.openid/1", &sealed).unwrap(),
            "oUpF8uMu"
        );
        assert!(keys.open("issuance.openid/2", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(
                keys.open("issuance.openid/1", &bad).is_err(),
                "byte {at} is not protected"
            );
        }
        assert!(keys.open("issuance.openid/1", &[]).is_err());
    }

    #[test]
    fn the_same_value_is_sealed_differently_and_found_alike() {
        let keys = keys();
        assert_ne!(keys.seal("c", b"v").unwrap(), keys.seal("c", b"v").unwrap());
        assert_eq!(keys.blind_index("c", "v"), keys.blind_index("c", "v"));
        assert_ne!(keys.blind_index("c", "v"), keys.blind_index("d", "v"));
    }

    #[test]
    fn an_old_version_still_decrypts() {
        let mut file = KeyFile::generate();
        let sealed = Keys::new(&file).unwrap().seal("c", b"v").unwrap();
        file.encryption
            .insert("2".to_owned(), STANDARD.encode([9; 32]));
        file.active = 2;
        let keys = Keys::new(&file).unwrap();
        assert_eq!(keys.open("c", &sealed).unwrap(), b"v");
        assert_eq!(keys.seal("c", b"v").unwrap().first(), Some(&2));
    }

    #[test]
    fn bad_key_files_are_refused() {
        for (number, active) in [
            ("short", 1),
            (STANDARD.encode([1; 31]).as_str(), 1),
            (STANDARD.encode([1; 32]).as_str(), 7),
        ] {
            let file = KeyFile {
                number: number.to_owned(),
                active,
                ..KeyFile::generate()
            };
            assert!(Keys::new(&file).is_err());
        }
    }
}
