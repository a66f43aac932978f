//! Tests of the LIN detectors over a bus of three slaves.

extern crate std;

use outrider_bus::lin::{ChecksumKind, Fault, Frame, Heard, Pid, Schedule, Slot};
use outrider_types::{BusId, EventTypeId, Severity, VehicleMicros};
use outrider_wire::catalogue::event;
use proptest::prelude::*;
use std::vec::Vec;

use super::model::{BusDraft, Buses, FrameFacts, LinModel, check, write};
use super::*;
use crate::observation::Phase;

const SLOT_US: u64 = 10_000;

fn pid(id: u8) -> Pid {
    Pid::new(id).expect("six bits")
}

fn frame(id: u8, bytes: &[u8]) -> Heard {
    let frame = Frame::new(pid(id), ChecksumKind::Enhanced, bytes).expect("legal");
    Heard::Frame { frame, has_checksum: true }
}

fn facts(bytes: u8) -> FrameFacts {
    FrameFacts { bytes, checksum: Some(ChecksumKind::Enhanced), ..FrameFacts::default() }
}

/// Identifiers 1, 2 and 3 in turn, of 2, 4 and 8 bytes.
fn model() -> LinModel {
    let mut model = LinModel::new(BusId(64));
    for id in 1..=3u8 {
        model.frames[usize::from(id)] = Some(facts(1 << id));
    }
    let slot = |id| Slot { pid: pid(id), is_optional: false, length_us: 10_000 };
    model.order.add(&Schedule::new(&[slot(1), slot(2), slot(3)]).expect("three slots"));
    model
}

/// What the bus says of itself in a turn.
fn usual(turn: u64) -> Heard {
    let id = u8::try_from(turn % 3 + 1).expect("1 to 3");
    frame(id, &[7; 8][..1 << id])
}

/// A bus in the middle of ordinary traffic.
struct Bench {
    detector: std::boxed::Box<LinDetector>,
    turn: u64,
    flagged: u32,
    said: Vec<(EventTypeId, Severity)>,
}

impl Bench {
    fn new(detector: LinDetector) -> Self {
        let mut bench =
            Self { detector: std::boxed::Box::new(detector), turn: 0, flagged: 0, said: Vec::new() };
        bench.run(3000, |_, heard| Some(heard));
        assert_eq!((bench.flagged, bench.said.as_slice()), (0, [].as_slice()), "ordinary traffic");
        bench
    }

    fn at(&self) -> VehicleMicros {
        VehicleMicros(self.turn * SLOT_US)
    }

    fn hear(&mut self, at: VehicleMicros, heard: &Heard) {
        self.flagged += u32::from(self.detector.receive(at, heard).is_flagged());
        while let Some(seen) = self.detector.pop() {
            if matches!(seen.phase, Phase::Opened | Phase::Escalated) {
                self.said.push((seen.event_type, seen.severity));
            }
        }
    }

    /// Lets turns pass, each changed or left out by `change`.
    fn run(&mut self, turns: u64, mut change: impl FnMut(u64, Heard) -> Option<Heard>) {
        for _ in 0..turns {
            let at = self.at();
            self.detector.tick(at);
            if let Some(heard) = change(self.turn, usual(self.turn)) {
                self.hear(at, &heard);
            }
            self.turn += 1;
        }
    }

    /// Lets turns pass with something inside of every n-th slot.
    fn with_intruder(&mut self, turns: u64, every: u64, intruder: &Heard) {
        for turn in 0..turns {
            self.run(1, |_, heard| Some(heard));
            if turn % every == 0 {
                self.hear(VehicleMicros(self.at().0 - SLOT_US / 2), intruder);
            }
        }
    }

    fn worst(&self, event_type: EventTypeId) -> Option<Severity> {
        self.said.iter().filter(|(said, _)| *said == event_type).map(|(_, severity)| *severity).max()
    }
}

/// The same bus known from its description and learned on the road.
fn both() -> [Bench; 2] {
    [Bench::new(LinDetector::new(&model())), Bench::new(LinDetector::untrained(BusId(64)))]
}

#[test]
fn a_detector_fits_its_budget_of_state_and_says_what_it_judges_by() {
    assert!(size_of::<LinDetector>() <= 32 * 1024, "{}", size_of::<LinDetector>());
    let [known, learned] = both();
    assert_eq!((known.detector.basis(), learned.detector.basis()), (Basis::Model, Basis::Learned));
    assert_eq!(known.detector.stats().frames, 3000);
}

#[test]
fn a_second_master_is_an_alarm_and_one_stray_header_is_not() {
    for mut bench in both() {
        bench.with_intruder(1, 1, &frame(1, &[9; 2]));
        bench.run(30, |_, heard| Some(heard));
        assert_eq!(bench.worst(event::LIN_SECOND_MASTER), Some(Severity::Low));
        bench.with_intruder(60, 6, &frame(1, &[9; 2]));
        assert_eq!(bench.worst(event::LIN_SECOND_MASTER), Some(Severity::Medium));
        assert!(bench.flagged >= 3);
    }
}

#[test]
fn an_identifier_that_no_table_has_is_unknown() {
    for (index, mut bench) in both().into_iter().enumerate() {
        bench.with_intruder(30, 6, &frame(9, &[1]));
        assert_eq!(bench.worst(event::LIN_UNKNOWN_FRAME), Some(Severity::Medium), "basis {index}");
    }
    // In a slot of its own it may be a table that comes for the first time.
    let [_, mut learned] = both();
    learned.run(300, |turn, heard| Some(if turn % 3 == 0 { frame(9, &[1]) } else { heard }));
    assert_eq!(learned.worst(event::LIN_UNKNOWN_FRAME), Some(Severity::Low));
    let said = learned.said.len();
    learned.run(300, |turn, heard| Some(if turn % 3 == 0 { frame(9, &[1]) } else { heard }));
    assert_eq!(learned.said.len(), said, "by now it is the master's");
}

#[test]
fn an_order_that_no_table_has_is_said() {
    let [mut known, mut learned] = both();
    for bench in [&mut known, &mut learned] {
        bench.run(30, |turn, heard| Some(if turn % 3 == 2 { frame(2, &[7; 4]) } else { heard }));
    }
    assert_eq!(known.worst(event::LIN_SCHEDULE_VIOLATION), Some(Severity::Medium));
    assert_eq!(learned.worst(event::LIN_SCHEDULE_VIOLATION), Some(Severity::Low), "it may be a new table");
    let said = learned.said.len();
    learned.run(300, |turn, heard| Some(if turn % 3 == 2 { frame(2, &[7; 4]) } else { heard }));
    assert_eq!(learned.said.len(), said, "by now it is the master's");
}

#[test]
fn a_response_of_another_length_or_checksum_is_of_another_publisher() {
    for mut bench in both() {
        bench.run(3, |turn, heard| Some(if turn % 3 == 0 { frame(1, &[7; 4]) } else { heard }));
        assert_eq!(bench.worst(event::LIN_PUBLISHER_MISMATCH), Some(Severity::Low));
        bench.run(12, |turn, heard| Some(if turn % 3 == 0 { frame(1, &[7; 4]) } else { heard }));
        assert_eq!(bench.worst(event::LIN_PUBLISHER_MISMATCH), Some(Severity::Medium));
    }
    let [mut bench, _] = both();
    let classic = Frame::new(pid(1), ChecksumKind::Classic, &[7; 2]).expect("legal");
    let unchecked = Heard::Frame { frame: classic, has_checksum: false };
    bench.run(12, |turn, heard| Some(if turn % 3 == 0 { unchecked } else { heard }));
    assert_eq!(bench.said, [], "what the capture does not have is not judged");
    let checked = Heard::Frame { frame: classic, has_checksum: true };
    bench.run(12, |turn, heard| Some(if turn % 3 == 0 { checked } else { heard }));
    assert_eq!(bench.worst(event::LIN_PUBLISHER_MISMATCH), Some(Severity::Medium));
}

#[test]
fn responses_that_collide_in_bursts_are_said_and_noise_is_not() {
    let damaged = Heard::Fault { pid: pid(2), fault: Fault::Checksum };
    for mut bench in both() {
        bench.run(6, |turn, heard| Some(if turn % 3 == 1 { damaged } else { heard }));
        assert_eq!(bench.said, [], "two");
        bench.run(30, |turn, heard| Some(if turn % 3 == 1 { damaged } else { heard }));
        assert_eq!(bench.worst(event::LIN_RESPONSE_COLLISION), Some(Severity::Medium));
    }
    let mut tolerant = model();
    tolerant.frames[2] = Some(FrameFacts { may_collide: true, ..facts(4) });
    let mut bench = Bench::new(LinDetector::new(&tolerant));
    bench.run(60, |turn, heard| Some(if turn % 3 == 1 { damaged } else { heard }));
    assert_eq!(bench.said, [], "event-triggered frames collide");
}

#[test]
fn a_slave_that_falls_silent_is_said_and_a_supply_that_is_switched_off_is_no_alarm() {
    let silent = |id| Heard::Fault { pid: pid(id), fault: Fault::Silence };
    for mut bench in both() {
        bench.run(12, |turn, heard| Some(if turn % 3 == 1 { silent(2) } else { heard }));
        assert_eq!(bench.said, [], "four turns");
        bench.run(12, |turn, heard| Some(if turn % 3 == 1 { silent(2) } else { heard }));
        assert_eq!(bench.worst(event::LIN_SLAVE_SILENT), Some(Severity::Low));
        bench.run(60, |turn, heard| Some(if turn % 3 == 1 { silent(2) } else { heard }));
        assert_eq!(bench.worst(event::LIN_SLAVE_SILENT), Some(Severity::Medium));
    }
}

#[test]
fn a_scan_of_node_addresses_is_said_unless_a_workshop_is_at_work() {
    let request = |nad| {
        let frame = Frame::new(pid(0x3C), ChecksumKind::Classic, &[nad, 6, 0xB2, 0, 0xFF, 0x7F, 0xFF, 0xFF]);
        Heard::Frame { frame: frame.expect("legal"), has_checksum: true }
    };
    for workshop in [false, true] {
        let [mut bench, _] = both();
        bench.detector.set_workshop(workshop);
        for nad in 1..=40u8 {
            bench.run(30, |_, heard| Some(heard));
            let at = bench.at();
            bench.hear(at, &request(nad));
            bench.turn += 1;
        }
        let expected = (!workshop).then_some(Severity::Medium);
        assert_eq!(bench.worst(event::LIN_DIAGNOSTIC_SCAN), expected);
    }
}

#[test]
fn sleep_that_the_master_did_not_mean_and_floods_of_wake_ups_are_said() {
    let sleep = Frame::new(pid(0x3C), ChecksumKind::Classic, &[0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    let sleep = Heard::Frame { frame: sleep.expect("legal"), has_checksum: true };
    let [mut bench, _] = both();
    let at = bench.at();
    bench.hear(at, &sleep);
    bench.turn += 600;
    bench.run(300, |_, heard| Some(heard));
    assert_eq!(bench.said, [], "it slept for six seconds");
    for _ in 0..2 {
        let at = bench.at();
        bench.hear(at, &sleep);
        bench.turn += 1;
        bench.run(300, |_, heard| Some(heard));
    }
    assert_eq!(bench.worst(event::LIN_SLEEP_ABUSE), Some(Severity::Medium));
    let [mut bench, _] = both();
    for _ in 0..70 {
        let at = bench.at();
        bench.hear(at, &Heard::WakeUp);
        bench.turn += 10;
    }
    assert_eq!(bench.worst(event::LIN_SLEEP_ABUSE), Some(Severity::Medium));
}

#[test]
fn a_model_of_another_bus_is_given_up_without_an_alarm() {
    let mut other = LinModel::new(BusId(64));
    other.frames[40] = Some(facts(8));
    let mut bench = Bench {
        detector: std::boxed::Box::new(LinDetector::new(&other)),
        turn: 0,
        flagged: 0,
        said: Vec::new(),
    };
    bench.run(4000, |_, heard| Some(heard));
    assert_eq!(bench.detector.basis(), Basis::Learned);
    assert!(bench.said.iter().all(|(_, severity)| *severity == Severity::Low), "{:?}", bench.said);
}

#[test]
fn a_section_comes_back_and_what_is_wrong_with_it_is_found() {
    let slot = |id, is_optional| Slot { pid: pid(id), is_optional, length_us: 7500 };
    let table = Schedule::new(&[slot(1, false), slot(2, true)]).expect("two slots");
    let frames = [(1, facts(2)), (2, FrameFacts { may_be_silent: true, may_collide: true, ..facts(0) })];
    let draft = BusDraft { bus: BusId(64), frames: &frames, tables: &[table] };
    let mut out = [0; 64];
    let size = write(&[draft], &mut out).expect("it fits");
    let back: Vec<LinModel> = Buses::new(&out[..size]).collect();
    let mut expected = LinModel::new(BusId(64));
    frames.iter().for_each(|(id, facts)| expected.frames[usize::from(*id)] = Some(*facts));
    expected.order.add(&table);
    assert_eq!(back, [expected]);
    assert_eq!(write(&[draft], &mut out[..size - 1]), None);
    assert_eq!(write(&[draft, draft], &mut [0; 200]), None, "the same bus twice");
    out[0] = 2;
    assert_eq!((check(&out[..size]), Buses::new(&out[..size]).count()), (Ok(()), 0), "a later version");
    out[0] = 1;
    for (at, byte) in [(1, 33), (1, 2), (3, 65), (6, 64), (7, 9), (8, 0x10), (14, 0), (18, 0x7F)] {
        let mut damaged = out;
        damaged[at] = byte;
        assert!(check(&damaged[..size]).is_err(), "{at}");
    }
    assert!((1..size).all(|end| check(&out[..end]).is_err()));
}

proptest! {
    #[test]
    fn any_section_is_read_or_refused_and_anything_heard_is_taken(
        section in proptest::collection::vec(any::<u8>(), 0..80),
        heard in proptest::collection::vec((0u64..40_000, 0u8..70, 0u8..8, any::<u8>()), 0..200),
    ) {
        let model = Buses::new(&section).next();
        let mut detector =
            std::boxed::Box::new(model.map_or_else(|| LinDetector::untrained(BusId(0)), |model| LinDetector::new(&model)));
        let mut at = 0u64;
        for (gap, id, kind, byte) in heard {
            at += gap;
            let pid = Pid::new(id & 0x3F).expect("six bits");
            let one = match kind {
                0 => Heard::WakeUp,
                1 => Heard::Asleep,
                2 => Heard::Header,
                3 => Heard::Fault { pid, fault: Fault::Silence },
                4 => Heard::Fault { pid, fault: Fault::Framing },
                _ => frame(id & 0x3F, &[byte; 3]),
            };
            detector.receive(VehicleMicros(at), &one);
            detector.tick(VehicleMicros(at));
            while detector.pop().is_some() {}
        }
        detector.finish();
    }
}
