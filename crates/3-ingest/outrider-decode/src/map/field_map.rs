//! A mapping as a table: which foreign field becomes what.

mod spec;

use std::borrow::Cow;
use std::collections::BTreeMap;

use outrider_model::Dictionary;
use outrider_model::catalogue::{self, FieldKind};
use outrider_types::{EventTypeId, FieldKey};

use super::convert::{self, Conversion, TEXT_BYTES_MAX, cut};
use super::event::{EventRef, NameRef, TypeRef, ValueRef};
use super::name::{bytes, vehicle_name};
use super::path::Path;
use super::rest::{Kept, Rest, extension_name, is_namespace};
use super::scalar::{Scalar, Source, cut_short};
use super::{MapError, Mapping};
use crate::doc::Doc;
use crate::record::{Output, Payload, Record, VehicleName};
use spec::{PayloadSpec, Spec};

/// A mapping as a table.
#[derive(Debug)]
pub struct FieldMap {
    spec: Spec,
    /// Foreign words, and the type of each.
    words: Dictionary,
    types: Vec<EventTypeId>,
    default_type: Option<EventTypeId>,
    /// How a bus gets its number.
    bus: Option<Conversion>,
    /// In the order of `spec.field`.
    fields: Vec<Target>,
    has_required: bool,
    /// Every path that is read, by its number.
    paths: Vec<Path>,
    /// Paths that are no foreign fields, with the fields that must have taken the value for that; none if it never is one.
    taken: BTreeMap<String, Vec<FieldKey>>,
}

/// Why a table is no mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldMapError {
    /// The text is no TOML, or has keys that a mapping does not have.
    #[error("mapping: {0}")]
    Syntax(String),
    /// A name is not in the catalogue.
    #[error("mapping: {place}: the catalogue has no {what} `{name}`{hint}")]
    Unknown {
        /// Where in the table.
        place: String,
        /// What it should be: field or type.
        what: &'static str,
        /// The name.
        name: String,
        /// The nearest name, in words.
        hint: String,
    },
    /// A value of the table is wrong.
    #[error("mapping: {place}: {reason}")]
    Value {
        /// Where in the table.
        place: String,
        /// Why, in words.
        reason: String,
    },
}

/// Fields that an event mostly does not exceed.
const FIELDS_USUAL: usize = 16;

/// A field of the catalogue and how its values are made.
#[derive(Debug)]
struct Target {
    key: FieldKey,
    kind: FieldKind,
    conversion: Conversion,
}

fn wrong(place: impl Into<String>, reason: impl Into<String>) -> FieldMapError {
    FieldMapError::Value { place: place.into(), reason: reason.into() }
}

fn known_type(place: &str, name: &str) -> Result<EventTypeId, FieldMapError> {
    catalogue::event_type_by_name(name).map(|entry| entry.id).ok_or_else(|| FieldMapError::Unknown {
        place: place.to_owned(),
        what: "event type",
        name: name.to_owned(),
        hint: hint(name, catalogue::EVENT_TYPES.iter().map(|entry| entry.name)),
    })
}

/// Names the entry that shares the longest beginning, if that is more than two letters.
fn hint<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let shared = |other: &str| name.bytes().zip(other.bytes()).take_while(|(one, two)| one == two).count();
    let nearest = names.max_by_key(|other| shared(other)).filter(|other| shared(other) > 2);
    nearest.map_or(String::new(), |nearest| format!("; did you mean `{nearest}`?"))
}

impl FieldMap {
    /// Reads a mapping from TOML and checks every name and number of it.
    ///
    /// # Errors
    /// [`FieldMapError`].
    pub fn parse(text: &str) -> Result<Self, FieldMapError> {
        let mut spec: Spec =
            toml::from_str(text).map_err(|error| FieldMapError::Syntax(error.to_string()))?;
        if !is_namespace(&spec.namespace) {
            return Err(wrong("namespace", "1 to 32 of a-z, 0-9 and _, beginning with a letter"));
        }
        if spec.event_type.is_none() == spec.payload.is_none() {
            return Err(wrong("type", "a mapping has either [type] or [payload]"));
        }
        let (mut words, mut types, mut default_type) = (Dictionary::default(), Vec::new(), None);
        if let Some(of) = &spec.event_type {
            if of.path.is_none() && of.default.is_none() {
                return Err(wrong("type", "neither path nor default"));
            }
            for (word, name) in &of.values {
                words.intern(word);
                types.push(known_type(&format!("type.values.\"{word}\""), name)?);
            }
            if let Some(name) = &of.default {
                default_type = Some(known_type("type.default", name)?);
            }
        }
        if let Some(payload) = &spec.payload {
            if payload.format.is_none() && payload.format_path.is_none() {
                return Err(wrong("payload", "neither format nor format_path"));
            }
            if spec.vehicle.is_none() {
                return Err(wrong("vehicle", "an envelope says whose payload it holds"));
            }
        }
        if let Some(time) = &spec.time
            && time.error_s.is_some_and(|error| !(0.0..=1e9).contains(&error))
        {
            return Err(wrong("time.error_s", "not 0 to 1e9"));
        }
        if let Some(of) = &spec.severity
            && let Some(word) = of.values.values().find(|word| convert::severity(word).is_none())
        {
            return Err(wrong("severity.values", format!("`{word}` is no severity")));
        }
        let mut fields: Vec<Target> = Vec::new();
        for (index, field) in spec.field.iter().enumerate() {
            let place = || format!("field {} (to {})", index + 1, field.to);
            let entry = catalogue::field_by_name(&field.to).ok_or_else(|| FieldMapError::Unknown {
                place: place(),
                what: "field",
                name: field.to.clone(),
                hint: hint(&field.to, catalogue::FIELDS.iter().map(|entry| entry.name)),
            })?;
            let conversion = field.conversion();
            conversion.check().map_err(|reason| wrong(place(), reason))?;
            if fields.iter().any(|target| target.key == entry.key) {
                return Err(wrong(place(), "the field is mapped twice"));
            }
            fields.push(Target { key: entry.key, kind: entry.kind, conversion });
        }
        // A value that its field does not take is not lost: it stays under the source's name.
        let keys = |path: &str| {
            let of_path = spec.field.iter().zip(&fields).filter(|(of, _)| of.path.text() == path);
            of_path.map(|(_, target)| target.key).collect()
        };
        let taken = spec.taken().into_iter().map(|path| (path.clone(), keys(&path))).collect();
        let bus =
            spec.bus.as_ref().map(|of| Conversion { values: of.values.clone(), ..Conversion::default() });
        let paths = spec.number();
        let has_required = spec.field.iter().any(|of| of.required);
        Ok(Self { has_required, spec, words, types, default_type, bus, fields, paths, taken })
    }

    /// Returns every path that is read, by its number.
    pub(crate) fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Returns how many fields there are; their paths are the first, in their order.
    pub(crate) const fn field_count(&self) -> usize {
        self.fields.len()
    }

    /// Returns the field that a path is for.
    pub(crate) fn field_at(&self, slot: usize) -> Option<FieldKey> {
        self.fields.get(slot).map(|target| target.key)
    }

    /// Returns whether documents are events, and not envelopes around other formats.
    pub(crate) const fn is_for_events(&self) -> bool {
        self.spec.payload.is_none()
    }

    /// Returns whether a value at a path, as foreign fields name it, stays one.
    pub(crate) fn kept(&self, path: &str) -> Kept {
        match self.taken.get(path) {
            _ if !self.spec.rest.keep => Kept::Never,
            None => Kept::Always,
            Some(keys) if keys.is_empty() => Kept::Never,
            Some(keys) => Kept::Unless(keys.clone()),
        }
    }

    /// Returns the name of the foreign field at a path.
    pub(crate) fn extension(&self, path: &str) -> String {
        extension_name(&self.spec.namespace, path)
    }

    fn vehicle<'a>(&self, source: &'a impl Source) -> Result<Option<NameRef<'a>>, MapError> {
        let Some(of) = &self.spec.vehicle else { return Ok(None) };
        let refused = |why: &str| MapError::new("map.vehicle", format!("{}: {why}", of.path.text()));
        let name = source.word(&of.path).ok_or_else(|| refused("no name"))?;
        vehicle_name(of.kind, name).map(Some).ok_or_else(|| refused("no name of the stated kind"))
    }

    fn event_type<'a>(&self, source: &'a impl Source) -> Result<TypeRef<'a>, MapError> {
        let Some(of) = &self.spec.event_type else {
            return Err(MapError::new("map.type", "the mapping is for envelopes"));
        };
        let read = of.path.as_ref().and_then(|path| source.word(path));
        let mapped =
            read.as_ref().and_then(|word| self.types.get(self.words.code(word)? as usize)).copied().or_else(
                || {
                    // A default is for what has no word, or for all words where no table says otherwise.
                    self.default_type.filter(|_| read.is_none() || self.types.is_empty())
                },
            );
        if let Some(id) = mapped {
            return Ok(TypeRef::Known(id));
        }
        let word = read.ok_or_else(|| MapError::new("map.type", "no type and no default"))?;
        // A source may speak the catalogue's own names.
        Ok(match catalogue::event_type_by_name(&word) {
            Some(entry) => TypeRef::Known(entry.id),
            None => TypeRef::Unknown(cut_short(word, TEXT_BYTES_MAX)),
        })
    }

    /// Returns the paths that make an event's key together.
    pub(crate) fn key_paths(&self) -> &[Path] {
        self.spec.key.as_ref().map_or(&[], |of| &of.paths)
    }

    fn key<'a>(&self, source: &'a impl Source) -> Option<Cow<'a, str>> {
        let of = self.spec.key.as_ref()?;
        source.joined(&of.paths).map(|key| cut_short(key, TEXT_BYTES_MAX))
    }

    /// Makes an event of what a source holds; what the table does not map is not looked at.
    pub(crate) fn event<'a>(&'a self, source: &'a impl Source) -> Result<EventRef<'a>, MapError> {
        let event_type = self.event_type(source)?;
        let vehicle = self.vehicle(source)?;
        let (mut time, mut time_error_us) = (None, None);
        if let Some(of) = &self.spec.time
            && let Some(found) = source.find(&of.path)
        {
            let read = of.form.time(found);
            time =
                Some(read.ok_or_else(|| MapError::new("map.time", format!("{}: no time", of.path.text())))?);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 to 1e9, by `parse`"
            )]
            let error = of.error_s.map(|seconds| (seconds * 1e6) as u64);
            time_error_us = error;
        }
        let severity = self.spec.severity.as_ref().and_then(|of| {
            let read = source.word(&of.path)?;
            convert::severity(of.values.get(read.as_ref()).map_or(read.as_ref(), String::as_str))
        });
        let count = self.spec.count.as_ref().and_then(|of| source.find(&of.path));
        let count = match count.and_then(|found| convert::PLAIN.convert(found, FieldKind::Int)) {
            Some(ValueRef::Int(count)) => {
                u32::try_from(count).unwrap_or(if count < 1 { 1 } else { u32::MAX }).max(1)
            }
            Some(ValueRef::Float(_) | ValueRef::Text(_) | ValueRef::Bool(_)) | None => 1,
        };
        let bus = self.spec.bus.as_ref().zip(self.bus.as_ref());
        let bus = match bus.and_then(|(of, how)| how.convert(source.find(&of.path)?, FieldKind::Int)) {
            Some(ValueRef::Int(bus)) => u8::try_from(bus).ok(),
            Some(ValueRef::Float(_) | ValueRef::Text(_) | ValueRef::Bool(_)) | None => None,
        };
        let ecu = self.spec.ecu.as_ref().and_then(|of| source.word(&of.path));
        let context = self.spec.context.as_ref().and_then(|of| bytes(source.find(&of.path)?, of.encoding));
        Ok(EventRef {
            vehicle,
            time,
            time_error_us,
            event_type,
            severity,
            count,
            bus,
            ecu: ecu.map(|ecu| cut_short(ecu, TEXT_BYTES_MAX)),
            key: self.key(source),
            fields: self.values(source)?,
            context: context.unwrap_or_default(),
        })
    }

    /// Returns the fields of the catalogue, in the order of the table.
    fn values<'a>(&'a self, source: &'a impl Source) -> Result<Vec<(FieldKey, ValueRef<'a>)>, MapError> {
        let mut values = Vec::with_capacity(FIELDS_USUAL.min(self.fields.len()));
        let mut place = 0;
        while let Some((of, target)) = self.spec.field.get(place).zip(self.fields.get(place)) {
            let value = source.find(&of.path).and_then(|found| target.conversion.convert(found, target.kind));
            match value {
                Some(value) => values.push((target.key, value)),
                None if of.required => {
                    return Err(MapError::new(
                        "map.field",
                        format!("{}: no value for {}", of.path.text(), of.to),
                    ));
                }
                None => {}
            }
            place += 1;
            if !self.has_required {
                // The paths of fields are numbered first, in their order.
                place = source.next_filled(place).unwrap_or(usize::MAX);
            }
        }
        Ok(values)
    }

    fn record(&self, doc: &Doc) -> Result<Record, MapError> {
        let mut record = self.event(doc)?.to_record();
        if self.spec.rest.keep {
            let is_given = |key: &FieldKey| record.fields.iter().any(|(have, _)| have == key);
            let is_taken = |path: &str| match self.kept(path) {
                Kept::Always => false,
                Kept::Never => true,
                Kept::Unless(keys) => keys.iter().any(is_given),
            };
            record.extensions = Rest::new(&self.spec.namespace, &is_taken).collect(doc);
        }
        Ok(record)
    }

    fn payload(&self, of: &PayloadSpec, doc: &Doc) -> Result<Payload, MapError> {
        let refused = |why: &str| MapError::new("map.payload", format!("{}: {why}", of.path.text()));
        let vehicle = self.vehicle(doc)?.ok_or_else(|| refused("no vehicle"))?;
        let found = Source::find(doc, &of.path).ok_or_else(|| refused("no payload"))?;
        let bytes = bytes(found, of.encoding).ok_or_else(|| refused("not in the stated encoding"))?;
        let read = of.format_path.as_ref().and_then(|path| Source::find(doc, path)).and_then(Scalar::word);
        let format = read.map(Cow::into_owned).or_else(|| of.format.clone());
        let format = format.ok_or_else(|| refused("no format"))?;
        let time = self.spec.time.as_ref().and_then(|time| time.form.time(Source::find(doc, &time.path)?));
        Ok(Payload {
            vehicle: VehicleName::from(&vehicle),
            format: cut(format, TEXT_BYTES_MAX),
            time,
            key: self.key(doc).map(Cow::into_owned),
            bytes: bytes.into_owned(),
        })
    }

    /// Returns whether the table leaves a document out on purpose.
    pub(crate) fn is_ignored(&self, source: &impl Source) -> bool {
        self.spec.ignore.iter().any(|rule| source.word(&rule.path) == Scalar::from(&rule.equals).word())
    }
}

impl Mapping for FieldMap {
    fn map(&self, doc: Doc) -> Result<Option<Output>, MapError> {
        if self.is_ignored(&doc) {
            return Ok(None);
        }
        let output = match &self.spec.payload {
            Some(of) => Output::Payload(self.payload(of, &doc)?),
            None => Output::Event(self.record(&doc)?),
        };
        Ok(Some(output))
    }

    fn table(&self) -> Option<&FieldMap> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
