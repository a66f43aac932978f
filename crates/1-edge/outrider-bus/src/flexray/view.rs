//! Records of pcap link type 210.
//!
//! Layout: channel and type (1; bit 7 set for channel B, low bits 1 for a frame, 2 for a symbol), error flags (1),
//! header (5), payload, frame checksum (3) as far as it was captured.

use super::heard::{Frame, Heard};
use super::repr::{Channel, FlexRayError, HEADER_BYTES, Header, TRAILER_BYTES, frame_crc};
use crate::bytes::{u8_at, uint_be};
use crate::codes::flag_byte;

/// Bytes before the header.
const MEASUREMENT_BYTES: usize = 2;

flag_byte! {
    /// What the capturing node complained about.
    RecordErrors {
        /// Frame end, coding or start sequence were wrong, as when two nodes send at once.
        coding = 0x07,
        /// A header checksum was wrong.
        header_crc = 0x08,
        /// A frame checksum was wrong.
        frame_crc = 0x10,
    }
}

impl RecordErrors {
    /// A frame checksum that is wrong.
    pub const FRAME_CRC: Self = Self(0x10);
    /// A header checksum that is wrong.
    pub const HEADER_CRC: Self = Self(0x08);
    /// A byte's start sequence that is wrong.
    pub const CODING: Self = Self(0x02);
}

/// Borrowed record of a frame.
#[derive(Debug, Clone, Copy)]
pub struct FlexRayView<'a> {
    bytes: &'a [u8],
}

impl<'a> FlexRayView<'a> {
    /// Views a record that is a frame, or returns `None` for a symbol or a cut header.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let whole = bytes.len() >= MEASUREMENT_BYTES.saturating_add(HEADER_BYTES);
        (whole && u8_at(bytes, 0)? & 0x7F == 1).then_some(Self { bytes })
    }

    /// Returns the channel.
    #[must_use]
    pub fn channel(&self) -> Channel {
        if u8_at(self.bytes, 0).unwrap_or(0) & 0x80 == 0 { Channel::A } else { Channel::B }
    }

    /// Returns the complaints of the capturing node.
    #[must_use]
    pub fn errors(&self) -> RecordErrors {
        RecordErrors::new(u8_at(self.bytes, 1).unwrap_or(0))
    }

    /// Returns what a listener heard, or `None` for a record that is neither frame nor symbol, or is cut before the end
    /// of a header that nothing is said to be wrong with.
    #[must_use]
    pub fn hear(bytes: &'a [u8]) -> Option<Heard> {
        let channel = if u8_at(bytes, 0)? & 0x80 == 0 { Channel::A } else { Channel::B };
        if u8_at(bytes, 0)? & 0x7F == 2 {
            return Some(Heard::Symbol { channel });
        }
        let view = Self::new(bytes)?;
        let slot = |header: &Result<Header, FlexRayError>| header.as_ref().ok().map(|header| header.slot);
        let header = view.header();
        if view.errors().bits() & 0x1F != 0 {
            let errors = view.errors();
            return Some(Heard::Broken { channel, errors, slot: slot(&header) });
        }
        match header {
            Ok(header) if view.is_whole(&header) == Some(false) => {
                Some(Heard::Broken { channel, errors: RecordErrors::FRAME_CRC, slot: Some(header.slot) })
            }
            Ok(header) => {
                let all = view.frame().get(HEADER_BYTES..).unwrap_or(&[]);
                let payload = all.get(..header.payload_bytes()).unwrap_or(all);
                Frame::new(channel, header, payload).ok().map(Heard::Frame)
            }
            Err(FlexRayError::HeaderCrc { .. } | FlexRayError::Slot { .. }) => {
                Some(Heard::Broken { channel, errors: RecordErrors::HEADER_CRC, slot: None })
            }
            Err(FlexRayError::Truncated { .. } | FlexRayError::Range) => None,
        }
    }

    fn frame(&self) -> &'a [u8] {
        self.bytes.get(MEASUREMENT_BYTES..).unwrap_or(&[])
    }

    /// Reads the header.
    ///
    /// # Errors
    /// [`FlexRayError`] for each way it is none.
    pub fn header(&self) -> Result<Header, FlexRayError> {
        Header::parse(self.frame())
    }

    /// Returns the payload a header announces, or `None` if it is cut.
    #[must_use]
    pub fn payload(&self, header: &Header) -> Option<&'a [u8]> {
        self.frame().get(HEADER_BYTES..HEADER_BYTES.saturating_add(header.payload_bytes()))
    }

    /// Returns whether the frame checksum fits, or `None` if it was not captured.
    #[must_use]
    pub fn is_whole(&self, header: &Header) -> Option<bool> {
        let end = HEADER_BYTES.saturating_add(header.payload_bytes());
        let said = uint_be(self.frame(), end, TRAILER_BYTES)?;
        Some(u64::from(frame_crc(self.channel(), self.frame().get(..end)?)) == said)
    }
}
