//! Topics at the brokers: made where they may be, checked always.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::config::{KafkaConfig, NewTopics};
use super::error::{KafkaError, Quiet, brokers};

/// Looks at the brokers until a topic that was just made is known everywhere.
const LOOKS_MAX: usize = 300;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a dead letter is kept: somebody has to look at it.
const DEAD_RETENTION_MS: &str = "2592000000";

/// Wakes the thread that waits for an answer.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer of the admin client, which always comes: at the latest when its own timeout is over.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut context, mut future) = (Context::from_waker(&waker), pin!(future));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// The client that makes topics and deletes records.
pub(super) struct Topics {
    admin: AdminClient<Quiet>,
    options: AdminOptions,
    patience: Duration,
}

impl Topics {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let admin = config.client().create_with_context(Quiet).map_err(|error| brokers(&error))?;
        let patience = config.patience;
        let options = AdminOptions::new().request_timeout(Some(patience)).operation_timeout(Some(patience));
        Ok(Self { admin, options, patience })
    }

    /// Makes the topics that are not there.
    pub(super) fn create(&self, config: &KafkaConfig, new: NewTopics) -> Result<(), KafkaError> {
        let (keys, dead) = (config.keys_topic(), config.dead_topic());
        let (in_sync, retention) = (new.in_sync_min.to_string(), new.retention.as_millis().to_string());
        let message_bytes = config.record_bytes_max.saturating_add(8_192).to_string();
        let partitions = i32::from(config.partitions);
        let topic = |name, partitions| {
            NewTopic::new(name, partitions, TopicReplication::Fixed(i32::from(new.replication)))
                .set("min.insync.replicas", &in_sync)
                .set("unclean.leader.election.enable", "false")
                .set("max.message.bytes", &message_bytes)
        };
        let topics = [
            topic(config.topic.as_str(), partitions).set("retention.ms", &retention),
            topic(keys.as_str(), partitions).set("cleanup.policy", "compact"),
            topic(dead.as_str(), 1).set("retention.ms", DEAD_RETENTION_MS),
        ];
        let results =
            wait(self.admin.create_topics(&topics, &self.options)).map_err(|error| brokers(&error))?;
        for (result, topic) in results.into_iter().zip(&topics) {
            match result {
                Ok(_) => {
                    let partitions = usize::try_from(topic.num_partitions).unwrap_or(0);
                    self.await_leaders(topic.name, partitions)?;
                }
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    return Err(KafkaError::Brokers(format!("topic {topic} cannot be made: {code}")));
                }
            }
        }
        Ok(())
    }

    fn await_leaders(&self, topic: &str, partitions: usize) -> Result<(), KafkaError> {
        for _ in 0..LOOKS_MAX {
            if self.leaders(topic)? >= partitions {
                return Ok(());
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        Err(KafkaError::Brokers(format!("topic {topic} was made and has no leaders yet")))
    }

    /// Counts the partitions of a topic that have a leader.
    fn leaders(&self, topic: &str) -> Result<usize, KafkaError> {
        let metadata = self.admin.inner().fetch_metadata(Some(topic), self.patience);
        let metadata = metadata.map_err(|error| brokers(&error))?;
        let topics = metadata.topics().iter().filter(|found| found.name() == topic);
        let partitions = topics.flat_map(|found| found.partitions());
        Ok(partitions.filter(|partition| partition.leader() >= 0).count())
    }

    /// Checks that a topic is there with so many partitions.
    pub(super) fn check(&self, topic: &str, expected: u16) -> Result<(), KafkaError> {
        let metadata = self.admin.inner().fetch_metadata(Some(topic), self.patience);
        let metadata = metadata.map_err(|error| brokers(&error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        let got = found.map_or(0, |found| found.partitions().len());
        match got {
            0 => Err(KafkaError::NoTopic { topic: topic.to_owned() }),
            got if got != usize::from(expected) => {
                Err(KafkaError::Partitions { topic: topic.to_owned(), expected, got })
            }
            _ => Ok(()),
        }
    }

    /// Deletes the records of a partition below an offset; `None` means all.
    pub(super) fn delete(&self, topic: &str, partition: u16, below: Option<u64>) -> Result<(), KafkaError> {
        let below = below.and_then(|below| i64::try_from(below).ok()).map_or(Offset::End, Offset::Offset);
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, i32::from(partition), below).map_err(|error| brokers(&error))?;
        let done = wait(self.admin.delete_records(&list, &self.options)).map_err(|error| brokers(&error))?;
        for element in done.elements() {
            element.error().map_err(|error| brokers(&error))?;
        }
        Ok(())
    }
}
