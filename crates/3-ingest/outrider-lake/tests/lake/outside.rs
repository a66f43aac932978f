//! Programs of others read the table and agree.

use outrider_lake::{Compaction, unwatched};

use super::tools::tools;
use super::*;

#[test]
fn other_programs_read_the_same_rows() {
    let Some(bin) = tools() else { return };
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("lake");
    let lake = open(&runtime, &path);
    // Compacted rows, rows that came later, a second day, and a file of more than one vehicle a bucket.
    lake.sink().store(P0, LogOffset(1), &fleet(5_000, 300, 0)).expect("stores");
    lake.sink().store(P0, LogOffset(2), &fleet(3_000, 300, 5_000)).expect("stores");
    lake.compact_with(Compaction::Whole, &unwatched).expect("compacts");
    lake.sink().store(P0, LogOffset(3), &fleet(700, 300, 8_000)).expect("stores");
    let mut other = EventBatch::new();
    other.push(&EventRow {
        tenant: TenantId(2),
        ingest: IngestTime(UnixMicros(DAY - 1)),
        ..row(vehicle(0xAB), 1_000_000)
    });
    other.seal();
    lake.sink().store(P0, LogOffset(4), &other).expect("stores");

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../scripts/lake-read.py");
    let output = Command::new(bin.join("python3")).arg(script).arg(&path).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let ours = ask(
        &lake,
        "SELECT count(*), sum(seq), count(DISTINCT vehicle_id), min(event_time), max(event_time), sum(severity), \
         count(bucket), count(context), sum(vehicle_us), sum(first_us), sum(last_us) FROM events",
    );
    let ours = Value::Array(ours.rows[0].clone());
    assert_eq!(ours[0], json!(8_701));
    // The readers: the log by Python alone and the files by Arrow's C++ and by DuckDB; both by delta-rs.
    for reader in ["arrow", "duckdb", "delta"] {
        assert_eq!(theirs[reader], ours, "{reader}");
    }
    let one = ask(&lake, "SELECT vehicle_id, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5");
    let one: Vec<Value> = one.rows.into_iter().map(Value::Array).collect();
    assert_eq!(theirs["vehicles"], Value::Array(one));
}
