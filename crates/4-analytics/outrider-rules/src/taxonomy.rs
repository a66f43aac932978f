//! What the names of fields mean.

use std::collections::BTreeMap;

use outrider_model::catalogue::{self, EventType, FieldKind};
use outrider_types::FieldKey;

use crate::field::FieldRef;
use crate::header::find_field;
use crate::pipeline::{Applied, NAMES_MAX};
use crate::problem::{Position, Report};

/// Fields that rules may name.
#[derive(Debug, Clone, Copy, Default)]
pub enum Taxonomy<'a> {
    /// Core columns and fields of the catalogue; a rule's log source is a category of events of vehicles.
    #[default]
    Vehicle,
    /// Fields of foreign events, whatever their names. Every value is text and every log source is taken: who chooses
    /// the events chooses the log source. For rules of others on events of others.
    Foreign(&'a ForeignFields),
}

/// What the fields of one rule's items mean.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) taxonomy: Taxonomy<'a>,
    /// Event types of the rule's log source.
    pub(crate) types: &'a [&'static EventType],
    /// What pipelines do to the rule.
    pub(crate) applied: &'a Applied<'a>,
}

impl Scope<'_> {
    /// Finds the fields that a name means, with the names that they have here, never none; `None` after an error was
    /// reported.
    pub(crate) fn find(
        &self,
        name: &str,
        at: Position,
        report: &mut Report<'_>,
    ) -> Option<Vec<(FieldRef, String)>> {
        self.look_up(name, at, &ForeignFields::find, report)
    }

    /// As [`Scope::find`], with the columns that say where a foreign field stands without a value.
    pub(crate) fn find_present(
        &self,
        name: &str,
        at: Position,
        report: &mut Report<'_>,
    ) -> Option<Vec<(FieldRef, String)>> {
        self.look_up(name, at, &ForeignFields::find_present, report)
    }

    fn look_up(
        &self,
        name: &str,
        at: Position,
        columns: &dyn Fn(&ForeignFields, &str) -> Vec<FieldRef>,
        report: &mut Report<'_>,
    ) -> Option<Vec<(FieldRef, String)>> {
        let mut found: Vec<(FieldRef, String)> = Vec::new();
        let names = self.applied.names(name);
        if names.len() > NAMES_MAX {
            let message = format!("pipelines give `{name}` more than {NAMES_MAX} meanings");
            report.error(at, "rule.too_large", message, "map it to fewer fields");
            return None;
        }
        for name in names {
            let fields = match self.taxonomy {
                Taxonomy::Vehicle => vec![find_field(&name, at, report)?],
                Taxonomy::Foreign(fields) => columns(fields, &name),
            };
            let fresh = fields.into_iter().filter(|field| found.iter().all(|(known, _)| known != field));
            let fresh: Vec<_> = fresh.map(|field| (field, name.clone())).collect();
            found.extend(fresh);
        }
        Some(found)
    }

    /// Returns the fields in which keywords are searched.
    pub(crate) fn message(&self) -> Vec<(FieldRef, String)> {
        match self.taxonomy {
            Taxonomy::Foreign(_) => vec![(FieldRef::Catalogue(MESSAGE), MESSAGE_NAME.to_owned())],
            Taxonomy::Vehicle => {
                let mut keys: Vec<FieldKey> =
                    self.types.iter().flat_map(|entry| entry.fields.iter().copied()).collect();
                keys.sort_unstable();
                keys.dedup();
                let is_text = |key: &FieldKey| {
                    catalogue::field(*key).is_some_and(|field| field.kind == FieldKind::Text)
                };
                let fields = keys.into_iter().filter(is_text).map(FieldRef::Catalogue);
                fields.map(|field| (field, field.name().to_owned())).collect()
            }
        }
    }
}

/// Lowest number of a foreign column; the catalogue stays far below.
pub(crate) const FOREIGN_FIRST: u16 = 0x8000;
/// Most foreign columns of a batch.
const FOREIGN_MAX: u16 = 0x7000;
/// Column that no batch has: a field that no event carries.
const ABSENT: FieldKey = FieldKey(u16::MAX);
/// Column with every value of an event, one a line.
pub(crate) const MESSAGE: FieldKey = FieldKey(u16::MAX - 1);
/// What explanations call it.
pub(crate) const MESSAGE_NAME: &str = "message";

/// Names of the fields of foreign events, and the columns behind them.
#[derive(Debug, Clone, Default)]
pub struct ForeignFields {
    /// Columns by name; several if an event has the name several times.
    columns: BTreeMap<String, Vec<FieldKey>>,
    /// Columns by name that say where the name stands without a value.
    empty: BTreeMap<String, Vec<FieldKey>>,
    /// Columns by the place in the event.
    places: BTreeMap<String, FieldKey>,
}

impl ForeignFields {
    /// Returns the column of a place, a new one if it was not seen; `None` if there are too many.
    pub(crate) fn column(&mut self, place: &str) -> Option<FieldKey> {
        if let Some(key) = self.places.get(place) {
            return Some(*key);
        }
        let next = u16::try_from(self.places.len()).ok().filter(|next| *next < FOREIGN_MAX)?;
        let key = FieldKey(FOREIGN_FIRST + next);
        self.places.insert(place.to_owned(), key);
        Some(key)
    }

    /// Lets a name mean a column, beside others that it means: of values, or of places without one.
    pub(crate) fn name(&mut self, name: String, key: FieldKey, has_value: bool) {
        let names = if has_value { &mut self.columns } else { &mut self.empty };
        let columns = names.entry(name).or_default();
        if !columns.contains(&key) {
            columns.push(key);
        }
    }

    /// Returns the columns that a name means; one that no event has, if it is unknown.
    pub(crate) fn find(&self, name: &str) -> Vec<FieldRef> {
        match self.columns.get(name) {
            Some(keys) => keys.iter().map(|key| FieldRef::Catalogue(*key)).collect(),
            None => vec![FieldRef::Catalogue(ABSENT)],
        }
    }

    /// Returns the columns of which one has an entry where an event has the name, with or without a value.
    fn find_present(&self, name: &str) -> Vec<FieldRef> {
        let keys = self.columns.get(name).into_iter().chain(self.empty.get(name)).flatten();
        let found: Vec<FieldRef> = keys.map(|key| FieldRef::Catalogue(*key)).collect();
        if found.is_empty() { vec![FieldRef::Catalogue(ABSENT)] } else { found }
    }

    /// Returns the names of all fields that have a value somewhere, ascending.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(String::as_str)
    }
}
