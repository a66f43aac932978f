//! Drives of the full-stack vehicles: generated traffic of the project's own network, and real captures.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use outrider_agent::inject::{Attack, AttackPlan, inject};
use outrider_agent::io::capture::{ReadOptions, Record, open};
use outrider_agent::learn::Learner;
use outrider_agent::traffic::{Drive as Profile, DriveProfile, demo_network, generate};
use outrider_bus::can::TimedFrame;
use outrider_ids::model::ModelHead;
use outrider_sim::{AttackKind, Drive};
use outrider_types::VehicleMicros;

use crate::cli::Failure;

/// Length of a generated drive.
const DRIVE_US: u64 = 45_000_000;
/// Traffic that the demo vehicles' model is learned from.
const LEARN_US: u64 = 60_000_000;
/// Captures that are replayed at most.
const REPLAYS_MAX: usize = 4;
/// Files looked at below a data folder.
const FILES_MAX: usize = 200;
/// Share of identifiers that two captures must have in common to be of one bus, in percent.
const SAME_BUS_PERCENT: usize = 60;

/// One drive, and what happens in it: kind, first and last microsecond since its begin.
pub(super) struct Planned {
    pub(super) drive: Drive,
    pub(super) attack: Option<(AttackKind, i64, i64)>,
}

/// Plans the drives: one with injected frames, one with a brute force, one quiet, and replays of captures.
pub(super) fn plan(seed: u64, data: Option<&Path>) -> Result<Vec<Planned>, Failure> {
    let network = demo_network();
    let traffic = |seed: u64, length_us: u64| -> Vec<TimedFrame> {
        let profile = Profile { profile: DriveProfile::City, start: VehicleMicros(0), length_us };
        generate(&network, seed, &profile).collect()
    };
    let mut learner = Learner::new(ModelHead::default());
    learner.add_database(network.clone());
    for part in 0..3 {
        learner.add_capture(&traffic(seed.wrapping_add(100 + part), LEARN_US));
    }
    let model = learner.finish().map_err(Failure::failed)?.model;
    let mut planned = Vec::new();
    for (place, attack) in
        [Some(Attack::Fabricate), Some(Attack::UdsBruteForce), None].into_iter().enumerate()
    {
        let frames = traffic(seed.wrapping_add(place as u64), DRIVE_US);
        planned.push(with_attack(frames, model.clone(), attack, seed)?);
    }
    if let Some(folder) = data {
        planned.extend(replays(folder, seed)?);
    }
    Ok(planned)
}

fn with_attack(
    frames: Vec<TimedFrame>,
    model: Vec<u8>,
    attack: Option<Attack>,
    seed: u64,
) -> Result<Planned, Failure> {
    let Some(attack) = attack else { return Ok(Planned { drive: Drive { frames, model }, attack: None }) };
    let plan = AttackPlan::new(attack, seed);
    let (frames, labels) = inject(&frames, &plan).map_err(Failure::failed)?;
    let kind = match attack {
        Attack::UdsBruteForce => AttackKind::DiagnosticBruteForce,
        Attack::Fabricate
        | Attack::Suspend
        | Attack::Replay
        | Attack::Fuzz
        | Attack::Flood
        | Attack::Masquerade(_)
        | Attack::Modify
        | Attack::BusOff
        | Attack::UdsScan => AttackKind::CanInjection,
    };
    let begin = frames.first().map_or(0, |frame| frame.at.0);
    let since = |at: VehicleMicros| i64::try_from(at.0.saturating_sub(begin)).unwrap_or(i64::MAX);
    let span = (kind, since(labels.start), since(labels.end));
    Ok(Planned { drive: Drive { frames: from_zero(frames), model }, attack: Some(span) })
}

/// Moves a capture so that its first frame is at 0.
fn from_zero(mut frames: Vec<TimedFrame>) -> Vec<TimedFrame> {
    let begin = frames.first().map_or(0, |frame| frame.at.0);
    frames.iter_mut().for_each(|frame| frame.at = VehicleMicros(frame.at.0.saturating_sub(begin)));
    frames
}

/// Replays real captures, each in a vehicle that learned from the others of the same bus, never from itself.
fn replays(folder: &Path, seed: u64) -> Result<Vec<Planned>, Failure> {
    let captures = captures(folder)?;
    let mut planned = Vec::new();
    for (index, (path, frames)) in captures.iter().enumerate() {
        let others: Vec<&Vec<TimedFrame>> = captures
            .iter()
            .enumerate()
            .filter(|(other, (_, of))| *other != index && is_same_bus(frames, of))
            .map(|(_, (_, frames))| frames)
            .collect();
        if others.is_empty() {
            continue;
        }
        let mut learner = Learner::new(ModelHead::default());
        others.iter().for_each(|frames| learner.add_capture(frames.iter()));
        let Ok(learned) = learner.finish() else { continue };
        let attack = match planned.len() % 3 {
            0 => Some(Attack::Fabricate),
            1 => None,
            _ => Some(Attack::UdsBruteForce),
        };
        tracing::info!(capture = %path.display(), attack = attack.map_or("none", Attack::word), "replaying a drive");
        planned.push(with_attack(from_zero(frames.clone()), learned.model, attack, seed)?);
        if planned.len() >= REPLAYS_MAX {
            break;
        }
    }
    if planned.is_empty() {
        tracing::warn!(folder = %folder.display(), "no two captures of one bus were found; nothing is replayed");
    }
    Ok(planned)
}

/// Reads every CAN capture below a folder; files that are none are passed over.
fn captures(folder: &Path) -> Result<Vec<(PathBuf, Vec<TimedFrame>)>, Failure> {
    let mut folders = vec![folder.to_path_buf()];
    let mut files = Vec::new();
    while let Some(next) = folders.pop() {
        let entries = std::fs::read_dir(&next)
            .map_err(|error| Failure::input(format!("{}: {error}", next.display())))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|end| ["trc", "log", "asc", "pcap", "pcapng"].iter().any(|e| end == *e))
            {
                files.push(path);
            }
        }
    }
    files.sort();
    files.truncate(FILES_MAX);
    let mut found = Vec::new();
    for path in files {
        let Ok(capture) = open(&path, &ReadOptions::default()) else { continue };
        let frames: Vec<TimedFrame> = capture
            .filter_map(|record| match record {
                Ok(Record::Can(frame)) => Some(frame),
                Ok(Record::Ethernet { .. } | Record::CanXl(_) | Record::Lin(_) | Record::FlexRay(_))
                | Err(_) => None,
            })
            .collect();
        if frames.len() >= 1000 {
            found.push((path, frames));
        }
    }
    Ok(found)
}

fn is_same_bus(one: &[TimedFrame], other: &[TimedFrame]) -> bool {
    let ids = |frames: &[TimedFrame]| -> BTreeSet<_> {
        frames.iter().filter_map(|frame| frame.frame.id()).collect()
    };
    let (one, other) = (ids(one), ids(other));
    one.intersection(&other).count() * 100 >= one.union(&other).count() * SAME_BUS_PERCENT
}
