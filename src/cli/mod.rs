//! The command line: one file per subcommand, each with an `Args` struct and a `run` function.

pub mod app;
pub mod demo;
pub mod keygen;
pub mod migrate;
pub mod operator;
pub mod serve;
pub mod simulate;
pub mod top;
pub mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Config;

/// Issues red packets and vouchers, and never pays twice.
#[derive(Debug, Parser)]
#[command(name = "hongbao", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See it work: a simulated provider with faults, 1,000 red packets, and the books of both sides.
    Demo(demo::DemoArgs),
    /// Serve gRPC and work on packets.
    Serve(serve::ServeArgs),
    /// Bring the schema of the database up to date.
    Migrate(migrate::MigrateArgs),
    /// Make a key file for a new environment.
    Keygen(keygen::KeygenArgs),
    /// Make calling systems, directly in the database.
    App(app::AppArgs),
    /// Make people who operate, directly in the database: what takes two, takes two of them.
    Operator(operator::OperatorArgs),
    /// Watch a server: campaigns, queues, accounts, what is held back, what waits for people.
    Top(Box<top::TopArgs>),
    /// Check the books: every rule that must hold at any instant.
    Verify(verify::VerifyArgs),
    /// Serve the provider's side: WeChat Pay V2 red packets with faults on demand.
    Simulate(Box<simulate::SimulateArgs>),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file (TOML); without one, defaults and the environment.
    #[arg(long, short, env = "HONGBAO_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    /// The configuration in force.
    ///
    /// # Errors
    /// A key is unknown or a value does not fit.
    pub fn load(&self) -> anyhow::Result<Config> {
        Config::load(self.config.as_deref())
    }
}

/// Parses the command line and runs what it says.
///
/// # Errors
/// Whatever the command ends with; the text says what to do.
pub fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Serve(args) => serve::run(args).await,
            Command::Migrate(args) => migrate::run(args).await,
            Command::Keygen(args) => keygen::run(&args),
            Command::App(args) => app::run(args).await,
            Command::Operator(args) => operator::run(args).await,
            Command::Top(args) => top::run(args).await,
            Command::Verify(args) => verify::run(args).await,
            Command::Simulate(args) => simulate::run(*args).await.map(|()| ExitCode::SUCCESS),
        }
    })
}

/// Waits for SIGINT or SIGTERM.
///
/// # Errors
/// The handler cannot be installed.
pub async fn wait_for_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
