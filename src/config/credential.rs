//! The secrets of merchants.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::hidden;

/// The secrets of one merchant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialConfig {
    /// Where the provider is.
    #[serde(default = "wechat_pay")]
    pub base_url: String,
    /// The merchant id; of a voucher platform the app id, of an open platform the merchantId.
    pub mch_id: String,
    /// The API key, 32 characters, a voucher platform's app key, or an open platform's secret
    /// of MD5 signatures; or the file that holds it.
    #[serde(default, serialize_with = "hidden")]
    pub api_key: Option<String>,
    /// The file that holds the API key.
    #[serde(default)]
    pub api_key_file: Option<PathBuf>,
    /// The client certificate, PEM (apiclient_cert.pem).
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// Its private key, PEM (apiclient_key.pem).
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The authority that signed the provider's certificate, PEM; only for a
    /// provider that no public authority signed, such as the simulator.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The shops that may pay with it; left out: all.
    #[serde(default)]
    pub shops: Option<Vec<i64>>,
    /// What makes it an app at a MAP voucher platform (seed 002); left out: a merchant of
    /// WeChat Pay.
    #[serde(default)]
    pub map: Option<MapConfig>,
    /// What makes it a merchant at an open platform (seed 003).
    #[serde(default)]
    pub open_platform: Option<OpenPlatformConfig>,
}

impl CredentialConfig {
    /// Whether `base_url` is what it has to be: a platform's own address is known to nobody
    /// but its merchants.
    pub(super) fn has_its_address(&self) -> bool {
        let elsewhere = self.map.is_some() || self.open_platform.is_some();
        !elsewhere || self.base_url != wechat_pay()
    }
}

/// A merchant at an open platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenPlatformConfig {
    /// What the platform has given the merchant (businessId).
    pub business_id: String,
    /// The template of packets whose campaign names none (templateId).
    pub template_id: String,
    /// The merchant's RSA private key, PEM: requests are signed by SHA256-RSA. Left out: by MD5
    /// and the secret.
    #[serde(default)]
    pub sign_key_file: Option<PathBuf>,
    /// The platform's RSA public key or certificate, PEM: callbacks are signed by SHA256-RSA.
    /// Left out: by MD5 and the secret.
    #[serde(default)]
    pub callback_key_file: Option<PathBuf>,
    /// Where the platform reports to: `/callbacks/open_platform/NAME` on the admin listener, as
    /// it is reached from there. Left out: the platform's setting, or never.
    #[serde(default)]
    pub callback_url: Option<String>,
    /// The least that a packet may cost, in basis points of its face value. One that costs less
    /// goes to a person.
    #[serde(default = "face")]
    pub price_min_bp: i64,
    /// The most that a packet may cost, in basis points of its face value, up to 20,000. One
    /// that costs more goes to a person.
    #[serde(default = "face")]
    pub price_max_bp: i64,
}

fn face() -> i64 {
    10_000
}

/// An app at a MAP voucher platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapConfig {
    /// The app's RSA private key, PEM: it signs orders (tsig).
    pub sign_key_file: PathBuf,
    /// What its signature hashes with, as the platform has it: sha1, sha256 or md5.
    #[serde(default)]
    pub sign_hash: SignHash,
    /// What stands in front of /redPaper/give.
    #[serde(default = "gateway")]
    pub give_prefix: String,
    /// What stands in front of /redPaper/query.
    #[serde(default)]
    pub query_prefix: String,
    /// What stands in front of /redPaper/spend.
    #[serde(default = "gateway")]
    pub spend_prefix: String,
    /// What stands in front of /redPaper/undo.
    #[serde(default = "gateway")]
    pub undo_prefix: String,
    /// Whether the platform signs associatedOrderId too.
    #[serde(default)]
    pub signs_associated: bool,
    /// The error codes with which the platform refuses before anything happens. No other
    /// code proves anything: what it leaves in doubt is looked up in the person's list.
    #[serde(default)]
    pub refusals: Vec<String>,
}

/// What an RSA signature hashes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignHash {
    /// SHA-1, as certificates of 2015 have it.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
    /// MD5.
    Md5,
}

fn gateway() -> String {
    "/gw".to_owned()
}

fn wechat_pay() -> String {
    "https://api.mch.weixin.qq.com".to_owned()
}
