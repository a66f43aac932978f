#![doc = include_str!("../README.md")]

mod columns;
mod diff;
mod doc;
mod layout;
mod lines;
mod map;
mod package;
mod read;
mod record;
mod shape;
mod table;
mod vrl;

pub use self::vrl::{VrlError, VrlMap, vrl_functions};
pub use columns::{Bounds, Columns, HOST_FIELDS_MAX, Host, Place};
pub use diff::{Difference, Shadow, ShadowReport, differences};
pub use doc::{Doc, Item, ReadError, ReadLimits, Reader};
pub use layout::{Layout, LayoutError, LayoutSpec};
pub use map::{
    Conversion, EventRef, FieldMap, FieldMapError, Literal, MapError, Mapping, NameRef, Path, PathError,
    TimeForm, TypeRef, ValueRef,
};
pub use package::{
    ArchiveError, FILES_MAX, Files, Manifest, ManifestError, PACKAGE_BYTES_MAX, Package, PackageError,
    Release, ReleaseRange, SampleOutcome, SampleReport, Trusted, Version,
};
pub use read::{
    CborFraming, CborSpec, CefSpec, CsvSpec, DltSpec, IdsSpec, JsonFraming, JsonSpec, LeefSpec,
    ProtobufFraming, ProtobufSpec, ReaderSpec, SpecError, SyslogFraming, SyslogSpec,
};
pub use record::{
    Appended, Decoded, FormatDecoder, Output, Payload, Record, Refusal, TypeName, Value, VehicleName,
};
pub use shape::to_json;
pub use table::DecoderTable;
