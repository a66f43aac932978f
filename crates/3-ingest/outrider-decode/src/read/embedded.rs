//! CEF and LEEF: a header of fields between bars, alone or inside a syslog message.

use super::budget::{Budget, Fields};
use super::syslog::Header;
use crate::ReadError;

/// A message cut at its marker.
pub(super) struct Cut<'a> {
    /// What stands before the marker: a syslog header, or nothing.
    pub(super) before: &'a [u8],
    /// Major version behind the marker.
    pub(super) version: &'a str,
    /// What is behind the bar behind the version.
    pub(super) rest: &'a [u8],
}

impl<'a> Cut<'a> {
    /// Finds `marker`, such as `CEF:`, a version of digits and points, and a bar.
    pub(super) fn find(bytes: &'a [u8], marker: &[u8]) -> Option<Self> {
        bytes.windows(marker.len()).enumerate().filter(|(_, window)| *window == marker).find_map(|(at, _)| {
            let behind = &bytes[at + marker.len()..];
            // `CEF: 0` and two digits more than any version has are seen, too.
            let behind = behind.strip_prefix(b" ").unwrap_or(behind);
            let end = behind.iter().take(8).position(|&byte| byte == b'|').filter(|&end| end > 0)?;
            let version = std::str::from_utf8(&behind[..end]).ok()?;
            let is_version = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            is_version.then_some(Self { before: &bytes[..at], version, rest: &behind[end + 1..] })
        })
    }

    /// Puts the syslog header, if there is one, under `syslog`.
    pub(super) fn put_syslog(&self, budget: &mut Budget, doc: &mut Fields) -> Result<(), ReadError> {
        if self.before.is_empty() {
            return Ok(());
        }
        // A header that no standard knows is kept as its `message`.
        let header = Header::parse(self.before).unwrap_or_else(|_| Header::unknown(self.before));
        let (header, _) = header.into_doc(budget, 1)?;
        doc.put(budget, "syslog", header)
    }
}

/// Takes a header field up to its bar, resolving `\|` and `\\`; without a bar all that is there is the field.
pub(super) fn bar_field(rest: &mut Option<&[u8]>, has_escapes: bool) -> Option<Vec<u8>> {
    let bytes = (*rest)?;
    let mut field = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1)) {
            (b'\\', Some(&next @ (b'|' | b'\\'))) if has_escapes => {
                field.push(next);
                at += 1;
            }
            (b'|', _) => {
                *rest = Some(&bytes[at + 1..]);
                return Some(field);
            }
            _ => field.push(byte),
        }
        at += 1;
    }
    *rest = None;
    Some(field)
}
