//! The `outrider` program: command line and composition root of the cloud.
//!
//! **In:** arguments, configuration, the system's clock and random source. **Out:** what the command's help says; with
//! `--json` one object in the last line of standard output, progress on standard error. **Start reading** at
//! [`cli::Command`].

mod cli;
mod content;
mod ports;
mod traces;

use std::process::ExitCode;

use clap::Parser as _;
use outrider_agent::bench::counting::Counting;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::traces::Traces;

/// Counts for `bench`; otherwise the system's heap.
#[global_allocator]
static HEAP: Counting = Counting;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let traces = Traces::begin(&arguments.traces());
    let (traces, problem) =
        traces.map_or_else(|failure| (Traces::default(), Some(failure)), |traces| (traces, None));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    tracing_subscriber::registry()
        .with(traces.layer())
        .with(lines.with_filter(arguments.log_filter()))
        .init();
    match problem.map_or_else(|| cli::run(arguments), Err) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::from(failure.code)
        }
    }
}
