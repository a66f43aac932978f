//! LIN objects of Vector binary logs.
//!
//! The old objects (types 11 to 21) begin with channel, identifier and length; the new ones (57 to 62, 87, 88, 105)
//! with a bus event of 16 bytes, whose channel is at 12, and have the identifier at 37, the length at 38, payload at 112
//! and checksum at 120. Layout: the library `vector_blf`, which documents every field.

use outrider_bus::lin::{Fault, Frame, Heard, Pid};

use super::super::ProblemReason;
use super::super::asc::by_checksum;
use super::{byte, payload, short};

/// Direction of a request to transmit, which nobody heard.
const REQUESTED: u8 = 2;
/// Bit of a sleep event: the hardware is awake now.
const IS_AWAKE: u8 = 0x02;
/// … and it was before.
const WAS_AWAKE: u8 = 0x01;

/// Where the parts of an object are, in its body.
struct Layout {
    channel: usize,
    id: usize,
    length: usize,
    data: usize,
    checksum: usize,
    direction: usize,
}

const OLD: Layout = Layout { channel: 0, id: 2, length: 3, data: 4, checksum: 16, direction: 18 };
const NEW: Layout = Layout { channel: 12, id: 37, length: 38, data: 112, checksum: 120, direction: 122 };

/// Returns whether objects of a type are about what was heard on a LIN bus.
pub(super) const fn is_kind(kind: u32) -> bool {
    matches!(kind, 11 | 12 | 14 | 15 | 18 | 20 | 21 | 57..=62 | 87 | 88 | 105)
}

/// Reads the body of an object: its channel and what was heard, if anything was.
pub(super) fn heard(kind: u32, body: &[u8]) -> Result<Option<(u16, Heard)>, ProblemReason> {
    let layout = if kind >= 57 { &NEW } else { &OLD };
    let channel = short(body, layout.channel).ok_or(ProblemReason::Channel)?;
    let heard = match kind {
        11 | 57 => frame(body, layout)?,
        12 | 60 => fault(body, layout, Fault::Checksum)?,
        14 | 61 | 88 | 105 => fault(body, layout, Fault::Framing)?,
        15 | 58 => fault(body, layout, Fault::Silence)?,
        18 | 59 => Some(Heard::Header),
        20 => {
            let flags = byte(body, 3)?;
            (flags & (WAS_AWAKE | IS_AWAKE) == WAS_AWAKE).then_some(Heard::Asleep)
        }
        _ => Some(Heard::WakeUp),
    };
    Ok(heard.map(|heard| (channel, heard)))
}

/// A fault behind a header; one whose identifier is none had no header to trust.
fn fault(body: &[u8], layout: &Layout, fault: Fault) -> Result<Option<Heard>, ProblemReason> {
    let pid = Pid::new(byte(body, layout.id)?);
    Ok(Some(pid.map_or(Heard::Header, |pid| Heard::Fault { pid, fault })))
}

fn frame(body: &[u8], layout: &Layout) -> Result<Option<Heard>, ProblemReason> {
    let pid = Pid::new(byte(body, layout.id)?).ok_or(ProblemReason::Identifier)?;
    let length = usize::from(byte(body, layout.length)?);
    if length > outrider_bus::lin::DATA_BYTES_MAX {
        return Err(ProblemReason::Length);
    }
    let data = payload(body, layout.data, length)?;
    if byte(body, layout.direction)? == REQUESTED {
        return Ok(None);
    }
    let stated = short(body, layout.checksum).and_then(|word| u8::try_from(word).ok());
    by_checksum(pid, None, stated, |kind| Frame::new(pid, kind, data).map_err(|_| ProblemReason::Length))
        .map(Some)
}
