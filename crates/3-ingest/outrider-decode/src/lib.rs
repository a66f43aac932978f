#![doc = include_str!("../README.md")]

mod diff;
mod doc;
mod layout;
mod map;
mod package;
mod read;
mod record;
mod shape;
mod table;
mod vrl;

pub use self::vrl::{VrlError, VrlMap, vrl_functions};
pub use diff::{Difference, Shadow, ShadowReport, differences};
pub use doc::{Doc, Item, ReadError, ReadLimits, Reader};
pub use layout::{Layout, LayoutError, LayoutSpec};
pub use map::{Conversion, FieldMap, FieldMapError, Literal, MapError, Mapping, Path, PathError, TimeForm};
pub use package::{
    ArchiveError, FILES_MAX, Files, Manifest, ManifestError, PACKAGE_BYTES_MAX, Package, PackageError,
    Release, ReleaseRange, SampleOutcome, SampleReport, Trusted, Version,
};
pub use read::{
    CborFraming, CborSpec, CefSpec, CsvSpec, DltSpec, IdsSpec, JsonFraming, JsonSpec, LeefSpec,
    ProtobufFraming, ProtobufSpec, ReaderSpec, SpecError, SyslogFraming, SyslogSpec,
};
pub use record::{Decoded, FormatDecoder, Output, Payload, Record, Refusal, TypeName, Value, VehicleName};
pub use shape::to_json;
pub use table::DecoderTable;
