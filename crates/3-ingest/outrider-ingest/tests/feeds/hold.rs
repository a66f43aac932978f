//! What must hold of any record of a feed; the fuzz target of the same name includes this file.

use std::collections::BTreeMap;
use std::sync::Arc;

use outrider_decode::{DecoderTable, Files, Package};
use outrider_ingest::{
    Feed, FeedId, FeedRecord, Feeds, ForeignPart, KeyRing, NameKey, REPLAY_MAGIC, ReplayRecord, Worker,
};
use outrider_model::{EventBatch, LogOffset, LogRecord, VehicleRecord};
use outrider_types::{IngestTime, TenantId, UnixMicros, VehicleId};

struct NoKeys;

impl KeyRing for NoKeys {
    fn batch_key(&self, _: VehicleId) -> Option<(TenantId, Arc<dyn outrider_wire::Verifier + Send + Sync>)> {
        None
    }
}

const MANIFEST: &str = "name = \"x\"\nversion = \"1.0.0\"\nformat = \"x/1\"\nnamespace = \"x\"\nowner = \"x\"\n\
    licence = \"x\"\nmapping = \"mapping.toml\"\nreader = { format = \"json\" }\n";
const MAPPING: &str = "namespace = \"x\"\nvehicle = { path = \"v\", kind = \"foreign\" }\n\
    time = { path = \"t\", form = \"unix_ms\" }\ntype = { path = \"e\" }\nkey = { paths = [\"k\"] }\n";

fn worker() -> Worker {
    let files = Files::from([
        ("decoder.toml".to_owned(), MANIFEST.as_bytes().to_vec()),
        ("mapping.toml".to_owned(), MAPPING.as_bytes().to_vec()),
        ("golden/one.in".to_owned(), Vec::new()),
        ("golden/one.json".to_owned(), b"{}".to_vec()),
    ]);
    let feed = Feed {
        id: FeedId(1),
        tenant: TenantId(1),
        name: "x".to_owned(),
        format: "x/1".to_owned(),
        platform: None,
        release: None,
        clock_error_us: 1,
        takes_unregistered: true,
    };
    let table = DecoderTable::new([Package::from_files(files).expect("a package")]);
    let mut worker = Worker::default();
    worker.set_feeds(Arc::new(Feeds::new([feed], Arc::new(table), Arc::new(NameKey::new([1; 32])))));
    worker
}

/// Takes bytes as a record of a feed, as a saved part of the quarantine, and as the body of a record; returns whether they
/// are a record.
pub(crate) fn feed_record(bytes: &[u8]) -> bool {
    let parsed = FeedRecord::parse(bytes);
    if let Some(record) = parsed {
        assert_eq!(record.emit(), bytes, "a record is written as it was read");
    }
    if let Ok(part) = ForeignPart::load(bytes) {
        let mut saved = Vec::new();
        part.save(&mut saved);
        assert_eq!(saved, bytes, "a part is written as it was read");
    }
    let replay = [REPLAY_MAGIC.as_slice(), bytes].concat();
    for bytes in [bytes, replay.as_slice()] {
        if let Some(record) = ReplayRecord::parse(bytes) {
            assert_eq!(record.emit(), bytes, "a replay is written as it was read");
        }
    }
    let body = FeedRecord {
        tenant: TenantId(1),
        feed: FeedId(1),
        received: UnixMicros(0),
        content_type: "",
        body: bytes,
    };
    let (mut worker, mut batch, mut quarantine) = (worker(), EventBatch::new(), Vec::new());
    let registry = BTreeMap::<VehicleId, VehicleRecord>::new();
    let framed = [outrider_ingest::FEED_MAGIC.as_slice(), bytes].concat();
    for bytes in [framed, body.emit(), body.emit()] {
        let record =
            LogRecord { offset: LogOffset(0), ingest: IngestTime(UnixMicros(1_800_000_000_000_000)), bytes };
        worker.receive(&record, &NoKeys, &registry, &mut batch, &mut quarantine);
    }
    let (mut passed, mut aside) = (0, 0);
    for counts in worker.feed_counts().values() {
        assert_eq!((counts.bodies.difference(), counts.documents.difference()), (0, 0));
        passed += counts.documents.passed();
        aside += counts.bodies.quarantined().values().sum::<u64>();
        aside += counts.documents.quarantined().values().sum::<u64>();
    }
    assert_eq!(passed, batch.rows() as u64, "every event that passed is a row");
    assert_eq!(aside, quarantine.iter().map(|entry| entry.units).sum::<u64>());
    parsed.is_some()
}
