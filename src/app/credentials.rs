//! Reading the secrets of merchants: what the configuration names becomes what a provider needs.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::{Config, CredentialConfig, MapConfig, OpenPlatformConfig, SignHash};
use crate::domain::grant::Shops;
use crate::domain::id::ShopId;
use crate::domain::open_platform::PriceRule;
use crate::domain::protocol::Protocol;
use crate::domain::text::{Code, MchId};
use crate::provider::map::{self, AppKey, MapCredential};
use crate::provider::open_platform::{CallbackKey, OpenPlatformCredential, Secret, Signer};
use crate::provider::{ApiKey, Credential, Identity, Timeouts};
use crate::service::providers::{Providers, Secrets};
use crate::signing::private::PrivateKey;
use crate::signing::rsa::{Hash, PublicKey};

pub(super) fn providers(config: &Config) -> anyhow::Result<Providers> {
    let timeouts = Timeouts {
        connect: Duration::from_millis(config.provider.connect_timeout_ms),
        total: Duration::from_millis(config.provider.total_timeout_ms),
    };
    let mut credentials = Vec::with_capacity(config.credentials.len());
    for (name, raw) in &config.credentials {
        let secrets = secrets(name, raw).with_context(|| format!("credentials.{name}"))?;
        let shops = match &raw.shops {
            None => Shops::All,
            Some(ids) => Shops::Only(ids.iter().map(|id| ShopId(*id)).collect()),
        };
        credentials.push((secrets, shops));
    }
    Providers::new(credentials, timeouts)
}

/// The secrets behind a name, whatever they open.
fn secrets(name: &str, raw: &CredentialConfig) -> anyhow::Result<Secrets> {
    Code::parse(name).context("the name must be 1 to 64 characters of [A-Za-z0-9_.:-]")?;
    let key = match (&raw.api_key, &raw.api_key_file) {
        (Some(key), None) => Some(key.clone()),
        (None, Some(path)) => Some(text(path)?.trim().to_owned()),
        (None, None) => None,
        (Some(_), Some(_)) => anyhow::bail!("give api_key or api_key_file, not both"),
    };
    let client_identity = match (&raw.cert_file, &raw.key_file) {
        (Some(cert), Some(key)) => Some(Identity {
            cert_pem: read(cert)?,
            key_pem: read(key)?,
        }),
        (None, None) => None,
        _ => anyhow::bail!("cert_file and key_file belong together"),
    };
    let common = Common {
        name: name.to_owned(),
        base_url: raw.base_url.trim_end_matches('/').to_owned(),
        key,
        client_identity,
        ca_pem: raw.ca_file.as_ref().map(read).transpose()?,
    };
    match (&raw.map, &raw.open_platform) {
        (Some(map), _) => common.map(raw, map),
        (None, Some(open)) => common.open_platform(raw, open),
        (None, None) => common.wechat_pay(raw),
    }
}

/// What every credential has, read.
struct Common {
    name: String,
    base_url: String,
    key: Option<String>,
    client_identity: Option<Identity>,
    ca_pem: Option<Vec<u8>>,
}

impl Common {
    fn key(&self) -> anyhow::Result<&str> {
        let missing = "give api_key or api_key_file";
        self.key.as_deref().context(missing)
    }

    fn wechat_pay(self, raw: &CredentialConfig) -> anyhow::Result<Secrets> {
        let mch_id = merchant(Protocol::WechatPayV2, raw)?;
        if let Some(pair) = &self.client_identity {
            crate::provider::check_identity(pair, &mch_id, crate::clock::wall())?;
        }
        let api_key = ApiKey::parse(self.key()?).context("an API key has 32 characters")?;
        Ok(Secrets::WechatPay(Credential {
            name: self.name,
            base_url: self.base_url,
            mch_id,
            api_key,
            client_identity: self.client_identity,
            ca_pem: self.ca_pem,
        }))
    }

    fn map(self, raw: &CredentialConfig, map: &MapConfig) -> anyhow::Result<Secrets> {
        let app_key = AppKey::parse(self.key()?)
            .context("an app's key has 1 to 128 printable characters without blanks")?;
        let sign_key = private_key(&map.sign_key_file).context("map.sign_key_file")?;
        Ok(Secrets::Map(Box::new(MapCredential {
            name: self.name,
            base_url: self.base_url,
            app_id: merchant(Protocol::Map, raw)?,
            app_key,
            sign_key,
            options: map_options(map),
            client_identity: self.client_identity,
            ca_pem: self.ca_pem,
        })))
    }

    fn open_platform(
        self,
        raw: &CredentialConfig,
        open: &OpenPlatformConfig,
    ) -> anyhow::Result<Secrets> {
        let secret = match &self.key {
            Some(key) => Some(
                Secret::parse(key)
                    .context("a secret has 8 to 128 printable characters without blanks")?,
            ),
            None => None,
        };
        let signer = match (&open.sign_key_file, &secret) {
            (Some(path), _) => Signer::Sha256Rsa(Box::new(
                private_key(path).context("open_platform.sign_key_file")?,
            )),
            (None, Some(secret)) => Signer::Md5(secret.clone()),
            (None, None) => anyhow::bail!(
                "give open_platform.sign_key_file to sign by SHA256-RSA, or api_key_file to sign by MD5"
            ),
        };
        let callback_key = match &open.callback_key_file {
            Some(path) => Some(CallbackKey::Sha256Rsa(
                PublicKey::from_pem(&text(path)?).context(
                    "open_platform.callback_key_file must hold an RSA public key or certificate, PEM, 2,048 to 4,096 bits",
                )?,
            )),
            None => secret.map(CallbackKey::Md5),
        };
        anyhow::ensure!(
            open.callback_url.is_none() || callback_key.is_some(),
            "open_platform.callback_url is set, but nothing could tell whether a report is the platform's: give callback_key_file, or api_key_file for MD5"
        );
        let code = |raw: &str, what: &str| {
            let rule = "must be 1 to 64 characters of [A-Za-z0-9_.:-]";
            Code::parse(raw).with_context(|| format!("open_platform.{what} {rule}"))
        };
        let rule = "open_platform.price_min_bp and price_max_bp must be 0 to 20,000, the first no more than the second";
        Ok(Secrets::OpenPlatform(Box::new(OpenPlatformCredential {
            name: self.name,
            base_url: self.base_url,
            merchant_id: merchant(Protocol::OpenPlatform, raw)?,
            business_id: code(&open.business_id, "business_id")?,
            template_id: code(&open.template_id, "template_id")?,
            signer,
            callback_key,
            callback_url: open.callback_url.clone(),
            price_rule: PriceRule::new(open.price_min_bp, open.price_max_bp).context(rule)?,
            client_identity: self.client_identity,
            ca_pem: self.ca_pem,
        })))
    }
}

fn private_key(path: &PathBuf) -> anyhow::Result<PrivateKey> {
    let rule = "must hold an RSA private key, PEM, 2,048 to 4,096 bits";
    PrivateKey::from_pem(&text(path)?).context(rule)
}

fn text(path: &PathBuf) -> anyhow::Result<String> {
    String::from_utf8(read(path)?).with_context(|| format!("{} is no text", path.display()))
}

fn read(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}

fn merchant(protocol: Protocol, raw: &CredentialConfig) -> anyhow::Result<MchId> {
    protocol
        .merchant(&raw.mch_id)
        .with_context(|| format!("mch_id must be {}", protocol.merchant_rule()))
}

fn map_options(raw: &MapConfig) -> map::Options {
    map::Options {
        prefixes: map::Prefixes {
            give: raw.give_prefix.clone(),
            query: raw.query_prefix.clone(),
            spend: raw.spend_prefix.clone(),
            undo: raw.undo_prefix.clone(),
        },
        hash: match raw.sign_hash {
            SignHash::Sha1 => Hash::Sha1,
            SignHash::Sha256 => Hash::Sha256,
            SignHash::Md5 => Hash::Md5,
        },
        signs_associated: raw.signs_associated,
        refusals: raw.refusals.iter().cloned().collect(),
    }
}
