use std::net::UdpSocket;

use outrider_gateway::Ed25519Signer;
use outrider_types::{BusId, ClockSource, EcuId, Severity, UnixMicros};
use outrider_wire::Signer;
use outrider_wire::ids_frame::{IdsMessage, IdsTimestamp, IdsView};
use proptest::prelude::*;

use super::*;
use crate::runtime::{ConfigError, VehicleConfig};

const EXTRACT: &str = include_str!("../../io/network/fixtures/small.arxml");

fn at(ms: u64) -> VehicleMicros {
    VehicleMicros(ms * 1000)
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).expect("hexadecimal"))
        .collect()
}

fn section(text: &str) -> IdsrSection {
    toml::from_str(&format!("listen = \"127.0.0.1:0\"\ninstances = [1, 11]\n{text}")).expect("a section")
}

fn receive(idsr: &mut Idsr, text: &str) -> Vec<SecurityEvent> {
    let mut out = Vec::new();
    idsr.receive(&unhex(text), at(5), &mut |event| out.push(event));
    assert!(idsr.counts().holds(), "{:?}", idsr.counts());
    out
}

fn value(event: &SecurityEvent, key: outrider_types::FieldKey) -> Option<&FieldValue> {
    event.fields.iter().find(|(have, _)| *have == key).map(|(_, value)| value)
}

#[test]
fn a_frame_becomes_an_event_with_identity_time_count_and_context() {
    let names = SevNames::new(&[], &[EventName { id: 0x8001, event: "can.unknown_id".to_owned() }]);
    let mut idsr = Idsr::new(&section(""), names.expect("a known event")).expect("a good section");
    let events = receive(&mut idsr, "2300408001000300 1DCD650000000001 0001 03 AABBCC 2002D50032000100");
    let [mapped, firewall] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((mapped.event_type, mapped.count, mapped.ecu), (event::CAN_UNKNOWN_ID, 3, EcuId(1)));
    assert_eq!((mapped.first, mapped.context.as_slice()), (at(5), &[0xAA, 0xBB, 0xCC][..]));
    assert_eq!(value(mapped, field::IDS_EVENT_ID), Some(&FieldValue::Uint(0x8001)));
    assert_eq!(value(mapped, field::IDS_TIME_US), Some(&FieldValue::Uint(1_500_000)));
    assert_eq!(value(mapped, field::IDS_CONTEXT_VERSION), Some(&FieldValue::Uint(1)));
    assert_eq!(value(mapped, field::IDS_SIGNED), Some(&FieldValue::Flag(false)));
    assert_eq!(firewall.event_type, event::FW_PACKET_BLOCKED, "0x32 is AUTOSAR's firewall event");
    assert_eq!(value(firewall, field::IDS_INSTANCE), Some(&FieldValue::Uint(11)));
    assert_eq!(value(firewall, field::IDS_SENSOR), Some(&FieldValue::Uint(21)));
}

#[test]
fn a_security_extract_names_events_and_what_nobody_names_stays_an_event() {
    let description = crate::io::network::parse(EXTRACT.as_bytes()).expect("the fixture");
    let names = SevNames::new(&description.security_events, &[]).expect("good");
    let mut idsr = Idsr::new(&section(""), names).expect("a good section");
    let events = receive(&mut idsr, "200040012C000100 20004080E8000100 200040 9999 0001 00");
    let seen: Vec<_> = events.iter().map(|one| (one.event_type, value(one, field::IDS_EVENT_NAME))).collect();
    let text = |text: &str| FieldValue::Text(text.to_owned());
    assert_eq!(seen[0], (event::SECOC_MAC_FAILURE, Some(&text("SECOC_SEV_MAC_VERIFICATION_FAILED"))));
    assert_eq!(seen[1], (event::IDS_EVENT, Some(&text("OEM_SEV_DOOR_FORCED"))));
    assert_eq!(seen[2], (event::IDS_EVENT, None));
}

#[test]
fn every_refusal_has_its_count_and_is_said_once_a_minute() {
    let mut idsr = Idsr::new(&section(""), SevNames::default()).expect("a good section");
    assert_eq!(receive(&mut idsr, "30004080010003").len(), 0);
    assert_eq!(receive(&mut idsr, "3000408001000300").len(), 0);
    assert_eq!(
        receive(&mut idsr, "2000808001000300 2000408001000100").len(),
        1,
        "IdsM 2 may not report, 1 may"
    );
    assert_eq!(receive(&mut idsr, "2000408001000000").len(), 0);
    assert_eq!(receive(&mut idsr, &"2000408001000100".repeat(300)).len(), 256);
    let counts = idsr.counts();
    let refused = (counts.malformed, counts.version, counts.instance, counts.value, counts.too_many);
    assert_eq!(refused, (1, 1, 1, 1, 1));
    assert_eq!((counts.datagrams, counts.accepted), (5, 257));
    let mut said = Vec::new();
    idsr.tick(at(10), &mut |event| said.push(event));
    assert_eq!(said.len(), 5, "{said:?}");
    assert!(said.iter().all(|one| one.event_type == event::IDS_REPORT_REFUSED));
    let instance =
        said.iter().find(|one| value(one, field::REASON) == Some(&FieldValue::Text("instance".to_owned())));
    assert_eq!(instance.and_then(|one| value(one, field::IDS_INSTANCE)), Some(&FieldValue::Uint(2)));
    receive(&mut idsr, "3000408001000300");
    said.clear();
    idsr.tick(at(20), &mut |event| said.push(event));
    assert_eq!(said, []);
    idsr.tick(at(60_011), &mut |event| said.push(event));
    assert_eq!(said.len(), 1);
}

#[test]
fn separation_headers_are_taken_off_and_must_not_lie() {
    let mut idsr = Idsr::new(&section("separation_header = true"), SevNames::default()).expect("good");
    let frame = "2000408001000100";
    assert_eq!(receive(&mut idsr, &format!("00000001 00000008 {frame} 00000002 00000008 {frame}")).len(), 2);
    assert_eq!(receive(&mut idsr, &format!("00000001 00000009 {frame}")).len(), 0);
    assert_eq!(receive(&mut idsr, &format!("00000001 00000010 {frame}{frame}")).len(), 0, "one frame each");
    assert_eq!(receive(&mut idsr, frame).len(), 0, "no header");
    assert_eq!((idsr.counts().accepted, idsr.counts().malformed), (2, 3));
}

#[test]
fn with_a_key_only_frames_with_a_right_signature_pass() {
    let signer = Ed25519Signer::new(&[7; 32]);
    let hex: String = signer.public_key().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut idsr =
        Idsr::new(&section(&format!("public_key = \"{hex}\"")), SevNames::default()).expect("good");
    let head = unhex("2400408001000100");
    let signature = signer.sign(&head).expect("it signs");
    let mut frame = [head.as_slice(), &[0, 64], &signature].concat();
    let mut count = 0;
    idsr.receive(&frame, at(0), &mut |event| {
        assert_eq!(value(&event, field::IDS_SIGNED), Some(&FieldValue::Flag(true)));
        count += 1;
    });
    assert_eq!(count, 1);
    frame[5] ^= 1;
    idsr.receive(&frame, at(0), &mut |_| count += 1);
    idsr.receive(&unhex("2000408001000100"), at(0), &mut |_| count += 1);
    assert_eq!((count, idsr.counts().signature), (1, 2), "altered, and unsigned");
}

#[test]
fn a_context_that_fits_no_row_is_left_out_and_counted() {
    let mut idsr = Idsr::new(&section(""), SevNames::default()).expect("good");
    for (bytes, expected) in [(2048usize, 2048), (2049, 0)] {
        let mut frame = unhex("1100408001000100");
        frame.extend((u32::try_from(bytes).expect("small") | 0x8000_0000).to_be_bytes());
        frame.resize(frame.len() + bytes, 0xA5);
        let mut length = None;
        idsr.receive(&frame, at(0), &mut |event| length = Some(event.context.len()));
        assert_eq!(length, Some(expected));
    }
    assert_eq!(idsr.counts().contexts_dropped, 1);
}

#[test]
fn sections_that_cannot_be_kept_are_refused() {
    let refuse = |section: &IdsrSection| Idsr::new(section, SevNames::default()).expect_err("refused");
    let remote = IdsrSection { listen: "192.0.2.1:30500".parse().expect("an address"), ..section("") };
    assert!(refuse(&remote).contains("allow_remote"));
    assert!(Idsr::new(&IdsrSection { allow_remote: true, ..remote }, SevNames::default()).is_ok());
    assert!(refuse(&IdsrSection { instances: [1024].into(), ..section("") }).contains("1023"));
    assert!(refuse(&IdsrSection { instances: [].into(), ..section("") }).contains("at least one"));
    assert!(refuse(&section("public_key = \"00\"")).contains("public_key"));
    let name = |id, event: &str| EventName { id, event: event.to_owned() };
    assert!(SevNames::new(&[], &[name(1, "no.such_event")]).expect_err("refused").contains("no.such_event"));
    assert!(SevNames::new(&[], &[name(0xFFFF, "can.flood")]).expect_err("refused").contains("0xffff"));
}

fn qualify(text: &str) -> Result<IdsLayer, String> {
    let section: QualifySection = toml::from_str(text).map_err(|error| error.to_string())?;
    Ok(IdsLayer::new(Some(section.chain(at(0))?), None, None))
}

fn flood(number: u64) -> SecurityEvent {
    SecurityEvent::new(event::CAN_FLOOD, at(number)).with(field::CAN_ID, FieldValue::Uint(number))
}

fn drain(layer: &mut IdsLayer) -> Vec<SecurityEvent> {
    std::iter::from_fn(|| layer.pop()).collect()
}

#[test]
fn without_a_chain_events_pass_at_once_and_with_defaults_at_the_next_main_function() {
    let mut layer = IdsLayer::default();
    layer.report(flood(1));
    assert_eq!(drain(&mut layer), [flood(1)]);
    let mut layer = qualify("").expect("defaults");
    layer.report(flood(1));
    layer.tick(at(99), None);
    assert_eq!(drain(&mut layer), []);
    layer.tick(at(100), None);
    assert_eq!(drain(&mut layer), [flood(1)], "nothing is changed");
}

#[test]
fn filters_of_the_configuration_are_those_of_the_chain() {
    let text = "period_ms = 10\n[default]\nevery_nth = 2\n[[event]]\nname = \"can.flood\"\naggregation_ms = 50\n\
        blocked_in = [\"driving\"]\n[[event]]\nname = \"can.bus_off\"\nmode = \"brief\"\n";
    let mut layer = qualify(text).expect("a good section");
    for number in 1..=3 {
        layer
            .report(SecurityEvent { severity: (number == 2).then_some(Severity::Critical), ..flood(number) });
    }
    layer.report(SecurityEvent::new(event::CAN_UNKNOWN_ID, at(1)));
    layer.report(SecurityEvent::new(event::CAN_UNKNOWN_ID, at(2)));
    layer.report(SecurityEvent::new(event::CAN_BUS_OFF, at(1)).with(field::TX_ERRORS, FieldValue::Uint(1)));
    layer.tick(at(10), Some(false));
    let names: Vec<_> = drain(&mut layer).iter().map(|one| (one.event_type, one.fields.len())).collect();
    assert_eq!(names, [(event::CAN_UNKNOWN_ID, 0), (event::CAN_BUS_OFF, 0)], "brief has no fields");
    layer.tick(at(50), Some(false));
    let [folded] = drain(&mut layer).try_into().expect("one event");
    assert_eq!((folded.count, folded.first, folded.last), (3, at(1), at(3)));
    assert_eq!(
        (value(&folded, field::CAN_ID), folded.severity),
        (Some(&FieldValue::Uint(1)), Some(Severity::Critical))
    );
    layer.report(flood(60));
    layer.tick(at(60), Some(true));
    layer.tick(at(100), Some(true));
    assert_eq!(drain(&mut layer), [], "blocked while driving");
    let (counts, _) = layer.chain_counts().expect("a chain");
    assert!(counts.holds());
    assert_eq!((counts.aggregated, counts.thinned, counts.blocked), (2, 1, 1));
}

#[test]
fn qualifications_that_cannot_be_kept_are_refused() {
    let cases = [
        ("period_ms = 0", "period"),
        ("[[event]]\nname = \"can.flood\"\naggregation_ms = 150", "multiple"),
        ("[[event]]\nname = \"can.nothing\"", "not in the catalogue"),
        ("[[event]]\nname = \"can.flood\"\n[[event]]\nname = \"can.flood\"", "twice"),
        ("[default]\nblocked_in = [\"flying\"]", "flying"),
        ("[default]\nname = \"can.flood\"", "no name"),
        ("[default]\nevery_nth = 0", "nonzero"),
        ("[rate]\ncount = 1\nwindow_ms = 1", "multiple"),
        ("unknown = 1", "unknown"),
    ];
    for (text, expected) in cases {
        let error = qualify(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_full_chain_says_so_by_an_event() {
    let mut layer = qualify("contexts_max = 1").expect("a good section");
    (0..300).for_each(|number| layer.report(flood(number)));
    layer.tick(at(100), None);
    let all = drain(&mut layer);
    assert_eq!(all.iter().filter(|one| one.event_type == event::CAN_FLOOD).count(), 256);
    let lost = all.iter().find(|one| one.event_type == event::IDS_NO_EVENT_BUFFER).expect("it is said");
    assert_eq!(value(lost, field::DROPPED), Some(&FieldValue::Uint(44)));
    let bare = all.iter().find(|one| one.event_type == event::IDS_NO_CONTEXT_BUFFER).expect("it is said");
    assert_eq!(value(bare, field::DROPPED), Some(&FieldValue::Uint(255)));
}

fn idsm(text: &str) -> Idsm {
    let section: IdsmSection =
        toml::from_str(&format!("target = \"127.0.0.1:9\"\ninstance = 5\n{text}")).expect("a section");
    Idsm::new(&section).expect("a good section")
}

#[test]
fn own_events_go_out_as_frames_with_number_time_and_context() {
    let rows = "sensor = 3\n[[event]]\nid = 0x9000\nevent = \"can.unknown_id\"";
    let mut layer = IdsLayer::new(None, None, Some(idsm(rows)));
    layer.add_fix(ClockFix {
        mono: at(0),
        wall: UnixMicros(1_800_000_000_000_000),
        error_us: 1,
        source: ClockSource::Gnss,
    });
    let mut seen = flood(250);
    (seen.bus, seen.severity, seen.count) = (Some(BusId(2)), Some(Severity::High), 70_000);
    layer.report(seen);
    layer.report(SecurityEvent::new(event::CAN_UNKNOWN_ID, at(0)));
    let frame = layer.pop_frame().expect("a frame");
    let (view, rest) = IdsView::parse(&frame).expect("own output");
    let message = IdsMessage::parse(&view).expect("legal");
    assert!(rest.is_empty());
    assert_eq!((message.event.get(), message.count.get()), (0x8000 + event::CAN_FLOOD.0, u16::MAX));
    assert_eq!((message.instance.get(), message.sensor.get()), (5, 3));
    let expected = IdsTimestamp::Autosar { seconds: 1_800_000_000, nanos: 250_000_000 };
    assert_eq!(message.timestamp, Some(expected));
    let context = message.context.expect("a context");
    assert_eq!(context.bytes, unhex("03 02 0001 00 08 00000000000000FA"));
    let second = layer.pop_frame().expect("another");
    assert_eq!(IdsView::parse(&second).expect("own output").0.event(), 0x9000);
    assert_eq!(drain(&mut layer).len(), 2, "the gateway gets them, too");
}

#[test]
fn a_brief_report_goes_out_without_a_context() {
    let section: QualifySection = toml::from_str("[default]\nmode = \"brief\"").expect("a section");
    let chain = section.chain(at(0)).expect("good");
    let mut layer = IdsLayer::new(Some(chain), None, Some(idsm("")));
    layer.report(flood(1));
    layer.tick(at(100), None);
    let frame = layer.pop_frame().expect("a frame");
    let (view, rest) = IdsView::parse(&frame).expect("own output");
    assert_eq!((view.context(), rest.len(), frame[0] & 1), (None, 0, 0));
}

#[test]
fn the_reporter_is_limited_and_the_gateway_is_not() {
    let text = "period_ms = 10\n[traffic]\ncount = 60\nwindow_ms = 10";
    let section: QualifySection = toml::from_str(text).expect("a section");
    let chain = section.chain(at(0)).expect("good");
    let mut layer = IdsLayer::new(Some(chain), None, Some(idsm("version = 1\nseparation_header = true")));
    (0..4).for_each(|number| layer.report(flood(number)));
    layer.tick(at(10), None);
    let frames: Vec<_> = std::iter::from_fn(|| layer.pop_frame()).collect();
    assert_eq!(frames.len(), 1, "31 bytes each");
    assert_eq!(frames[0][..9], unhex("00000000 00000017 11"));
    let all = drain(&mut layer);
    assert_eq!(all.len(), 5, "four events, and one about the limit: {all:?}");
    let counts = layer.idsm_counts().expect("a reporter");
    assert!(counts.holds() && layer.chain_counts().is_some_and(|(_, limits)| limits.holds()));
    assert_eq!((counts.offered, counts.queued, counts.limited), (4, 1, 3));
    layer.send_failed();
    layer.tick(at(20), None);
    assert_eq!(drain(&mut layer)[0].event_type, event::IDS_COMMUNICATION_ERROR);
}

/// Sends frames over the loopback interface to a running vehicle and looks into its spool.
#[test]
fn frames_over_udp_are_in_the_spool_of_the_running_vehicle_with_their_identity() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = super::super::tests::open(folder.path(), 1);
    let reporter = UdpSocket::bind("127.0.0.1:0").expect("a local socket");
    let target = reporter.local_addr().expect("bound");
    let idsm = Idsm::new(&IdsmSection {
        target,
        instance: 9,
        sensor: 0,
        version: 2,
        separation_header: false,
        event: Vec::new(),
    });
    let names = SevNames::new(&[], &[]).expect("those of AUTOSAR");
    let idsr = Idsr::new(&section(""), names).expect("good");
    vehicle.set_ids(IdsLayer::new(None, Some(idsr), Some(idsm.expect("good"))));
    let listen = Some("127.0.0.1:0".parse().expect("an address"));
    let mut udp = crate::io::ids_udp::IdsUdp::open(listen, Some(target)).expect("local sockets");
    let address = udp.local_address().expect("it listens");
    for text in ["1000408001000300", "2002D50032000100", "2000808001000300", "FF"] {
        reporter.send_to(&unhex(text), address).expect("the loopback interface takes it");
    }
    udp.turn(&mut vehicle, at(1));
    let counts = vehicle.ids().idsr_counts().expect("it listens");
    assert_eq!((counts.accepted, counts.instance, counts.malformed), (2, 1, 1));
    vehicle.event(SecurityEvent::new(event::CAN_FLOOD, at(2)), at(2));
    udp.turn(&mut vehicle, at(3));
    let mut buffer = [0; 1500];
    let (length, _) = reporter.recv_from(&mut buffer).expect("a frame came back");
    let (view, _) = IdsView::parse(&buffer[..length]).expect("own output");
    assert_eq!((view.instance(), view.event()), (9, 0x8000 + event::CAN_FLOOD.0));
    assert!(vehicle.shut_down(at(4)));
    let rows = super::super::tests::rows(&mut vehicle, at(3_600_000));
    let found = |id: u64| {
        rows.iter().filter(|row| value(row, field::IDS_EVENT_ID) == Some(&FieldValue::Uint(id))).count()
    };
    assert_eq!((found(0x8001), found(0x32)), (1, 1), "{rows:#?}");
    let complaints = rows.iter().filter(|row| row.event_type == event::IDS_REPORT_REFUSED).count();
    assert_eq!((complaints, rows.len()), (2, 6), "and a flood and the boot: {rows:#?}");
    let firewall = rows.iter().find(|row| row.event_type == event::FW_PACKET_BLOCKED).expect("named");
    assert_eq!((firewall.ecu, firewall.count), (EcuId(11), 1));
}

#[test]
fn the_provisioning_takes_the_sections_and_names_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("vehicle.toml");
    std::fs::write(folder.path().join("extract.arxml"), EXTRACT).expect("writable");
    let head = "tenant = 1\nvehicle = \"05050505050505050505050505050505\"\ncloud = \"https://h:1\"\nca = \"a\"\n\
        certificate = \"a\"\nkey = \"a\"\nbatch_key = \"a\"\nack_public_key = \"\"\ncommand_public_key = \"\"\nstate = \"s\"\n";
    let open = |tail: &str| {
        std::fs::write(&path, format!("{head}{tail}")).expect("writable");
        VehicleConfig::open(&path).expect("the right shape").ids_layer(at(0))
    };
    let idsr = "[idsr]\nlisten = \"127.0.0.1:30500\"\ninstances = [1]\nextract = ";
    let layer = open(&format!(
        "{idsr}\"extract.arxml\"\n[qualify]\n[idsm]\ntarget = \"127.0.0.1:9\"\ninstance = 1\n"
    ));
    let layer = layer.expect("good sections");
    assert!(layer.chain_counts().is_some() && layer.idsr_counts().is_some() && layer.idsm_counts().is_some());
    let none = open("").expect("no section is good, too");
    assert!(none.chain_counts().is_none() && none.idsr_counts().is_none() && none.idsm_counts().is_none());
    let wrong = [
        (format!("{idsr}\"missing.arxml\""), "idsr"),
        ("[qualify]\nperiod_ms = 0".to_owned(), "qualify"),
        ("[idsm]\ntarget = \"127.0.0.1:9\"\ninstance = 1024".to_owned(), "idsm"),
        ("[idsm]\ntarget = \"127.0.0.1:9\"\ninstance = 1\nversion = 3".to_owned(), "idsm"),
    ];
    for (tail, expected) in wrong {
        match open(&tail) {
            Err(ConfigError::Value { name, .. }) => assert_eq!(name, expected, "{tail}"),
            other => panic!("{tail}: {other:?}"),
        }
    }
}

#[test]
fn the_corpus_of_datagrams_is_taken_without_harm() {
    let mut accepted = 0;
    let count = crate::io::corpus("idsr_datagram", |bytes| {
        let (first, datagram) = bytes.split_first().expect("no file is empty");
        let text = if first & 1 == 1 { "separation_header = true" } else { "" };
        let mut idsr = Idsr::new(&section(text), SevNames::default()).expect("good");
        idsr.receive(datagram, at(0), &mut |_| accepted += 1);
        assert!(idsr.counts().holds());
    });
    assert!(count >= 5 && accepted == 3, "{accepted} of {count}");
}

proptest! {
    #[test]
    fn any_datagram_is_events_or_counted(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        is_separated in any::<bool>(),
    ) {
        let text = if is_separated { "separation_header = true" } else { "" };
        let mut idsr = Idsr::new(&section(text), SevNames::default()).expect("good");
        let mut events = 0;
        idsr.receive(&bytes, at(0), &mut |_| events += 1);
        prop_assert!(idsr.counts().holds() && idsr.counts().accepted == events);
    }
}
