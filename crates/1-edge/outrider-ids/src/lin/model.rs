//! What is normal on a LIN bus, and its bytes in a vehicle model.
//!
//! Section: version (1 byte, 1), buses (1). A bus: number, frames, tables, 0 (1 byte each); a frame: identifier, data
//! bytes (0 any), [flags](flag), 0 (1 byte each), identifiers ascending; a table: slots (1), three zeros, then for each
//! slot its identifier (bit 7: may stay empty), 0, and its length in tenths of a millisecond (2, little endian).

use outrider_bus::lin::{ChecksumKind, DATA_BYTES_MAX, Order, Pid, SLOTS_MAX, Schedule, Slot};
use outrider_types::BusId;

/// Version of the section.
const VERSION: u8 = 1;
/// Most buses of a model: a body controller is master of about ten.
pub const BUSES_MAX: usize = 32;
/// Most tables of a bus (guess: real clusters have below ten).
pub const TABLES_MAX: usize = 32;
/// Unit of the lengths of slots, in microseconds.
const LENGTH_UNIT_US: u32 = 100;
/// Bit of a slot that may stay empty.
const OPTIONAL: u8 = 0x80;
const FRAME_BYTES: usize = 4;
const SLOT_BYTES: usize = 4;
const HEAD_BYTES: usize = 4;

/// Flags of a frame.
pub mod flag {
    /// What the checksum is computed over is known.
    pub const CHECKSUM_KNOWN: u8 = 0x01;
    /// It is computed over the identifier too.
    pub const ENHANCED: u8 = 0x02;
    /// A header may stay unanswered.
    pub const MAY_BE_SILENT: u8 = 0x04;
    /// Several nodes may answer at once.
    pub const MAY_COLLIDE: u8 = 0x08;
    /// All flags there are.
    pub(super) const ALL: u8 = 0x0F;
}

/// What is normal for one identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameFacts {
    /// Data bytes, or 0 if they vary.
    pub bytes: u8,
    /// What the checksum is computed over, if known.
    pub checksum: Option<ChecksumKind>,
    /// A header may stay unanswered: sporadic and event-triggered frames, answers of diagnosis.
    pub may_be_silent: bool,
    /// Several nodes may answer at once: event-triggered frames.
    pub may_collide: bool,
}

/// What is normal on one bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinModel {
    /// The bus.
    pub bus: BusId,
    /// By identifier, what is normal for it; `None` if nobody sends it.
    pub frames: [Option<FrameFacts>; 64],
    /// Which header may follow which.
    pub order: Order,
}

impl LinModel {
    /// Creates the model of a bus on which nothing is sent.
    #[must_use]
    pub const fn new(bus: BusId) -> Self {
        Self { bus, frames: [None; 64], order: Order::new() }
    }
}

/// Checks a section, O(n).
///
/// # Errors
/// The offset of what is wrong. A section of another version is right, and empty for this program.
pub fn check(bytes: &[u8]) -> Result<(), usize> {
    if is_other_version(bytes) {
        return Ok(());
    }
    let count = usize::from(*bytes.get(1).ok_or(bytes.len())?);
    if count > BUSES_MAX {
        return Err(1);
    }
    let mut at = 2;
    let mut previous = None;
    for _ in 0..count {
        let bus = byte(bytes, at)?;
        if previous.is_some_and(|previous| previous >= bus) {
            return Err(at);
        }
        previous = Some(bus);
        at = check_bus(bytes, at)?;
    }
    if at == bytes.len() { Ok(()) } else { Err(at) }
}

fn is_other_version(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|&version| version != VERSION)
}

fn byte(bytes: &[u8], at: usize) -> Result<u8, usize> {
    bytes.get(at).copied().ok_or(bytes.len())
}

fn check_bus(bytes: &[u8], at: usize) -> Result<usize, usize> {
    let (frames, tables) = (byte(bytes, at.saturating_add(1))?, byte(bytes, at.saturating_add(2))?);
    if frames > 64 || usize::from(tables) > TABLES_MAX || byte(bytes, at.saturating_add(3))? != 0 {
        return Err(at);
    }
    let mut at = at.saturating_add(HEAD_BYTES);
    let mut previous = None;
    for _ in 0..frames {
        let (id, length) = (byte(bytes, at)?, byte(bytes, at.saturating_add(1))?);
        let flags = byte(bytes, at.saturating_add(2))?;
        let is_wrong = id > 63
            || previous.is_some_and(|previous| previous >= id)
            || usize::from(length) > DATA_BYTES_MAX
            || flags & !flag::ALL != 0
            || byte(bytes, at.saturating_add(3))? != 0;
        if is_wrong {
            return Err(at);
        }
        previous = Some(id);
        at = at.saturating_add(FRAME_BYTES);
    }
    for _ in 0..tables {
        let slots = usize::from(byte(bytes, at)?);
        let is_spare = bytes.get(at.saturating_add(1)..at.saturating_add(HEAD_BYTES)).ok_or(bytes.len())?;
        if !(1..=SLOTS_MAX).contains(&slots) || is_spare != [0; 3] {
            return Err(at);
        }
        at = at.saturating_add(HEAD_BYTES);
        for _ in 0..slots {
            let slot = bytes.get(at..at.saturating_add(SLOT_BYTES)).ok_or(bytes.len())?;
            if slot.first().is_none_or(|id| id & !OPTIONAL > 63) || slot.get(1) != Some(&0) {
                return Err(at);
            }
            at = at.saturating_add(SLOT_BYTES);
        }
    }
    Ok(at)
}

/// Buses of a checked section, ascending.
#[derive(Debug, Clone, Copy, Default)]
pub struct Buses<'a> {
    rest: &'a [u8],
    left: u8,
}

impl<'a> Buses<'a> {
    /// Takes the bytes of a section; what [`check`] refuses gives nothing, or ends early.
    #[must_use]
    pub fn new(section: &'a [u8]) -> Self {
        if check(section).is_err() || is_other_version(section) {
            return Self::default();
        }
        Self { rest: section.get(2..).unwrap_or(&[]), left: section.get(1).copied().unwrap_or(0) }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }
}

impl Iterator for Buses<'_> {
    type Item = LinModel;

    fn next(&mut self) -> Option<LinModel> {
        self.left = self.left.checked_sub(1)?;
        let &[bus, frames, tables, _] = self.take(HEAD_BYTES)?.first_chunk::<HEAD_BYTES>()?;
        let mut model = LinModel::new(BusId(bus));
        for _ in 0..frames {
            let &[id, bytes, flags, _] = self.take(FRAME_BYTES)?.first_chunk::<FRAME_BYTES>()?;
            let has = |bit: u8| flags & bit != 0;
            let kind = if has(flag::ENHANCED) { ChecksumKind::Enhanced } else { ChecksumKind::Classic };
            let facts = FrameFacts {
                bytes,
                checksum: has(flag::CHECKSUM_KNOWN).then_some(kind),
                may_be_silent: has(flag::MAY_BE_SILENT),
                may_collide: has(flag::MAY_COLLIDE),
            };
            *model.frames.get_mut(usize::from(id))? = Some(facts);
        }
        for _ in 0..tables {
            let count = usize::from(*self.take(HEAD_BYTES)?.first()?);
            let mut slots = [Slot::default(); SLOTS_MAX];
            for slot in slots.iter_mut().take(count) {
                let &[id, _, low, high] = self.take(SLOT_BYTES)?.first_chunk::<SLOT_BYTES>()?;
                *slot = Slot {
                    pid: Pid::new(id & !OPTIONAL)?,
                    is_optional: id & OPTIONAL != 0,
                    length_us: u32::from(u16::from_le_bytes([low, high])).saturating_mul(LENGTH_UNIT_US),
                };
            }
            model.order.add(&Schedule::new(slots.get(..count)?)?);
        }
        Some(model)
    }
}

/// One bus to be written.
#[derive(Debug, Clone, Copy)]
pub struct BusDraft<'a> {
    /// The bus.
    pub bus: BusId,
    /// Frames, ascending by identifier.
    pub frames: &'a [(u8, FrameFacts)],
    /// Schedule tables.
    pub tables: &'a [Schedule],
}

/// Writes a section into a buffer and returns its size in bytes, or `None` if it is too small or the drafts are more
/// than the section can hold.
#[must_use]
pub fn write(buses: &[BusDraft<'_>], out: &mut [u8]) -> Option<usize> {
    let mut at = 0usize;
    let mut put = |bytes: &[u8]| {
        let end = at.saturating_add(bytes.len());
        if let Some(slot) = out.get_mut(at..end) {
            slot.copy_from_slice(bytes);
        }
        at = end;
    };
    put(&[VERSION, u8::try_from(buses.len()).ok()?]);
    for bus in buses {
        put(&[bus.bus.0, u8::try_from(bus.frames.len()).ok()?, u8::try_from(bus.tables.len()).ok()?, 0]);
        for (id, facts) in bus.frames {
            let bit = |set: bool, bit: u8| if set { bit } else { 0 };
            let flags = bit(facts.checksum.is_some(), flag::CHECKSUM_KNOWN)
                | bit(facts.checksum == Some(ChecksumKind::Enhanced), flag::ENHANCED)
                | bit(facts.may_be_silent, flag::MAY_BE_SILENT)
                | bit(facts.may_collide, flag::MAY_COLLIDE);
            put(&[*id, facts.bytes, flags, 0]);
        }
        for table in bus.tables {
            put(&[u8::try_from(table.slots().len()).ok()?, 0, 0, 0]);
            for slot in table.slots() {
                let length = slot.length_us.checked_div(LENGTH_UNIT_US).unwrap_or(0);
                let [low, high] = u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
                put(&[slot.pid.id() | if slot.is_optional { OPTIONAL } else { 0 }, 0, low, high]);
            }
        }
    }
    check(out.get(..at)?).ok().map(|()| at)
}
