//! `outrider bench`.

mod correlate;
mod lake;
mod uplink;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use ed25519_dalek::SigningKey;
use outrider_agent::bench::edge;
use outrider_agent::cli::EdgeArguments;
use outrider_detect::{Detector, DetectorConfig};
use outrider_gateway::Ed25519Signer;
use outrider_gateway::codec::Encoder;
use outrider_ingest::Worker;
use outrider_lake::{Lake, LakeConfig};
use outrider_model::{EventBatch, LogOffset, LogRecord, Partition, Sink as _, Stage as _, Watermark};
use outrider_server::vehicle::Directory;
use outrider_sim::FleetPlan;
use outrider_types::{
    BootEpoch, BusId, ClockFix, ClockSource, EcuId, EventTypeId, IngestTime, Lane, Seed, Seq, UnixMicros,
    VehicleMicros,
};
use outrider_wire::catalogue::{event, field};
use outrider_wire::{BatchWriter, Envelope, EnvelopeHeader, EventHead, Field, Value};
use serde_json::json;

use super::provision::entry;
use super::{Failure, print, runtime};
use crate::content::rules;

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

/// Rows of one wire batch.
const ROWS_PER_BATCH: u64 = 500;
/// Wire batches that the worker takes in one step, as it does under load.
const BATCHES_PER_STEP: usize = 100;
/// Time of the first event.
const START: UnixMicros = UnixMicros(1_767_571_200_000_000);

impl Bench {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Spine(spine) => spine.run(),
            What::Uplink(uplink) => uplink.run(),
            What::Lake(lake) => lake.run(),
            What::Correlate(correlate) => correlate.run(),
            What::Edge(arguments) => arguments.run(&mut std::io::stdout().lock()).map_err(Failure::failed),
        }
    }
}

/// CPU seconds of this process so far, all threads, user and system; resolution 10 ms.
fn cpu_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(Failure::failed)?;
    // The command's name, in parentheses, may hold spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) / 100.0),
        _ => Err(Failure::failed("/proc/self/stat has another shape")),
    }
}

/// CPU seconds by stage.
#[derive(Debug, Default)]
struct Stages {
    decode: f64,
    detect: f64,
    lake: f64,
}

impl Spine {
    fn run(&self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let folder = self
            .folder
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join(format!("outrider-bench-{}", std::process::id())));
        let fleet = FleetPlan::new(Seed::new(1), self.vehicles, 0);
        let records = self.records(&fleet)?;
        let wire_bytes: usize = records.iter().map(|record| record.bytes.len()).sum();
        tracing::info!(batches = records.len(), wire_bytes, "batches are made");
        let directory = Directory::default();
        directory.put(fleet.vehicles.iter().map(|vehicle| {
            let key = SigningKey::from_bytes(&vehicle.batch_key).verifying_key().to_bytes();
            entry(vehicle.record.clone(), key, false)
        }));
        let texts = rules(None)?;
        let files: Vec<_> = texts
            .iter()
            .map(|rule| outrider_rules::RuleFile { name: &rule.name, text: &rule.text })
            .collect();
        let rules = Arc::new(outrider_rules::load(&files).rules);
        let rule_count = rules.rules().len() + rules.correlations().len();
        let mut detector = Detector::new(rules, DetectorConfig::default());
        let config = LakeConfig::new(folder.join("lake").to_string_lossy());
        let lake = Lake::open(&config, runtime.handle().clone()).map_err(Failure::failed)?;
        let mut sink = lake.sink();
        let (mut worker, mut stages) = (Worker::default(), Stages::default());
        let (mut findings, mut quarantine) = (Vec::new(), Vec::new());
        let (mut events, mut found) = (0u64, 0usize);
        let (begin, wall) = (cpu_seconds()?, std::time::Instant::now());
        for (step, part) in records.chunks(BATCHES_PER_STEP).enumerate() {
            let zero = cpu_seconds()?;
            let mut batch = EventBatch::new();
            for record in part {
                worker.receive(record, &directory, &directory, &mut batch, &mut quarantine);
            }
            batch.seal();
            let one = cpu_seconds()?;
            let now = part.last().map_or(IngestTime(START), |record| record.ingest);
            detector.on_batch(&batch, now, &mut findings);
            detector.on_watermark(Watermark(now.0), now, &mut findings);
            let two = cpu_seconds()?;
            let next = LogOffset(((step * BATCHES_PER_STEP) + part.len()) as u64);
            sink.store(Partition(0), next, &batch).map_err(Failure::failed)?;
            let three = cpu_seconds()?;
            stages.decode += one - zero;
            stages.detect += two - one;
            stages.lake += three - two;
            events += batch.rows() as u64;
            found += findings.len();
            findings.clear();
        }
        let (cpu, wall) = (cpu_seconds()? - begin, wall.elapsed().as_secs_f64());
        if events != self.events || !quarantine.is_empty() {
            return Err(Failure::failed(format!("{events} of {} events came through", self.events)));
        }
        let lake_bytes = folder_bytes(&folder.join("lake"));
        if self.folder.is_none() {
            let _ = std::fs::remove_dir_all(&folder);
        }
        let edge = edge(30);
        #[expect(clippy::cast_precision_loss, reason = "figures for a person")]
        let (count, wire, stored) = (events as f64, wire_bytes as f64, lake_bytes as f64);
        let object = json!({
            "events": events, "cpu_seconds": cpu, "wall_seconds": wall, "events_per_cpu_second": count / cpu,
            "stages": {"decode": stages.decode, "detect": stages.detect, "lake": stages.lake},
            "rules": rule_count, "findings": found, "wire_bytes_per_event": wire / count,
            "lake_bytes_per_event": stored / count, "edge_ns_per_frame_p50": edge.ns_per_frame_p50,
            "edge_ns_per_frame_p999": edge.ns_per_frame_p999, "edge_frames": edge.frames,
            "edge_allocations": edge.allocations, "edge_state_bytes_per_bus": edge.state_bytes_per_bus,
        });
        if self.json {
            return print(&format!("{object}\n"));
        }
        print(&format!("{object:#}\n"))
    }

    /// Makes signed, compressed wire batches as vehicles send them.
    fn records(&self, fleet: &FleetPlan) -> Result<Vec<LogRecord>, Failure> {
        let mut encoder = Encoder::new().map_err(Failure::failed)?;
        let mut seed = Seed::new(3);
        let (mut records, mut made, mut round) = (Vec::new(), 0u64, 0u64);
        let mut rows = vec![0u8; 1 << 20];
        while made < self.events {
            for vehicle in &fleet.vehicles {
                let count = ROWS_PER_BATCH.min(self.events - made);
                if count == 0 {
                    break;
                }
                let raw = batch_rows(&mut rows, &mut seed, round * ROWS_PER_BATCH, count)?;
                let (dict, payload) = encoder.encode(raw).map_err(Failure::failed)?;
                let header = EnvelopeHeader {
                    dict,
                    catalogue_id: 1,
                    tenant: outrider_sim::TENANT,
                    vehicle: vehicle.record.vehicle,
                    epoch: BootEpoch(1),
                    batch_number: round + 1,
                    raw_bytes: u32::try_from(raw.len()).map_err(Failure::failed)?,
                };
                let mut frame = vec![0; Envelope::frame_bytes(payload.len())];
                let signer = Ed25519Signer::new(&vehicle.batch_key);
                let length = Envelope { header, payload: &payload }
                    .emit(&signer, &mut frame)
                    .map_err(Failure::failed)?;
                frame.truncate(length);
                let minutes = i64::try_from(round).map_err(Failure::failed)?;
                let ingest = IngestTime(START.saturating_add((minutes + 10) * 600_000_000));
                records.push(LogRecord { offset: LogOffset(records.len() as u64), ingest, bytes: frame });
                made += count;
            }
            round += 1;
        }
        Ok(records)
    }
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

/// Writes rows of a vehicle's life: ten minutes of it, numbered from `before + 1`.
fn batch_rows<'a>(out: &'a mut [u8], seed: &mut Seed, before: u64, count: u64) -> Result<&'a [u8], Failure> {
    let mut writer = BatchWriter::new(out);
    let fix = ClockFix { mono: VehicleMicros(0), wall: START, error_us: 1000, source: ClockSource::Gnss };
    writer.fix(&fix).map_err(Failure::failed)?;
    for index in 0..count {
        let at = VehicleMicros((before + index) * 1_200_000 + seed.below(1_000_000));
        let head = EventHead {
            event_type: draw_kind(seed),
            lane: Lane::Batched,
            seq: Seq(before + index + 1),
            severity: None,
            bus: Some(BusId(u8::try_from(seed.below(2)).unwrap_or(0))),
            ecu: EcuId(u16::try_from(1 + seed.below(10)).unwrap_or(1)),
            first: at,
            last: at,
            count: 1,
        };
        let address = format!("203.0.113.{}", seed.below(256));
        let fields = [
            Field { key: field::CAN_ID, value: Value::Uint(seed.below(2048)) },
            Field { key: field::ATTEMPTS, value: Value::Uint(1 + seed.below(4)) },
            Field { key: field::SECOC_DATA_ID, value: Value::Uint(seed.below(16)) },
            Field { key: field::SOURCE_IP, value: Value::Text(&address) },
            Field { key: field::DESTINATION_PORT, value: Value::Uint(1024 + seed.below(60_000)) },
            Field { key: field::UDS_NRC, value: Value::Uint(0x35) },
        ];
        let context = seed.next_u64().to_le_bytes();
        writer.event(&head, fields.into_iter(), &context).map_err(Failure::failed)?;
    }
    Ok(writer.finish())
}

/// Returns the bytes of all files below a folder.
fn folder_bytes(folder: &std::path::Path) -> u64 {
    let mut total = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(data) if data.is_dir() => folders.push(entry.path()),
                Ok(data) => total += data.len(),
                Err(_) => {}
            }
        }
    }
    total
}
