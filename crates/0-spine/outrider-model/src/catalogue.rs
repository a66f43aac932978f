//! What every security event type and field means; generated from `content/catalogue`.

use std::sync::LazyLock;

use outrider_types::{EventTypeId, FieldKey, Lane, Severity};

#[rustfmt::skip]
mod generated;

pub use generated::{EVENT_TYPES, FIELDS};

/// Type of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldKind {
    /// Signed 64-bit integer.
    Int,
    /// 64-bit floating point.
    Float,
    /// UTF-8 text, at most 256 bytes on the wire.
    Text,
    /// True or false.
    Bool,
}

impl FieldKind {
    /// Returns the word used in `content/catalogue` and in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
            Self::Bool => "bool",
        }
    }
}

/// One field of security events.
#[derive(Debug)]
pub struct Field {
    /// Number on the wire; never reused.
    pub key: FieldKey,
    /// Column in the lake and field name in rules.
    pub name: &'static str,
    /// Type of the values.
    pub kind: FieldKind,
    /// Unit of the values; empty for none.
    pub unit: &'static str,
    /// Meaning in a few words.
    pub title: &'static str,
}

/// One type of security event.
#[derive(Debug)]
pub struct EventType {
    /// Number on the wire; never reused.
    pub id: EventTypeId,
    /// Name of the form `domain.fact`.
    pub name: &'static str,
    /// Meaning in a few words.
    pub title: &'static str,
    /// Meaning in a sentence.
    pub description: &'static str,
    /// Severity unless policy says otherwise.
    pub severity: Severity,
    /// Lane unless policy says otherwise.
    pub lane: Lane,
    /// Fields that an event of this type may carry.
    pub fields: &'static [FieldKey],
    /// Threats of UN R155 Annex 5, Table A1.
    pub unr155: &'static [&'static str],
    /// Class of the Open Cybersecurity Schema Framework.
    pub ocsf_class: u16,
    /// AUTOSAR security event, where one exists.
    pub autosar_sev: Option<&'static str>,
    /// Numbers that AUTOSAR gives to security events of this kind, below 0x8000.
    pub autosar_ids: &'static [u16],
}

/// Finds an event type by number, O(log n).
#[must_use]
pub fn event_type(id: EventTypeId) -> Option<&'static EventType> {
    EVENT_TYPES.binary_search_by_key(&id, |entry| entry.id).ok().and_then(|index| EVENT_TYPES.get(index))
}

/// Finds an event type by name, O(log n).
#[must_use]
pub fn event_type_by_name(name: &str) -> Option<&'static EventType> {
    static BY_NAME: LazyLock<Vec<&EventType>> = LazyLock::new(|| {
        let mut types: Vec<&EventType> = EVENT_TYPES.iter().collect();
        types.sort_unstable_by_key(|entry| entry.name);
        types
    });
    BY_NAME.binary_search_by_key(&name, |entry| entry.name).ok().and_then(|at| BY_NAME.get(at).copied())
}

/// Returns the position of a field in [`FIELDS`], O(log n).
#[must_use]
pub fn field_index(key: FieldKey) -> Option<usize> {
    FIELDS.binary_search_by_key(&key, |field| field.key).ok()
}

/// Finds a field by number, O(log n).
#[must_use]
pub fn field(key: FieldKey) -> Option<&'static Field> {
    field_index(key).and_then(|index| FIELDS.get(index))
}

/// Finds a field by name, O(n).
#[must_use]
pub fn field_by_name(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_ordered_so_that_look_ups_find_every_entry() {
        assert!(
            EVENT_TYPES
                .iter()
                .all(|entry| event_type(entry.id).is_some_and(|found| found.name == entry.name))
        );
        assert!(FIELDS.iter().all(|entry| field(entry.key).is_some_and(|found| found.name == entry.name)));
        assert!(event_type(EventTypeId(0)).is_none());
        assert!(field_by_name("vin").is_none());
    }
}
