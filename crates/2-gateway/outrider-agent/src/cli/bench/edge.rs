//! `bench edge`, of this program and of the cloud's.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Value, json};

use crate::bench::instructions::{InstructionsError, instructions_per_frame};
use crate::bench::{EdgeBench, edge, edge_untimed};

/// What `--help` says of the result.
const FIELDS: &str = "\
Fields of --json:
  frames                  frames taken, of generated traffic with attacks in it
  ns_per_frame_p50        median time of a frame in nanoseconds; the budget is 100
  ns_per_frame_p999       99.9th percentile of it; the budget is 1000
  allocations             heap allocations while frames were taken, counted; the budget is 0
  state_bytes_per_bus     memory of the detectors of one bus; the budget is 262144
  observations            what the detectors said, so that nobody measures detectors that are asleep
  instructions_per_frame  processor instructions of a frame, with the share of tick; null without --instructions
  instructions_missing    why they were not counted, if --instructions was given and they were not";

/// The detectors of the vehicle's CAN buses, over generated traffic of two buses.
#[derive(Debug, Args)]
#[command(after_help = FIELDS)]
pub struct EdgeArguments {
    /// Seconds of generated traffic.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Count instructions too: runs itself twice under valgrind, where that is installed..
    #[arg(long, conflicts_with = "untimed")]
    instructions: bool,
    /// Only do the work, without a clock and without figures, for a tool that counts for itself.
    #[arg(long)]
    untimed: bool,
    /// With --untimed: take only so many frames.
    #[arg(long, requires = "untimed")]
    frames: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl EdgeArguments {
    /// Measures and writes the result.
    ///
    /// # Errors
    /// The result cannot be written.
    pub fn run(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.untimed {
            let (frames, observations) = edge_untimed(self.seconds, self.frames.unwrap_or(usize::MAX));
            return writeln!(out, "{}", json!({ "frames": frames, "observations": observations }));
        }
        let bench = edge(self.seconds);
        let counted = self.instructions.then(|| self.count(bench.frames));
        if self.json {
            writeln!(out, "{}", object(&bench, counted.as_ref()))
        } else {
            say(&bench, counted, out)
        }
    }

    fn count(&self, frames: u64) -> Result<u64, InstructionsError> {
        let program = std::env::current_exe().map_err(InstructionsError::Start)?;
        instructions_per_frame(&program, self.seconds, frames)
    }
}

/// Returns the result as JSON; the fields are those of [`FIELDS`].
fn object(bench: &EdgeBench, counted: Option<&Result<u64, InstructionsError>>) -> Value {
    let mut object = json!({
        "frames": bench.frames,
        "ns_per_frame_p50": bench.ns_per_frame_p50,
        "ns_per_frame_p999": bench.ns_per_frame_p999,
        "allocations": bench.allocations,
        "state_bytes_per_bus": bench.state_bytes_per_bus,
        "observations": bench.observations,
        "instructions_per_frame": counted.and_then(|result| result.as_ref().ok()),
    });
    if let Some(Err(error)) = counted {
        object["instructions_missing"] = error.to_string().into();
    }
    object
}

fn say(
    bench: &EdgeBench,
    counted: Option<Result<u64, InstructionsError>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let allocations = bench.allocations.map_or("not counted".to_owned(), |count| count.to_string());
    writeln!(
        out,
        "{} frames, median {} ns, p99.9 {} ns, allocations: {allocations}, {} bytes of state a bus",
        bench.frames, bench.ns_per_frame_p50, bench.ns_per_frame_p999, bench.state_bytes_per_bus
    )?;
    match counted {
        Some(Ok(count)) => writeln!(out, "{count} instructions a frame"),
        Some(Err(error)) => writeln!(out, "instructions were not counted: {error}"),
        None => Ok(()),
    }
}
