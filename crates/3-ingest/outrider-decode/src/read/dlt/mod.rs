//! Diagnostic Log and Trace messages, protocol version 1 (AUTOSAR FO PRS LogAndTraceProtocol), with or without the storage
//! header of `.dlt` files.
//!
//! Keys: `storage_time` (`seconds`, `microseconds`), `counter`, `ecu`, `session`, `timestamp_us` (since the ECU started,
//! steps of 100 µs), `type`, `level` (log messages), `app`, `context`, `verbose`, then either `arguments` (each `type`,
//! `value` and, if given, `name`, `unit`, `raw`) or `message_id` and `payload`. With a description (FIBEX) a message that is not
//! verbose has `name`, `level`, `app`, `context` and `arguments`, too.
//!
//! The parser is our own: `dlt-core` 0.20 reads fixed-point arguments wrongly (it looks for quantisation and offset inside
//! the value's own bytes), gives up a whole message for one argument and brings `futures`.

mod argument;
mod fibex;

use serde::{Deserialize, Serialize};

use self::fibex::{Fibex, Frame};
use super::SpecError;
use super::budget::{Budget, Fields, Items};
use crate::{Doc, Item, ReadError, ReadLimits, Reader};

/// Own reasons of this reader.
pub(super) const REASONS: &[&str] = &["dlt.header", "dlt.version", "dlt.truncated", "dlt.argument"];

const STORAGE: &[u8] = b"DLT\x01";
const STORAGE_BYTES: usize = 16;
/// Marker of messages on serial lines.
const SERIAL: &[u8] = b"DLS\x01";

const HAS_EXTENDED: u8 = 1 << 0;
const IS_BIG_ENDIAN: u8 = 1 << 1;
const HAS_ECU: u8 = 1 << 2;
const HAS_SESSION: u8 = 1 << 3;
const HAS_TIMESTAMP: u8 = 1 << 4;

/// Options of the DLT reader. Storage headers are told by their marker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DltSpec {
    /// File with descriptions of messages that are not verbose (FIBEX).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fibex: Option<String>,
}

/// A DLT reader with its descriptions.
#[derive(Debug)]
pub(super) struct DltReader {
    fibex: Option<Fibex>,
}

impl DltReader {
    pub(super) fn build(spec: &DltSpec, files: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Self, SpecError> {
        let Some(name) = &spec.fibex else { return Ok(Self { fibex: None }) };
        let bytes =
            files(name).ok_or_else(|| SpecError::FileMissing { option: "fibex", name: name.clone() })?;
        let fibex = Fibex::read(&bytes).map_err(|why| SpecError::File {
            option: "fibex",
            name: name.clone(),
            why,
        })?;
        Ok(Self { fibex: Some(fibex) })
    }
}

impl Reader for DltReader {
    fn read<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> Vec<Item<'a>> {
        let mut items = Items::new(limits);
        let mut at = 0;
        while at < bytes.len() && !items.is_full(&bytes[at..]) {
            let rest = &bytes[at..];
            let place = |what: &str| format!("message at byte {at}: {what}");
            match Message::cut(rest) {
                Ok((message, length)) => {
                    let number = items.next();
                    match message.into_doc(self.fibex.as_ref(), &mut Budget::new(limits)) {
                        Err(error) => items.push(&rest[..length], Err(error)),
                        Ok((doc, None)) => items.push(&rest[..length], Ok(doc)),
                        Ok((doc, Some(argument))) => {
                            items.push(&rest[..length], Ok(doc));
                            let place = format!("argument {argument} of document {number}; kept as payload");
                            items.note(ReadError::new("dlt.argument", place));
                        }
                    }
                    at += length;
                }
                Err((reason, what)) => {
                    // The next storage header is the only mark in a damaged file.
                    let next = rest.windows(STORAGE.len()).skip(1).position(|window| window == STORAGE);
                    let bad = next.map_or(rest, |next| &rest[..=next]);
                    items.push(bad, Err(ReadError::new(reason, place(what))));
                    at += bad.len();
                }
            }
        }
        items.into_items()
    }
}

/// Bytes that are taken from the front.
#[derive(Debug, Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

/// Headers and payload of one message.
struct Message<'a> {
    storage: Option<(u32, u32)>,
    counter: u8,
    ecu: Option<&'a [u8]>,
    session: Option<u32>,
    ticks: Option<u32>,
    extended: Option<Extended<'a>>,
    is_big_endian: bool,
    payload: &'a [u8],
}

struct Extended<'a> {
    code: u8,
    arguments: u8,
    app: &'a [u8],
    context: &'a [u8],
}

impl<'a> Message<'a> {
    /// Cuts the message that begins here; returns it and its length with all headers.
    fn cut(bytes: &'a [u8]) -> Result<(Self, usize), (&'static str, &'static str)> {
        let mut cursor = Cursor(bytes);
        let mut storage = None;
        let mut storage_ecu = None;
        if bytes.starts_with(STORAGE) {
            let header = cursor.take(STORAGE_BYTES).ok_or(("dlt.truncated", "storage header"))?;
            let mut header = Cursor(&header[STORAGE.len()..]);
            if let (Some(seconds), Some(micros)) = (header.array(), header.array()) {
                storage = Some((u32::from_le_bytes(seconds), u32::from_le_bytes(micros)));
            }
            storage_ecu = Some(header.0);
        } else if let Some(rest) = bytes.strip_prefix(SERIAL) {
            cursor = Cursor(rest);
        }
        let before = bytes.len() - cursor.0.len();
        let [kind, counter, high, low] = cursor.array().ok_or(("dlt.truncated", "standard header"))?;
        if kind >> 5 != 1 {
            return Err(("dlt.version", "not version 1"));
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let body = length.checked_sub(4).ok_or(("dlt.header", "length below the header's"))?;
        let mut cursor = Cursor(cursor.take(body).ok_or(("dlt.truncated", "length beyond the input"))?);
        let short = ("dlt.header", "length below the headers'");
        let ecu = if kind & HAS_ECU == 0 { storage_ecu } else { Some(cursor.take(4).ok_or(short)?) };
        let mut word = |flag: u8| -> Result<Option<u32>, (&'static str, &'static str)> {
            if kind & flag == 0 {
                return Ok(None);
            }
            cursor.array().map(|word| Some(u32::from_be_bytes(word))).ok_or(short)
        };
        let session = word(HAS_SESSION)?;
        let ticks = word(HAS_TIMESTAMP)?;
        let extended = if kind & HAS_EXTENDED == 0 {
            None
        } else {
            let [code, arguments] = cursor.array().ok_or(short)?;
            let app = cursor.take(4).ok_or(short)?;
            let context = cursor.take(4).ok_or(short)?;
            Some(Extended { code, arguments, app, context })
        };
        let message = Self {
            storage,
            counter,
            ecu,
            session,
            ticks,
            extended,
            is_big_endian: kind & IS_BIG_ENDIAN != 0,
            payload: cursor.0,
        };
        Ok((message, before + length))
    }

    /// Makes a document of it; returns the first argument that could not be read, from 1.
    fn into_doc(self, fibex: Option<&Fibex>, budget: &mut Budget) -> Result<(Doc, Option<usize>), ReadError> {
        let mut doc = Fields::begin(budget, 0)?;
        if let Some((seconds, micros)) = self.storage {
            let mut time = Fields::begin(budget, 1)?;
            time.int(budget, "seconds", seconds)?;
            time.int(budget, "microseconds", micros)?;
            doc.put(budget, "storage_time", time.end())?;
        }
        doc.int(budget, "counter", self.counter)?;
        put_id(&mut doc, budget, "ecu", self.ecu)?;
        if let Some(session) = self.session {
            doc.int(budget, "session", session)?;
        }
        if let Some(ticks) = self.ticks {
            doc.int(budget, "timestamp_us", u64::from(ticks) * 100)?;
        }
        let mut verbose_arguments = None;
        if let Some(extended) = &self.extended {
            let (kind, detail) = kind_of(extended.code);
            doc.text(budget, "type", kind)?;
            if let Some((key, name)) = detail {
                doc.text(budget, key, name)?;
            }
            put_id(&mut doc, budget, "app", Some(extended.app))?;
            put_id(&mut doc, budget, "context", Some(extended.context))?;
            if extended.code & 1 != 0 {
                verbose_arguments = Some(usize::from(extended.arguments));
            }
        }
        let is_verbose = budget.truth(verbose_arguments.is_some())?;
        doc.put(budget, "verbose", is_verbose)?;
        let bad = match verbose_arguments {
            Some(count) => self.put_arguments(&mut doc, budget, count)?,
            None => self.put_payload(&mut doc, fibex, budget)?,
        };
        Ok((doc.end(), bad))
    }

    fn put_arguments(
        &self,
        doc: &mut Fields,
        budget: &mut Budget,
        count: usize,
    ) -> Result<Option<usize>, ReadError> {
        budget.depth(1)?;
        budget.value()?;
        let mut cursor = Cursor(self.payload);
        let mut list = Vec::new();
        let mut bad = None;
        for number in 1..=count {
            let before = cursor;
            match argument::cut(&mut cursor, self.is_big_endian) {
                Some(argument) => list.push(argument.into_doc(budget, 2)?),
                None => {
                    cursor = before;
                    bad = Some(number);
                    break;
                }
            }
        }
        doc.put(budget, "arguments", Doc::List(list))?;
        if !cursor.0.is_empty() {
            let payload = budget.blob(cursor.0)?;
            doc.put(budget, "payload", payload)?;
        }
        Ok(bad)
    }

    /// A message that is not verbose begins with its number; what follows only its author's description can tell.
    fn put_payload(
        &self,
        doc: &mut Fields,
        fibex: Option<&Fibex>,
        budget: &mut Budget,
    ) -> Result<Option<usize>, ReadError> {
        let mut cursor = Cursor(self.payload);
        let mut bad = None;
        if let Some(id) = cursor.array() {
            let id = if self.is_big_endian { u32::from_be_bytes(id) } else { u32::from_le_bytes(id) };
            doc.int(budget, "message_id", id)?;
            if let Some(fibex) = fibex
                && let Some(frame) = fibex.frames.get(&id)
            {
                bad = self.put_described(doc, (fibex, frame), &mut cursor, budget)?;
                if cursor.0.is_empty() {
                    return Ok(bad);
                }
            }
        }
        let payload = budget.blob(cursor.0)?;
        doc.put(budget, "payload", payload)?;
        Ok(bad)
    }

    /// Adds what a description says; a constant text before a value is the value's name.
    fn put_described(
        &self,
        doc: &mut Fields,
        (fibex, frame): (&Fibex, &Frame),
        cursor: &mut Cursor<'_>,
        budget: &mut Budget,
    ) -> Result<Option<usize>, ReadError> {
        if !frame.name.is_empty() {
            doc.text(budget, "name", &frame.name)?;
        }
        if self.extended.is_none() {
            if let Some(level) = frame.level {
                doc.text(budget, "level", level)?;
            }
            put_id(doc, budget, "app", Some(frame.app.as_bytes()))?;
            put_id(doc, budget, "context", Some(frame.context.as_bytes()))?;
        }
        budget.depth(1)?;
        budget.value()?;
        let mut list = Vec::new();
        let mut label: Option<&str> = None;
        let mut bad = None;
        let mut number = 0;
        'parts: for pdu in fibex.parts(frame) {
            if pdu.codings.is_empty() {
                if pdu.text.is_empty() {
                    continue;
                }
                if let Some(text) = label.replace(&pdu.text) {
                    list.push(argument::constant(text).into_doc(budget, 2)?);
                }
                continue;
            }
            for coding in &pdu.codings {
                number += 1;
                let before = *cursor;
                let name = label.take().map(|label| label.trim_end_matches([' ', ':', '=']));
                // A value of a type that is not known has an unknown length.
                let value =
                    coding.and_then(|coding| argument::described(cursor, self.is_big_endian, coding, name));
                let Some(value) = value else {
                    *cursor = before;
                    bad = Some(number);
                    break 'parts;
                };
                list.push(value.into_doc(budget, 2)?);
            }
        }
        if let Some(text) = label {
            list.push(argument::constant(text).into_doc(budget, 2)?);
        }
        doc.put(budget, "arguments", Doc::List(list))?;
        Ok(bad)
    }
}

/// Adds an identifier of up to four characters, filled with NUL.
fn put_id(doc: &mut Fields, budget: &mut Budget, key: &str, id: Option<&[u8]>) -> Result<(), ReadError> {
    let Some(id) = id.map(without_nul).filter(|id| !id.is_empty()) else { return Ok(()) };
    let id = budget.text_or_bytes(id)?;
    doc.put(budget, key, id)
}

/// Leaves out the NULs behind a text.
fn without_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// Names the type of a message and, of a log or control message, what more is said of it.
fn kind_of(code: u8) -> (&'static str, Option<(&'static str, &'static str)>) {
    let detail = code >> 4;
    match code >> 1 & 0b111 {
        0 => {
            let level = match detail {
                1 => "fatal",
                2 => "error",
                3 => "warn",
                4 => "info",
                5 => "debug",
                6 => "verbose",
                _ => "reserved",
            };
            ("log", Some(("level", level)))
        }
        1 => ("trace", None),
        2 => ("network", None),
        3 => ("control", Some(("control", if detail == 1 { "request" } else { "response" }))),
        _ => ("reserved", None),
    }
}
