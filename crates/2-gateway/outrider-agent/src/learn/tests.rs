use outrider_bus::can::Frame;
use outrider_bus::e2e::{Profile1, Protection};
use outrider_ids::model::VehicleModel;
use outrider_ids::model::protection::{Guard, frames as protected_frames};
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::event;

use super::*;
use crate::edge::Edge;
use crate::io::network;
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

/// What the fixture says of frame 0x100.
const STATUS: Protection =
    Protection::P01(Profile1 { data_id: 513, mode: outrider_bus::e2e::DataIdMode::Both, crc_byte: 0 });

/// Frames of 0x100 every 20 ms with these counters.
fn status(counters: impl IntoIterator<Item = u16>) -> Vec<TimedFrame> {
    let frame = |counter: u16| {
        let mut data = [0; 8];
        STATUS.protect(&mut data, counter % 15).expect("eight bytes");
        Frame::classic(id(0x100), &data).expect("eight bytes")
    };
    let at = |n: usize| VehicleMicros(n as u64 * 20_000);
    let frames = counters.into_iter().enumerate();
    frames.map(|(n, counter)| TimedFrame { at: at(n), bus: BusId(0), frame: frame(counter) }).collect()
}

/// Learns with the ARXML fixture.
fn with_arxml(captures: &[Vec<TimedFrame>]) -> Learned {
    let description =
        network::parse(include_bytes!("../io/network/fixtures/small.arxml")).expect("the project's own");
    let mut learner = Learner::new(ModelHead::default());
    learner.add_protections(&description.protected().frames);
    learner.add_database(description.into_can());
    captures.iter().for_each(|capture| learner.add_capture(capture));
    learner.finish().expect("some frames")
}

#[test]
fn what_arxml_says_of_protection_is_checked_on_the_road() {
    let drive = |ms: u16| {
        let mut traffic = [status(0..ms / 20), frames(0x10, every(10_000, u64::from(ms) / 10))].concat();
        traffic.sort_by_key(|frame| frame.at);
        traffic
    };
    let learned = with_arxml(&[drive(4000)]);
    assert_eq!((learned.buses[0].protected, learned.buses[0].problems.as_slice()), (2, [].as_slice()));
    let mut edge = Edge::new(&learned.model).expect("just written");
    for frame in &drive(8000) {
        assert!(!edge.receive(frame).is_flagged(), "{frame:?}");
    }
    assert_eq!(edge.pop(), None);
    let forged = Frame::classic(id(0x100), &[0x55; 8]).expect("eight bytes");
    let at = VehicleMicros(400 * 20_000);
    assert!(edge.receive(&TimedFrame { at, bus: BusId(0), frame: forged }).is_flagged());
    let seen = edge.pop().expect("one frame is enough");
    assert_eq!(
        (seen.event_type, seen.severity, seen.can_id),
        (event::CAN_CHECKSUM_MISMATCH, Severity::Medium, Some(id(0x100)))
    );
}

#[test]
fn traffic_that_contradicts_a_description_wins() {
    let section = |learned: &Learned| {
        let model = VehicleModel::parse(&learned.model).expect("just written");
        let section = model.bus(BusId(0)).expect("learned").section(SectionKind::PROTECTION);
        protected_frames(section.expect("there is one")).collect::<Vec<_>>()
    };
    // No protection at all.
    let learned = with_arxml(&[frames(0x100, every(20_000, 100))]);
    let said = "protection of 0x100 is left out: 100 of 100 frames break it";
    assert_eq!(
        (learned.buses[0].protected, learned.buses[0].problems.as_slice()),
        (1, [said.to_owned()].as_slice())
    );
    // A counter that stands now and then, and one that jumps.
    let first = |counters: Vec<u16>| section(&with_arxml(&[status(counters)]))[0];
    let stands = first((0..200).map(|n| n / 2).collect());
    assert!(stands.counts && stands.repeats && !stands.faults);
    assert!(matches!(stands.guard, Guard::E2e(protection) if protection == STATUS));
    let jumps = first((0..200).map(|n| n * 7).collect());
    assert!(!jumps.counts);
    // Single faults, as at the start of an ECU.
    let mut capture = status(0..300);
    capture[0].frame = Frame::classic(id(0x100), &[0xFF; 8]).expect("eight bytes");
    let faulty = section(&with_arxml(&[capture]))[0];
    assert!(faulty.faults && faulty.counts);
    // Freshness that nobody saw is not judged; the shape is.
    let unseen = section(&with_arxml(&[status(0..100)]))[1];
    assert!(matches!(unseen.guard, Guard::Secured(_)) && !unseen.counts);
}
