//! The dictionary that all rules share: vehicles, event streams, counted values and model lines.

use outrider_types::{BootEpoch, EventId, Lane, Seq, VehicleId};

use crate::intern::Interner;

/// Which event: numbers of one vehicle, boot and lane form a stream; the stream also holds the upper half of
/// sequence numbers beyond 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventKey {
    pub(crate) stream: u32,
    pub(crate) seq: u32,
}

impl EventKey {
    /// Unpacks what [`EventKey::word`] packed.
    pub(crate) const fn from_word(word: u64) -> Self {
        Self { stream: upper(word), seq: lower(word) }
    }

    /// Packs the key into one word.
    pub(crate) const fn word(self) -> u64 {
        (self.stream as u64) << 32 | self.seq as u64
    }
}

/// Dictionary of everything that cells refer to by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) vehicles: Interner,
    pub(crate) models: Interner,
    pub(crate) streams: Interner,
    pub(crate) stream_vehicle: Vec<u32>,
    pub(crate) values: Interner,
}

/// Length of a stream's name: vehicle, epoch, lane, upper half of the sequence number. The whole pseudonym is in
/// it, so that an event of a known stream takes one look-up.
pub(crate) const STREAM_BYTES: usize = VEHICLE_BYTES + 8 + 1 + 4;

/// Length of a pseudonym.
pub(crate) const VEHICLE_BYTES: usize = 16;

impl Names {
    pub(crate) fn new(key: u64) -> Self {
        Self {
            vehicles: Interner::of_width(VEHICLE_BYTES, key),
            models: Interner::new(key),
            streams: Interner::of_width(STREAM_BYTES, key),
            values: Interner::new(key),
            stream_vehicle: Vec::new(),
        }
    }

    /// Creates an empty dictionary with the same keys.
    pub(crate) fn emptied(&self) -> Self {
        Self::new(self.vehicles.key())
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        self.vehicles.len() + self.streams.len() + self.values.len() + self.models.len()
    }

    /// Returns the numbers of an event and its vehicle; `None` if the dictionary is full.
    pub(crate) fn event(&mut self, id: EventId) -> Option<(EventKey, u32)> {
        let mut name = [0u8; STREAM_BYTES];
        name[..16].copy_from_slice(&id.vehicle.0);
        name[16..24].copy_from_slice(&id.epoch.0.to_le_bytes());
        name[24] = id.lane.code();
        name[25..].copy_from_slice(&upper(id.seq.0).to_le_bytes());
        let stream = match self.streams.find(&name) {
            Some(stream) => stream,
            None => {
                let vehicle = self.vehicles.intern(&id.vehicle.0)?;
                let stream = self.streams.intern(&name)?;
                self.stream_vehicle.push(vehicle);
                stream
            }
        };
        Some((EventKey { stream, seq: lower(id.seq.0) }, self.vehicle_of(stream)))
    }

    /// Returns the vehicle number of a stream.
    pub(crate) fn vehicle_of(&self, stream: u32) -> u32 {
        self.stream_vehicle.get(stream as usize).copied().unwrap_or(0)
    }

    /// Returns the pseudonym of a vehicle number.
    pub(crate) fn vehicle(&self, vehicle: u32) -> VehicleId {
        let mut id = [0u8; 16];
        let bytes = self.vehicles.get(vehicle);
        if bytes.len() == 16 {
            id.copy_from_slice(bytes);
        }
        VehicleId(id)
    }

    /// Returns the number of a model line; an unknown one is a model line of its own, with an empty name.
    pub(crate) fn model_number(&mut self, model_line: &str) -> Option<u32> {
        self.models.intern(model_line.as_bytes())
    }

    /// Returns the text of a model line.
    pub(crate) fn model(&self, model: u32) -> Option<String> {
        let text = self.models.get(model);
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }

    /// Returns the identity of an event.
    pub(crate) fn event_id(&self, key: EventKey) -> EventId {
        let name = self.streams.get(key.stream);
        let word = |from: usize, bytes: usize| {
            name.iter().skip(from).take(bytes).rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte))
        };
        EventId {
            vehicle: self.vehicle(self.vehicle_of(key.stream)),
            epoch: BootEpoch(word(16, 8)),
            lane: name.get(24).and_then(|code| Lane::from_code(*code)).unwrap_or(Lane::Deferred),
            seq: Seq(word(25, 4) << 32 | u64::from(key.seq)),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
const fn lower(seq: u64) -> u32 {
    seq as u32
}

const fn upper(seq: u64) -> u32 {
    lower(seq >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_back_whole_even_with_a_huge_number() {
        let mut names = Names::new(1);
        let id = EventId {
            vehicle: VehicleId([9; 16]),
            epoch: BootEpoch(u64::MAX),
            lane: Lane::Batched,
            seq: Seq(u64::MAX - 3),
        };
        let (key, vehicle) = names.event(id).expect("there is room");
        assert_eq!((names.event_id(key), names.vehicle(vehicle)), (id, id.vehicle));
        let known = names.model_number("b").expect("there is room");
        let unknown = names.model_number("").expect("there is room");
        assert_eq!((names.model(known), names.model(unknown)), (Some("b".to_owned()), None));
    }
}
