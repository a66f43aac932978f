//! Model read in place.

use outrider_bus::can::CanId;
use outrider_types::BusId;

use super::repr::{
    BusFacts, CycleClass, DiagPair, GapFacts, IdEntry, IdFlags, ModelError, ModelHead, SpeedSignal, Text,
};
use super::{BUS_BYTES, BUSES_MAX, HEADER_BYTES, ID_BYTES, IDS_MAX, MAGIC, PAIR_BYTES, PAIRS_MAX, VERSION};
use crate::crc::crc32c;

/// Bytes of the checksum at the end.
pub(super) const CHECKSUM_BYTES: usize = 4;

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u8_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    array(bytes, at).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    array(bytes, at).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    array(bytes, at).map_or(0, u64::from_le_bytes)
}

fn size_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u32_at(bytes, at)).unwrap_or(usize::MAX)
}

/// Whole model, checked; borrows the bytes of the file.
#[derive(Debug, Clone, Copy)]
pub struct VehicleModel<'a> {
    bytes: &'a [u8],
    head: ModelHead,
    buses: usize,
}

impl<'a> VehicleModel<'a> {
    /// Checks every byte of a model once, O(n); afterwards nothing in it can be wrong.
    ///
    /// # Errors
    /// [`ModelError`] for each way the bytes are no model.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let smallest = HEADER_BYTES.saturating_add(CHECKSUM_BYTES);
        let magic = bytes.get(..MAGIC.len()).unwrap_or(bytes);
        if MAGIC.get(..magic.len()).is_none_or(|prefix| prefix != magic) {
            return Err(ModelError::Magic);
        }
        if bytes.len() < smallest {
            return Err(ModelError::Truncated { needed: smallest, got: bytes.len() });
        }
        let version = u16_at(bytes, 8);
        if version != VERSION {
            return Err(ModelError::Version { got: version });
        }
        let said = size_at(bytes, 12);
        if bytes.len() < said || said < smallest {
            return Err(ModelError::Truncated { needed: said.max(smallest), got: bytes.len() });
        }
        if bytes.len() > said {
            return Err(ModelError::Trailing { said, got: bytes.len() });
        }
        let sum_at = said.saturating_sub(CHECKSUM_BYTES);
        let (stated, computed) = (u32_at(bytes, sum_at), crc32c(bytes.get(..sum_at).unwrap_or(&[])));
        if stated != computed {
            return Err(ModelError::Checksum { said: stated, got: computed });
        }
        let buses = usize::from(u16_at(bytes, 10));
        if buses > BUSES_MAX {
            return Err(ModelError::TooMany { offset: 10, got: buses, limit: BUSES_MAX });
        }
        let text =
            |offset| array(bytes, offset).and_then(Text::from_padded).ok_or(ModelError::Value { offset });
        let head = ModelHead {
            learned_frames: u64_at(bytes, 16),
            learned_ms: u64_at(bytes, 24),
            platform: text(32)?,
            release: text(64)?,
        };
        let model = Self { bytes, head, buses };
        model.check_buses(sum_at)?;
        Ok(model)
    }

    fn check_buses(&self, end: usize) -> Result<(), ModelError> {
        let mut next = HEADER_BYTES.saturating_add(self.buses.saturating_mul(BUS_BYTES));
        let mut previous = None;
        for index in 0..self.buses {
            let record = HEADER_BYTES.saturating_add(index.saturating_mul(BUS_BYTES));
            if record.saturating_add(BUS_BYTES) > end {
                return Err(ModelError::Truncated { needed: record.saturating_add(BUS_BYTES), got: end });
            }
            let bus = u8_at(self.bytes, record);
            if previous.is_some_and(|previous| previous >= bus) {
                return Err(ModelError::Order { offset: record });
            }
            previous = Some(bus);
            next = self.check_bus(record, next, end)?;
        }
        if next == end { Ok(()) } else { Err(ModelError::Layout { offset: next }) }
    }

    /// Checks one bus and returns where its parts end.
    fn check_bus(&self, record: usize, begin: usize, end: usize) -> Result<usize, ModelError> {
        let field = |offset: usize| record.saturating_add(offset);
        let ids = usize::from(u16_at(self.bytes, field(2)));
        let pairs = usize::from(u16_at(self.bytes, field(8)));
        if ids > IDS_MAX {
            return Err(ModelError::TooMany { offset: field(2), got: ids, limit: IDS_MAX });
        }
        if pairs > PAIRS_MAX {
            return Err(ModelError::TooMany { offset: field(8), got: pairs, limit: PAIRS_MAX });
        }
        if size_at(self.bytes, field(4)) != begin {
            return Err(ModelError::Layout { offset: field(4) });
        }
        let pairs_at = begin.saturating_add(ids.saturating_mul(ID_BYTES));
        if size_at(self.bytes, field(12)) != pairs_at {
            return Err(ModelError::Layout { offset: field(12) });
        }
        let after = pairs_at.saturating_add(pairs.saturating_mul(PAIR_BYTES));
        if after > end {
            return Err(ModelError::Truncated { needed: after, got: end });
        }
        if u8_at(self.bytes, field(1)) > 1 {
            return Err(ModelError::Value { offset: field(1) });
        }
        for offset in [62, 63] {
            if u8_at(self.bytes, field(offset)) != 0 {
                return Err(ModelError::Value { offset: field(offset) });
            }
        }
        if u8_at(self.bytes, field(1)) == 1 && speed_at(self.bytes, field(32)).is_none() {
            return Err(ModelError::Value { offset: field(32) });
        }
        let mut previous = None;
        for offset in (begin..pairs_at).step_by(ID_BYTES) {
            let entry = id_at(self.bytes, offset).ok_or(ModelError::Value { offset })?;
            if previous.is_some_and(|previous| previous >= entry.id) {
                return Err(ModelError::Order { offset });
            }
            previous = Some(entry.id);
        }
        for offset in (pairs_at..after).step_by(PAIR_BYTES) {
            pair_at(self.bytes, offset).ok_or(ModelError::Value { offset })?;
        }
        Ok(after)
    }

    /// Returns what the model says about itself.
    #[must_use]
    pub const fn head(&self) -> &ModelHead {
        &self.head
    }

    /// Returns the buses in ascending order.
    pub fn buses(&self) -> impl ExactSizeIterator<Item = BusModel<'a>> + use<'a> {
        let bytes = self.bytes;
        (0..self.buses).map(move |index| BusModel {
            bytes,
            record: HEADER_BYTES.saturating_add(index.saturating_mul(BUS_BYTES)),
        })
    }

    /// Returns one bus, O(buses), or `None` if the model does not have it.
    #[must_use]
    pub fn bus(&self, bus: BusId) -> Option<BusModel<'a>> {
        self.buses().find(|model| model.facts().bus == bus)
    }
}

/// One bus of a checked model.
#[derive(Debug, Clone, Copy)]
pub struct BusModel<'a> {
    bytes: &'a [u8],
    record: usize,
}

impl<'a> BusModel<'a> {
    /// Returns what is normal for the whole bus.
    #[must_use]
    pub fn facts(&self) -> BusFacts {
        let field = |offset: usize| self.record.saturating_add(offset);
        BusFacts {
            bus: BusId(u8_at(self.bytes, field(0))),
            rate_hz: u32_at(self.bytes, field(16)),
            rate_max_hz: u32_at(self.bytes, field(20)),
            bit_rate: u32_at(self.bytes, field(24)),
            captures: u16_at(self.bytes, field(60)),
            speed: if u8_at(self.bytes, field(1)) == 1 { speed_at(self.bytes, field(32)) } else { None },
        }
    }

    /// Returns the identifiers in ascending order.
    pub fn ids(&self) -> impl Iterator<Item = IdEntry> + use<'a> {
        let bytes = self.bytes;
        let begin = size_at(bytes, self.record.saturating_add(4));
        let end = size_at(bytes, self.record.saturating_add(12));
        (begin..end).step_by(ID_BYTES).filter_map(move |offset| id_at(bytes, offset))
    }

    /// Returns the number of identifiers, at most [`IDS_MAX`].
    #[must_use]
    pub fn id_count(&self) -> usize {
        usize::from(u16_at(self.bytes, self.record.saturating_add(2)))
    }

    /// Returns the diagnostic pairs.
    pub fn pairs(&self) -> impl Iterator<Item = DiagPair> + use<'a> {
        let bytes = self.bytes;
        let begin = size_at(bytes, self.record.saturating_add(12));
        let count = usize::from(u16_at(bytes, self.record.saturating_add(8)));
        let end = begin.saturating_add(count.saturating_mul(PAIR_BYTES));
        (begin..end).step_by(PAIR_BYTES).filter_map(move |offset| pair_at(bytes, offset))
    }
}

fn id_at(bytes: &[u8], offset: usize) -> Option<IdEntry> {
    let record: [u8; ID_BYTES] = array(bytes, offset)?;
    let gaps = GapFacts {
        min_us: u32_at(&record, 8),
        p05_us: u32_at(&record, 12),
        median_us: u32_at(&record, 16),
        p95_us: u32_at(&record, 20),
        max_us: u32_at(&record, 24),
    };
    let class = CycleClass::from_code(u8_at(&record, 6))?;
    let cyclic = match class {
        CycleClass::Periodic | CycleClass::Mixed => gaps.median_us > 0,
        CycleClass::Listed | CycleClass::Event => true,
    };
    if !cyclic || !gaps.is_ordered() || u16_at(&record, 38) != 0 {
        return None;
    }
    Some(IdEntry {
        id: CanId::from_word(u32_at(&record, 0))?,
        dlc_mask: u16_at(&record, 4),
        class,
        flags: IdFlags::from_bits(u8_at(&record, 7))?,
        gaps,
        ahead_max_q16: u32_at(&record, 28),
        frames: u32_at(&record, 32),
        captures: u16_at(&record, 36),
    })
}

fn pair_at(bytes: &[u8], offset: usize) -> Option<DiagPair> {
    let record: [u8; PAIR_BYTES] = array(bytes, offset)?;
    Some(DiagPair {
        request: CanId::from_word(u32_at(&record, 0))?,
        response: CanId::from_word(u32_at(&record, 4))?,
    })
}

fn speed_at(bytes: &[u8], offset: usize) -> Option<SpeedSignal> {
    let record: [u8; 24] = array(bytes, offset)?;
    let flags = u8_at(&record, 7);
    let signal = SpeedSignal {
        id: CanId::from_word(u32_at(&record, 0))?,
        start_bit: u16_at(&record, 4),
        bits: u8_at(&record, 6),
        big_endian: flags & 1 != 0,
        signed: flags & 2 != 0,
        scale_nano_kmh: i64::from_le_bytes(array(&record, 8)?),
        offset_nano_kmh: i64::from_le_bytes(array(&record, 16)?),
    };
    let whole = flags <= 3 && (1..=32).contains(&signal.bits) && signal.start_bit < 512;
    whole.then_some(signal)
}
