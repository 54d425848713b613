//! The configured secrets, and which account may use which.
//!
//! An RPC names a credential; it never brings a path, a variable or an address.
//! What a name stands for, and for which shops, is the server's configuration.

use std::collections::BTreeMap;

use crate::domain::grant::Shops;
use crate::domain::id::ShopId;
use crate::domain::machine::Protocol;
use crate::domain::text::{Code, MchId};
use crate::domain::{Error, Reason, Result};
use crate::provider::{Credential, Provider, Timeouts};
use crate::store::entity::provider_account;

#[derive(Debug)]
struct Entry {
    mch_id: MchId,
    shops: Shops,
    provider: Provider,
}

/// The providers that can be spoken to, by the name of their credential.
#[derive(Debug, Default)]
pub struct Providers {
    by_name: BTreeMap<String, Entry>,
}

impl Providers {
    /// Builds a client for each credential.
    ///
    /// # Errors
    /// A certificate or key that cannot be used, with the name of its credential.
    pub fn new(credentials: Vec<(Credential, Shops)>, timeouts: Timeouts) -> anyhow::Result<Self> {
        let mut by_name = BTreeMap::new();
        for (credential, shops) in credentials {
            let provider = Provider::new(Protocol::WechatPayV2, &credential, timeouts)
                .map_err(|error| error.context(format!("credentials.{}", credential.name)))?;
            let entry = Entry {
                mch_id: credential.mch_id.clone(),
                shops,
                provider,
            };
            by_name.insert(credential.name.clone(), entry);
        }
        Ok(Self { by_name })
    }

    /// Whether a credential is there for a merchant and shops.
    ///
    /// # Errors
    /// CREDENTIAL_NOT_CONFIGURED; which of the three is wrong is in the server's
    /// log, not in the answer.
    pub fn check(&self, name: &Code, mch_id: &MchId, shops: &[ShopId]) -> Result<()> {
        let refusal = || {
            Error::new(
                Reason::CredentialNotConfigured,
                format!("the configuration has no [credentials.{name}] with this mch_id that allows these shops; the server's log says which of the three is wrong"),
            )
            .fact("credential", name)
        };
        let entry = self.by_name.get(name.as_str()).ok_or_else(|| {
            tracing::info!(credential = %name, "refused: no such credential is configured");
            refusal()
        })?;
        let allowed = match &entry.shops {
            Shops::All => true,
            Shops::Only(only) => shops.iter().all(|shop| only.contains(shop)),
        };
        if entry.mch_id != *mch_id || !allowed {
            tracing::info!(credential = %name, same_merchant = entry.mch_id == *mch_id, allowed, "refused: the credential does not fit");
            return Err(refusal());
        }
        Ok(())
    }

    /// The client of an account; nothing if its credential is not configured here.
    #[must_use]
    pub fn of(&self, account: &provider_account::Model) -> Option<Provider> {
        let entry = self.by_name.get(account.credential.as_str())?;
        (entry.mch_id == account.mch_id).then(|| entry.provider.clone())
    }
}
