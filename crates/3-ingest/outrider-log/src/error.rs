//! Why the log cannot be opened.

use std::path::PathBuf;

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

/// Error of opening the event log.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration asks for no partition at all.
    #[error("event log needs at least one partition")]
    NoPartition,
    /// The folder holds a log with another number of partitions.
    #[error("event log in {path} has {got} partitions, the configuration says {expected}")]
    Partitions {
        /// Folder of the log.
        path: PathBuf,
        /// Number in the configuration.
        expected: u16,
        /// Number that the log was created with.
        got: u16,
    },
    /// Another process holds the log.
    #[error("event log in {path} is in use by another process")]
    InUse {
        /// Folder of the log.
        path: PathBuf,
    },
    /// The log's own bookkeeping is damaged.
    #[error("event log in {path} is damaged: {place}")]
    Damaged {
        /// Folder of the log.
        path: PathBuf,
        /// What is damaged, in words.
        place: String,
    },
    /// The storage engine refused.
    #[error("event log in {path} cannot be opened: {reason}")]
    Storage {
        /// Folder of the log.
        path: PathBuf,
        /// What the engine said.
        reason: String,
    },
}

impl OpenError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoPartition => "log.no_partition",
            Self::Partitions { .. } => "log.partitions",
            Self::InUse { .. } => "log.in_use",
            Self::Damaged { .. } => "log.damaged",
            Self::Storage { .. } => "log.storage",
        }
    }

    /// Returns the class.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::NoPartition | Self::Partitions { .. } => ErrorClass::Config,
            Self::InUse { .. } | Self::Storage { .. } => ErrorClass::Transient,
            Self::Damaged { .. } => ErrorClass::Input,
        }
    }
}
