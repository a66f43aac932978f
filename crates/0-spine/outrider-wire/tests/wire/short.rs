//! Short frames and edge records.

use hmac::{Hmac, KeyInit as _, Mac as _};
use outrider_types::{BootEpoch, Lane, Seq, TenantId};
use outrider_wire::{
    Batch, BatchWriter, EdgeRecord, FrameError, Opening, SHORT_FRAME_BYTES_MAX, SHORT_TAG_BYTES,
    SealedEdgeRecord, SealedShort, SeqRange, ShortCoding, ShortFrame, ShortPlace, ShortProof, Tagger,
    is_short,
};
use sha2::Sha256;

use crate::frames::VEHICLE;
use crate::{Key, rows};

/// HMAC-SHA256 with a fixed key, as the gateway computes it.
pub(crate) struct Session(pub(crate) [u8; 32]);

impl Tagger for Session {
    fn tag(&self, parts: [&[u8]; 4]) -> [u8; SHORT_TAG_BYTES] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes()[..SHORT_TAG_BYTES].try_into().expect("eight of 32")
    }
}

fn place(number: u64) -> ShortPlace {
    ShortPlace { vehicle: VEHICLE, number }
}

pub(crate) fn frame(opening: Option<Opening>, number: u64) -> Vec<u8> {
    let row = rows::sample();
    let mut out = vec![0; SHORT_FRAME_BYTES_MAX];
    let frame = ShortFrame { opening, coding: ShortCoding::STORED, row: &row[..40] };
    let length = frame.emit(&Session([3; 32]), place(number), &mut out).expect("room");
    out.truncate(length);
    out
}

pub(crate) fn first() -> Vec<u8> {
    frame(Some(Opening { epoch: BootEpoch(300), catalogue_id: 1 }), 0)
}

pub(crate) fn record() -> Vec<u8> {
    let row = rows::sample();
    let record = EdgeRecord {
        catalogue_id: 1,
        tenant: TenantId(42),
        vehicle: VEHICLE,
        epoch: BootEpoch(7),
        number: 3,
        row: &row,
    };
    let mut out = vec![0; EdgeRecord::frame_bytes(row.len())];
    let length = record.emit(&Key::new(5), &mut out).expect("room");
    assert_eq!(length, out.len());
    out
}

#[test]
fn the_tag_binds_key_vehicle_number_and_every_bit() {
    let good = first();
    let open = |bytes: &[u8], key, place| {
        SealedShort::parse(bytes)
            .and_then(|sealed| sealed.open(&Session([key; 32]), place))
            .map(|frame| frame.opening)
    };
    let opening = Some(Opening { epoch: BootEpoch(300), catalogue_id: 1 });
    assert_eq!(open(&good, 3, place(0)), Ok(opening));
    assert_eq!(good.len(), 1 + 2 + 1 + 40 + 8);
    let other = ShortPlace { vehicle: outrider_types::VehicleId([0; 16]), number: 0 };
    for (key, place) in [(4, place(0)), (3, place(1)), (3, other)] {
        assert_eq!(open(&good, key, place), Err(FrameError::Signature));
    }
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&bad, 3, place(0)).is_err(), "bit {bit}");
    }
    for length in 0..good.len() {
        assert!(open(&good[..length], 3, place(0)).is_err(), "{length} bytes");
    }
}

#[test]
fn a_short_frame_is_told_by_its_first_byte_and_bounded() {
    assert!(is_short(&first()) && !is_short(b"ORTB") && !is_short(&[]));
    let long = vec![0x80; SHORT_FRAME_BYTES_MAX + 1];
    assert!(matches!(SealedShort::parse(&long), Err(FrameError::Cap { .. })));
    assert!(SealedShort::parse(&long[1..]).is_ok(), "its tag is another matter");
    for bad in [&[0x90; 40][..], &[0x88, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0x80, 1, 2, 3, 4, 5, 6, 7, 8]] {
        assert!(SealedShort::parse(bad).is_err(), "{bad:02x?}");
    }
    let row = [0; SHORT_FRAME_BYTES_MAX];
    let mut out = [0; 2 * SHORT_FRAME_BYTES_MAX];
    let emit = |row: &[u8], out: &mut [u8]| {
        ShortFrame { opening: None, coding: ShortCoding::STORED, row }.emit(&Session([3; 32]), place(0), out)
    };
    assert_eq!(emit(&row[..SHORT_FRAME_BYTES_MAX - 9], &mut out), Ok(SHORT_FRAME_BYTES_MAX));
    assert!(matches!(emit(&row[..SHORT_FRAME_BYTES_MAX - 8], &mut out), Err(FrameError::Cap { .. })));
    assert!(matches!(emit(&[], &mut out), Err(FrameError::Truncated { .. })));
    assert!(matches!(emit(&row[..9], &mut out[..10]), Err(FrameError::Full(_))));
    assert!(ShortCoding::new(7).is_some() && ShortCoding::new(8).is_none());
}

#[test]
fn an_edge_record_is_bound_to_its_signature() {
    let good = record();
    let open = |bytes: &[u8], key| {
        SealedEdgeRecord::parse(bytes)
            .and_then(|sealed| sealed.open(&Key::new(key)).map(|record| record.number))
    };
    assert_eq!(open(&good, 5), Ok(3));
    assert_eq!(open(&good, 6), Err(FrameError::Signature));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(open(&bad, 5).is_err(), "byte {at}");
        assert!(open(&good[..at], 5).is_err(), "{at} bytes");
    }
}

#[test]
fn proofs_are_read_as_they_were_written_and_a_broken_one_is_named() {
    let range = SeqRange::new(Seq(4), Seq(900)).expect("ascending");
    let proof = ShortProof { lane: Lane::Critical, range, chain: [0xC4; 32] };
    let mut buffer = [0; 256];
    let mut writer = BatchWriter::new(&mut buffer);
    writer.proof(&proof).expect("room");
    let bytes = writer.finish();
    let read: Vec<_> = Batch::parse(bytes).expect("own output").proofs().collect();
    assert_eq!(read, [Ok(proof)]);
    let mut short = bytes.to_vec();
    short.pop();
    short[1] -= 1;
    let at = short.len() - 32;
    short[at] = 31;
    let batch = Batch::parse(&short).expect("whole from outside");
    assert!(batch.proofs().next().expect("one").is_err());
    let mut full = [0; 8];
    assert!(BatchWriter::new(&mut full).proof(&proof).is_err());
}
