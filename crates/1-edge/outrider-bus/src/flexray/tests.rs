//! Tests of FlexRay headers, checksums and slots.

extern crate std;

use proptest::prelude::*;
use std::vec;

use super::*;

#[test]
fn the_checksums_are_those_of_the_catalogue() {
    assert_eq!(frame_crc(Channel::A, b"123456789"), 0x0079_79BD);
    assert_eq!(frame_crc(Channel::B, b"123456789"), 0x001F_23B8);
    // Computed bit by bit by an independent program.
    let header = Header { sync: true, startup: true, slot: 1, words: 16, ..Header::default() };
    assert_eq!(header.crc(), 0xF2);
}

#[test]
fn a_record_gives_header_payload_and_whether_it_is_whole() {
    let header = Header { is_data: true, slot: 60, words: 1, cycle: 5, ..Header::default() };
    let mut record = vec![0x81, 0];
    record.extend(header.emit().expect("legal"));
    record.extend([0xAB, 0xCD]);
    let crc = frame_crc(Channel::B, &record[2..]);
    record.extend(&crc.to_be_bytes()[1..]);
    let view = FlexRayView::new(&record).expect("a frame");
    assert_eq!((view.channel(), view.header()), (Channel::B, Ok(header)));
    assert_eq!((view.payload(&header), view.is_whole(&header)), (Some([0xAB, 0xCD].as_slice()), Some(true)));
    record[8] ^= 1;
    assert_eq!(FlexRayView::new(&record).and_then(|view| view.is_whole(&header)), Some(false));
    record.truncate(9);
    assert_eq!(FlexRayView::new(&record).and_then(|view| view.is_whole(&header)), None);
    record[5] ^= 4;
    let Some(Err(FlexRayError::HeaderCrc { .. })) = FlexRayView::new(&record).map(|view| view.header())
    else {
        panic!("the header is damaged")
    };
    record[0] = 2;
    assert!(FlexRayView::new(&record).is_none());
}

#[test]
fn a_listener_hears_frames_errors_and_symbols_and_writes_them_again() {
    let header = Header { is_data: true, slot: 60, words: 1, cycle: 5, ..Header::default() };
    let broken = |errors, slot| Heard::Broken { channel: Channel::A, errors, slot };
    let all = [
        Heard::Frame(Frame::new(Channel::B, header, &[0xAB, 0xCD]).expect("legal")),
        broken(RecordErrors::CODING, Some(7)),
        Heard::Symbol { channel: Channel::B },
    ];
    for heard in all {
        let mut out = [0; 16];
        let length = heard.emit(&mut out).expect("it fits");
        assert_eq!(FlexRayView::hear(&out[..length]), Some(heard));
        assert!(heard.emit(&mut out[..1]).is_err());
    }
    let mut record = vec![0x01, 0];
    record.extend(header.emit().expect("legal"));
    record.extend([0xAB, 0xCD, 0, 0, 0]);
    assert_eq!(FlexRayView::hear(&record), Some(broken(RecordErrors::FRAME_CRC, Some(60))));
    record[3] ^= 1;
    assert_eq!(FlexRayView::hear(&record), Some(broken(RecordErrors::HEADER_CRC, None)));
    assert_eq!((FlexRayView::hear(&record[..6]), FlexRayView::hear(&[3, 0])), (None, None));
}

#[test]
fn a_slot_belongs_to_a_frame_in_its_cycles_only() {
    let occupancy = Occupancy::new(60, 1, 4).expect("legal");
    let at = |slot, cycle| occupancy.holds(&Header { slot, cycle, ..Header::default() });
    assert!(at(60, 1) && at(60, 5) && at(60, 61));
    assert!(!at(60, 2) && !at(60, 0) && !at(61, 1));
    let cycles = occupancy.cycles();
    assert!((0..64).all(|cycle| (cycles >> cycle & 1 == 1) == at(60, cycle)));
    assert_eq!(Occupancy::new(1, 63, 64).map(|one| one.cycles()), Some(1 << 63));
    for (slot, base, repetition) in [(0, 0, 1), (1, 1, 1), (1, 0, 3), (2048, 0, 1), (1, 0, 0), (1, 0, 128)] {
        assert_eq!(Occupancy::new(slot, base, repetition), None);
    }
}

proptest! {
    #[test]
    fn every_header_survives_the_wire_and_no_flipped_covered_bit_passes(
        flags in 0u8..16, slot in 1u16..=0x7FF, words in 0u8..=0x7F, cycle in 0u8..=0x3F, flip in 0usize..20,
    ) {
        let header = Header {
            payload_preamble: flags & 1 != 0, is_data: flags & 2 != 0, sync: flags & 4 != 0, startup: flags & 8 != 0,
            slot, words, cycle,
        };
        let mut bytes = header.emit().expect("legal");
        prop_assert_eq!(Header::parse(&bytes), Ok(header));
        // Sync, startup, slot and length: bits 3 to 22 counted from the first.
        let bit = 3 + flip;
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        prop_assert!(Header::parse(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_viewed_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = FlexRayView::hear(&bytes);
        if let Some(view) = FlexRayView::new(&bytes)
            && let Ok(header) = view.header()
        {
            prop_assert!(view.payload(&header).is_none_or(|payload| payload.len() == header.payload_bytes()));
            let _ = view.is_whole(&header);
        }
    }
}
