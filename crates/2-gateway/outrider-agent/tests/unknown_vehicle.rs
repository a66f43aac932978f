//! Judges the detectors on a vehicle of which they know nothing: they learn each recording from its own first
//! seconds, and must then be silent on the rest of it and find what is put in. Skips where the recordings are absent.
#![expect(clippy::print_stdout, reason = "the table is what an evaluation is for")]

use std::path::Path;

use outrider_agent::edge::Edge;
use outrider_agent::inject::{Attack, AttackPlan, inject};
use outrider_agent::io::capture::{self, ReadOptions, Record};
use outrider_agent::replay::{ReplayEvent, replay};
use outrider_bus::can::TimedFrame;
use outrider_model::catalogue;
use outrider_types::Severity;

/// Seeds of every attack on every recording.
const SEEDS: u64 = 8;
/// Ordinary traffic before every attack, in microseconds.
const WARM_UP_US: u64 = 3_500_000;
/// Shortest recording that leaves room for an attack behind it, in microseconds.
const LENGTH_US_MIN: u64 = 6_000_000;

/// Recordings with their names, or `None` with a message where they are not present.
fn recordings() -> Option<Vec<(String, Vec<TimedFrame>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/can/tesla-model3");
    let Ok(entries) = std::fs::read_dir(folder) else {
        println!("SKIPPED: shared/data/can/tesla-model3 not present");
        return None;
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "trc"));
    paths.sort();
    let recording = |path: &std::path::PathBuf| {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let capture = capture::open(path, &ReadOptions::default()).expect("the recording opens");
        let frames = capture.filter_map(|record| match record.expect("the recording reads to its end") {
            Record::Can(frame) => Some(frame),
            Record::Ethernet { .. } | Record::CanXl(_) | Record::Lin(_) | Record::FlexRay(_) => None,
        });
        (name, frames.collect())
    };
    Some(paths.iter().map(recording).collect())
}

fn is_long(frames: &[TimedFrame]) -> bool {
    let span = frames.first().zip(frames.last()).map(|(first, last)| last.at.micros_since(first.at));
    span.is_some_and(|span| span >= LENGTH_US_MIN)
}

fn alarms(events: &[ReplayEvent]) -> Vec<&ReplayEvent> {
    events.iter().filter(|seen| seen.severity > Severity::Low).collect()
}

fn describe(seen: &ReplayEvent) -> String {
    let kind = catalogue::event_type(seen.event_type).map_or("?", |kind| kind.name);
    let id = seen.can_id.map(|id| id.to_string()).unwrap_or_default();
    format!(
        "{kind}({id}) {} x{} at {} us {:?}",
        seen.severity,
        seen.count,
        seen.at.0,
        seen.fields.iter().collect::<Vec<_>>()
    )
}

#[test]
fn clean_recordings_of_an_unknown_vehicle_raise_no_alarm() {
    let Some(recordings) = recordings() else { return };
    let mut failures = Vec::new();
    for (name, frames) in &recordings {
        let events = replay(Edge::untrained(), frames);
        let bad = alarms(&events);
        println!("clean {name:20} low or less {:2}, above {}", events.len() - bad.len(), bad.len());
        failures.extend(bad.iter().map(|seen| format!("{name}: {}", describe(seen))));
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn attacks_on_an_unknown_vehicle_are_found_after_its_own_first_seconds() {
    let Some(recordings) = recordings() else { return };
    for attack in [Attack::Fabricate, Attack::Suspend, Attack::Flood, Attack::UdsBruteForce] {
        let (mut delays, mut runs) = (Vec::new(), 0usize);
        for (name, frames) in recordings.iter().filter(|(_, frames)| is_long(frames)) {
            for seed in 0..SEEDS {
                let plan = AttackPlan { start_us: Some(WARM_UP_US), ..AttackPlan::new(attack, seed) };
                let Ok((attacked, labels)) = inject(frames, &plan) else { continue };
                runs += 1;
                let events = replay(Edge::untrained(), &attacked);
                let delay = alarms(&events)
                    .iter()
                    .filter(|seen| seen.severe_at >= labels.start)
                    .map(|seen| seen.severe_at.micros_since(labels.start))
                    .min();
                match delay {
                    Some(delay) => delays.push(delay),
                    None => println!("missed {name} {} seed {seed} {:?}", attack.word(), labels.ids),
                }
            }
        }
        delays.sort_unstable();
        let at = |percent: usize| delays.get(delays.len() * percent / 100).copied().unwrap_or(0) / 1000;
        println!(
            "attack {:15} found {:3} of {runs:3}, delay ms p50 {} p90 {}",
            attack.word(),
            delays.len(),
            at(50),
            at(90)
        );
        assert!(delays.len() * 10 >= runs * 9, "{}", attack.word());
    }
}
