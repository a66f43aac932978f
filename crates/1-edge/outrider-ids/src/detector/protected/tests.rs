extern crate std;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use outrider_bus::can::FdFlags;
use outrider_bus::e2e::{DataIdMode, Profile1, Profile2, Profile4, Profile5, Protection};
use outrider_bus::secoc::Layout;
use outrider_types::{BusId, EventTypeId};
use proptest::prelude::*;

use super::*;
use crate::model::protection::{RECORD_BYTES, frames, head};
use crate::model::{
    self, BusDraft, BusFacts, GapFacts, IdEntry, IdFlags, ModelDraft, ModelError, VehicleModel, WriteError,
};

const CYCLE_US: u64 = 10_000;

fn id(value: u32) -> CanId {
    CanId::standard(value).expect("eleven bits")
}

fn entry(value: u32) -> IdEntry {
    let us = 10_000;
    IdEntry {
        id: id(value),
        dlc_mask: 0,
        class: CycleClass::Periodic,
        flags: IdFlags { fd: true, ..IdFlags::default() },
        gaps: GapFacts { min_us: us, p05_us: us, median_us: us, p95_us: us, max_us: us },
        ahead_max_q16: 0,
        frames: 1000,
        captures: 1,
    }
}

fn frame(value: u32, guard: Guard, bytes: u8) -> ProtectedFrame {
    let id = id(value);
    ProtectedFrame { id, guard, start: 0, bytes, step_max: 2, counts: true, repeats: false, faults: false }
}

fn section(frames: &[ProtectedFrame]) -> Vec<u8> {
    let mut out = head(frames.len()).expect("few").to_vec();
    frames.iter().for_each(|frame| out.extend_from_slice(&frame.record()));
    out
}

fn model_of(section: &[u8]) -> Result<Vec<u8>, WriteError> {
    // Ten more identifiers, by which the detector finds that the model is of this bus.
    let ids: Vec<IdEntry> = (0x100..0x120).map(entry).collect();
    let facts =
        BusFacts { bus: BusId(2), captures: 1, rate_hz: 1000, rate_max_hz: 9000, ..BusFacts::default() };
    let sections = [(SectionKind::PROTECTION, section)];
    let buses = [BusDraft { facts, ids: &ids, pairs: &[], sections: &sections }];
    let draft = ModelDraft { buses: &buses, ..ModelDraft::default() };
    let mut bytes = vec![0; model::encoded_bytes(&draft)];
    model::write(&draft, &mut bytes)?;
    Ok(bytes)
}

/// A bus whose model was found to be its own.
struct Bus {
    detector: Box<BusDetector>,
    now: u64,
}

impl Bus {
    fn new(frames: &[ProtectedFrame]) -> Self {
        let bytes = model_of(&section(frames)).expect("consistent");
        let model = VehicleModel::parse(&bytes).expect("just written");
        let detector = Box::new(BusDetector::new(&model.bus(BusId(2)).expect("just written")));
        let mut bus = Self { detector, now: 0 };
        for _ in 0..60 {
            bus.others();
        }
        assert_eq!(bus.detector.basis(), Basis::Model);
        bus
    }

    /// One cycle of the identifiers without protection.
    fn others(&mut self) {
        self.now += CYCLE_US;
        for value in 0x110..0x120 {
            let frame = Frame::classic(id(value), &[0; 8]).expect("it fits");
            self.detector.receive(VehicleMicros(self.now + u64::from(value - 0x100)), &frame);
        }
    }

    /// One cycle with a protected frame in it; returns whether that was flagged.
    fn send(&mut self, value: u32, data: &[u8]) -> bool {
        self.others();
        let frame = if data.len() > 8 {
            Frame::fd(id(value), FdFlags::default(), data).expect("it fits")
        } else {
            Frame::classic(id(value), data).expect("it fits")
        };
        self.detector.receive(VehicleMicros(self.now + 500), &frame).is_flagged()
    }

    fn seen(&mut self) -> Vec<(EventTypeId, Severity)> {
        self.detector.finish();
        let all = std::iter::from_fn(|| self.detector.pop());
        let mut seen: Vec<_> = all.map(|one| (one.event_type, one.severity)).collect();
        seen.sort();
        seen.dedup();
        seen
    }
}

fn profiles() -> [(Protection, usize); 5] {
    let one = |mode| Protection::P01(Profile1 { data_id: 0x0A13, mode, crc_byte: 0 });
    [
        (one(DataIdMode::Both), 8),
        (one(DataIdMode::Nibble), 8),
        (Protection::P02(Profile2 { data_ids: [7; 16], crc_byte: 0 }), 8),
        (Protection::P04(Profile4 { data_id: 0x1234_5678, offset: 0 }), 32),
        (Protection::P05(Profile5 { data_id: 0x77, offset: 2 }), 8),
    ]
}

fn protected(protection: &Protection, bytes: usize, counter: u32) -> Vec<u8> {
    let counter = u16::try_from(counter % protection.counter_values()).expect("small");
    let mut data = vec![u8::try_from(counter & 0xFF).expect("a byte"); bytes];
    protection.protect(&mut data, counter).expect("it fits");
    data
}

#[test]
fn one_frame_with_a_wrong_checksum_is_an_event_of_medium_severity() {
    for (protection, bytes) in profiles() {
        let size = u8::try_from(bytes).expect("small");
        let mut bus = Bus::new(&[frame(0x100, Guard::E2e(protection), size)]);
        for counter in 0..40 {
            assert!(!bus.send(0x100, &protected(&protection, bytes, counter)), "{protection:?} {counter}");
        }
        let mut forged = protected(&protection, bytes, 40);
        *forged.last_mut().expect("it has bytes") ^= 1;
        assert!(bus.send(0x100, &forged), "{protection:?}");
        for counter in 41..60 {
            assert!(!bus.send(0x100, &protected(&protection, bytes, counter)), "{protection:?} {counter}");
        }
        assert_eq!(bus.seen(), [(event::CAN_CHECKSUM_MISMATCH, Severity::Medium)], "{protection:?}");
    }
}

#[test]
fn a_replayed_frame_is_a_jump_and_two_jumps_are_medium() {
    for (protection, bytes) in profiles() {
        let size = u8::try_from(bytes).expect("small");
        let mut bus = Bus::new(&[frame(0x100, Guard::E2e(protection), size)]);
        let old = protected(&protection, bytes, 3);
        for counter in 0..10 {
            assert!(!bus.send(0x100, &protected(&protection, bytes, counter)));
        }
        assert!(bus.send(0x100, &old), "{protection:?}");
        assert!(bus.send(0x100, &protected(&protection, bytes, 11)), "{protection:?}");
        let seen = bus.seen();
        assert!(seen.contains(&(event::CAN_COUNTER_JUMP, Severity::Medium)), "{protection:?} {seen:?}");
    }
}

#[test]
fn lost_frames_a_pause_and_what_training_showed_are_no_jump() {
    let (protection, bytes) = profiles()[0];
    let usual = frame(0x100, Guard::E2e(protection), 8);
    let mut bus = Bus::new(&[usual]);
    for counter in [0, 1, 3, 4, 6] {
        assert!(!bus.send(0x100, &protected(&protection, bytes, counter)), "a step of two is allowed");
    }
    // Four cycles without the frame, and four counters.
    (0..4).for_each(|_| bus.others());
    assert!(!bus.send(0x100, &protected(&protection, bytes, 11)));
    (0..60).for_each(|_| bus.others());
    assert!(!bus.send(0x100, &protected(&protection, bytes, 2)), "it started again");
    assert!(bus.send(0x100, &protected(&protection, bytes, 2)), "it stands");
    assert_eq!(bus.seen(), [(event::CAN_COUNTER_JUMP, Severity::Low)]);
    for lenient in [ProtectedFrame { repeats: true, ..usual }, ProtectedFrame { counts: false, ..usual }] {
        let mut bus = Bus::new(&[lenient]);
        for _ in 0..5 {
            assert!(!bus.send(0x100, &protected(&protection, bytes, 2)));
        }
        assert_eq!(bus.seen(), []);
    }
}

#[test]
fn where_training_had_faults_only_the_third_is_medium() {
    let (protection, bytes) = profiles()[0];
    let mut bus = Bus::new(&[ProtectedFrame { faults: true, ..frame(0x100, Guard::E2e(protection), 8) }]);
    let forged = vec![0xEE; bytes];
    assert!(bus.send(0x100, &protected(&protection, bytes, 0)) || bus.send(0x100, &forged));
    bus.send(0x100, &forged);
    let low = (event::CAN_CHECKSUM_MISMATCH, Severity::Low);
    assert!(!bus.seen().iter().any(|(_, severity)| *severity > Severity::Low));
    let mut bus = Bus::new(&[ProtectedFrame { faults: true, ..frame(0x100, Guard::E2e(protection), 8) }]);
    for _ in 0..4 {
        bus.send(0x100, &forged);
    }
    let seen = bus.seen();
    assert!(seen.contains(&low) && seen.contains(&(low.0, Severity::Medium)), "{seen:?}");
}

#[test]
fn freshness_goes_on_and_an_authenticator_does_not_stand() {
    let guard = Guard::Secured(Layout::new(8, 24).expect("profile 1"));
    let pdu = |freshness: u32, mac: u32| -> Vec<u8> {
        let [_, a, b, c] = mac.to_be_bytes();
        vec![1, 2, 3, 4, u8::try_from(freshness & 0xFF).expect("a byte"), a, b, c]
    };
    let mac = |n: u32| n.wrapping_mul(0x9E37_79B1);
    let mut bus = Bus::new(&[frame(0x100, guard, 8)]);
    for n in 240..260 {
        assert!(!bus.send(0x100, &pdu(n, mac(n))), "{n}");
    }
    assert!(bus.send(0x100, &pdu(250, mac(250))), "replayed");
    assert!(!bus.send(0x100, &pdu(261, mac(261))));
    assert!(bus.send(0x100, &pdu(261, mac(261))), "the same again");
    assert!(bus.send(0x100, &pdu(262, mac(261))), "an authenticator that stands");
    let seen = bus.seen();
    assert!(seen.contains(&(event::SECOC_FRESHNESS_FAILURE, Severity::Medium)), "{seen:?}");
    assert!(seen.contains(&(event::SECOC_MAC_FAILURE, Severity::Medium)), "{seen:?}");
}

#[test]
fn a_frame_that_is_too_short_or_without_protection_is_not_judged() {
    let (protection, _) = profiles()[0];
    let mut bus = Bus::new(&[frame(0x100, Guard::E2e(protection), 8)]);
    for _ in 0..5 {
        bus.send(0x100, &[0xFF; 4]);
        bus.send(0x101, &[0xFF; 8]);
    }
    assert!(bus.seen().iter().all(|(event, _)| *event != event::CAN_CHECKSUM_MISMATCH));
}

#[test]
fn a_section_is_read_as_written_and_anything_else_is_refused_or_passed_over() {
    let all: Vec<ProtectedFrame> = (0x100..)
        .zip(profiles())
        .map(|(value, (protection, bytes))| {
            frame(value, Guard::E2e(protection), u8::try_from(bytes).expect("small"))
        })
        .collect();
    let bytes = section(&all);
    assert_eq!(frames(&bytes).collect::<Vec<_>>(), all);
    assert!(model_of(&bytes).is_ok());
    let refused = |bytes: &[u8]| matches!(model_of(bytes), Err(WriteError::Facts(ModelError::Value { .. })));
    assert!(refused(&bytes[..bytes.len() - 1]) && refused(&[]) && refused(&bytes[..4]));
    let mut twice = section(&[all[0], all[0]]);
    assert!(refused(&twice), "not ascending");
    twice[0] = 2;
    assert!(model_of(&twice).is_ok(), "a later version is not this reader's");
    assert_eq!(frames(&twice).count(), 0);
    assert_eq!(head(PROTECTED_MAX + 1), None);
    for long in
        [frame(0x100, all[0].guard, 1), frame(0x100, all[3].guard, 11), frame(0x100, all[0].guard, 65)]
    {
        assert!(refused(&section(&[long])), "{long:?}");
    }
    assert!(refused(&section(&[ProtectedFrame { step_max: 0, ..all[0] }])));
}

proptest! {
    #[test]
    fn any_record_is_refused_or_what_it_would_be_written_as(
        bytes in proptest::collection::vec(any::<u8>(), RECORD_BYTES), kind in 0u8..6, data in proptest::collection::vec(any::<u8>(), 0..65),
    ) {
        let mut record = bytes;
        (record[2], record[3], record[4], record[5]) = (0, 0, kind, 0);
        (record[8], record[11]) = (record[8] & 7, 0);
        let bytes = [head(1).expect("one").as_slice(), &record].concat();
        if let Some(frame) = frames(&bytes).next() {
            prop_assert_eq!(frame.record().to_vec(), record);
            let mut entry = entry_of(&frame);
            let moment = Moment {
                at: VehicleMicros(0), gap_us: Some(1), cycle_us: 0, class: CycleClass::Periodic,
            };
            for _ in 0..3 {
                if let Some(part) = frame.part(&data) {
                    let _ = entry.receive(part, &moment);
                }
            }
        }
    }
}
