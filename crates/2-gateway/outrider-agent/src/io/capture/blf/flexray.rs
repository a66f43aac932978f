//! FlexRay objects of Vector binary logs.
//!
//! Read: `FR_RCVMESSAGE` (50) and `FR_RCVMESSAGE_EX` (66), whose parts stand at the same places up to the flags, and
//! `FR_ERROR` (47). PDUs are parts of frames that are logged too. The objects of older hardware (`FLEXRAY_DATA` 29,
//! `FLEXRAY_MESSAGE` 41) leave the meaning of their flags and lengths open and are passed over. Layout: the library
//! `vector_blf`, which documents every field.

use outrider_bus::flexray::{Channel, Heard, RecordErrors};

use super::super::ProblemReason;
use super::super::asc::{Stated, flag};
use super::{long, payload, short};

/// Direction of a request to transmit, and above it what is internal to the tool.
const REQUESTED: u8 = 2;

/// Returns whether objects of a type are about what was heard on a FlexRay bus.
pub(super) const fn is_kind(kind: u32) -> bool {
    matches!(kind, 47 | 50 | 66)
}

/// Reads the body of an object: its channel and what was heard, if anything was.
pub(super) fn heard(kind: u32, body: &[u8]) -> Result<Option<(u16, Heard)>, ProblemReason> {
    let channel = short(body, 0).ok_or(ProblemReason::Channel)?;
    let mask = short(body, 4).ok_or(ProblemReason::Channel)?;
    if kind == 47 {
        let on = if mask == 2 { Channel::B } else { Channel::A };
        let heard = Heard::Broken { channel: on, errors: RecordErrors::CODING, slot: None };
        return Ok(Some((channel, heard)));
    }
    let word = |at| short(body, at).ok_or(ProblemReason::DataMissing);
    let flags = long(body, 36).ok_or(ProblemReason::DataMissing)?;
    if flags & flag::PDU != 0 || super::byte(body, 6)? >= REQUESTED {
        return Ok(None);
    }
    let stated =
        Stated { mask, slot: word(16)?, cycle: super::byte(body, 26)?, flags, bytes: word(22)?.into() };
    let data = payload(body, if kind == 66 { 84 } else { 44 }, word(24)?.into())?;
    stated.heard(data).map(|heard| Some((channel, heard)))
}
