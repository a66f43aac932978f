//! The auxiliary keys: a compacted topic, and a copy of it in memory.
//!
//! A message's key is the length of the auxiliary key (u16, big endian), the key, and the writer's name; its value is
//! the newest that this writer has put. So writers never overwrite each other, and compaction keeps one value a writer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use outrider_model::{AppendError, LOG_WRITERS_MAX};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::config::KafkaConfig;
use super::error::{KafkaError, Quiet, brokers};

/// Messages taken in one call at most: a call returns although others write without end.
const DRAIN_MAX: usize = 200_000;

/// Returns the partition of the keys topic that holds a key, whatever partition its records are in: FNV-1a, modulo.
pub(super) fn partition_of(key: &[u8], partitions: u16) -> i32 {
    let hash = key.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    i32::try_from((hash ^ (hash >> 32)) % u64::from(partitions.max(1))).unwrap_or(0)
}

/// Composes a message's key.
pub(super) fn message_key(key: &[u8], writer: &str) -> Result<Vec<u8>, AppendError> {
    let Ok(length) = u16::try_from(key.len()) else {
        return Err(AppendError::TooLarge { bytes: key.len(), limit: usize::from(u16::MAX) });
    };
    Ok([length.to_be_bytes().as_slice(), key, writer.as_bytes()].concat())
}

/// Takes a message's key apart; `None` if it is not one of ours.
fn parse_key(bytes: &[u8]) -> Option<(&[u8], &str)> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (key, writer) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((key, std::str::from_utf8(writer).ok()?))
}

#[derive(Debug, Default)]
struct Entry {
    values: BTreeMap<String, Vec<u8>>,
    /// Counts what others have put.
    stamp: u64,
    is_overfull: bool,
}

/// Copy of the keys topic.
pub(super) struct Keys {
    writer: String,
    tail: Mutex<BaseConsumer<Quiet>>,
    entries: RwLock<BTreeMap<Vec<u8>, Entry>>,
    /// Messages that were not ours.
    strange: AtomicU64,
}

impl Keys {
    /// Reads the topic from its beginning to its present end.
    pub(super) fn load(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let consumer: BaseConsumer<Quiet> = config
            .client()
            // The client wants a name to hand out messages; nothing is committed under it and nobody joins.
            .set("group.id", format!("{}.reader", config.topic))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.wait.max.ms", "100")
            .create_with_context(Quiet)
            .map_err(|error| brokers(&error))?;
        let mut all = TopicPartitionList::new();
        let topic = config.keys_topic();
        for partition in 0..config.partitions {
            all.add_partition_offset(&topic, i32::from(partition), Offset::Beginning)
                .map_err(|error| brokers(&error))?;
        }
        consumer.assign(&all).map_err(|error| brokers(&error))?;
        let keys = Self {
            writer: config.writer.clone(),
            tail: Mutex::new(consumer),
            entries: RwLock::new(BTreeMap::new()),
            strange: AtomicU64::new(0),
        };
        keys.load_all(config)?;
        Ok(keys)
    }

    fn load_all(&self, config: &KafkaConfig) -> Result<(), KafkaError> {
        let mut ended = std::collections::BTreeSet::new();
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        // Silence for as long as `patience`, three times, means that nothing more comes.
        let mut silent = 0;
        while ended.len() < usize::from(config.partitions) {
            match tail.poll(config.patience) {
                Some(Ok(message)) => {
                    self.take(&message);
                    silent = 0;
                }
                Some(Err(ClientError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                    silent = 0;
                }
                Some(Err(error)) => {
                    silent += 1;
                    tracing::debug!(%error, "keys are being loaded");
                }
                None => silent += 1,
            }
            if silent >= 3 {
                let (have, want) = (ended.len(), config.partitions);
                return Err(KafkaError::Brokers(format!(
                    "only {have} of {want} partitions of {} could be read",
                    config.keys_topic()
                )));
            }
        }
        Ok(())
    }

    /// Takes one message of the topic.
    fn take(&self, message: &rdkafka::message::BorrowedMessage<'_>) {
        match message.key().and_then(parse_key) {
            Some((key, writer)) => self.note(key, writer, message.payload()),
            None => {
                self.strange.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Notes a value; `None` removes it.
    pub(super) fn note(&self, key: &[u8], writer: &str, value: Option<&[u8]>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if !entries.contains_key(key) {
            entries.insert(key.to_vec(), Entry::default());
        }
        let Some(entry) = entries.get_mut(key) else { return };
        if writer != self.writer {
            entry.stamp += 1;
        }
        match value {
            None => {
                entry.values.remove(writer);
            }
            Some(value) if entry.values.len() < LOG_WRITERS_MAX || entry.values.contains_key(writer) => {
                entry.values.insert(writer.to_owned(), value.to_vec());
            }
            Some(_) => entry.is_overfull = true,
        }
    }

    /// Takes what has come in since the last call. Another caller who does so already is enough.
    fn drain(&self) {
        let Ok(tail) = self.tail.try_lock() else { return };
        for _ in 0..DRAIN_MAX {
            match tail.poll(Duration::ZERO) {
                // Our own come back late: a newer value may be noted already.
                Some(Ok(message))
                    if message.key().and_then(parse_key).is_some_and(|(_, w)| w == self.writer) => {}
                Some(Ok(message)) => self.take(&message),
                Some(Err(_)) => {}
                None => return,
            }
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, AppendError> {
        self.drain();
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get(key) else { return Ok(Vec::new()) };
        if entry.is_overfull {
            return Err(AppendError::Storage(format!(
                "more than {LOG_WRITERS_MAX} writers have put one key"
            )));
        }
        Ok(entry.values.values().cloned().collect())
    }

    pub(super) fn stamp(&self, key: &[u8]) -> u64 {
        self.drain();
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).map_or(0, |entry| entry.stamp)
    }

    /// Returns keys held, bytes of their values, and messages of the topic that were not ours.
    pub(super) fn size(&self) -> (usize, u64, u64) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let bytes = entries.values().flat_map(|entry| entry.values.values()).map(|value| value.len() as u64);
        (entries.len(), bytes.sum(), self.strange.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_key_comes_apart_again_and_nothing_else_does() {
        for (key, writer) in [(b"received/x".as_slice(), "edge-1"), (b"", ""), (&[0xFF; 40], "w")] {
            let bytes = message_key(key, writer).expect("short");
            assert_eq!(parse_key(&bytes), Some((key, writer)));
        }
        assert!(message_key(&vec![0; 70_000], "w").is_err());
        for bytes in [&[][..], &[0], &[0, 5, 1, 2], &[0, 1, 7, 0xFF]] {
            assert_eq!(parse_key(bytes), None, "{bytes:?}");
        }
    }
}
