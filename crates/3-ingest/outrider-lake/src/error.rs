//! What can go wrong in the lake.

use deltalake_core::DeltaTableError;
use deltalake_core::datafusion::error::DataFusionError;

/// What kind of failure an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The caller gave something that cannot be accepted.
    Input,
    /// Trying again later may succeed.
    Transient,
    /// The configuration must change.
    Config,
    /// The program is wrong.
    Bug,
}

/// Error of opening, writing or maintaining the lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The location is neither a folder nor a URL that the lake can open.
    #[error("lake location {location:?} is not usable: {reason}")]
    Location {
        /// Location as configured.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no table at the location, and the lake was opened for reading.
    #[error("no event table at {location}")]
    Absent {
        /// Location as configured.
        location: String,
    },
    /// The table has a column of another type than this program writes.
    #[error("lake column {column} is {got}, expected {expected}")]
    Schema {
        /// Name of the column.
        column: String,
        /// Type that this program writes.
        expected: String,
        /// Type in the table.
        got: String,
    },
    /// The table has a layout of a later program; it can be read, not written.
    #[error("lake has layout {got}, this program writes up to {newest}")]
    Layout {
        /// What the table says.
        got: String,
        /// Newest layout of this program.
        newest: u32,
    },
    /// The lake was opened for reading.
    #[error("lake is open for reading only")]
    ReadOnly,
    /// A column of the batch has not the length of the batch.
    #[error("batch column {column} has {got} rows of {expected}")]
    Unsealed {
        /// Name of the column.
        column: String,
        /// Rows of the batch.
        expected: usize,
        /// Rows of the column.
        got: usize,
    },
    /// A batch holds something that the table cannot express.
    #[error("batch row {row}: {reason}")]
    Row {
        /// Row in the batch.
        row: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file's bytes are not those that were written.
    #[error("lake file {path} has checksum {got:08x}, written was {expected:08x}")]
    Damaged {
        /// Path of the file below the table.
        path: String,
        /// Checksum in its name.
        expected: u32,
        /// Checksum of what was read.
        got: u32,
    },
    /// Another writer has stored rows of the partition since this one asked where to begin.
    #[error("lake has partition {partition} up to {got}, not {expected}: another worker stored rows")]
    Moved {
        /// Number of the partition.
        partition: u16,
        /// First offset that this writer's rows begin at.
        expected: u64,
        /// First offset that the lake does not have.
        got: u64,
    },
    /// A legal hold is not valid, or cannot be read.
    #[error("hold: {reason}")]
    Hold {
        /// What is wrong with it.
        reason: String,
    },
    /// A retention is not valid, or cannot be read.
    #[error("retention: {reason}")]
    Retention {
        /// What is wrong with it.
        reason: String,
    },
    /// The table's storage or its log refused.
    #[error("lake table failed: {0}")]
    Table(#[from] DeltaTableError),
    /// The storage refused.
    #[error("lake storage failed: {0}")]
    Store(#[from] object_store::Error),
    /// Encoding or rewriting rows failed.
    #[error("lake rows failed: {0}")]
    Rows(#[from] DataFusionError),
}

impl LakeError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Location { .. } => "lake.location",
            Self::Absent { .. } => "lake.absent",
            Self::Schema { .. } => "lake.schema",
            Self::Layout { .. } => "lake.layout",
            Self::ReadOnly => "lake.read_only",
            Self::Unsealed { .. } => "lake.unsealed",
            Self::Row { .. } => "lake.row",
            Self::Damaged { .. } => "lake.damaged",
            Self::Moved { .. } => "lake.moved",
            Self::Hold { .. } => "lake.hold",
            Self::Retention { .. } => "lake.retention",
            Self::Table(_) => "lake.table",
            Self::Store(_) => "lake.store",
            Self::Rows(_) => "lake.rows",
        }
    }

    /// Returns the class.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Location { .. } | Self::Absent { .. } | Self::Schema { .. } | Self::Layout { .. } => {
                ErrorClass::Config
            }
            Self::Row { .. } | Self::Hold { .. } | Self::Retention { .. } => ErrorClass::Input,
            Self::ReadOnly | Self::Unsealed { .. } => ErrorClass::Bug,
            Self::Table(_) | Self::Store(_) | Self::Rows(_) | Self::Damaged { .. } | Self::Moved { .. } => {
                ErrorClass::Transient
            }
        }
    }
}

/// Error of a query.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is not one query.
    #[error("query is not valid: {0}")]
    Invalid(String),
    /// The text asks for more than reading the events.
    #[error("only one SELECT over the table events is allowed: {0}")]
    Refused(String),
    /// The query ran longer than its limit.
    #[error("query exceeded {limit_ms} ms")]
    Timeout {
        /// The limit, milliseconds.
        limit_ms: u128,
    },
    /// The query needed more memory or spill space than its limit.
    #[error("query exceeded its memory limit of {limit_bytes} bytes")]
    Memory {
        /// The limit, bytes.
        limit_bytes: usize,
    },
    /// The query failed while it ran.
    #[error("query failed: {0}")]
    Failed(String),
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

impl QueryError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "query.invalid",
            Self::Refused(_) => "query.refused",
            Self::Timeout { .. } => "query.timeout",
            Self::Memory { .. } => "query.memory",
            Self::Failed(_) => "query.failed",
            Self::Lake(error) => error.code(),
        }
    }

    /// Returns the class.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Invalid(_) | Self::Refused(_) | Self::Timeout { .. } | Self::Memory { .. } => {
                ErrorClass::Input
            }
            Self::Failed(_) => ErrorClass::Transient,
            Self::Lake(error) => error.class(),
        }
    }
}
