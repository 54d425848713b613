//! `hongbao demo`: the main job, from nothing to balanced books, in half a minute.
//!
//! It is the product as it is: the real server on a real port, called through
//! gRPC, with a database in a temporary folder; only the provider is simulated, and
//! time runs two hours a second. A third of the provider's answers go wrong on
//! purpose.

mod books;
mod scene;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tonic::transport::Channel;

use scene::Demo;

use super::top::{self, View, Watcher};
use super::wait_for_signal;
use crate::app::{self, Running};
use crate::config::{Config, CredentialConfig};
use crate::simulator::{self, Fault, FaultTable, Simulator};
use crate::telemetry::{self, LogOutput};

/// See it work: a simulated provider with faults, 1,000 red packets, and the books
/// of both sides.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep serving afterwards, and print a grpcurl line that works.
    #[arg(long)]
    serve: bool,
    /// How many red packets, 1 to 1,000.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    packets: u32,
    /// Seed of the provider's faults and of who takes his packet.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw how `hongbao top` sees it, half-way, into an SVG file.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// What is logged to stderr.
    #[arg(long, default_value = "error,hongbao=off")]
    log_filter: String,
}

/// Looks before a picture is taken, and what lies between them.
const LOOKS: u32 = 8;
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Two hours a second: a day, after which untaken packets come back, is 12 seconds.
const TIME_SCALE: u32 = 7_200;
const SHOP: i64 = 1;
const GROUP: i64 = 7;
const BUDGET_FEN: i64 = 500_000;
/// After this long something hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// Ends with 0 when both books agree, with 1 when they do not.
///
/// # Errors
/// A port or a temporary folder cannot be had, or a call fails.
pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let guard = telemetry::init(&telemetry::Settings {
        log_format: telemetry::LogFormat::Pretty,
        log_output: LogOutput::Stderr,
        log_filter: args.log_filter.clone(),
        otlp_endpoint: None,
        service_instance: "demo".to_owned(),
    })?;
    let folder = tempfile::Builder::new().prefix("hongbao-demo-").tempdir()?;
    let simulator = simulator::start(provider(args.seed)).await?;
    let running = app::start(&config(folder.path(), &simulator)).await?;
    let key = running
        .first_key
        .clone()
        .context("a new database made no app")?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "server    {} (SQLite in {})",
        running.grpc_addr,
        folder.path().display()
    )?;
    writeln!(
        out,
        "provider  {} (simulated, a third of its answers go wrong; two hours a second)\n",
        simulator.base_url()
    )?;

    let demo = Demo::connect(&running, &key).await?;
    let campaign = demo.prepare(&simulator, args.packets).await?;
    let batch = demo.send(campaign, args.packets).await?;
    let half_way = take_picture(&args, &running, &key);
    let (watched, taken) = tokio::join!(demo.watch(batch, u64::from(args.packets)), half_way);
    watched?;
    taken?;
    let states = demo
        .wait_until_ended(campaign, u64::from(args.packets))
        .await?;
    let budget = demo.stats(campaign).await?.budget.unwrap_or_default();
    books::report(&states, &budget)?;
    let sound = books::compare(&running, &simulator).await?;
    if args.serve {
        invite(&running, &key, campaign)?;
        wait_for_signal().await?;
    }
    running.shutdown().await;
    simulator.shutdown().await;
    guard.shutdown(Duration::from_secs(1)).await;
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How `hongbao top` sees the demo while it runs.
async fn take_picture(args: &DemoArgs, running: &Running, key: &str) -> anyhow::Result<()> {
    let Some(file) = &args.picture else {
        return Ok(());
    };
    let server = format!("http://{}", running.grpc_addr);
    let channel = Channel::from_shared(server.clone())?.connect().await?;
    let mut watcher = Watcher::new(channel, key)?;
    let mut view = View::new(server);
    for _ in 0..LOOKS {
        watcher.look(&mut view).await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let drawn = top::draw(&view, 120)?;
    std::fs::write(file, top::picture(&drawn))?;
    Ok(())
}

/// A provider that misbehaves in every way that leaves the money in doubt.
fn provider(seed: u64) -> simulator::Config {
    let faults = [
        (Fault::SystemErrorBefore, 40),
        (Fault::SystemErrorAfter, 40),
        (Fault::Processing, 40),
        (Fault::ProcessingFailed, 20),
        (Fault::TimeoutAfter, 10),
        (Fault::ResetAfter, 40),
        (Fault::HalfBody, 30),
        (Fault::Html502, 30),
        (Fault::UnknownCode, 20),
        (Fault::FreqLimit, 40),
        (Fault::SendFailed, 20),
        (Fault::NotEnough, 2),
    ];
    let table = faults
        .into_iter()
        .fold(FaultTable::default(), |table, (fault, per_mille)| {
            table.with_send(fault, per_mille)
        });
    simulator::Config {
        time_scale: TIME_SCALE,
        seed,
        faults: table,
        hold: Duration::from_secs(2),
        ..Default::default()
    }
}

fn config(folder: &std::path::Path, simulator: &Simulator) -> Config {
    let mut config = Config::default();
    config.database.url = format!("sqlite://{}", folder.join("hongbao.db").display());
    config.server.grpc_listen = ([127, 0, 0, 1], 0).into();
    config.server.admin_listen = ([127, 0, 0, 1], 0).into();
    config.server.drain_seconds = 3;
    config.clock.scale = TIME_SCALE;
    config.dispatcher.poll_ms = 50;
    config.provider.total_timeout_ms = 500;
    let merchant = simulator.merchant();
    let credential = CredentialConfig {
        base_url: simulator.base_url(),
        mch_id: merchant.mch_id.clone(),
        api_key: Some(merchant.api_key.clone()),
        api_key_file: None,
        cert_file: None,
        key_file: None,
        ca_file: None,
        shops: None,
        map: None,
        open_platform: None,
    };
    config
        .credentials
        .insert("simulator".to_owned(), credential);
    config
}

fn invite(running: &Running, key: &str, campaign: i64) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "\nstill serving; end with Ctrl-C. Metrics: http://{}/metrics",
        running.admin_addr
    )?;
    writeln!(
        out,
        "\n  grpcurl -plaintext -H 'authorization: Bearer {key}' \\"
    )?;
    writeln!(
        out,
        "    -d '{{\"shop_id\": {SHOP}, \"request_id\": \"mine-1\", \"campaign_id\": {campaign}, \"uids\": [\"user-1\"], \"source\": \"ISSUANCE_SOURCE_MANUAL\", \"wait\": true}}' \\"
    )?;
    writeln!(
        out,
        "    {} hongbao.v1.IssuanceService/SendToUsers",
        running.grpc_addr
    )?;
    Ok(())
}
