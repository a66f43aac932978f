//! The storage engine: keyspaces, keys and one atomic commit.
//!
//! Keyspace `p<partition>` maps offset (u64, big endian) to ingest time (i64, little endian) and the record.
//! Keyspace `aux` holds the auxiliary keys as they are. Keyspace `meta` holds the number of partitions, and for each
//! partition its end and the offset below which records are released.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use outrider_model::{LogOffset, LogRecord, Partition};
use outrider_types::{IngestTime, UnixMicros};

use super::embedded::EmbeddedConfig;
use crate::error::OpenError;

const KEY_PARTITIONS: &[u8] = b"partitions";
const INGEST_BYTES: usize = 8;

/// Tombstones written at once while records are released.
const RELEASE_CHUNK: u64 = 4_096;

/// Records and keys of one append, encoded.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) partition: Partition,
    /// Ingest time and record, one a record.
    pub(super) values: Vec<Vec<u8>>,
    pub(super) puts: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Encodes one record as it is stored.
pub(super) fn value(ingest: IngestTime, record: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(INGEST_BYTES + record.len());
    value.extend_from_slice(&ingest.0.0.to_le_bytes());
    value.extend_from_slice(record);
    value
}

/// One open database.
pub(super) struct Engine {
    database: Database,
    aux: Keyspace,
    meta: Keyspace,
    partitions: Vec<PartitionState>,
}

struct PartitionState {
    records: Keyspace,
    /// Offset of the next record; every record below is durable.
    end: AtomicU64,
    /// Offset below which nothing is readable any more.
    base: AtomicU64,
    /// Offset below which the records are deleted; at most `base`. The lock makes sweeps take turns.
    swept: Mutex<u64>,
}

fn end_key(partition: u16) -> Vec<u8> {
    [b"end/".as_slice(), &partition.to_be_bytes()].concat()
}

fn base_key(partition: u16) -> Vec<u8> {
    [b"base/".as_slice(), &partition.to_be_bytes()].concat()
}

fn number(meta: &Keyspace, key: &[u8]) -> fjall::Result<Result<Option<u64>, usize>> {
    Ok(match meta.get(key)? {
        None => Ok(None),
        Some(bytes) => {
            <[u8; 8]>::try_from(&*bytes).map(|bytes| Some(u64::from_be_bytes(bytes))).map_err(|_| bytes.len())
        }
    })
}

impl Engine {
    pub(super) fn open(config: &EmbeddedConfig) -> Result<Self, OpenError> {
        let path = || config.path.clone();
        let storage = |error: fjall::Error| match error {
            fjall::Error::Locked => OpenError::InUse { path: path() },
            other => OpenError::Storage { path: path(), reason: other.to_string() },
        };
        create_folder(&config.path)
            .map_err(|error| OpenError::Storage { path: path(), reason: error.to_string() })?;
        let database = Database::builder(&config.path)
            .cache_size(config.cache_bytes)
            .max_journaling_size(config.journal_bytes_max)
            .worker_threads(1)
            .open()
            .map_err(storage)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(config.memtable_bytes);
        let meta = database.keyspace("meta", KeyspaceCreateOptions::default).map_err(storage)?;
        let aux = database.keyspace("aux", KeyspaceCreateOptions::default).map_err(storage)?;
        let read = |key: &[u8]| -> Result<Option<u64>, OpenError> {
            number(&meta, key).map_err(storage)?.map_err(|bytes| OpenError::Damaged {
                path: path(),
                place: format!("key {} holds {bytes} bytes instead of 8", String::from_utf8_lossy(key)),
            })
        };
        match read(KEY_PARTITIONS)? {
            Some(got) if got == u64::from(config.partitions) => {}
            Some(got) => {
                let got = u16::try_from(got).unwrap_or(u16::MAX);
                return Err(OpenError::Partitions { path: path(), expected: config.partitions, got });
            }
            None => {
                meta.insert(KEY_PARTITIONS, u64::from(config.partitions).to_be_bytes()).map_err(storage)?;
            }
        }
        let mut partitions = Vec::with_capacity(usize::from(config.partitions));
        for partition in 0..config.partitions {
            let records = database.keyspace(&format!("p{partition:05}"), options).map_err(storage)?;
            let end = read(&end_key(partition))?.unwrap_or(0);
            let base = read(&base_key(partition))?.unwrap_or(0);
            let last = records.last_key_value().map(fjall::Guard::key).transpose().map_err(storage)?;
            if last.as_deref().is_some_and(|last| last >= end.to_be_bytes().as_slice()) {
                return Err(OpenError::Damaged {
                    path: path(),
                    place: format!("partition {partition} has a record at or after its end {end}"),
                });
            }
            let first = records.first_key_value().map(fjall::Guard::key).transpose().map_err(storage)?;
            let swept = first
                .and_then(|first| <[u8; 8]>::try_from(&*first).ok())
                .map_or(base, |first| u64::from_be_bytes(first).min(base));
            partitions.push(PartitionState {
                records,
                end: AtomicU64::new(end),
                base: AtomicU64::new(base),
                swept: Mutex::new(swept),
            });
        }
        database.persist(PersistMode::SyncAll).map_err(storage)?;
        Ok(Self { database, aux, meta, partitions })
    }

    /// Commits appends in order with one disk flush and returns the first offset of each.
    pub(super) fn commit(&self, appends: Vec<Append>) -> fjall::Result<Vec<LogOffset>> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let mut ends: Vec<Option<u64>> = vec![None; self.partitions.len()];
        let mut offsets = Vec::with_capacity(appends.len());
        for append in appends {
            let index = usize::from(append.partition.0);
            let state = &self.partitions[index];
            let end = ends[index].get_or_insert_with(|| state.end.load(Ordering::Acquire));
            offsets.push(LogOffset(*end));
            for value in append.values {
                batch.insert(&state.records, end.to_be_bytes(), value);
                *end += 1;
            }
            for (key, value) in append.puts {
                batch.insert(&self.aux, key, value);
            }
        }
        for (partition, end) in (0_u16..).zip(&ends) {
            if let Some(end) = end {
                batch.insert(&self.meta, end_key(partition), end.to_be_bytes());
            }
        }
        batch.commit()?;
        // LOG-2: the offsets become visible only here, after the flush.
        for (state, end) in self.partitions.iter().zip(ends) {
            if let Some(end) = end {
                state.end.store(end, Ordering::Release);
            }
        }
        Ok(offsets)
    }

    pub(super) fn end(&self, partition: Partition) -> u64 {
        self.partitions[usize::from(partition.0)].end.load(Ordering::Acquire)
    }

    pub(super) fn get(&self, key: &[u8]) -> fjall::Result<Option<Vec<u8>>> {
        Ok(self.aux.get(key)?.map(|value| value.to_vec()))
    }

    /// Reads from `from` or, where that is released, from the first record that is held.
    pub(super) fn read(
        &self,
        partition: Partition,
        from: LogOffset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, String> {
        let state = &self.partitions[usize::from(partition.0)];
        let end = state.end.load(Ordering::Acquire);
        let from = from.0.max(state.base.load(Ordering::Acquire));
        let mut records = Vec::new();
        if from >= end {
            return Ok(records);
        }
        let mut bytes = 0_usize;
        let range = state.records.range(from.to_be_bytes()..end.to_be_bytes());
        for (expected, guard) in (from..end).zip(range).take(records_max) {
            let (key, value) = guard.into_inner().map_err(|error| error.to_string())?;
            if *key != expected.to_be_bytes() {
                return Err(format!("partition {} has no record at offset {expected}", partition.0));
            }
            let Some((ingest, record)) = value.split_first_chunk::<INGEST_BYTES>() else {
                return Err(format!(
                    "record {expected} of partition {} is {} bytes",
                    partition.0,
                    value.len()
                ));
            };
            bytes = bytes.saturating_add(record.len());
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            records.push(LogRecord {
                offset: LogOffset(expected),
                ingest: IngestTime(UnixMicros(i64::from_le_bytes(*ingest))),
                bytes: record.to_vec(),
            });
        }
        if records.is_empty() && records_max > 0 {
            return Err(format!("partition {} has no record at offset {from}", partition.0));
        }
        Ok(records)
    }

    /// Hides the records below an offset and deletes them once that is worth a rewrite of the others.
    pub(super) fn release(&self, partition: Partition, below: LogOffset, reclaim: u64) -> fjall::Result<()> {
        let state = &self.partitions[usize::from(partition.0)];
        let mut swept = state.swept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let end = state.end.load(Ordering::Acquire);
        let below = below.0.min(end);
        if below > state.base.load(Ordering::Acquire) {
            self.meta.insert(base_key(partition.0), below.to_be_bytes())?;
            state.base.store(below, Ordering::Release);
        }
        let base = state.base.load(Ordering::Acquire);
        let (dead, held) = (base - *swept, end - *swept);
        // The engine's figure leaves out what is still in memory only: that part goes with the next sweep.
        let disk = state.records.disk_space();
        let dead_bytes = u128::from(disk) * u128::from(dead) / u128::from(held.max(1));
        // Each sweep rewrites what stays, so it waits until at least as much goes: O(1) bytes rewritten a byte.
        if dead == 0 || dead < held - dead || dead_bytes < u128::from(reclaim) {
            return Ok(());
        }
        let mut from = *swept;
        while from < base {
            let to = base.min(from.saturating_add(RELEASE_CHUNK));
            let mut batch = self.database.batch();
            for offset in from..to {
                batch.remove(&state.records, offset.to_be_bytes());
            }
            batch.commit()?;
            from = to;
        }
        state.records.rotate_memtable_and_wait()?;
        state.records.major_compact()?;
        *swept = base;
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }
}

/// Creates the folder and makes its name durable.
fn create_folder(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(path)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}
