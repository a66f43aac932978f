//! Synthetic security events in the catalogue's shapes: for the dictionary and the figures.
//!
//! A drive is a run of episodes: one event type, one bus, one ECU, fields that repeat with small changes, as a scan or a
//! broken sensor gives them.
#![expect(clippy::cast_possible_truncation, clippy::indexing_slicing, reason = "sizes are small and known")]

use outrider_model::catalogue::{EVENT_TYPES, EventType, FieldKind, field};
use outrider_types::{BusId, EcuId, FieldKey, Lane, Seed, Seq, VehicleMicros};
use outrider_wire::{EventHead, Field, Value};

/// Owned value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Owned {
    Uint(u64),
    Text(String),
    Flag(bool),
    Double(f64),
}

/// Owned event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) head: EventHead,
    pub(crate) fields: Vec<(FieldKey, Owned)>,
    pub(crate) context: Vec<u8>,
}

impl Event {
    /// Returns the fields as the writer takes them.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        self.fields.iter().map(|(key, value)| {
            let value = match value {
                Owned::Uint(value) => Value::Uint(*value),
                Owned::Text(text) => Value::Text(text),
                Owned::Flag(flag) => Value::Flag(*flag),
                Owned::Double(value) => Value::Double(*value),
            };
            Field { key: *key, value }
        })
    }
}

const WORDS: [&str; 12] = [
    "powertrain",
    "chassis",
    "body",
    "infotainment",
    "telematics",
    "diagnostic",
    "cycle_time",
    "payload_model",
    "sequence",
    "someipd",
    "system-server",
    "signature",
];

/// Generator of one vehicle's events.
#[derive(Debug)]
pub(crate) struct Drive {
    seed: Seed,
    mono: u64,
    seqs: [u64; 3],
    episode: Option<Episode>,
}

#[derive(Debug)]
struct Episode {
    event_type: &'static EventType,
    bus: Option<BusId>,
    ecu: EcuId,
    values: Vec<(FieldKey, Owned)>,
    context: Vec<u8>,
    left: u64,
}

impl Drive {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { seed, mono: 4_000_000, seqs: [0; 3], episode: None }
    }

    /// Returns the next event, in the lane that the catalogue names or in `lane`.
    pub(crate) fn event(&mut self, lane: Option<Lane>) -> Event {
        let mut episode = match self.episode.take() {
            Some(episode) if episode.left > 0 => episode,
            Some(_) | None => self.episode(),
        };
        episode.left -= 1;
        self.mono += self.seed.below(400_000);
        for (key, value) in &mut episode.values {
            let Owned::Uint(number) = value else { continue };
            // Identifiers stay within an episode, measurements move.
            if !matches!(key.0, 1 | 8 | 9 | 19 | 21..=24 | 30 | 31 | 58) {
                *number += self.seed.below(7);
            }
        }
        if let Some(last) = episode.context.last_mut() {
            *last = last.wrapping_add(1);
        }
        let lane = lane.unwrap_or(episode.event_type.lane);
        let slot = &mut self.seqs[usize::from(lane.code())];
        *slot += 1;
        let repeats = if self.seed.chance(1, 4) { self.seed.below(200) } else { 0 };
        let first = VehicleMicros(self.mono);
        let head = EventHead {
            event_type: episode.event_type.id,
            lane,
            seq: Seq(*slot),
            severity: None,
            bus: episode.bus,
            ecu: episode.ecu,
            first,
            last: first.saturating_add(repeats * 10_000),
            count: repeats + 1,
        };
        let event = Event { head, fields: episode.values.clone(), context: episode.context.clone() };
        self.episode = Some(episode);
        event
    }

    fn episode(&mut self) -> Episode {
        // Half of the traffic is of a few common types, as in the field.
        let kinds = EVENT_TYPES.len() as u64;
        let bound = if self.seed.chance(1, 2) { 12 } else { kinds };
        let event_type = &EVENT_TYPES[self.seed.below(bound) as usize];
        let values = event_type.fields.iter().take(6).map(|key| (*key, self.value(*key))).collect();
        let is_bus = event_type.name.starts_with("can.") || event_type.name.starts_with("secoc.");
        let context = if is_bus && self.seed.chance(1, 2) {
            let id = self.seed.below(0x800);
            let mut bytes = vec![(id >> 8) as u8, id as u8, 8];
            bytes.extend((0..8).map(|_| if self.seed.chance(1, 2) { 0 } else { self.seed.next_u64() as u8 }));
            bytes
        } else {
            Vec::new()
        };
        Episode {
            event_type,
            bus: is_bus.then(|| BusId(self.seed.below(6) as u8)),
            ecu: EcuId(self.seed.below(60) as u16 + 1),
            values,
            context,
            left: 1 + self.seed.below(12),
        }
    }

    fn value(&mut self, key: FieldKey) -> Owned {
        let seed = &mut self.seed;
        match field(key).map(|field| field.kind) {
            Some(FieldKind::Text) => Owned::Text(WORDS[seed.below(WORDS.len() as u64) as usize].to_owned()),
            Some(FieldKind::Bool) => Owned::Flag(seed.chance(1, 2)),
            Some(FieldKind::Float) => Owned::Double((seed.below(4000) as f64) / 8.0),
            Some(FieldKind::Int) | None => {
                let bits = [4, 8, 11, 14, 20][seed.below(5) as usize];
                Owned::Uint(seed.below(1 << bits))
            }
        }
    }
}
