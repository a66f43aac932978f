//! Columns: plain vectors, bitmaps and dictionary-coded strings.

use crate::batch::FieldValue;
use crate::dictionary::Dictionary;

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
        if row.is_multiple_of(64) {
            self.bits.push(0);
        }
        self.rows = row + 1;
        if present && let Some(word) = self.bits.last_mut() {
            *word |= 1 << (row % 64);
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

    /// Sets the value of a row at the end or beyond; rows before it that are not there yet have none.
    ///
    /// An integer is accepted for a floating-point field. Returns false, and changes nothing, if the type differs or the
    /// row has a value or none already.
    pub fn set(&mut self, row: usize, value: FieldValue<'_>) -> bool {
        let is_kind = matches!(
            (&self.values, value),
            (FieldValues::Int(_), FieldValue::Int(_))
                | (FieldValues::Float(_), FieldValue::Float(_) | FieldValue::Int(_))
                | (FieldValues::Text(_), FieldValue::Text(_))
                | (FieldValues::Bool(_), FieldValue::Bool(_))
        );
        if !is_kind || self.presence.rows() > row {
            return false;
        }
        if self.presence.rows() < row {
            self.pad_to(row);
        }
        match (&mut self.values, value) {
            (FieldValues::Int(values), FieldValue::Int(value)) => values.push(value),
            (FieldValues::Float(values), FieldValue::Float(value)) => values.push(value),
            #[expect(clippy::cast_precision_loss, reason = "a physical value needs no more than 53 bits")]
            (FieldValues::Float(values), FieldValue::Int(value)) => values.push(value as f64),
            (FieldValues::Text(values), FieldValue::Text(value)) => values.push(Some(value)),
            (FieldValues::Bool(values), FieldValue::Bool(value)) => values.values.push(value),
            (
                FieldValues::Int(_) | FieldValues::Float(_) | FieldValues::Text(_) | FieldValues::Bool(_),
                _,
            ) => return false,
        }
        self.presence.push(true);
        true
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
