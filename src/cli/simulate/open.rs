//! The flags of the open platform (seed 003).

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::Secret;
use crate::signing::rsa::PublicKey;
use crate::simulator::{
    Discount, OpenConfig, OpenFault, OpenMissing, OpenTemplate, OpenTime, PlatformKey, Simulator,
    make_open_keys,
};

/// What `hongbao simulate` takes for the open platform.
#[derive(Debug, Args)]
pub(super) struct OpenArgs {
    /// Serve the open platform of seed 003 too: /v1/openapi/order/redPacket and /order/info.
    #[arg(long)]
    pub(super) open: bool,
    #[arg(long, requires = "open", value_name = "ID")]
    open_merchant_id: Option<String>,
    #[arg(long, requires = "open", value_name = "ID")]
    open_business_id: Option<String>,
    /// The secret of MD5 signatures; made from the seed if not given.
    #[arg(long, env = "HONGBAO_SIM_OPEN_SECRET", hide_env_values = true)]
    open_secret: Option<Secret>,
    /// Check SHA256-RSA signatures with the merchant's public key or certificate, PEM.
    #[arg(long, requires = "open", value_name = "FILE")]
    open_public_key: Option<PathBuf>,
    /// Sign callbacks by SHA256-RSA with this private key of the platform (PKCS#8, PEM); without
    /// it by MD5 and the secret.
    #[arg(long, requires = "open", value_name = "FILE")]
    open_platform_key: Option<PathBuf>,
    /// Where orders are reported that name no address; http:// only.
    #[arg(long, requires = "open", value_name = "URL")]
    open_callback_url: Option<String>,
    /// A template, what of the face value it costs, and how many there are: ID, ID=0.985 or
    /// ID=0.985,100; repeatable, in place of 1001, 1002=0.985 and 1003=1,10.
    #[arg(
        long = "open-template",
        requires = "open",
        value_name = "ID[=DISCOUNT[,STOCK]]"
    )]
    open_templates: Vec<String>,
    /// The status for a template that is not there.
    #[arg(long, requires = "open", default_value = "7", value_parser = ["7", "11"])]
    open_unknown_template: String,
    /// Answer 10 to everybody but these addresses; repeatable.
    #[arg(long = "open-allow-ip", requires = "open", value_name = "IP")]
    open_allow_ips: Vec<IpAddr>,
    /// What the merchant has paid in at the platform when the books are new.
    #[arg(
        long,
        requires = "open",
        default_value_t = 100_000_000,
        value_name = "FEN"
    )]
    open_balance_fen: i64,
    /// How far a timestamp may be off, in real seconds.
    #[arg(long, requires = "open", default_value_t = 300, value_name = "SECONDS")]
    open_window: u64,
    /// Read and write timestamps by the real clock, not by the simulated one.
    #[arg(long, requires = "open")]
    open_real_timestamps: bool,
    /// A fault of its sends by probability, NAME=PERMILLE, or query:NAME=PERMILLE; repeatable.
    #[arg(long = "open-fault", requires = "open", value_name = "NAME=PERMILLE")]
    open_faults: Vec<String>,
    /// Write a pair of RSA for the platform and one for the merchant there, and exit.
    #[arg(long, value_name = "DIR")]
    pub(super) make_open_keys: Option<PathBuf>,
}

impl OpenArgs {
    /// The platform, if one is asked for.
    pub(super) fn config(self, seed: u64, appids: &[String]) -> anyhow::Result<Option<OpenConfig>> {
        if !self.open {
            return Ok(None);
        }
        let made = OpenConfig::from_seed(seed);
        let templates = match &*self.open_templates {
            [] => made.templates,
            flags => flags
                .iter()
                .map(|flag| {
                    template(flag)
                        .with_context(|| format!("--open-template {flag}: ID=DISCOUNT,STOCK"))
                })
                .collect::<anyhow::Result<_>>()?,
        };
        Ok(Some(OpenConfig {
            merchant_id: self.open_merchant_id.unwrap_or(made.merchant_id),
            business_id: self.open_business_id.unwrap_or(made.business_id),
            secret: self
                .open_secret
                .map_or(made.secret, |Secret(secret)| secret),
            public_key: self
                .open_public_key
                .as_deref()
                .map(public_key)
                .transpose()?,
            platform_key: self
                .open_platform_key
                .as_deref()
                .map(platform_key)
                .transpose()?,
            appids: appids.to_vec(),
            templates,
            unknown_template: match &*self.open_unknown_template {
                "11" => OpenMissing::NoStock,
                _ => OpenMissing::NotFound,
            },
            callback_url: self.open_callback_url,
            allowed_ips: self.open_allow_ips,
            opening_balance_fen: self.open_balance_fen,
            window: Duration::from_secs(self.open_window),
            timestamps: match self.open_real_timestamps {
                true => OpenTime::Real,
                false => OpenTime::Simulated,
            },
            faults: super::faults::<OpenFault>("--open-fault", &self.open_faults)?,
            biz_code_max: made.biz_code_max,
            slow: made.slow,
            callback_timeout: made.callback_timeout,
        }))
    }
}

fn template(flag: &str) -> Option<(String, OpenTemplate)> {
    let (id, about) = flag.split_once('=').unwrap_or((flag, "1"));
    let (discount, stock) = match about.split_once(',') {
        Some((discount, stock)) => (discount, Some(stock.parse().ok()?)),
        None => (about, None),
    };
    let discount = Discount::parse(discount)?;
    (!id.is_empty()).then(|| (id.to_owned(), OpenTemplate { discount, stock }))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn public_key(path: &Path) -> anyhow::Result<PublicKey> {
    PublicKey::from_pem(&read(path)?).context("no RSA public key of 2,048 to 4,096 bits")
}

fn platform_key(path: &Path) -> anyhow::Result<PlatformKey> {
    let key = PlatformKey::from_pem(&read(path)?);
    key.context("no RSA private key (PKCS#8) of 2,048 to 4,096 bits")
}

/// The lines that say where the keys are.
pub(super) fn make_keys(dir: &Path) -> anyhow::Result<Vec<String>> {
    let files = make_open_keys(dir)?;
    Ok(vec![
        format!("open_platform_key={}", files.platform_key.display()),
        format!(
            "open_platform_public_key={}",
            files.platform_public.display()
        ),
        format!("open_merchant_key={}", files.merchant_key.display()),
        format!(
            "open_merchant_public_key={}",
            files.merchant_public.display()
        ),
    ])
}

/// What a client of the platform needs.
pub(super) fn lines(simulator: &Simulator) -> Vec<String> {
    let Some(open) = simulator.open() else {
        return Vec::new();
    };
    let templates: Vec<&str> = open.templates.keys().map(String::as_str).collect();
    vec![
        format!("open_merchant_id={}", open.merchant_id),
        format!("open_business_id={}", open.business_id),
        format!("open_secret={}", open.secret),
        format!("open_templates={}", templates.join(",")),
        format!("open_callback_signature={}", open.callback_signature()),
        format!(
            "open_callback_url={}",
            open.callback_url.as_deref().unwrap_or("")
        ),
        format!(
            "# faults of the open platform: {}/_sim/open/faults lists all",
            simulator.admin_url()
        ),
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::SimulateArgs;
    use super::*;
    use crate::simulator::FaultTable;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn config(line: &str) -> anyhow::Result<Option<OpenConfig>> {
        let args = Line::try_parse_from(line.split_whitespace())?.args;
        Ok(super::super::config(args)?.open)
    }

    #[test]
    fn every_flag_gets_where_it_belongs() {
        let open = config(
            "simulate --appid wx1 --open --open-merchant-id m --open-business-id b --open-secret s \
             --open-public-key tests/golden/map/public.pem \
             --open-platform-key tests/golden/map/private.pem \
             --open-callback-url http://localhost:1/cb --open-template A --open-template B=0.985 \
             --open-template C=1.01,7 --open-unknown-template 11 --open-allow-ip 127.0.0.1 \
             --open-balance-fen 5 --open-window 60 --open-real-timestamps \
             --open-fault RESET=10 --open-fault query:HTML_502=5",
        );
        let open = open.unwrap().unwrap();
        assert_eq!(
            (&*open.merchant_id, &*open.business_id, &*open.secret),
            ("m", "b", "s")
        );
        assert!(open.public_key.is_some());
        assert_eq!(open.callback_signature(), "SHA256-RSA");
        assert_eq!(open.callback_url.as_deref(), Some("http://localhost:1/cb"));
        let template = |discount: &str, stock| OpenTemplate {
            discount: Discount::parse(discount).unwrap(),
            stock,
        };
        assert_eq!(open.templates["A"], OpenTemplate::PLAIN);
        assert_eq!(open.templates["B"], template("0.985", None));
        assert_eq!(open.templates["C"], template("1.01", Some(7)));
        assert_eq!(open.templates.len(), 3);
        assert_eq!(open.unknown_template, OpenMissing::NoStock);
        assert_eq!(open.allowed_ips, [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(open.opening_balance_fen, 5);
        assert_eq!(open.window, Duration::from_secs(60));
        assert_eq!(open.timestamps, OpenTime::Real);
        assert_eq!(open.appids, ["wx1"]);
        let faults = FaultTable::default()
            .with_send(OpenFault::Reset, 10)
            .with_query(OpenFault::Html502, 5);
        assert_eq!(open.faults, faults);
    }

    #[test]
    fn it_is_not_there_unless_it_is_asked_for() {
        assert!(config("simulate").unwrap().is_none());
        assert!(config("simulate --open-merchant-id m").is_err());
        assert!(config("simulate --open").unwrap().is_some());
        for bad in ["A=", "A=x", "=1", "A=1,x", "A=0"] {
            assert!(
                config(&format!("simulate --open --open-template {bad}")).is_err(),
                "{bad}"
            );
        }
        for bad in ["NOPE=1", "RESET", "PROCESSING=1"] {
            assert!(
                config(&format!("simulate --open --open-fault {bad}")).is_err(),
                "{bad}"
            );
        }
    }
}
