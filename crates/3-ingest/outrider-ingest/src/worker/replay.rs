//! Entries of the quarantine once more.

use outrider_model::{EventBatch, LogRecord, VehicleRegistry};
use outrider_types::IngestTime;

use super::{Quarantined, Worker, set_aside};
use crate::open::KeyRing;
use crate::replay::{ReplayRecord, Replayed};

impl Worker {
    /// Takes an entry of the quarantine again, once.
    pub(super) fn replay(
        &mut self,
        record: &LogRecord,
        keys: &dyn KeyRing,
        registry: &dyn VehicleRegistry,
        batch: &mut EventBatch,
        quarantine: &mut Vec<Quarantined>,
    ) {
        let Some(replay) = ReplayRecord::parse(&record.bytes) else {
            let place = "of a later version, or damaged".to_owned();
            quarantine.push(set_aside(record, None, "replay.record", place, 1));
            return;
        };
        // A replay in a replay would make a new entry of it, and so on.
        if ReplayRecord::is_replay(&replay.bytes) || !self.foreign.begin_replay(replay.entry) {
            return;
        }
        let (rows, entries) = (batch.rows(), quarantine.len());
        let ingest = IngestTime(replay.received);
        match &replay.part {
            Some(part) => self.foreign.replay((part, &replay.bytes), ingest, registry, batch, quarantine),
            None => {
                let record = LogRecord { offset: record.offset, ingest, bytes: replay.bytes };
                self.receive(&record, keys, registry, batch, quarantine);
            }
        }
        let refused = quarantine.iter().skip(entries).map(|entry| entry.units).sum();
        let passed = batch.rows().saturating_sub(rows) as u64;
        self.replayed.push(Replayed { entry: replay.entry, passed, refused });
    }

    /// Takes what came of replays since the last call, for the checkpoint.
    pub fn take_replayed(&mut self) -> Vec<Replayed> {
        std::mem::take(&mut self.replayed)
    }
}
