//! AUTOSAR Diagnostic Log and Trace, protocol version 1 (AUTOSAR PRS Log and Trace, clause 5).
//!
//! Standard header: `HTYP, MCNT: u8, LEN: u16` big endian, then what `HTYP` announces: ECU, session, timestamp (4 bytes
//! each). Extended header: `MSIN, NOAR: u8, APID, CTID: 4 bytes`. Then arguments, each a type of 4 bytes and a value.
//! Before it there may be a storage header (16 bytes, `DLT\x01`) or a serial one (`DLS\x01`).

use std::fmt::Write as _;

use super::{LogRecord, Piece};

const STORAGE: &[u8; 4] = b"DLT\x01";
const STORAGE_BYTES: usize = 16;
const SERIAL: &[u8; 4] = b"DLS\x01";
const HAS_EXTENDED: u8 = 0x01;
const IS_BIG_ENDIAN: u8 = 0x02;
/// ECU, session and timestamp.
const OPTIONAL: [u8; 3] = [0x04, 0x08, 0x10];
/// Arguments of a message that are read; the header can announce 255.
const ARGUMENTS_MAX: u8 = 64;

mod kind {
    pub(super) const BOOL: u32 = 0x10;
    pub(super) const SIGNED: u32 = 0x20;
    pub(super) const UNSIGNED: u32 = 0x40;
    pub(super) const FLOAT: u32 = 0x80;
    pub(super) const STRING: u32 = 0x200;
    pub(super) const RAW: u32 = 0x400;
    pub(super) const VARIABLE: u32 = 0x800;
}

/// Reads one message.
pub(super) fn piece(rest: &[u8]) -> Piece {
    let prefix = if rest.starts_with(STORAGE) {
        STORAGE_BYTES
    } else if rest.starts_with(SERIAL) {
        SERIAL.len()
    } else {
        0
    };
    let Some(message) = rest.get(prefix..) else { return Piece::More };
    let &[htyp, _, high, low, ..] = message else { return Piece::More };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let optional: usize = OPTIONAL.iter().filter(|bit| htyp & *bit != 0).count() * 4;
    let extended = if htyp & HAS_EXTENDED != 0 { 10 } else { 0 };
    if htyp >> 5 != 1 || length < 4 + optional + extended {
        return Piece::Rejected(next_start(rest));
    }
    let Some(message) = message.get(..length) else { return Piece::More };
    Piece::Taken(prefix + length, record(htyp, &message[4 + optional..]))
}

/// Returns the distance to the next header that can be told, or to the end.
fn next_start(rest: &[u8]) -> usize {
    let found = rest.windows(4).skip(1).position(|four| four == STORAGE || four == SERIAL);
    found.map_or(rest.len(), |at| at + 1)
}

/// Returns the record of a verbose log message; others say nothing without their maker's description file.
fn record(htyp: u8, body: &[u8]) -> Option<LogRecord> {
    if htyp & HAS_EXTENDED == 0 {
        return None;
    }
    let (head, mut payload) = body.split_at_checked(10)?;
    let is_verbose = head[0] & 1 != 0;
    let is_log = (head[0] >> 1) & 7 == 0;
    if !is_verbose || !is_log {
        return None;
    }
    let tag = format!("{} {}", name(&head[2..6]), name(&head[6..10]));
    let is_big = htyp & IS_BIG_ENDIAN != 0;
    let mut text = String::new();
    for _ in 0..head[1].min(ARGUMENTS_MAX) {
        let Some(behind) = argument(payload, is_big, &mut text) else { break };
        payload = behind;
    }
    Some(LogRecord { tag, text })
}

fn name(bytes: &[u8]) -> String {
    let text: String = bytes.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    text.trim_end().to_owned()
}

fn number(bytes: &[u8], is_big: bool) -> u128 {
    let take = |sum: u128, byte: &u8| sum << 8 | u128::from(*byte);
    if is_big { bytes.iter().take(16).fold(0, take) } else { bytes.iter().take(16).rev().fold(0, take) }
}

/// Appends one argument as text and returns what follows it; `None` ends the message.
fn argument<'a>(payload: &'a [u8], is_big: bool, text: &mut String) -> Option<&'a [u8]> {
    let (head, mut rest) = payload.split_at_checked(4)?;
    let info = u32::try_from(number(head, is_big)).ok()?;
    let mut take = |count: usize| {
        let (taken, behind) = rest.split_at_checked(count)?;
        rest = behind;
        Some(taken)
    };
    let mut length = None;
    if info & (kind::STRING | kind::RAW) != 0 {
        length = Some(usize::try_from(number(take(2)?, is_big)).ok()?);
    }
    if info & kind::VARIABLE != 0 {
        let names = usize::try_from(number(take(2)?, is_big)).ok()?;
        let units = if info & (kind::STRING | kind::RAW | kind::BOOL) == 0 {
            usize::try_from(number(take(2)?, is_big)).ok()?
        } else {
            0
        };
        let label = take(names)?;
        take(units)?;
        let _ = write!(text, "{}{}=", if text.is_empty() { "" } else { " " }, name(label));
    } else if !text.is_empty() {
        text.push(' ');
    }
    let bytes = take(match length {
        Some(length) => length,
        // 1 to 5: 8 to 128 bits.
        None => 1 << (info & 0xF).checked_sub(1).filter(|size| *size <= 4)?,
    })?;
    let value = number(bytes, is_big);
    if info & kind::STRING != 0 {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        text.push_str(&String::from_utf8_lossy(&bytes[..end]));
    } else if info & kind::RAW != 0 {
        bytes.iter().for_each(|byte| {
            let _ = write!(text, "{byte:02x}");
        });
    } else if info & kind::BOOL != 0 {
        text.push_str(if value == 0 { "false" } else { "true" });
    } else if info & kind::SIGNED != 0 {
        let shift = 128 - 8 * u32::try_from(bytes.len().min(16)).unwrap_or(16);
        let _ = write!(text, "{}", (value << shift).cast_signed() >> shift);
    } else if info & kind::UNSIGNED != 0 {
        let _ = write!(text, "{value}");
    } else if info & kind::FLOAT != 0 && bytes.len() == 4 {
        let _ = write!(text, "{}", f32::from_bits(u32::try_from(value).unwrap_or(0)));
    } else if info & kind::FLOAT != 0 && bytes.len() == 8 {
        let _ = write!(text, "{}", f64::from_bits(u64::try_from(value).unwrap_or(0)));
    } else {
        return None;
    }
    Some(rest)
}
