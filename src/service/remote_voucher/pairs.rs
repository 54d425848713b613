//! One give at a time for each pair of person and product.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::remote_voucher::Pair;

/// The pairs to which this process is giving. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Pairs(Arc<Mutex<HashSet<Pair>>>);

/// The right to give to a pair; dropping it gives it back.
#[derive(Debug)]
pub struct PairGuard {
    pairs: Pairs,
    pair: Pair,
}

impl Pairs {
    /// The right to give to a pair, unless somebody has it.
    #[must_use]
    pub fn enter(&self, pair: &Pair) -> Option<PairGuard> {
        self.with(|pairs| pairs.insert(pair.clone()))
            .then(|| PairGuard {
                pairs: self.clone(),
                pair: pair.clone(),
            })
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashSet<Pair>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for PairGuard {
    fn drop(&mut self) {
        self.pairs.with(|pairs| pairs.remove(&self.pair));
    }
}
