//! A mapping as a table: which foreign field becomes what.

use std::collections::BTreeMap;

use outrider_model::catalogue::{self, FieldKind};
use outrider_types::{EventTypeId, FieldKey};
use serde::Deserialize;

use super::convert::{self, Conversion, TEXT_BYTES_MAX, TimeForm, cut, word};
use super::name::{Encoding, NameKind, bytes, vehicle_name};
use super::path::Path;
use super::rest::{Rest, is_namespace};
use super::{MapError, Mapping};
use crate::doc::Doc;
use crate::record::{Output, Payload, Record, TypeName, VehicleName};

/// A mapping as a table.
#[derive(Debug)]
pub struct FieldMap {
    spec: Spec,
    types: BTreeMap<String, EventTypeId>,
    /// In the order of `spec.field`.
    fields: Vec<Target>,
    /// Paths that are mapped or left out, each with the fields that are made of it, by their place in `fields`.
    taken: BTreeMap<String, Vec<usize>>,
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    /// Namespace of fields that the catalogue does not have.
    namespace: String,
    vehicle: Option<VehicleSpec>,
    time: Option<TimeSpec>,
    #[serde(rename = "type")]
    event_type: Option<TypeSpec>,
    severity: Option<WordSpec>,
    count: Option<PathSpec>,
    bus: Option<BusSpec>,
    ecu: Option<PathSpec>,
    key: Option<KeySpec>,
    context: Option<BytesSpec>,
    payload: Option<PayloadSpec>,
    #[serde(default)]
    field: Vec<FieldSpec>,
    #[serde(default)]
    ignore: Vec<Ignore>,
    #[serde(default)]
    rest: RestSpec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VehicleSpec {
    path: Path,
    kind: NameKind,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeSpec {
    path: Path,
    form: TimeForm,
    /// Half the interval that the source's clock keeps, seconds.
    error_s: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeSpec {
    path: Option<Path>,
    /// Foreign word → name in the catalogue.
    #[serde(default)]
    values: BTreeMap<String, String>,
    /// Name in the catalogue if `path` is absent or its word is not in `values`.
    default: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WordSpec {
    path: Path,
    #[serde(default)]
    values: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PathSpec {
    path: Path,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySpec {
    /// Values that together make the key, such as device and counter.
    paths: Vec<Path>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BytesSpec {
    path: Path,
    #[serde(default)]
    encoding: Encoding,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadSpec {
    path: Path,
    #[serde(default)]
    encoding: Encoding,
    /// Format of all payloads, or where the format's name stands.
    format: Option<String>,
    format_path: Option<Path>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BusSpec {
    path: Path,
    #[serde(default)]
    values: BTreeMap<String, convert::Literal>,
}

/// The members of [`Conversion`] stand here once more, because flattened ones would let a misspelt key pass.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldSpec {
    to: String,
    path: Path,
    /// Without it the event is refused.
    #[serde(default)]
    required: bool,
    base: Option<u32>,
    scale: Option<f64>,
    offset: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    #[serde(default)]
    values: BTreeMap<String, convert::Literal>,
}

impl FieldSpec {
    fn conversion(&self) -> Conversion {
        Conversion {
            base: self.base,
            scale: self.scale,
            offset: self.offset,
            min: self.min,
            max: self.max,
            values: self.values.clone(),
        }
    }
}

/// A field of the catalogue and how its values are made.
#[derive(Debug)]
struct Target {
    key: FieldKey,
    kind: FieldKind,
    conversion: Conversion,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ignore {
    path: Path,
    equals: convert::Literal,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestSpec {
    /// Whether fields that are not mapped are kept.
    #[serde(default = "yes")]
    keep: bool,
    /// Paths that are left out all the same.
    #[serde(default)]
    except: Vec<Path>,
}

impl Default for RestSpec {
    fn default() -> Self {
        Self { keep: true, except: Vec::new() }
    }
}

const fn yes() -> bool {
    true
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
        let spec: Spec = toml::from_str(text).map_err(|error| FieldMapError::Syntax(error.to_string()))?;
        if !is_namespace(&spec.namespace) {
            return Err(wrong("namespace", "1 to 32 of a-z, 0-9 and _, beginning with a letter"));
        }
        if spec.event_type.is_none() == spec.payload.is_none() {
            return Err(wrong("type", "a mapping has either [type] or [payload]"));
        }
        let mut types = BTreeMap::new();
        if let Some(of) = &spec.event_type {
            if of.path.is_none() && of.default.is_none() {
                return Err(wrong("type", "neither path nor default"));
            }
            for (word, name) in &of.values {
                types.insert(name.clone(), known_type(&format!("type.values.\"{word}\""), name)?);
            }
            if let Some(name) = &of.default {
                types.insert(name.clone(), known_type("type.default", name)?);
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
        let taken = taken(&spec);
        Ok(Self { spec, types, fields, taken })
    }

    fn vehicle(&self, doc: &Doc) -> Result<Option<VehicleName>, MapError> {
        let Some(of) = &self.spec.vehicle else { return Ok(None) };
        let refused = |why: &str| MapError::new("map.vehicle", format!("{}: {why}", of.path.text()));
        let name = of.path.find(doc).and_then(word).ok_or_else(|| refused("no name"))?;
        vehicle_name(of.kind, &name).map(Some).ok_or_else(|| refused("no name of the stated kind"))
    }

    fn event_type(&self, doc: &Doc) -> Result<TypeName, MapError> {
        let Some(of) = &self.spec.event_type else {
            return Err(MapError::new("map.type", "the mapping is for envelopes"));
        };
        let read = of.path.as_ref().and_then(|path| path.find(doc)).and_then(word);
        let mapped = read.as_ref().and_then(|word| of.values.get(word)).or_else(|| {
            // A default is for what has no word, or for all words where no table says otherwise.
            of.default.as_ref().filter(|_| read.is_none() || of.values.is_empty())
        });
        if let Some(id) = mapped.and_then(|name| self.types.get(name)) {
            return Ok(TypeName::Known(*id));
        }
        let word = read.ok_or_else(|| MapError::new("map.type", "no type and no default"))?;
        // A source may speak the catalogue's own names.
        Ok(catalogue::event_type_by_name(&word).map_or_else(
            || TypeName::Unknown(cut(word.clone(), TEXT_BYTES_MAX)),
            |entry| TypeName::Known(entry.id),
        ))
    }

    fn key(&self, doc: &Doc) -> Option<String> {
        let of = self.spec.key.as_ref()?;
        let words: Option<Vec<String>> = of.paths.iter().map(|path| path.find(doc).and_then(word)).collect();
        words.map(|words| cut(words.join("\u{1f}"), TEXT_BYTES_MAX))
    }

    fn record(&self, doc: &Doc) -> Result<Record, MapError> {
        let mut record = Record::new(self.event_type(doc)?);
        record.vehicle = self.vehicle(doc)?;
        if let Some(of) = &self.spec.time
            && let Some(found) = of.path.find(doc)
        {
            let time = of.form.read(found);
            record.time =
                Some(time.ok_or_else(|| MapError::new("map.time", format!("{}: no time", of.path.text())))?);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 to 1e9, by `parse`"
            )]
            let error = of.error_s.map(|seconds| (seconds * 1e6) as u64);
            record.time_error_us = error;
        }
        let severity = self.spec.severity.as_ref().and_then(|of| {
            let read = of.path.find(doc).and_then(word)?;
            convert::severity(of.values.get(&read).unwrap_or(&read))
        });
        record.severity = severity;
        let count = self.spec.count.as_ref().and_then(|of| of.path.find(doc));
        let count = count.and_then(|doc| Conversion::default().apply(doc, FieldKind::Int));
        if let Some(crate::record::Value::Int(count)) = count {
            record.count = u32::try_from(count).unwrap_or(if count < 1 { 1 } else { u32::MAX }).max(1);
        }
        let bus = self.spec.bus.as_ref().and_then(|of| {
            let conversion = Conversion { values: of.values.clone(), ..Conversion::default() };
            conversion.apply(of.path.find(doc)?, FieldKind::Int)
        });
        if let Some(crate::record::Value::Int(bus)) = bus {
            record.bus = u8::try_from(bus).ok();
        }
        let ecu = self.spec.ecu.as_ref().and_then(|of| of.path.find(doc)).and_then(word);
        record.ecu = ecu.map(|ecu| cut(ecu, TEXT_BYTES_MAX));
        record.key = self.key(doc);
        if let Some(of) = &self.spec.context {
            record.context = of.path.find(doc).and_then(|doc| bytes(doc, of.encoding)).unwrap_or_default();
        }
        let mut given = vec![false; self.fields.len()];
        for ((of, target), given) in self.spec.field.iter().zip(&self.fields).zip(&mut given) {
            let value = of.path.find(doc).and_then(|found| target.conversion.apply(found, target.kind));
            match value {
                Some(value) => {
                    record.fields.push((target.key, value));
                    *given = true;
                }
                None if of.required => {
                    return Err(MapError::new(
                        "map.field",
                        format!("{}: no value for {}", of.path.text(), of.to),
                    ));
                }
                None => {}
            }
        }
        if self.spec.rest.keep {
            // A value that its field does not take is not lost: it stays under the source's name.
            let is_taken = |path: &str| {
                self.taken.get(path).is_some_and(|made| {
                    made.is_empty() || made.iter().any(|field| given.get(*field) == Some(&true))
                })
            };
            record.extensions = Rest::new(&self.spec.namespace, &is_taken).collect(doc);
        }
        Ok(record)
    }

    fn payload(&self, of: &PayloadSpec, doc: &Doc) -> Result<Payload, MapError> {
        let refused = |why: &str| MapError::new("map.payload", format!("{}: {why}", of.path.text()));
        let vehicle = self.vehicle(doc)?.ok_or_else(|| refused("no vehicle"))?;
        let found = of.path.find(doc).ok_or_else(|| refused("no payload"))?;
        let bytes = bytes(found, of.encoding).ok_or_else(|| refused("not in the stated encoding"))?;
        let read = of.format_path.as_ref().and_then(|path| path.find(doc)).and_then(word);
        let format = read.or_else(|| of.format.clone()).ok_or_else(|| refused("no format"))?;
        let time = self.spec.time.as_ref().and_then(|time| time.form.read(time.path.find(doc)?));
        Ok(Payload { vehicle, format: cut(format, TEXT_BYTES_MAX), time, key: self.key(doc), bytes })
    }
}

impl Mapping for FieldMap {
    fn map(&self, doc: Doc) -> Result<Option<Output>, MapError> {
        let is_ignored =
            |rule: &Ignore| rule.path.find(&doc).and_then(word) == word(&Doc::from(&rule.equals));
        if self.spec.ignore.iter().any(is_ignored) {
            return Ok(None);
        }
        let output = match &self.spec.payload {
            Some(of) => Output::Payload(self.payload(of, &doc)?),
            None => Output::Event(self.record(&doc)?),
        };
        Ok(Some(output))
    }
}

/// Returns the paths that are mapped or left out, for the rest, with the fields made of each.
fn taken(spec: &Spec) -> BTreeMap<String, Vec<usize>> {
    let mut paths: Vec<&Path> = Vec::new();
    paths.extend(spec.vehicle.iter().map(|of| &of.path));
    paths.extend(spec.time.iter().map(|of| &of.path));
    paths.extend(spec.event_type.iter().filter_map(|of| of.path.as_ref()));
    paths.extend(spec.severity.iter().map(|of| &of.path));
    paths.extend(spec.count.iter().chain(&spec.ecu).map(|of| &of.path));
    paths.extend(spec.bus.iter().map(|of| &of.path));
    paths.extend(spec.context.iter().map(|of| &of.path));
    paths.extend(&spec.rest.except);
    let mut taken: BTreeMap<String, Vec<usize>> =
        paths.into_iter().map(|path| (path.text().to_owned(), Vec::new())).collect();
    for (index, field) in spec.field.iter().enumerate() {
        taken.entry(field.path.text().to_owned()).or_default().push(index);
    }
    taken
}

#[cfg(test)]
mod tests;
