//! The `outrider-agent` program.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = outrider_agent::cli::Arguments::parse();
    outrider_agent::cli::run(&arguments, &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}
