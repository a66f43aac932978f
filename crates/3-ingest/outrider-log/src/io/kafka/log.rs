//! The event log on Apache Kafka.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use outrider_model::{AppendError, EventLog, LogOffset, LogRecord, Partition};
use outrider_types::IngestTime;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::Producer as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::appender::{Appender, Message};
use super::config::KafkaConfig;
use super::error::{KafkaError, Quiet, brokers, refuse};
use super::header::Stamp;
use super::keys::{Keys, message_key, partition_of};
use super::reader::{Poison, Reader, Span};
use super::topics::Topics;

/// Event log on Apache Kafka; shared by reference between threads.
///
/// A record is one message of the topic, in the partition that the caller says. It is acknowledged when all replicas in
/// sync have it. Auxiliary keys go into a compacted topic after the records, so a key is never without its records; an
/// append that fails between the two leaves records that a repetition adds again, and readers recognise. A message that
/// is no record of ours goes to the dead letters before a reader passes it.
pub struct KafkaLog {
    config: KafkaConfig,
    appender: Appender,
    keys: Option<Keys>,
    reader: Mutex<Reader>,
    topics: Topics,
    /// Says for the group how far the records are worked off; belongs to it, but joins nothing.
    committer: Option<BaseConsumer<Quiet>>,
    /// Records appended in this session.
    numbers: AtomicU64,
    buried: AtomicU64,
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLog").field("config", &self.config).finish_non_exhaustive()
    }
}

/// One partition as the brokers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionView {
    /// Partition.
    pub partition: Partition,
    /// Broker that leads it; below 0 if none does.
    pub leader: i32,
    /// Brokers that should have a copy.
    pub replicas: usize,
    /// Brokers whose copy is whole.
    pub in_sync: usize,
    /// First offset held.
    pub start: LogOffset,
    /// Offset of the next record.
    pub end: LogOffset,
    /// Where the group is, if it has said so.
    pub committed: Option<LogOffset>,
}

/// The log as the brokers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaView {
    /// Brokers, `id host:port`.
    pub brokers: Vec<String>,
    /// Partitions in order.
    pub partitions: Vec<PartitionView>,
    /// Dead letters held.
    pub dead: u64,
    /// Keys held and bytes of their values, if they were loaded.
    pub keys: Option<(usize, u64)>,
}

impl KafkaLog {
    /// Connects, makes the topics if that is asked for, checks them and loads the keys.
    ///
    /// # Errors
    /// [`KafkaError`] except `Fenced`.
    pub fn open(config: KafkaConfig) -> Result<Self, KafkaError> {
        config.check()?;
        let topics = Topics::new(&config)?;
        if let Some(new) = config.create {
            topics.create(&config, new)?;
        }
        topics.check(&config.topic, config.partitions)?;
        let keys = if config.is_read_only {
            None
        } else {
            topics.check(&config.keys_topic(), config.partitions)?;
            topics.check(&config.dead_topic(), 1)?;
            Some(Keys::load(&config)?)
        };
        let committer = match &config.group {
            Some(group) if !config.is_read_only => {
                let mut client = config.client();
                client.set("group.id", group).set("enable.auto.commit", "false");
                Some(client.create_with_context(Quiet).map_err(|error| brokers(&error))?)
            }
            Some(_) | None => None,
        };
        let (appender, reader) = (Appender::new(&config)?, Mutex::new(Reader::new(&config)?));
        Ok(Self {
            config,
            appender,
            keys,
            reader,
            topics,
            committer,
            numbers: AtomicU64::new(0),
            buried: AtomicU64::new(0),
        })
    }

    /// Returns how many messages this process has put among the dead letters.
    #[must_use]
    pub fn buried(&self) -> u64 {
        self.buried.load(Ordering::Relaxed)
    }

    /// Returns what the brokers hold and how far a consumer group has said to be.
    ///
    /// # Errors
    /// [`KafkaError::Brokers`].
    pub fn describe(&self, group: &str) -> Result<KafkaView, KafkaError> {
        let producer = self.appender.producer();
        let client = producer.client();
        let metadata = client.fetch_metadata(Some(&self.config.topic), self.config.patience);
        let metadata = metadata.map_err(|error| brokers(&error))?;
        let committed = self.committed(group)?;
        let mut partitions = Vec::new();
        for found in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            let Ok(partition) = u16::try_from(found.id()).map(Partition) else { continue };
            let (start, end) =
                self.span(partition).map_err(|error| KafkaError::Brokers(error.to_string()))?;
            let place = committed.find_partition(&self.config.topic, found.id());
            let place = place.and_then(|place| place.offset().to_raw());
            partitions.push(PartitionView {
                partition,
                leader: found.leader(),
                replicas: found.replicas().len(),
                in_sync: found.isr().len(),
                start: LogOffset(start),
                end: LogOffset(end),
                committed: place.and_then(|place| u64::try_from(place).ok()).map(LogOffset),
            });
        }
        partitions.sort_by_key(|view| view.partition);
        let dead = client.fetch_watermarks(&self.config.dead_topic(), 0, self.config.patience);
        let dead = dead.map_err(|error| brokers(&error))?;
        let broker = |broker: &rdkafka::metadata::MetadataBroker| {
            format!("{} {}:{}", broker.id(), broker.host(), broker.port())
        };
        Ok(KafkaView {
            brokers: metadata.brokers().iter().map(broker).collect(),
            partitions,
            dead: u64::try_from(dead.1 - dead.0).unwrap_or(0),
            keys: self.keys.as_ref().map(Keys::size).map(|(keys, bytes, _)| (keys, bytes)),
        })
    }

    fn committed(&self, group: &str) -> Result<TopicPartitionList, KafkaError> {
        let consumer: BaseConsumer<Quiet> = self
            .config
            .client()
            .set("group.id", group)
            .create_with_context(Quiet)
            .map_err(|error| brokers(&error))?;
        let mut list = TopicPartitionList::new();
        let last = i32::from(self.config.partitions) - 1;
        list.add_partition_range(&self.config.topic, 0, last);
        consumer.committed_offsets(list, self.config.patience).map_err(|error| brokers(&error))
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

    /// Asks the brokers what a partition holds.
    fn span(&self, partition: Partition) -> Result<Span, AppendError> {
        let producer = self.appender.producer();
        let marks = producer.client().fetch_watermarks(
            &self.config.topic,
            i32::from(partition.0),
            self.config.patience,
        );
        let (start, end) = marks.map_err(|error| refuse(&error))?;
        Ok((u64::try_from(start).unwrap_or(0), u64::try_from(end).unwrap_or(0)))
    }

    /// Puts a message among the dead letters, under the place it has in the log.
    fn bury(&self, partition: Partition, poison: &Poison) -> Result<(), AppendError> {
        if self.config.is_read_only {
            return Ok(());
        }
        let (topic, key) = (self.config.dead_topic(), format!("{}/{}", partition.0, poison.offset));
        let headers =
            OwnedHeaders::new_with_capacity(1).insert(Header { key: "reason", value: Some(poison.reason) });
        // What is larger than a message may be is cut; the record itself is still in the log.
        let most = poison.payload.len().min(self.config.record_bytes_max);
        self.appender.write(vec![Message {
            topic: &topic,
            partition: 0,
            key: Some(key.as_bytes()),
            payload: &poison.payload[..most],
            headers: Some(headers),
        }])?;
        self.buried.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            partition = partition.0,
            offset = poison.offset,
            reason = poison.reason,
            "a message that is no record was put among the dead letters"
        );
        Ok(())
    }

    /// Tells the group's watchers how far a partition is worked off. Only they need it: a failure is no trouble.
    fn say_place(&self, partition: Partition, next: LogOffset) {
        let Some(committer) = &self.committer else { return };
        let Ok(offset) = i64::try_from(next.0) else { return };
        let mut list = TopicPartitionList::with_capacity(1);
        let said = list
            .add_partition_offset(&self.config.topic, i32::from(partition.0), Offset::Offset(offset))
            .and_then(|()| committer.commit(&list, CommitMode::Async));
        // Answers to earlier ones wait to be fetched.
        while committer.poll(Duration::ZERO).is_some() {}
        if let Err(error) = said {
            tracing::debug!(%error, partition = partition.0, "the group was not told");
        }
    }

    fn append_records(
        &self,
        partition: Partition,
        ingest: IngestTime,
        records: &[&[u8]],
    ) -> Result<LogOffset, AppendError> {
        let count = records.len() as u64;
        let first = self.numbers.fetch_add(count, Ordering::Relaxed);
        let messages = (first..).zip(records).map(|(number, record)| Message {
            topic: &self.config.topic,
            partition: i32::from(partition.0),
            key: None,
            payload: record,
            headers: Some(Stamp { ingest, session: self.config.session, number }.headers()),
        });
        let offset = self.appender.write(messages.collect())?;
        u64::try_from(offset)
            .map(LogOffset)
            .map_err(|_| AppendError::Storage("no offset came back".to_owned()))
    }

    fn put(&self, puts: &[(&[u8], &[u8])]) -> Result<(), AppendError> {
        let Some(keys) = &self.keys else {
            return Err(AppendError::Storage("the log was opened to be read only".to_owned()));
        };
        let topic = self.config.keys_topic();
        let names: Vec<Vec<u8>> =
            puts.iter().map(|(key, _)| message_key(key, &self.config.writer)).collect::<Result<_, _>>()?;
        let messages = names.iter().zip(puts).map(|(name, (key, value))| Message {
            topic: &topic,
            partition: partition_of(key, self.config.partitions),
            key: Some(name),
            payload: value,
            headers: None,
        });
        self.appender.write(messages.collect())?;
        puts.iter().for_each(|(key, value)| keys.note(key, &self.config.writer, Some(value)));
        Ok(())
    }
}

impl EventLog for KafkaLog {
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
        if self.config.is_read_only {
            return Err(AppendError::Storage("the log was opened to be read only".to_owned()));
        }
        let limit = self.config.record_bytes_max;
        let values = puts.iter().map(|(_, value)| value.len());
        if let Some(bytes) =
            records.iter().map(|record| record.len()).chain(values).find(|bytes| *bytes > limit)
        {
            return Err(AppendError::TooLarge { bytes, limit });
        }
        let offset = if records.is_empty() {
            self.end(partition)?
        } else {
            self.append_records(partition, ingest, records)?
        };
        // LOG-2: only when the records are durable may a key speak of them.
        if !puts.is_empty() {
            self.put(puts)?;
        }
        Ok(offset)
    }

    fn get(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, AppendError> {
        self.keys.as_ref().map_or_else(|| Ok(Vec::new()), |keys| keys.get(key))
    }

    fn stamp(&self, key: &[u8]) -> u64 {
        self.keys.as_ref().map_or(0, |keys| keys.stamp(key))
    }

    fn read(
        &self,
        partition: Partition,
        from: LogOffset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, AppendError> {
        self.check(partition)?;
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.read(
            partition,
            from,
            (records_max, bytes_max),
            &|partition| self.span(partition),
            &|partition, poison| self.bury(partition, poison),
        )
    }

    fn start(&self, partition: Partition) -> Result<LogOffset, AppendError> {
        self.check(partition)?;
        self.span(partition).map(|(start, _)| LogOffset(start))
    }

    fn end(&self, partition: Partition) -> Result<LogOffset, AppendError> {
        self.check(partition)?;
        self.span(partition).map(|(_, end)| LogOffset(end))
    }

    fn vacant_until(&self, partition: Partition, from: LogOffset) -> Result<LogOffset, AppendError> {
        self.check(partition)?;
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(reader.vacant_until(partition, from))
    }

    fn release(&self, partition: Partition, below: LogOffset) -> Result<(), AppendError> {
        self.check(partition)?;
        self.say_place(partition, below);
        if !self.config.deletes_released {
            return Ok(());
        }
        let (start, end) = self.span(partition)?;
        if below.0 <= start {
            return Ok(());
        }
        let below = (below.0 < end).then_some(below.0);
        self.topics
            .delete(&self.config.topic, partition.0, below)
            .map_err(|error| AppendError::Busy(error.to_string()))
    }

    fn bytes(&self) -> u64 {
        0
    }
}
