//! `outrider bench correlate`: the second stage of detection over a fleet, a part of which is weeks late.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use outrider_detect::{Correlator, DetectorConfig, Sightings, Spotter};
use outrider_model::{Connectivity, EventBatch, EventRow, VehicleRecord};
use outrider_rules::{RuleFile, RuleSet, load};
use outrider_types::{
    BootEpoch, EventId, EventTime, IngestTime, Lane, Seed, Seq, Severity, TenantId, UnixMicros, VehicleId,
    VehicleMicros,
};
use outrider_wire::catalogue::event;
use serde_json::{Value, json};

use super::super::{Failure, print};
use super::{START, thread_cpu};

/// Distinct vehicles of a model line within a day, of events of 30 days that arrive in order or 21 days late.
///
/// JSON fields: events, sightings, vehicles, groups, late_percent, threshold, inserts_per_cpu_second (decoded sightings
/// to state, with evaluation), decode_per_cpu_second, entries, revisions, bytes_per_entry (resident memory, with the
/// dictionary of vehicles), wire_bytes_per_sighting, snapshot_bytes, snapshot_seconds, restore_seconds.
#[derive(Debug, Args)]
pub(super) struct Correlate {
    /// Vehicles that the events come from.
    #[arg(long, default_value_t = 1_000_000)]
    vehicles: u32,
    /// Model lines, each a group.
    #[arg(long, default_value_t = 2_000)]
    groups: u32,
    /// Events.
    #[arg(long, default_value_t = 2_000_000)]
    events: u64,
    /// Share of the events that arrive 21 days late.
    #[arg(long, default_value_t = 30)]
    late_percent: u64,
    /// Vehicles of one line within a day that make a finding.
    #[arg(long, default_value_t = 100)]
    threshold: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Events of one batch.
const BATCH: u64 = 4096;
/// One day in microseconds.
const DAY_US: i64 = 86_400_000_000;

/// What was measured so far.
#[derive(Debug, Default)]
struct Sums {
    sightings: u64,
    wire_bytes: usize,
    decode: Duration,
    insert: Duration,
    revisions: usize,
}

impl Correlate {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let object = self.measure()?;
        print(&if self.json { format!("{object}\n") } else { format!("{object:#}\n") })
    }

    fn measure(&self) -> Result<Value, Failure> {
        if self.vehicles == 0 || self.groups == 0 || self.events == 0 {
            return Err(Failure::failed("vehicles, groups and events must be above 0"));
        }
        let rules = self.rules()?;
        let mut spotter = Spotter::new(Arc::clone(&rules), DetectorConfig::default());
        let mut correlator = Correlator::new(&rules, DetectorConfig::default());
        let (mut seed, mut sums) = (Seed::new(7), Sums::default());
        let (mut findings, before) = (Vec::new(), resident()?);
        for first in (0..self.events).step_by(usize::try_from(BATCH).map_err(Failure::failed)?) {
            let (batch, now) = self.batch(first, &mut seed)?;
            for part in spotter.on_batch(&batch) {
                let bytes = part.encode();
                let zero = thread_cpu();
                let part = Sightings::decode(&bytes).map_err(Failure::failed)?;
                let one = thread_cpu();
                correlator.on_sightings(&part, now, &mut findings);
                sums.insert += thread_cpu() - one;
                sums.decode += one - zero;
                sums.sightings += part.len() as u64;
                sums.wire_bytes += bytes.len();
                sums.revisions += findings.len();
                findings.clear();
            }
        }
        let held = resident()?.saturating_sub(before);
        let entries: u64 = correlator.loads().iter().map(|load| load.entries).sum();
        if sums.sightings != self.events || entries != self.events {
            return Err(Failure::failed(format!("{entries} of {} events were counted", self.events)));
        }
        let (mut snapshot, zero) = (Vec::new(), thread_cpu());
        correlator.save(&mut snapshot);
        let one = thread_cpu();
        drop(correlator);
        let mut restored = Correlator::new(&rules, DetectorConfig::default());
        let two = thread_cpu();
        restored.load(&snapshot).map_err(Failure::failed)?;
        let three = thread_cpu();
        #[expect(clippy::cast_precision_loss, reason = "figures for a person")]
        let count = entries as f64;
        #[expect(clippy::cast_precision_loss, reason = "figures for a person")]
        let (held, wire) = (held as f64, sums.wire_bytes as f64);
        Ok(json!({
            "events": self.events, "sightings": sums.sightings, "vehicles": self.vehicles, "groups": self.groups,
            "late_percent": self.late_percent, "threshold": self.threshold,
            "inserts_per_cpu_second": count / sums.insert.as_secs_f64(),
            "decode_per_cpu_second": count / sums.decode.as_secs_f64(), "entries": entries,
            "revisions": sums.revisions, "bytes_per_entry": held / count,
            "wire_bytes_per_sighting": wire / count, "snapshot_bytes": snapshot.len(),
            "snapshot_seconds": (one - zero).as_secs_f64(), "restore_seconds": (three - two).as_secs_f64(),
        }))
    }

    fn rules(&self) -> Result<Arc<RuleSet>, Failure> {
        let text = format!(
            "title: Denied\nid: 00000000-0000-4000-8000-000000000001\nname: denied\nlevel: low\ndescription: bench\n\
             tags: [unr155.18.3]\nlogsource: {{product: vehicle, category: diag}}\ndetection:\n  selection:\n    event_type: \
             diag.security_access_denied\n  condition: selection\n---\ntitle: Fleet\nlevel: high\ndescription: bench\n\
             id: 00000000-0000-4000-8000-000000000002\ntags: [unr155.18.3]\ncorrelation:\n  type: value_count\n  rules: \
             [denied]\n  group-by: [model_line]\n  timespan: 24h\n  condition: {{field: vehicle_id, gte: {}}}\n",
            self.threshold
        );
        let loaded = load(&[RuleFile { name: "bench.yml", text: &text }]);
        match loaded.problems.first() {
            Some(problem) => Err(Failure::failed(problem)),
            None => Ok(Arc::new(loaded.rules)),
        }
    }

    /// Makes a batch of events as they arrive.
    fn batch(&self, first: u64, seed: &mut Seed) -> Result<(EventBatch, IngestTime), Failure> {
        let mut batch = EventBatch::new();
        let mut now = IngestTime(START);
        for number in first..(first + BATCH).min(self.events) {
            let car = seed.below(u64::from(self.vehicles));
            let arrived = i64::try_from(u128::from(number) * 30 * 86_400_000_000 / u128::from(self.events))
                .map_err(Failure::failed)?;
            let delay = i64::try_from(seed.below(1_000_000_000)).map_err(Failure::failed)?;
            let late = if seed.chance(self.late_percent, 100) { 21 * DAY_US } else { 0 };
            now = IngestTime(START.saturating_add(arrived));
            let mut vehicle = [0u8; 16];
            // Spread, so that the order of pseudonyms is not that of the numbers.
            vehicle[..8].copy_from_slice(&Seed::new(car).next_u64().to_le_bytes());
            vehicle[8..].copy_from_slice(&car.to_le_bytes());
            let vehicle = VehicleId(vehicle);
            batch.push(&EventRow {
                tenant: TenantId(1),
                id: EventId { vehicle, epoch: BootEpoch(1), lane: Lane::Batched, seq: Seq(number + 1) },
                event_type: event::DIAG_SECURITY_ACCESS_DENIED,
                severity: Severity::Low,
                time: EventTime {
                    best: UnixMicros(START.0.saturating_add(arrived - delay - late)),
                    error_us: 1000,
                },
                ingest: now,
                mono: VehicleMicros(0),
                count: 1,
                span: (VehicleMicros(0), VehicleMicros(0)),
                bus: None,
                context: &[],
            });
            let record = VehicleRecord {
                vehicle,
                tenant: TenantId(1),
                model_line: format!("line {}", car % u64::from(self.groups)),
                connectivity: Connectivity::Cellular,
                ..VehicleRecord::default()
            };
            batch.enrich_last(Some(&record), None);
        }
        batch.seal();
        Ok((batch, now))
    }
}

/// Resident memory in bytes; a page has 4 KiB.
fn resident() -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/self/statm").map_err(Failure::failed)?;
    let pages = text.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok());
    pages.map(|pages| pages * 4096).ok_or_else(|| Failure::failed("/proc/self/statm has another shape"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_counted_and_findings_are_stated() {
        let bench =
            Correlate { vehicles: 500, groups: 2, events: 9000, late_percent: 30, threshold: 20, json: true };
        let object = bench.measure().expect("a small run");
        assert_eq!((&object["entries"], &object["sightings"]), (&json!(9000), &json!(9000)));
        for field in ["revisions", "inserts_per_cpu_second", "snapshot_bytes", "wire_bytes_per_sighting"] {
            assert!(object[field].as_f64().is_some_and(|it| it > 0.0), "{field} of {object}");
        }
        assert!(Correlate { groups: 0, ..bench }.measure().is_err());
    }
}
