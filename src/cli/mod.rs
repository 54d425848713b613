//! The command line: one file per subcommand, each with an `Args` struct and a `run` function.

pub mod simulate;

use clap::{Parser, Subcommand};

/// Issues red packets and vouchers, and never pays twice.
#[derive(Debug, Parser)]
#[command(name = "hongbao", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the provider's side: WeChat Pay V2 red packets with faults on demand.
    Simulate(Box<simulate::SimulateArgs>),
}

/// Parses the command line and runs what it says.
pub fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match cli.command {
            Command::Simulate(args) => simulate::run(*args).await,
        }
    })
}
