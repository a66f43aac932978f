//! BUSMASTER logs: `12:59:23:6480 Rx 1 0x7B s 8 00 01 02 …` below headers between stars.
//!
//! The clock counts ten-thousandths of a second. Types: `s` and `x` standard and extended data frames, with `r`
//! remote frames. Numbers are hexadecimal or decimal as the header says.

use outrider_bus::can::{CanId, Dlc, FdFlags, Frame, TimedFrame};
use outrider_types::VehicleMicros;

use super::ProblemReason;
use super::source::{Context, LineError, LineFormat, Parsed, built};
use super::text::{Payload, clock, number};

/// A day, in microseconds: the clock starts again.
const DAY_US: u64 = 86_400_000_000;

/// Reader state: what the header said, and the clock.
pub(super) struct BusMaster {
    base: u32,
    first: Option<u64>,
    last: u64,
    /// Midnights passed, in microseconds.
    days_us: u64,
}

impl Default for BusMaster {
    fn default() -> Self {
        Self { base: 16, first: None, last: 0, days_us: 0 }
    }
}

impl LineFormat for BusMaster {
    fn parse(&mut self, line: &str, _number: u64, context: &mut Context) -> Result<Parsed, LineError> {
        let line = line.trim();
        if let Some(header) = line.strip_prefix("***") {
            match header.trim_end_matches('*').trim() {
                "DEC" => self.base = 10,
                "HEX" => self.base = 16,
                _ => {}
            }
            return Ok(Parsed::Nothing);
        }
        if line.is_empty() {
            return Ok(Parsed::Nothing);
        }
        Ok(self.row(line, context)?)
    }
}

impl BusMaster {
    fn row(&mut self, line: &str, context: &mut Context) -> Result<Parsed, ProblemReason> {
        let mut tokens = line.split_whitespace();
        let stamp = tokens.next().and_then(ten_thousandths).ok_or(ProblemReason::Time)?;
        match tokens.next() {
            Some("Rx" | "Tx") => {}
            Some(_) => return Ok(Parsed::Note),
            None => return Err(ProblemReason::Fields),
        }
        let channel = tokens.next().ok_or(ProblemReason::Fields)?;
        let id = tokens.next().ok_or(ProblemReason::Fields)?;
        let kind = tokens.next().ok_or(ProblemReason::Fields)?;
        let is_extended = match kind.get(..1) {
            Some("s") => false,
            Some("x") => true,
            Some(_) | None => return Err(ProblemReason::Type),
        };
        let digits = id.strip_prefix("0x").or_else(|| id.strip_prefix("0X"));
        let value: u32 = match digits {
            Some(digits) => number(digits, 16),
            None => number(id, self.base),
        }
        .ok_or(ProblemReason::Identifier)?;
        let id = if is_extended { CanId::extended(value) } else { CanId::standard(value) };
        let id = id.ok_or(ProblemReason::Identifier)?;
        let length: usize = tokens.next().and_then(|text| number(text, 10)).ok_or(ProblemReason::Length)?;
        let frame = if kind.ends_with('r') {
            let dlc = u8::try_from(length).ok().and_then(Dlc::new).ok_or(ProblemReason::Length)?;
            Frame::remote(id, dlc)
        } else {
            let payload = Payload::take(&mut tokens, length, self.base)?;
            match length {
                0..=8 => built(Frame::classic(id, payload.bytes()))?,
                _ => built(Frame::fd(id, FdFlags::default(), payload.bytes()))?,
            }
        };
        number::<u16>(channel, 10).ok_or(ProblemReason::Channel)?;
        let bus = context.channels.bus(channel, 1)?;
        Ok(Parsed::Frame(TimedFrame { at: self.since_first(stamp), bus, frame }))
    }

    /// Turns the clock into time since the first frame, over midnight.
    fn since_first(&mut self, stamp: u64) -> VehicleMicros {
        // Half a day back is the next day; less is a line out of order.
        if stamp.saturating_add(DAY_US / 2) < self.last {
            self.days_us = self.days_us.saturating_add(DAY_US);
        }
        self.last = stamp;
        let at = self.days_us.saturating_add(stamp);
        VehicleMicros(at.saturating_sub(*self.first.get_or_insert(at)))
    }
}

/// Reads `h:m:s:ten-thousandths` as microseconds.
fn ten_thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.rsplit_once(':')?;
    let fraction: u64 = number(fraction, 10).filter(|fraction| *fraction < 10_000)?;
    Some(clock(whole)? + fraction * 100)
}
