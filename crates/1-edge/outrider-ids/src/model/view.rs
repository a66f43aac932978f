//! Model read in place.

use outrider_bus::can::CanId;
use outrider_types::BusId;

use super::bytes::{array, size_at, u8_at, u16_at, u32_at};
use super::envelope::Envelope;
use super::repr::{
    BusFacts, CycleClass, DiagPair, GapFacts, IdEntry, IdFlags, ModelError, ModelHead, SpeedSignal,
};
use super::sections::{self, SectionKind, Sections};
use super::signature::Signatures;
use super::{ID_BYTES, IDS_MAX, KIND, PAIR_BYTES, PAIRS_MAX, VERSION_SECTIONS};

/// Whole model, checked; borrows the bytes of the file.
#[derive(Debug, Clone, Copy)]
pub struct VehicleModel<'a> {
    envelope: Envelope<'a>,
    /// Where the parts of the buses end, and the sections of the whole model begin.
    parts_end: usize,
}

impl<'a> VehicleModel<'a> {
    /// Checks every byte of a model once, O(n); afterwards nothing in it can be wrong. Signatures may follow it; who
    /// made them is for the caller to find out.
    ///
    /// # Errors
    /// [`ModelError`] for each way the bytes are no model.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let envelope = Envelope::open(bytes, &KIND)?;
        let mut model = Self { envelope, parts_end: envelope.parts_at() };
        let mut previous = None;
        for index in 0..envelope.records {
            let record = envelope.record_at(index);
            let bus = u8_at(envelope.bytes, record);
            if previous.is_some_and(|previous| previous >= bus) {
                return Err(ModelError::Order { offset: record });
            }
            previous = Some(bus);
            model.parts_end = model.check_bus(record, model.parts_end)?;
        }
        let end = model.check_sections(model.parts_end)?;
        if end == envelope.end() { Ok(model) } else { Err(ModelError::Layout { offset: end }) }
    }

    const fn has_sections(&self) -> bool {
        self.envelope.version >= VERSION_SECTIONS
    }

    /// Checks a list of sections, if the layout has them, and returns where it ends.
    fn check_sections(&self, begin: usize) -> Result<usize, ModelError> {
        if !self.has_sections() {
            return Ok(begin);
        }
        sections::check_list(self.envelope.bytes, begin, self.envelope.end())
    }

    /// Checks one bus and returns where its parts end.
    fn check_bus(&self, record: usize, begin: usize) -> Result<usize, ModelError> {
        let (bytes, end) = (self.envelope.bytes, self.envelope.end());
        let field = |offset: usize| record.saturating_add(offset);
        let ids = usize::from(u16_at(bytes, field(2)));
        let pairs = usize::from(u16_at(bytes, field(8)));
        if ids > IDS_MAX {
            return Err(ModelError::TooMany { offset: field(2), got: ids, limit: IDS_MAX });
        }
        if pairs > PAIRS_MAX {
            return Err(ModelError::TooMany { offset: field(8), got: pairs, limit: PAIRS_MAX });
        }
        if size_at(bytes, field(4)) != begin {
            return Err(ModelError::Layout { offset: field(4) });
        }
        let pairs_at = begin.saturating_add(ids.saturating_mul(ID_BYTES));
        if size_at(bytes, field(12)) != pairs_at {
            return Err(ModelError::Layout { offset: field(12) });
        }
        let after = pairs_at.saturating_add(pairs.saturating_mul(PAIR_BYTES));
        if after > end {
            return Err(ModelError::Truncated { needed: after, got: end });
        }
        if u8_at(bytes, field(1)) > 1 {
            return Err(ModelError::Value { offset: field(1) });
        }
        for offset in [62, 63] {
            if u8_at(bytes, field(offset)) != 0 {
                return Err(ModelError::Value { offset: field(offset) });
            }
        }
        if u8_at(bytes, field(1)) == 1 && speed_at(bytes, field(32)).is_none() {
            return Err(ModelError::Value { offset: field(32) });
        }
        let mut previous = None;
        for offset in (begin..pairs_at).step_by(ID_BYTES) {
            let entry = id_at(bytes, offset).ok_or(ModelError::Value { offset })?;
            if previous.is_some_and(|previous| previous >= entry.id) {
                return Err(ModelError::Order { offset });
            }
            previous = Some(entry.id);
        }
        for offset in (pairs_at..after).step_by(PAIR_BYTES) {
            pair_at(bytes, offset).ok_or(ModelError::Value { offset })?;
        }
        self.check_sections(after)
    }

    /// Returns what the model says about itself.
    #[must_use]
    pub const fn head(&self) -> &ModelHead {
        &self.envelope.head
    }

    /// Returns the version of the layout it was written in.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.envelope.version
    }

    /// Returns the bytes of the model, without signatures.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.envelope.bytes.len()
    }

    /// Returns the signatures that follow the model; nobody has checked them.
    #[must_use]
    pub const fn signatures(&self) -> Signatures<'a> {
        self.envelope.signatures
    }

    /// Returns the buses in ascending order.
    pub fn buses(&self) -> impl ExactSizeIterator<Item = BusModel<'a>> + use<'a> {
        let (envelope, has_sections) = (self.envelope, self.has_sections());
        (0..envelope.records).map(move |index| BusModel {
            bytes: envelope.bytes,
            record: envelope.record_at(index),
            has_sections,
        })
    }

    /// Returns the sections that belong to no CAN bus; none before version 2.
    #[must_use]
    pub fn sections(&self) -> Sections<'a> {
        if !self.has_sections() {
            return Sections::default();
        }
        Sections::at(self.envelope.bytes, self.parts_end)
    }

    /// Returns one of these sections, O(sections).
    #[must_use]
    pub fn section(&self, kind: SectionKind) -> Option<&'a [u8]> {
        self.sections().of(kind)
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
    has_sections: bool,
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

    /// Returns where the diagnostic pairs are.
    fn pairs_range(&self) -> core::ops::Range<usize> {
        let begin = size_at(self.bytes, self.record.saturating_add(12));
        let count = usize::from(u16_at(self.bytes, self.record.saturating_add(8)));
        begin..begin.saturating_add(count.saturating_mul(PAIR_BYTES))
    }

    /// Returns the diagnostic pairs.
    pub fn pairs(&self) -> impl Iterator<Item = DiagPair> + use<'a> {
        let bytes = self.bytes;
        self.pairs_range().step_by(PAIR_BYTES).filter_map(move |offset| pair_at(bytes, offset))
    }

    /// Returns the sections of the bus; none before version 2.
    #[must_use]
    pub fn sections(&self) -> Sections<'a> {
        if !self.has_sections {
            return Sections::default();
        }
        Sections::at(self.bytes, self.pairs_range().end)
    }

    /// Returns one section of the bus, O(sections).
    #[must_use]
    pub fn section(&self, kind: SectionKind) -> Option<&'a [u8]> {
        self.sections().of(kind)
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
