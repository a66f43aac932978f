//! The event log on Apache Kafka.

mod appender;
mod config;
mod error;
mod generation;
mod header;
mod keys;
mod log;
mod membership;
mod reader;
mod topics;

pub use config::{KafkaConfig, KafkaSecurity, NewTopics, Sasl, SaslMechanism, Secret};
pub use error::KafkaError;
pub use log::{KafkaLog, KafkaView, PartitionView};
pub use membership::{KafkaMembership, MembershipConfig};
