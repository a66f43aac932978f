//! What rows said: enough of it to tell a row that comes again from another row under the same number.
//!
//! Bounded: of each lane of the two newest boots the hashes of the newest 256 to 320 numbers, and one hash for each 64
//! numbers of the 4,096 before them. Not held, and so not compared: older boots, older numbers, and 64 numbers that were
//! not whole when they left the window. The lake has all rows, for whoever wants to compare more.

use std::collections::BTreeMap;

use outrider_model::SaveError;
use outrider_types::{BootEpoch, Lane, Seq};
use outrider_wire::{EventView, Field, Value};
use sha2::{Digest, Sha256};

use crate::interval::{StateCursor, put_count};

/// Numbers that share a chunk, aligned: one bit each in a word.
const CHUNK: u64 = 64;
/// The same, as the length of an array.
const CHUNK_LENGTH: usize = 64;
/// Hashes of a chunk, by number.
type Hashes = Box<[u64; CHUNK_LENGTH]>;
/// Whole chunks kept row by row behind the newest: more rows than are on their way at once (guess).
const RECENT: u64 = 4;
/// Chunks kept as one hash behind those.
const OLDER: u64 = 64;
/// Boots of which contents are kept: the one at hand, and the one before a restart.
const BOOTS: usize = 2;

/// First eight bytes of SHA-256 over a row's identity, place, time, count, fields and context.
///
/// Finding a second row with the same hash takes about 2⁶⁴ tries; a clash by chance among a billion rows, each compared
/// with one other, has the odds 1 : 10¹⁰.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowHash(pub u64);

impl std::fmt::Display for RowHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl RowHash {
    /// Hashes a row.
    #[must_use]
    pub fn of<'a>(event: &EventView<'a>, fields: impl IntoIterator<Item = Field<'a>>) -> Self {
        let head = &event.head;
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| hash.update(bytes);
        part(&head.event_type.0.to_le_bytes());
        part(&[head.lane.code(), head.severity.map_or(0, outrider_types::Severity::code)]);
        part(&head.seq.0.to_le_bytes());
        part(&head.bus.map_or(0, |bus| u16::from(bus.0) + 1).to_le_bytes());
        part(&head.ecu.0.to_le_bytes());
        for number in [head.first.0, head.last.0, head.count] {
            part(&number.to_le_bytes());
        }
        let text = |part: &mut dyn FnMut(&[u8]), tag: u8, bytes: &[u8]| {
            part(&[tag]);
            part(&(bytes.len() as u64).to_le_bytes());
            part(bytes);
        };
        for field in fields {
            part(&field.key.0.to_le_bytes());
            match field.value {
                Value::Uint(value) => text(&mut part, 1, &value.to_le_bytes()),
                Value::Sint(value) => text(&mut part, 2, &value.to_le_bytes()),
                Value::Text(value) => text(&mut part, 3, value.as_bytes()),
                Value::Bytes(value) => text(&mut part, 4, value),
                Value::Double(value) => text(&mut part, 5, &value.to_bits().to_le_bytes()),
                Value::Flag(value) => text(&mut part, 6, &[u8::from(value)]),
            }
        }
        text(&mut part, 7, event.context);
        Self(first_word(hash))
    }
}

pub(crate) fn first_word(hash: Sha256) -> u64 {
    let bytes: [u8; 32] = hash.finalize().into();
    u64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default())
}

/// What is known of a row's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Kept now.
    New,
    /// The same row came before.
    Same,
    /// Another row came before under this number.
    Different(RowHash),
    /// Kept only together with its neighbours, or not at all.
    NotHeld,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Chunk {
    /// One bit and one hash a number.
    Rows { present: u64, hashes: Hashes },
    /// Hash over all hashes.
    Whole(u64),
}

/// Rows of one batch that were there before, by chunk, to be compared once the batch is read.
#[derive(Debug, Default)]
pub(crate) struct Again(BTreeMap<(Lane, u64), (u64, Hashes)>);

/// Contents of a vehicle's newest rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    lanes: BTreeMap<(BootEpoch, Lane), BTreeMap<u64, Chunk>>,
}

impl Contents {
    /// Compares a row with what is held. `is_known` says whether its number came before; `learns` whether its content
    /// is to be kept although it did.
    pub(crate) fn note(
        &mut self,
        epoch: BootEpoch,
        (lane, seq): (Lane, Seq),
        hash: RowHash,
        (is_known, learns): (bool, bool),
    ) -> Content {
        if !self.has_room(epoch) {
            return Content::NotHeld;
        }
        let chunks = self.lanes.entry((epoch, lane)).or_default();
        let (number, place) = chunk_of(seq);
        let newest = chunks.last_key_value().map_or(0, |(newest, _)| *newest);
        if number + RECENT < newest && !chunks.contains_key(&number) {
            return Content::NotHeld;
        }
        if is_known && !learns && !chunks.contains_key(&number) {
            return Content::NotHeld;
        }
        let fresh = || Chunk::Rows { present: 0, hashes: Box::new([0; CHUNK_LENGTH]) };
        let Chunk::Rows { present, hashes } = chunks.entry(number).or_insert_with(fresh) else {
            return Content::NotHeld;
        };
        let Some(slot) = hashes.get_mut(place) else { return Content::NotHeld };
        let bit = 1u64 << place;
        if *present & bit != 0 {
            return if *slot == hash.0 { Content::Same } else { Content::Different(RowHash(*slot)) };
        }
        if is_known && !learns {
            return Content::NotHeld;
        }
        *slot = hash.0;
        *present |= bit;
        if number > newest {
            age(chunks, number);
        }
        Content::New
    }

    /// Remembers a row that came again and is not held by itself.
    pub(crate) fn collect(
        &self,
        epoch: BootEpoch,
        (lane, seq): (Lane, Seq),
        hash: RowHash,
        again: &mut Again,
    ) {
        let (number, place) = chunk_of(seq);
        let held = self.lanes.get(&(epoch, lane)).and_then(|chunks| chunks.get(&number));
        if !matches!(held, Some(Chunk::Whole(_))) {
            return;
        }
        let entry = again.0.entry((lane, number)).or_insert_with(|| (0, Box::new([0; CHUNK_LENGTH])));
        if let Some(slot) = entry.1.get_mut(place) {
            *slot = hash.0;
            entry.0 |= 1 << place;
        }
    }

    /// Returns the chunks that came again whole and are not what they were: lane, first and last number, hash before
    /// and now.
    pub(crate) fn compare(&self, epoch: BootEpoch, again: &Again) -> Vec<(Lane, u64, u64, RowHash, RowHash)> {
        let whole = again.0.iter().filter(|(_, (present, _))| *present == u64::MAX);
        whole
            .filter_map(|((lane, number), (_, hashes))| {
                let Some(Chunk::Whole(held)) = self.lanes.get(&(epoch, *lane))?.get(number) else {
                    return None;
                };
                let now = over(hashes);
                (now != *held).then(|| {
                    (*lane, number * CHUNK, number * CHUNK + CHUNK - 1, RowHash(*held), RowHash(now))
                })
            })
            .collect()
    }

    /// Makes room for a boot; false if newer ones fill it.
    fn has_room(&mut self, epoch: BootEpoch) -> bool {
        let mut boots: Vec<BootEpoch> = self.lanes.keys().map(|(epoch, _)| *epoch).collect();
        boots.dedup();
        if boots.contains(&epoch) || boots.len() < BOOTS {
            return true;
        }
        let Some(oldest) = boots.first().copied().filter(|oldest| *oldest < epoch) else { return false };
        self.lanes.retain(|(epoch, _), _| *epoch != oldest);
        true
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        put_count(out, self.lanes.len());
        for ((epoch, lane), chunks) in &self.lanes {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            out.push(lane.code());
            put_count(out, chunks.len());
            for (number, chunk) in chunks {
                out.extend_from_slice(&number.to_le_bytes());
                match chunk {
                    Chunk::Rows { present, hashes } => {
                        out.push(1);
                        out.extend_from_slice(&present.to_le_bytes());
                        let held = (0..CHUNK).zip(hashes.iter()).filter(|(bit, _)| present & (1 << bit) != 0);
                        out.extend(held.flat_map(|(_, hash)| hash.to_le_bytes()));
                    }
                    Chunk::Whole(hash) => {
                        out.push(2);
                        out.extend_from_slice(&hash.to_le_bytes());
                    }
                }
            }
        }
    }

    pub(crate) fn load(cursor: &mut StateCursor<'_>) -> Result<Self, SaveError> {
        let mut contents = Self::default();
        for _ in 0..cursor.u32()? {
            let epoch = BootEpoch(cursor.u64()?);
            let lane = Lane::from_code(cursor.u8()?).ok_or(cursor.damaged())?;
            let mut chunks = BTreeMap::new();
            for _ in 0..cursor.u32()? {
                let number = cursor.u64()?;
                let chunk = match cursor.u8()? {
                    1 => {
                        let present = cursor.u64()?;
                        let mut hashes = Box::new([0; CHUNK_LENGTH]);
                        for (bit, slot) in (0..CHUNK).zip(hashes.iter_mut()) {
                            if present & (1 << bit) != 0 {
                                *slot = cursor.u64()?;
                            }
                        }
                        Chunk::Rows { present, hashes }
                    }
                    2 => Chunk::Whole(cursor.u64()?),
                    _ => return Err(cursor.damaged()),
                };
                chunks.insert(number, chunk);
            }
            contents.lanes.insert((epoch, lane), chunks);
        }
        Ok(contents)
    }
}

/// Returns chunk and place in it of a number.
fn chunk_of(seq: Seq) -> (u64, usize) {
    (seq.0 / CHUNK, usize::try_from(seq.0 % CHUNK).unwrap_or(0))
}

/// Folds whole chunks that left the window into one hash and drops the rest.
fn age(chunks: &mut BTreeMap<u64, Chunk>, newest: u64) {
    chunks.retain(|number, chunk| {
        if number + RECENT >= newest {
            return true;
        }
        if let Chunk::Rows { present, hashes } = chunk {
            if *present != u64::MAX {
                return false;
            }
            *chunk = Chunk::Whole(over(hashes));
        }
        number + RECENT + OLDER >= newest
    });
}

fn over(hashes: &[u64; CHUNK_LENGTH]) -> u64 {
    let mut hash = Sha256::new();
    hashes.iter().for_each(|one| hash.update(one.to_le_bytes()));
    first_word(hash)
}
