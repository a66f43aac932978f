//! Protocol Buffers by a descriptor set, through `prost-reflect`.
//!
//! Keys are the fields' names in the `.proto` file; a field that is not there has no key, unless `with_defaults` is said.
//! An enum is the name of its value, or the number if it has none; `google.protobuf.Timestamp` is an RFC 3339 text. Fields
//! that the descriptor does not know are kept in `unknown` under their number, and counted. Groups and messages nest at
//! most 100 deep in the library and as deep as the caps allow here.

mod convert;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::{Deserialize, Serialize};

use super::SpecError;
use super::budget::{Budget, Items};
use crate::{Item, ReadError, ReadLimits, Reader};

/// Own reasons of this reader.
pub(super) const REASONS: &[&str] = &["protobuf.decode", "protobuf.length", "protobuf.unknown_field"];

/// Options of the Protobuf reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtobufSpec {
    /// File with a `FileDescriptorSet`, as `protoc --include_imports --descriptor_set_out` writes it.
    pub descriptors: String,
    /// Full name of the message, such as `acme.telemetry.v1.Event`.
    pub message: String,
    /// How messages follow each other.
    #[serde(default)]
    pub framing: ProtobufFraming,
    /// Whether fields that are not there appear with their default, where the syntax cannot tell the two apart.
    #[serde(default)]
    pub with_defaults: bool,
}

/// How Protobuf messages follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProtobufFraming {
    /// The input is one message.
    #[default]
    Single,
    /// A varint with the length before each message. A bad message harms no other.
    Delimited,
}

/// Largest descriptor set that is read: that of every Google API is about 10 MiB, a car maker's far less (guess).
const DESCRIPTORS_BYTES_MAX: usize = 4 << 20;

/// A descriptor set with one of its messages chosen.
#[derive(Debug)]
pub(super) struct ProtobufReader {
    message: MessageDescriptor,
    framing: ProtobufFraming,
    with_defaults: bool,
}

impl ProtobufReader {
    pub(super) fn build(
        spec: &ProtobufSpec,
        files: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, SpecError> {
        let name = || spec.descriptors.clone();
        let bytes = files(&spec.descriptors)
            .ok_or_else(|| SpecError::FileMissing { option: "descriptors", name: name() })?;
        let wrong = |why: String| SpecError::File { option: "descriptors", name: name(), why };
        if bytes.len() > DESCRIPTORS_BYTES_MAX {
            return Err(wrong(format!("larger than {DESCRIPTORS_BYTES_MAX} bytes")));
        }
        // prost-reflect 0.16.5 panics while it words some errors: `Label::new` indexes the pool's files before the file is
        // among them. Nothing of the pool is left then, so a caught panic leaves nothing half done.
        let pool = std::panic::catch_unwind(|| DescriptorPool::decode(bytes.as_slice()))
            .map_err(|_| wrong("not a descriptor set that names all that it uses".to_owned()))?
            .map_err(|error| wrong(error.to_string()))?;
        let message = pool.get_message_by_name(&spec.message).ok_or_else(|| SpecError::Option {
            option: "message",
            why: "the descriptor set has no message of this name".to_owned(),
        })?;
        Ok(Self { message, framing: spec.framing, with_defaults: spec.with_defaults })
    }

    fn read_one<'a>(
        &self,
        raw: &'a [u8],
        message: &'a [u8],
        start: usize,
        limits: &ReadLimits,
        items: &mut Items<'a>,
    ) {
        let number = items.next();
        // The library takes memory before the budget can be asked: many times the bytes of the message, not more.
        if message.len() > limits.bytes_max {
            items.push(raw, Err(ReadError::new("read.bytes", format!("message at byte {start}"))));
            return;
        }
        let read = DynamicMessage::decode(self.message.clone(), message)
            // The library's words hold names of the descriptor set only, but may be long.
            .map_err(|_| ReadError::new("protobuf.decode", format!("message at byte {start}")))
            .and_then(|message| {
                let budget = &mut Budget::new(limits);
                convert::message(&message, self.with_defaults, budget, 0)
            });
        match read {
            Err(error) => items.push(raw, Err(error)),
            Ok((doc, unknown)) => {
                items.push(raw, Ok(doc));
                if unknown > 0 {
                    let place = format!("{unknown} unknown fields in document {number}; kept");
                    items.note(ReadError::new("protobuf.unknown_field", place));
                }
            }
        }
    }
}

impl Reader for ProtobufReader {
    fn read<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> Vec<Item<'a>> {
        let mut items = Items::new(limits);
        if self.framing == ProtobufFraming::Single {
            // No bytes are a message of defaults; but there is no document without bytes.
            if !bytes.is_empty() && !items.is_full(bytes) {
                self.read_one(bytes, bytes, 0, limits, &mut items);
            }
            return items.into_items();
        }
        let mut rest = bytes;
        while !rest.is_empty() && !items.is_full(rest) {
            let start = bytes.len() - rest.len();
            let mut behind = rest;
            let length = prost_reflect::prost::encoding::decode_varint(&mut behind);
            let cut = length.ok().and_then(|length| behind.split_at_checked(usize::try_from(length).ok()?));
            let Some((message, next)) = cut else {
                items.push(rest, Err(ReadError::new("protobuf.length", format!("byte {start}"))));
                break;
            };
            self.read_one(&rest[..rest.len() - next.len()], message, start, limits, &mut items);
            rest = next;
        }
        items.into_items()
    }
}
