//! The one shape in which programs, samples and screens see what a decoder made.
//!
//! ```text
//! { vehicle: { vin | id | name }, time, time_error_us, type, severity, count, bus, ecu, key,
//!   fields: { .. }, extensions: { .. }, context }                     an event
//! { vehicle, time, key, payload: { format, bytes } }                  an envelope
//! { ignore: true }                                                    nothing, on purpose
//! ```

use outrider_model::catalogue;
use outrider_types::UnixMicros;
use serde_json::{Map, Value as Json, json};

use crate::doc::Doc;
use crate::map::{
    EXTENSIONS_MAX, MapError, TEXT_BYTES_MAX, cut, hex, is_namespace, plain, severity, vin, word,
};
use crate::record::{Output, Payload, Record, TypeName, Value, VehicleName};

fn wrong(place: &str, why: &str) -> MapError {
    MapError::new("map.shape", format!("{place}: {why}"))
}

/// Makes an output of a document in the shape above; foreign fields without a namespace get `namespace`.
///
/// # Errors
/// [`MapError`]: a member that the shape does not have, or a value of another kind.
pub(crate) fn output(doc: Doc, namespace: &str) -> Result<Option<Output>, MapError> {
    let Doc::Map(entries) = doc else { return Err(wrong("result", "not an object")) };
    let mut parts = Parts::default();
    for (name, value) in entries {
        // A program that sets nothing leaves null behind.
        if value == Doc::Null {
            continue;
        }
        match name.as_str() {
            "ignore" => parts.ignore = value == Doc::Bool(true),
            "vehicle" => parts.vehicle = Some(vehicle(&value)?),
            "time" => parts.time = Some(time(&value)?),
            "time_error_us" => parts.time_error_us = Some(unsigned("time_error_us", &value)?),
            "type" => parts.event_type = Some(text("type", &value)?),
            "severity" => parts.severity = Some(text("severity", &value)?),
            "count" => parts.count = Some(unsigned("count", &value)?),
            "bus" => parts.bus = Some(unsigned("bus", &value)?),
            "ecu" => parts.ecu = Some(text("ecu", &value)?),
            "key" => parts.key = Some(word(&value).ok_or_else(|| wrong("key", "not a word"))?),
            "fields" => parts.fields = members("fields", value)?,
            "extensions" => parts.extensions = members("extensions", value)?,
            "context" => parts.context = bytes("context", value)?,
            "payload" => parts.payload = Some(members("payload", value)?),
            _ => return Err(wrong(&cut(name, 64), "no such member")),
        }
    }
    if parts.ignore {
        return Ok(None);
    }
    match parts.payload.take() {
        Some(members) => parts.payload(members).map(|payload| Some(Output::Payload(payload))),
        None => parts.record(namespace).map(|record| Some(Output::Event(record))),
    }
}

#[derive(Default)]
struct Parts {
    ignore: bool,
    vehicle: Option<VehicleName>,
    time: Option<UnixMicros>,
    time_error_us: Option<u64>,
    event_type: Option<String>,
    severity: Option<String>,
    count: Option<u64>,
    bus: Option<u64>,
    ecu: Option<String>,
    key: Option<String>,
    fields: Vec<(String, Doc)>,
    extensions: Vec<(String, Doc)>,
    context: Vec<u8>,
    payload: Option<Vec<(String, Doc)>>,
}

impl Parts {
    fn payload(self, members: Vec<(String, Doc)>) -> Result<Payload, MapError> {
        let vehicle = self.vehicle.ok_or_else(|| wrong("payload", "no vehicle"))?;
        let (mut format, mut content) = (None, None);
        for (name, value) in members {
            match name.as_str() {
                "format" => format = Some(text("payload.format", &value)?),
                "bytes" => content = Some(bytes("payload.bytes", value)?),
                _ => return Err(wrong("payload", "no such member")),
            }
        }
        let format = format.ok_or_else(|| wrong("payload", "no format"))?;
        let bytes = content.ok_or_else(|| wrong("payload", "no bytes"))?;
        Ok(Payload { vehicle, format, time: self.time, key: self.key, bytes })
    }

    fn record(self, namespace: &str) -> Result<Record, MapError> {
        let name = self.event_type.ok_or_else(|| MapError::new("map.type", "no type"))?;
        let event_type = catalogue::event_type_by_name(&name)
            .map_or(TypeName::Unknown(name), |entry| TypeName::Known(entry.id));
        let mut record = Record::new(event_type);
        record.vehicle = self.vehicle;
        record.time = self.time;
        record.time_error_us = self.time_error_us;
        record.severity = match self.severity {
            Some(word) => Some(severity(&word).ok_or_else(|| wrong("severity", "no severity"))?),
            None => None,
        };
        record.count = u32::try_from(self.count.unwrap_or(1)).unwrap_or(u32::MAX).max(1);
        record.bus = match self.bus {
            Some(bus) => Some(u8::try_from(bus).map_err(|_| wrong("bus", "above 255"))?),
            None => None,
        };
        record.ecu = self.ecu;
        record.key = self.key.map(|key| cut(key, TEXT_BYTES_MAX));
        record.context = self.context;
        for (name, value) in self.fields {
            if value == Doc::Null {
                continue;
            }
            let Some(field) = catalogue::field_by_name(&name) else {
                return Err(wrong("fields", &format!("the catalogue has no field `{}`", cut(name, 64))));
            };
            let value = plain(&value, field.kind);
            let value = value.ok_or_else(|| {
                MapError::new("map.field", format!("{}: not of kind {}", field.name, field.kind.word()))
            })?;
            record.fields.push((field.key, value));
        }
        for (name, value) in self.extensions {
            if record.extensions.len() == EXTENSIONS_MAX {
                return Err(wrong("extensions", "more than 128 members"));
            }
            if let Some(value) = word(&value) {
                let is_whole = name.split_once('.').is_some_and(|(space, _)| is_namespace(space));
                let name = if is_whole { name } else { format!("{namespace}.{name}") };
                record.extensions.push((cut(name, 128), cut(value, TEXT_BYTES_MAX)));
            }
        }
        Ok(record)
    }
}

fn text(place: &str, doc: &Doc) -> Result<String, MapError> {
    doc.as_text().map(|text| cut(text.to_owned(), TEXT_BYTES_MAX)).ok_or_else(|| wrong(place, "not a text"))
}

fn unsigned(place: &str, doc: &Doc) -> Result<u64, MapError> {
    match doc {
        Doc::Int(value) => u64::try_from(*value).map_err(|_| wrong(place, "below zero")),
        Doc::Null
        | Doc::Bool(_)
        | Doc::Float(_)
        | Doc::Text(_)
        | Doc::Bytes(_)
        | Doc::List(_)
        | Doc::Map(_) => Err(wrong(place, "not an integer")),
    }
}

fn bytes(place: &str, doc: Doc) -> Result<Vec<u8>, MapError> {
    match doc {
        Doc::Bytes(bytes) => Ok(bytes),
        Doc::Text(text) => Ok(text.into_bytes()),
        Doc::Null | Doc::Bool(_) | Doc::Int(_) | Doc::Float(_) | Doc::List(_) | Doc::Map(_) => {
            Err(wrong(place, "not bytes"))
        }
    }
}

fn members(place: &str, doc: Doc) -> Result<Vec<(String, Doc)>, MapError> {
    match doc {
        Doc::Map(entries) => Ok(entries),
        Doc::Null
        | Doc::Bool(_)
        | Doc::Int(_)
        | Doc::Float(_)
        | Doc::Text(_)
        | Doc::Bytes(_)
        | Doc::List(_) => Err(wrong(place, "not an object")),
    }
}

/// Reads a time: microseconds since 1970, or a text of RFC 3339.
fn time(doc: &Doc) -> Result<UnixMicros, MapError> {
    let form = if doc.as_text().is_some() { crate::TimeForm::Rfc3339 } else { crate::TimeForm::UnixUs };
    form.read(doc)
        .ok_or_else(|| MapError::new("map.time", "time: neither microseconds since 1970 nor RFC 3339"))
}

fn vehicle(doc: &Doc) -> Result<VehicleName, MapError> {
    let refused = |why| MapError::new("map.vehicle", why);
    let Doc::Map(entries) = doc else { return Err(refused("vehicle: not an object")) };
    let [(kind, name)] = entries.as_slice() else { return Err(refused("vehicle: not exactly one name")) };
    let name = word(name).ok_or_else(|| refused("vehicle: the name is no word"))?;
    match kind.as_str() {
        "vin" => vin(&name).map(VehicleName::Vin).ok_or_else(|| refused("vehicle: no VIN")),
        "id" => name.parse().map(VehicleName::Id).map_err(|_| refused("vehicle: no pseudonym")),
        "name" if !name.is_empty() && name.len() <= 64 => Ok(VehicleName::Foreign(name)),
        "name" => Err(refused("vehicle: the name has 1 to 64 bytes")),
        _ => Err(refused("vehicle: neither vin nor id nor name")),
    }
}

/// Writes an output in the shape above, for samples and comparisons. It shows the vehicle's name: only for files of an
/// engineer, never for logs.
#[must_use]
pub fn to_json(output: &Output) -> Json {
    match output {
        Output::Event(record) => event(record),
        Output::Payload(payload) => {
            let mut map = Map::new();
            map.insert("vehicle".to_owned(), name(&payload.vehicle));
            put(&mut map, "time", payload.time.map(|time| json!(time.0)));
            put(&mut map, "key", payload.key.as_ref().map(|key| json!(key)));
            let inner = json!({ "format": payload.format, "bytes": hex(&payload.bytes) });
            map.insert("payload".to_owned(), inner);
            Json::Object(map)
        }
    }
}

fn put(map: &mut Map<String, Json>, name: &str, value: Option<Json>) {
    if let Some(value) = value {
        map.insert(name.to_owned(), value);
    }
}

fn name(vehicle: &VehicleName) -> Json {
    match vehicle {
        VehicleName::Vin(vin) => json!({ "vin": vin }),
        VehicleName::Id(id) => json!({ "id": id.to_string() }),
        VehicleName::Foreign(name) => json!({ "name": name }),
    }
}

fn event(record: &Record) -> Json {
    let mut map = Map::new();
    put(&mut map, "vehicle", record.vehicle.as_ref().map(name));
    put(&mut map, "time", record.time.map(|time| json!(time.0)));
    put(&mut map, "time_error_us", record.time_error_us.map(|error| json!(error)));
    let event_type = match &record.event_type {
        TypeName::Known(id) => {
            catalogue::event_type(*id).map_or_else(|| id.to_string(), |it| it.name.to_owned())
        }
        TypeName::Unknown(name) => name.clone(),
    };
    map.insert("type".to_owned(), json!(event_type));
    put(&mut map, "severity", record.severity.map(|severity| json!(severity.word())));
    put(&mut map, "count", (record.count != 1).then(|| json!(record.count)));
    put(&mut map, "bus", record.bus.map(|bus| json!(bus)));
    put(&mut map, "ecu", record.ecu.as_ref().map(|ecu| json!(ecu)));
    put(&mut map, "key", record.key.as_ref().map(|key| json!(key)));
    let fields: Map<String, Json> = record
        .fields
        .iter()
        .filter_map(|(key, value)| {
            let value = match value {
                Value::Int(value) => json!(value),
                Value::Float(value) => json!(value),
                Value::Text(value) => json!(value),
                Value::Bool(value) => json!(value),
            };
            catalogue::field(*key).map(|field| (field.name.to_owned(), value))
        })
        .collect();
    put(&mut map, "fields", (!fields.is_empty()).then_some(Json::Object(fields)));
    let extensions: Map<String, Json> =
        record.extensions.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    put(&mut map, "extensions", (!extensions.is_empty()).then_some(Json::Object(extensions)));
    put(&mut map, "context", (!record.context.is_empty()).then(|| json!(hex(&record.context))));
    Json::Object(map)
}
