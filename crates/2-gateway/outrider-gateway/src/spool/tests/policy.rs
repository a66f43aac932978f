//! Quotas, eviction, tombstones, acknowledgements, faults of the medium, wear.

use outrider_types::EventTypeId;
use outrider_wire::{DropCount, DropReason, Gap};

use super::*;
use crate::spool::query::READ_TRIES;
use crate::{Faults, FileStorage, Write};

fn gaps<S: Storage>(spool: &Spool<S>) -> Vec<Gap> {
    spool.epochs().into_iter().flat_map(|epoch| spool.gaps(epoch).collect::<Vec<_>>()).collect()
}

#[test]
fn a_low_lane_borrows_what_is_free_and_gives_it_back_but_never_touches_a_higher_one() {
    let (mut spool, _) = open(MemoryStorage::new(), TIGHT);
    let epoch = spool.epoch();
    for mark in 0..100 {
        spool.append(&event(Lane::Deferred, mark, 1)).expect("the oldest make room");
        assert_balance(&spool);
    }
    let quota = spool.quota_bytes(Lane::Deferred);
    assert!(spool.lane_bytes(Lane::Deferred) > quota, "it borrows");
    let critical: Vec<_> =
        (0..8).map(|mark| spool.append(&event(Lane::Critical, mark, 1)).expect("room")).collect();
    assert!(critical.iter().all(|row| row.durable));
    for mark in 0..8 {
        spool.append(&event(Lane::Batched, mark, 1)).expect("room");
    }
    for mark in 0..100 {
        spool.append(&event(Lane::Deferred, mark, 1)).expect("the oldest make room");
    }
    assert!(
        gaps(&spool).iter().all(|gap| gap.lane == Lane::Deferred && gap.reason == Some(DropReason::Evicted))
    );
    assert_eq!(spool.held_after(epoch, Lane::Critical, 0).0, 8, "critical is never evicted for a lower lane");
    assert_eq!(spool.held_after(epoch, Lane::Batched, 0).0, 8);
    let (mut again, recovery) = open(spool.into_storage(), TIGHT);
    assert_eq!((recovery.lost_rows, recovery.corrupt_bytes), (0, 0), "evicted rows are no damage");
    assert_eq!(held(&mut again).keys().filter(|(_, lane, _)| *lane == Lane::Critical).count(), 8);
}

#[test]
fn a_higher_lane_takes_no_room_that_a_lower_one_has_reserved() {
    let (mut spool, _) = open(MemoryStorage::new(), TIGHT);
    for mark in 0..200 {
        spool.append(&event(Lane::Critical, mark, 1)).expect("the middle makes room");
    }
    for lane in [Lane::Batched, Lane::Deferred] {
        let rows = |spool: &Spool<MemoryStorage>| spool.held_after(spool.epoch(), lane, 0).0;
        while rows(&spool) < 8 {
            spool.append(&event(lane, 1, 1)).expect("its quota is its own");
        }
        assert_eq!(rows(&spool), 8, "two segments hold more than eight rows");
    }
    let critical = gaps(&spool);
    assert!(critical.iter().all(|gap| gap.lane == Lane::Critical), "{critical:?}");
}

#[test]
fn a_full_critical_lane_keeps_its_first_and_its_latest_rows_and_counts_between() {
    let (mut spool, _) = open(MemoryStorage::new(), TIGHT);
    let epoch = spool.epoch();
    for mark in 1..=300 {
        let row = spool.append(&event(Lane::Critical, mark, 2)).expect("the middle makes room");
        assert!(row.durable);
        assert_balance(&spool);
    }
    let rows = held(&mut spool);
    let first = rows.keys().next().expect("rows").2;
    let last = rows.keys().next_back().expect("rows").2;
    assert_eq!((first, last), (1, 300));
    let tombstones: Vec<Tombstone> = spool.tombstones(epoch).cloned().collect();
    let [tombstone] = tombstones.as_slice() else { panic!("neighbours are joined: {tombstones:?}") };
    assert_eq!(tombstone.range.count() + rows.len() as u64, 300);
    assert_eq!(tombstone.rows(), tombstone.range.count());
    let [lost] = tombstone.lost.as_slice() else { panic!("one type: {tombstone:?}") };
    assert_eq!((lost.event_type, lost.observations), (event::CAN_UNKNOWN_ID, 2 * lost.rows));
    assert_eq!(tombstone.first.0, tombstone.range.first().0);
    assert_eq!(tombstone.last.0, tombstone.range.last().0);
    assert!(tombstone.is_signed(&Quick));
    let mut forged = tombstone.clone();
    forged.lost[0].rows += 1;
    assert!(!forged.is_signed(&Quick));
    // What the cloud checks: received + tombstoned + folded = counter.
    let (head, drops) = spool.head(epoch, Lane::Critical).expect("in use");
    assert_eq!(drops, [DropCount { reason: Some(DropReason::Evicted), count: tombstone.range.count() }]);
    assert_eq!(rows.len() as u64 + tombstone.rows() + head.folded, head.received);
}

#[test]
fn a_tombstone_is_durable_before_the_space_is_used_again() {
    let (mut spool, _) = open(MemoryStorage::recording(), TIGHT);
    for mark in 0..300 {
        spool.append(&event(Lane::Batched, mark, 1)).expect("the oldest make room");
    }
    // The journal's slots come first on the medium; whatever overwrites another slot's rows comes after a flush.
    let lanes_begin = 8192 + TIGHT.journal_bytes;
    let mut used = std::collections::BTreeSet::new();
    let (mut pending, mut reused) = (0, 0);
    for write in spool.storage().writes() {
        match write {
            Write::Flush => pending = 0,
            Write::At(offset, bytes) if *offset < lanes_begin => pending += bytes.len(),
            Write::At(offset, bytes) => {
                if (offset - lanes_begin).is_multiple_of(TIGHT.segment_bytes)
                    && bytes.len() > 300
                    && !used.insert(*offset)
                {
                    assert_eq!(pending, 0, "the journal was not flushed");
                    reused += 1;
                }
            }
        }
    }
    assert!(reused > 10, "{reused} slots used again");
}

#[test]
fn acknowledged_segments_go_before_others_and_need_no_tombstone() {
    let (mut spool, _) = open(MemoryStorage::new(), TIGHT);
    let epoch = spool.epoch();
    for mark in 0..400 {
        let row = spool.append(&event(Lane::Critical, mark, 1)).expect("room");
        assert_eq!(acknowledge(&mut spool, epoch, Lane::Critical, row.seq.0), 1);
    }
    assert_eq!(gaps(&spool), []);
    assert_balance(&spool);
    let (spool, recovery) = open(spool.into_storage(), TIGHT);
    assert_eq!((recovery.rows, recovery.lost_rows), (0, 0));
    assert_eq!(spool.head(epoch, Lane::Critical).expect("not reported").0.received, 400);
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
    assert_eq!(
        (recovery.rows, spool.epochs().len()),
        (1, 1),
        "its segments still stand, its rows do not come back"
    );
}

#[test]
fn hundreds_of_boots_do_not_fill_the_journal() {
    let mut storage = MemoryStorage::new();
    for boot in 0..200 {
        let (mut spool, recovery) = open(storage, TIGHT);
        assert!(recovery.lost_rows == 0 && recovery.corrupt_bytes == 0, "boot {boot}: {recovery:?}");
        let epoch = spool.epoch();
        let row = spool.append(&event(Lane::Critical, boot, 1)).expect("room");
        acknowledge(&mut spool, epoch, Lane::Critical, row.seq.0);
        for epoch in spool.epochs() {
            spool.mark_reported(epoch);
        }
        spool.sync().expect("room in the journal");
        storage = spool.into_storage();
    }
    let (spool, recovery) = open(storage, TIGHT);
    assert_eq!((recovery.rows, spool.epochs().len()), (0, 1), "the last boot is not reported yet");
}

#[test]
fn an_epoch_never_comes_again_even_on_a_wiped_medium() {
    let counter = Counter::at(700);
    let (spool, recovery) = open_at(MemoryStorage::new(), SMALL, &counter);
    assert_eq!((spool.epoch(), recovery.damage()), (BootEpoch(701), Some("rollback")));
    let mut late = boot(&Counter::default());
    late.floor = BootEpoch(900);
    let (spool, _) = Spool::open(spool.into_storage(), SMALL, late).expect("healthy medium");
    assert_eq!(spool.epoch(), BootEpoch(900));
    let (spool, _) = open(spool.into_storage(), SMALL);
    assert_eq!(spool.epoch(), BootEpoch(901));
}

#[test]
fn a_full_device_is_counted_and_corrupts_nothing() {
    for bytes_left in (0..500).step_by(3) {
        let (mut spool, _) = open(MemoryStorage::new(), SMALL);
        let mut appended = BTreeMap::new();
        spool.storage_mut().set_faults(Faults { bytes_left: Some(bytes_left), ..Faults::default() });
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
        assert_eq!(held(&mut spool), appended, "{bytes_left}");
        spool.sync().expect("healthy medium");
        let (mut again, recovery) = open(spool.into_storage(), SMALL);
        assert_eq!(held(&mut again), appended, "{bytes_left} after reopening: {recovery:?}");
        assert_balance(&again);
    }
}

#[test]
fn a_failed_flush_is_not_called_durable() {
    let (mut spool, _) = open(MemoryStorage::new(), SMALL);
    spool.append(&event(Lane::Critical, 0, 1)).expect("room");
    spool.storage_mut().set_faults(Faults { flush_fails: true, ..Faults::default() });
    assert_eq!(spool.append(&event(Lane::Critical, 1, 1)), Ok(Appended { seq: Seq(2), durable: false }));
    assert!(spool.sync().is_err());
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

#[test]
fn rows_that_are_not_critical_are_durable_after_64_kib_at_the_latest() {
    let (mut spool, _) = open(MemoryStorage::new(), SpoolConfig::default());
    let mut row = event(Lane::Batched, 1, 1);
    row.context = vec![7; 1000];
    for lane in [Lane::Batched, Lane::Deferred, Lane::Batched] {
        row.lane = lane;
        for _ in 0..200 {
            spool.append(&row).expect("room");
            assert!(spool.ring.unflushed <= 64 << 10, "{}", spool.ring.unflushed);
        }
    }
}

#[test]
fn wear_is_counted_per_row() {
    let (mut spool, _) = open(MemoryStorage::new(), SpoolConfig::default());
    let begun = spool.wear();
    assert_eq!(begun.rows, 0);
    for mark in 0..1000 {
        spool.append(&event(Lane::Critical, mark, 1)).expect("room");
    }
    let wear = spool.wear();
    let per_row = (wear.bytes - begun.bytes) / 1000;
    assert!((60..130).contains(&per_row), "{per_row}");
    assert!((1000..1100).contains(&(wear.flushes - begun.flushes)), "{wear:?}");
    assert_eq!((wear.rows, wear.unsigned), (1000, 0));
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
    assert_eq!((recovery.rows, recovery.lost_rows), (45, 0));
}

#[test]
fn a_tombstone_counts_types_apart_up_to_its_bound() {
    let range = outrider_wire::SeqRange::new(Seq(1), Seq(1)).expect("in order");
    let mut all = Tombstone::new(BootEpoch(1), Lane::Batched, range, [0; 16]);
    all.add(None);
    for number in 2..=100u16 {
        let seq = Seq(u64::from(number));
        let mut row = SecurityEvent::new(EventTypeId(number), VehicleMicros(u64::from(number)));
        row.count = 3;
        let mut bytes = [0; 256];
        let mut writer = BatchWriter::new(&mut bytes);
        writer.event(&row.head(seq), row.wire_fields(), &row.context).expect("fits");
        let range = outrider_wire::SeqRange::new(seq, seq).expect("in order");
        let mut one = Tombstone::new(BootEpoch(1), Lane::Batched, range, [number.to_le_bytes()[0]; 16]);
        one.add(Some(writer.finish()));
        assert!(all.join(&one), "{number}");
    }
    assert_eq!((all.rows(), all.range.count()), (100, 100));
    assert!(all.lost.len() <= TOMBSTONE_KINDS_MAX + 1);
    assert_eq!((all.first, all.last, all.last_tag), (VehicleMicros(2), VehicleMicros(100), [100; 16]));
    assert_eq!(Tombstone::parse(&all.emit()), Some(all));
}
