//! Thousands of boots on a small medium: nothing may be forgotten before the cloud has it.

use outrider_types::Seed;
use outrider_wire::{BootCounts, BootRun};

use super::*;
use crate::spool::record::{HEADER_BYTES, Purpose};

/// Two or three dozen rows a lane, and a journal of 24 segments.
const SMALL_JOURNAL: SpoolConfig =
    SpoolConfig { quota_bytes: [6 << 10; 3], segment_bytes: 2 << 10, journal_bytes: 48 << 10 };

/// What was offered in each boot and lane: observations, and rows that got a number.
type Offered = BTreeMap<(BootEpoch, Lane), (u64, u64)>;

/// Asserts that every observation of every boot and lane is in exactly one place, and returns how many boots and lanes
/// are accounted for one by one, and how many only in sums.
fn account(spool: &mut Spool<MemoryStorage>, offered: &Offered) -> (u64, u64) {
    let mut single = 0;
    let mut listed: BTreeMap<(BootEpoch, Lane), BootCounts> = BTreeMap::new();
    let mut sums: BTreeMap<Lane, (u64, BootCounts)> = BTreeMap::new();
    let mut named: BTreeMap<Lane, Vec<BootRun>> = BTreeMap::new();
    for lost in spool.lost_boots() {
        assert!(lost.is_signed(&Quick), "{lost:?}");
        let kinds: u64 = lost.lost.iter().map(|lost| lost.observations).sum();
        assert_eq!(kinds, lost.sum.observations, "{lost:?}");
        for one in &lost.each {
            assert_eq!(listed.insert((one.epoch, lost.lane), one.counts), None, "listed once");
        }
        if lost.each.is_empty() {
            for run in &lost.runs {
                named.entry(lost.lane).or_default().push(*run);
            }
            let sum = sums.entry(lost.lane).or_default();
            sum.0 += lost.boots;
            sum.1.add(&lost.sum);
        }
    }
    let rows = held(spool);
    let mut rest: BTreeMap<Lane, (u64, u64, u64)> = BTreeMap::new();
    for (key @ (epoch, lane), (observations, numbers)) in offered {
        let state = spool.lanes.get(key).filter(|state| !state.forgotten);
        let names = named.get(lane).map_or(0, |runs| runs.iter().filter(|run| run.contains(*epoch)).count());
        let is_apart = state.is_some() || listed.contains_key(key);
        assert_eq!(names, usize::from(!is_apart), "{key:?} is named by one sum, or by none");
        assert!(state.is_none() || !listed.contains_key(key), "{key:?} in two places");
        if let Some(state) = state {
            single += 1;
            let held = rows.range((*epoch, *lane, 0)..=(*epoch, *lane, u64::MAX)).count() as u64;
            let buried: u64 = state.tombstones.iter().map(Tombstone::rows).sum();
            let gaps: u64 = state.gaps.iter().map(|gap| gap.range.count()).sum();
            assert_eq!((state.received, state.last_seq), (*observations, *numbers), "{key:?}");
            assert_eq!((held + buried, gaps), (*numbers, buried), "{key:?}");
        } else if let Some(counts) = listed.get(key) {
            single += 1;
            assert_eq!(
                (counts.received, counts.numbers, counts.evicted),
                (*observations, *numbers, *numbers)
            );
            assert_eq!((counts.observations, counts.corrupt, counts.refused), (*observations, 0, 0));
        } else {
            let rest = rest.entry(*lane).or_default();
            *rest = (rest.0 + 1, rest.1 + observations, rest.2 + numbers);
        }
    }
    let sums: BTreeMap<Lane, (u64, u64, u64)> =
        sums.into_iter().map(|(lane, (boots, sum))| (lane, (boots, sum.received, sum.evicted))).collect();
    assert_eq!(rest, sums, "what is not known by boot is known in sum");
    (single, sums.values().map(|(boots, _, _)| boots).sum())
}

/// Boots `boots` times, with a few rows each time. Returns the medium and what was offered.
fn loop_boots(config: SpoolConfig, boots: u64, counter: &Counter) -> (Spool<MemoryStorage>, Offered) {
    let (mut storage, mut offered, mut random) = (MemoryStorage::new(), Offered::new(), Seed::new(7));
    for boot in 0..boots {
        let (mut spool, recovery) = open_at(storage, config, counter);
        assert_eq!((recovery.damage(), recovery.lost_rows), (None, 0), "boot {boot}");
        for lane in Lane::ALL {
            for _ in 0..random.below(4) {
                let count = 1 + random.below(3);
                spool.append(&event(lane, 1 + boot, count)).expect("the oldest make room");
                let offered = offered.entry((spool.epoch(), lane)).or_default();
                *offered = (offered.0 + count, offered.1 + 1);
            }
        }
        spool.sync().expect("healthy medium");
        assert_balance(&spool);
        if boot % 64 == 63 {
            account(&mut spool, &offered);
        }
        storage = spool.into_storage();
    }
    (open_at(storage, config, counter).0, offered)
}

#[test]
fn thousands_of_boots_on_a_small_medium_stay_accounted_for_to_the_last_observation() {
    let counter = Counter::default();
    let (mut spool, offered) = loop_boots(SMALL_JOURNAL, 3000, &counter);
    let (single, summed) = account(&mut spool, &offered);
    assert!(single > 100 && summed > 1000, "both ways must be seen: {single} one by one, {summed} in sums");
    assert_eq!(audit(spool.storage(), SMALL_JOURNAL, Some(counter.value())).findings, []);
}

#[test]
fn an_account_that_took_in_others_after_it_was_told_is_told_again() {
    let (mut spool, _) = loop_boots(SMALL_JOURNAL, 1000, &Counter::default());
    let told: Vec<LostBoots> = spool.lost_boots().cloned().collect();
    assert!(spool.merge_lost(), "two of one lane");
    for lost in &told {
        spool.mark_lost_told(lost);
    }
    let left: Vec<&LostBoots> = spool.lost_boots().collect();
    assert!(matches!(left.as_slice(), [sum] if sum.each.is_empty() && sum.boots > 1), "{left:?}");
}

#[test]
fn the_shipped_sizes_hold_a_boot_loop_boot_by_boot() {
    let counter = Counter::default();
    let (mut spool, offered) = loop_boots(SpoolConfig::default(), 640, &counter);
    let (single, summed) = account(&mut spool, &offered);
    assert_eq!((single, summed), (offered.len() as u64, 0));
    assert!(spool.epochs().len() <= BOOTS_HELD_MAX + 1, "{}", spool.epochs().len());
}

#[test]
fn power_that_goes_in_the_middle_of_every_snapshot_uses_up_no_slot() {
    let counter = Counter::default();
    let (spool, offered) = loop_boots(SMALL_JOURNAL, 300, &counter);
    let mut storage = spool.into_storage();
    let bytes = usize::try_from(SMALL_JOURNAL.device_bytes()).expect("small");
    let mut least = u64::MAX;
    for cut in 0..400 {
        let mut recording = MemoryStorage::recording();
        recording.put(0, &storage.read(0, bytes).expect("in memory"));
        let (mut spool, recovery) = open_at(recording, SMALL_JOURNAL, &counter);
        assert_eq!((recovery.damage(), recovery.truncated.len()), (None, 0), "cut {cut}");
        account(&mut spool, &offered);
        least = least.min(spool.free_journal_slots().len() as u64);
        let opened = spool.storage().writes().len();
        spool.write_snapshot().expect("there is a slot");
        let writes = spool.storage().writes();
        // Each time another part of it reaches the medium, never all.
        let landed = opened + if cut < 200 { (writes.len() - opened) * (cut % 37) / 37 } else { cut % 4 };
        assert!(landed < writes.len());
        writes[..landed].iter().for_each(|write| run::apply(&mut storage, write));
    }
    let config = SMALL_JOURNAL.bounded();
    assert!(least > config.journal_slots() / 3, "{least} of {} slots", config.journal_slots());
}

#[test]
fn a_part_of_a_snapshot_whose_beginning_is_gone_says_nothing() {
    let counter = Counter::default();
    let (spool, offered) = loop_boots(SMALL_JOURNAL, 1000, &counter);
    let storage = spool.into_storage();
    let bytes = usize::try_from(SMALL_JOURNAL.device_bytes()).expect("small");
    let mut recording = MemoryStorage::recording();
    recording.put(0, &storage.read(0, bytes).expect("in memory"));
    let (mut spool, _) = open_at(recording, SMALL_JOURNAL, &counter);
    let opened = spool.storage().writes().len();
    // The snapshot says otherwise what is known from before, as it does when room is short.
    assert!(spool.merge_lost(), "two of one lane");
    spool.write_snapshot().expect("there is a slot");
    let writes = spool.storage().writes();
    let heads: Vec<(usize, u64)> = (opened..writes.len())
        .filter_map(|at| {
            let crate::Write::At(offset, bytes) = &writes[at] else { return None };
            (bytes.len() == HEADER_BYTES).then_some((at, *offset))
        })
        .collect();
    assert!(heads.len() > 2, "{heads:?}");
    let mut orphans = 0;
    for landed in heads[1].0..writes.len() - 1 {
        let mut torn = MemoryStorage::new();
        torn.put(0, &storage.read(0, bytes).expect("in memory"));
        writes[..landed].iter().for_each(|write| run::apply(&mut torn, write));
        // Its slot was to be used again.
        torn.put(heads[0].1, &[0; HEADER_BYTES]);
        let (mut spool, _) = open_at(torn, SMALL_JOURNAL, &counter);
        account(&mut spool, &offered);
        orphans +=
            usize::from(spool.ring.segments.values().any(|it| it.header.purpose == Purpose::SnapshotRest));
        spool.sync().expect("healthy medium");
        let (mut spool, _) = open_at(spool.into_storage(), SMALL_JOURNAL, &counter);
        account(&mut spool, &offered);
    }
    assert!(orphans > 0, "a part must be left");
}

#[test]
fn a_boot_costs_no_segment_and_less_than_two_kilobytes() {
    let (counter, config) = (Counter::default(), SpoolConfig::default());
    let mut storage = open_at(MemoryStorage::new(), config, &counter).0.into_storage();
    let (mut most, mut sum, mut segments) = (0, 0, 0);
    for boot in 0..60 {
        let (mut spool, recovery) = open_at(storage, config, &counter);
        for lane in Lane::ALL {
            spool.append(&event(lane, 1 + boot, 1)).expect("room");
        }
        spool.sync().expect("healthy medium");
        // The first boot begins each lane's first segment.
        if boot > 0 {
            (most, sum) = (spool.wear().bytes.max(most), sum + spool.wear().bytes);
        } else {
            segments = spool.ring.segments.len() as u64;
        }
        assert!(recovery.segments <= segments.max(1));
        storage = spool.into_storage();
    }
    // Measured: the mean with three rows, their balances, the anchor, and keys every 32 records.
    assert!(most < 2048, "at most {most}, mean {}", sum / 59);
}
