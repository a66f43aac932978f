use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey, Verifier as _};
use outrider_types::{EcuId, EventTypeId, IngestTime, Lane, Seq, UnixMicros, VehicleMicros};
use outrider_wire::{
    BatchWriter, EventHead, SHORT_FRAME_BYTES_MAX, SeqRange, ShortFrame, ShortProof, SignerError, Verifier,
};
use sha2::Digest as _;

use super::*;
use crate::open::Opener;

const VEHICLE: VehicleId = VehicleId([7; 16]);
const KEY: [u8; 32] = [9; 32];

struct Key(SigningKey);

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

impl Verifier for Key {
    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verifying_key().verify(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

fn key(seed: u8) -> Key {
    Key(SigningKey::from_bytes(&[seed; 32]))
}

/// Keys of one vehicle, and of an edge if there is one.
struct Ring(Option<u8>);

impl KeyRing for Ring {
    fn batch_key(&self, vehicle: VehicleId) -> Option<(TenantId, Arc<dyn Verifier + Send + Sync>)> {
        let check: Arc<dyn Verifier + Send + Sync> = Arc::new(key(1));
        (vehicle == VEHICLE).then_some((TenantId(1), check))
    }

    fn edge_key(&self) -> Option<Arc<dyn Verifier + Send + Sync>> {
        self.0.map(|seed| Arc::new(key(seed)) as Arc<dyn Verifier + Send + Sync>)
    }
}

fn row(seq: u64) -> Vec<u8> {
    let head = EventHead {
        event_type: EventTypeId(100),
        lane: Lane::Critical,
        seq: Seq(seq),
        severity: None,
        bus: None,
        ecu: EcuId(2),
        first: VehicleMicros(5),
        last: VehicleMicros(5),
        count: 1,
    };
    let mut buffer = vec![0; 512];
    let mut writer = BatchWriter::new(&mut buffer);
    writer.event(&head, std::iter::empty(), &[0x5A; 150]).expect("room");
    writer.finish().to_vec()
}

/// What a vehicle sends as the how manieth short frame of its session.
fn frame(number: u64, seq: u64) -> Vec<u8> {
    let opening = (number == 0).then_some(Opening { epoch: BootEpoch(3), catalogue_id: 1 });
    let row = row(seq);
    let frame = ShortFrame { opening, coding: ShortCoding::STORED, row: &row[3..] };
    let mut out = vec![0; SHORT_FRAME_BYTES_MAX];
    let tagger = SessionKey(Zeroizing::new(KEY));
    let length = frame.emit(&tagger, ShortPlace { vehicle: VEHICLE, number }, &mut out).expect("room");
    out.truncate(length);
    out
}

fn session() -> ShortSession {
    ShortSession::new(VEHICLE, KEY)
}

#[test]
fn frames_open_in_order_only_and_come_back_as_the_rows_of_the_spool() {
    let mut session = session();
    let first = session.open(&frame(0, 1)).expect("the first");
    assert_eq!((first.epoch, first.number, &first.row), (BootEpoch(3), 0, &row(1)));
    let wrong = |result: Result<ShortRow, IngestError>| result.expect_err("refused").code();
    assert_eq!(wrong(session.open(&frame(0, 1))), "batch.signature", "replayed");
    assert_eq!(wrong(session.open(&frame(2, 2))), "batch.signature", "one is missing");
    assert_eq!(session.open(&frame(1, 2)).expect("the second").row, row(2));
    let mut other = ShortSession::new(VehicleId([8; 16]), KEY);
    assert_eq!(wrong(other.open(&frame(0, 1))), "batch.signature", "another vehicle's");
    let mut stolen = ShortSession::new(VEHICLE, [1; 32]);
    assert_eq!(wrong(stolen.open(&frame(0, 1))), "batch.signature", "another session's");
}

#[test]
fn every_changed_bit_and_every_cut_is_refused() {
    let good = frame(0, 1);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(session().open(&bad).is_err(), "bit {bit}");
    }
    for length in 0..good.len() {
        assert!(session().open(&good[..length]).is_err(), "{length} bytes");
    }
    assert!(session().open(&good).is_ok());
}

#[test]
fn a_session_that_was_never_opened_yields_no_row() {
    let tagger = SessionKey(Zeroizing::new(KEY));
    let row = row(1);
    let bare = ShortFrame { opening: None, coding: ShortCoding::STORED, row: &row[3..] };
    let mut out = vec![0; SHORT_FRAME_BYTES_MAX];
    let place = ShortPlace { vehicle: VEHICLE, number: 0 };
    let length = bare.emit(&tagger, place, &mut out).expect("room");
    assert!(matches!(session().open(&out[..length]), Err(IngestError::Frame(FrameError::Value { .. }))));
    for coding in 1..8 {
        let coding = ShortCoding::new(coding).expect("three bits");
        let opening = Some(Opening { epoch: BootEpoch(3), catalogue_id: 1 });
        let garbage = ShortFrame { opening, coding, row: &[0xFF; 40] };
        let length = garbage.emit(&tagger, place, &mut out).expect("room");
        assert!(session().open(&out[..length]).is_err(), "{coding:?}");
    }
}

#[test]
fn the_log_takes_records_of_the_edge_and_of_nobody_else() {
    let row = session().open(&frame(0, 1)).expect("a right frame");
    let accepted =
        Acceptor::default().accept_short(&row, &Ring(None), Received::default()).expect("registered");
    assert!(accepted.has_news);
    let again =
        Acceptor::default().accept_short(&row, &Ring(None), accepted.received.clone()).expect("registered");
    assert!(!again.has_news && again.received == accepted.received);
    let record = row.record(TenantId(1), &key(4)).expect("room");
    let mut opener = Opener::default();
    let opened = opener.open(&record, None, &Ring(Some(4))).expect("of the edge");
    assert!(opened.is_short && opened.rows == row.row && opened.header.epoch == BootEpoch(3));
    let code = |result: Result<Opened, IngestError>| result.expect_err("refused").code();
    assert_eq!(code(opener.open(&record, None, &Ring(Some(5)))), "batch.signature", "another edge");
    assert_eq!(code(opener.open(&record, None, &Ring(None))), "batch.signature", "no edge is known");
    assert_eq!(
        code(opener.open(&record, Some(VEHICLE), &Ring(Some(4)))),
        "batch.frame",
        "a vehicle sends none"
    );
    let other = row.record(TenantId(2), &key(4)).expect("room");
    assert_eq!(code(opener.open(&other, None, &Ring(Some(4)))), "batch.wrong_tenant");
    for at in 0..record.len() {
        let mut bad = record.clone();
        bad[at] ^= 1;
        assert!(opener.open(&bad, None, &Ring(Some(4))).is_err(), "byte {at}");
    }
}

fn proof(last: u64, change: bool) -> ShortProof {
    let mut chain = [0; 32];
    for seq in 1..=last {
        let mut row = row(seq);
        row[20] ^= u8::from(change && seq == 2);
        chain = Sha256::new().chain_update(chain).chain_update(Sha256::digest(row)).finalize().into();
    }
    ShortProof { lane: Lane::Critical, range: SeqRange::new(Seq(1), Seq(last)).expect("ascending"), chain }
}

fn ledger(rows: u64) -> ShortLedger {
    let mut ledger = ShortLedger::default();
    for seq in 1..=rows {
        let at = IngestTime(UnixMicros(i64::try_from(seq).expect("small")));
        ledger.note(BootEpoch(3), Lane::Critical, Seq(seq), &row(seq), at);
    }
    ledger
}

#[test]
fn a_proof_fits_the_rows_that_came_or_names_them_forged() {
    let mut good = ledger(3);
    assert_eq!(good.check(BootEpoch(2), &proof(3, false)), ShortVerdict::Unknown, "another boot");
    assert_eq!(good.check(BootEpoch(3), &proof(4, false)), ShortVerdict::Unknown, "one never came");
    assert_eq!(good.check(BootEpoch(3), &proof(2, false)), ShortVerdict::Proved);
    assert_eq!(good.waiting(), (1, Some(IngestTime(UnixMicros(3)))));
    assert_eq!(ledger(3).check(BootEpoch(3), &proof(3, true)), ShortVerdict::Forged);
    let many = ledger(1100);
    assert_eq!(many.waiting(), (1024, Some(IngestTime(UnixMicros(77)))), "the oldest give way");
    let mut saved = Vec::new();
    many.save(&mut saved);
    let mut cursor = crate::interval::StateCursor::new(&saved);
    assert_eq!(ShortLedger::load(&mut cursor).expect("own bytes"), many);
    assert!(cursor.is_at_end());
}
