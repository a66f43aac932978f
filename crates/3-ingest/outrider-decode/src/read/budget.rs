//! Caps of one document and of one input, held in one place.

use crate::{Doc, Item, ReadError, ReadLimits};

/// What one document may still take. A container counts as one value; keys count as bytes.
#[derive(Debug)]
pub(super) struct Budget {
    values: usize,
    bytes: usize,
    depth_max: usize,
}

impl Budget {
    pub(super) fn new(limits: &ReadLimits) -> Self {
        Self { values: limits.values_max, bytes: limits.bytes_max, depth_max: limits.depth_max }
    }

    /// Takes one value.
    pub(super) fn value(&mut self) -> Result<(), ReadError> {
        self.values = self
            .values
            .checked_sub(1)
            .ok_or_else(|| ReadError::new("read.values", "more values than a document may have"))?;
        Ok(())
    }

    /// Takes bytes of a text, a key or a byte string.
    pub(super) fn bytes(&mut self, count: usize) -> Result<(), ReadError> {
        self.bytes = self
            .bytes
            .checked_sub(count)
            .ok_or_else(|| ReadError::new("read.bytes", "more bytes than a document may have"))?;
        Ok(())
    }

    /// Checks that a container may lie inside `outer` others.
    pub(super) fn depth(&self, outer: usize) -> Result<(), ReadError> {
        if outer < self.depth_max {
            Ok(())
        } else {
            Err(ReadError::new("read.depth", format!("more than {} levels", self.depth_max)))
        }
    }

    /// Takes a key.
    pub(super) fn key(&mut self, name: &str) -> Result<String, ReadError> {
        self.bytes(name.len())?;
        Ok(name.to_owned())
    }

    /// Takes a text.
    pub(super) fn text(&mut self, text: &str) -> Result<Doc, ReadError> {
        self.value()?;
        self.bytes(text.len())?;
        Ok(Doc::Text(text.to_owned()))
    }

    /// Takes bytes that should be a text: a text if they are UTF-8, else bytes.
    pub(super) fn text_or_bytes(&mut self, bytes: &[u8]) -> Result<Doc, ReadError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(text),
            Err(_) => self.blob(bytes),
        }
    }

    /// Takes a byte string.
    pub(super) fn blob(&mut self, bytes: &[u8]) -> Result<Doc, ReadError> {
        self.value()?;
        self.bytes(bytes.len())?;
        Ok(Doc::Bytes(bytes.to_vec()))
    }

    /// Takes an integer; one that does not fit becomes a text.
    pub(super) fn int(&mut self, value: impl Into<i128>) -> Result<Doc, ReadError> {
        let value: i128 = value.into();
        match i64::try_from(value) {
            Ok(value) => {
                self.value()?;
                Ok(Doc::Int(value))
            }
            Err(_) => self.text(&value.to_string()),
        }
    }

    /// Takes a floating point number; one that is infinite or not a number becomes a text.
    pub(super) fn float(&mut self, value: f64) -> Result<Doc, ReadError> {
        if value.is_finite() {
            self.value()?;
            Ok(Doc::Float(value))
        } else if value.is_nan() {
            self.text("NaN")
        } else {
            self.text(if value > 0.0 { "Infinity" } else { "-Infinity" })
        }
    }

    /// Takes a truth value.
    pub(super) fn truth(&mut self, value: bool) -> Result<Doc, ReadError> {
        self.value()?;
        Ok(Doc::Bool(value))
    }
}

/// A map under construction.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, Doc)>);

impl Fields {
    /// Begins a map that lies inside `outer` containers.
    pub(super) fn begin(budget: &mut Budget, outer: usize) -> Result<Self, ReadError> {
        budget.depth(outer)?;
        budget.value()?;
        Ok(Self::default())
    }

    /// Adds a value that the budget was asked for.
    pub(super) fn put(&mut self, budget: &mut Budget, key: &str, doc: Doc) -> Result<(), ReadError> {
        self.0.push((budget.key(key)?, doc));
        Ok(())
    }

    /// Adds a text.
    pub(super) fn text(&mut self, budget: &mut Budget, key: &str, text: &str) -> Result<(), ReadError> {
        let doc = budget.text(text)?;
        self.put(budget, key, doc)
    }

    /// Adds an integer.
    pub(super) fn int(
        &mut self,
        budget: &mut Budget,
        key: &str,
        value: impl Into<i128>,
    ) -> Result<(), ReadError> {
        let doc = budget.int(value)?;
        self.put(budget, key, doc)
    }

    /// Ends a map whose keys differ by construction.
    pub(super) fn end(self) -> Doc {
        Doc::Map(self.0)
    }

    /// Ends a map whose keys are the input's; returns how many were left out because an earlier one has the same name.
    pub(super) fn end_unique(self) -> (Doc, usize) {
        let (entries, repeated) = unique(self.0);
        (Doc::Map(entries), repeated)
    }
}

/// Keeps the first of equal keys, in the order of the input, in n log n; returns how many were left out.
pub(super) fn unique(entries: Vec<(String, Doc)>) -> (Vec<(String, Doc)>, usize) {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    // Stable: of equal keys the earlier index stays in front.
    order.sort_by(|&a, &b| entries[a].0.cmp(&entries[b].0));
    let mut repeated: Vec<usize> = order
        .windows(2)
        .filter(|pair| entries[pair[0]].0 == entries[pair[1]].0)
        .map(|pair| pair[1])
        .collect();
    if repeated.is_empty() {
        return (entries, 0);
    }
    repeated.sort_unstable();
    let mut kept = Vec::with_capacity(entries.len() - repeated.len());
    let mut skip = repeated.iter().peekable();
    for (index, entry) in entries.into_iter().enumerate() {
        if skip.next_if(|&&next| next == index).is_none() {
            kept.push(entry);
        }
    }
    (kept, repeated.len())
}

/// Items of one input, at most `documents_max` and one more that says so.
#[derive(Debug)]
pub(super) struct Items<'a> {
    items: Vec<Item<'a>>,
    documents: usize,
    documents_max: usize,
}

impl<'a> Items<'a> {
    pub(super) fn new(limits: &ReadLimits) -> Self {
        Self { items: Vec::new(), documents: 0, documents_max: limits.documents_max }
    }

    /// Returns true, and says so once, if `rest`, which holds another document, may not be read any more.
    pub(super) fn is_full(&mut self, rest: &'a [u8]) -> bool {
        let is_full = self.documents >= self.documents_max;
        if is_full {
            let place = format!("after document {}", self.documents);
            self.items.push(Item { raw: rest, doc: Err(ReadError::new("read.too_many", place)) });
        }
        is_full
    }

    /// Adds a document or what is wrong with it.
    pub(super) fn push(&mut self, raw: &'a [u8], doc: Result<Doc, ReadError>) {
        self.documents += 1;
        self.items.push(Item { raw, doc });
    }

    /// Adds a reject that stands beside a document which was read: its bytes are not repeated.
    pub(super) fn note(&mut self, error: ReadError) {
        self.items.push(Item { raw: &[], doc: Err(error) });
    }

    /// Returns the number of the document that comes next, from 1.
    pub(super) const fn next(&self) -> usize {
        self.documents + 1
    }

    pub(super) fn into_items(self) -> Vec<Item<'a>> {
        self.items
    }
}

/// Cuts `bytes` into lines without their ends, and the place of each. An empty last line is none.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let start = at;
        at += end + 1;
        let line = &rest[..end];
        Some((start, line.strip_suffix(b"\r").unwrap_or(line)))
    })
}
