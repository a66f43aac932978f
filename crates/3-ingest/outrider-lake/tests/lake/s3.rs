//! The lake in a bucket of a real server.

use outrider_lake::{Compaction, Hold, Retention, S3Config, Secret, VerifyDepth, unwatched};

use super::tools::{S3Server, tools};
use super::*;

fn config(server: &S3Server, path: &str) -> LakeConfig {
    let s3 = S3Config {
        endpoint: Some(server.endpoint.clone()),
        region: None,
        key: Some(("test".to_owned(), Secret::new("test"))),
        token: None,
    };
    LakeConfig { s3, retention_min: Duration::ZERO, ..LakeConfig::new(format!("s3://fleet/{path}")) }
}

#[test]
fn a_lake_in_a_bucket_takes_writers_at_once_is_compacted_verified_and_kept() {
    let Some(bin) = tools() else { return };
    let (server, runtime) = (S3Server::start(&bin), runtime());
    let config = config(&server, "lake");
    let open = || Lake::open(&config, runtime.handle().clone()).expect("opens");
    let absent = Lake::open_read_only(&config, runtime.handle().clone()).expect_err("nothing is there");
    assert!(matches!(absent, LakeError::Absent { .. }), "{absent}");
    let lake = open();
    lake.sink().store(P0, LogOffset(1), &batch(0..200)).expect("stores");
    lake.sink().store(P0, LogOffset(1), &batch(0..200)).expect("again, which changes nothing");
    // Writers that know nothing of each other: each version of the table is written by one of them.
    std::thread::scope(|scope| {
        let writers: Vec<_> = (1..4_u16)
            .map(|partition| {
                let other = open();
                scope.spawn(move || {
                    for turn in 0..5 {
                        let seq = u64::from(partition) * 10_000 + turn * 10;
                        let (next, rows) = (LogOffset(turn + 1), batch(seq..seq + 10));
                        other.sink().store(Partition(partition), next, &rows).expect("stores beside others");
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().expect("no writer fails"));
    });
    let counts = "SELECT count(*), count(DISTINCT seq) FROM events";
    assert_eq!(ask(&lake, counts).rows[0], [json!(350), json!(350)]);
    assert_eq!(lake.sink().next_offset(Partition(3)).expect("asks"), LogOffset(5));

    let report = lake.compact_with(Compaction::Whole, &unwatched).expect("compacts");
    assert!(report.files_before >= 16 && report.rows >= 350, "{report:?}");
    let sound = lake.verify(VerifyDepth::Bytes, &unwatched).expect("verifies");
    assert!(sound.is_sound() && sound.rows == 350 && sound.unreferenced >= 16, "{sound:?}");
    let hold = Hold {
        id: "court-1".to_owned(),
        reason: "order of a court".to_owned(),
        case: None,
        vehicles: vec![vehicle(3)],
        tenant: None,
        from: None,
        to: None,
        set_by: "jo".to_owned(),
        set_at: UnixMicros(DAY),
    };
    runtime.block_on(lake.hold_async(&hold)).expect("sets");
    let taken = runtime.block_on(open().hold_async(&hold)).expect_err("the server refuses to replace it");
    assert_eq!(taken.code(), "lake.hold");
    let held = number(&lake, "SELECT count(*) FROM events WHERE vehicle_id LIKE '0303%'");
    let retention = Retention { delete_after_days: Some(1), ..Retention::default() };
    let later = UnixMicros(DAY + 10 * 86_400_000_000);
    let report = lake.retain(&retention, later, false, &unwatched).expect("retains");
    assert_eq!(i64::try_from(report.held_rows).expect("few"), held);
    assert!(lake.vacuum(Duration::ZERO).expect("vacuums").files >= 16);
    drop(lake);
    let reader = Lake::open_read_only(&config, runtime.handle().clone()).expect("opens");
    assert_eq!(number(&reader, "SELECT count(*) FROM events"), held);
    let sound = reader.verify(VerifyDepth::Bytes, &unwatched).expect("verifies");
    assert!(sound.is_sound() && sound.unreferenced == 0, "{sound:?}");
    assert!(!format!("{reader:?}").contains("Some(\"test\")"), "no secret is shown");
}

#[test]
fn a_server_that_goes_away_is_an_error_and_not_a_loss() {
    let Some(bin) = tools() else { return };
    let runtime = runtime();
    let server = S3Server::start(&bin);
    let config = config(&server, "gone");
    let lake = Lake::open(&config, runtime.handle().clone()).expect("opens");
    lake.sink().store(P0, LogOffset(1), &batch(0..20)).expect("stores");
    drop(server);
    let limits = QueryLimits { time_max: Duration::from_secs(1), ..QueryLimits::default() };
    let error = lake.sql("SELECT count(*) FROM events", &limits).expect_err("nobody answers");
    assert!(
        matches!(error, QueryError::Timeout { .. } | QueryError::Lake(_) | QueryError::Failed(_)),
        "{error}"
    );
    assert!(!error.to_string().contains("AWS4-HMAC"), "{error}");
}
