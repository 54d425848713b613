//! `hongbao serve`

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{ConfigArgs, wait_for_signal};
use crate::config::Config;
use crate::telemetry::{self, LogOutput};

/// Serve gRPC and work on packets.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Read the configuration and the files that it names, print what is in force,
    /// without secrets, and end. The database is not asked.
    #[arg(long)]
    check: bool,
    /// Print the configuration in force, without secrets and without reading the files
    /// that it names, and end.
    #[arg(long)]
    print_config: bool,
}

/// Runs until a signal, then drains. A second signal ends at once.
///
/// # Errors
/// The configuration, the database, a port or a certificate does not fit.
pub async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?;
    if args.check {
        crate::app::check(&config)?;
    }
    if args.check || args.print_config {
        writeln!(std::io::stdout(), "{}", config.shown()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let guard = telemetry::init(&settings(&config))?;
    let running = crate::app::start(&config).await?;
    if let Some(key) = &running.first_key {
        welcome(key, running.grpc_addr)?;
    }
    wait_for_signal().await?;
    let code = tokio::select! {
        () = running.shutdown() => ExitCode::SUCCESS,
        _ = wait_for_signal() => ExitCode::from(130),
    };
    guard.shutdown(Duration::from_secs(3)).await;
    Ok(code)
}

/// How a configuration reports on itself.
#[must_use]
pub fn settings(config: &Config) -> telemetry::Settings {
    let host = || {
        std::env::var("HOSTNAME")
            .ok()
            .filter(|name| !name.is_empty())
    };
    let instance = config.telemetry.service_instance.clone().or_else(host);
    telemetry::Settings {
        log_format: config.telemetry.log_format,
        log_output: LogOutput::Stdout,
        log_filter: config.telemetry.log_filter.clone(),
        otlp_endpoint: config.telemetry.otlp_endpoint.clone(),
        service_instance: instance.unwrap_or_else(|| format!("pid-{}", std::process::id())),
    }
}

/// The first start of an embedded installation: its key is shown here and nowhere else.
fn welcome(key: &str, addr: std::net::SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stderr();
    writeln!(
        out,
        "\nThis is the first start. An app \"admin\" was made; its key is shown this once:\n"
    )?;
    writeln!(out, "    export HONGBAO_KEY={key}\n")?;
    writeln!(out, "Try it:\n")?;
    writeln!(
        out,
        "    grpcurl -plaintext -H \"authorization: Bearer $HONGBAO_KEY\" \\"
    )?;
    writeln!(
        out,
        "      -d '{{\"request_id\": \"shop-1\", \"shop_id\": 1, \"name\": \"First shop\"}}' \\"
    )?;
    writeln!(out, "      {addr} hongbao.v1.AdminService/CreateShop\n")?;
    Ok(())
}
