//! Model written into a buffer of the caller.

use core::fmt;

use super::repr::{BusFacts, DiagPair, IdEntry, ModelHead, SpeedSignal};
use super::view::{CHECKSUM_BYTES, VehicleModel};
use super::{
    BUS_BYTES, BUSES_MAX, HEADER_BYTES, ID_BYTES, IDS_MAX, MAGIC, ModelError, PAIR_BYTES, PAIRS_MAX, VERSION,
};
use crate::crc::crc32c;

/// One bus to be written.
#[derive(Debug, Clone, Copy)]
pub struct BusDraft<'a> {
    /// What is normal for the whole bus.
    pub facts: BusFacts,
    /// Identifiers, ascending, without repeats.
    pub ids: &'a [IdEntry],
    /// Diagnostic pairs.
    pub pairs: &'a [DiagPair],
}

/// Error of writing a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriteError {
    /// The buffer is smaller than [`encoded_bytes`] said.
    Space {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// More buses, identifiers or pairs than the format allows.
    TooMany {
        /// Count given.
        got: usize,
        /// Most allowed.
        limit: usize,
    },
    /// The facts contradict each other, as a reader of the result would find.
    Facts(ModelError),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Space { needed, got } => write!(f, "model needs {needed} bytes, buffer has {got}"),
            Self::TooMany { got, limit } => write!(f, "{got} records, at most {limit} fit a model"),
            Self::Facts(error) => write!(f, "facts are inconsistent: {error}"),
        }
    }
}

impl core::error::Error for WriteError {}

/// Returns the size of a model in bytes.
#[must_use]
pub fn encoded_bytes(buses: &[BusDraft<'_>]) -> usize {
    let parts = buses.iter().fold(0usize, |sum, bus| {
        sum.saturating_add(BUS_BYTES)
            .saturating_add(bus.ids.len().saturating_mul(ID_BYTES))
            .saturating_add(bus.pairs.len().saturating_mul(PAIR_BYTES))
    });
    HEADER_BYTES.saturating_add(parts).saturating_add(CHECKSUM_BYTES)
}

/// Cursor over the buffer; what does not fit is dropped and shows as a short length.
struct Cursor<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Cursor<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        if let Some(slot) = self.out.get_mut(self.at..end) {
            slot.copy_from_slice(bytes);
        }
        self.at = end;
    }

    fn size(&mut self, size: usize) {
        self.put(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.put(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
    }
}

/// Writes a model and returns its size in bytes; the result has been read back and is whole.
///
/// # Errors
/// [`WriteError`] for a small buffer, too many records or facts that no reader accepts.
pub fn write(head: &ModelHead, buses: &[BusDraft<'_>], out: &mut [u8]) -> Result<usize, WriteError> {
    let needed = encoded_bytes(buses);
    let got = out.len();
    check_count(buses.len(), BUSES_MAX)?;
    for bus in buses {
        check_count(bus.ids.len(), IDS_MAX)?;
        check_count(bus.pairs.len(), PAIRS_MAX)?;
    }
    let out = out.get_mut(..needed).ok_or(WriteError::Space { needed, got })?;
    let mut cursor = Cursor { out, at: 0 };
    cursor.put(&MAGIC);
    cursor.put(&VERSION.to_le_bytes());
    cursor.count(buses.len());
    cursor.size(needed);
    cursor.put(&head.learned_frames.to_le_bytes());
    cursor.put(&head.learned_ms.to_le_bytes());
    cursor.put(head.platform.padded());
    cursor.put(head.release.padded());
    let mut next = HEADER_BYTES.saturating_add(buses.len().saturating_mul(BUS_BYTES));
    for bus in buses {
        next = put_bus(&mut cursor, bus, next);
    }
    for bus in buses {
        bus.ids.iter().for_each(|entry| put_id(&mut cursor, entry));
        for pair in bus.pairs {
            cursor.put(&pair.request.word().to_le_bytes());
            cursor.put(&pair.response.word().to_le_bytes());
        }
    }
    let body = cursor.at;
    let checksum = crc32c(cursor.out.get(..body).unwrap_or(&[]));
    cursor.put(&checksum.to_le_bytes());
    VehicleModel::parse(cursor.out).map_err(WriteError::Facts)?;
    Ok(needed)
}

const fn check_count(got: usize, limit: usize) -> Result<(), WriteError> {
    if got > limit { Err(WriteError::TooMany { got, limit }) } else { Ok(()) }
}

fn put_bus(cursor: &mut Cursor<'_>, bus: &BusDraft<'_>, begin: usize) -> usize {
    let pairs_at = begin.saturating_add(bus.ids.len().saturating_mul(ID_BYTES));
    cursor.put(&[bus.facts.bus.0, u8::from(bus.facts.speed.is_some())]);
    cursor.count(bus.ids.len());
    cursor.size(begin);
    cursor.count(bus.pairs.len());
    cursor.put(&[0; 2]);
    cursor.size(pairs_at);
    cursor.put(&bus.facts.rate_hz.to_le_bytes());
    cursor.put(&bus.facts.rate_max_hz.to_le_bytes());
    cursor.put(&bus.facts.bit_rate.to_le_bytes());
    cursor.put(&[0; 4]);
    put_speed(cursor, bus.facts.speed.as_ref());
    cursor.put(&[0; 4]);
    cursor.put(&bus.facts.captures.to_le_bytes());
    cursor.put(&[0; 2]);
    pairs_at.saturating_add(bus.pairs.len().saturating_mul(PAIR_BYTES))
}

fn put_speed(cursor: &mut Cursor<'_>, speed: Option<&SpeedSignal>) {
    let Some(speed) = speed else {
        cursor.put(&[0; 24]);
        return;
    };
    cursor.put(&speed.id.word().to_le_bytes());
    cursor.put(&speed.start_bit.to_le_bytes());
    cursor.put(&[speed.bits, u8::from(speed.big_endian) | u8::from(speed.signed) << 1]);
    cursor.put(&speed.scale_nano_kmh.to_le_bytes());
    cursor.put(&speed.offset_nano_kmh.to_le_bytes());
}

fn put_id(cursor: &mut Cursor<'_>, entry: &IdEntry) {
    cursor.put(&entry.id.word().to_le_bytes());
    cursor.put(&entry.dlc_mask.to_le_bytes());
    cursor.put(&[entry.class.code(), entry.flags.bits()]);
    let gaps = entry.gaps;
    for gap in [gaps.min_us, gaps.p05_us, gaps.median_us, gaps.p95_us, gaps.max_us] {
        cursor.put(&gap.to_le_bytes());
    }
    cursor.put(&entry.ahead_max_q16.to_le_bytes());
    cursor.put(&entry.frames.to_le_bytes());
    cursor.put(&entry.captures.to_le_bytes());
    cursor.put(&[0; 2]);
}
