//! A vehicle changes its batch key while answers get lost, the power fails and the cloud says no.

use std::collections::BTreeSet;

use outrider_wire::SealedKeyChange;

use super::*;
use crate::identity::BatchKeyFiles;

const MINUTE: u64 = 60_000_000;
const HOUR: u64 = 60 * MINUTE;

/// A cloud with keys: it answers only what one of them signed, as the listener does.
struct Register {
    known: BTreeSet<[u8; 32]>,
    froms: Vec<u64>,
    /// Loses the answers to changes of keys, though it takes them.
    loses: bool,
    /// Says that it took what it did not take, as a broker may.
    lies: bool,
    refuses: Option<u16>,
    signed_by: Vec<[u8; 32]>,
}

impl Register {
    fn new() -> Self {
        let known = BTreeSet::from([Ed25519Signer::new(&[1; 32]).public_key()]);
        Self { known, froms: Vec::new(), loses: false, lies: false, refuses: None, signed_by: Vec::new() }
    }
}

impl Transport for Register {
    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, TransportError> {
        if let Ok(sealed) = SealedKeyChange::parse(frame) {
            if let Some(status) = self.refuses {
                return Err(TransportError::Refused { status });
            }
            let claimed = *sealed.claimed();
            let new = Ed25519Verifier::new(&claimed.key).expect("a real key");
            let olds = self.known.iter().map(|key| Ed25519Verifier::new(key).expect("a real key"));
            assert!(olds.into_iter().any(|old| sealed.open(&new, &old).is_ok()), "signed by old and new");
            self.froms.push(claimed.from.0);
            if !self.lies {
                self.known.insert(claimed.key);
            }
            return if self.loses { Err(TransportError::TimedOut) } else { Ok(Vec::new()) };
        }
        let sealed = SealedEnvelope::parse(frame).expect("a batch");
        let by = self.known.iter().find(|key| sealed.open(&Ed25519Verifier::new(key).expect("real")).is_ok());
        let Some(by) = by else { return Err(TransportError::Refused { status: 403 }) };
        self.signed_by.push(*by);
        let mut ack = vec![0; Ack::frame_bytes(&[])];
        let head = (VEHICLE, START, outrider_gateway::uplink::frame_digest(frame));
        let length = Ack::emit_answer(head, &[], &Ed25519Signer::new(&[2; 32]), &mut ack).expect("it fits");
        Ok(reply(&ack[..length], &[]))
    }
}

impl CloudLink for Register {
    fn upload(&mut self, _: &str, _: &str, _: &str, _: &[u8]) -> Result<(), TransportError> {
        Err(TransportError::TimedOut)
    }
}

fn vehicle(folder: &Path, floor: u64, batch: &BatchKey) -> Vehicle<MemoryStorage> {
    let anchor = Box::new(SoftwareAnchor::in_memory(0));
    let mut vehicle = open_with(folder, floor, &[], batch.clone(), anchor);
    vehicle.set_key_changes(KeyChanges::new(folder, batch));
    vehicle
}

fn public(batch: &BatchKey) -> [u8; 32] {
    let BatchKey::Software { signer, .. } = batch else { panic!("a key in a file") };
    signer.public_key()
}

#[test]
fn a_key_that_waits_is_registered_and_then_signs_everything() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let batch = BatchKey::from([1; 32]);
    let old = public(&batch);
    let mut vehicle = vehicle(folder.path(), 5, &batch);
    let mut cloud = Register::new();
    vehicle.exchange(&mut cloud, VehicleMicros(0));
    assert_eq!(public(&batch), old, "nothing waits");
    let files = BatchKeyFiles::new(folder.path());
    files.make_next().expect("it writes");
    vehicle.exchange(&mut cloud, VehicleMicros(MINUTE));
    let new = public(&batch);
    assert_ne!(new, old);
    assert_eq!(cloud.froms, [vehicle.epoch().0 + 1], "from the next boot on");
    assert_eq!(files.waiting().expect("it reads"), None);
    assert!(
        files.spool_secret().expect("it reads").is_some(),
        "the spool is read with what it was begun with"
    );
    cloud.signed_by.clear();
    vehicle.exchange(&mut cloud, VehicleMicros(HOUR));
    assert!(!cloud.signed_by.is_empty() && cloud.signed_by.iter().all(|by| *by == new));
}

#[test]
fn a_lost_answer_is_found_out_after_a_restart_before_anything_else_is_sent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut cloud = Register::new();
    let files = BatchKeyFiles::new(folder.path());
    files.make_next().expect("it writes");
    cloud.loses = true;
    let batch = BatchKey::from([1; 32]);
    vehicle(folder.path(), 5, &batch).exchange(&mut cloud, VehicleMicros(0));
    assert_eq!(public(&batch), Ed25519Signer::new(&[1; 32]).public_key(), "nothing is used unanswered");
    assert!(files.waiting().expect("it reads").is_some_and(|next| next.from.is_some()));
    // From the boot that the key was offered for on, the cloud takes the new key alone.
    cloud.known.remove(&public(&batch));
    cloud.loses = false;
    cloud.signed_by.clear();
    let batch = BatchKey::from([1; 32]);
    vehicle(folder.path(), 9, &batch).exchange(&mut cloud, VehicleMicros(0));
    assert_eq!(cloud.signed_by.first(), Some(&public(&batch)));
    assert!(cloud.known.contains(&public(&batch)));
    assert_eq!(cloud.froms.len(), 1, "it was not offered twice");
}

#[test]
fn who_says_yes_without_knowing_the_key_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut cloud = Register::new();
    let batch = BatchKey::from([1; 32]);
    let old = public(&batch);
    let files = BatchKeyFiles::new(folder.path());
    files.make_next().expect("it writes");
    cloud.lies = true;
    let mut vehicle = vehicle(folder.path(), 5, &batch);
    for minute in 0..10 {
        vehicle.exchange(&mut cloud, VehicleMicros(minute * MINUTE));
    }
    assert_eq!(public(&batch), old);
    assert!(cloud.froms.len() > 5, "it is offered again");
    cloud.lies = false;
    vehicle.exchange(&mut cloud, VehicleMicros(20 * MINUTE));
    assert_ne!(public(&batch), old);
    assert!(cloud.froms.iter().all(|from| *from == vehicle.epoch().0 + 1), "always the same offer");
}

#[test]
fn a_refused_key_is_forgotten_and_one_that_comes_too_early_waits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = BatchKeyFiles::new(folder.path());
    files.make_next().expect("it writes");
    let batch = BatchKey::from([1; 32]);
    let mut vehicle = vehicle(folder.path(), 5, &batch);
    let mut cloud = Register::new();
    cloud.refuses = Some(409);
    vehicle.exchange(&mut cloud, VehicleMicros(0));
    cloud.refuses = None;
    vehicle.exchange(&mut cloud, VehicleMicros(HOUR / 2));
    assert!(files.waiting().expect("it reads").is_some(), "the cloud takes one an hour");
    vehicle.exchange(&mut cloud, VehicleMicros(HOUR));
    assert_eq!(files.waiting().expect("it reads"), None);
    let second = public(&batch);
    files.make_next().expect("it writes");
    cloud.refuses = Some(403);
    vehicle.exchange(&mut cloud, VehicleMicros(3 * HOUR));
    assert_eq!(files.waiting().expect("it reads"), None);
    assert_eq!(public(&batch), second);
}
