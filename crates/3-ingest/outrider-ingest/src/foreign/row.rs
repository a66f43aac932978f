//! One event of a feed as a row.

use std::collections::BTreeMap;

use outrider_decode::{
    Bounds, Columns, EventRef, Host, NameRef, Output, Payload, Place, TypeRef, VehicleName,
};
use outrider_model::{Dictionary, EventBatch, VehicleRecord, VehicleRegistry, catalogue};
use outrider_types::{EventId, EventTime, EventTypeId, Lane, Seq, Severity, VehicleId, VehicleMicros};
use outrider_wire::catalogue::{event, field};
use outrider_wire::limits::CONTEXT_BYTES_MAX;
use sha2::{Digest as _, Sha256};

use super::{Body, FEED_EPOCH, Input};
use crate::clock::{AHEAD_MAX_US, EARLIEST_PLAUSIBLE, unknown_time};
use crate::content::first_word;
use crate::finding::CLOUD_TYPES;
use crate::seen::Seen;

/// Names of foreign fields that a batch may hold, of all feeds together: each is a column as long as the batch. Further
/// ones are counted in `feed.more_fields` (guess: twice what the largest sources have).
const EXTENSION_NAMES_MAX: usize = 512;

/// Which numbers the documents of an input have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numbering {
    /// Those that they have in the input, from this one on.
    From(u32),
    /// All are parts of one document: a later decoder made several events of it.
    Within(u32),
}

impl Numbering {
    /// Returns the number of a document, and of the event in it.
    pub(super) const fn of(self, number: u32) -> (u32, u32) {
        match self {
            Self::From(first) => (first.saturating_add(number), 0),
            Self::Within(first) => (first, number),
        }
    }
}

/// A vehicle that events of one input name.
struct Named {
    vehicle: VehicleId,
    known: Option<VehicleRecord>,
}

/// An event that becomes a row.
struct Checked {
    /// Place of its vehicle among the named ones.
    named: usize,
    event_type: EventTypeId,
    time: EventTime,
    identity: u64,
}

/// What came of the events of one input, beside rows.
#[derive(Debug, Default)]
pub(super) struct Declined {
    /// Events that were taken before.
    pub(super) duplicates: u64,
    /// Numbers of events that may be no rows, by reason.
    pub(super) refused: BTreeMap<&'static str, Vec<u32>>,
}

/// Checks what a decoder cannot know of an event: the vehicle, the time, and who may say such a thing.
pub(super) struct Placer<'a> {
    body: &'a Body<'a>,
    decoder: &'a str,
    /// Envelope around the input with its number in the body.
    envelope: Option<(u32, &'a Payload)>,
    numbering: Numbering,
    keys: &'a mut Seen,
    registry: &'a dyn VehicleRegistry,
    /// Names that were looked up, and what was found: an input names its vehicles again and again. A decoder's cap on
    /// documents bounds it.
    vins: Dictionary,
    foreign: Dictionary,
    by_vin: Vec<Result<usize, &'static str>>,
    by_foreign: Vec<Result<usize, &'static str>>,
    by_id: BTreeMap<VehicleId, Result<usize, &'static str>>,
    named: Vec<Named>,
    pub(super) declined: Declined,
}

impl<'a> Placer<'a> {
    pub(super) fn new(
        (body, decoder, numbering): (&'a Body<'a>, &'a str, Numbering),
        input: &Input<'a>,
        keys: &'a mut Seen,
        registry: &'a dyn VehicleRegistry,
    ) -> Self {
        Self {
            body,
            decoder,
            envelope: input.envelope,
            numbering,
            keys,
            registry,
            vins: Dictionary::default(),
            foreign: Dictionary::default(),
            by_vin: Vec::new(),
            by_foreign: Vec::new(),
            by_id: BTreeMap::new(),
            named: Vec::new(),
            declined: Declined::default(),
        }
    }

    /// Appends events that a decoder made records of; returns how many became rows, how many did not, and what is no event.
    pub(super) fn append(
        &mut self,
        outputs: Vec<(usize, Output)>,
        batch: &mut EventBatch,
    ) -> (u64, u64, Vec<(usize, Output)>) {
        let around = self.envelope.map(|(_, payload)| &payload.vehicle);
        let mut columns = Columns::new(batch, self);
        let mut others = Vec::new();
        for (number, output) in outputs {
            match output {
                Output::Event(mut record) => {
                    if let Some(vehicle) = around {
                        record.conceal(vehicle);
                    }
                    columns.record(number, &record);
                }
                Output::Payload(_) => others.push((number, output)),
            }
        }
        let (rows, declined) = columns.finish();
        (rows, declined, others)
    }

    /// Checks an event; `None` for one that was taken before.
    fn check(&mut self, number: u32, event: &EventRef<'_>) -> Result<Option<Checked>, &'static str> {
        let event_type = match &event.event_type {
            TypeRef::Known(id) if CLOUD_TYPES.contains(&id.0) => return Err("row.reserved_type"),
            TypeRef::Known(id) => *id,
            TypeRef::Unknown(_) => event::FOREIGN_UNCLASSIFIED,
        };
        let around = self.envelope.map(|(_, payload)| NameRef::from(&payload.vehicle));
        let named = self.find(vehicle_name(around.as_ref(), event.vehicle.as_ref())?)?;
        let time = time(self.body, self.envelope, event)?;
        let vehicle = self.named.get(named).ok_or("feed.vehicle_unknown")?.vehicle;
        let numbers = self.numbering.of(number);
        let (identity, is_keyed) = identity(self.body, self.envelope, event, (vehicle, numbers));
        if is_keyed && !self.keys.insert(identity) {
            return Ok(None);
        }
        Ok(Some(Checked { named, event_type, time, identity }))
    }

    /// Returns the place of the vehicle of a name among `named`.
    fn find(&mut self, name: &NameRef<'_>) -> Result<usize, &'static str> {
        let (code, found) = match name {
            NameRef::Vin(vin) => (self.vins.intern(vin), &self.by_vin),
            NameRef::Foreign(name) => (self.foreign.intern(name), &self.by_foreign),
            NameRef::Id(id) => {
                if let Some(found) = self.by_id.get(id) {
                    return *found;
                }
                let found = self.look_up(name);
                self.by_id.insert(*id, found);
                return found;
            }
        };
        // Codes are numbers of first appearance: what is not there yet is the next one.
        if let Some(found) = found.get(code as usize) {
            return *found;
        }
        let found = self.look_up(name);
        match name {
            NameRef::Vin(_) => self.by_vin.push(found),
            NameRef::Foreign(_) => self.by_foreign.push(found),
            NameRef::Id(_) => {}
        }
        found
    }

    /// Asks pseudonyms and registry for a vehicle.
    fn look_up(&mut self, name: &NameRef<'_>) -> Result<usize, &'static str> {
        let name = VehicleName::from(name);
        let feed = self.body.feed;
        let vehicle = self.body.feeds.pseudonym(feed, &name)?;
        let known = self.registry.vehicle(vehicle).filter(|known| known.tenant == feed.tenant);
        let is_named_by_source = !matches!(name, VehicleName::Id(_));
        if known.is_none() && !(is_named_by_source && feed.takes_unregistered) {
            return Err("feed.vehicle_unknown");
        }
        self.named.push(Named { vehicle, known });
        Ok(self.named.len() - 1)
    }
}

impl Host for Placer<'_> {
    fn bounds(&self) -> Bounds {
        Bounds {
            namespace: "feed",
            context_bytes_max: CONTEXT_BYTES_MAX,
            extension_names_max: EXTENSION_NAMES_MAX,
        }
    }

    fn place<'p>(&'p mut self, document: usize, event: &'p EventRef<'_>) -> Option<Place<'p>> {
        let number = u32::try_from(document).unwrap_or(u32::MAX);
        let checked = match self.check(number, event) {
            Ok(Some(checked)) => checked,
            Ok(None) => {
                self.declined.duplicates += 1;
                return None;
            }
            Err(reason) => {
                self.declined.refused.entry(reason).or_default().push(number);
                return None;
            }
        };
        let Checked { event_type, time, identity, named } = checked;
        let Named { vehicle, known } = self.named.get(named)?;
        let entry = catalogue::event_type(event_type);
        let word = match &event.event_type {
            TypeRef::Known(_) => None,
            TypeRef::Unknown(word) => Some((field::FOREIGN_TYPE, word.as_ref())),
        };
        Some(Place {
            tenant: self.body.feed.tenant,
            id: EventId {
                vehicle: *vehicle,
                epoch: FEED_EPOCH,
                lane: entry.map_or(Lane::Batched, |entry| entry.lane),
                // 52 bits are a whole number in every language that reads our answers.
                seq: Seq((identity >> 12).max(1)),
            },
            event_type,
            severity: event.severity.or(entry.map(|entry| entry.severity)).unwrap_or(Severity::Info),
            time,
            ingest: self.body.ingest,
            mono: VehicleMicros(0),
            vehicle: known.as_ref(),
            fields: [
                Some((field::FEED, self.body.feed.name.as_str())),
                Some((field::DECODER, self.decoder)),
                word,
            ],
        })
    }
}

/// Whose event it is: the envelope's vehicle where there is one. A payload that names another one is not believed.
fn vehicle_name<'n>(
    around: Option<&'n NameRef<'n>>,
    said: Option<&'n NameRef<'n>>,
) -> Result<&'n NameRef<'n>, &'static str> {
    match (around, said) {
        (None, None) => Err("feed.no_vehicle"),
        (None, Some(name)) => Ok(name),
        // A VIN and a unit's name may be the same vehicle.
        (Some(around), Some(said))
            if around != said && std::mem::discriminant(around) == std::mem::discriminant(said) =>
        {
            Err("feed.vehicle_differs")
        }
        (Some(around), _) => Ok(around),
    }
}

/// When it happened: as the source says, if that can be; otherwise some time within a wide interval, never now (TIME-1).
fn time(
    body: &Body<'_>,
    envelope: Option<(u32, &Payload)>,
    event: &EventRef<'_>,
) -> Result<EventTime, &'static str> {
    let stated = event.time.or_else(|| envelope.and_then(|(_, payload)| payload.time));
    let Some(best) = stated else { return Ok(unknown_time(body.ingest)) };
    let error_us = event.time_error_us.unwrap_or(body.feed.clock_error_us);
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
fn identity(
    body: &Body<'_>,
    envelope: Option<(u32, &Payload)>,
    event: &EventRef<'_>,
    (vehicle, (number, part)): (VehicleId, (u32, u32)),
) -> (u64, bool) {
    let mut hash = Sha256::new();
    let around = envelope.and_then(|(_, payload)| payload.key.as_deref());
    let text = |hash: &mut Sha256, text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    let is_keyed = event.key.is_some() || around.is_some();
    hash.update(if is_keyed { b"keyed" } else { b"place" });
    hash.update(body.feed.id.0.to_le_bytes());
    hash.update(vehicle.0);
    if is_keyed {
        text(&mut hash, around.unwrap_or_default());
        text(&mut hash, event.key.as_deref().unwrap_or_default());
    } else {
        hash.update(body.digest.0);
        hash.update(envelope.map_or(u32::MAX, |(number, _)| number).to_le_bytes());
    }
    if event.key.is_none() {
        hash.update(number.to_le_bytes());
        hash.update(part.to_le_bytes());
    }
    (first_word(hash), is_keyed)
}
