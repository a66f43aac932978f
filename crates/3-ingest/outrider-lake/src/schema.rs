//! The table's columns: names, types, partitions.
//!
//! Columns are only ever added, always nullable, and never change their type, so that a table of any age reads with the
//! newest schema: files that lack a column give null.

use std::collections::BTreeMap;

use deltalake_core::{DataType, PrimitiveType, StructField};
use outrider_model::catalogue::{FIELDS, Field, FieldKind};

use crate::error::LakeError;

/// Columns by which files are laid out in folders.
///
/// The ingest date, not the event date: vehicles may be weeks late, and one batch spread over many event dates would
/// become as many small files. Time ranges of events are found by the files' statistics instead. Whole days can be
/// dropped when their retention ends, and rows of one tenant share no file with another's.
pub(crate) const PARTITION_COLUMNS: [&str; 2] = ["tenant", "ingest_date"];

/// Columns with minimum and maximum a file in the table's log.
pub(crate) const STATISTICS_COLUMNS: [&str; 5] =
    ["vehicle_id", "event_time", "ingest_time", "event_type", "severity"];

/// Core columns that are always there; the partition columns first.
pub(crate) const CORE: [(&str, PrimitiveType); 24] = [
    ("tenant", PrimitiveType::Long),
    ("ingest_date", PrimitiveType::Date),
    ("vehicle_id", PrimitiveType::String),
    ("epoch", PrimitiveType::Long),
    ("lane", PrimitiveType::String),
    ("seq", PrimitiveType::Long),
    ("event_type", PrimitiveType::String),
    ("severity", PrimitiveType::Integer),
    ("event_time", PrimitiveType::Timestamp),
    ("event_time_error_us", PrimitiveType::Long),
    ("ingest_time", PrimitiveType::Timestamp),
    ("vehicle_us", PrimitiveType::Long),
    ("count", PrimitiveType::Long),
    ("first_us", PrimitiveType::Long),
    ("last_us", PrimitiveType::Long),
    ("bus", PrimitiveType::Integer),
    ("ecu", PrimitiveType::String),
    ("model_line", PrimitiveType::String),
    ("platform", PrimitiveType::String),
    ("release", PrimitiveType::String),
    ("region", PrimitiveType::String),
    ("h3", PrimitiveType::String),
    ("context", PrimitiveType::Binary),
    ("extensions", PrimitiveType::String),
];

const fn field_type(kind: FieldKind) -> PrimitiveType {
    match kind {
        FieldKind::Int => PrimitiveType::Long,
        FieldKind::Float => PrimitiveType::Double,
        FieldKind::Text => PrimitiveType::String,
        FieldKind::Bool => PrimitiveType::Boolean,
    }
}

/// Returns every column of the newest schema: the core, then one a catalogue field.
pub(crate) fn columns(fields: &[Field]) -> Vec<StructField> {
    let core = CORE.iter().map(|(name, kind)| (*name, kind.clone()));
    let fields = fields.iter().map(|field| (field.name, field_type(field.kind)));
    core.chain(fields).map(|(name, kind)| StructField::nullable(name, DataType::Primitive(kind))).collect()
}

/// Returns the columns that `table` lacks.
///
/// # Errors
/// [`LakeError::Schema`] if a column is there with another type.
pub(crate) fn missing(
    table: &BTreeMap<String, DataType>,
    wanted: Vec<StructField>,
) -> Result<Vec<StructField>, LakeError> {
    let mut absent = Vec::new();
    for column in wanted {
        match table.get(column.name()) {
            None => absent.push(column),
            Some(present) if present == column.data_type() => {}
            Some(present) => {
                return Err(LakeError::Schema {
                    column: column.name().clone(),
                    expected: column.data_type().to_string(),
                    got: present.to_string(),
                });
            }
        }
    }
    Ok(absent)
}

/// Returns every column of the table with its type in words, for help texts and completion.
#[must_use]
pub fn column_names() -> Vec<(&'static str, &'static str)> {
    let core = CORE.iter().map(|(name, kind)| {
        let words = [
            (PrimitiveType::Long, "int"),
            (PrimitiveType::Integer, "int"),
            (PrimitiveType::Date, "date"),
            (PrimitiveType::Timestamp, "timestamp"),
            (PrimitiveType::Binary, "binary"),
        ];
        (*name, words.iter().find(|(known, _)| known == kind).map_or("text", |(_, word)| *word))
    });
    core.chain(FIELDS.iter().map(|field| (field.name, field.kind.word()))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_columns_share_a_name_in_any_case() {
        let names: Vec<String> = columns(&FIELDS).iter().map(|column| column.name().to_lowercase()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(
            STATISTICS_COLUMNS
                .iter()
                .chain(&PARTITION_COLUMNS)
                .all(|name| names.contains(&(*name).to_owned()))
        );
    }

    #[test]
    fn a_grown_catalogue_adds_columns_and_a_changed_type_is_refused() {
        let types = |columns: Vec<StructField>| {
            let named = columns.into_iter().map(|column| (column.name().clone(), column.data_type().clone()));
            named.collect::<BTreeMap<_, _>>()
        };
        let absent = missing(&types(columns(&FIELDS[..3])), columns(&FIELDS)).expect("types agree");
        assert_eq!(absent.len(), FIELDS.len() - 3);
        assert_eq!(absent[0].name(), FIELDS[3].name);
        let older = missing(&types(columns(&FIELDS)), columns(&FIELDS[..3]));
        assert!(older.expect("an older program fits").is_empty());
        let changed = vec![StructField::nullable(FIELDS[0].name, DataType::BINARY)];
        let error = missing(&types(changed), columns(&FIELDS)).expect_err("a type changed");
        assert_eq!((error.code(), error.class()), ("lake.schema", crate::ErrorClass::Config));
    }
}
