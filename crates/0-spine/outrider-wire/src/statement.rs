//! What a vehicle states of its spool beside rows: what it gave up, what its anchor says, how its boot began.

use outrider_types::{BootEpoch, EventTypeId, Lane, Seq, Severity, VehicleMicros};

use crate::SIGNATURE_BYTES;
use crate::fault::RowFault;
use crate::limits::{ANCHOR_PROOF_BYTES_MAX, BOOT_ENDS_MAX, LOST_KINDS_MAX};
use crate::pb::{Counter, Full, RawField, RawValue, Reader, Sink, SliceSink};
use crate::rows::{DropReason, SeqRange, ShortProof};

/// Bytes before the content of a tombstone in what its signature covers.
pub const SIGN_TOMBSTONE: &[u8] = b"outrider spool tombstone 1\0";
/// Longest text that a tombstone's signature covers: [`SIGN_TOMBSTONE`], 58 fixed bytes, 19 for each kind.
pub const TOMBSTONE_SIGNED_BYTES_MAX: usize = 27 + 58 + 19 * LOST_KINDS_MAX as usize;

/// Rows of one type and severity that were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostRows {
    /// Event type; 0 stands for several, and for rows that could not be read.
    pub event_type: EventTypeId,
    /// Severity as the row said it.
    pub severity: Option<Severity>,
    /// Rows.
    pub rows: u64,
    /// Observations folded into them, at least one each.
    pub observations: u64,
}

/// Rows of a lane that were given up for newer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TombstoneHead {
    /// Lane.
    pub lane: Lane,
    /// Their numbers.
    pub range: SeqRange,
    /// Why, or `None` for a reason of a later version.
    pub reason: Option<DropReason>,
    /// When the earliest was first seen; 0 if none could be read.
    pub first: VehicleMicros,
    /// When the latest was last seen.
    pub last: VehicleMicros,
    /// Seal of the last record given up.
    pub last_tag: [u8; 16],
    /// The device key's signature; zeros if it could not sign.
    pub signature: [u8; SIGNATURE_BYTES],
}

/// A tombstone with its counts, borrowed from the batch.
#[derive(Debug, Clone, Copy)]
pub struct TombstoneView<'a> {
    /// What it says besides its counts.
    pub head: TombstoneHead,
    bytes: &'a [u8],
}

impl TombstoneView<'_> {
    /// Returns what was lost by type and severity, in the order of the batch.
    pub fn lost(&self) -> impl Iterator<Item = LostRows> + Clone {
        let mut reader = Reader::new(self.bytes, 0);
        core::iter::from_fn(move || {
            loop {
                let part = reader.field().ok()??;
                if part.number == 9
                    && let Ok(lost) = lost_rows(&part)
                {
                    return Some(lost);
                }
            }
        })
    }

    /// Writes what the signature covers into `out` and returns it.
    ///
    /// The layout is that of the spool, little endian: [`SIGN_TOMBSTONE`], lane, reason, epoch, first and last number,
    /// first and last time, seal, then type (2 bytes), severity, rows and observations of each kind.
    ///
    /// # Errors
    /// [`Full`] if `out` is shorter than [`TOMBSTONE_SIGNED_BYTES_MAX`] and the text does not fit.
    pub fn signed<'o>(&self, epoch: BootEpoch, out: &'o mut [u8]) -> Result<&'o [u8], Full> {
        let head = &self.head;
        let mut sink = SliceSink::new(out);
        sink.put(SIGN_TOMBSTONE)?;
        sink.put(&[head.lane.code(), head.reason.map_or(0, DropReason::code)])?;
        let range = head.range;
        for number in [epoch.0, range.first().0, range.last().0, head.first.0, head.last.0] {
            sink.put(&number.to_le_bytes())?;
        }
        sink.put(&head.last_tag)?;
        for lost in self.lost() {
            sink.put(&lost.event_type.0.to_le_bytes())?;
            sink.put(&[lost.severity.map_or(0, Severity::code)])?;
            sink.put(&lost.rows.to_le_bytes())?;
            sink.put(&lost.observations.to_le_bytes())?;
        }
        Ok(sink.into_written())
    }
}

/// What an anchor says of its counter and of the spool's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnchorStatement<'a> {
    /// 1 software, which proves nothing; 2 TPM 2.0; 3 PKCS#11; others are of a later version.
    pub kind: u8,
    /// Value of the counter.
    pub counter: u64,
    /// SHA-256 over the ends of all chains of the spool.
    pub head: [u8; 32],
    /// Proof by hardware, at most [`ANCHOR_PROOF_BYTES_MAX`]; empty for software.
    pub proof: &'a [u8],
}

/// Last number of a lane in a past boot, as the vehicle found it on its medium when this boot began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootEnd {
    /// Past boot.
    pub epoch: BootEpoch,
    /// Lane.
    pub lane: Lane,
    /// Highest number given; no row above it is of this vehicle.
    pub last_seq: u64,
}

/// Which boot the vehicle was in when it wrote the batch, and how that boot began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootHead {
    /// Boot of the sender; the rows of the batch may be of an older one.
    pub current: BootEpoch,
    /// SHA-256 over the ends of all chains as the boot before left them; `None` if it was told before.
    pub previous: Option<[u8; 32]>,
}

/// A boot statement with the ends of past boots, borrowed from the batch.
#[derive(Debug, Clone, Copy)]
pub struct BootView<'a> {
    /// What it says besides the ends.
    pub head: BootHead,
    bytes: &'a [u8],
}

impl BootView<'_> {
    /// Returns the ends of past boots.
    pub fn ends(&self) -> impl Iterator<Item = BootEnd> + Clone {
        let mut reader = Reader::new(self.bytes, 0);
        core::iter::from_fn(move || {
            loop {
                let part = reader.field().ok()??;
                if part.number == 3
                    && let Ok(end) = boot_end(&part)
                {
                    return Some(end);
                }
            }
        })
    }
}

fn lane(got: u64) -> Result<Lane, RowFault> {
    u8::try_from(got).ok().and_then(Lane::from_code).ok_or(RowFault::Lane { got })
}

fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], RowFault> {
    bytes.try_into().map_err(|_| RowFault::Length { max: N, got: bytes.len() })
}

pub(crate) fn proof(bytes: &[u8], start: usize) -> Result<ShortProof, RowFault> {
    let (mut number, mut first, mut last, mut chain) = (0, 0, 0, [0u8; 32]);
    let mut reader = Reader::new(bytes, start);
    while let Some(part) = reader.field().map_err(RowFault::Structure)? {
        match (part.number, part.value) {
            (1, RawValue::Varint(value)) => number = value,
            (2, RawValue::Varint(value)) => first = value,
            (3, RawValue::Varint(value)) => last = value,
            (4, RawValue::Bytes { bytes, .. }) => chain = exact(bytes)?,
            (1..=4, _) => return Err(RowFault::Structure(part.mismatch())),
            _ => {}
        }
    }
    let range = SeqRange::new(Seq(first), Seq(last)).ok_or(RowFault::Range)?;
    Ok(ShortProof { lane: lane(number)?, range, chain })
}

pub(crate) fn tombstone(bytes: &[u8], start: usize) -> Result<TombstoneView<'_>, RowFault> {
    let mut numbers = [0u64; 6];
    let (mut last_tag, mut signature) = ([0; 16], [0; SIGNATURE_BYTES]);
    let mut kinds = 0u16;
    let mut reader = Reader::new(bytes, start);
    while let Some(part) = reader.field().map_err(RowFault::Structure)? {
        match (part.number, part.value) {
            (1..=6, RawValue::Varint(value)) => {
                for (_, slot) in (1u32..).zip(&mut numbers).filter(|(number, _)| *number == part.number) {
                    *slot = value;
                }
            }
            (7, RawValue::Bytes { bytes, .. }) => last_tag = exact(bytes)?,
            (8, RawValue::Bytes { bytes, .. }) => signature = exact(bytes)?,
            (9, RawValue::Bytes { .. }) => {
                lost_rows(&part)?;
                kinds = kinds.saturating_add(1);
                if kinds > LOST_KINDS_MAX {
                    return Err(RowFault::Fields { max: LOST_KINDS_MAX });
                }
            }
            (1..=9, _) => return Err(RowFault::Structure(part.mismatch())),
            _ => {}
        }
    }
    let [number, first_seq, last_seq, reason, first, last] = numbers;
    let range = SeqRange::new(Seq(first_seq), Seq(last_seq)).ok_or(RowFault::Range)?;
    let head = TombstoneHead {
        lane: lane(number)?,
        range,
        reason: DropReason::from_code(reason),
        first: VehicleMicros(first),
        last: VehicleMicros(last),
        last_tag,
        signature,
    };
    Ok(TombstoneView { head, bytes })
}

fn lost_rows(field: &RawField<'_>) -> Result<LostRows, RowFault> {
    let RawValue::Bytes { start, bytes } = field.value else {
        return Err(RowFault::Structure(field.mismatch()));
    };
    let mut numbers = [0u64; 4];
    let mut reader = Reader::new(bytes, start);
    while let Some(part) = reader.field().map_err(RowFault::Structure)? {
        match (part.number, part.value) {
            (1..=4, RawValue::Varint(value)) => {
                for (_, slot) in (1u32..).zip(&mut numbers).filter(|(number, _)| *number == part.number) {
                    *slot = value;
                }
            }
            (1..=4, _) => return Err(RowFault::Structure(part.mismatch())),
            _ => {}
        }
    }
    let [event_type, severity, rows, observations] = numbers;
    let number = u16::try_from(event_type).map_err(|_| RowFault::EventType { got: event_type })?;
    Ok(LostRows {
        event_type: EventTypeId(number),
        severity: u8::try_from(severity).ok().and_then(Severity::from_code),
        rows,
        observations,
    })
}

pub(crate) fn anchor(bytes: &[u8], start: usize) -> Result<AnchorStatement<'_>, RowFault> {
    let (mut kind, mut counter, mut head, mut proof) = (0, 0, [0; 32], [].as_slice());
    let mut reader = Reader::new(bytes, start);
    while let Some(part) = reader.field().map_err(RowFault::Structure)? {
        match (part.number, part.value) {
            (1, RawValue::Varint(value)) => kind = value,
            (2, RawValue::Varint(value)) => counter = value,
            (3, RawValue::Bytes { bytes, .. }) => head = exact(bytes)?,
            (4, RawValue::Bytes { bytes, .. }) => {
                if bytes.len() > ANCHOR_PROOF_BYTES_MAX {
                    return Err(RowFault::Length { max: ANCHOR_PROOF_BYTES_MAX, got: bytes.len() });
                }
                proof = bytes;
            }
            (1..=4, _) => return Err(RowFault::Structure(part.mismatch())),
            _ => {}
        }
    }
    Ok(AnchorStatement { kind: u8::try_from(kind).unwrap_or(u8::MAX), counter, head, proof })
}

pub(crate) fn boot(bytes: &[u8], start: usize) -> Result<BootView<'_>, RowFault> {
    let (mut current, mut previous) = (0, None);
    let mut ends = 0u16;
    let mut reader = Reader::new(bytes, start);
    while let Some(part) = reader.field().map_err(RowFault::Structure)? {
        match (part.number, part.value) {
            (1, RawValue::Varint(value)) => current = value,
            (2, RawValue::Bytes { bytes, .. }) => previous = Some(exact(bytes)?),
            (3, RawValue::Bytes { .. }) => {
                boot_end(&part)?;
                ends = ends.saturating_add(1);
                if ends > BOOT_ENDS_MAX {
                    return Err(RowFault::Fields { max: BOOT_ENDS_MAX });
                }
            }
            (1..=3, _) => return Err(RowFault::Structure(part.mismatch())),
            _ => {}
        }
    }
    Ok(BootView { head: BootHead { current: BootEpoch(current), previous }, bytes })
}

fn boot_end(field: &RawField<'_>) -> Result<BootEnd, RowFault> {
    let RawValue::Bytes { start, bytes } = field.value else {
        return Err(RowFault::Structure(field.mismatch()));
    };
    let (mut epoch, mut number, mut last_seq) = (0, 0, 0);
    let mut reader = Reader::new(bytes, start);
    while let Some(part) = reader.field().map_err(RowFault::Structure)? {
        match (part.number, part.value) {
            (1, RawValue::Varint(value)) => epoch = value,
            (2, RawValue::Varint(value)) => number = value,
            (3, RawValue::Varint(value)) => last_seq = value,
            (1..=3, _) => return Err(RowFault::Structure(part.mismatch())),
            _ => {}
        }
    }
    Ok(BootEnd { epoch: BootEpoch(epoch), lane: lane(number)?, last_seq })
}

pub(crate) fn put_tombstone<S: Sink>(
    sink: &mut S,
    head: &TombstoneHead,
    lost: impl Iterator<Item = LostRows>,
) -> Result<(), Full> {
    sink.uint(1, u64::from(head.lane.code()))?;
    sink.uint(2, head.range.first().0)?;
    sink.uint(3, head.range.last().0)?;
    sink.uint(4, head.reason.map_or(0, |reason| u64::from(reason.code())))?;
    sink.uint(5, head.first.0)?;
    sink.uint(6, head.last.0)?;
    sink.bytes(7, &head.last_tag)?;
    sink.bytes(8, &head.signature)?;
    for lost in lost {
        let mut length = Counter::default();
        put_lost(&mut length, &lost)?;
        put_entry(sink, 9, length.0)?;
        put_lost(sink, &lost)?;
    }
    Ok(())
}

fn put_lost<S: Sink>(sink: &mut S, lost: &LostRows) -> Result<(), Full> {
    sink.uint(1, u64::from(lost.event_type.0))?;
    sink.uint(2, lost.severity.map_or(0, |severity| u64::from(severity.code())))?;
    sink.uint(3, lost.rows)?;
    sink.uint(4, lost.observations)
}

pub(crate) fn put_anchor<S: Sink>(sink: &mut S, anchor: &AnchorStatement<'_>) -> Result<(), Full> {
    sink.uint(1, u64::from(anchor.kind))?;
    sink.uint(2, anchor.counter)?;
    sink.bytes(3, &anchor.head)?;
    if anchor.proof.is_empty() { Ok(()) } else { sink.bytes(4, anchor.proof) }
}

pub(crate) fn put_boot<S: Sink>(
    sink: &mut S,
    head: &BootHead,
    ends: impl Iterator<Item = BootEnd>,
) -> Result<(), Full> {
    sink.uint(1, head.current.0)?;
    if let Some(previous) = &head.previous {
        sink.bytes(2, previous)?;
    }
    for end in ends {
        let mut length = Counter::default();
        put_end(&mut length, &end)?;
        put_entry(sink, 3, length.0)?;
        put_end(sink, &end)?;
    }
    Ok(())
}

fn put_end<S: Sink>(sink: &mut S, end: &BootEnd) -> Result<(), Full> {
    sink.uint(1, end.epoch.0)?;
    sink.uint(2, u64::from(end.lane.code()))?;
    sink.uint(3, end.last_seq)
}

fn put_entry<S: Sink>(sink: &mut S, number: u32, length: usize) -> Result<(), Full> {
    sink.tag(number, 2)?;
    sink.varint(u64::try_from(length).unwrap_or(u64::MAX))
}
