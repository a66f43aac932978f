//! Why the log on Kafka cannot be opened, and what a broker's refusals mean.

use outrider_model::AppendError;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};

use crate::error::ErrorClass;

/// Error of opening the log on Kafka, of describing it, and of belonging to a group.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// A setting cannot be right.
    #[error("kafka: {0}")]
    Config(String),
    /// The topic has another number of partitions.
    #[error("topic {topic} has {got} partitions, the configuration says {expected}")]
    Partitions {
        /// Topic.
        topic: String,
        /// Number in the configuration.
        expected: u16,
        /// Number at the brokers.
        got: usize,
    },
    /// A topic is not there and may not be made.
    #[error("topic {topic} does not exist")]
    NoTopic {
        /// Topic.
        topic: String,
    },
    /// The brokers do not answer, or refuse.
    #[error("kafka: {0}")]
    Brokers(String),
    /// This process does not own the partition any more: another may work on it already.
    #[error("partition {partition} belongs to this process no more: {reason}")]
    Fenced {
        /// Partition.
        partition: u16,
        /// What the broker said.
        reason: String,
    },
}

impl KafkaError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "log.kafka_config",
            Self::Partitions { .. } => "log.partitions",
            Self::NoTopic { .. } => "log.no_topic",
            Self::Brokers(_) => "log.brokers",
            Self::Fenced { .. } => "log.fenced",
        }
    }

    /// Returns the class.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Config(_) | Self::Partitions { .. } | Self::NoTopic { .. } => ErrorClass::Config,
            Self::Brokers(_) | Self::Fenced { .. } => ErrorClass::Transient,
        }
    }
}

/// Brokers that do not answer, in words.
pub(super) fn brokers(error: &ClientError) -> KafkaError {
    KafkaError::Brokers(error.to_string())
}

/// Returns whether the same call may succeed later without anybody's help.
pub(super) fn is_transient(code: Code) -> bool {
    matches!(
        code,
        Code::MessageTimedOut
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::WaitingForCoordinator
            | Code::InProgress
            | Code::QueueFull
            | Code::PurgeQueue
            | Code::PurgeInflight
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::ReplicaNotAvailable
            | Code::BrokerNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::PreferredLeaderNotAvailable
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::RebalanceInProgress
            | Code::Fatal
    )
}

/// Turns the client's error into the port's.
pub(super) fn refuse(error: &ClientError) -> AppendError {
    match error.rdkafka_error_code() {
        Some(code) if is_transient(code) => AppendError::Busy(error.to_string()),
        Some(_) | None => AppendError::Storage(error.to_string()),
    }
}

/// Passes the client's own lines on, those that an operator can use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log_line(level, fac, message);
    }

    fn error(&self, _: ClientError, reason: &str) {
        // Each is followed by a retry; what does not succeed in the end is returned to the caller.
        tracing::debug!(reason, "kafka client met an error");
    }
}

impl ConsumerContext for Quiet {}

/// Writes one line of the client: what is worse than a lost connection as warning.
pub(super) fn log_line(level: RDKafkaLogLevel, fac: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(fac, message, "kafka client");
        }
        // Lost connections come as errors by the dozen while a broker is away.
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::debug!(fac, message, "kafka client"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::trace!(fac, message, "kafka client");
        }
    }
}
