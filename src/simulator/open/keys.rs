//! Keys of RSA: the one that the platform signs callbacks with, and a set for trying it all out.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::rand_core::{TryCryptoRng, TryRng};

use super::super::certs::write_key;
use crate::signing::private::PrivateKey;

/// Bits of a key that is made.
const BITS: usize = 2_048;

/// The platform's own key. Never printed.
#[derive(Clone)]
pub struct PlatformKey {
    pub(super) private: PrivateKey,
    public_pem: String,
}

impl PlatformKey {
    /// Reads PEM: "BEGIN PRIVATE KEY" (PKCS#8), RSA of 2,048 to 4,096 bits.
    pub fn from_pem(pem: &str) -> Option<Self> {
        let private = PrivateKey::from_pem(pem)?;
        let key = rsa::PrivateKey::from_pkcs8_pem(pem.trim()).ok()?;
        let public_pem = key.to_public_key().to_public_key_pem(LineEnding::LF).ok()?;
        Some(Self {
            private,
            public_pem,
        })
    }

    /// What the receiver of callbacks checks them with: "BEGIN PUBLIC KEY".
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }
}

impl fmt::Debug for PlatformKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlatformKey(…)")
    }
}

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenKeyFiles {
    pub platform_key: PathBuf,
    pub platform_public: PathBuf,
    pub merchant_key: PathBuf,
    pub merchant_public: PathBuf,
}

/// Why no keys were made.
#[derive(Debug, thiserror::Error)]
pub enum OpenKeysError {
    #[error("keys are already there; remove them or name another directory")]
    AlreadyThere,
    #[error("the keys cannot be written: {0}")]
    Io(#[from] io::Error),
    #[error("the keys cannot be made: {0}")]
    Make(String),
}

/// Writes a pair for the platform and one for the merchant.
pub fn make_open_keys(dir: &Path) -> Result<OpenKeyFiles, OpenKeysError> {
    let files = OpenKeyFiles {
        platform_key: dir.join("open_platform_key.pem"),
        platform_public: dir.join("open_platform_public.pem"),
        merchant_key: dir.join("open_merchant_key.pem"),
        merchant_public: dir.join("open_merchant_public.pem"),
    };
    let pairs = [
        (&files.platform_key, &files.platform_public),
        (&files.merchant_key, &files.merchant_public),
    ];
    if pairs
        .iter()
        .any(|(key, public)| key.exists() || public.exists())
    {
        return Err(OpenKeysError::AlreadyThere);
    }
    fs::create_dir_all(dir)?;
    for (key_file, public_file) in pairs {
        let failed = |error: &dyn fmt::Display| OpenKeysError::Make(error.to_string());
        let key = rsa::PrivateKey::new(&mut Random(SystemRandom::new()), BITS)
            .map_err(|error| failed(&error))?;
        let pem = key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| failed(&error))?;
        let public = key
            .to_public_key()
            .to_public_key_pem(LineEnding::LF)
            .map_err(|error| failed(&error))?;
        write_key(key_file, &pem)?;
        fs::write(public_file, public)?;
    }
    Ok(files)
}

/// The system's random numbers, as the crate takes them.
struct Random(SystemRandom);

/// The system gave no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random numbers")]
struct NoRandom;

impl TryRng for Random {
    type Error = NoRandom;

    fn try_next_u32(&mut self) -> Result<u32, NoRandom> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandom> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        self.0.fill(bytes).map_err(|_| NoRandom)
    }
}

impl TryCryptoRng for Random {}

#[cfg(test)]
mod tests {
    use super::super::super::super::signing::rsa::{Hash, PublicKey};
    use super::*;

    const KEY: &str = include_str!("../../../tests/golden/map/private.pem");
    const PUBLIC: &str = include_str!("../../../tests/golden/map/public.pem");

    #[test]
    fn the_public_half_is_the_private_one_s() {
        let key = PlatformKey::from_pem(KEY).unwrap();
        assert_eq!(key.public_pem().trim(), PUBLIC.trim());
        assert_eq!(format!("{key:?}"), "PlatformKey(…)");
        assert!(PlatformKey::from_pem(PUBLIC).is_none());
    }

    #[test]
    fn a_set_is_made_once_and_fits() {
        let dir = tempfile::tempdir().unwrap();
        let files = make_open_keys(dir.path()).unwrap();
        for (key, public) in [
            (&files.platform_key, &files.platform_public),
            (&files.merchant_key, &files.merchant_public),
        ] {
            let key = PrivateKey::from_pem(&fs::read_to_string(key).unwrap()).unwrap();
            let public = PublicKey::from_pem(&fs::read_to_string(public).unwrap()).unwrap();
            let signature = key.sign(Hash::Sha256, b"m").unwrap();
            assert!(public.verify(Hash::Sha256, b"m", &signature));
        }
        assert!(matches!(
            make_open_keys(dir.path()),
            Err(OpenKeysError::AlreadyThere)
        ));
    }
}
