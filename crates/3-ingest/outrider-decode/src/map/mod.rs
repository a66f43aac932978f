//! From documents to records.

mod convert;
mod event;
mod field_map;
mod name;
mod path;
mod rest;
mod scalar;

pub use convert::{Conversion, Literal, TimeForm};
pub use event::{EventRef, NameRef, TypeRef, ValueRef};
pub use field_map::{FieldMap, FieldMapError};
pub use path::{Path, PathError};

pub(crate) use convert::{TEXT_BYTES_MAX, cut, hex, plain, severity, word};
pub(crate) use name::{from_hex, vin};
pub(crate) use path::Step;
pub(crate) use rest::{EXTENSIONS_MAX, Kept, is_namespace, push_index, push_name};
pub(crate) use scalar::{Scalar, Source, cut_short, join};

use crate::doc::Doc;
use crate::record::Output;

/// Why a mapping made nothing of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapError {
    /// Reason from the closed list: `map.vehicle`, `map.type`, `map.time`, `map.field`, `map.payload`, `map.abort`,
    /// `map.shape`, `map.output`.
    pub reason: &'static str,
    /// Where and why, in words; never holds the document's texts.
    pub place: String,
}

impl MapError {
    pub(crate) fn new(reason: &'static str, place: impl Into<String>) -> Self {
        Self { reason, place: place.into() }
    }
}

/// Turns one document into an output; `None` leaves it out on purpose.
pub trait Mapping: std::fmt::Debug + Send + Sync {
    /// Maps a document.
    ///
    /// # Errors
    /// [`MapError`].
    fn map(&self, doc: Doc) -> Result<Option<Output>, MapError>;

    /// Returns the table, of a mapping that is one.
    fn table(&self) -> Option<&FieldMap> {
        None
    }
}
