//! Columns: plain vectors, bitmaps and dictionary-coded strings.

use std::collections::BTreeMap;

/// Distinct strings of a text column, numbered in order of first appearance.
///
/// String predicates are evaluated once per entry, not once per row.
#[derive(Debug, Clone, Default)]
pub struct Dictionary {
    values: Vec<String>,
    codes: BTreeMap<String, u32>,
    /// Code given last: neighbouring rows mostly come from one vehicle and repeat its strings.
    last: u32,
}

impl PartialEq for Dictionary {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl Eq for Dictionary {}

impl Dictionary {
    /// Returns the code of a string, adding it if it is new. O(log n).
    pub fn intern(&mut self, text: &str) -> u32 {
        if self.text(self.last) == Some(text) {
            return self.last;
        }
        if let Some(code) = self.codes.get(text) {
            self.last = *code;
            return *code;
        }
        let code = u32::try_from(self.values.len()).expect("a batch has fewer than 2^32 rows");
        self.values.push(text.to_owned());
        self.codes.insert(text.to_owned(), code);
        self.last = code;
        code
    }

    /// Returns the code of a string that is already there.
    #[must_use]
    pub fn code(&self, text: &str) -> Option<u32> {
        self.codes.get(text).copied()
    }

    /// Returns the string of a code.
    #[must_use]
    pub fn text(&self, code: u32) -> Option<&str> {
        self.values.get(code as usize).map(String::as_str)
    }

    /// Returns all strings in order of their codes.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }
}

/// Which rows of a column have a value: one bit a row, least significant bit first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    bits: Vec<u64>,
    rows: usize,
    set: usize,
}

impl Presence {
    /// Appends rows without a value until there are `rows`.
    pub fn pad_to(&mut self, rows: usize) {
        if rows > self.rows {
            self.rows = rows;
            self.bits.resize(rows.div_ceil(64), 0);
        }
    }

    /// Appends one row.
    pub fn push(&mut self, present: bool) {
        let row = self.rows;
        self.pad_to(row + 1);
        if present {
            self.bits[row / 64] |= 1 << (row % 64);
            self.set += 1;
        }
    }

    /// Returns whether a row has a value; rows past the end have none.
    #[must_use]
    pub fn get(&self, row: usize) -> bool {
        self.bits.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Returns the number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of rows that have a value.
    #[must_use]
    pub const fn present(&self) -> usize {
        self.set
    }

    /// Returns the words of the bitmap; bits past the last row are zero.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.bits
    }
}

/// Column of dictionary-coded strings in which a row may have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextColumn {
    /// Distinct strings.
    pub dictionary: Dictionary,
    /// Code of each row; 0 where the row has no value.
    pub codes: Vec<u32>,
    /// Which rows have a value.
    pub presence: Presence,
}

impl TextColumn {
    /// Appends one row.
    pub fn push(&mut self, text: Option<&str>) {
        let code = text.map(|text| self.dictionary.intern(text));
        self.codes.push(code.unwrap_or(0));
        self.presence.push(code.is_some());
    }

    /// Appends rows without a value until there are `rows`.
    pub fn pad_to(&mut self, rows: usize) {
        if rows > self.codes.len() {
            self.codes.resize(rows, 0);
        }
        self.presence.pad_to(rows);
    }

    /// Returns the string of a row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&str> {
        if !self.presence.get(row) {
            return None;
        }
        self.codes.get(row).and_then(|code| self.dictionary.text(*code))
    }
}

/// Column of truth values in which a row may have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BoolColumn {
    /// Value of each row; false where the row has none.
    pub values: Vec<bool>,
}

/// Values of a field column, by type.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValues {
    /// Integers; 0 where the row has none.
    Int(Vec<i64>),
    /// Floating point; 0 where the row has none.
    Float(Vec<f64>),
    /// Dictionary-coded strings.
    Text(TextColumn),
    /// Truth values.
    Bool(BoolColumn),
}

/// Column of one catalogue field; exists in a batch only if some row has the field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldColumn {
    /// Which rows have the field.
    pub presence: Presence,
    /// The values, padded to [`Presence::rows`].
    pub values: FieldValues,
}

impl FieldColumn {
    /// Creates an empty column of the field's type.
    #[must_use]
    pub fn new(kind: crate::catalogue::FieldKind) -> Self {
        let values = match kind {
            crate::catalogue::FieldKind::Int => FieldValues::Int(Vec::new()),
            crate::catalogue::FieldKind::Float => FieldValues::Float(Vec::new()),
            crate::catalogue::FieldKind::Text => FieldValues::Text(TextColumn::default()),
            crate::catalogue::FieldKind::Bool => FieldValues::Bool(BoolColumn::default()),
        };
        Self { presence: Presence::default(), values }
    }

    /// Appends rows without a value until there are `rows`.
    pub fn pad_to(&mut self, rows: usize) {
        self.presence.pad_to(rows);
        match &mut self.values {
            FieldValues::Int(values) => values.resize(rows.max(values.len()), 0),
            FieldValues::Float(values) => values.resize(rows.max(values.len()), 0.0),
            FieldValues::Text(values) => values.pad_to(rows),
            FieldValues::Bool(values) => values.values.resize(rows.max(values.values.len()), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_gives_one_code_a_string() {
        let mut column = TextColumn::default();
        column.push(Some("a"));
        column.push(None);
        column.push(Some("b"));
        column.push(Some("a"));
        column.pad_to(6);
        assert_eq!(column.dictionary.values(), ["a", "b"]);
        let rows: Vec<_> = (0..7).map(|row| column.get(row)).collect();
        assert_eq!(rows, [Some("a"), None, Some("b"), Some("a"), None, None, None]);
    }

    #[test]
    fn presence_counts_and_pads_across_word_borders() {
        let mut presence = Presence::default();
        (0..130).for_each(|row| presence.push(row % 65 == 0));
        presence.pad_to(200);
        assert_eq!((presence.rows(), presence.present()), (200, 2));
        assert!(presence.get(65) && !presence.get(64) && !presence.get(129) && !presence.get(500));
    }
}
