//! Which reader, with which options: what a package or a feed's configuration says.

use serde::{Deserialize, Serialize};

use super::cbor::CborSpec;
use super::cef::CefSpec;
use super::csv::CsvSpec;
use super::dlt::{DltReader, DltSpec};
use super::ids::IdsSpec;
use super::json::JsonSpec;
use super::leef::LeefSpec;
use super::protobuf::{ProtobufReader, ProtobufSpec};
use super::syslog::SyslogSpec;
use super::{CAPS, cbor, cef, csv, dlt, ids, json, leef, protobuf, syslog};
use crate::Reader;
use crate::layout::{self, Layout, LayoutSpec};

/// A reader and its options, tagged by `format`.
///
/// Option tables refuse names that they do not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReaderSpec {
    /// JSON texts (RFC 8259).
    Json(JsonSpec),
    /// Syslog (RFC 5424, RFC 3164).
    Syslog(SyslogSpec),
    /// ArcSight Common Event Format.
    Cef(CefSpec),
    /// QRadar Log Event Extended Format.
    Leef(LeefSpec),
    /// AUTOSAR IDS protocol.
    Ids(IdsSpec),
    /// CBOR (RFC 8949).
    Cbor(CborSpec),
    /// Protocol Buffers by a descriptor set.
    Protobuf(ProtobufSpec),
    /// Diagnostic Log and Trace.
    Dlt(DltSpec),
    /// CSV (RFC 4180).
    Csv(CsvSpec),
    /// A format that a package describes by its bits.
    Layout(LayoutSpec),
}

/// Why no reader can be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A file that the options name is not there.
    #[error("file {name:?}, named by option {option}, is not in the package")]
    FileMissing {
        /// Option that names it.
        option: &'static str,
        /// Its name.
        name: String,
    },
    /// A file is not what the option needs.
    #[error("file {name:?}, named by option {option}, cannot be used: {why}")]
    File {
        /// Option that names it.
        option: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// An option has a value that the reader cannot work with.
    #[error("option {option}: {why}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl SpecError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::FileMissing { .. } => "reader_spec.file_missing",
            Self::File { .. } => "reader_spec.file",
            Self::Option { .. } => "reader_spec.option",
        }
    }
}

impl ReaderSpec {
    /// Builds the reader. `files` gives the bytes of a file that the options name.
    ///
    /// # Errors
    /// [`SpecError`]: a file is missing or damaged, or an option makes no sense.
    pub fn build(&self, files: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Box<dyn Reader>, SpecError> {
        Ok(match self {
            Self::Json(spec) => Box::new(spec.clone()),
            Self::Syslog(spec) => Box::new(spec.clone()),
            Self::Cef(spec) => Box::new(spec.clone()),
            Self::Leef(spec) => Box::new(spec.clone()),
            Self::Ids(spec) => Box::new(spec.clone()),
            Self::Dlt(spec) => Box::new(DltReader::build(spec, files)?),
            Self::Csv(spec) => {
                spec.check()?;
                Box::new(spec.clone())
            }
            Self::Cbor(spec) => Box::new(spec.clone()),
            Self::Protobuf(spec) => Box::new(ProtobufReader::build(spec, files)?),
            Self::Layout(spec) => Box::new(build_layout(spec, files)?),
        })
    }

    /// Returns every reason that an error of this reader can have, without the four `read.*` that all have.
    #[must_use]
    pub const fn own_reasons(&self) -> &'static [&'static str] {
        match self {
            Self::Json(_) => json::REASONS,
            Self::Syslog(_) => syslog::REASONS,
            Self::Cef(_) => cef::REASONS,
            Self::Leef(_) => leef::REASONS,
            Self::Ids(_) => ids::REASONS,
            Self::Dlt(_) => dlt::REASONS,
            Self::Csv(_) => csv::REASONS,
            Self::Cbor(_) => cbor::REASONS,
            Self::Protobuf(_) => protobuf::REASONS,
            Self::Layout(_) => layout::REASONS,
        }
    }

    /// Returns every reason that an error of this reader can have.
    #[must_use]
    pub fn reasons(&self) -> Vec<&'static str> {
        CAPS.iter().chain(self.own_reasons()).copied().collect()
    }
}

fn build_layout(spec: &LayoutSpec, files: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Layout, SpecError> {
    let (option, name) = ("file", spec.file.clone());
    let Some(bytes) = files(&name) else { return Err(SpecError::FileMissing { option, name }) };
    let layout = match std::str::from_utf8(&bytes) {
        Ok(text) => Layout::parse(text).map_err(|error| error.to_string()),
        Err(_) => Err("not UTF-8".to_owned()),
    };
    layout.map_err(|why| SpecError::File { option, name, why })
}
