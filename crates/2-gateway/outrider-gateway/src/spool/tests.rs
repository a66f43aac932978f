//! What the spool's tests share.

mod boots;
mod crash;
mod policy;
mod properties;
mod run;
mod tamper;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use outrider_types::{UnixMicros, VehicleId, VehicleMicros};
use outrider_wire::catalogue::{event, field};
use outrider_wire::{Ack, Batch, SIGNATURE_BYTES, SealedAck, Signer, SignerError, Verifier, Watermark};

use super::recovery::unnumbered;
use super::*;
use crate::{Ed25519Signer, Ed25519Verifier, FieldValue, MemoryStorage};

const VEHICLE: VehicleId = VehicleId([7; 16]);
/// Every lane must evict: two or three segments of five to eight rows.
const TIGHT: SpoolConfig =
    SpoolConfig { quota_bytes: [3 << 10, 2 << 10, 2 << 10], segment_bytes: 1 << 10, journal_bytes: 10 << 10 };
const SMALL: SpoolConfig =
    SpoolConfig { quota_bytes: [20 << 10; 3], segment_bytes: 1 << 10, journal_bytes: 10 << 10 };

type Id = (BootEpoch, Lane, u64);

/// Signs thousands of times a second: the crash tests are not about Ed25519.
#[derive(Clone, Copy)]
struct Quick;

impl Signer for Quick {
    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError> {
        let mut out = [0; SIGNATURE_BYTES];
        out[..32].copy_from_slice(seal::derive(&[0x51; 32], b"quick", message).as_slice());
        Ok(out)
    }
}

impl Verifier for Quick {
    fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        self.sign(message).as_ref() == Ok(signature)
    }
}

/// A counter that outlives boots, as hardware does.
#[derive(Debug, Clone, Default)]
struct Counter(Arc<AtomicU64>);

impl Counter {
    fn at(value: u64) -> Self {
        Self(Arc::new(AtomicU64::new(value)))
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Anchor for Counter {
    fn kind(&self) -> AnchorKind {
        AnchorKind::Software
    }

    fn read(&self) -> Result<u64, AnchorError> {
        Ok(self.value())
    }

    fn increment(&mut self) -> Result<u64, AnchorError> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn attest(&self, head: &[u8; 32]) -> Result<Attestation, AnchorError> {
        Ok(Attestation { kind: AnchorKind::Software, counter: self.value(), head: *head, proof: Vec::new() })
    }
}

const SECRET: [u8; 32] = [0x11; 32];
const ROOT: [u8; 32] = [0x22; 32];

fn boot(counter: &Counter) -> Boot {
    let keys = SpoolKeys::new(Box::new(Quick), SECRET, ROOT);
    Boot { floor: BootEpoch(1), salt: 0x5EED, keys, anchor: Box::new(counter.clone()) }
}

fn open_at<S: Storage>(storage: S, config: SpoolConfig, counter: &Counter) -> (Spool<S>, Recovery) {
    Spool::open(storage, config, boot(counter)).expect("the medium can be written")
}

/// Opens with a counter that agrees with whatever stands on the medium, as if the vehicle had been alone with it.
fn open<S: Storage>(storage: S, config: SpoolConfig) -> (Spool<S>, Recovery) {
    open_at(storage, config, &Counter::default())
}

fn audit<S: Storage>(storage: &S, config: SpoolConfig, counter: Option<u64>) -> Audit {
    let with = Verifying { secret: SECRET, root: ROOT, device: &Quick, counter, anchor: None };
    Audit::of(storage, config, &with).expect("in memory")
}

fn event(lane: Lane, mark: u64, count: u64) -> SecurityEvent {
    let mut event = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(mark));
    event.lane = lane;
    event.count = count;
    event.context = vec![0xA5, 0x5A, 1, 0];
    event.with(field::CAN_ID, FieldValue::Uint(mark))
}

fn acknowledge<S: Storage>(spool: &mut Spool<S>, epoch: BootEpoch, lane: Lane, contiguous: u64) -> u64 {
    let signer = Ed25519Signer::new(&[3; 32]);
    let mut out = [0; 256];
    let mark = Watermark { epoch, lane, contiguous, holes: &[] };
    let length = Ack::emit(VEHICLE, UnixMicros(1), &[mark], &signer, &mut out).expect("fits");
    let verifier = Ed25519Verifier::new(&signer.public_key()).expect("a real key");
    let ack =
        SealedAck::parse(&out[..length]).and_then(|sealed| sealed.open(&verifier)).expect("just signed");
    spool.apply_watermark(&ack)
}

/// Rows held, with the mark of each.
fn held<S: Storage>(spool: &mut Spool<S>) -> BTreeMap<Id, u64> {
    let mut rows = BTreeMap::new();
    for epoch in spool.epochs() {
        for lane in Lane::ALL {
            let mut after = 0;
            while let Some(seq) = spool.next_held(epoch, lane, after) {
                after = seq.0;
                let Some(row) = spool.read(epoch, lane, seq).expect("healthy medium") else { continue };
                let batch = Batch::parse(&row).expect("own row");
                let event = batch.events().next().expect("one row").expect("own row");
                assert_eq!((event.head.lane, event.head.seq), (lane, seq));
                rows.insert((epoch, lane, seq.0), event.head.first.0);
            }
        }
    }
    rows
}

fn assert_balance<S: Storage>(spool: &Spool<S>) {
    for ((epoch, lane), state) in &spool.lanes {
        let balanced = state.last_seq + state.folded + unnumbered(&state.drops);
        assert_eq!(state.received, balanced, "BAL-1 of {epoch} {lane}: {state:?}");
    }
}

#[test]
fn a_floor_of_configuration_survives_boots_and_snapshots_and_is_never_lowered() {
    let config = SpoolConfig { quota_bytes: [4 << 10; 3], segment_bytes: 1 << 10, journal_bytes: 8 << 10 };
    let (mut spool, _) = open(MemoryStorage::new(), config);
    spool.raise_floor(1, Floor { tried: 5, good: 4 }).expect("healthy medium");
    spool.raise_floor(1, Floor { tried: 3, good: 5 }).expect("healthy medium");
    // Enough boots that the journal was written round several times.
    for _ in 0..40 {
        let (again, _) = open(spool.into_storage(), config);
        spool = again;
        assert_eq!(spool.floor(1), Floor { tried: 5, good: 5 });
        assert_eq!(spool.floor(2), Floor::default());
    }
}
