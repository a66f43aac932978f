//! Encoding of sightings: version, dictionaries, list, checksum.

use outrider_model::{RuleId, SaveError};
use outrider_types::{BootEpoch, EventId, EventTime, IngestTime, Lane, Seq, UnixMicros, VehicleId};

use super::{Event, Sighting, Sightings, Texts};
use crate::codec::{Reader, Writer};
use crate::plan::RuleVersion;

/// Version of the encoding.
const VERSION: u32 = 1;

/// Bytes of the checksum at the end.
const CHECK_BYTES: usize = 4;

/// Conditions of one explanation at most.
const CONDITIONS_MAX: usize = 16;

/// Error of reading sightings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SightingsError {
    /// They are longer than any part may be.
    #[error("sightings of {bytes} bytes are longer than {max}", max = Sightings::BYTES_MAX)]
    TooLong {
        /// Their length.
        bytes: usize,
    },
    /// Another version of the program wrote them.
    #[error("version {got} of sightings is not {VERSION}")]
    Version {
        /// Version of the bytes.
        got: u32,
    },
    /// The bytes are damaged.
    #[error("sightings are damaged at byte {offset}")]
    Damaged {
        /// Where reading stopped.
        offset: usize,
    },
}

impl SightingsError {
    /// Returns the word in logs and counters.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "sightings_too_long",
            Self::Version { .. } => "sightings_version",
            Self::Damaged { .. } => "sightings_damaged",
        }
    }
}

impl From<SaveError> for SightingsError {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Version { got, .. } => Self::Version { got },
            SaveError::Damaged { offset } => Self::Damaged { offset },
        }
    }
}

impl Sightings {
    /// Returns the encoding. What a [`Spotter`](crate::Spotter) makes is at most [`Sightings::BYTES_MAX`] long.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut out = Writer(&mut bytes);
        out.number(u64::from(VERSION));
        out.number(self.rules.len() as u64);
        for rule in &self.rules {
            out.bytes(rule.rule.0.as_bytes());
            out.0.extend_from_slice(&rule.version);
        }
        out.number(self.texts.ends.len() as u64);
        (0u32..).take(self.texts.ends.len()).for_each(|text| out.bytes(self.texts.get(text)));
        self.write_events(&mut out);
        out.number(self.explanations.len() as u64);
        for lines in &self.explanations {
            out.number(lines.len() as u64);
            lines.iter().flatten().for_each(|text| out.number(u64::from(*text)));
        }
        out.number(self.list.len() as u64);
        let mut event = 0i64;
        for it in &self.list {
            out.number(u64::from(it.rule));
            out.signed(i64::from(it.event) - event);
            event = i64::from(it.event);
            out.number(u64::from(it.key));
            out.number(it.value.map_or(0, |value| u64::from(value) + 1));
            out.number(it.explanation.map_or(0, |explanation| u64::from(explanation) + 1));
        }
        let check = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes
    }

    fn write_events(&self, out: &mut Writer<'_>) {
        let mut vehicles: Vec<VehicleId> = self.events.iter().map(|event| event.id.vehicle).collect();
        vehicles.sort_unstable();
        vehicles.dedup();
        out.number(vehicles.len() as u64);
        vehicles.iter().for_each(|vehicle| out.0.extend_from_slice(&vehicle.0));
        out.number(self.events.len() as u64);
        let mut time = 0i64;
        for Event { id, time: at, ingest, model } in &self.events {
            let vehicle = vehicles.binary_search(&id.vehicle).expect("every vehicle is in the list");
            out.number(vehicle as u64);
            out.number(id.epoch.0);
            out.0.push(id.lane.code());
            out.number(id.seq.0);
            // Wrapping, because any time must come back as it was.
            out.signed(at.best.0.wrapping_sub(time));
            time = at.best.0;
            out.number(at.error_us);
            out.signed(ingest.0.0.wrapping_sub(time));
            out.number(u64::from(*model));
        }
    }

    /// Reads an encoding; allocates no more than a small multiple of its length.
    ///
    /// # Errors
    /// [`SightingsError`]: the bytes are too long, of another version, or not what [`Sightings::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, SightingsError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(SightingsError::TooLong { bytes: bytes.len() });
        }
        let got = Reader::new(bytes).word()?;
        if got != VERSION {
            return Err(SightingsError::Version { got });
        }
        let damaged = |offset: usize| SightingsError::Damaged { offset };
        let end = bytes.len().checked_sub(CHECK_BYTES).ok_or(damaged(bytes.len()))?;
        let (body, check) = bytes.split_at(end);
        if check != crc32c::crc32c(body).to_le_bytes() {
            return Err(damaged(end));
        }
        let mut reader = Reader::new(body);
        reader.word()?;
        let mut part = Self::default();
        for _ in 0..reader.count()? {
            let rule = RuleId(reader.text()?);
            part.rules.push(RuleVersion { rule, version: reader.array()? });
        }
        for _ in 0..reader.count()? {
            part.texts.push(reader.bytes()?);
        }
        read_events(&mut reader, &mut part)?;
        read_explanations(&mut reader, &mut part)?;
        read_list(&mut reader, &mut part)?;
        reader.end()?;
        Ok(part)
    }
}

/// Reads the number of a text.
fn read_text(reader: &mut Reader<'_>, texts: &Texts) -> Result<u32, SaveError> {
    let text = reader.word()?;
    reader.require((text as usize) < texts.ends.len())?;
    Ok(text)
}

/// Reads the number of a text that must be UTF-8.
fn read_words(reader: &mut Reader<'_>, texts: &Texts) -> Result<u32, SaveError> {
    let text = read_text(reader, texts)?;
    reader.require(core::str::from_utf8(texts.get(text)).is_ok())?;
    Ok(text)
}

fn read_events(reader: &mut Reader<'_>, part: &mut Sightings) -> Result<(), SaveError> {
    let mut vehicles: Vec<VehicleId> = Vec::new();
    for _ in 0..reader.count()? {
        let vehicle = VehicleId(reader.array()?);
        reader.require(vehicles.last().is_none_or(|last| *last < vehicle))?;
        vehicles.push(vehicle);
    }
    let mut time = 0i64;
    for _ in 0..reader.count()? {
        let vehicle = reader.word()? as usize;
        let vehicle = *vehicles.get(vehicle).ok_or_else(|| reader.damaged())?;
        let epoch = BootEpoch(reader.number()?);
        let lane = Lane::from_code(reader.byte()?).ok_or_else(|| reader.damaged())?;
        let id = EventId { vehicle, epoch, lane, seq: Seq(reader.number()?) };
        time = time.wrapping_add(reader.signed()?);
        let best = EventTime { best: UnixMicros(time), error_us: reader.number()? };
        let ingest = IngestTime(UnixMicros(time.wrapping_add(reader.signed()?)));
        let model = read_words(reader, &part.texts)?;
        part.events.push(Event { id, time: best, ingest, model });
    }
    Ok(())
}

fn read_explanations(reader: &mut Reader<'_>, part: &mut Sightings) -> Result<(), SaveError> {
    for _ in 0..reader.count()? {
        let count = reader.count()?;
        reader.require(count <= CONDITIONS_MAX)?;
        let mut lines = Vec::with_capacity(count);
        for _ in 0..count {
            let mut line = [0u32; 4];
            for text in &mut line {
                *text = read_words(reader, &part.texts)?;
            }
            lines.push(line);
        }
        part.explanations.push(lines);
    }
    Ok(())
}

fn read_list(reader: &mut Reader<'_>, part: &mut Sightings) -> Result<(), SaveError> {
    let count = reader.count()?;
    reader.require(count <= Sightings::COUNT_MAX)?;
    let mut event = 0i64;
    for _ in 0..count {
        let rule = reader.word()?;
        reader.require((rule as usize) < part.rules.len())?;
        event = event.checked_add(reader.signed()?).ok_or_else(|| reader.damaged())?;
        let number = u32::try_from(event).ok().filter(|it| (*it as usize) < part.events.len());
        let event = number.ok_or_else(|| reader.damaged())?;
        let key = read_text(reader, &part.texts)?;
        let below = |number: u32, count: usize| number.checked_sub(1).is_none_or(|it| (it as usize) < count);
        let value = reader.word()?;
        reader.require(below(value, part.texts.ends.len()))?;
        let explanation = reader.word()?;
        reader.require(below(explanation, part.explanations.len()))?;
        let (value, explanation) = (value.checked_sub(1), explanation.checked_sub(1));
        part.list.push(Sighting { rule, event, key, value, explanation });
    }
    Ok(())
}
