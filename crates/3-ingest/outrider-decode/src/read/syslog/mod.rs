//! Syslog: RFC 5424 and what is left of RFC 3164 in real life, in frames of RFC 6587.
//!
//! Keys: `facility`, `severity`, `version` (5424 only), `timestamp`, `timestamp_parts` (3164 only), `host`, `app`,
//! `proc_id`, `msg_id`, `data` (element, parameter; a repeated parameter is a list), `message`. What is absent or nil has
//! no key. A timestamp stays the text that it is; one of RFC 3164 has no year, and this crate has no clock to guess it.

mod header;
mod stamp;

use serde::{Deserialize, Serialize};

pub(super) use self::header::Header;
use super::budget::{Budget, Items, lines};
use crate::{Item, ReadError, ReadLimits, Reader};

/// Own reasons of this reader.
pub(super) const REASONS: &[&str] = &[
    "syslog.frame",
    "syslog.no_header",
    "syslog.priority",
    "syslog.header",
    "syslog.structured_data",
    "syslog.duplicate_id",
];

/// Most digits of the length before a message (RFC 6587, clause 3.4.1 names none); 10 digits are beyond any input here.
const LENGTH_DIGITS_MAX: usize = 10;

/// Options of the syslog reader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyslogSpec {
    /// How messages follow each other.
    pub framing: SyslogFraming,
}

/// How syslog messages follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyslogFraming {
    /// Octet counting if the input begins with a length and `<`, else lines.
    #[default]
    Auto,
    /// One message, as in a UDP datagram; may hold line ends.
    Single,
    /// A message a line; empty lines are left out (RFC 6587, clause 3.4.2).
    Lines,
    /// A decimal length and a space before each message (RFC 6587, clause 3.4.1).
    Octets,
}

impl Reader for SyslogSpec {
    fn read<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> Vec<Item<'a>> {
        let mut items = Items::new(limits);
        messages(bytes, self.framing, &mut items, &mut |message, items| read_one(message, limits, items));
        items.into_items()
    }
}

/// Cuts an input into messages and gives each to `take`.
pub(super) fn messages<'a>(
    bytes: &'a [u8],
    framing: SyslogFraming,
    items: &mut Items<'a>,
    take: &mut dyn FnMut(&'a [u8], &mut Items<'a>),
) {
    let framing = match framing {
        SyslogFraming::Auto => match counted(bytes) {
            Some((_, rest)) if rest.first() == Some(&b'<') => SyslogFraming::Octets,
            Some(_) | None => SyslogFraming::Lines,
        },
        SyslogFraming::Single | SyslogFraming::Lines | SyslogFraming::Octets => framing,
    };
    match framing {
        SyslogFraming::Single => {
            if !items.is_full(bytes) {
                take(trimmed(bytes), items);
            }
        }
        SyslogFraming::Auto | SyslogFraming::Lines => {
            for (start, line) in lines(bytes) {
                let line = trimmed(line);
                if line.is_empty() {
                    continue;
                }
                if items.is_full(&bytes[start..]) {
                    return;
                }
                take(line, items);
            }
        }
        SyslogFraming::Octets => octets(bytes, items, take),
    }
}

fn octets<'a>(bytes: &'a [u8], items: &mut Items<'a>, take: &mut dyn FnMut(&'a [u8], &mut Items<'a>)) {
    let mut rest = bytes;
    loop {
        // Some senders end each message with a line end all the same.
        while let Some(behind) = rest.strip_prefix(b"\n").or_else(|| rest.strip_prefix(b"\r")) {
            rest = behind;
        }
        if rest.is_empty() || items.is_full(rest) {
            return;
        }
        let place = bytes.len() - rest.len();
        let message =
            counted(rest).and_then(|(length, behind)| Some((behind.get(..length)?, behind.get(length..)?)));
        let Some((message, behind)) = message else {
            items.push(rest, Err(ReadError::new("syslog.frame", format!("length at byte {place}"))));
            return;
        };
        take(trimmed(message), items);
        rest = behind;
    }
}

/// Reads the length before a message; returns it and what is behind the space.
fn counted(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let digits = bytes.iter().take(LENGTH_DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > LENGTH_DIGITS_MAX || bytes[0] == b'0' {
        return None;
    }
    let length = std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()?;
    Some((length, bytes[digits..].strip_prefix(b" ")?))
}

/// Leaves out line ends and NUL behind a message.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n' | 0)).map_or(0, |last| last + 1);
    &bytes[..end]
}

fn read_one<'a>(message: &'a [u8], limits: &ReadLimits, items: &mut Items<'a>) {
    let read = Header::parse(message).and_then(|header| {
        if header.is_bare() {
            return Err(ReadError::new("syslog.no_header", "neither priority nor timestamp at byte 0"));
        }
        header.into_doc(&mut Budget::new(limits), 0)
    });
    match read {
        Err(error) => items.push(message, Err(error)),
        Ok((doc, repeated)) => {
            let number = items.next();
            items.push(message, Ok(doc));
            if repeated > 0 {
                let place =
                    format!("{repeated} repeated elements in document {number}; the first of each counts");
                items.note(ReadError::new("syslog.duplicate_id", place));
            }
        }
    }
}
