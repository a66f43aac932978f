//! Properties over generated inputs: the codec of records, and the accounts of a lane.

use std::collections::BTreeSet;

use outrider_types::{ClockSource, Seed};
use outrider_wire::{DropReason, Gap, SeqRange};
use proptest::prelude::*;

use super::*;
use crate::spool::entry::{Balance, Head, REASONS};
use crate::spool::record::{At, Header, Purpose, RECORD_OVERHEAD_BYTES, emit, scan};
use crate::spool::seal::{ChainKey, RowKey};

/// As tight for rows, with a journal for all boots of a case.
const ROOMY: SpoolConfig = SpoolConfig { journal_bytes: 64 << 10, ..TIGHT };

fn lane() -> impl Strategy<Value = Lane> {
    prop_oneof![Just(Lane::Critical), Just(Lane::Batched), Just(Lane::Deferred)]
}

fn range() -> impl Strategy<Value = SeqRange> {
    (1u64..u64::MAX, 0u64..1000).prop_map(|(first, more)| {
        SeqRange::new(Seq(first), Seq(first.saturating_add(more))).expect("in order")
    })
}

fn heads() -> impl Strategy<Value = Heads> {
    any::<[(u64, [u8; 16]); 4]>().prop_map(|heads| heads.map(|(next_place, seal)| Head { next_place, seal }))
}

fn lost_boots() -> impl Strategy<Value = LostBoots> {
    let state = (0u64..u64::MAX >> 8, 0u64..1000, 1u64..5).prop_map(|(last_seq, extra, rows)| {
        let mut state =
            LaneState { last_seq, received: last_seq + extra, folded: extra, ..LaneState::default() };
        let range = SeqRange::new(Seq(1), Seq(rows)).expect("in order");
        let mut tombstone = Tombstone::new(BootEpoch(1), Lane::Batched, range, [0; 16]);
        (0..rows).for_each(|_| tombstone.add(None));
        state.bury(tombstone);
        state
    });
    let states = prop::collection::btree_map(any::<u32>(), state, 1..64);
    (states, lane(), any::<bool>()).prop_map(|(states, lane, sums)| {
        let mut all =
            states.into_iter().map(|(epoch, state)| LostBoots::of(lane, BootEpoch(epoch.into()), &state));
        let mut lost = all.next().expect("at least one");
        for one in all {
            if sums {
                assert!(lost.merge(&one, usize::MAX, |between| between.first.0 % 3 == 0));
            } else {
                assert!(lost.join(&one, usize::MAX));
            }
        }
        lost
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let epoch = any::<u64>().prop_map(BootEpoch);
    prop_oneof![
        (1u64.., prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(seq, row)| Entry::Event { seq: Seq(seq), row }),
        (epoch.clone(), lane(), any::<(bool, [u64; 4])>(), any::<[u64; REASONS]>()).prop_map(
            |(epoch, lane, (told, [freed, last_seq, received, folded]), drops)| {
                let balance = Balance { freed, last_seq, received, folded, drops };
                Entry::Balance { epoch, lane, told, balance }
            }
        ),
        lost_boots().prop_map(Entry::LostBoots),
        (epoch.clone(), lane()).prop_map(|(first, lane)| Entry::LostTold { lane, first }),
        (epoch.clone(), lane(), range(), prop::option::of(0..REASONS)).prop_map(
            |(epoch, lane, range, reason)| {
                Entry::Gap { epoch, gap: Gap { lane, range, reason: reason.map(|at| DropReason::ALL[at]) } }
            }
        ),
        (epoch.clone(), lane(), range(), any::<[u8; 16]>())
            .prop_map(|(epoch, lane, range, tag)| Entry::Tombstone(Tombstone::new(epoch, lane, range, tag))),
        (epoch.clone(), any::<u64>(), any::<i64>(), any::<u64>()).prop_map(
            |(epoch, mono, wall, error_us)| {
                let (mono, wall) = (VehicleMicros(mono), UnixMicros(wall));
                Entry::Fix { epoch, fix: ClockFix { mono, wall, error_us, source: ClockSource::Gnss } }
            }
        ),
        (epoch, lane()).prop_map(|(epoch, lane)| Entry::Forgotten { epoch, lane }),
        any::<[u8; 32]>().prop_map(|previous| Entry::Boot { previous }),
        (any::<u64>(), heads()).prop_map(|(counter, heads)| Entry::Anchored { counter, heads }),
        (any::<u64>(), prop::option::of(heads()))
            .prop_map(|(at, heads)| Entry::Close { at: VehicleMicros(at), heads }),
        Just(Entry::SnapshotBegin),
        Just(Entry::SnapshotEnd),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_written_is_read_again_and_nothing_else(entries in prop::collection::vec(entry(), 1..8), noise: u8) {
        let key = ChainKey::first(&ROOT, 3);
        let mut header = Header {
            chain: Chain::Journal, purpose: Purpose::News, number: 4, epoch: BootEpoch(2), salt: 1, generation: 0, first_place: 0,
            before: 0,
            previous: [0; 16], seal: [0; 16],
        };
        let mut bytes = header.emit(&[0; 64], &SECRET, &key);
        let rows = RowKey::new(&SECRET, header.epoch, header.salt);
        let mut previous = header.seal;
        for (place, entry) in (0u16..).zip(&entries) {
            let (kind, text) = entry.emit();
            let at = At { offset: bytes.len(), attempt: 0, place, previous };
            let (record, seal) = emit(&header, &rows, &key, at, (kind, &text));
            prop_assert_eq!(record.len(), RECORD_OVERHEAD_BYTES + text.len());
            bytes.extend(record);
            previous = seal;
        }
        let end = bytes.len();
        bytes.resize(end + 200, noise);
        prop_assert_eq!(Header::read(&bytes, &SECRET), (Some(header), true));
        let found: Vec<_> = scan(&header, &SECRET, &bytes).collect();
        let read: Vec<_> = found.iter().map(|found| Entry::parse(found.kind, &found.text)).collect();
        prop_assert_eq!(read, entries.iter().cloned().map(Some).collect::<Vec<_>>());
        prop_assert!(found.iter().all(|found| found.is_sealed(&header, &bytes, &key)));
    }

    #[test]
    fn any_text_of_any_kind_is_read_or_refused(kind: u8, text in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(entry) = Entry::parse(kind, &text) {
            prop_assert_eq!(entry.emit(), (kind, text));
        }
    }

    #[test]
    fn any_bytes_as_a_medium_never_stop_a_start(seed: u64, length in 0usize..20_000) {
        let mut random = Seed::new(seed);
        let mut storage = MemoryStorage::new();
        let bytes: Vec<u8> = (0..length).map(|_| random.next_u64().to_le_bytes()[0]).collect();
        storage.put(0, &bytes);
        let (mut spool, recovery) = open(storage, SMALL);
        prop_assert!(held(&mut spool).is_empty());
        prop_assert_eq!((recovery.epoch, recovery.rows), (BootEpoch(1), 0));
        spool.append(&event(Lane::Critical, 1, 1)).expect("room");
    }

    /// A cloud that keeps its own books: every number of a lane is received or tombstoned, never both, never neither.
    #[test]
    fn received_and_tombstoned_and_folded_are_what_was_counted(
        acts in prop::collection::vec((0u8..12, 0u8..3, 1u64..4), 50..400),
        seed: u64,
    ) {
        let counter = Counter::default();
        let mut random = Seed::new(seed);
        let (mut spool, _) = open_at(MemoryStorage::new(), ROOMY, &counter);
        // By boot and lane: observations offered, and rows that the cloud has with what was folded into them.
        let mut offered: BTreeMap<(BootEpoch, Lane), u64> = BTreeMap::new();
        let mut cloud: BTreeMap<(BootEpoch, Lane), BTreeMap<u64, u64>> = BTreeMap::new();
        let mut buried: BTreeMap<(BootEpoch, Lane), BTreeSet<u64>> = BTreeMap::new();
        for (act, lane, count) in acts {
            let lane = Lane::ALL[usize::from(lane)];
            match act {
                0..=8 => {
                    *offered.entry((spool.epoch(), lane)).or_default() += count;
                    spool.append(&event(lane, 1 + random.next_u64() % 1000, count)).expect("the oldest make room");
                }
                9 => spool.sync().expect("healthy medium"),
                10 => {
                    for epoch in spool.epochs() {
                        send(&mut spool, epoch, lane, random.next_u64() % 6, &mut cloud, &mut buried);
                    }
                }
                _ => {
                    spool.sync().expect("healthy medium");
                    let (again, recovery) = open_at(spool.into_storage(), ROOMY, &counter);
                    prop_assert_eq!((recovery.damage(), recovery.lost_rows), (None, 0));
                    spool = again;
                }
            }
            assert_balance(&spool);
        }
        for epoch in spool.epochs() {
            for lane in Lane::ALL {
                send(&mut spool, epoch, lane, u64::MAX, &mut cloud, &mut buried);
                let Some((head, drops)) = spool.head(epoch, lane) else { continue };
                let none = BTreeMap::new();
                let rows = cloud.get(&(epoch, lane)).unwrap_or(&none);
                let lost = buried.get(&(epoch, lane)).map_or(0, BTreeSet::len) as u64;
                prop_assert_eq!(rows.len() as u64 + lost, head.last_seq, "each number once");
                prop_assert_eq!(head.received, offered.get(&(epoch, lane)).copied().unwrap_or(0));
                prop_assert_eq!(rows.len() as u64 + lost + head.folded, head.received);
                let evicted: u64 = drops.iter().map(|drop| drop.count).sum();
                prop_assert_eq!(evicted, lost);
            }
        }
        // Boots of which nothing is held any more are in an account: what the cloud does not have, and what was counted.
        for lost in spool.lost_boots() {
            prop_assert!(lost.is_signed(&Quick));
            for one in &lost.each {
                let key = (one.epoch, lost.lane);
                let known = cloud.get(&key).map_or(0, BTreeMap::len) + buried.get(&key).map_or(0, BTreeSet::len);
                prop_assert!(known as u64 + one.counts.evicted >= one.counts.numbers, "{one:?} and {known}");
                prop_assert_eq!(one.counts.received, offered.get(&key).copied().unwrap_or(0));
            }
        }
        prop_assert_eq!(audit(spool.storage(), ROOMY, Some(counter.value())).findings, []);
    }
}

/// The cloud takes up to `most` rows of a lane with all of its tombstones, and acknowledges them.
fn send(
    spool: &mut Spool<MemoryStorage>,
    epoch: BootEpoch,
    lane: Lane,
    most: u64,
    cloud: &mut BTreeMap<(BootEpoch, Lane), BTreeMap<u64, u64>>,
    buried: &mut BTreeMap<(BootEpoch, Lane), BTreeSet<u64>>,
) {
    let lost = buried.entry((epoch, lane)).or_default();
    for tombstone in spool.tombstones(epoch).filter(|tombstone| tombstone.lane == lane) {
        assert!(tombstone.is_signed(&Quick));
        assert_eq!(tombstone.rows(), tombstone.range.count());
        lost.extend(tombstone.range.first().0..=tombstone.range.last().0);
    }
    let rows = cloud.entry((epoch, lane)).or_default();
    let (mut after, mut taken) = (0, 0);
    while let Some(seq) = spool.next_held(epoch, lane, after).filter(|_| taken < most) {
        let row = spool.read(epoch, lane, seq).expect("healthy medium").expect("held");
        let batch = Batch::parse(&row).expect("own row");
        rows.insert(seq.0, batch.events().next().expect("one").expect("own row").head.count);
        (after, taken) = (seq.0, taken + 1);
    }
    let lost = buried.get(&(epoch, lane)).cloned().unwrap_or_default();
    // A row that was received and lost later is received.
    let lost: BTreeSet<u64> = lost.into_iter().filter(|seq| !rows.contains_key(seq)).collect();
    let contiguous = (1..).take_while(|seq| rows.contains_key(seq) || lost.contains(seq)).last().unwrap_or(0);
    buried.insert((epoch, lane), lost);
    acknowledge(spool, epoch, lane, contiguous);
}
