//! Tiers, deletion and legal holds.

use outrider_lake::{Compaction, Hold, Release, Retention, VerifyDepth, unwatched};

use super::*;

const DAY_US: i64 = 86_400_000_000;
const DELETE: Retention =
    Retention { warm_after_days: None, cold_after_days: None, delete_after_days: Some(10) };

/// Thirteen vehicles, a hundred rows on each of three days: the first, the sixth and the twenty-first.
fn three_days(runtime: &Runtime, folder: &Path) -> Lake {
    let lake = open(runtime, folder);
    for (offset, day) in [(1, 0), (2, 5), (3, 20)] {
        let mut batch = EventBatch::new();
        for seq in offset * 100..offset * 100 + 100 {
            let event = row(vehicle(u8::try_from(seq % 13).expect("small")), seq);
            let time = EventTime { best: UnixMicros(event.time.best.0 + day * DAY_US), ..event.time };
            batch.push(&EventRow { ingest: IngestTime(UnixMicros(DAY + 1 + day * DAY_US)), time, ..event });
        }
        batch.seal();
        lake.sink().store(P0, LogOffset(offset), &batch).expect("stores");
    }
    lake
}

/// The last microsecond of a day.
fn at(day: i64) -> UnixMicros {
    UnixMicros(DAY + (day + 1) * DAY_US - 1)
}

fn hold(id: &str) -> Hold {
    Hold {
        id: id.to_owned(),
        reason: "order of a court".to_owned(),
        case: Some("17".to_owned()),
        vehicles: vec![vehicle(3), vehicle(4)],
        tenant: None,
        from: None,
        to: None,
        set_by: "jo".to_owned(),
        set_at: UnixMicros(DAY),
    }
}

fn rows_of(lake: &Lake, what: &str) -> i64 {
    number(lake, &format!("SELECT count(*) FROM events WHERE {what}"))
}

#[test]
fn rows_end_on_their_day_and_a_dry_run_says_what_will_be() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let lake = three_days(&runtime, &folder.path().join("lake"));
    let retain = |day, dry| lake.retain(&DELETE, at(day), dry, &unwatched).expect("retains");
    assert_eq!(retain(9, false).deleted_rows, 0, "nothing is ten days old");
    let (dry, none) = (retain(15, true), rows_of(&lake, "true"));
    assert_eq!((dry.is_dry_run, dry.deleted_rows, dry.deleted_files, none), (true, 200, 2, 300));
    let days: Vec<_> = dry.days.iter().map(|day| (day.date.as_str(), day.act, day.rows, day.held)).collect();
    assert_eq!(days, [("2026-01-05", "delete", 100, 0), ("2026-01-10", "delete", 100, 0)]);
    let done = retain(15, false);
    assert_eq!((done.deleted_rows, done.deleted_bytes), (200, dry.deleted_bytes));
    assert_eq!(rows_of(&lake, "true"), 100);
    assert_eq!(lake.sink().next_offset(P0).expect("asks"), LogOffset(3), "a replay does not bring them back");
    assert_eq!(retain(15, false).deleted_files, 0);
    let report = lake.verify(VerifyDepth::Bytes, &unwatched).expect("verifies");
    assert!(report.is_sound() && report.rows == 100 && report.unreferenced == 2, "{report:?}");
    let nothing = lake.retain(&Retention::default(), at(30_000), false, &unwatched).expect("retains");
    assert_eq!((nothing.deleted_rows, nothing.moved_files), (0, 0), "without a retention nothing ends");
}

#[test]
fn a_hold_keeps_its_rows_until_it_is_released() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("lake");
    let lake = three_days(&runtime, &path);
    lake.compact_with(Compaction::Whole, &unwatched).expect("compacts");
    let held = "vehicle_id IN ('03030303030303030303030303030303', '04040404040404040404040404040404')";
    let before = rows_of(&lake, held);
    assert!(before > 40, "{before}");
    runtime.block_on(lake.hold_async(&hold("court-1"))).expect("sets");
    let again = runtime.block_on(lake.hold_async(&hold("court-1"))).expect_err("its name is taken");
    assert_eq!(again.code(), "lake.hold");
    let narrow = Hold {
        vehicles: vec![vehicle(5)],
        from: Some(UnixMicros(DAY + 5 * DAY_US)),
        to: Some(at(5)),
        ..hold("narrow")
    };
    runtime.block_on(lake.hold_async(&narrow)).expect("sets");
    let fifth = rows_of(&lake, "vehicle_id LIKE '0505%' AND ingest_date = DATE '2026-01-10'");
    assert!(fifth > 0);

    let dry = lake.retain(&DELETE, at(40), true, &unwatched).expect("retains");
    // Another handle, as another process: holds are beside the table.
    let report = open(&runtime, &path).retain(&DELETE, at(40), false, &unwatched).expect("retains");
    assert_eq!((report.deleted_rows, report.held_rows), (dry.deleted_rows, dry.held_rows));
    let kept = u64::try_from(before + fifth).expect("a count");
    assert_eq!((report.holds, report.held_rows, report.deleted_rows), (2, kept, 300 - kept));
    assert_eq!((rows_of(&lake, held), rows_of(&lake, "true")), (before, before + fifth));
    assert_eq!(rows_of(&lake, "vehicle_id LIKE '0505%'"), fifth, "of that vehicle only what the hold names");
    let sound = lake.verify(VerifyDepth::Bytes, &unwatched).expect("verifies");
    assert!(sound.is_sound() && sound.rows == kept, "{sound:?}");
    let second = lake.retain(&DELETE, at(40), false, &unwatched).expect("retains");
    assert_eq!((second.deleted_rows, second.deleted_files), (0, 0), "what is held is not written again");

    let release = Release { by: "jo".to_owned(), reason: "over".to_owned(), at: UnixMicros(DAY) };
    runtime.block_on(lake.release_async("nobody", &release)).expect_err("there is no such hold");
    runtime.block_on(lake.release_async("court-1", &release)).expect("releases");
    runtime.block_on(lake.release_async("court-1", &release)).expect_err("it is released");
    let holds = runtime.block_on(lake.holds_async()).expect("lists");
    assert_eq!(holds, [(hold("court-1"), Some(release)), (narrow, None)]);
    let report = lake.retain(&DELETE, at(40), false, &unwatched).expect("retains");
    assert_eq!(report.deleted_rows, u64::try_from(before).expect("a count"));
    assert_eq!(rows_of(&lake, "true"), fifth);
}

#[test]
fn a_hold_that_cannot_be_read_stops_every_deletion() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("lake");
    let lake = three_days(&runtime, &path);
    runtime.block_on(lake.hold_async(&hold("court-1"))).expect("sets");
    let file = path.join("_outrider/holds/court-1.json");
    let text = std::fs::read_to_string(&file).expect("it is a file");
    std::fs::write(&file, &text[..text.len() / 2]).expect("damages it");
    let error = lake.retain(&DELETE, at(40), false, &unwatched).expect_err("nobody knows what is held");
    assert!(error.code() == "lake.hold" && error.to_string().contains("court-1"), "{error}");
    assert_eq!(rows_of(&lake, "true"), 300);
    std::fs::write(&file, text).expect("mends it");
    // Compaction and vacuum leave holds alone.
    let config =
        LakeConfig { retention_min: Duration::ZERO, ..LakeConfig::new(path.to_str().expect("plain")) };
    let lake = Lake::open(&config, runtime.handle().clone()).expect("opens");
    lake.compact_with(Compaction::Whole, &unwatched).expect("compacts");
    assert!(lake.vacuum(Duration::ZERO).expect("vacuums").files > 0);
    assert_eq!(runtime.block_on(lake.holds_async()).expect("lists").len(), 1);
}

#[test]
fn later_tiers_are_written_once_and_say_the_same() {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("lake");
    let lake = three_days(&runtime, &path);
    let all = "SELECT vehicle_id, epoch, lane, seq, event_time, context FROM events ORDER BY seq";
    let before = ask(&lake, all);
    let retention =
        Retention { warm_after_days: Some(10), cold_after_days: Some(18), delete_after_days: None };
    runtime.block_on(lake.set_retention_async(&retention)).expect("keeps it");
    assert_eq!(runtime.block_on(lake.retention_async()).expect("reads it"), retention);
    let bad = Retention { cold_after_days: Some(5), ..retention };
    assert_eq!(
        runtime.block_on(lake.set_retention_async(&bad)).expect_err("out of order").code(),
        "lake.retention"
    );
    // The days are 20, 15 and 0 days old.
    let dry = lake.retain(&retention, at(20), true, &unwatched).expect("retains");
    let days: Vec<_> = dry.days.iter().map(|day| (day.date.as_str(), day.act, day.rows)).collect();
    assert_eq!(days, [("2026-01-05", "cold", 100), ("2026-01-10", "warm", 100)]);
    let report = lake.retain(&retention, at(20), false, &unwatched).expect("retains");
    assert!(report.moved_files >= 2 && report.moved_bytes_after > 0 && report.overtaken == 0, "{report:?}");
    assert_eq!(ask(&lake, all), before);
    let names = walk(&path);
    let files = |word: &str| names.iter().filter(|name| name.contains(&format!("/{word}-"))).count();
    assert!(files("cold") > 0 && files("warm") > 0);
    let second = lake.retain(&retention, at(20), false, &unwatched).expect("retains");
    assert_eq!(second.moved_files, 0, "{second:?}");
    let later = lake.retain(&retention, at(23), false, &unwatched).expect("retains");
    let days: Vec<_> = later.days.iter().map(|day| (day.date.as_str(), day.act)).collect();
    assert_eq!(days, [("2026-01-10", "cold")]);
    assert_eq!(ask(&lake, all), before);
    let sound = lake.verify(VerifyDepth::Bytes, &unwatched).expect("verifies");
    assert!(sound.is_sound() && sound.rows == 300, "{sound:?}");
}
