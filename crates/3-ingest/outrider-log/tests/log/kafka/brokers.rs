//! The brokers that the script has started, and what a foreign client does to them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Three brokers for the time of one test.
pub(crate) struct Brokers {
    folder: PathBuf,
    script: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Brokers {
    /// Waits for its turn; `None` if there are none.
    #[expect(clippy::disallowed_methods, reason = "the script tells the tests where it put the brokers")]
    #[expect(clippy::print_stdout, reason = "a skipped test says so")]
    pub(crate) fn take() -> Option<Self> {
        let (Ok(folder), Ok(script)) =
            (std::env::var("OUTRIDER_KAFKA"), std::env::var("OUTRIDER_KAFKA_SCRIPT"))
        else {
            println!("SKIPPED: no Kafka; run scripts/kafka.sh test");
            return None;
        };
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let brokers = Self { folder: folder.into(), script: script.into(), _turn: turn };
        // A failed test may have left one dead.
        (1..=3).filter(|broker| !brokers.is_alive(*broker)).for_each(|broker| brokers.restart(broker));
        Some(brokers)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).expect("the script wrote it").trim().to_owned()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn addresses(&self) -> String {
        self.text("addresses").replace('\n', ",")
    }

    pub(crate) fn tls_addresses(&self) -> String {
        self.text("addresses.tls").replace('\n', ",")
    }

    fn pid(&self, broker: i32) -> String {
        std::fs::read_to_string(self.folder.join(broker.to_string()).join("pid"))
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    fn is_alive(&self, broker: i32) -> bool {
        let pid = self.pid(broker);
        !pid.is_empty()
            && std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"))
                .is_ok_and(|stat| !stat.contains(") Z"))
    }

    fn signal(&self, broker: i32, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid(broker)]).status();
        assert!(sent.expect("kill can be started").success(), "broker {broker} was not there");
    }

    /// Kills a broker as a power cut does.
    pub(crate) fn kill(&self, broker: i32) {
        self.signal(broker, "-9");
    }

    /// Stops a broker without ending it: it answers nothing any more.
    pub(crate) fn freeze(&self, broker: i32) {
        self.signal(broker, "-STOP");
    }

    pub(crate) fn thaw(&self, broker: i32) {
        self.signal(broker, "-CONT");
    }

    pub(crate) fn restart(&self, broker: i32) {
        let done = Command::new("bash")
            .arg(&self.script)
            .arg("restart")
            .arg(&self.folder)
            .arg(broker.to_string())
            .status()
            .expect("the script can be started");
        assert!(done.success(), "broker {broker} does not come back");
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", self.addresses());
        client
    }

    /// Writes what no writer of ours would.
    pub(crate) fn produce(&self, topic: &str, header: Option<&[u8]>, payload: Option<&[u8]>) {
        let producer: BaseProducer = self.client().create().expect("a producer");
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(0);
        if let Some(header) = header {
            record =
                record.headers(OwnedHeaders::new().insert(Header { key: "outrider", value: Some(header) }));
        }
        if let Some(payload) = payload {
            record = record.payload(payload);
        }
        producer.send(record).map_err(|(error, _)| error).expect("it is queued");
        producer.flush(Duration::from_secs(30)).expect("it is written");
    }

    /// Reads key, header `reason` and value of the first messages of a topic.
    pub(crate) fn consume(&self, topic: &str, count: usize) -> Vec<(String, String, Vec<u8>)> {
        let consumer: BaseConsumer = self.client().set("group.id", "look").create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning).expect("a place");
        consumer.assign(&list).expect("assigned");
        let mut found = Vec::new();
        for _ in 0..300 {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                let reason = message.headers().and_then(|headers| {
                    let header = headers.iter().find(|header| header.key == "reason")?;
                    header.value.map(|value| String::from_utf8_lossy(value).into_owned())
                });
                let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
                found.push((key, reason.unwrap_or_default(), message.payload().unwrap_or_default().to_vec()));
            }
            if found.len() == count {
                break;
            }
        }
        found
    }

    /// Deletes a topic and waits until it is gone.
    pub(crate) fn delete(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("an admin");
        let deleted = futures_block(admin.delete_topics(&[topic], &AdminOptions::new()));
        deleted.expect("asked").into_iter().for_each(|result| {
            result.expect("deleted");
        });
        for _ in 0..200 {
            let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(10)).expect("metadata");
            if metadata.topics().iter().all(|found| found.name() != topic) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        panic!("{topic} does not go");
    }
}

/// Waits for a future of the admin client.
fn futures_block<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let (mut context, mut future) = (std::task::Context::from_waker(&waker), std::pin::pin!(future));
    for _ in 0..600 {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    panic!("no answer within a minute");
}
