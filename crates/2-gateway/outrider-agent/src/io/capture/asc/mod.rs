//! Vector ASCII logs.
//!
//! Every event line begins with a time in seconds. Read: classic frames (`1 64 Rx d 4 …`), remote frames (`r`),
//! error frames and `CANFD` lines, in base hex or dec, with absolute or relative times; lines of LIN ([`lin`]) and
//! FlexRay ([`flexray`]). Known and passed over: statistics, status, J1939 summaries of frames that are listed anyway,
//! requests to transmit, other buses.

mod flexray;
mod lin;

use outrider_bus::can::{CanId, Dlc, ErrorClass, FdFlags, Frame, TimedFrame};
use outrider_bus::flexray::TimedFlexRay;
use outrider_bus::lin::TimedLin;
use outrider_types::{UnixMicros, VehicleMicros};

pub(super) use flexray::{Stated, flag};
pub(super) use lin::by_checksum;

use super::source::{Context, LineError, LineFormat, Parsed, built};
use super::text::{Payload, number, scaled, vector_date};
use super::{CaptureStart, ProblemReason, Record};

/// Bits of the flags word of a `CANFD` line.
const FLAG_REMOTE: u32 = 0x10;
const FLAG_FD: u32 = 0x1000;

/// Reader state: what the header said.
pub(super) struct Asc {
    base: u32,
    is_relative: bool,
    /// Time of the line before, for relative times.
    last_us: u64,
}

impl Default for Asc {
    fn default() -> Self {
        Self { base: 16, is_relative: false, last_us: 0 }
    }
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

impl LineFormat for Asc {
    fn parse(&mut self, line: &str, _number: u64, context: &mut Context) -> Result<Parsed, LineError> {
        let line = line.trim();
        let lower = line.get(..24).unwrap_or(line).to_ascii_lowercase();
        if let Some(date) = line.strip_prefix("date ") {
            let start = vector_date(date).map(|at| CaptureStart { at: UnixMicros(at), is_utc: false });
            context.start = start.or(context.start);
            return Ok(Parsed::Nothing);
        }
        if lower.starts_with("base ") {
            self.header(line);
            return Ok(Parsed::Nothing);
        }
        let is_header = ["//", "begin trigger", "end trigger", "internal events", "no internal events"]
            .iter()
            .any(|start| lower.starts_with(start));
        if line.is_empty() || is_header {
            return Ok(Parsed::Nothing);
        }
        Ok(self.event(line, context)?)
    }
}

impl Asc {
    fn header(&mut self, line: &str) {
        let words: Vec<String> = line.split_whitespace().take(8).map(str::to_ascii_lowercase).collect();
        if words.get(1).is_some_and(|word| word == "dec") {
            self.base = 10;
        }
        self.is_relative = words.iter().any(|word| word == "relative");
    }

    fn event(&mut self, line: &str, context: &mut Context) -> Result<Parsed, ProblemReason> {
        let mut words: Words<'_> = line.split_whitespace().peekable();
        let stated = words.next().and_then(|word| scaled(word, 6)).ok_or(ProblemReason::Time)?;
        let at = if self.is_relative { self.last_us.saturating_add(stated) } else { stated };
        self.last_us = at;
        let word = words.next().ok_or(ProblemReason::Fields)?;
        let at = VehicleMicros(at);
        let (channel, frame) = match word {
            "Fr" => {
                let Some((channel, heard)) = flexray::heard(&mut words, self.base)? else {
                    return Ok(Parsed::Note);
                };
                number::<u16>(channel, 10).ok_or(ProblemReason::Channel)?;
                let bus = context.flexray.bus(channel, 1)?;
                return Ok(Parsed::Record(Record::FlexRay(Box::new(TimedFlexRay { at, bus, heard }))));
            }
            "CANFD" => {
                let channel = words.next().ok_or(ProblemReason::Fields)?;
                (channel, self.fd(&mut words)?)
            }
            // "CAN 1 Status:…", "Start of measurement", "log trigger event" and what belongs to other buses.
            "CAN" | "Start" | "log" | "Trigger" | "SV:" | "LIN" | "ETH" | "FR" | "MOST" | "GPS"
            | "previous" => {
                return Ok(Parsed::Note);
            }
            _ if word.bytes().all(|byte| byte.is_ascii_digit()) => (word, self.classic(&mut words)?),
            _ => {
                let channel = lin::channel(word).ok_or(ProblemReason::Type)?;
                let Some(heard) = lin::heard(&mut words, self.base)? else { return Ok(Parsed::Note) };
                let bus = context.lin.bus(&channel.to_string(), 1)?;
                return Ok(Parsed::Record(Record::Lin(TimedLin { at, bus, heard })));
            }
        };
        let Some(frame) = frame else { return Ok(Parsed::Note) };
        number::<u16>(channel, 10).ok_or(ProblemReason::Channel)?;
        let bus = context.channels.bus(channel, 1)?;
        Ok(Parsed::Frame(TimedFrame { at, bus, frame }))
    }

    fn id(&self, word: &str) -> Result<CanId, ProblemReason> {
        let id = match word.strip_suffix(['x', 'X']) {
            Some(digits) => number(digits, self.base).and_then(CanId::extended),
            None => number(word, self.base).and_then(CanId::standard),
        };
        id.ok_or(ProblemReason::Identifier)
    }

    /// Reads what stands behind the channel of a classic line; `None` is no frame on the wire.
    fn classic(&self, words: &mut Words<'_>) -> Result<Option<Frame>, ProblemReason> {
        let first = words.next().ok_or(ProblemReason::Fields)?;
        if first == "ErrorFrame" {
            return built(Frame::error(ErrorClass::BUS_ERROR, &[])).map(Some);
        }
        if first.starts_with("Statistic") || first == "J1939TP" {
            return Ok(None);
        }
        let id = self.id(first)?;
        let direction = words.next().ok_or(ProblemReason::Fields)?;
        match direction {
            "Rx" | "Tx" => {}
            "TxRq" => return Ok(None),
            _ => return Err(ProblemReason::Fields),
        }
        match words.next().ok_or(ProblemReason::Fields)? {
            "r" => {
                // The length of a remote frame is optional; what follows is text.
                let code = words.next().and_then(|word| number(word, self.base)).unwrap_or(0);
                Ok(Some(Frame::remote(id, Dlc::new(code).ok_or(ProblemReason::Length)?)))
            }
            "d" => self.data(id, words).map(Some),
            _ => Err(ProblemReason::Type),
        }
    }

    fn data(&self, id: CanId, words: &mut Words<'_>) -> Result<Frame, ProblemReason> {
        let code: u8 = words.next().and_then(|word| number(word, self.base)).ok_or(ProblemReason::Length)?;
        // Some writers put CAN FD frames into classic lines, with the length where the code belongs.
        let Some(dlc) = Dlc::new(code) else {
            let payload = Payload::take(words, usize::from(code), self.base)?;
            return built(Frame::fd(id, FdFlags::default(), payload.bytes()));
        };
        let payload = Payload::take(words, dlc.classic_len(), self.base)?;
        built(Frame::classic_with_dlc(id, dlc, payload.bytes()))
    }

    /// Reads what stands behind the channel of a `CANFD` line.
    fn fd(&self, words: &mut Words<'_>) -> Result<Option<Frame>, ProblemReason> {
        match words.next().ok_or(ProblemReason::Fields)? {
            "Rx" | "Tx" => {}
            "TxRq" => return Ok(None),
            _ => return Err(ProblemReason::Fields),
        }
        let word = words.next().ok_or(ProblemReason::Fields)?;
        if word == "ErrorFrame" {
            let no_ack = words.next() == Some("Not") && words.next() == Some("Acknowledge");
            let bits = ErrorClass::BUS_ERROR.bits() | if no_ack { ErrorClass::NO_ACK.bits() } else { 0 };
            let class = ErrorClass::new(bits).unwrap_or_default();
            return built(Frame::error(class, &[])).map(Some);
        }
        let id = self.id(word)?;
        // A symbolic name may follow; the bit rate switch is the first 0 or 1.
        if words.peek().is_some_and(|word| !matches!(*word, "0" | "1")) {
            words.next();
        }
        let brs = bit(words)?;
        let esi = bit(words)?;
        let dlc =
            words.next().and_then(|word| number(word, 16)).and_then(Dlc::new).ok_or(ProblemReason::Length)?;
        let count: usize = words.next().and_then(|word| number(word, 10)).ok_or(ProblemReason::Length)?;
        let payload = Payload::take(words, count, self.base)?;
        // Behind the payload: duration in ns, length in bits, flags in hexadecimal.
        let flags = words.nth(2).and_then(|word| number::<u32>(word, 16));
        let is_remote = flags.is_some_and(|flags| flags & FLAG_REMOTE != 0) || count == 0 && dlc.code() != 0;
        if is_remote {
            return Ok(Some(Frame::remote(id, dlc)));
        }
        if flags.is_some_and(|flags| flags & FLAG_FD == 0) && count <= 8 {
            return built(Frame::classic_with_dlc(id, dlc, payload.bytes())).map(Some);
        }
        if dlc.fd_len() != count {
            return Err(ProblemReason::Length);
        }
        built(Frame::fd(id, FdFlags { brs, esi }, payload.bytes())).map(Some)
    }
}

fn bit(words: &mut Words<'_>) -> Result<bool, ProblemReason> {
    match words.next() {
        Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) | None => Err(ProblemReason::Fields),
    }
}
