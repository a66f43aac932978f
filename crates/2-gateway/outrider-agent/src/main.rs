//! The `outrider-agent` program.

use std::process::ExitCode;

use clap::Parser;
use outrider_agent::bench::counting::Counting;

/// Counts for `bench`; otherwise the system's heap.
#[global_allocator]
static HEAP: Counting = Counting;

fn main() -> ExitCode {
    let arguments = outrider_agent::cli::Arguments::parse();
    outrider_agent::cli::run(&arguments, &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}
