//! The `outrider` program: command line and composition root of the cloud.
//!
//! **In:** arguments, configuration, the system's clock and random source. **Out:** what the command's help says; with
//! `--json` one object in the last line of standard output, progress on standard error. **Start reading** at
//! [`cli::Command`].

mod cli;
mod content;
mod ports;

use std::process::ExitCode;

use clap::Parser as _;
use outrider_agent::bench::counting::Counting;

/// Counts for `bench`; otherwise the system's heap.
#[global_allocator]
static HEAP: Counting = Counting;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(arguments.log_filter())
        .with_target(false)
        .init();
    match cli::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::from(failure.code)
        }
    }
}
