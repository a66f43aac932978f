//! Compact form of one row for short frames: what the event type says by itself is left out.
//!
//! A *shape* is an event type with its fields and their kinds, in the catalogue's order. Shapes stand in an immutable file
//! under an index; a row that fits its type's shape is written as
//!
//! ```text
//! shape varint
//! flags u8:  1 severity follows, 2 bus, 4 repeats and span, 8 context, 16 and 32 lane, 64 some fields are missing
//! fields varint: bit n set, field n of the shape is there; only with 64
//! ecu, seq, first time in microseconds: varints
//! severity u8, bus u8, repeats varint, span varint: each if flagged
//! values, in the shape's order: int varint; bool u8; double, 8 bytes; text: length * 2 + packed, then its bytes, or,
//!   packed, six bits a character of the alphabet below, the lowest bits first
//! context: what is left
//! ```
//!
//! Other rows are left to another coding.

use outrider_types::{BusId, EcuId, EventTypeId, FieldKey, Lane, Seq, Severity, VehicleMicros};

use crate::fixed::FrameError;
use crate::limits::{CONTEXT_BYTES_MAX, VALUE_BYTES_MAX};
use crate::pb::{Full, Reader, Sink, SliceSink, StructureError};
use crate::reader::EventView;
use crate::rows::{EventHead, Field, Value};
use crate::writer::{BatchWriter, WriteError};

/// Shapes of the first release: for each a count, then type and fields as `type u16, (key u16, kind u8) * count`, little
/// endian. Written by `tools/dictionary` from the catalogue; never changed again.
pub static SHAPES_V1: &[u8] = include_bytes!("../dict/shapes1.bin");

/// Characters of packed text, by number.
const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyz0123456789_.-/: ABCDEFGHIJKLMNOPRSTUVW";

const SEVERITY: u8 = 1;
const BUS: u8 = 2;
const REPEATS: u8 = 4;
const CONTEXT: u8 = 8;
const LANE_SHIFT: u8 = 4;
const LANE: u8 = 3;
const SOME: u8 = 64;

/// Most fields of a shape: the bits of its number.
pub const SHAPE_FIELDS_MAX: usize = 32;

/// Kind of a field in a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Text,
    Double,
    Flag,
}

impl Kind {
    const fn of(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Int),
            1 => Some(Self::Text),
            2 => Some(Self::Double),
            3 => Some(Self::Flag),
            _ => None,
        }
    }

    const fn fits(self, value: &Value<'_>) -> bool {
        matches!(
            (self, value),
            (Self::Int, Value::Uint(_))
                | (Self::Text, Value::Text(_))
                | (Self::Double, Value::Double(_))
                | (Self::Flag, Value::Flag(_))
        )
    }
}

/// Fields of a shape in a file of shapes.
#[derive(Debug, Clone, Copy)]
struct Shape<'a> {
    event_type: EventTypeId,
    fields: &'a [u8],
}

impl<'a> Shape<'a> {
    fn all(file: &'a [u8]) -> impl Iterator<Item = Self> {
        let mut rest = file;
        core::iter::from_fn(move || {
            let (count, tail) = rest.split_first()?;
            let (event_type, tail) = tail.split_first_chunk::<2>()?;
            let (fields, tail) = tail.split_at_checked(usize::from(*count).saturating_mul(3))?;
            rest = tail;
            Some(Self { event_type: EventTypeId(u16::from_le_bytes(*event_type)), fields })
        })
    }

    fn fields(self) -> impl Iterator<Item = (FieldKey, Option<Kind>)> {
        self.fields.chunks_exact(3).take(SHAPE_FIELDS_MAX).map(|part| match *part {
            [low, high, kind] => (FieldKey(u16::from_le_bytes([low, high])), Kind::of(kind)),
            _ => (FieldKey(0), None),
        })
    }
}

/// Writes a row in compact form; returns its length, or `None` if the row does not fit the shape of its type, or `out`.
#[must_use]
pub fn pack(shapes: &[u8], event: &EventView<'_>, out: &mut [u8]) -> Option<usize> {
    let head = &event.head;
    let (index, shape) =
        (0u64..).zip(Shape::all(shapes)).find(|(_, shape)| shape.event_type == head.event_type)?;
    let present = presence(shape, event)?;
    let mut sink = SliceSink::new(out);
    put(&mut sink, index, shape, present, event).ok()?;
    Some(sink.used())
}

/// Returns which fields of the shape the row has; `None` if it has others, or in another order or kind.
fn presence(shape: Shape<'_>, event: &EventView<'_>) -> Option<u64> {
    if event.unread_fields > 0 {
        return None;
    }
    let mut of_row = event.fields().peekable();
    let mut present = 0u64;
    for ((key, kind), bit) in shape.fields().zip(0u32..) {
        if let Some(field) = of_row.next_if(|field| field.key == key) {
            if !kind?.fits(&field.value) {
                return None;
            }
            present |= 1u64.checked_shl(bit)?;
        }
    }
    if of_row.next().is_some() { None } else { Some(present) }
}

fn full_presence(shape: Shape<'_>) -> u64 {
    shape.fields().zip(0u32..).fold(0, |all, (_, bit)| all | 1u64.checked_shl(bit).unwrap_or(0))
}

fn put(
    sink: &mut SliceSink<'_>,
    index: u64,
    shape: Shape<'_>,
    present: u64,
    event: &EventView<'_>,
) -> Result<(), Full> {
    let head = &event.head;
    let repeats = head.count.saturating_sub(1);
    let span = head.last.0.saturating_sub(head.first.0);
    let has_repeats = repeats > 0 || span > 0;
    let is_some = present != full_presence(shape);
    let flag = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
    sink.varint(index)?;
    sink.put(&[flag(head.severity.is_some(), SEVERITY)
        | flag(head.bus.is_some(), BUS)
        | flag(has_repeats, REPEATS)
        | flag(!event.context.is_empty(), CONTEXT)
        | (head.lane.code() & LANE) << LANE_SHIFT
        | flag(is_some, SOME)])?;
    if is_some {
        sink.varint(present)?;
    }
    for number in [u64::from(head.ecu.0), head.seq.0, head.first.0] {
        sink.varint(number)?;
    }
    if let Some(severity) = head.severity {
        sink.put(&[severity.code()])?;
    }
    if let Some(bus) = head.bus {
        sink.put(&[bus.0])?;
    }
    if has_repeats {
        sink.varint(repeats)?;
        sink.varint(span)?;
    }
    for field in event.fields() {
        match field.value {
            Value::Uint(number) => sink.varint(number)?,
            Value::Flag(flag) => sink.put(&[u8::from(flag)])?,
            Value::Double(number) => sink.put(&number.to_bits().to_le_bytes())?,
            Value::Text(text) => put_text(sink, text)?,
            // A shape has none of these.
            Value::Sint(_) | Value::Bytes(_) => {}
        }
    }
    sink.put(event.context)
}

fn number_of(byte: u8) -> Option<u8> {
    let at = ALPHABET.iter().position(|other| *other == byte)?;
    u8::try_from(at).ok()
}

fn put_text(sink: &mut SliceSink<'_>, text: &str) -> Result<(), Full> {
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX).saturating_mul(2);
    if !text.bytes().all(|byte| number_of(byte).is_some()) {
        sink.varint(length)?;
        return sink.put(text.as_bytes());
    }
    sink.varint(length | 1)?;
    let (mut word, mut bits) = (0u32, 0u32);
    for number in text.bytes().filter_map(number_of) {
        word |= u32::from(number).wrapping_shl(bits);
        bits = bits.saturating_add(6);
        while bits >= 8 {
            sink.put(word.to_le_bytes().get(..1).unwrap_or_default())?;
            word >>= 8;
            bits = bits.saturating_sub(8);
        }
    }
    if bits > 0 { sink.put(word.to_le_bytes().get(..1).unwrap_or_default()) } else { Ok(()) }
}

/// Reads a row in compact form and appends it to a batch.
///
/// # Errors
/// [`FrameError`]: an unknown shape, a number that is none, text that is none, or a row that no writer takes.
pub fn unpack(shapes: &[u8], bytes: &[u8], writer: &mut BatchWriter<'_>) -> Result<(), FrameError> {
    let mut cursor = Compact { rest: bytes, whole: bytes.len() };
    let got = cursor.number()?;
    let index = usize::try_from(got).unwrap_or(usize::MAX);
    let shape = Shape::all(shapes).nth(index).ok_or(FrameError::Value { offset: 0, got })?;
    let flags = cursor.byte()?;
    let has = |bit: u8| flags & bit != 0;
    let present = if has(SOME) { cursor.number()? } else { full_presence(shape) };
    let bad = |got: u64| FrameError::Value { offset: bytes.len(), got };
    let ecu = cursor.number()?;
    let ecu = EcuId(u16::try_from(ecu).map_err(|_| bad(ecu))?);
    let (seq, first) = (Seq(cursor.number()?), VehicleMicros(cursor.number()?));
    let severity = if has(SEVERITY) {
        let code = cursor.byte()?;
        Some(Severity::from_code(code).ok_or(bad(u64::from(code)))?)
    } else {
        None
    };
    let bus = if has(BUS) { Some(BusId(cursor.byte()?)) } else { None };
    let (repeats, span) = if has(REPEATS) { (cursor.number()?, cursor.number()?) } else { (0, 0) };
    let code = flags >> LANE_SHIFT & LANE;
    let head = EventHead {
        event_type: shape.event_type,
        lane: Lane::from_code(code).ok_or(bad(u64::from(code)))?,
        seq,
        severity,
        bus,
        ecu,
        first,
        last: VehicleMicros(first.0.checked_add(span).ok_or(bad(span))?),
        count: repeats.checked_add(1).ok_or(bad(repeats))?,
    };
    let mut texts = [0u8; VALUE_BYTES_MAX];
    let fields = read_fields(shape, present, &mut cursor, &mut texts)?;
    if cursor.rest.is_empty() == has(CONTEXT) || cursor.rest.len() > CONTEXT_BYTES_MAX {
        return Err(bad(u64::from(flags)));
    }
    let known = fields.iter().flatten().copied();
    writer.event(&head, known, cursor.rest).map_err(|error| match error {
        WriteError::Full(full) => FrameError::Full(full),
        WriteError::TooMany | WriteError::Refused(_) => bad(u64::from(head.event_type.0)),
    })
}

type Fields<'a> = [Option<Field<'a>>; SHAPE_FIELDS_MAX];

/// Reads the values; unpacked texts stand in `texts`, which holds all of them together.
fn read_fields<'a>(
    shape: Shape<'_>,
    present: u64,
    cursor: &mut Compact<'a>,
    texts: &'a mut [u8],
) -> Result<Fields<'a>, FrameError> {
    let mut fields: Fields<'a> = [None; SHAPE_FIELDS_MAX];
    let mut room = texts;
    let known = shape.fields().zip(0u32..).zip(&mut fields);
    for (((key, kind), bit), slot) in known {
        if present.checked_shr(bit).unwrap_or(0) & 1 == 0 {
            continue;
        }
        let offset = cursor.at();
        let value = match kind.ok_or(FrameError::Value { offset, got: 0 })? {
            Kind::Int => Value::Uint(cursor.number()?),
            Kind::Flag => match cursor.byte()? {
                0 => Value::Flag(false),
                1 => Value::Flag(true),
                got => return Err(FrameError::Value { offset, got: u64::from(got) }),
            },
            Kind::Double => Value::Double(f64::from_bits(u64::from_le_bytes(cursor.array()?))),
            Kind::Text => {
                let (text, rest) = cursor.text(room)?;
                room = rest;
                Value::Text(text)
            }
        };
        *slot = Some(Field { key, value });
    }
    // A bit for a field that the shape does not have.
    if present & !full_presence(shape) != 0 {
        return Err(FrameError::Value { offset: 0, got: present });
    }
    Ok(fields)
}

struct Compact<'a> {
    rest: &'a [u8],
    whole: usize,
}

impl<'a> Compact<'a> {
    const fn at(&self) -> usize {
        self.whole.saturating_sub(self.rest.len())
    }

    fn number(&mut self) -> Result<u64, FrameError> {
        let offset = self.at();
        let mut reader = Reader::new(self.rest, offset);
        let number = reader.number().map_err(|_: StructureError| FrameError::Value { offset, got: 0 })?;
        self.rest = reader.rest();
        Ok(number)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], FrameError> {
        let short = FrameError::Truncated { offset: self.at(), needed: length, got: self.rest.len() };
        let (head, tail) = self.rest.split_at_checked(length).ok_or(short)?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn byte(&mut self) -> Result<u8, FrameError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads a text; a packed one is written into `room`, whose rest is returned.
    fn text(&mut self, room: &'a mut [u8]) -> Result<(&'a str, &'a mut [u8]), FrameError> {
        let offset = self.at();
        let got = self.number()?;
        let cap = FrameError::Cap { offset, max: u64::try_from(VALUE_BYTES_MAX).unwrap_or(u64::MAX), got };
        let length = usize::try_from(got >> 1).map_err(|_| cap)?;
        if length > VALUE_BYTES_MAX {
            return Err(cap);
        }
        let bad = FrameError::Value { offset, got };
        if got & 1 == 0 {
            return Ok((core::str::from_utf8(self.take(length)?).map_err(|_| bad)?, room));
        }
        let packed = self.take(length.saturating_mul(6).div_ceil(8))?;
        let (out, rest) = room.split_at_mut_checked(length).ok_or(cap)?;
        let (mut word, mut bits, mut bytes) = (0u32, 0u32, packed.iter());
        for slot in out.iter_mut() {
            while bits < 6 {
                word |= u32::from(*bytes.next().ok_or(bad)?).wrapping_shl(bits);
                bits = bits.saturating_add(8);
            }
            let number = usize::try_from(word & 0x3F).unwrap_or(0);
            *slot = *ALPHABET.get(number).ok_or(bad)?;
            word >>= 6;
            bits = bits.saturating_sub(6);
        }
        Ok((core::str::from_utf8(out).map_err(|_| bad)?, rest))
    }
}
