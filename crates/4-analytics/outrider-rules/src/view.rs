//! Columns of a batch as the matcher reads them.

use std::collections::BTreeMap;

use outrider_model::{EventBatch, FieldColumn, FieldValues, Presence, TextColumn};

use crate::field::{CoreField, FieldRef, core_text_column};

/// Column of one field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum View<'a> {
    /// No row has a value.
    Absent,
    /// Every row has a value, and no test needs to read it here.
    Always,
    Int(&'a [i64], &'a Presence),
    Float(&'a [f64], &'a Presence),
    Bool(&'a [bool], &'a Presence),
    Text(&'a [u32], &'a Presence, &'a [String]),
    /// Text that was numbered for this batch; [`NO_VALUE`] where a row has none.
    Numbered(&'a [u32], &'a [String]),
    /// Bus numbers or years; negative where a row has none.
    Small(&'a [i16]),
    Count(&'a [u32]),
    /// Severity or lane.
    Code(&'a [u8]),
}

/// Code of a row without a value.
const NO_VALUE: u32 = u32::MAX;

impl<'a> View<'a> {
    /// Finds the column of a field. `numbered` was filled by [`Numbered::fill`] for the same field and batch.
    pub(crate) fn new(field: FieldRef, batch: &'a EventBatch, numbered: &'a Numbered) -> Self {
        match field {
            FieldRef::Catalogue(key) => batch.fields.get(&key).map_or(Self::Absent, Self::of_field),
            FieldRef::Core(core) => match core_text_column(core, batch) {
                Some(column) => Self::of_text(column, &column.presence),
                None => match core {
                    CoreField::VehicleId | CoreField::H3 => Self::Numbered(&numbered.codes, &numbered.values),
                    CoreField::Severity => Self::Code(&batch.severity),
                    CoreField::Lane => Self::Code(&batch.lane),
                    CoreField::Bus => Self::Small(&batch.bus),
                    CoreField::ModelYear => Self::Small(&batch.model_year),
                    CoreField::Count => Self::Count(&batch.count),
                    CoreField::EventType | CoreField::EventTime => Self::Always,
                    CoreField::Ecu
                    | CoreField::ModelLine
                    | CoreField::Platform
                    | CoreField::Release
                    | CoreField::Region
                    | CoreField::Monitoring => Self::Absent,
                },
            },
        }
    }

    fn of_field(column: &'a FieldColumn) -> Self {
        let presence = &column.presence;
        match &column.values {
            FieldValues::Int(values) => Self::Int(values, presence),
            FieldValues::Float(values) => Self::Float(values, presence),
            FieldValues::Bool(values) => Self::Bool(&values.values, presence),
            // The outer presence counts: a padded row has a code, but no value.
            FieldValues::Text(column) => Self::of_text(column, presence),
        }
    }

    fn of_text(column: &'a TextColumn, presence: &'a Presence) -> Self {
        Self::Text(&column.codes, presence, column.dictionary.values())
    }

    /// Returns whether a row has a value.
    pub(crate) fn exists(self, row: usize) -> bool {
        match self {
            Self::Absent => false,
            Self::Always | Self::Count(_) | Self::Code(_) => true,
            Self::Int(_, presence)
            | Self::Float(_, presence)
            | Self::Bool(_, presence)
            | Self::Text(_, presence, _) => presence.get(row),
            Self::Numbered(codes, _) => codes.get(row).is_some_and(|code| *code != NO_VALUE),
            Self::Small(values) => values.get(row).is_some_and(|bus| *bus >= 0),
        }
    }

    /// Returns the integer of a row.
    pub(crate) fn int(self, row: usize) -> Option<i64> {
        match self {
            Self::Int(values, presence) if presence.get(row) => values.get(row).copied(),
            Self::Small(values) => values.get(row).filter(|bus| **bus >= 0).map(|bus| i64::from(*bus)),
            Self::Count(values) => values.get(row).map(|count| i64::from(*count)),
            Self::Absent
            | Self::Always
            | Self::Int(..)
            | Self::Float(..)
            | Self::Bool(..)
            | Self::Text(..)
            | Self::Numbered(..)
            | Self::Code(_) => None,
        }
    }

    /// Returns the floating-point value of a row.
    pub(crate) fn float(self, row: usize) -> Option<f64> {
        let Self::Float(values, presence) = self else { return None };
        if presence.get(row) { values.get(row).copied() } else { None }
    }

    /// Returns the truth value of a row.
    pub(crate) fn truth(self, row: usize) -> Option<bool> {
        let Self::Bool(values, presence) = self else { return None };
        if presence.get(row) { values.get(row).copied() } else { None }
    }

    /// Returns the severity or lane code of a row.
    pub(crate) fn code(self, row: usize) -> Option<u8> {
        let Self::Code(values) = self else { return None };
        values.get(row).copied()
    }

    /// Returns the number of a row's text.
    pub(crate) fn text(self, row: usize) -> Option<u32> {
        match self {
            Self::Text(codes, presence, _) if presence.get(row) => codes.get(row).copied(),
            Self::Numbered(codes, _) => codes.get(row).copied().filter(|code| *code != NO_VALUE),
            Self::Absent
            | Self::Always
            | Self::Int(..)
            | Self::Float(..)
            | Self::Bool(..)
            | Self::Text(..)
            | Self::Small(_)
            | Self::Count(_)
            | Self::Code(_) => None,
        }
    }

    /// Returns the distinct texts of the column.
    pub(crate) fn values(self) -> &'a [String] {
        match self {
            Self::Text(_, _, values) | Self::Numbered(_, values) => values,
            Self::Absent
            | Self::Always
            | Self::Int(..)
            | Self::Float(..)
            | Self::Bool(..)
            | Self::Small(_)
            | Self::Count(_)
            | Self::Code(_) => &[],
        }
    }
}

/// Numbers for a core field that the batch does not keep as text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbered {
    codes: Vec<u32>,
    values: Vec<String>,
}

impl Numbered {
    /// Numbers the values of a field if the batch does not do it. Formats each distinct value once.
    pub(crate) fn fill(&mut self, field: FieldRef, batch: &EventBatch) {
        self.codes.clear();
        self.values.clear();
        match field {
            FieldRef::Core(CoreField::VehicleId) => {
                self.number(batch.vehicle.iter().map(|vehicle| Some(u128::from_be_bytes(vehicle.0))), |id| {
                    format!("{id:032x}")
                });
            }
            FieldRef::Core(CoreField::H3) => {
                let cells = batch.h3.iter().map(|cell| (*cell != 0).then_some(u128::from(*cell)));
                self.number(cells, |cell| format!("{cell:x}"));
            }
            FieldRef::Core(_) | FieldRef::Catalogue(_) => {}
        }
    }

    fn number(&mut self, keys: impl Iterator<Item = Option<u128>>, show: impl Fn(u128) -> String) {
        let mut known: BTreeMap<u128, u32> = BTreeMap::new();
        for key in keys {
            let code = match key {
                None => NO_VALUE,
                Some(key) => *known.entry(key).or_insert_with(|| {
                    self.values.push(show(key));
                    u32::try_from(self.values.len() - 1).expect("a batch has fewer than 2^32 rows")
                }),
            };
            self.codes.push(code);
        }
    }
}
