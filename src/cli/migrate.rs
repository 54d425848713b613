//! `hongbao migrate`

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::ConfigArgs;
use crate::config::mask_password;
use crate::store;

/// Bring the schema of the database up to date.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Needs the database and nothing else: no keys, no credentials.
///
/// # Errors
/// The database does not answer, or a step fails.
pub async fn run(args: MigrateArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?;
    let _lock = store::lock::ProcessLock::take(&config.database.url)?;
    let done = store::migrate(&crate::app::database(&config)).await?;
    let place = mask_password(&config.database.url);
    let mut out = std::io::stdout();
    for step in &done {
        writeln!(out, "applied {step}")?;
    }
    writeln!(out, "{place} is up to date ({} steps applied)", done.len())?;
    Ok(ExitCode::SUCCESS)
}
