//! What the voucher platform is started with.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::super::draw;
use super::fault::MapFaults;
use crate::signing::rsa::{Hash, PublicKey};

/// The calls of the platform.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum MapCall {
    Give,
    Query,
    Spend,
    Undo,
}

impl MapCall {
    pub(super) const ALL: [Self; 4] = [Self::Give, Self::Query, Self::Spend, Self::Undo];

    /// The last word of the path.
    pub fn word(self) -> &'static str {
        match self {
            Self::Give => "give",
            Self::Query => "query",
            Self::Spend => "spend",
            Self::Undo => "undo",
        }
    }

    /// The first code of the call's errors, as a known installation has them.
    pub(super) fn base(self) -> u32 {
        match self {
            Self::Give => 24_100,
            Self::Query => 24_200,
            Self::Spend => 24_300,
            Self::Undo => 24_400,
        }
    }
}

/// A kind of voucher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapProduct {
    pub name: String,
    /// A voucher ends at 24:00:00 of the day that is so many days after it was given.
    pub days: u16,
}

/// The one app that the platform knows, and how the platform is installed.
#[derive(Clone)]
pub struct MapConfig {
    pub app_id: String,
    /// Checked if it is there.
    pub app_key: Option<String>,
    /// Of the app; orders must be signed with its key if it is there.
    pub public_key: Option<PublicKey>,
    /// What that signature hashes with.
    pub hash: Hash,
    /// Whether `associatedOrderId` is signed too.
    pub signs_associated: bool,
    /// What stands in front of `/redPaper/…`; a call that is missing has nothing there.
    pub prefixes: BTreeMap<MapCall, String>,
    /// By their ids.
    pub products: BTreeMap<String, MapProduct>,
    /// Vouchers on a page at most, whatever is asked for.
    pub page_max: usize,
    /// Whether the list says 已消费 of what is spent; else it says 无效, as the seed has it.
    pub says_spent: bool,
    /// Whether a spend is answered with an order for each voucher; else with one for all, as
    /// the seed has it.
    pub order_for_each: bool,
    /// How long a reply takes, in real time, under the SLOW fault.
    pub slow: Duration,
    pub faults: MapFaults,
}

impl MapConfig {
    /// An app made up from a seed, without a key of RSA; the same seed makes the same secret.
    pub fn from_seed(seed: u64) -> Self {
        let product = |name: &str, days| MapProduct {
            name: name.to_owned(),
            days,
        };
        let gateway = |call| (call, "/gw".to_owned());
        Self {
            app_id: "zjhtwallet".to_owned(),
            app_key: Some(draw::short_hash(&format!(
                "hongbao simulator app key {seed}"
            ))),
            public_key: None,
            hash: Hash::Sha1,
            signs_associated: false,
            prefixes: BTreeMap::from([MapCall::Give, MapCall::Spend, MapCall::Undo].map(gateway)),
            products: BTreeMap::from([
                ("HONGBAO_YYD".to_owned(), product("有油贷红包", 30)),
                ("HONGBAO_YYD01".to_owned(), product("有油贷红包一", 30)),
                ("HONGBAO_DAY".to_owned(), product("当日红包", 0)),
            ]),
            page_max: 50,
            says_spent: false,
            order_for_each: false,
            slow: Duration::from_millis(300),
            faults: MapFaults::default(),
        }
    }

    /// The call at a path.
    pub(super) fn call_at(&self, path: &str) -> Option<MapCall> {
        MapCall::ALL.into_iter().find(|call| {
            let prefix = self.prefixes.get(call).map_or("", String::as_str);
            let rest = path.strip_prefix(prefix);
            rest.and_then(|rest| rest.strip_prefix("/redPaper/")) == Some(call.word())
        })
    }
}

impl fmt::Debug for MapConfig {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapConfig")
            .field("app_id", &self.app_id)
            .finish_non_exhaustive()
    }
}
