//! Tests of the FlexRay detectors over a cluster of eight static and some dynamic slots.

extern crate std;

use outrider_bus::flexray::{Channel, Frame, Header, Heard, RecordErrors};
use outrider_types::{BusId, EventTypeId, Severity, VehicleMicros};
use outrider_wire::catalogue::event;
use proptest::prelude::*;
use std::vec::Vec;

use super::model::{ClusterDraft, Clusters, SlotFacts, check, write};
use super::*;
use crate::observation::Phase;

const CYCLE_US: u64 = 5000;

/// Static slots 1 to 8 of 16 words: 1 and 2 start the cluster and synchronise it, 7 only in even cycles, 5 is free;
/// dynamic slot 20 in every fourth cycle.
fn rows() -> Vec<SlotFacts> {
    let slot = |slot, cycles| SlotFacts { slot, words: 16, flags: flag::FLAGS_KNOWN, cycles };
    let leading = |slot| SlotFacts { flags: flag::FLAGS_KNOWN | flag::SYNC | flag::STARTUP, ..rows_of(slot) };
    let mut rows = std::vec![leading(1), leading(2)];
    rows.extend([3, 4, 6].map(|number| slot(number, u64::MAX)));
    rows.extend([slot(7, 0x5555_5555_5555_5555), slot(8, u64::MAX), slot(20, 0x1111_1111_1111_1111)]);
    rows
}

fn rows_of(slot: u16) -> SlotFacts {
    SlotFacts { slot, words: 16, flags: 0, cycles: u64::MAX }
}

fn header(slot: u16, cycle: u8) -> Header {
    let leads = slot <= 2;
    Header { is_data: true, sync: leads, startup: leads, slot, words: 16, cycle, ..Header::default() }
}

fn heard(header: Header) -> Heard {
    Heard::Frame(Frame::new(Channel::A, header, &[]).expect("legal"))
}

struct Bench {
    detector: std::boxed::Box<FlexRayDetector>,
    cycle: u64,
    flagged: u32,
    said: Vec<(EventTypeId, Severity)>,
}

impl Bench {
    fn new(detector: FlexRayDetector) -> Self {
        let mut bench =
            Self { detector: std::boxed::Box::new(detector), cycle: 0, flagged: 0, said: Vec::new() };
        bench.run(1000, Some);
        assert_eq!((bench.flagged, bench.said.as_slice()), (0, [].as_slice()), "ordinary traffic");
        bench
    }

    fn hear(&mut self, at: VehicleMicros, heard: &Heard) {
        self.flagged += u32::from(self.detector.receive(at, heard).is_flagged());
    }

    /// Lets cycles pass, each frame changed or left out by `change`.
    fn run(&mut self, cycles: u64, change: impl Fn(Header) -> Option<Header>) {
        self.run_with(cycles, &[], change);
    }

    /// Does the same with frames added where the schedule has them.
    fn run_with(&mut self, cycles: u64, added: &[Header], change: impl Fn(Header) -> Option<Header>) {
        for _ in 0..cycles {
            let cycle = u8::try_from(self.cycle % 64).expect("below 64");
            let own = rows().into_iter().filter(|row| row.cycles >> cycle & 1 == 1);
            let mut frames: Vec<Header> = own.filter_map(|row| change(header(row.slot, cycle))).collect();
            frames.extend(added.iter().map(|header| Header { cycle, ..*header }));
            frames.sort_by_key(|header| header.slot);
            for frame in frames {
                let at = VehicleMicros(self.cycle * CYCLE_US + u64::from(frame.slot) * 50);
                self.hear(at, &heard(frame));
            }
            if self.cycle.is_multiple_of(20) {
                self.detector.tick(VehicleMicros(self.cycle * CYCLE_US + 2000));
            }
            while let Some(seen) = self.detector.pop() {
                if matches!(seen.phase, Phase::Opened | Phase::Escalated) {
                    self.said.push((seen.event_type, seen.severity));
                }
            }
            self.cycle += 1;
        }
    }

    fn worst(&self, event_type: EventTypeId) -> Option<Severity> {
        self.said.iter().filter(|(said, _)| *said == event_type).map(|(_, severity)| *severity).max()
    }
}

fn known() -> Bench {
    let mut out = [0; 256];
    let rows = rows();
    let draft = ClusterDraft { bus: BusId(96), static_slots: 8, rows: &rows };
    let size = write(&[draft], &mut out).expect("it fits");
    Bench::new(FlexRayDetector::new(&Clusters::new(&out[..size]).next().expect("one cluster")))
}

/// The same cluster known from its description and learned on the road.
fn both() -> [Bench; 2] {
    [known(), Bench::new(FlexRayDetector::untrained(BusId(96)))]
}

#[test]
fn a_detector_fits_its_budget_of_state_and_finds_the_static_segment() {
    assert!(size_of::<FlexRayDetector>() <= 32 * 1024, "{}", size_of::<FlexRayDetector>());
    let [known, learned] = both();
    assert_eq!((known.detector.basis(), learned.detector.basis()), (Basis::Model, Basis::Learned));
    assert_eq!(learned.detector.static_slots, 20, "all that has one length and misses no turn");
}

#[test]
fn a_frame_in_a_slot_or_cycle_of_nobody_is_said_and_an_alarm_when_it_repeats() {
    for mut bench in both() {
        bench.run_with(1, &[header(5, 0)], Some);
        assert_eq!(bench.worst(event::FLEXRAY_SLOT_VIOLATION), Some(Severity::Low));
        bench.run_with(5, &[header(5, 0)], Some);
        assert_eq!(bench.worst(event::FLEXRAY_SLOT_VIOLATION), Some(Severity::Medium));
        assert!(bench.flagged >= 3);
    }
    for mut bench in both() {
        bench.cycle |= 1;
        for _ in 0..4 {
            bench.run_with(1, &[header(7, 0)], Some);
            bench.run(1, Some);
        }
        assert_eq!(bench.worst(event::FLEXRAY_SLOT_VIOLATION), Some(Severity::Medium), "odd cycles are free");
    }
}

#[test]
fn rare_frames_of_the_dynamic_segment_are_learned_and_no_alarm() {
    let [mut known, mut learned] = both();
    for bench in [&mut known, &mut learned] {
        bench.run_with(60, &[header(30, 0)], Some);
    }
    assert_eq!(known.worst(event::FLEXRAY_SLOT_VIOLATION), Some(Severity::Medium));
    assert_eq!(learned.worst(event::FLEXRAY_SLOT_VIOLATION), Some(Severity::Low));
    let said = learned.said.len();
    learned.run_with(60, &[header(30, 0)], Some);
    assert_eq!(learned.said.len(), said);
}

#[test]
fn an_owner_that_misses_its_turns_is_said_and_a_cluster_that_stops_is_not() {
    for mut bench in both() {
        bench.run(4, |header| (header.slot != 4).then_some(header));
        bench.run(200, Some);
        assert_eq!(bench.said, [], "four turns may be lost");
        bench.run(60, |header| (header.slot != 4).then_some(header));
        assert_eq!(bench.worst(event::FLEXRAY_FRAME_MISSING), Some(Severity::Medium));
        assert_eq!(bench.said.len(), 2, "{:?}", bench.said);
    }
    let [mut bench, _] = both();
    bench.cycle += 4000;
    bench.detector.tick(VehicleMicros(bench.cycle * CYCLE_US));
    bench.run(3, |header| (header.slot != 4).then_some(header));
    bench.run(300, Some);
    assert_eq!(bench.said, [], "it stopped and started again");
}

#[test]
fn null_frames_where_data_always_was_are_said_as_low() {
    for mut bench in both() {
        bench.run(200, |header| Some(Header { is_data: header.slot != 4, ..header }));
        assert_eq!(bench.worst(event::FLEXRAY_FRAME_MISSING), Some(Severity::Low));
    }
}

#[test]
fn another_length_and_flags_that_are_not_the_slots_own_are_said() {
    for mut bench in both() {
        bench.run(5, |header| Some(Header { words: if header.slot == 3 { 15 } else { 16 }, ..header }));
        assert_eq!(bench.worst(event::FLEXRAY_LENGTH_VIOLATION), Some(Severity::Medium));
        bench.run(5, |header| Some(Header { sync: header.sync || header.slot == 3, ..header }));
        assert_eq!(bench.worst(event::FLEXRAY_FLAG_VIOLATION), Some(Severity::Medium));
    }
}

#[test]
fn flags_that_a_description_is_silent_about_are_learned() {
    let rows: Vec<SlotFacts> = rows().into_iter().map(|row| SlotFacts { flags: 0, ..row }).collect();
    let mut out = [0; 256];
    let draft = ClusterDraft { bus: BusId(96), static_slots: 8, rows: &rows };
    let size = write(&[draft], &mut out).expect("it fits");
    let model = Clusters::new(&out[..size]).next().expect("one cluster");
    let mut bench = Bench::new(FlexRayDetector::new(&model));
    bench.run(5, |header| Some(Header { startup: header.startup || header.slot == 3, ..header }));
    assert_eq!(bench.worst(event::FLEXRAY_FLAG_VIOLATION), Some(Severity::Medium));
}

#[test]
fn slots_and_cycles_out_of_order_and_bursts_of_damage_are_said() {
    for mut bench in both() {
        for _ in 0..8 {
            bench.run(1, Some);
            let at = VehicleMicros(bench.cycle * CYCLE_US - 1000);
            let cycle = u8::try_from((bench.cycle - 1) % 64).expect("below 64");
            bench.hear(at, &heard(header(3, cycle)));
            bench.run(1, Some);
            let at = VehicleMicros(bench.cycle * CYCLE_US - 1000);
            bench.hear(at, &heard(header(40, (cycle + 40) % 64)));
        }
        bench.run(1, Some);
        assert_eq!(bench.worst(event::FLEXRAY_ORDER_VIOLATION), Some(Severity::Medium));
        let broken = Heard::Broken { channel: Channel::A, errors: RecordErrors::CODING, slot: None };
        for count in [19, 300] {
            for _ in 0..count {
                let at = VehicleMicros(bench.cycle * CYCLE_US - 1000);
                bench.hear(at, &broken);
            }
            bench.run(1, Some);
            let expected = (count > 19).then_some(Severity::Medium);
            assert_eq!(bench.worst(event::FLEXRAY_ERROR_BURST), expected);
        }
    }
}

#[test]
fn a_model_of_another_cluster_is_given_up_without_an_alarm() {
    let mut out = [0; 64];
    let other = [SlotFacts { slot: 100, words: 4, flags: 0, cycles: 1 }];
    let draft = ClusterDraft { bus: BusId(96), static_slots: 120, rows: &other };
    let size = write(&[draft], &mut out).expect("it fits");
    let model = Clusters::new(&out[..size]).next().expect("one cluster");
    let mut bench = Bench {
        detector: std::boxed::Box::new(FlexRayDetector::new(&model)),
        cycle: 0,
        flagged: 0,
        said: Vec::new(),
    };
    bench.run(1000, Some);
    assert_eq!(bench.detector.basis(), Basis::Learned);
    assert!(bench.said.iter().all(|(_, severity)| *severity == Severity::Low), "{:?}", bench.said);
}

#[test]
fn a_section_comes_back_and_what_is_wrong_with_it_is_found() {
    let rows = rows();
    let draft = ClusterDraft { bus: BusId(96), static_slots: 8, rows: &rows };
    let mut out = [0; 256];
    let size = write(&[draft], &mut out).expect("it fits");
    let back = Clusters::new(&out[..size]).next().expect("one cluster");
    assert_eq!((back.bus, back.static_slots, back.rows().collect::<Vec<_>>()), (BusId(96), 8, rows.clone()));
    assert_eq!(write(&[draft, draft], &mut [0; 512]), None, "the same cluster twice");
    assert!((1..size).all(|end| check(&out[..end]).is_err()));
    for (at, byte) in [(1, 9), (3, 1), (6, 200), (8, 1), (11, 8), (12, 0x80), (13, 8)] {
        let mut damaged = out;
        damaged[at] = byte;
        assert!(check(&damaged[..size]).is_err(), "{at}");
    }
    out[0] = 7;
    assert_eq!((check(&out[..size]), Clusters::new(&out[..size]).count()), (Ok(()), 0), "a later version");
}

proptest! {
    #[test]
    fn any_section_is_read_or_refused_and_anything_heard_is_taken(
        section in proptest::collection::vec(any::<u8>(), 0..80),
        frames in proptest::collection::vec((0u64..9000, 1u16..40, 0u8..64, 0u8..16), 0..300),
    ) {
        let model = Clusters::new(&section).next();
        let mut detector = std::boxed::Box::new(
            model.map_or_else(|| FlexRayDetector::untrained(BusId(0)), |model| FlexRayDetector::new(&model)),
        );
        let mut at = 0u64;
        for (gap, slot, cycle, flags) in frames {
            at += gap;
            let header = Header {
                is_data: flags & 1 == 0, sync: flags & 2 != 0, startup: flags & 4 != 0, slot, words: flags, cycle,
                ..Header::default()
            };
            let one = match flags {
                15 => Heard::Broken { channel: Channel::B, errors: RecordErrors::FRAME_CRC, slot: Some(slot) },
                14 => Heard::Symbol { channel: Channel::A },
                _ => heard(header),
            };
            detector.receive(VehicleMicros(at), &one);
            detector.tick(VehicleMicros(at));
            while detector.pop().is_some() {}
        }
        detector.finish();
    }
}
