//! Tests of identifiers, frames and the SocketCAN view.

extern crate std;

use proptest::prelude::*;
use std::string::ToString;
use std::vec::Vec;

use super::*;

fn standard(value: u32) -> CanId {
    CanId::standard(value).expect("test ids have eleven bits")
}

#[test]
fn identifiers_stop_at_their_width() {
    assert!(CanId::standard(0x7FF).is_some());
    assert_eq!(CanId::standard(0x800), None);
    assert!(CanId::extended(0x1FFF_FFFF).is_some());
    assert_eq!(CanId::extended(0x2000_0000), None);
    assert_ne!(CanId::standard(0x100), CanId::extended(0x100));
    assert!(CanId::standard(0x7FF) < CanId::extended(0));
}

#[test]
fn the_number_of_digits_tells_the_kind_of_an_identifier() {
    for id in [standard(0x1), CanId::extended(0x1).expect("small")] {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    assert_eq!("800".parse::<CanId>(), Err(ParseCanIdError::Range));
    assert_eq!("20000000".parse::<CanId>(), Err(ParseCanIdError::Range));
    assert_eq!("+12".parse::<CanId>(), Err(ParseCanIdError::Digits));
    assert_eq!("".parse::<CanId>(), Err(ParseCanIdError::Digits));
}

#[test]
fn a_frame_has_the_size_its_documentation_says() {
    assert_eq!(size_of::<Frame>(), 76);
}

#[test]
fn payload_lengths_are_checked_from_both_sides() {
    let id = standard(1);
    assert!(Frame::classic(id, &[0; 8]).is_ok());
    let nine = Err(FrameError::Length { kind: FrameKind::Classic, got: 9 });
    assert_eq!(Frame::classic(id, &[0; 9]), nine);
    assert!(Frame::fd(id, FdFlags::default(), &[0; 12]).is_ok());
    let eleven = Err(FrameError::Length { kind: FrameKind::Fd, got: 11 });
    assert_eq!(Frame::fd(id, FdFlags::default(), &[0; 11]), eleven);
    let dlc = Dlc::new(13).expect("below 16");
    assert!(Frame::classic_with_dlc(id, dlc, &[0; 8]).is_ok());
    let short = Err(FrameError::DlcMismatch { expected: 8, got: 7 });
    assert_eq!(Frame::classic_with_dlc(id, dlc, &[0; 7]), short);
    assert_eq!(Dlc::new(16), None);
}

#[test]
fn the_kernel_layout_is_what_we_emit() {
    let mut out = [0; FRAME_FD_BYTES];
    let frame = Frame::classic(standard(0x641), &[2, 0x10, 3]).expect("fits");
    let little = [0x41, 6, 0, 0, 3, 0, 0, 0, 2, 0x10, 3, 0, 0, 0, 0, 0];
    assert_eq!(frame.emit_socketcan(ByteOrder::Little, &mut out), little);
    let view = SocketCanView::new(&little, ByteOrder::Little).expect("sixteen bytes");
    assert_eq!(view.frame(), Ok(frame));
    let swapped = SocketCanView::new(&little, ByteOrder::Big).expect("sixteen bytes");
    assert!(!swapped.is_id_plausible());
    assert_eq!(swapped.frame(), Err(SocketCanError::Id { word: 0x4106_0000 }));
}

#[test]
fn a_record_cut_inside_the_payload_says_how_much_is_missing() {
    let bytes = [0, 0, 6, 0x41, 8, 0, 0, 0, 1, 2];
    let view = SocketCanView::new(&bytes, ByteOrder::Big).expect("header is there");
    assert_eq!(view.frame(), Err(SocketCanError::Truncated { needed: 16, got: 10 }));
    let short = SocketCanView::new(&bytes[..7], ByteOrder::Big);
    assert_eq!(short.err(), Some(SocketCanError::Truncated { needed: 8, got: 7 }));
}

#[test]
fn a_can_xl_record_is_named_not_misread() {
    let mut bytes = [0u8; 32];
    bytes[4] = 0x80;
    let view = SocketCanView::new(&bytes, ByteOrder::Big).expect("header is there");
    assert_eq!(view.frame(), Err(SocketCanError::CanXl));
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let id = prop_oneof![
        (0u32..=0x7FF).prop_map(|value| CanId::standard(value).expect("in range")),
        (0u32..=0x1FFF_FFFF).prop_map(|value| CanId::extended(value).expect("in range")),
    ];
    (id, 0u8..4, 0u8..=15, any::<[u8; 64]>(), any::<bool>(), any::<bool>()).prop_map(
        |(id, kind, code, data, brs, esi)| {
            let dlc = Dlc::new(code).expect("in range");
            match kind {
                0 => Frame::classic_with_dlc(id, dlc, &data[..dlc.classic_len()]).expect("fits"),
                1 => Frame::fd(id, FdFlags { brs, esi }, &data[..dlc.fd_len()]).expect("fits"),
                2 => Frame::remote(id, Dlc::new(code.min(8)).expect("in range")),
                _ => {
                    let class = ErrorClass::new(id.value()).expect("29 bits");
                    Frame::error(class, &data[..dlc.classic_len()]).expect("fits")
                }
            }
        },
    )
}

proptest! {
    #[test]
    fn every_frame_survives_the_wire_in_both_orders(frame in any_frame()) {
        for order in [ByteOrder::Big, ByteOrder::Little] {
            let mut out = [0; FRAME_FD_BYTES];
            let bytes = frame.emit_socketcan(order, &mut out).to_vec();
            let back = SocketCanView::new(&bytes, order).expect("whole header").frame();
            prop_assert_eq!(back, Ok(frame));
        }
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        for order in [ByteOrder::Big, ByteOrder::Little] {
            let Ok(view) = SocketCanView::new(&bytes, order) else { continue };
            if let Ok(frame) = view.frame() {
                prop_assert!(frame.data().len() <= DATA_BYTES_MAX);
                prop_assert_eq!(frame.id().is_none(), frame.kind() == FrameKind::Error);
                let _: Vec<u8> = frame.data().to_vec();
            }
        }
    }
}
