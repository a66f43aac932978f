//! One event of a feed as a row.

use std::collections::BTreeMap;

use outrider_decode::{Payload, Record, TypeName, Value, VehicleName};
use outrider_model::{EventBatch, EventRow, FieldValue, VehicleRecord, VehicleRegistry, catalogue};
use outrider_types::{
    BusId, EventId, EventTime, EventTypeId, FieldKey, Lane, Seq, Severity, VehicleId, VehicleMicros,
};
use outrider_wire::catalogue::{event, field};
use outrider_wire::limits::CONTEXT_BYTES_MAX;
use sha2::{Digest as _, Sha256};

use super::{Body, FEED_EPOCH};
use crate::clock::{AHEAD_MAX_US, EARLIEST_PLAUSIBLE, unknown_time};
use crate::content::first_word;
use crate::finding::CLOUD_TYPES;

/// Names of foreign fields that a batch may hold, of all feeds together: each is a column as long as the batch. Further
/// ones are counted in `feed.more_fields` (guess: twice what the largest sources have).
const EXTENSION_NAMES_MAX: usize = 512;
/// Column that counts them.
const MORE: &str = "feed.more_fields";

/// Where an event stands.
pub(super) struct Origin<'a> {
    /// Name and version of its decoder.
    pub(super) decoder: &'a str,
    /// Envelope around it with its number in the body.
    pub(super) envelope: Option<(u32, &'a Payload)>,
    /// Number of the document, and of the event in it where a later decoder made several.
    pub(super) number: (u32, u32),
}

/// An event that may become a row.
pub(super) struct Row {
    record: Record,
    vehicle: VehicleId,
    known: Option<VehicleRecord>,
    event_type: EventTypeId,
    time: EventTime,
    lane: Lane,
    identity: u64,
    is_keyed: bool,
}

impl Row {
    /// Checks what the decoder cannot know: the vehicle, the time, and who may say such a thing.
    pub(super) fn check(
        body: &Body<'_>,
        origin: &Origin<'_>,
        mut record: Record,
        registry: &dyn VehicleRegistry,
    ) -> Result<Self, &'static str> {
        let event_type = match &record.event_type {
            TypeName::Known(id) if CLOUD_TYPES.contains(&id.0) => return Err("row.reserved_type"),
            TypeName::Known(id) => *id,
            TypeName::Unknown(_) => event::FOREIGN_UNCLASSIFIED,
        };
        let name = vehicle_name(origin, &record)?;
        record.conceal(&name);
        let vehicle = body.feeds.pseudonym(body.feed, &name).ok_or("feed.vehicle_unknown")?;
        let known = registry.vehicle(vehicle).filter(|known| known.tenant == body.feed.tenant);
        let is_named_by_source = !matches!(name, VehicleName::Id(_));
        if known.is_none() && !(is_named_by_source && body.feed.takes_unregistered) {
            return Err("feed.vehicle_unknown");
        }
        let time = time(body, origin, &record)?;
        let lane = catalogue::event_type(event_type).map_or(Lane::Batched, |entry| entry.lane);
        let (identity, is_keyed) = identity(body, origin, &record, vehicle);
        Ok(Self { record, vehicle, known, event_type, time, lane, identity, is_keyed })
    }

    /// Returns what makes it the same event in another body, if the source says.
    pub(super) fn key(&self) -> Option<u64> {
        self.is_keyed.then_some(self.identity)
    }

    /// Appends it.
    pub(super) fn push(self, body: &Body<'_>, origin: &Origin<'_>, batch: &mut EventBatch) {
        let Self { record, vehicle, known, event_type, time, lane, identity, .. } = self;
        let entry = catalogue::event_type(event_type);
        let severity =
            record.severity.or_else(|| entry.map(|entry| entry.severity)).unwrap_or(Severity::Info);
        let zero = VehicleMicros(0);
        let kept = record.context.len().min(CONTEXT_BYTES_MAX);
        batch.push(&EventRow {
            tenant: body.feed.tenant,
            // 52 bits are a whole number in every language that reads our answers.
            id: EventId { vehicle, epoch: FEED_EPOCH, lane, seq: Seq((identity >> 12).max(1)) },
            event_type,
            severity,
            time,
            ingest: body.ingest,
            mono: zero,
            count: record.count,
            span: (zero, zero),
            bus: record.bus.map(BusId),
            context: record.context.get(..kept).unwrap_or_default(),
        });
        let mut more = BTreeMap::new();
        let mut text = |key: FieldKey, value: &str| batch.set_field(key, FieldValue::Text(value));
        text(field::FEED, &body.feed.name);
        text(field::DECODER, origin.decoder);
        if let TypeName::Unknown(word) = &record.event_type {
            text(field::FOREIGN_TYPE, word);
        }
        for (key, value) in &record.fields {
            let (value, shown) = match value {
                Value::Int(value) => (FieldValue::Int(*value), value.to_string()),
                Value::Float(value) => (FieldValue::Float(*value), value.to_string()),
                Value::Text(value) => (FieldValue::Text(value), value.clone()),
                Value::Bool(value) => (FieldValue::Bool(*value), value.to_string()),
            };
            if !batch.set_field(*key, value) {
                more.insert(format!("feed.field_{key}"), shown);
            }
        }
        if kept < record.context.len() {
            more.insert("feed.context_bytes".to_owned(), record.context.len().to_string());
        }
        let own = record.extensions.iter().map(|(name, value)| (name, value));
        extend(batch, own.chain(&more));
        batch.enrich_last(known.as_ref(), record.ecu.as_deref());
    }
}

/// Sets foreign fields, as many names as a batch may hold.
fn extend<'a>(batch: &mut EventBatch, fields: impl Iterator<Item = (&'a String, &'a String)>) {
    let mut left_out = 0_u64;
    for (name, value) in fields {
        if batch.extensions.len() < EXTENSION_NAMES_MAX || batch.extensions.contains_key(name) {
            batch.set_extension(name, value);
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        batch.set_extension(MORE, &left_out.to_string());
    }
}

/// Whose event it is: the envelope's vehicle where there is one. A payload that names another one is not believed.
fn vehicle_name(origin: &Origin<'_>, record: &Record) -> Result<VehicleName, &'static str> {
    let said = record.vehicle.as_ref();
    match (origin.envelope.map(|(_, payload)| &payload.vehicle), said) {
        (None, None) => Err("feed.no_vehicle"),
        (None, Some(name)) => Ok(name.clone()),
        // A VIN and a unit's name may be the same vehicle.
        (Some(around), Some(said))
            if around != said && std::mem::discriminant(around) == std::mem::discriminant(said) =>
        {
            Err("feed.vehicle_differs")
        }
        (Some(around), _) => Ok(around.clone()),
    }
}

/// When it happened: as the source says, if that can be; otherwise some time within a wide interval, never now (TIME-1).
fn time(body: &Body<'_>, origin: &Origin<'_>, record: &Record) -> Result<EventTime, &'static str> {
    let stated = record.time.or_else(|| origin.envelope.and_then(|(_, payload)| payload.time));
    let Some(best) = stated else { return Ok(unknown_time(body.ingest)) };
    let error_us = record.time_error_us.unwrap_or(body.feed.clock_error_us);
    let earliest = best.saturating_add(-i64::try_from(error_us).unwrap_or(i64::MAX));
    if best < EARLIEST_PLAUSIBLE {
        return Err("feed.time_before");
    }
    if earliest.micros_since(body.ingest.0) > AHEAD_MAX_US {
        return Err("feed.time_ahead");
    }
    Ok(EventTime { best, error_us })
}

/// What makes it this event and no other one; whether the source itself says so.
fn identity(body: &Body<'_>, origin: &Origin<'_>, record: &Record, vehicle: VehicleId) -> (u64, bool) {
    let mut hash = Sha256::new();
    let around = origin.envelope.and_then(|(_, payload)| payload.key.as_deref());
    let (number, part) = origin.number;
    let text = |hash: &mut Sha256, text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    let is_keyed = record.key.is_some() || around.is_some();
    hash.update(if is_keyed { b"keyed" } else { b"place" });
    hash.update(body.feed.id.0.to_le_bytes());
    hash.update(vehicle.0);
    if is_keyed {
        text(&mut hash, around.unwrap_or_default());
        text(&mut hash, record.key.as_deref().unwrap_or_default());
    } else {
        hash.update(body.digest.0);
        hash.update(origin.envelope.map_or(u32::MAX, |(number, _)| number).to_le_bytes());
    }
    if record.key.is_none() {
        hash.update(number.to_le_bytes());
        hash.update(part.to_le_bytes());
    }
    (first_word(hash), is_keyed)
}
