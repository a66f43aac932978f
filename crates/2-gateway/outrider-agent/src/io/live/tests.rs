use std::io::Cursor;
use std::net::UdpSocket;

use outrider_bus::can::{CanId, FdFlags};
use outrider_types::VehicleMicros;
use proptest::prelude::*;

use super::cannelloni::{Cannelloni, parse};
use super::*;

fn datagram(count: u16, frames: &[u8]) -> Vec<u8> {
    let mut out = vec![2, 0, 7];
    out.extend(count.to_be_bytes());
    out.extend(frames);
    out
}

fn read(bytes: &[u8]) -> (Vec<Frame>, u64) {
    let mut frames = Vec::new();
    let rejected = parse(bytes, |frame| frames.push(frame));
    (frames, rejected)
}

fn standard(id: u32) -> CanId {
    CanId::standard(id).expect("eleven bits")
}

#[test]
fn frames_of_all_kinds_come_out_of_a_datagram() {
    let mut frames = vec![0, 0, 1, 0x23, 2, 0xAA, 0xBB];
    frames.extend([0x9A, 0xBC, 0xDE, 0xF0, 0x80 | 1, 1, 7]);
    frames.extend([0x40, 0, 0, 5, 4]);
    frames.extend([0x20, 0, 0, 0x40, 1, 9]);
    let (found, rejected) = read(&datagram(4, &frames));
    let extended = CanId::extended(0x1ABC_DEF0).expect("29 bits");
    let expected = [
        Frame::classic(standard(0x123), &[0xAA, 0xBB]),
        Frame::fd(extended, FdFlags { brs: true, esi: false }, &[7]),
        Ok(Frame::remote(standard(5), outrider_bus::can::Dlc::new(4).expect("a code"))),
        Frame::error(outrider_bus::can::ErrorClass::BUS_OFF, &[9]),
    ];
    assert_eq!(found, expected.map(|frame| frame.expect("it is legal")));
    assert_eq!(rejected, 0);
}

#[test]
fn what_is_no_frame_is_counted_and_the_rest_is_read() {
    let good = [0, 0, 1, 0x23, 1, 0xAA];
    let wide = [0, 0, 0x8, 0, 0];
    assert_eq!(read(&datagram(2, &[wide.as_slice(), &good].concat())).1, 1);
    assert_eq!(read(&datagram(2, &[wide.as_slice(), &good].concat())).0.len(), 1);
    assert_eq!(
        read(&datagram(2, &good)),
        (vec![Frame::classic(standard(0x123), &[0xAA]).expect("legal")], 1)
    );
    assert_eq!(read(&datagram(1, &[good.as_slice(), &[1]].concat())).1, 1, "bytes behind the last frame");
    assert_eq!(read(&[1, 0, 0, 0, 0]), (vec![], 1), "another version");
    assert_eq!(read(&[]), (vec![], 1));
}

/// Waits for the pump without a clock: a bounded number of looks.
fn collect(pump: &Pump, wanted: usize) -> Vec<outrider_bus::can::TimedFrame> {
    let mut frames = Vec::new();
    for _ in 0..1_000_000_000u64 {
        match pump.next() {
            Some(frame) => frames.push(frame),
            None if frames.len() >= wanted || pump.counts().has_ended => break,
            None => std::thread::yield_now(),
        }
    }
    frames.extend(std::iter::from_fn(|| pump.next()));
    frames
}

#[test]
fn datagrams_on_a_socket_become_frames_with_the_time_they_came() {
    let source = Cannelloni::open("127.0.0.1:0".parse().expect("an address"), BusId(3)).expect("loopback");
    let address = source.address();
    let pump = Pump::start("test".to_owned(), Box::new(source), || VehicleMicros(55));
    let sender = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    sender.send_to(&datagram(1, &[0, 0, 1, 0x23, 1, 0xAA]), address).expect("loopback");
    sender.send_to(b"rubbish", address).expect("loopback");
    sender.send_to(&datagram(1, &[0, 0, 1, 0x24, 1, 0xAA]), address).expect("loopback");
    let frames = collect(&pump, 2);
    assert_eq!(
        frames.iter().map(|frame| (frame.at, frame.bus)).collect::<Vec<_>>(),
        [(VehicleMicros(55), BusId(3)); 2]
    );
    assert_eq!((pump.counts().received, pump.counts().dropped), (2, 0));
}

#[test]
fn candump_lines_on_a_pipe_become_frames() {
    let long = "x".repeat(10_000);
    let text = format!("(1.0) can0 123#AABB\n{long}\nrubbish here\n(1.5) can1 124##1AA\nunfinished");
    let source = stdin::Stdin::new(Box::new(Cursor::new(text.into_bytes())), BusId(2));
    let pump = Pump::start("stdin".to_owned(), Box::new(source), || VehicleMicros(1));
    let frames = collect(&pump, usize::MAX);
    assert_eq!(frames.len(), 2);
    assert_ne!(frames[0].bus, frames[1].bus, "channels are buses");
    assert_eq!(pump.counts().rejected, 2);
    assert!(pump.counts().has_ended);
}

#[test]
fn a_full_queue_drops_and_counts() {
    let text = "(1.0) can0 123#AABB\n".repeat(20_000);
    let source = stdin::Stdin::new(Box::new(Cursor::new(text.into_bytes())), BusId(0));
    let pump = Pump::start("stdin".to_owned(), Box::new(source), || VehicleMicros(1));
    while !pump.counts().has_ended {
        std::thread::yield_now();
    }
    let counts = pump.counts();
    let taken = std::iter::from_fn(|| pump.next()).count() as u64;
    assert_eq!(counts.received, 20_000);
    assert!(counts.dropped > 0 && taken + counts.dropped == counts.received, "{counts:?} {taken}");
}

#[test]
fn places_are_read_or_refused_with_a_reason() {
    let place = |text: &str| text.parse::<LivePlace>();
    assert_eq!(place("1=cannelloni:127.0.0.1:20000").map(|place| place.bus), Ok(Some(BusId(1))));
    assert_eq!(place("socketcan:can0").map(|place| place.place), Ok(Place::SocketCan("can0".to_owned())));
    assert_eq!(place("stdin").map(|place| place.place), Ok(Place::Stdin));
    for bad in ["", "can0", "socketcan:", "x=stdin", "cannelloni:localhost", "300=stdin"] {
        assert!(place(bad).is_err(), "{bad}");
    }
    #[cfg(not(feature = "socketcan"))]
    assert!(place("socketcan:can0").expect("a place").open(BusId(0)).is_err());
}

#[test]
fn the_corpus_is_read_and_what_it_says_is_counted() {
    let (mut frames, mut rejected) = (0, 0);
    let files = crate::io::corpus("cannelloni", |bytes| rejected += parse(bytes, |_| frames += 1));
    assert!(files >= 3 && frames >= 4 && rejected >= 1, "{files} {frames} {rejected}");
}

proptest! {
    #[test]
    fn any_datagram_ends_in_frames_and_a_count(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (frames, rejected) = read(&bytes);
        prop_assert!(frames.len() as u64 + rejected <= 1 + bytes.len() as u64 / 5 + 1);
        let framed = [&[2u8, 0, 0, 0xFF, 0xFF], bytes.as_slice()].concat();
        prop_assert!(read(&framed).1 >= 1, "so many frames are never there");
    }
}
