mod ethernet;
mod hardware;
mod key_change;
mod remote;
mod uplink;

use std::path::Path;

use outrider_bus::can::{CanId, Frame, TimedFrame};
use outrider_gateway::codec;
use outrider_gateway::spool::{Anchor, SoftwareAnchor, SpoolConfig};
use outrider_gateway::uplink::{Link, Transport, TransportError, UplinkConfig};
use outrider_gateway::{Ed25519Signer, Ed25519Verifier, FieldValue, MemoryStorage, SecurityEvent, fold};
use outrider_ids::Basis;
use outrider_ids::model::{CycleClass, Text};
use outrider_types::{
    BootEpoch, BusId, EventTypeId, Lane, Seed, Seq, TenantId, UnixMicros, VehicleId, VehicleMicros,
};
use outrider_wire::catalogue::{event, field};
use outrider_wire::{
    Ack, Batch, Command, CommandHead, CommandId, EvidenceWindow, IntentHash, Parameters, PermitId, Reply,
    SealedEnvelope, SealedReceipt, Watermark,
};

use super::*;
use crate::model_file::Refusal;

const VEHICLE: VehicleId = VehicleId([5; 16]);
const START: UnixMicros = UnixMicros(1_800_000_000_000_000);

/// A cloud that acknowledges nothing but signs the time, and hands out the commands it was given.
struct Cloud {
    now: UnixMicros,
    /// Clock fixes in the first batch that carried rows.
    fixes: Option<usize>,
    commands: Vec<Vec<u8>>,
    outcomes: Vec<outrider_wire::Outcome>,
    uploads: Vec<(String, String, Vec<u8>)>,
    batches: Vec<Vec<u8>>,
    is_down: bool,
}

impl Cloud {
    fn new() -> Self {
        Self {
            now: START,
            fixes: None,
            commands: Vec::new(),
            outcomes: Vec::new(),
            uploads: Vec::new(),
            batches: Vec::new(),
            is_down: false,
        }
    }
}

impl Transport for Cloud {
    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, TransportError> {
        if self.is_down {
            return Err(TransportError::TimedOut);
        }
        if let Ok(sealed) = SealedReceipt::parse(frame) {
            let verifier =
                Ed25519Verifier::new(&Ed25519Signer::new(&[1; 32]).public_key()).expect("a real key");
            self.outcomes.push(sealed.open(&verifier).expect("the vehicle signs its receipts").outcome);
            return Ok(reply(&[], &[]));
        }
        self.batches.push(frame.to_vec());
        let sealed = SealedEnvelope::parse(frame).expect("a batch");
        let header = *sealed.claimed();
        if header.raw_bytes > 0 {
            let verifier =
                Ed25519Verifier::new(&Ed25519Signer::new(&[1; 32]).public_key()).expect("a real key");
            let batch = sealed.open(&verifier).expect("the vehicle signs its batches");
            let rows = outrider_gateway::codec::decode(header.dict, header.raw_bytes, batch.payload);
            let rows = rows.expect("its own rows");
            self.fixes.get_or_insert(Batch::parse(&rows).expect("rows").fixes().count());
        }
        let marks = [Watermark { epoch: header.epoch, lane: Lane::Critical, contiguous: 0, holes: &[] }];
        let mut ack = vec![0; Ack::frame_bytes(&marks)];
        let head = (VEHICLE, self.now, outrider_gateway::uplink::frame_digest(frame));
        let length =
            Ack::emit_answer(head, &marks, &Ed25519Signer::new(&[2; 32]), &mut ack).expect("it fits");
        let commands: Vec<&[u8]> = self.commands.iter().map(Vec::as_slice).collect();
        Ok(reply(&ack[..length], &commands))
    }
}

impl CloudLink for Cloud {
    fn upload(&mut self, command: &str, sha256: &str, _: &str, content: &[u8]) -> Result<(), TransportError> {
        if self.is_down {
            return Err(TransportError::TimedOut);
        }
        self.uploads.push((command.to_owned(), sha256.to_owned(), content.to_vec()));
        Ok(())
    }
}

fn reply(ack: &[u8], commands: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0; Reply::frame_bytes(ack, commands)];
    let length = Reply::emit(ack, commands, &mut out).expect("it fits");
    out.truncate(length);
    out
}

pub(super) fn open(folder: &Path, floor: u64) -> Vehicle<MemoryStorage> {
    open_with_model(folder, floor, &[])
}

fn open_with_model(folder: &Path, floor: u64, model: &[u8]) -> Vehicle<MemoryStorage> {
    open_with(folder, floor, model, [1; 32].into(), Box::new(SoftwareAnchor::in_memory(0)))
}

fn open_with(
    folder: &Path,
    floor: u64,
    model: &[u8],
    batch: BatchKey,
    anchor: Box<dyn Anchor + Send + Sync>,
) -> Vehicle<MemoryStorage> {
    let parts = VehicleParts {
        keys: VehicleKeys {
            tenant: TenantId(1),
            vehicle: VEHICLE,
            batch,
            ack: Ed25519Signer::new(&[2; 32]).public_key(),
            command: Ed25519Signer::new(&[3; 32]).public_key(),
        },
        storage: MemoryStorage::new(),
        state: folder,
        model,
        capture_bytes_max: 1 << 22,
        seed: Seed::new(1),
        floor: BootEpoch(floor),
        fold: fold::FoldConfig::default(),
        spool: SpoolConfig::default(),
        anchor,
        spool_root: None,
        uplink: |config: UplinkConfig| config,
        poll_us: 1_000_000,
    };
    Vehicle::open(parts, VehicleMicros(0)).expect("it opens")
}

/// Sends all that the spool holds and returns it as the cloud reads it.
pub(super) fn rows(vehicle: &mut Vehicle<MemoryStorage>, now: VehicleMicros) -> Vec<SecurityEvent> {
    let mut cloud = Cloud::new();
    vehicle.set_link(Link::Unmetered);
    // A lane that is not critical goes when its window is over; nothing is acknowledged, and nothing goes twice in a
    // minute.
    for half_minutes in 0..3 {
        vehicle.exchange(&mut cloud, now.saturating_add(half_minutes * 30_000_000));
    }
    let verifier = Ed25519Verifier::new(&Ed25519Signer::new(&[1; 32]).public_key()).expect("a real key");
    let mut out = Vec::new();
    for frame in &cloud.batches {
        let envelope = SealedEnvelope::parse(frame).expect("a batch").open(&verifier).expect("signed");
        let raw = codec::decode(envelope.header.dict, envelope.header.raw_bytes, envelope.payload);
        let raw = raw.expect("packed by the gateway");
        for view in outrider_wire::Batch::parse(&raw).expect("rows").events() {
            let view = view.expect("written by the gateway");
            let fields = view.fields().map(|one| {
                let value = match one.value {
                    outrider_wire::Value::Uint(value) => FieldValue::Uint(value),
                    outrider_wire::Value::Sint(value) => FieldValue::Sint(value),
                    outrider_wire::Value::Text(text) => FieldValue::Text(text.to_owned()),
                    outrider_wire::Value::Bytes(bytes) => FieldValue::Bytes(bytes.to_vec()),
                    outrider_wire::Value::Double(value) => FieldValue::Double(value),
                    outrider_wire::Value::Flag(flag) => FieldValue::Flag(flag),
                };
                (one.key, value)
            });
            out.push(SecurityEvent {
                severity: view.head.severity,
                bus: view.head.bus,
                ecu: view.head.ecu,
                last: view.head.last,
                count: view.head.count,
                fields: fields.collect(),
                context: view.context.to_vec(),
                ..SecurityEvent::new(view.head.event_type, view.head.first)
            });
        }
    }
    out
}

fn command(sequence: u64, seq: u64, change: impl FnOnce(&mut CommandHead), key: u8) -> Vec<u8> {
    let mut head = CommandHead {
        id: CommandId([u8::try_from(sequence).expect("small"); 16]),
        tenant: TenantId(1),
        vehicle: VEHICLE,
        sequence,
        not_before: START.saturating_add(-1),
        expires: START.saturating_add(3_600_000_000),
        permit: PermitId([7; 16]),
        intent: IntentHash([8; 32]),
    };
    change(&mut head);
    let parameters = Parameters::RequestEvidence(EvidenceWindow {
        epoch: BootEpoch(1),
        lane: Lane::Critical,
        seq: Seq(seq),
        before_s: 2,
        after_s: 2,
    });
    let mut out = vec![0; outrider_wire::COMMAND_BYTES_MAX];
    let length =
        Command::emit(&head, &parameters, &Ed25519Signer::new(&[key; 32]), &mut out).expect("it fits");
    out.truncate(length);
    out
}

fn second(at: u64) -> VehicleMicros {
    VehicleMicros(at * 1_000_000)
}

/// Drives a vehicle for 20 seconds with a frame each 100 ms and one critical event at second 10.
fn drive(vehicle: &mut Vehicle<MemoryStorage>) {
    for tenth in 0..200u64 {
        let id = CanId::standard(0x100).expect("11 bits");
        let frame = Frame::classic(id, &tenth.to_le_bytes()).expect("eight bytes");
        vehicle.frame(&TimedFrame { at: VehicleMicros(tenth * 100_000), bus: BusId(0), frame });
        if tenth == 100 {
            let seen =
                SecurityEvent::new(event::CAN_FLOOD, second(10)).with(field::CAN_ID, FieldValue::Uint(0));
            vehicle.event(seen, second(10));
        }
    }
    vehicle.tick(second(20));
}

#[test]
fn evidence_is_cut_around_the_event_and_uploaded_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = open(folder.path(), 1);
    drive(&mut vehicle);
    let mut cloud = Cloud::new();
    cloud.commands.push(command(1, 1, |_| {}, 3));
    vehicle.exchange(&mut cloud, second(20));
    assert_eq!(cloud.uploads.len(), 1, "{:?}", cloud.outcomes);
    let text = String::from_utf8(cloud.uploads[0].2.clone()).expect("candump is text");
    assert_eq!(text.lines().count(), 41, "two seconds on either side, ends included");
    assert_eq!(cloud.outcomes[0], outrider_wire::Outcome::Accepted);
    assert!(matches!(cloud.outcomes[1], outrider_wire::Outcome::Done { .. }));
    vehicle.event(SecurityEvent::new(event::CAN_FLOOD, second(21)), second(21));
    vehicle.exchange(&mut cloud, second(21));
    assert_eq!(cloud.uploads.len(), 1, "the same command again is not obeyed again");
    assert_eq!(vehicle.status().commands_refused, 0);
}

#[test]
fn a_vehicle_without_a_clock_asks_for_the_time_before_it_sends_rows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = open(folder.path(), 1);
    drive(&mut vehicle);
    let mut cloud = Cloud::new();
    vehicle.exchange(&mut cloud, second(20));
    assert_eq!(cloud.fixes, Some(1), "the first rows come with the cloud's time");
}

#[test]
fn an_accepted_command_survives_a_lost_connection_and_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = open(folder.path(), 1);
    drive(&mut vehicle);
    let mut cloud = Cloud::new();
    let frame = command(1, 1, |_| {}, 3);
    cloud.commands.push(frame);
    // The command arrives, and before the upload the link breaks and the power fails.
    struct BreaksAfterFirst<'a>(&'a mut Cloud);
    impl Transport for BreaksAfterFirst<'_> {
        fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, TransportError> {
            let answer = self.0.exchange(frame);
            self.0.is_down = true;
            answer
        }
    }
    impl CloudLink for BreaksAfterFirst<'_> {
        fn upload(&mut self, c: &str, s: &str, m: &str, b: &[u8]) -> Result<(), TransportError> {
            self.0.upload(c, s, m, b)
        }
    }
    vehicle.exchange(&mut BreaksAfterFirst(&mut cloud), second(20));
    assert_eq!((cloud.uploads.len(), vehicle.status().commands_accepted), (0, 1));
    drop(vehicle);
    let mut again = open(folder.path(), 2);
    cloud.is_down = false;
    cloud.commands.clear();
    again.exchange(&mut cloud, second(1));
    assert_eq!(cloud.uploads.len(), 1, "done after the restart, from the capture of the boot before");
}

#[test]
fn bad_commands_are_refused_reported_and_never_obeyed() {
    type Change = fn(&mut CommandHead);
    let cases: [(&str, u64, Change, u8, usize); 6] = [
        ("signature", 1, |_| {}, 9, 0),
        ("wrong_vehicle", 1, |head| head.vehicle = VehicleId([6; 16]), 3, 0),
        ("wrong_tenant", 1, |head| head.tenant = TenantId(2), 3, 1),
        (
            "expired",
            1,
            |head| {
                head.not_before = START.saturating_add(-10);
                head.expires = START.saturating_add(-5);
            },
            3,
            1,
        ),
        ("not_yet_valid", 1, |head| head.not_before = START.saturating_add(60_000_000), 3, 1),
        ("not_available", 99, |_| {}, 3, 1),
    ];
    for (reason, seq, change, key, receipts) in cases {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut vehicle = open(folder.path(), 1);
        drive(&mut vehicle);
        let before = vehicle.status().rows;
        let mut cloud = Cloud::new();
        cloud.commands.push(command(1, seq, change, key));
        vehicle.exchange(&mut cloud, second(20));
        assert_eq!(cloud.uploads.len(), 0, "{reason}");
        assert_eq!(vehicle.status().commands_refused, 1, "{reason}");
        assert_eq!(vehicle.status().rows, before + 1, "{reason} is reported as an event");
        assert_eq!(cloud.outcomes.len(), receipts, "{reason}: {:?}", cloud.outcomes);
    }
}

#[test]
fn a_vehicle_with_nothing_to_say_still_asks_for_commands() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = open(folder.path(), 1);
    drive(&mut vehicle);
    let mut cloud = Cloud::new();
    // Everything is delivered, and the windows of repetition are far away.
    vehicle.exchange(&mut cloud, second(20));
    cloud.commands.push(command(1, 1, |_| {}, 3));
    vehicle.exchange(&mut cloud, VehicleMicros(20_500_000));
    assert_eq!(cloud.uploads.len(), 0, "it asked half a second ago");
    vehicle.exchange(&mut cloud, second(22));
    assert_eq!(cloud.uploads.len(), 1);
}

#[test]
fn a_number_that_does_not_grow_is_a_replay() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = open(folder.path(), 1);
    drive(&mut vehicle);
    let mut cloud = Cloud::new();
    cloud.commands.push(command(5, 1, |_| {}, 3));
    vehicle.exchange(&mut cloud, second(20));
    cloud.commands = vec![command(4, 1, |_| {}, 3)];
    vehicle.event(SecurityEvent::new(event::CAN_FLOOD, second(22)), second(22));
    vehicle.exchange(&mut cloud, second(22));
    assert_eq!(cloud.uploads.len(), 1);
    let refused = outrider_wire::Outcome::Refused(Some(outrider_wire::RefuseReason::Sequence));
    assert_eq!(cloud.outcomes.last(), Some(&refused));
}

#[test]
fn sensors_tell_their_mode_and_a_detector_its_account_once_it_was_used() {
    let told = |attack: bool| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (model, frames) = crate::bench::edge_input(1);
        let mut vehicle = open_with_model(folder.path(), 1, &model);
        vehicle.tick(VehicleMicros(0));
        frames.iter().for_each(|frame| vehicle.frame(frame));
        let last = frames.last().expect("frames").at;
        if attack {
            // An event message that the model knows without a cycle, a hundred a second.
            let known = outrider_ids::model::VehicleModel::parse(&model).expect("a model");
            let (bus, id) = known
                .buses()
                .find_map(|bus| {
                    let event = bus
                        .ids()
                        .find(|entry| !matches!(entry.class, CycleClass::Periodic | CycleClass::Mixed));
                    event.map(|entry| (bus.facts().bus, entry.id))
                })
                .expect("an event message");
            for n in 0..300u64 {
                let frame = Frame::classic(id, &[0; 8]).expect("eight bytes");
                vehicle.frame(&TimedFrame { at: last.saturating_add(n * 8_000), bus, frame });
            }
        }
        vehicle.tick(last.saturating_add(3_000_000));
        // The windows of repetition are over after some minutes.
        for minute in 2..20 {
            vehicle.tick(last.saturating_add(minute * 60_000_000));
        }
        let rows = rows(&mut vehicle, last.saturating_add(1_300_000_000));
        let mut texts: Vec<String> = rows
            .iter()
            .filter(|row| row.event_type == event::SENSOR_STATE)
            .flat_map(|row| {
                let text =
                    |key| row.fields.iter().find(|(have, _)| *have == key).map(|(_, value)| value.clone());
                [text(field::COMPONENT), text(field::OPERATING_MODE)]
            })
            .flatten()
            .map(|value| format!("{value:?}"))
            .collect();
        texts.sort();
        texts.dedup();
        texts.join(" ")
    };
    let quiet = told(false);
    assert!(quiet.contains("\"can\"") && quiet.contains("sleep") && !quiet.contains("can."), "{quiet}");
    let attacked = told(true);
    assert!(attacked.contains("can.event_rate"), "{attacked}");
}

#[test]
fn sensors_tell_of_themselves_after_a_minute_and_then_every_hour() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = open_with_model(folder.path(), 1, &crate::bench::edge_input(1).0);
    // A tick a minute for two hours and a bit; the first minute tells nothing.
    for minute in 0..=125 {
        vehicle.tick(second(minute * 60));
    }
    let told: Vec<u64> = rows(&mut vehicle, second(126 * 60))
        .iter()
        .filter(|row| row.event_type == event::SENSOR_STATE)
        .map(|row| row.first.0 / 60_000_000)
        .collect();
    assert_eq!(told, [1, 1, 61, 61, 121, 121], "two buses");
}

#[test]
fn what_is_wrong_on_a_lin_bus_becomes_events_of_that_bus() {
    use crate::inject::scheduled::{ScheduledAttack, ScheduledPlan, attack};
    use crate::io::capture::Record;
    use crate::scheduled::lin_bus;
    use crate::traffic::LinTraffic;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = open(folder.path(), 1);
    let traffic = LinTraffic::drawn(1, BusId(0)).take_while(|heard| heard.at.0 < 40_000_000);
    let clean: Vec<Record> = traffic.map(Record::Lin).collect();
    let plan = ScheduledPlan {
        attack: ScheduledAttack::LinPublisher,
        seed: 1,
        start_us: Some(30_000_000),
        length_us: None,
    };
    let attacked = attack(&clean, &plan).expect("generated traffic has a target");
    let (rows, mut quiet) = (vehicle.status().rows, None);
    for record in &attacked.records {
        let Record::Lin(heard) = record else { continue };
        if heard.at >= attacked.start {
            quiet.get_or_insert(vehicle.status().observations);
        }
        vehicle.lin(heard);
    }
    assert_eq!(quiet, Some(0), "nothing is said before the attack");
    vehicle.tick(second(50));
    let status = vehicle.status();
    assert!(status.heard > 1000 && status.observations >= 2 && status.rows > rows, "{status:?}");
    let states: Vec<_> = vehicle.scheduled().states().map(|state| (state.bus, state.medium())).collect();
    assert_eq!(states, [(lin_bus(BusId(0)), "lin")]);
}

#[test]
fn a_refused_model_is_said_and_the_buses_are_learned_on_the_road() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut vehicle = open_with_model(folder.path(), 1, &[]);
    assert_eq!((vehicle.model().state.as_str(), vehicle.edge().is_none()), ("none", true));
    let release = |text| Text::new(text).expect("short");
    let refusal = Refusal::Release { expected: release("8"), got: release("7") };
    vehicle.refuse_model(&refusal, VehicleMicros(5));
    let frame = Frame::classic(CanId::standard(0x100).expect("eleven bits"), &[1]);
    vehicle.frame(&TimedFrame { at: VehicleMicros(10), bus: BusId(3), frame: frame.expect("it fits") });
    let bases: Vec<_> = vehicle.edge().expect("learning").bases().collect();
    assert_eq!(bases, [(BusId(3), Basis::WarmUp)]);
    assert_eq!(vehicle.model().state, "refused");
    let said = r#"vehicle model is for release "7", this vehicle has "8""#;
    assert_eq!(vehicle.model().reason.as_deref(), Some(said));
    let rows = rows(&mut vehicle, VehicleMicros(1_000_000));
    let row = rows.iter().find(|row| row.event_type == event::IDS_MODEL_REFUSED).expect("it is an event");
    let text = |text: &str| FieldValue::Text(text.to_owned());
    assert!(row.fields.contains(&(field::REASON, text("other_release"))), "{row:?}");
    assert!(row.fields.contains(&(field::MODEL_RELEASE, text("7"))), "{row:?}");
}
