//! Tests of what TCP carries: cut, shuffled, repeated, overlapping, lost and lied about.

use std::collections::BTreeSet;

use super::*;
use crate::FieldValue;

/// Ports of the three protocols, the server's.
const PORTS: [u16; 3] = [13400, 30501, 50002];
const SYN: u8 = 2;
/// Without an acknowledgement: none of these frames says what its sender has.
const DATA: u8 = 8;
const RST: u8 = 4;

/// One side of a conversation and what it says.
type Said = (bool, Vec<u8>);

/// A conversation on a port with a finding of every kind that a message can give.
fn conversation(protocol: usize) -> Vec<Said> {
    match protocol {
        0 => doip_conversation(),
        1 => someip_conversation(),
        _ => v2g_conversation(),
    }
}

fn doip_conversation() -> Vec<Said> {
    let emit = |message: &DoipMessage<'_>| {
        let mut out = [0; 700];
        let length = message.emit(2, &mut out).expect("fits");
        out[..length].to_vec()
    };
    let ask = |data: &[u8]| (true, emit(&DoipMessage::Diagnostic { source: 0x0E99, target: 0x1000, data }));
    let answer =
        |data: &[u8]| (false, emit(&DoipMessage::Diagnostic { source: 0x1000, target: 0x0E99, data }));
    let activation = DoipMessage::ActivationRequest { tester: 0x0E99, activation_type: 0, oem: None };
    let refusal = DoipMessage::ActivationResponse {
        tester: 0x0E99,
        entity: 0x1000,
        code: ActivationCode::UnknownSource,
        oem: None,
    };
    let mut long = vec![0x36, 1];
    long.resize(600, 7);
    let mut said = vec![(true, emit(&activation)), (false, emit(&refusal))];
    for _ in 0..4 {
        said.extend([
            ask(&[0x27, 1]),
            answer(&[0x67, 1, 9, 9]),
            ask(&[0x27, 2, 1, 2]),
            answer(&[0x7F, 0x27, 0x35]),
        ]);
    }
    said.extend([ask(&long), answer(&[0x76, 1]), ask(&[0x2E, 0xF1, 0x90, 1]), answer(&[0x6E, 0xF1, 0x90])]);
    said
}

fn someip_conversation() -> Vec<Said> {
    let message = |method, payload: &[u8], kind| {
        let header = Header {
            service: 0x1234,
            method,
            client: 3,
            session: 1,
            interface_version: 1,
            kind,
            is_segment: false,
            return_code: ReturnCode::Ok,
        };
        let mut out = [0; 400];
        let length = Message { header, payload }.emit(&mut out).expect("fits");
        out[..length].to_vec()
    };
    vec![
        (true, message(1, &[0; 4], MessageKind::Request)),
        (false, message(1, &[0; 4], MessageKind::Response)),
        (true, message(1, &[0; 5], MessageKind::Request)),
        (true, message(77, &[0; 300], MessageKind::RequestNoReturn)),
        (true, message(1, &[0; 4], MessageKind::Request)),
    ]
}

fn v2g_conversation() -> Vec<Said> {
    let message = |exi: &[u8]| {
        let mut out = [0; 400];
        let length = v2gtp(PayloadType::Exi, exi, &mut out).expect("fits");
        out[..length].to_vec()
    };
    let stranger = STRANGER.mac.0.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    vec![
        (true, message(&exi(0, 29, &[(0, 2), (6, 8), (stranger, 48)]))),
        (false, message(&exi(5, 30, &[(0, 2), (4, 5)]))),
        (true, message(&exi(5, 25, &[]))),
        (true, message(&exi(6, 13, &[]))),
        (false, message(&exi(6, 14, &[(0, 2), (0, 5)]))),
    ]
}

/// A connection that frames are made of.
struct Wire {
    port: u16,
    /// Sequence numbers of both sides' first bytes, the client's first.
    first: [u32; 2],
}

impl Wire {
    fn segment(&self, is_client: bool, offset: usize, flags: u8, payload: &[u8]) -> Vec<u8> {
        let (from, to, ports) = if is_client {
            (CLIENT, SERVER, (50001, self.port))
        } else {
            (SERVER, CLIENT, (self.port, 50001))
        };
        let first = self.first[usize::from(!is_client)];
        let sequence = first.wrapping_add(u32::try_from(offset).expect("short"));
        tcp(from, to, Tcp { ports, sequence, flags }, payload)
    }

    fn opening(&self) -> [Vec<u8>; 2] {
        [true, false].map(|is_client| {
            let first = self.first[usize::from(!is_client)].wrapping_sub(1);
            let wire = Self { port: self.port, first: [first; 2] };
            wire.segment(is_client, 0, SYN, &[])
        })
    }
}

/// What an observation says, without numbers that depend on time.
type Finding = (EventTypeId, Severity, Option<&'static str>);

fn findings(frames: &[Vec<u8>]) -> BTreeSet<Finding> {
    let mut bench = Bench::new(false);
    for frame in frames {
        bench.at += 100;
        bench.detector.receive(VehicleMicros(bench.at), frame);
    }
    bench.detector.tick(VehicleMicros(bench.at + 1));
    let seen = core::iter::from_fn(|| bench.detector.pop()).filter(|seen| seen.phase == crate::Phase::Opened);
    // More segments are more packets, whatever they say.
    let seen = seen.filter(|seen| seen.event_type != event::ETH_VOLUME_ANOMALY);
    seen.map(|seen| {
        let word = seen.fields.value(field::REASON).or_else(|| seen.fields.value(field::DETECTOR));
        let word = word.and_then(|word| if let FieldValue::Text(word) = word { Some(word) } else { None });
        (seen.event_type, seen.severity, word)
    })
    .collect()
}

/// The conversation with one message a segment.
fn whole(wire: &Wire, said: &[Said]) -> Vec<Vec<u8>> {
    let mut frames = wire.opening().to_vec();
    let mut at = [0, 0];
    for (is_client, message) in said {
        let offset = &mut at[usize::from(!is_client)];
        frames.push(wire.segment(*is_client, *offset, DATA, message));
        *offset += message.len();
    }
    frames
}

/// The conversation cut into pieces, those of one speech shuffled, repeated and overlapping.
fn mangled(wire: &Wire, said: &[Said], chaos: &mut impl FnMut(usize) -> usize) -> Vec<Vec<u8>> {
    let mut frames = wire.opening().to_vec();
    let mut at = [0, 0];
    let mut rest = said;
    while let Some((is_client, _)) = rest.first() {
        let turn = rest.iter().position(|(other, _)| other != is_client).unwrap_or(rest.len());
        let (mine, behind) = rest.split_at(turn);
        let speech: Vec<u8> = mine.iter().flat_map(|(_, message)| message.clone()).collect();
        let offset = &mut at[usize::from(!is_client)];
        let mut pieces = Vec::new();
        let mut begin = 0;
        while begin < speech.len() {
            let end = (begin + 1 + chaos(20)).min(speech.len());
            let overlapping = (end + chaos(4)).min(speech.len());
            for _ in 0..=usize::from(chaos(3) == 0) {
                pieces.push(wire.segment(*is_client, *offset + begin, DATA, &speech[begin..overlapping]));
            }
            begin = end;
        }
        for place in (1..pieces.len()).rev() {
            pieces.swap(place, chaos(place + 1));
        }
        frames.extend(pieces);
        *offset += speech.len();
        rest = behind;
    }
    frames
}

#[test]
fn every_cut_of_every_message_gives_the_same_findings() {
    for (protocol, port) in PORTS.into_iter().enumerate() {
        let said = conversation(protocol);
        let wire = Wire { port, first: [u32::MAX - 40, 1] };
        let expected = findings(&whole(&wire, &said));
        assert!(expected.len() >= 2, "{protocol}: {expected:?}");
        let longest = said.iter().map(|(_, message)| message.len()).max().unwrap_or(0);
        for cut in 1..longest {
            let mut frames = wire.opening().to_vec();
            let mut at = [0, 0];
            for (is_client, message) in &said {
                let offset = &mut at[usize::from(!is_client)];
                let (front, back) = message.split_at(cut.min(message.len()));
                frames.push(wire.segment(*is_client, *offset, DATA, front));
                frames.push(wire.segment(*is_client, *offset + front.len(), DATA, back));
                *offset += message.len();
            }
            assert_eq!(findings(&frames), expected, "{protocol} cut at {cut}");
        }
        let mut one_by_one = |_: usize| 0;
        assert_eq!(findings(&mangled(&wire, &said, &mut one_by_one)), expected, "{protocol} byte by byte");
    }
}

proptest! {
    #[test]
    fn shuffled_repeated_and_overlapping_pieces_give_the_same_findings(
        protocol in 0usize..3,
        first: [u32; 2],
        seed: u64,
    ) {
        let said = conversation(protocol);
        let wire = Wire { port: PORTS[protocol], first };
        let mut state = seed | 1;
        let mut chaos = |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % limit.max(1) as u64).expect("small")
        };
        let found = findings(&mangled(&wire, &said, &mut chaos));
        prop_assert_eq!(found, findings(&whole(&wire, &said)));
    }

    #[test]
    fn any_segments_are_taken(
        pieces in proptest::collection::vec((any::<bool>(), 0usize..9000, 0u8..32, 0usize..80), 0..60),
        port in 0usize..3,
    ) {
        let wire = Wire { port: PORTS[port], first: [u32::MAX - 3000, 77] };
        let said = conversation(port);
        let speech: Vec<u8> = said.iter().flat_map(|(_, message)| message.clone()).collect();
        let frames: Vec<_> = pieces
            .iter()
            .map(|&(is_client, offset, flags, length)| {
                let begin = (offset / 8) % speech.len();
                wire.segment(is_client, offset, flags, &speech[begin..(begin + length).min(speech.len())])
            })
            .collect();
        let _ = findings(&frames);
    }
}

const CONFLICT: Finding = (event::ETH_STREAM_CONFLICT, Severity::High, Some("overlap"));

const fn gap(reason: &'static str) -> Finding {
    (event::ETH_STREAM_GAP, Severity::Low, Some(reason))
}

/// A write, which is granted, and the same with another service in its place.
fn write_and_decoy() -> ([Vec<u8>; 2], Vec<u8>) {
    let said = doip_conversation();
    let [.., (_, ask), (_, grant)] = said.as_slice() else { panic!("two messages") };
    let mut decoy = ask.clone();
    decoy[12] = 0x22;
    ([ask.clone(), grant.clone()], decoy)
}

const WRITTEN: Finding = (event::DIAG_WRITE_OUTSIDE_WORKSHOP, Severity::High, None);

#[test]
fn two_versions_of_the_same_bytes_are_reported_and_the_first_one_counts() {
    let ([ask, grant], decoy) = write_and_decoy();
    let wire = Wire { port: 13400, first: [100, 900] };
    let found = |early: &[u8], late: &[u8]| {
        let mut frames = wire.opening().to_vec();
        // The first byte comes last, so that both versions wait.
        frames.push(wire.segment(true, 1, DATA, &early[1..]));
        frames.push(wire.segment(true, 1, DATA, &late[1..]));
        frames.push(wire.segment(true, 0, DATA, &early[..1]));
        frames.push(wire.segment(false, 0, DATA, &grant));
        findings(&frames)
    };
    let honest = found(&ask, &ask);
    assert!(honest.contains(&WRITTEN) && !honest.contains(&CONFLICT), "{honest:?}");
    let first = found(&ask, &decoy);
    assert!(first.contains(&WRITTEN) && first.contains(&CONFLICT), "{first:?}");
    let second = found(&decoy, &ask);
    assert!(!second.contains(&WRITTEN) && second.contains(&CONFLICT), "{second:?}");
    let mut repeated = whole(&wire, &[(true, ask), (false, grant)]);
    repeated.push(wire.segment(true, 0, DATA, &decoy));
    assert!(findings(&repeated).contains(&CONFLICT), "a repeat with other bytes");
}

#[test]
fn a_probe_of_one_zero_is_no_conflict() {
    let ([ask, _], _) = write_and_decoy();
    let wire = Wire { port: 13400, first: [100, 900] };
    let mut frames = whole(&wire, &[(true, ask.clone())]);
    frames.push(wire.segment(true, ask.len() - 1, 16, &[0]));
    assert!(!findings(&frames).contains(&CONFLICT));
}

#[test]
fn lies_about_openings_and_endings_hide_nothing() {
    let ([ask, grant], _) = write_and_decoy();
    let wire = Wire { port: 13400, first: [100, 900] };
    let (front, back) = ask.split_at(13);
    let lies = [
        Wire { port: 13400, first: [5_000_000, 0] }.segment(true, 0, SYN, &[]),
        wire.segment(true, front.len(), RST, &[]),
        wire.segment(true, front.len(), 1, &[]),
        wire.segment(true, 70_000, DATA, &[7; 100]),
        Wire { port: 13400, first: [0x9000_0000, 0] }.segment(true, 0, DATA, &[7; 100]),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let mut frames = wire.opening().to_vec();
        frames.extend([
            wire.segment(true, 0, DATA, front),
            lie,
            wire.segment(true, front.len(), DATA, back),
            wire.segment(false, 0, DATA, &grant),
        ]);
        assert!(findings(&frames).contains(&WRITTEN), "lie {number}");
    }
    // A new connection on the same ports is followed as soon as it is used.
    let next = Wire { port: 13400, first: [7_000_000, 8_000_000] };
    let mut frames = wire.opening().to_vec();
    frames.push(wire.segment(true, 0, DATA, front));
    frames.extend(whole(&next, &[(true, ask), (false, grant)]));
    assert!(findings(&frames).contains(&WRITTEN));
}

#[test]
fn a_stream_goes_on_behind_what_was_never_seen() {
    let ([ask, grant], _) = write_and_decoy();
    let wire = Wire { port: 13400, first: [100, 900] };
    let mut acknowledging = wire.segment(false, 0, 16, &[]);
    let has = u32::try_from(100 + 3 * ask.len()).expect("small");
    acknowledging[42..46].copy_from_slice(&has.to_be_bytes());
    // The first message and the middle of the second are lost; the receiver says that it has them.
    let mut bench = Bench::new(false);
    let mut feed = |gap_us, frame: &[u8]| bench.feed_after(gap_us, frame);
    wire.opening().iter().for_each(|frame| drop(feed(100, frame)));
    assert_eq!(feed(100, &wire.segment(true, ask.len() + 6, DATA, &ask[6..])), []);
    let tester = (event::DOIP_UNKNOWN_TESTER, Severity::High);
    let lost = (event::ETH_STREAM_GAP, Severity::Low);
    assert_eq!(feed(100, &wire.segment(true, 2 * ask.len(), DATA, &ask)), []);
    assert_eq!(feed(100, &acknowledging), []);
    let seen = feed(20_000, &wire.segment(true, 3 * ask.len(), DATA, &ask[..3]));
    assert_eq!(seen, [lost, tester], "the third message");
    assert_eq!(feed(100, &wire.segment(false, 0, DATA, &grant)), [(WRITTEN.0, WRITTEN.1)]);
    // Nobody acknowledges: the hole is given up after a time, and not before.
    let mut bench = Bench::new(false);
    let mut feed = |gap_us, frame: &[u8]| bench.feed_after(gap_us, frame);
    wire.opening().iter().for_each(|frame| drop(feed(100, frame)));
    assert_eq!(feed(100, &wire.segment(true, 500, DATA, &ask)), []);
    assert_eq!(feed(3_900_000, &wire.segment(true, 500 + ask.len(), DATA, &ask[..3])), []);
    let seen = feed(200_000, &wire.segment(true, 503 + ask.len(), DATA, &ask[3..]));
    assert_eq!(seen, [lost, tester]);
}

#[test]
fn a_stream_is_joined_in_the_middle_of_a_message() {
    let ([ask, grant], _) = write_and_decoy();
    let wire = Wire { port: 13400, first: [100, 900] };
    let stream = [&ask[5..], &ask].concat();
    let frames: Vec<_> =
        stream.chunks(7).enumerate().map(|(n, part)| wire.segment(true, 7 * n, DATA, part)).collect();
    let mut frames = frames;
    frames.push(wire.segment(false, 0, DATA, &grant));
    assert!(findings(&frames).contains(&WRITTEN));
}

#[test]
fn a_length_that_lies_does_not_swallow_what_follows() {
    let ([ask, grant], _) = write_and_decoy();
    let wire = Wire { port: 13400, first: [100, 900] };
    let lie = [2, 0xFD, 0x80, 1, 0x7F, 0xFF, 0xFF, 0xFF, 1, 2, 3];
    let found =
        findings(&whole(&wire, &[(true, ask.clone()), (true, lie.to_vec()), (true, ask), (false, grant)]));
    assert!(found.contains(&WRITTEN) && found.contains(&gap("unframed")), "{found:?}");
}

#[test]
fn a_crowd_of_connections_takes_no_place_from_one_that_spoke() {
    let ([ask, grant], _) = write_and_decoy();
    let wire = Wire { port: 13400, first: [100, 900] };
    let (front, back) = ask.split_at(13);
    let mut frames = whole(&wire, &[(true, ask.clone()), (false, grant.clone())]);
    frames.push(wire.segment(true, ask.len(), DATA, front));
    for port in 51_000..51_064 {
        frames.push(tcp(STRANGER, SERVER, Tcp { ports: (port, 13400), sequence: 9, flags: SYN }, &[]));
    }
    frames.push(wire.segment(true, ask.len() + 13, DATA, back));
    let mut bench = Bench::new(false);
    let mut seen = 0;
    for frame in &frames {
        bench.detector.receive(VehicleMicros(0), frame);
        while let Some(said) = bench.detector.pop() {
            seen += usize::from(said.event_type == event::ETH_STREAM_GAP);
        }
    }
    assert_eq!(seen, 0, "the half message kept its place");
}
