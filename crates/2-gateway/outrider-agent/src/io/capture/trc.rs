//! PCAN trace files, versions 1.0 to 2.1.
//!
//! All versions are columns; version 2 names them in its header, version 1 has fixed ones. Two facts of the
//! real files go beyond the description: converted files carry the trigger lines of the ASC file they came from,
//! and status lines may leave columns blank, so nothing behind the type is read for them.

use outrider_bus::can::{CanId, Dlc, ErrorClass, FdFlags, Frame, TimedFrame};
use outrider_types::{BusId, UnixMicros, VehicleMicros};

use super::source::{Context, LineError, LineFormat, Parsed, built};
use super::text::{Payload, number, ole_date, scaled};
use super::{CaptureError, CaptureStart, ProblemReason};

/// Most columns of a header; the format knows eleven letters.
const COLUMNS_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Number,
    Offset,
    Type,
    Bus,
    Id,
    Length,
    Dlc,
    Data,
    /// Direction, reserved, and what later versions may add: one word that is not needed.
    Other,
}

use Column::{Bus, Data, Dlc as Code, Id, Length, Number, Offset, Other, Type};

const V1_0: &[Column] = &[Number, Offset, Id, Code, Data];
const V1_1: &[Column] = &[Number, Offset, Type, Id, Code, Data];
const V1_2: &[Column] = &[Number, Offset, Bus, Type, Id, Code, Data];
const V1_3: &[Column] = &[Number, Offset, Bus, Type, Id, Other, Code, Data];
const V2_0: &[Column] = &[Number, Offset, Type, Id, Other, Length, Data];
const V2_1: &[Column] = &[Number, Offset, Type, Bus, Id, Other, Other, Code, Data];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Classic,
    Fd(FdFlags),
    Remote,
    Error,
    Note,
}

/// Reader state: the columns.
pub(super) struct Trc {
    columns: Vec<Column>,
}

impl Default for Trc {
    fn default() -> Self {
        Self { columns: V1_0.to_vec() }
    }
}

/// What the columns of one line said.
struct Row<'a> {
    at: Option<u64>,
    kind: Kind,
    bus: Option<&'a str>,
    id: Option<&'a str>,
    length: Option<usize>,
    code: Option<Dlc>,
}

impl LineFormat for Trc {
    fn parse(&mut self, line: &str, number: u64, context: &mut Context) -> Result<Parsed, LineError> {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix(';') {
            self.header(comment, number, context)?;
            return Ok(Parsed::Nothing);
        }
        if line.is_empty() {
            return Ok(Parsed::Nothing);
        }
        let lower = line.to_ascii_lowercase();
        if lower.starts_with("begin trigger")
            || lower.starts_with("end trigger")
            || lower.ends_with("of measurement")
        {
            return Ok(Parsed::Note);
        }
        Ok(self.row(line, context)?)
    }
}

impl Trc {
    fn header(&mut self, comment: &str, line: u64, context: &mut Context) -> Result<(), LineError> {
        let comment = comment.trim();
        if let Some(version) = comment.strip_prefix("$FILEVERSION=") {
            let columns = match version.trim() {
                "1.0" => V1_0,
                "1.1" => V1_1,
                "1.2" => V1_2,
                "1.3" => V1_3,
                "2.0" => V2_0,
                "2.1" => V2_1,
                other => {
                    let version = other.chars().take(16).collect();
                    return Err(LineError::Fatal(CaptureError::Version { version, line }));
                }
            };
            self.columns = columns.to_vec();
        } else if let Some(date) = comment.strip_prefix("$STARTTIME=") {
            let at = ole_date(date.trim());
            context.start = at.map(|at| CaptureStart { at: UnixMicros(at), is_utc: false });
        } else if let Some(columns) = comment.strip_prefix("$COLUMNS=") {
            self.columns = columns.split(',').take(COLUMNS_MAX).map(column).collect();
        }
        Ok(())
    }

    fn row(&self, line: &str, context: &mut Context) -> Result<Parsed, ProblemReason> {
        let mut tokens = line.split_whitespace().peekable();
        let mut row = Row { at: None, kind: Kind::Classic, bus: None, id: None, length: None, code: None };
        for column in &self.columns {
            if row.kind == Kind::Error && *column == Id && matches!(tokens.peek(), Some(&("Rx" | "Tx"))) {
                continue; // an error line may leave the identifier blank
            }
            if *column == Data {
                break;
            }
            let token = tokens.next().ok_or(ProblemReason::Fields)?;
            match column {
                Number => {
                    number::<u64>(token.trim_end_matches(')'), 10).ok_or(ProblemReason::Fields)?;
                }
                Offset => row.at = Some(scaled(token, 3).ok_or(ProblemReason::Time)?),
                Type => row.kind = kind(token).ok_or(ProblemReason::Type)?,
                Bus => row.bus = Some(token).filter(|&token| token != "-"),
                Id => row.id = Some(token).filter(|&token| token != "-"),
                Length => row.length = Some(number(token, 10).ok_or(ProblemReason::Length)?),
                Code => {
                    let code = number(token, 10).and_then(Dlc::new).ok_or(ProblemReason::Length)?;
                    row.code = Some(code);
                }
                Other | Data => {}
            }
            if row.kind == Kind::Note {
                return Ok(Parsed::Note);
            }
        }
        // Version 1.0 has no types; its status lines carry an impossible identifier.
        if row.id == Some("FFFFFFFF") {
            return Ok(Parsed::Note);
        }
        let bus = match row.bus {
            Some(name) => {
                number::<u16>(name, 10).ok_or(ProblemReason::Channel)?;
                context.channels.bus(name, 1)?
            }
            None => context.channels.only(),
        };
        if row.kind == Kind::Classic && matches!(tokens.peek(), Some(&"RTR")) {
            row.kind = Kind::Remote;
            tokens.next();
        }
        finish(&row, bus, &mut tokens)
    }
}

fn column(letter: &str) -> Column {
    match letter.trim() {
        "N" => Number,
        "O" => Offset,
        "T" => Type,
        "B" => Bus,
        "I" => Id,
        "l" => Length,
        "L" => Code,
        "D" => Data,
        _ => Other,
    }
}

fn kind(token: &str) -> Option<Kind> {
    let fd = |brs, esi| Kind::Fd(FdFlags { brs, esi });
    Some(match token {
        "DT" | "Rx" | "Tx" => Kind::Classic,
        "FD" => fd(false, false),
        "FB" => fd(true, false),
        "FE" => fd(false, true),
        "BI" => fd(true, true),
        "RR" => Kind::Remote,
        "ER" => Kind::Error,
        "ST" | "EC" | "EV" | "Warng" | "Error" => Kind::Note,
        _ => return None,
    })
}

/// Builds the frame of a row from the words behind its columns.
fn finish<'a>(
    row: &Row<'a>,
    bus: BusId,
    tokens: &mut impl Iterator<Item = &'a str>,
) -> Result<Parsed, ProblemReason> {
    let at = VehicleMicros(row.at.ok_or(ProblemReason::Time)?);
    let frame = match row.kind {
        Kind::Error => {
            let code = row.id.and_then(|id| number::<u32>(id, 16)).unwrap_or(0);
            // PEAK counts 1 bit, 2 form, 4 stuff, 8 other; the first three are protocol violations.
            let protocol = if matches!(code, 1 | 2 | 4) { ErrorClass::PROTOCOL.bits() } else { 0 };
            let class = ErrorClass::new(ErrorClass::BUS_ERROR.bits() | protocol).unwrap_or_default();
            let count = row.length.or(row.code.map(Dlc::classic_len)).unwrap_or(0);
            let detail = Payload::take(tokens, count, 16)?;
            built(Frame::error(class, detail.bytes()))?
        }
        Kind::Classic => {
            let id = id(row)?;
            let dlc = match row.length {
                Some(length) => u8::try_from(length).ok().filter(|&len| len <= 8).and_then(Dlc::new),
                None => row.code,
            };
            let dlc = dlc.ok_or(ProblemReason::Length)?;
            let payload = Payload::take(tokens, dlc.classic_len(), 16)?;
            built(Frame::classic_with_dlc(id, dlc, payload.bytes()))?
        }
        Kind::Fd(flags) => {
            let id = id(row)?;
            let count = row.length.or(row.code.map(Dlc::fd_len)).ok_or(ProblemReason::Length)?;
            let payload = Payload::take(tokens, count, 16)?;
            built(Frame::fd(id, flags, payload.bytes()))?
        }
        Kind::Remote => {
            let code = row.length.and_then(|length| u8::try_from(length).ok()).and_then(Dlc::new);
            Frame::remote(id(row)?, code.or(row.code).ok_or(ProblemReason::Length)?)
        }
        Kind::Note => return Ok(Parsed::Note),
    };
    if tokens.next().is_some() {
        return Err(ProblemReason::DataSurplus);
    }
    Ok(Parsed::Frame(TimedFrame { at, bus, frame }))
}

fn id(row: &Row<'_>) -> Result<CanId, ProblemReason> {
    row.id.and_then(|text| text.parse().ok()).ok_or(ProblemReason::Identifier)
}
