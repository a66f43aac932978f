//! Layouts of tables: the newest, and every earlier one for ever.

use std::path::{Path, PathBuf};

use outrider_lake::{Compaction, Layout, VerifyDepth, unwatched};
use outrider_types::VehicleId;

use super::*;

/// A vehicle in any part of the range of names.
fn spread(number: u64) -> VehicleId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    VehicleId(id)
}

fn spread_batch(seqs: std::ops::Range<u64>) -> EventBatch {
    let mut batch = EventBatch::new();
    for seq in seqs {
        batch.push(&row(spread(seq % 400), seq));
    }
    batch.seal();
    batch
}

fn buckets(lake: &Lake) -> Vec<(Value, i64)> {
    let query = "SELECT bucket, count(*) FROM events GROUP BY bucket ORDER BY bucket NULLS FIRST";
    let rows = ask(lake, query).rows;
    rows.into_iter().map(|row| (row[0].clone(), row[1].as_i64().expect("a count"))).collect()
}

#[test]
fn rows_come_without_a_bucket_and_are_split_by_the_first_digit_of_the_vehicle() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("lake");
    let lake = open(&runtime, &path);
    assert_eq!(lake.layout().expect("known"), Layout::Three);
    for turn in 0..3 {
        let rows = spread_batch(turn * 1_000..(turn + 1) * 1_000);
        lake.sink().store(P0, LogOffset(turn + 1), &rows).expect("stores");
    }
    assert_eq!(buckets(&lake), [(Value::Null, 3_000)]);
    let all = "SELECT vehicle_id, epoch, lane, seq, event_time, ecu FROM events ORDER BY vehicle_id, seq";
    let before = ask(&lake, all);
    // A day that is small stays in few files until somebody asks for more.
    let report = lake.compact().expect("compacts");
    assert_eq!((report.files_before, report.files_after, report.overtaken), (3, 1, 0), "{report:?}");
    assert_eq!(buckets(&lake), [(Value::Null, 3_000)]);
    let heard = std::sync::Mutex::new(Vec::new());
    let listen = |progress| heard.lock().expect("no panic").push(progress);
    let report = lake.compact_with(Compaction::Whole, &listen).expect("compacts");
    assert_eq!((report.files_before, report.files_after, report.rows), (1, 16, 3_000), "{report:?}");
    let heard = heard.into_inner().expect("no panic");
    assert!(heard.len() >= 2 && heard.iter().all(|progress| progress.done <= progress.total), "{heard:?}");
    assert_eq!(ask(&lake, all), before);
    let split = buckets(&lake);
    assert_eq!(split.len(), 16);
    let wrong = "SELECT count(*) FROM events WHERE bucket <> strpos('0123456789abcdef', substr(vehicle_id, 1, 1)) - 1";
    assert_eq!(number(&lake, wrong), 0);
    assert_eq!(number(&lake, "SELECT count(*) FROM events WHERE bucket IS NULL"), 0);
    // What comes later joins the buckets of its day.
    lake.sink().store(P0, LogOffset(9), &spread_batch(3_000..3_400)).expect("stores");
    assert_eq!(buckets(&lake)[0], (Value::Null, 400));
    lake.compact_with(Compaction::Whole, &unwatched).expect("compacts");
    assert_eq!(number(&lake, "SELECT count(*) FROM events WHERE bucket IS NOT NULL"), 3_400);
    assert_eq!(lake.stats().expect("known").files, 16, "one a bucket");
    let again = lake.compact_with(Compaction::Whole, &unwatched).expect("compacts nothing");
    assert_eq!(again.files_before, 0, "{again:?}");
    let sound = lake.verify(VerifyDepth::Bytes, &unwatched).expect("verifies");
    assert!(
        sound.is_sound() && sound.rows == 3_400 && sound.files == 16 && sound.unreferenced > 16,
        "{sound:?}"
    );
    let span = (UnixMicros(i64::MIN), UnixMicros(i64::MAX));
    let history = lake.vehicle_history(spread(7), span, &QueryLimits::default()).expect("asks");
    assert_eq!(history.rows.len(), 9, "8 of the first 3,000 and one later");
}

/// Copies a golden table, so that nothing changes it.
fn golden(layout: u32, folder: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/layout-{layout}"));
    let to = folder.join(format!("layout-{layout}"));
    for name in walk(&from) {
        let inner = Path::new(&name).strip_prefix(&from).expect("below").to_owned();
        let target = to.join(inner);
        std::fs::create_dir_all(target.parent().expect("has a folder")).expect("makes a folder");
        std::fs::copy(name, target).expect("copies");
    }
    to
}

/// What every golden table holds: sequences 0 to 39 of two tenants; ten of them on the day before.
fn is_golden(lake: &Lake, layout: u32) {
    let counts = "SELECT count(*), count(DISTINCT seq), sum(seq), count(DISTINCT vehicle_id) FROM events WHERE seq < 40";
    assert_eq!(ask(lake, counts).rows[0], [40, 40, 780, 40].map(Value::from), "layout {layout}");
    let days = "SELECT ingest_date, tenant, count(*) FROM events WHERE seq < 40 GROUP BY 1, 2 ORDER BY 1, 2";
    let days: Vec<String> = ask(lake, days).rows.iter().map(|row| format!("{row:?}")).collect();
    let expected = [("2026-01-04", 1, 5), ("2026-01-04", 2, 5), ("2026-01-05", 1, 15), ("2026-01-05", 2, 15)];
    let expected =
        expected.map(|(day, tenant, rows)| format!("{:?}", [json!(day), json!(tenant), json!(rows)]));
    assert_eq!(days, expected, "layout {layout}");
    let first = FIELDS[0].name;
    let wrong =
        format!("SELECT count(*) FROM events WHERE seq < 40 AND ({first} <> seq OR ecu <> 'gateway')");
    assert_eq!(number(lake, &wrong), 0);
    let time = "SELECT event_time, vehicle_us, first_us, last_us, context, lane FROM events WHERE seq = 37";
    let expected = json!(["2026-01-05T00:00:37.000037Z", 370, 370, 373, "0102", "batched"]);
    let expected = expected.as_array().expect("a list").clone();
    assert_eq!(ask(lake, time).rows, [expected], "layout {layout}");
}

#[test]
fn a_table_of_every_layout_is_read_written_compacted_and_upgraded() {
    for layout in 1..=Layout::NEWEST.number() {
        let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
        let path = golden(layout, folder.path());
        let config = LakeConfig::new(path.to_str().expect("plain"));
        let reader = Lake::open_read_only(&config, runtime.handle().clone()).expect("opens");
        is_golden(&reader, layout);
        let depth = VerifyDepth::Bytes;
        let report = reader.verify(depth, &unwatched).expect("verifies");
        assert!(report.is_sound() && report.rows == 40, "layout {layout}: {report:?}");
        assert!(reader.upgrade().is_err(), "open for reading");

        // This program's catalogue has more columns than the table.
        let lake = open(&runtime, &path);
        assert_eq!(lake.layout().expect("known").number(), layout, "opening changes no layout");
        assert_eq!(lake.sink().next_offset(P0).expect("asks"), LogOffset(30));
        assert_eq!(lake.sink().next_offset(Partition(3)).expect("asks"), LogOffset(4));
        lake.sink().store(P0, LogOffset(31), &batch(100..150)).expect("stores");
        is_golden(&lake, layout);
        lake.compact_with(Compaction::Whole, &unwatched).expect("compacts");
        is_golden(&lake, layout);

        // A second process has it open from before, and knows nothing of the upgrade.
        let other = open(&runtime, &path);
        assert_eq!(lake.upgrade().expect("upgrades"), layout < Layout::NEWEST.number());
        assert_eq!(lake.layout().expect("known"), Layout::NEWEST);
        assert!(!lake.upgrade().expect("nothing to do"));
        other.sink().store(Partition(5), LogOffset(1), &batch(150..160)).expect("stores");
        lake.sink().store(P0, LogOffset(32), &batch(160..170)).expect("stores");
        is_golden(&lake, layout);
        lake.compact_with(Compaction::Whole, &unwatched).expect("compacts");
        is_golden(&lake, layout);
        is_golden(&reader, layout);
        assert_eq!(number(&lake, "SELECT count(*) FROM events"), 110);
        assert_eq!(number(&lake, "SELECT count(*) FROM events WHERE bucket IS NULL"), 0);
        let report = open(&runtime, &path).verify(depth, &unwatched).expect("verifies");
        assert!(report.is_sound() && report.rows == 110, "layout {layout}: {report:?}");
    }
}

#[test]
fn any_times_of_a_vehicle_come_back_in_full_from_rows_of_both_kinds() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let path = golden(2, folder.path());
    let lake = open(&runtime, &path);
    // Event time, vehicle time, first and last: ordinary ones, and what only a broken or hostile sender states.
    let times = [
        (DAY + 7_000, 7_000, 6_990, 7_020),
        (i64::MIN, u64::MAX, 0, 1),
        (i64::MAX, 0, u64::MAX, 0),
        (-1, 1 << 63, 5, 1 << 63),
    ];
    let rows = |base: u64| {
        let mut batch = EventBatch::new();
        for (seq, (best, mono, first, last)) in (base..).zip(times) {
            batch.push(&EventRow {
                time: EventTime { best: UnixMicros(best), error_us: 1 },
                mono: VehicleMicros(mono),
                span: (VehicleMicros(first), VehicleMicros(last)),
                ..row(vehicle(9), seq)
            });
        }
        batch.seal();
        batch
    };
    lake.sink().store(P0, LogOffset(40), &rows(1_000)).expect("stores in layout 2");
    assert!(lake.upgrade().expect("upgrades"));
    lake.sink().store(P0, LogOffset(50), &rows(2_000)).expect("stores in layout 3");
    for _ in 0..2 {
        for base in [1_000, 2_000] {
            let query = format!(
                "SELECT vehicle_us, first_us, last_us FROM events WHERE seq BETWEEN {base} AND {base} + 3 ORDER BY seq"
            );
            let expected = times.map(|(_, mono, first, last)| {
                [mono, first, last].map(|time| json!(time.cast_signed())).to_vec()
            });
            assert_eq!(ask(&lake, &query).rows, expected, "{base}");
        }
        lake.compact_with(Compaction::Whole, &unwatched).expect("puts both kinds into one file");
    }
    let seen = ask(&lake, "SELECT * FROM events LIMIT 1").columns;
    assert!(seen.iter().any(|column| column.name == "vehicle_us"));
    assert!(!seen.iter().any(|column| column.name == "clock_offset_us"), "how they are kept is not seen");
}

/// Writes the golden table of the newest layout into the folder that a variable names; run once a layout, by hand.
#[test]
#[ignore = "writes a golden table"]
#[expect(clippy::disallowed_methods, reason = "says where to write")]
fn write_golden() {
    let runtime = runtime();
    let path = std::env::var("OUTRIDER_GOLDEN_FOLDER").expect("a folder");
    let lake =
        Lake::open_with(&LakeConfig::new(path), runtime.handle().clone(), &FIELDS[..3]).expect("opens");
    let make = |seqs: std::ops::Range<u64>, shift: i64| {
        let mut batch = EventBatch::new();
        for seq in seqs {
            let mut id = [u8::try_from(seq * 37 % 251).expect("small"); 16];
            id[15] = 7;
            batch.push(&EventRow {
                ingest: IngestTime(UnixMicros(DAY + shift)),
                tenant: TenantId(1 + u32::try_from(seq % 2).expect("small")),
                ..row(VehicleId(id), seq)
            });
            batch.set_field(FIELDS[0].key, FieldValue::Int(i64::try_from(seq).expect("small")));
            batch.enrich_last(None, Some("gateway"));
        }
        batch.seal();
        batch
    };
    let mut sink = lake.sink();
    sink.store(P0, LogOffset(10), &make(0..10, 1)).expect("stores");
    sink.store(P0, LogOffset(20), &make(10..20, 2)).expect("stores");
    lake.compact_with(Compaction::Whole, &unwatched).expect("compacts");
    sink.store(P0, LogOffset(30), &make(20..30, -5)).expect("stores");
    sink.store(Partition(3), LogOffset(4), &make(30..40, 7)).expect("stores");
}
