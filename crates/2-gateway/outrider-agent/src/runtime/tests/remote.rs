//! Configuration from the cloud: what a vehicle takes, what it refuses, and how it returns.

use std::path::Path;

use outrider_gateway::uplink::UplinkPolicy;
use outrider_types::EventTypeId;
use outrider_wire::{ArtifactKind, Outcome as CommandOutcome, RefuseReason, UpdateOrder};
use sha2::{Digest, Sha256};

use super::*;
use crate::model_file::ModelTrust;
use crate::remote::{ArtifactTrust, ConfigStore, Draft, Provisioned, RealDisk, Remote, UpdateSection};

const SIGNER: [u8; 32] = [6; 32];
const POLICY: &str = "[[rule]]\nevent = 'can.unknown_id'\nlane = 'critical'\n";

/// A cloud that also has artifacts; counts the pieces it gave out.
struct Shelf {
    cloud: Cloud,
    artifacts: Vec<Vec<u8>>,
    pieces: usize,
    /// Answers nothing but pieces and receipts after this many pieces.
    breaks_after: Option<usize>,
    changes_a_byte: bool,
}

impl Transport for Shelf {
    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, TransportError> {
        self.cloud.exchange(frame)
    }
}

impl CloudLink for Shelf {
    fn upload(&mut self, _: &str, _: &str, _: &str, _: &[u8]) -> Result<(), TransportError> {
        Ok(())
    }

    fn fetch(&mut self, sha256: &str, from: u64, bytes_max: usize) -> Result<Vec<u8>, TransportError> {
        if self.breaks_after == Some(self.pieces) {
            self.breaks_after = None;
            return Err(TransportError::TimedOut);
        }
        self.pieces += 1;
        let hash = |artifact: &&Vec<u8>| hex(&Sha256::digest(artifact)) == sha256;
        let artifact = self.artifacts.iter().find(hash).ok_or(TransportError::Refused { status: 404 })?;
        let from = usize::try_from(from).expect("small");
        let mut piece = artifact[from..artifact.len().min(from + bytes_max)].to_vec();
        if self.changes_a_byte {
            piece[0] ^= 1;
        }
        Ok(piece)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn remote(folder: &Path) -> Remote {
    let keys = vec![hex(&Ed25519Signer::new(&SIGNER).public_key())];
    let trust = ArtifactTrust::new(&UpdateSection { keys, platform: None }, TenantId(1), VEHICLE);
    let store = ConfigStore::open(&folder.join("config"), Box::new(RealDisk)).expect("a folder");
    Remote::open(store, trust.expect("a key"), ModelTrust::default(), Provisioned::default())
        .expect("writable")
}

fn draft(kind: ArtifactKind, version: u64) -> Draft<'static> {
    Draft { kind, version, tenant: TenantId(1), platform: None, vehicle: None, made_at: START }
}

fn signed(kind: ArtifactKind, version: u64, content: &[u8]) -> Vec<u8> {
    draft(kind, version).sign(content, &Ed25519Signer::new(&SIGNER)).expect("right content")
}

fn order(sequence: u64, kind: ArtifactKind, version: u64, artifact: &[u8]) -> Vec<u8> {
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
    let sha256 = Sha256::digest(artifact).into();
    let bytes = u32::try_from(artifact.len()).expect("small");
    let parameters = Parameters::Update(UpdateOrder { kind, version, sha256, bytes });
    let mut out = vec![0; outrider_wire::COMMAND_BYTES_MAX];
    let length = Command::emit(&head, &parameters, &Ed25519Signer::new(&[3; 32]), &mut out).expect("it fits");
    out.truncate(length);
    out
}

struct Bench {
    folder: tempfile::TempDir,
    vehicle: Vehicle<MemoryStorage>,
    shelf: Shelf,
    second: u64,
    sequence: u64,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut vehicle = open(folder.path(), 1);
        vehicle.set_remote(remote(folder.path()), VehicleMicros(0));
        let shelf = Shelf {
            cloud: Cloud::new(),
            artifacts: Vec::new(),
            pieces: 0,
            breaks_after: None,
            changes_a_byte: false,
        };
        Self { folder, vehicle, shelf, second: 1, sequence: 0 }
    }

    /// Orders an artifact and lets the vehicle fetch it.
    fn order(&mut self, kind: ArtifactKind, version: u64, artifact: Vec<u8>) {
        self.sequence += 1;
        self.shelf.cloud.commands = vec![order(self.sequence, kind, version, &artifact)];
        self.shelf.artifacts.push(artifact);
        self.exchange();
        self.shelf.cloud.commands.clear();
    }

    fn exchange(&mut self) {
        self.second += 15;
        self.vehicle.tick(second(self.second));
        self.vehicle.exchange(&mut self.shelf, second(self.second));
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds / 15 {
            self.exchange();
        }
    }

    fn restart(&mut self) {
        let mut vehicle = open(self.folder.path(), 2);
        vehicle.set_remote(remote(self.folder.path()), VehicleMicros(0));
        (self.vehicle, self.second) = (vehicle, 1);
    }

    fn state(&self) -> (u64, Option<String>, Option<String>) {
        let state = self.vehicle.config_state();
        (state.policy, state.trial, state.last_return)
    }

    fn last(&self) -> Option<CommandOutcome> {
        self.shelf.cloud.outcomes.last().copied()
    }

    fn lane_of_unknown(&self) -> Lane {
        let seen = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(0));
        self.vehicle.gateway().policies().handling(&seen).lane
    }

    fn said(&mut self, event_type: EventTypeId) -> Vec<SecurityEvent> {
        self.second += 1000;
        let now = second(self.second);
        self.second += 100;
        rows(&mut self.vehicle, now).into_iter().filter(|row| row.event_type == event_type).collect()
    }
}

#[test]
fn a_signed_policy_is_fetched_tried_and_kept() {
    let mut bench = Bench::new();
    bench.order(ArtifactKind::Policy, 3, signed(ArtifactKind::Policy, 3, POLICY.as_bytes()));
    assert_eq!(bench.lane_of_unknown(), Lane::Critical, "it is in use while it is tried");
    assert_eq!(bench.state().1.as_deref(), Some("policy 3, 0 starts"));
    bench.run(90);
    assert_eq!(bench.state(), (3, None, None));
    assert!(matches!(bench.last(), Some(CommandOutcome::Done { .. })), "{:?}", bench.shelf.cloud.outcomes);
    bench.restart();
    assert_eq!((bench.state().0, bench.lane_of_unknown()), (3, Lane::Critical), "it survives a restart");
}

#[test]
fn the_budgets_of_a_policy_tighten_what_was_provisioned_and_leave_with_it() {
    let mut bench = Bench::new();
    let usual = *bench.vehicle.gateway().uplink().policy();
    let text = "[critical]\nbytes_per_day = 100000\n[batched]\nbytes_per_day = 5000\n\
        [uplink]\nworkshop_only = ['deferred']\nfrom_min = 1350\nto_min = 330\n";
    bench.order(ArtifactKind::Policy, 1, signed(ArtifactKind::Policy, 1, text.as_bytes()));
    let policy = |bench: &Bench| *bench.vehicle.gateway().uplink().policy();
    let tried = policy(&bench);
    assert_eq!((tried.critical_bytes_a_day_max, tried.batched.bytes_a_day), (Some(100_000), Some(5000)));
    assert_eq!(tried.deferred.link, Link::Workshop);
    assert!(tried.batched.minutes.is_some());
    // What is provisioned later than the switch does not lift it.
    bench.vehicle.set_uplink(UplinkPolicy { batched: usual.batched, ..usual }).expect("it can be kept");
    assert_eq!(policy(&bench), tried);
    for n in 0..400 {
        let seen = SecurityEvent::new(event::CAN_UNKNOWN_ID, second(bench.second));
        bench.vehicle.event(seen.with(field::CAN_ID, FieldValue::Uint(n)), second(bench.second));
    }
    bench.exchange();
    // Too many events: the policy is taken back, and its budgets with it.
    assert_eq!(bench.state().0, 0);
    assert_eq!(policy(&bench), usual);
}

#[test]
fn a_lost_link_costs_one_piece_and_a_restart_nothing() {
    let mut bench = Bench::new();
    // Comments make a pack of 600 KiB: ten pieces.
    let pack = format!("[qualify.default]\nevery_nth = 2\n{}", "# nothing\n".repeat(60_000));
    bench.shelf.breaks_after = Some(3);
    bench.order(ArtifactKind::Rules, 1, signed(ArtifactKind::Rules, 1, pack.as_bytes()));
    assert_eq!((bench.shelf.pieces, bench.state().1), (3, None));
    bench.restart();
    bench.run(45);
    assert_eq!(bench.shelf.pieces, 10, "no piece came twice");
    assert_eq!(bench.vehicle.config_state().trial.as_deref(), Some("rules 1, 0 starts"));
    assert!(bench.vehicle.ids().chain_counts().is_some(), "the filters are in use");
}

#[test]
fn nothing_is_taken_that_no_trusted_key_signed_or_that_is_not_what_was_ordered() {
    let policy = ArtifactKind::Policy;
    let stranger = draft(policy, 2).sign(b"", &Ed25519Signer::new(&[9; 32])).expect("right content");
    let other = Draft { vehicle: Some(VehicleId([8; 16])), ..draft(policy, 2) };
    let other = other.sign(b"", &Ed25519Signer::new(&SIGNER)).expect("right content");
    let platform = Draft { platform: Some("elsewhere"), ..draft(policy, 2) };
    let platform = platform.sign(b"", &Ed25519Signer::new(&SIGNER)).expect("right content");
    let tenant = Draft { tenant: TenantId(2), ..draft(policy, 2) };
    let tenant = tenant.sign(b"", &Ed25519Signer::new(&SIGNER)).expect("right content");
    // A model in the clothes of a policy: the signature is right, the payload is none.
    let disguised = signed(ArtifactKind::Rules, 2, b"");
    let mut cut = signed(policy, 2, b"");
    cut.pop();
    let mut changed = signed(policy, 2, b"");
    changed[120] ^= 1;
    let cases = [
        (stranger, RefuseReason::Untrusted, "untrusted"),
        (other, RefuseReason::Untrusted, "other_vehicle"),
        (platform, RefuseReason::Untrusted, "other_vehicle"),
        (tenant, RefuseReason::Untrusted, "other_vehicle"),
        (disguised, RefuseReason::Artifact, "other"),
        (cut, RefuseReason::Artifact, "damaged"),
        (changed, RefuseReason::Untrusted, "untrusted"),
    ];
    for (artifact, reason, word) in cases {
        let mut bench = Bench::new();
        bench.order(policy, 2, artifact);
        assert_eq!(bench.last(), Some(CommandOutcome::Refused(Some(reason))), "{word}");
        assert_eq!(bench.state(), (0, None, None), "{word}");
        let said = bench.said(event::CONFIG_REFUSED);
        assert!(said[0].fields.contains(&(field::REASON, FieldValue::Text(word.to_owned()))), "{said:?}");
    }
}

#[test]
fn an_artifact_that_changes_on_its_way_is_refused() {
    let mut bench = Bench::new();
    bench.shelf.changes_a_byte = true;
    bench.order(ArtifactKind::Policy, 1, signed(ArtifactKind::Policy, 1, b""));
    assert_eq!(bench.last(), Some(CommandOutcome::Refused(Some(RefuseReason::Artifact))));
    let mut bench = Bench::new();
    let artifact = signed(ArtifactKind::Policy, 1, b"");
    bench.order(ArtifactKind::Policy, 1, artifact.clone());
    // Two at a time, and one that is not there, are refused before or after they are fetched.
    bench.order(ArtifactKind::Policy, 2, signed(ArtifactKind::Policy, 2, b""));
    assert_eq!(bench.last(), Some(CommandOutcome::Refused(Some(RefuseReason::Busy))));
}

#[test]
fn no_version_is_taken_twice_and_none_below_what_was_tried() {
    let mut bench = Bench::new();
    let artifact = signed(ArtifactKind::Policy, 5, POLICY.as_bytes());
    bench.order(ArtifactKind::Policy, 5, artifact.clone());
    bench.run(90);
    for version in [1, 4, 5] {
        bench.order(ArtifactKind::Policy, version, signed(ArtifactKind::Policy, version, b""));
        assert_eq!(bench.last(), Some(CommandOutcome::Refused(Some(RefuseReason::Rollback))), "{version}");
    }
    bench.order(ArtifactKind::Rules, 1, signed(ArtifactKind::Rules, 1, b""));
    assert_eq!(bench.last(), Some(CommandOutcome::Accepted), "versions are counted by kind");
}

#[test]
fn old_files_put_back_are_not_used_because_the_sealed_spool_remembers() {
    let mut bench = Bench::new();
    bench.order(ArtifactKind::Policy, 1, signed(ArtifactKind::Policy, 1, POLICY.as_bytes()));
    bench.run(90);
    let config = bench.folder.path().join("config");
    let old = std::fs::read(config.join("active")).expect("a pointer");
    bench.order(ArtifactKind::Policy, 2, signed(ArtifactKind::Policy, 2, b""));
    bench.run(90);
    assert_eq!(bench.state().0, 2);
    // Slot and pointer of version 1 again, as from a backup: its artifact is whole and rightly signed.
    std::fs::write(config.join("active"), old).expect("writable");
    let floor = bench.vehicle.gateway().spool().floor(1);
    assert_eq!((floor.tried, floor.good), (2, 2));
    bench.vehicle.set_remote(remote(bench.folder.path()), second(bench.second));
    assert_eq!(bench.lane_of_unknown(), Lane::Batched, "what was provisioned holds");
    let said = bench.said(event::CONFIG_REFUSED);
    assert!(
        said.iter().any(|row| row.fields.contains(&(field::REASON, FieldValue::Text("rollback".to_owned()))))
    );
}

#[test]
fn too_many_events_take_it_back_and_say_why() {
    let mut bench = Bench::new();
    bench.order(ArtifactKind::Policy, 7, signed(ArtifactKind::Policy, 7, POLICY.as_bytes()));
    for n in 0..400 {
        let seen = SecurityEvent::new(event::CAN_UNKNOWN_ID, second(bench.second));
        bench.vehicle.event(seen.with(field::CAN_ID, FieldValue::Uint(n)), second(bench.second));
    }
    bench.exchange();
    assert_eq!(bench.state(), (0, None, Some("policy 7: event_rate".to_owned())));
    assert_eq!(bench.lane_of_unknown(), Lane::Batched);
    assert_eq!(bench.last(), Some(CommandOutcome::Refused(Some(RefuseReason::Unhealthy))));
    let said = bench.said(event::CONFIG_REVERTED);
    assert_eq!(said.len(), 1, "said once");
    bench.order(ArtifactKind::Policy, 7, signed(ArtifactKind::Policy, 7, POLICY.as_bytes()));
    assert_eq!(bench.last(), Some(CommandOutcome::Refused(Some(RefuseReason::Rollback))), "not tried again");
}

#[test]
fn a_configuration_that_ends_the_program_at_each_start_is_taken_back_at_the_fourth() {
    let mut bench = Bench::new();
    bench.order(ArtifactKind::Policy, 1, signed(ArtifactKind::Policy, 1, POLICY.as_bytes()));
    for start in 1..=3 {
        bench.restart();
        assert_eq!(bench.state().1, Some(format!("policy 1, {start} starts")));
    }
    bench.restart();
    assert_eq!(bench.state(), (0, None, Some("policy 1: starts".to_owned())));
    assert_eq!(bench.lane_of_unknown(), Lane::Batched);
    bench.exchange();
    assert_eq!(
        bench.last(),
        Some(CommandOutcome::Refused(Some(RefuseReason::Unhealthy))),
        "its receipt is owed"
    );
    assert_eq!(bench.said(event::CONFIG_REVERTED).len(), 1);
}

#[test]
fn a_cloud_that_does_not_answer_any_more_takes_it_back_after_a_quarter_of_an_hour() {
    let mut bench = Bench::new();
    bench.order(ArtifactKind::Policy, 1, signed(ArtifactKind::Policy, 1, POLICY.as_bytes()));
    bench.shelf.cloud.is_down = true;
    bench.run(600);
    assert!(bench.state().1.is_some(), "healthy but for the link");
    bench.run(330);
    assert_eq!(bench.state(), (0, None, Some("policy 1: uplink_silent".to_owned())));
}

#[test]
fn a_damaged_slot_falls_back_to_what_was_provisioned() {
    let mut bench = Bench::new();
    bench.order(ArtifactKind::Policy, 1, signed(ArtifactKind::Policy, 1, POLICY.as_bytes()));
    bench.run(90);
    let path = bench.folder.path().join("config/b/policy");
    let mut bytes = std::fs::read(&path).expect("in use");
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).expect("writable");
    bench.restart();
    assert_eq!(bench.lane_of_unknown(), Lane::Batched);
    assert_eq!(bench.said(event::CONFIG_REFUSED).len(), 1);
}

#[test]
fn a_model_is_switched_while_frames_come_and_its_detectors_judge() {
    let mut bench = Bench::new();
    let mut learner = crate::learn::Learner::new(outrider_ids::model::ModelHead::default());
    let frame = |at: u64, id: u32| {
        let frame = Frame::classic(CanId::standard(id).expect("11 bits"), &[1]).expect("one byte");
        TimedFrame { at: VehicleMicros(at), bus: BusId(0), frame }
    };
    (0..500).for_each(|turn| learner.add(&frame(turn * 10_000, 0x100)));
    let model = learner.finish().expect("frames").model;
    assert!(bench.vehicle.edge().is_none());
    bench.order(ArtifactKind::Model, 1, signed(ArtifactKind::Model, 1, &model));
    bench.vehicle.frame(&frame(bench.second * 1_000_000 + 1, 0x100));
    let bases: Vec<_> = bench.vehicle.edge().expect("detectors").bases().collect();
    assert_eq!(bases.len(), 1);
    assert_eq!(bench.vehicle.model().state, "believed");
    bench.run(90);
    assert_eq!(bench.vehicle.config_state().model, 1);
}

#[test]
fn a_vehicle_that_trusts_no_key_takes_no_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut vehicle = open(folder.path(), 1);
    let store = ConfigStore::open(&folder.path().join("config"), Box::new(RealDisk)).expect("a folder");
    let none = Remote::open(store, ArtifactTrust::default(), ModelTrust::default(), Provisioned::default());
    vehicle.set_remote(none.expect("writable"), VehicleMicros(0));
    let mut cloud = Cloud::new();
    let artifact = signed(ArtifactKind::Policy, 1, b"");
    cloud.commands = vec![order(1, ArtifactKind::Policy, 1, &artifact)];
    vehicle.exchange(&mut cloud, second(1));
    assert_eq!(cloud.outcomes, [CommandOutcome::Refused(Some(RefuseReason::Untrusted))]);
    assert_eq!(vehicle.config_state().policy, 0);
}
