//! Parts of a model that came after its layout was settled.
//!
//! A list of sections is a count and two zero bytes, then for each section its kind, two zero bytes, the number of its
//! bytes and these bytes; kinds ascend and do not repeat. A reader that does not know a kind skips it, so a vehicle
//! reads the models of twenty years without a new layout. What a section that it does know says, is checked by the
//! owner of the kind when the model is read; the first byte of such a section is the version of its own format, and
//! an owner takes a version that it does not know for a section that is not there.

use super::bytes::{Cursor, size_at, u16_at};
use super::envelope::check_count;
use super::habits;
use super::protection;
use super::repr::ModelError;
use super::write::WriteError;

/// Most sections of one list: kinds of twenty years (guess).
pub const SECTIONS_MAX: usize = 32;
/// Most bytes of a section: what it says must fit the state of a bus, which is bounded by as much.
pub const SECTION_BYTES_MAX: usize = 256 * 1024;
/// Bytes before the first section of a list.
const LIST_BYTES: usize = 4;
/// Bytes of a section before its own.
const HEAD_BYTES: usize = 8;

/// What a section is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionKind(pub u16);

impl SectionKind {
    /// How payloads split and how their numbers move.
    pub const PAYLOAD: Self = Self(1);
    /// Numbers that go together.
    pub const TOGETHER: Self = Self(2);
    /// What a bus does for the first time now and then.
    pub const CALIBRATION: Self = Self(3);
    /// Protection of CAN frames: E2E and `SecOC`.
    pub const PROTECTION: Self = Self(4);
    /// LIN schedules; belongs to the model, not to a CAN bus.
    pub const LIN_SCHEDULE: Self = Self(16);
    /// FlexRay slots; belongs to the model, not to a CAN bus.
    pub const FLEXRAY_SLOTS: Self = Self(17);

    /// Returns the name of the kind, or `None` for one that this program does not know.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::PAYLOAD => Some("payload habits"),
            Self::TOGETHER => Some("numbers that go together"),
            Self::CALIBRATION => Some("calibration"),
            Self::PROTECTION => Some("protection"),
            Self::LIN_SCHEDULE => Some("LIN schedules"),
            Self::FLEXRAY_SLOTS => Some("FlexRay slots"),
            _ => None,
        }
    }
}

/// Check of a section's bytes by the owner of its kind; the error is the offset of what is wrong.
type Check = fn(&[u8]) -> Result<(), usize>;

/// Owners of kinds.
static OWNERS: &[(SectionKind, Check)] = &[
    (SectionKind::PAYLOAD, habits::check_payload),
    (SectionKind::TOGETHER, habits::check_together),
    (SectionKind::CALIBRATION, habits::check_pools),
    (SectionKind::PROTECTION, protection::check),
    (SectionKind::LIN_SCHEDULE, crate::lin::model::check),
    (SectionKind::FLEXRAY_SLOTS, crate::flexray::model::check),
];

fn check(kind: SectionKind, bytes: &[u8]) -> Result<(), usize> {
    OWNERS.iter().filter(|(owned, _)| *owned == kind).try_for_each(|(_, check)| check(bytes))
}

/// Section to be written: its kind and its bytes.
pub type SectionDraft<'a> = (SectionKind, &'a [u8]);

/// Sections of one list, ascending by kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sections<'a> {
    /// What follows the list's count.
    rest: &'a [u8],
    left: u16,
}

impl<'a> Sections<'a> {
    /// Returns the list at an offset of a checked model.
    pub(super) fn at(bytes: &'a [u8], at: usize) -> Self {
        let rest = bytes.get(at.saturating_add(LIST_BYTES)..).unwrap_or(&[]);
        Self { rest, left: u16_at(bytes, at) }
    }

    /// Returns the section of a kind.
    #[must_use]
    pub fn of(mut self, kind: SectionKind) -> Option<&'a [u8]> {
        self.find(|(found, _)| *found == kind).map(|(_, bytes)| bytes)
    }
}

impl<'a> Iterator for Sections<'a> {
    type Item = (SectionKind, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let kind = SectionKind(u16_at(self.rest, 0));
        let (bytes, rest) = self.rest.get(HEAD_BYTES..)?.split_at_checked(size_at(self.rest, 4))?;
        self.rest = rest;
        Some((kind, bytes))
    }
}

/// Checks the list at `begin`, O(n), and returns where it ends.
pub(super) fn check_list(bytes: &[u8], begin: usize, end: usize) -> Result<usize, ModelError> {
    let mut at = begin.saturating_add(LIST_BYTES);
    if at > end {
        return Err(ModelError::Truncated { needed: at, got: end });
    }
    let count = usize::from(u16_at(bytes, begin));
    if count > SECTIONS_MAX {
        return Err(ModelError::TooMany { offset: begin, got: count, limit: SECTIONS_MAX });
    }
    let spare = begin.saturating_add(2);
    if u16_at(bytes, spare) != 0 {
        return Err(ModelError::Value { offset: spare });
    }
    let mut previous = None;
    for _ in 0..count {
        let (offset, body) = (at, at.saturating_add(HEAD_BYTES));
        let (kind, size) = (SectionKind(u16_at(bytes, offset)), size_at(bytes, offset.saturating_add(4)));
        if size > SECTION_BYTES_MAX {
            let offset = offset.saturating_add(4);
            return Err(ModelError::TooMany { offset, got: size, limit: SECTION_BYTES_MAX });
        }
        at = body.saturating_add(size);
        if at > end {
            return Err(ModelError::Truncated { needed: at, got: end });
        }
        if u16_at(bytes, offset.saturating_add(2)) != 0 {
            return Err(ModelError::Value { offset: offset.saturating_add(2) });
        }
        if previous.is_some_and(|previous| previous >= kind) {
            return Err(ModelError::Order { offset });
        }
        previous = Some(kind);
        check(kind, bytes.get(body..at).unwrap_or(&[]))
            .map_err(|wrong| ModelError::Value { offset: body.saturating_add(wrong) })?;
    }
    Ok(at)
}

/// Returns the bytes of a list.
pub(super) fn encoded_bytes(sections: &[SectionDraft<'_>]) -> usize {
    sections
        .iter()
        .fold(LIST_BYTES, |sum, (_, bytes)| sum.saturating_add(HEAD_BYTES).saturating_add(bytes.len()))
}

/// Refuses what no list can hold.
pub(super) fn check_draft(sections: &[SectionDraft<'_>]) -> Result<(), WriteError> {
    check_count(sections.len(), SECTIONS_MAX)?;
    sections.iter().try_for_each(|(_, bytes)| check_count(bytes.len(), SECTION_BYTES_MAX))
}

/// Writes a list.
pub(super) fn put(cursor: &mut Cursor<'_>, sections: &[SectionDraft<'_>]) {
    cursor.count(sections.len());
    cursor.put(&[0; 2]);
    for (kind, bytes) in sections {
        cursor.put(&kind.0.to_le_bytes());
        cursor.put(&[0; 2]);
        cursor.size(bytes.len());
        cursor.put(bytes);
    }
}
