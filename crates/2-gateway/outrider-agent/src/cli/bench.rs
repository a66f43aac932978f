//! `outrider-agent bench`: what the agent's parts cost on this machine.

mod edge;
mod uplink;

use std::path::Path;

use clap::{Args, Subcommand};

pub use edge::EdgeArguments;
pub use uplink::UplinkArguments;

use super::{Failure, Terminal};
use crate::bench::host::{HostBench, host};

/// Measures the agent's parts on this machine.
#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Take generated frames with attacks in them through the detectors of CAN: time, allocations, memory.
    Edge(EdgeArguments),
    /// Take events through folding, spool, uplink and MQTT client: bytes, processor time, memory.
    Uplink(UplinkArguments),
    /// Delete files in a loop under the eyes of the file sensor: every one must be reported, in bounded memory.
    Host {
        /// Files to delete.
        #[arg(long, default_value_t = 50_000)]
        files: u64,
        /// Folder to work in; a folder below it is made and removed.
        #[arg(long)]
        folder: Option<std::path::PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

impl Bench {
    pub(super) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        match &self.what {
            What::Edge(arguments) => Ok(arguments.run(terminal.out)?),
            What::Uplink(arguments) => Ok(arguments.run(terminal.out)?),
            What::Host { files, folder, json } => storm(*files, folder.as_deref(), *json, terminal),
        }
    }
}

/// Runs the storm of deletes.
fn storm(files: u64, folder: Option<&Path>, json: bool, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let folder = folder.map_or_else(std::env::temp_dir, Path::to_path_buf);
    let figures = host(files, &folder).map_err(|error| Failure::input(error.to_string()))?;
    let HostBench { deleted, reported, .. } = figures;
    if json {
        let value = serde_json::json!({
            "files_deleted": deleted,
            "deletes_reported": reported,
            "rows": figures.rows,
            "delete_ms": figures.delete_ms,
            "reported_ms": figures.reported_ms,
            "resident_bytes_max": figures.usage.resident_bytes_max,
            "processor_us": figures.usage.processor_us,
            "overflows": figures.overflows,
            "step": figures.step,
            "balanced": figures.is_balanced,
        });
        writeln!(terminal.out, "{value}")?;
    } else {
        writeln!(
            terminal.out,
            "{deleted} files deleted in {} ms, {reported} reported in {} rows after {} ms, {} KiB resident at most, {} overflows",
            figures.delete_ms,
            figures.rows,
            figures.reported_ms,
            figures.usage.resident_bytes_max >> 10,
            figures.overflows
        )?;
    }
    if reported == deleted && figures.is_balanced {
        return Ok(());
    }
    Err(Failure::output(format!("{reported} of {deleted} deletes were reported")))
}
