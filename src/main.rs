//! The binary: everything is in the library, so that tests reach what the binary does.

use std::io::Write as _;
use std::process::ExitCode;

/// An operator's mistake is answered by one line that says what to do; a backtrace
/// would bury it.
fn main() -> ExitCode {
    hongbao::cli::main().unwrap_or_else(|error| {
        // Nobody is left to be told if stderr is gone.
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}
