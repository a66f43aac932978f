//! Reads records: one client for all partitions, each read at its own pace.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use outrider_model::{AppendError, LogOffset, LogRecord, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::config::KafkaConfig;
use super::error::{KafkaError, Quiet, brokers, refuse};
use super::header::Stamp;

/// One wait for messages; a read is a few of them.
const WAIT: Duration = Duration::from_millis(50);
/// Waits of one read while the partition is known to have more.
const WAITS_MAX: usize = 40;
/// Bytes held of a partition that is not being read; then its fetching pauses.
const HELD_BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// A message that is no record of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Poison {
    pub(super) offset: u64,
    /// Reason from a closed list.
    pub(super) reason: &'static str,
    pub(super) payload: Vec<u8>,
}

#[derive(Debug)]
enum Fetched {
    Record(LogRecord),
    Poison(Poison),
}

impl Fetched {
    const fn offset(&self) -> u64 {
        match self {
            Self::Record(record) => record.offset.0,
            Self::Poison(poison) => poison.offset,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Record(record) => record.bytes.len(),
            Self::Poison(poison) => poison.payload.len(),
        }
    }
}

/// Where a partition is read.
#[derive(Debug, Default)]
struct Place {
    /// Offset that the next message handed out is expected at or after.
    next: u64,
    /// Offset behind the last message that came.
    seen: u64,
    fetched: VecDeque<Fetched>,
    bytes: usize,
    is_paused: bool,
}

/// First offset held and offset of the next record.
pub(super) type Span = (u64, u64);

/// One client that reads every partition that is asked for.
pub(super) struct Reader {
    topic: String,
    consumer: BaseConsumer<Quiet>,
    places: BTreeMap<u16, Place>,
    record_bytes_max: usize,
}

impl Reader {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let consumer = config
            .client()
            // The client wants a name to hand out messages; nothing is committed under it and nobody joins.
            .set("group.id", format!("{}.reader", config.topic))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A place that is not in the log is an error, never another place.
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.message.max.bytes", config.record_bytes_max.saturating_add(8_192).to_string())
            .set("queued.max.messages.kbytes", "32768")
            .set("isolation.level", "read_uncommitted")
            .create_with_context(Quiet)
            .map_err(|error| brokers(&error))?;
        Ok(Self {
            topic: config.topic.clone(),
            consumer,
            places: BTreeMap::new(),
            record_bytes_max: config.record_bytes_max,
        })
    }

    /// Reads from an offset; `span` asks the brokers what the partition holds, `bury` puts a message aside for good.
    pub(super) fn read(
        &mut self,
        partition: Partition,
        from: LogOffset,
        (records_max, bytes_max): (usize, usize),
        span: &dyn Fn(Partition) -> Result<Span, AppendError>,
        bury: &dyn Fn(Partition, &Poison) -> Result<(), AppendError>,
    ) -> Result<Vec<LogRecord>, AppendError> {
        if self.places.get(&partition.0).is_none_or(|place| place.next != from.0) {
            self.seek(partition, from, span)?;
        }
        let mut is_behind = false;
        for _ in 0..WAITS_MAX {
            self.fill(partition)?;
            self.bury_front(partition, bury)?;
            let Some(place) = self.places.get(&partition.0) else { break };
            if !place.fetched.is_empty() || records_max == 0 {
                break;
            }
            if !is_behind {
                let (start, end) = span(partition)?;
                if place.next < start || place.next > end {
                    return Err(self.beyond(partition, LogOffset(place.next), (start, end)));
                }
                if place.seen.max(place.next) >= end {
                    break;
                }
                is_behind = true;
            }
            self.poll(WAIT)?;
        }
        self.hand_out(partition, records_max, bytes_max)
    }

    fn beyond(&mut self, partition: Partition, from: LogOffset, (start, end): Span) -> AppendError {
        self.forget(partition.0);
        AppendError::Beyond { partition, from, start: LogOffset(start), end: LogOffset(end) }
    }

    fn list(&self, partition: u16, offset: Offset) -> Result<TopicPartitionList, ClientError> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&self.topic, i32::from(partition), offset)?;
        Ok(list)
    }

    /// Begins to read a partition somewhere else.
    fn seek(
        &mut self,
        partition: Partition,
        from: LogOffset,
        span: &dyn Fn(Partition) -> Result<Span, AppendError>,
    ) -> Result<(), AppendError> {
        let (start, end) = span(partition)?;
        if from.0 < start || from.0 > end {
            return Err(self.beyond(partition, from, (start, end)));
        }
        self.forget(partition.0);
        let offset = i64::try_from(from.0).unwrap_or(i64::MAX);
        let list = self.list(partition.0, Offset::Offset(offset)).map_err(|error| refuse(&error))?;
        self.consumer.incremental_assign(&list).map_err(|error| refuse(&error))?;
        self.places.insert(partition.0, Place { next: from.0, ..Place::default() });
        Ok(())
    }

    /// Stops to read a partition.
    pub(super) fn forget(&mut self, partition: u16) {
        if self.places.remove(&partition).is_some()
            && let Ok(list) = self.list(partition, Offset::Invalid)
            && let Err(error) = self.consumer.incremental_unassign(&list)
        {
            tracing::warn!(%error, partition, "kafka partition could not be put down");
        }
    }

    /// Takes what is there without waiting, until the partition has something or nothing more is there.
    fn fill(&mut self, partition: Partition) -> Result<(), AppendError> {
        const BURST: usize = 5_000;
        if let Some(place) = self.places.get_mut(&partition.0)
            && place.is_paused
            && place.bytes < HELD_BYTES_MAX / 2
        {
            place.is_paused = false;
            let list = self.list(partition.0, Offset::Invalid).map_err(|error| refuse(&error))?;
            self.consumer.resume(&list).map_err(|error| refuse(&error))?;
        }
        for _ in 0..BURST {
            if !self.poll(Duration::ZERO)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes one message into its partition's queue; returns whether there was one.
    fn poll(&mut self, wait: Duration) -> Result<bool, AppendError> {
        let (partition, fetched) = match self.consumer.poll(wait) {
            None => return Ok(false),
            Some(Ok(message)) => {
                (u16::try_from(message.partition()).unwrap_or(u16::MAX), self.judge(&message))
            }
            Some(Err(error)) => return self.meet(&error).map(|()| false),
        };
        let Some(place) = self.places.get_mut(&partition) else { return Ok(true) };
        place.bytes += fetched.bytes();
        place.seen = fetched.offset() + 1;
        place.fetched.push_back(fetched);
        if place.bytes > HELD_BYTES_MAX && !place.is_paused {
            place.is_paused = true;
            let list = self.list(partition, Offset::Invalid).map_err(|error| refuse(&error))?;
            self.consumer.pause(&list).map_err(|error| refuse(&error))?;
        }
        Ok(true)
    }

    /// Errors of the connection pass; those of a place make the next read look where it is.
    fn meet(&mut self, error: &ClientError) -> Result<(), AppendError> {
        match error.rdkafka_error_code() {
            Some(Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::UnknownTopicId) => {
                tracing::warn!(%error, "kafka reader lost its place");
                let partitions: Vec<u16> = self.places.keys().copied().collect();
                partitions.into_iter().for_each(|partition| self.forget(partition));
                Err(AppendError::Busy("the reader looks for its place again".to_owned()))
            }
            Some(
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition,
            ) => Err(AppendError::Storage(error.to_string())),
            Some(_) | None => {
                tracing::debug!(%error, "kafka reader met an error");
                Ok(())
            }
        }
    }

    fn judge(&self, message: &BorrowedMessage<'_>) -> Fetched {
        let offset = u64::try_from(message.offset()).unwrap_or(0);
        let poison = |reason| {
            let payload = message.payload().unwrap_or_default().to_vec();
            Fetched::Poison(Poison { offset, reason, payload })
        };
        let Some(payload) = message.payload() else { return poison("no_value") };
        if payload.len() > self.record_bytes_max {
            return poison("too_large");
        }
        match Stamp::find(message.headers()) {
            Err(reason) => poison(reason),
            Ok(stamp) => Fetched::Record(LogRecord {
                offset: LogOffset(offset),
                ingest: stamp.ingest,
                bytes: payload.to_vec(),
            }),
        }
    }

    /// Puts aside what is no record, in order, and goes on behind it only when that is durable.
    fn bury_front(
        &mut self,
        partition: Partition,
        bury: &dyn Fn(Partition, &Poison) -> Result<(), AppendError>,
    ) -> Result<(), AppendError> {
        let Some(place) = self.places.get_mut(&partition.0) else { return Ok(()) };
        while let Some(Fetched::Poison(poison)) = place.fetched.front() {
            bury(partition, poison)?;
            place.bytes -= poison.payload.len();
            place.fetched.pop_front();
        }
        Ok(())
    }

    /// Returns up to where messages came that were no records, if no record came behind them.
    pub(super) fn vacant_until(&self, partition: Partition, from: LogOffset) -> LogOffset {
        match self.places.get(&partition.0) {
            Some(place) if place.next == from.0 => {
                let front = place.fetched.front().map_or(place.seen, Fetched::offset);
                LogOffset(front.max(from.0))
            }
            Some(_) | None => from,
        }
    }

    fn hand_out(
        &mut self,
        partition: Partition,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, AppendError> {
        let mut records = Vec::new();
        let Some(place) = self.places.get_mut(&partition.0) else { return Ok(records) };
        let mut bytes = 0_usize;
        while let Some(Fetched::Record(record)) = place.fetched.front() {
            bytes = bytes.saturating_add(record.bytes.len());
            if records.len() >= records_max || (bytes > bytes_max && !records.is_empty()) {
                break;
            }
            place.bytes -= record.bytes.len();
            place.next = record.offset.0 + 1;
            if let Some(Fetched::Record(record)) = place.fetched.pop_front() {
                records.push(record);
            }
        }
        Ok(records)
    }
}
