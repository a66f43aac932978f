//! Vector binary logs.
//!
//! A file header, then objects, most of them in containers that may be compressed with zlib and that cut objects
//! in two. Read: classic, CAN FD and error frames on CAN, what was heard on LIN ([`lin`]) and FlexRay ([`flexray`]).
//! Every other object is understood as no frame and passed over. Layout: Vector's published `binlog_objects.h`.

mod flexray;
mod lin;

use std::io::{ErrorKind, Read};

use flate2::read::ZlibDecoder;
use outrider_bus::can::{ByteOrder, CanId, Dlc, ErrorClass, FdFlags, Frame, TimedFrame};
use outrider_bus::flexray::TimedFlexRay;
use outrider_bus::lin::TimedLin;
use outrider_types::{UnixMicros, VehicleMicros};

use super::input::Input;
use super::pcap::{u16_at, u32_at};
use super::source::{Context, Source, built};
use super::text::days;
use super::{CaptureError, CaptureStart, Place, ProblemReason, Record};

/// Largest container, compressed or not: writers use 128 KiB, some a few MiB.
const CONTAINER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest object outside of a container, or in one.
const OBJECT_BYTES_MAX: usize = CONTAINER_BYTES_MAX;
/// Bytes every object begins with: signature, header length, version, length, type.
const BASE_BYTES: usize = 16;
/// With flags and time.
const HEADER_BYTES: usize = 32;
/// Bytes searched for the next object behind one; they fill up to a multiple of four.
const PADDING_MAX: usize = 8;

const CONTAINER: u32 = 10;
const ZLIB: u16 = 2;

/// Reader state: inner bytes not yet taken apart.
pub(super) struct Blf {
    inner: Vec<u8>,
    at: usize,
    is_ended: bool,
}

fn long(bytes: &[u8], offset: usize) -> Option<u32> {
    u32_at(bytes, offset, ByteOrder::Little)
}

fn short(bytes: &[u8], offset: usize) -> Option<u16> {
    u16_at(bytes, offset, ByteOrder::Little)
}

impl Blf {
    /// Reads the file header.
    pub(super) fn begin(input: &mut Input, context: &mut Context) -> Result<Self, CaptureError> {
        let bad = |offset, expected| CaptureError::Header { offset, expected };
        let mut header = Vec::new();
        input.bytes(&mut header, 144)?;
        let length = long(&header, 4).ok_or(bad(4, "the length of the header"))?;
        // The start of the measurement stands in the first 56 bytes; shorter headers are of no known version.
        if length < 56 || header.len() < 56 {
            return Err(bad(4, "a header of at least 56 bytes"));
        }
        let rest = u64::from(length).saturating_sub(header.len() as u64);
        input.skip(rest)?;
        context.start = system_time(&header).map(|at| CaptureStart { at: UnixMicros(at), is_utc: false });
        // A header shorter than what was read leaves bytes of the first object.
        let inner =
            header.get(usize::try_from(length).unwrap_or(usize::MAX).min(header.len())..).unwrap_or(&[]);
        Ok(Self { inner: inner.to_vec(), at: 0, is_ended: false })
    }

    /// Returns the next whole object in `inner`, if there is one.
    fn object(&mut self, offset: u64) -> Result<Option<Vec<u8>>, CaptureError> {
        let rest = self.inner.get(self.at..).unwrap_or(&[]);
        let window = rest.get(..rest.len().min(PADDING_MAX + 4)).unwrap_or(rest);
        let Some(skip) = window.windows(4).position(|bytes| bytes == b"LOBJ") else {
            if rest.len() > PADDING_MAX + 4 {
                return Err(CaptureError::Framing { offset, length: 0 });
            }
            return Ok(None);
        };
        let object = rest.get(skip..).unwrap_or(&[]);
        let Some(length) = long(object, 8) else { return Ok(None) };
        let whole =
            usize::try_from(length).ok().filter(|whole| (BASE_BYTES..=OBJECT_BYTES_MAX).contains(whole));
        let whole = whole.ok_or(CaptureError::Framing { offset, length: length.into() })?;
        let Some(bytes) = object.get(..whole) else { return Ok(None) };
        let bytes = bytes.to_vec();
        self.at += skip + whole;
        Ok(Some(bytes))
    }

    /// Reads the next object of the file, a container or one that stands alone, behind what is left.
    fn refill(&mut self, input: &mut Input, context: &mut Context) -> Result<(), CaptureError> {
        self.inner.drain(..self.at.min(self.inner.len()));
        self.at = 0;
        let offset = input.offset();
        let place = Place::Offset(offset);
        let mut cut = |context: &mut Context| {
            context.stats.records += 1;
            context.stats.problem(place, ProblemReason::Truncated);
            self.is_ended = true;
        };
        let mut header = Vec::new();
        // Between objects stand up to three bytes to a multiple of four.
        loop {
            let mut byte = Vec::new();
            input.bytes(&mut byte, 1)?;
            match byte.first() {
                None => {
                    if input.is_cut() {
                        cut(context);
                    }
                    self.is_ended = true;
                    return Ok(());
                }
                Some(b'L') => break,
                Some(_) if input.offset() - offset <= PADDING_MAX as u64 => {}
                Some(_) => return Err(CaptureError::Framing { offset, length: 0 }),
            }
        }
        input.bytes(&mut header, BASE_BYTES - 1)?;
        header.insert(0, b'L');
        if header.len() < BASE_BYTES {
            cut(context);
            return Ok(());
        }
        let (length, kind) = (long(&header, 8).unwrap_or(0), long(&header, 12).unwrap_or(0));
        let framing = CaptureError::Framing { offset, length: length.into() };
        let whole =
            usize::try_from(length).ok().filter(|whole| (BASE_BYTES..=OBJECT_BYTES_MAX).contains(whole));
        let (true, Some(whole)) = (header.starts_with(b"LOBJ"), whole) else { return Err(framing) };
        let mut body = Vec::new();
        input.bytes(&mut body, whole - BASE_BYTES)?;
        if body.len() < whole - BASE_BYTES {
            cut(context);
            return Ok(());
        }
        if kind == CONTAINER {
            match contents(&body) {
                Ok(bytes) => self.inner.extend_from_slice(&bytes),
                Err(reason) => {
                    context.stats.records += 1;
                    context.stats.problem(place, reason);
                    self.inner.clear(); // what was cut in two is lost with it
                }
            }
        } else {
            self.inner.extend_from_slice(&header);
            self.inner.extend_from_slice(&body);
        }
        Ok(())
    }
}

impl Source for Blf {
    fn next(&mut self, input: &mut Input, context: &mut Context) -> Result<Option<Record>, CaptureError> {
        loop {
            let offset = input.offset();
            let Some(object) = self.object(offset)? else {
                if self.is_ended {
                    if std::mem::take(&mut self.inner)
                        .get(self.at..)
                        .is_some_and(|rest| rest.len() >= BASE_BYTES)
                    {
                        context.stats.records += 1;
                        context.stats.problem(Place::Offset(offset), ProblemReason::Truncated);
                    }
                    return Ok(None);
                }
                self.refill(input, context)?;
                if self.inner.len() > CONTAINER_BYTES_MAX + OBJECT_BYTES_MAX {
                    return Err(CaptureError::Framing { offset, length: self.inner.len() as u64 });
                }
                continue;
            };
            context.stats.records += 1;
            match record(&object, context) {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) => context.stats.skipped += 1,
                Err(reason) => context.stats.problem(Place::Offset(offset), reason),
            }
        }
    }
}

/// Takes the bytes out of a container.
fn contents(body: &[u8]) -> Result<Vec<u8>, ProblemReason> {
    let method = short(body, 0).ok_or(ProblemReason::Block)?;
    let packed = body.get(16..).ok_or(ProblemReason::Block)?;
    if method != ZLIB {
        return if method == 0 { Ok(packed.to_vec()) } else { Err(ProblemReason::Block) };
    }
    let mut plain = Vec::new();
    let mut decoder = ZlibDecoder::new(packed);
    let mut piece = [0u8; 4096];
    loop {
        match decoder.read(&mut piece) {
            Ok(0) => return Ok(plain),
            Ok(got) if plain.len() + got <= CONTAINER_BYTES_MAX => plain.extend(piece.iter().take(got)),
            Ok(_) => return Err(ProblemReason::RecordTooLong),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(ProblemReason::Block),
        }
    }
}

/// Reads an object, or returns `None` if it is about no frame.
fn record(object: &[u8], context: &mut Context) -> Result<Option<Record>, ProblemReason> {
    let kind = long(object, 12).ok_or(ProblemReason::Block)?;
    let header = usize::from(short(object, 4).ok_or(ProblemReason::Block)?);
    let is_can = matches!(kind, 1 | 2 | 73 | 86 | 100 | 101 | 104);
    if !is_can && !lin::is_kind(kind) && !flexray::is_kind(kind) {
        return Ok(None);
    }
    if header < HEADER_BYTES {
        return Err(ProblemReason::Block);
    }
    let body = object.get(header..).ok_or(ProblemReason::Block)?;
    let flags = long(object, 16).ok_or(ProblemReason::Block)?;
    let raw = object.get(24..).and_then(|bytes| bytes.first_chunk::<8>()).ok_or(ProblemReason::Time)?;
    let ticks = u64::from_le_bytes(*raw);
    let at = VehicleMicros(if flags == 1 { ticks.saturating_mul(10) } else { ticks / 1000 });
    if lin::is_kind(kind) {
        let Some((channel, heard)) = lin::heard(kind, body)? else { return Ok(None) };
        let bus = context.lin.bus(&channel.to_string(), 1)?;
        return Ok(Some(Record::Lin(TimedLin { at, bus, heard })));
    }
    if flexray::is_kind(kind) {
        let Some((channel, heard)) = flexray::heard(kind, body)? else { return Ok(None) };
        let bus = context.flexray.bus(&channel.to_string(), 1)?;
        return Ok(Some(Record::FlexRay(Box::new(TimedFlexRay { at, bus, heard }))));
    }
    let (channel, frame) = can(kind, body)?;
    let bus = context.channels.bus(&channel.to_string(), 1)?;
    Ok(Some(Record::Can(TimedFrame { at, bus, frame })))
}

/// Reads the body of an object about a CAN frame: its channel and the frame.
fn can(kind: u32, body: &[u8]) -> Result<(u16, Frame), ProblemReason> {
    let (channel, frame) = match kind {
        1 | 86 => (short(body, 0), classic(body)?),
        100 => (short(body, 0), fd(body)?),
        101 => (body.first().map(|channel| u16::from(*channel)), fd_64(body)?),
        104 => (body.first().map(|channel| u16::from(*channel)), error()?),
        _ => (short(body, 0), error()?),
    };
    Ok((channel.ok_or(ProblemReason::Channel)?, frame))
}

fn error() -> Result<Frame, ProblemReason> {
    built(Frame::error(ErrorClass::BUS_ERROR, &[]))
}

fn id(word: u32) -> Result<CanId, ProblemReason> {
    let value = word & 0x7FFF_FFFF;
    let id = if word >> 31 == 1 { CanId::extended(value) } else { CanId::standard(value) };
    id.ok_or(ProblemReason::Identifier)
}

fn byte(body: &[u8], offset: usize) -> Result<u8, ProblemReason> {
    body.get(offset).copied().ok_or(ProblemReason::DataMissing)
}

fn payload(body: &[u8], offset: usize, length: usize) -> Result<&[u8], ProblemReason> {
    let end = offset.checked_add(length).ok_or(ProblemReason::Length)?;
    body.get(offset..end).ok_or(ProblemReason::DataMissing)
}

fn classic(body: &[u8]) -> Result<Frame, ProblemReason> {
    let id = id(long(body, 4).ok_or(ProblemReason::DataMissing)?)?;
    let dlc = Dlc::new(byte(body, 3)?).ok_or(ProblemReason::Length)?;
    if byte(body, 2)? & 0x80 != 0 {
        return Ok(Frame::remote(id, dlc));
    }
    built(Frame::classic_with_dlc(id, dlc, payload(body, 8, dlc.classic_len())?))
}

fn fd(body: &[u8]) -> Result<Frame, ProblemReason> {
    let id = id(long(body, 4).ok_or(ProblemReason::DataMissing)?)?;
    let dlc = Dlc::new(byte(body, 3)?).ok_or(ProblemReason::Length)?;
    let (flags, fd) = (byte(body, 2)?, byte(body, 13)?);
    let data = payload(body, 20, usize::from(byte(body, 14)?))?;
    finish(id, dlc, flags & 0x80 != 0, [fd & 1 != 0, fd & 2 != 0, fd & 4 != 0], data)
}

fn fd_64(body: &[u8]) -> Result<Frame, ProblemReason> {
    let id = id(long(body, 4).ok_or(ProblemReason::DataMissing)?)?;
    let dlc = Dlc::new(byte(body, 1)?).ok_or(ProblemReason::Length)?;
    let flags = long(body, 12).ok_or(ProblemReason::DataMissing)?;
    let data = payload(body, 40, usize::from(byte(body, 2)?))?;
    let has = |bit: u32| flags & bit != 0;
    finish(id, dlc, has(0x10), [has(0x1000), has(0x2000), has(0x4000)], data)
}

fn finish(
    id: CanId,
    dlc: Dlc,
    remote: bool,
    [fd, brs, esi]: [bool; 3],
    data: &[u8],
) -> Result<Frame, ProblemReason> {
    if remote {
        return Ok(Frame::remote(id, dlc));
    }
    if fd {
        return built(Frame::fd(id, FdFlags { brs, esi }, data));
    }
    built(Frame::classic_with_dlc(id, dlc, data))
}

/// Reads the start of the measurement as microseconds since 1970, zone ignored.
fn system_time(header: &[u8]) -> Option<i64> {
    let word = |index: usize| short(header, 40 + 2 * index).map(i64::from);
    let (year, month, day) = (word(0)?, word(1)?, word(3)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = word(4)? * 3600 + word(5)? * 60 + word(6)?;
    Some(days(year, month, day) * 86_400_000_000 + seconds * 1_000_000 + word(7)? * 1000)
}
