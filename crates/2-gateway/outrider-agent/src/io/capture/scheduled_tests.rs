//! Tests of the readers of LIN, FlexRay and CAN XL over own fixtures and arbitrary bytes.

use outrider_bus::can::XlHeader;
use outrider_bus::flexray::{Channel, Frame as FlexRayFrame, Header, Heard as FlexRayHeard, RecordErrors};
use outrider_bus::lin::{ChecksumKind, Fault, Frame as LinFrame, Heard, Pid, TimedLin};
use proptest::prelude::*;

use super::tests::{drain, from_bytes};
use super::*;

fn pid(id: u8) -> Pid {
    Pid::new(id).expect("six bits")
}

fn frame(id: u8, kind: ChecksumKind, data: &[u8]) -> Heard {
    Heard::Frame { frame: LinFrame::new(pid(id), kind, data).expect("legal"), has_checksum: true }
}

fn fault(id: u8, fault: Fault) -> Heard {
    Heard::Fault { pid: pid(id), fault }
}

/// Reads bytes that must be readable to their end and returns what was heard on LIN, and problems.
fn lin(bytes: &[u8], extension: Option<&str>) -> (Vec<TimedLin>, Vec<String>) {
    let mut capture = from_bytes(bytes, extension).expect("a capture");
    let (records, failure) = drain(&mut capture);
    assert!(failure.is_none(), "{failure:?}");
    let problems = capture.stats().first_problems.iter().map(ToString::to_string).collect();
    let heard = |record| if let Record::Lin(heard) = record { Some(heard) } else { None };
    (records.into_iter().filter_map(heard).collect(), problems)
}

fn flexray(bytes: &[u8], extension: Option<&str>) -> (Vec<TimedFlexRay>, Vec<String>) {
    let mut capture = from_bytes(bytes, extension).expect("a capture");
    let (records, failure) = drain(&mut capture);
    assert!(failure.is_none(), "{failure:?}");
    let problems = capture.stats().first_problems.iter().map(ToString::to_string).collect();
    let heard = |record| if let Record::FlexRay(heard) = record { Some(*heard) } else { None };
    (records.into_iter().filter_map(heard).collect(), problems)
}

#[test]
fn asc_lines_of_lin_are_what_they_say() {
    // The checksum of 4A 55 93 E5 is E6 over the data and 1C with the identifier CA (ISO 17987-3, examples).
    let text = "date Tue Sep 30 15:06:13.191 am 2025\nbase hex  timestamps absolute\n\
        0.010000 Li A Rx 4 4A 55 93 E5 checksum = 1c header time = 40, full time = 130 CSM = enhanced\n\
        0.020000 Li A Tx 4 4A 55 93 E5 checksum = e6\n\
        0.030000 L2 A Rx 4 4A 55 93 E5 checksum = 0\n\
        0.040000 Li A Rx 4 4A 55 93 E5 checksum = 55\n\
        0.050000 Li A CSErr Rx 4 4A 55 93 E5 checksum = 55\n\
        0.060000 Li A TransmErr header time = 40, full time = 60\n\
        0.070000 Li A 4 RcvError: timeout char = 11 StateReason = 4\n\
        0.080000 Li SyncError 104 104 0 0\n\
        0.090000 Li WakeupFrame Rx 80\n\
        0.100000 Li SleepModeEvent 1 entering sleep mode\n\
        0.110000 Li SchedModChng 0 1\n\
        0.120000 Li WindowStatus Rx 4 4A 55 93 E5 checksum = 1c\n\
        0.130000 Li 41 Rx 1 00 checksum = 0\n\
        0.140000 Li A Rx 9 4A 55 93 E5 00 00 00 00 00 checksum = 0\n\
        0.150000 Li A TxRq 4 4A 55 93 E5\n";
    let (heard, problems) = lin(text.as_bytes(), None);
    let data = [0x4A, 0x55, 0x93, 0xE5];
    let unchecked = LinFrame::new(pid(0x0A), ChecksumKind::Enhanced, &data).expect("legal");
    let expected = [
        (10_000, 0, frame(0x0A, ChecksumKind::Enhanced, &data)),
        (20_000, 0, frame(0x0A, ChecksumKind::Classic, &data)),
        (30_000, 1, Heard::Frame { frame: unchecked, has_checksum: false }),
        (40_000, 0, fault(0x0A, Fault::Checksum)),
        (50_000, 0, fault(0x0A, Fault::Checksum)),
        (60_000, 0, fault(0x0A, Fault::Silence)),
        (70_000, 0, fault(0x0A, Fault::Framing)),
        (80_000, 0, Heard::Header),
        (90_000, 0, Heard::WakeUp),
        (100_000, 0, Heard::Asleep),
    ];
    let expected =
        expected.map(|(at, bus, heard)| TimedLin { at: VehicleMicros(at), bus: BusId(bus), heard });
    assert_eq!(heard, expected);
    assert_eq!(
        problems,
        ["line 14: identifier is wrong", "line 15: identifier is wrong", "line 16: length is wrong",]
    );
}

#[test]
fn asc_lines_of_flexray_are_what_they_say() {
    let text = "date Tue Sep 30 15:06:13.191 am 2025\nbase hex  timestamps absolute\n\
        0.001000 Fr RMSG 0 0 1 1 d2 b Rx 0 300006 5 20 67c x 4 4 de ad be ef 0 0 0\n\
        0.002000 Fr RMSG 0 0 1 2 1 3f Rx 0 d 5 20 0 Lead 0 0 0 0 0\n\
        0.003000 Fr RMSG 0 0 1 1 5 1 Rx 0 40 5 20 0 x 0 0 0 0 0\n\
        0.004000 Fr EE 0 0 1 1 5 1 0 0 0\n\
        0.005000 Fr SC 0 0 1 1 b 0\n\
        0.006000 Fr RMSG 0 0 1 1 800 0 Rx 0 2 5 20 0 x 0 0 0 0 0\n\
        0.007000 Fr RMSG 0 0 1 1 1 40 Rx 0 2 5 20 0 x 0 0 0 0 0\n\
        0.008000 Fr RMSG 0 0 1 1 1 0 Rx 0 2 5 20 0 x 4 4 de ad\n\
        0.009000 Fr RMSG 0 0 1 1 1 0 Rx 0 2 5 20 0 x fff fff\n";
    let (heard, problems) = flexray(text.as_bytes(), None);
    let data = Header { is_data: true, slot: 0xD2, words: 2, cycle: 11, sync: true, ..Header::default() };
    let null = Header { slot: 1, cycle: 63, sync: true, startup: true, ..Header::default() };
    let broken = |slot| FlexRayHeard::Broken { channel: Channel::A, errors: RecordErrors::CODING, slot };
    let expected = [
        FlexRayHeard::Frame(FlexRayFrame::new(Channel::A, data, &[0xDE, 0xAD, 0xBE, 0xEF]).expect("legal")),
        FlexRayHeard::Frame(FlexRayFrame::new(Channel::B, null, &[]).expect("legal")),
        broken(Some(5)),
        broken(None),
    ];
    assert_eq!(heard.iter().map(|one| one.heard).collect::<Vec<_>>(), expected);
    assert!(heard.iter().all(|one| one.bus == BusId(0)));
    assert_eq!(
        problems,
        [
            "line 8: packet is no frame",
            "line 9: packet is no frame",
            "line 10: payload is shorter than its length",
            "line 11: length is wrong",
        ]
    );
}

/// A BLF file of objects without containers.
fn blf(objects: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut file = b"LOGG".to_vec();
    file.extend(144u32.to_le_bytes());
    file.resize(144, 0);
    for (kind, body) in objects {
        file.extend(b"LOBJ");
        file.extend(32u16.to_le_bytes());
        file.extend(1u16.to_le_bytes());
        file.extend(u32::try_from(32 + body.len()).expect("small").to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(2u32.to_le_bytes());
        file.extend([0; 4]);
        file.extend(5_000_000u64.to_le_bytes());
        file.extend(body);
        file.resize(file.len().next_multiple_of(4), 0);
    }
    file
}

/// Body of one of the newer LIN objects.
fn lin_body(id: u8, data: &[u8], checksum: u8) -> Vec<u8> {
    let mut body = vec![0; 136];
    body[12] = 3;
    (body[37], body[38], body[120]) = (id, u8::try_from(data.len()).expect("short"), checksum);
    body[112..112 + data.len()].copy_from_slice(data);
    body
}

fn flexray_body(extended: bool, mask: u8, slot: u16, cycle: u8, flags: u32, data: &[u8]) -> Vec<u8> {
    let mut body = vec![0; if extended { 84 } else { 44 }];
    (body[0], body[4], body[26]) = (2, mask, cycle);
    body[16..18].copy_from_slice(&slot.to_le_bytes());
    let length = u16::try_from(data.len()).expect("short").to_le_bytes();
    body[22..24].copy_from_slice(&length);
    body[24..26].copy_from_slice(&length);
    body[36..40].copy_from_slice(&flags.to_le_bytes());
    body.extend(data);
    body
}

#[test]
fn blf_objects_of_lin_are_what_they_say() {
    let data = [0x4A, 0x55, 0x93, 0xE5];
    let mut old = vec![3, 0, 0x0A, 4, 0x4A, 0x55, 0x93, 0xE5, 0, 0, 0, 0, 0, 0, 0, 0, 0xE6, 0, 0, 0];
    old.extend([0; 4]);
    let mut requested = lin_body(0x0A, &data, 0x1C);
    requested[122] = 2;
    let bytes = blf(&[
        (11, old),
        (57, lin_body(0x0A, &data, 0x1C)),
        (57, requested),
        (60, lin_body(0x0A, &data, 0x55)),
        (58, lin_body(0x0A, &[], 0)),
        (61, lin_body(0x0A, &[], 0)),
        (61, lin_body(0xFF, &[], 0)),
        (59, lin_body(0, &[], 0)),
        (62, lin_body(0, &[], 0)),
        (20, vec![3, 0, 1, 1, 0, 0, 0, 0]),
        (20, vec![3, 0, 9, 2, 0, 0, 0, 0]),
        (57, lin_body(0x40, &data, 0x1C)),
        (57, lin_body(0x0A, &data, 0x1C)[..100].to_vec()),
    ]);
    let (heard, problems) = lin(&bytes, None);
    let expected = [
        frame(0x0A, ChecksumKind::Classic, &data),
        frame(0x0A, ChecksumKind::Enhanced, &data),
        fault(0x0A, Fault::Checksum),
        fault(0x0A, Fault::Silence),
        fault(0x0A, Fault::Framing),
        Heard::Header,
        Heard::Header,
        Heard::WakeUp,
        Heard::Asleep,
    ];
    assert_eq!(heard.iter().map(|one| one.heard).collect::<Vec<_>>(), expected);
    assert!(heard.iter().all(|one| (one.bus, one.at) == (BusId(2), VehicleMicros(5000))));
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn blf_objects_of_flexray_are_what_they_say() {
    let data = [1, 2, 3, 4];
    let mut error = vec![0; 40];
    (error[0], error[4]) = (2, 2);
    let bytes = blf(&[
        (50, flexray_body(false, 1, 60, 5, 0x02, &data)),
        (66, flexray_body(true, 2, 1, 63, 0x0F, &data)),
        (66, flexray_body(true, 1, 7, 0, 0x42, &data)),
        (66, flexray_body(true, 1, 7, 0, 0x1_0002, &data)),
        (47, error),
        (50, flexray_body(false, 0, 60, 5, 0x02, &data)),
        (50, flexray_body(false, 1, 60, 64, 0x02, &data)),
        (66, flexray_body(true, 1, 60, 5, 0x02, &data)[..86].to_vec()),
    ]);
    let (heard, problems) = flexray(&bytes, None);
    let header = |slot, cycle| Header { is_data: true, slot, words: 2, cycle, ..Header::default() };
    let lead = Header { is_data: false, sync: true, startup: true, ..header(1, 63) };
    let broken = |channel, slot| FlexRayHeard::Broken { channel, errors: RecordErrors::CODING, slot };
    let expected = [
        FlexRayHeard::Frame(FlexRayFrame::new(Channel::A, header(60, 5), &data).expect("legal")),
        FlexRayHeard::Frame(FlexRayFrame::new(Channel::B, lead, &data).expect("legal")),
        broken(Channel::A, Some(7)),
        broken(Channel::B, None),
    ];
    assert_eq!(heard.iter().map(|one| one.heard).collect::<Vec<_>>(), expected);
    assert!(heard.iter().all(|one| one.bus == BusId(1)));
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn what_is_written_as_pcapng_comes_back() {
    let header = Header { is_data: true, slot: 60, words: 1, cycle: 5, ..Header::default() };
    let own = |at, heard| TimedFlexRay { at: VehicleMicros(at), bus: BusId(1), heard };
    let heard = [
        frame(0x0A, ChecksumKind::Enhanced, &[1, 2, 3, 4]),
        frame(0x3C, ChecksumKind::Classic, &[0; 8]),
        fault(9, Fault::Silence),
        fault(9, Fault::Framing),
        fault(9, Fault::Checksum),
        Heard::Header,
        Heard::WakeUp,
        Heard::Asleep,
    ];
    let mut records: Vec<Record> = (0u64..)
        .zip(heard)
        .map(|(at, heard)| Record::Lin(TimedLin { at: VehicleMicros(at * 1000), bus: BusId(0), heard }))
        .collect();
    let two = FlexRayFrame::new(Channel::B, header, &[5, 6]).expect("legal");
    records.push(Record::FlexRay(Box::new(own(9000, FlexRayHeard::Frame(two)))));
    records.push(Record::FlexRay(Box::new(own(9001, FlexRayHeard::Symbol { channel: Channel::A }))));
    let mut bytes = Vec::new();
    write_scheduled(&mut bytes, UnixMicros(1_700_000_000_000_000), &records)
        .expect("memory takes everything");
    let mut capture = from_bytes(&bytes, None).expect("a capture");
    let (back, failure) = drain(&mut capture);
    assert!(failure.is_none() && capture.stats().problems_total() == 0, "{:?}", capture.stats());
    assert_eq!(back, records);
    assert_eq!((capture.stats().lin, capture.stats().flexray), (8, 2));
}

fn xl(records: Vec<Record>) -> Vec<TimedXl> {
    let own = |record| if let Record::CanXl(frame) = record { Some(*frame) } else { None };
    records.into_iter().filter_map(own).collect()
}

#[test]
fn can_xl_comes_from_candump_and_from_link_type_227() {
    let text = "(1.000000) can0 45123#81:03:12345678#1122.33\n(1.001000) can0 123#80:00:00000001#FF\n\
        (1.002000) can0 FF800#80:00:00000001#FF\n(1.003000) can0 123#80:00:00000001#\n\
        (1.004000) can0 123#80:00#FF\n(1.005000) can0 123#80:00:00000001#F\n(1.006000) can0 123#11\n";
    let mut capture = from_bytes(text.as_bytes(), None).expect("a capture");
    let (records, _) = drain(&mut capture);
    let problems: Vec<String> = capture.stats().first_problems.iter().map(ToString::to_string).collect();
    let header = XlHeader {
        priority: 0x123,
        network: 0x45,
        sec: true,
        rrs: false,
        sdu_type: 3,
        acceptance: 0x1234_5678,
    };
    let plain = XlHeader { priority: 0x123, acceptance: 1, ..XlHeader::default() };
    let timed = |at, header, payload: &[u8]| TimedXl {
        at: VehicleMicros(at),
        bus: BusId(0),
        header,
        payload: payload.to_vec(),
    };
    assert_eq!(xl(records), [timed(0, header, &[0x11, 0x22, 0x33]), timed(1000, plain, &[0xFF])]);
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert_eq!((capture.stats().xl, capture.stats().frames), (2, 1));
    // The priority word is in network order, the rest little endian.
    let mut file = vec![0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 227, 0, 0, 0];
    let packet = [0, 0x45, 1, 0x23, 0x81, 3, 3, 0, 0x78, 0x56, 0x34, 0x12, 0x11, 0x22, 0x33];
    file.extend([1, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0, 0, 15, 0, 0, 0]);
    file.extend(packet);
    file.extend([1, 0, 0, 0, 0, 0, 0, 0, 14, 0, 0, 0, 14, 0, 0, 0]);
    file.extend(&packet[..14]);
    let mut capture = from_bytes(&file, None).expect("a capture");
    let (records, _) = drain(&mut capture);
    assert_eq!(xl(records), [timed(0, header, &[0x11, 0x22, 0x33])]);
    assert_eq!(capture.stats().problems.get(&ProblemReason::DataMissing), Some(&1));
}

proptest! {
    #[test]
    fn any_bytes_of_the_new_kinds_end_in_a_value_or_a_counted_reject(
        kind in 0usize..4,
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
        words in proptest::collection::vec("[0-9A-Fa-fLiRTx:=]{1,9}|Rx|CSErr|TransmErr|RcvError:|checksum|RMSG|Fr", 0..60),
    ) {
        let bytes = match kind {
            0 => {
                let objects: Vec<(u32, Vec<u8>)> = pieces
                    .into_iter()
                    .map(|body| (u32::from(body.first().copied().unwrap_or(0)) % 110, body))
                    .collect();
                blf(&objects)
            }
            1 | 2 => {
                let link = if kind == 1 { 210 } else { 212 };
                let mut file = vec![0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0];
                file.extend([0; 12]);
                file.extend([link, 0, 0, 0]);
                for piece in pieces {
                    let length = u32::try_from(piece.len()).expect("short").to_le_bytes();
                    file.extend([0; 8]);
                    file.extend(length);
                    file.extend(length);
                    file.extend(piece);
                }
                file
            }
            _ => {
                let lines: Vec<String> = words
                    .chunks(9)
                    .map(|line| format!("0.1 {} {}\n", if line.len() % 2 == 0 { "Li" } else { "Fr RMSG 0 0" }, line.join(" ")))
                    .collect();
                format!("base hex\n{}", lines.concat()).into_bytes()
            }
        };
        let Ok(mut capture) = from_bytes(&bytes, None) else { return Ok(()) };
        let (records, _) = drain(&mut capture);
        prop_assert_eq!(records.len() as u64, capture.stats().taken());
    }
}
