//! Readers of foreign formats: bytes in, documents and counted rejects out.
//!
//! Every reader is total: any bytes end in items, within the caps of [`ReadLimits`](crate::ReadLimits), without recursion
//! on input and in time linear in the input (times the allowed depth at worst). What goes beyond a cap is an error of the
//! reasons `read.*`, the same in every format; each format adds a closed list of its own, see [`ReaderSpec::reasons`].

mod budget;
mod cbor;
mod cef;
mod csv;
mod dlt;
mod embedded;
mod ids;
mod json;
mod leef;
mod protobuf;
mod spec;
mod syslog;

pub use self::csv::CsvSpec;
pub(crate) use budget::lines;
pub use cbor::{CborFraming, CborSpec};
pub use cef::CefSpec;
pub use dlt::DltSpec;
pub use ids::IdsSpec;
pub use json::{JsonFraming, JsonSpec};
pub(crate) use json::{is_blank, json_line};
pub use leef::LeefSpec;
pub use protobuf::{ProtobufFraming, ProtobufSpec};
pub use spec::{ReaderSpec, SpecError};
pub use syslog::{SyslogFraming, SyslogSpec};

/// Reasons that every reader has: a cap of [`ReadLimits`](crate::ReadLimits) was reached.
const CAPS: [&str; 4] = ["read.too_many", "read.values", "read.depth", "read.bytes"];
