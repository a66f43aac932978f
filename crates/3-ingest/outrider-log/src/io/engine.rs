//! The storage engine: keyspaces, keys and one atomic commit.
//!
//! Keyspace `p<partition>-<first>` is one segment: it maps offset (u64, big endian), from `first` on, to ingest time
//! (i64, little endian) and the record. Segments are dropped whole, which frees their space at once and rewrites
//! nothing. Keyspace `aux` holds the auxiliary keys as they are. Keyspace `meta` holds the number of partitions, for each
//! partition its end and the offset below which records are released, and for each segment its bytes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use outrider_model::{LogOffset, LogRecord, Partition};
use outrider_types::{IngestTime, UnixMicros};

use super::embedded::EmbeddedConfig;
use crate::error::OpenError;

const KEY_PARTITIONS: &[u8] = b"partitions";
const INGEST_BYTES: usize = 8;

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
    segment_bytes: u64,
    memtable_bytes: u64,
}

/// One partition. Only `commit`, which runs alone, adds segments; `release` only removes old ones.
struct PartitionState {
    /// Segments by their first offset; never empty.
    segments: RwLock<BTreeMap<u64, Keyspace>>,
    /// Bytes of the full segments, by first offset.
    full_bytes: RwLock<BTreeMap<u64, u64>>,
    /// Bytes in the last segment.
    last_bytes: AtomicU64,
    /// Offset of the next record; every record below is durable.
    end: AtomicU64,
    /// Offset below which nothing is readable any more.
    base: AtomicU64,
}

fn segment_name(partition: u16, first: u64) -> String {
    format!("p{partition:05}-{first:020}")
}

/// Reads a segment's name back.
fn segment_of(name: &str) -> Option<(u16, u64)> {
    let (partition, first) = name.strip_prefix('p')?.split_once('-')?;
    Some((partition.parse().ok()?, first.parse().ok()?))
}

fn segment_options(memtable_bytes: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes)
}

fn end_key(partition: u16) -> Vec<u8> {
    [b"end/".as_slice(), &partition.to_be_bytes()].concat()
}

/// Bytes of a segment's records.
fn fill_key(partition: u16, first: u64) -> Vec<u8> {
    [b"fill/".as_slice(), &partition.to_be_bytes(), &first.to_be_bytes()].concat()
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
        let storage = |error: fjall::Error| {
            if matches!(error, fjall::Error::Locked) {
                return OpenError::InUse { path: path() };
            }
            OpenError::Storage { path: path(), reason: error.to_string() }
        };
        create_folder(&config.path)
            .map_err(|error| OpenError::Storage { path: path(), reason: error.to_string() })?;
        let database = Database::builder(&config.path)
            .cache_size(config.cache_bytes)
            .max_journaling_size(config.journal_bytes_max)
            .worker_threads(1)
            .open()
            .map_err(storage)?;
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
            let end = read(&end_key(partition))?.unwrap_or(0);
            let base = read(&base_key(partition))?.unwrap_or(0);
            let state = PartitionState::open((&database, &meta), config.memtable_bytes, partition, base, end)
                .map_err(storage)?;
            state.check(end).map_err(|place| OpenError::Damaged {
                path: path(),
                place: format!("partition {partition}: {place}"),
            })?;
            partitions.push(state);
        }
        database.persist(PersistMode::SyncAll).map_err(storage)?;
        let (segment_bytes, memtable_bytes) = (config.segment_bytes, config.memtable_bytes);
        Ok(Self { database, aux, meta, partitions, segment_bytes, memtable_bytes })
    }

    /// Commits appends in order with one disk flush and returns the first offset of each.
    ///
    /// Must not run twice at a time.
    pub(super) fn commit(&self, appends: Vec<Append>) -> fjall::Result<Vec<LogOffset>> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let mut open: BTreeMap<u16, (u64, Keyspace)> = BTreeMap::new();
        let mut offsets = Vec::with_capacity(appends.len());
        for append in appends {
            let number = append.partition.0;
            let (end, segment) = match open.entry(number) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let end = self.partitions[usize::from(number)].end.load(Ordering::Acquire);
                    entry.insert((end, self.segment_for_append(number, end)?))
                }
            };
            offsets.push(LogOffset(*end));
            for value in append.values {
                self.partitions[usize::from(number)]
                    .last_bytes
                    .fetch_add(value.len() as u64, Ordering::Relaxed);
                batch.insert(segment, end.to_be_bytes(), value);
                *end += 1;
            }
            for (key, value) in append.puts {
                batch.insert(&self.aux, key, value);
            }
        }
        for (partition, (end, _)) in &open {
            batch.insert(&self.meta, end_key(*partition), end.to_be_bytes());
            let state = &self.partitions[usize::from(*partition)];
            let fill = state.last_bytes.load(Ordering::Relaxed);
            batch.insert(&self.meta, fill_key(*partition, state.last().0), fill.to_be_bytes());
        }
        batch.commit()?;
        // LOG-2: the offsets become visible only here, after the flush.
        for (partition, (end, _)) in open {
            self.partitions[usize::from(partition)].end.store(end, Ordering::Release);
        }
        Ok(offsets)
    }

    /// Returns the last segment, or a new one if that is full.
    fn segment_for_append(&self, partition: u16, end: u64) -> fjall::Result<Keyspace> {
        let state = &self.partitions[usize::from(partition)];
        let (first, last) = state.last();
        if state.last_bytes.load(Ordering::Relaxed) < self.segment_bytes || first == end {
            return Ok(last);
        }
        let options = || segment_options(self.memtable_bytes);
        let segment = self.database.keyspace(&segment_name(partition, end), options)?;
        state.segments.write().unwrap_or_else(PoisonError::into_inner).insert(end, segment.clone());
        let bytes = state.last_bytes.swap(0, Ordering::Relaxed);
        state.full_bytes.write().unwrap_or_else(PoisonError::into_inner).insert(first, bytes);
        Ok(segment)
    }

    pub(super) fn end(&self, partition: Partition) -> u64 {
        self.partitions[usize::from(partition.0)].end.load(Ordering::Acquire)
    }

    pub(super) fn start(&self, partition: Partition) -> u64 {
        let state = &self.partitions[usize::from(partition.0)];
        state.base.load(Ordering::Acquire).min(state.end.load(Ordering::Acquire))
    }

    pub(super) fn get(&self, key: &[u8]) -> fjall::Result<Option<Vec<u8>>> {
        Ok(self.aux.get(key)?.map(|value| value.to_vec()))
    }

    /// Reads from `from`, which the caller has checked against start and end. A release may have come in between: then
    /// there is nothing, and the caller's next look at the start shows it.
    pub(super) fn read(
        &self,
        partition: Partition,
        from: LogOffset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, String> {
        let state = &self.partitions[usize::from(partition.0)];
        let (from, end) = (from.0, state.end.load(Ordering::Acquire));
        let mut records = Vec::new();
        if from >= end {
            return Ok(records);
        }
        let mut bytes = 0_usize;
        let segments = state.segments_from(from);
        let range = segments.iter().flat_map(|segment| segment.range(from.to_be_bytes()..end.to_be_bytes()));
        for (expected, guard) in (from..end).zip(range).take(records_max) {
            let (key, value) = guard.into_inner().map_err(|error| error.to_string())?;
            if *key != expected.to_be_bytes() {
                if self.start(partition) > expected {
                    break;
                }
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
        if records.is_empty() && records_max > 0 && self.start(partition) <= from {
            return Err(format!("partition {} has no record at offset {from}", partition.0));
        }
        Ok(records)
    }

    /// Hides the records below an offset and drops the segments that hold no other.
    pub(super) fn release(&self, partition: Partition, below: LogOffset) -> fjall::Result<()> {
        let state = &self.partitions[usize::from(partition.0)];
        let below = below.0.min(state.end.load(Ordering::Acquire));
        let mut segments = state.segments.write().unwrap_or_else(PoisonError::into_inner);
        if below > state.base.load(Ordering::Acquire) {
            self.meta.insert(base_key(partition.0), below.to_be_bytes())?;
            state.base.store(below, Ordering::Release);
        }
        let base = state.base.load(Ordering::Acquire);
        let firsts: Vec<u64> = segments.keys().copied().collect();
        let done: Vec<u64> = firsts
            .iter()
            .zip(firsts.iter().skip(1))
            .take_while(|(_, next)| **next <= base)
            .map(|(first, _)| *first)
            .collect();
        if !done.is_empty() {
            // A power cut must not bring back a base whose records are gone.
            self.database.persist(PersistMode::SyncAll)?;
        }
        for first in done {
            if let Some(segment) = segments.remove(&first) {
                state.full_bytes.write().unwrap_or_else(PoisonError::into_inner).remove(&first);
                self.meta.remove(fill_key(partition.0, first))?;
                // Its files go when the last reader has let go of it.
                self.database.delete_keyspace(segment)?;
            }
        }
        Ok(())
    }

    /// Throws a partition's base back, as a power cut does that comes before it is durable.
    #[cfg(test)]
    pub(super) fn forget_base(&self, partition: Partition) {
        self.meta.insert(base_key(partition.0), 0_u64.to_be_bytes()).expect("a healthy disk");
    }

    /// Bytes of records in segments that are not dropped. O(segments).
    pub(super) fn held(&self) -> u64 {
        let held = |state: &PartitionState| {
            let full = state.full_bytes.read().unwrap_or_else(PoisonError::into_inner);
            full.values().sum::<u64>() + state.last_bytes.load(Ordering::Relaxed)
        };
        self.partitions.iter().map(held).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }
}

impl PartitionState {
    fn open(
        (database, meta): (&Database, &Keyspace),
        memtable_bytes: u64,
        partition: u16,
        base: u64,
        end: u64,
    ) -> fjall::Result<Self> {
        let mut segments = BTreeMap::new();
        for name in database.list_keyspace_names() {
            if let Some((owner, first)) = segment_of(&name)
                && owner == partition
            {
                segments.insert(first, database.keyspace(&name, || segment_options(memtable_bytes))?);
            }
        }
        if segments.is_empty() {
            let options = || segment_options(memtable_bytes);
            segments.insert(end, database.keyspace(&segment_name(partition, end), options)?);
        }
        // Segments are dropped below the base only, so what is gone was released, whatever the base says.
        let base = segments.keys().next().map_or(base, |first| base.max(*first));
        let mut full_bytes = BTreeMap::new();
        for (first, segment) in &segments {
            let fill = number(meta, &fill_key(partition, *first))?;
            full_bytes.insert(*first, fill.ok().flatten().unwrap_or_else(|| segment.disk_space()));
        }
        let last_bytes = full_bytes.pop_last().map_or(0, |(_, bytes)| bytes);
        Ok(Self {
            segments: RwLock::new(segments),
            full_bytes: RwLock::new(full_bytes),
            last_bytes: AtomicU64::new(last_bytes),
            end: AtomicU64::new(end),
            base: AtomicU64::new(base),
        })
    }

    /// Checks that the newest record is the one before `end`.
    fn check(&self, end: u64) -> Result<(), String> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let newest = segments.values().rev().find_map(Keyspace::last_key_value);
        let newest = newest.map(fjall::Guard::key).transpose().map_err(|error| error.to_string())?;
        match newest {
            Some(key) if *key != end.wrapping_sub(1).to_be_bytes() => {
                Err(format!("newest record {key:?} is not the one before the end {end}"))
            }
            None if self.base.load(Ordering::Acquire) < end => {
                Err(format!("no record, but the end is {end} and not everything is released"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn last(&self) -> (u64, Keyspace) {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let (first, segment) = segments.last_key_value().expect("release keeps the last segment");
        (*first, segment.clone())
    }

    /// Returns the segments that may hold `from` and what follows it.
    fn segments_from(&self, from: u64) -> Vec<Keyspace> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let start = segments.range(..=from).next_back().map_or(0, |(first, _)| *first);
        segments.range(start..).map(|(_, segment)| segment.clone()).collect()
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
