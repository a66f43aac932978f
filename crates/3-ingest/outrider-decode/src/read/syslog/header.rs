//! Header of one message.

use super::stamp::{Stamp, iso};
use crate::read::budget::{Budget, Fields};
use crate::{Doc, ReadError};

/// Longest tag of RFC 3164 that is believed: 32 by clause 4.1.3, half as much again for what senders do (guess).
const TAG_BYTES_MAX: usize = 48;
/// Largest priority: facility 23, severity 7 (RFC 5424, clause 6.2.1).
const PRIORITY_MAX: u16 = 191;

/// Parameters of one element, in order; values still escaped.
type Element<'a> = (&'a str, Vec<(&'a str, &'a [u8])>);

/// One message, cut into its parts.
#[derive(Debug, Default)]
pub(in crate::read) struct Header<'a> {
    priority: Option<u16>,
    version: Option<u16>,
    timestamp: Option<&'a [u8]>,
    parts: Option<Stamp<'a>>,
    host: Option<&'a [u8]>,
    app: Option<&'a [u8]>,
    proc_id: Option<&'a [u8]>,
    msg_id: Option<&'a [u8]>,
    data: Vec<Element<'a>>,
    message: &'a [u8],
}

impl<'a> Header<'a> {
    /// Returns a message that is no header at all.
    pub(in crate::read) fn unknown(message: &'a [u8]) -> Self {
        Self { message, ..Self::default() }
    }

    /// Cuts a message. One without priority and timestamp is all `message`.
    pub(in crate::read) fn parse(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let mut header = Self::default();
        let mut rest = bytes;
        if let Some(behind) = bytes.strip_prefix(b"<") {
            let (priority, behind) = number(behind, 3)
                .and_then(|(priority, behind)| Some((priority, behind.strip_prefix(b">")?)))
                .filter(|(priority, _)| *priority <= PRIORITY_MAX)
                .ok_or_else(|| ReadError::new("syslog.priority", "byte 0"))?;
            header.priority = Some(priority);
            rest = behind;
            if let Some((version, behind)) = number(rest, 3)
                && version > 0
                && let Some(behind) = behind.strip_prefix(b" ")
                && (behind.starts_with(b"- ") || iso(behind).is_some())
            {
                header.version = Some(version);
                header.parse_5424(behind, bytes.len())?;
                return Ok(header);
            }
        }
        header.parse_3164(rest);
        Ok(header)
    }

    /// Returns whether neither priority nor timestamp was found.
    pub(in crate::read) const fn is_bare(&self) -> bool {
        self.priority.is_none() && self.timestamp.is_none()
    }

    /// RFC 5424, clause 6, behind the version.
    fn parse_5424(&mut self, bytes: &'a [u8], total: usize) -> Result<(), ReadError> {
        let mut rest = bytes;
        let mut field = |limit: usize| {
            let end = rest.iter().take(limit + 1).position(|&byte| byte == b' ');
            let place = total - rest.len();
            let end = end
                .filter(|&end| end > 0)
                .ok_or_else(|| ReadError::new("syslog.header", format!("field at byte {place}")))?;
            let value = &rest[..end];
            rest = &rest[end + 1..];
            Ok::<_, ReadError>((value != b"-").then_some(value))
        };
        // The lengths of the fields are those of clause 6; the timestamp's is the longest that clause 6.2.3 allows.
        self.timestamp = field(32)?;
        self.host = field(255)?;
        self.app = field(48)?;
        self.proc_id = field(128)?;
        self.msg_id = field(32)?;
        let mut rest = match rest.strip_prefix(b"-") {
            Some(behind) => behind,
            None => self.structured_data(rest, total)?,
        };
        if !rest.is_empty() {
            let place = total - rest.len();
            rest = rest
                .strip_prefix(b" ")
                .ok_or_else(|| ReadError::new("syslog.structured_data", format!("byte {place}")))?;
        }
        self.message = rest.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(rest);
        Ok(())
    }

    /// Reads `[id name="value"…]…` (clause 6.3); returns what is behind.
    fn structured_data(&mut self, bytes: &'a [u8], total: usize) -> Result<&'a [u8], ReadError> {
        let mut rest = bytes;
        let wrong =
            |rest: &[u8]| ReadError::new("syslog.structured_data", format!("byte {}", total - rest.len()));
        if !rest.starts_with(b"[") {
            return Err(wrong(rest));
        }
        while let Some(behind) = rest.strip_prefix(b"[") {
            let (id, mut inner) = name(behind).ok_or_else(|| wrong(behind))?;
            let mut parameters = Vec::new();
            loop {
                if let Some(behind) = inner.strip_prefix(b"]") {
                    rest = behind;
                    break;
                }
                inner = inner.strip_prefix(b" ").ok_or_else(|| wrong(inner))?;
                // A blank before the bracket is against the grammar and common.
                if inner.starts_with(b"]") || inner.starts_with(b" ") {
                    continue;
                }
                let (key, behind) = name(inner).ok_or_else(|| wrong(inner))?;
                let behind = behind.strip_prefix(b"=\"").ok_or_else(|| wrong(behind))?;
                let end = quoted_end(behind).ok_or_else(|| wrong(behind))?;
                parameters.push((key, &behind[..end]));
                inner = &behind[end + 1..];
            }
            self.data.push((id, parameters));
        }
        Ok(rest)
    }

    /// RFC 3164, clause 4.1, behind the priority, as senders understand it.
    fn parse_3164(&mut self, bytes: &'a [u8]) {
        let mut rest = bytes;
        // Cisco puts a counter before the time: `<189>42: Nov 23 10:00:00: %SYS-5-…`.
        if self.priority.is_some()
            && let Some((_, behind)) = number(rest, 5)
            && let Some(behind) = behind.strip_prefix(b": ")
            && Stamp::read(behind).is_some()
        {
            rest = behind;
        }
        if let Some((length, behind)) = iso(rest) {
            self.timestamp = Some(&rest[..length]);
            rest = behind;
        } else if let Some((stamp, length)) = Stamp::read(rest) {
            self.timestamp = Some(&rest[..length]);
            self.parts = Some(stamp);
            rest = &rest[length..];
        } else {
            self.tag(rest);
            return;
        }
        if let Some(behind) = rest.strip_prefix(b":") {
            // Cisco again: the time ends with a colon, and no host follows.
            self.tag(behind.trim_ascii_start());
            return;
        }
        rest = rest.strip_prefix(b" ").unwrap_or(rest);
        if tag(rest).is_none()
            && let Some(end) =
                rest.iter().position(|&byte| byte == b' ').or(Some(rest.len())).filter(|&end| end > 0)
        {
            self.host = Some(&rest[..end]);
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        self.tag(rest);
    }

    /// Takes `app[proc_id]: ` and the message behind it.
    fn tag(&mut self, bytes: &'a [u8]) {
        self.message = bytes;
        if let Some((app, proc_id, message)) = tag(bytes) {
            self.app = Some(app);
            self.proc_id = proc_id;
            self.message = message;
        }
    }

    /// Makes a document of it, `outer` containers deep; returns how many elements were left out as repeated.
    pub(in crate::read) fn into_doc(
        self,
        budget: &mut Budget,
        outer: usize,
    ) -> Result<(Doc, usize), ReadError> {
        let mut doc = Fields::begin(budget, outer)?;
        if let Some(priority) = self.priority {
            doc.int(budget, "facility", priority / 8)?;
            doc.int(budget, "severity", priority % 8)?;
        }
        if let Some(version) = self.version {
            doc.int(budget, "version", version)?;
        }
        let mut put = |doc: &mut Fields, key: &str, value: Option<&[u8]>| {
            let Some(value) = value else { return Ok(()) };
            let value = budget.text_or_bytes(value)?;
            doc.put(budget, key, value)
        };
        put(&mut doc, "timestamp", self.timestamp)?;
        put(&mut doc, "host", self.host)?;
        put(&mut doc, "app", self.app)?;
        put(&mut doc, "proc_id", self.proc_id)?;
        put(&mut doc, "msg_id", self.msg_id)?;
        if let Some(parts) = self.parts {
            let parts = parts.into_doc(budget, outer + 1)?;
            doc.put(budget, "timestamp_parts", parts)?;
        }
        let mut repeated = 0;
        if !self.data.is_empty() {
            let mut data = Fields::begin(budget, outer + 1)?;
            for (id, parameters) in self.data {
                let element = element(parameters, budget, outer + 2)?;
                data.put(budget, id, element)?;
            }
            let (data, count) = data.end_unique();
            repeated = count;
            doc.put(budget, "data", data)?;
        }
        if !self.message.is_empty() {
            let message = budget.text_or_bytes(self.message)?;
            doc.put(budget, "message", message)?;
        }
        Ok((doc.end(), repeated))
    }
}

/// Makes a map of parameters; those of one name become a list at the place of the first.
fn element(parameters: Vec<(&str, &[u8])>, budget: &mut Budget, outer: usize) -> Result<Doc, ReadError> {
    budget.depth(outer)?;
    budget.value()?;
    let mut entries: Vec<(String, Doc)> = Vec::new();
    let mut places: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for (key, value) in parameters {
        let value = budget.text_or_bytes(&unescaped(value))?;
        match places.get(key).and_then(|&place| entries.get_mut(place)) {
            None => {
                places.insert(key, entries.len());
                entries.push((budget.key(key)?, value));
            }
            Some((_, Doc::List(values))) => values.push(value),
            Some((_, first)) => {
                budget.depth(outer + 1)?;
                budget.value()?;
                let taken = std::mem::replace(first, Doc::Null);
                *first = Doc::List(vec![taken, value]);
            }
        }
    }
    Ok(Doc::Map(entries))
}

/// Reads 1 to `digits_max` digits.
fn number(bytes: &[u8], digits_max: usize) -> Option<(u16, &[u8])> {
    let digits = bytes.iter().take(digits_max).take_while(|byte| byte.is_ascii_digit()).count();
    let value = std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()?;
    Some((value, &bytes[digits..]))
}

/// Reads a name of clause 6.3.2: 1 to 32 printable ASCII characters without `=`, `]`, `"` and space.
fn name(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let is_name = |byte: &&u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"');
    let end = bytes.iter().take(33).take_while(is_name).count();
    if end == 0 || end > 32 {
        return None;
    }
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end..]))
}

/// Returns where the closing quotation mark of a value is.
fn quoted_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Resolves `\"`, `\\` and `\]`; another backslash stays (clause 6.3.3).
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match rest.peek() {
            Some(&next @ (b'"' | b'\\' | b']')) if byte == b'\\' => {
                out.push(next);
                rest.next();
            }
            Some(_) | None => out.push(byte),
        }
    }
    out
}

/// A tag's application, its process, and what is behind it.
type Tag<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

/// Reads `app: ` or `app[proc_id]: `.
fn tag(bytes: &[u8]) -> Option<Tag<'_>> {
    let is_app = |byte: &&u8| byte.is_ascii_graphic() && !matches!(byte, b':' | b'[' | b']' | b'<');
    let end = bytes.iter().take(TAG_BYTES_MAX + 1).take_while(is_app).count();
    if end == 0 || end > TAG_BYTES_MAX {
        return None;
    }
    let (app, mut rest) = bytes.split_at(end);
    let mut proc_id = None;
    if let Some(inner) = rest.strip_prefix(b"[") {
        let end = inner.iter().take(129).position(|&byte| byte == b']')?;
        proc_id = Some(&inner[..end]).filter(|id| !id.is_empty());
        rest = &inner[end + 1..];
    }
    let rest = rest.strip_prefix(b":")?;
    // Without a blank the colon may be part of an address; with a process in brackets it is not.
    if proc_id.is_none() && !rest.is_empty() && !rest.starts_with(b" ") {
        return None;
    }
    Some((app, proc_id, rest.strip_prefix(b" ").unwrap_or(rest)))
}
