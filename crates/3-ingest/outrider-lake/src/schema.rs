//! The table's columns: names, types, partitions.
//!
//! Columns are only ever added, always nullable, and never change their type, so that a table of any age reads with the
//! newest schema: files that lack a column give null.

use std::collections::BTreeMap;

use deltalake_core::{DataType, PrimitiveType, StructField};
use outrider_model::catalogue::{FIELDS, Field, FieldKind};

use crate::error::LakeError;

/// Property of a table that names its layout; a table without it has the first one.
pub(crate) const LAYOUT_PROPERTY: &str = "outrider.layout";

/// How a table's rows are laid out in files (ADR 0019).
///
/// By the ingest date, not the event date: vehicles may be weeks late, and one batch spread over many event dates would
/// become as many small files. Time ranges of events are found by the files' statistics instead. Whole days can be
/// dropped when their retention ends, and rows of one tenant share no file with another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// Folders by tenant and ingest date.
    One,
    /// Also by bucket of vehicles; rows that are not sorted into buckets yet have none.
    Two,
    /// The same folders; a row's vehicle times are stored as differences, see [`DIFFERENCES`].
    Three,
}

impl Layout {
    /// Layout of new tables.
    pub const NEWEST: Self = Self::Three;

    /// Returns the columns by which files are laid out in folders.
    pub(crate) const fn partition_columns(self) -> &'static [&'static str] {
        match self {
            Self::One => &["tenant", "ingest_date"],
            Self::Two | Self::Three => &["tenant", "ingest_date", "bucket"],
        }
    }

    /// Returns its number, as the table's property says it.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }

    /// Returns the layout that a table says it has.
    ///
    /// # Errors
    /// [`LakeError::Layout`] for one that this program does not know.
    pub(crate) fn of_property(value: Option<&str>) -> Result<Self, LakeError> {
        match value {
            None | Some("1") => Ok(Self::One),
            Some("2") => Ok(Self::Two),
            Some("3") => Ok(Self::Three),
            Some(other) => Err(LakeError::Layout { got: other.to_owned(), newest: Self::NEWEST.number() }),
        }
    }
}

/// Buckets of vehicles.
pub(crate) const BUCKETS: u32 = 16;

/// Returns the bucket of a vehicle by its name in the table: the first hexadecimal digit.
///
/// A pseudonym is a keyed hash already, so its first bits spread vehicles evenly; and because buckets are ranges of the
/// name, every engine finds one vehicle's files by the ordinary statistics, without knowing this function.
pub(crate) fn bucket_of(vehicle: &str) -> Option<u32> {
    char::from(*vehicle.as_bytes().first()?).to_digit(BUCKETS)
}

/// Columns with minimum and maximum a file in the table's log.
pub(crate) const STATISTICS_COLUMNS: [&str; 5] =
    ["vehicle_id", "event_time", "ingest_time", "event_type", "severity"];

/// Columns of the vehicle's clock as queries see them; rows of the first two layouts keep them in full.
pub(crate) const VEHICLE_TIMES: [&str; 3] = ["vehicle_us", "first_us", "last_us"];

/// Columns in which rows from the third layout on keep their vehicle times, and which queries do not see:
/// `event_time - vehicle_us`, `vehicle_us - first_us` and `last_us - vehicle_us`, all modulo 2^64.
///
/// The first changes once a boot or better fix of the clock, the others are 0 for most rows, while the four times in
/// full are four columns of different numbers.
pub(crate) const DIFFERENCES: [&str; 3] = ["clock_offset_us", "first_before_us", "last_after_us"];

/// Core columns that are always there; the partition columns first.
pub(crate) const CORE: [(&str, PrimitiveType); 30] = [
    ("tenant", PrimitiveType::Long),
    ("ingest_date", PrimitiveType::Date),
    ("bucket", PrimitiveType::Integer),
    ("vehicle_id", PrimitiveType::String),
    ("epoch", PrimitiveType::Long),
    ("lane", PrimitiveType::String),
    ("seq", PrimitiveType::Long),
    ("event_type", PrimitiveType::String),
    ("severity", PrimitiveType::Integer),
    ("event_time", PrimitiveType::Timestamp),
    ("event_time_error_us", PrimitiveType::Long),
    ("ingest_time", PrimitiveType::Timestamp),
    (VEHICLE_TIMES[0], PrimitiveType::Long),
    ("count", PrimitiveType::Long),
    (VEHICLE_TIMES[1], PrimitiveType::Long),
    (VEHICLE_TIMES[2], PrimitiveType::Long),
    ("bus", PrimitiveType::Integer),
    ("ecu", PrimitiveType::String),
    ("model_line", PrimitiveType::String),
    ("platform", PrimitiveType::String),
    ("release", PrimitiveType::String),
    ("region", PrimitiveType::String),
    ("model_year", PrimitiveType::Integer),
    ("monitoring", PrimitiveType::String),
    ("h3", PrimitiveType::String),
    ("context", PrimitiveType::Binary),
    ("extensions", PrimitiveType::String),
    (DIFFERENCES[0], PrimitiveType::Long),
    (DIFFERENCES[1], PrimitiveType::Long),
    (DIFFERENCES[2], PrimitiveType::Long),
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

/// One column, described for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnDoc {
    /// Name in queries.
    pub name: &'static str,
    /// Type in a word: `int`, `float`, `text`, `bool`, `timestamp`, `date` or `binary`.
    pub kind: &'static str,
    /// Unit of the values; empty for none.
    pub unit: &'static str,
    /// Meaning in a few words.
    pub text: &'static str,
}

/// Unit and meaning of the core columns that queries see, in their order.
const CORE_TEXTS: [(&str, &str); 27] = [
    ("", "owner of the row; partition"),
    ("", "day on which the listener took it, UTC; partition"),
    ("", "first hexadecimal digit of vehicle_id, null until compaction has split the day; partition"),
    ("", "pseudonym of the vehicle"),
    ("", "boot of the vehicle, counted by it"),
    ("", "critical, batched or deferred"),
    ("", "number in vehicle, boot and lane"),
    ("", "name of the event type, such as can.flood"),
    ("", "1 info, 2 low, 3 medium, 4 high, 5 critical"),
    ("", "best estimate of when it happened"),
    ("µs", "half the width of the interval in which it happened"),
    ("", "when the listener took it"),
    ("µs", "vehicle time of the row, since boot"),
    ("", "observations folded into the row"),
    ("µs", "vehicle time of the first observation"),
    ("µs", "vehicle time of the last observation"),
    ("", "number of the bus, null for none"),
    ("", "name of the ECU"),
    ("", "model line, from the registry when it came in"),
    ("", "platform, from the registry when it came in"),
    ("", "software release, from the registry when it came in"),
    ("", "region, from the registry when it came in"),
    ("", "model year, from the registry when it came in"),
    ("", "stage of monitoring when it came in, or unregistered"),
    ("", "H3 cell, from the registry when it came in"),
    ("", "raw bytes of the first sight"),
    ("", "fields without a column, as one JSON object"),
];

/// Returns every column of the newest schema that queries see, in order: the core, then one a catalogue field.
#[must_use]
pub fn column_docs() -> Vec<ColumnDoc> {
    let core = CORE.iter().zip(CORE_TEXTS).map(|((name, kind), (unit, text))| {
        let words = [
            (PrimitiveType::Long, "int"),
            (PrimitiveType::Integer, "int"),
            (PrimitiveType::Date, "date"),
            (PrimitiveType::Timestamp, "timestamp"),
            (PrimitiveType::Binary, "binary"),
        ];
        let kind = words.iter().find(|(known, _)| known == kind).map_or("text", |(_, word)| *word);
        ColumnDoc { name, kind, unit, text }
    });
    let fields = FIELDS.iter().map(|field| ColumnDoc {
        name: field.name,
        kind: field.kind.word(),
        unit: field.unit,
        text: field.title,
    });
    core.chain(fields).collect()
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
                .chain(Layout::Two.partition_columns())
                .all(|name| names.contains(&(*name).to_owned()))
        );
    }

    #[test]
    fn every_column_is_described() {
        let docs = column_docs();
        let seen =
            columns(&FIELDS).into_iter().filter(|column| !DIFFERENCES.contains(&column.name().as_str()));
        assert!(docs.iter().map(|doc| doc.name.to_owned()).eq(seen.map(|column| column.name().clone())));
        assert!(docs.iter().all(|doc| !doc.text.is_empty() && !doc.kind.is_empty()));
        let seq = docs.iter().find(|doc| doc.name == "seq").expect("core");
        assert_eq!((seq.kind, seq.text), ("int", "number in vehicle, boot and lane"));
        let first = docs.iter().find(|doc| doc.name == "first_us").expect("core");
        assert_eq!((first.unit, first.text), ("µs", "vehicle time of the first observation"));
    }

    #[test]
    fn a_bucket_is_the_first_digit_of_the_name() {
        let buckets = ["0f", "9a", "a0", "ff", "", "x0"].map(bucket_of);
        assert_eq!(buckets, [Some(0), Some(9), Some(10), Some(15), None, None]);
    }

    #[test]
    fn a_layout_is_known_by_its_number_and_a_newer_one_is_refused() {
        for layout in [Layout::One, Layout::Two, Layout::Three] {
            let number = layout.number().to_string();
            assert_eq!(Layout::of_property(Some(&number)).expect("known"), layout);
        }
        assert_eq!(Layout::of_property(None).expect("the first had no property"), Layout::One);
        let error = Layout::of_property(Some("4")).expect_err("a later program's");
        assert_eq!((error.code(), error.class()), ("lake.layout", crate::ErrorClass::Config));
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
