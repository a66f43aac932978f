//! Tests of the readers and writers over own fixtures, shared captures and arbitrary bytes.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use outrider_bus::can::{ByteOrder, CanId, Dlc, ErrorClass, FRAME_FD_BYTES, FdFlags, Frame, FrameKind};
use outrider_bus::isotp::{Addressing, IsoTpEvent, Reassembler};
use outrider_bus::uds::{Message, Request, ServiceId, UdsError};
use proptest::prelude::*;

use super::*;

pub(super) fn from_bytes(bytes: &[u8], extension: Option<&str>) -> Result<Capture, CaptureError> {
    read(Box::new(Cursor::new(bytes.to_vec())), extension, &ReadOptions::default())
}

/// Reads everything; the capture's counts must be whole after every step.
pub(super) fn drain(capture: &mut Capture) -> (Vec<Record>, Option<CaptureError>) {
    let mut records = Vec::new();
    let mut failure = None;
    while let Some(item) = capture.next() {
        assert!(capture.stats().is_balanced(), "{:?}", capture.stats());
        match item {
            Ok(record) => records.push(record),
            Err(error) => failure = Some(error),
        }
    }
    assert!(capture.stats().is_balanced(), "{:?}", capture.stats());
    (records, failure)
}

/// Reads bytes that must be readable to their end and returns frames and problems.
fn frames(bytes: &[u8], extension: Option<&str>) -> (Vec<TimedFrame>, Vec<String>) {
    let mut capture = from_bytes(bytes, extension).expect("a capture");
    let (records, failure) = drain(&mut capture);
    assert!(failure.is_none(), "{failure:?}");
    let problems = capture.stats().first_problems.iter().map(ToString::to_string).collect();
    (records.into_iter().filter_map(can).collect(), problems)
}

fn can(record: Record) -> Option<TimedFrame> {
    match record {
        Record::Can(frame) => Some(frame),
        Record::Ethernet { .. } | Record::CanXl(_) | Record::Lin(_) | Record::FlexRay(_) => None,
    }
}

fn standard(value: u32) -> CanId {
    CanId::standard(value).expect("test ids have eleven bits")
}

fn extended(value: u32) -> CanId {
    CanId::extended(value).expect("test ids have 29 bits")
}

fn dlc(code: u8) -> Dlc {
    Dlc::new(code).expect("below 16")
}

fn classic(id: CanId, data: &[u8]) -> Frame {
    Frame::classic(id, data).expect("fits")
}

fn timed(at: u64, bus: u8, frame: Frame) -> TimedFrame {
    TimedFrame { at: VehicleMicros(at), bus: BusId(bus), frame }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

/// One frame of every kind on two buses.
fn sample() -> Vec<TimedFrame> {
    let fd = FdFlags { brs: true, esi: false };
    vec![
        timed(0, 0, classic(standard(0x399), &[0xF0, 0x20])),
        timed(253, 1, classic(extended(0x18DA_F110), &[1, 2, 3, 4, 5, 6, 7, 8])),
        timed(1_000, 0, Frame::fd(standard(0x7FF), fd, &[7; 48]).expect("a CAN FD length")),
        timed(1_001, 0, Frame::remote(standard(0), dlc(3))),
        timed(2_000_000, 1, Frame::classic_with_dlc(standard(1), dlc(13), &[9; 8]).expect("fits")),
        timed(2_000_001, 0, classic(standard(2), &[])),
    ]
}

mod trc_files {
    use super::*;

    #[test]
    fn written_traces_come_back_in_both_versions() {
        let start = UnixMicros(1_647_534_175_922_000);
        for (version, frames) in
            [("2.1", sample()), ("2.0", sample().into_iter().filter(|f| f.bus == BusId(0)).collect())]
        {
            let mut bytes = Vec::new();
            write_trc(&mut bytes, start, &frames).expect("memory takes everything");
            let text = String::from_utf8_lossy(&bytes);
            assert!(text.starts_with(&format!(";$FILEVERSION={version}\n")), "{text}");
            let mut capture = from_bytes(&bytes, None).expect("a trace");
            let (records, failure) = drain(&mut capture);
            assert!(failure.is_none());
            assert_eq!(capture.stats().first_problems, []);
            assert_eq!(records.into_iter().filter_map(can).collect::<Vec<_>>(), frames);
            assert_eq!(capture.start(), Some(CaptureStart { at: start, is_utc: false }));
        }
    }

    #[test]
    fn version_1_files_differ_in_their_columns() {
        let cases = [
            (
                ";  no version line\n  1)  17535  00000100  2  00 01\n  2) 17540 FFFFFFFF 4 00 00 00 08 BUSHEAVY\n  3) 48937 0704 1 RTR\n",
                0,
            ),
            (
                ";$FILEVERSION=1.1\n 1) 17535.0 Rx 00000100 2 00 01 \n 2) 1.0 Warng FFFFFFFF 4 00 00 00 08 BUSHEAVY\n 3) 48937.0 Rx 0704 1 RTR\n",
                0,
            ),
            (
                ";$FILEVERSION=1.2\n 1) 17535.0 2 Rx 00000100 2 00 01\n 3) 48937.0 2 Rx 0704 1 RTR\n 4) 1.0 2 Error 0001 1 04\n",
                1,
            ),
            (
                ";$FILEVERSION=1.3\n 1) 17535.000 1 Tx 00000100 - 2 00 01\n 3) 48937.000 1 Rx 0704 - 1 RTR\n 4) 1.0 1 Warng FFFFFFFF - 4 00\n",
                0,
            ),
        ];
        for (text, bus) in cases {
            let (found, problems) = frames(text.as_bytes(), Some("trc"));
            assert_eq!(problems, [""; 0], "{text}");
            let expected = [
                timed(17_535_000, bus, classic(extended(0x100), &[0, 1])),
                timed(48_937_000, bus, Frame::remote(standard(0x704), dlc(1))),
            ];
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn bad_lines_are_named_and_the_rest_is_read() {
        let text = ";$FILEVERSION=2.0\n\
             1 0.100 DT 0100 Rx 2 00 01\n\
             2 0.200 DT 0800 Rx 2 00 01\n\
             3 0.300 DT 0100 Rx 3 00 01\n\
             4 0.400 DT 0100 Rx 2 00 01 02\n\
             5 0.500 DT 0100 Rx 9 00\n\
             6 x.500 DT 0100 Rx 1 00\n\
             7 0.700 ZZ 0100 Rx 1 00\n\
             8 0.800 DT 0100 Rx 1 0G\n\
             9 0.900\n\
             10 1.000 ST          Rx    00 00 00 08\n\
             11 1.100 ER          Rx 2 04 00\n\
             12 1.200 DT 0100 Rx 1 FF\n";
        let (found, problems) = frames(text.as_bytes(), None);
        let error = Frame::error(ErrorClass::BUS_ERROR, &[4, 0]).expect("fits");
        let expected = [
            timed(100, 0, classic(standard(0x100), &[0, 1])),
            timed(1100, 0, error),
            timed(1200, 0, classic(standard(0x100), &[0xFF])),
        ];
        assert_eq!(found, expected);
        let expected = [
            "line 3: identifier is wrong",
            "line 4: payload is shorter than its length",
            "line 5: payload is longer than its length",
            "line 6: length is wrong",
            "line 7: time is no number in range",
            "line 8: record type is unknown",
            "line 9: payload byte is no number",
            "line 10: fields are missing",
        ];
        assert_eq!(problems, expected);
    }

    #[test]
    fn an_unknown_version_is_refused_with_its_line() {
        let mut capture = from_bytes(b";$FILEVERSION=3.0\n1 0.1 DT 0100 Rx 0\n", None).expect("detected");
        let (_, failure) = drain(&mut capture);
        assert!(matches!(failure, Some(CaptureError::Version { line: 1, .. })), "{failure:?}");
    }
}

mod candump_files {
    use super::*;

    #[test]
    fn written_logs_come_back_with_error_frames() {
        let mut expected = sample();
        let class = ErrorClass::new(ErrorClass::NO_ACK.bits()).expect("29 bits");
        expected.push(timed(3_000_000, 1, Frame::error(class, &[0; 8]).expect("fits")));
        let start = UnixMicros(1_436_509_052_249_713);
        let mut bytes = Vec::new();
        write_candump(&mut bytes, start, &expected).expect("memory takes everything");
        let mut capture = from_bytes(&bytes, None).expect("a log");
        let (records, failure) = drain(&mut capture);
        assert!(failure.is_none());
        assert_eq!(capture.format(), Format::Candump);
        assert_eq!(records.into_iter().filter_map(can).collect::<Vec<_>>(), expected);
        assert_eq!(capture.start(), Some(CaptureStart { at: start, is_utc: true }));
    }

    #[test]
    fn the_console_form_is_read_too() {
        let text = " (0001.000001)  vcan0  123   [3]  11 22 33\n (0001.000002)  vcan0  12345678   [0]  remote request\n (0001.000003)  vcan1  123  [12]  00 01 02 03 04 05 06 07 08 09 0A 0B\n";
        let (found, problems) = frames(text.as_bytes(), None);
        assert_eq!(problems, [""; 0]);
        let bytes: Vec<u8> = (0..12).collect();
        let expected = [
            timed(0, 0, classic(standard(0x123), &[0x11, 0x22, 0x33])),
            timed(1, 0, Frame::remote(extended(0x1234_5678), dlc(0))),
            timed(2, 1, Frame::fd(standard(0x123), FdFlags::default(), &bytes).expect("a CAN FD length")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn bad_lines_are_named_and_times_that_run_back_are_counted() {
        let text = "(10.0) can0 123#11\n(9.0) can0 124#\n(11.0) can0 800#\n(12) can0 123#1\n(13) can0 123#001122334455667788\n(14) can0 123###0\n(15) can0\nnoise\n(16) can0 123##4112233445566778899\n";
        let mut capture = from_bytes(text.as_bytes(), None).expect("a log");
        let (records, _) = drain(&mut capture);
        assert_eq!((records.len(), capture.stats().early), (2, 1));
        assert_eq!(records[1].at(), VehicleMicros(0));
        let problems: Vec<String> = capture.stats().first_problems.iter().map(ToString::to_string).collect();
        let expected = [
            "line 3: identifier is wrong",
            "line 4: payload byte is no number",
            "line 5: length is wrong",
            "line 6: CAN XL frame is not supported here",
            "line 7: fields are missing",
            "line 8: time is no number in range",
            "line 9: length is wrong",
        ];
        assert_eq!(problems, expected);
    }
}

mod asc_files {
    use super::*;

    const HEAD: &str = "date Sam Sep 30 15:06:13.191 2017\r\nbase hex  timestamps absolute\r\ninternal events logged\r\n// version 9.0.0\r\n";

    #[test]
    fn every_kind_of_line_is_read() {
        let text = format!(
            "{HEAD}Begin Triggerblock Sam Sep 30 15:06:13.191 2017\r\n   0.000000 Start of measurement\r\n\
             0.5 CAN 1 Status:chip status error active\r\n\
             1.0 1  Statistic: D 0 R 0 XD 0 XR 0 E 0 O 0 B 0.00%\r\n\
             1.1 1 ErrorFrame ECC: 10100010\r\n\
             1.2 2 100 Tx r 8 Length = 17 BitCount = 14 ID = 88x\r\n\
             1.3 1 18EBFF00x Rx d 3 01 A0 0F Length = 273910 ID = 418119424x\r\n\
             1.4 1 3FF Tx d D 55 AA 01 02 03 04 05 06\r\n\
             1.5 CANFD 2 Rx 30a Some_Name 1 0 9 12 00 01 02 03 04 05 06 07 08 09 0a 0b 102203 133 303000 e0\r\n\
             1.6 CANFD 2 Tx 50005x 0 1 5 0 140000 73 200050 7a60\r\n\
             1.7 CANFD 3 Tx ErrorFrame Not Acknowledge error, dominant error flag fffe\r\n\
             1.8 CANFD 2 Rx 10 0 0 2 2 AA BB 102203 50 200040 0\r\n\
             End TriggerBlock\r\n"
        );
        let (found, problems) = frames(text.as_bytes(), None);
        assert_eq!(problems, [""; 0]);
        let bytes: Vec<u8> = (0..12).collect();
        let flags = FdFlags { brs: true, esi: false };
        let no_ack =
            ErrorClass::new(ErrorClass::BUS_ERROR.bits() | ErrorClass::NO_ACK.bits()).expect("29 bits");
        let long = Frame::classic_with_dlc(standard(0x3FF), dlc(13), &[0x55, 0xAA, 1, 2, 3, 4, 5, 6]);
        let expected = [
            timed(1_100_000, 0, Frame::error(ErrorClass::BUS_ERROR, &[]).expect("fits")),
            timed(1_200_000, 1, Frame::remote(standard(0x100), dlc(8))),
            timed(1_300_000, 0, classic(extended(0x18EB_FF00), &[1, 0xA0, 0x0F])),
            timed(1_400_000, 0, long.expect("fits")),
            timed(1_500_000, 1, Frame::fd(standard(0x30A), flags, &bytes).expect("a CAN FD length")),
            timed(1_600_000, 1, Frame::remote(extended(0x50005), dlc(5))),
            timed(1_700_000, 2, Frame::error(no_ack, &[]).expect("fits")),
            timed(1_800_000, 1, classic(standard(0x10), &[0xAA, 0xBB])),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn decimal_numbers_and_relative_times_follow_the_header() {
        let text = "date Thu Apr 28 10:44:52.480 pm 2022\nbase dec  timestamps relative\n 0.1 1 255 Rx d 2 16 32\n 0.2 1 256x Rx d 1 255\n";
        let mut capture = from_bytes(text.as_bytes(), None).expect("a log");
        let (records, _) = drain(&mut capture);
        let expected = [
            Record::Can(timed(100_000, 0, classic(standard(255), &[16, 32]))),
            Record::Can(timed(300_000, 0, classic(extended(256), &[255]))),
        ];
        assert_eq!(records, expected);
        let start = capture.start().expect("a date").at;
        assert_eq!(start.to_string(), "2022-04-28T22:44:52.480000Z");
    }

    #[test]
    fn german_and_english_dates_agree() {
        for (german, english) in [
            ("Sam Okt 30", "Sat Oct 30"),
            ("Die Mai 3", "Tue May 3"),
            ("Mit Mär 3", "Wed Mar 3"),
            ("Don Dez 9", "Thu Dec 9"),
        ] {
            let of = |day: &str| text::vector_date(&format!("{day} 15:06:13.191 2017"));
            assert!(of(german).is_some());
            assert_eq!(of(german), of(english));
        }
        assert_eq!(
            text::vector_date("Sat Sep 30 12:00:00 am 2017"),
            text::vector_date("Sat Sep 30 00:00:00 2017")
        );
        assert_eq!(text::vector_date("Sat Foo 30 12:00:00 2017"), None);
        assert_eq!(text::vector_date("Sat Sep 30 25:00:00 2017"), None);
    }

    #[test]
    fn bad_lines_are_named_and_the_rest_is_read() {
        let text = format!(
            "{HEAD}1.0 1 800 Rx d 1 00\r\n1.1 1 7FF Rx d 2 00\r\n1.2 1 7FF Rx z 1 00\r\nx 1 7FF Rx d 1 00\r\n1.4 HELLO\r\n1.5 CANFD 1 Rx 1 0 0 9 8 0 1 2 3 4 5 6 7 1 2 1000\r\n1.6 1 7FF Rx d 1 FF\r\n"
        );
        let (found, problems) = frames(text.as_bytes(), None);
        assert_eq!(found, [timed(1_600_000, 0, classic(standard(0x7FF), &[0xFF]))]);
        let expected = [
            "line 5: identifier is wrong",
            "line 6: payload is shorter than its length",
            "line 7: record type is unknown",
            "line 8: time is no number in range",
            "line 9: record type is unknown",
            "line 10: length is wrong",
        ];
        assert_eq!(problems, expected);
    }
}

mod packet_files {
    use super::*;

    fn socketcan(frame: &Frame, order: ByteOrder) -> Vec<u8> {
        frame.emit_socketcan(order, &mut [0; FRAME_FD_BYTES]).to_vec()
    }

    /// A pcap file of packets one millisecond apart.
    pub(super) fn pcap(link: u32, is_big: bool, is_nano: bool, packets: &[Vec<u8>]) -> Vec<u8> {
        let word = |value: u32| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut bytes = word(if is_nano { 0xA1B2_3C4D } else { 0xA1B2_C3D4 }).to_vec();
        for value in [0x0002_0004, 0, 0, 65_535, link] {
            bytes.extend(word(value));
        }
        for (index, packet) in (1u32..).zip(packets) {
            let length = u32::try_from(packet.len()).expect("short");
            let fraction = index * if is_nano { 1_000_000 } else { 1_000 };
            for value in [1_700_000_000, fraction, length, length] {
                bytes.extend(word(value));
            }
            bytes.extend(packet);
        }
        bytes
    }

    /// One pcapng block.
    fn block(is_big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
        let word = |value: u32| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
        let padded = body.len().next_multiple_of(4);
        let total = u32::try_from(padded + 12).expect("short");
        let mut bytes = [word(kind), word(total)].concat();
        bytes.extend(body);
        bytes.resize(8 + padded, 0);
        bytes.extend(word(total));
        bytes
    }

    /// Section, two interfaces (CAN in ns named can1, Ethernet in µs), a frame, a secrets block, a packet.
    pub(super) fn pcapng(is_big: bool) -> Vec<u8> {
        let word = |value: u32| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
        let half = |value: u16| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut section = word(0x1A2B_3C4D).to_vec();
        section.extend(half(1));
        section.extend(half(0));
        section.extend([0xFF; 8]);
        let mut can = [half(227), half(0)].concat();
        can.extend(word(0));
        can.extend([half(2), half(4)].concat());
        can.extend(b"can1");
        can.extend([half(9), half(1)].concat());
        can.extend([9, 0, 0, 0]);
        can.extend([half(0), half(0)].concat());
        let mut ethernet = [half(1), half(0)].concat();
        ethernet.extend(word(0));
        let packet = |interface: u32, ticks: u64, data: &[u8]| {
            let length = u32::try_from(data.len()).expect("short");
            let high = u32::try_from(ticks >> 32).expect("halved");
            let low = u32::try_from(ticks & 0xFFFF_FFFF).expect("halved");
            let mut body = [interface, high, low, length, length].map(word).concat();
            body.extend(data);
            body
        };
        let frame = socketcan(&classic(standard(0x123), &[1, 2, 3]), ByteOrder::Big);
        [
            block(is_big, 0x0A0D_0D0A, &section),
            block(is_big, 1, &can),
            block(is_big, 1, &ethernet),
            block(is_big, 6, &packet(0, 1_700_000_000_000_000_500, &frame)),
            block(is_big, 10, b"secrets"),
            block(is_big, 6, &packet(1, 1_700_000_000_000_700, &[0xEE; 60])),
            block(is_big, 6, &packet(7, 1, &[0; 4])),
            block(is_big, 3, &[word(4).to_vec(), frame[..4].to_vec()].concat()),
        ]
        .concat()
    }

    #[test]
    fn all_four_magic_numbers_and_both_orders_give_the_same_frames() {
        let expected = [classic(standard(0x0C1), &[1]), classic(standard(0x641), &[2, 0x10, 3])];
        for order in [ByteOrder::Big, ByteOrder::Little] {
            for (is_big, is_nano) in [(false, false), (false, true), (true, false), (true, true)] {
                let packets: Vec<Vec<u8>> = expected.iter().map(|frame| socketcan(frame, order)).collect();
                let (found, problems) = frames(&pcap(227, is_big, is_nano, &packets), None);
                assert_eq!(problems, [""; 0]);
                assert_eq!(found, [timed(0, 0, expected[0]), timed(1_000, 0, expected[1])]);
            }
        }
    }

    #[test]
    fn a_stated_order_is_not_second_guessed() {
        let packets = [socketcan(&classic(standard(0x641), &[1]), ByteOrder::Little)];
        let options = ReadOptions { id_order: IdOrder::Big, ..ReadOptions::default() };
        let bytes = pcap(227, false, false, &packets);
        let mut capture = read(Box::new(Cursor::new(bytes)), None, &options).expect("a capture");
        let (records, _) = drain(&mut capture);
        assert_eq!(records, []);
        assert_eq!(capture.stats().problems.get(&ProblemReason::Identifier), Some(&1));
    }

    #[test]
    fn cooked_captures_give_can_fd_and_rebuilt_ethernet() {
        let fd = Frame::fd(standard(0x123), FdFlags::default(), &[5; 12]).expect("a CAN FD length");
        let mut can = vec![0, 1, 1, 0x18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0D];
        can.extend(socketcan(&fd, ByteOrder::Big));
        let mut ether = vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0, 8, 0];
        ether.extend([0x45; 20]);
        let bytes = pcap(113, false, false, &[can, ether, vec![0; 15]]);
        let mut capture = from_bytes(&bytes, None).expect("a capture");
        let (records, _) = drain(&mut capture);
        assert_eq!(records[0], Record::Can(timed(0, 0, fd)));
        let mut expected = vec![0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 9, 8, 0];
        expected.extend([0x45; 20]);
        assert_eq!(records[1], Record::Ethernet { at: VehicleMicros(1000), bus: BusId(0), bytes: expected });
        assert_eq!(capture.stats().problems.get(&ProblemReason::Frame), Some(&1));
    }

    #[test]
    fn a_link_type_nobody_reads_is_counted() {
        let bytes = pcap(147, true, false, &[vec![1, 2, 3], vec![4]]);
        let (found, problems) = frames(&bytes, None);
        assert_eq!((found.len(), problems.len()), (0, 2));
        assert_eq!(problems[0], "byte 24: link type is not supported");
    }

    #[test]
    fn pcapng_interfaces_resolutions_and_unknown_blocks() {
        for is_big in [false, true] {
            let mut capture = from_bytes(&pcapng(is_big), None).expect("a capture");
            let (records, failure) = drain(&mut capture);
            assert!(failure.is_none(), "{failure:?}");
            assert_eq!(records[0], Record::Can(timed(0, 1, classic(standard(0x123), &[1, 2, 3]))));
            let Record::Ethernet { at, bus, bytes } = &records[1] else {
                panic!("Ethernet, got {records:?}")
            };
            assert_eq!((*at, *bus, bytes.len()), (VehicleMicros(700), BusId(0), 60));
            assert_eq!(records.len(), 2);
            let stats = capture.stats();
            assert_eq!(stats.skipped, 4, "section, two interfaces, secrets");
            assert_eq!(stats.problems.get(&ProblemReason::Interface), Some(&1));
            assert_eq!(stats.problems.get(&ProblemReason::DataMissing), Some(&1));
        }
    }

    #[test]
    fn every_cut_of_a_packet_file_ends_in_an_error_or_a_named_place() {
        let packets = [socketcan(&classic(standard(0x641), &[1]), ByteOrder::Big)];
        for whole in [pcap(227, false, false, &packets), pcapng(false)] {
            for end in 4..whole.len() {
                let Ok(mut capture) = from_bytes(&whole[..end], Some("pcap")) else { continue };
                let (_, failure) = drain(&mut capture);
                let cut = capture.stats().problems.get(&ProblemReason::Truncated).copied().unwrap_or(0);
                assert!(cut <= 1);
                let last = capture.stats().first_problems.last().copied();
                if let Some(Problem { place: Place::Offset(offset), .. }) = last {
                    assert!(offset < end as u64);
                }
                assert!(
                    failure.is_none() || matches!(failure, Some(CaptureError::Header { .. })),
                    "{failure:?}"
                );
            }
        }
        let whole = pcap(227, false, false, &packets);
        let (_, problems) = frames(&whole[..whole.len() - 1], None);
        assert_eq!(problems, ["byte 24: capture ends inside the record"]);
        assert!(matches!(from_bytes(&whole[..23], None), Err(CaptureError::Header { offset: 23, .. })));
    }

    #[test]
    fn an_impossible_length_ends_the_capture_with_its_place() {
        let mut bytes = pcap(227, false, false, &[vec![0; 16], vec![0; 16]]);
        bytes[24 + 32 + 8..24 + 32 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut capture = from_bytes(&bytes, None).expect("a capture");
        let (records, failure) = drain(&mut capture);
        assert_eq!(records.len(), 1, "what was before the damage comes out first");
        let expected = format!("record at byte 56 says impossible length {}", u32::MAX);
        assert_eq!(failure.map(|error| error.to_string()), Some(expected));
        let mut bytes = pcapng(false);
        let last = bytes.len() - 4;
        bytes[last] ^= 4;
        let (_, failure) = drain(&mut from_bytes(&bytes, None).expect("a capture"));
        assert!(matches!(failure, Some(CaptureError::Framing { .. })), "{failure:?}");
    }
}

mod bounds {
    use super::*;

    #[test]
    fn what_is_no_capture_says_why() {
        assert!(matches!(from_bytes(b"", Some("trc")), Err(CaptureError::Empty)));
        assert!(matches!(from_bytes(&gzip(b""), Some("trc")), Err(CaptureError::Empty)));
        assert!(matches!(from_bytes(b"hello\n", None), Err(CaptureError::UnknownFormat)));
        let mdf = from_bytes(b"MDF     4.10", Some("mf4"));
        assert!(matches!(mdf, Err(CaptureError::UnsupportedFormat { format: "ASAM MDF" })));
        assert!(matches!(from_bytes(b"LOGG\x90\0\0\0", Some("blf")), Err(CaptureError::Header { .. })));
        assert!(matches!(from_bytes(b"hello", Some("pcap")), Err(CaptureError::Header { offset: 0, .. })));
        let nowhere = open(Path::new("no/such/file.trc"), &ReadOptions::default());
        assert!(matches!(nowhere, Err(CaptureError::Io(_))));
    }

    #[test]
    fn a_file_of_headers_alone_has_no_frames_and_no_problems() {
        let (found, problems) = frames(b";$FILEVERSION=2.0\n;\n", None);
        assert_eq!((found, problems), (vec![], vec![]));
    }

    #[test]
    fn a_line_as_long_as_the_bound_is_read_and_a_longer_one_is_passed_over() {
        for (surplus, expected) in [(0, 0), (1, 1)] {
            let mut text = "(1.0) can0 123#11\n".to_owned();
            let line = "(2.0) can0 123#22";
            text.push_str(line);
            text.push_str(&" ".repeat(LINE_BYTES_MAX - line.len() + surplus));
            text.push_str("\n(3.0) can0 123#33\n");
            let (found, problems) = frames(text.as_bytes(), None);
            assert_eq!((found.len(), problems.len()), (3 - expected, expected));
        }
    }

    #[test]
    fn compressed_captures_are_read_and_a_cut_one_names_the_line() {
        let mut text = String::new();
        for index in 0..5000u32 {
            writeln!(
                text,
                "({}.{:06}) can0 {:03X}#{index:08X}",
                1 + index / 100,
                index * 7 % 1_000_000,
                index % 0x7FF
            )
            .expect("memory takes everything");
        }
        let packed = gzip(text.as_bytes());
        let (found, problems) = frames(&packed, None);
        assert_eq!((found.len(), problems.len()), (5000, 0));
        let (found, problems) = frames(&packed[..packed.len() / 2], None);
        assert!(found.len() < 5000 && found.len() > 100);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].ends_with("capture ends inside the record"), "{problems:?}");
        let mut damaged = packed.clone();
        let middle = damaged.len() / 2;
        for byte in &mut damaged[middle..middle + 64] {
            *byte ^= 0xFF;
        }
        let mut capture = from_bytes(&damaged, None).expect("the beginning is whole");
        let (_, failure) = drain(&mut capture);
        let stopped = failure.is_some() || capture.stats().problems_total() > 0;
        assert!(stopped, "damage must be seen: {:?}", capture.stats());
    }

    #[test]
    fn a_capture_longer_than_allowed_and_one_that_expands_too_far_are_stopped() {
        let text = "(1.0) can0 123#11\n".repeat(100);
        let options = ReadOptions { bytes_max: 900, ..ReadOptions::default() };
        let mut capture = read(Box::new(Cursor::new(text.into_bytes())), None, &options).expect("a capture");
        let (records, failure) = drain(&mut capture);
        assert_eq!(records.len(), 50);
        assert!(matches!(failure, Some(CaptureError::TooLarge { bytes_max: 900 })));
        let bomb = gzip(&[b"(1.0) can0 123#11\n".as_slice(), &vec![b'\n'; 40 << 20]].concat());
        let mut capture = from_bytes(&bomb, None).expect("a capture");
        let (_, failure) = drain(&mut capture);
        assert!(matches!(failure, Some(CaptureError::Expansion { .. })), "{failure:?}");
    }

    #[test]
    fn channels_keep_the_number_in_their_name_unless_it_is_taken() {
        let text = "(1.0) can1 123#\n(2.0) vcan1 123#\n(3.0) can0 123#\n(4.0) body 123#\n(5.0) can1 123#\n";
        let (found, _) = frames(text.as_bytes(), None);
        assert_eq!(found.iter().map(|frame| frame.bus.0).collect::<Vec<_>>(), [1, 0, 2, 3, 1]);
        let buses = [("body".to_owned(), BusId(9))].into();
        let options = ReadOptions { buses, first_bus: BusId(4), ..ReadOptions::default() };
        let mut capture =
            read(Box::new(Cursor::new(text.as_bytes().to_vec())), None, &options).expect("a log");
        let (records, _) = drain(&mut capture);
        let found: Vec<u8> = records.into_iter().filter_map(can).map(|frame| frame.bus.0).collect();
        assert_eq!(found, [5, 4, 6, 9, 5]);
    }
}

mod shared {
    use super::*;

    /// Returns the path of a shared file, or `None` after saying that it is not there.
    fn file(name: &str) -> Option<PathBuf> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data").join(name);
        if path.exists() {
            return Some(path);
        }
        super::super::super::skip(&format!("shared/data/{name}"));
        None
    }

    fn read_all(path: &Path) -> (Vec<Record>, CaptureStats) {
        let mut capture =
            open(path, &ReadOptions::default()).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let (records, failure) = drain(&mut capture);
        assert!(failure.is_none(), "{path:?}: {failure:?}");
        (records, capture.stats().clone())
    }

    #[test]
    fn the_eight_vehicle_traces_have_their_frames() {
        let traces = [
            ("chassis", 14_106),
            ("chassis-unlock", 9_456),
            ("chassis-horn-app", 6_654),
            ("chassis-light-app", 5_085),
            ("vehicle", 8_279),
            ("vehicle-lock", 19_512),
            ("vehicle-lock-app", 17_608),
            ("vehicle-horn-app", 8_478),
        ];
        for (name, expected) in traces {
            let Some(path) = file(&format!("can/tesla-model3/{name}.trc")) else { return };
            let (records, stats) = read_all(&path);
            assert_eq!((records.len(), stats.problems_total()), (expected, 0), "{name}");
            assert!(records.windows(2).all(|pair| pair[0].at() <= pair[1].at()));
        }
    }

    #[test]
    fn sample_files_of_trc_and_asc_are_read_without_problems() {
        let Some(folder) = file("formats") else { return };
        let mut count = 0;
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("a readable folder").path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if !matches!(extension, Some("trc" | "asc")) {
                continue;
            }
            let (records, stats) = read_all(&path);
            assert_eq!(stats.first_problems, [], "{path:?}");
            assert!(!records.is_empty(), "{path:?}");
            count += 1;
        }
        assert_eq!(count, 18);
    }

    #[test]
    fn sample_traces_have_eleven_frames_and_a_status_each() {
        for name in ["V1_0_BUS1", "V1_1", "V1_3", "V2_0_BUS1", "V2_1"] {
            let Some(path) = file(&format!("formats/test_CanMessage_{name}.trc")) else { return };
            let (records, stats) = read_all(&path);
            assert_eq!((records.len(), stats.skipped), (11, 1), "{name}");
            let last = records.last().cloned().and_then(can).expect("a CAN frame");
            assert_eq!(last.frame, Frame::remote(standard(0x704), dlc(1)));
        }
    }

    #[test]
    fn diagnostic_captures_have_their_frames() {
        let captures = [
            ("candump_uds_scanner", 9_434, true),
            ("candump_gmlan_scanner", 3_819, true),
            ("ecu_trace", 141, true),
            ("canfd", 4, true),
            ("doip", 172, false),
            ("doip_functional_request", 27, false),
            ("multiple_doip_layers", 2, false),
        ];
        for (name, expected, is_can) in captures {
            let Some(path) = file(&format!("diag/{name}.pcap.gz")) else { return };
            let (records, stats) = read_all(&path);
            assert_eq!((records.len(), stats.first_problems.first()), (expected, None), "{name}");
            assert!(records.iter().all(|record| matches!(record, Record::Can(_)) == is_can), "{name}");
        }
    }

    #[test]
    fn a_recorded_scan_gives_its_requests_and_refusals() {
        let Some(path) = file("diag/candump_uds_scanner.pcap.gz") else { return };
        let (records, _) = read_all(&path);
        let mut machine = Box::new(Reassembler::<4>::new());
        let (mut sessions, mut accesses, mut refusals) = (0, 0, 0);
        for timed in records.into_iter().filter_map(can) {
            let id = timed.frame.id();
            if id != CanId::standard(0x641) && id != CanId::standard(0x651) {
                continue;
            }
            let event = machine.receive(timed.at, timed.bus, &timed.frame, Addressing::Normal);
            let IsoTpEvent::Pdu(pdu) = event else { continue };
            // The scanner also asks for services without their sub-function.
            match Message::parse(pdu.payload) {
                Ok(Message::Negative { .. }) => refusals += 1,
                Ok(Message::Request(Request { service: ServiceId::DiagnosticSessionControl, .. }))
                | Err(UdsError::NoSubFunction { service: ServiceId::DiagnosticSessionControl }) => {
                    sessions += 1;
                }
                Ok(Message::Request(Request { service: ServiceId::SecurityAccess, .. }))
                | Err(UdsError::NoSubFunction { service: ServiceId::SecurityAccess }) => accesses += 1,
                Ok(_) | Err(_) => {}
            }
        }
        assert_eq!((refusals, sessions, accesses), (2519, 1295, 669));
        assert_eq!(machine.stats().rejected(), 0);
    }

    #[test]
    fn charging_captures_have_their_packets() {
        let captures = [
            ("benign/2024-10-24-tesla-successfull-precharge-and-chargeloop", 4_355),
            ("benign/2024-11-16-virtual-iso15118-20-with-PnC-with-keys", 593),
            ("benign/2024-12-02-tesla-successful-2kW-charging", 12_464),
            ("benign/2024-12-10-astrae-charge", 11_179),
            ("benign/2024-12-10-id4-discharge", 10_912),
            ("benign/2024-12-10-ioniq6-450V", 8_577),
            ("benign/2025-01-29-supercharger-successfull-charge-sniff", 1_027),
            ("attack/2024-07-23-tesla-precharge-spoofing-fails", 917),
            ("attack/2024-12-02-tesla-fake-power", 5_820),
            ("attack/2024-12-10-id4-fake-precharge", 3_375),
            ("attack/2025-01-27-first-successfull-mitm", 635),
            ("attack/2025-05-15-tesla-mitm-vin-spoof-fail2", 348),
            ("attack/2025-05-15-tesla-one-side-mitm", 391),
        ];
        for (name, expected) in captures {
            let Some(path) = file(&format!("v2g/{name}.pcapng")) else { return };
            let (records, stats) = read_all(&path);
            assert_eq!((records.len(), stats.first_problems.first()), (expected, None), "{name}");
        }
    }
}

#[test]
fn the_corpora_are_read_without_harm() {
    for (target, extension) in [
        ("capture_trc", "trc"),
        ("capture_candump", "log"),
        ("capture_asc", "asc"),
        ("capture_pcap", "pcap"),
        ("capture_table", "csv"),
        ("capture_keyed", "txt"),
        ("capture_busmaster", "log"),
        ("capture_blf", "blf"),
    ] {
        let count = super::super::corpus(target, |bytes| {
            if let Ok(mut capture) = from_bytes(bytes, Some(extension)) {
                drain(&mut capture);
            }
        });
        assert!(count >= 3, "{target} has {count} files");
    }
}

proptest! {
    #[test]
    fn any_bytes_under_any_extension_are_read_without_harm(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        extension in prop_oneof![Just("trc"), Just("log"), Just("asc"), Just("pcap"), Just("gz")],
    ) {
        if let Ok(mut capture) = from_bytes(&bytes, Some(extension)) {
            drain(&mut capture);
        }
    }

    #[test]
    fn damaged_packet_files_are_read_without_harm(at in 0usize..400, with in any::<u8>(), is_ng in any::<bool>()) {
        let frame = vec![0, 0, 1, 0x23, 2, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0];
        let mut bytes =
            if is_ng { packet_files::pcapng(true) } else { packet_files::pcap(227, false, true, &[frame.clone(), frame]) };
        let at = at % bytes.len();
        bytes[at] = with;
        if let Ok(mut capture) = from_bytes(&bytes, None) {
            drain(&mut capture);
        }
    }

    #[test]
    fn lines_of_plausible_words_are_read_without_harm(
        lines in proptest::collection::vec("[ 0-9A-FRxTdr#._()CANFDcan\\[\\]-]{0,60}", 0..20),
        head in prop_oneof![
            Just(";$FILEVERSION=2.1\n"), Just(";$FILEVERSION=1.1\n"), Just("base hex timestamps relative\n"), Just("(1.0) can0 1#\n"),
        ],
    ) {
        let text = format!("{head}{}", lines.join("\n"));
        let mut capture = from_bytes(text.as_bytes(), None).expect("the head tells the format");
        let (records, _) = drain(&mut capture);
        let is_short = |frame: TimedFrame| frame.frame.kind() == FrameKind::Fd || frame.frame.data().len() <= 8;
        prop_assert!(records.into_iter().filter_map(can).all(is_short));
    }

    #[test]
    fn written_frames_come_back(
        raw in proptest::collection::vec((0u64..1_000_000_000, 0u8..4, 0u32..0x7FF, any::<bool>(), 0u8..=15, any::<[u8; 64]>()), 1..20),
    ) {
        let mut frames: Vec<TimedFrame> = raw
            .into_iter()
            .map(|(at, bus, id, is_fd, code, data)| {
                let dlc = dlc(code);
                let frame = if is_fd {
                    Frame::fd(standard(id), FdFlags { brs: code & 1 != 0, esi: code & 2 != 0 }, &data[..dlc.fd_len()])
                } else {
                    Frame::classic_with_dlc(extended(id << 12), dlc, &data[..dlc.classic_len()])
                };
                timed(at, bus, frame.expect("lengths fit"))
            })
            .collect();
        frames.sort_by_key(|frame| frame.at);
        let mut trace = Vec::new();
        write_trc(&mut trace, UnixMicros(0), &frames).expect("memory takes everything");
        let is_same = |mut capture: Capture| {
            let (records, _) = drain(&mut capture);
            records.into_iter().filter_map(can).map(|frame| (frame.at, frame.frame)).collect::<Vec<_>>()
        };
        let expected: Vec<_> = frames.iter().map(|frame| (frame.at, frame.frame)).collect();
        prop_assert_eq!(is_same(from_bytes(&trace, None).expect("a trace")), expected.clone());
        let mut log = Vec::new();
        write_candump(&mut log, UnixMicros(7), &frames).expect("memory takes everything");
        let first = frames[0].at.0;
        let shifted: Vec<_> =
            expected.into_iter().map(|(at, frame)| (VehicleMicros(at.0 - first), frame)).collect();
        prop_assert_eq!(is_same(from_bytes(&log, None).expect("a log")), shifted);
    }
}
