//! The configured secrets, and which account may use which.
//!
//! An RPC names a credential; it never brings a path, a variable or an address.
//! What a name stands for, and for which shops, is the server's configuration.

use std::collections::BTreeMap;

use crate::domain::grant::Shops;
use crate::domain::id::ShopId;
use crate::domain::protocol::Protocol;
use crate::domain::text::{Code, MchId};
use crate::domain::{Error, Reason, Result};
use crate::provider::map::{MapCredential, MapPlatform};
use crate::provider::open_platform::{OpenPlatformCodec, OpenPlatformCredential};
use crate::provider::{Credential, Provider, Timeouts};
use crate::store::entity::provider_account;

/// What a name of the configuration stands for.
#[derive(Clone, Debug)]
pub enum Secrets {
    /// A merchant of WeChat Pay.
    WechatPay(Credential),
    /// A merchant at an open platform.
    OpenPlatform(Box<OpenPlatformCredential>),
    /// An app at a MAP platform.
    Map(Box<MapCredential>),
}

/// Whom a credential opens the door to.
#[derive(Debug)]
enum Door {
    WechatPay(Provider),
    /// With what reads its callbacks.
    OpenPlatform(Provider, Box<OpenPlatformCodec>),
    Map(MapPlatform),
}

#[derive(Debug)]
struct Entry {
    mch_id: MchId,
    shops: Shops,
    door: Door,
}

impl Entry {
    fn protocol(&self) -> Protocol {
        match self.door {
            Door::WechatPay(_) => Protocol::WechatPayV2,
            Door::OpenPlatform(..) => Protocol::OpenPlatform,
            Door::Map(_) => Protocol::Map,
        }
    }

    fn is_of(&self, protocol: &str, mch_id: &MchId) -> bool {
        self.protocol().name() == protocol && self.mch_id == *mch_id
    }
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
    pub fn new(credentials: Vec<(Secrets, Shops)>, timeouts: Timeouts) -> anyhow::Result<Self> {
        let mut by_name = BTreeMap::new();
        for (secrets, shops) in credentials {
            let (name, mch_id, door) = match &secrets {
                Secrets::WechatPay(credential) => (
                    &credential.name,
                    &credential.mch_id,
                    Provider::wechat_pay(credential, timeouts).map(Door::WechatPay),
                ),
                Secrets::OpenPlatform(credential) => (
                    &credential.name,
                    &credential.merchant_id,
                    Provider::open_platform(credential, timeouts).map(|provider| {
                        let codec = OpenPlatformCodec::new(credential);
                        Door::OpenPlatform(provider, Box::new(codec))
                    }),
                ),
                Secrets::Map(credential) => (
                    &credential.name,
                    &credential.app_id,
                    MapPlatform::new(credential, timeouts).map(Door::Map),
                ),
            };
            let entry = Entry {
                mch_id: mch_id.clone(),
                shops,
                door: door.map_err(|error| error.context(format!("credentials.{name}")))?,
            };
            by_name.insert(name.clone(), entry);
        }
        Ok(Self { by_name })
    }

    /// Whether a credential is there for a merchant of a protocol and shops.
    ///
    /// # Errors
    /// CREDENTIAL_NOT_CONFIGURED; which of the four is wrong is in the server's
    /// log, not in the answer.
    pub fn check(
        &self,
        name: &Code,
        protocol: &str,
        mch_id: &MchId,
        shops: &[ShopId],
    ) -> Result<()> {
        let refusal = || {
            Error::new(
                Reason::CredentialNotConfigured,
                format!("the configuration has no [credentials.{name}] of this protocol with this mch_id that allows these shops; the server's log says which of the four is wrong"),
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
        if !entry.is_of(protocol, mch_id) || !allowed {
            tracing::info!(credential = %name, protocol = entry.protocol().name(), same_merchant = entry.mch_id == *mch_id, allowed, "refused: the credential does not fit");
            return Err(refusal());
        }
        Ok(())
    }

    /// The client that pays red packets for an account, and how it speaks; nothing if the
    /// account gives vouchers, or its credential is not configured here.
    #[must_use]
    pub fn of(&self, account: &provider_account::Model) -> Option<(Provider, Protocol)> {
        let entry = self.entry_of(account)?;
        match &entry.door {
            Door::WechatPay(provider) | Door::OpenPlatform(provider, _) => {
                Some((provider.clone(), entry.protocol()))
            }
            Door::Map(_) => None,
        }
    }

    /// What reads the callbacks of an open platform, by the name of the credential.
    #[must_use]
    pub fn callbacks_of(&self, credential: &str) -> Option<&OpenPlatformCodec> {
        match &self.by_name.get(credential)?.door {
            Door::OpenPlatform(_, codec) => Some(codec),
            Door::WechatPay(_) | Door::Map(_) => None,
        }
    }

    /// The voucher platform of an account; nothing if the account pays red packets, or its
    /// credential is not configured here.
    #[must_use]
    pub fn platform_of(&self, account: &provider_account::Model) -> Option<MapPlatform> {
        match &self.entry_of(account)?.door {
            Door::Map(platform) => Some(platform.clone()),
            Door::WechatPay(_) | Door::OpenPlatform(..) => None,
        }
    }

    /// Whether the credential of an account is configured here.
    #[must_use]
    pub fn knows(&self, account: &provider_account::Model) -> bool {
        self.entry_of(account).is_some()
    }

    fn entry_of(&self, account: &provider_account::Model) -> Option<&Entry> {
        let entry = self.by_name.get(account.credential.as_str())?;
        entry
            .is_of(&account.protocol, &account.mch_id)
            .then_some(entry)
    }
}
