//! How payloads split: section 1.
//!
//! A version (1), a zero byte, the number of records (2), then the records, ascending by identifier:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 4 | identifier |
//! | 4 | 1 | bytes of the payload |
//! | 5 | 1 | numbers, at most four |
//! | 6 | 1 | explanations of the checksum, at most four |
//! | 7 | 1 | 1: counters are known; 2: checksums were looked for; 4: is still to be taken apart |
//! | 8 | 1 | payloads that kept the checksum, held at 255 |
//! | 9 | 1 | times that it was taken apart anew |
//! | 10 | 1 | bytes that varied while the checksum held, a bit each, the first byte highest |
//! | 11 | 1 | zero |
//! | 12 | 8 | bits that belong to a part or move without order |
//! | 20 | 24 | lowest bits of the counters of two, four and eight bits, eight bytes each |
//! | 44 | 28 each | numbers: lowest bit, bits, bits it may grow by, flags (1: little endian, 2: rough, 4: has risen, 8: has fallen; a byte each), lowest and highest value, largest step, sum of steps (4 each), longest run, moves, frames, zero (2 each) |
//! | | 4 each | checksums: kind, byte, bits of the byte, constant |
//!
//! Bits are those of the first eight bytes as one number, the first byte highest. Kinds: 0 exclusive-or, 1 sum, 2
//! negative sum, 3 sum of nibbles, from 16 on the CRC-8 polynomials in the order of the detectors.

use outrider_bus::can::CanId;

use super::super::bytes::{Cursor, array, u8_at, u16_at, u32_at, u64_at};
use super::{VERSION, is_later};
use crate::payload::{Field, POLYNOMIALS};

/// Most identifiers: as many as the detectors follow in depth.
pub const PAYLOADS_MAX: usize = crate::detector::TRACKS_MAX;
/// Most numbers of a payload.
pub const FIELDS_MAX: usize = crate::payload::FIELDS_MAX;
/// Most explanations of a checksum.
pub const CHECKS_MAX: usize = crate::payload::CHECKS_MAX;
/// Bytes of the longest record.
pub const PAYLOAD_BYTES_MAX: usize = RECORD_BYTES + FIELDS_MAX * FIELD_BYTES + CHECKS_MAX * CHECK_BYTES;
const HEAD_BYTES: usize = 4;
const RECORD_BYTES: usize = 44;
const FIELD_BYTES: usize = 28;
const CHECK_BYTES: usize = 4;
/// First kind of a checksum that is a CRC-8.
pub(crate) const CRC: u8 = 16;
/// Kind of a checksum over nibbles.
pub(crate) const NIBBLES: u8 = 3;
/// Times that a payload is taken apart anew.
const SPLITS_MAX: u8 = crate::payload::SPLITS_MAX;
/// Longest payload of a CAN frame.
const DATA_MAX: u8 = 64;
/// Lowest bits of all lanes of two, four and eight bits.
const LANES: [u64; 3] = [0x5555_5555_5555_5555, 0x1111_1111_1111_1111, 0x0101_0101_0101_0101];

/// How the payload of one identifier splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadHabit {
    /// The identifier.
    pub id: CanId,
    /// Bytes of its payload.
    pub bytes: u8,
    /// Lowest bits of the counters of two, four and eight bits in the first eight bytes, once they are known.
    pub counters: Option<[u64; 3]>,
    /// Whether checksums were looked for.
    pub checked: bool,
    /// Whether it is still to be taken apart.
    pub wants: bool,
    /// Payloads that kept the checksum, held at 255.
    pub check_proofs: u8,
    /// Times that it was taken apart anew.
    pub splits: u8,
    /// Bytes that varied while the checksum held, a bit each, the first byte highest.
    pub varied: u8,
    /// Bits that belong to a part, or to something that moves without any order.
    pub mapped: u64,
    /// Numbers, from the front.
    pub fields: [Option<FieldHabit>; FIELDS_MAX],
    /// Explanations of the checksum, from the front.
    pub checks: [Option<CheckHabit>; CHECKS_MAX],
}

/// One number of a payload and how it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldHabit {
    /// Lowest bit, in the byte order of the number.
    pub shift: u8,
    /// Bits, 1 to 24.
    pub width: u8,
    /// Bits above it that never moved and may be more of it.
    pub reach: u8,
    /// Whether the first byte is the lowest.
    pub little: bool,
    /// It moves without order.
    pub rough: bool,
    /// It has risen, and it has fallen.
    pub rises: bool,
    /// It has fallen.
    pub falls: bool,
    /// Lowest value.
    pub low: u32,
    /// Highest value.
    pub high: u32,
    /// Largest step.
    pub step_max: u32,
    /// Sum of all steps.
    pub travel: u32,
    /// Longest run of steps that differ by one at most.
    pub run_max: u16,
    /// Frames in which it moved, of those below.
    pub moves: u16,
    /// Frames, halved when there are too many.
    pub frames: u16,
}

/// One explanation of a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckHabit {
    /// Kind.
    pub kind: u8,
    /// Byte that holds it.
    pub byte: u8,
    /// Bits of that byte: all, or a nibble.
    pub mask: u8,
    /// What it differs by from the plain sum.
    pub constant: u8,
}

impl FieldHabit {
    const fn field(&self) -> Field {
        Field::new(self.shift, self.width, self.little)
    }

    /// Returns its first bit as DBC files count: the lowest of a little-endian number, else the highest.
    #[must_use]
    pub fn start_bit(&self) -> u8 {
        self.field().start_bit()
    }

    /// Returns its bits in the payload if everything about it is possible.
    fn bits(&self) -> Option<u64> {
        let wide = self.width.saturating_add(self.reach);
        let placed = self.width > 0
            && wide <= crate::payload::WIDTH_MAX
            && u32::from(self.shift).saturating_add(wide.into()) <= u64::BITS;
        let range = 1u32.checked_shl(wide.into()).unwrap_or(0).wrapping_sub(1);
        let moved = self.low <= self.high && self.high <= range && self.step_max <= range;
        (placed && moved && self.moves <= self.frames).then(|| self.field().bits())
    }

    fn put(&self, out: &mut Cursor<'_>) {
        let flags = u8::from(self.little)
            | u8::from(self.rough) << 1
            | u8::from(self.rises) << 2
            | u8::from(self.falls) << 3;
        out.put(&[self.shift, self.width, self.reach, flags]);
        for value in [self.low, self.high, self.step_max, self.travel] {
            out.put(&value.to_le_bytes());
        }
        for value in [self.run_max, self.moves, self.frames, 0] {
            out.put(&value.to_le_bytes());
        }
    }

    fn read(record: &[u8; FIELD_BYTES]) -> Option<Self> {
        let flags = u8_at(record, 3);
        (flags < 16 && u16_at(record, 26) == 0).then(|| Self {
            shift: u8_at(record, 0),
            width: u8_at(record, 1),
            reach: u8_at(record, 2),
            little: flags & 1 != 0,
            rough: flags & 2 != 0,
            rises: flags & 4 != 0,
            falls: flags & 8 != 0,
            low: u32_at(record, 4),
            high: u32_at(record, 8),
            step_max: u32_at(record, 12),
            travel: u32_at(record, 16),
            run_max: u16_at(record, 20),
            moves: u16_at(record, 22),
            frames: u16_at(record, 24),
        })
    }
}

impl CheckHabit {
    /// Returns what it is, in words, and the polynomial of a CRC.
    #[must_use]
    pub fn name(&self) -> (&'static str, Option<u8>) {
        match self.kind {
            0 => ("xor", None),
            1 => ("sum", None),
            2 => ("negative sum", None),
            NIBBLES => ("nibble sum", None),
            _ => ("crc8", POLYNOMIALS.get(usize::from(self.kind.saturating_sub(CRC))).copied()),
        }
    }

    fn is_possible(&self, bytes: u8) -> bool {
        let crcs = u8::try_from(POLYNOMIALS.len()).unwrap_or(0);
        let whole = self.kind < NIBBLES || (CRC..CRC.saturating_add(crcs)).contains(&self.kind);
        let fits = match self.mask {
            0xFF => whole,
            0x0F | 0xF0 => self.kind == NIBBLES,
            _ => false,
        };
        fits && (2..=8).contains(&bytes) && self.byte < bytes
    }
}

impl PayloadHabit {
    /// Returns whether every part lies inside the payload, no two numbers share a bit, and every value is one that its
    /// number can have.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let rest = u32::from(8u8.saturating_sub(self.bytes)).saturating_mul(8);
        let used = u64::MAX.checked_shl(rest).unwrap_or(0);
        let lanes = self.counters.unwrap_or_default().into_iter().zip(LANES);
        let counted = lanes.into_iter().all(|(lane, lowest)| lane & !(lowest & used) == 0);
        let mut taken = 0u64;
        let apart = self.fields.iter().flatten().all(|field| {
            let bits = field.bits().filter(|bits| bits & (taken | !used) == 0);
            taken |= bits.unwrap_or(0);
            bits.is_some()
        });
        self.bytes <= DATA_MAX
            && self.splits <= SPLITS_MAX
            && self.mapped & !used == 0
            && counted
            && apart
            && self.checks.iter().flatten().all(|check| check.is_possible(self.bytes))
            && is_packed(&self.fields)
            && is_packed(&self.checks)
    }

    /// Writes the record to the front of `out` and returns its bytes; [`PAYLOAD_BYTES_MAX`] are enough.
    pub fn write(&self, out: &mut [u8]) -> usize {
        let mut cursor = Cursor::new(out);
        let known = |slots: usize| u8::try_from(slots).unwrap_or(u8::MAX);
        let fields = known(crate::count_of(self.fields.iter().flatten()));
        let checks = known(crate::count_of(self.checks.iter().flatten()));
        let flags =
            u8::from(self.counters.is_some()) | u8::from(self.checked) << 1 | u8::from(self.wants) << 2;
        cursor.put(&self.id.word().to_le_bytes());
        cursor.put(&[self.bytes, fields, checks, flags, self.check_proofs, self.splits, self.varied, 0]);
        cursor.put(&self.mapped.to_le_bytes());
        for lanes in self.counters.unwrap_or_default() {
            cursor.put(&lanes.to_le_bytes());
        }
        self.fields.iter().flatten().for_each(|field| field.put(&mut cursor));
        for check in self.checks.iter().flatten() {
            cursor.put(&[check.kind, check.byte, check.mask, check.constant]);
        }
        cursor.at()
    }

    /// Reads the record at an offset and returns it with the offset behind it.
    fn read(section: &[u8], at: usize) -> Option<(Self, usize)> {
        let head: [u8; RECORD_BYTES] = array(section, at)?;
        let flags = u8_at(&head, 7);
        let lanes = [u64_at(&head, 20), u64_at(&head, 28), u64_at(&head, 36)];
        let counted = flags & 1 != 0;
        let mut habit = Self {
            id: CanId::from_word(u32_at(&head, 0))?,
            bytes: u8_at(&head, 4),
            counters: counted.then_some(lanes),
            checked: flags & 2 != 0,
            wants: flags & 4 != 0,
            check_proofs: u8_at(&head, 8),
            splits: u8_at(&head, 9),
            varied: u8_at(&head, 10),
            mapped: u64_at(&head, 12),
            fields: [None; FIELDS_MAX],
            checks: [None; CHECKS_MAX],
        };
        let (fields, checks) = (usize::from(u8_at(&head, 5)), usize::from(u8_at(&head, 6)));
        let spare = flags > 7 || u8_at(&head, 11) != 0 || !counted && lanes != [0; 3];
        if spare || fields > FIELDS_MAX || checks > CHECKS_MAX {
            return None;
        }
        let mut at = at.saturating_add(RECORD_BYTES);
        for slot in habit.fields.iter_mut().take(fields) {
            *slot = Some(FieldHabit::read(&array(section, at)?)?);
            at = at.saturating_add(FIELD_BYTES);
        }
        for slot in habit.checks.iter_mut().take(checks) {
            let [kind, byte, mask, constant]: [u8; CHECK_BYTES] = array(section, at)?;
            *slot = Some(CheckHabit { kind, byte, mask, constant });
            at = at.saturating_add(CHECK_BYTES);
        }
        habit.is_consistent().then_some((habit, at))
    }
}

/// Returns whether nothing stands behind the first empty place.
fn is_packed<T>(slots: &[Option<T>]) -> bool {
    slots.iter().skip_while(|slot| slot.is_some()).all(Option::is_none)
}

/// Returns what stands before the records of a section, or `None` for more than [`PAYLOADS_MAX`].
#[must_use]
pub fn payload_head(records: usize) -> Option<[u8; HEAD_BYTES]> {
    let [low, high] = u16::try_from(records).ok().filter(|_| records <= PAYLOADS_MAX)?.to_le_bytes();
    Some([VERSION, 0, low, high])
}

/// Returns the records of a checked section, ascending; none of a version that is not known.
pub fn payloads(section: &[u8]) -> impl Iterator<Item = PayloadHabit> + '_ {
    let count = if is_later(section) { 0 } else { usize::from(u16_at(section, 2)).min(PAYLOADS_MAX) };
    let mut at = HEAD_BYTES;
    (0..count).map_while(move |_| {
        let (habit, next) = PayloadHabit::read(section, at)?;
        at = next;
        Some(habit)
    })
}

/// Checks a section of a model; a later version is not this reader's.
pub(in crate::model) fn check(section: &[u8]) -> Result<(), usize> {
    if is_later(section) {
        return Ok(());
    }
    let count = usize::from(u16_at(section, 2));
    if u16_at(section, 0) != u16::from(VERSION) || count > PAYLOADS_MAX {
        return Err(0);
    }
    let (mut at, mut previous) = (HEAD_BYTES, None);
    for _ in 0..count {
        let (habit, next) = PayloadHabit::read(section, at).ok_or(at.min(section.len()))?;
        if previous.is_some_and(|previous| previous >= habit.id) {
            return Err(at);
        }
        previous = Some(habit.id);
        at = next;
    }
    if at == section.len() { Ok(()) } else { Err(at.min(section.len())) }
}
