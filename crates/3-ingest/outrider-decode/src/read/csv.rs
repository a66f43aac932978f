//! CSV (RFC 4180): a row becomes a document of columns and texts.
//!
//! A cell is a text, the empty one too; which is a number the mapping says. Quotation marks that are never closed reach to
//! the end of the input, as the standard has no other reading.

use ::csv::{ByteRecord, ReaderBuilder};
use serde::{Deserialize, Serialize};

use super::SpecError;
use super::budget::{Budget, Fields, Items};
use crate::{Doc, Item, ReadError, ReadLimits, Reader};

/// Own reasons of this reader.
pub(super) const REASONS: &[&str] = &["csv.header", "csv.columns", "csv.duplicate_column"];

/// Longest name of a column: every row repeats it in its document, so it bounds memory by a multiple of the input. The
/// longest seen in exports of backends have about 60 characters (guess: twice that).
const NAME_BYTES_MAX: usize = 128;

/// Options of the CSV reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CsvSpec {
    /// Character between cells, ASCII.
    pub delimiter: char,
    /// Names of the columns; if empty, the first row has them.
    pub columns: Vec<String>,
}

impl Default for CsvSpec {
    fn default() -> Self {
        Self { delimiter: ',', columns: Vec::new() }
    }
}

impl CsvSpec {
    /// Checks the options.
    pub(super) fn check(&self) -> Result<(), SpecError> {
        let wrong = |option, why: &str| Err(SpecError::Option { option, why: why.to_owned() });
        if !self.delimiter.is_ascii() || matches!(self.delimiter, '"' | '\r' | '\n') {
            return wrong("delimiter", "no ASCII character, or a quotation mark or line end");
        }
        if self.columns.iter().any(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
            return wrong("columns", "a name is empty or longer than 128 bytes");
        }
        Ok(())
    }
}

impl Reader for CsvSpec {
    fn read<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> Vec<Item<'a>> {
        let mut items = Items::new(limits);
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let delimiter = u8::try_from(self.delimiter).unwrap_or(b',');
        let mut reader =
            ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
        let mut record = ByteRecord::new();
        let mut columns = self.columns.clone();
        let mut start = 0;
        // From memory and flexible: no error is left that could be met.
        while reader.read_byte_record(&mut record).unwrap_or(false) {
            let end = usize::try_from(reader.position().byte()).unwrap_or(bytes.len()).min(bytes.len());
            let raw = bytes.get(start..end).unwrap_or_default();
            let rest = bytes.get(start..).unwrap_or_default();
            start = end;
            if columns.is_empty() {
                match header(&record, limits) {
                    Err(error) => {
                        items.push(rest, Err(error));
                        break;
                    }
                    Ok((names, repeated)) => {
                        columns = names;
                        if repeated > 0 {
                            let place = format!("{repeated} repeated columns; the first of each counts");
                            items.note(ReadError::new("csv.duplicate_column", place));
                        }
                    }
                }
                continue;
            }
            if items.is_full(rest) {
                break;
            }
            let number = items.next();
            let doc = if record.len() == columns.len() {
                row(&record, &columns, &mut Budget::new(limits))
            } else {
                let place = format!("row {number}: {} cells, {} columns", record.len(), columns.len());
                Err(ReadError::new("csv.columns", place))
            };
            items.push(raw, doc);
        }
        items.into_items()
    }
}

/// Reads the names of the columns; one that repeats an earlier one, or is empty, is no column.
fn header(record: &ByteRecord, limits: &ReadLimits) -> Result<(Vec<String>, usize), ReadError> {
    if record.len() > limits.values_max {
        return Err(ReadError::new("csv.header", format!("{} columns", record.len())));
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut names = Vec::with_capacity(record.len());
    let mut repeated = 0;
    for (index, cell) in record.iter().enumerate() {
        let name = std::str::from_utf8(cell)
            .ok()
            .map(str::trim)
            .filter(|name| name.len() <= NAME_BYTES_MAX)
            .ok_or_else(|| ReadError::new("csv.header", format!("name of column {}", index + 1)))?;
        let is_new = name.is_empty() || seen.insert(name.to_owned());
        repeated += usize::from(!is_new);
        names.push(if is_new { name.to_owned() } else { String::new() });
    }
    Ok((names, repeated))
}

fn row(record: &ByteRecord, columns: &[String], budget: &mut Budget) -> Result<Doc, ReadError> {
    let mut doc = Fields::begin(budget, 0)?;
    for (name, cell) in columns.iter().zip(record) {
        if !name.is_empty() {
            let value = budget.text_or_bytes(cell)?;
            doc.put(budget, name, value)?;
        }
    }
    Ok(doc.end_unique().0)
}
