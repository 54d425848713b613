//! `hongbao keygen`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

/// Make a key file for a new environment. Existing files are never overwritten.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// The file to make, readable by its owner alone.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Makes the file.
///
/// # Errors
/// It exists, or cannot be written.
pub fn run(args: &KeygenArgs) -> anyhow::Result<ExitCode> {
    crate::app::write_key_file(&args.out)?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} made. Keep a copy of it apart from the database: neither is of use without the other.",
        args.out.display()
    )?;
    Ok(ExitCode::SUCCESS)
}
