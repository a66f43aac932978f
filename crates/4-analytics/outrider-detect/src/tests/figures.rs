//! Figures, not tests: `cargo test --release -p outrider-detect -- --ignored --nocapture figures`.

use outrider_model::{RuleId, Stage};
use outrider_types::{BootEpoch, EventId, IngestTime, Lane, Seed, Seq, Severity, UnixMicros};

use super::events::{DAY, Event, HOUR, SECOND, START, batch_of, rules, vehicle};
use crate::cell::{CellShape, Counted};
use crate::names::Names;
use crate::spec::{GroupField, Spec, Windows};
use crate::table::{Numbered, Outcome, Table};
use crate::{Detector, DetectorConfig};

/// Returns nanoseconds that this thread ran on a processor.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Returns the resident memory in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn table(need: u64) -> Table {
    let spec = Spec {
        rule: RuleId("figures".to_owned()),
        severity: Severity::High,
        windows: Windows::Sliding,
        length_us: DAY,
        pane_us: HOUR,
        need,
        group_by: vec![GroupField { name: "model_line", is_vehicle: false }],
        counted_name: "vehicle_id".to_owned(),
        fed_by: Vec::new(),
        shape: CellShape {
            counted: Counted::Vehicles,
            dense_above: usize::try_from(need).expect("small").max(128),
            entries_max: 16_384,
        },
        groups_max: 1_000_000,
        entries_max: u64::MAX,
        horizon_us: 30 * DAY,
    };
    Table::new(spec, 1)
}

/// Inserts events of 30 days as they arrive, 30 % of them three weeks late, in batches of 4,096.
#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "prints figures for a person")]
fn window(vehicles: u64, groups: u64, events: u64, need: u64) {
    let (mut table, mut names, mut seed) = (table(need), Names::new(1), Seed::new(7));
    let before = resident();
    // The fleet is known before, as in a running system, so that growth of tables does not blur the figure.
    for number in 0..vehicles {
        let id = EventId {
            vehicle: vehicle(u32::try_from(number).expect("small")),
            epoch: BootEpoch(1),
            lane: Lane::Batched,
            seq: Seq(1),
        };
        names.event(id).expect("there is room");
    }
    let with_names = resident();
    let (mut spent, mut evaluated, mut findings, mut new) = (0, 0, Vec::new(), 0u64);
    let mut stated = 0;
    let mut batch = Vec::with_capacity(4096);
    for start in (0..events).step_by(4096) {
        batch.clear();
        for number in start..(start + 4096).min(events) {
            let vehicle_number = seed.below(vehicles);
            let arrived = START + i64::try_from(number * 30 * 86_400_000 / events).expect("small") * 1000;
            let at = if seed.chance(3, 10) { arrived - 21 * DAY } else { arrived }
                - i64::try_from(seed.below(1000)).expect("small") * SECOND;
            let id = EventId {
                vehicle: vehicle(u32::try_from(vehicle_number).expect("small")),
                epoch: BootEpoch(1),
                lane: Lane::Batched,
                seq: Seq(number),
            };
            let mut key = vec![0u8; 4];
            let line = format!("model line {}", vehicle_number % groups);
            key.extend_from_slice(&u32::try_from(line.len()).expect("small").to_le_bytes());
            key.extend_from_slice(line.as_bytes());
            batch.push((id, at, key));
        }
        let begin = cpu_ns();
        for (id, at, key) in &batch {
            let (event, vehicle) = names.event(*id).expect("there is room");
            let sighting = Numbered {
                time: UnixMicros(*at),
                event,
                vehicle,
                model: 0,
                value: vehicle,
                late: false,
                uncertain: false,
            };
            new += u64::from(matches!(table.insert(key, sighting, &names), Outcome::New { .. }));
        }
        let inserted = cpu_ns();
        table.evaluate(&names, UnixMicros(0), &mut findings);
        stated += findings.len();
        findings.clear();
        spent += inserted - begin;
        evaluated += cpu_ns() - inserted;
    }
    let rate = |ns: u64| new as f64 / (ns as f64 / 1e9);
    println!(
        "{vehicles} vehicles, {groups} groups, {new} events, threshold {need}: {:.0} inserts/CPU-s, {:.0} with evaluation \
         ({stated} revisions), {:.1} B an entry, {:.0} B a vehicle in the dictionary",
        rate(spent),
        rate(spent + evaluated),
        (resident() - with_names) as f64 / new as f64,
        (with_names - before) as f64 / vehicles as f64,
    );
}

#[test]
#[ignore = "prints figures"]
fn figures_of_the_fleet_window() {
    window(1_000_000, 200, 4_000_000, 5000);
    window(10_000_000, 2000, 20_000_000, 5000);
    window(1_000_000, 200, 200_000, 50);
}

#[test]
#[ignore = "prints figures"]
#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "prints figures for a person")]
fn figures_of_the_whole_detector() {
    let rules = rules(
        &[
            "type: value_count\nrules: [denied]\ngroup-by: [model_line]\ntimespan: 24h\ncondition:\n  field: vehicle_id\n  gte: 50",
        ],
        true,
    );
    let mut detector = Detector::new(rules, DetectorConfig::default());
    let mut seed = Seed::new(3);
    let (mut spent, mut findings, total) = (0, Vec::new(), 400_000u32);
    for start in (0..total).step_by(4096) {
        let events: Vec<Event> = (start..(start + 4096).min(total))
            .map(|number| {
                let model = u8::try_from(seed.below(100)).expect("below 100");
                let car = u32::try_from(seed.below(100_000)).expect("below 100000");
                Event { model, ..Event::new(car, u64::from(number), START + i64::from(number) * 7 * SECOND) }
            })
            .collect();
        let batch = batch_of(&events);
        let begin = cpu_ns();
        detector.on_batch(&batch, IngestTime(UnixMicros(START)), &mut findings);
        spent += cpu_ns() - begin;
    }
    let begin = cpu_ns();
    let mut bytes = Vec::new();
    detector.save(&mut bytes);
    let saved = cpu_ns() - begin;
    detector.load(&bytes).expect("what was saved loads");
    println!(
        "matcher, one plain rule and one correlation: {:.0} events/CPU-s, {} revisions; snapshot {} bytes, saved in \
         {:.0} ms, loaded in {:.0} ms",
        f64::from(total) / (spent as f64 / 1e9),
        findings.len(),
        bytes.len(),
        saved as f64 / 1e6,
        (cpu_ns() - begin - saved) as f64 / 1e6,
    );
}
