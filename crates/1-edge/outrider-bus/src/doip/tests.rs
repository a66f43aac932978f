//! Tests of DoIP messages.

extern crate std;

use proptest::prelude::*;
use std::vec::Vec;

use super::*;

#[test]
fn several_messages_of_a_segment_come_out_one_by_one() {
    let mut segment = Vec::new();
    let mut out = [0; 64];
    let request = Message::ActivationRequest { tester: 0x0E80, activation_type: 0, oem: None };
    let data = Message::Diagnostic { source: 0x0E80, target: 0x1000, data: &[0x3E, 0] };
    for message in [request, data] {
        let length = message.emit(2, &mut out).expect("fits");
        segment.extend_from_slice(&out[..length]);
    }
    assert_eq!(segment[..8], [2, 0xFD, 0, 5, 0, 0, 0, 7]);
    let mut walk = Messages::new(&segment);
    let read: Vec<_> = walk.by_ref().map(|view| view.message()).collect();
    assert_eq!(read, [Ok(request), Ok(data)]);
    assert!(walk.rest().is_empty());
    segment.pop();
    let cut = Messages::new(&segment).last().expect("two messages");
    assert_eq!((cut.missing(), cut.message()), (1, Err(DoipError::Truncated { needed: 6, got: 5 })));
}

#[test]
fn a_header_whose_versions_differ_is_none() {
    let bytes = [2, 2, 0, 1, 0, 0, 0, 0];
    assert_eq!(HeaderView::new(&bytes).err(), Some(HeaderError::Version { version: 2, inverse: 2 }));
    assert_eq!(HeaderView::new(&bytes[..7]).err(), Some(HeaderError::Truncated { got: 7 }));
    let mut walk = Messages::new(&bytes);
    assert!(walk.next().is_none());
    assert_eq!(walk.rest().len(), 8);
}

#[test]
fn an_announcement_has_one_of_two_lengths_and_hides_its_vin() {
    let vin = Vin::new(*b"WOUTRIDER00000001");
    let announcement = Announcement {
        vin,
        entity: 0x1000,
        eid: [1; 6],
        gid: [2; 6],
        further_action: 0x10,
        sync_status: Some(0),
    };
    let mut out = [0; 64];
    let length = Message::Announcement(announcement).emit(2, &mut out).expect("fits");
    assert_eq!(length, 41);
    let read = HeaderView::new(&out[..length]).expect("a header").message();
    assert_eq!(read, Ok(Message::Announcement(announcement)));
    assert!(!std::format!("{read:?}").contains("WOUT") && !vin.is_plausible());
    assert!(Vin::new(*b"WAUTRXDER00000001").is_plausible());
    let short = Message::parse(PayloadType::Announcement, &out[8..39]);
    assert_eq!(short, Err(DoipError::Length { payload_type: PayloadType::Announcement, got: 31 }));
}

#[test]
fn refused_activations_are_told_from_taken_ones() {
    assert!(ActivationCode::UnknownSource.is_refused() && ActivationCode::from_code(0x42).is_refused());
    assert!(!ActivationCode::Success.is_refused() && !ActivationCode::ConfirmationPending.is_refused());
}

proptest! {
    #[test]
    fn what_is_read_is_written_and_read_again(code in 0usize..17, payload in proptest::collection::vec(any::<u8>(), 0..40)) {
        let payload_type = PayloadType::NAMED.get(code).copied().unwrap_or(PayloadType::Unknown(0x4242));
        // A length that the type may have, so that every type is reached.
        for length in [0, 1, 2, 3, 5, 6, 7, 9, 11, 13, 17, 32, 33, payload.len()] {
            let Some(payload) = payload.get(..length) else { continue };
            let Ok(message) = Message::parse(payload_type, payload) else { continue };
            let mut out = [0; 64];
            let length = message.emit(3, &mut out).expect("fits");
            let view = HeaderView::new(&out[..length]).expect("a header");
            prop_assert_eq!(view.version(), 3);
            prop_assert_eq!(view.message(), Ok(message));
        }
    }

    #[test]
    fn any_bytes_are_walked_to_an_end(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), small: bool) {
        if bytes.len() >= 8 {
            bytes[1] = !bytes[0];
            if small { bytes[4..7].copy_from_slice(&[0; 3]); }
        }
        let mut walk = Messages::new(&bytes);
        let taken: usize = walk.by_ref().map(|view| { let _ = view.message(); 8 + view.payload().len() }).sum();
        prop_assert_eq!(taken + walk.rest().len(), bytes.len());
    }
}
