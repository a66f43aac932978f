//! Files of the vehicle registry: CSV, NDJSON or a JSON array, read as a stream.
//!
//! Everything in a file is hostile. A record that cannot be used is refused with its line and reason, and reading goes
//! on; nothing is dropped in silence. No message repeats what a cell holds, because a cell may hold a VIN (PRIV-1).

mod csv;
mod json;
mod patch;
mod source;
mod vin;

use std::io::{self, Read};

use outrider_types::VehicleId;

pub use patch::{COLUMNS, ECUS_MAX, FEATURES_MAX, TEXT_BYTES_MAX, VehiclePatch};
pub use vin::{Vin, VinError};

use csv::CsvFile;
use json::{ArrayFile, LinesFile};
use source::Source;

/// Largest record, in bytes: a vehicle with 256 ECUs whose names have 40 characters fits.
pub const RECORD_BYTES_MAX: usize = 64 << 10;
/// Most columns of a CSV file: five of each of 256 ECUs and the vehicle's own.
pub const COLUMNS_MAX: usize = 1400;
/// Problems kept of one record.
pub const PROBLEMS_MAX: usize = 16;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// RFC 4180 with a header; separated by comma, semicolon or tab.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// One array of JSON objects.
    Json,
}

/// How a file is to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileOptions {
    /// Format; found out from the first byte if `None`.
    pub format: Option<FileFormat>,
    /// Whether columns that the registry does not know are skipped; else they are an error.
    pub ignore_unknown: bool,
}

/// What a record calls its vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VehicleName {
    /// VIN; becomes a pseudonym in the vault before anything else sees it.
    Vin(Vin),
    /// Pseudonym.
    Pseudonym(VehicleId),
}

/// One vehicle of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// Line of its first byte, from 1.
    pub line: u64,
    /// Which vehicle.
    pub name: VehicleName,
    /// What the file says of it.
    pub patch: VehiclePatch,
}

/// Why a record, or the rest of a file, is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// First line, from 1.
    pub line: u64,
    /// Last line that was lost with it.
    pub last_line: u64,
    /// Stable code of the form `place.fact`.
    pub reason: &'static str,
    /// What is wrong, without the contents of any cell.
    pub text: String,
}

/// What a file holds next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileEntry {
    /// A vehicle.
    Row(Box<FileRow>),
    /// A record with everything that is wrong with it, at least one thing.
    Refused(Vec<FileProblem>),
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file itself.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    /// From here on nothing can be understood.
    #[error("line {}: {}", .0.line, .0.text)]
    Structure(FileProblem),
}

/// A registry file that is read record by record in bounded memory.
pub struct VehicleFile<R> {
    source: Source<R>,
    kind: Kind,
    is_over: bool,
}

enum Kind {
    Csv(CsvFile),
    Ndjson(LinesFile),
    Json(ArrayFile),
}

impl<R: Read> VehicleFile<R> {
    /// Begins to read: finds the format and, of CSV, the columns.
    ///
    /// # Errors
    /// [`FileError`]: not UTF-8, no header, unknown, repeated or missing columns (all of them at once).
    pub fn open(reader: R, options: FileOptions) -> Result<Self, FileError> {
        let mut source = Source::new(reader);
        let head = source.look(4)?;
        if head.starts_with(&[0xFF, 0xFE]) || head.starts_with(&[0xFE, 0xFF]) {
            return Err(structure(1, "file.utf16", "the file is UTF-16: save it as UTF-8"));
        }
        if head.starts_with(&[0x1F, 0x8B])
            || head.starts_with(&[0x28, 0xB5, 0x2F, 0xFD])
            || head.starts_with(b"PK")
        {
            return Err(structure(1, "file.compressed", "the file is compressed: unpack it first"));
        }
        if head.starts_with(&[0xEF, 0xBB, 0xBF]) {
            source.skip(3);
        }
        source.skip_space()?;
        let format = match (options.format, source.look(1)?.first()) {
            (Some(format), _) => format,
            (None, Some(b'[')) => FileFormat::Json,
            (None, Some(b'{')) => FileFormat::Ndjson,
            (None, Some(_) | None) => FileFormat::Csv,
        };
        let kind = match format {
            FileFormat::Csv => Kind::Csv(CsvFile::open(&mut source, options.ignore_unknown)?),
            FileFormat::Ndjson => Kind::Ndjson(LinesFile::new(options.ignore_unknown)),
            FileFormat::Json => Kind::Json(ArrayFile::open(&mut source, options.ignore_unknown)?),
        };
        Ok(Self { source, kind, is_over: false })
    }

    /// Returns the next record, `None` at the end.
    ///
    /// # Errors
    /// [`FileError`]; nothing comes after it.
    pub fn next_entry(&mut self) -> Result<Option<FileEntry>, FileError> {
        if self.is_over {
            return Ok(None);
        }
        let next = match &mut self.kind {
            Kind::Csv(file) => file.next_entry(&mut self.source),
            Kind::Ndjson(file) => file.next_entry(&mut self.source),
            Kind::Json(file) => file.next_entry(&mut self.source),
        };
        self.is_over = !matches!(next, Ok(Some(_)));
        next
    }

    /// Returns how many bytes have been read.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.source.bytes()
    }
}

/// Error that ends a file.
fn structure(line: u64, reason: &'static str, text: impl Into<String>) -> FileError {
    FileError::Structure(problem(line, reason, text))
}

/// Problem of one line.
fn problem(line: u64, reason: &'static str, text: impl Into<String>) -> FileProblem {
    FileProblem { line, last_line: line, reason, text: text.into() }
}

#[cfg(test)]
mod tests;
