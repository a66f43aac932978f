//! The extension: `key=value` pairs between blanks, whose values may hold blanks.

use std::collections::BTreeMap;

use crate::read::budget::{Budget, Fields};
use crate::{Doc, ReadError};

/// Characters of keys: letters and digits by the standard; points, underscores, dashes and brackets in custom keys.
const fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'[' | b']')
}

/// Cuts an extension into keys and values, which are still escaped. A value ends at the blank before the next key; an
/// equals sign that no key stands before, as in an address, is part of the value. `None`: text before the first key.
pub(super) fn pairs(bytes: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut pairs: Vec<(&str, &[u8])> = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    // Where the word that may become a key begins.
    let mut word = Some(0);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => {
                word = None;
                at += 1;
            }
            b'=' => {
                if let Some(start) = word.filter(|&start| start < at) {
                    if let Some((key, begin)) = open {
                        pairs.push((key, value(bytes, begin, start)));
                    } else if !bytes[..start].trim_ascii().is_empty() {
                        return None;
                    }
                    open = std::str::from_utf8(&bytes[start..at]).ok().map(|key| (key, at + 1));
                }
                word = None;
            }
            b' ' | b'\t' | b'\r' | b'\n' => word = Some(at + 1),
            _ if is_key(byte) => {}
            _ => word = None,
        }
        at += 1;
    }
    match open {
        Some((key, begin)) => pairs.push((key, value(bytes, begin, bytes.len()))),
        None if !bytes.trim_ascii().is_empty() => return None,
        None => {}
    }
    Some(pairs)
}

/// Returns a value without the blanks behind it.
fn value(bytes: &[u8], begin: usize, end: usize) -> &[u8] {
    bytes.get(begin..end).unwrap_or_default().trim_ascii_end()
}

/// Resolves `\=`, `\\`, `\n`, `\r` and, which the standard does not ask for, `\|`; another backslash stays.
pub(super) fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        let escaped = match rest.peek() {
            Some(&next @ (b'=' | b'\\' | b'|')) => Some(next),
            Some(b'n') => Some(b'\n'),
            Some(b'r') => Some(b'\r'),
            Some(_) | None => None,
        };
        match escaped {
            Some(escaped) if byte == b'\\' => {
                out.push(escaped);
                rest.next();
            }
            Some(_) | None => out.push(byte),
        }
    }
    out
}

/// Collects the value of every key that has a label; of two equal labels the first counts.
pub(super) fn labels(extension: &Doc, budget: &mut Budget) -> Result<Option<Doc>, ReadError> {
    let Doc::Map(entries) = extension else { return Ok(None) };
    let values: BTreeMap<&str, &Doc> = entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let mut found = Vec::new();
    for (key, label) in entries {
        if let Some(base) = key.strip_suffix("Label")
            && let Some(value) = values.get(base)
            && let Some(label) = label.as_text().filter(|label| !label.is_empty())
        {
            found.push((label, *value));
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let mut labels = Fields::begin(budget, 1)?;
    for (label, value) in found {
        let value = match value {
            Doc::Text(text) => budget.text(text)?,
            Doc::Bytes(bytes) => budget.blob(bytes)?,
            Doc::Null | Doc::Bool(_) | Doc::Int(_) | Doc::Float(_) | Doc::List(_) | Doc::Map(_) => continue,
        };
        labels.put(budget, label, value)?;
    }
    Ok(Some(labels.end_unique().0))
}
