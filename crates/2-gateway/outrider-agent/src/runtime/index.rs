//! When each recent event happened, so that a later command can name an event and mean a time.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use outrider_types::{BootEpoch, Lane, Seq, VehicleMicros};

/// Events remembered: at the usual few a day this is years, in an event storm it is the newest.
const ENTRIES_MAX: usize = 16_384;
/// Bytes of an entry: epoch, seq, first, last, lane.
const ENTRY_BYTES: usize = 33;

/// Key of an event within its vehicle.
type Key = (BootEpoch, Lane, Seq);

/// Bounded index on disk; best effort, as the capture is that it points into.
#[derive(Debug)]
pub struct EventIndex {
    path: PathBuf,
    file: File,
    entries: BTreeMap<Key, (VehicleMicros, VehicleMicros)>,
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
    pub fn insert(
        &mut self,
        epoch: BootEpoch,
        lane: Lane,
        seq: Seq,
        first: VehicleMicros,
        last: VehicleMicros,
    ) {
        let key = (epoch, lane, seq);
        if self.entries.insert(key, (first, last)).is_none() {
            self.order.push_back(key);
        }
        self.forget();
        let written = self.file.write_all(&encode(key, (first, last)));
        self.written += 1;
        if written.is_err() || self.written > ENTRIES_MAX {
            // The index in memory goes on; the file catches up when it can be written again.
            let _ = self.rewrite();
        }
    }

    /// Returns the first and last time of an event.
    #[must_use]
    pub fn find(&self, epoch: BootEpoch, lane: Lane, seq: Seq) -> Option<(VehicleMicros, VehicleMicros)> {
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

fn encode(key: Key, span: (VehicleMicros, VehicleMicros)) -> [u8; ENTRY_BYTES] {
    let mut out = [0; ENTRY_BYTES];
    out[..8].copy_from_slice(&key.0.0.to_le_bytes());
    out[8..16].copy_from_slice(&key.2.0.to_le_bytes());
    out[16..24].copy_from_slice(&span.0.0.to_le_bytes());
    out[24..32].copy_from_slice(&span.1.0.to_le_bytes());
    out[32] = key.1.code();
    out
}

fn decode(entry: &[u8]) -> Option<(Key, (VehicleMicros, VehicleMicros))> {
    let number = |at: usize| Some(u64::from_le_bytes(entry.get(at..at + 8)?.try_into().ok()?));
    let lane = Lane::from_code(*entry.get(32)?)?;
    let key = (BootEpoch(number(0)?), lane, Seq(number(8)?));
    Some((key, (VehicleMicros(number(16)?), VehicleMicros(number(24)?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_after_a_restart_and_the_oldest_are_forgotten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("events.idx");
        let mut index = EventIndex::open(&path).expect("it opens");
        let count = ENTRIES_MAX as u64 + 10;
        for seq in 1..=count {
            index.insert(BootEpoch(1), Lane::Batched, Seq(seq), VehicleMicros(seq), VehicleMicros(seq + 1));
        }
        drop(index);
        let mut torn = fs::read(&path).expect("it reads");
        torn.truncate(torn.len() - 5);
        fs::write(&path, torn).expect("it writes");
        let index = EventIndex::open(&path).expect("it opens");
        assert_eq!(index.find(BootEpoch(1), Lane::Batched, Seq(9)), None, "the oldest are forgotten");
        let span = (VehicleMicros(count - 1), VehicleMicros(count));
        assert_eq!(index.find(BootEpoch(1), Lane::Batched, Seq(count - 1)), Some(span));
        assert_eq!(index.find(BootEpoch(1), Lane::Batched, Seq(count)), None, "its entry was torn");
    }
}
