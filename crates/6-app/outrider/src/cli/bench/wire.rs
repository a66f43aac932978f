//! Wire batches of a fleet from their bytes to the lake, in one process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use outrider_detect::{Detector, DetectorConfig};
use outrider_gateway::Ed25519Signer;
use outrider_gateway::codec::Encoder;
use outrider_ingest::Worker;
use outrider_lake::{Compaction, Lake, LakeConfig, unwatched};
use outrider_model::{EventBatch, LogOffset, LogRecord, Partition, Sink as _, Stage as _, Watermark};
use outrider_server::vehicle::Directory;
use outrider_sim::FleetPlan;
use outrider_types::{
    BootEpoch, BusId, ClockFix, ClockSource, EcuId, IngestTime, Lane, Seed, Seq, VehicleMicros,
};
use outrider_wire::catalogue::field;
use outrider_wire::{BatchWriter, Envelope, EnvelopeHeader, EventHead, Field, Value};
use serde_json::json;

use super::{START, cpu_seconds, draw_kind, float};
use crate::cli::provision::entry;
use crate::cli::{Failure, runtime};
use crate::content::rules;

/// Rows of one wire batch.
const ROWS_PER_BATCH: u64 = 500;
/// Wire batches that the worker takes in one step, as it does under load.
const BATCHES_PER_STEP: usize = 100;

/// CPU seconds by stage.
#[derive(Debug, Default)]
pub(super) struct Stages {
    decode: f64,
    detect: f64,
    lake: f64,
}

impl Stages {
    pub(super) fn to_json(&self) -> serde_json::Value {
        json!({"decode": self.decode, "detect": self.detect, "lake": self.lake})
    }
}

/// What came of a run.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) events: u64,
    /// CPU and wall seconds from signed batches to rows that are durable.
    pub(super) cpu: f64,
    pub(super) wall: f64,
    pub(super) stages: Stages,
    /// Rules and correlations that ran, and what they found.
    pub(super) rules: usize,
    pub(super) findings: usize,
    pub(super) wire_bytes: u64,
    /// Bytes of the lake's folder before anything was merged.
    pub(super) lake_bytes: u64,
    /// Bytes a row of the table's files after compaction, if it was asked for.
    pub(super) bytes_per_row: Option<f64>,
}

/// Makes events, carries them through signature, decoding, all shipped rules and correlation into a lake in `folder`, and
/// compacts it on demand. Making events and compaction are no part of the CPU seconds.
pub(super) fn carry(
    count: u64,
    vehicles: usize,
    folder: &Path,
    is_compacted: bool,
) -> Result<Carried, Failure> {
    let runtime = runtime()?;
    let fleet = FleetPlan::new(Seed::new(1), vehicles, 0);
    let records = records(count, &fleet)?;
    let wire_bytes: usize = records.iter().map(|record| record.bytes.len()).sum();
    tracing::info!(batches = records.len(), wire_bytes, "batches are made");
    let directory = Directory::default();
    directory.put(fleet.vehicles.iter().map(|vehicle| {
        let key = SigningKey::from_bytes(&vehicle.batch_key).verifying_key().to_bytes();
        entry(vehicle.record.clone(), key, false)
    }));
    let texts = rules(None)?;
    let files: Vec<_> =
        texts.iter().map(|rule| outrider_rules::RuleFile { name: &rule.name, text: &rule.text }).collect();
    let rules = Arc::new(outrider_rules::load(&files).rules);
    let rule_count = rules.rules().len() + rules.correlations().len();
    let mut detector = Detector::new(rules, DetectorConfig::default());
    // Nothing reads meanwhile, so files that were replaced go at once.
    let config = LakeConfig { retention_min: Duration::ZERO, ..LakeConfig::new(folder.to_string_lossy()) };
    let lake = Lake::open(&config, runtime.handle().clone()).map_err(Failure::failed)?;
    let mut carried = run(&records, &directory, &mut detector, &lake)?;
    if carried.events != count {
        return Err(Failure::failed(format!("{} of {count} events came through", carried.events)));
    }
    (carried.rules, carried.wire_bytes) = (rule_count, wire_bytes as u64);
    carried.lake_bytes = folder_bytes(folder);
    if is_compacted {
        lake.compact_with(Compaction::Whole, &unwatched).map_err(Failure::failed)?;
        let stats = lake.stats().map_err(Failure::failed)?;
        if stats.rows != count {
            return Err(Failure::failed(format!("{} rows of {count} are in the table", stats.rows)));
        }
        carried.bytes_per_row = Some(float(stats.bytes) / float(stats.rows));
    }
    Ok(carried)
}

/// Takes all records, step by step, as the worker does under load.
fn run(
    records: &[LogRecord],
    directory: &Directory,
    detector: &mut Detector,
    lake: &Lake,
) -> Result<Carried, Failure> {
    let mut sink = lake.sink();
    let (mut worker, mut stages) = (Worker::default(), Stages::default());
    let (mut findings, mut quarantine) = (Vec::new(), Vec::new());
    let (mut events, mut found) = (0u64, 0usize);
    let (begin, wall) = (cpu_seconds()?, std::time::Instant::now());
    for (step, part) in records.chunks(BATCHES_PER_STEP).enumerate() {
        let zero = cpu_seconds()?;
        let mut batch = EventBatch::new();
        for record in part {
            worker.receive(record, directory, directory, &mut batch, &mut quarantine);
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
    if !quarantine.is_empty() {
        return Err(Failure::failed(format!("{} batches were set aside", quarantine.len())));
    }
    Ok(Carried {
        events,
        cpu,
        wall,
        stages,
        rules: 0,
        findings: found,
        wire_bytes: 0,
        lake_bytes: 0,
        bytes_per_row: None,
    })
}

/// Makes signed, compressed wire batches as vehicles send them.
fn records(events: u64, fleet: &FleetPlan) -> Result<Vec<LogRecord>, Failure> {
    let mut encoder = Encoder::new().map_err(Failure::failed)?;
    let mut seed = Seed::new(3);
    let (mut records, mut made, mut round) = (Vec::new(), 0u64, 0u64);
    let mut rows = vec![0u8; 1 << 20];
    while made < events {
        for vehicle in &fleet.vehicles {
            let count = ROWS_PER_BATCH.min(events - made);
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
            let length =
                Envelope { header, payload: &payload }.emit(&signer, &mut frame).map_err(Failure::failed)?;
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
