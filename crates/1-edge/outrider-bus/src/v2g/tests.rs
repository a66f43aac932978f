//! Tests of charging communication.

extern crate std;

use proptest::prelude::*;
use std::vec::Vec;

use super::sdp::{Request, Response};
use super::*;

/// Writes bits into bytes, most significant first, zeros at the end.
fn pack(fields: &[(u64, u32)]) -> Vec<u8> {
    let bits: Vec<u8> = fields
        .iter()
        .flat_map(|&(value, count)| (0..count).rev().map(move |bit| (value >> bit & 1) as u8))
        .collect();
    bits.chunks(8)
        .map(|byte| byte.iter().enumerate().fold(0, |sum, (at, bit)| sum | bit << (7 - at)))
        .collect()
}

/// Bits of a message in front of its body's content: header, root, session number, end of header, kind.
fn head(root: u64, session: u64, kind: u64) -> Vec<(u64, u32)> {
    std::vec![(0x80, 8), (root, 7), (0, 3), (8, 8), (session, 64), (0, 1), (2, 2), (0, 1), (kind, 6)]
}

#[test]
fn a_session_setup_names_the_car() {
    let mut fields = head(77, 0, 29);
    fields.extend([(0, 2), (6, 8), (0x0200_0000_0001, 48)]);
    let facts = Facts::parse(&pack(&fields)).expect("a message");
    assert_eq!((facts.schema, facts.kind), (Schema::Din, Some(Kind::SessionSetupReq)));
    assert!(facts.session.is_zero());
    assert_eq!(facts.evcc_id.map(|id| id.bytes().to_vec()), Some([2, 0, 0, 0, 0, 1].to_vec()));
}

#[test]
fn kinds_are_counted_as_each_standard_counts() {
    let kind = |root, number| Facts::parse(&pack(&head(root, 1, number))).and_then(|facts| facts.kind);
    for (din, iso, expected) in [
        (21, 23, Kind::PreChargeReq),
        (22, 24, Kind::PreChargeRes),
        (13, 13, Kind::CurrentDemandReq),
        (11, 0, Kind::AuthorizationReq),
        (12, 1, Kind::AuthorizationRes),
        (1, 3, Kind::CableCheckReq),
        (34, 34, Kind::WeldingDetectionRes),
        (29, 29, Kind::SessionSetupReq),
    ] {
        assert_eq!((kind(77, din), kind(76, iso)), (Some(expected), Some(expected)));
    }
    assert_eq!((kind(77, 0), kind(76, 2), kind(77, 35), kind(76, 63)), (None, None, None, None));
}

#[test]
fn responses_say_their_code_and_notifications_are_seen() {
    let mut fields = head(76, 0x1122_3344_5566_7788, 30);
    fields.extend([(0, 2), (3, 5)]);
    let facts = Facts::parse(&pack(&fields)).expect("a message");
    assert_eq!((facts.response_code, facts.has_notification), (Some(3), false));
    assert_eq!(facts.session.bytes(), [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
    let notified = pack(&[(0x80, 8), (77, 7), (0, 3), (1, 8), (9, 8), (0, 1), (0, 2), (0, 8)]);
    let facts = Facts::parse(&notified).expect("a message");
    assert_eq!((facts.has_notification, facts.kind), (true, None));
    assert_eq!(Facts::parse(&pack(&[(0x80, 8), (78, 7), (0, 20)])), None);
    assert_eq!(
        Facts::parse(&pack(&[(0x80, 8), (77, 7), (0, 3), (9, 8), (0, 40), (0, 40)])),
        None,
        "nine bytes are no number"
    );
}

/// A physical value of DIN 70121 behind its start: 10 to the power of `power`, and a number below 64.
fn amount(power: u64, negative: u64, number: u64) -> Vec<(u64, u32)> {
    std::vec![
        (0, 2),
        (power + 3, 3),
        (0, 1),
        (0, 2),
        (0, 1),
        (5, 4),
        (0, 1),
        (0, 2),
        (negative, 1),
        (number, 8),
        (0, 2)
    ]
}

/// State of a station in DIN 70121: insulation valid, ready, no notification.
const STATION: [(u64, u32); 9] = [(0, 1), (0, 3), (1, 2), (0, 4), (1, 3), (0, 3), (0, 8), (0, 3), (0, 4)];

#[test]
fn what_a_station_gives_is_read_and_a_deviation_is_not_guessed() {
    let mut fields = head(77, 1, 14);
    fields.extend([(0, 2), (0, 5), (0, 1)]);
    fields.extend(STATION);
    fields.push((0, 1));
    fields.extend(amount(1, 0, 35));
    fields.push((0, 1));
    fields.extend(amount(0, 1, 6));
    fields.extend([(0, 12), (3, 3), (0, 8)]);
    let values = Facts::parse(&pack(&fields)).expect("a message").values;
    assert_eq!((values.present_voltage, values.present_current), (Some(350_000), Some(-7_000)));
    assert_eq!((values.voltage_limit, values.target_current), (None, None));
    // The first bit behind the response code says that something else than the schema comes.
    let mut deviating = fields;
    let position = deviating.len() - (STATION.len() + 1 + 11 + 1 + 11 + 3);
    assert_eq!(deviating[position], STATION[0]);
    deviating[position] = (1, 1);
    let facts = Facts::parse(&pack(&deviating)).expect("a message");
    assert_eq!((facts.values, facts.response_code), (Values::default(), Some(0)));
}

#[test]
fn an_unknown_payload_type_is_a_message_all_the_same() {
    let mut out = [0; 32];
    let length = emit(PayloadType::from_code(0x4C41), &[1, 2], &mut out).expect("fits");
    let mut walk = Messages::new(&out[..length]);
    let view = walk.next().expect("a message");
    assert_eq!((view.payload_type(), view.payload()), (PayloadType::Unknown(0x4C41), [1u8, 2].as_slice()));
    assert!(walk.next().is_none());
    assert_eq!(V2gtpView::parse(&out[..9]), Err(V2gtpError::Truncated { needed: 10, got: 9 }));
    assert_eq!(
        V2gtpView::parse(&[2, 0xFD, 0, 0, 0, 0, 0, 0]),
        Err(V2gtpError::Version { version: 2, inverse: 0xFD })
    );
}

proptest! {
    #[test]
    fn discovery_survives_the_wire(ip: [u8; 16], port: u16, tls: bool) {
        let response = Response { ip, port, tls };
        prop_assert_eq!(Response::parse(&response.emit()), Some(response));
        prop_assert_eq!(Request::parse(&Request { tls }.emit()), Some(Request { tls }));
    }

    #[test]
    fn any_bytes_are_walked_to_an_end(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), shape in 0u8..3) {
        if shape == 1 && bytes.len() > 8 { bytes[..8].copy_from_slice(&[1, 0xFE, 0x80, 1, 0, 0, 0, 3]); }
        if shape == 2 && bytes.len() > 1 { bytes[0] = 0x80; bytes[1] = 0x9A; }
        let mut walk = Messages::new(&bytes);
        let taken: usize = walk.by_ref().map(|view| view.payload().len() + HEADER_BYTES).sum();
        prop_assert_eq!(taken + walk.rest().len(), bytes.len());
        let _ = (Facts::parse(&bytes), Request::parse(&bytes), Response::parse(&bytes));
    }
}
