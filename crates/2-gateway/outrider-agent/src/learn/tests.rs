use outrider_bus::can::Frame;
use outrider_ids::model::VehicleModel;
use outrider_types::VehicleMicros;

use super::*;
use crate::traffic::demo_network;

fn id(value: u32) -> CanId {
    CanId::standard(value).expect("eleven bits")
}

fn frames(value: u32, times: impl IntoIterator<Item = u64>) -> Vec<TimedFrame> {
    let frame = Frame::classic(id(value), &[1, 2, 3]).expect("three bytes fit");
    times.into_iter().map(|at| TimedFrame { at: VehicleMicros(at), bus: BusId(0), frame }).collect()
}

fn learned(captures: &[Vec<TimedFrame>], databases: Vec<DbcModel>) -> Vec<IdEntry> {
    let mut learner = Learner::new(ModelHead::default());
    databases.into_iter().for_each(|database| learner.add_database(database));
    for capture in captures {
        let mut sorted = capture.clone();
        sorted.sort_by_key(|frame| frame.at);
        learner.add_capture(&sorted);
    }
    let learned = learner.finish().expect("some frames");
    let model = VehicleModel::parse(&learned.model).expect("just written");
    model.bus(BusId(0)).expect("just learned").ids().collect()
}

fn every(cycle: u64, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |n| n * cycle)
}

#[test]
fn cycles_pauses_and_events_are_told_apart() {
    let mut capture = frames(0x10, every(10_000, 400));
    // A burst of four in every second.
    capture.extend(frames(0x20, every(1_000_000, 4).flat_map(|at| (0..4).map(move |n| at + n * 50_000))));
    capture.extend(frames(0x30, [5, 700_000, 720_000, 2_900_000, 3_300_000]));
    capture.extend(frames(0x40, [1_000_000, 2_000_000]));
    let ids = learned(&[capture], Vec::new());
    let classes: Vec<_> = ids.iter().map(|entry| (entry.id, entry.class, entry.flags.steady)).collect();
    let expected = [
        (id(0x10), CycleClass::Periodic, true),
        (id(0x20), CycleClass::Mixed, false),
        (id(0x30), CycleClass::Event, false),
        (id(0x40), CycleClass::Listed, false),
    ];
    assert_eq!(classes, expected);
    assert_eq!(ids[0].gaps.median_us, 10_000);
    assert_eq!(ids[0].dlc_mask, 1 << 3);
}

#[test]
fn no_gap_is_measured_from_one_capture_to_the_next_and_an_absence_ends_steadiness() {
    let whole = frames(0x10, every(10_000, 100));
    let twice = learned(&[whole.clone(), whole.clone()], Vec::new());
    assert_eq!((twice[0].gaps.max_us, twice[0].flags.steady, twice[0].captures), (10_000, true, 2));
    let other = frames(0x11, every(10_000, 100));
    let absent = learned(&[whole, other], Vec::new());
    assert!(absent.iter().all(|entry| !entry.flags.steady && entry.captures == 1));
}

#[test]
fn a_database_adds_identifiers_cycles_and_the_speed() {
    let network = demo_network();
    let speed =
        network.messages.iter().find(|message| message.name == "PtVehicleSpeed").expect("it is there").id;
    let capture = frames(speed.value(), every(20_000, 100));
    let mut learner = Learner::new(ModelHead::default());
    learner.add_database(network.clone());
    learner.add_capture(&capture);
    let learned = learner.finish().expect("some frames");
    assert_eq!(learned.buses[0].speed_signal.as_deref(), Some("VehicleSpeed"));
    let model = VehicleModel::parse(&learned.model).expect("just written");
    let bus = model.bus(BusId(0)).expect("just learned");
    assert_eq!(bus.id_count(), network.messages.len());
    let unseen = bus.ids().find(|entry| entry.id == id(0x0A0)).expect("in the database");
    assert_eq!((unseen.frames, unseen.gaps.median_us, unseen.flags.steady), (0, 10_000, false));
}

#[test]
fn nothing_teaches_nothing() {
    assert_eq!(Learner::new(ModelHead::default()).finish(), Err(LearnError::NoFrames));
}
