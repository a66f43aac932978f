//! Tests of the readers of tables and of text with labels, and of BLF, over own fixtures and arbitrary bytes.

use std::io::Write as _;

use outrider_bus::can::{CanId, FdFlags, Frame, FrameKind};
use proptest::prelude::*;

use super::tests::{drain, from_bytes};
use super::*;

/// Time, identifier, payload, label of every frame; the format and the problems.
type Row = (u64, u32, Vec<u8>, Option<Option<String>>);

/// What reading came to.
struct Got {
    rows: Vec<Row>,
    format: Format,
    problems: Vec<String>,
    start: Option<CaptureStart>,
}

fn read_all(text: &str) -> Got {
    let mut capture =
        from_bytes(text.as_bytes(), Some("csv")).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut rows = Vec::new();
    while let Some(item) = capture.next() {
        if let Ok(Record::Can(timed)) = item {
            let label = capture.label().map(|label| label.map(str::to_owned));
            let id = timed.frame.id().map_or(0, CanId::value);
            rows.push((timed.at.0, id, timed.frame.data().to_vec(), label));
        }
        assert!(capture.stats().is_balanced());
    }
    let problems = capture.stats().first_problems.iter().map(ToString::to_string).collect();
    Got { rows, format: capture.format(), problems, start: capture.start() }
}

/// Two frames: 0x316 with eight bytes at the beginning, ordinary; 0x18F with two bytes 1.5 ms later, of an attack.
fn check(text: &str, has_labels: bool, class: &str) {
    let got = read_all(text);
    assert_eq!(got.problems, Vec::<String>::new(), "{text}");
    let label = |class: Option<&str>| has_labels.then(|| class.map(str::to_owned));
    let begin = got.rows.first().map_or(0, |row| row.0);
    assert_eq!(
        got.rows,
        [
            (begin, 0x316, vec![0x05, 0x21, 0x68, 0x09, 0x21, 0x21, 0x00, 0x6F], label(None)),
            (begin + 1500, 0x18F, vec![0xFE, 0x5B], label(Some(class))),
        ],
        "{text}"
    );
}

#[test]
fn published_tables_are_read_whatever_their_columns_are_called() {
    let cases = [
        // No header, the label behind as many bytes as there are.
        ("1478198376.389427,0316,8,05,21,68,09,21,21,00,6f,R\n1478198376.390927,018f,2,fe,5b,T\n", "attack"),
        // Challenge of 2020.
        (
            "Timestamp,Arbitration_ID,DLC,Data,Class,SubClass\n\
             1597759710.125800,316,8,05 21 68 09 21 21 00 6F,Normal,Normal\n\
             1597759710.127300,18F,2,FE 5B,Attack,Spoofing\n",
            "spoofing",
        ),
        (
            "timestamp,arbitration_id,data_field,attack\n1.0000,316,052168092121006F,0\n1.0015,18F,FE5B,1\n",
            "attack",
        ),
        (
            "time_us;can_id;dlc;d0;d1;d2;d3;d4;d5;d6;d7;flag\n\
             100;0x316;8;5;21;68;9;21;21;0;6f;0\n1600;0x18f;2;fe;5b;;;;;;;flooding\n",
            "flooding",
        ),
        // Absent bytes left out altogether.
        (
            "Timestamp,ID,DLC,DATA[0],DATA[1],DATA[2],DATA[3],DATA[4],DATA[5],DATA[6],DATA[7],Label\n\
             10.0,0316,8,05,21,68,09,21,21,00,6f,R\n10.0015,018f,2,fe,5b,T\n",
            "attack",
        ),
        (
            "time (ms)\tid\tlength\tpayload\ttype\n10.0\t0x316\t8\t0x052168092121006F\tbenign\n11.5\t0x18F\t2\t0xFE5B\tFuzzy\n",
            "fuzzy",
        ),
        ("0.000100 316 8 05 21 68 09 21 21 00 6f 0\n0.001600 18f 2 fe 5b 1\n", "attack"),
        ("0.000100,316,8,052168092121006f,normal\n0.001600,18f,2,fe5b,dos\n", "dos"),
        // Decimal numbers throughout.
        (
            "timestamp,id,dlc,b0,b1,b2,b3,b4,b5,b6,b7,label\n\
             1.0,790,8,5,33,104,9,33,33,0,111,BENIGN\n1.0015,399,2,254,91,,,,,,,DOS\n",
            "dos",
        ),
        // Dates.
        (
            "datetime,can_id,data,label\n2021-03-01 12:00:00.000,316,05 21 68 09 21 21 00 6F,0\n\
             2021-03-01T12:00:00.0015Z,18F,FE 5B,1\n",
            "attack",
        ),
    ];
    for (text, class) in cases {
        let decimal_too = "1.0,800,1,1,,,,,,,,BENIGN\n1.0,801,1,1,,,,,,,,BENIGN\n1.0,802,1,1,,,,,,,,BENIGN\n\
            1.0,803,1,1,,,,,,,,BENIGN\n1.0,804,1,1,,,,,,,,BENIGN\n1.0,805,1,1,,,,,,,,BENIGN\n";
        if text.contains("790") {
            // Decimal identifiers show only among many.
            let got = read_all(&format!("{text}{decimal_too}"));
            assert_eq!(got.problems, Vec::<String>::new());
            assert_eq!((got.rows[0].1, got.rows[1].1), (0x316, 0x18F));
            assert_eq!(got.rows[1].2, [0xFE, 0x5B]);
        } else {
            check(text, true, class);
        }
    }
}

#[test]
fn tables_of_recorders_are_read_with_their_channels_and_kinds() {
    let gvret = "Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8\n\
        166064000,00000316,false,Rx,0,8,05,21,68,09,21,21,00,6F,\n166065500,0000018F,false,Rx,0,2,FE,5B,\n";
    check(gvret, false, "");
    // python-can writes the payload in base64.
    let python = "timestamp,arbitration_id,extended,remote,error,dlc,data\n\
        100.0,0x316,0,0,0,8,BSFoCSEhAG8=\n100.0015,0x18f,0,0,0,2,/ls=\n";
    check(python, false, "");
    let kinds = "timestamp,id,extended,remote,fd,brs,channel,dlc,data\n\
        1.0,18DAF110,1,0,0,0,can1,1,01\n1.1,123,0,1,0,0,can0,4,\n1.2,123,0,0,1,1,can0,12,000102030405060708090A0B\n";
    let mut capture = from_bytes(kinds.as_bytes(), None).expect("a table");
    let (records, _) = drain(&mut capture);
    assert_eq!(capture.stats().first_problems, []);
    let frames: Vec<TimedFrame> = records
        .iter()
        .filter_map(|record| if let Record::Can(timed) = record { Some(*timed) } else { None })
        .collect();
    assert_eq!(frames[0].frame.id(), CanId::extended(0x18DA_F110));
    assert_eq!((frames[0].bus, frames[1].bus), (BusId(1), BusId(0)));
    assert_eq!((frames[1].frame.kind(), frames[1].frame.dlc().code()), (FrameKind::Remote, 4));
    assert_eq!(frames[2].frame.flags(), FdFlags { brs: true, esi: false });
}

#[test]
fn named_fields_candump_and_busmaster_lines_are_read() {
    let keyed = "Timestamp: 1479121434.850202        ID: 0316    000    DLC: 8    05 21 68 09 21 21 00 6f\n\
        Timestamp: 1479121434.851702        ID: 018f    000    DLC: 2    fe 5b\n";
    check(keyed, false, "");
    assert_eq!(read_all(keyed).format, Format::Keyed);
    assert_eq!(read_all(keyed).start.map(|start| start.at.0), Some(1_479_121_434_850_202));
    let candump = "(1.000000) can0 316#052168092121006F 0\n(1.001500) can0 18F#FE5B 1\n";
    check(candump, true, "attack");
    // A direction is no label.
    check("(1.000000) can0 316#052168092121006F R\n(1.001500) can0 18F#FE5B T\n", false, "");
    let busmaster = "***BUSMASTER Ver 2.4.0***\n***PROTOCOL CAN***\n***[START LOGGING SESSION]***\n\
        ***START DATE AND TIME 9:4:2015 12:59:22:389***\n***HEX***\n***SYSTEM MODE***\n\
        ***<Time><Tx/Rx><Channel><CAN ID><Type><DLC><DataBytes>***\n\
        23:59:59:9990 Rx 1 0x316 s 8 05 21 68 09 21 21 00 6F\n00:00:00:0005 Rx 1 0x18F s 2 FE 5B\n\
        ***[STOP LOGGING SESSION]***\n";
    check(busmaster, false, "");
    assert_eq!(read_all(busmaster).format, Format::BusMaster);
}

#[test]
fn bad_rows_are_named_and_the_rest_is_read() {
    let rows = [
        ("1.0,316,8,05 21 68 09 21 21 00 6F,0", None),
        ("x,316,1,05,0", Some("line 3: time is no number in range")),
        ("1.0,,1,05,0", Some("line 4: identifier is wrong")),
        ("1.0,FFFFFFFF,1,05,0", Some("line 5: identifier is wrong")),
        ("1.0,316,x,05,0", Some("line 6: length is wrong")),
        ("1.0,316,2,05,0", Some("line 7: payload is shorter than its length")),
        ("1.0,316,1,05 06,0", Some("line 8: payload is longer than its length")),
        ("1.0,316,1,0G,0", Some("line 9: payload byte is no number")),
        ("1.0,316,1,05,0", None),
    ];
    let lines: Vec<&str> = rows.iter().map(|(line, _)| *line).collect();
    let got = read_all(&format!("timestamp,id,dlc,data,label\n{}\n", lines.join("\n")));
    assert_eq!(got.rows.len(), 2);
    let expected: Vec<&str> = rows.iter().filter_map(|(_, problem)| *problem).collect();
    assert_eq!(got.problems, expected);
}

#[test]
fn a_table_without_a_time_or_identifier_is_no_capture() {
    for text in
        ["id,data_0,data_1,label\n65,1,2,BENIGN\n", "name,street\nx,y\n", "timestamp,speed,rpm\n1.0,2,3\n"]
    {
        assert!(
            matches!(from_bytes(text.as_bytes(), Some("csv")), Err(CaptureError::UnknownFormat)),
            "{text}"
        );
    }
}

#[test]
fn labels_are_ordinary_bare_or_named() {
    for word in ["0", "R", "Normal", "BENIGN", "", "attack_free", "False", "0.0"] {
        assert_eq!(class_of(word), None, "{word}");
    }
    for word in ["1", "T", "Attack", "true", "Malicious", "1.0"] {
        assert_eq!(class_of(word).as_deref(), Some("attack"), "{word}");
    }
    assert_eq!(class_of("Masquerade Speed").as_deref(), Some("masquerade speed"));
    assert_eq!(class_of(&"x".repeat(500)).map(|class| class.len()), Some(64));
    let mut labels = label::Labels::default();
    for number in 0..300 {
        labels.set([format!("class {number}").as_str()].into_iter());
    }
    assert_eq!(
        labels.current.flatten().map(|index| labels.class(index).to_owned()).as_deref(),
        Some("other")
    );
}

/// One object of a BLF file.
fn object(kind: u32, nanos: u64, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(32 + body.len()).expect("small");
    let mut bytes = b"LOBJ".to_vec();
    bytes.extend(32u16.to_le_bytes());
    bytes.extend(1u16.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(2u32.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(nanos.to_le_bytes());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A BLF file whose objects are cut into containers of `piece` bytes.
fn blf(objects: &[Vec<u8>], piece: usize, compressed: bool) -> Vec<u8> {
    let mut file = b"LOGG".to_vec();
    file.extend(144u32.to_le_bytes());
    file.resize(40, 0);
    for word in [2024u16, 12, 2, 31, 14, 9, 40, 222] {
        file.extend(word.to_le_bytes());
    }
    file.resize(144, 0);
    for piece in objects.concat().chunks(piece) {
        let packed = if compressed {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(piece).expect("memory takes everything");
            encoder.finish().expect("memory takes everything")
        } else {
            piece.to_vec()
        };
        let length = u32::try_from(32 + packed.len()).expect("small");
        file.extend(b"LOBJ");
        file.extend(16u16.to_le_bytes());
        file.extend(1u16.to_le_bytes());
        file.extend(length.to_le_bytes());
        file.extend(10u32.to_le_bytes());
        file.extend(if compressed { 2u16 } else { 0 }.to_le_bytes());
        file.extend([0; 6]);
        file.extend(u32::try_from(piece.len()).expect("small").to_le_bytes());
        file.extend([0; 4]);
        file.extend(packed);
        file.resize(file.len().next_multiple_of(4), 0);
    }
    file
}

fn blf_objects() -> Vec<Vec<u8>> {
    let classic = [1, 0, 0, 8, 0x16, 0x03, 0, 0, 5, 0x21, 0x68, 9, 0x21, 0x21, 0, 0x6F];
    let extended = [2, 0, 0, 1, 0x10, 0xF1, 0xDA, 0x98, 7, 0, 0, 0, 0, 0, 0, 0];
    let remote = [1, 0, 0x80, 4, 0x16, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut fd = vec![1, 0, 0, 9, 0x23, 1, 0, 0, 0, 0, 0, 0, 0, 3, 12, 0, 0, 0, 0, 0];
    fd.extend([9; 64]);
    let mut fd_64 = vec![1, 9, 12, 0, 0x24, 1, 0, 0, 0, 0, 0, 0, 0, 0x30, 0, 0];
    fd_64.resize(40, 0);
    fd_64.extend([8; 12]);
    vec![
        object(86, 1_000_000, &classic),
        object(1, 2_000_000, &extended),
        object(65, 2_500_000, &[0; 20]),
        object(1, 3_000_000, &remote),
        object(100, 4_000_000, &fd),
        object(101, 5_000_000, &fd_64),
        object(73, 6_000_000, &[1, 0, 0, 0]),
    ]
}

#[test]
fn blf_objects_are_read_across_containers_of_any_size() {
    let objects = blf_objects();
    for (piece, compressed) in [(10_000, true), (100, true), (37, false), (1, false)] {
        let bytes = blf(&objects, piece, compressed);
        let mut capture = from_bytes(&bytes, None).expect("a log");
        let (records, failure) = drain(&mut capture);
        assert!(failure.is_none(), "{failure:?} {piece}");
        assert_eq!(capture.stats().first_problems, [], "{piece}");
        assert_eq!((capture.stats().frames, capture.stats().skipped), (6, 1), "{piece}");
        let frames: Vec<TimedFrame> = records
            .iter()
            .filter_map(|record| if let Record::Can(timed) = record { Some(*timed) } else { None })
            .collect();
        let classic = Frame::classic(
            CanId::standard(0x316).expect("11 bits"),
            &[5, 0x21, 0x68, 9, 0x21, 0x21, 0, 0x6F],
        );
        assert_eq!(Ok(frames[0].frame), classic);
        assert_eq!((frames[0].at.0, frames[1].bus), (1000, BusId(1)));
        assert_eq!(frames[1].frame.id(), CanId::extended(0x18DA_F110));
        assert_eq!(frames[2].frame.kind(), FrameKind::Remote);
        assert_eq!((frames[3].frame.data().len(), frames[3].frame.flags().brs), (12, true));
        assert_eq!((frames[4].frame.data(), frames[4].frame.flags().brs), (&[8u8; 12][..], true));
        assert_eq!(frames[5].frame.kind(), FrameKind::Error);
        assert!(capture.start().is_some_and(|start| !start.is_utc && start.at.0 == 1_735_654_180_222_000));
    }
}

#[test]
fn a_blf_container_that_expands_too_far_is_passed_over() {
    let bomb = vec![object(86, 0, &vec![0; 9 * 1024 * 1024])];
    let bytes = blf(&bomb, 9 * 1024 * 1024 + 64, true);
    assert!(bytes.len() < 100_000);
    let mut capture = from_bytes(&bytes, None).expect("a log");
    drain(&mut capture);
    assert_eq!(
        capture.stats().first_problems.first().map(|problem| problem.reason),
        Some(ProblemReason::RecordTooLong)
    );
}

#[test]
fn every_cut_of_a_blf_file_ends_in_an_error_or_a_count() {
    let bytes = blf(&blf_objects(), 90, true);
    for end in 0..bytes.len() {
        if let Ok(mut capture) = from_bytes(&bytes[..end], Some("blf")) {
            drain(&mut capture);
        }
    }
}

/// Writes the files that fuzzing starts from; run with `--ignored` after a format changed.
#[test]
#[ignore = "writes the corpora of the fuzz targets"]
fn corpora() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus");
    let put = |target: &str, name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(folder.join(target)).expect("a folder");
        std::fs::write(folder.join(target).join(name), bytes).expect("a file");
    };
    put("capture_blf", "one_container.blf", &blf(&blf_objects(), 10_000, true));
    put("capture_blf", "cut_objects.blf", &blf(&blf_objects(), 37, false));
    let mut long = blf(&blf_objects(), 10_000, false);
    long[144 + 8..144 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    put("capture_blf", "impossible_length.blf", &long);
}

proptest! {
    #[test]
    fn damaged_blf_files_are_read_without_harm(at in 0usize..2000, with in any::<u8>(), compressed in any::<bool>()) {
        let mut bytes = blf(&blf_objects(), 64, compressed);
        let at = at % bytes.len();
        bytes[at] = with;
        if let Ok(mut capture) = from_bytes(&bytes, None) {
            drain(&mut capture);
        }
    }

    #[test]
    fn tables_of_plausible_cells_are_read_without_harm(
        rows in proptest::collection::vec("[-0-9A-Fa-fx.,;: \"RTe\\[\\]]{0,60}", 0..20),
        head in prop_oneof![
            Just("timestamp,id,dlc,data,label\n"), Just("time;id;d0;d1;class\n"), Just("1.0,316,1,05,R\n"),
            Just("Timestamp: 1.0 ID: 0316 000 DLC: 1 05\n"), Just("***BUSMASTER Ver 2***\n"), Just("1.0 316 1 05 T\n"),
            Just("t,id,extended,remote,fd,bus,length,payload\n"),
        ],
    ) {
        let text = format!("{head}{}", rows.join("\n"));
        let mut capture = from_bytes(text.as_bytes(), None).expect("the head tells the format");
        drain(&mut capture);
    }

    #[test]
    fn a_written_table_comes_back(
        raw in proptest::collection::vec((0u64..10_000_000_000, 0u32..0x800, proptest::collection::vec(any::<u8>(), 0..9), any::<bool>()), 1..30),
    ) {
        use std::fmt::Write as _;
        let mut text = String::from("timestamp,can_id,dlc,data,label\n");
        for (at, id, data, attack) in &raw {
            let hex: String = data.iter().fold(String::new(), |mut text, byte| { let _ = write!(text, "{byte:02X}"); text });
            let _ = writeln!(text, "{}.{:06},0x{id:03X},{},{hex},{}", at / 1_000_000, at % 1_000_000, data.len(), u8::from(*attack));
        }
        let got = read_all(&text);
        prop_assert_eq!(got.problems, Vec::<String>::new());
        let expected: Vec<_> = raw.into_iter().map(|(at, id, data, attack)| {
            (at, id, data, Some(attack.then(|| "attack".to_owned())))
        }).collect();
        prop_assert_eq!(got.rows, expected);
    }
}
