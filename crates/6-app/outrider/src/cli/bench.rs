//! `outrider bench`.

mod correlate;
mod ingest;
mod lake;
mod tenzir;
mod uplink;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use outrider_agent::bench::edge;
use outrider_agent::cli::EdgeArguments;
use outrider_types::{EventTypeId, Seed, UnixMicros};
use outrider_wire::catalogue::event;
use serde_json::json;

use super::{Failure, print};

/// Measures; figures depend on the machine, ratios less.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Wire batch → signature, decode, normalise, rules, correlation → durable lake, and the edge's time per frame.
    ///
    /// JSON fields: events, cpu_seconds, wall_seconds, events_per_cpu_second, stages (CPU seconds of decode, detect and
    /// lake), rules, findings, wire_bytes_per_event, lake_bytes_per_event, edge_ns_per_frame_p50,
    /// edge_ns_per_frame_p999, edge_frames, edge_allocations, edge_state_bytes_per_bus.
    Spine(Spine),
    /// Lines of JSON through decoding, normalising and fifty rules, beside Tenzir on the same file; and the spine to the lake.
    Ingest(ingest::BenchIngest),
    /// The edge alone: time, allocations, memory and, where valgrind is, instructions a frame.
    Edge(EdgeArguments),
    /// What leaves a vehicle, byte for byte, and what its gateway takes for it.
    Uplink(uplink::Uplink),
    /// Fleet correlation alone: counting sightings of a fleet of which a part is weeks late.
    Correlate(correlate::Correlate),
    /// The lake: storing, compaction, one vehicle's history, questions over the fleet.
    Lake(lake::BenchLake),
}

#[derive(Debug, Args)]
struct Spine {
    /// Events to carry.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Vehicles that they come from.
    #[arg(long, default_value_t = 2000)]
    vehicles: usize,
    /// Folder for the lake; by default a temporary one that is removed.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Time of the first event.
const START: UnixMicros = UnixMicros(1_767_571_200_000_000);

impl Bench {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Spine(spine) => spine.run(),
            What::Ingest(ingest) => ingest.run(),
            What::Uplink(uplink) => uplink.run(),
            What::Lake(lake) => lake.run(),
            What::Correlate(correlate) => correlate.run(),
            What::Edge(arguments) => arguments.run(&mut std::io::stdout().lock()).map_err(Failure::failed),
        }
    }
}

/// CPU time of this thread so far; the kernel's account in `/proc` is only brought up to date at a tick.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// CPU seconds of this process so far, all threads, user and system; resolution 10 ms.
fn cpu_seconds() -> Result<f64, Failure> {
    stat_seconds(11)
}

/// Sum of two neighbouring times in the kernel's account of this process, the first at a place after its name.
fn stat_seconds(place: usize) -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(Failure::failed)?;
    // The command's name, in parentheses, may hold spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    match (ticks(place), ticks(place + 1)) {
        (Some(user), Some(system)) => Ok((user + system) / 100.0),
        _ => Err(Failure::failed("/proc/self/stat has another shape")),
    }
}

impl Spine {
    fn run(&self) -> Result<(), Failure> {
        let folder = self
            .folder
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join(format!("outrider-bench-{}", std::process::id())));
        let carried = wire::carry(self.events, self.vehicles, &folder.join("lake"), false);
        if self.folder.is_none() {
            let _ = std::fs::remove_dir_all(&folder);
        }
        let carried = carried?;
        let edge = edge(30);
        let count = float(carried.events);
        let object = json!({
            "events": carried.events, "cpu_seconds": carried.cpu, "wall_seconds": carried.wall,
            "events_per_cpu_second": count / carried.cpu, "stages": carried.stages.to_json(),
            "rules": carried.rules, "findings": carried.findings,
            "wire_bytes_per_event": float(carried.wire_bytes) / count,
            "lake_bytes_per_event": float(carried.lake_bytes) / count, "edge_ns_per_frame_p50": edge.ns_per_frame_p50,
            "edge_ns_per_frame_p999": edge.ns_per_frame_p999, "edge_frames": edge.frames,
            "edge_allocations": edge.allocations, "edge_state_bytes_per_bus": edge.state_bytes_per_bus,
        });
        if self.json {
            return print(&format!("{object}\n"));
        }
        print(&format!("{object:#}\n"))
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for a person")]
const fn float(number: u64) -> f64 {
    number as f64
}

/// Kinds of the bench's events with their share in percent. A fifth of them matches a shipped rule, far more than a
/// healthy fleet has, so that matching, correlation and findings are part of the figure.
const MIX: [(EventTypeId, u64); 10] = [
    (event::FW_PACKET_BLOCKED, 30),
    (event::CAN_ERROR_PASSIVE, 15),
    (event::GNSS_JAMMING, 10),
    (event::HOST_ACCESS_DENIED, 10),
    (event::OTA_SERVER_UNREACHABLE, 5),
    (event::CAN_SEQUENCE_ANOMALY, 10),
    (event::SECOC_MAC_FAILURE, 7),
    (event::CAN_CYCLE_TIME, 6),
    (event::DIAG_SECURITY_ACCESS_DENIED, 5),
    (event::CAN_UNKNOWN_ID, 2),
];

/// Draws a kind by its share.
fn draw_kind(seed: &mut Seed) -> EventTypeId {
    let mut place = seed.below(100);
    for (kind, share) in MIX {
        if place < share {
            return kind;
        }
        place -= share;
    }
    event::FW_PACKET_BLOCKED
}
