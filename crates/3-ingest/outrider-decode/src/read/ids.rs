//! AUTOSAR IDS protocol frames, versions 1 and 2 (FO PRS IntrusionDetectionSystem), by the parser of `outrider-wire`.
//!
//! Keys: `message_id` (with the message header only), `version`, `idsm`, `sensor`, `event_id`, `count`, `timestamp`
//! (`source` "autosar" with `seconds` and `nanoseconds`, or "oem" with `value`), `context_version`, `context_altered`,
//! `context` (bytes), `signature` (bytes, not checked here).

use outrider_wire::ids_frame::{IdsFrameError, IdsMessage, IdsTimestamp, IdsView};
use serde::{Deserialize, Serialize};

use super::budget::{Budget, Fields, Items};
use crate::{Doc, Item, ReadError, ReadLimits, Reader};

/// Own reasons of this reader: those of the frame parser, and the message header's.
pub(super) const REASONS: &[&str] = &[
    "ids_frame.truncated",
    "ids_frame.version",
    "ids_frame.event",
    "ids_frame.count",
    "ids_frame.instance",
    "ids_frame.timestamp",
    "ids_frame.context",
    "ids_frame.signature",
    "ids_frame.output_full",
    "ids.header",
    "ids.length",
];

/// Bytes of the message header: id and length, four each.
const HEADER_BYTES: usize = 8;

/// Options of the IDS reader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdsSpec {
    /// Whether each message has the header of eight bytes (message id, length) that some Ethernet stacks put before it.
    /// The length counts what is behind the header.
    pub has_message_header: bool,
}

impl Reader for IdsSpec {
    fn read<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> Vec<Item<'a>> {
        let mut items = Items::new(limits);
        if self.has_message_header {
            with_headers(bytes, limits, &mut items);
        } else {
            frames(bytes, limits, &mut items);
        }
        items.into_items()
    }
}

fn place(bytes: &[u8], rest: &[u8], error: impl std::fmt::Display) -> String {
    format!("frame at byte {}: {error}", bytes.len() - rest.len())
}

/// Frames one behind the other; behind one whose parts cannot be told nothing can be read.
fn frames<'a>(bytes: &'a [u8], limits: &ReadLimits, items: &mut Items<'a>) {
    let mut rest = bytes;
    while !rest.is_empty() && !items.is_full(rest) {
        match IdsView::parse(rest) {
            Err(error) => {
                items.push(rest, Err(ReadError::new(error.code(), place(bytes, rest, error))));
                return;
            }
            Ok((view, behind)) => {
                let raw = &rest[..rest.len() - behind.len()];
                let doc = document(&view, None, limits, |error| place(bytes, rest, error));
                items.push(raw, doc);
                rest = behind;
            }
        }
    }
}

/// Messages of header and frame; a bad frame harms no other, because the length says where the next header is.
fn with_headers<'a>(bytes: &'a [u8], limits: &ReadLimits, items: &mut Items<'a>) {
    let mut rest = bytes;
    while !rest.is_empty() && !items.is_full(rest) {
        let cut = rest.split_at_checked(HEADER_BYTES).and_then(|(header, behind)| {
            let id = u32::from_be_bytes(header[..4].try_into().ok()?);
            let length = u32::from_be_bytes(header[4..].try_into().ok()?);
            let (frame, behind) = behind.split_at_checked(usize::try_from(length).ok()?)?;
            Some((id, frame, behind))
        });
        let Some((id, frame, behind)) = cut else {
            items.push(rest, Err(ReadError::new("ids.header", place(bytes, rest, "header or length"))));
            return;
        };
        let raw = &rest[..rest.len() - behind.len()];
        let doc = match IdsView::parse(frame) {
            Err(error) => Err(ReadError::new(error.code(), place(bytes, rest, error))),
            Ok((_, [_, ..])) => {
                Err(ReadError::new("ids.length", place(bytes, rest, "the length goes beyond the frame")))
            }
            Ok((view, [])) => document(&view, Some(id), limits, |error| place(bytes, rest, error)),
        };
        items.push(raw, doc);
        rest = behind;
    }
}

fn document(
    view: &IdsView<'_>,
    message_id: Option<u32>,
    limits: &ReadLimits,
    place: impl Fn(IdsFrameError) -> String,
) -> Result<Doc, ReadError> {
    let message = IdsMessage::parse(view).map_err(|error| ReadError::new(error.code(), place(error)))?;
    let budget = &mut Budget::new(limits);
    let mut doc = Fields::begin(budget, 0)?;
    if let Some(id) = message_id {
        doc.int(budget, "message_id", id)?;
    }
    doc.int(budget, "version", message.version.code())?;
    doc.int(budget, "idsm", message.instance.get())?;
    doc.int(budget, "sensor", message.sensor.get())?;
    doc.int(budget, "event_id", message.event.get())?;
    doc.int(budget, "count", message.count.get())?;
    if let Some(timestamp) = message.timestamp {
        let mut map = Fields::begin(budget, 1)?;
        match timestamp {
            IdsTimestamp::Autosar { seconds, nanos } => {
                map.text(budget, "source", "autosar")?;
                map.int(budget, "seconds", seconds)?;
                map.int(budget, "nanoseconds", nanos)?;
            }
            IdsTimestamp::Oem(value) => {
                map.text(budget, "source", "oem")?;
                map.int(budget, "value", value)?;
            }
        }
        doc.put(budget, "timestamp", map.end())?;
    }
    if let Some(context) = message.context {
        if let Some(layout) = context.layout {
            doc.int(budget, "context_version", layout.version)?;
            let is_altered = budget.truth(layout.is_altered)?;
            doc.put(budget, "context_altered", is_altered)?;
        }
        let bytes = budget.blob(context.bytes)?;
        doc.put(budget, "context", bytes)?;
    }
    if let Some(signature) = message.signature {
        let bytes = budget.blob(signature)?;
        doc.put(budget, "signature", bytes)?;
    }
    Ok(doc.end())
}
