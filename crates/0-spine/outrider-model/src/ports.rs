//! The traits at which layers meet.

use outrider_types::{
    BootEpoch, EventTime, IngestTime, Lane, Seq, TenantId, UnixMicros, VehicleId, VehicleMicros,
};

use crate::batch::EventBatch;
use crate::finding::Finding;
use crate::registry::VehicleRecord;

/// Number of a partition of the event log, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Partition(pub u16);

impl Partition {
    /// Returns the partition that holds a vehicle's records in a log of so many partitions; 0 for a log of none or one.
    ///
    /// FNV-1a over the identity, modulo: fixed for ever, because the order of a vehicle's records hangs on it.
    #[must_use]
    pub fn of(vehicle: VehicleId, partitions: u16) -> Self {
        let hash = vehicle.0.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
        });
        // The low bits of a product know little of the high ones.
        let mixed = hash ^ (hash >> 32);
        Self(u16::try_from(mixed % u64::from(partitions.max(1))).unwrap_or_default())
    }
}

/// Position of a record in a partition of the event log: ascending, not always without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogOffset(pub u64);

/// One record of the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Where it stands.
    pub offset: LogOffset,
    /// When the listener accepted it.
    pub ingest: IngestTime,
    /// The bytes as the vehicle sent them.
    pub bytes: Vec<u8>,
}

/// Writers whose values of one auxiliary key a log keeps apart, at most.
pub const LOG_WRITERS_MAX: usize = 64;

/// Error of the event log.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The record is larger than the log takes.
    #[error("record of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Size of the record.
        bytes: usize,
        /// Largest size.
        limit: usize,
    },
    /// More waits than the log takes, or it did not answer in time; the same call may succeed later.
    #[error("event log is busy: {0}")]
    Busy(String),
    /// The reader's place is not in the log: what it wanted was forgotten, or this is another log than it knew. Nothing
    /// is skipped: the reader decides where it goes on.
    #[error("offset {} of partition {} lies outside of the log, which holds {} to {}", from.0, partition.0, start.0, end.0)]
    Beyond {
        /// The partition.
        partition: Partition,
        /// Where the reader wanted to read.
        from: LogOffset,
        /// First offset that the log holds.
        start: LogOffset,
        /// Offset of the next record.
        end: LogOffset,
    },
    /// The storage refused, for example because the disk is full.
    #[error("event log storage failed: {0}")]
    Storage(String),
}

/// Durable, ordered log of uplink batches.
///
/// `append` returns only after the bytes survive a crash of machine and power (LOG-2). An append that failed was not
/// acknowledged; it may still be found later, whole or in part, and so may a repetition of it: readers recognise
/// duplicates by identity. Auxiliary keys are never visible without the records of the same call.
pub trait EventLog: Send + Sync {
    /// Returns the number of partitions; fixed for the life of the log.
    fn partitions(&self) -> u16;

    /// Appends records to a partition, in order, and puts `(key, value)` pairs, durably; returns the offset of the
    /// first record.
    ///
    /// # Errors
    /// [`AppendError`] except `Beyond`; nothing was acknowledged.
    fn append(
        &self,
        partition: Partition,
        ingest: IngestTime,
        records: &[&[u8]],
        puts: &[(&[u8], &[u8])],
    ) -> Result<LogOffset, AppendError>;

    /// Returns the values of an auxiliary key: the newest of each writer that has put one, at most
    /// [`LOG_WRITERS_MAX`]. A log with one writer gives at most one; the caller joins several.
    ///
    /// # Errors
    /// [`AppendError::Busy`], [`AppendError::Storage`].
    fn get(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, AppendError>;

    /// Returns a number that changes when another writer has put a value under the key: what a caller keeps of
    /// [`Self::get`] is good as long as this stays. Cheap; constant in a log with one writer.
    fn stamp(&self, key: &[u8]) -> u64;

    /// Reads records from an offset, at most `records_max` and about `bytes_max` (at least one if there is one). At the
    /// end of the log there is none; a log over a network may give none although there are some.
    ///
    /// # Errors
    /// [`AppendError`] except `TooLarge`. `Beyond` if `from` is below the first offset held or above the end.
    fn read(
        &self,
        partition: Partition,
        from: LogOffset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, AppendError>;

    /// Returns the first offset that the log still holds, the end if it holds nothing.
    ///
    /// # Errors
    /// [`AppendError::Busy`], [`AppendError::Storage`].
    fn start(&self, partition: Partition) -> Result<LogOffset, AppendError>;

    /// Returns the offset that the next record of a partition will get.
    ///
    /// # Errors
    /// [`AppendError::Busy`], [`AppendError::Storage`].
    fn end(&self, partition: Partition) -> Result<LogOffset, AppendError>;

    /// Returns the offset up to which, from `from` on, there is no record and never will be; `from` if there may be one.
    /// Asked after a [`Self::read`] from there that gave none: offsets may have gaps, also at the end of the log. Cheap.
    ///
    /// # Errors
    /// [`AppendError::Busy`], [`AppendError::Storage`].
    fn vacant_until(&self, partition: Partition, from: LogOffset) -> Result<LogOffset, AppendError>;

    /// Allows the log to forget records below an offset.
    ///
    /// # Errors
    /// [`AppendError::Busy`], [`AppendError::Storage`].
    fn release(&self, partition: Partition, below: LogOffset) -> Result<(), AppendError>;

    /// Returns the bytes that the log holds on disk, roughly; 0 if it cannot know.
    fn bytes(&self) -> u64;
}

/// Counts the owners of a partition: every new owner has a higher one, so that what an old owner still writes can be
/// told and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct OwnerEpoch(pub u64);

/// Works on partitions that come and go. Each call returns when what it asks for is done.
pub trait PartitionOwner: Send + Sync {
    /// A partition is this process's from now on.
    fn acquire(&self, partition: Partition, epoch: OwnerEpoch);

    /// Partitions go to another owner, who begins when this returns: the step at hand is finished and its state is
    /// durable, or it never will be.
    fn hand_over(&self, partitions: &[Partition]);

    /// Partitions may be another owner's already: nothing more of them may be written.
    fn lose(&self, partitions: &[Partition]);
}

/// One input that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Reason from a closed list.
    pub reason: &'static str,
    /// Where: offset, field or lane, in words.
    pub place: String,
    /// Units that the reject stands for; at least 1.
    pub units: u64,
}

/// What a decoder may know of the session that brought the bytes.
pub struct DecodeContext<'a> {
    /// Owner of the vehicle.
    pub tenant: TenantId,
    /// Vehicle that the session belongs to.
    pub vehicle: VehicleId,
    /// Boot that the rows belong to.
    pub epoch: BootEpoch,
    /// When the listener accepted the bytes.
    pub ingest: IngestTime,
    /// What the registry knows of the vehicle.
    pub record: Option<&'a VehicleRecord>,
    /// Turns the vehicle's time into event time (TIME-1).
    pub event_time: &'a dyn Fn(VehicleMicros) -> EventTime,
    /// Says whether a number is new, and remembers it (LOG-3).
    pub is_new: &'a mut dyn FnMut(Lane, Seq) -> bool,
}

/// What a decoder did with its input; rows read = appended + duplicates + rejects (BAL-1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Rows appended to the batch.
    pub rows: u64,
    /// Rows that were there already.
    pub duplicates: u64,
    /// What could not be decoded.
    pub rejects: Vec<Reject>,
}

/// Turns bytes into rows; cannot fail: yields rows and rejects.
pub trait Decoder {
    /// Appends the rows of `bytes` to `batch`.
    fn decode(&mut self, bytes: &[u8], context: &mut DecodeContext<'_>, batch: &mut EventBatch) -> Decoded;
}

/// Promise that no event with an earlier event time is expected on time any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watermark(pub UnixMicros);

/// Error of restoring a stage's state.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SaveError {
    /// The state was written by a version that this one does not read.
    #[error("state version {got} is not {expected}")]
    Version {
        /// Version that this program reads.
        expected: u32,
        /// Version of the state.
        got: u32,
    },
    /// The bytes are damaged.
    #[error("state is damaged at byte {offset}")]
    Damaged {
        /// Where reading stopped.
        offset: usize,
    },
}

/// A detector as a synchronous state machine over batches.
pub trait Stage {
    /// Takes a sealed batch and appends new findings and new revisions.
    fn on_batch(&mut self, batch: &EventBatch, now: IngestTime, findings: &mut Vec<Finding>);

    /// Takes a watermark and appends what only became certain now.
    fn on_watermark(&mut self, watermark: Watermark, now: IngestTime, findings: &mut Vec<Finding>);

    /// Writes the whole state.
    fn save(&self, out: &mut Vec<u8>);

    /// Replaces the whole state.
    ///
    /// # Errors
    /// [`SaveError`]; the state is as it was before.
    fn load(&mut self, bytes: &[u8]) -> Result<(), SaveError>;
}

/// Error of a sink.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It failed; trying again may succeed.
    #[error("sink {sink} failed: {reason}")]
    Failed {
        /// Name of the sink.
        sink: &'static str,
        /// What it said.
        reason: String,
    },
    /// Another writer has stored rows of the partition: what this one holds begins in the middle of them, and must be made
    /// again from [`Sink::next_offset`] on.
    #[error("sink {sink} was written by another: {reason}")]
    Moved {
        /// Name of the sink.
        sink: &'static str,
        /// What it said.
        reason: String,
    },
}

/// Durable home of batches, idempotent by log offset.
pub trait Sink {
    /// Returns the first log offset of a partition that the sink does not have yet; the next batch begins there.
    ///
    /// # Errors
    /// [`SinkError`].
    fn next_offset(&mut self, partition: Partition) -> Result<LogOffset, SinkError>;

    /// Stores a sealed batch that covers the log from the end of the one before up to, not including, `next`; durable on
    /// return. If the sink has all of it, nothing happens.
    ///
    /// # Errors
    /// [`SinkError`]; nothing was stored. [`SinkError::Moved`] if another writer has stored some of it, again and again
    /// until [`Self::next_offset`] is asked.
    fn store(&mut self, partition: Partition, next: LogOffset, batch: &EventBatch) -> Result<(), SinkError>;
}
