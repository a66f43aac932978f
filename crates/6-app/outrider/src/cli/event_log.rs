//! Which event log a process uses, and how it is reached.

mod group;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use outrider_model::EventLog;
use outrider_server::embedded::open_log;

use super::Failure;
pub(crate) use group::Group;

/// What a program without Kafka says.
#[cfg(not(feature = "kafka"))]
pub(crate) const NO_KAFKA: &str = "this program was built without Kafka; build it with --features kafka";

/// Kind of event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// In the folder, for one process.
    Embedded,
    /// On Apache Kafka, for many.
    Kafka,
}

/// Options of the event log, of every command that opens one.
#[derive(Debug, Clone, Args)]
pub(crate) struct EventLogArgs {
    /// Event log to use.
    #[arg(long, value_enum, default_value_t = Kind::Embedded)]
    pub(crate) event_log: Kind,
    /// Some brokers, host:port, separated by commas.
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub(crate) kafka_brokers: String,
    /// Topic of the records; `.keys` and `.dead` behind it name the two others.
    #[arg(long, default_value = "outrider")]
    pub(crate) kafka_topic: String,
    /// Partitions of the topic; fixed once it exists.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) kafka_partitions: u16,
    /// Consumer group under which the worker says how far it is.
    #[arg(long, default_value = "outrider-workers")]
    pub(crate) kafka_group: String,
    /// Parts into which correlators share the groups of the rules: partitions of the topic behind `.sightings`; fixed once
    /// it exists.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) correlator_parts: u16,
    /// Seconds of silence after which a worker or correlator has lost its partitions.
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(6..=300))]
    pub(crate) kafka_session: u64,
    /// Name of this listener: the same after a restart, and no other's.
    #[arg(long, default_value = "outrider")]
    pub(crate) kafka_writer: String,
    /// Make topics that are not there, with three replicas, or with so many.
    #[arg(long, value_name = "REPLICAS", num_args = 0..=1, default_missing_value = "3")]
    pub(crate) kafka_create: Option<u16>,
    /// Delete records at the brokers when checkpoint and lake have them.
    #[arg(long)]
    pub(crate) kafka_delete_released: bool,
    /// CA of the brokers, PEM: turns TLS on.
    #[arg(long)]
    pub(crate) kafka_ca: Option<PathBuf>,
    /// Our certificate for the brokers, PEM.
    #[arg(long, requires = "kafka_ca", requires = "kafka_key")]
    pub(crate) kafka_cert: Option<PathBuf>,
    /// Key of that certificate, PEM.
    #[arg(long, requires = "kafka_cert")]
    pub(crate) kafka_key: Option<PathBuf>,
    /// User at the brokers (SCRAM-SHA-512).
    #[arg(long, requires = "kafka_ca", requires = "kafka_password_file")]
    pub(crate) kafka_user: Option<String>,
    /// File with that user's password.
    #[arg(long, requires = "kafka_user")]
    pub(crate) kafka_password_file: Option<PathBuf>,
}

impl EventLogArgs {
    /// Opens the log; the embedded one below the folder.
    ///
    /// # Errors
    /// [`Failure`]: another process has it, brokers that do not answer, topics that do not fit.
    pub(super) async fn open(&self, folder: &Path) -> Result<Arc<dyn EventLog>, Failure> {
        match self.event_log {
            Kind::Embedded => open_log(folder).await.map_err(Failure::failed),
            Kind::Kafka => self.open_kafka().await,
        }
    }

    #[cfg(not(feature = "kafka"))]
    async fn open_kafka(&self) -> Result<Arc<dyn EventLog>, Failure> {
        Err(Failure::failed(NO_KAFKA))
    }

    #[cfg(feature = "kafka")]
    async fn open_kafka(&self) -> Result<Arc<dyn EventLog>, Failure> {
        let config = self.kafka()?;
        let opened = tokio::task::spawn_blocking(move || outrider_log::kafka::KafkaLog::open(config)).await;
        Ok(Arc::new(opened.map_err(Failure::failed)?.map_err(Failure::failed)?))
    }

    /// Opens the log of events for a worker of some partitions: how far it is, the group's member says.
    ///
    /// # Errors
    /// [`Failure`].
    #[cfg(feature = "kafka")]
    pub(super) async fn open_to_read(&self) -> Result<Arc<dyn EventLog>, Failure> {
        self.open_topic(self.kafka()?).await
    }

    /// Opens the log of sightings.
    ///
    /// # Errors
    /// [`Failure`].
    #[cfg(feature = "kafka")]
    pub(super) async fn open_sightings(&self) -> Result<Arc<dyn EventLog>, Failure> {
        self.open_topic(self.sightings()?).await
    }

    #[cfg(feature = "kafka")]
    async fn open_topic(
        &self,
        config: outrider_log::kafka::KafkaConfig,
    ) -> Result<Arc<dyn EventLog>, Failure> {
        use outrider_log::kafka::{KafkaConfig, KafkaLog};
        let config = KafkaConfig { group: None, ..config };
        let opened = tokio::task::spawn_blocking(move || KafkaLog::open(config)).await;
        Ok(Arc::new(opened.map_err(Failure::failed)?.map_err(Failure::failed)?))
    }

    /// The topic from workers to correlators.
    #[cfg(feature = "kafka")]
    fn sightings(&self) -> Result<outrider_log::kafka::KafkaConfig, Failure> {
        let mut config = self.kafka()?;
        config.topic.push_str(".sightings");
        config.partitions = self.correlator_parts;
        Ok(config)
    }

    #[cfg(not(feature = "kafka"))]
    pub(super) async fn open_to_read(&self) -> Result<Arc<dyn EventLog>, Failure> {
        Err(Failure::failed(NO_KAFKA))
    }

    #[cfg(not(feature = "kafka"))]
    pub(super) async fn open_sightings(&self) -> Result<Arc<dyn EventLog>, Failure> {
        Err(Failure::failed(NO_KAFKA))
    }

    /// Returns the group of workers.
    ///
    /// # Errors
    /// The password's file cannot be read.
    pub(super) fn workers(&self) -> Result<Group, Failure> {
        Ok(Group {
            name: self.kafka_group.clone(),
            #[cfg(feature = "kafka")]
            topic: self.kafka()?,
            #[cfg(feature = "kafka")]
            session: std::time::Duration::from_secs(self.kafka_session),
        })
    }

    /// Returns the group of correlators.
    ///
    /// # Errors
    /// The password's file cannot be read.
    pub(super) fn correlators(&self) -> Result<Group, Failure> {
        Ok(Group {
            name: format!("{}.correlators", self.kafka_group),
            #[cfg(feature = "kafka")]
            topic: self.sightings()?,
            #[cfg(feature = "kafka")]
            session: std::time::Duration::from_secs(self.kafka_session),
        })
    }

    /// Settings for the brokers.
    ///
    /// # Errors
    /// The password's file cannot be read.
    #[cfg(feature = "kafka")]
    pub(super) fn kafka(&self) -> Result<outrider_log::kafka::KafkaConfig, Failure> {
        use outrider_log::kafka::{KafkaConfig, KafkaSecurity, NewTopics, Sasl, SaslMechanism, Secret};
        use outrider_server::port::Random as _;

        let sasl = match (&self.kafka_user, &self.kafka_password_file) {
            (Some(user), Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| Failure::input(format!("{}: {error}", file.display())))?;
                let password = Secret::new(text.trim_end_matches(['\r', '\n']).to_owned());
                Some(Sasl { mechanism: SaslMechanism::ScramSha512, user: user.clone(), password })
            }
            _ => None,
        };
        let identity = self.kafka_cert.clone().zip(self.kafka_key.clone());
        let security = self.kafka_ca.clone().map(|ca| KafkaSecurity { ca, identity, sasl });
        let mut session = [0; 8];
        crate::ports::SystemRandom.fill(&mut session);
        let new_topics = |replication: u16| NewTopics {
            replication,
            in_sync_min: if replication > 2 { 2 } else { 1 },
            ..NewTopics::default()
        };
        Ok(KafkaConfig {
            writer: self.kafka_writer.clone(),
            session: u64::from_le_bytes(session),
            group: Some(self.kafka_group.clone()),
            create: self.kafka_create.map(new_topics),
            deletes_released: self.kafka_delete_released,
            security,
            ..KafkaConfig::new(&self.kafka_brokers, &self.kafka_topic, self.kafka_partitions)
        })
    }
}
