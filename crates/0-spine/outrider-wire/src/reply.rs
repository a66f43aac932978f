//! Reply: what the cloud answers to an uplink frame. Not signed itself; its parts are.
//!
//! ```text
//!  0  magic "ORTY"    6  command_count u16    8  ack_bytes u32, acknowledgement
//!  4  version u16                            ..  command_bytes u32, command; once a command
//! ```

use crate::command::COMMAND_BYTES_MAX;
use crate::fixed::{Cursor, FrameError, widen};
use crate::limits::{REPLY_BYTES_MAX, REPLY_COMMANDS_MAX};
use crate::pb::{Sink, SliceSink};

/// First bytes of a reply.
pub const REPLY_MAGIC: [u8; 4] = *b"ORTY";
/// Version that this crate writes and reads.
pub const REPLY_VERSION: u16 = 1;

/// A reply whose lengths and caps were checked. Its parts are not opened.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// Frame of [`crate::SealedAck`]; empty if there is nothing to acknowledge.
    pub ack: &'a [u8],
    commands: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Checks lengths, version and caps.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        if bytes.len() > REPLY_BYTES_MAX {
            return Err(FrameError::Cap { offset: 0, max: widen(REPLY_BYTES_MAX), got: widen(bytes.len()) });
        }
        let mut cursor = Cursor::new(bytes);
        cursor.magic(REPLY_MAGIC, REPLY_VERSION)?;
        let count = cursor.capped_u16(REPLY_COMMANDS_MAX)?;
        let length = cursor.capped_u32(REPLY_BYTES_MAX)?;
        let ack = cursor.take(length)?;
        let mut rest = cursor;
        for _ in 0..count {
            let length = cursor.capped_u32(COMMAND_BYTES_MAX)?;
            cursor.take(length)?;
        }
        if cursor.remaining() != 0 {
            return Err(FrameError::Length { offset: 0, expected: cursor.at, got: bytes.len() });
        }
        Ok(Self { ack, commands: rest.take(rest.remaining())? })
    }

    /// Returns the frames of [`crate::SealedCommand`], in order.
    pub fn commands(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut cursor = Cursor::new(self.commands);
        core::iter::from_fn(move || {
            let length = cursor.capped_u32(COMMAND_BYTES_MAX).ok()?;
            cursor.take(length).ok()
        })
    }

    /// Returns the length of the reply around these frames.
    #[must_use]
    pub fn frame_bytes(ack: &[u8], commands: &[&[u8]]) -> usize {
        commands.iter().fold(ack.len().saturating_add(12), |sum, command| {
            sum.saturating_add(4).saturating_add(command.len())
        })
    }

    /// Writes a reply into `out`; returns its length.
    ///
    /// # Errors
    /// [`FrameError`] if `out` is too small or a cap is exceeded.
    pub fn emit(ack: &[u8], commands: &[&[u8]], out: &mut [u8]) -> Result<usize, FrameError> {
        let cap = |max: usize, got: usize| FrameError::Cap { offset: 0, max: widen(max), got: widen(got) };
        let frame = Self::frame_bytes(ack, commands);
        if frame > REPLY_BYTES_MAX {
            return Err(cap(REPLY_BYTES_MAX, frame));
        }
        if commands.len() > REPLY_COMMANDS_MAX {
            return Err(cap(REPLY_COMMANDS_MAX, commands.len()));
        }
        let length = |part: &[u8], max: usize| match u32::try_from(part.len()) {
            Ok(length) if part.len() <= max => Ok(length.to_le_bytes()),
            Ok(_) | Err(_) => Err(cap(max, part.len())),
        };
        let count = u16::try_from(commands.len()).unwrap_or(u16::MAX);
        let mut sink = SliceSink::new(out);
        sink.put(&REPLY_MAGIC)?;
        sink.put(&REPLY_VERSION.to_le_bytes())?;
        sink.put(&count.to_le_bytes())?;
        sink.put(&length(ack, REPLY_BYTES_MAX)?)?;
        sink.put(ack)?;
        for command in commands {
            sink.put(&length(command, COMMAND_BYTES_MAX)?)?;
            sink.put(command)?;
        }
        Ok(sink.used())
    }
}

/// Kind of a frame that a vehicle sends, told by its first four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UplinkFrame {
    /// Events: [`crate::SealedEnvelope`].
    Batch,
    /// Answer to a command: [`crate::SealedReceipt`].
    Receipt,
    /// Change of the batch key: [`crate::SealedKeyChange`].
    KeyChange,
}

impl UplinkFrame {
    /// Returns the kind of a frame, or `None` if it is none of them.
    #[must_use]
    pub fn kind(bytes: &[u8]) -> Option<Self> {
        match *bytes.first_chunk::<4>()? {
            crate::BATCH_MAGIC => Some(Self::Batch),
            crate::RECEIPT_MAGIC => Some(Self::Receipt),
            crate::KEY_MAGIC => Some(Self::KeyChange),
            _ => None,
        }
    }
}
