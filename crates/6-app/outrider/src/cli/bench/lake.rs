//! `outrider bench lake`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use outrider_lake::{Compaction, Lake, LakeConfig, QueryLimits, Retention, unwatched};
use outrider_model::{
    Connectivity, EventBatch, EventRow, FieldValue, LogOffset, Partition, Sink as _, VehicleRecord,
};
use outrider_types::{
    BootEpoch, BusId, EventId, EventTime, IngestTime, Lane, Seed, Seq, Severity, TenantId, UnixMicros,
    VehicleId, VehicleMicros,
};
use outrider_wire::catalogue::{event, field};
use serde_json::{Map, Value, json};

use super::{START, cpu_seconds, draw_kind, float};
use crate::cli::{Failure, print, runtime};

/// Events of a vehicle on one day.
const EVENTS_A_DAY: u64 = 100;
/// Events that a vehicle sends at once.
const EVENTS_AN_UPLOAD: u64 = 20;
/// Events between two boots of a vehicle.
const EVENTS_A_BOOT: u64 = 200;
/// A drive: events happen up to four hours before they come in.
const DRIVE_US: i64 = 14_400_000_000;
/// Days over which the events come in.
const DAYS: u64 = 10;
/// Commits between two compactions, as the running system merges once a minute.
const COMMITS_A_COMPACTION: u64 = 20;
/// Vehicles whose history is asked for.
const HISTORIES: u64 = 20;
const DAY_US: i64 = 86_400_000_000;

/// Store, compaction and queries of a fleet's events: ten days, 100 events a vehicle and day, 20 an upload.
///
/// JSON fields: rows, vehicles, days, files, store_rows_per_cpu_second, compact_rows_per_cpu_second (all rewriting
/// together, a row being rewritten several times), compact_wall_seconds, bytes_per_row_stored, bytes_per_row,
/// first_history_ms (freshly opened, with opening), history_ms_p50, history_ms_max, history_rows,
/// history_bytes_read_max, group_by (name: ms, cpu_seconds, bytes_read), with --tiers bytes_per_row_warm and
/// bytes_per_row_cold.
#[derive(Debug, Args)]
pub(super) struct BenchLake {
    /// Events to store.
    #[arg(long, default_value_t = 2_000_000)]
    rows: u64,
    /// Events of one commit.
    #[arg(long, default_value_t = 50_000)]
    commit_rows: u64,
    /// Also write everything again for the warm and for the cold tier.
    #[arg(long)]
    tiers: bool,
    /// Folder for the lake; by default a temporary one that is removed.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Vehicles of the bench.
struct Fleet {
    vehicles: u64,
    seed: Seed,
    /// Models with everything that enrichment writes into a row.
    models: Vec<VehicleRecord>,
    /// Next number of each vehicle.
    next: Vec<u64>,
    /// When each vehicle's boot began, by the wall clock.
    boots: Vec<UnixMicros>,
}

impl Fleet {
    fn new(rows: u64) -> Self {
        let vehicles = (rows / (EVENTS_A_DAY * DAYS)).max(1);
        let model = |number: u64| VehicleRecord {
            vehicle: VehicleId([0; 16]),
            tenant: TenantId(1),
            model_line: format!("Line {}", number % 6),
            platform: format!("P{}", number % 3),
            release: format!("2026.{}", number % 8),
            region: ["DE", "FR", "US", "CN", "JP"][usize::try_from(number % 5).unwrap_or(0)].to_owned(),
            h3: Some(0x0861_1966_97ff_ffff + (number % 400) * 0x10_0000),
            model_year: 2026,
            connectivity: Connectivity::Cellular,
            ..VehicleRecord::default()
        };
        let each = usize::try_from(vehicles).unwrap_or(1);
        let (next, boots) = (vec![0; each], vec![START; each]);
        Self { vehicles, seed: Seed::new(5), models: (0..400).map(model).collect(), next, boots }
    }

    /// Pseudonym of a vehicle: as even as a keyed hash.
    fn name(number: u64) -> VehicleId {
        let (mut low, mut high) = (Seed::new(number ^ 0x6A09_E667), Seed::new(number ^ 0xBB67_AE85));
        let mut id = [0; 16];
        id[..8].copy_from_slice(&low.next_u64().to_be_bytes());
        id[8..].copy_from_slice(&high.next_u64().to_be_bytes());
        VehicleId(id)
    }

    /// Makes events `from..to` in the order in which they come in.
    fn batch(&mut self, from: u64, to: u64, rows: u64) -> EventBatch {
        let mut batch = EventBatch::new();
        let mut at = from;
        while at < to {
            // Each vehicle sends its events of a day in five uploads.
            let upload = at / EVENTS_AN_UPLOAD;
            let number = upload % self.vehicles;
            let day_us = i128::from(DAYS) * i128::from(DAY_US) * i128::from(at) / i128::from(rows.max(1));
            let ingest = START.saturating_add(i64::try_from(day_us).unwrap_or(0));
            let clock = self.clock(usize::try_from(number).unwrap_or(0), ingest);
            for _ in 0..EVENTS_AN_UPLOAD.min(to - at) {
                self.push(&mut batch, number, ingest, clock);
            }
            at += EVENTS_AN_UPLOAD;
        }
        batch.seal();
        batch
    }

    /// Returns the wall time at which a vehicle's clock was 0, as it is known at an upload: each upload brings a fix of the
    /// clock that is a few milliseconds off.
    fn clock(&mut self, index: usize, ingest: UnixMicros) -> UnixMicros {
        let below = |seed: &mut Seed, bound| i64::try_from(seed.below(bound)).unwrap_or(0);
        if self.next[index].is_multiple_of(EVENTS_A_BOOT) {
            let before = DRIVE_US + below(&mut self.seed, DRIVE_US.unsigned_abs());
            self.boots[index] = ingest.saturating_add(-before);
        }
        self.boots[index].saturating_add(below(&mut self.seed, 10_000) - 5_000)
    }

    fn push(&mut self, batch: &mut EventBatch, number: u64, ingest: UnixMicros, clock: UnixMicros) {
        let index = usize::try_from(number).unwrap_or(0);
        let seq = self.next[index];
        self.next[index] += 1;
        let seed = &mut self.seed;
        let kind = draw_kind(seed);
        let is_bus = matches!(
            kind,
            event::CAN_ERROR_PASSIVE
                | event::CAN_SEQUENCE_ANOMALY
                | event::SECOC_MAC_FAILURE
                | event::CAN_CYCLE_TIME
                | event::CAN_UNKNOWN_ID
                | event::DIAG_SECURITY_ACCESS_DENIED
        );
        let ago = i64::try_from(seed.below(DRIVE_US.unsigned_abs())).unwrap_or(0);
        let best = ingest.saturating_add(-ago);
        let mono = VehicleMicros(u64::try_from(best.micros_since(clock)).unwrap_or(0));
        // One in ten was folded from several observations.
        let (count, first) = if seed.below(10) == 0 {
            (
                2 + u32::try_from(seed.below(50)).unwrap_or(0),
                VehicleMicros(mono.0.saturating_sub(seed.below(1_000_000))),
            )
        } else {
            (1, mono)
        };
        let frame = seed.next_u64().to_le_bytes();
        batch.push(&EventRow {
            tenant: TenantId(1),
            id: EventId {
                vehicle: Self::name(number),
                epoch: BootEpoch(seq / EVENTS_A_BOOT),
                lane: Lane::Batched,
                seq: Seq(seq),
            },
            event_type: kind,
            severity: Severity::from_code(1 + u8::try_from(kind.0 % 5).unwrap_or(0)).unwrap_or(Severity::Low),
            time: EventTime { best, error_us: 5_000 },
            ingest: IngestTime(ingest),
            mono,
            count,
            span: (first, mono),
            bus: is_bus.then_some(BusId(u8::try_from(seed.below(4)).unwrap_or(0))),
            // The frame that was seen; half of its bytes are counters and checksums, which nothing compresses.
            context: if is_bus { &frame[..4] } else { b"" },
        });
        if is_bus {
            batch.set_field(field::CAN_ID, FieldValue::Int(i64::try_from(seed.below(400)).unwrap_or(0)));
        } else {
            let address = format!("203.0.113.{}", seed.below(256));
            batch.set_field(field::SOURCE_IP, FieldValue::Text(&address));
            let port = [22_i64, 23, 80, 443, 8080][usize::try_from(seed.below(5)).unwrap_or(0)];
            batch.set_field(field::DESTINATION_PORT, FieldValue::Int(port));
        }
        batch.set_field(field::ATTEMPTS, FieldValue::Int(1 + i64::try_from(seed.below(4)).unwrap_or(0)));
        let ecu = ["gateway", "telematics", "brake", "body"][usize::try_from(seed.below(4)).unwrap_or(0)];
        let model = usize::try_from(number % 400).unwrap_or(0);
        batch.enrich_last(self.models.get(model), Some(ecu));
    }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

impl BenchLake {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let folder = self.folder.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("outrider-bench-lake-{}", std::process::id()))
        });
        let figures = self.measure(&folder.join("lake"));
        if self.folder.is_none() {
            let _ = std::fs::remove_dir_all(&folder);
        }
        let figures = Value::Object(figures?);
        print(&if self.json { format!("{figures}\n") } else { format!("{figures:#}\n") })
    }

    fn measure(&self, folder: &Path) -> Result<Map<String, Value>, Failure> {
        let runtime = runtime()?;
        // Nothing reads meanwhile, so files that were replaced go at once, as in the running system a day later.
        let config =
            LakeConfig { retention_min: Duration::ZERO, ..LakeConfig::new(folder.to_string_lossy()) };
        let lake = Lake::open(&config, runtime.handle().clone()).map_err(Failure::failed)?;
        let mut figures = Map::new();
        let mut fleet = Fleet::new(self.rows);
        figures.extend(object(json!({"rows": self.rows, "vehicles": fleet.vehicles, "days": DAYS})));
        self.fill(&lake, &mut fleet, &mut figures)?;
        let stats = lake.stats().map_err(Failure::failed)?;
        if stats.rows != self.rows {
            return Err(Failure::failed(format!("{} rows of {} are in the table", stats.rows, self.rows)));
        }
        figures.insert("files".to_owned(), stats.files.into());
        figures.insert("bytes_per_row".to_owned(), (float(stats.bytes) / float(stats.rows)).into());
        histories(&lake, &fleet, &mut figures)?;
        drop(lake);
        let begin = Instant::now();
        let lake = Lake::open_read_only(&config, runtime.handle().clone()).map_err(Failure::failed)?;
        history(&lake, fleet.vehicles / 2)?;
        figures.insert("first_history_ms".to_owned(), millis(begin).into());
        group_by(&lake, &mut figures)?;
        drop(lake);
        if self.tiers {
            let lake = Lake::open(&config, runtime.handle().clone()).map_err(Failure::failed)?;
            for (name, warm, cold) in [("warm", Some(1), None), ("cold", None, Some(1))] {
                let retention =
                    Retention { warm_after_days: warm, cold_after_days: cold, delete_after_days: None };
                let later = START.saturating_add(100 * DAY_US);
                let cpu = cpu_seconds()?;
                lake.retain(&retention, later, false, &unwatched).map_err(Failure::failed)?;
                let stats = lake.stats().map_err(Failure::failed)?;
                figures
                    .insert(format!("bytes_per_row_{name}"), (float(stats.bytes) / float(stats.rows)).into());
                figures.insert(format!("{name}_cpu_seconds"), (cpu_seconds()? - cpu).into());
            }
        }
        Ok(figures)
    }

    /// Stores all events, merging as the running system does, and at last all that can be.
    fn fill(&self, lake: &Lake, fleet: &mut Fleet, figures: &mut Map<String, Value>) -> Result<(), Failure> {
        let mut sink = lake.sink();
        let (mut store_cpu, mut compact_cpu, mut compact_wall, mut rewritten) = (0.0, 0.0, 0.0, 0);
        let (mut stored_bytes, mut from, mut commit) = (0, 0, 0);
        let mut compact = |how| -> Result<(), Failure> {
            let (cpu, wall) = (cpu_seconds()?, Instant::now());
            let report = lake.compact_with(how, &unwatched).map_err(Failure::failed)?;
            compact_cpu += cpu_seconds()? - cpu;
            compact_wall += wall.elapsed().as_secs_f64();
            rewritten += report.rows;
            lake.vacuum(Duration::ZERO).map_err(Failure::failed)?;
            Ok(())
        };
        while from < self.rows {
            let to = (from + self.commit_rows.max(1)).min(self.rows);
            let batch = fleet.batch(from, to, self.rows);
            commit += 1;
            let cpu = cpu_seconds()?;
            sink.store(Partition(0), LogOffset(commit), &batch).map_err(Failure::failed)?;
            store_cpu += cpu_seconds()? - cpu;
            if commit == 1 {
                stored_bytes = lake.stats().map_err(Failure::failed)?.bytes * self.rows / to.max(1);
            }
            if commit % COMMITS_A_COMPACTION == 0 {
                compact(Compaction::Growing)?;
                tracing::info!(rows = to, of = self.rows, "stored");
            }
            from = to;
        }
        compact(Compaction::Whole)?;
        figures.extend(object(json!({
            "store_rows_per_cpu_second": float(self.rows) / store_cpu,
            "compact_rows_per_cpu_second": float(rewritten) / compact_cpu,
            "compact_wall_seconds": compact_wall,
            "bytes_per_row_stored": float(stored_bytes) / float(self.rows),
        })));
        Ok(())
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// Asks for all events of a vehicle; returns how many there are.
fn history(lake: &Lake, number: u64) -> Result<u64, Failure> {
    let span = (UnixMicros(i64::MIN), UnixMicros(i64::MAX));
    let result =
        lake.vehicle_history(Fleet::name(number), span, &QueryLimits::default()).map_err(Failure::failed)?;
    Ok(result.rows.len() as u64)
}

fn histories(lake: &Lake, fleet: &Fleet, figures: &mut Map<String, Value>) -> Result<(), Failure> {
    let (mut times, mut bytes_max, mut rows) = (Vec::new(), 0, 0);
    for turn in 0..HISTORIES {
        let number = turn * fleet.vehicles / HISTORIES;
        let (before, begin) = (lake.reads().1, Instant::now());
        let found = history(lake, number)?;
        times.push(millis(begin));
        bytes_max = bytes_max.max(lake.reads().1 - before);
        let expected = fleet.next.get(usize::try_from(number).unwrap_or(0)).copied().unwrap_or(0);
        if found != expected {
            return Err(Failure::failed(format!("{found} events of {expected} are in a vehicle's history")));
        }
        rows = rows.max(found);
    }
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get(part.min(times.len().saturating_sub(1))).copied().unwrap_or(0.0);
    figures.extend(object(json!({
        "history_ms_p50": at(times.len() / 2), "history_ms_max": at(times.len()), "history_rows": rows,
        "history_bytes_read_max": bytes_max,
    })));
    Ok(())
}

fn group_by(lake: &Lake, figures: &mut Map<String, Value>) -> Result<(), Failure> {
    let queries = [
        (
            "model_severity",
            "SELECT model_line, event_type, severity, count(*), sum(count) FROM events GROUP BY 1, 2, 3",
        ),
        (
            "hour_vehicles",
            "SELECT date_trunc('hour', event_time), event_type, approx_distinct(vehicle_id) FROM events GROUP BY 1, 2",
        ),
        (
            "top_vehicles",
            "SELECT vehicle_id, count(*) AS n FROM events WHERE severity >= 3 GROUP BY 1 ORDER BY n DESC LIMIT 100",
        ),
    ];
    let mut all = Map::new();
    // The fleet of a large run does not fit into what a person's query may use.
    let limits = QueryLimits {
        time_max: Duration::from_secs(600),
        memory_bytes_max: 4 * 1_024 * 1_024 * 1_024,
        ..QueryLimits::default()
    };
    for (name, query) in queries {
        let (before, cpu, begin) = (lake.reads().1, cpu_seconds()?, Instant::now());
        let result = lake.sql(query, &limits).map_err(Failure::failed)?;
        let figures = json!({
            "rows": result.rows.len(), "ms": millis(begin), "cpu_seconds": cpu_seconds()? - cpu,
            "bytes_read": lake.reads().1 - before,
        });
        all.insert(name.to_owned(), figures);
    }
    figures.insert("group_by".to_owned(), Value::Object(all));
    Ok(())
}
