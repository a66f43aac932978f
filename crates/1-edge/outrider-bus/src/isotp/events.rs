//! What the reassembler saw.

use core::fmt;

use outrider_types::{BusId, VehicleMicros};

use super::view::{FlowStatus, PciError};
use crate::can::CanId;

/// One direction of a conversation: everything that identifies a sender's stream of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// The bus.
    pub bus: BusId,
    /// The identifier the frames have.
    pub id: CanId,
    /// The address byte of extended addressing.
    pub address: Option<u8>,
}

/// A complete message, borrowed until the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pdu<'a> {
    /// Whose stream it came from.
    pub link: Link,
    /// Time of its first frame.
    pub began: VehicleMicros,
    /// Time of its last frame.
    pub ended: VehicleMicros,
    /// The message, at least one byte.
    pub payload: &'a [u8],
}

/// What one frame did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsoTpEvent<'a> {
    /// It completed a message.
    Pdu(Pdu<'a>),
    /// It began a message of several frames.
    Began {
        /// Bytes of the whole message.
        total: u32,
    },
    /// It carried a message on.
    Continued,
    /// A receiver spoke.
    FlowControl {
        /// Go on, wait or stop.
        status: FlowStatus,
        /// Consecutive frames until the next flow control; 0 means all.
        block_size: u8,
        /// Shortest gap between consecutive frames, encoded as on the wire.
        gap_min_code: u8,
    },
    /// It was of no use; the reason is counted.
    Rejected(Reject),
    /// It carries no data frame (remote or error frame) and cannot be ISO-TP; not counted.
    NotData,
}

/// Why a frame or an unfinished message was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// The control bytes make no sense.
    Pci(PciError),
    /// A further piece of a message that nobody began.
    Unexpected,
    /// A piece out of sequence; the message is dropped.
    Sequence {
        /// Number expected.
        expected: u8,
        /// Number seen.
        got: u8,
    },
    /// A piece that came too late; the message is dropped.
    Timeout,
    /// A message longer than the table's places.
    TooLong {
        /// Bytes of the whole message.
        total: u32,
    },
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Pci(error) => error.fmt(f),
            Self::Unexpected => f.write_str("consecutive frame without a first frame"),
            Self::Sequence { expected, got } => write!(f, "expected sequence number {expected}, got {got}"),
            Self::Timeout => f.write_str("consecutive frame too late"),
            Self::TooLong { total } => write!(f, "message of {total} bytes is too long"),
        }
    }
}

impl core::error::Error for Reject {}

/// Counts since creation. Every data frame is in exactly one of `single`, `first`, `consecutive`,
/// `flow_control` and the `rejected_*` frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IsoTpStats {
    /// Single frames taken.
    pub single: u64,
    /// First frames taken.
    pub first: u64,
    /// Consecutive frames taken.
    pub consecutive: u64,
    /// Flow control frames seen.
    pub flow_control: u64,
    /// Messages completed, single frames among them.
    pub pdus: u64,
    /// Frames whose control bytes made no sense.
    pub rejected_pci: u64,
    /// Consecutive frames without a first frame.
    pub rejected_unexpected: u64,
    /// Consecutive frames out of sequence.
    pub rejected_sequence: u64,
    /// Consecutive frames that came too late.
    pub rejected_timeout: u64,
    /// First frames of messages too long.
    pub rejected_too_long: u64,
    /// Unfinished messages dropped because the sender began anew.
    pub dropped_interrupted: u64,
    /// Unfinished messages dropped because `tick` found them too old.
    pub dropped_timeout: u64,
    /// Unfinished messages dropped because the table was full.
    pub dropped_evicted: u64,
}

impl IsoTpStats {
    /// Returns the number of frames rejected for any reason.
    #[must_use]
    pub const fn rejected(&self) -> u64 {
        self.rejected_pci
            .saturating_add(self.rejected_unexpected)
            .saturating_add(self.rejected_sequence)
            .saturating_add(self.rejected_timeout)
            .saturating_add(self.rejected_too_long)
    }

    pub(super) const fn count(&mut self, reject: Reject) {
        let slot = match reject {
            Reject::Pci(_) => &mut self.rejected_pci,
            Reject::Unexpected => &mut self.rejected_unexpected,
            Reject::Sequence { .. } => &mut self.rejected_sequence,
            Reject::Timeout => &mut self.rejected_timeout,
            Reject::TooLong { .. } => &mut self.rejected_too_long,
        };
        bump(slot);
    }
}

/// Adds one, held at the end of the range.
pub(super) const fn bump(slot: &mut u64) {
    *slot = slot.saturating_add(1);
}
