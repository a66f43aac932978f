//! Judges the Ethernet detectors on recorded charging sessions: each ordinary one with a model of the others, each
//! attack with a model of all ordinary ones. Skips where the recordings are not present.
//!
//! Recordings are labelled by file only, so that this says which files have an event above low, and not how many
//! attacks were found. One session that is labelled ordinary was recorded through a relay; the detectors say so.
#![expect(clippy::print_stdout, reason = "the table is what an evaluation is for")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use outrider_agent::io::capture::{self, ReadOptions, Record};
use outrider_agent::learn::ethernet::EthernetLearner;
use outrider_agent::net::NetEdge;
use outrider_agent::replay::Episodes;
use outrider_ids::FieldValue;
use outrider_ids::model::ModelHead;
use outrider_types::{BusId, Severity, VehicleMicros};
use outrider_wire::catalogue::field;

type Frames = Vec<(VehicleMicros, BusId, Vec<u8>)>;

/// Recordings of a folder, or `None` with a message where they are not present.
fn recordings(kind: &str) -> Option<Vec<Frames>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/v2g").join(kind);
    let Ok(entries) = std::fs::read_dir(folder) else {
        println!("SKIPPED: shared/data/v2g/{kind} not present");
        return None;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Some(paths.iter().map(|path| recording(path)).collect())
}

fn recording(path: &Path) -> Frames {
    let capture = capture::open(path, &ReadOptions::default()).expect("the recording opens");
    let frames = capture.filter_map(|record| match record.expect("the recording reads to its end") {
        Record::Ethernet { at, bus, bytes } => Some((at, bus, bytes)),
        Record::Can(_) | Record::CanXl(_) | Record::Lin(_) | Record::FlexRay(_) => None,
    });
    frames.collect()
}

fn learn<'a>(recordings: impl Iterator<Item = &'a Frames>) -> Vec<u8> {
    let mut learner = EthernetLearner::new(ModelHead::default());
    for frames in recordings {
        frames.iter().for_each(|(at, bus, bytes)| learner.add(*at, *bus, bytes));
        learner.end_capture();
    }
    learner.finish().expect("one segment").model
}

/// Why a recording has events above low.
fn reasons(model: &[u8], frames: &Frames) -> BTreeSet<&'static str> {
    let mut edge = NetEdge::new(model).expect("just learned");
    let mut episodes = Episodes::new();
    let mut drain = |edge: &mut NetEdge| {
        while let Some(seen) = edge.pop() {
            episodes.add(&seen);
        }
    };
    for (at, bus, bytes) in frames {
        edge.receive(*at, *bus, bytes);
        drain(&mut edge);
    }
    edge.finish();
    drain(&mut edge);
    let word = |value| match value {
        FieldValue::Text(word) => Some(word),
        FieldValue::Int(_) | FieldValue::Bool(_) | FieldValue::Ip(_) | FieldValue::Mac(_) => None,
    };
    let all = episodes.finish();
    for event in all.iter().filter(|event| event.severity <= Severity::Low) {
        println!("  low: {:?} {:?}", event.event_type, event.fields.value(field::REASON));
    }
    let above = all.into_iter().filter(|event| event.severity > Severity::Low);
    above
        .map(|event| {
            let fields = event.fields;
            let named = fields.value(field::REASON).or_else(|| fields.value(field::DETECTOR));
            named.and_then(word).unwrap_or("other")
        })
        .collect()
}

#[test]
fn a_vehicle_charges_while_car_and_station_speak_and_a_minute_longer() {
    let Some(ordinary) = recordings("benign") else { return };
    let model = learn(ordinary.iter());
    let mut charged = 0;
    for frames in &ordinary {
        let mut edge = NetEdge::new(&model).expect("just learned");
        let Some((last, ..)) = frames.last() else { continue };
        assert!(!edge.is_charging(VehicleMicros(0)));
        frames.iter().for_each(|(at, bus, bytes)| {
            edge.receive(*at, *bus, bytes);
        });
        charged += usize::from(edge.is_charging(*last));
        assert!(!edge.is_charging(last.saturating_add(61_000_000)));
    }
    assert!(charged > 0, "{charged} of {}", ordinary.len());
}

#[test]
fn attacked_sessions_have_events_and_ordinary_ones_do_not() {
    let (Some(ordinary), Some(attacked)) = (recordings("benign"), recordings("attack")) else { return };
    let mut alarmed = 0;
    for (index, frames) in ordinary.iter().enumerate() {
        let others = ordinary.iter().enumerate().filter(|(other, _)| *other != index);
        let found = reasons(&learn(others.map(|(_, frames)| frames)), frames);
        println!("ordinary {index}: {found:?}");
        let is_relayed = found.contains("relayed") && found.contains("two_stations");
        assert!(found.is_empty() || is_relayed, "{found:?}");
        alarmed += usize::from(!found.is_empty());
    }
    let model = learn(ordinary.iter());
    let mut missed = 0;
    for (index, frames) in attacked.iter().enumerate() {
        let found = reasons(&model, frames);
        println!("attacked {index}: {found:?}");
        missed += usize::from(found.is_empty());
    }
    println!("{alarmed} of {} ordinary, {missed} of {} attacked", ordinary.len(), attacked.len());
    assert!(alarmed <= 1, "the recording through a relay at most");
    assert_eq!(missed, 0);
}
