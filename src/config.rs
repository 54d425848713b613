//! The configuration: a TOML file, then the environment, each key known by name.
//!
//! An unknown key is an error: a misspelt limit that is silently ignored is worse
//! than a server that does not start. Every key has a default but those that only
//! an operator can know. `HONGBAO__SECTION__KEY` overrides the file.

mod credential;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize, Serializer};

pub use credential::{CredentialConfig, MapConfig, OpenPlatformConfig, SignHash};

/// Everything that can be configured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Listeners and drain.
    pub server: Server,
    /// Where the data is.
    pub database: Database,
    /// Where the keys are.
    pub keys: Keys,
    /// Secrets of merchants, by the name that provider accounts use.
    pub credentials: BTreeMap<String, CredentialConfig>,
    /// The work on packets.
    pub dispatcher: Dispatcher,
    /// How long to wait for providers.
    pub provider: Provider,
    /// Logs and traces.
    pub telemetry: Telemetry,
    /// How fast time runs.
    pub clock: ClockConfig,
    /// How often one app may call.
    pub rate_limit: RateLimit,
    /// What is posted to those who want to know.
    pub webhooks: Webhooks,
    /// Where events are published besides.
    pub nats: Nats,
}

/// Listeners and drain.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Where gRPC is served, without TLS: a mesh or gateway brings that.
    pub grpc_listen: SocketAddr,
    /// Where /metrics, /livez, /readyz and /version are served.
    pub admin_listen: SocketAddr,
    /// Reflection, v1 and v1alpha: what `grpcurl list` reads.
    pub reflection: bool,
    /// After the signal, how long to go on serving while load balancers forget us.
    pub drain_delay_seconds: u64,
    /// How long calls and payments under way may then take to end.
    pub drain_seconds: u64,
    /// The deadline of a call that brings none.
    pub deadline_default_seconds: u64,
    /// The longest deadline of a call.
    pub deadline_max_seconds: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            grpc_listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            reflection: true,
            drain_delay_seconds: 0,
            drain_seconds: 25,
            deadline_default_seconds: 10,
            deadline_max_seconds: 60,
        }
    }
}

/// Where the data is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite://PATH` (embedded, one process, migrates itself) or `postgres://…`.
    #[serde(serialize_with = "without_password")]
    pub url: String,
    /// Connections at most.
    pub connections_max: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: "sqlite://hongbao-data/hongbao.db".to_owned(),
            connections_max: 16,
        }
    }
}

/// Where the keys are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// The key file, made by `hongbao keygen`. With SQLite it may be left out: the
    /// file then stands beside the database and is made at the first start.
    pub file: Option<PathBuf>,
}

/// The work on packets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dispatcher {
    /// Whether this replica works on packets.
    pub enabled: bool,
    /// Exchanges of one account under way at most.
    pub concurrency: usize,
    /// How long a claim holds. Must exceed twice the provider's time-out.
    pub lease_seconds: u64,
    /// Between two looks at an idle work list.
    pub poll_ms: u64,
}

impl Default for Dispatcher {
    fn default() -> Self {
        Self {
            enabled: true,
            concurrency: 64,
            lease_seconds: 30,
            poll_ms: 200,
        }
    }
}

/// How long to wait for providers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    /// For a connection.
    pub connect_timeout_ms: u64,
    /// For the whole exchange.
    pub total_timeout_ms: u64,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 3_000,
            total_timeout_ms: 10_000,
        }
    }
}

/// Logs and traces.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// `json` or `pretty`.
    pub log_format: crate::telemetry::LogFormat,
    /// What is logged, e.g. `info,hongbao=debug`.
    pub log_filter: String,
    /// Where traces go by OTLP/gRPC; left out: nowhere.
    pub otlp_endpoint: Option<String>,
    /// Tells replicas apart; left out: the host name.
    pub service_instance: Option<String>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log_format: crate::telemetry::LogFormat::Json,
            log_filter: "info,opentelemetry_sdk=warn".to_owned(),
            otlp_endpoint: None,
            service_instance: None,
        }
    }
}

/// How fast time runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClockConfig {
    /// How many times as fast as real time. Refused unless every provider is a
    /// simulator on this machine. Cannot be changed for a database later.
    pub scale: u32,
}

impl Default for ClockConfig {
    fn default() -> Self {
        Self { scale: 1 }
    }
}

/// How often one app may call, on one replica.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    /// In the long run.
    pub per_app_per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

impl Default for RateLimit {
    fn default() -> Self {
        let thousand = NonZeroU32::MIN.saturating_add(999);
        Self {
            per_app_per_second: thousand,
            burst: thousand.saturating_add(1_000),
        }
    }
}

/// What is posted to those who want to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Whether this process delivers.
    pub enabled: bool,
    /// Posts to one endpoint under way at once.
    pub per_endpoint: usize,
    /// Posts under way at once.
    pub together: usize,
    /// How long a receiver may take, in milliseconds.
    pub timeout_ms: u64,
    /// Whether receivers may be on this machine, also without TLS: for trying things out. In
    /// production it would let whoever makes an endpoint speak to what listens beside us.
    pub allow_loopback: bool,
    /// Deliveries that are over are kept for so many days.
    pub kept_days: u32,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            enabled: true,
            per_endpoint: 4,
            together: 64,
            timeout_ms: 5_000,
            allow_loopback: false,
            kept_days: 30,
        }
    }
}

/// Publication of all shops' events to NATS JetStream; in builds with the feature `nats`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nats {
    /// `nats://HOST:4222` or `tls://HOST:4222`; left out: nothing is published.
    pub url: Option<String>,
    /// A credentials file of NATS.
    pub credentials_file: Option<PathBuf>,
    /// What subjects begin with: `SUBJECT.SHOP.TYPE`. A stream has to take `SUBJECT.>`.
    pub subject: String,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: None,
            credentials_file: None,
            subject: "hongbao".to_owned(),
        }
    }
}

impl Config {
    /// Reads a file, if one is given, and the environment.
    ///
    /// # Errors
    /// The file is missing, a key is unknown, a value does not fit.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut builder = config::Config::builder();
        if let Some(file) = file {
            builder = builder.add_source(config::File::from(file).format(config::FileFormat::Toml));
        }
        let environment = config::Environment::with_prefix("HONGBAO")
            .prefix_separator("__")
            .separator("__");
        let loaded: Self = builder
            .add_source(environment)
            .build()?
            .try_deserialize()
            .context("the configuration")?;
        loaded.check()?;
        Ok(loaded)
    }

    /// What no type can say.
    fn check(&self) -> anyhow::Result<()> {
        let lease_ms = self.dispatcher.lease_seconds.saturating_mul(1_000);
        anyhow::ensure!(
            lease_ms >= self.provider.total_timeout_ms.saturating_mul(2),
            "dispatcher.lease_seconds must be at least twice provider.total_timeout_ms: a claim must outlive its exchange"
        );
        anyhow::ensure!(
            self.dispatcher.concurrency > 0,
            "dispatcher.concurrency must be positive"
        );
        anyhow::ensure!(self.clock.scale > 0, "clock.scale must be positive");
        anyhow::ensure!(
            self.nats.url.is_none() || cfg!(feature = "nats"),
            "nats.url is set, but this build has no NATS: build with --features nats"
        );
        for (name, credential) in &self.credentials {
            anyhow::ensure!(
                credential.map.is_none() || credential.open_platform.is_none(),
                "credentials.{name} is a merchant of one platform: map or open_platform"
            );
            anyhow::ensure!(
                credential.has_its_address(),
                "credentials.{name}.base_url must say where the platform is"
            );
        }
        if self.clock.scale > 1 {
            for (name, credential) in &self.credentials {
                anyhow::ensure!(
                    is_loopback(&credential.base_url),
                    "clock.scale = {} needs every provider to be a simulator on this machine; credentials.{name} is not",
                    self.clock.scale
                );
            }
        }
        Ok(())
    }

    /// The configuration as it is in force, without secrets, as JSON.
    ///
    /// # Errors
    /// A path is not text.
    pub fn shown(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}

fn is_loopback(base_url: &str) -> bool {
    let rest = base_url
        .split_once("://")
        .map_or(base_url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return false;
    }
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

fn hidden<S: Serializer>(value: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(_) => serializer.serialize_some("(hidden)"),
        None => serializer.serialize_none(),
    }
}

fn without_password<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&mask_password(url))
}

/// `postgres://user:(hidden)@host/db`.
#[must_use]
pub fn mask_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let Some((user, host)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    let user = user.split_once(':').map_or(user, |(user, _)| user);
    format!("{scheme}://{user}:(hidden)@{host}")
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown().map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> anyhow::Result<Config> {
        let file = tempfile::NamedTempFile::with_suffix(".toml")?;
        std::fs::write(file.path(), text)?;
        Config::load(Some(file.path()))
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(load("[server]\ngrpc_listne = \"127.0.0.1:1\"").is_err());
        assert!(load("[sever]").is_err());
        assert!(load("[server]\ngrpc_listen = \"127.0.0.1:1\"").is_ok());
    }

    #[test]
    fn secrets_are_hidden() {
        let config = load("[database]\nurl = \"postgres://u:pass@h/db\"\n[credentials.a]\nmch_id = \"1900000109\"\napi_key = \"topsecret\"").unwrap();
        let shown = config.to_string();
        assert!(
            !shown.contains("pass@") && !shown.contains("topsecret"),
            "{shown}"
        );
        assert!(shown.contains("postgres://u:(hidden)@h/db"));
    }

    #[test]
    fn fast_time_is_for_simulators_on_this_machine() {
        let with = |url: &str| {
            load(&format!(
                "[clock]\nscale = 60\n[credentials.a]\nmch_id = \"1900000109\"\nbase_url = \"{url}\""
            ))
        };
        for good in [
            "http://127.0.0.1:7701",
            "https://localhost:1/",
            "http://[::1]:9",
        ] {
            assert!(with(good).is_ok(), "{good}");
        }
        for bad in [
            "https://api.mch.weixin.qq.com",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1@evil.example",
            "http://10.0.0.1",
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_voucher_platform_has_an_address_and_the_defaults_of_the_seed() {
        let with = |url: &str| {
            load(&format!(
                "[credentials.oil]\nmch_id = \"zjhtwallet\"\n{url}[credentials.oil.map]\nsign_key_file = \"app.key\""
            ))
        };
        assert!(with("").is_err());
        let config = with("base_url = \"https://map.example\"\n").unwrap();
        let map = config.credentials["oil"].map.clone().unwrap();
        assert_eq!((&*map.give_prefix, &*map.query_prefix), ("/gw", ""));
        assert_eq!(map.sign_hash, SignHash::Sha1);
    }

    #[test]
    fn a_lease_outlives_its_exchange() {
        assert!(load("[dispatcher]\nlease_seconds = 10").is_err());
    }
}
