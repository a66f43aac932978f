//! The log on a real Apache Kafka of three brokers, which `scripts/kafka.sh test` starts and stops.
//!
//! Without it (no `OUTRIDER_KAFKA`) each test says so and passes. The tests share the brokers and some kill one, so they
//! run one after the other.

mod brokers;
mod faults;
mod members;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outrider_log::kafka::KafkaSecurity;
use outrider_log::kafka::{KafkaConfig, KafkaError, KafkaLog, NewTopics, Sasl, SaslMechanism, Secret};
use outrider_model::{AppendError, EventLog, LogOffset, Partition};
use outrider_types::{IngestTime, UnixMicros};

use crate::conformance::{CASES, PARTITIONS, RECORD_BYTES_MAX, Subject, read_all};
use brokers::Brokers;

const P0: Partition = Partition(0);
const NOW: IngestTime = IngestTime(UnixMicros(1_700_000_000_000_000));

/// A topic of its own for each test.
pub(crate) fn config(brokers: &Brokers, partitions: u16) -> KafkaConfig {
    static TOPICS: AtomicU64 = AtomicU64::new(0);
    let topic = format!("t{}-{}", std::process::id(), TOPICS.fetch_add(1, Ordering::Relaxed));
    KafkaConfig {
        record_bytes_max: RECORD_BYTES_MAX,
        create: Some(NewTopics::default()),
        deletes_released: true,
        patience: Duration::from_secs(30),
        ..KafkaConfig::new(brokers.addresses(), topic, partitions)
    }
}

struct OnKafka(KafkaConfig);

impl Subject for OnKafka {
    fn open(&self) -> Box<dyn EventLog> {
        Box::new(KafkaLog::open(self.0.clone()).expect("it opens"))
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the time of each case is worth knowing")]
fn the_log_on_kafka_conforms() {
    let Some(brokers) = Brokers::take() else { return };
    for (name, case) in CASES {
        let subject = OnKafka(config(&brokers, PARTITIONS));
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&subject)));
        assert!(ran.is_ok(), "{name}");
        println!("kafka: {name}");
    }
}

#[test]
fn keys_of_several_writers_stand_beside_each_other() {
    let Some(brokers) = Brokers::take() else { return };
    let config = config(&brokers, 2);
    let open = |writer: &str| {
        KafkaLog::open(KafkaConfig { writer: writer.to_owned(), ..config.clone() }).expect("it opens")
    };
    let (one, two) = (open("edge-1"), open("edge-2"));
    one.append(P0, NOW, &[b"a"], &[(b"car", b"one")]).expect("appends");
    let before = one.stamp(b"car");
    two.append(P0, NOW, &[b"b"], &[(b"car", b"two")]).expect("appends");
    let wait = |log: &KafkaLog| {
        for _ in 0..200 {
            let values = log.get(b"car").expect("gets");
            if values.len() == 2 {
                return values;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        panic!("the other's value never came");
    };
    let both = [b"one".to_vec(), b"two".to_vec()];
    assert_eq!((wait(&one), wait(&two)), (both.to_vec(), both.to_vec()));
    assert_ne!(one.stamp(b"car"), before, "what the other put is noticed");
    let stamp = one.stamp(b"car");
    one.append(P0, NOW, &[b"c"], &[(b"car", b"three")]).expect("appends");
    assert_eq!(one.stamp(b"car"), stamp, "one's own is not");
    drop((one, two));
    assert_eq!(open("edge-3").get(b"car").expect("gets"), [b"three".to_vec(), b"two".to_vec()]);
}

#[test]
fn what_is_no_record_goes_to_the_dead_letters_and_stops_nothing() {
    let Some(brokers) = Brokers::take() else { return };
    let config = config(&brokers, 1);
    let log = KafkaLog::open(config.clone()).expect("it opens");
    log.append(P0, NOW, &[b"first"], &[]).expect("appends");
    // Another's tool writes into the topic: without header, with a strange one, without value.
    brokers.produce(&config.topic, None, Some(b"stray"));
    brokers.produce(&config.topic, Some(&[9; 25]), Some(b"from the future"));
    brokers.produce(&config.topic, Some(&[1; 25]), None);
    log.append(P0, NOW, &[b"last"], &[]).expect("appends");
    let found = read_all(&log, P0, LogOffset(0));
    let found: Vec<(u64, &[u8])> =
        found.iter().map(|record| (record.offset.0, record.bytes.as_slice())).collect();
    assert_eq!(found, [(0, b"first".as_slice()), (4, b"last".as_slice())], "the offsets keep their gap");
    assert_eq!((log.buried(), log.describe("nobody").expect("describes").dead), (3, 3));
    let dead = brokers.consume(&format!("{}.dead", config.topic), 3);
    let dead: Vec<(&str, &str, &[u8])> =
        dead.iter().map(|(key, reason, value)| (key.as_str(), reason.as_str(), value.as_slice())).collect();
    assert_eq!(
        dead,
        [
            ("0/1", "header_missing", b"stray".as_slice()),
            ("0/2", "header_version", b"from the future"),
            ("0/3", "no_value", b""),
        ]
    );
    // Only strays at the end: the reader comes to an end all the same.
    brokers.produce(&config.topic, None, Some(b"stray"));
    assert!(log.read(P0, LogOffset(5), 10, 100).expect("reads").is_empty());
    let behind = log.vacant_until(P0, LogOffset(5)).expect("says");
    assert_eq!((behind, log.end(P0).expect("end")), (LogOffset(6), LogOffset(6)), "and says so");
    assert_eq!(log.vacant_until(P0, LogOffset(3)).expect("says"), LogOffset(3), "it did not look from there");
}

#[test]
fn a_topic_that_was_made_anew_is_seen_and_not_skipped() {
    let Some(brokers) = Brokers::take() else { return };
    let config = config(&brokers, 1);
    let log = KafkaLog::open(config.clone()).expect("it opens");
    for number in 0..10_u8 {
        log.append(P0, NOW, &[&[number]], &[]).expect("appends");
    }
    assert_eq!(read_all(&log, P0, LogOffset(0)).len(), 10);
    drop(log);
    brokers.delete(&config.topic);
    let log = KafkaLog::open(config).expect("it opens anew");
    log.append(P0, NOW, &[b"other"], &[]).expect("appends");
    let lost = log.read(P0, LogOffset(10), 10, 100);
    assert!(matches!(lost, Err(AppendError::Beyond { end: LogOffset(1), .. })), "{lost:?}");
}

#[test]
fn topics_that_do_not_fit_are_refused() {
    let Some(brokers) = Brokers::take() else { return };
    let config = config(&brokers, 2);
    let absent = KafkaLog::open(KafkaConfig { create: None, ..config.clone() });
    assert!(matches!(absent, Err(KafkaError::NoTopic { .. })), "{absent:?}");
    drop(KafkaLog::open(config.clone()).expect("it is made"));
    drop(KafkaLog::open(KafkaConfig { create: None, ..config.clone() }).expect("it is there"));
    let other = KafkaLog::open(KafkaConfig { partitions: 3, ..config });
    assert!(matches!(other, Err(KafkaError::Partitions { expected: 3, got: 2, .. })), "{other:?}");
}

#[test]
fn a_read_only_log_changes_nothing() {
    let Some(brokers) = Brokers::take() else { return };
    let config = config(&brokers, 1);
    let log = KafkaLog::open(config.clone()).expect("it opens");
    brokers.produce(&config.topic, None, Some(b"stray"));
    log.append(P0, NOW, &[b"x"], &[]).expect("appends");
    let reader = KafkaLog::open(KafkaConfig { is_read_only: true, ..config }).expect("it opens");
    assert!(matches!(reader.append(P0, NOW, &[b"y"], &[]), Err(AppendError::Storage(_))));
    assert_eq!(read_all(&reader, P0, LogOffset(0)).len(), 1);
    assert_eq!(log.describe("nobody").expect("describes").dead, 0, "not even a dead letter");
}

#[test]
fn tls_and_a_password_are_needed_where_the_brokers_want_them() {
    let Some(brokers) = Brokers::take() else { return };
    let config = config(&brokers, 1);
    let with = |ca: std::path::PathBuf, password: String| {
        let sasl = Sasl {
            mechanism: SaslMechanism::ScramSha512,
            user: "outrider".to_owned(),
            password: Secret::new(password),
        };
        KafkaConfig {
            brokers: brokers.tls_addresses(),
            security: Some(KafkaSecurity { ca, identity: None, sasl: Some(sasl) }),
            patience: Duration::from_secs(8),
            ..config.clone()
        }
    };
    let (ca, password) = (brokers.file("tls/ca.pem"), brokers.text("password"));
    let log = KafkaLog::open(with(ca.clone(), password.clone())).expect("the right ones");
    log.append(P0, NOW, &[b"sealed"], &[(b"key", b"value")]).expect("appends");
    assert_eq!(read_all(&log, P0, LogOffset(0))[0].bytes, b"sealed");
    let wrong = KafkaLog::open(with(ca, "wrong".to_owned())).expect_err("a wrong password");
    assert!(matches!(wrong, KafkaError::Brokers(_)), "{wrong}");
    let stranger = KafkaLog::open(with(brokers.file("tls/other.pem"), password)).expect_err("another CA");
    assert!(matches!(stranger, KafkaError::Brokers(_)), "{stranger}");
}
