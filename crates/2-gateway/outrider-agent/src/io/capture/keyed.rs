//! Text whose fields are named in every line: `Timestamp: 1479121434.850202  ID: 0350  000  DLC: 8  05 28 …`, as
//! HCRL's attack-free recordings and python-can's printer have it.

use outrider_bus::can::{CanId, Dlc, FdFlags, Frame, TimedFrame};
use outrider_types::VehicleMicros;

use super::ProblemReason;
use super::source::{Context, LineError, LineFormat, Parsed, built};
use super::text::{Payload, number, scaled};

/// The format; it keeps no state.
pub(super) struct Keyed;

/// Times from here on are since 1970, in microseconds: the year 1980.
const ABSOLUTE_US: u64 = 315_532_800_000_000;

/// Returns whether a line looks like this format, for detection.
pub(super) fn is_line(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    lower.starts_with("timestamp:") && lower.contains("id:") && lower.contains("dlc:")
        || lower.starts_with("time:") && lower.contains("id:") && lower.contains("dlc:")
}

impl LineFormat for Keyed {
    fn parse(&mut self, line: &str, _number: u64, context: &mut Context) -> Result<Parsed, LineError> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(Parsed::Nothing);
        }
        Ok(parse(line, context)?)
    }
}

fn parse(line: &str, context: &mut Context) -> Result<Parsed, ProblemReason> {
    let mut tokens = line.split_whitespace().peekable();
    let (mut stamp, mut id, mut length, mut payload, mut channel) = (None, None, None, None, None);
    let (mut is_extended, mut is_remote, mut is_fd, mut is_error) = (false, false, false, false);
    let mut label = None;
    while let Some(token) = tokens.next() {
        let lower = token.to_ascii_lowercase();
        let Some(key) = lower.strip_suffix(':') else {
            // Letters between identifier and length are flags of python-can: S or X, E, R, F.
            match token {
                "X" => is_extended = true,
                "R" => is_remote = true,
                "F" => is_fd = true,
                "E" => is_error = true,
                _ if payload.is_some() => label = Some(token),
                _ => {}
            }
            continue;
        };
        match key {
            "timestamp" | "time" => {
                let text = tokens.next().ok_or(ProblemReason::Fields)?;
                stamp = Some(scaled(text, 6).ok_or(ProblemReason::Time)?);
            }
            "id" => {
                let text = tokens.next().ok_or(ProblemReason::Fields)?;
                let digits = text.strip_prefix("0x").unwrap_or(text);
                id = Some((number::<u32>(digits, 16).ok_or(ProblemReason::Identifier)?, digits.len()));
            }
            "dlc" | "dl" => {
                let count: usize =
                    tokens.next().and_then(|text| number(text, 10)).ok_or(ProblemReason::Length)?;
                length = Some(count);
                let has_data = tokens.peek().is_some_and(|token| number::<u8>(token, 16).is_some());
                payload = Some(if is_remote && !has_data {
                    Payload::new()
                } else {
                    Payload::take(&mut tokens, count, 16)?
                });
            }
            "channel" => channel = tokens.next(),
            "label" | "class" | "attack" | "flag" => label = tokens.next(),
            _ => {}
        }
    }
    if is_error {
        return Ok(Parsed::Note);
    }
    let (value, digits) = id.ok_or(ProblemReason::Identifier)?;
    let id = if is_extended || digits > 4 || value > 0x7FF {
        CanId::extended(value)
    } else {
        CanId::standard(value)
    };
    let id = id.ok_or(ProblemReason::Identifier)?;
    let length = length.ok_or(ProblemReason::Length)?;
    let payload = payload.unwrap_or_else(Payload::new);
    let frame = if is_remote {
        let dlc = u8::try_from(length).ok().and_then(Dlc::new).ok_or(ProblemReason::Length)?;
        Frame::remote(id, dlc)
    } else if is_fd || length > 8 {
        built(Frame::fd(id, FdFlags::default(), payload.bytes()))?
    } else {
        built(Frame::classic(id, payload.bytes()))?
    };
    let bus = match channel {
        Some(name) => context.channels.bus(name, 0)?,
        None => context.channels.only(),
    };
    let stamp = stamp.ok_or(ProblemReason::Time)?;
    let at = match i64::try_from(stamp) {
        Ok(unix) if stamp >= ABSOLUTE_US => context.since_first(unix),
        Ok(_) | Err(_) => VehicleMicros(stamp),
    };
    context.labels.set(label.into_iter());
    Ok(Parsed::Frame(TimedFrame { at, bus, frame }))
}
