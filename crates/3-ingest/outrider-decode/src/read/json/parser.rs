//! Walk over JSON texts with a stack of its own.

use crate::read::budget::{Budget, unique};
use crate::{Doc, ReadError};

/// Returns whether there are only JSON's blanks.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// A container that is not closed yet.
enum Open {
    List(Vec<Doc>),
    Map { entries: Vec<(String, Doc)>, key: String },
}

/// A place in a JSON text.
pub(super) struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Returns the bytes from `start` to here.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// Returns the bytes from `start` to the end.
    pub(super) fn from(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..).unwrap_or_default()
    }

    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Reads a value; returns it and the number of repeated keys that were left out.
    pub(super) fn document(&mut self, budget: &mut Budget) -> Result<(Doc, usize), ReadError> {
        let mut repeated = 0;
        let mut stack: Vec<Open> = Vec::new();
        loop {
            // Down to a value that holds no other.
            let mut value = match self.open(&mut stack, budget)? {
                Some(value) => value,
                None => continue,
            };
            // Up through every container that ends here.
            loop {
                match stack.last_mut() {
                    None => return Ok((value, repeated)),
                    Some(Open::List(values)) => values.push(value),
                    Some(Open::Map { entries, key }) => entries.push((std::mem::take(key), value)),
                }
                self.skip_blanks();
                if self.take(b',') {
                    if let Some(Open::Map { key, .. }) = stack.last_mut() {
                        *key = self.key(budget)?;
                    }
                    break;
                }
                let (end, closed) = match stack.pop() {
                    Some(Open::List(values)) => (b']', Doc::List(values)),
                    Some(Open::Map { entries, .. }) => {
                        let (entries, count) = unique(entries);
                        repeated += count;
                        (b'}', Doc::Map(entries))
                    }
                    None => return Err(self.error("json.syntax")),
                };
                if !self.take(end) {
                    return Err(self.unexpected());
                }
                value = closed;
            }
        }
    }

    /// Goes behind the object or list that begins at `start`, by its brackets and strings alone; false if it has no end.
    pub(super) fn skip(&mut self, start: usize) -> bool {
        let mut depth = 0usize;
        let mut is_string = false;
        let mut at = start;
        while let Some(&byte) = self.bytes.get(at) {
            at += 1;
            match byte {
                b'\\' if is_string => at += 1,
                b'"' => is_string = !is_string,
                b'[' | b'{' if !is_string => depth += 1,
                b']' | b'}' if !is_string => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && !is_string {
                self.at = at;
                return at > start + 1;
            }
        }
        false
    }

    /// Reads a value without others in it, or opens a container and returns `None`.
    fn open(&mut self, stack: &mut Vec<Open>, budget: &mut Budget) -> Result<Option<Doc>, ReadError> {
        self.skip_blanks();
        let Some(first) = self.peek() else { return Err(self.error("json.end")) };
        match first {
            b'[' => {
                budget.depth(stack.len())?;
                budget.value()?;
                self.at += 1;
                self.skip_blanks();
                if self.take(b']') {
                    return Ok(Some(Doc::List(Vec::new())));
                }
                stack.push(Open::List(Vec::new()));
                Ok(None)
            }
            b'{' => {
                budget.depth(stack.len())?;
                budget.value()?;
                self.at += 1;
                self.skip_blanks();
                if self.take(b'}') {
                    return Ok(Some(Doc::Map(Vec::new())));
                }
                let key = self.key(budget)?;
                stack.push(Open::Map { entries: Vec::new(), key });
                Ok(None)
            }
            b'"' => {
                let text = self.string()?;
                budget.value()?;
                budget.bytes(text.len())?;
                Ok(Some(Doc::Text(text)))
            }
            b'-' | b'0'..=b'9' => self.number(budget).map(Some),
            _ => {
                let word = [("true", Doc::Bool(true)), ("false", Doc::Bool(false)), ("null", Doc::Null)];
                for (name, doc) in word {
                    if self.bytes[self.at..].starts_with(name.as_bytes()) {
                        self.at += name.len();
                        budget.value()?;
                        return Ok(Some(doc));
                    }
                }
                Err(self.error("json.syntax"))
            }
        }
    }

    /// Reads a key and the colon behind it.
    fn key(&mut self, budget: &mut Budget) -> Result<String, ReadError> {
        self.skip_blanks();
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let key = self.string()?;
        budget.bytes(key.len())?;
        self.skip_blanks();
        if self.take(b':') { Ok(key) } else { Err(self.unexpected()) }
    }

    /// Reads the string that begins here.
    fn string(&mut self) -> Result<String, ReadError> {
        let start = self.at;
        let mut end = start + 1;
        let mut has_escape = false;
        loop {
            match self.bytes.get(end) {
                None => return Err(ReadError::new("json.end", format!("string at byte {start}"))),
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escape = true;
                    end += 2;
                }
                Some(0..0x20) => return Err(ReadError::new("json.string", format!("byte {end}"))),
                Some(_) => end += 1,
            }
        }
        let wrong = || ReadError::new("json.string", format!("string at byte {start}"));
        let text = if has_escape {
            serde_json::from_slice::<String>(&self.bytes[start..=end]).map_err(|_| wrong())?
        } else {
            std::str::from_utf8(&self.bytes[start + 1..end]).map_err(|_| wrong())?.to_owned()
        };
        self.at = end + 1;
        Ok(text)
    }

    /// Reads the number that begins here (RFC 8259, clause 6).
    fn number(&mut self, budget: &mut Budget) -> Result<Doc, ReadError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') && self.digits() == 0 {
            return Err(self.unexpected());
        }
        let mut is_integer = true;
        if self.take(b'.') {
            is_integer = false;
            if self.digits() == 0 {
                return Err(self.unexpected());
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            is_integer = false;
            self.at += 1;
            if !self.take(b'+') {
                self.take(b'-');
            }
            if self.digits() == 0 {
                return Err(self.unexpected());
            }
        }
        // Digits, signs and points only.
        let token = std::str::from_utf8(self.since(start)).unwrap_or_default();
        if is_integer && let Ok(value) = token.parse::<i64>() {
            return budget.int(value);
        }
        match token.parse::<f64>() {
            Ok(value) if value.is_finite() && (!is_integer || format!("{value:.0}") == token) => {
                budget.float(value)
            }
            Ok(_) | Err(_) => budget.text(token),
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn unexpected(&self) -> ReadError {
        self.error(if self.peek().is_none() { "json.end" } else { "json.syntax" })
    }

    fn error(&self, reason: &'static str) -> ReadError {
        ReadError::new(reason, format!("byte {}", self.at))
    }
}
