//! The lake over storage that fails: killed between any two writes, lost replies, refusals.

mod store;

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use outrider_model::catalogue::{EVENT_TYPES, FIELDS};
use outrider_model::{EventBatch, EventRow, LogOffset, Partition, Sink as _, SinkError};
use outrider_types::{
    BootEpoch, EventId, EventTime, IngestTime, Lane, Seq, Severity, TenantId, UnixMicros, VehicleId,
    VehicleMicros,
};
use serde_json::Value;
use tokio::runtime::Handle;

use self::store::{Fault, Faulty};
use super::compact::Compaction;
use super::lake::{Lake, LakeConfig};
use super::progress::unwatched;
use super::query::QueryLimits;
use super::table::Storage;
use super::verify::VerifyDepth;
use crate::error::LakeError;

const P0: Partition = Partition(0);
/// 2026-01-05T00:00:00Z.
const DAY: i64 = 1_767_571_200_000_000;
/// No run of these tests writes so often.
const STEPS_MAX: u64 = 200;

async fn open(store: Arc<dyn ObjectStore>) -> Result<Lake, LakeError> {
    let config = LakeConfig::new("memory:///lake/");
    let storage = Storage::on("memory:///lake/", store).expect("a plain location");
    Lake::connect_on(&storage, &config, Handle::current(), &FIELDS[..4], true).await
}

/// Rows of some vehicles in all parts of the range of names, of two tenants.
fn batch(seqs: std::ops::Range<u64>) -> EventBatch {
    let mut batch = EventBatch::new();
    for seq in seqs {
        let number = u8::try_from(seq * 37 % 251).expect("small");
        let (vehicle, signed) = (VehicleId([number; 16]), i64::try_from(seq).expect("small"));
        batch.push(&EventRow {
            tenant: TenantId(1 + u32::try_from(seq % 2).expect("small")),
            id: EventId { vehicle, epoch: BootEpoch(7), lane: Lane::Batched, seq: Seq(seq) },
            event_type: EVENT_TYPES[0].id,
            severity: Severity::from_code(2).expect("low"),
            time: EventTime { best: UnixMicros(DAY + signed * 1_000_001), error_us: 5 },
            ingest: IngestTime(UnixMicros(DAY + signed)),
            mono: VehicleMicros(seq * 10),
            count: 1,
            span: (VehicleMicros(seq * 10), VehicleMicros(seq * 10)),
            bus: None,
            context: b"\x01\x02",
        });
    }
    batch.seal();
    batch
}

async fn rows(lake: &Lake) -> Vec<Vec<Value>> {
    let query = "SELECT tenant, ingest_date, vehicle_id, epoch, lane, seq, event_time, context FROM events \
                 ORDER BY tenant, vehicle_id, epoch, lane, seq";
    lake.sql_async(query, &QueryLimits::default()).await.expect("asks").rows
}

/// A table with a few small files.
async fn filled() -> InMemory {
    let shared = Arc::new(InMemory::new());
    let lake = open(Arc::clone(&shared) as Arc<dyn ObjectStore>).await.expect("opens");
    for turn in 0..4 {
        let stored = lake.store_async(P0, LogOffset(turn + 1), &batch(turn * 20..(turn + 1) * 20)).await;
        stored.expect("stores");
    }
    shared.fork()
}

/// Opens what is left without faults and holds it against its log.
async fn sound(store: &InMemory, what: &str) -> Lake {
    let lake = open(Arc::new(store.fork())).await.expect("opens");
    let report = lake.verify_async(VerifyDepth::Bytes, &unwatched).await.expect("verifies");
    assert!(report.is_sound(), "{what}: {report:?}");
    lake
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_that_dies_at_any_step_loses_and_doubles_nothing() {
    let original = filled().await;
    let expected = rows(&sound(&original, "filled").await).await;
    assert_eq!(expected.len(), 80);
    for kind in [Fault::DieBefore, Fault::DieAfter, Fault::LoseReply, Fault::Refuse] {
        let mut steps = 0;
        for step in 1..STEPS_MAX {
            let what = format!("{kind:?} at step {step}");
            let store = Arc::new(original.fork());
            let faulty = Faulty::new(Arc::clone(&store) as Arc<dyn ObjectStore>, kind);
            let lake = open(Arc::new(faulty.clone())).await.expect("opens");
            faulty.arm(step);
            let done = lake.compact_async(Compaction::Whole, &unwatched).await;
            drop(lake);
            let fired = faulty.fired();
            let after = sound(&store, &what).await;
            assert_eq!(rows(&after).await, expected, "{what}");
            let report = after.compact_async(Compaction::Whole, &unwatched).await.expect("goes on");
            assert_eq!(rows(&after).await, expected, "{what}: {report:?}");
            if !fired {
                assert!(done.is_ok() && report.folders == 0, "{what}: {done:?}, {report:?}");
                break;
            }
            steps = step;
        }
        // A file for each bucket that a tenant's vehicles are in, and the commit.
        assert!((20..STEPS_MAX - 1).contains(&steps), "{kind:?}: {steps} steps");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_dies_at_any_step_is_repeated_without_a_row_twice() {
    let original = filled().await;
    for kind in [Fault::DieBefore, Fault::DieAfter, Fault::LoseReply, Fault::Refuse] {
        let mut steps = 0;
        for step in 1..STEPS_MAX {
            let what = format!("{kind:?} at step {step}");
            let store = Arc::new(original.fork());
            let faulty = Faulty::new(Arc::clone(&store) as Arc<dyn ObjectStore>, kind);
            let lake = open(Arc::new(faulty.clone())).await.expect("opens");
            faulty.arm(step);
            let done = lake.store_async(P0, LogOffset(5), &batch(80..100)).await;
            let fired = faulty.fired();
            if fired && matches!(kind, Fault::LoseReply | Fault::Refuse) {
                // The worker says the same again to the lake that it has.
                lake.store_async(P0, LogOffset(5), &batch(80..100)).await.expect("the storage is back");
            }
            drop(lake);
            let after = sound(&store, &what).await;
            let next = after.next_offset_async(P0).await.expect("asks");
            assert_eq!(rows(&after).await.len(), if next == LogOffset(5) { 100 } else { 80 }, "{what}");
            assert!(next == LogOffset(5) || done.is_err(), "{what}: {done:?} but {next:?}");
            after.store_async(P0, LogOffset(5), &batch(80..100)).await.expect("says it again");
            assert_eq!(rows(&after).await.len(), 100, "{what}");
            if !fired {
                break;
            }
            steps = step;
        }
        assert!((2..STEPS_MAX - 1).contains(&steps), "{kind:?}: {steps} steps");
    }
}

#[test]
fn of_two_workers_on_one_partition_the_slower_one_is_refused_and_no_row_is_there_twice() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = Arc::new(InMemory::new());
    let process = || runtime.block_on(open(Arc::clone(&store) as Arc<dyn ObjectStore>)).expect("opens");
    let (former, owner) = (process(), process());
    let (mut slow, mut fast) = (former.sink(), owner.sink());
    let count = |lake: &Lake| runtime.block_on(rows(lake)).len();
    for sink in [&mut slow, &mut fast] {
        assert_eq!(sink.next_offset(P0).expect("asks"), LogOffset(0));
    }
    slow.store(P0, LogOffset(2), &batch(0..20)).expect("nobody was before it");
    // The owner began before that and takes other steps: its rows begin in the middle of what is there.
    for _ in 0..2 {
        let refused = fast.store(P0, LogOffset(5), &batch(0..50));
        assert!(matches!(refused, Err(SinkError::Moved { .. })), "{refused:?}");
        assert_eq!(count(&process()), 20, "nothing of it was stored");
    }
    assert_eq!(fast.next_offset(P0).expect("asks"), LogOffset(2));
    fast.store(P0, LogOffset(5), &batch(20..50)).expect("it begins where the lake ends");
    // What is all there already is no trouble, what goes further is.
    slow.store(P0, LogOffset(5), &batch(20..50)).expect("it is there");
    fast.store(P0, LogOffset(6), &batch(50..60)).expect("stores");
    let refused = slow.store(P0, LogOffset(7), &batch(50..70));
    assert!(matches!(refused, Err(SinkError::Moved { .. })), "{refused:?}");
    slow.store(Partition(1), LogOffset(1), &batch(70..80)).expect("another partition is free");
    assert_eq!(count(&process()), 70);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_gone_cut_changed_or_doubled_is_found() {
    use object_store::{ObjectStoreExt, path::Path};
    let original = filled().await;
    let lake = sound(&original, "filled").await;
    lake.store_async(P0, LogOffset(5), &batch(80..81)).await.expect("stores");
    // Rows that came again under another offset: what nobody but a broken worker does.
    lake.store_async(Partition(1), LogOffset(9), &batch(3..5)).await.expect("stores");
    let report = lake.verify_async(VerifyDepth::Rows, &unwatched).await.expect("verifies");
    assert_eq!((report.doubled, report.is_sound(), report.rows), (2, false, 83), "{report:?}");

    let files = |store: &InMemory| {
        let store = store.fork();
        async move {
            use futures::TryStreamExt;
            let prefix = Path::from("lake/tenant=1");
            let all: Vec<_> = store.list(Some(&prefix)).try_collect().await.expect("lists");
            all.into_iter().map(|file| file.location).collect::<Vec<_>>()
        }
    };
    let paths = files(&original).await;
    assert_eq!(paths.len(), 4);
    let (first, second) = (&paths[0], &paths[1]);
    let bytes = original.get(first).await.expect("there").bytes().await.expect("reads");
    let verify = |store: InMemory, depth| async move {
        let lake = open(Arc::new(store)).await.expect("opens");
        let report = lake.verify_async(depth, &unwatched).await.expect("verifies");
        assert!(!report.is_sound() && report.faults.len() == 1, "{report:?}");
        report
    };

    let gone = original.fork();
    gone.delete(first).await.expect("deletes");
    assert_eq!(verify(gone, VerifyDepth::Files).await.missing, 1);

    let cut = original.fork();
    cut.put(first, bytes.slice(..bytes.len() - 1).into()).await.expect("puts");
    assert_eq!(verify(cut, VerifyDepth::Files).await.different, 1);

    let mut flipped = bytes.to_vec();
    flipped[20] ^= 1;
    let changed = original.fork();
    changed.put(first, flipped.into()).await.expect("puts");
    let clean = open(Arc::new(changed.fork())).await.expect("opens");
    let report = clean.verify_async(VerifyDepth::Files, &unwatched).await.expect("verifies");
    assert!(report.is_sound(), "its end is whole, so only reading all of it can tell: {report:?}");
    assert_eq!(verify(changed, VerifyDepth::Bytes).await.damaged, 1);

    let exchanged = original.fork();
    let other = original.get(second).await.expect("there").bytes().await.expect("reads");
    exchanged.put(first, other.into()).await.expect("puts");
    let report = verify(exchanged, VerifyDepth::Files).await;
    assert_eq!(report.different, 1, "another file's rows: {report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_over_storage_that_does_not_answer_ends_at_its_time() {
    let original = Arc::new(filled().await);
    let faulty = Faulty::new(original, Fault::Hang);
    let lake = open(Arc::new(faulty.clone())).await.expect("opens");
    let limits = QueryLimits { time_max: std::time::Duration::from_millis(300), ..QueryLimits::default() };
    let all = "SELECT sum(seq) FROM events";
    lake.sql_async(all, &QueryLimits::default()).await.expect("it answers");
    faulty.arm(1);
    let error = lake.sql_async(all, &limits).await.expect_err("nothing comes");
    assert!(matches!(error, crate::error::QueryError::Timeout { .. }) && faulty.fired(), "{error}");
    faulty.arm(0);
    lake.sql_async(all, &QueryLimits::default()).await.expect("it answers again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_read_wrongly_are_found_and_never_written_for_ever() {
    let original = Arc::new(filled().await);
    let expected = rows(&sound(&original, "filled").await).await;
    let faulty = Faulty::new(Arc::clone(&original) as Arc<dyn ObjectStore>, Fault::Lie);
    let lake = open(Arc::new(faulty.clone())).await.expect("opens");
    faulty.arm(1);
    let report = lake.compact_async(Compaction::Whole, &unwatched).await.expect("leaves them alone");
    assert!((report.folders, report.files_after, report.damaged > 0) == (0, 0, true), "{report:?}");
    assert!(faulty.fired());
    let report = lake.verify_async(VerifyDepth::Bytes, &unwatched).await.expect("verifies");
    assert!(report.damaged > 0 && !report.is_sound(), "{report:?}");
    faulty.arm(0);
    assert_eq!(rows(&sound(&original, "after").await).await, expected);
    let report = lake.compact_async(Compaction::Whole, &unwatched).await.expect("compacts");
    assert!(report.damaged == 0 && report.folders > 0, "{report:?}");
    assert_eq!(rows(&lake).await, expected);
}
