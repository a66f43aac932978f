//! CSV as RFC 4180 has it, with a header.

use std::io::Read;

use super::patch::{Column, RowBuilder};
use super::source::Source;
use super::{COLUMNS_MAX, FileEntry, FileError, FileProblem, RECORD_BYTES_MAX, problem, structure};

/// Separators; that of the header's first name is taken.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// A CSV file behind its header.
pub(super) struct CsvFile {
    separator: u8,
    columns: Vec<Option<Column>>,
    record: Record,
}

/// Cells of one record, one behind the other.
#[derive(Default)]
struct Record {
    line: u64,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Record {
    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(from, to)| self.bytes.get(from..*to).unwrap_or_default())
    }
}

/// How reading a record ended.
enum Step {
    Record,
    Bad(FileProblem),
    End,
}

/// Where in a cell the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Plain,
    Quoted,
    /// Behind a quote in a quoted cell: a second one is a quote, anything else must end the cell.
    Quote,
}

impl CsvFile {
    /// Reads the header.
    pub(super) fn open<R: Read>(source: &mut Source<R>, ignore_unknown: bool) -> Result<Self, FileError> {
        let head = source.look(RECORD_BYTES_MAX)?;
        let ends = head.iter().position(|byte| *byte == b'\n' || SEPARATORS.contains(byte));
        let separator =
            ends.and_then(|at| head.get(at)).copied().filter(|byte| *byte != b'\n').unwrap_or(b',');
        let mut file = Self { separator, columns: Vec::new(), record: Record::default() };
        let line = source.line();
        match file.read(source)? {
            Step::Record => {}
            Step::Bad(problem) => return Err(FileError::Structure(problem)),
            Step::End => return Err(structure(line, "csv.no_header", "the file has no header")),
        }
        file.columns = file.header(ignore_unknown)?;
        Ok(file)
    }

    fn header(&self, ignore_unknown: bool) -> Result<Vec<Option<Column>>, FileError> {
        let line = self.record.line;
        let (mut columns, mut wrong) = (Vec::new(), Vec::new());
        for (number, cell) in self.record.cells().enumerate() {
            let column = std::str::from_utf8(cell).ok().and_then(Column::from_name);
            match column {
                // The name itself is not repeated: a file without header begins with a VIN.
                None if !ignore_unknown => {
                    wrong.push(format!("column {} is none of the registry", number + 1));
                }
                Some(_) if columns.contains(&column) => {
                    wrong.push(format!("column {} is there twice", number + 1));
                }
                None | Some(_) => {}
            }
            columns.push(column);
        }
        if !columns.iter().any(|column| matches!(column, Some(Column::Vin | Column::VehicleId))) {
            wrong.push("neither a column vin nor a column vehicle_id".to_owned());
        }
        if wrong.is_empty() { Ok(columns) } else { Err(structure(line, "csv.header", wrong.join("; "))) }
    }

    /// Returns the next vehicle.
    pub(super) fn next_entry<R: Read>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<Option<FileEntry>, FileError> {
        match self.read(source)? {
            Step::End => Ok(None),
            Step::Bad(problem) => Ok(Some(FileEntry::Refused(vec![problem]))),
            Step::Record => Ok(Some(self.row())),
        }
    }

    fn row(&self) -> FileEntry {
        let record = &self.record;
        if record.ends.len() != self.columns.len() {
            let text = format!("{} cells where the header has {}", record.ends.len(), self.columns.len());
            return FileEntry::Refused(vec![problem(record.line, "csv.cells", text)]);
        }
        let mut row = RowBuilder::new(record.line);
        for (number, (column, cell)) in self.columns.iter().zip(record.cells()).enumerate() {
            let Some(column) = column else { continue };
            match std::str::from_utf8(cell) {
                Ok(text) => row.set(*column, text),
                Err(_) => row.refuse("csv.utf8", format!("column {} is not UTF-8", number + 1)),
            }
        }
        row.finish()
    }

    /// Reads one record into `self.record`; empty lines are passed over.
    fn read<R: Read>(&mut self, source: &mut Source<R>) -> Result<Step, FileError> {
        while matches!(source.look(1)?.first(), Some(b'\n' | b'\r')) {
            source.skip(1);
        }
        let first = source.line();
        self.record.line = first;
        self.record.bytes.clear();
        self.record.ends.clear();
        let mut at = At::Start;
        loop {
            let line = source.line();
            let Some(byte) = source.take()? else {
                if at == At::Quoted {
                    return Ok(Step::Bad(lost(
                        first,
                        line,
                        "csv.open_quote",
                        "a quote is not closed before the end",
                    )));
                }
                if at == At::Start && self.record.ends.is_empty() {
                    return Ok(Step::End);
                }
                self.record.ends.push(self.record.bytes.len());
                return Ok(Step::Record);
            };
            if self.record.bytes.len() >= RECORD_BYTES_MAX || self.record.ends.len() >= COLUMNS_MAX {
                if byte != b'\n' {
                    source.skip_line()?;
                }
                let text =
                    format!("more than {RECORD_BYTES_MAX} bytes or {COLUMNS_MAX} cells; a quote may be open");
                return Ok(Step::Bad(lost(first, line, "csv.too_long", &text)));
            }
            at = match (at, byte) {
                (At::Start, b'"') => At::Quoted,
                (At::Quoted, b'"') => At::Quote,
                (At::Quoted, _) | (At::Quote, b'"') => {
                    self.record.bytes.push(byte);
                    At::Quoted
                }
                (At::Start | At::Plain | At::Quote, b'\n') => {
                    self.record.ends.push(self.record.bytes.len());
                    return Ok(Step::Record);
                }
                // The carriage return before a line feed; one that stands alone is a character like any other.
                (_, b'\r') if source.look(1)?.first().is_none_or(|next| *next == b'\n') => at,
                (_, byte) if byte == self.separator => {
                    self.record.ends.push(self.record.bytes.len());
                    At::Start
                }
                (At::Quote, _) => {
                    source.skip_line()?;
                    return Ok(Step::Bad(lost(first, line, "csv.quote", "text behind a closing quote")));
                }
                (At::Start | At::Plain, byte) => {
                    self.record.bytes.push(byte);
                    At::Plain
                }
            };
        }
    }
}

/// Problem that took the lines from its record's first to `last_line` with it.
fn lost(line: u64, last_line: u64, reason: &'static str, text: &str) -> FileProblem {
    FileProblem { line, last_line, reason, text: text.to_owned() }
}
