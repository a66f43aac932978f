//! FlexRay lines of Vector ASCII logs.
//!
//! `Fr RMSG cluster client channel mask slot cycle direction parameter flags controller state crc name bytes captured`,
//! then the payload and its frame checksum; mask 1 is channel A, 2 is B. Slot, cycle, flags and lengths are in the
//! log's base. Also read: `Fr EE`, an error of the controller. PDUs (`Fr PDU`) are parts of frames that are listed too;
//! start of cycle (`SC`) and status (`SE`) are passed over, and so are lines of the old form `Fr 1 V9 …`. Sources: the
//! library `vector_asc` and logs in public repositories; a mask of both channels is taken as A (unverified).

use outrider_bus::flexray::{Channel, Frame, Header, Heard, RecordErrors};

use super::super::ProblemReason;
use super::super::text::number;
use super::Words;

/// Most payload bytes.
const PAYLOAD_BYTES_MAX: usize = outrider_bus::flexray::PAYLOAD_BYTES_MAX;

/// Bits of the frame flags, the same in binary logs.
pub(in super::super) mod flag {
    pub(in super::super::super) const NULL: u32 = 0x01;
    pub(in super::super::super) const SYNC: u32 = 0x04;
    pub(in super::super::super) const STARTUP: u32 = 0x08;
    pub(in super::super::super) const PREAMBLE: u32 = 0x10;
    pub(in super::super::super) const ERROR: u32 = 0x40;
    pub(in super::super::super) const PDU: u32 = 0x1_0000;
}

/// Frame as logs of this vendor state it.
pub(in super::super) struct Stated {
    pub(in super::super) mask: u16,
    pub(in super::super) slot: u16,
    pub(in super::super) cycle: u8,
    pub(in super::super) flags: u32,
    pub(in super::super) bytes: usize,
}

impl Stated {
    /// Turns it into what was heard.
    pub(in super::super) fn heard(&self, payload: &[u8]) -> Result<Heard, ProblemReason> {
        let channel = if self.mask == 2 { Channel::B } else { Channel::A };
        if self.mask == 0 || self.mask > 3 {
            return Err(ProblemReason::Channel);
        }
        if self.flags & flag::ERROR != 0 {
            let slot = Some(self.slot).filter(|slot| (1..=0x7FF).contains(slot));
            return Ok(Heard::Broken { channel, errors: RecordErrors::CODING, slot });
        }
        let header = Header {
            payload_preamble: self.flags & flag::PREAMBLE != 0,
            is_data: self.flags & flag::NULL == 0,
            sync: self.flags & flag::SYNC != 0,
            startup: self.flags & flag::STARTUP != 0,
            slot: self.slot,
            words: u8::try_from(self.bytes.div_ceil(2)).map_err(|_| ProblemReason::Length)?,
            cycle: self.cycle,
        };
        Frame::new(channel, header, payload).map(Heard::Frame).map_err(|_| ProblemReason::Frame)
    }
}

/// Reads what stands behind `Fr`: the channel and what was heard; `None` is nothing heard on the bus.
pub(super) fn heard<'a>(words: &mut Words<'a>, base: u32) -> Result<Option<(&'a str, Heard)>, ProblemReason> {
    let kind = words.next().ok_or(ProblemReason::Fields)?;
    if !matches!(kind, "RMSG" | "EE") {
        return Ok(None);
    }
    let mut next = || words.next().ok_or(ProblemReason::Fields);
    let (_cluster, _client, channel, mask) = (next()?, next()?, next()?, next()?);
    let mask: u16 = number(mask, 10).ok_or(ProblemReason::Channel)?;
    if kind == "EE" {
        let on = if mask == 2 { Channel::B } else { Channel::A };
        let errors = RecordErrors::CODING;
        return Ok(Some((channel, Heard::Broken { channel: on, errors, slot: None })));
    }
    let (slot, cycle, direction) = (next()?, next()?, next()?);
    match direction {
        "Rx" | "Tx" => {}
        "TxRq" => return Ok(None),
        _ => return Err(ProblemReason::Fields),
    }
    let (_parameter, flags) = (next()?, next()?);
    let (_controller, _state, _crc, _name) = (next()?, next()?, next()?, next()?);
    let (bytes, captured) = (next()?, next()?);
    let stated = Stated {
        mask,
        slot: number(slot, base).ok_or(ProblemReason::Identifier)?,
        cycle: number(cycle, base).ok_or(ProblemReason::Identifier)?,
        flags: number(flags, base).ok_or(ProblemReason::Fields)?,
        bytes: number(bytes, base).ok_or(ProblemReason::Length)?,
    };
    let captured: usize = number(captured, base).ok_or(ProblemReason::Length)?;
    if captured > PAYLOAD_BYTES_MAX {
        return Err(ProblemReason::Length);
    }
    let mut payload = Vec::with_capacity(captured);
    for _ in 0..captured {
        let word = words.next().ok_or(ProblemReason::DataMissing)?;
        payload.push(number(word, base).ok_or(ProblemReason::Data)?);
    }
    Ok(Some((channel, stated.heard(&payload)?)))
}
