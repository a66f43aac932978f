//! Tests of LIN frames, records and schedules.

extern crate std;

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
    assert_eq!(LinView::new(&record).map(|view| view.record()), Some(LinRecord::Event(None)));
    assert!(LinView::new(&record[..7]).is_none());
}

#[test]
fn a_listener_hears_frames_faults_and_signals_whatever_the_record_says() {
    let mut record = [1, 0, 0, 0, 0x41, 0xCA, 0xE6, 0, 0x4A, 0x55, 0x93, 0xE5];
    let heard = |record: &[u8]| LinView::new(record).and_then(|view| view.heard());
    assert_eq!(heard(&record).and_then(|heard| heard.pid()), Some(pid(0x0A)));
    let fault = |fault| Some(Heard::Fault { pid: pid(0x0A), fault });
    for (errors, expected) in [
        (0x01, fault(Fault::Silence)),
        (0x02, fault(Fault::Framing)),
        (0x08, fault(Fault::Checksum)),
        (0x04, Some(Heard::Header)),
    ] {
        record[7] = errors;
        assert_eq!(heard(&record), expected, "{errors:#x}");
    }
    record[7] = 0x20;
    assert!(
        matches!(heard(&record), Some(Heard::Frame { has_checksum: true, .. })),
        "lost before, not broken"
    );
    record[6] = 0;
    record[7] = 0;
    assert_eq!(heard(&record), fault(Fault::Checksum));
    record[4] = 0x91;
    assert_eq!(heard(&record[..]), fault(Fault::Checksum), "what is not there is no payload");
    for (kind, expected) in
        [(1, Some(Heard::Asleep)), (2, Some(Heard::Asleep)), (4, Some(Heard::WakeUp)), (3, None)]
    {
        assert_eq!(heard(&[1, 0, 0, 0, 0x4C, 0, 0, 0, 0xB0, 0xB0, 0, kind]), expected);
    }
}

#[test]
fn the_order_is_that_of_all_tables_with_empty_slots_and_changes_of_the_table() {
    let slot = |id, is_optional| Slot { pid: pid(id), is_optional, length_us: 10_000 };
    let usual = Schedule::new(&[slot(1, false), slot(2, true), slot(3, false)]).expect("three slots");
    let other =
        Schedule::new(&[slot(9, false), Slot { length_us: 5000, ..slot(3, false) }]).expect("two slots");
    assert_eq!(usual.round_us(), 30_000);
    let mut order = Order::new();
    assert!(order.allows(pid(1), pid(1)) && order.slot_us(pid(1)).is_none(), "nothing is known");
    order.add(&usual);
    let allows = |order: &Order, before, after| order.allows(pid(before), pid(after));
    assert!(allows(&order, 1, 2) && allows(&order, 1, 3), "the second slot may stay empty");
    assert!(allows(&order, 3, 1) && allows(&order, 2, 3) && !allows(&order, 3, 2) && !allows(&order, 3, 9));
    order.add(&other);
    assert!(allows(&order, 3, 9) && allows(&order, 1, 9), "a table begins at the end of any slot");
    assert!(!allows(&order, 9, 2));
    assert_eq!(order.slot_us(pid(3)), Some(5000));
    order.learn(pid(9), pid(2));
    assert!(allows(&order, 9, 2));
    assert_eq!(Schedule::new(&[]), None);
    assert_eq!(Schedule::new(&[slot(1, false); SLOTS_MAX + 1]), None);
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
        if let Some(view) = LinView::new(&bytes) {
            let _ = view.heard();
        }
        if let Some(view) = LinView::new(&bytes)
            && let LinRecord::Frame(frame) = view.record()
        {
            prop_assert_eq!(frame.data(), view.payload());
        }
    }
}
