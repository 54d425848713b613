//! What is stopped, as this process knows it: a packet that was claimed before a stop
//! and still waits for its turn must not go out after it.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::Result;
use crate::domain::id::{AccountId, ShopId};
use crate::domain::plan::Scope;
use crate::domain::stop::Kind;
use crate::store::Store;

/// The stops that were read last. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Halt(Arc<RwLock<HashSet<(Kind, i64)>>>);

impl Halt {
    /// Reads them anew.
    ///
    /// # Errors
    /// DATABASE_UNAVAILABLE.
    pub async fn read(&self, store: &Store) -> Result<()> {
        let stops = store.stops().await?;
        let stops = stops.into_iter().map(|row| (row.scope, row.subject));
        let tripped = store.tripped().await?;
        let tripped = tripped
            .into_iter()
            .filter(|row| row.scope == Scope::Account);
        let tripped = tripped.map(|row| (Kind::Account, row.subject));
        let stops = stops.chain(tripped).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = stops;
        Ok(())
    }

    /// Whether nothing at all must go out through an account.
    #[must_use]
    pub fn holds_account(&self, account: AccountId) -> bool {
        self.any(&[(Kind::Everything, 0), (Kind::Account, account.0)])
    }

    /// Whether a packet of a shop must not go out through an account.
    #[must_use]
    pub fn holds(&self, account: AccountId, shop: ShopId) -> bool {
        self.holds_account(account) || self.any(&[(Kind::Shop, shop.0)])
    }

    fn any(&self, keys: &[(Kind, i64)]) -> bool {
        let stops = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().any(|key| stops.contains(key))
    }
}
