//! Writes messages and waits until the brokers have them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use outrider_model::AppendError;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use rdkafka::message::{Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};

use super::config::KafkaConfig;
use super::error::{KafkaError, brokers, log_line, refuse};

/// One message to write.
pub(super) struct Message<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: &'a [u8],
    pub(super) headers: Option<OwnedHeaders>,
}

/// What is known of the messages of one call.
#[derive(Debug, Default)]
struct Outcome {
    waiting: usize,
    /// Offset of the first message.
    first: Option<i64>,
    failed: Option<ClientError>,
}

#[derive(Debug, Default)]
struct Ticket {
    outcome: Mutex<Outcome>,
    done: Condvar,
}

/// What comes back with each message.
pub(super) struct Delivery {
    ticket: Arc<Ticket>,
    is_first: bool,
    bytes: u64,
}

/// Takes the brokers' answers.
pub(super) struct Answers {
    in_flight: Arc<AtomicU64>,
}

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log_line(level, fac, message);
    }

    fn error(&self, _: ClientError, reason: &str) {
        tracing::debug!(reason, "kafka producer met an error");
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        self.in_flight.fetch_sub(delivery.bytes, Ordering::AcqRel);
        let mut outcome = delivery.ticket.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.waiting = outcome.waiting.saturating_sub(1);
        match result {
            Ok(message) if delivery.is_first => outcome.first = Some(message.offset()),
            Ok(_) => {}
            Err((error, _)) => outcome.failed = Some(error.clone()),
        }
        delivery.ticket.done.notify_all();
    }
}

/// An idempotent producer for many callers.
pub(super) struct Appender {
    producer: RwLock<Arc<ThreadedProducer<Answers>>>,
    config: KafkaConfig,
    in_flight: Arc<AtomicU64>,
}

impl Appender {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let in_flight = Arc::new(AtomicU64::new(0));
        let producer = Self::create(config, &in_flight).map_err(|error| brokers(&error))?;
        Ok(Self { producer: RwLock::new(Arc::new(producer)), config: config.clone(), in_flight })
    }

    fn create(
        config: &KafkaConfig,
        in_flight: &Arc<AtomicU64>,
    ) -> Result<ThreadedProducer<Answers>, ClientError> {
        // Overhead of a message: headers, key and framing.
        let message_bytes = config.record_bytes_max.saturating_add(8_192);
        let queue_kbytes = (config.queue_bytes_max.div_ceil(1_024) * 2).max(1_024);
        config
            .client()
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", config.patience.as_millis().to_string())
            .set("request.timeout.ms", config.patience.as_millis().to_string())
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "500")
            // Callers wait for each append; those that come at the same time still share a request.
            .set("linger.ms", "0.5")
            .set("message.max.bytes", message_bytes.to_string())
            .set("queue.buffering.max.kbytes", queue_kbytes.to_string())
            // Batches are compressed by the vehicles.
            .set("compression.type", "none")
            .create_with_context(Answers { in_flight: Arc::clone(in_flight) })
    }

    pub(super) fn producer(&self) -> Arc<ThreadedProducer<Answers>> {
        Arc::clone(&self.producer.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes messages in order and returns the offset of the first when the brokers have them all.
    ///
    /// # Errors
    /// [`AppendError::Busy`] if too much is on its way or no answer came in time, [`AppendError::Storage`] if a broker
    /// refuses. Some of the messages may be there or still come.
    pub(super) fn write(&self, messages: Vec<Message<'_>>) -> Result<i64, AppendError> {
        let bytes: u64 = messages.iter().map(weight).sum();
        let before = self.in_flight.fetch_add(bytes, Ordering::AcqRel);
        if before > 0 && before.saturating_add(bytes) > self.config.queue_bytes_max {
            self.in_flight.fetch_sub(bytes, Ordering::AcqRel);
            return Err(AppendError::Busy(format!("{before} bytes are on their way to the brokers")));
        }
        let (ticket, producer) = (Arc::new(Ticket::default()), self.producer());
        let mut unsent: u64 = bytes;
        let mut refused = None;
        for (index, message) in messages.into_iter().enumerate() {
            let bytes = weight(&message);
            let delivery = Delivery { ticket: Arc::clone(&ticket), is_first: index == 0, bytes };
            ticket.outcome.lock().unwrap_or_else(PoisonError::into_inner).waiting += 1;
            if let Err(error) = send(&producer, message, Box::new(delivery)) {
                ticket.outcome.lock().unwrap_or_else(PoisonError::into_inner).waiting -= 1;
                refused = Some(error);
                break;
            }
            unsent -= bytes;
        }
        self.in_flight.fetch_sub(unsent, Ordering::AcqRel);
        // What was sent before a refusal is waited for, too: nothing of a call may come after a later one's answer.
        let outcome = self.wait(&ticket);
        let result = match refused {
            Some(error) => Err(error),
            None => outcome,
        };
        result.map_err(|error| {
            self.renew_if_dead(&producer, &error);
            refuse(&error)
        })
    }

    fn wait(&self, ticket: &Ticket) -> Result<i64, ClientError> {
        // The client gives up by itself after `patience`; the rest is for its own threads on a busy machine.
        let patience = self.config.patience.saturating_mul(2).max(Duration::from_secs(5));
        let outcome = ticket.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = ticket.done.wait_timeout_while(outcome, patience, |outcome| outcome.waiting > 0);
        let (mut outcome, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (outcome.failed.take(), outcome.waiting, outcome.first) {
            (Some(error), ..) => Err(error),
            (None, 0, Some(first)) => Ok(first),
            (None, 0, None) => Ok(-1),
            (None, ..) => Err(ClientError::MessageProduction(Code::MessageTimedOut)),
        }
    }

    /// A producer that lost its place in the sequence writes no more: the next call gets a new one.
    fn renew_if_dead(&self, used: &Arc<ThreadedProducer<Answers>>, error: &ClientError) {
        let is_dead = used.client().fatal_error().is_some()
            || error.rdkafka_error_code().is_some_and(|code| code == Code::Fatal);
        if !is_dead {
            return;
        }
        let mut producer = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&producer, used)
            && let Ok(fresh) = Self::create(&self.config, &self.in_flight)
        {
            tracing::warn!(%error, "kafka producer was replaced");
            *producer = Arc::new(fresh);
        }
    }
}

/// Bytes that a message counts against the bound.
fn weight(message: &Message<'_>) -> u64 {
    (message.payload.len() + message.key.map_or(0, <[u8]>::len) + 64) as u64
}

fn send(
    producer: &ThreadedProducer<Answers>,
    message: Message<'_>,
    delivery: Box<Delivery>,
) -> Result<(), ClientError> {
    let mut record: BaseRecord<'_, [u8], [u8], Box<Delivery>> =
        BaseRecord::with_opaque_to(message.topic, delivery)
            .partition(message.partition)
            .payload(message.payload);
    if let Some(key) = message.key {
        record = record.key(key);
    }
    if let Some(headers) = message.headers {
        record = record.headers(headers);
    }
    producer.send(record).map_err(|(error, _)| error)
}
