use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey, Verifier as _};
use outrider_model::{FieldValue, LogOffset, VehicleRecord, catalogue};
use outrider_types::{BusId, ClockFix, ClockSource, EcuId, EventTypeId, FieldKey, TenantId, VehicleMicros};
use outrider_wire::{
    BatchWriter, DictId, Envelope, EnvelopeHeader, EventHead, Field, Gap, LaneHead, SignerError, Value,
    Verifier,
};
use proptest::prelude::*;

use super::*;
use crate::accept::{Acceptor, lane_watermarks};
use crate::open::IngestError;

const VEHICLE: VehicleId = VehicleId([7; 16]);
const NOW: IngestTime = IngestTime(UnixMicros(1_800_000_000_000_000));

struct Key(SigningKey);

impl outrider_wire::Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

struct Check(ed25519_dalek::VerifyingKey);

impl Verifier for Check {
    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

struct Ring;

impl KeyRing for Ring {
    fn batch_key(&self, vehicle: VehicleId) -> Option<(TenantId, Arc<dyn Verifier + Send + Sync>)> {
        (vehicle == VEHICLE).then(|| {
            let check: Arc<dyn Verifier + Send + Sync> = Arc::new(Check(key(1).verifying_key()));
            (TenantId(1), check)
        })
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn head(seq: u64) -> EventHead {
    EventHead {
        event_type: EventTypeId(100),
        lane: Lane::Batched,
        seq: Seq(seq),
        severity: None,
        bus: Some(BusId(1)),
        ecu: EcuId(2),
        first: VehicleMicros(1_000_000 * seq),
        last: VehicleMicros(1_000_000 * seq),
        count: 1,
    }
}

/// Rows with these numbers, a clock fix at boot and a lane head.
fn rows(seqs: &[u64], announced: u64, gaps: &[Gap]) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 16];
    let mut writer = BatchWriter::new(&mut buffer);
    writer
        .fix(&ClockFix {
            mono: VehicleMicros(0),
            wall: UnixMicros(NOW.0.0 - 3_600_000_000),
            error_us: 1000,
            source: ClockSource::Gnss,
        })
        .expect("there is room");
    let lane =
        LaneHead { lane: Lane::Batched, first_seq: 1, last_seq: announced, received: announced, folded: 0 };
    writer.head(&lane, &[]).expect("there is room");
    for gap in gaps {
        writer.gap(gap).expect("there is room");
    }
    for seq in seqs {
        let fields = [Field { key: FieldKey(1), value: Value::Uint(0x123) }];
        writer.event(&head(*seq), fields.into_iter(), b"ctx").expect("there is room");
    }
    writer.finish().to_vec()
}

fn seal_as(
    rows: &[u8],
    payload: &[u8],
    dict: DictId,
    signer: u8,
    vehicle: VehicleId,
    tenant: u32,
) -> Vec<u8> {
    let header = EnvelopeHeader {
        dict,
        catalogue_id: 1,
        tenant: TenantId(tenant),
        vehicle,
        epoch: BootEpoch(4),
        batch_number: 1,
        raw_bytes: u32::try_from(rows.len()).expect("rows are short"),
    };
    sealed(&Envelope { header, payload }, signer)
}

fn sealed(envelope: &Envelope<'_>, signer: u8) -> Vec<u8> {
    let mut out = vec![0; Envelope::frame_bytes(envelope.payload.len())];
    let length = envelope.emit(&Key(key(signer)), &mut out).expect("the frame is within its caps");
    out.truncate(length);
    out
}

fn seal(rows: &[u8]) -> Vec<u8> {
    seal_in(4, 1, rows)
}

/// Seals rows as a batch of a boot.
fn seal_in(epoch: u64, batch_number: u64, rows: &[u8]) -> Vec<u8> {
    let payload = zstd::bulk::compress(rows, 3).expect("zstd compresses");
    let header = EnvelopeHeader {
        dict: DictId::PLAIN,
        catalogue_id: 1,
        tenant: TenantId(1),
        vehicle: VEHICLE,
        epoch: BootEpoch(epoch),
        batch_number,
        raw_bytes: u32::try_from(rows.len()).expect("rows are short"),
    };
    sealed(&Envelope { header, payload: &payload }, 1)
}

fn record(offset: u64, bytes: Vec<u8>) -> LogRecord {
    LogRecord { offset: LogOffset(offset), ingest: NOW, bytes }
}

fn registry() -> BTreeMap<VehicleId, VehicleRecord> {
    let record = VehicleRecord {
        vehicle: VEHICLE,
        tenant: TenantId(1),
        model_line: "Aster".to_owned(),
        platform: "P1".to_owned(),
        model_year: 2026,
        release: "24.1".to_owned(),
        region: "DE".to_owned(),
        h3: None,
        connectivity: outrider_model::Connectivity::Cellular,
        ecus: vec![outrider_model::EcuEntry {
            ecu: EcuId(2),
            name: "gateway".to_owned(),
            bus: 1,
            software: "1".to_owned(),
            ..outrider_model::EcuEntry::default()
        }],
        ..VehicleRecord::default()
    };
    BTreeMap::from([(VEHICLE, record)])
}

fn run(worker: &mut Worker, records: &[LogRecord]) -> (EventBatch, Vec<Quarantined>) {
    let (mut batch, mut quarantine) = (EventBatch::new(), Vec::new());
    for record in records {
        worker.receive(record, &Ring, &registry(), &mut batch, &mut quarantine);
    }
    batch.seal();
    (batch, quarantine)
}

#[test]
fn rows_are_decoded_enriched_and_put_in_time() {
    let (batch, quarantine) = run(&mut Worker::default(), &[record(0, seal(&rows(&[1, 2], 2, &[])))]);
    assert!(quarantine.is_empty(), "{quarantine:?}");
    assert_eq!(batch.rows(), 2);
    let row = batch.row(1);
    assert_eq!(row.time().best, UnixMicros(NOW.0.0 - 3_600_000_000 + 2_000_000));
    assert_eq!(row.field(FieldKey(1)), Some(FieldValue::Int(0x123)));
    assert_eq!((batch.ecu.get(1), batch.model_line.get(0)), (Some("gateway"), Some("Aster")));
    assert_eq!(batch.context(0), b"ctx");
    let default = catalogue::event_type(EventTypeId(100)).expect("it is in the catalogue").severity;
    assert_eq!(row.severity(), default);
}

#[test]
fn a_batch_sent_again_adds_nothing_and_is_counted() {
    let sent = record(0, seal(&rows(&[1, 2, 3], 3, &[])));
    let mut worker = Worker::default();
    let (batch, _) = run(&mut worker, &[sent.clone(), sent]);
    assert_eq!(batch.rows(), 3);
    assert_eq!(worker.rows().dropped().get("duplicate"), Some(&3));
    assert_eq!((worker.rows().difference(), worker.batches().difference()), (0, 0));
}

/// The same a while later: what a vehicle says makes time pass, not the clock on the wall.
fn later(offset: u64, after_us: i64, bytes: Vec<u8>) -> LogRecord {
    LogRecord { offset: LogOffset(offset), ingest: IngestTime(NOW.0.saturating_add(after_us)), bytes }
}

const DAY_US: i64 = 86_400_000_000;

#[test]
fn gaps_are_open_then_overdue_filled_or_lost() {
    let range = SeqRange::new(Seq(2), Seq(2)).expect("not empty");
    let lost = Gap { lane: Lane::Batched, range, reason: Some(outrider_wire::DropReason::Evicted) };
    let mut worker = Worker::default();
    run(&mut worker, &[record(0, seal(&rows(&[1, 5], 6, &[lost])))]);
    let states = |worker: &Worker| -> Vec<_> {
        worker.gaps(VEHICLE).iter().map(|gap| (gap.first.0, gap.last.0, gap.state)).collect()
    };
    let both = [(3, 4, GapState::Open), (6, 6, GapState::Open), (2, 2, GapState::Lost)];
    assert_eq!(states(&worker), both);
    assert_eq!(worker.gaps(VEHICLE)[2].reason, Some(outrider_wire::DropReason::Evicted));
    // A vehicle that is away for long is not late: it had no way to send.
    run(&mut worker, &[later(1, DAY_US, seal(&rows(&[6], 6, &[])))]);
    assert_eq!(states(&worker)[0], (3, 4, GapState::Open));
    let (batch, _) = run(&mut worker, &[later(2, DAY_US + 1, seal(&rows(&[7], 7, &[])))]);
    assert_eq!(states(&worker)[0], (3, 4, GapState::Overdue));
    let said: Vec<_> = (0..batch.rows()).map(|row| batch.row(row).event_type()).collect();
    assert_eq!(said, [EventTypeId(100), outrider_wire::catalogue::event::INGEST_GAP_OVERDUE]);
    run(&mut worker, &[later(3, 3 * DAY_US, seal(&rows(&[3, 4], 7, &[])))]);
    assert_eq!(states(&worker), [(2, 2, GapState::Lost)], "only the declared loss is left");
    let ended = worker.gap_ends(VEHICLE).next().expect("the gap that was filled");
    assert_eq!((ended.range, ended.filled, ended.lost), ((3, 4), 2, 0));
    assert_eq!(ended.until.micros_since(ended.since), 3 * DAY_US, "filled after three days");
}

#[test]
fn only_vehicles_with_gaps_are_looked_at_for_gaps() {
    let mut worker = Worker::default();
    let gapped = |worker: &Worker| worker.gapped_vehicles().count();
    run(&mut worker, &[record(0, seal(&rows(&[1, 3], 3, &[])))]);
    assert_eq!(gapped(&worker), 1);
    let saved = worker.save_changed().remove(0).1;
    run(&mut worker, &[record(1, seal(&rows(&[2], 3, &[])))]);
    assert_eq!(gapped(&worker), 0, "filled");
    let mut restored = Worker::default();
    restored.load_vehicle(VEHICLE, &saved).expect("its own state");
    assert_eq!(gapped(&restored), 1, "a restart knows");
}

#[test]
fn every_kind_of_bad_batch_has_its_own_reason_and_stops_nothing() {
    let good = rows(&[1], 1, &[]);
    let packed = zstd::bulk::compress(&good, 3).expect("zstd compresses");
    let bomb = zstd::bulk::compress(&vec![0u8; 1 << 22], 3).expect("zstd compresses");
    let other = VehicleId([8; 16]);
    let mut lying = seal(&good);
    let at = lying.len() / 2;
    lying[at] ^= 1;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "batch.frame"),
        (vec![0xff; 200], "batch.frame"),
        (seal(&good)[..80].to_vec(), "batch.frame"),
        (lying, "batch.signature"),
        (seal_as(&good, &packed, DictId::PLAIN, 2, VEHICLE, 1), "batch.signature"),
        (seal_as(&good, &packed, DictId::PLAIN, 1, other, 1), "batch.unknown_vehicle"),
        (seal_as(&good, &packed, DictId::PLAIN, 1, VEHICLE, 2), "batch.wrong_tenant"),
        (seal_as(&good, &packed, DictId(0x1234_5678), 1, VEHICLE, 1), "batch.unknown_dictionary"),
        (seal_as(&good, &bomb, DictId::PLAIN, 1, VEHICLE, 1), "batch.decompress"),
        (seal_as(&good, b"no zstd", DictId::PLAIN, 1, VEHICLE, 1), "batch.decompress"),
        (seal_as(b"\xff\xff\xff", b"\xff\xff\xff", DictId::STORED, 1, VEHICLE, 1), "batch.rows"),
    ];
    let mut worker = Worker::default();
    for (index, (bytes, reason)) in cases.iter().enumerate() {
        let (batch, quarantine) = run(&mut worker, &[record(index as u64, bytes.clone())]);
        assert_eq!(batch.rows(), 0);
        assert_eq!(quarantine.len(), 1, "case {index}");
        assert_eq!(quarantine[0].reason, *reason, "case {index}: {}", quarantine[0].place);
        assert_eq!(quarantine[0].bytes, *bytes, "the bytes are kept");
    }
    let (batch, quarantine) = run(&mut worker, &[record(99, seal(&good))]);
    assert_eq!((batch.rows(), quarantine.len()), (1, 0), "the next good batch passes");
    assert_eq!(worker.batches().difference(), 0);
}

#[test]
fn the_listener_refuses_another_vehicles_batch_and_acknowledges_what_is_durable() {
    let mut acceptor = Acceptor::default();
    let bytes = seal(&rows(&[1, 2, 5], 6, &[]));
    let refused = acceptor.accept(&bytes, VehicleId([8; 16]), &Ring, Received::default());
    assert!(matches!(refused, Err(IngestError::WrongVehicle { .. })), "{refused:?}");
    let accepted = acceptor.accept(&bytes, VEHICLE, &Ring, Received::default()).expect("the batch is good");
    assert!(accepted.has_news);
    let marks = lane_watermarks(&accepted);
    assert_eq!(marks.len(), 1);
    assert_eq!(marks[0].contiguous, 2);
    let holes: Vec<_> = marks[0].holes.iter().map(|range| (range.first().0, range.last().0)).collect();
    assert_eq!(holes, [(3, 4), (6, 6)]);
    let again = acceptor.accept(&bytes, VEHICLE, &Ring, accepted.received).expect("the batch is good");
    assert!(!again.has_news, "a resent batch is acknowledged but not stored again");
}

#[test]
fn a_vehicle_that_skips_every_second_number_is_stopped_in_time() {
    let mut acceptor = Acceptor::default();
    let mut known = Received::default();
    for seq in 0..16_384u64 {
        let seq = Seq(1 + 2 * seq);
        known.insert(BootEpoch(4), Lane::Batched, SeqRange::new(seq, seq).expect("not empty"));
    }
    let at_the_limit = acceptor.accept(&seal(&rows(&[2], 2, &[])), VEHICLE, &Ring, known.clone());
    assert!(at_the_limit.is_ok(), "filling a hole is welcome");
    let beyond = acceptor.accept(&seal(&rows(&[40_001], 40_001, &[])), VEHICLE, &Ring, known);
    assert!(matches!(beyond, Err(IngestError::Scattered { .. })), "{beyond:?}");
}

#[test]
fn a_worker_restored_from_its_checkpoint_goes_on_as_if_nothing_happened() {
    let first = record(0, seal(&rows(&[1, 2], 4, &[])));
    let second = record(1, seal(&rows(&[2, 3, 4], 4, &[])));
    let mut straight = Worker::default();
    run(&mut straight, std::slice::from_ref(&first));
    let saved = straight.save_changed();
    assert_eq!(saved.len(), 1);
    assert!(straight.save_changed().is_empty(), "nothing changed since");
    let mut restored = Worker::default();
    for (vehicle, bytes) in &saved {
        restored.load_vehicle(*vehicle, bytes).expect("the state is whole");
        for cut in 0..bytes.len() {
            assert!(Worker::default().load_vehicle(*vehicle, &bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
    let (left, _) = run(&mut straight, std::slice::from_ref(&second));
    let (right, _) = run(&mut restored, &[second]);
    assert_eq!(left, right);
    assert_eq!(right.rows(), 2);
}

proptest! {
    #[test]
    fn random_bytes_are_quarantined_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut worker = Worker::default();
        let (batch, quarantine) = run(&mut worker, &[record(0, bytes)]);
        prop_assert_eq!((batch.rows(), quarantine.len()), (0, 1));
        prop_assert_eq!(worker.batches().difference(), 0);
    }

    #[test]
    fn signed_but_broken_rows_balance(at in 0usize..400, flip in 1u8..) {
        let mut bytes = rows(&[1, 2, 3, 4, 5, 6], 6, &[]);
        let at = at % bytes.len();
        bytes[at] ^= flip;
        let sealed = seal_as(&bytes, &bytes, DictId::STORED, 1, VEHICLE, 1);
        let mut worker = Worker::default();
        let (batch, quarantine) = run(&mut worker, &[record(0, sealed)]);
        prop_assert_eq!(worker.rows().difference(), 0, "{}", worker.rows());
        prop_assert_eq!(worker.rows().passed() + worker.statements(), batch.rows() as u64);
        let units: u64 = worker.rows().quarantined().values().chain(worker.batches().quarantined().values()).sum();
        prop_assert_eq!(units, quarantine.iter().map(|entry| entry.units).sum::<u64>());
    }
}

mod anchors;
mod findings;
mod time;
