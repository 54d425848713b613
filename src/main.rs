//! The binary: everything is in the library, so that tests reach what the binary does.

fn main() -> anyhow::Result<std::process::ExitCode> {
    hongbao::cli::main()
}
