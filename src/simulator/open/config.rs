//! What the open platform is started with.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::super::config::Merchant;
use super::super::draw;
use super::fault::OpenFaults;
use super::keys::PlatformKey;
use super::money::Discount;
use crate::signing::rsa::PublicKey;

/// A kind of red packet that the merchant has bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTemplate {
    /// What of the face value an order costs.
    pub discount: Discount,
    /// How many orders may be stored; those that failed or were cancelled give their place back.
    pub stock: Option<u64>,
}

impl OpenTemplate {
    /// Sold at face value, without an end.
    pub const PLAIN: Self = Self {
        discount: Discount::NONE,
        stock: None,
    };
}

/// What an unknown template is called; no document says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMissing {
    /// Status 7: no such thing.
    NotFound,
    /// Status 11: none in stock.
    NoStock,
}

/// The clock of the `timestamp` headers, of those that come and of those that go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenTime {
    /// Simulated time. The window is stretched by the time scale, so that it is as long as told
    /// for whoever reads a real clock.
    Simulated,
    Real,
}

/// The one merchant that the platform knows, and how the platform is installed.
#[derive(Clone)]
pub struct OpenConfig {
    pub merchant_id: String,
    pub business_id: String,
    /// The secret of MD5 signatures, of both sides.
    pub secret: String,
    /// Of the merchant; without it every signature by SHA256-RSA is a wrong one.
    pub public_key: Option<PublicKey>,
    /// With it callbacks are signed by SHA256-RSA, without it by MD5 and the secret.
    pub platform_key: Option<PlatformKey>,
    /// The appids whose openids are taken; none takes any.
    pub appids: Vec<String>,
    /// By their ids.
    pub templates: BTreeMap<String, OpenTemplate>,
    pub unknown_template: OpenMissing,
    /// Where orders are reported that name no address.
    pub callback_url: Option<String>,
    /// Who may call; none lets anybody.
    pub allowed_ips: Vec<IpAddr>,
    /// What the merchant has paid in when the books are new.
    pub opening_balance_fen: i64,
    /// How far a timestamp may be off, in real time.
    pub window: Duration,
    pub timestamps: OpenTime,
    /// Bytes of a bizCode at most; no document says.
    pub biz_code_max: usize,
    /// How long a slow reply takes, in real time.
    pub slow: Duration,
    /// How long the receiver of a callback may take, in real time.
    pub callback_timeout: Duration,
    pub faults: OpenFaults,
}

impl OpenConfig {
    /// A merchant made up from a seed, without keys of RSA; the same seed makes the same secret.
    /// Template `1001` is sold at face value, `1002` at 98.5 %, `1003` ten times only.
    pub fn from_seed(seed: u64) -> Self {
        let word = |name| draw::short_hash(&format!("hongbao simulator open {name} {seed}"));
        let template = |id: &str, discount, stock| {
            let discount = Discount::parse(discount).unwrap_or(Discount::NONE);
            (id.to_owned(), OpenTemplate { discount, stock })
        };
        Self {
            merchant_id: word("merchant, first half") + &word("merchant, second half"),
            business_id: word("business, first half") + &word("business, second half"),
            secret: word("secret, first half") + &word("secret, second half"),
            public_key: None,
            platform_key: None,
            appids: Merchant::from_seed(seed).appids,
            templates: BTreeMap::from([
                template("1001", "1", None),
                template("1002", "0.985", None),
                template("1003", "1", Some(10)),
            ]),
            unknown_template: OpenMissing::NotFound,
            callback_url: None,
            allowed_ips: Vec::new(),
            opening_balance_fen: 100_000_000,
            window: Duration::from_secs(300),
            timestamps: OpenTime::Simulated,
            biz_code_max: 64,
            slow: Duration::from_millis(300),
            callback_timeout: Duration::from_secs(5),
            faults: OpenFaults::default(),
        }
    }

    /// How callbacks are signed, in the protocol's words.
    pub fn callback_signature(&self) -> &'static str {
        match self.platform_key {
            Some(_) => "SHA256-RSA",
            None => "MD5",
        }
    }
}

impl fmt::Debug for OpenConfig {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenConfig")
            .field("merchant_id", &self.merchant_id)
            .field("business_id", &self.business_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_merchant_keeps_its_secret() {
        let config = OpenConfig::from_seed(7);
        assert_eq!(config.secret, OpenConfig::from_seed(7).secret);
        assert_ne!(config.secret, OpenConfig::from_seed(8).secret);
        assert_eq!(config.secret.len(), 32);
        assert!(!format!("{config:?}").contains(&config.secret));
        assert_eq!(config.templates.len(), 3);
        assert_eq!(config.templates["1002"].discount.text(), "0.985");
    }
}
