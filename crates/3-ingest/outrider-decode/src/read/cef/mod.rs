//! ArcSight Common Event Format, versions 0 and 1 ("Implementing ArcSight Common Event Format", versions 25 and 26).
//!
//! Keys: `syslog` (what stands before `CEF:`), `version`, `vendor`, `product`, `device_version`, `signature_id`, `name`,
//! `severity` (integer, or the text of it), `extension` (all values are texts) and `labels`: the value of `cs1` under the
//! name that `cs1Label` gives it, and so on for every key with a label.

mod extension;

use serde::{Deserialize, Serialize};

use super::budget::{Budget, Fields, Items};
use super::embedded::{Cut, bar_field};
use super::syslog::{SyslogFraming, messages};
use crate::{Doc, Item, ReadError, ReadLimits, Reader};

/// Own reasons of this reader.
pub(super) const REASONS: &[&str] =
    &["syslog.frame", "cef.no_header", "cef.version", "cef.header", "cef.extension", "cef.duplicate_key"];

/// Options of the CEF reader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CefSpec {
    /// How messages follow each other; in `single` a value may hold line ends.
    pub framing: SyslogFraming,
}

impl Reader for CefSpec {
    fn read<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> Vec<Item<'a>> {
        let mut items = Items::new(limits);
        messages(bytes, self.framing, &mut items, &mut |message, items| match read_one(
            message,
            &mut Budget::new(limits),
        ) {
            Err(error) => items.push(message, Err(error)),
            Ok((doc, repeated)) => {
                let number = items.next();
                items.push(message, Ok(doc));
                if repeated > 0 {
                    let place =
                        format!("{repeated} repeated keys in document {number}; the first of each counts");
                    items.note(ReadError::new("cef.duplicate_key", place));
                }
            }
        });
        items.into_items()
    }
}

fn read_one(message: &[u8], budget: &mut Budget) -> Result<(Doc, usize), ReadError> {
    let cut = Cut::find(message, b"CEF:")
        .ok_or_else(|| ReadError::new("cef.no_header", "no version behind CEF:"))?;
    let version = match cut.version {
        "0" | "0.0" | "0.1" => 0,
        "1" | "1.0" | "1.1" | "1.2" => 1,
        _ => return Err(ReadError::new("cef.version", "neither 0 nor 1")),
    };
    let mut doc = Fields::begin(budget, 0)?;
    cut.put_syslog(budget, &mut doc)?;
    doc.int(budget, "version", version)?;
    let mut rest = Some(cut.rest);
    for key in ["vendor", "product", "device_version", "signature_id", "name", "severity"] {
        let field =
            bar_field(&mut rest, true).ok_or_else(|| ReadError::new("cef.header", format!("no {key}")))?;
        let value = match std::str::from_utf8(&field).ok().and_then(|text| text.parse::<i64>().ok()) {
            Some(number) if key == "severity" => budget.int(number)?,
            Some(_) | None => budget.text_or_bytes(&field)?,
        };
        doc.put(budget, key, value)?;
    }
    let pairs = extension::pairs(rest.unwrap_or_default())
        .ok_or_else(|| ReadError::new("cef.extension", "text before the first key"))?;
    let mut extension = Fields::begin(budget, 1)?;
    for (key, value) in &pairs {
        let value = budget.text_or_bytes(&extension::unescaped(value))?;
        extension.put(budget, key, value)?;
    }
    let (extension, repeated) = extension.end_unique();
    let labels = extension::labels(&extension, budget)?;
    doc.put(budget, "extension", extension)?;
    if let Some(labels) = labels {
        doc.put(budget, "labels", labels)?;
    }
    Ok((doc.end(), repeated))
}
