//! Bytes of a segment: two copies of a header, then records.
//!
//! ```text
//! header:  magic "ORSG", format u16, lane u8, 0, number u64, epoch u64, salt u64, CRC32C u32      36 bytes, twice
//! record:  A5 5A, body_bytes u16, CRC32C u32, body                                                 8 bytes + body
//! body:    kind u8, lane u8, epoch u64, seq u64, payload                                          18 bytes + payload
//! ```
//!
//! A record's checksum also covers salt, segment number and offset. Payloads hold bytes that an attacker chose; without
//! the salt he could place a valid record inside one, to be found when the record around it is broken.

use outrider_types::{BootEpoch, ClockFix, ClockSource, Lane, Seq, UnixMicros, VehicleMicros};
use outrider_wire::{DropReason, Gap, SeqRange};

use crate::storage::SegmentId;

const MAGIC: [u8; 4] = *b"ORSG";
const FORMAT: u16 = 1;
const HEADER_COPY_BYTES: usize = 36;
/// Bytes before the first record.
pub(super) const HEADER_BYTES: usize = 2 * HEADER_COPY_BYTES;
const MARKER: [u8; 2] = [0xA5, 0x5A];
const RECORD_HEAD_BYTES: usize = 8;
const BODY_HEAD_BYTES: usize = 18;
/// Bytes that a row costs beyond its payload.
pub(super) const RECORD_OVERHEAD_BYTES: usize = RECORD_HEAD_BYTES + BODY_HEAD_BYTES;
pub(super) const REASONS: usize = DropReason::ALL.len();

/// Header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: SegmentId,
    pub(super) epoch: BootEpoch,
    pub(super) salt: u64,
}

impl Header {
    pub(super) fn emit(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(HEADER_BYTES);
        copy.extend(MAGIC);
        copy.extend(FORMAT.to_le_bytes());
        copy.extend([self.id.lane.code(), 0]);
        copy.extend(self.id.number.to_le_bytes());
        copy.extend(self.epoch.0.to_le_bytes());
        copy.extend(self.salt.to_le_bytes());
        copy.extend(crc32c::crc32c(&copy).to_le_bytes());
        copy.extend_from_within(..);
        copy
    }

    /// Reads whichever copy is whole.
    fn parse(bytes: &[u8], id: SegmentId) -> Option<Self> {
        bytes.get(..HEADER_BYTES)?.chunks_exact(HEADER_COPY_BYTES).find_map(|copy| Self::parse_copy(copy, id))
    }

    fn parse_copy(copy: &[u8], id: SegmentId) -> Option<Self> {
        let (content, crc) = copy.split_last_chunk::<4>()?;
        let mut cursor = Cursor(content);
        let valid = crc32c::crc32c(content) == u32::from_le_bytes(*crc)
            && cursor.array::<4>()? == MAGIC
            && cursor.array::<2>()? == FORMAT.to_le_bytes()
            && cursor.array::<2>()? == [id.lane.code(), 0]
            && cursor.u64()? == id.number;
        if !valid {
            return None;
        }
        Some(Self { id, epoch: BootEpoch(cursor.u64()?), salt: cursor.u64()? })
    }
}

/// What a record says of its lane and boot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Entry<'a> {
    /// A row, as a batch of one.
    Event { seq: Seq, row: &'a [u8] },
    /// All numbers up to this one were acknowledged.
    Freed { contiguous: u64 },
    /// Balance of the lane.
    Counters { last_seq: u64, received: u64, folded: u64, drops: [u64; REASONS] },
    /// Numbers that are lost.
    Gap(Gap),
    /// A reading of both clocks; kept in the critical lane.
    Fix(ClockFix),
    /// Nothing is left to say of the lane in this boot.
    Forgotten,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Record<'a> {
    pub(super) lane: Lane,
    pub(super) epoch: BootEpoch,
    pub(super) entry: Entry<'a>,
}

impl Record<'_> {
    /// Appends the record's bytes to `out`; it will stand at `offset` of the segment. The caller keeps rows below 64 KiB.
    pub(super) fn emit(&self, header: &Header, offset: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; RECORD_HEAD_BYTES]);
        let (kind, seq) = match self.entry {
            Entry::Event { seq, .. } => (1, seq.0),
            Entry::Freed { contiguous } => (2, contiguous),
            Entry::Counters { last_seq, .. } => (3, last_seq),
            Entry::Gap(gap) => (4, gap.range.first().0),
            Entry::Fix(_) => (5, 0),
            Entry::Forgotten => (6, 0),
        };
        out.extend([kind, self.lane.code()]);
        out.extend(self.epoch.0.to_le_bytes());
        out.extend(seq.to_le_bytes());
        match self.entry {
            Entry::Event { row, .. } => out.extend(row),
            Entry::Freed { .. } | Entry::Forgotten => {}
            Entry::Counters { received, folded, drops, .. } => {
                out.extend([received, folded].into_iter().chain(drops).flat_map(u64::to_le_bytes));
            }
            Entry::Gap(gap) => {
                out.extend(gap.range.last().0.to_le_bytes());
                out.push(gap.reason.map_or(0, DropReason::code));
            }
            Entry::Fix(fix) => {
                out.extend(fix.mono.0.to_le_bytes());
                out.extend(fix.wall.0.to_le_bytes());
                out.extend(fix.error_us.to_le_bytes());
                out.push(fix.source.code());
            }
        }
        let (_, record) = out.split_at_mut(start);
        let (head, body) = record.split_at_mut(RECORD_HEAD_BYTES);
        let length = u16::try_from(body.len()).expect("rows are capped at EVENT_BYTES_MAX, state is smaller");
        let crc = checksum(header, offset, length, body);
        let [a, b] = MARKER;
        let [l0, l1] = length.to_le_bytes();
        let [c0, c1, c2, c3] = crc.to_le_bytes();
        head.copy_from_slice(&[a, b, l0, l1, c0, c1, c2, c3]);
    }

    fn parse(body: &[u8]) -> Option<Record<'_>> {
        let mut cursor = Cursor(body);
        let [kind, lane] = cursor.array()?;
        let lane = Lane::from_code(lane)?;
        let epoch = BootEpoch(cursor.u64()?);
        let seq = cursor.u64()?;
        let entry = match kind {
            1 if seq != 0 => Entry::Event { seq: Seq(seq), row: cursor.0 },
            2 => Entry::Freed { contiguous: seq },
            3 => {
                let (received, folded) = (cursor.u64()?, cursor.u64()?);
                let mut drops = [0; REASONS];
                for slot in &mut drops {
                    *slot = cursor.u64()?;
                }
                Entry::Counters { last_seq: seq, received, folded, drops }
            }
            4 => {
                let range = SeqRange::new(Seq(seq), Seq(cursor.u64()?))?;
                let [reason] = cursor.array()?;
                Entry::Gap(Gap { lane, range, reason: DropReason::from_code(u64::from(reason)) })
            }
            5 => Entry::Fix(ClockFix {
                mono: VehicleMicros(cursor.u64()?),
                wall: UnixMicros(i64::from_le_bytes(cursor.array()?)),
                error_us: cursor.u64()?,
                source: ClockSource::from_code(cursor.array::<1>().map(|[code]| code)?),
            }),
            6 => Entry::Forgotten,
            _ => return None,
        };
        Some(Record { lane, epoch, entry })
    }
}

fn checksum(header: &Header, offset: u64, length: u16, body: &[u8]) -> u32 {
    let mut crc = crc32c::crc32c(&header.salt.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &header.id.number.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &offset.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &length.to_le_bytes());
    crc32c::crc32c_append(crc, body)
}

/// Reads the record at the start of `bytes`; returns it with its length.
pub(super) fn read_record<'a>(header: &Header, offset: u64, bytes: &'a [u8]) -> Option<(Record<'a>, usize)> {
    let mut cursor = Cursor(bytes);
    if cursor.array::<2>()? != MARKER {
        return None;
    }
    let length = u16::from_le_bytes(cursor.array()?);
    let crc = u32::from_le_bytes(cursor.array()?);
    let body = cursor.0.get(..usize::from(length))?;
    if checksum(header, offset, length, body) != crc {
        return None;
    }
    Some((Record::parse(body)?, RECORD_HEAD_BYTES + body.len()))
}

/// What a segment holds.
#[derive(Debug, Default)]
pub(super) struct Scan<'a> {
    pub(super) header: Option<Header>,
    /// Records with offset and length.
    pub(super) records: Vec<(Record<'a>, u64, usize)>,
    /// Bytes between whole records that belong to none.
    pub(super) corrupt_bytes: u64,
    /// Bytes after the last whole record.
    pub(super) tail_bytes: u64,
}

/// Finds every whole record of a segment. Steps over broken bytes; O(length), as the marker is checked first.
pub(super) fn scan(bytes: &[u8], id: SegmentId) -> Scan<'_> {
    let mut scan = Scan { header: Header::parse(bytes, id), ..Scan::default() };
    let Some(header) = scan.header else {
        scan.tail_bytes = bytes.len() as u64;
        return scan;
    };
    let mut at = HEADER_BYTES;
    let mut bad = 0u64;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        match read_record(&header, at as u64, rest) {
            Some((record, length)) => {
                scan.corrupt_bytes += bad;
                bad = 0;
                scan.records.push((record, at as u64, length));
                at += length;
            }
            None => {
                bad += 1;
                at += 1;
            }
        }
    }
    scan.tail_bytes = bad;
    scan
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
