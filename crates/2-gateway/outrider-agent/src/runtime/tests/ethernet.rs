//! Evidence of Ethernet, and the workshop's ticket, through the vehicle program.

use outrider_bus::doip::Message as Doip;
use outrider_ids::model::ModelHead;

use super::*;
use crate::io::capture::{ReadOptions, Record, open as open_capture};
use crate::learn::ethernet::EthernetLearner;
use crate::runtime::workshop::{Ticket, WorkshopSection};

const SERVER: [u8; 4] = [10, 0, 0, 1];
const TESTER: [u8; 4] = [10, 0, 0, 3];
const VIN: &[u8; 17] = b"WVWZZZ1JZXW000001";

/// A TCP segment with a DoIP message between the diagnostic port and a tester.
fn doip(is_tester: bool, sequence: u32, message: &Doip<'_>) -> Vec<u8> {
    let mut out = [0; 200];
    let length = message.emit(2, &mut out).expect("fits");
    let (from, to, ports) =
        if is_tester { (TESTER, SERVER, [50_000u16, 13_400]) } else { (SERVER, TESTER, [13_400, 50_000]) };
    let total = u16::try_from(40 + length).expect("short").to_be_bytes();
    let mut bytes = vec![2, 0, 0, 0, 0, to[3], 2, 0, 0, 0, 0, from[3], 8, 0];
    bytes.extend([0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 6, 0, 0]);
    bytes.extend(from.iter().chain(&to));
    ports.iter().for_each(|port| bytes.extend(port.to_be_bytes()));
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0x50, 8, 0xFF, 0xFF, 0, 0, 0, 0]);
    bytes.extend(&out[..length]);
    bytes
}

fn uds(is_tester: bool, sequence: u32, data: &[u8]) -> Vec<u8> {
    let (source, target) = if is_tester { (0x0E80, 0x1000) } else { (0x1000, 0x0E80) };
    doip(is_tester, sequence, &Doip::Diagnostic { source, target, data })
}

fn model() -> Vec<u8> {
    let mut learner = EthernetLearner::new(ModelHead::default());
    for (is_tester, sequence) in [(true, 1), (false, 1)] {
        learner.add(VehicleMicros(0), BusId(0), &uds(is_tester, sequence, &[0x3E, 0]));
    }
    learner.finish().expect("one segment").model
}

/// Writes over the network at second 10, with other traffic before and behind.
fn attack(vehicle: &mut Vehicle<MemoryStorage>) {
    let answer = [&[0x62, 0xF1, 0x90], VIN.as_slice()].concat();
    vehicle.packet(second(9), BusId(0), &uds(false, 1, &answer));
    vehicle.packet(second(10), BusId(0), &uds(true, 1, &[0x2E, 0xF1, 0x90, 1]));
    vehicle.packet(second(10), BusId(0), &uds(false, 33, &[0x6E, 0xF1, 0x90]));
    vehicle.packet(second(30), BusId(0), &uds(true, 17, &[0x3E, 0]));
    vehicle.tick(second(40));
}

fn written(rows: &[SecurityEvent]) -> usize {
    rows.iter().filter(|row| row.event_type == event::DIAG_WRITE_OUTSIDE_WORKSHOP).count()
}

#[test]
fn evidence_of_an_ethernet_event_is_a_pcapng_file_without_the_vehicles_number() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = open_with_model(folder.path(), 1, &model());
    drive(&mut vehicle);
    attack(&mut vehicle);
    let mut cloud = Cloud::new();
    // The first critical row is the flood on CAN of `drive`; the lane of the write is batched or critical, by the
    // catalogue: ask for each until one is of Ethernet.
    let lanes = [Lane::Critical, Lane::Batched];
    let mut sequence = 0;
    for lane in lanes {
        for seq in 1..=4 {
            sequence += 1;
            cloud.commands = vec![command_for(sequence, lane, seq)];
            vehicle.exchange(&mut cloud, second(40 + sequence));
        }
    }
    let pcapng = cloud.uploads.iter().find(|(.., content)| content.starts_with(&[0x0A, 0x0D, 0x0D, 0x0A]));
    let (.., content) = pcapng.expect("an event of the segment has packets");
    assert!(cloud.uploads.iter().any(|(.., content)| content.starts_with(b"(")), "CAN is a candump log");
    assert!(!content.windows(17).any(|window| window == VIN), "no identification number");
    let path = folder.path().join("evidence.pcapng");
    std::fs::write(&path, content).expect("it writes");
    let records = open_capture(&path, &ReadOptions::default()).expect("it is a capture");
    let packets: Vec<Vec<u8>> = records
        .map(|record| match record.expect("it reads") {
            Record::Ethernet { bytes, .. } => bytes,
            Record::Can(_) | Record::CanXl(_) | Record::Lin(_) | Record::FlexRay(_) => {
                panic!("only Ethernet")
            }
        })
        .collect();
    assert_eq!(packets.len(), 3, "two seconds on either side");
    assert_eq!(packets[1], uds(true, 1, &[0x2E, 0xF1, 0x90, 1]));
}

fn command_for(sequence: u64, lane: Lane, seq: u64) -> Vec<u8> {
    let head = CommandHead {
        id: CommandId([u8::try_from(sequence).expect("small"); 16]),
        tenant: TenantId(1),
        vehicle: VEHICLE,
        sequence,
        not_before: START.saturating_add(-1),
        expires: START.saturating_add(3_600_000_000),
        permit: PermitId([7; 16]),
        intent: IntentHash([8; 32]),
    };
    let window = EvidenceWindow { epoch: BootEpoch(1), lane, seq: Seq(seq), before_s: 2, after_s: 2 };
    let mut out = vec![0; outrider_wire::COMMAND_BYTES_MAX];
    let parameters = Parameters::RequestEvidence(window);
    let length = Command::emit(&head, &parameters, &Ed25519Signer::new(&[3; 32]), &mut out).expect("it fits");
    out.truncate(length);
    out
}

const HOUR_US: i64 = 3_600_000_000;

fn ticket(change: impl FnOnce(&mut Ticket), key: u8) -> Vec<u8> {
    let mut ticket = Ticket {
        vehicle: VEHICLE,
        number: 12,
        not_before: START.saturating_add(-1),
        expires: START.saturating_add(HOUR_US),
    };
    change(&mut ticket);
    ticket.emit(&Ed25519Signer::new(&[key; 32])).expect("it signs").to_vec()
}

/// A vehicle that trusts the key 4 and knows the time.
fn workshop(folder: &Path) -> Vehicle<MemoryStorage> {
    let mut vehicle = open_with_model(folder, 1, &model());
    let public_key = Ed25519Signer::new(&[4; 32]).public_key();
    let public_key = public_key.iter().map(|byte| format!("{byte:02x}")).collect();
    vehicle.set_workshop(Some(&WorkshopSection { public_key, hours_max: 2 })).expect("a key");
    vehicle.exchange(&mut Cloud::new(), second(1));
    vehicle
}

fn words(rows: &[SecurityEvent]) -> Vec<(EventTypeId, Option<String>)> {
    let about = [event::WORKSHOP_BEGUN, event::WORKSHOP_ENDED, event::WORKSHOP_REFUSED];
    let rows = rows.iter().filter(|row| about.contains(&row.event_type));
    let reason = |row: &SecurityEvent| {
        let value = row.fields.iter().find(|(key, _)| *key == field::REASON).map(|(_, value)| value);
        if let Some(FieldValue::Text(text)) = value { Some(text.clone()) } else { None }
    };
    rows.map(|row| (row.event_type, reason(row))).collect()
}

#[test]
fn a_ticket_opens_the_vehicle_and_taking_it_back_or_its_time_ends_it() {
    for (is_taken, reason) in [(true, "taken_back"), (false, "expired")] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut vehicle = workshop(folder.path());
        let bytes = ticket(|_| {}, 4);
        vehicle.workshop_ticket(Some(&bytes), second(2));
        vehicle.workshop_ticket(Some(&bytes), second(3));
        assert!(vehicle.is_in_workshop());
        attack(&mut vehicle);
        if is_taken {
            vehicle.workshop_ticket(None, second(41));
        } else {
            vehicle.workshop_ticket(Some(&bytes), second(41));
            vehicle.tick(second(3602));
        }
        assert!(!vehicle.is_in_workshop());
        // What folds repeats holds an event until its window is over.
        vehicle.tick(second(3690));
        let seen = rows(&mut vehicle, second(3700));
        assert_eq!(written(&seen), 0, "a workshop's work");
        let expected = [(event::WORKSHOP_BEGUN, None), (event::WORKSHOP_ENDED, Some(reason.to_owned()))];
        let mut told = words(&seen);
        told.sort();
        assert_eq!(told, expected);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = workshop(folder.path());
    attack(&mut vehicle);
    assert!(written(&rows(&mut vehicle, second(100))) > 0, "without a ticket");
}

#[test]
fn a_ticket_that_is_not_right_opens_nothing_and_is_told_once() {
    type Change = fn(&mut Ticket);
    let cases: [(&str, Change, u8); 6] = [
        ("signature", |_| {}, 5),
        ("wrong_vehicle", |ticket| ticket.vehicle = VehicleId([9; 16]), 4),
        ("window", |ticket| ticket.expires = START.saturating_add(3 * HOUR_US), 4),
        ("window", |ticket| ticket.expires = ticket.not_before, 4),
        ("expired", |ticket| (ticket.not_before, ticket.expires) = (START.saturating_add(-9), START), 4),
        ("not_yet_valid", |ticket| ticket.not_before = START.saturating_add(60_000_000), 4),
    ];
    for (reason, change, key) in cases {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut vehicle = workshop(folder.path());
        let bytes = ticket(change, key);
        (2..5).for_each(|at| vehicle.workshop_ticket(Some(&bytes), second(at)));
        assert!(!vehicle.is_in_workshop(), "{reason}");
        let told = words(&rows(&mut vehicle, second(100)));
        assert_eq!(told, [(event::WORKSHOP_REFUSED, Some(reason.to_owned()))]);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = workshop(folder.path());
    let mut cut = ticket(|_| {}, 4);
    cut.pop();
    vehicle.workshop_ticket(Some(&cut), second(2));
    assert_eq!(words(&rows(&mut vehicle, second(100)))[0].1.as_deref(), Some("malformed"));
    let mut nobody = open_with_model(tempfile::tempdir().expect("a folder").path(), 1, &model());
    nobody.workshop_ticket(Some(&ticket(|_| {}, 4)), second(2));
    assert!(!nobody.is_in_workshop(), "no key, no workshop");
}

#[test]
fn a_ticket_waits_for_the_time_and_a_forged_one_takes_an_open_one_down() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = workshop(folder.path());
    let later = ticket(|ticket| ticket.not_before = START.saturating_add(10_000_000), 4);
    vehicle.workshop_ticket(Some(&later), second(2));
    assert!(!vehicle.is_in_workshop());
    vehicle.workshop_ticket(Some(&later), second(20));
    assert!(vehicle.is_in_workshop(), "its time has come");
    vehicle.workshop_ticket(Some(&ticket(|_| {}, 5)), second(21));
    assert!(!vehicle.is_in_workshop());
}

/// A key that takes everything.
struct Anything;

impl outrider_wire::Verifier for Anything {
    fn verify(&self, _: &[u8], _: &[u8; outrider_wire::SIGNATURE_BYTES]) -> bool {
        true
    }
}

#[test]
fn the_corpus_of_tickets_is_read_or_refused() {
    let (mut good, mut bad) = (0, 0);
    crate::io::corpus("workshop_ticket", |bytes| match Ticket::open(bytes, &Anything) {
        Ok(_) => good += 1,
        Err(_) => bad += 1,
    });
    assert!(good >= 1 && bad >= 2, "{good} {bad}");
}
