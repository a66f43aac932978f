#![doc = include_str!("../README.md")]

mod doc;
mod layout;
mod map;
mod record;

pub use doc::{Doc, Item, ReadError, ReadLimits, Reader};
pub use layout::{Layout, LayoutError};
pub use map::{Conversion, FieldMap, FieldMapError, Literal, MapError, Mapping, Path, PathError, TimeForm};
pub use record::{Decoded, FormatDecoder, Output, Payload, Record, Refusal, TypeName, Value, VehicleName};
