//! Who calls: API keys, and whom they stand for.
//!
//! A key is `hb_KEYID_SECRET`. The secret is 32 random bytes, so a plain SHA-256 of
//! it is safe to keep; the id finds the row, and the hash is compared in constant
//! time. Keys that were good a moment ago are remembered for a few seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::clock;
use crate::domain::grant::Principal;
use crate::domain::{Error, Reason, Result};
use crate::store::Store;
use crate::store::app::NewKey;

/// How long a revoked key may still work on another replica.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Keys that are remembered at most.
const REMEMBERED_MAX: usize = 10_000;

/// A fresh key: what to keep, and what to hand out once.
#[must_use]
pub fn new_key() -> (NewKey, String) {
    let (id, secret) = (clock::random_hex::<8>(), clock::random_hex::<32>());
    let text = format!("hb_{id}_{secret}");
    (
        NewKey {
            id,
            hash: hash(&secret),
        },
        text,
    )
}

fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

struct Known {
    hash: Vec<u8>,
    principal: Arc<Principal>,
    since: Instant,
}

/// Resolves credentials. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    store: Store,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// Resolves against a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            known: Arc::default(),
        }
    }

    /// Whom the value of an `authorization` header stands for.
    ///
    /// # Errors
    /// CREDENTIAL_MISSING, CREDENTIAL_INVALID (one wording for every way of being wrong).
    pub async fn resolve(&self, authorization: Option<&str>) -> Result<Arc<Principal>> {
        let Some(header) = authorization else {
            let text =
                "send the key of your app as metadata: authorization: Bearer hb_…".to_owned();
            return Err(Error::new(Reason::CredentialMissing, text));
        };
        let (id, secret) = split(header).ok_or_else(invalid)?;
        let shown = hash(secret);
        if let Some((kept, principal)) = self.remembered(id) {
            return if same(&kept, &shown) {
                Ok(principal)
            } else {
                Err(invalid())
            };
        }
        let (kept, principal) = self.store.key_holder(id).await?.ok_or_else(invalid)?;
        if !same(&kept, &shown) {
            return Err(invalid());
        }
        let principal = Arc::new(principal);
        self.remember(id, kept, &principal);
        Ok(principal)
    }

    /// Forgets everything: after a key was revoked here.
    pub fn forget(&self) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn remembered(&self, id: &str) -> Option<(Vec<u8>, Arc<Principal>)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known
            .get(id)
            .filter(|entry| clock::monotonic().duration_since(entry.since) < REMEMBERED)?;
        Some((entry.hash.clone(), Arc::clone(&entry.principal)))
    }

    fn remember(&self, id: &str, hash: Vec<u8>, principal: &Arc<Principal>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        let entry = Known {
            hash,
            principal: Arc::clone(principal),
            since: clock::monotonic(),
        };
        known.insert(id.to_owned(), entry);
    }
}

/// The id and the secret of `Bearer hb_KEYID_SECRET`.
fn split(header: &str) -> Option<(&str, &str)> {
    let (scheme, key) = header.split_once(' ')?;
    let (id, secret) = key.trim().strip_prefix("hb_")?.split_once('_')?;
    (scheme.eq_ignore_ascii_case("bearer") && id.len() == 16 && secret.len() == 64)
        .then_some((id, secret))
}

fn invalid() -> Error {
    let text = "this key is not good: mistyped, revoked, of another environment, or not sent as \"authorization: Bearer hb_…\"".to_owned();
    Error::new(Reason::CredentialInvalid, text)
}

/// Looks at every byte before it looks at the result.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .fold(0, |found, (a, b)| std::hint::black_box(found | (a ^ b)))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_splits_into_what_it_was_made_of() {
        let (kept, text) = new_key();
        let header = format!("Bearer {text}");
        let (id, secret) = split(&header).unwrap();
        assert_eq!(id, kept.id);
        assert!(same(&hash(secret), &kept.hash));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in [
            "",
            "Bearer",
            "Bearer x",
            "Basic hb_a_b",
            "Bearer hb__",
            "Bearer hb_0123456789abcdef_short",
        ] {
            assert!(split(bad).is_none(), "{bad}");
        }
    }
}
