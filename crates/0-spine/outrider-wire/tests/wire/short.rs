//! Short frames and edge records.

use hmac::{Hmac, KeyInit as _, Mac as _};
use outrider_types::{
    BootEpoch, BusId, EcuId, EventTypeId, FieldKey, Lane, Seq, Severity, TenantId, VehicleMicros,
};
use outrider_wire::short_row::{SHAPES_V1, pack, unpack};
use outrider_wire::{
    Batch, BatchWriter, EdgeRecord, EventHead, Field, FrameError, Opening, SHORT_FRAME_BYTES_MAX,
    SHORT_TAG_BYTES, SealedEdgeRecord, SealedShort, SeqRange, ShortCoding, ShortFrame, ShortPlace,
    ShortProof, Tagger, Value, is_short,
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

/// A frame in compact form.
pub(crate) fn compact() -> Vec<u8> {
    let rows = rows::sample();
    let events: Vec<_> = Batch::parse(&rows).expect("own rows").events().flatten().collect();
    let mut row = [0; SHORT_FRAME_BYTES_MAX];
    let length = events.iter().find_map(|event| pack(SHAPES_V1, event, &mut row));
    let length = length.unwrap_or_else(|| {
        row[..8].copy_from_slice(&[0, 0, 1, 5, 0x80, 0x01, 0, 0]);
        6
    });
    let frame = ShortFrame { opening: None, coding: ShortCoding::COMPACT_V1, row: &row[..length] };
    let mut out = vec![0; SHORT_FRAME_BYTES_MAX];
    let length = frame.emit(&Session([3; 32]), place(2), &mut out).expect("room");
    out.truncate(length);
    out
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

/// A row in every shape, with other values in each round; compact and back it is the same.
#[test]
fn a_row_of_every_shape_comes_back_from_its_compact_form() {
    let mut at = SHAPES_V1;
    let (mut rows, mut smaller) = (0, 0);
    while let [count, low, high, tail @ ..] = at {
        let (fields, rest) = tail.split_at(usize::from(*count) * 3);
        at = rest;
        for (round, index_of_round) in (0..6u64).zip(0usize..) {
            let kept = fields.chunks(3).enumerate().filter(|(index, _)| round != 1 || index % 2 == 0);
            let fields: Vec<Field<'_>> = kept
                .map(|(index, part)| {
                    let value = match part[2] {
                        0 => Value::Uint(u64::MAX >> (round * 9 + index as u64)),
                        1 => Value::Text(["", "eth0.21", "Größe", "wrong_key", "A B", "q~Q"][index_of_round]),
                        2 => Value::Double(0.1 * round as f64),
                        _ => Value::Flag(round % 2 == 0),
                    };
                    Field { key: FieldKey(u16::from_le_bytes([part[0], part[1]])), value }
                })
                .collect();
            let first = VehicleMicros(1 << (round * 7));
            let head = EventHead {
                event_type: EventTypeId(u16::from_le_bytes([*low, *high])),
                lane: Lane::ALL[index_of_round % 3],
                seq: Seq(1 + round * 1000),
                severity: (round == 2).then_some(Severity::High),
                bus: (round > 2).then_some(BusId(5)),
                ecu: EcuId(300),
                first,
                last: first.saturating_add(round),
                count: 1 + round / 2,
            };
            let context: &[u8] = if round % 2 == 0 { &[] } else { &[1, 2, 3] };
            smaller += u64::from(round_trip(&head, &fields, context));
            rows += 1;
        }
    }
    assert!(rows >= 600 && smaller == rows, "{smaller} of {rows} rows");
}

/// Returns whether the compact form is shorter than the row; panics unless it comes back.
fn round_trip(head: &EventHead, fields: &[Field<'_>], context: &[u8]) -> bool {
    let (mut row, mut compact, mut back) = ([0; 4096], [0; 4096], [0; 4096]);
    let mut writer = BatchWriter::new(&mut row);
    writer.event(head, fields.iter().copied(), context).expect("a legal row");
    let row = writer.finish();
    let event = Batch::parse(row).expect("own output").events().next().expect("one").expect("own output");
    let length = pack(SHAPES_V1, &event, &mut compact).expect("it has a shape");
    let mut writer = BatchWriter::new(&mut back);
    unpack(SHAPES_V1, &compact[..length], &mut writer).expect("own output");
    assert_eq!(writer.finish(), row);
    // Every cut is refused, or is a row whose context was cut.
    for cut in 0..length {
        let mut other = [0; 4096];
        let mut writer = BatchWriter::new(&mut other);
        let result = unpack(SHAPES_V1, &compact[..cut], &mut writer);
        assert!(result.is_err() || cut + context.len() > length, "{cut} of {length}");
    }
    assert_eq!(pack(SHAPES_V1, &event, &mut compact[..length - 1]), None, "no room");
    length < row.len()
}

#[test]
fn a_row_without_shape_or_with_other_fields_has_no_compact_form() {
    let head = EventHead {
        event_type: EventTypeId(100),
        lane: Lane::Critical,
        seq: Seq(1),
        severity: None,
        bus: None,
        ecu: EcuId(0),
        first: VehicleMicros(1),
        last: VehicleMicros(1),
        count: 1,
    };
    let packs = |head: EventHead, fields: &[Field<'_>]| {
        let (mut row, mut out) = ([0; 512], [0; 512]);
        let mut writer = BatchWriter::new(&mut row);
        writer.event(&head, fields.iter().copied(), &[]).expect("a legal row");
        let event = Batch::parse(writer.finish()).expect("own").events().next().expect("one").expect("own");
        pack(SHAPES_V1, &event, &mut out).is_some()
    };
    let field = |key, value| Field { key: FieldKey(key), value };
    assert!(packs(head, &[]));
    assert!(!packs(EventHead { event_type: EventTypeId(65_000), ..head }, &[]));
    assert!(!packs(head, &[field(65_000, Value::Uint(1))]), "a foreign field");
    let [_, _, _, low, high, kind, ..] = SHAPES_V1 else { panic!("no shapes") };
    let first = EventTypeId(u16::from_le_bytes([SHAPES_V1[1], SHAPES_V1[2]]));
    let key = u16::from_le_bytes([*low, *high]);
    let of_first = EventHead { event_type: first, ..head };
    assert!(!packs(of_first, &[field(key, Value::Sint(-1))]), "of kind {kind}, never a signed one");
    let one = field(key, Value::Text("x"));
    assert!(*kind != 1 || !packs(of_first, &[one, one]), "a field that comes twice");
}
