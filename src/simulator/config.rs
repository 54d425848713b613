//! What a simulator is started with. Every default is sane, so that a test says only what it needs.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::chaos::FaultTable;
use super::draw;
use super::map::MapConfig;
use super::open::OpenConfig;

/// The one merchant that a simulator serves.
#[derive(Clone, PartialEq, Eq)]
pub struct Merchant {
    pub mch_id: String,
    /// The APIv2 key, 32 characters.
    pub api_key: String,
    /// The appids bound to the merchant.
    pub appids: Vec<String>,
}

impl Merchant {
    /// A merchant made up from a seed; the same seed makes the same key.
    pub fn from_seed(seed: u64) -> Self {
        let half = |name| draw::short_hash(&format!("hongbao simulator {name} {seed}"));
        Self {
            mch_id: "1900000109".to_owned(),
            api_key: half("key, first half") + &half("key, second half"),
            appids: vec![format!("wx{}", half("appid"))],
        }
    }

    /// The first appid.
    pub fn appid(&self) -> &str {
        self.appids.first().map_or("", String::as_str)
    }

    pub(super) fn owns_appid(&self, appid: &str) -> bool {
        self.appids.iter().any(|own| own == appid)
    }
}

impl fmt::Debug for Merchant {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merchant")
            .field("mch_id", &self.mch_id)
            .field("appids", &self.appids)
            .finish_non_exhaustive()
    }
}

/// Limits of the documents that are enforced when set. Minutes and days are simulated, seconds are
/// real. Beyond any of them nothing is stored. The codes are those of the documents' error table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Send requests in a simulated minute (WeChat: 1800); beyond it FREQ_LIMIT.
    pub sends_per_minute: Option<u32>,
    /// Send requests within any one real second, whatever the time scale (1800 a minute are 30 a
    /// second); beyond it FREQ_LIMIT. Refused and repeated sends count, but one that is refused
    /// for this limit does not.
    pub sends_per_second: Option<u32>,
    /// Queries within any one real second; beyond it FREQ_LIMIT.
    pub queries_per_second: Option<u32>,
    /// Packets for one openid in a simulated Beijing day (WeChat: 10); beyond it SENDNUM_LIMIT.
    pub packets_per_openid_and_day: Option<u32>,
    /// Fen of all orders stored for one openid in a simulated Beijing day (WeChat: a setting of the
    /// merchant platform); beyond it RCVDAMOUNT_LIMIT.
    pub fen_per_openid_and_day: Option<i64>,
    /// Fen of all orders stored in a simulated Beijing day (WeChat: a setting of the merchant
    /// platform); beyond it SENDAMOUNT_LIMIT.
    pub fen_per_day: Option<i64>,
}

/// PEM files for serving over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// With it, a client must show a certificate signed by this authority, as WeChat demands.
    pub client_ca: Option<PathBuf>,
}

/// Everything a simulator is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the provider's API is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the admin API is served: plain HTTP without a password, hence loopback only.
    pub admin_listen: SocketAddr,
    /// The books file; without one, a temporary file that goes away with the simulator.
    pub books: Option<PathBuf>,
    pub merchant: Merchant,
    /// The merchant's balance when the books are new.
    pub opening_balance_fen: i64,
    /// How many simulated seconds pass in a second; 0 makes time stand still.
    pub time_scale: u32,
    /// Where simulated and real time were the same, in milliseconds since the Unix epoch; not in
    /// the future. New books then begin at `origin + (now - origin) * time_scale`, as every other
    /// clock of this origin and scale does. Without it they begin at real time, and books that
    /// are there already keep their own.
    pub time_origin_ms: Option<i64>,
    pub seed: u64,
    /// The share of packets that somebody takes; the others go back after 24 simulated hours.
    pub taken_per_mille: u16,
    pub faults: FaultTable,
    pub limits: Limits,
    /// Into how many shares a group packet may be divided; no document of today says.
    pub max_shares: u32,
    /// How long every reply takes at least, in real time.
    pub latency: Duration,
    /// How long a connection is held, in real time, by the TIMEOUT faults.
    pub hold: Duration,
    pub tls: Option<TlsFiles>,
    /// The voucher platform of seed 002, served at the same address if it is there.
    pub map: Option<MapConfig>,
    /// The open platform of seed 003, served at the same address if it is there.
    pub open: Option<OpenConfig>,
}

impl Default for Config {
    fn default() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: any_port,
            admin_listen: any_port,
            books: None,
            merchant: Merchant::from_seed(1),
            opening_balance_fen: 100_000_000,
            time_scale: 1,
            time_origin_ms: None,
            seed: 1,
            taken_per_mille: 800,
            faults: FaultTable::default(),
            limits: Limits::default(),
            max_shares: 20,
            latency: Duration::ZERO,
            hold: Duration::from_secs(40),
            tls: None,
            map: None,
            open: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_merchant_has_the_right_shape_and_keeps_its_key() {
        let merchant = Merchant::from_seed(7);
        assert_eq!(merchant.api_key.len(), 32);
        assert_eq!(merchant.appid().len(), 18);
        assert_eq!(merchant, Merchant::from_seed(7));
        assert_ne!(merchant.api_key, Merchant::from_seed(8).api_key);
        assert!(!format!("{merchant:?}").contains(&merchant.api_key));
    }
}
