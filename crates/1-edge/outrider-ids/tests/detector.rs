//! The whole of a bus's detectors on anything that a bus may carry, and the corpus of their fuzz target.

mod properties;

use std::collections::BTreeSet;
use std::path::Path;

use outrider_ids::model::VehicleModel;
use outrider_ids::{Basis, BusDetector, Phase};
use outrider_types::EventTypeId;
use outrider_wire::catalogue::event;
use properties::{Outcome, bus_detector};
use proptest::collection::vec;
use proptest::prelude::*;

fn said(outcome: &Outcome) -> BTreeSet<EventTypeId> {
    outcome.said.iter().filter(|one| one.phase == Phase::Opened).map(|one| one.event_type).collect()
}

/// Returns whether an input of the corpus comes to what its name says, or `None` if the name says nothing.
fn is_as_named(name: &str, outcome: &Outcome) -> Option<bool> {
    let (said, stats) = (said(outcome), outcome.stats);
    let says = |wanted: &[EventTypeId]| wanted.iter().all(|kind| said.contains(kind));
    Some(match name {
        "empty" => stats.frames == 0 && said.is_empty(),
        "cut" => stats.frames == 1,
        "warm_up_then_a_stranger" => {
            outcome.basis == Basis::Learned && says(&[event::CAN_WARM_UP_COMPLETE, event::CAN_UNKNOWN_ID])
        }
        "checksum_spoiled" => says(&[event::CAN_CHECKSUM_MISMATCH]),
        "counter_spoiled" => says(&[event::CAN_COUNTER_JUMP]),
        "number_spoiled" => says(&[event::CAN_PAYLOAD_ANOMALY]),
        "known_number_spoiled" => outcome.basis == Basis::Model && says(&[event::CAN_PAYLOAD_ANOMALY]),
        "noise_lost" => says(&[event::CAN_MASQUERADE]),
        "injection" => outcome.basis == Basis::Model && says(&[event::CAN_CYCLE_TIME]) && outcome.flagged > 0,
        "suspension" => says(&[event::CAN_SUSPENSION]),
        "model_of_another_bus" => says(&[event::CAN_MODEL_MISMATCH]) && outcome.basis != Basis::Model,
        "clock_steps" => stats.clock_steps >= 3,
        "nobody_fetches" => stats.dropped > 0,
        "errors" => stats.errors > 60 && says(&[event::CAN_BUS_OFF, event::CAN_ERROR_BURST]),
        "lengths_of_fd_and_remote" => says(&[event::CAN_WRONG_DLC, event::CAN_REMOTE_FRAME]),
        "keys" => says(&[event::DIAG_SECURITY_ACCESS_BRUTE_FORCE]),
        _ => return None,
    })
}

#[test]
fn the_corpus_comes_to_what_its_names_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/can_detector");
    let (mut named, mut wrong) = (0, Vec::new());
    for file in std::fs::read_dir(folder).expect("the corpus is part of the repository") {
        let path = file.expect("a readable folder").path();
        let outcome = bus_detector(&std::fs::read(&path).expect("a readable file"));
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let is_right = is_as_named(&name, &outcome);
        named += usize::from(is_right.is_some());
        if is_right == Some(false) {
            wrong.push((name, outcome.basis, outcome.stats, said(&outcome)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(named, 16);
}

#[test]
fn the_corpus_has_a_model_with_habits_as_they_are_written_now() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/vehicle_model/habits.bin");
    let bytes = std::fs::read(path).expect("the corpus is part of the repository");
    let model = VehicleModel::parse(&bytes).expect("a whole model");
    let bus = model.buses().next().expect("it has one");
    assert_eq!(bus.sections().count(), 3);
    let stats = BusDetector::new(&bus).habit_stats();
    assert!(stats.on_trial >= 20 && stats.left_out == 0, "{stats:?}");
}

/// One step of any kind, with the bytes that it takes; rhythms are the step with 4 in its low three bits.
fn step() -> impl Strategy<Value = Vec<u8>> {
    let rhythm = (any::<u8>(), 0u8..12, any::<u8>(), 1u8..60, 1u8..120)
        .prop_map(|(kind, senders, first, cycle, turns)| vec![kind << 3 | 4, senders, first, cycle, turns]);
    prop_oneof![2 => vec(any::<u8>(), 1..16), 1 => rhythm]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_traffic_is_judged_the_same_twice_and_every_frame_is_counted(head: u8, steps in vec(step(), 0..24)) {
        let bytes: Vec<u8> = std::iter::once(head).chain(steps.into_iter().flatten()).collect();
        bus_detector(&bytes);
    }
}
