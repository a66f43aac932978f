//! Tests of LIN frames, records and schedules.

extern crate std;

use outrider_types::VehicleMicros;
use proptest::prelude::*;

use super::*;

fn pid(id: u8) -> Pid {
    Pid::new(id).expect("six bits")
}

#[test]
fn parity_is_that_of_the_standards_table() {
    for (id, byte) in
        [(0x00, 0x80), (0x01, 0xC1), (0x02, 0x42), (0x20, 0x20), (0x3C, 0x3C), (0x3D, 0x7D), (0x3F, 0xBF)]
    {
        assert_eq!(pid(id).byte(), byte, "{id:#x}");
    }
    assert_eq!(Pid::new(64), None);
    assert_eq!(Pid::parse(0xC0), Err(LinError::Parity { expected: 0x80, got: 0xC0 }));
}

#[test]
fn the_checksum_examples_of_the_specification_hold() {
    let data = [0x4A, 0x55, 0x93, 0xE5];
    assert_eq!(checksum(ChecksumKind::Classic, pid(0x0A), &data), 0xE6);
    // With the protected identifier 0xCA in front, the sum with carry is 0xE3.
    assert_eq!(pid(0x0A).byte(), 0xCA);
    assert_eq!(checksum(ChecksumKind::Enhanced, pid(0x0A), &data), 0x1C);
    let frame = Frame::new(pid(0x3C), ChecksumKind::Enhanced, &data).expect("four bytes");
    assert_eq!((frame.kind(), frame.checksum()), (ChecksumKind::Classic, 0xE6));
    let bad = Frame::parse(&[0x3C, 0x4A, 0x55, 0x93, 0xE5, 0xE7]);
    assert_eq!(bad, Err(LinError::Checksum { expected: 0xE6, got: 0xE7 }));
    assert_eq!(Frame::parse(&[0x3C, 0xE6]), Err(LinError::Length { got: 0 }));
}

#[test]
fn records_tell_frames_silence_and_collisions_apart() {
    let mut record = [1, 0, 0, 0, 0x41, 0xCA, 0xE6, 0, 0x4A, 0x55, 0x93, 0xE5];
    let Some(LinRecord::Frame(frame)) = LinView::new(&record).map(|view| view.record()) else {
        panic!("a frame")
    };
    assert_eq!((frame.pid().id(), frame.kind()), (0x0A, ChecksumKind::Classic));
    record[6] = 0;
    let broken = LinRecord::Broken(LinError::Checksum { expected: 0xE6, got: 0 });
    assert_eq!(LinView::new(&record).map(|view| view.record()), Some(broken));
    record[7] = 2;
    let Some(LinRecord::Header { errors, .. }) = LinView::new(&record).map(|view| view.record()) else {
        panic!("a header")
    };
    assert!(errors.framing() && !errors.no_response() && !errors.parity() && !errors.checksum());
    record[4] |= 0x0C;
    assert_eq!(LinView::new(&record).map(|view| view.record()), Some(LinRecord::Event));
    assert!(LinView::new(&record[..7]).is_none());
}

#[test]
fn the_follower_says_what_does_not_fit_the_schedule() {
    let slot = |id| Slot { pid: pid(id), bytes: 2, length_us: 10_000 };
    let schedule = Schedule::new(&[slot(1), slot(2), slot(3)]).expect("three slots");
    assert_eq!(schedule.round_us(), 30_000);
    let mut follower = Follower::new(schedule);
    let mut at = |us, id| follower.receive(VehicleMicros(us), pid(id));
    assert_eq!(at(0, 2), Occurrence::Locked);
    assert_eq!(at(10_000, 3), Occurrence::InOrder);
    assert_eq!(at(20_000, 1), Occurrence::InOrder);
    assert_eq!(at(22_000, 2), Occurrence::Early { by_us: 8000 });
    assert_eq!(at(32_000, 9), Occurrence::Foreign);
    assert_eq!(at(33_000, 1), Occurrence::OutOfOrder { skipped: 1 });
    assert_eq!(Schedule::new(&[]), None);
    assert_eq!(Schedule::new(&[slot(1); SLOTS_MAX + 1]), None);
}

proptest! {
    #[test]
    fn every_frame_survives_the_wire(id in 0u8..64, classic: bool, data in proptest::collection::vec(any::<u8>(), 1..=8)) {
        let kind = if classic { ChecksumKind::Classic } else { ChecksumKind::Enhanced };
        let frame = Frame::new(pid(id), kind, &data).expect("legal");
        let mut out = [0; 10];
        let length = frame.emit(&mut out).expect("the longest frame fits");
        let back = Frame::parse(&out[..length]).expect("just written");
        // A sum with carry has two zeros, so that both kinds can fit.
        prop_assert_eq!((back.pid(), back.data(), back.checksum()), (frame.pid(), frame.data(), frame.checksum()));
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
        if let Ok(frame) = Frame::parse(&bytes) {
            prop_assert_eq!(frame.data().len() + 2, bytes.len());
        }
        if let Some(view) = LinView::new(&bytes)
            && let LinRecord::Frame(frame) = view.record()
        {
            prop_assert_eq!(frame.data(), view.payload());
        }
    }
}
