#![doc = include_str!("../README.md")]

mod doc;
mod layout;
mod map;
mod read;
mod record;
mod shape;
mod vrl;

pub use self::vrl::{VrlError, VrlMap, vrl_functions};
pub use doc::{Doc, Item, ReadError, ReadLimits, Reader};
pub use layout::{Layout, LayoutError};
pub use map::{Conversion, FieldMap, FieldMapError, Literal, MapError, Mapping, Path, PathError, TimeForm};
pub use read::{
    CefSpec, IdsSpec, JsonFraming, JsonSpec, LeefSpec, ReaderSpec, SpecError, SyslogFraming, SyslogSpec,
};
pub use record::{Decoded, FormatDecoder, Output, Payload, Record, Refusal, TypeName, Value, VehicleName};
pub use shape::to_json;
