//! Which partitions this process works on: membership in a consumer group.
//!
//! The group's client fetches nothing. It only tells who owns what; records are read by [`super::KafkaLog`], which knows
//! no group. So a rebalance can stop no reader, and a reader's pace no heartbeat (ADR 0018).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outrider_model::{LogOffset, OwnerEpoch, Partition, PartitionOwner};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::config::KafkaConfig;
use super::error::{KafkaError, brokers, log_line};
use super::generation::generation;

/// Options of a member.
#[derive(Debug, Clone)]
pub struct MembershipConfig {
    /// Name of the group.
    pub group: String,
    /// A member that is silent for so long has lost its partitions.
    pub session: Duration,
    /// Longest time that the hand-over of partitions may take; then they are lost.
    pub hand_over: Duration,
}

impl Default for MembershipConfig {
    fn default() -> Self {
        Self {
            group: "outrider-workers".to_owned(),
            // Kafka's own default: long enough for a pause of the machine.
            session: Duration::from_secs(45),
            hand_over: Duration::from_secs(300),
        }
    }
}

/// What the rebalances of the group did.
struct Changes {
    topic: String,
    owner: Arc<dyn PartitionOwner>,
    owned: Mutex<BTreeMap<Partition, OwnerEpoch>>,
}

impl Changes {
    fn partitions(&self, list: &TopicPartitionList) -> Vec<Partition> {
        let ours = list.elements_for_topic(&self.topic);
        ours.iter().filter_map(|element| u16::try_from(element.partition()).ok()).map(Partition).collect()
    }

    fn owned(&self) -> std::sync::MutexGuard<'_, BTreeMap<Partition, OwnerEpoch>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Changes {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log_line(level, fac, message);
    }

    fn error(&self, _: ClientError, reason: &str) {
        tracing::debug!(reason, "kafka member met an error");
    }
}

impl ConsumerContext for Changes {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let partitions = self.partitions(list);
        if partitions.is_empty() {
            return;
        }
        let is_lost = consumer.assignment_lost();
        // While this runs the group waits, up to its poll interval: another owner begins after it.
        if is_lost {
            self.owner.lose(&partitions);
        } else {
            self.owner.hand_over(&partitions);
        }
        self.owned().retain(|partition, _| !partitions.contains(partition));
        tracing::info!(partitions = ?partitions, is_lost, "partitions given up");
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(list) = rebalance else { return };
        let partitions = self.partitions(list);
        if let Err(error) = consumer.pause(list) {
            tracing::warn!(%error, "the group's client fetches what it does not need");
        }
        if partitions.is_empty() {
            return;
        }
        let epoch = OwnerEpoch(generation(consumer));
        tracing::info!(partitions = ?partitions, epoch = epoch.0, "partitions taken over");
        for partition in partitions {
            self.owned().insert(partition, epoch);
            self.owner.acquire(partition, epoch);
        }
    }
}

/// A member of the group that shares the partitions.
pub struct KafkaMembership {
    consumer: BaseConsumer<Changes>,
    topic: String,
}

impl KafkaMembership {
    /// Joins the group; the first partitions come with [`Self::poll`].
    ///
    /// # Errors
    /// [`KafkaError`] for settings that cannot be right.
    pub fn join(
        config: &KafkaConfig,
        membership: &MembershipConfig,
        owner: Arc<dyn PartitionOwner>,
    ) -> Result<Self, KafkaError> {
        config.check()?;
        let session = membership.session.as_millis();
        let interval = membership.hand_over.as_millis().max(session);
        let changes = Changes { topic: config.topic.clone(), owner, owned: Mutex::new(BTreeMap::new()) };
        let consumer: BaseConsumer<Changes> = config
            .client()
            .set("group.id", &membership.group)
            // Partitions stay where they are unless they must move.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session.to_string())
            .set("heartbeat.interval.ms", (session / 10).max(100).to_string())
            .set("max.poll.interval.ms", interval.to_string())
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "latest")
            .set("queued.min.messages", "1")
            .set("queued.max.messages.kbytes", "1024")
            .create_with_context(changes)
            .map_err(|error| brokers(&error))?;
        consumer.subscribe(&[&config.topic]).map_err(|error| brokers(&error))?;
        Ok(Self { consumer, topic: config.topic.clone() })
    }

    /// Takes part for at most `patience`: changes of ownership happen in here, on the caller's thread. It must be called
    /// again and again, or the partitions are lost.
    ///
    /// # Errors
    /// [`KafkaError::Brokers`]; the next call may succeed.
    pub fn poll(&self, patience: Duration) -> Result<(), KafkaError> {
        match self.consumer.poll(patience) {
            // Fetched before the pause took hold; the reader fetches it for itself.
            None | Some(Ok(_)) => Ok(()),
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(
                    Code::GroupAuthorizationFailed
                    | Code::TopicAuthorizationFailed
                    | Code::UnknownTopicOrPartition
                    | Code::PollExceeded
                    | Code::Fatal
                    | Code::InconsistentGroupProtocol,
                ) => Err(brokers(&error)),
                Some(_) | None => {
                    tracing::debug!(%error, "kafka member met an error");
                    Ok(())
                }
            },
        }
    }

    /// Returns the partitions that are this process's now, each with its epoch.
    #[must_use]
    pub fn owned(&self) -> BTreeMap<Partition, OwnerEpoch> {
        self.consumer.context().owned().clone()
    }

    /// Says how far a partition is worked off, for whoever watches the group. The brokers refuse a member that the group
    /// has left behind.
    ///
    /// # Errors
    /// [`KafkaError::Fenced`], [`KafkaError::Brokers`].
    pub fn commit(&self, partition: Partition, next: LogOffset) -> Result<(), KafkaError> {
        let fenced = |reason: String| KafkaError::Fenced { partition: partition.0, reason };
        if !self.consumer.context().owned().contains_key(&partition) {
            return Err(fenced("it was given up".to_owned()));
        }
        let mut list = TopicPartitionList::with_capacity(1);
        let offset = Offset::Offset(i64::try_from(next.0).unwrap_or(i64::MAX));
        list.add_partition_offset(&self.topic, i32::from(partition.0), offset)
            .map_err(|error| brokers(&error))?;
        match self.consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => Ok(()),
            Err(error) => match error.rdkafka_error_code() {
                Some(Code::IllegalGeneration | Code::UnknownMemberId | Code::FencedInstanceId) => {
                    Err(fenced(error.to_string()))
                }
                Some(_) | None => Err(brokers(&error)),
            },
        }
    }

    /// Hands everything over and leaves the group, within `patience`; others take the partitions at once.
    pub fn leave(self, patience: Duration) {
        const SLICE: Duration = Duration::from_millis(50);
        self.consumer.unsubscribe();
        let mut waited = Duration::ZERO;
        while !self.consumer.context().owned().is_empty() && waited < patience {
            // Revocation is served in here.
            let _ = self.consumer.poll(SLICE);
            waited += SLICE;
        }
    }
}
