//! What the edge itself writes into the event log: something it saw of a session, which no batch says.
//!
//! A record of the log is either a frame that the listener checked or one of these; a frame begins with another magic, so a
//! vehicle cannot write one. Little endian: magic `ORCN`, version u16, kind u16, tenant u32, vehicle, then two texts,
//! each with its length in one byte.

use outrider_types::{TenantId, VehicleId};

/// First bytes of a note.
pub const NOTE_MAGIC: [u8; 4] = *b"ORCN";
const VERSION: u16 = 1;
const CERTIFICATE_USED_TWICE: u16 = 1;
const HEADER_BYTES: usize = 28;

/// Something that the edge saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Two sessions with one vehicle's certificate were open at the same time, from different places.
    CertificateUsedTwice {
        /// Where the session came from that was there first: a name for a place, never a full address (at most 255
        /// bytes; what is longer is cut).
        before: String,
        /// Where the second came from.
        now: String,
    },
}

/// A note and whom it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteRecord {
    /// Owner of the vehicle.
    pub tenant: TenantId,
    /// Vehicle.
    pub vehicle: VehicleId,
    /// What was seen.
    pub note: Note,
}

impl NoteRecord {
    /// Returns its bytes for the log.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let Note::CertificateUsedTwice { before, now } = &self.note;
        let mut out = NOTE_MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend(CERTIFICATE_USED_TWICE.to_le_bytes());
        out.extend(self.tenant.0.to_le_bytes());
        out.extend(self.vehicle.0);
        for text in [before, now] {
            let length = text.floor_char_boundary(text.len().min(usize::from(u8::MAX)));
            out.push(u8::try_from(length).unwrap_or(u8::MAX));
            out.extend(text.as_bytes().iter().take(length));
        }
        out
    }

    /// Returns whether bytes are meant as a note.
    #[must_use]
    pub fn is_note(bytes: &[u8]) -> bool {
        bytes.starts_with(&NOTE_MAGIC)
    }

    /// Reads a note; `None` if it is damaged or of a later version.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, mut rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let word = |at: usize| Some(u16::from_le_bytes(header.get(at..at + 2)?.try_into().ok()?));
        if !Self::is_note(header) || word(4)? != VERSION || word(6)? != CERTIFICATE_USED_TWICE {
            return None;
        }
        let tenant = TenantId(u32::from_le_bytes(header.get(8..12)?.try_into().ok()?));
        let vehicle = VehicleId(header.get(12..)?.try_into().ok()?);
        let mut text = || {
            let (length, after) = rest.split_first()?;
            let (text, after) = after.split_at_checked(usize::from(*length))?;
            rest = after;
            Some(std::str::from_utf8(text).ok()?.to_owned())
        };
        let (before, now) = (text()?, text()?);
        rest.is_empty().then_some(Self { tenant, vehicle, note: Note::CertificateUsedTwice { before, now } })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_note_comes_back_and_a_cut_one_does_not(before in "\\PC{0,80}", now in "\\PC{0,80}", cut in 0usize..300) {
            let note = Note::CertificateUsedTwice { before, now };
            let record = NoteRecord { tenant: TenantId(3), vehicle: VehicleId([9; 16]), note };
            let bytes = record.emit();
            prop_assert!(NoteRecord::is_note(&bytes));
            if let Some(part) = bytes.get(..cut).filter(|part| part.len() < bytes.len()) {
                prop_assert_eq!(NoteRecord::parse(part), None);
            }
            let Note::CertificateUsedTwice { before, now } = &record.note;
            if before.len() <= 255 && now.len() <= 255 {
                prop_assert_eq!(NoteRecord::parse(&bytes), Some(record));
            }
        }

        #[test]
        fn any_bytes_are_a_note_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = NoteRecord::parse(&[NOTE_MAGIC.as_slice(), &bytes].concat());
        }
    }
}
