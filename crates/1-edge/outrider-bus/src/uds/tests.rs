//! Tests of UDS messages.

extern crate std;

use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use super::*;

fn request(bytes: &[u8]) -> Request<'_> {
    match Message::parse(bytes) {
        Ok(Message::Request(request)) => request,
        other => panic!("expected a request, got {other:?}"),
    }
}

#[test]
fn requests_responses_and_refusals_are_told_apart() {
    let asked = request(&[0x10, 0x83]);
    assert_eq!(asked.session(), Some(Session::Extended));
    assert_eq!(asked.sub_function, Some(SubFunction { value: 3, suppress_positive: true }));
    let granted = Message::parse(&[0x50, 0x02, 0, 1]);
    let Ok(Message::Positive(response)) = granted else { panic!("expected a response, got {granted:?}") };
    assert_eq!(response.session(), Some(Session::Programming));
    let refused = Message::Negative { service: ServiceId::SecurityAccess, nrc: Nrc::InvalidKey };
    assert_eq!(Message::parse(&[0x7F, 0x27, 0x35]), Ok(refused));
    assert_eq!(refused.service(), ServiceId::SecurityAccess);
}

#[test]
fn cut_messages_name_what_is_missing() {
    assert_eq!(Message::parse(&[]), Err(UdsError::Empty));
    assert_eq!(Message::parse(&[0x7F, 0x27]), Err(UdsError::NegativeLength { got: 2 }));
    assert_eq!(Message::parse(&[0x7F, 0x27, 0x35, 0]), Err(UdsError::NegativeLength { got: 4 }));
    let missing = UdsError::NoSubFunction { service: ServiceId::EcuReset };
    assert_eq!(Message::parse(&[0x11]), Err(missing));
}

#[test]
fn odd_sub_functions_ask_for_a_seed_and_even_ones_send_a_key() {
    let level_and_step = |sub| request(&[0x27, sub, 1]).security_access();
    let seed = |level| Some(SecurityAccess { level, step: SecurityStep::RequestSeed });
    let key = |level| Some(SecurityAccess { level, step: SecurityStep::SendKey });
    assert_eq!((level_and_step(1), level_and_step(2)), (seed(1), key(1)));
    assert_eq!((level_and_step(0x11), level_and_step(0x12)), (seed(9), key(9)));
    assert_eq!(level_and_step(0), None);
    let Ok(Message::Positive(response)) = Message::parse(&[0x67, 0x12]) else { panic!("a response") };
    assert_eq!(response.unlocked_level(), Some(9));
}

#[test]
fn reads_name_many_identifiers_and_writes_one() {
    let read: Vec<u16> = request(&[0x22, 0xF1, 0x90, 0xF1, 0x8C, 0x01]).data_identifiers().collect();
    assert_eq!(read, vec![0xF190, 0xF18C]);
    let write: Vec<u16> = request(&[0x2E, 0xF1, 0x90, 1, 2, 3, 4]).data_identifiers().collect();
    assert_eq!(write, vec![0xF190]);
    assert_eq!(request(&[0x31, 1, 0xFF, 0]).routine(), Some((1, 0xFF00)));
    assert_eq!(request(&[0x31, 1, 0xFF]).routine(), None);
}

#[test]
fn an_unknown_service_keeps_its_number() {
    assert_eq!(request(&[0x05, 9]).service, ServiceId::Unknown(5));
    for code in 0..=u8::MAX {
        assert_eq!(ServiceId::from_code(code).code(), code);
        assert_eq!(Nrc::from_code(code).code(), code);
        assert_eq!(Session::from_code(code).code(), code);
    }
    assert!(Nrc::NAMED.iter().any(|nrc| nrc.is_security()));
    assert!(ServiceId::NAMED.iter().all(|service| service.code() & 0x40 == 0));
}

#[test]
fn memory_ranges_need_all_their_bytes() {
    let download = request(&[0x34, 0x00, 0x24, 0x08, 0x00, 0x10, 0x00, 0x01, 0x00]);
    assert_eq!(download.memory(), Some(MemoryRange { address: 0x0800_1000, bytes: 0x100 }));
    assert_eq!(request(&[0x34, 0x00, 0x24, 0x08, 0x00, 0x10, 0x00, 0x01]).memory(), None);
    assert_eq!(
        request(&[0x23, 0x12, 0x10, 0x00, 0x04]).memory(),
        Some(MemoryRange { address: 0x1000, bytes: 4 })
    );
    assert_eq!(request(&[0x22, 0x12, 0x10, 0x00]).memory(), None);
    assert_eq!(request(&[0x14, 0xFF, 0xFF, 0xFF]).cleared_group(), Some(0x00FF_FFFF));
    assert_eq!(Session::from_code(0x40).owner(), Owner::VehicleMaker);
    assert!(request(&[0x2E, 1, 2, 3]).is_intrusive() && !request(&[0x3E, 0]).is_intrusive());
}

proptest! {
    #[test]
    fn what_is_read_is_written_as_it_was(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(message) = Message::parse(&bytes) {
            let mut out = [0; 64];
            let length = message.emit(&mut out).expect("forty bytes fit");
            prop_assert_eq!(&out[..length], &bytes[..]);
            let short = message.emit(&mut out[..length - 1]).expect_err("one byte too few");
            prop_assert_eq!(short.needed, length);
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(Message::Request(request)) = Message::parse(&bytes) {
            let sub = usize::from(request.sub_function.is_some());
            prop_assert_eq!(request.payload.len() + sub + 1, bytes.len());
            prop_assert!(request.data_identifiers().count() <= bytes.len() / 2);
        }
    }
}
