//! The event log in a local folder.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use outrider_model::{AppendError, EventLog, LogOffset, LogRecord, Partition};
use outrider_types::IngestTime;

use super::engine::{Append, Engine, value};
use crate::error::OpenError;
use crate::group::{Group, GroupLimits};

/// Appends that share one flush at most; more would only hold up the first of them.
const GROUP: GroupLimits = GroupLimits { jobs_max: 1_024, weight_max: 16 * 1_024 * 1_024 };

/// Options of the embedded event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedConfig {
    /// Folder of the log; created if absent.
    pub path: PathBuf,
    /// Number of partitions, at least 1; fixed once the log exists.
    pub partitions: u16,
    /// Largest record, bytes.
    pub record_bytes_max: usize,
    /// Size of a partition's segment, bytes: the unit in which released records are deleted.
    pub segment_bytes: u64,
    /// Most bytes of records held, all partitions together, to about a segment: then appends are refused until something is
    /// released.
    pub held_bytes_max: u64,
    /// Most bytes in write-ahead journals, at least 64 MiB.
    pub journal_bytes_max: u64,
    /// Most bytes of a partition held in memory before they become a table.
    pub memtable_bytes: u64,
    /// Bytes of the read cache.
    pub cache_bytes: u64,
}

impl EmbeddedConfig {
    /// Creates options with defaults for one machine.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, partitions: u16) -> Self {
        Self {
            path: path.into(),
            partitions,
            // Four times the largest uplink batch.
            record_bytes_max: 4 * 1_024 * 1_024,
            segment_bytes: 32 * 1_024 * 1_024,
            // Days of a large fleet behind a worker that stands still, and not yet the whole disk (guess).
            held_bytes_max: 64 * 1_024 * 1_024 * 1_024,
            journal_bytes_max: 256 * 1_024 * 1_024,
            memtable_bytes: 16 * 1_024 * 1_024,
            // Workers read what was just written, which the engine still holds in memory.
            cache_bytes: 16 * 1_024 * 1_024,
        }
    }
}

type Outcome = Result<LogOffset, String>;

/// Event log on an embedded storage engine; shared by reference between threads.
///
/// After the storage has refused a write, reads go on; the next append opens the engine again, so that a full disk
/// which has room again needs no restart. An append that failed is normally not in the log; if the flush itself
/// failed it may turn up later, whole and with its keys, as if it had been acknowledged too late.
pub struct EmbeddedLog {
    config: EmbeddedConfig,
    engine: RwLock<Slot>,
    group: Group<Append, Outcome>,
}

/// The engine, or why there is none.
struct Slot {
    engine: Option<Engine>,
    /// Set after a failed write: the engine takes no more and must be opened again.
    broken: bool,
}

impl std::fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedLog").field("config", &self.config).finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// Opens or creates a log.
    ///
    /// # Errors
    /// [`OpenError`]: no partition, another number of partitions, in use, damaged, or refused by the storage.
    pub fn open(config: EmbeddedConfig) -> Result<Self, OpenError> {
        if config.partitions == 0 {
            return Err(OpenError::NoPartition);
        }
        let engine = Engine::open(&config)?;
        Ok(Self {
            config,
            engine: RwLock::new(Slot { engine: Some(engine), broken: false }),
            group: Group::new(),
        })
    }

    fn slot(&self) -> RwLockReadGuard<'_, Slot> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&Engine) -> Result<T, String>) -> Result<T, AppendError> {
        let slot = self.slot();
        let engine = slot
            .engine
            .as_ref()
            .ok_or_else(|| AppendError::Storage("the engine could not be opened again".to_owned()))?;
        work(engine).map_err(AppendError::Storage)
    }

    /// Opens the engine again if its last write failed.
    fn mend(&self) -> Result<(), String> {
        if !self.slot().broken {
            return Ok(());
        }
        let mut slot = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        // The old engine holds the folder's lock until it is dropped.
        slot.engine = None;
        slot.engine = Some(Engine::open(&self.config).map_err(|error| error.to_string())?);
        slot.broken = false;
        Ok(())
    }

    fn commit(&self, appends: Vec<Append>) -> Vec<Outcome> {
        let jobs = appends.len();
        let result = self.mend().and_then(|()| {
            let slot = self.slot();
            let engine = slot.engine.as_ref().ok_or("the engine is closed")?;
            engine.commit(appends).map_err(|error| error.to_string())
        });
        match result {
            Ok(offsets) => offsets.into_iter().map(Ok).collect(),
            Err(reason) => {
                self.engine.write().unwrap_or_else(PoisonError::into_inner).broken = true;
                vec![Err(reason); jobs]
            }
        }
    }

    fn check(&self, partition: Partition) -> Result<(), AppendError> {
        if partition.0 < self.config.partitions {
            return Ok(());
        }
        Err(AppendError::Storage(format!(
            "partition {} does not exist, the log has {}",
            partition.0, self.config.partitions
        )))
    }
}

impl EventLog for EmbeddedLog {
    fn partitions(&self) -> u16 {
        self.config.partitions
    }

    fn append(
        &self,
        partition: Partition,
        ingest: IngestTime,
        records: &[&[u8]],
        puts: &[(&[u8], &[u8])],
    ) -> Result<LogOffset, AppendError> {
        self.check(partition)?;
        let limit = self.config.record_bytes_max;
        if let Some(record) = records.iter().find(|record| record.len() > limit) {
            return Err(AppendError::TooLarge { bytes: record.len(), limit });
        }
        let append = Append {
            partition,
            values: records.iter().map(|record| value(ingest, record)).collect(),
            puts: puts.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect(),
        };
        let limit = self.config.held_bytes_max;
        if !append.values.is_empty() && self.with(|engine| Ok(engine.held()))? >= limit {
            return Err(AppendError::Busy(format!("{limit} bytes are held and none may be forgotten yet")));
        }
        let weight = append.values.iter().map(Vec::len).sum::<usize>()
            + append.puts.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let lost = Err("the commit stopped half-way".to_owned());
        self.group
            .submit(append, weight, GROUP, lost, |appends| self.commit(appends))
            .map_err(AppendError::Storage)
    }

    fn get(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, AppendError> {
        let value = self.with(|engine| engine.get(key).map_err(|error| error.to_string()))?;
        Ok(value.into_iter().collect())
    }

    fn stamp(&self, _: &[u8]) -> u64 {
        0
    }

    fn read(
        &self,
        partition: Partition,
        from: LogOffset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, AppendError> {
        self.check(partition)?;
        let (start, end) = self.with(|engine| Ok((engine.start(partition), engine.end(partition))))?;
        let (start, end) = (LogOffset(start), LogOffset(end));
        if from < start || from > end {
            return Err(AppendError::Beyond { partition, from, start, end });
        }
        self.with(|engine| engine.read(partition, from, records_max, bytes_max))
    }

    fn start(&self, partition: Partition) -> Result<LogOffset, AppendError> {
        self.check(partition)?;
        self.with(|engine| Ok(LogOffset(engine.start(partition))))
    }

    fn end(&self, partition: Partition) -> Result<LogOffset, AppendError> {
        self.check(partition)?;
        self.with(|engine| Ok(LogOffset(engine.end(partition))))
    }

    fn vacant_until(&self, partition: Partition, from: LogOffset) -> Result<LogOffset, AppendError> {
        // Its offsets have no gaps.
        self.check(partition).map(|()| from)
    }

    fn release(&self, partition: Partition, below: LogOffset) -> Result<(), AppendError> {
        self.check(partition)?;
        self.with(|engine| engine.release(partition, below).map_err(|error| error.to_string()))
    }

    fn bytes(&self) -> u64 {
        self.slot().engine.as_ref().map_or(0, Engine::bytes)
    }
}

#[cfg(test)]
mod tests;
