//! Tests of SOME/IP headers, segments and service discovery.

extern crate std;

use outrider_types::VehicleMicros;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use super::sd::{Endpoint, Entry, EntryKind, SdError, SdOption, SdView};
use super::tp::{Reassembler, TpEvent, TpHeader, TpKey, TpReject};
use super::*;
use crate::ether::IpAddress;

fn header(service: u16, method: u16) -> Header {
    Header {
        service,
        method,
        client: 0x11,
        session: 1,
        interface_version: 1,
        kind: MessageKind::Request,
        is_segment: false,
        return_code: ReturnCode::Ok,
    }
}

#[test]
fn several_messages_of_a_datagram_come_out_and_a_cut_one_is_named() {
    let mut bytes = Vec::new();
    let mut out = [0; 64];
    for payload in [&[1u8, 2][..], &[]] {
        let message = Message { header: header(0x1234, 0x8001), payload };
        let length = message.emit(&mut out).expect("fits");
        bytes.extend_from_slice(&out[..length]);
    }
    assert_eq!(bytes[..16], [0x12, 0x34, 0x80, 1, 0, 0, 0, 10, 0, 0x11, 0, 1, 1, 1, 0, 0]);
    let read: Vec<_> =
        Messages::new(&bytes).map(|message| message.map(|message| message.payload.len())).collect();
    assert_eq!(read, [Ok(2), Ok(0)]);
    let cut: Vec<_> =
        Messages::new(&bytes[..20]).map(|message| message.map(|message| message.payload.len())).collect();
    assert_eq!(cut, [Ok(2), Err(SomeIpError::Truncated { needed: 16, got: 2 })]);
    bytes[7] = 7;
    assert_eq!(Message::parse(&bytes), Err(SomeIpError::Length { got: 7 }));
    bytes[12] = 2;
    assert_eq!(Message::parse(&bytes), Err(SomeIpError::Version { got: 2 }));
}

#[test]
fn an_offer_names_its_endpoint() {
    let endpoint = Endpoint { ip: IpAddress::V4([10, 0, 0, 2]), protocol: 17, port: 30501 };
    let offer = Entry {
        kind: EntryKind::Offer,
        first_run: (1, 1),
        second_run: (0, 0),
        service: 0x1234,
        instance: 1,
        major_version: 1,
        ttl_s: 3,
        last: 7,
    };
    let other = SdOption::LoadBalancing { priority: 1, weight: 2 };
    let mut out = [0; 128];
    let length = sd::emit(true, &[offer], &[other, SdOption::Endpoint(endpoint)], &mut out).expect("fits");
    assert_eq!(length, 8 + 16 + 4 + 8 + 12);
    assert_eq!(out[36..48], [0, 9, 4, 0, 10, 0, 0, 2, 0, 17, 0x77, 0x25]);
    let view = SdView::new(&out[..length]).expect("just written");
    assert!(view.is_rebooted());
    assert_eq!(view.entries().collect::<Vec<_>>(), [offer]);
    assert_eq!(view.options_of(&offer).collect::<Vec<_>>(), [SdOption::Endpoint(endpoint)]);
    assert_eq!((offer.event_group(), offer.is_stop()), (None, false));
    let cut = SdView::new(&out[..length - 1]).err();
    assert_eq!(cut, Some(SdError::Truncated { needed: length, got: length - 1 }));
    out[7] = 15;
    assert_eq!(SdView::new(&out[..length]).err(), Some(SdError::Entries { got: 15 }));
}

#[test]
fn an_option_that_lies_about_its_length_is_kept_as_bytes() {
    let payload = [0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 5, 4, 0, 1, 2, 3, 4];
    let view = SdView::new(&payload).expect("lengths fit");
    let unknown = SdOption::Unknown { kind: 4, data: &[1, 2, 3, 4] };
    assert_eq!(view.options().collect::<Vec<_>>(), [unknown]);
    let payload = [0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 9, 4, 0];
    assert_eq!(SdView::new(&payload).expect("lengths fit").options().count(), 0, "cut");
}

type Small = Reassembler<2, 64>;
const KEY: TpKey = TpKey { sender: 1, message: 2, request: 3 };

/// Feeds one segment.
fn feed(
    machine: &mut Small,
    at: u64,
    key: TpKey,
    offset: u32,
    more: bool,
    piece: &[u8],
) -> Result<Option<Vec<u8>>, TpReject> {
    let mut payload = TpHeader { offset, more }.emit().to_vec();
    payload.extend_from_slice(piece);
    match machine.receive(VehicleMicros(at), key, &payload) {
        TpEvent::Whole(data) => Ok(Some(data.to_vec())),
        TpEvent::Pending => Ok(None),
        TpEvent::Rejected(reject) => Err(reject),
    }
}

#[test]
fn segments_come_together_and_gaps_drop_the_message() {
    let mut machine = Small::new();
    assert_eq!(feed(&mut machine, 0, KEY, 0, true, &[1; 16]), Ok(None));
    assert_eq!(
        feed(&mut machine, 1, KEY, 16, false, &[2; 3]),
        Ok(Some([[1; 16].as_slice(), &[2; 3]].concat()))
    );
    assert_eq!(feed(&mut machine, 2, KEY, 16, false, &[2; 3]), Err(TpReject::Unexpected));
    assert_eq!(feed(&mut machine, 3, KEY, 0, true, &[1; 16]), Ok(None));
    assert_eq!(feed(&mut machine, 4, KEY, 32, false, &[1]), Err(TpReject::Offset { expected: 16, got: 32 }));
    assert_eq!(feed(&mut machine, 5, KEY, 16, false, &[1]), Err(TpReject::Unexpected));
    assert_eq!(feed(&mut machine, 6, KEY, 0, true, &[1; 15]), Err(TpReject::Length { got: 15 }));
    assert_eq!(feed(&mut machine, 7, KEY, 0, false, &[1; 65]), Err(TpReject::TooLong));
    assert_eq!(feed(&mut machine, 8, KEY, 0, true, &[1; 16]), Ok(None));
    assert_eq!(feed(&mut machine, 2_000_000, KEY, 16, false, &[1]), Err(TpReject::Timeout));
    for sender in 0..3 {
        assert_eq!(feed(&mut machine, 3_000_000, TpKey { sender, ..KEY }, 0, true, &[1; 16]), Ok(None));
    }
    assert_eq!(machine.evicted(), 1);
}

proptest! {
    #[test]
    fn every_header_survives_the_wire(words: [u16; 4], version: u8, kind: u8, code: u8, payload in proptest::collection::vec(any::<u8>(), 0..40)) {
        let [service, method, client, session] = words;
        let header = Header {
            service, method, client, session,
            interface_version: version,
            kind: MessageKind::from_code(kind & !0x20),
            is_segment: kind & 0x20 != 0,
            return_code: ReturnCode::from_code(code),
        };
        let message = Message { header, payload: &payload };
        let mut out = [0; 64];
        let length = message.emit(&mut out).expect("fits");
        prop_assert_eq!(Message::parse(&out[..length]), Ok(message));
    }

    #[test]
    fn every_discovery_survives_the_wire(raw in proptest::collection::vec(any::<[u8; 16]>(), 0..4), v4: [u8; 4], v6: [u8; 16], port: u16) {
        let mut payload = vec![0xC0, 0, 0, 0];
        payload.extend(u32::try_from(raw.len() * 16).expect("small").to_be_bytes());
        payload.extend(raw.iter().flatten());
        let options = [
            SdOption::Endpoint(Endpoint { ip: IpAddress::V4(v4), protocol: 6, port }),
            SdOption::Multicast(Endpoint { ip: IpAddress::V6(v6), protocol: 17, port }),
            SdOption::SdEndpoint(Endpoint { ip: IpAddress::V4(v4), protocol: 17, port }),
            SdOption::Configuration(&v4),
            SdOption::Unknown { kind: 0x42, data: &v6 },
        ];
        payload.extend([0; 4]);
        let entries: Vec<Entry> = SdView::new(&payload).expect("lengths fit").entries().collect();
        let mut out = [0; 256];
        let length = sd::emit(true, &entries, &options, &mut out).expect("fits");
        let view = SdView::new(&out[..length]).expect("just written");
        prop_assert_eq!(view.entries().collect::<Vec<_>>(), entries);
        prop_assert_eq!(view.options().collect::<Vec<_>>(), options);
    }

    #[test]
    fn any_bytes_are_walked_to_an_end(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), shape in 0u8..3) {
        if shape > 0 && bytes.len() > 16 {
            bytes[4..8].copy_from_slice(&[0, 0, 0, 20]);
            bytes[12] = 1;
        }
        prop_assert!(Messages::new(&bytes).count() <= bytes.len() / 16 + 1);
        if shape > 1 && bytes.len() > 8 { bytes[4..8].copy_from_slice(&[0, 0, 0, 16]); }
        if let Ok(view) = SdView::new(&bytes) {
            prop_assert!(view.options().count() <= bytes.len() / 4);
            for entry in view.entries() { prop_assert!(view.options_of(&entry).count() <= 30); }
        }
        let mut machine = Small::new();
        let _ = machine.receive(VehicleMicros(0), KEY, &bytes);
    }
}
