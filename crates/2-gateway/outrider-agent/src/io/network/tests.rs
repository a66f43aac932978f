//! Tests of the import over small networks written for them, damaged ones and arbitrary bytes.

use std::fmt::Write as _;
use std::path::Path;

use outrider_bus::can::{ByteOrder, CanId};
use outrider_bus::e2e::{DataIdMode, Profile1, Profile2, Profile4, Profile5, Protection};
use outrider_bus::secoc::Layout;
use outrider_ids::model::protection::Guard;
use proptest::prelude::*;

use super::*;
use crate::io::dbc::{DbcValueKind, Multiplex};

const ARXML: &str = include_str!("fixtures/small.arxml");
const FIBEX: &str = include_str!("fixtures/small-fibex.xml");
const LDF: &str = include_str!("fixtures/small.ldf");

fn read(text: &str) -> Description {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn line_of(text: &str, what: &str) -> u64 {
    let at = text.find(what).expect("the fixture has it");
    text[..at].matches('\n').count() as u64 + 1
}

fn problems(description: &Description) -> Vec<(u64, String, Reason)> {
    assert_eq!(description.problems_total, description.problems.len() as u64);
    let one = |problem: &Problem| (problem.place.line, problem.element.clone(), problem.reason);
    description.problems.iter().map(one).collect()
}

#[test]
fn frames_signals_cycles_and_senders_come_out_of_arxml() {
    let description = read(ARXML);
    assert_eq!(description.format, Format::Arxml);
    assert_eq!(description.nodes, ["Brake"]);
    let clusters: Vec<_> =
        description.clusters.iter().map(|one| (one.name.as_str(), one.medium, one.bit_rate)).collect();
    let expected = [
        ("Chassis", Medium::Can, Some(500_000)),
        ("Backbone", Medium::FlexRay, None),
        ("Ethernet", Medium::Ethernet, None),
    ];
    assert_eq!(clusters, expected);
    let [status, secured, flexray] = description.frames.as_slice() else {
        panic!("three frames, got {:?}", description.frames)
    };
    assert_eq!(status.key, FrameKey::Can(CanId::standard(256).expect("small")));
    assert_eq!((status.bytes, status.cycle_us, status.is_fd), (8, Some(20_000), false));
    assert_eq!(status.senders, ["Brake"]);
    let [pressure, temperature] = status.signals.as_slice() else { panic!("{:?}", status.signals) };
    assert_eq!((pressure.start_bit, pressure.bits, pressure.order), (0, 12, ByteOrder::Little));
    assert_eq!((pressure.unit.as_str(), pressure.min, pressure.max), ("bar", -1.0, 399.0));
    assert_eq!(pressure.values.get(&4095).map(String::as_str), Some("not & available"));
    assert_eq!(temperature.kind, DbcValueKind::Signed);
    // 0x0E8 = 232 -> 22.2 bar; 0xF6 = -10.
    let payload = [0xE8, 0x00, 0xF6, 0, 0, 0, 0, 0];
    assert!((pressure.physical(&payload).expect("inside") - 22.2).abs() < 1e-9);
    assert_eq!(temperature.physical(&payload), Some(-10.0));
    assert_eq!(secured.key, FrameKey::Can(CanId::extended(0x18FF_1234).expect("29 bits")));
    assert!(secured.is_fd);
    let selector = secured.signals.first().expect("a selector");
    assert_eq!((selector.start_bit, selector.multiplex), (72, Multiplex::Selector), "behind two bytes");
    assert_eq!(
        secured.signals.get(1).map(|one| (one.start_bit, one.multiplex)),
        Some((16, Multiplex::Selected(5)))
    );
    assert_eq!(flexray.key, FrameKey::FlexRay { slot: 17, base_cycle: 1, repetition: 4 });
}

#[test]
fn services_protections_and_security_events_come_out_of_arxml() {
    let description = read(ARXML);
    let [service, camera] = description.services.as_slice() else { panic!("{:?}", description.services) };
    let address = Some("192.0.2.7".parse().expect("an address"));
    let offer = Offer { instance: Some(1), address, is_udp: true, port: 30_501 };
    assert_eq!((camera.service_id, &camera.offers), (Some(0x2222), &[offer].into()));
    assert_eq!(camera.event_groups.get(&2).map(String::as_str), Some("Frames"));
    assert_eq!(camera.events.get(&0x8002).map(String::as_str), Some("PictureFrame"), "by its header");
    assert_eq!((service.service_id, service.provided.contains(&7)), (Some(0x1111), true));
    assert_eq!(service.methods.get(&1).map(String::as_str), Some("Lock"));
    assert_eq!(service.events.get(&0x8001).map(String::as_str), Some("Opened"));
    assert_eq!(service.event_groups.get(&4).map(String::as_str), Some("All"));
    let [e2e] = description.protections.as_slice() else { panic!("{:?}", description.protections) };
    assert_eq!((e2e.profile.as_str(), e2e.pdu.as_str()), ("PROFILE_01", "P_Status"));
    assert_eq!((e2e.data_ids.as_slice(), e2e.counter_bit, e2e.crc_bit), (&[513][..], Some(8), Some(0)));
    let [secured] = description.secured.as_slice() else { panic!("{:?}", description.secured) };
    assert_eq!((secured.data_id, secured.payload.as_deref()), (Some(4660), Some("P_Mux")));
    let freshness = (secured.freshness_bits, secured.freshness_tx_bits, secured.auth_tx_bits);
    assert_eq!(freshness, (Some(64), Some(8), Some(24)));
    let [mac, custom] = description.security_events.as_slice() else {
        panic!("{:?}", description.security_events)
    };
    assert_eq!((mac.id, mac.symbol.as_deref()), (Some(300), Some("SECOC_SEV_MAC_VERIFICATION_FAILED")));
    let context = mac.contexts.first().expect("one mapping");
    assert_eq!((context.sensor, context.severity.as_deref()), (Some(2), Some("7")));
    assert_eq!((context.reporting_mode.as_deref(), context.is_persistent), (Some("DETAILED"), Some(true)));
    assert_eq!((custom.id, custom.contexts.len()), (Some(33_000), 0));
}

#[test]
fn what_arxml_is_not_understood_is_named_with_place_reason_and_count() {
    let description = read(ARXML);
    let expected = [
        (line_of(ARXML, "/Demo/Nowhere"), "FRAME-REF".to_owned(), Reason::Dangling),
        (line_of(ARXML, "<SHORT-NAME>FT_Wrong") - 1, "CAN-FRAME-TRIGGERING".to_owned(), Reason::Value),
        (line_of(ARXML, "<SHORT-NAME>Again") - 1, "SECURITY-EVENT-DEFINITION".to_owned(), Reason::Duplicate),
    ];
    assert_eq!(problems(&description), expected);
    let connection = description.not_understood.get("DIAGNOSTIC-CONNECTION").expect("two of them");
    assert_eq!((connection.count, connection.first.line), (2, line_of(ARXML, "<DIAGNOSTIC-CONNECTION>")));
    assert_eq!(connection.first.column, 9);
    assert!(description.not_understood.contains_key("SECURE-COMMUNICATION-PROPS-SET"));
    for understood in ["SHORT-NAME", "CAN-FRAME", "I-SIGNAL", "COMPU-SCALE", "AR-PACKAGES", "ECU-INSTANCE"] {
        assert!(!description.not_understood.contains_key(understood), "{understood}");
    }
    let text = text(&description);
    assert!(
        text.contains("2 can frames, 1 with a cycle") && text.contains("DIAGNOSTIC-CONNECTION: 2 not used"),
        "{text}"
    );
    let json = json(&description);
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["frames"][1]["key"]["can_id"], 0x18FF_1234);
}

#[test]
fn slots_cycles_frames_and_signals_come_out_of_fibex() {
    let description = read(FIBEX);
    assert_eq!(
        (description.format, description.nodes.as_slice()),
        (Format::Fibex, &["Engine".to_owned()][..])
    );
    let [torque, lights] = description.frames.as_slice() else { panic!("{:?}", description.frames) };
    assert_eq!(torque.key, FrameKey::FlexRay { slot: 42, base_cycle: 0, repetition: 2 });
    assert_eq!(
        (torque.cluster.as_str(), torque.senders.as_slice()),
        ("Backbone", &["Engine".to_owned()][..])
    );
    let signal = torque.signals.first().expect("one signal");
    assert_eq!((signal.start_bit, signal.bits, signal.order), (71, 16, ByteOrder::Big));
    let mut payload = [0; 16];
    payload[8..10].copy_from_slice(&(-200i16).to_be_bytes());
    assert_eq!((signal.physical(&payload), signal.unit.as_str()), (Some(-100.0), "Nm"));
    assert_eq!(lights.key, FrameKey::Can(CanId::standard(801).expect("small")));
    assert_eq!((lights.bytes, lights.cycle_us), (2, Some(100_000)));
    let mut expected = [
        (line_of(FIBEX, "\"cl3\""), "CLUSTER".to_owned(), Reason::Unsupported),
        (line_of(FIBEX, "<fx:SLOT-ID>43") - 1, "ABSOLUTELY-SCHEDULED-TIMING".to_owned(), Reason::Value),
        (line_of(FIBEX, "\"ft2\""), "FRAME-TRIGGERING".to_owned(), Reason::Missing),
        (line_of(FIBEX, "\"nobody\""), "SIGNAL-REF".to_owned(), Reason::Dangling),
        (line_of(FIBEX, "\"fr2\">"), "FRAME".to_owned(), Reason::Outside),
    ];
    let mut found = problems(&description);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    assert!(description.not_understood.contains_key("MULTIPLEXER"));
}

#[test]
fn nodes_frames_schedules_and_encodings_come_out_of_ldf() {
    let description = read(LDF);
    assert_eq!(description.format, Format::Ldf);
    assert_eq!(description.nodes, ["DoorMaster", "WindowLeft", "WindowRight"]);
    assert_eq!(description.clusters[0].bit_rate, Some(19_200));
    assert_eq!(description.clusters[0].name, "LIN_Door");
    let frames: Vec<_> =
        description.frames.iter().map(|one| (one.name.as_str(), one.key, one.bytes, one.cycle_us)).collect();
    let expected = [
        ("WindowStatus", FrameKey::Lin(0x11), 4, Some(20_000)),
        ("WindowControl", FrameKey::Lin(18), 1, Some(40_000)),
        ("WindowSerial", FrameKey::Lin(50), 8, None),
        ("MasterReq", FrameKey::Lin(0x3C), 8, Some(20_000)),
    ];
    assert_eq!(frames, expected);
    assert_eq!(description.frames[0].senders, ["WindowLeft"]);
    let position = &description.frames[0].signals[0];
    assert_eq!((position.physical(&[200, 0, 0, 0]), position.unit.as_str()), (Some(100.0), "percent"));
    assert_eq!(position.values.get(&255).map(String::as_str), Some("invalid"));
    assert_eq!(position.receivers, ["DoorMaster"]);
    let current = &description.frames[0].signals[1];
    assert_eq!((current.start_bit, current.bits, current.max), (8, 10, 90.0));
    let schedules: Vec<_> =
        description.schedules.iter().map(|one| (one.name.as_str(), one.entries.len())).collect();
    assert_eq!(schedules, [("Normal", 3), ("Diagnostic", 2)]);
}

#[test]
fn what_an_ldf_file_says_in_vain_is_listed_by_line() {
    let description = read(LDF);
    let expected = [
        (line_of(LDF, "bcd_value;"), "Signal_encoding_types".to_owned(), Reason::Unsupported),
        (line_of(LDF, "  Current: WindowCurrent"), "Signal_representation".to_owned(), Reason::Dangling),
    ];
    assert_eq!(problems(&description), expected);
    let passed: Vec<_> = description.not_understood.keys().map(String::as_str).collect();
    assert_eq!(passed, ["Node_attributes"]);
    let cases = [
        ("  WindowPosition: 8,", "  WindowPosition: 65,", "Signals", Reason::Value),
        ("WindowControl: 18,", "WindowControl: 64,", "Frames", Reason::Value),
        ("WindowControl: 18,", "WindowControl: 0x11,", "Frames", Reason::Duplicate),
        ("    WindowCurrent, 8;", "    WindowCurrent, 30;", "Frames", Reason::Outside),
        ("    WindowCurrent, 8;", "    Other, 8;", "Frames", Reason::Dangling),
    ];
    for (from, to, element, reason) in cases {
        let damaged = LDF.replace(from, to);
        assert_ne!(damaged, LDF);
        let found = problems(&read(&damaged));
        assert!(found.iter().any(|one| one.1 == element && one.2 == reason), "{to}: {found:?}");
    }
}

#[test]
fn bombs_depth_and_broken_xml_are_refused_with_their_place() {
    let bomb = "<?xml version=\"1.0\"?>\n<!DOCTYPE x [<!ENTITY a \"aaaa\">]>\n<AUTOSAR>&a;</AUTOSAR>";
    let mut wide = "<AUTOSAR".to_owned();
    for number in 0..=xml::ATTRIBUTES_MAX {
        let _ = write!(wide, " a{number}=\"1\"");
    }
    let deep = "<AUTOSAR>".to_owned() + &"<a>".repeat(xml::DEPTH_MAX);
    let shallow = "<AUTOSAR>".to_owned()
        + &"<a>".repeat(xml::DEPTH_MAX - 1)
        + &"</a>".repeat(xml::DEPTH_MAX - 1)
        + "</AUTOSAR>";
    let cases: [(&str, u64, u64, &str); 8] = [
        (bomb, 2, 1, "document type definitions are refused"),
        ("<AUTOSAR>\n &unknown;</AUTOSAR>", 2, 2, "entity"),
        (&deep, 1, 10 + 3 * (xml::DEPTH_MAX as u64 - 1), "levels"),
        (&(wide + "/>"), 1, 1, "attributes"),
        ("<AUTOSAR>\n\n  <a></b></AUTOSAR>", 3, 6, ""),
        ("<AUTOSAR><a>", 1, 13, "no end"),
        ("<AUTOSAR/><AUTOSAR/>", 1, 11, "second root"),
        ("<AUTOSAR", 1, 1, ""),
    ];
    for (text, line, column, expected) in cases {
        match parse(text.as_bytes()) {
            Err(DescriptionError::Xml { place, reason }) => {
                assert_eq!((place.line, place.column), (line, column), "{reason}");
                assert!(reason.contains(expected), "{reason}");
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
    assert!(parse(shallow.as_bytes()).is_ok(), "one level less");
    assert!(matches!(parse(b"<html/>"), Err(DescriptionError::Root { .. })));
    assert!(matches!(parse(b""), Err(DescriptionError::Empty)));
    assert!(matches!(parse(b"\xFF\xFE\x00\xD8"), Err(DescriptionError::Encoding)));
    let place = |line, column| Place { line, column };
    for (text, expected) in [
        ("LIN_description_file;\nNodes {", place(2, 1)),
        ("LIN_description_file;\n }", place(2, 2)),
        ("LIN_description_file;\nA = \"x", place(2, 5)),
        ("LIN_description_file;\n/* x", place(2, 1)),
        ("LIN_description_file;\nA { b: 1 }", place(2, 1)),
        ("LIN_description_file;\nA { b: 1; c }", place(2, 11)),
        ("LIN_description_file;\nA {b: 1, {0;", place(2, 10)),
    ] {
        match parse(text.as_bytes()) {
            Err(DescriptionError::Ldf { place, .. }) => assert_eq!(place, expected, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn elements_that_everything_refers_to_cost_no_more_than_the_budget() {
    // 3,000 triggerings of one frame with 3,000 signals would be nine million signals.
    let mut text =
        "<AUTOSAR><CAN-CLUSTER><SHORT-NAME>C</SHORT-NAME><CAN-CLUSTER-VARIANTS><CAN-CLUSTER-CONDITIONAL>\
        <PHYSICAL-CHANNELS><CAN-PHYSICAL-CHANNEL><FRAME-TRIGGERINGS>"
            .to_owned();
    for number in 0..3000 {
        let _ = write!(
            text,
            "<CAN-FRAME-TRIGGERING><FRAME-REF>/F</FRAME-REF><IDENTIFIER>{}</IDENTIFIER>\
            </CAN-FRAME-TRIGGERING>",
            number % 2048
        );
    }
    text += "</FRAME-TRIGGERINGS></CAN-PHYSICAL-CHANNEL></PHYSICAL-CHANNELS></CAN-CLUSTER-CONDITIONAL>\
        </CAN-CLUSTER-VARIANTS></CAN-CLUSTER><CAN-FRAME><SHORT-NAME>F</SHORT-NAME><FRAME-LENGTH>64</FRAME-LENGTH>\
        <PDU-TO-FRAME-MAPPINGS><PDU-TO-FRAME-MAPPING><PDU-REF>/P</PDU-REF></PDU-TO-FRAME-MAPPING>\
        </PDU-TO-FRAME-MAPPINGS></CAN-FRAME><I-SIGNAL><SHORT-NAME>S</SHORT-NAME><LENGTH>1</LENGTH></I-SIGNAL>\
        <I-SIGNAL-I-PDU><SHORT-NAME>P</SHORT-NAME><I-SIGNAL-TO-PDU-MAPPINGS>";
    for _ in 0..3000 {
        text += "<I-SIGNAL-TO-I-PDU-MAPPING><I-SIGNAL-REF>/S</I-SIGNAL-REF><START-POSITION>1</START-POSITION>\
            </I-SIGNAL-TO-I-PDU-MAPPING>";
    }
    text += "</I-SIGNAL-TO-PDU-MAPPINGS></I-SIGNAL-I-PDU></AUTOSAR>";
    let description = read(&text);
    let signals: usize = description.frames.iter().map(|frame| frame.signals.len()).sum();
    assert!((1..=400_000).contains(&signals), "{signals} signals");
    assert!(description.problems.iter().any(|one| one.detail.contains("too much work")), "it is said");
}

#[test]
fn utf_16_and_a_byte_order_mark_are_read() {
    let wide: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(ARXML.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(parse(&wide).expect("UTF-16").frames.len(), 3);
    let marked = [b"\xEF\xBB\xBF", ARXML.as_bytes()].concat();
    assert_eq!(parse(&marked).expect("a mark").frames.len(), 3);
}

#[test]
fn a_dbc_file_is_described_in_the_same_words_and_learned_from_unchanged() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../content/vehicles/outrider-demo.dbc");
    let bytes = std::fs::read(path).expect("the demo network is part of the repository");
    let description = parse(&bytes).expect("a DBC file");
    let dbc = crate::io::dbc::parse(&bytes).expect("a DBC file");
    assert_eq!(description.format, Format::Dbc);
    assert_eq!(description.frames.len(), dbc.messages.len());
    assert_eq!(description.into_can(), dbc);
}

#[test]
fn every_format_gives_the_learner_its_can_part_only() {
    let can = read(ARXML).into_can();
    let messages: Vec<_> =
        can.messages.iter().map(|one| (one.name.as_str(), one.bytes, one.cycle_ms)).collect();
    assert_eq!(messages, [("F_Status", 8, Some(20)), ("F_Secured", 32, None)]);
    assert_eq!(read(FIBEX).into_can().messages.len(), 1);
    assert_eq!(read(LDF).into_can().messages.len(), 0);
}

#[test]
fn the_corpora_are_read_without_harm() {
    for target in ["network_arxml", "network_fibex", "network_ldf"] {
        let (mut good, mut bad) = (0, 0);
        super::super::corpus(target, |bytes| match parse(bytes) {
            Ok(description) => {
                let _ = (text(&description), json(&description));
                good += 1;
            }
            Err(_) => bad += 1,
        });
        assert!(good >= 1 && bad >= 2, "{target}: {good} read, {bad} refused");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_a_description_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn a_damaged_file_never_harms(
        which in 0usize..3,
        at in any::<proptest::sample::Index>(),
        with in any::<u8>(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = [ARXML, FIBEX, LDF][which].as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = with;
        if let Ok(description) = parse(&bytes) {
            let _ = (text(&description), json(&description));
            for signal in description.into_can().messages.iter().flat_map(|message| &message.signals) {
                let _ = signal.physical(&[0xFF; 8]);
            }
        }
        bytes.truncate(cut.index(bytes.len()));
        let _ = parse(&bytes);
    }
}

#[test]
fn what_schedules_share_and_the_static_segment_come_out() {
    let events = "Event_triggered_frames {\n  Any: Collisions, 58, WindowStatus, WindowSerial;\n  Old: 59, WindowStatus;\n  \
        Bad: Nothing;\n}\n\nSporadic_frames {";
    let description = read(&LDF.replace("Sporadic_frames {", events));
    let shared: Vec<_> = description
        .shared_slots
        .iter()
        .map(|slot| (slot.name.as_str(), slot.id, slot.frames.len()))
        .collect();
    assert_eq!(shared, [("Rare", None, 1), ("Any", Some(58), 2), ("Old", Some(59), 1)]);
    assert!(problems(&description).iter().any(|one| one.1 == "Event_triggered_frames"));
    assert_eq!(description.has_enhanced_checksums, Some(true));
    let first = LDF.replace("LIN_protocol_version = \"2.1\"", "LIN_protocol_version = \"1.3\"");
    assert_eq!(read(&first).has_enhanced_checksums, Some(false));
    let begin = "<FLEXRAY-CLUSTER-CONDITIONAL>";
    let stated = "<NUMBER-OF-STATIC-SLOTS>60</NUMBER-OF-STATIC-SLOTS><PAYLOAD-LENGTH-STATIC>16</PAYLOAD-LENGTH-STATIC>";
    let description = read(&ARXML.replace(begin, &format!("{begin}{stated}")));
    let cluster = description.clusters.iter().find(|cluster| cluster.medium == Medium::FlexRay);
    assert_eq!(
        cluster.map(|cluster| (cluster.static_slots, cluster.static_words)),
        Some((Some(60), Some(16)))
    );
    let mut learner = crate::learn::scheduled::ScheduleLearner::default();
    learner.add(&description);
    assert_eq!(learner.summaries().last().map(|bus| bus.static_slots), Some(60));
}

fn e2e(profile: &str, change: impl FnOnce(&mut E2eProtection)) -> Protections {
    let mut description = Description::new(Format::Arxml);
    description.frames.push(Frame {
        name: "F".to_owned(),
        cluster: String::new(),
        key: FrameKey::Can(CanId::standard(0x123).expect("small")),
        is_fd: true,
        bytes: 32,
        cycle_us: None,
        senders: Vec::new(),
        signals: Vec::new(),
        place: Place::default(),
    });
    description.pdus.push(PduPlace { frame: 0, pdu: "P".to_owned(), start: 4, bytes: Some(16) });
    let mut one = E2eProtection {
        name: "E".to_owned(),
        profile: profile.to_owned(),
        pdu: "P".to_owned(),
        data_ids: vec![0x0123],
        offset_bit: None,
        data_bits: None,
        counter_bit: None,
        crc_bit: None,
        max_delta: None,
        header_bit: None,
        data_id_mode: None,
    };
    change(&mut one);
    description.protections.push(one);
    description.protected()
}

#[test]
fn protections_of_arxml_become_what_a_vehicle_checks() {
    let found = read(ARXML).protected();
    let [status, secured] = found.frames.as_slice() else { panic!("{found:?}") };
    let profile = Profile1 { data_id: 513, mode: DataIdMode::Both, crc_byte: 0 };
    assert_eq!((status.id.value(), status.guard), (256, Guard::E2e(Protection::P01(profile))));
    assert_eq!((status.start, status.bytes, status.step_max), (0, 8, 3));
    let layout = Layout::new(8, 24).expect("four bytes");
    assert_eq!((secured.id.value(), secured.guard), (0x18FF_1234, Guard::Secured(layout)));
    assert_eq!((secured.start, secured.bytes), (2, 20));
    assert_eq!(found.left_out, [""; 0]);
    let offered = read(ARXML).offered();
    let [camera] = offered.offers.as_slice() else { panic!("{offered:?}") };
    assert_eq!((camera.service, camera.instance, camera.port, camera.protocol), (0x2222, 1, 30_501, 17));
    assert!(offered.left_out.iter().any(|one| one.contains("without sizes")), "{offered:?}");
}

#[test]
fn each_profile_is_placed_and_what_cannot_be_checked_is_named() {
    let guard = |found: Protections| match found.frames.as_slice() {
        [one] => (one.guard, one.start, one.bytes),
        _ => panic!("{found:?}"),
    };
    let p04 = Protection::P04(Profile4 { data_id: 0x0123, offset: 2 });
    let at = |bit| move |one: &mut E2eProtection| one.header_bit = Some(bit);
    assert_eq!(guard(e2e("PROFILE_04", at(16))), (Guard::E2e(p04), 4, 16));
    let p05 = Protection::P05(Profile5 { data_id: 0x0123, offset: 0 });
    let part = |one: &mut E2eProtection| (one.offset_bit, one.data_bits) = (Some(32), Some(64));
    assert_eq!(guard(e2e("PROFILE_05", part)), (Guard::E2e(p05), 8, 8));
    let ids: Vec<u32> = (0..16).collect();
    let data_ids = std::array::from_fn(|index| u8::try_from(index).expect("small"));
    let p22 = Protection::P02(Profile2 { data_ids, crc_byte: 1 });
    let with = |one: &mut E2eProtection| (one.data_ids, one.header_bit) = (ids, Some(8));
    assert_eq!(guard(e2e("PROFILE_22", with)), (Guard::E2e(p22), 4, 16));
    let p11 = Protection::P01(Profile1 { data_id: 0x0123, mode: DataIdMode::Nibble, crc_byte: 0 });
    let nibble = |one: &mut E2eProtection| one.data_id_mode = Some("LOWER-12-BIT".to_owned());
    assert_eq!(guard(e2e("PROFILE_11", nibble)), (Guard::E2e(p11), 4, 16));
    let left_out = |profile, change: fn(&mut E2eProtection)| {
        let found = e2e(profile, change);
        assert_eq!(found.frames, []);
        found.left_out.join("; ")
    };
    let said = left_out("PROFILE_07", |_| {});
    assert_eq!(said, r#"E2E protection E of P, frame F: profile "PROFILE_07" is not checked"#);
    type Change = fn(&mut E2eProtection);
    let cases: [(&str, Change, &str); 6] = [
        ("PROFILE_01", |one| one.counter_bit = Some(12), "is not behind the checksum"),
        ("PROFILE_01", |one| one.crc_bit = Some(4), "is at no byte"),
        ("PROFILE_01", |one| one.data_ids = vec![0x1_0000], "more than 16 bits"),
        ("PROFILE_02", |_| {}, "1 data identifiers, not 16"),
        ("PROFILE_04", |one| one.data_bits = Some(64), "does not fit"),
        ("PROFILE_05", |one| one.pdu = "Q".to_owned(), "in no CAN frame"),
    ];
    for (profile, change, expected) in cases {
        let said = left_out(profile, change);
        assert!(said.contains(expected), "{said}");
    }
}
