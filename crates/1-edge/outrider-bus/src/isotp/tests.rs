//! Tests of the reassembler.

extern crate std;

use outrider_types::{BusId, VehicleMicros};
use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use crate::can::{CanId, Dlc, FdFlags, Frame};

type Small = Reassembler<2, 64>;

fn id(value: u32) -> CanId {
    CanId::standard(value).expect("test ids have eleven bits")
}

fn link(value: u32) -> Link {
    Link { bus: BusId(0), id: id(value), address: None }
}

/// Feeds one classic frame and returns what it did, with a message turned into an owned value.
fn feed(machine: &mut Small, at: u64, can: u32, data: &[u8]) -> Result<Option<Vec<u8>>, Reject> {
    let frame = Frame::classic(id(can), data).expect("test frames fit");
    match machine.receive(VehicleMicros(at), BusId(0), &frame, Addressing::Normal) {
        IsoTpEvent::Pdu(pdu) => Ok(Some(pdu.payload.to_vec())),
        IsoTpEvent::Rejected(reject) => Err(reject),
        IsoTpEvent::Began { .. }
        | IsoTpEvent::Continued
        | IsoTpEvent::FlowControl { .. }
        | IsoTpEvent::NotData => Ok(None),
    }
}

#[test]
fn a_single_frame_is_a_message_without_its_padding() {
    let mut machine = Small::new();
    assert_eq!(feed(&mut machine, 0, 1, &[2, 0x10, 3, 0xCC, 0xCC]), Ok(Some([0x10, 3].to_vec())));
    let empty = Reject::Pci(PciError::SingleLength { said: 0, got: 1 });
    assert_eq!(feed(&mut machine, 0, 1, &[0, 1]), Err(empty));
    let long = Reject::Pci(PciError::SingleLength { said: 3, got: 2 });
    assert_eq!(feed(&mut machine, 0, 1, &[3, 1, 2]), Err(long));
    assert_eq!(feed(&mut machine, 0, 1, &[]), Err(Reject::Pci(PciError::Truncated)));
    assert_eq!((machine.stats().pdus, machine.stats().rejected_pci), (1, 3));
}

#[test]
fn two_senders_interleave() {
    let mut machine = Small::new();
    assert_eq!(feed(&mut machine, 0, 1, &[0x10, 9, 1, 2, 3, 4, 5, 6]), Ok(None));
    assert_eq!(feed(&mut machine, 1, 2, &[0x10, 8, 9, 9, 9, 9, 9, 9]), Ok(None));
    assert_eq!(feed(&mut machine, 2, 1, &[0x21, 7, 8, 9, 0, 0]), Ok(Some((1..=9).collect())));
    assert_eq!(feed(&mut machine, 3, 2, &[0x21, 9, 9]), Ok(Some([9; 8].to_vec())));
    assert_eq!(machine.stats().rejected(), 0);
}

#[test]
fn a_piece_out_of_sequence_drops_the_message() {
    let mut machine = Small::new();
    assert_eq!(feed(&mut machine, 0, 1, &[0x10, 20, 1, 2, 3, 4, 5, 6]), Ok(None));
    let wrong = Reject::Sequence { expected: 1, got: 2 };
    assert_eq!(feed(&mut machine, 1, 1, &[0x22, 7, 8, 9, 10, 11, 12, 13]), Err(wrong));
    assert_eq!(feed(&mut machine, 2, 1, &[0x21, 7, 8, 9, 10, 11, 12, 13]), Err(Reject::Unexpected));
}

#[test]
fn the_last_moment_is_in_time_and_the_next_is_not() {
    for (late, expected) in [(0, Ok(Some([1, 2, 3, 4, 5, 6, 7, 8].to_vec()))), (1, Err(Reject::Timeout))] {
        let mut machine = Small::new();
        assert_eq!(feed(&mut machine, 0, 1, &[0x10, 8, 1, 2, 3, 4, 5, 6]), Ok(None));
        assert_eq!(feed(&mut machine, N_CR_TIMEOUT_US + late, 1, &[0x21, 7, 8]), expected);
    }
    let mut machine = Small::new();
    assert_eq!(feed(&mut machine, 0, 1, &[0x10, 8, 1, 2, 3, 4, 5, 6]), Ok(None));
    assert_eq!(machine.tick(VehicleMicros(N_CR_TIMEOUT_US)), 0);
    assert_eq!(machine.tick(VehicleMicros(N_CR_TIMEOUT_US + 1)), 1);
    assert_eq!(machine.stats().dropped_timeout, 1);
}

#[test]
fn a_full_table_gives_the_stalest_place_away_and_counts_it() {
    let mut machine = Small::new();
    for (at, sender) in [(0, 1), (1, 2), (2, 3)] {
        assert_eq!(feed(&mut machine, at, sender, &[0x10, 8, 1, 2, 3, 4, 5, 6]), Ok(None));
    }
    assert_eq!(machine.stats().dropped_evicted, 1);
    assert_eq!(feed(&mut machine, 3, 1, &[0x21, 7, 8]), Err(Reject::Unexpected));
    assert_eq!(feed(&mut machine, 3, 2, &[0x21, 7, 8]), Ok(Some((1..=8).collect())));
}

#[test]
fn a_message_as_long_as_a_place_fits_and_one_byte_more_does_not() {
    let mut machine = Small::new();
    assert_eq!(feed(&mut machine, 0, 1, &[0x10, 64, 1, 2, 3, 4, 5, 6]), Ok(None));
    assert_eq!(feed(&mut machine, 0, 1, &[0x10, 65, 1, 2, 3, 4, 5, 6]), Err(Reject::TooLong { total: 65 }));
    assert_eq!(machine.stats().dropped_interrupted, 1);
    let escape = [0x10, 0, 0, 1, 0, 0, 1, 2];
    assert_eq!(feed(&mut machine, 0, 1, &escape), Err(Reject::TooLong { total: 65_536 }));
    let short = Reject::Pci(PciError::FirstLength { said: 6 });
    assert_eq!(feed(&mut machine, 0, 1, &[0x10, 6, 1, 2, 3, 4, 5, 6]), Err(short));
}

#[test]
fn can_fd_single_frames_use_the_escaped_length() {
    let mut machine = Small::new();
    let mut data = [0x55u8; 16];
    data[0] = 0;
    data[1] = 12;
    let frame = Frame::fd(id(1), FdFlags::default(), &data).expect("16 bytes are a CAN FD length");
    let event = machine.receive(VehicleMicros(5), BusId(0), &frame, Addressing::Normal);
    let expected =
        Pdu { link: link(1), began: VehicleMicros(5), ended: VehicleMicros(5), payload: &[0x55; 12] };
    assert_eq!(event, IsoTpEvent::Pdu(expected));
}

#[test]
fn extended_addressing_keeps_the_address_byte_apart() {
    let mut machine = Small::new();
    let frame = Frame::classic(id(1), &[0xF1, 2, 0x3E, 0]).expect("fits");
    let event = machine.receive(VehicleMicros(0), BusId(0), &frame, Addressing::Extended);
    let link = Link { address: Some(0xF1), ..link(1) };
    let (began, ended) = (VehicleMicros(0), VehicleMicros(0));
    assert_eq!(event, IsoTpEvent::Pdu(Pdu { link, began, ended, payload: &[0x3E, 0] }));
}

#[test]
fn flow_control_is_reported_and_remote_frames_are_not_data() {
    let mut machine = Small::new();
    let frame = Frame::classic(id(1), &[0x32, 8, 20]).expect("fits");
    let event = machine.receive(VehicleMicros(0), BusId(0), &frame, Addressing::Normal);
    let expected = IsoTpEvent::FlowControl { status: FlowStatus::Overflow, block_size: 8, gap_min_code: 20 };
    assert_eq!(event, expected);
    let remote = Frame::remote(id(1), Dlc::new(3).expect("below 16"));
    let event = machine.receive(VehicleMicros(0), BusId(0), &remote, Addressing::Normal);
    assert_eq!(event, IsoTpEvent::NotData);
}

/// Splits a message as a sender would.
fn segment(message: &[u8]) -> Vec<Vec<u8>> {
    if message.len() <= 7 {
        let mut frame = Vec::from([u8::try_from(message.len()).expect("short")]);
        frame.extend(message);
        return Vec::from([frame]);
    }
    let len = u16::try_from(message.len()).expect("test messages are short").to_be_bytes();
    let mut first = Vec::from([0x10 | len[0], len[1]]);
    first.extend(&message[..6]);
    let mut frames = Vec::from([first]);
    for (index, piece) in message[6..].chunks(7).enumerate() {
        let sequence = u8::try_from((index + 1) % 16).expect("below 16");
        let mut frame = Vec::from([0x20 | sequence]);
        frame.extend(piece);
        frames.push(frame);
    }
    frames
}

/// Cuts a message into frames of a length, as a sender does, and gives each to `each`.
fn send(message: &[u8], frame_bytes: usize, address: Option<u8>, mut each: impl FnMut(&[u8])) {
    let mut out = [0; 64];
    let head = usize::from(address.is_some());
    let total = u32::try_from(message.len()).expect("short");
    let mut say = |pci: Pci<'_>| {
        let length = pci.emit(address, &mut out).expect("a frame fits");
        assert!(length <= frame_bytes);
        each(&out[..length]);
    };
    let single = if frame_bytes > 8 { frame_bytes - head - 2 } else { 7 - head };
    if message.len() <= single {
        say(Pci::Single { payload: message });
        return;
    }
    let control = if total > 4095 { 6 } else { 2 };
    let (first, mut rest) = message.split_at(frame_bytes - head - control);
    say(Pci::First { total, payload: first });
    let mut sequence = 1;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.len().min(frame_bytes - head - 1));
        say(Pci::Consecutive { sequence, payload: piece });
        sequence = (sequence + 1) & 15;
        rest = behind;
    }
}

proptest! {
    #[test]
    fn every_message_survives_its_frames(
        message in proptest::collection::vec(any::<u8>(), 1..5000),
        fd: bool,
        address: Option<u8>,
    ) {
        let mut machine = std::boxed::Box::new(Reassembler::<1, 5000>::new());
        let addressing = if address.is_some() { Addressing::Extended } else { Addressing::Normal };
        let mut got = None;
        send(&message, if fd { 64 } else { 8 }, address, |bytes| {
            // A CAN FD frame has one of sixteen lengths; padding makes up the rest, except in a single frame of up
            // to eight bytes, which has the classic form.
            let mut padded = bytes.to_vec();
            while Frame::fd(id(1), FdFlags::default(), &padded).is_err() { padded.push(0xCC); }
            let frame = if fd { Frame::fd(id(1), FdFlags::default(), &padded) } else { Frame::classic(id(1), bytes) };
            let frame = frame.expect("legal lengths");
            if let IsoTpEvent::Pdu(pdu) = machine.receive(VehicleMicros(0), BusId(0), &frame, addressing) {
                assert_eq!(pdu.link.address, address);
                got = Some(pdu.payload.to_vec());
            }
        });
        prop_assert_eq!(got, Some(message));
        prop_assert_eq!(machine.stats().rejected(), 0);
    }
}

proptest! {
    #[test]
    fn every_message_that_fits_comes_back(message in proptest::collection::vec(any::<u8>(), 1..=64)) {
        let mut machine = Small::new();
        let frames = segment(&message);
        for (index, frame) in frames.iter().enumerate() {
            let done = feed(&mut machine, 0, 1, frame).expect("a correct sender is never rejected");
            let expected = (index + 1 == frames.len()).then(|| message.clone());
            prop_assert_eq!(done, expected);
        }
    }

    #[test]
    fn any_frames_keep_the_counts_whole(
        frames in proptest::collection::vec((0u32..4, proptest::collection::vec(any::<u8>(), 0..=8), 0u64..2_000_000), 0..200),
    ) {
        let mut machine = Small::new();
        let mut at = 0;
        for (sender, data, gap) in &frames {
            at += gap;
            if let Ok(Some(message)) = feed(&mut machine, at, *sender, data) {
                prop_assert!(!message.is_empty() && message.len() <= 64);
            }
            machine.tick(VehicleMicros(at));
        }
        let stats = machine.stats();
        let taken = stats.single + stats.first + stats.consecutive + stats.flow_control;
        prop_assert_eq!(taken + stats.rejected(), frames.len() as u64);
    }
}
