//! `outrider log`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use outrider_model::{EventLog, LogOffset, Partition};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::event_log::{EventLogArgs, Kind};
use super::{Failure, print, runtime};

/// Records of one read.
const READ_RECORDS: usize = 1_000;
/// Bytes of one read.
const READ_BYTES: usize = 8 << 20;
/// Reads in a row that give nothing before the end is given up.
const EMPTY_READS_MAX: u32 = 10;

/// Looks at the event log. The embedded log belongs to one process: stop the server first. Kafka is read beside it.
#[derive(Debug, Args)]
pub(crate) struct Log {
    #[command(subcommand)]
    what: What,
    /// Folder of the installation.
    #[arg(long, default_value = "outrider-data", global = true)]
    folder: PathBuf,
    /// Print one JSON object.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show what each partition holds and, on Kafka, its leader, replicas, and how far the worker is.
    ///
    /// JSON fields: partitions (partition, start, end; on Kafka leader, replicas, in_sync, committed, lag), and on Kafka
    /// brokers and dead.
    Describe {
        #[command(flatten)]
        log: EventLogArgs,
    },
    /// List records: offset, time of acceptance, bytes, SHA-256. What is in them is not shown: read it from the lake.
    ///
    /// JSON fields: records (offset, ingest_us, bytes, sha256), start, end.
    Records {
        #[command(flatten)]
        log: EventLogArgs,
        /// Partition.
        #[arg(long, default_value_t = 0)]
        partition: u16,
        /// First offset [default: the first that is held].
        #[arg(long)]
        from: Option<u64>,
        /// Most records.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
}

impl Log {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        match &self.what {
            What::Describe { log } if log.event_log == Kind::Kafka => {
                let object = describe_kafka(log)?;
                self.show(&object)
            }
            What::Describe { log } => {
                let log = runtime.block_on(self.open(log))?;
                let object = describe(&*log)?;
                self.show(&object)
            }
            What::Records { log, partition, from, limit } => {
                let log = runtime.block_on(self.open(log))?;
                let object = records(&*log, Partition(*partition), from.map(LogOffset), *limit)?;
                self.show(&object)
            }
        }
    }

    async fn open(&self, log: &EventLogArgs) -> Result<Arc<dyn EventLog>, Failure> {
        match log.event_log {
            Kind::Embedded if !self.folder.join("log").is_dir() => {
                Err(Failure::input(format!("{} has no event log", self.folder.display())))
            }
            Kind::Embedded => log.open(&self.folder).await,
            Kind::Kafka => open_to_read(log),
        }
    }

    fn show(&self, object: &Value) -> Result<(), Failure> {
        if self.json {
            return print(&format!("{object}\n"));
        }
        print(&table(object))
    }
}

/// Opens the log on Kafka without writing anything there.
#[cfg(feature = "kafka")]
fn open_to_read(arguments: &EventLogArgs) -> Result<Arc<dyn EventLog>, Failure> {
    use outrider_log::kafka::{KafkaConfig, KafkaLog};

    let config = KafkaConfig { is_read_only: true, create: None, ..arguments.kafka()? };
    Ok(Arc::new(KafkaLog::open(config).map_err(Failure::failed)?))
}

#[cfg(not(feature = "kafka"))]
fn open_to_read(_: &EventLogArgs) -> Result<Arc<dyn EventLog>, Failure> {
    Err(Failure::failed("this program was built without Kafka; build it with --features kafka"))
}

#[cfg(not(feature = "kafka"))]
fn describe_kafka(arguments: &EventLogArgs) -> Result<Value, Failure> {
    open_to_read(arguments).map(|_| Value::Null)
}

#[cfg(feature = "kafka")]
fn describe_kafka(arguments: &EventLogArgs) -> Result<Value, Failure> {
    use outrider_log::kafka::{KafkaConfig, KafkaLog};

    let config = KafkaConfig { is_read_only: true, create: None, ..arguments.kafka()? };
    let log = KafkaLog::open(config).map_err(Failure::failed)?;
    let view = log.describe(&arguments.kafka_group).map_err(Failure::failed)?;
    let partitions: Vec<Value> = view
        .partitions
        .iter()
        .map(|part| {
            let done = part.committed.map(|committed| committed.0);
            json!({
                "partition": part.partition.0, "start": part.start.0, "end": part.end.0, "leader": part.leader,
                "replicas": part.replicas, "in_sync": part.in_sync, "committed": done,
                "lag": done.map(|done| part.end.0.saturating_sub(done)),
            })
        })
        .collect();
    Ok(json!({"partitions": partitions, "brokers": view.brokers, "dead": view.dead}))
}

fn describe(log: &dyn EventLog) -> Result<Value, Failure> {
    let partition = |number: u16| {
        let (start, end) = (log.start(Partition(number)), log.end(Partition(number)));
        let (start, end) = (start.map_err(Failure::failed)?.0, end.map_err(Failure::failed)?.0);
        Ok(json!({"partition": number, "start": start, "end": end}))
    };
    let partitions = (0..log.partitions()).map(partition).collect::<Result<Vec<Value>, Failure>>()?;
    Ok(json!({"partitions": partitions}))
}

fn records(
    log: &dyn EventLog,
    partition: Partition,
    from: Option<LogOffset>,
    limit: usize,
) -> Result<Value, Failure> {
    let start = log.start(partition).map_err(Failure::failed)?;
    let end = log.end(partition).map_err(Failure::failed)?;
    let (mut next, mut found, mut empty) = (from.unwrap_or(start), Vec::new(), 0);
    while next < end && found.len() < limit && empty < EMPTY_READS_MAX {
        let most = READ_RECORDS.min(limit - found.len());
        let records = log.read(partition, next, most, READ_BYTES).map_err(Failure::failed)?;
        let Some(last) = records.last() else {
            next = log.vacant_until(partition, next).map_err(Failure::failed)?;
            empty += 1;
            continue;
        };
        next = LogOffset(last.offset.0 + 1);
        found.extend(records.iter().map(|record| {
            let hash: String =
                Sha256::digest(&record.bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            json!({
                "offset": record.offset.0, "ingest_us": record.ingest.0.0, "bytes": record.bytes.len(),
                "sha256": hash,
            })
        }));
    }
    Ok(json!({"records": found, "start": start.0, "end": end.0}))
}

/// Shows the rows of the first list with the names of their fields above.
fn table(object: &Value) -> String {
    let mut out = String::new();
    let rows = ["partitions", "records"].iter().find_map(|name| object.get(name)?.as_array());
    let rows = rows.map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = rows
        .first()
        .and_then(Value::as_object)
        .map(|row| row.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let _ = writeln!(out, "{}", names.join("\t"));
    for row in rows {
        let cells: Vec<String> = names
            .iter()
            .map(|name| match &row[*name] {
                Value::String(text) => text.clone(),
                Value::Null => "-".to_owned(),
                other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                    other.to_string()
                }
            })
            .collect();
        let _ = writeln!(out, "{}", cells.join("\t"));
    }
    for (name, value) in object.as_object().into_iter().flatten() {
        if !["partitions", "records"].contains(&name.as_str()) {
            let _ = writeln!(out, "{name}: {value}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use outrider_log::{EmbeddedConfig, EmbeddedLog};
    use outrider_types::{IngestTime, UnixMicros};

    use super::*;

    #[test]
    fn records_are_listed_without_what_is_in_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = EmbeddedLog::open(EmbeddedConfig::new(folder.path().join("log"), 2)).expect("it opens");
        let now = IngestTime(UnixMicros(5));
        for number in 0..5_u8 {
            log.append(Partition(1), now, &[&[b's', b'e', b'c', number]], &[]).expect("appends");
        }
        let object = records(&log, Partition(1), Some(LogOffset(1)), 3).expect("reads");
        let offsets: Vec<u64> = object["records"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|record| record["offset"].as_u64().expect("a number"))
            .collect();
        assert_eq!((offsets, object["end"].as_u64()), (vec![1, 2, 3], Some(5)));
        assert!(!object.to_string().contains("sec\\"), "nor is it in the text");
        assert!(records(&log, Partition(1), Some(LogOffset(9)), 3).expect("reads")["records"][0].is_null());
        let text = table(&describe(&log).expect("describes"));
        assert_eq!(text, "end\tpartition\tstart\n0\t0\t0\n5\t1\t0\n");
    }
}
