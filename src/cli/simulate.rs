//! `hongbao simulate`: a provider to try against, with everything that a client needs on stdout.
//!
//! The lines `name=value` are for scripts; the API key is printed because it opens nothing but
//! this simulator.

mod open;

use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::signing::rsa::{Hash, PublicKey};
use crate::simulator::{
    self, Config, Fault, FaultTable, Limits, MapConfig, Merchant, Simulator, Strike, TlsFiles,
    make_certs,
};

use open::OpenArgs;

/// A key on its way in, which no debug output shows.
#[derive(Clone)]
struct ApiKey(String);

impl FromStr for ApiKey {
    type Err = &'static str;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        if key.len() == 32 {
            Ok(Self(key.to_owned()))
        } else {
            Err("an API key has 32 characters")
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// A secret of any length on its way in, which no debug output shows.
#[derive(Clone)]
struct Secret(String);

impl FromStr for Secret {
    type Err = &'static str;

    fn from_str(secret: &str) -> Result<Self, Self::Err> {
        match secret {
            "" => Err("a secret has a character at least"),
            secret => Ok(Self(secret.to_owned())),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What `hongbao simulate` takes.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Where the provider's API is served.
    #[arg(long, default_value = "127.0.0.1:7701")]
    listen: SocketAddr,
    /// Where the admin API is served: plain HTTP without a password, loopback only.
    #[arg(long, default_value = "127.0.0.1:7702")]
    admin_listen: SocketAddr,
    /// The provider's own books; without it they are gone when the simulator stops.
    #[arg(long, value_name = "FILE")]
    books: Option<PathBuf>,
    #[arg(long)]
    mch_id: Option<String>,
    /// 32 characters; made from the seed if not given.
    #[arg(long, env = "HONGBAO_SIM_API_KEY", hide_env_values = true)]
    api_key: Option<ApiKey>,
    /// May be given more than once.
    #[arg(long = "appid")]
    appids: Vec<String>,
    /// The merchant's balance when the books are new.
    #[arg(long, default_value_t = 100_000_000)]
    balance_fen: i64,
    /// How many simulated seconds pass in a second.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    time_scale: u32,
    /// Where simulated and real time were the same, in ms since the Unix epoch, for new books:
    /// give a scaled server's origin and scale, and the two agree on the time.
    #[arg(long, value_name = "MS")]
    time_origin: Option<i64>,
    /// The same seed makes the same packets taken and the same faults strike.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many packets of a thousand somebody takes.
    #[arg(long, default_value_t = 800, value_parser = clap::value_parser!(u16).range(0..=1000))]
    taken_per_mille: u16,
    /// A fault of sends by probability, NAME=PERMILLE, or query:NAME=PERMILLE; repeatable.
    #[arg(long = "fault", value_name = "NAME=PERMILLE")]
    faults: Vec<String>,
    /// Enforce a limit on sends per simulated minute (WeChat: 1800).
    #[arg(long, value_name = "N")]
    limit_per_minute: Option<u32>,
    /// Enforce a limit on sends within any one real second (1800 a minute are 30 a second).
    #[arg(long, value_name = "N")]
    limit_per_second: Option<u32>,
    /// Enforce a limit on queries within any one real second.
    #[arg(long, value_name = "N")]
    limit_queries_per_second: Option<u32>,
    /// Enforce a limit on packets per openid and simulated Beijing day (WeChat: 10).
    #[arg(long, value_name = "N")]
    limit_per_openid: Option<u32>,
    /// Enforce a limit on fen per openid and simulated Beijing day.
    #[arg(long, value_name = "FEN", value_parser = clap::value_parser!(i64).range(0..))]
    limit_fen_per_openid: Option<i64>,
    /// Enforce a limit on fen per simulated Beijing day.
    #[arg(long, value_name = "FEN", value_parser = clap::value_parser!(i64).range(0..))]
    limit_fen_per_day: Option<i64>,
    /// Into how many shares a group packet may be divided.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=100))]
    max_shares: u32,
    /// How long every reply takes at least, in real milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// How long the TIMEOUT faults hold a connection, in real milliseconds.
    #[arg(long, default_value_t = 40_000)]
    hold_ms: u64,
    /// The server's certificate, PEM.
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The server's private key, PEM.
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Demand a client certificate signed by this authority, PEM.
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Serve the voucher platform of seed 002 too: /gw/redPaper/give and its siblings.
    #[arg(long)]
    map: bool,
    /// Check its orders' signatures (tsig) with the app's public key or certificate, PEM.
    #[arg(long, requires = "map", value_name = "FILE")]
    map_public_key: Option<PathBuf>,
    /// What those signatures hash with.
    #[arg(long, requires = "map", default_value = "sha1", value_parser = ["sha1", "sha256", "md5"])]
    map_hash: String,
    #[command(flatten)]
    open: OpenArgs,
    /// Write an authority, a server pair and a merchant pair there, and exit.
    #[arg(long, value_name = "DIR")]
    make_certs: Option<PathBuf>,
}

/// Serves until SIGINT or SIGTERM.
pub async fn run(args: SimulateArgs) -> anyhow::Result<()> {
    let make_certs_in = args.make_certs.clone();
    let make_open_keys_in = args.open.make_open_keys.clone();
    let config = config(args)?;
    if let Some(dir) = make_open_keys_in {
        return say(&open::make_keys(&dir)?);
    }
    if let Some(dir) = make_certs_in {
        let files = make_certs(&dir, &config.merchant.mch_id)?;
        return say(&[
            format!("ca={}", files.ca.display()),
            format!("tls_cert={}", files.server_cert.display()),
            format!("tls_key={}", files.server_key.display()),
            format!("client_cert={}", files.client_cert.display()),
            format!("client_key={}", files.client_key.display()),
        ]);
    }
    // Before the first line is printed: whoever reads it may send a signal at once.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let simulator = simulator::start(config).await?;
    introduce(&simulator)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    simulator.shutdown().await;
    Ok(())
}

fn config(args: SimulateArgs) -> anyhow::Result<Config> {
    let mut merchant = Merchant::from_seed(args.seed);
    if let Some(mch_id) = args.mch_id {
        merchant.mch_id = mch_id;
    }
    if let Some(ApiKey(api_key)) = args.api_key {
        merchant.api_key = api_key;
    }
    if !args.appids.is_empty() {
        merchant.appids = args.appids;
    }
    let tls = match (args.tls_cert, args.tls_key) {
        (Some(cert), Some(key)) => Some(TlsFiles {
            cert,
            key,
            client_ca: args.client_ca,
        }),
        _ => None,
    };
    let map = match args.map {
        true => Some(map(
            args.seed,
            args.map_public_key.as_deref(),
            &args.map_hash,
        )?),
        false => None,
    };
    let open = args.open.config(args.seed, &merchant.appids)?;
    Ok(Config {
        listen: args.listen,
        admin_listen: args.admin_listen,
        books: args.books,
        merchant,
        opening_balance_fen: args.balance_fen,
        time_scale: args.time_scale,
        time_origin_ms: args.time_origin,
        seed: args.seed,
        taken_per_mille: args.taken_per_mille,
        faults: faults::<Fault>("--fault", &args.faults)?,
        limits: Limits {
            sends_per_minute: args.limit_per_minute,
            sends_per_second: args.limit_per_second,
            queries_per_second: args.limit_queries_per_second,
            packets_per_openid_and_day: args.limit_per_openid,
            fen_per_openid_and_day: args.limit_fen_per_openid,
            fen_per_day: args.limit_fen_per_day,
        },
        max_shares: args.max_shares,
        latency: Duration::from_millis(args.latency_ms),
        hold: Duration::from_millis(args.hold_ms),
        tls,
        map,
        open,
    })
}

fn map(seed: u64, public_key: Option<&Path>, hash: &str) -> anyhow::Result<MapConfig> {
    let mut map = MapConfig::from_seed(seed);
    if let Some(path) = public_key {
        let pem =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let key = PublicKey::from_pem(&pem);
        map.public_key = Some(key.context("no RSA public key of 2,048 to 4,096 bits")?);
    }
    map.hash = match hash {
        "sha256" => Hash::Sha256,
        "md5" => Hash::Md5,
        _ => Hash::Sha1,
    };
    Ok(map)
}

/// Probabilities of a protocol's faults, from the values of a flag.
fn faults<F: Strike>(flag: &str, values: &[String]) -> anyhow::Result<FaultTable<F>> {
    let mut table = FaultTable::default();
    for value in values {
        let (name, odds) = value
            .split_once('=')
            .with_context(|| format!("{flag} {value}: NAME=PERMILLE"))?;
        let odds = odds
            .parse()
            .with_context(|| format!("{flag} {value}: per mille is a whole number"))?;
        let (query, name) = match name.strip_prefix("query:") {
            Some(name) => (true, name),
            None => (false, name),
        };
        let fault =
            F::from_name(name).with_context(|| format!("{flag} {value}: no fault of that name"))?;
        table = if query {
            table.with_query(fault, odds)
        } else {
            table.with_send(fault, odds)
        };
    }
    Ok(table)
}

fn introduce(simulator: &Simulator) -> anyhow::Result<()> {
    let merchant = simulator.merchant();
    let admin = simulator.admin_url();
    let map = simulator.map().map(|map| {
        let key = map.app_key.as_deref().unwrap_or("");
        [
            format!("map_app_id={}", map.app_id),
            format!("map_app_key={key}"),
        ]
    });
    say(&map.into_iter().flatten().collect::<Vec<_>>())?;
    say(&open::lines(simulator))?;
    say(&[
        format!("mch_id={}", merchant.mch_id),
        format!("api_key={}", merchant.api_key),
        format!("appid={}", merchant.appid()),
        format!("base_url={}", simulator.base_url()),
        format!("admin_url={admin}"),
        format!(
            "# faults: {admin}/_sim/faults lists all; openid oSIM-TIMEOUT_AFTER-1 asks for one"
        ),
        "# ready".to_owned(),
    ])
}

fn say(lines: &[String]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: SimulateArgs,
    }

    #[test]
    fn every_limit_has_its_flag() {
        let line = "simulate --limit-per-minute 1 --limit-per-second 2 --limit-queries-per-second 3 \
                    --limit-per-openid 4 --limit-fen-per-openid 5 --limit-fen-per-day 6 \
                    --time-origin 7";
        let line = Line::try_parse_from(line.split_whitespace()).unwrap();
        let config = config(line.args).unwrap();
        let expected = Limits {
            sends_per_minute: Some(1),
            sends_per_second: Some(2),
            queries_per_second: Some(3),
            packets_per_openid_and_day: Some(4),
            fen_per_openid_and_day: Some(5),
            fen_per_day: Some(6),
        };
        assert_eq!(config.limits, expected);
        assert_eq!(config.time_origin_ms, Some(7));
        let none = Line::try_parse_from(["simulate"]).unwrap();
        assert_eq!(super::config(none.args).unwrap().limits, Limits::default());
        assert!(Line::try_parse_from(["simulate", "--limit-fen-per-day=-1"]).is_err());
    }

    #[test]
    fn flags_name_faults() {
        let flags = ["RESET=10".to_owned(), "query:HTML_502=5".to_owned()];
        let expected = FaultTable::default()
            .with_send(Fault::Reset, 10)
            .with_query(Fault::Html502, 5);
        assert_eq!(faults("--fault", &flags).unwrap(), expected);
        for flag in ["RESET", "RESET=x", "NOPE=1", "RESET=-1"] {
            assert!(faults::<Fault>("", &[flag.to_owned()]).is_err(), "{flag}");
        }
    }

    #[test]
    fn a_key_has_32_characters_and_is_never_shown() {
        let key: ApiKey = "0123456789abcdef0123456789abcdef".parse().unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey(…)");
        assert!("short".parse::<ApiKey>().is_err());
    }
}
