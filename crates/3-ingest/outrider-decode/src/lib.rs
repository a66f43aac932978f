#![doc = include_str!("../README.md")]

mod doc;
mod record;

pub use doc::{Doc, Item, ReadError, ReadLimits, Reader};
pub use record::{Decoded, FormatDecoder, Output, Payload, Record, Refusal, TypeName, Value, VehicleName};
