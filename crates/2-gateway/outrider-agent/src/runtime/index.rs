//! When each recent event happened, so that a later command can name an event and mean a time.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use outrider_gateway::Numbered;
use outrider_types::{BootEpoch, Lane, Seq, VehicleMicros};

use crate::net::is_segment;

/// Events remembered: at the usual few a day this is years, in an event storm it is the newest.
const ENTRIES_MAX: usize = 16_384;
/// Bytes of an entry: epoch, seq, first, last, lane.
const ENTRY_BYTES: usize = 33;
/// Bit of the lane's byte that says the event is of an Ethernet segment.
const ETHERNET_BIT: u8 = 0x80;

/// Key of an event within its vehicle.
type Key = (BootEpoch, Lane, Seq);

/// Where an event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Happened {
    /// When it was first seen.
    pub first: VehicleMicros,
    /// When it was last seen.
    pub last: VehicleMicros,
    /// Whether it is of an Ethernet segment.
    pub is_ethernet: bool,
}

/// Bounded index on disk; best effort, as the capture is that it points into.
#[derive(Debug)]
pub struct EventIndex {
    path: PathBuf,
    file: File,
    entries: BTreeMap<Key, Happened>,
    order: VecDeque<Key>,
    written: usize,
}

impl EventIndex {
    /// Opens the index; a torn last entry is left out.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let (mut entries, mut order) = (BTreeMap::new(), VecDeque::new());
        for entry in bytes.chunks_exact(ENTRY_BYTES) {
            if let Some((key, span)) = decode(entry)
                && entries.insert(key, span).is_none()
            {
                order.push_back(key);
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut index = Self { path: path.to_path_buf(), file, entries, order, written: 0 };
        index.forget();
        index.rewrite()?;
        Ok(index)
    }

    /// Remembers an event; a failure to write is no reason to stop anything.
    pub fn insert(&mut self, epoch: BootEpoch, row: &Numbered) {
        let key = (epoch, row.lane, row.seq);
        let happened =
            Happened { first: row.first, last: row.last, is_ethernet: row.bus.is_some_and(is_segment) };
        if self.entries.insert(key, happened).is_none() {
            self.order.push_back(key);
        }
        self.forget();
        let written = self.file.write_all(&encode(key, happened));
        self.written += 1;
        if written.is_err() || self.written > ENTRIES_MAX {
            // The index in memory goes on; the file catches up when it can be written again.
            let _ = self.rewrite();
        }
    }

    /// Returns when and where an event happened.
    #[must_use]
    pub fn find(&self, epoch: BootEpoch, lane: Lane, seq: Seq) -> Option<Happened> {
        self.entries.get(&(epoch, lane, seq)).copied()
    }

    fn forget(&mut self) {
        while self.order.len() > ENTRIES_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    /// Writes the file anew without what was forgotten.
    fn rewrite(&mut self) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let bytes: Vec<u8> = self
            .order
            .iter()
            .filter_map(|key| Some(encode(*key, *self.entries.get(key)?)))
            .flatten()
            .collect();
        fs::write(&fresh, bytes)?;
        fs::rename(&fresh, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

fn encode(key: Key, happened: Happened) -> [u8; ENTRY_BYTES] {
    let mut out = [0; ENTRY_BYTES];
    out[..8].copy_from_slice(&key.0.0.to_le_bytes());
    out[8..16].copy_from_slice(&key.2.0.to_le_bytes());
    out[16..24].copy_from_slice(&happened.first.0.to_le_bytes());
    out[24..32].copy_from_slice(&happened.last.0.to_le_bytes());
    out[32] = key.1.code() | if happened.is_ethernet { ETHERNET_BIT } else { 0 };
    out
}

fn decode(entry: &[u8]) -> Option<(Key, Happened)> {
    let number = |at: usize| Some(u64::from_le_bytes(entry.get(at..at + 8)?.try_into().ok()?));
    let byte = *entry.get(32)?;
    let lane = Lane::from_code(byte & !ETHERNET_BIT)?;
    let key = (BootEpoch(number(0)?), lane, Seq(number(8)?));
    let is_ethernet = byte & ETHERNET_BIT != 0;
    let (first, last) = (VehicleMicros(number(16)?), VehicleMicros(number(24)?));
    Some((key, Happened { first, last, is_ethernet }))
}

#[cfg(test)]
mod tests {
    use outrider_types::BusId;

    use super::*;

    #[test]
    fn events_are_found_after_a_restart_and_the_oldest_are_forgotten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("events.idx");
        let mut index = EventIndex::open(&path).expect("it opens");
        let count = ENTRIES_MAX as u64 + 10;
        for seq in 1..=count {
            let (first, last) = (VehicleMicros(seq), VehicleMicros(seq + 1));
            let bus = Some(BusId(if seq.is_multiple_of(2) { 0 } else { 0x80 }));
            index.insert(BootEpoch(1), &Numbered { lane: Lane::Batched, seq: Seq(seq), bus, first, last });
        }
        drop(index);
        let mut torn = fs::read(&path).expect("it reads");
        torn.truncate(torn.len() - 5);
        fs::write(&path, torn).expect("it writes");
        let index = EventIndex::open(&path).expect("it opens");
        assert_eq!(index.find(BootEpoch(1), Lane::Batched, Seq(9)), None, "the oldest are forgotten");
        let (first, last) = (VehicleMicros(count - 1), VehicleMicros(count));
        let happened = Happened { first, last, is_ethernet: count.is_multiple_of(2) };
        assert_eq!(index.find(BootEpoch(1), Lane::Batched, Seq(count - 1)), Some(happened));
        let before = index.find(BootEpoch(1), Lane::Batched, Seq(count - 2)).expect("it is there");
        assert_eq!(before.is_ethernet, !happened.is_ethernet);
        assert_eq!(index.find(BootEpoch(1), Lane::Batched, Seq(count)), None, "its entry was torn");
    }
}
