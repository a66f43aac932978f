//! Judges the detectors on recorded traffic of a real car that was not used for learning: nothing above low on
//! clean captures, every injected attack found in time. Skips where the recordings are not present.
#![expect(clippy::print_stdout, reason = "the table is what an evaluation is for")]

use std::path::{Path, PathBuf};

use outrider_agent::edge::Edge;
use outrider_agent::inject::{Attack, AttackPlan, Labels, inject};
use outrider_agent::io::capture::{self, ReadOptions, Record};
use outrider_agent::learn::Learner;
use outrider_agent::replay::{ReplayEvent, replay};
use outrider_bus::can::TimedFrame;
use outrider_ids::model::ModelHead;
use outrider_types::{EventTypeId, Severity};
use outrider_wire::catalogue::event;

/// Seeds of every attack on every capture.
const SEEDS: u64 = 6;

struct Recording {
    name: String,
    frames: Vec<TimedFrame>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/can/tesla-model3")
}

/// Recordings of one bus, or `None` with a message where they are not present.
fn recordings(prefix: &str) -> Option<Vec<Recording>> {
    let Ok(entries) = std::fs::read_dir(folder()) else {
        println!("SKIPPED: shared/data/can/tesla-model3 not present");
        return None;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with(prefix) && name.ends_with(".trc")
    });
    paths.sort();
    assert!(paths.len() >= 2, "a split needs two recordings of {prefix}");
    Some(paths.iter().map(|path| recording(path)).collect())
}

fn recording(path: &Path) -> Recording {
    let capture = capture::open(path, &ReadOptions::default()).expect("the recording opens");
    let frames = capture.filter_map(|record| match record.expect("the recording reads to its end") {
        Record::Can(frame) => Some(frame),
        Record::Ethernet { .. } | Record::CanXl(_) | Record::Lin(_) | Record::FlexRay(_) => None,
    });
    Recording {
        name: path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        frames: frames.collect(),
    }
}

fn learn<'a>(training: impl Iterator<Item = &'a Recording>, with_database: bool) -> Vec<u8> {
    let mut learner = Learner::new(ModelHead::default());
    if with_database {
        let path = folder().join("Model3CAN.dbc");
        learner.add_database(outrider_agent::io::dbc::open(&path).expect("the database opens"));
    }
    training.for_each(|recording| learner.add_capture(&recording.frames));
    learner.finish().expect("recordings of one bus make a model").model
}

/// Every split: each recording alone, and all but one; (name, training, tests).
fn splits(recordings: &[Recording]) -> Vec<(String, Vec<usize>, Vec<usize>)> {
    let all = 0..recordings.len();
    let mut splits = Vec::new();
    for index in all.clone() {
        let others: Vec<usize> = all.clone().filter(|other| *other != index).collect();
        splits.push((format!("only {}", recordings[index].name), vec![index], others.clone()));
        splits.push((format!("all but {}", recordings[index].name), others, vec![index]));
    }
    splits
}

fn run(model: &[u8], frames: &[TimedFrame]) -> Vec<ReplayEvent> {
    replay(Edge::new(model).expect("just learned"), frames)
}

fn describe(seen: &ReplayEvent) -> String {
    let id = seen.can_id.map(|id| id.to_string()).unwrap_or_default();
    format!("{}({id}) {} x{} at {} us", seen.event_type.0, seen.severity, seen.count, seen.at.0)
}

#[test]
fn clean_recordings_raise_nothing_above_low_in_any_split() {
    let mut failures = Vec::new();
    for prefix in ["chassis", "vehicle"] {
        let Some(recordings) = recordings(prefix) else { return };
        for with_database in [false, true] {
            for (name, training, tests) in splits(&recordings) {
                let model = learn(training.iter().map(|index| &recordings[*index]), with_database);
                for &test in &tests {
                    let events = run(&model, &recordings[test].frames);
                    let bad: Vec<_> = events.iter().filter(|seen| seen.severity > Severity::Low).collect();
                    println!(
                        "clean  {name:28} dbc {with_database:5} -> {:18} low or less {:2}, above {}",
                        recordings[test].name,
                        events.len() - bad.len(),
                        bad.len()
                    );
                    failures.extend(
                        bad.iter()
                            .map(|seen| format!("{name} -> {}: {}", recordings[test].name, describe(seen))),
                    );
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Attacks that must be named for what they are, and how long that may take from the first attacking frame, in
/// microseconds; `outrider-agent eval` judges the others.
const NAMED: [(Attack, EventTypeId, u64); 4] = [
    // Six extra frames at thrice the rate of an identifier of 5 Hz.
    (Attack::Fabricate, event::CAN_CYCLE_TIME, 1_500_000),
    // Five cycles of 100 ms, the grace and the confirmation.
    (Attack::Suspend, event::CAN_SUSPENSION, 1_500_000),
    (Attack::Flood, event::CAN_FLOOD, 500_000),
    // Three refused keys at eight a second.
    (Attack::UdsBruteForce, event::DIAG_SECURITY_ACCESS_BRUTE_FORCE, 1_500_000),
];

/// Returns how long it took to report the attack, or `None` if it was not.
fn delay_us(labels: &Labels, kind: EventTypeId, events: &[ReplayEvent]) -> Option<u64> {
    let own = events.iter().filter(|seen| {
        let flooded = labels.attack == Attack::Fabricate && seen.event_type == event::CAN_FLOOD;
        (seen.event_type == kind || flooded)
            && seen.severity > Severity::Low
            && seen.can_id.is_none_or(|id| labels.ids.contains(&id))
            && seen.severe_at >= labels.start
    });
    own.map(|seen| seen.severe_at.micros_since(labels.start)).min()
}

#[test]
fn every_injected_attack_is_reported_in_time_in_every_split() {
    let mut failures = Vec::new();
    for prefix in ["chassis", "vehicle"] {
        let Some(recordings) = recordings(prefix) else { return };
        let models: Vec<_> = splits(&recordings)
            .into_iter()
            .map(|(name, training, tests)| {
                (name, learn(training.iter().map(|index| &recordings[*index]), true), tests)
            })
            .collect();
        for (attack, kind, delay_max_us) in NAMED {
            let (mut delays, mut others, mut runs) = (Vec::new(), 0, 0);
            for (name, model, tests) in &models {
                for &test in tests {
                    for seed in 0..SEEDS {
                        let plan = AttackPlan::new(attack, seed);
                        let attacked =
                            inject(&recordings[test].frames, &plan).expect("the recording offers a target");
                        let (frames, labels) = attacked;
                        assert!(labels.injected + labels.removed > 0, "the attack must have happened");
                        let events = run(model, &frames);
                        runs += 1;
                        others += events.iter().filter(|seen| seen.severity > Severity::Low).count() - 1;
                        match delay_us(&labels, kind, &events) {
                            Some(delay) if delay <= delay_max_us => delays.push(delay),
                            late => failures.push(format!(
                                "{name} -> {} {} seed {seed} ids {:?} rate {}: {late:?}; {:?}",
                                recordings[test].name,
                                attack.word(),
                                labels.ids,
                                labels.rate_hz,
                                events.iter().map(describe).collect::<Vec<_>>()
                            )),
                        }
                    }
                }
            }
            delays.sort_unstable();
            println!(
                "attack {prefix:8} {:15} found {:3} of {runs:3}, delay median {:4} ms, worst {:4} ms, other events above low {others}",
                attack.word(),
                delays.len(),
                delays.get(delays.len() / 2).copied().unwrap_or(0) / 1000,
                delays.last().copied().unwrap_or(0) / 1000,
            );
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
