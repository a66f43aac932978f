//! Tables: a frame a line, with a header that names the columns, or in the order time, identifier, length, payload.
//!
//! Written by recorders (GVRET, SavvyCAN, python-can) and common for published data sets, whose last column often
//! says which frames are an attack's. Delimiter, order, units and bases are told from the first lines.

mod columns;
mod guess;

use outrider_bus::can::{CanId, Dlc, FdFlags, Frame, TimedFrame};
use outrider_types::VehicleMicros;

use super::ProblemReason;
use super::source::{Context, LineError, LineFormat, Parsed, built};
use super::text::{Payload, clock, iso_date, number, packed, scaled, unbase64};
use columns::{Column, Unit, column};

/// Most columns of a table.
const COLUMNS_MAX: usize = 128;
/// Rows that units and bases are told from.
const ROWS_GUESSED: usize = 256;
/// Times from here on are since 1970 and not since the capture began, in microseconds: the year 1980.
const ABSOLUTE_US: i64 = 315_532_800_000_000;

/// What separates cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delimiter {
    Char(char),
    Space,
}

impl Delimiter {
    const ALL: [Self; 4] = [Self::Char(','), Self::Char(';'), Self::Char('\t'), Self::Space];

    fn split(self, line: &str) -> Vec<&str> {
        match self {
            Self::Space => line.split_whitespace().take(COLUMNS_MAX).collect(),
            Self::Char(delimiter) => {
                let mut quoted = false;
                let cells = line.split(move |letter: char| {
                    quoted ^= letter == '"';
                    letter == delimiter && !quoted
                });
                cells.map(|cell| cell.trim().trim_matches('"').trim()).take(COLUMNS_MAX).collect()
            }
        }
    }
}

/// Where the payload stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Data {
    Cell(usize),
    /// One column a byte, in order.
    Cells(Vec<usize>),
    /// Behind the length: as many cells as it says, or one with all; then perhaps a label.
    Behind(usize),
}

/// Reader state: what the first lines told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    delimiter: Delimiter,
    /// The header's columns; empty without one.
    header: Vec<String>,
    time: usize,
    unit: Unit,
    id: usize,
    id_base: u32,
    length: Option<usize>,
    data: Data,
    byte_base: u32,
    /// Columns of labels, the most telling first.
    labels: Vec<usize>,
    bus: Option<usize>,
    extended: Option<usize>,
    remote: Option<usize>,
    error: Option<usize>,
    fd: Option<usize>,
    brs: Option<usize>,
    esi: Option<usize>,
}

impl Table {
    /// Recognises a table by its first lines.
    pub(super) fn detect(lines: &[&str]) -> Option<Self> {
        let lines = || lines.iter().copied().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let first = lines().next()?;
        for delimiter in Delimiter::ALL {
            let named = Self::named(delimiter, &delimiter.split(first));
            let rows: Vec<Vec<&str>> = lines()
                .skip(usize::from(named.is_some()))
                .take(ROWS_GUESSED)
                .map(|line| delimiter.split(line))
                .collect();
            let Some(mut table) = named.or_else(|| Self::bare(delimiter, &rows)) else { continue };
            table.guess(&rows);
            return Some(table);
        }
        None
    }

    /// Reads a header; `None` if the line is none or lacks what a frame needs.
    fn named(delimiter: Delimiter, cells: &[&str]) -> Option<Self> {
        let columns: Vec<Column> = cells.iter().map(|cell| column(cell)).collect();
        let find = |wanted: Column| columns.iter().position(|column| *column == wanted);
        let time = columns.iter().position(|column| matches!(column, Column::Time(_)))?;
        let unit = match columns.get(time) {
            Some(Column::Time(Some(unit))) => Some(*unit),
            _ => None,
        };
        let mut bytes: Vec<(u8, usize)> =
            columns.iter().enumerate().filter_map(|(index, column)| Some((column.byte()?, index))).collect();
        bytes.sort_unstable();
        let data = match find(Column::Data) {
            Some(index) => Data::Cell(index),
            None if !bytes.is_empty() => Data::Cells(bytes.into_iter().map(|(_, index)| index).collect()),
            None => return None,
        };
        let mut labels: Vec<(u8, usize)> =
            columns.iter().enumerate().filter_map(|(index, column)| Some((column.label()?, index))).collect();
        labels.sort_unstable();
        Some(Self {
            delimiter,
            header: cells.iter().map(|cell| (*cell).to_owned()).collect(),
            time,
            unit: unit.unwrap_or(Unit::Seconds),
            id: find(Column::Id)?,
            id_base: 16,
            length: find(Column::Length),
            data,
            byte_base: 16,
            labels: labels.into_iter().map(|(_, index)| index).collect(),
            bus: find(Column::Bus),
            extended: find(Column::Extended),
            remote: find(Column::Remote),
            error: find(Column::Error),
            fd: find(Column::Fd),
            brs: find(Column::Brs),
            esi: find(Column::Esi),
        })
    }

    /// Recognises rows of time, identifier, length and payload without a header.
    fn bare(delimiter: Delimiter, rows: &[Vec<&str>]) -> Option<Self> {
        let is_row = |row: &&Vec<&str>| {
            let [stamp, id, length, rest @ ..] = row.as_slice() else { return false };
            let Some(length) = number::<usize>(length, 10).filter(|length| *length <= 64) else {
                return false;
            };
            let is_byte = |cell: &&str| cell.len() <= 2 && number::<u8>(cell, 16).is_some();
            let bytes = rest.iter().take(length).filter(|cell| is_byte(cell)).count();
            let is_one = rest.first().is_some_and(|cell| cell.len() == 2 * length && packed(cell).is_ok());
            (scaled(stamp, 6).is_some() || clock(stamp).is_some())
                && id_of(id, 16, false).is_some()
                && (bytes == length || is_one)
        };
        let first = rows.iter().take(16).find(is_row)?;
        let mut table = Self {
            delimiter,
            header: Vec::new(),
            time: 0,
            unit: Unit::Seconds,
            id: 1,
            id_base: 16,
            length: Some(2),
            data: Data::Behind(3),
            byte_base: 16,
            labels: Vec::new(),
            bus: None,
            extended: None,
            remote: None,
            error: None,
            fd: None,
            brs: None,
            esi: None,
        };
        table.header.clear();
        (first.len() <= 3 + 64 + 1).then_some(table)
    }

    /// Tells units and bases from the first rows.
    fn guess(&mut self, rows: &[Vec<&str>]) {
        let cells = |index: usize| -> Vec<&str> {
            rows.iter().filter_map(|row| row.get(index).copied()).filter(|cell| !cell.is_empty()).collect()
        };
        let states_unit =
            self.header.get(self.time).is_some_and(|name| matches!(column(name), Column::Time(Some(_))));
        if !states_unit {
            self.unit = guess::time_unit(&cells(self.time));
        }
        self.id_base = guess::id_base(&cells(self.id));
        self.byte_base = match &self.data {
            Data::Cells(columns) => {
                let all: Vec<&str> = columns.iter().flat_map(|index| cells(*index)).collect();
                guess::byte_base(&all)
            }
            Data::Cell(_) | Data::Behind(_) => 16,
        };
    }

    fn row(&self, cells: &[&str], context: &mut Context) -> Result<Parsed, ProblemReason> {
        let cell = |index: usize| cells.get(index).copied().filter(|cell| !is_blank(cell));
        let set = |index: Option<usize>| index.and_then(cell).is_some_and(is_true);
        if set(self.error) {
            return Ok(Parsed::Note);
        }
        let at = self.at(cell(self.time).ok_or(ProblemReason::Time)?).ok_or(ProblemReason::Time)?;
        let id = cell(self.id).and_then(|text| id_of(text, self.id_base, set(self.extended)));
        let id = id.ok_or(ProblemReason::Identifier)?;
        let length = match self.length.and_then(cell) {
            Some(text) => Some(integer(text).ok_or(ProblemReason::Length)?),
            None => None,
        };
        let is_remote = set(self.remote);
        let (payload, shift, label) =
            if is_remote { (Payload::new(), 0, None) } else { self.payload(cells, length)? };
        let flags = FdFlags { brs: set(self.brs), esi: set(self.esi) };
        let frame = if is_remote {
            let code = length.and_then(|length| u8::try_from(length).ok()).and_then(Dlc::new);
            Frame::remote(id, code.ok_or(ProblemReason::Length)?)
        } else if set(self.fd) || payload.bytes().len() > 8 {
            built(Frame::fd(id, flags, payload.bytes()))?
        } else {
            built(Frame::classic(id, payload.bytes()))?
        };
        let bus = match self.bus.and_then(cell) {
            Some(name) => context.channels.bus(name, 0)?,
            None => context.channels.only(),
        };
        let at = if at >= ABSOLUTE_US {
            context.since_first(at)
        } else {
            VehicleMicros(u64::try_from(at).map_err(|_| ProblemReason::Time)?)
        };
        let named = self.labels.iter().filter_map(|index| cells.get(index.saturating_sub(shift)).copied());
        context.labels.set(named.chain(label));
        Ok(Parsed::Frame(TimedFrame { at, bus, frame }))
    }

    /// Reads the payload; then by how many cells the row is short, and a label behind it.
    fn payload<'a>(
        &self,
        cells: &[&'a str],
        length: Option<usize>,
    ) -> Result<(Payload, usize, Option<&'a str>), ProblemReason> {
        match &self.data {
            Data::Cell(index) => {
                let text = cells.get(*index).copied().unwrap_or("");
                Ok((whole(text, length)?, 0, None))
            }
            Data::Cells(columns) => {
                // Writers that leave absent bytes out shift what stands behind them.
                let absent = columns.len().saturating_sub(length.unwrap_or(columns.len()));
                let shift = if cells.len() + absent == self.header.len() { absent } else { 0 };
                let said = columns.iter().filter_map(|index| cells.get(*index).copied());
                let said = said.take_while(|cell| !is_blank(cell)).take(length.unwrap_or(columns.len()));
                let mut payload = Payload::new();
                for cell in said {
                    payload.push(byte(cell, self.byte_base).ok_or(ProblemReason::Data)?)?;
                }
                if length.is_some_and(|length| length > payload.bytes().len()) {
                    return Err(ProblemReason::DataMissing);
                }
                Ok((payload, shift, None))
            }
            Data::Behind(first) => {
                let rest = cells.get(*first..).unwrap_or(&[]);
                let length = length.ok_or(ProblemReason::Length)?;
                let one = rest.first().filter(|cell| length > 1 && cell.len() == 2 * length);
                if let Some(cell) = one {
                    return Ok((packed(cell)?, 0, rest.get(1).copied()));
                }
                let mut payload = Payload::new();
                for cell in rest.get(..length).ok_or(ProblemReason::DataMissing)? {
                    payload.push(byte(cell, 16).ok_or(ProblemReason::Data)?)?;
                }
                Ok((
                    payload,
                    0,
                    rest.get(length..).and_then(|rest| rest.iter().find(|cell| !cell.is_empty())).copied(),
                ))
            }
        }
    }

    /// Reads a time as microseconds.
    fn at(&self, text: &str) -> Option<i64> {
        if text.contains(':') {
            return iso_date(text).or_else(|| clock(text).and_then(|us| i64::try_from(us).ok()));
        }
        let places = match self.unit {
            Unit::Seconds => 6,
            Unit::Millis => 3,
            Unit::Micros | Unit::Nanos => 0,
        };
        let whole = scaled(text, places).or_else(|| float(text, places))?;
        i64::try_from(if self.unit == Unit::Nanos { whole / 1000 } else { whole }).ok()
    }
}

impl LineFormat for Table {
    fn parse(&mut self, line: &str, _number: u64, context: &mut Context) -> Result<Parsed, LineError> {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            return Ok(Parsed::Nothing);
        }
        let cells = self.delimiter.split(line);
        if !self.header.is_empty() && cells == self.header {
            return Ok(Parsed::Nothing); // files put together repeat it
        }
        Ok(self.row(&cells, context)?)
    }
}

fn is_blank(cell: &str) -> bool {
    cell.is_empty() || matches!(cell, "-" | "nan" | "NaN" | "None" | "null" | "NULL")
}

fn is_true(cell: &str) -> bool {
    matches!(cell.to_ascii_lowercase().as_str(), "1" | "true" | "t" | "yes" | "x" | "e" | "1.0")
}

/// Reads a whole number; data frames of statistics programs write `8.0`.
fn integer<T: TryFrom<u64>>(text: &str) -> Option<T> {
    number(text.strip_suffix(".0").unwrap_or(text), 10)
}

fn id_of(text: &str, base: u32, extended: bool) -> Option<CanId> {
    let (digits, base) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, base),
    };
    let digits = if base == 10 { digits.strip_suffix(".0").unwrap_or(digits) } else { digits };
    let digits = digits.strip_suffix(['x', 'X']).unwrap_or(digits);
    let value: u32 = number(digits, base)?;
    if extended || value > 0x7FF { CanId::extended(value) } else { CanId::standard(value) }
}

fn byte(text: &str, base: u32) -> Option<u8> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => number(digits, 16),
        None if base == 10 => integer(text),
        None => number(text, base),
    }
}

/// Reads a payload that stands in one cell: hexadecimal digits with or without separators, or base64.
fn whole(text: &str, length: Option<usize>) -> Result<Payload, ProblemReason> {
    let text = text.trim_matches(|letter: char| {
        matches!(letter, '[' | ']' | '(' | ')' | '\'' | '"') || letter.is_whitespace()
    });
    let text = text.strip_prefix("b'").unwrap_or(text);
    let is_separator =
        |letter: char| letter.is_whitespace() || matches!(letter, ',' | ':' | '-' | ';' | '|' | '_');
    let payload = if is_blank(text) {
        Payload::new()
    } else if text.contains(is_separator) {
        let mut payload = Payload::new();
        for word in text.split(is_separator).filter(|word| !word.is_empty()) {
            payload.push(byte(word, 16).ok_or(ProblemReason::Data)?)?;
        }
        payload
    } else {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let as_hex = packed(digits).ok();
        let is_whole = |payload: &Payload| length.is_none_or(|length| payload.bytes().len() >= length);
        let as_base64 = || unbase64(text).filter(|payload| Some(payload.bytes().len()) == length);
        match as_hex {
            Some(payload) if is_whole(&payload) => payload,
            short => as_base64().or(short).ok_or(ProblemReason::Data)?,
        }
    };
    match length {
        Some(length) if length > payload.bytes().len() => Err(ProblemReason::DataMissing),
        // Columns of a fixed width fill up with zeros.
        Some(length) if payload.bytes().iter().skip(length).all(|byte| *byte == 0) => Ok(payload.cut(length)),
        Some(_) => Err(ProblemReason::DataSurplus),
        None => Ok(payload),
    }
}

/// Reads a number with an exponent, as spreadsheets write.
fn float(text: &str, places: usize) -> Option<u64> {
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)?;
    let scale = (0..places).fold(1.0, |scale, _| scale * 10.0);
    let scaled = value * scale;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    (scaled < 9.0e18).then_some(scaled as u64)
}
