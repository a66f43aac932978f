//! Settings of the log on Kafka, and the client's settings made of them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;

use super::error::KafkaError;

/// A password that is never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// How a user proves to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// Salted challenge and response with SHA-256.
    ScramSha256,
    /// Salted challenge and response with SHA-512.
    ScramSha512,
    /// The password itself; only inside TLS, as everything here.
    Plain,
}

impl SaslMechanism {
    /// Returns the name of the standard.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::Plain => "PLAIN",
        }
    }
}

/// User and password at the brokers.
#[derive(Debug, Clone)]
pub struct Sasl {
    /// How the user is proved.
    pub mechanism: SaslMechanism,
    /// Name.
    pub user: String,
    /// Password.
    pub password: Secret,
}

/// TLS to the brokers; host names are always checked.
#[derive(Debug, Clone)]
pub struct KafkaSecurity {
    /// CA of the brokers, PEM.
    pub ca: PathBuf,
    /// Our certificate and its key, PEM, if the brokers want one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// User and password, if the brokers want them.
    pub sasl: Option<Sasl>,
}

/// How topics are made that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTopics {
    /// Copies of each record, one a broker.
    pub replication: u16,
    /// Copies that must have a record before it is acknowledged.
    pub in_sync_min: u16,
    /// How long records are kept.
    pub retention: Duration,
}

impl Default for NewTopics {
    fn default() -> Self {
        // One broker may fail without stopping anything; a week is longer than a worker may stand still unnoticed (guess).
        Self { replication: 3, in_sync_min: 2, retention: Duration::from_secs(7 * 86_400) }
    }
}

/// Options of the log on Kafka.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// Some brokers, `host:port`, separated by commas.
    pub brokers: String,
    /// Topic of the records; `.keys` and `.dead` behind it name the two others.
    pub topic: String,
    /// Number of partitions, at least 1; fixed once the topic exists.
    pub partitions: u16,
    /// Name of this writer, the same after a restart and no other's: what it puts under keys is kept under it.
    pub writer: String,
    /// Number drawn at the start of the program: with a count it makes a record that is there twice recognisable.
    pub session: u64,
    /// Largest record, bytes.
    pub record_bytes_max: usize,
    /// Most bytes on their way to the brokers; beyond, appends are refused as busy.
    pub queue_bytes_max: u64,
    /// Longest time that a call waits for the brokers.
    pub patience: Duration,
    /// Makes topics that are not there.
    pub create: Option<NewTopics>,
    /// Consumer group under which a release says how far the records are worked off, for whoever watches it.
    pub group: Option<String>,
    /// Whether a release deletes records at the brokers; otherwise only their retention does.
    pub deletes_released: bool,
    /// Whether records are read only: keys are not loaded, nothing is written, not even to the dead letters.
    pub is_read_only: bool,
    /// TLS; without it only brokers on loopback are accepted.
    pub security: Option<KafkaSecurity>,
}

impl KafkaConfig {
    /// Creates options with defaults.
    #[must_use]
    pub fn new(brokers: impl Into<String>, topic: impl Into<String>, partitions: u16) -> Self {
        Self {
            brokers: brokers.into(),
            topic: topic.into(),
            partitions,
            writer: "outrider".to_owned(),
            session: 0,
            // The largest uplink frame; the topics that are made here take it with its overhead.
            record_bytes_max: 1_024 * 1_024,
            queue_bytes_max: 64 * 1_024 * 1_024,
            patience: Duration::from_secs(10),
            create: None,
            group: None,
            deletes_released: false,
            is_read_only: false,
            security: None,
        }
    }

    pub(super) fn keys_topic(&self) -> String {
        format!("{}.keys", self.topic)
    }

    pub(super) fn dead_topic(&self) -> String {
        format!("{}.dead", self.topic)
    }

    /// Checks what can be checked without a broker.
    pub(super) fn check(&self) -> Result<(), KafkaError> {
        let is_name = |name: &str, most: usize| {
            (1..=most).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        if self.partitions == 0 {
            return Err(KafkaError::Config("the log needs at least one partition".to_owned()));
        }
        if !is_name(&self.topic, 200) || self.topic.starts_with('.') {
            return Err(KafkaError::Config(format!("`{}` is no name of a topic", self.topic)));
        }
        if !is_name(&self.writer, 64) {
            return Err(KafkaError::Config(format!(
                "`{}` is no name of a writer: 1 to 64 letters, digits, dots, hyphens",
                self.writer
            )));
        }
        let mut brokers = self.brokers.split(',');
        if self.security.is_none()
            && let Some(far) = brokers.find(|broker| !is_loopback(broker))
        {
            return Err(KafkaError::Config(format!("broker {far} is not on loopback and needs TLS")));
        }
        Ok(())
    }

    /// Settings that all clients share.
    pub(super) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        let patience = self.patience.as_millis().to_string();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", format!("outrider-{}", self.writer))
            .set("socket.keepalive.enable", "true")
            .set("socket.timeout.ms", &patience)
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("reconnect.backoff.max.ms", "2000")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("allow.auto.create.topics", "false");
        if let Some(security) = &self.security {
            client
                .set("security.protocol", if security.sasl.is_some() { "sasl_ssl" } else { "ssl" })
                .set("ssl.endpoint.identification.algorithm", "https")
                .set("ssl.ca.location", security.ca.to_string_lossy());
            if let Some((certificate, key)) = &security.identity {
                client
                    .set("ssl.certificate.location", certificate.to_string_lossy())
                    .set("ssl.key.location", key.to_string_lossy());
            }
            if let Some(sasl) = &security.sasl {
                client
                    .set("sasl.mechanism", sasl.mechanism.name())
                    .set("sasl.username", &sasl.user)
                    .set("sasl.password", &sasl.password.0);
            }
        }
        client
    }
}

/// Returns whether `host:port` is on this machine, by address or by the name every system has for it.
fn is_loopback(broker: &str) -> bool {
    let Some((host, _)) = broker.trim().rsplit_once(':') else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(brokers: &str) -> KafkaConfig {
        KafkaConfig::new(brokers, "outrider.batches", 8)
    }

    #[test]
    fn brokers_elsewhere_need_tls() {
        for near in ["127.0.0.1:9092", "localhost:9092,127.0.0.1:9093", "[::1]:9092"] {
            config(near).check().expect(near);
        }
        for far in
            ["10.0.0.1:9092", "127.0.0.1:9092,kafka.example:9092", "localhost", "127.0.0.1.example:9092"]
        {
            assert!(config(far).check().is_err(), "{far}");
            let security = KafkaSecurity { ca: "ca.pem".into(), identity: None, sasl: None };
            KafkaConfig { security: Some(security), ..config(far) }
                .check()
                .expect("with TLS it may be anywhere");
        }
    }

    #[test]
    fn names_that_a_broker_would_refuse_are_refused_here() {
        let near = config("localhost:9092");
        for topic in ["", ".hidden", "a b", "a/b", &"x".repeat(201)] {
            let config = KafkaConfig { topic: topic.to_owned(), ..near.clone() };
            assert!(config.check().is_err(), "{topic}");
        }
        for writer in ["", "edge 1", &"w".repeat(65)] {
            assert!(KafkaConfig { writer: writer.to_owned(), ..near.clone() }.check().is_err(), "{writer}");
        }
        assert!(KafkaConfig { partitions: 0, ..near }.check().is_err());
    }

    #[test]
    fn a_password_is_in_no_debug_text() {
        let sasl = Sasl {
            mechanism: SaslMechanism::ScramSha512,
            user: "edge".to_owned(),
            password: Secret::new("hunter2".to_owned()),
        };
        let security = KafkaSecurity { ca: "ca.pem".into(), identity: None, sasl: Some(sasl) };
        let config = KafkaConfig { security: Some(security), ..config("kafka.example:9093") };
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.client().get("sasl.password"), Some("hunter2"), "the client gets it");
        assert!(!format!("{:?}", config.client()).contains("hunter2"), "its settings hide it, too");
    }
}
