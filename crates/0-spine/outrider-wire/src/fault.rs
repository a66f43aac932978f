//! What can be wrong with a batch and with a row.

use core::fmt;

use outrider_types::{Lane, Seq};

use crate::pb::StructureError;

/// Why a batch cannot be read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchError {
    /// Its outermost structure is broken.
    Structure(StructureError),
    /// It has more entries of one kind than allowed.
    TooMany {
        /// Field number in `EventBatch`.
        field: u32,
        /// Highest number allowed.
        max: u32,
    },
}

impl BatchError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Structure(error) => error.code(),
            Self::TooMany { .. } => "wire.too_many",
        }
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Structure(error) => error.fmt(f),
            Self::TooMany { field, max } => write!(f, "more than {max} entries of field {field}"),
        }
    }
}

impl core::error::Error for BatchError {}

impl From<StructureError> for BatchError {
    fn from(error: StructureError) -> Self {
        Self::Structure(error)
    }
}

/// Why a row is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFault {
    /// Its structure is broken; no row after it can be read.
    Structure(StructureError),
    /// Number or time leaves the range of 64 bits; no row after it can be read.
    Overflow,
    /// The lane's number is unknown.
    Lane {
        /// Number found.
        got: u64,
    },
    /// The event type is 0 or above 65,535.
    EventType {
        /// Number found.
        got: u64,
    },
    /// Bus or ECU number is out of range.
    Place {
        /// Number found.
        got: u64,
    },
    /// Count or time span leaves the range of 64 bits.
    Count,
    /// More fields than allowed.
    Fields {
        /// Highest number allowed.
        max: u16,
    },
    /// A field key is 0 or above 65,535.
    Key {
        /// Number found.
        got: u64,
    },
    /// A text, bytes field or context is too long.
    Length {
        /// Highest length allowed.
        max: usize,
        /// Length found.
        got: usize,
    },
    /// A text is no UTF-8.
    Utf8,
    /// A range of numbers is empty or starts at 0, or an account of boots contradicts itself.
    Range,
}

/// A rejected row: which, where, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowError {
    /// Index among the rows of its kind in the batch, from 0.
    pub index: u32,
    /// Offset of the row's first byte in the batch.
    pub offset: usize,
    /// Lane and number, as far as they could be read; events only.
    pub id: Option<(Lane, Seq)>,
    /// What is wrong.
    pub fault: RowFault,
}

impl RowError {
    /// Returns the error's stable code, which is also the quarantine reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match &self.fault {
            RowFault::Structure(error) => error.code(),
            RowFault::Overflow => "row.overflow",
            RowFault::Lane { .. } => "row.lane",
            RowFault::EventType { .. } => "row.event_type",
            RowFault::Place { .. } => "row.place",
            RowFault::Count => "row.count",
            RowFault::Fields { .. } => "row.fields",
            RowFault::Key { .. } => "row.key",
            RowFault::Length { .. } => "row.length",
            RowFault::Utf8 => "row.utf8",
            RowFault::Range => "row.range",
        }
    }

    /// Returns true if no row after this one can be read.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self.fault, RowFault::Structure(_) | RowFault::Overflow)
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {} at offset {}: ", self.index, self.offset)?;
        match self.fault {
            RowFault::Structure(error) => error.fmt(f),
            RowFault::Overflow => f.write_str("number or time out of range"),
            RowFault::Lane { got } => write!(f, "unknown lane {got}"),
            RowFault::EventType { got } => write!(f, "event type {got} out of range"),
            RowFault::Place { got } => write!(f, "bus or ecu {got} out of range"),
            RowFault::Count => f.write_str("count or span out of range"),
            RowFault::Fields { max } => write!(f, "more than {max} fields"),
            RowFault::Key { got } => write!(f, "field key {got} out of range"),
            RowFault::Length { max, got } => write!(f, "value of {got} bytes, allowed are {max}"),
            RowFault::Utf8 => f.write_str("text is no utf-8"),
            RowFault::Range => f.write_str("empty range of numbers"),
        }
    }
}

impl core::error::Error for RowError {}
