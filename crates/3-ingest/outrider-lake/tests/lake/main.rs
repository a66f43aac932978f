//! The lake as its users see it: store, replay, crash, compact, query.

mod layout;
mod outside;
mod retain;
mod s3;
mod tools;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use outrider_lake::{Lake, LakeConfig, LakeError, QueryError, QueryLimits, QueryResult};
use outrider_model::catalogue::{EVENT_TYPES, FIELDS, FieldKind};
use outrider_model::{EventBatch, EventRow, FieldValue, LogOffset, Partition, Sink};
use outrider_types::{
    BootEpoch, BusId, EventId, EventTime, IngestTime, Lane, Seq, Severity, TenantId, UnixMicros, VehicleId,
    VehicleMicros,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const FOLDER: &str = "OUTRIDER_LAKE_CRASH_FOLDER";
const KILLS: u64 = 8;
const P0: Partition = Partition(0);
/// 2026-01-05T00:00:00Z.
const DAY: i64 = 1_767_571_200_000_000;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts")
}

fn open(runtime: &Runtime, folder: &Path) -> Lake {
    let config = LakeConfig::new(folder.to_str().expect("a temporary folder has a plain name"));
    Lake::open(&config, runtime.handle().clone()).expect("the lake opens")
}

fn vehicle(number: u8) -> VehicleId {
    VehicleId([number; 16])
}

fn row(vehicle: VehicleId, seq: u64) -> EventRow<'static> {
    EventRow {
        tenant: TenantId(1),
        id: EventId { vehicle, epoch: BootEpoch(7), lane: Lane::Batched, seq: Seq(seq) },
        event_type: EVENT_TYPES[usize::try_from(seq).expect("small") % EVENT_TYPES.len()].id,
        severity: Severity::from_code(1 + u8::try_from(seq % 5).expect("small")).expect("1 to 5"),
        time: EventTime {
            best: UnixMicros(DAY + i64::try_from(seq).expect("small") * 1_000_001),
            error_us: 5,
        },
        ingest: IngestTime(UnixMicros(DAY + 1)),
        mono: VehicleMicros(seq * 10),
        count: 1,
        span: (VehicleMicros(seq * 10), VehicleMicros(seq * 10 + 3)),
        bus: Some(BusId(2)),
        context: b"\x01\x02",
    }
}

/// Rows `seqs` of some vehicles, one field each.
fn batch(seqs: std::ops::Range<u64>) -> EventBatch {
    let mut batch = EventBatch::new();
    for seq in seqs {
        let number = u8::try_from(seq % 13).expect("small");
        batch.push(&row(vehicle(number), seq));
        let field =
            FIELDS.iter().find(|field| field.kind == FieldKind::Int).expect("the catalogue has integers");
        batch.set_field(field.key, FieldValue::Int(i64::try_from(seq).expect("small")));
        batch.enrich_last(None, Some("gateway"));
    }
    batch.seal();
    batch
}

fn ask(lake: &Lake, query: &str) -> QueryResult {
    lake.sql(query, &QueryLimits::default()).unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn number(lake: &Lake, query: &str) -> i64 {
    ask(lake, query).rows[0][0].as_i64().expect("one number")
}

#[test]
fn every_column_comes_back_as_it_was_pushed() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let lake = open(&runtime, &folder.path().join("lake"));
    let mut batch = EventBatch::new();
    let mut full = row(vehicle(0xAB), 1);
    full.id.epoch = BootEpoch(u64::from(u32::MAX) + 1);
    full.count = u32::MAX;
    batch.push(&full);
    for (index, field) in FIELDS.iter().enumerate() {
        let text = format!("text {index}");
        let value = match field.kind {
            FieldKind::Int => FieldValue::Int(i64::MIN + i64::try_from(index).expect("small")),
            FieldKind::Float => FieldValue::Float(0.5),
            FieldKind::Text => FieldValue::Text(&text),
            FieldKind::Bool => FieldValue::Bool(true),
        };
        assert!(batch.set_field(field.key, value), "{}", field.name);
    }
    batch.set_extension("dlt.app", "quote \" and ü");
    batch.enrich_last(None, Some("brake"));
    batch.h3[0] = 0x0861_1966_97ff_ffff;
    batch.push(&EventRow { bus: None, context: b"", ..row(vehicle(1), 2) });
    // A row of another tenant and another day goes to another folder.
    let other =
        EventRow { tenant: TenantId(2), ingest: IngestTime(UnixMicros(DAY - 1)), ..row(vehicle(2), 3) };
    batch.push(&other);
    batch.seal();
    lake.sink().store(P0, LogOffset(1), &batch).expect("stores");

    let result = ask(&lake, "SELECT * FROM events ORDER BY seq");
    assert_eq!(result.rows.len(), 3);
    let get = |row: usize, name: &str| {
        let index = result.columns.iter().position(|column| column.name == name);
        result.rows[row][index.unwrap_or_else(|| panic!("no column {name}"))].clone()
    };
    let core = [
        ("tenant", json!(1)),
        ("ingest_date", json!("2026-01-05")),
        ("bucket", Value::Null),
        ("vehicle_id", json!("ab".repeat(16))),
        ("epoch", json!(4_294_967_296_u64)),
        ("lane", json!("batched")),
        ("seq", json!(1)),
        ("event_type", json!(EVENT_TYPES[1].name)),
        ("severity", json!(2)),
        ("event_time", json!("2026-01-05T00:00:01.000001Z")),
        ("event_time_error_us", json!(5)),
        ("ingest_time", json!("2026-01-05T00:00:00.000001Z")),
        ("vehicle_us", json!(10)),
        ("count", json!(u32::MAX)),
        ("first_us", json!(10)),
        ("last_us", json!(13)),
        ("bus", json!(2)),
        ("ecu", json!("brake")),
        ("model_line", Value::Null),
        ("h3", json!("8611966 97ffffff".replace(' ', ""))),
        ("context", json!("0102")),
        ("extensions", json!("{\"dlt.app\":\"quote \\\" and ü\"}")),
    ];
    for (name, expected) in core {
        assert_eq!(get(0, name), expected, "{name}");
    }
    for (index, field) in FIELDS.iter().enumerate() {
        let expected = match field.kind {
            FieldKind::Int => json!(i64::MIN + i64::try_from(index).expect("small")),
            FieldKind::Float => json!(0.5),
            FieldKind::Text => json!(format!("text {index}")),
            FieldKind::Bool => json!(true),
        };
        assert_eq!(get(0, field.name), expected, "{}", field.name);
        assert_eq!(get(1, field.name), Value::Null, "{}", field.name);
    }
    for name in ["bus", "context", "h3", "extensions", "ecu"] {
        assert_eq!(get(1, name), Value::Null, "{name}");
    }
    assert_eq!((get(2, "tenant"), get(2, "ingest_date")), (json!(2), json!("2026-01-04")));
    assert_eq!(number(&lake, "SELECT count(*) FROM events WHERE tenant = 2 AND vehicle_id LIKE '02%'"), 1);
}

#[test]
fn a_replay_changes_nothing() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("lake");
    let lake = open(&runtime, &path);
    let mut sink = lake.sink();
    assert_eq!(sink.next_offset(P0).expect("asks"), LogOffset(0));
    sink.store(P0, LogOffset(10), &batch(0..100)).expect("stores");
    sink.store(P0, LogOffset(10), &batch(0..100)).expect("the same again");
    sink.store(Partition(1), LogOffset(3), &batch(100..150)).expect("another partition");
    sink.store(P0, LogOffset(12), &EventBatch::new()).expect("no rows, no commit");
    assert_eq!(sink.next_offset(P0).expect("asks"), LogOffset(10));
    drop((sink, lake));

    let lake = open(&runtime, &path);
    let mut sink = lake.sink();
    assert_eq!(sink.next_offset(P0).expect("asks"), LogOffset(10));
    assert_eq!(sink.next_offset(Partition(1)).expect("asks"), LogOffset(3));
    assert_eq!(sink.next_offset(Partition(2)).expect("asks"), LogOffset(0));
    sink.store(P0, LogOffset(10), &batch(0..100)).expect("the same after a restart");
    sink.store(P0, LogOffset(20), &batch(150..160)).expect("what follows");
    assert_eq!(number(&lake, "SELECT count(*) FROM events"), 160);
    assert_eq!(number(&lake, "SELECT count(DISTINCT seq) FROM events"), 160);
}

#[test]
fn reading_beside_a_writer_sees_each_commit_and_cannot_write() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("lake");
    let config = LakeConfig::new(path.to_str().expect("plain"));
    let absent = Lake::open_read_only(&config, runtime.handle().clone()).expect_err("nothing is there");
    assert!(matches!(absent, LakeError::Absent { .. }), "{absent}");
    let lake = open(&runtime, &path);
    let reader = Lake::open_read_only(&config, runtime.handle().clone()).expect("opens");
    assert_eq!(number(&reader, "SELECT count(*) FROM events"), 0);
    lake.sink().store(P0, LogOffset(1), &batch(0..7)).expect("stores");
    assert_eq!(number(&reader, "SELECT count(*) FROM events"), 7);
    assert!(reader.sink().store(P0, LogOffset(2), &batch(7..9)).is_err());
    assert!(matches!(reader.compact(), Err(LakeError::ReadOnly)));
}

#[test]
fn compaction_keeps_every_row_while_others_store_and_query() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("lake");
    let lake = open(&runtime, &path);
    let all = "SELECT vehicle_id, epoch, lane, seq, event_type, event_time, ecu, context FROM events \
               ORDER BY vehicle_id, epoch, lane, seq";
    for turn in 0..6 {
        lake.sink().store(P0, LogOffset(turn + 1), &batch(turn * 500..(turn + 1) * 500)).expect("stores");
    }
    let before = ask(&lake, all);
    assert_eq!(before.rows.len(), 3_000);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (1..4_u16)
            .map(|partition| {
                // Handles of their own: other processes, as far as the table can tell.
                let other = open(&runtime, &path);
                scope.spawn(move || {
                    for turn in 0..4 {
                        let seq = u64::from(partition) * 100_000 + turn * 10;
                        let stored = other.sink().store(
                            Partition(partition),
                            LogOffset(turn + 1),
                            &batch(seq..seq + 10),
                        );
                        stored.expect("conflicting commits are tried again");
                    }
                })
            })
            .collect();
        let report = lake.compact().expect("compacts");
        assert!(report.files_before >= 6 && report.files_after < report.files_before, "{report:?}");
        assert!(report.rows >= 3_000, "{report:?}");
        assert_eq!(ask(&lake, "SELECT count(*) FROM events WHERE seq < 3000").rows[0][0], json!(3_000));
        writers.into_iter().for_each(|writer| writer.join().expect("no writer fails"));
    });
    assert_eq!(ask(&lake, all.replace("FROM events", "FROM events WHERE seq < 3000").as_str()), before);
    assert_eq!(number(&lake, "SELECT count(*) FROM events"), 3_120);
    lake.compact().expect("compacts again");
    let again = lake.compact().expect("compacts nothing");
    assert_eq!(again.files_before, 0, "{again:?}");
    assert_eq!(number(&lake, "SELECT count(*) FROM events"), 3_120);
    assert_eq!(lake.sink().next_offset(Partition(3)).expect("asks"), LogOffset(4));

    let files = || {
        walk(&path)
            .into_iter()
            .filter(|name| name.ends_with(".parquet") && !name.contains("_delta_log"))
            .count()
    };
    let with_old = files();
    lake.vacuum(Duration::ZERO).expect("nothing is older than the shortest retention");
    assert_eq!(files(), with_old);
    let config =
        LakeConfig { retention_min: Duration::ZERO, ..LakeConfig::new(path.to_str().expect("plain")) };
    let lake = Lake::open(&config, runtime.handle().clone()).expect("opens");
    let report = lake.vacuum(Duration::ZERO).expect("everything that was replaced goes");
    assert!(
        report.files > 10 && files() == with_old - usize::try_from(report.files).expect("small"),
        "{report:?}"
    );
    assert_eq!(number(&lake, "SELECT count(*) FROM events"), 3_120);
}

fn walk(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("the folder can be listed") {
            let path = entry.expect("the folder can be listed").path();
            if path.is_dir() { folders.push(path) } else { names.push(path.display().to_string()) }
        }
    }
    names
}

#[test]
fn one_vehicle_is_found_in_order_with_only_the_columns_it_has() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let lake = open(&runtime, &folder.path().join("lake"));
    lake.sink().store(P0, LogOffset(1), &batch(0..100)).expect("stores");
    let span = (UnixMicros(DAY + 13_000_013), UnixMicros(DAY + 39_000_039));
    let history = |limits| lake.vehicle_history(vehicle(0), span, &limits).expect("asks");
    let result = history(QueryLimits::default());
    let seq = result.columns.iter().position(|column| column.name == "seq").expect("core");
    let seqs: Vec<i64> = result.rows.iter().map(|row| row[seq].as_i64().expect("number")).collect();
    assert_eq!((seqs, result.truncated), (vec![39, 26, 13], false), "both ends are included, newest first");
    let fields = result.columns.iter().filter(|column| FIELDS.iter().any(|field| field.name == column.name));
    assert_eq!(fields.count(), 1, "only one field has a value");
    let before = lake.reads();
    assert_eq!(history(QueryLimits::default()).rows.len(), 3);
    let (requests, bytes) = (lake.reads().0 - before.0, lake.reads().1 - before.1);
    let size = lake.stats().expect("known").bytes;
    assert!(requests > 0 && (1..=2 * size).contains(&bytes), "{requests} requests, {bytes} bytes of {size}");
    let short = history(QueryLimits { rows_max: 2, ..QueryLimits::default() });
    assert_eq!((short.rows.len(), short.truncated), (2, true));
}

#[test]
fn only_one_select_over_the_events_is_allowed() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let lake = open(&runtime, &folder.path().join("lake"));
    lake.sink().store(P0, LogOffset(1), &batch(0..5)).expect("stores");
    let target = folder.path().join("stolen.csv");
    let refused = [
        "DROP TABLE events".to_owned(),
        "DELETE FROM events".to_owned(),
        "INSERT INTO events SELECT * FROM events".to_owned(),
        "UPDATE events SET seq = 1".to_owned(),
        "CREATE TABLE other AS SELECT 1".to_owned(),
        "SELECT 1 INTO other".to_owned(),
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'".to_owned(),
        format!("COPY (SELECT * FROM events) TO '{}' STORED AS CSV", target.display()),
        "SET datafusion.execution.target_partitions = 64".to_owned(),
        "SHOW TABLES".to_owned(),
        "EXPLAIN SELECT 1".to_owned(),
        "SELECT 1; DROP TABLE events".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "SELECT * FROM information_schema.tables".to_owned(),
        "SELECT nothing FROM events".to_owned(),
        "SELEC".to_owned(),
        String::new(),
        format!("SELECT '{}'", "x".repeat(70_000)),
    ];
    for query in refused {
        let error = lake.sql(&query, &QueryLimits::default()).expect_err(&query);
        let code = error.code();
        assert!(code == "query.refused" || code == "query.invalid", "{query}: {code} {error}");
    }
    assert!(!target.exists());
    assert_eq!(number(&lake, "SELECT count(*) FROM events"), 5);
    let shape = ask(&lake, "SELECT event_type, count(*) AS n FROM events GROUP BY 1 ORDER BY 1 LIMIT 1");
    let kinds: Vec<_> = shape.columns.iter().map(|column| (column.name.as_str(), column.kind)).collect();
    assert_eq!(kinds, [("event_type", "text"), ("n", "int")]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_is_answered_or_refused_and_changes_nothing(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "SELECT", "*", "FROM", "events", "WHERE", "seq", "=", "1", "(", ")", ",", "DROP", "TABLE", "INSERT",
                "INTO", "COPY", "TO", "'x'", ";", "WITH", "a", "AS", "UNION", "ALL", "GROUP BY", "LIMIT", "VALUES", "\u{0}", "é",
            ]),
            0..12,
        )
    ) {
        let lake = SHARED.get_or_init(|| {
            let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
            let lake = open(&runtime, &folder.path().join("lake"));
            lake.sink().store(P0, LogOffset(1), &batch(0..3)).expect("stores");
            (lake, runtime, folder)
        });
        let limits = QueryLimits { rows_max: 10, time_max: Duration::from_secs(5), ..QueryLimits::default() };
        if let Ok(result) = lake.0.sql(&words.join(" "), &limits) {
            proptest::prop_assert!(result.rows.iter().all(|row| row.len() == result.columns.len()));
        }
        proptest::prop_assert_eq!(number(&lake.0, "SELECT count(*) FROM events"), 3);
    }
}

static SHARED: std::sync::OnceLock<(Lake, Runtime, tempfile::TempDir)> = std::sync::OnceLock::new();

#[test]
fn a_query_stops_at_each_of_its_limits() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let lake = open(&runtime, &folder.path().join("lake"));
    lake.sink().store(P0, LogOffset(1), &batch(0..1_000)).expect("stores");
    let limits = QueryLimits::default();
    let rows =
        |rows_max| lake.sql("SELECT seq FROM events", &QueryLimits { rows_max, ..limits }).expect("asks");
    assert_eq!((rows(999).rows.len(), rows(999).truncated), (999, true));
    assert_eq!((rows(1_000).rows.len(), rows(1_000).truncated), (1_000, false));
    assert_eq!((rows(0).rows.len(), rows(0).truncated), (0, true));
    let product =
        "SELECT count(*) FROM events a, events b, events c, events d WHERE a.seq + b.seq + c.seq + d.seq = 7";
    let slow = QueryLimits { time_max: Duration::from_millis(500), ..limits };
    let error = lake.sql(product, &slow).expect_err("10^12 rows take longer");
    assert!(matches!(error, QueryError::Timeout { limit_ms: 500 }), "{error}");
    let tight = QueryLimits { memory_bytes_max: 20_000, ..limits };
    let error =
        lake.sql("SELECT a.* FROM events a, events b ORDER BY a.seq, b.seq", &tight).expect_err("sorts");
    assert!(matches!(error, QueryError::Memory { .. }), "{error}");
}

#[test]
fn a_grown_catalogue_adds_columns_to_an_old_table() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("lake");
    let config = LakeConfig::new(path.to_str().expect("plain"));
    let (old, new) = (&FIELDS[..2], &FIELDS[2]);
    let lake = Lake::open_with(&config, runtime.handle().clone(), old).expect("an old program opens");
    let mut first = EventBatch::new();
    first.push(&row(vehicle(1), 1));
    assert!(first.set_field(old[0].key, FieldValue::Int(11)), "the first field is an integer");
    first.seal();
    lake.sink().store(P0, LogOffset(1), &first).expect("stores");
    let unknown = lake.sql(&format!("SELECT {} FROM events", new.name), &QueryLimits::default());
    assert!(matches!(unknown, Err(QueryError::Invalid(_))), "{unknown:?}");

    let newer = open(&runtime, &path);
    let mut second = EventBatch::new();
    second.push(&row(vehicle(1), 2));
    assert!(second.set_field(new.key, FieldValue::Int(22)), "the third field is an integer");
    second.seal();
    newer.sink().store(P0, LogOffset(2), &second).expect("stores");
    let query = format!("SELECT {}, {} FROM events ORDER BY seq", old[0].name, new.name);
    let expected = [vec![json!(11), Value::Null], vec![Value::Null, json!(22)]];
    assert_eq!(ask(&newer, &query).rows, expected);
    // The old program goes on with the table that has grown.
    let mut third = EventBatch::new();
    third.push(&row(vehicle(1), 3));
    third.seal();
    lake.sink().store(P0, LogOffset(3), &third).expect("stores");
    newer.compact().expect("compacts files of both ages");
    assert_eq!(ask(&newer, &query).rows[..2], expected);
    assert_eq!(number(&newer, "SELECT count(*) FROM events"), 3);
}

/// Stores until it is killed and says each offset that is done; runs only as a child of the test below.
#[test]
#[expect(clippy::disallowed_methods, reason = "the parent tells its child where to write")]
fn writer_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = runtime();
    let lake = open(&runtime, Path::new(&folder));
    let mut sink = lake.sink();
    for offset in sink.next_offset(P0).expect("asks").0.. {
        sink.store(P0, LogOffset(offset + 1), &batch(offset * 10..offset * 10 + 10)).expect("stores");
        let mut out = std::io::stdout().lock();
        writeln!(out, "ack {}", offset + 1).and_then(|()| out.flush()).expect("the parent listens");
        if offset % 5 == 4 {
            lake.compact().expect("compacts");
        }
    }
}

#[test]
fn a_killed_writer_leaves_exactly_the_rows_of_the_offsets_it_committed() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("lake");
    let mut acknowledged = 0_u64;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("the test knows itself"))
            .args(["--exact", "writer_process", "--nocapture"])
            .env(FOLDER, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test can start itself");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut hear = |line: &str| {
            let ack = line.split_once("ack ").and_then(|(_, offset)| offset.parse().ok());
            acknowledged = ack.unwrap_or(acknowledged);
            ack.is_some()
        };
        let mut heard = 0;
        while heard <= kill * 5 % 8 {
            heard += u64::from(hear(&lines.next().expect("the child goes on").expect("text")));
        }
        // In the middle of what follows the acknowledgement: a file, a commit or a compaction.
        std::thread::yield_now();
        child.kill().expect("the child is alive until now");
        child.wait().expect("the child is gone");
        lines.map_while(Result::ok).for_each(|line| {
            hear(&line);
        });
        let lake = open(&runtime, &path);
        let next = lake.sink().next_offset(P0).expect("asks").0;
        assert!(next == acknowledged || next == acknowledged + 1, "kill {kill}: {next} of {acknowledged}");
        let counts = ask(&lake, "SELECT count(*), count(DISTINCT seq), min(seq), max(seq) FROM events").rows;
        let rows = next * 10;
        assert_eq!(counts[0], [json!(rows), json!(rows), json!(0), json!(rows - 1)], "kill {kill}");
    }
    assert!(acknowledged > KILLS * 2, "only {acknowledged} stores: the children hardly ran");
}

/// Rows like those of a fleet: every core column, enrichment, and six fields of different types a row.
fn fleet(rows: u64, vehicles: u64, from: u64) -> EventBatch {
    let mut batch = EventBatch::new();
    let record = |number: u64| outrider_model::VehicleRecord {
        model_line: format!("line {}", number % 5),
        platform: format!("platform {}", number % 3),
        release: format!("2026.{}", number % 7),
        region: format!("region {}", number % 9),
        h3: Some(0x0861_1966_97ff_ffff + number % 50),
        vehicle: VehicleId([0; 16]),
        tenant: TenantId(1),
        model_year: 2026,
        connectivity: outrider_model::Connectivity::Cellular,
        ..outrider_model::VehicleRecord::default()
    };
    let records: BTreeMap<u64, _> = (0..50).map(|number| (number, record(number))).collect();
    let mut state = from.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for seq in from..from + rows {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Vehicles upload in runs of events.
        let number = (seq / 20).wrapping_mul(0x9E37_79B9) % vehicles;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        let context = state.to_le_bytes();
        let mut event = EventRow { context: &context, ..row(VehicleId(id), seq) };
        let jitter = i64::try_from(state % 3_600_000_000).expect("an hour");
        event.time.best = UnixMicros(DAY + jitter);
        batch.push(&event);
        for (index, field) in
            FIELDS.iter().enumerate().filter(|(index, _)| (*index as u64 + seq % 5).is_multiple_of(16))
        {
            let text = format!("value {}", (state >> 8) % 40);
            let value = match field.kind {
                FieldKind::Int => FieldValue::Int(i64::try_from(state % 2_048).expect("small")),
                FieldKind::Float => {
                    FieldValue::Float(f64::from(u32::try_from(state % 1_000).expect("small")))
                }
                FieldKind::Text => FieldValue::Text(&text),
                FieldKind::Bool => FieldValue::Bool(state & 1 == 1),
            };
            assert!(batch.set_field(field.key, value), "{index}");
        }
        batch.enrich_last(records.get(&(number % 50)), Some("gateway"));
    }
    batch.seal();
    batch
}

/// CPU seconds that this process has used so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name in brackets").split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<u32>().map(f64::from).expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

/// Prints throughput, size and the cost of one vehicle's query:
/// `cargo test --release -p outrider-lake --test lake -- --ignored --nocapture figures`.
#[test]
#[ignore = "measures for a minute"]
#[expect(clippy::print_stdout, reason = "figures are read by a person")]
fn figures() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    for (rows, turns) in [(1_000_u64, 100), (20_000, 25), (100_000, 8)] {
        let path = folder.path().join(format!("lake-{rows}"));
        let lake = open(&runtime, &path);
        let batches: Vec<_> = (0..turns).map(|turn| fleet(rows, 20_000, turn * rows)).collect();
        let mut sink = lake.sink();
        let cpu = cpu_seconds();
        for (next, batch) in (1..).zip(&batches) {
            sink.store(P0, LogOffset(next), batch).expect("stores");
        }
        let cpu = cpu_seconds() - cpu;
        let total = f64::from(u32::try_from(rows * turns).expect("small"));
        let bytes: u64 = walk(&path)
            .iter()
            .filter(|name| name.ends_with(".parquet") && !name.contains("_delta_log"))
            .map(|name| std::fs::metadata(name).expect("there").len())
            .sum();
        let bytes = f64::from(u32::try_from(bytes).expect("small"));
        println!(
            "{rows} rows a store: {:.0} rows per CPU-second, {:.1} bytes a row",
            total / cpu,
            bytes / total
        );
        let query = |state: &str| {
            let id = fleet(1, 20_000, 12_340).vehicle[0];
            let cpu = cpu_seconds();
            let span = (UnixMicros(i64::MIN), UnixMicros(i64::MAX));
            let found = lake.vehicle_history(id, span, &QueryLimits::default()).expect("asks");
            println!(
                "  one vehicle, {state}: {} rows, {:.2} CPU-seconds",
                found.rows.len(),
                cpu_seconds() - cpu
            );
        };
        query("fresh files");
        let cpu = cpu_seconds();
        let report = lake.compact().expect("compacts");
        println!("  compaction: {:.2} CPU-seconds, {report:?}", cpu_seconds() - cpu);
        query("compacted");
    }
}

#[test]
fn processes_that_make_the_table_at_the_same_time_all_get_it() {
    let runtime = runtime();
    for _ in 0..5 {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let barrier = std::sync::Barrier::new(6);
        let versions: Vec<_> = std::thread::scope(|scope| {
            let open_one = || {
                barrier.wait();
                open(&runtime, folder.path()).stats().expect("it answers").version
            };
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(open_one)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it opens")).collect()
        });
        assert_eq!(versions, [0; 6], "one table, made once");
    }
}
