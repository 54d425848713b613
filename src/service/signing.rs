//! Signatures of calls, the recommended way: what an app signs with, and whether a call's
//! signature is good. What an app signs with is remembered for a few seconds, like its key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::clock;
use crate::domain::grant::Permission;
use crate::domain::id::AppId;
use crate::domain::signing::{self as rules, Required};
use crate::domain::{Error, Result};
use crate::signing::call;
use crate::signing::rsa::PublicKey;
use crate::store::signing::Signing;
use crate::store::{End, Store};

pub use crate::signing::call::{STREAM, body_digest};

/// How long another replica may go by what was set before.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Apps that are remembered at most.
const REMEMBERED_MAX: usize = 10_000;
/// Characters of a nonce, at least: 16 random ones of this alphabet do not meet again.
const NONCE_MIN: usize = 16;
/// Gifts and spends may be signed as seed 002 has it, in their message; see
/// [`super::map_signature::admit`], which their handlers must call.
const SIGNED_WITHIN: [&str; 2] = [
    "/hongbao.v1.VoucherService/GiveVoucher",
    "/hongbao.v1.VoucherService/SpendVouchers",
];

/// The signature that a call brings in its metadata.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Seconds since 1970, as text.
    pub timestamp: String,
    /// A text that no other call of the app has.
    pub nonce: String,
    /// The signature, as Base64.
    pub signature: String,
}

/// A public key as it is kept, of the PEM of a key or a certificate; nothing if it is not taken.
#[must_use]
pub fn public_key(pem: &str) -> Option<String> {
    PublicKey::from_pem(pem)?.to_pem()
}

/// What an app signs with, ready for use.
#[derive(Debug)]
pub struct Policy {
    signing: Signing,
    public_key: Option<PublicKey>,
}

impl Policy {
    fn new(signing: Signing) -> Result<Self> {
        let public_key = match &signing.row.public_key {
            None => None,
            Some(pem) => Some(
                PublicKey::from_pem(pem)
                    .ok_or_else(|| Error::internal("a stored public key is broken", "PEM"))?,
            ),
        };
        Ok(Self {
            signing,
            public_key,
        })
    }

    /// Whether a call must bring a signature in its metadata.
    #[must_use]
    pub fn demands(&self, path: &str, permission: Permission) -> bool {
        let moves = permission == Permission::VoucherGive || permission == Permission::VoucherSpend;
        let within = self.signing.row.accepts_map && SIGNED_WITHIN.contains(&path);
        match self.signing.row.required {
            Required::Nothing => false,
            Required::Vouchers => moves && !within,
            Required::Everything => true,
        }
    }

    /// Whether this is the signature of a text by one of the accepted schemes. Which one it
    /// is, its length says: no RSA key that is taken signs with 32 bytes.
    fn is_signature(&self, text: &str, signature: &[u8]) -> bool {
        let row = &self.signing.row;
        if signature.len() == 32 {
            let key = self.signing.app_key.as_ref().filter(|_| row.accepts_hmac);
            return key.is_some_and(|key| call::hmac_verify(key, text, signature));
        }
        let key = self.public_key.as_ref().filter(|_| row.accepts_rsa);
        key.is_some_and(|key| call::rsa_verify(key, text, signature))
    }
}

struct Known {
    policy: Option<Arc<Policy>>,
    since: Instant,
}

/// Knows what apps sign with. Cheap to clone.
#[derive(Clone)]
pub struct Signatures {
    store: Store,
    known: Arc<Mutex<HashMap<AppId, Known>>>,
}

impl std::fmt::Debug for Signatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signatures")
    }
}

impl Signatures {
    /// Reads from a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            known: Arc::default(),
        }
    }

    /// What an app signs with; nothing if it signs nothing.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn policy(&self, app: AppId) -> Result<Option<Arc<Policy>>> {
        if let Some(known) = self.remembered(app) {
            return Ok(known);
        }
        let policy = match self.store.signing(app).await? {
            Some(signing) => Some(Arc::new(Policy::new(signing)?)),
            None => None,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        let entry = Known {
            policy: policy.clone(),
            since: clock::monotonic(),
        };
        known.insert(app, entry);
        Ok(policy)
    }

    /// Forgets everything: after something was set here.
    pub fn forget(&self) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn remembered(&self, app: AppId) -> Option<Option<Arc<Policy>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known
            .get(&app)
            .filter(|entry| clock::monotonic().duration_since(entry.since) < REMEMBERED)?;
        Some(entry.policy.clone())
    }

    /// That a call's signature is good, and its nonce of no other call.
    ///
    /// # Errors
    /// TIMESTAMP_SKEW, SIGNATURE_INVALID (one wording for every way of being wrong),
    /// NONCE_REPLAYED.
    pub async fn verify(
        &self,
        policy: Option<&Policy>,
        path: &str,
        shown: &Shown,
        digest: &str,
    ) -> Result<()> {
        // Who signs without having said with what believes to be protected, and is not.
        let policy = policy.ok_or_else(rules::invalid)?;
        let row = &policy.signing.row;
        let now = self.store.real_now().await?;
        // One form only: it is the last digit that must not be in doubt.
        if shown.timestamp.len() != 10
            || !rules::is_current(&shown.timestamp, now, row.window_seconds)
        {
            return Err(rules::skewed(now, row.window_seconds));
        }
        let text = call::canonical(path, &shown.timestamp, &shown.nonce, digest);
        let signature = STANDARD
            .decode(&shown.signature)
            .map_err(|_| rules::invalid())?;
        if !rules::is_nonce(&shown.nonce, NONCE_MIN) || !policy.is_signature(&text, &signature) {
            return Err(rules::invalid());
        }
        let hash = Sha256::digest(text.as_bytes()).into();
        let nonces = vec![shown.nonce.clone()];
        self.store
            .claim_nonces(row.app_id, nonces, hash, End::Commit)
            .await
    }
}
