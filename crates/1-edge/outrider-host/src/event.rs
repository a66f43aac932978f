//! A security event as a host sensor says it.

use outrider_types::{EventTypeId, FieldKey, Severity, VehicleMicros};

/// Longest text of a field in bytes; longer ones are cut. Paths of the kernel may be longer, but then the end of the
/// name is what a person looks for, so [`Value::path`] keeps the end.
pub const TEXT_BYTES_MAX: usize = 256;

/// Kind of a field's value in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole number.
    Int,
    /// Text.
    Text,
    /// Number with a fraction.
    Float,
    /// Truth value.
    Bool,
}

/// Value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Whole number.
    Int(i64),
    /// Text of at most [`TEXT_BYTES_MAX`] bytes without control characters.
    Text(String),
    /// Truth value.
    Flag(bool),
}

impl Value {
    /// Returns a text, cut at its end; control characters become `?`.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let mut end = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self::Text(clean(&text[..end]))
    }

    /// Returns a text, cut at its beginning, as a long path is.
    #[must_use]
    pub fn path(text: &str) -> Self {
        let mut begin = text.len().saturating_sub(TEXT_BYTES_MAX);
        while !text.is_char_boundary(begin) {
            begin += 1;
        }
        Self::Text(clean(&text[begin..]))
    }

    /// Returns a number, held at the end of the range.
    #[must_use]
    pub fn count(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What a sensor saw, with repeats folded into a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEvent {
    /// Number in the event catalogue.
    pub event_type: EventTypeId,
    /// Severity, or `None` for the catalogue's.
    pub severity: Option<Severity>,
    /// When it was first seen.
    pub first: VehicleMicros,
    /// When it was last seen.
    pub last: VehicleMicros,
    /// How often, at least 1.
    pub count: u64,
    /// Fields of the catalogue, each at most once.
    pub fields: Vec<(FieldKey, Value)>,
}

impl HostEvent {
    /// Creates an event seen once.
    #[must_use]
    pub const fn new(event_type: EventTypeId, at: VehicleMicros) -> Self {
        Self { event_type, severity: None, first: at, last: at, count: 1, fields: Vec::new() }
    }

    /// Adds a field, unless it is there.
    #[must_use]
    pub fn with(mut self, key: FieldKey, value: Value) -> Self {
        if !self.fields.iter().any(|(have, _)| *have == key) {
            self.fields.push((key, value));
        }
        self
    }

    /// Adds a text, unless it is empty.
    #[must_use]
    pub fn text(self, key: FieldKey, text: &str) -> Self {
        if text.is_empty() { self } else { self.with(key, Value::text(text)) }
    }

    /// Adds a path.
    #[must_use]
    pub fn path(self, key: FieldKey, path: &str) -> Self {
        if path.is_empty() { self } else { self.with(key, Value::path(path)) }
    }

    /// Returns a field.
    #[must_use]
    pub fn value(&self, key: FieldKey) -> Option<&Value> {
        self.fields.iter().find(|(have, _)| *have == key).map(|(_, value)| value)
    }

    /// Returns a text field.
    #[must_use]
    pub fn text_of(&self, key: FieldKey) -> Option<&str> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            Value::Int(_) | Value::Flag(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_characters_and_paths_keep_their_end() {
        let long = "ü".repeat(TEXT_BYTES_MAX);
        let (Value::Text(head), Value::Text(tail)) =
            (Value::text(&long), Value::path(&format!("{long}/end")))
        else {
            panic!("both are texts")
        };
        assert!(head.len() <= TEXT_BYTES_MAX && head.len() > TEXT_BYTES_MAX - 2);
        assert!(tail.len() <= TEXT_BYTES_MAX && tail.ends_with("/end"));
        assert_eq!(Value::text("a\nb"), Value::Text("a?b".to_owned()));
    }
}
