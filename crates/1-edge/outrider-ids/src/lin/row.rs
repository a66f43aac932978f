//! One identifier of a bus: what is normal for it, and what it did lately.

use outrider_bus::lin::{ChecksumKind, Frame, checksum};
use outrider_types::VehicleMicros;

use super::model::FrameFacts;
use crate::evidence::Evidence;

/// What differs from what is normal for an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Odd {
    /// The length.
    Length {
        /// Data bytes it has otherwise.
        expected: u8,
    },
    /// What the checksum is computed over.
    Checksum,
}

/// State of one identifier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// What is normal, or `None` for an identifier that nobody sends.
    pub(super) facts: Option<FrameFacts>,
    /// Whole responses, held at the end of the range.
    pub(super) answered: u8,
    /// Headers in a row that nobody answered.
    pub(super) silent: u32,
    /// Headers of an identifier that nobody sends.
    pub(super) unknown: Evidence,
    /// All of them, whenever they came, since one broke somebody's slot.
    pub(super) strange: u32,
    /// Damaged responses.
    pub(super) damaged: Evidence,
    /// Responses of another length or checksum.
    pub(super) odd: Evidence,
    /// Second responses to one header.
    pub(super) double: Evidence,
    /// The latest whole response.
    pub(super) last: Option<VehicleMicros>,
}

impl Row {
    pub(super) const fn new(facts: Option<FrameFacts>) -> Self {
        Self {
            facts,
            answered: 0,
            silent: 0,
            unknown: Evidence::NONE,
            strange: 0,
            damaged: Evidence::NONE,
            odd: Evidence::NONE,
            double: Evidence::NONE,
            last: None,
        }
    }

    /// Learns from a whole response.
    pub(super) fn learn(&mut self, frame: &Frame, has_checksum: bool) {
        let bytes = u8::try_from(frame.data().len()).unwrap_or(0);
        let kind = has_checksum.then_some(frame.kind());
        let is_first = self.answered == 0;
        let facts = self.facts.get_or_insert_default();
        if is_first {
            (facts.bytes, facts.checksum) = (bytes, kind);
            return;
        }
        if facts.bytes != bytes {
            facts.bytes = 0;
        }
        // Where both kinds fit, the frame says nothing about which it is.
        if facts.checksum != kind && !facts.checksum.is_some_and(|kind| fits(kind, frame)) {
            facts.checksum = None;
        }
    }

    /// Holds a whole response against what is normal.
    pub(super) fn odd(&self, frame: &Frame, has_checksum: bool) -> Option<Odd> {
        let facts = self.facts?;
        let bytes = u8::try_from(frame.data().len()).unwrap_or(0);
        if facts.bytes != 0 && facts.bytes != bytes {
            return Some(Odd::Length { expected: facts.bytes });
        }
        let kind = facts.checksum.filter(|_| has_checksum)?;
        (!fits(kind, frame)).then_some(Odd::Checksum)
    }
}

fn fits(kind: ChecksumKind, frame: &Frame) -> bool {
    checksum(kind, frame.pid(), frame.data()) == frame.checksum()
}
