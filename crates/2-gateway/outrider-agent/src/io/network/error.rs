//! Why a description cannot be read.

use super::model::Place;
use crate::io::dbc::DbcError;

/// Why a file could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum DescriptionError {
    /// The operating system refused.
    #[error("description cannot be read")]
    Io(#[source] std::io::Error),
    /// There is nothing in it.
    #[error("description is empty")]
    Empty,
    /// It is longer than the bound.
    #[error("description has {bytes} bytes, at most {bytes_max} are read")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// It is UTF-16 that cannot be decoded.
    #[error("description is not valid UTF-16")]
    Encoding,
    /// It is not well-formed XML, or uses a part of XML that is refused.
    #[error("{place}: {reason}")]
    Xml {
        /// Where.
        place: Place,
        /// Why.
        reason: String,
    },
    /// It is XML of another kind.
    #[error("root element {element:?} is neither AUTOSAR nor FIBEX")]
    Root {
        /// Its root.
        element: String,
    },
    /// It is an LDF file that cannot be read on.
    #[error("{place}: {reason}")]
    Ldf {
        /// Where.
        place: Place,
        /// Why.
        reason: String,
    },
    /// It is none of the other formats, and no DBC file either.
    #[error("description is no ARXML, FIBEX or LDF; read as DBC: {0}")]
    Dbc(#[source] DbcError),
}

impl DescriptionError {
    /// Returns the error's code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "network.io",
            Self::Empty => "network.empty",
            Self::TooLarge { .. } => "network.too_large",
            Self::Encoding => "network.encoding",
            Self::Xml { .. } => "network.xml",
            Self::Root { .. } => "network.root",
            Self::Ldf { .. } => "network.ldf",
            Self::Dbc(error) => error.code(),
        }
    }
}
