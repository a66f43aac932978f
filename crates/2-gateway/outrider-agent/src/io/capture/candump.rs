//! candump logs (`candump -l`) and console text with absolute times.
//!
//! Log: `(1436509052.249713) can0 044#2A366C2B`, `123#R4` remote, `123##3…` CAN FD with a digit of flags,
//! `123#…_E` a data length code above 8, `45123#81:03:12345678#…` CAN XL (network and priority, then flags, type of the
//! payload and acceptance field; a priority alone is of network 0), an error frame with its flag in the identifier, and
//! perhaps a direction letter (`R`, `T`) or a label of the frame at the end. Console: ` (1436509052.249713)  can0  044   [4]  2A 36 6C 2B`.

use outrider_bus::can::{CanId, Dlc, ErrorClass, FdFlags, Frame, TimedFrame, XL_DATA_BYTES_MAX, XlHeader};

use super::source::{Context, LineError, LineFormat, Parsed, built};
use super::text::{Payload, number, packed, scaled};
use super::{ProblemReason, Record, TimedXl};

/// Flag of an error frame in an identifier of eight digits.
const ERROR_FLAG: u32 = 0x2000_0000;

/// Single lines of candump, as they come in on a pipe; the times in them are those of the sender.
pub struct CandumpLines(Context);

impl CandumpLines {
    /// Creates a reader; the first channel becomes the bus `first`.
    #[must_use]
    pub fn new(first: outrider_types::BusId) -> Self {
        Self(Context::new(&super::ReadOptions { first_bus: first, ..super::ReadOptions::default() }))
    }

    /// Reads one line; `None` for a blank one or a comment.
    ///
    /// # Errors
    /// [`ProblemReason`], why it is no frame.
    pub fn frame(&mut self, line: &str) -> Result<Option<TimedFrame>, ProblemReason> {
        match Candump.parse(line, 0, &mut self.0) {
            Ok(Parsed::Frame(frame)) => Ok(Some(frame)),
            Ok(Parsed::Record(_)) => Err(ProblemReason::CanXl),
            Ok(Parsed::Note | Parsed::Nothing) => Ok(None),
            Err(LineError::Problem(reason)) => Err(reason),
            // A line on its own is never the end of all reading.
            Err(LineError::Fatal(_)) => Err(ProblemReason::Fields),
        }
    }
}

/// The format; it keeps no state.
pub(super) struct Candump;

impl LineFormat for Candump {
    fn parse(&mut self, line: &str, _number: u64, context: &mut Context) -> Result<Parsed, LineError> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(Parsed::Nothing);
        }
        Ok(parse(line, context)?)
    }
}

/// Returns whether a line looks like candump's, for detection.
pub(super) fn is_line(line: &str) -> bool {
    let mut tokens = line.split_whitespace();
    let Some(first) = tokens.next() else { return false };
    let timed = time(first).is_some();
    let (_, second, third) = (if timed { tokens.next() } else { Some(first) }, tokens.next(), tokens.next());
    let is_log = second.is_some_and(|word| split(word).is_some());
    let is_console = third.is_some_and(|word| bracketed(word).is_some());
    timed && is_log || is_console && second.is_some_and(|word| number::<u32>(word, 16).is_some())
}

fn time(token: &str) -> Option<u64> {
    token.strip_prefix('(')?.strip_suffix(')').and_then(|text| scaled(text, 6))
}

fn split(word: &str) -> Option<(&str, &str)> {
    word.split_once('#').filter(|(id, _)| number::<u32>(id, 16).is_some())
}

fn bracketed(word: &str) -> Option<usize> {
    word.strip_prefix('[')?.strip_suffix(']').and_then(|text| number(text, 10))
}

fn parse(line: &str, context: &mut Context) -> Result<Parsed, ProblemReason> {
    let mut tokens = line.split_whitespace();
    let stamp = tokens.next().and_then(time).ok_or(ProblemReason::Time)?;
    let stamp = i64::try_from(stamp).map_err(|_| ProblemReason::Time)?;
    let channel = tokens.next().ok_or(ProblemReason::Fields)?;
    let word = tokens.next().ok_or(ProblemReason::Fields)?;
    if let Some((id, rest)) = word.split_once('#').filter(|(_, rest)| rest.contains(':')) {
        let (header, payload) = xl_frame(id, rest)?;
        let bus = context.channels.bus(channel, 0)?;
        let at = context.since_first(stamp);
        return Ok(Parsed::Record(Record::CanXl(Box::new(TimedXl { at, bus, header, payload }))));
    }
    let frame = match word.split_once('#') {
        Some((id, rest)) => log_frame(id, rest)?,
        None => console_frame(word, &mut tokens)?,
    };
    let bus = context.channels.bus(channel, 0)?;
    let at = context.since_first(stamp);
    // Only a log has labels: behind the bytes of the console form stands their text.
    let label = tokens.next().filter(|token| word.contains('#') && !matches!(*token, "R" | "T"));
    context.labels.set(label.into_iter());
    Ok(Parsed::Frame(TimedFrame { at, bus, frame }))
}

/// An identifier, or the class of an error frame.
enum Head {
    Id(CanId),
    Error(ErrorClass),
}

fn head(text: &str) -> Result<Head, ProblemReason> {
    if text.len() == 8 {
        let word = number::<u32>(text, 16).ok_or(ProblemReason::Identifier)?;
        if word & ERROR_FLAG != 0 && word & !(ERROR_FLAG | 0x1FFF_FFFF) == 0 {
            return ErrorClass::new(word & !ERROR_FLAG).map(Head::Error).ok_or(ProblemReason::Identifier);
        }
    }
    text.parse().map(Head::Id).map_err(|_| ProblemReason::Identifier)
}

/// Reads `flags:type:acceptance#payload` behind the network and priority of a CAN XL frame.
fn xl_frame(id: &str, rest: &str) -> Result<(XlHeader, Vec<u8>), ProblemReason> {
    let digits = match id.len() {
        3 | 5 => number::<u32>(id, 16),
        _ => None,
    };
    let word = digits.ok_or(ProblemReason::Identifier)?;
    let (head, data) = rest.split_once('#').ok_or(ProblemReason::Fields)?;
    let mut parts = head.splitn(3, ':');
    let mut part = || parts.next().ok_or(ProblemReason::Fields);
    let (flags, sdu_type, acceptance) = (part()?, part()?, part()?);
    let flags: u8 = number(flags, 16).ok_or(ProblemReason::Fields)?;
    let header = XlHeader {
        priority: u16::try_from(word & 0xFFF)
            .ok()
            .filter(|&priority| priority <= 0x7FF)
            .ok_or(ProblemReason::Identifier)?,
        network: u8::try_from(word >> 12).map_err(|_| ProblemReason::Identifier)?,
        sec: flags & 1 != 0,
        rrs: flags & 2 != 0,
        sdu_type: number(sdu_type, 16).ok_or(ProblemReason::Type)?,
        acceptance: number(acceptance, 16).ok_or(ProblemReason::Fields)?,
    };
    let digits: Vec<u8> = data.bytes().filter(|&byte| byte != b'.').collect();
    if digits.is_empty() || !digits.len().is_multiple_of(2) || digits.len() / 2 > XL_DATA_BYTES_MAX {
        return Err(ProblemReason::Length);
    }
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| number(pair, 16));
    let payload: Option<Vec<u8>> = digits.chunks_exact(2).map(byte).collect();
    Ok((header, payload.ok_or(ProblemReason::Data)?))
}

fn log_frame(id: &str, rest: &str) -> Result<Frame, ProblemReason> {
    let head = head(id)?;
    if let Some(fd) = rest.strip_prefix('#') {
        if fd.starts_with('#') {
            return Err(ProblemReason::CanXl);
        }
        let Head::Id(id) = head else { return Err(ProblemReason::Identifier) };
        let flags: u8 = fd.get(..1).and_then(|digit| number(digit, 16)).ok_or(ProblemReason::Fields)?;
        let payload = packed(fd.get(1..).unwrap_or(""))?;
        let flags = FdFlags { brs: flags & 1 != 0, esi: flags & 2 != 0 };
        return built(Frame::fd(id, flags, payload.bytes()));
    }
    let (data, code) = match rest.split_once('_') {
        Some((data, code)) => (data, Some(number(code, 16).and_then(Dlc::new).ok_or(ProblemReason::Length)?)),
        None => (rest, None),
    };
    let id = match head {
        Head::Id(id) => id,
        Head::Error(class) => return built(Frame::error(class, packed(data)?.bytes())),
    };
    if let Some(length) = data.strip_prefix(['R', 'r']) {
        let length = if length.is_empty() { Some(0) } else { number(length, 16) };
        let dlc = code.or(length.and_then(Dlc::new)).ok_or(ProblemReason::Length)?;
        return Ok(Frame::remote(id, dlc));
    }
    let payload = packed(data)?;
    match code {
        Some(dlc) => built(Frame::classic_with_dlc(id, dlc, payload.bytes())),
        None => built(Frame::classic(id, payload.bytes())),
    }
}

fn console_frame<'a>(id: &str, tokens: &mut impl Iterator<Item = &'a str>) -> Result<Frame, ProblemReason> {
    let head = head(id)?;
    // With -x, a direction and flags stand between channel and identifier or before the length.
    let length = tokens.find(|word| word.starts_with('[')).ok_or(ProblemReason::Fields)?;
    // CAN FD frames have lengths of two digits.
    let is_fd = length.len() == 4;
    let count = bracketed(length).ok_or(ProblemReason::Length)?;
    let mut tokens = tokens.peekable();
    if tokens.peek() == Some(&"remote") {
        let Head::Id(id) = head else { return Err(ProblemReason::Identifier) };
        let dlc = u8::try_from(count).ok().and_then(Dlc::new).ok_or(ProblemReason::Length)?;
        return Ok(Frame::remote(id, dlc));
    }
    let payload = Payload::take(&mut tokens, count, 16)?;
    match head {
        Head::Error(class) => built(Frame::error(class, payload.bytes())),
        Head::Id(id) if is_fd => built(Frame::fd(id, FdFlags::default(), payload.bytes())),
        Head::Id(id) => built(Frame::classic(id, payload.bytes())),
    }
}
