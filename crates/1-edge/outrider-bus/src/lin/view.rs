//! Records of pcap link type 212.
//!
//! Layout: format revision (1), reserved (3), payload length in the high four bits, message type in bits 2 and 3 and
//! checksum kind in bits 0 and 1 (1 byte together), protected identifier (1), checksum (1), error flags (1), payload.

use super::heard::{Fault, Heard};
use super::repr::{ChecksumKind, Frame, LinError, Pid};
use crate::bytes::{ByteOrder, u8_at, u32_at};
use crate::codes::flag_byte;

/// Bytes before the payload.
const HEADER_BYTES: usize = 8;
/// Complaints about this frame; the others are about what was lost before it, and reserved identifiers.
const FRAME_ERRORS: u8 = 0x0F;

flag_byte! {
    /// What the capturing node complained about.
    RecordErrors {
        /// Nobody answered the header.
        no_response = 0x01,
        /// The bits of a byte were no byte, as when two nodes answer at once.
        framing = 0x02,
        /// The parity of the identifier was wrong.
        parity = 0x04,
        /// The checksum was wrong.
        checksum = 0x08,
    }
}

/// Signal of the bus as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BusEvent {
    /// It fell asleep by a go-to-sleep command.
    SleepCommanded,
    /// It fell asleep because nobody spoke for four seconds.
    SleepIdle,
    /// A node woke it.
    WakeUp,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinRecord {
    /// A frame with a response whose checks hold.
    Frame(Frame),
    /// A header, and what became of the response.
    Header {
        /// Whose turn it was.
        pid: Pid,
        /// Complaints of the capturing node.
        errors: RecordErrors,
    },
    /// A signal of the bus, or `None` for one that is not known: no frame.
    Event(Option<BusEvent>),
    /// Bytes that are no frame although the capturing node did not say so.
    Broken(LinError),
}

/// Borrowed record.
#[derive(Debug, Clone, Copy)]
pub struct LinView<'a> {
    bytes: &'a [u8],
}

impl<'a> LinView<'a> {
    /// Views a record of revision 1 whose header is complete, or returns `None`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= HEADER_BYTES && u8_at(bytes, 0) == Some(1)).then_some(Self { bytes })
    }

    fn control(&self) -> u8 {
        u8_at(self.bytes, 4).unwrap_or(0)
    }

    /// Returns the byte of the protected identifier.
    #[must_use]
    pub fn pid_byte(&self) -> u8 {
        u8_at(self.bytes, 5).unwrap_or(0)
    }

    /// Returns the complaints of the capturing node.
    #[must_use]
    pub fn errors(&self) -> RecordErrors {
        RecordErrors::new(u8_at(self.bytes, 7).unwrap_or(0))
    }

    /// Returns the payload as far as it is there; never more than the record says.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        let said = usize::from(self.control() >> 4);
        let rest = self.bytes.get(HEADER_BYTES..).unwrap_or(&[]);
        rest.get(..said).unwrap_or(rest)
    }

    fn event(&self) -> Option<BusEvent> {
        match (self.control() >> 2 & 3, u32_at(self.payload(), 0, ByteOrder::Big)?) {
            (3, 0xB0B0_0001) => Some(BusEvent::SleepCommanded),
            (3, 0xB0B0_0002) => Some(BusEvent::SleepIdle),
            (3, 0xB0B0_0004) => Some(BusEvent::WakeUp),
            _ => None,
        }
    }

    /// Returns what a listener heard, or `None` for a signal that is not known and a payload no frame has.
    #[must_use]
    pub fn heard(&self) -> Option<Heard> {
        Some(match self.record() {
            LinRecord::Frame(frame) => Heard::Frame { frame, has_checksum: true },
            LinRecord::Header { errors, .. } if errors.parity() => Heard::Header,
            LinRecord::Header { pid, errors } => {
                let fault = match () {
                    () if errors.no_response() => Fault::Silence,
                    () if errors.framing() => Fault::Framing,
                    () if errors.checksum() => Fault::Checksum,
                    () => Fault::Silence,
                };
                Heard::Fault { pid, fault }
            }
            LinRecord::Event(event) => match event? {
                BusEvent::SleepCommanded | BusEvent::SleepIdle => Heard::Asleep,
                BusEvent::WakeUp => Heard::WakeUp,
            },
            LinRecord::Broken(LinError::Parity { .. }) => Heard::Header,
            LinRecord::Broken(LinError::Checksum { .. }) => {
                Heard::Fault { pid: Pid::parse(self.pid_byte()).ok()?, fault: Fault::Checksum }
            }
            LinRecord::Broken(LinError::Length { .. }) => return None,
        })
    }

    /// Reads the record as a checked value.
    #[must_use]
    pub fn record(&self) -> LinRecord {
        if self.control() >> 2 & 3 != 0 {
            return LinRecord::Event(self.event());
        }
        let pid = match Pid::parse(self.pid_byte()) {
            Ok(pid) => pid,
            Err(error) => return LinRecord::Broken(error),
        };
        let errors = self.errors();
        if self.payload().is_empty() || errors.bits() & FRAME_ERRORS != 0 {
            return LinRecord::Header { pid, errors };
        }
        let got = u8_at(self.bytes, 6).unwrap_or(0);
        let kinds: &[ChecksumKind] = match self.control() & 3 {
            1 => &[ChecksumKind::Classic],
            2 => &[ChecksumKind::Enhanced],
            _ => &[ChecksumKind::Enhanced, ChecksumKind::Classic],
        };
        let mut broken = LinError::Checksum { expected: 0, got };
        for kind in kinds {
            match Frame::new(pid, *kind, self.payload()) {
                Ok(frame) if frame.checksum() == got => return LinRecord::Frame(frame),
                Ok(frame) => broken = LinError::Checksum { expected: frame.checksum(), got },
                Err(error) => broken = error,
            }
        }
        LinRecord::Broken(broken)
    }
}
