use outrider_decode::{DecoderTable, Files, Package, VehicleName};
use outrider_model::{Connectivity, FieldValue, LogOffset, VehicleRecord};
use outrider_types::{TenantId, UnixMicros, VehicleId};
use outrider_wire::catalogue::{event, field};
use proptest::prelude::*;

use super::*;
use crate::feeds::{NameKey, Pseudonyms};
use crate::worker::Worker;

const VIN: &str = "WVWZZZ1JZ3W386752";
const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);
const TENANT: TenantId = TenantId(1);

const MAPPING: &str = "namespace = \"acme\"\nvehicle = { path = \"vin\", kind = \"vin\" }\n\
    time = { path = \"ts\", form = \"unix_ms\" }\ntype = { path = \"event\", values = { ID = \"can.unknown_id\" } }\n\
    key = { paths = [\"key\"] }\nfield = [ { to = \"can_id\", path = \"id\" } ]\n\
    ignore = [ { path = \"event\", equals = \"BEAT\" } ]\n";
const ENVELOPE: &str = "namespace = \"acme\"\nvehicle = { path = \"unit\", kind = \"foreign\" }\n\
    time = { path = \"ts\", form = \"unix_ms\" }\n\
    payload = { path = \"data\", format_path = \"format\" }\n";

fn package(format: &str, reader: &str, mapping: &str) -> Package {
    version("1.0.0", format, reader, mapping)
}

fn version(version: &str, format: &str, reader: &str, mapping: &str) -> Package {
    let end = if mapping.starts_with("namespace") { "toml" } else { "vrl" };
    let name = format.replace('/', ".");
    let manifest = format!(
        "name = \"{name}\"\nversion = \"{version}\"\nformat = \"{format}\"\nnamespace = \"acme\"\nowner = \"x\"\n\
         licence = \"x\"\nmapping = \"mapping.{end}\"\nreader = {reader}\n"
    );
    Package::from_files(Files::from([
        ("decoder.toml".to_owned(), manifest.into_bytes()),
        (format!("mapping.{end}"), mapping.as_bytes().to_vec()),
        ("layout.toml".to_owned(), LAYOUT.as_bytes().to_vec()),
        ("golden/one.in".to_owned(), Vec::new()),
        ("golden/one.json".to_owned(), b"{}".to_vec()),
    ]))
    .expect("a package")
}

/// Reads the same bytes again for each byte of the input.
const LAYOUT: &str = "root = \"r\"\nrepeat = true\n[type]\nr = [ { name = \"n\", uint = 8 }, \
    { name = \"all\", bytes = \"rest\", at = 0 }, { name = \"words\", uint = 8, until_end = true, at = 0 } ]";
const LINES: &str = "{ format = \"json\", framing = \"lines\" }";

struct Bench {
    worker: Worker,
    registry: BTreeMap<VehicleId, VehicleRecord>,
    batch: EventBatch,
    quarantine: Vec<Quarantined>,
    offset: u64,
}

fn key() -> NameKey {
    NameKey::new([5; 32])
}

fn vehicle(name: &VehicleName) -> VehicleId {
    key().of_name(TENANT, FeedId(1), name)
}

fn vin() -> VehicleName {
    VehicleName::Vin(VIN.to_owned())
}

/// A vehicle of the registry.
fn known(vehicle: VehicleId, platform: &str) -> VehicleRecord {
    VehicleRecord {
        vehicle,
        tenant: TENANT,
        model_line: "Aster".to_owned(),
        platform: platform.to_owned(),
        model_year: 2026,
        release: "3.2".to_owned(),
        region: "DE".to_owned(),
        h3: None,
        connectivity: Connectivity::Cellular,
        ..VehicleRecord::default()
    }
}

fn feed(id: u32, format: &str, takes_unregistered: bool) -> Feed {
    Feed {
        id: FeedId(id),
        tenant: TENANT,
        name: format!("feed-{id}"),
        format: format.to_owned(),
        platform: None,
        release: None,
        clock_error_us: 2_000_000,
        takes_unregistered,
    }
}

fn bench_with(packages: Vec<Package>, feeds: Vec<Feed>) -> Bench {
    let mut worker = Worker::default();
    worker.set_feeds(Arc::new(Feeds::new(feeds, Arc::new(DecoderTable::new(packages)), Arc::new(key()))));
    let vehicle = vehicle(&vin());
    let registry = BTreeMap::from([(vehicle, known(vehicle, "evo"))]);
    Bench { worker, registry, batch: EventBatch::new(), quarantine: Vec::new(), offset: 0 }
}

fn bench() -> Bench {
    let packages = vec![package("acme/1", LINES, MAPPING), package("acme.envelope/1", LINES, ENVELOPE)];
    bench_with(
        packages,
        vec![feed(1, "acme/1", false), feed(2, "acme.envelope/1", true), feed(3, "none/1", false)],
    )
}

impl Bench {
    fn send(&mut self, feed: u32, body: &[u8]) {
        let bytes = FeedRecord {
            tenant: TENANT,
            feed: FeedId(feed),
            received: NOW,
            content_type: "application/json",
            body,
        }
        .emit();
        let record = LogRecord { offset: LogOffset(self.offset), ingest: IngestTime(NOW), bytes };
        self.offset += 1;
        self.worker.receive(&record, &NoKeys, &self.registry, &mut self.batch, &mut self.quarantine);
        self.check();
    }

    /// What came in is accounted for, and everything set aside has its count (BAL-1).
    fn check(&self) {
        let mut units = 0;
        for counts in self.worker.feed_counts().values() {
            assert_eq!((counts.bodies.difference(), counts.documents.difference()), (0, 0), "{counts:?}");
            units += counts.bodies.quarantined().values().sum::<u64>();
            units += counts.documents.quarantined().values().sum::<u64>();
        }
        assert_eq!(units, self.quarantine.iter().map(|entry| entry.units).sum::<u64>());
        let passed: u64 = self.worker.feed_counts().values().map(|counts| counts.documents.passed()).sum();
        assert_eq!(passed, self.batch.rows() as u64);
        let decoders = self.worker.decoder_counts();
        assert!(decoders.values().all(|counts| counts.difference() == 0), "{decoders:?}");
        assert_eq!(passed, decoders.values().map(Balance::passed).sum::<u64>());
        assert!(!format!("{:?}{:?}", self.quarantine, self.batch.extensions).contains(VIN));
    }

    fn reasons(&self) -> Vec<&'static str> {
        self.quarantine.iter().map(|entry| entry.reason).collect()
    }

    fn part(&self, entry: usize) -> &ForeignPart {
        self.quarantine[entry].foreign.as_ref().expect("it came by a feed")
    }
}

struct NoKeys;

impl crate::open::KeyRing for NoKeys {
    fn batch_key(&self, _: VehicleId) -> Option<(TenantId, Arc<dyn outrider_wire::Verifier + Send + Sync>)> {
        None
    }
}

fn line(event: &str, extra: &str) -> String {
    format!("{{\"vin\": \"{VIN}\", \"ts\": 1799999999000, \"event\": \"{event}\"{extra}}}\n")
}

#[test]
fn an_event_of_a_feed_is_a_row_of_its_vehicle_and_no_field_names_it() {
    let mut bench = bench();
    let body = line("ID", &format!(", \"id\": 7, \"note\": \"of {VIN}\""));
    bench.send(1, body.as_bytes());
    bench.batch.seal();
    let row = bench.batch.row(0);
    assert_eq!((row.id().vehicle, row.id().epoch), (vehicle(&vin()), FEED_EPOCH));
    assert_eq!(row.event_type(), event::CAN_UNKNOWN_ID);
    assert_eq!((row.time().best.0, row.time().error_us), (1_799_999_999_000_000, 2_000_000));
    assert_eq!(row.field(field::CAN_ID), Some(FieldValue::Int(7)));
    assert_eq!(row.field(field::FEED), Some(FieldValue::Text("feed-1")));
    assert_eq!(row.field(field::DECODER), Some(FieldValue::Text("acme.1@1.0.0")));
    assert_eq!(bench.batch.platform.get(0), Some("evo"));
    assert_eq!(bench.batch.extensions["acme.note"].get(0), Some("of (vehicle)"));
    assert!(row.id().seq.0 < 1 << 53, "a whole number in every language");
}

#[test]
fn a_type_that_the_catalogue_lacks_is_kept_under_its_name() {
    let mut bench = bench();
    bench.send(1, line("DOOR_FORCED", "").as_bytes());
    bench.batch.seal();
    let row = bench.batch.row(0);
    assert_eq!(row.event_type(), event::FOREIGN_UNCLASSIFIED);
    assert_eq!(row.field(field::FOREIGN_TYPE), Some(FieldValue::Text("DOOR_FORCED")));
}

#[test]
fn the_same_body_again_is_nothing_new_also_after_a_restart() {
    let mut bench = bench();
    let body = line("ID", "") + &line("ID", ", \"id\": 8");
    bench.send(1, body.as_bytes());
    let rows = bench.batch.rows();
    assert_eq!(rows, 2);
    let saved = bench.worker.save_feeds();
    bench.send(1, body.as_bytes());
    assert_eq!(
        (bench.batch.rows(), bench.worker.feed_counts()[&FeedId(1)].bodies.dropped()["duplicate"]),
        (2, 1)
    );
    let mut again = self::bench();
    for (name, bytes) in &saved {
        again.worker.load_feeds(name, bytes).expect("it loads");
    }
    again.send(1, body.as_bytes());
    assert_eq!(again.batch.rows(), 0, "the memory is part of the checkpoint");
    // The worker before the checkpoint gives the same events the same names.
    let mut first = self::bench();
    first.send(1, body.as_bytes());
    assert_eq!(
        (first.batch.seq.clone(), first.batch.seq[0] != first.batch.seq[1]),
        (bench.batch.seq.clone(), true)
    );
    assert!(again.worker.load_feeds("nothing.0", b"").is_err());
}

#[test]
fn the_sources_own_key_makes_one_event_of_two_bodies() {
    let mut bench = bench();
    bench.send(1, line("ID", ", \"key\": \"a-1\"").as_bytes());
    bench.send(
        1,
        (line("ID", ", \"key\": \"a-1\", \"retry\": 1") + &line("ID", ", \"key\": \"a-2\"")).as_bytes(),
    );
    assert_eq!(bench.batch.rows(), 2);
    assert_eq!(bench.worker.feed_counts()[&FeedId(1)].documents.dropped()["duplicate"], 1);
}

#[test]
fn what_the_worker_cannot_believe_is_set_aside_with_the_whole_body_and_its_number() {
    let mut bench = bench();
    let other = line("ID", "").replace("386752", "386753");
    let early = line("ID", "").replace("1799999999000", "99");
    let ahead = line("ID", "").replace("1799999999000", "1800000400000");
    let reserved = line("ingest.gap_overdue", "");
    let nobody = line("ID", "").replace("\"vin\"", "\"vim\"");
    let body = [other, early, ahead, reserved, line("BEAT", ""), nobody, "{".to_owned()].concat();
    bench.send(1, body.as_bytes());
    assert_eq!(bench.batch.rows(), 0);
    let mut reasons = bench.reasons();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "feed.time_ahead",
            "feed.time_before",
            "feed.vehicle_unknown",
            "json.end",
            "map.vehicle",
            "row.reserved_type"
        ]
    );
    for (reason, number) in [
        ("feed.vehicle_unknown", 0),
        ("feed.time_before", 1),
        ("feed.time_ahead", 2),
        ("row.reserved_type", 3),
    ] {
        let entry = bench.quarantine.iter().find(|entry| entry.reason == reason).expect("it is there");
        let part = entry.foreign.as_ref().expect("of a feed");
        assert_eq!((entry.bytes.as_slice(), &part.refused), (body.as_bytes(), &Some(vec![number])));
        assert_eq!((part.first, part.documents), (0, 7));
    }
    let entry = bench.quarantine.iter().find(|entry| entry.reason == "map.vehicle").expect("it is there");
    let part = entry.foreign.as_ref().expect("of a feed");
    assert_eq!((part.first, part.documents, &part.refused), (5, 1, &None));
    assert!(entry.bytes.starts_with(b"{\"vim\"") && entry.bytes.len() < 100, "its own bytes only");
}

#[test]
fn a_vehicle_that_nobody_registered_is_taken_only_where_the_feed_may_and_never_by_pseudonym() {
    let by_id = MAPPING.replace("kind = \"vin\"", "kind = \"id\"");
    let packages = vec![package("acme/1", LINES, MAPPING), package("acme.id/1", LINES, &by_id)];
    let mut bench = bench_with(packages, vec![feed(1, "acme/1", true), feed(2, "acme.id/1", true)]);
    bench.registry.clear();
    bench.send(1, line("ID", "").as_bytes());
    assert_eq!(bench.batch.rows(), 1);
    bench.send(2, line("ID", "").replace(VIN, &"7".repeat(32)).as_bytes());
    assert_eq!((bench.batch.rows(), bench.reasons()), (1, vec!["feed.vehicle_unknown"]));
    let mut theirs = known(VehicleId([0x77; 16]), "evo");
    theirs.tenant = TenantId(2);
    bench.registry.insert(theirs.vehicle, theirs.clone());
    bench.send(2, line("ID", ", \"id\": 9").replace(VIN, &"7".repeat(32)).as_bytes());
    assert_eq!(bench.batch.rows(), 1, "the vehicle of another owner");
    theirs.tenant = TENANT;
    bench.registry.insert(theirs.vehicle, theirs);
    bench.send(2, line("ID", ", \"id\": 10").replace(VIN, &"7".repeat(32)).as_bytes());
    assert_eq!(bench.batch.rows(), 2);
}

fn wrapped(format: &str, data: &str, extra: &str) -> String {
    let data = data.replace('"', "\\\"").replace('\n', "\\n");
    format!(
        "{{\"unit\": \"unit-0815\", \"ts\": 1799999999000, \"format\": \"{format}\", \"data\": \"{data}\"{extra}}}\n"
    )
}

#[test]
fn a_payload_is_decoded_by_its_format_for_the_envelopes_vehicle() {
    let mut bench = bench();
    let mapping = MAPPING.replace("vehicle = { path = \"vin\", kind = \"vin\" }\n", "");
    let packages = vec![package("acme/1", LINES, &mapping), package("acme.envelope/1", LINES, ENVELOPE)];
    let feeds = vec![feed(1, "acme/1", false), feed(2, "acme.envelope/1", true)];
    bench.worker.set_feeds(Arc::new(Feeds::new(
        feeds,
        Arc::new(DecoderTable::new(packages)),
        Arc::new(key()),
    )));
    let inner =
        "{\"event\": \"ID\", \"id\": 1, \"by\": \"unit-0815\"}\n{\"event\": \"BEAT\"}\n{\"event\": \"ID\"}\n";
    let nested = wrapped("acme.envelope/1", &wrapped("acme/1", "{}", ""), "");
    bench.send(2, [wrapped("acme/1", inner, ""), wrapped("none/1", inner, ""), nested].concat().as_bytes());
    bench.batch.seal();
    assert_eq!(bench.batch.rows(), 2);
    let foreign = VehicleName::Foreign("unit-0815".to_owned());
    let expected = key().of_name(TENANT, FeedId(2), &foreign);
    assert_eq!(bench.batch.vehicle, [expected, expected]);
    assert_eq!(bench.batch.row(0).time().best.0, 1_799_999_999_000_000, "the envelope's time");
    assert_eq!(bench.batch.extensions["acme.by"].get(0), Some("(vehicle)"));
    assert_eq!(bench.reasons(), ["feed.no_decoder", "feed.nested"]);
    let part = bench.part(0);
    let envelope = part.envelope.as_ref().expect("it was in one");
    assert_eq!((envelope.number, &envelope.vehicle, part.format.as_str()), (1, &foreign, "none/1"));
    assert_eq!(bench.quarantine[0].bytes, inner.as_bytes());
    let counts = &bench.worker.feed_counts()[&FeedId(2)].documents;
    assert_eq!((counts.dropped()["envelope"], counts.dropped()["ignored"], counts.received()), (3, 1, 8));
}

#[test]
fn a_payload_may_not_speak_for_another_vehicle_of_the_same_kind_of_name() {
    let mut bench = bench();
    let as_unit = MAPPING.replace("path = \"vin\", kind = \"vin\"", "path = \"unit\", kind = \"foreign\"");
    let packages = vec![package("acme/1", LINES, &as_unit), package("acme.envelope/1", LINES, ENVELOPE)];
    let feeds = vec![feed(2, "acme.envelope/1", true)];
    bench.worker.set_feeds(Arc::new(Feeds::new(
        feeds,
        Arc::new(DecoderTable::new(packages)),
        Arc::new(key()),
    )));
    let inner = |unit: &str| format!("{{\"event\": \"ID\", \"unit\": \"{unit}\"}}");
    bench.send(
        2,
        (wrapped("acme/1", &inner("unit-4711"), "") + &wrapped("acme/1", &inner("unit-0815"), "")).as_bytes(),
    );
    assert_eq!((bench.batch.rows(), bench.reasons()), (1, vec!["feed.vehicle_differs"]));
}

#[test]
fn unknown_feeds_damaged_records_and_formats_without_a_decoder_are_set_aside() {
    let mut bench = bench();
    bench.send(9, b"{}");
    bench.send(3, b"{}");
    let bytes = [crate::feed::FEED_MAGIC.as_slice(), &[9, 9]].concat();
    let record = LogRecord { offset: LogOffset(7), ingest: IngestTime(NOW), bytes };
    bench.worker.receive(&record, &NoKeys, &bench.registry, &mut bench.batch, &mut bench.quarantine);
    bench.check();
    assert_eq!(bench.reasons(), ["feed.unknown", "feed.no_decoder", "feed.record"]);
    assert_eq!((bench.part(1).documents, &bench.part(1).refused), (0, &None));
}

#[test]
fn one_broken_feed_makes_a_bounded_number_of_entries_and_loses_nothing() {
    let mut bench = bench();
    let body: String =
        (0..200).map(|number| format!("{{\"number\": {number}}}\n")).collect::<String>() + &line("ID", "");
    bench.send(1, body.as_bytes());
    assert_eq!((bench.batch.rows(), bench.quarantine.len()), (1, ENTRIES_MAX + 1));
    let (last, part) = (bench.quarantine.last().expect("one"), bench.part(ENTRIES_MAX));
    assert_eq!((last.units, last.bytes.as_slice()), (136, body.as_bytes()));
    assert_eq!(part.refused.as_deref().map(|numbers| (numbers[0], numbers.len())), Some((64, 136)));
}

#[test]
fn packages_that_blow_up_or_go_round_cost_their_body_only() {
    let text = "x".repeat(30_000);
    let blow = format!(
        ". = {{ \"type\": \"can.unknown_id\", \"vehicle\": {{ \"vin\": \"{VIN}\" }}, \"context\": \"{text}\" }}\n"
    );
    let names: String = "namespace = \"acme\"\nvehicle = { path = \"vin\", kind = \"vin\" }\ntype = { default = \"can.unknown_id\" }\n".to_owned();
    let packages = vec![
        package("blow/1", LINES, &blow),
        package("round/1", "{ format = \"layout\", file = \"layout.toml\" }", ". = { \"type\": \"x\" }\n"),
        package("names/1", LINES, &names),
        package("acme/1", LINES, MAPPING),
    ];
    let feeds = vec![
        feed(1, "acme/1", false),
        feed(2, "blow/1", true),
        feed(3, "round/1", true),
        feed(4, "names/1", true),
    ];
    let mut bench = bench_with(packages, feeds);
    bench.send(2, "{}\n".repeat(10_000).as_bytes());
    assert!(bench.reasons().contains(&"map.output"), "{:?}", bench.reasons().first());
    assert!(bench.batch.context_bytes.len() <= 10_000 * 2048, "context is cut to what a wire event may have");
    bench.send(3, &vec![7; crate::feed::FEED_BODY_BYTES_MAX]);
    let counts = &bench.worker.feed_counts()[&FeedId(3)].documents;
    assert!(!counts.quarantined().is_empty(), "{counts:?}");
    // Every document with fields of its own: a batch has no column for each of them.
    let many: String = (0..3_000).map(|number| line("ID", &format!(", \"f{number}\": 1"))).collect();
    bench.send(4, many.as_bytes());
    assert!(bench.batch.extensions.len() <= 513, "{}", bench.batch.extensions.len());
    bench.batch.seal();
    assert_eq!(bench.batch.extensions["feed.more_fields"].get(bench.batch.rows() - 1), Some("1"));
    // The worker goes on.
    let rows = bench.batch.rows();
    bench.send(1, line("ID", "").as_bytes());
    assert_eq!(bench.batch.rows(), rows + 1);
}

#[test]
fn lines_become_the_rows_that_a_list_of_the_same_documents_becomes() {
    let documents = [
        line("ID", ", \"key\": 1, \"id\": 7, \"note\": \"n\", \"deep\": {\"x\": [1, true]}"),
        line("ID", ", \"key\": 2, \"id\": \"no number\""),
        line("NEW", &format!(", \"key\": 3, \"by\": \"{VIN}\"")),
        line("BEAT", ""),
        line("ID", ", \"key\": 1"),
        line("ID", ", \"key\": 4").replace("1799999999000", "1"),
        line("ID", ", \"key\": 5").replace(VIN, "WVWZZZ1JZ3W999999"),
        line("ID", ", \"key\": 6").replace(VIN, "none"),
    ];
    let rows = |body: &str| {
        let mut bench = bench_with(
            vec![package("acme/1", "{ format = \"json\" }", MAPPING)],
            vec![feed(1, "acme/1", false)],
        );
        bench.send(1, body.as_bytes());
        bench.batch.seal();
        let counts = bench.worker.feed_counts()[&FeedId(1)].documents.clone();
        (bench.batch, counts, bench.quarantine.iter().map(|it| (it.reason, it.units)).collect::<Vec<_>>())
    };
    let lines = rows(&documents.concat());
    assert_eq!(lines.0.rows(), 3);
    let refused = [("feed.time_before", 1), ("feed.vehicle_unknown", 1), ("map.vehicle", 1)];
    assert_eq!(lines.2, refused);
    assert_eq!(lines, rows(&format!("[{}]", documents.join(","))));
}

mod replay;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_body_is_accounted_for(bytes in proptest::collection::vec(any::<u8>(), 0..200), lines in proptest::collection::vec(0_u8..6, 0..20)) {
        let mut bench = bench();
        let kinds = [line("ID", ""), line("BEAT", ""), line("NEW", ""), "{}\n".to_owned(), "[\n".to_owned(), line("ID", ", \"key\": 1")];
        let mut body: Vec<u8> = lines.iter().flat_map(|kind| kinds[usize::from(*kind)].bytes()).collect();
        body.extend(&bytes);
        bench.send(1, &body);
        bench.send(2, &body);
        bench.send(1, &body);
    }
}
