//! Keyword Protocol 2000 (ISO 14230-2 and -3): frames of the K-line and their services.
//!
//! Messages over CAN have no such frame: take their bytes as [`crate::isotp`] delivers them and look at
//! [`Service::from_code`]. Positive responses have bit 6 set, refusals begin with 0x7F, as in UDS.

use core::fmt;

use crate::bytes::{NoSpace, Writer, u8_at};
use crate::codes::code_enum;

/// Most bytes of a message: what the length byte can say.
pub const MESSAGE_BYTES_MAX: usize = 255;

code_enum! {
    /// Service of a request.
    Service: u8 {
        /// Starts a session.
        StartDiagnosticSession = 0x10,
        /// Resets the ECU.
        EcuReset = 0x11,
        /// Reads what was stored with a trouble code.
        ReadFreezeFrameData = 0x12,
        /// Clears trouble codes.
        ClearDiagnosticInformation = 0x14,
        /// Reads the state of trouble codes.
        ReadStatusOfTroubleCodes = 0x17,
        /// Reads trouble codes by their state.
        ReadTroubleCodesByStatus = 0x18,
        /// Reads what the ECU is.
        ReadEcuIdentification = 0x1A,
        /// Stops a session.
        StopDiagnosticSession = 0x20,
        /// Reads values by an identifier of one byte.
        ReadDataByLocalIdentifier = 0x21,
        /// Reads values by an identifier of two bytes.
        ReadDataByCommonIdentifier = 0x22,
        /// Reads memory.
        ReadMemoryByAddress = 0x23,
        /// Sets how often values come.
        SetDataRates = 0x26,
        /// Unlocks a security level.
        SecurityAccess = 0x27,
        /// Switches normal sending off.
        DisableNormalMessageTransmission = 0x28,
        /// Switches normal sending on.
        EnableNormalMessageTransmission = 0x29,
        /// Defines identifiers at run time.
        DynamicallyDefineLocalIdentifier = 0x2C,
        /// Writes a value by an identifier of two bytes.
        WriteDataByCommonIdentifier = 0x2E,
        /// Takes control of an output, identifier of two bytes.
        InputOutputControlByCommonIdentifier = 0x2F,
        /// Takes control of an output, identifier of one byte.
        InputOutputControlByLocalIdentifier = 0x30,
        /// Starts a routine.
        StartRoutineByLocalIdentifier = 0x31,
        /// Stops a routine.
        StopRoutineByLocalIdentifier = 0x32,
        /// Asks for a routine's results.
        RequestRoutineResultsByLocalIdentifier = 0x33,
        /// Prepares a download to the ECU.
        RequestDownload = 0x34,
        /// Prepares an upload from the ECU.
        RequestUpload = 0x35,
        /// Transfers a block.
        TransferData = 0x36,
        /// Ends a transfer.
        RequestTransferExit = 0x37,
        /// Starts a routine by its address.
        StartRoutineByAddress = 0x38,
        /// Stops a routine by its address.
        StopRoutineByAddress = 0x39,
        /// Asks for results by the routine's address.
        RequestRoutineResultsByAddress = 0x3A,
        /// Writes a value by an identifier of one byte.
        WriteDataByLocalIdentifier = 0x3B,
        /// Writes memory.
        WriteMemoryByAddress = 0x3D,
        /// Keeps the session alive.
        TesterPresent = 0x3E,
        /// Opens communication on the K-line.
        StartCommunication = 0x81,
        /// Ends communication on the K-line.
        StopCommunication = 0x82,
        /// Changes timing parameters.
        AccessTimingParameter = 0x83,
    }
}

/// Who a frame is for, by its format byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// No address bytes: there are only two on the line.
    None,
    /// One ECU.
    Physical {
        /// Its address.
        to: u8,
        /// The sender's address.
        from: u8,
    },
    /// Every ECU of a function.
    Functional {
        /// The function's address.
        to: u8,
        /// The sender's address.
        from: u8,
    },
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KwpError {
    /// The bytes end before the frame does.
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// The format byte says exception mode, which ISO 14230 does not use.
    Format(u8),
    /// A message of no bytes, or of more than the length byte can say.
    Length,
    /// The sum over the frame does not fit.
    Checksum {
        /// Computed.
        expected: u8,
        /// Sent.
        got: u8,
    },
}

impl fmt::Display for KwpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, got } => write!(f, "frame needs {needed} bytes, got {got}"),
            Self::Format(byte) => write!(f, "unknown format byte {byte:#04x}"),
            Self::Length => f.write_str("message of 0 or more than 255 bytes"),
            Self::Checksum { expected, got } => write!(f, "checksum {got:#04x}, expected {expected:#04x}"),
        }
    }
}

impl core::error::Error for KwpError {}

/// One frame of the K-line; the message is borrowed, 1 to 255 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame<'a> {
    target: Target,
    message: &'a [u8],
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

impl<'a> Frame<'a> {
    /// Creates a frame.
    ///
    /// # Errors
    /// [`KwpError::Length`] for a message of 0 or more than 255 bytes.
    pub const fn new(target: Target, message: &'a [u8]) -> Result<Self, KwpError> {
        if message.is_empty() || message.len() > MESSAGE_BYTES_MAX {
            return Err(KwpError::Length);
        }
        Ok(Self { target, message })
    }

    /// Reads a frame from the beginning of bytes and returns it with its length.
    ///
    /// # Errors
    /// [`KwpError`] for each way there is none.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), KwpError> {
        let short = |needed| KwpError::Truncated { needed, got: bytes.len() };
        let format = u8_at(bytes, 0).ok_or(short(1))?;
        let mut header = 1usize;
        let target = match format >> 6 {
            0 => Target::None,
            kind @ (2 | 3) => {
                header = 3;
                let to = u8_at(bytes, 1).ok_or(short(3))?;
                let from = u8_at(bytes, 2).ok_or(short(3))?;
                if kind == 2 { Target::Physical { to, from } } else { Target::Functional { to, from } }
            }
            _ => return Err(KwpError::Format(format)),
        };
        let mut length = usize::from(format & 0x3F);
        if length == 0 {
            length = u8_at(bytes, header).ok_or(short(header.saturating_add(1)))?.into();
            header = header.saturating_add(1);
        }
        let end = header.saturating_add(length);
        let got = u8_at(bytes, end).ok_or(short(end.saturating_add(1)))?;
        let frame = Self::new(target, bytes.get(header..end).unwrap_or(&[]))?;
        let expected = sum(bytes.get(..end).unwrap_or(&[]));
        if expected == got {
            Ok((frame, end.saturating_add(1)))
        } else {
            Err(KwpError::Checksum { expected, got })
        }
    }

    /// Writes the frame with its checksum and returns its length in bytes.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is too small.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoSpace> {
        let length = u8::try_from(self.message.len()).unwrap_or(0);
        let short = if length <= 0x3F { length } else { 0 };
        let mut writer = Writer::new(out);
        let mut total = 0u8;
        let mut put = |bytes: &[u8]| {
            writer.put(bytes);
            total = total.wrapping_add(sum(bytes));
        };
        match self.target {
            Target::None => put(&[short]),
            Target::Physical { to, from } => put(&[0x80 | short, to, from]),
            Target::Functional { to, from } => put(&[0xC0 | short, to, from]),
        }
        if short == 0 {
            put(&[length]);
        }
        put(self.message);
        writer.put(&[total]);
        writer.finish()
    }

    /// Returns who the frame is for.
    #[must_use]
    pub const fn target(&self) -> Target {
        self.target
    }

    /// Returns the message.
    #[must_use]
    pub const fn message(&self) -> &'a [u8] {
        self.message
    }

    /// Returns the service of a request, or `None` for an answer or a refusal.
    #[must_use]
    pub fn service(&self) -> Option<Service> {
        let first = u8_at(self.message, 0).filter(|first| first & 0x40 == 0)?;
        Some(Service::from_code(first))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_frames_of_a_conversation_are_read() {
        let (start, length) =
            Frame::parse(&[0x81, 0x10, 0xF1, 0x81, 0x03, 0xFF]).expect("start communication");
        assert_eq!((start.target(), length), (Target::Physical { to: 0x10, from: 0xF1 }, 5));
        assert_eq!(start.service(), Some(Service::StartCommunication));
        let (answer, _) = Frame::parse(&[0x83, 0xF1, 0x10, 0xC1, 0xEF, 0x8F, 0xC3]).expect("its answer");
        assert_eq!(answer.service(), None);
        assert_eq!(answer.message(), [0xC1, 0xEF, 0x8F]);
    }

    #[test]
    fn each_way_to_be_no_frame_is_named() {
        assert_eq!(Frame::parse(&[]), Err(KwpError::Truncated { needed: 1, got: 0 }));
        assert_eq!(Frame::parse(&[0x41, 0, 0]), Err(KwpError::Format(0x41)));
        assert_eq!(Frame::parse(&[0x82, 1, 2, 3]), Err(KwpError::Truncated { needed: 6, got: 4 }));
        assert_eq!(Frame::parse(&[0x01, 0x3E, 0x40]), Err(KwpError::Checksum { expected: 0x3F, got: 0x40 }));
        assert_eq!(Frame::parse(&[0x00, 0x00, 0x00]), Err(KwpError::Length));
    }

    proptest! {
        #[test]
        fn every_frame_survives_the_wire(kind in 0u8..3, to: u8, from: u8, message in proptest::collection::vec(any::<u8>(), 1..=255)) {
            let target = [Target::None, Target::Physical { to, from }, Target::Functional { to, from }][usize::from(kind)];
            let frame = Frame::new(target, &message).expect("legal");
            let mut out = [0; 260];
            let length = frame.emit(&mut out).expect("the longest frame fits");
            prop_assert_eq!(Frame::parse(&out), Ok((frame, length)));
        }

        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok((frame, length)) = Frame::parse(&bytes) {
                prop_assert!(length <= bytes.len() && frame.message().len() < length);
            }
        }
    }
}
