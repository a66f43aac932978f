//! JSON (RFC 8259): one object, a list of objects, a line each (NDJSON), or one behind the other.
//!
//! A document is an object or a list; another value is a reject. Numbers stay exact: an integer that fits 64 bits is `Int`; another number is the
//! nearest `Float`, unless it is an integer whose digits a `Float` would lose, or too large for one: then it is `Text`.
//! The walk is our own and not `serde_json`'s, because that one rounds integers of more than 64 bits (SIM card numbers
//! have 20 digits), refuses 1e400 and cannot say where a document of a stream ends; strings are still decoded by it.

mod parser;

use serde::{Deserialize, Serialize};

pub(crate) use self::parser::is_blank;

use self::parser::Parser;
use super::budget::{Budget, Items, lines};
use crate::{Doc, Item, ReadError, ReadLimits, Reader};

/// Own reasons of this reader.
pub(super) const REASONS: &[&str] =
    &["json.syntax", "json.end", "json.string", "json.not_object", "json.trailing", "json.duplicate_key"];

/// Options of the JSON reader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JsonSpec {
    /// How documents follow each other.
    pub framing: JsonFraming,
}

/// How JSON documents follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonFraming {
    /// A list if the first character is `[`, lines if the first line is a whole document, else concatenated.
    #[default]
    Auto,
    /// One document.
    Object,
    /// One list, each of whose values is a document.
    Array,
    /// A document a line; empty lines are left out. A bad line harms no other.
    Lines,
    /// Documents one behind the other, with or without blanks. Behind a bad one nothing can be told.
    Concatenated,
}

impl JsonSpec {
    /// Returns the input without a byte order mark, and how its documents follow each other.
    fn frame<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> (&'a [u8], JsonFraming) {
        // A byte order mark is no part of the text (RFC 8259, clause 8.1).
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let framing = match self.framing {
            JsonFraming::Auto => detect(bytes, limits),
            JsonFraming::Object | JsonFraming::Array | JsonFraming::Lines | JsonFraming::Concatenated => {
                self.framing
            }
        };
        (bytes, framing)
    }
}

impl Reader for JsonSpec {
    fn read<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> Vec<Item<'a>> {
        let mut items = Items::new(limits);
        let (bytes, framing) = self.frame(bytes, limits);
        match framing {
            JsonFraming::Auto | JsonFraming::Concatenated => concatenated(bytes, limits, &mut items),
            JsonFraming::Object => single(bytes, limits, &mut items),
            JsonFraming::Array => array(bytes, limits, &mut items),
            JsonFraming::Lines => {
                for (start, line) in lines(bytes) {
                    if parser::is_blank(line) {
                        continue;
                    }
                    if items.is_full(&bytes[start..]) {
                        break;
                    }
                    single(line, limits, &mut items);
                }
            }
        }
        items.into_items()
    }

    fn json_lines<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> Option<&'a [u8]> {
        let (bytes, framing) = self.frame(bytes, limits);
        (framing == JsonFraming::Lines).then_some(bytes)
    }
}

/// Reads one line of several; the same as [`JsonFraming::Lines`] makes of it, but for the number in a note's words.
pub(crate) fn json_line<'a>(line: &'a [u8], limits: &ReadLimits) -> Vec<Item<'a>> {
    let mut items = Items::new(limits);
    single(line, limits, &mut items);
    items.into_items()
}

/// Looks at the first character and the first line.
fn detect(bytes: &[u8], limits: &ReadLimits) -> JsonFraming {
    let mut parser = Parser::new(bytes);
    parser.skip_blanks();
    if parser.peek() == Some(b'[') {
        return JsonFraming::Array;
    }
    let first = lines(&bytes[parser.at()..]).next().map_or(&[][..], |(_, line)| line);
    let mut line = Parser::new(first);
    let is_whole = line.document(&mut Budget::new(limits)).is_ok() && {
        line.skip_blanks();
        line.peek().is_none()
    };
    if is_whole { JsonFraming::Lines } else { JsonFraming::Concatenated }
}

/// Reads one document that the parser stands at and adds it, and a note on repeated keys. Returns false if nothing can be
/// told of what is behind it.
fn one<'a>(parser: &mut Parser<'a>, limits: &ReadLimits, items: &mut Items<'a>) -> bool {
    let start = parser.at();
    match parser.document(&mut Budget::new(limits)) {
        Ok((doc, repeated)) => {
            add(parser.since(start), start, doc, repeated, items);
            true
        }
        Err(error) => {
            // What is too large, or has a bad string, still has brackets that say where it ends.
            let has_end = !matches!(error.reason, "json.syntax" | "json.end") && parser.skip(start);
            items.push(if has_end { parser.since(start) } else { parser.from(start) }, Err(error));
            has_end
        }
    }
}

/// Adds a value that was read: a document, or a reject if it is a bare number, text or word.
fn add<'a>(raw: &'a [u8], start: usize, doc: Doc, repeated: usize, items: &mut Items<'a>) {
    let number = items.next();
    if !matches!(doc, Doc::Map(_) | Doc::List(_)) {
        items.push(raw, Err(ReadError::new("json.not_object", format!("byte {start}"))));
        return;
    }
    items.push(raw, Ok(doc));
    if repeated > 0 {
        let place = format!("{repeated} repeated keys in document {number}; the first of each counts");
        items.note(ReadError::new("json.duplicate_key", place));
    }
}

fn single<'a>(bytes: &'a [u8], limits: &ReadLimits, items: &mut Items<'a>) {
    let mut parser = Parser::new(bytes);
    parser.skip_blanks();
    let start = parser.at();
    match parser.document(&mut Budget::new(limits)) {
        Err(error) => items.push(parser.from(start), Err(error)),
        Ok((doc, repeated)) => {
            let raw = parser.since(start);
            parser.skip_blanks();
            if parser.peek().is_some() {
                let place = format!("byte {}", parser.at());
                items.push(parser.from(start), Err(ReadError::new("json.trailing", place)));
            } else {
                add(raw, start, doc, repeated, items);
            }
        }
    }
}

fn concatenated<'a>(bytes: &'a [u8], limits: &ReadLimits, items: &mut Items<'a>) {
    let mut parser = Parser::new(bytes);
    loop {
        parser.skip_blanks();
        let start = parser.at();
        if parser.peek().is_none() || items.is_full(&bytes[start..]) {
            return;
        }
        if !one(&mut parser, limits, items) {
            return;
        }
    }
}

fn array<'a>(bytes: &'a [u8], limits: &ReadLimits, items: &mut Items<'a>) {
    let mut parser = Parser::new(bytes);
    parser.skip_blanks();
    let syntax = |at: usize| ReadError::new("json.syntax", format!("byte {at}"));
    if !parser.take(b'[') {
        items.push(bytes, Err(syntax(parser.at())));
        return;
    }
    parser.skip_blanks();
    let mut is_open = !parser.take(b']');
    while is_open {
        parser.skip_blanks();
        if items.is_full(parser.from(parser.at())) || !one(&mut parser, limits, items) {
            return;
        }
        parser.skip_blanks();
        if parser.take(b']') {
            is_open = false;
        } else if !parser.take(b',') {
            let reason = if parser.peek().is_none() { "json.end" } else { "json.syntax" };
            items.push(&bytes[parser.at()..], Err(ReadError::new(reason, format!("byte {}", parser.at()))));
            return;
        }
    }
    parser.skip_blanks();
    if parser.peek().is_some() {
        let place = format!("byte {}", parser.at());
        items.push(&bytes[parser.at()..], Err(ReadError::new("json.trailing", place)));
    }
}
