//! IBM QRadar Log Event Extended Format, versions 1.0 and 2.0.
//!
//! Keys: `syslog` (what stands before `LEEF:`), `version` (text), `vendor`, `product`, `device_version`, `event_id`,
//! `attributes` (all values are texts).

use serde::{Deserialize, Serialize};

use super::budget::{Budget, Fields, Items};
use super::embedded::{Cut, bar_field};
use super::syslog::{SyslogFraming, messages};
use crate::{Doc, Item, ReadError, ReadLimits, Reader};

/// Own reasons of this reader.
pub(super) const REASONS: &[&str] = &[
    "syslog.frame",
    "leef.no_header",
    "leef.version",
    "leef.header",
    "leef.delimiter",
    "leef.attribute",
    "leef.duplicate_key",
];

/// Options of the LEEF reader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeefSpec {
    /// How messages follow each other.
    pub framing: SyslogFraming,
}

/// A document with what was left out of it.
struct Read {
    doc: Doc,
    repeated: usize,
    keyless: usize,
}

impl Reader for LeefSpec {
    fn read<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> Vec<Item<'a>> {
        let mut items = Items::new(limits);
        messages(bytes, self.framing, &mut items, &mut |message, items| {
            let number = items.next();
            match read_one(message, &mut Budget::new(limits)) {
                Err(error) => items.push(message, Err(error)),
                Ok(Read { doc, repeated, keyless }) => {
                    items.push(message, Ok(doc));
                    if repeated > 0 {
                        let place = format!(
                            "{repeated} repeated keys in document {number}; the first of each counts"
                        );
                        items.note(ReadError::new("leef.duplicate_key", place));
                    }
                    if keyless > 0 {
                        let place = format!("{keyless} attributes without a key in document {number}");
                        items.note(ReadError::new("leef.attribute", place));
                    }
                }
            }
        });
        items.into_items()
    }
}

fn read_one(message: &[u8], budget: &mut Budget) -> Result<Read, ReadError> {
    let cut = Cut::find(message, b"LEEF:")
        .ok_or_else(|| ReadError::new("leef.no_header", "no version behind LEEF:"))?;
    let is_second = match cut.version {
        "1" | "1.0" => false,
        "2" | "2.0" => true,
        _ => return Err(ReadError::new("leef.version", "neither 1.0 nor 2.0")),
    };
    let mut doc = Fields::begin(budget, 0)?;
    cut.put_syslog(budget, &mut doc)?;
    doc.text(budget, "version", cut.version)?;
    let mut rest = Some(cut.rest);
    for key in ["vendor", "product", "device_version", "event_id"] {
        let field =
            bar_field(&mut rest, false).ok_or_else(|| ReadError::new("leef.header", format!("no {key}")))?;
        let value = budget.text_or_bytes(&field)?;
        doc.put(budget, key, value)?;
    }
    let mut attributes = rest.unwrap_or_default();
    let mut delimiter = b'\t';
    if is_second && let Some((named, behind)) = delimiter_field(attributes)? {
        delimiter = named;
        attributes = behind;
    }
    let mut keyless = 0;
    let mut map = Fields::begin(budget, 1)?;
    for part in attributes.split(|&byte| byte == delimiter) {
        if part.trim_ascii().is_empty() {
            continue;
        }
        let cut = part.iter().position(|&byte| byte == b'=');
        let key = cut.and_then(|end| std::str::from_utf8(part[..end].trim_ascii()).ok());
        let (Some(end), Some(key)) = (cut, key.filter(|key| !key.is_empty())) else {
            keyless += 1;
            continue;
        };
        let value = budget.text_or_bytes(&part[end + 1..])?;
        map.put(budget, key, value)?;
    }
    let (map, repeated) = map.end_unique();
    doc.put(budget, "attributes", map)?;
    Ok(Read { doc: doc.end(), repeated, keyless })
}

/// Reads the delimiter of version 2: one character, or hexadecimal as `x09` or `0x09`; nothing means tab. `None` if the
/// field is left out, which senders do: what stands before the next bar is then attributes.
fn delimiter_field(bytes: &[u8]) -> Result<Option<(u8, &[u8])>, ReadError> {
    // The longest form is `0x0009` with four digits.
    let Some(end) = bytes.iter().take(7).position(|&byte| byte == b'|') else { return Ok(None) };
    let (field, behind) = (&bytes[..end], &bytes[end + 1..]);
    let wrong = || ReadError::new("leef.delimiter", "neither one ASCII character nor hexadecimal");
    match field {
        [] => {
            // `||` may be the bar as delimiter: an empty field, then attributes; a bar cannot be told from the end.
            Ok(Some((b'\t', behind)))
        }
        [one] if one.is_ascii() => Ok(Some((*one, behind))),
        [b'0', b'x' | b'X', digits @ ..] | [b'x' | b'X', digits @ ..] | [b'\\', b'x', digits @ ..] => {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            let code = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
            let code = u8::try_from(code).ok().filter(u8::is_ascii).ok_or_else(wrong)?;
            Ok(Some((code, behind)))
        }
        _ if field.contains(&b'=') => Ok(None),
        b"\\t" | b"tab" => Ok(Some((b'\t', behind))),
        _ => Err(wrong()),
    }
}
