//! Descriptions of messages that are not verbose: the FIBEX files that logging tools write (`FRAME`s of `PDU`s, each a
//! constant text or signals of a coding).
//!
//! Read in one walk with a fixed state, without a tree and without recursion; document types are refused.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};

/// Largest file: a large ECU has some ten thousand messages of about 2 KiB each (guess).
const FILE_BYTES_MAX: usize = 32 << 20;
/// Most frames, PDUs and signals of each kind: ten times such an ECU (guess).
const ELEMENTS_MAX: usize = 200_000;
/// Most PDUs of a frame and signals of a PDU; a verbose message has at most 255 arguments.
const PARTS_MAX: usize = 255;
/// Longest name, identifier or constant text; what is longer is cut, as loggers cut theirs (guess).
const TEXT_BYTES_MAX: usize = 256;

/// Most constant text of one frame: a message of 4 bytes becomes a document with all of it. The longest log lines that
/// tools show have about 2 KiB (guess: twice that).
const FRAME_TEXT_BYTES_MAX: usize = 4_096;

/// Type of a value in a message that is not verbose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// One byte.
    Truth,
    /// Integer with sign of 1, 2, 4 or 8 bytes.
    Signed(usize),
    /// Integer without sign of 1, 2, 4 or 8 bytes.
    Unsigned(usize),
    /// Floating point number of 4 or 8 bytes.
    Float(usize),
    /// Length of 16 bits, then a text.
    Text,
    /// Length of 16 bits, then bytes.
    Raw,
}

/// A constant text, or the signals of one PDU in order.
#[derive(Debug, Default)]
pub(super) struct Pdu {
    pub(super) text: String,
    signals: Vec<(u32, String)>,
    pub(super) codings: Vec<Option<Coding>>,
}

/// What a message says.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) level: Option<&'static str>,
    pub(super) app: String,
    pub(super) context: String,
    pdus: Vec<(u32, String)>,
}

/// Descriptions by the number of the message.
#[derive(Debug, Default)]
pub(super) struct Fibex {
    pub(super) frames: BTreeMap<u32, Frame>,
    pdus: BTreeMap<String, Pdu>,
    /// Coding of a signal, and base type of a coding.
    signals: BTreeMap<String, String>,
    codings: BTreeMap<String, String>,
}

/// The element that is open and counts.
#[derive(Debug, Default)]
enum Open {
    #[default]
    None,
    Pdu(String, Pdu),
    Frame(Option<u32>, Frame),
    Signal(String),
    Coding(String),
}

impl Fibex {
    /// Reads a file.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(format!("larger than {FILE_BYTES_MAX} bytes"));
        }
        let mut reader = Reader::from_reader(bytes);
        let mut fibex = Self::default();
        let mut open = Open::None;
        let mut text = String::new();
        loop {
            let event = reader.read_event().map_err(|error| error.to_string())?;
            match event {
                Event::Eof => break,
                Event::DocType(_) => return Err("document type definitions are refused".to_owned()),
                Event::Start(start) => {
                    text.clear();
                    fibex.begin(&start, &mut open)?;
                }
                Event::Empty(start) => {
                    fibex.begin(&start, &mut open)?;
                    fibex.end(start.local_name().as_ref(), "", &mut open);
                }
                Event::End(end) => {
                    fibex.end(end.local_name().as_ref(), text.trim(), &mut open);
                    text.clear();
                }
                Event::Text(part) => add(&mut text, &part.decode().map_err(|error| error.to_string())?),
                Event::CData(part) => add(&mut text, &part.decode().map_err(|error| error.to_string())?),
                Event::GeneralRef(reference) => {
                    match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                        Some(character) => add(&mut text, character.encode_utf8(&mut [0; 4])),
                        None => {
                            let name = reference.decode().map_err(|error| error.to_string())?;
                            add(
                                &mut text,
                                resolve_xml_entity(&name).ok_or("an entity that is not XML's own")?,
                            );
                        }
                    }
                }
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            }
        }
        if fibex.frames.is_empty() {
            return Err("no FRAME whose ID ends with a number".to_owned());
        }
        fibex.resolve()?;
        Ok(fibex)
    }

    /// Returns the parts of a frame in order; a PDU that is not there is left out.
    pub(super) fn parts(&self, frame: &Frame) -> impl Iterator<Item = &Pdu> {
        frame.pdus.iter().filter_map(|(_, id)| self.pdus.get(id))
    }

    fn begin(&mut self, start: &BytesStart<'_>, open: &mut Open) -> Result<(), String> {
        let elements = self.frames.len() + self.pdus.len() + self.signals.len() + self.codings.len();
        if elements >= ELEMENTS_MAX {
            return Err(format!("more than {ELEMENTS_MAX} elements"));
        }
        let full = |count: usize| {
            if count < PARTS_MAX { Ok(()) } else { Err(format!("more than {PARTS_MAX} parts")) }
        };
        let id = |name: &[u8]| attribute(start, name);
        match (start.local_name().as_ref(), &mut *open) {
            (b"PDU", Open::None) => *open = Open::Pdu(id(b"ID"), Pdu::default()),
            (b"FRAME", Open::None) => {
                let id = id(b"ID");
                let digits = id.rsplit('_').next().unwrap_or_default();
                *open = Open::Frame(digits.parse().ok(), Frame::default());
            }
            (b"SIGNAL", Open::None) => *open = Open::Signal(id(b"ID")),
            (b"CODING", Open::None) => *open = Open::Coding(id(b"ID")),
            // Until its SEQUENCE-NUMBER comes, it stands behind the earlier ones.
            (b"SIGNAL-INSTANCE", Open::Pdu(_, pdu)) => {
                full(pdu.signals.len())?;
                pdu.signals.push((u32::MAX, String::new()));
            }
            (b"SIGNAL-REF", Open::Pdu(_, pdu)) => {
                if let Some((_, signal)) = pdu.signals.last_mut() {
                    *signal = id(b"ID-REF");
                }
            }
            (b"PDU-INSTANCE", Open::Frame(_, frame)) => {
                full(frame.pdus.len())?;
                frame.pdus.push((u32::MAX, String::new()));
            }
            (b"PDU-REF", Open::Frame(_, frame)) => {
                if let Some((_, pdu)) = frame.pdus.last_mut() {
                    *pdu = id(b"ID-REF");
                }
            }
            (b"CODING-REF", Open::Signal(signal)) => {
                self.signals.entry(std::mem::take(signal)).or_insert_with(|| id(b"ID-REF"));
            }
            (b"CODED-TYPE", Open::Coding(coding)) => {
                self.codings.entry(std::mem::take(coding)).or_insert_with(|| id(b"BASE-DATA-TYPE"));
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &[u8], text: &str, open: &mut Open) {
        let number = || text.parse::<u32>().unwrap_or(u32::MAX);
        match (name, &mut *open) {
            (b"PDU", Open::Pdu(id, pdu)) => {
                pdu.signals.sort_by_key(|(number, _)| *number);
                self.pdus.entry(std::mem::take(id)).or_insert_with(|| std::mem::take(pdu));
                *open = Open::None;
            }
            (b"FRAME", Open::Frame(id, frame)) => {
                frame.pdus.sort_by_key(|(number, _)| *number);
                if let Some(id) = *id {
                    self.frames.entry(id).or_insert_with(|| std::mem::take(frame));
                }
                *open = Open::None;
            }
            (b"SIGNAL", Open::Signal(_)) | (b"CODING", Open::Coding(_)) => *open = Open::None,
            (b"DESC", Open::Pdu(_, pdu)) => pdu.text = text.to_owned(),
            (b"SEQUENCE-NUMBER", Open::Pdu(_, pdu)) => {
                if let Some((place, _)) = pdu.signals.last_mut() {
                    *place = number();
                }
            }
            (b"SEQUENCE-NUMBER", Open::Frame(_, frame)) => {
                if let Some((place, _)) = frame.pdus.last_mut() {
                    *place = number();
                }
            }
            (b"SHORT-NAME", Open::Frame(_, frame)) => frame.name = text.to_owned(),
            (b"APPLICATION_ID", Open::Frame(_, frame)) => frame.app = text.to_owned(),
            (b"CONTEXT_ID", Open::Frame(_, frame)) => frame.context = text.to_owned(),
            (b"MESSAGE_INFO", Open::Frame(_, frame)) => frame.level = level(text),
            _ => {}
        }
    }

    /// Finds the type of every signal: by its own name, or by the base type of its coding.
    fn resolve(&mut self) -> Result<(), String> {
        for pdu in self.pdus.values_mut() {
            pdu.codings = pdu
                .signals
                .iter()
                .map(|(_, signal)| {
                    let base = self.signals.get(signal).and_then(|coding| self.codings.get(coding));
                    coding(signal).or_else(|| base.and_then(|base| coding(base)))
                })
                .collect();
        }
        for frame in self.frames.values() {
            let bytes: usize = self.parts(frame).map(|pdu| pdu.text.len()).sum();
            if bytes > FRAME_TEXT_BYTES_MAX {
                return Err(format!("a frame with more than {FRAME_TEXT_BYTES_MAX} bytes of text"));
            }
        }
        Ok(())
    }
}

/// Adds text up to the cap, at a border of characters.
fn add(text: &mut String, more: &str) {
    for character in more.chars() {
        if text.len() + character.len_utf8() > TEXT_BYTES_MAX {
            return;
        }
        text.push(character);
    }
}

fn attribute(start: &BytesStart<'_>, name: &[u8]) -> String {
    let mut value = String::new();
    for attribute in start.attributes().with_checks(false).flatten() {
        if attribute.key.local_name().as_ref() == name {
            add(&mut value, &String::from_utf8_lossy(&attribute.value));
            break;
        }
    }
    value
}

/// Reads the name of a signal (`S_UINT32`) or a base type (`A_UINT32`).
fn coding(name: &str) -> Option<Coding> {
    let name = name.strip_prefix("S_").or_else(|| name.strip_prefix("A_"))?;
    let sized = |prefix: &str| -> Option<usize> {
        match name.strip_prefix(prefix)? {
            "8" => Some(1),
            "16" => Some(2),
            "32" => Some(4),
            "64" => Some(8),
            _ => None,
        }
    };
    match name {
        "BOOL" => Some(Coding::Truth),
        "STRG_ASCII" | "STRG_UTF8" | "ASCIISTRING" | "UNICODE2STRING" => Some(Coding::Text),
        "RAWD" | "RAW" => Some(Coding::Raw),
        _ => sized("SINT")
            .or_else(|| sized("INT"))
            .map(Coding::Signed)
            .or_else(|| sized("UINT").map(Coding::Unsigned))
            .or_else(|| {
                sized("FLOA").or_else(|| sized("FLOAT")).filter(|size| *size >= 4).map(Coding::Float)
            }),
    }
}

fn level(text: &str) -> Option<&'static str> {
    let levels = ["fatal", "error", "warn", "info", "debug", "verbose"];
    let name = text.strip_prefix("DLT_LOG_")?;
    levels.into_iter().find(|level| level.eq_ignore_ascii_case(name))
}
