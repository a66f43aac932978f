//! How CAN frames are protected: the section of [`SectionKind::PROTECTION`](super::SectionKind::PROTECTION).
//!
//! A version, a zero byte, the number of records, then records of [`RECORD_BYTES`], ascending by identifier. What a
//! description states and training did not contradict stands here; it is specification, not habit.

use outrider_bus::can::CanId;
use outrider_bus::e2e::{DataIdMode, Profile1, Profile2, Profile4, Profile5, Protection};
use outrider_bus::secoc::Layout;

use super::bytes::{Cursor, array, u8_at, u16_at, u32_at};

/// Most protected frames of a bus: as many as fit the 6 KiB that a bus has for them.
pub const PROTECTED_MAX: usize = 190;
/// Bytes of a record.
pub const RECORD_BYTES: usize = 32;
/// Bytes before the first record.
const HEAD_BYTES: usize = 4;
/// Version of the section.
const VERSION: u8 = 1;
/// Longest payload of a CAN frame.
const PAYLOAD_MAX: usize = 64;

/// What protects a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// End-to-end protection: everybody can check it.
    E2e(Protection),
    /// Freshness and authenticator of `SecOC`: only their shape and order can be checked without the key.
    Secured(Layout),
}

/// Protected part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtectedFrame {
    /// The frame.
    pub id: CanId,
    /// What protects it.
    pub guard: Guard,
    /// First byte of the protected part.
    pub start: u8,
    /// Bytes of the protected part.
    pub bytes: u8,
    /// Largest step of the counter, at least 1.
    pub step_max: u8,
    /// Whether counter or freshness are judged.
    pub counts: bool,
    /// Whether the counter may stand still, as it did in training.
    pub repeats: bool,
    /// Whether single frames of training failed the check.
    pub faults: bool,
}

impl ProtectedFrame {
    /// Returns whether everything lies where it can, and the counter can step.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let (start, bytes) = (usize::from(self.start), usize::from(self.bytes));
        let needed = match self.guard {
            Guard::E2e(Protection::P01(profile)) => usize::from(profile.crc_byte).saturating_add(2),
            Guard::E2e(Protection::P02(profile)) => usize::from(profile.crc_byte).saturating_add(2),
            Guard::E2e(Protection::P04(profile)) => usize::from(profile.offset).saturating_add(12),
            Guard::E2e(Protection::P05(profile)) => usize::from(profile.offset).saturating_add(3),
            Guard::Secured(layout) => layout.trailer_bytes().saturating_add(1),
        };
        start.saturating_add(bytes) <= PAYLOAD_MAX && needed <= bytes && self.step_max > 0
    }

    /// Returns the protected part of a frame's payload, or `None` if the frame is too short.
    #[must_use]
    pub fn part<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::from(self.start);
        data.get(start..start.saturating_add(usize::from(self.bytes)))
    }

    /// Returns the record.
    #[must_use]
    pub fn record(&self) -> [u8; RECORD_BYTES] {
        let (kind, mode, offset, number, ids) = match self.guard {
            Guard::E2e(Protection::P01(one)) => {
                (1, mode_code(one.mode), one.crc_byte, one.data_id.into(), [0; 16])
            }
            Guard::E2e(Protection::P02(one)) => (2, 0, one.crc_byte, 0, one.data_ids),
            Guard::E2e(Protection::P04(one)) => (4, 0, one.offset, one.data_id, [0; 16]),
            Guard::E2e(Protection::P05(one)) => (5, 0, one.offset, one.data_id.into(), [0; 16]),
            Guard::Secured(layout) => (0x80, 0, layout.freshness_bits(), layout.mac_bits().into(), [0; 16]),
        };
        let flags = u8::from(self.counts) | u8::from(self.repeats) << 1 | u8::from(self.faults) << 2;
        let mut out = [0; RECORD_BYTES];
        let mut cursor = Cursor::new(&mut out);
        cursor.put(&self.id.word().to_le_bytes());
        cursor.put(&[kind, self.start, self.bytes, self.step_max, flags, mode]);
        cursor.put(&u16::to_le_bytes(offset));
        cursor.put(&u32::to_le_bytes(number));
        cursor.put(&ids);
        out
    }

    /// Reads a record; what is not written as [`Self::record`] writes it is none.
    fn read(record: &[u8; RECORD_BYTES]) -> Option<Self> {
        let (offset, number) = (u16_at(record, 10), u32_at(record, 12));
        let short = u16::try_from(number & 0xFFFF).ok()?;
        let guard = match u8_at(record, 4) {
            1 => {
                let mode = mode_of(u8_at(record, 9))?;
                Guard::E2e(Protection::P01(Profile1 { data_id: short, mode, crc_byte: offset }))
            }
            2 => {
                let data_ids = array(record, 16)?;
                Guard::E2e(Protection::P02(Profile2 { data_ids, crc_byte: offset }))
            }
            4 => Guard::E2e(Protection::P04(Profile4 { data_id: number, offset })),
            5 => Guard::E2e(Protection::P05(Profile5 { data_id: short, offset })),
            0x80 => Guard::Secured(Layout::new(offset, short)?),
            _ => return None,
        };
        let flags = u8_at(record, 8);
        let frame = Self {
            id: CanId::from_word(u32_at(record, 0))?,
            guard,
            start: u8_at(record, 5),
            bytes: u8_at(record, 6),
            step_max: u8_at(record, 7),
            counts: flags & 1 != 0,
            repeats: flags & 2 != 0,
            faults: flags & 4 != 0,
        };
        (frame.is_consistent() && frame.record() == *record).then_some(frame)
    }
}

const fn mode_code(mode: DataIdMode) -> u8 {
    match mode {
        DataIdMode::Both => 0,
        DataIdMode::Alternating => 1,
        DataIdMode::Low => 2,
        DataIdMode::Nibble => 3,
    }
}

const fn mode_of(code: u8) -> Option<DataIdMode> {
    match code {
        0 => Some(DataIdMode::Both),
        1 => Some(DataIdMode::Alternating),
        2 => Some(DataIdMode::Low),
        3 => Some(DataIdMode::Nibble),
        _ => None,
    }
}

/// Returns what stands before the records of a section, or `None` for more than [`PROTECTED_MAX`].
#[must_use]
pub fn head(frames: usize) -> Option<[u8; HEAD_BYTES]> {
    let [low, high] = u16::try_from(frames).ok().filter(|_| frames <= PROTECTED_MAX)?.to_le_bytes();
    Some([VERSION, 0, low, high])
}

/// Returns the frames of a section, ascending; none of a version that is not known.
pub fn frames(section: &[u8]) -> impl Iterator<Item = ProtectedFrame> + '_ {
    let records = section.get(HEAD_BYTES..).filter(|_| u8_at(section, 0) == VERSION).unwrap_or(&[]);
    records.as_chunks().0.iter().take(PROTECTED_MAX).filter_map(ProtectedFrame::read)
}

/// Checks a section of a model; a later version is not this reader's.
pub(super) fn check(section: &[u8]) -> Result<(), usize> {
    if section.first().is_some_and(|&version| version > VERSION) {
        return Ok(());
    }
    let count = usize::from(u16_at(section, 2));
    let expected = HEAD_BYTES.saturating_add(count.saturating_mul(RECORD_BYTES));
    if u16_at(section, 0) != u16::from(VERSION) || count > PROTECTED_MAX || section.len() != expected {
        return Err(0);
    }
    let mut previous = None;
    for at in (HEAD_BYTES..expected).step_by(RECORD_BYTES) {
        let frame = array(section, at).and_then(|record| ProtectedFrame::read(&record)).ok_or(at)?;
        if previous.is_some_and(|previous| previous >= frame.id) {
            return Err(at);
        }
        previous = Some(frame.id);
    }
    Ok(())
}
