//! Model written into a buffer of the caller.

use core::fmt;

use super::bytes::Cursor;
use super::envelope::check_count;
use super::repr::{BusFacts, DiagPair, IdEntry, ModelHead, SpeedSignal};
use super::sections::{self, SectionDraft};
use super::view::VehicleModel;
use super::{BUS_BYTES, HEADER_BYTES, ID_BYTES, IDS_MAX, KIND, ModelError, PAIR_BYTES, PAIRS_MAX};

/// One bus to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct BusDraft<'a> {
    /// What is normal for the whole bus.
    pub facts: BusFacts,
    /// Identifiers, ascending, without repeats.
    pub ids: &'a [IdEntry],
    /// Diagnostic pairs.
    pub pairs: &'a [DiagPair],
    /// Sections of the bus, ascending, without repeats.
    pub sections: &'a [SectionDraft<'a>],
}

impl BusDraft<'_> {
    /// Returns the bytes of everything but the record.
    fn part_bytes(&self) -> usize {
        self.pairs_bytes().saturating_add(sections::encoded_bytes(self.sections))
    }

    /// Returns the bytes up to the end of the pairs.
    const fn pairs_bytes(&self) -> usize {
        let ids = self.ids.len().saturating_mul(ID_BYTES);
        ids.saturating_add(self.pairs.len().saturating_mul(PAIR_BYTES))
    }
}

/// Model to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModelDraft<'a> {
    /// What it says about itself.
    pub head: ModelHead,
    /// Its buses, ascending, without repeats.
    pub buses: &'a [BusDraft<'a>],
    /// Sections that belong to no CAN bus, ascending, without repeats.
    pub sections: &'a [SectionDraft<'a>],
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
    /// More records or bytes than the format allows.
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
            Self::TooMany { got, limit } => write!(f, "{got} of a kind, at most {limit} fit a model"),
            Self::Facts(error) => write!(f, "facts are inconsistent: {error}"),
        }
    }
}

impl core::error::Error for WriteError {}

/// Returns the size of a model in bytes.
#[must_use]
pub fn encoded_bytes(model: &ModelDraft<'_>) -> usize {
    let own = sections::encoded_bytes(model.sections);
    let parts = model.buses.iter().fold(own, |sum, bus| sum.saturating_add(bus.part_bytes()));
    KIND.encoded_bytes(model.buses.len(), parts)
}

/// Writes a model and returns its size in bytes; the result has been read back and is whole.
///
/// # Errors
/// [`WriteError`] for a small buffer, too many records or facts that no reader accepts.
pub fn write(model: &ModelDraft<'_>, out: &mut [u8]) -> Result<usize, WriteError> {
    for bus in model.buses {
        check_count(bus.ids.len(), IDS_MAX)?;
        check_count(bus.pairs.len(), PAIRS_MAX)?;
        sections::check_draft(bus.sections)?;
    }
    sections::check_draft(model.sections)?;
    let needed = encoded_bytes(model);
    KIND.write(&model.head, model.buses.len(), needed, out, |cursor| {
        let mut next = HEADER_BYTES.saturating_add(model.buses.len().saturating_mul(BUS_BYTES));
        for bus in model.buses {
            put_bus(cursor, bus, next);
            next = next.saturating_add(bus.part_bytes());
        }
        for bus in model.buses {
            bus.ids.iter().for_each(|entry| put_id(cursor, entry));
            for pair in bus.pairs {
                cursor.put(&pair.request.word().to_le_bytes());
                cursor.put(&pair.response.word().to_le_bytes());
            }
            sections::put(cursor, bus.sections);
        }
        sections::put(cursor, model.sections);
    })?;
    VehicleModel::parse(out.get(..needed).unwrap_or(&[])).map_err(WriteError::Facts)?;
    Ok(needed)
}

fn put_bus(cursor: &mut Cursor<'_>, bus: &BusDraft<'_>, begin: usize) {
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
