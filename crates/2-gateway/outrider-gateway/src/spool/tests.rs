use std::collections::{BTreeMap, BTreeSet};

use outrider_types::{ClockSource, EventId, Seed, UnixMicros, VehicleId, VehicleMicros};
use outrider_wire::catalogue::{event, field};
use outrider_wire::{Batch, DropCount, SealedAck, Watermark};
use proptest::prelude::*;

use super::query::READ_TRIES;
use super::recovery::unnumbered;
use super::*;
use crate::{Ed25519Signer, Ed25519Verifier, Faults, FieldValue, FileStorage, MemoryStorage, Write};

const VEHICLE: VehicleId = VehicleId([7; 16]);
/// The two lower lanes must evict.
const TIGHT: SpoolConfig = SpoolConfig { quota_bytes: [20_000, 900, 900], segment_bytes: 300 };
const SMALL: SpoolConfig = SpoolConfig { quota_bytes: [20_000; 3], segment_bytes: 500 };

type Id = (BootEpoch, Lane, u64);

fn event(lane: Lane, mark: u64, count: u64) -> SecurityEvent {
    let mut event = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(mark));
    event.lane = lane;
    event.count = count;
    event.context = vec![0xA5, 0x5A, 1, 0];
    event.with(field::CAN_ID, FieldValue::Uint(mark))
}

fn open<S: Storage>(storage: S, config: SpoolConfig) -> (Spool<S>, Recovery) {
    Spool::open(storage, config, BootEpoch(1), 0x5EED).expect("the medium can be written")
}

fn acknowledge<S: Storage>(spool: &mut Spool<S>, epoch: BootEpoch, lane: Lane, contiguous: u64) -> u64 {
    let signer = Ed25519Signer::new(&[3; 32]);
    let mut out = [0; 256];
    let mark = Watermark { epoch, lane, contiguous, holes: &[] };
    let length = Ack::emit(VEHICLE, UnixMicros(1), &[mark], &signer, &mut out).expect("fits");
    let verifier = Ed25519Verifier::new(&signer.public_key()).expect("a real key");
    let ack =
        SealedAck::parse(&out[..length]).and_then(|sealed| sealed.open(&verifier)).expect("just signed");
    spool.apply_watermark(&ack)
}

/// Rows held, with the mark of each.
fn held<S: Storage>(spool: &mut Spool<S>) -> BTreeMap<Id, u64> {
    let mut rows = BTreeMap::new();
    for epoch in spool.epochs() {
        for lane in Lane::ALL {
            let mut after = 0;
            while let Some(seq) = spool.next_held(epoch, lane, after) {
                after = seq.0;
                let Some(row) = spool.read(epoch, lane, seq).expect("healthy medium") else { continue };
                let batch = Batch::parse(&row).expect("own row");
                let event = batch.events().next().expect("one row").expect("own row");
                assert_eq!((event.head.lane, event.head.seq), (lane, seq));
                rows.insert((epoch, lane, seq.0), event.head.first.0);
            }
        }
    }
    rows
}

fn assert_balance<S: Storage>(spool: &Spool<S>) {
    for ((epoch, lane), state) in &spool.lanes {
        let balanced = state.last_seq + state.folded + unnumbered(&state.drops);
        assert_eq!(state.received, balanced, "BAL-1 of {epoch} {lane}: {state:?}");
    }
}

/// What must hold after the first `writes` writes.
#[derive(Debug, Clone, Default)]
struct Promise {
    writes: usize,
    durable: BTreeMap<Id, u64>,
    freed: BTreeSet<Id>,
}

/// A run over two boots with every kind of write, and what was promised after each step.
#[derive(Debug)]
struct Run {
    config: SpoolConfig,
    appended: BTreeMap<Id, u64>,
    now: Promise,
    promises: Vec<Promise>,
}

impl Run {
    fn note(&mut self, spool: &Spool<MemoryStorage>) {
        self.now.writes = spool.storage().writes().len();
        self.promises.push(self.now.clone());
    }

    fn append(&mut self, spool: &mut Spool<MemoryStorage>, lane: Lane, mark: u64) {
        let appended = spool.append(&event(lane, mark, 1 + mark % 3)).expect("room");
        let id = (spool.epoch(), lane, appended.seq.0);
        self.appended.insert(id, mark);
        assert_eq!(appended.durable, lane == Lane::Critical);
        if appended.durable {
            self.now.durable.insert(id, mark);
        }
        self.note(spool);
    }

    fn boot(&mut self, spool: &mut Spool<MemoryStorage>, rows: u64) {
        let fix =
            ClockFix { mono: VehicleMicros(5), wall: UnixMicros(77), error_us: 1, source: ClockSource::Gnss };
        spool.add_fix(fix).expect("room");
        for mark in 0..rows {
            self.append(spool, Lane::ALL[(mark % 3) as usize], 1000 + mark);
            if mark % 5 == 4 {
                spool.sync().expect("healthy medium");
                self.now.durable = self.appended.clone();
                self.note(spool);
            }
            if mark % 7 == 6 {
                let lane = Lane::ALL[(mark / 7 % 3) as usize];
                for (epoch, _, seq) in self.appended.keys().filter(|(_, of, _)| *of == lane) {
                    if *seq <= mark / 3 {
                        self.now.freed.insert((*epoch, lane, *seq));
                    }
                }
                for epoch in spool.epochs() {
                    acknowledge(spool, epoch, lane, mark / 3);
                }
                self.note(spool);
            }
        }
    }

    fn two_boots(config: SpoolConfig) -> (Self, Vec<Write>) {
        let promises = vec![Promise::default()];
        let mut run = Self { config, appended: BTreeMap::new(), now: Promise::default(), promises };
        let (mut spool, _) = open(MemoryStorage::new(), config);
        run.boot(&mut spool, 30);
        let (mut spool, _) = open(spool.into_storage(), config);
        // What the first boot did not sync is on this medium all the same.
        run.boot(&mut spool, 18);
        (run, spool.into_storage().writes().to_vec())
    }

    /// Opens an image and returns how many promised rows are missing and how many rows were never appended.
    fn judge(&self, image: MemoryStorage, writes: usize) -> (usize, usize) {
        let promise =
            self.promises.iter().rev().find(|promise| promise.writes <= writes).expect("one for zero");
        let (mut spool, recovery) = open(image, self.config);
        assert_balance(&spool);
        let rows = held(&mut spool);
        assert!(rows.keys().all(|(epoch, ..)| *epoch < recovery.epoch), "LOG-1: epochs are never used again");
        let phantom = rows.iter().filter(|(id, mark)| self.appended.get(*id) != Some(*mark)).count();
        let durable = promise.durable.keys().filter(|id| !self.later_freed(id, writes));
        let evicted = |(epoch, lane, seq): &Id| {
            let mut gaps = spool.gaps(*epoch).filter(|gap| gap.reason == Some(DropReason::Evicted));
            gaps.any(|gap| gap.lane == *lane && gap.range.contains(Seq(*seq)))
        };
        let lost = durable.filter(|id| !rows.contains_key(*id) && !evicted(id)).count();
        let appended = spool.append(&event(Lane::Critical, 1, 1)).expect("a recovered spool works");
        assert_eq!(appended, Appended { seq: Seq(1), durable: true });
        (lost, phantom)
    }

    /// A row may be gone as soon as the step that freed it began.
    fn later_freed(&self, id: &Id, writes: usize) -> bool {
        let next = self.promises.iter().find(|promise| promise.writes > writes).or(self.promises.last());
        next.is_some_and(|promise| promise.freed.contains(id))
    }
}

/// Opens every image of a run: each prefix of the writes, cut at each byte, and with all that was not synced lost.
fn cut_everywhere(config: SpoolConfig) -> (usize, Vec<Write>) {
    let (run, writes) = Run::two_boots(config);
    let mut images = 0;
    for count in 0..=writes.len() {
        let cuts = match writes.get(count) {
            Some(Write::Append(_, bytes)) => bytes.len(),
            Some(Write::Create(_) | Write::Truncate(..) | Write::Sync(_) | Write::Remove(_)) | None => 1,
        };
        for cut in 0..cuts {
            images += 1;
            let (lost, phantom) = run.judge(MemoryStorage::image(&writes, count, cut), count);
            assert_eq!((lost, phantom), (0, 0), "write {count} cut at byte {cut}");
        }
        images += 1;
        let (lost, phantom) = run.judge(MemoryStorage::durable_image(&writes, count), count);
        assert_eq!((lost, phantom), (0, 0), "everything unsynced lost after write {count}");
    }
    (images, writes)
}

fn removals(writes: &[Write]) -> usize {
    writes.iter().filter(|write| matches!(write, Write::Remove(_))).count()
}

#[test]
fn no_power_cut_at_any_byte_loses_a_synced_row_or_invents_one() {
    let (images, writes) = cut_everywhere(SMALL);
    assert!(images > 3000 && removals(&writes) > 0, "{images} images, {} removals", removals(&writes));
}

#[test]
fn no_power_cut_during_eviction_loses_a_row_that_no_gap_names() {
    let (images, writes) = cut_everywhere(TIGHT);
    let (spool, _) = open(MemoryStorage::image(&writes, writes.len(), 0), TIGHT);
    let gaps = spool.epochs().into_iter().flat_map(|epoch| spool.gaps(epoch).collect::<Vec<_>>());
    assert!(gaps.filter(|gap| gap.reason == Some(DropReason::Evicted)).count() > 0, "the run must evict");
    assert!(images > 3000 && removals(&writes) > 0, "{images} images, {} removals", removals(&writes));
}

#[test]
fn the_crash_test_catches_a_medium_that_does_not_sync() {
    let (run, writes) = Run::two_boots(SMALL);
    let mut lying = 0;
    let mut lost = 0;
    for count in 0..=writes.len() {
        // The names become durable, the bytes written after the first sync of a segment do not.
        let mut named = BTreeSet::new();
        let unsynced: Vec<Write> = writes[..count]
            .iter()
            .filter(|write| match write {
                Write::Sync(id) => named.insert(*id),
                Write::Create(_) | Write::Append(..) | Write::Truncate(..) | Write::Remove(_) => true,
            })
            .cloned()
            .collect();
        lying += count - unsynced.len();
        lost += run.judge(MemoryStorage::durable_image(&unsynced, unsynced.len()), count).0;
    }
    assert!(lying > 0 && lost > 0, "{lying} syncs left out, {lost} rows missed");
}

#[test]
fn one_flipped_bit_anywhere_loses_at_most_what_is_reported_and_invents_nothing() {
    let (mut spool, _) = open(MemoryStorage::new(), SMALL);
    let mut appended = BTreeMap::new();
    for mark in 0..12 {
        let row = spool.append(&event(Lane::Critical, mark, 1)).expect("room");
        appended.insert((spool.epoch(), Lane::Critical, row.seq.0), mark);
    }
    spool.sync().expect("healthy medium");
    let storage = spool.into_storage();
    let (mut flips, mut damaged) = (0, 0);
    for id in storage.list().expect("in memory") {
        let length = storage.read(id, 0, usize::MAX).expect("in memory").len();
        for offset in 0..length {
            let mut image = storage.clone();
            assert!(image.flip(id, offset, offset.to_le_bytes()[0]));
            flips += 1;
            let (mut spool, recovery) = open(image, SMALL);
            assert_balance(&spool);
            let rows = held(&mut spool);
            assert!(rows.iter().all(|(id, mark)| appended.get(id) == Some(mark)), "phantom at {id} {offset}");
            let missing = appended.keys().filter(|id| !rows.contains_key(*id)).count() as u64;
            let gaps: u64 = spool.gaps(BootEpoch(1)).map(|gap| gap.range.count()).sum();
            assert_eq!(gaps, recovery.lost_rows);
            // The last row of a log has nothing after it that could tell of it; its bytes are reported as torn.
            let told = gaps + u64::from(recovery.torn_bytes > 0);
            assert!(
                missing <= told,
                "{missing} rows missing, {told} told of, at {id} {offset}: {recovery:?}"
            );
            damaged += u64::from(missing > 0);
        }
    }
    assert!(flips > 500 && damaged > 300, "{flips} flips damaged {damaged} images");
}

#[test]
fn a_record_hidden_in_a_payload_is_not_found_when_the_one_around_it_breaks() {
    let forge = |salt: u64| {
        let (mut spool, _) = open(MemoryStorage::new(), SMALL);
        let id = SegmentId { number: 1, lane: Lane::Critical };
        let header = Header { id, epoch: BootEpoch(1), salt };
        let template = event(Lane::Critical, 1, 1);
        let mut bytes = [0; 256];
        let mut writer = BatchWriter::new(&mut bytes);
        writer.event(&template.head(Seq(99)), template.wire_fields(), &[]).expect("fits");
        let row = writer.finish();
        // The attacker even knows the offset at which his bytes will stand.
        let start = spool.storage().bytes();
        let mut outer = template.clone();
        outer.context = vec![0; 200];
        let mut hidden = Vec::new();
        for guess in start..start + 120 {
            let entry = Entry::Event { seq: Seq(99), row };
            hidden.clear();
            Record { lane: Lane::Critical, epoch: BootEpoch(1), entry }.emit(
                &header,
                guess as u64,
                &mut hidden,
            );
            outer.context = hidden.clone();
            let mut trial =
                Spool::open(MemoryStorage::new(), SMALL, BootEpoch(1), 0x5EED).expect("in memory").0;
            trial.append(&outer).expect("room");
            let mut storage = trial.into_storage();
            assert!(storage.flip(id, start + 9, 0));
            let (mut spool, _) = open(storage, SMALL);
            if held(&mut spool).contains_key(&(BootEpoch(1), Lane::Critical, 99)) {
                return true;
            }
        }
        spool.sync().expect("healthy medium");
        false
    };
    let real = 0x5EED ^ 1u64.rotate_left(32);
    assert!(forge(real), "with the salt the forgery works, so that this test can fail");
    assert!(!forge(real ^ 1), "without it, it does not");
}

#[test]
fn low_lanes_never_evict_critical_rows_and_every_loss_is_counted() {
    let config = SpoolConfig { quota_bytes: [2_000, 2_000, 2_000], segment_bytes: 400 };
    let (mut spool, _) = open(MemoryStorage::new(), config);
    for mark in 0..5 {
        spool.append(&event(Lane::Critical, mark, 1)).expect("room");
    }
    for mark in 0..200 {
        spool.append(&event(Lane::Deferred, mark, 2)).expect("the oldest make room");
        assert!(spool.lane_bytes(Lane::Deferred) <= 2_000 + 400, "{}", spool.lane_bytes(Lane::Deferred));
    }
    let full = (0..200).filter(|mark| spool.append(&event(Lane::Critical, *mark, 1)).is_err()).count();
    assert!(full > 0, "the critical lane runs full");
    assert_balance(&spool);
    let critical = spool.head(spool.epoch(), Lane::Critical).expect("in use").1;
    assert_eq!(critical, [DropCount { reason: Some(DropReason::QuotaFull), count: full as u64 }]);
    let (head, drops) = spool.head(spool.epoch(), Lane::Deferred).expect("in use");
    let kept = spool.held_after(spool.epoch(), Lane::Deferred, 0).0;
    assert_eq!(head.last_seq, 200);
    assert_eq!(drops, [DropCount { reason: Some(DropReason::Evicted), count: 200 - kept }]);
    let gaps: Vec<Gap> = spool.gaps(spool.epoch()).collect();
    assert_eq!(gaps.iter().map(|gap| gap.range.count()).sum::<u64>(), 200 - kept);
    assert_eq!(gaps.len(), 1, "neighbouring gaps are joined");
    let critical = held(&mut spool).keys().filter(|(_, lane, _)| *lane == Lane::Critical).count();
    assert_eq!(critical, 205 - full);

    let (mut again, recovery) = open(spool.into_storage(), config);
    assert_eq!((recovery.lost_rows, recovery.corrupt_bytes), (0, 0), "evicted rows are no damage");
    assert_eq!(again.gaps(BootEpoch(1)).collect::<Vec<_>>(), gaps);
    assert_eq!(held(&mut again).len() as u64, critical as u64 + kept);
}

#[test]
fn a_full_device_is_counted_and_corrupts_nothing() {
    for truncate_fails in [false, true] {
        for bytes_left in 0..400 {
            let (mut spool, _) = open(MemoryStorage::new(), SMALL);
            let mut appended = BTreeMap::new();
            spool.storage_mut().set_faults(Faults {
                bytes_left: Some(bytes_left),
                truncate_fails,
                sync_fails: false,
                ..Faults::default()
            });
            let mut failed = 0;
            for mark in 0..12 {
                match spool.append(&event(Lane::Critical, mark, 2)) {
                    Ok(row) => drop(appended.insert((BootEpoch(1), Lane::Critical, row.seq.0), mark)),
                    Err(error) => {
                        assert_eq!(error.reason(), DropReason::DeviceFull);
                        failed += 1;
                    }
                }
                assert_balance(&spool);
            }
            assert!(failed > 0, "the device must run full");
            spool.storage_mut().set_faults(Faults::default());
            let row = spool.append(&event(Lane::Critical, 99, 1)).expect("space again");
            appended.insert((BootEpoch(1), Lane::Critical, row.seq.0), 99);
            assert_eq!(held(&mut spool), appended, "{bytes_left} {truncate_fails}");
            spool.sync().expect("healthy medium");
            let (mut again, recovery) = open(spool.into_storage(), SMALL);
            assert_eq!(
                held(&mut again),
                appended,
                "{bytes_left} {truncate_fails} after reopening: {recovery:?}"
            );
            assert_balance(&again);
        }
    }
}

#[test]
fn a_failed_sync_is_not_called_durable() {
    let (mut spool, _) = open(MemoryStorage::new(), SMALL);
    spool.storage_mut().set_faults(Faults { sync_fails: true, ..Faults::default() });
    assert_eq!(spool.append(&event(Lane::Critical, 1, 1)), Ok(Appended { seq: Seq(1), durable: false }));
    assert!(spool.sync().is_err());
}

#[test]
fn an_acknowledgement_frees_what_it_covers_and_no_more() {
    let (mut spool, _) = open(MemoryStorage::new(), SMALL);
    let epoch = spool.epoch();
    for mark in 0..40 {
        spool.append(&event(Lane::Critical, mark, 1)).expect("room");
    }
    let before = spool.lane_bytes(Lane::Critical);
    assert_eq!(acknowledge(&mut spool, epoch, Lane::Batched, 10), 0);
    assert_eq!(acknowledge(&mut spool, BootEpoch(99), Lane::Critical, 10), 0);
    assert_eq!(acknowledge(&mut spool, epoch, Lane::Critical, 10), 10);
    assert_eq!(acknowledge(&mut spool, epoch, Lane::Critical, 9), 0, "a watermark never goes back");
    assert_eq!(spool.next_held(epoch, Lane::Critical, 0), Some(Seq(11)));
    assert_eq!(acknowledge(&mut spool, epoch, Lane::Critical, u64::MAX), 30, "held to the numbers given");
    assert!(spool.lane_bytes(Lane::Critical) < before);
    assert_eq!(spool.append(&event(Lane::Critical, 1, 1)).map(|row| row.seq), Ok(Seq(41)));
}

#[test]
fn a_past_boot_is_forgotten_once_all_is_acknowledged_and_reported() {
    let (mut spool, _) = open(MemoryStorage::new(), SMALL);
    spool.append(&event(Lane::Critical, 1, 1)).expect("room");
    let (mut spool, _) = open(spool.into_storage(), SMALL);
    spool.append(&event(Lane::Critical, 2, 1)).expect("room");
    assert_eq!(spool.epochs().len(), 2);
    acknowledge(&mut spool, BootEpoch(1), Lane::Critical, 1);
    assert_eq!(spool.epochs().len(), 2, "its balance is not reported yet");
    spool.mark_reported(BootEpoch(1));
    assert_eq!(spool.epochs(), [spool.epoch()]);
    let (spool, recovery) = open(spool.into_storage(), SMALL);
    assert_eq!((recovery.rows, spool.epochs().len()), (1, 1));
}

#[test]
fn an_epoch_floor_protects_a_wiped_medium() {
    let (spool, _) =
        Spool::open(MemoryStorage::new(), SMALL, BootEpoch(500), 1).expect("the medium can be written");
    assert_eq!(spool.epoch(), BootEpoch(500));
    let (spool, _) =
        Spool::open(spool.into_storage(), SMALL, BootEpoch(3), 1).expect("the medium can be written");
    assert!(spool.epoch() > BootEpoch(500));
}

#[test]
fn files_keep_rows_over_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut spool, _) = open(FileStorage::open(folder.path()).expect("fresh folder"), SMALL);
    for mark in 0..50 {
        spool.append(&event(Lane::ALL[(mark % 3) as usize], mark, 1)).expect("room");
    }
    acknowledge(&mut spool, BootEpoch(1), Lane::Critical, 5);
    spool.sync().expect("a real disk");
    let before = held(&mut spool);
    drop(spool);
    let (mut spool, recovery) = open(FileStorage::open(folder.path()).expect("unlocked"), SMALL);
    assert_eq!(held(&mut spool), before);
    assert_eq!((recovery.rows, recovery.lost_rows, recovery.torn_bytes), (45, 0, 0));
    let id = EventId { vehicle: VEHICLE, epoch: spool.epoch(), lane: Lane::Critical, seq: Seq(1) };
    assert!(!before.contains_key(&(id.epoch, id.lane, id.seq.0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_as_segments_never_stop_a_start(seed: u64, length in 0usize..2000) {
        let mut random = Seed::new(seed);
        let mut storage = MemoryStorage::new();
        let id = SegmentId { number: 4, lane: Lane::Batched };
        storage.create(id).expect("fresh name");
        let bytes: Vec<u8> = (0..length).map(|_| random.next_u64().to_le_bytes()[0]).collect();
        storage.append(id, &bytes).expect("no faults");
        let (mut spool, recovery) = open(storage, SMALL);
        prop_assert!(held(&mut spool).is_empty());
        prop_assert_eq!(recovery.torn_bytes + recovery.corrupt_bytes, length as u64);
        prop_assert_eq!(spool.epoch(), BootEpoch(5));
    }
}

#[test]
fn a_medium_that_does_not_answer_for_a_while_loses_nothing() {
    let (mut spool, _) = open(MemoryStorage::new(), SMALL);
    let row = spool.append(&event(Lane::Critical, 1, 1)).expect("room");
    let epoch = spool.epoch();
    let read = |spool: &mut Spool<MemoryStorage>| spool.read(epoch, Lane::Critical, row.seq);
    let set = |spool: &mut Spool<MemoryStorage>, read_fails| {
        spool.storage_mut().set_faults(Faults { read_fails, ..Faults::default() });
    };
    set(&mut spool, true);
    for _ in 1..READ_TRIES {
        assert_eq!(read(&mut spool).map_err(|error| error.code()), Err("storage.io"));
    }
    set(&mut spool, false);
    assert!(read(&mut spool).expect("it answers again").is_some(), "the row is there");
    assert_eq!(spool.gaps(epoch).count(), 0);
    set(&mut spool, true);
    for _ in 1..READ_TRIES {
        assert!(read(&mut spool).is_err(), "a good read begins the count anew");
    }
    assert_eq!(read(&mut spool), Ok(None), "a dead sector does not hold up the lane for ever");
    assert_eq!(spool.gaps(epoch).count(), 1, "and is told");
    assert_balance(&spool);
}
