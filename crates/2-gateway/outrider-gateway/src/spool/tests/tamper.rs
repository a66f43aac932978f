//! Forgery, truncation and rollback, each by somebody who has the medium, the vehicle's secret and the current seal keys,
//! but not K0 nor an older key.

use outrider_types::Seed;

use super::run::Run;
use super::*;
use crate::Write;
use crate::spool::entry::{CLOSE, Head};
use crate::spool::record::{At, Found, HEADER_BYTES, emit, scan};
use crate::spool::ring::Segment;
use crate::spool::seal::{RowKey, TAG_BYTES};

/// A spool whose rows span many intervals, closed by a heartbeat, with its counter.
fn sealed() -> (Spool<MemoryStorage>, Counter) {
    let counter = Counter::default();
    let (mut spool, _) = open_at(MemoryStorage::new(), SMALL, &counter);
    for mark in 0..120 {
        spool.append(&event(Lane::Critical, mark, 1)).expect("room");
        if mark % 4 == 0 {
            spool.append(&event(Lane::Batched, mark, 1)).expect("room");
        }
    }
    spool.heartbeat(VehicleMicros(1)).expect("healthy medium");
    spool.raise_anchor().expect("a counter");
    assert_eq!(audit(spool.storage(), SMALL, Some(counter.value())).findings, []);
    (spool, counter)
}

fn segments(spool: &Spool<MemoryStorage>, chain: Chain) -> Vec<Segment> {
    spool.ring.segments.values().filter(|segment| segment.header.chain == chain).cloned().collect()
}

fn bytes(spool: &Spool<MemoryStorage>, segment: &Segment) -> Vec<u8> {
    let offset = spool.ring.slot_offset(segment.slot);
    spool.storage().read(offset, spool.ring.segment_bytes()).expect("in memory")
}

fn records(spool: &Spool<MemoryStorage>, segment: &Segment) -> Vec<Found> {
    scan(&segment.header, &SECRET, &bytes(spool, segment)).collect()
}

const CRITICAL: Chain = Chain::Lane(Lane::Critical);

#[test]
fn every_single_changed_bit_is_found() {
    let run = Run::two_boots(TIGHT, [72, 48]);
    let (mut clean, counter) = (MemoryStorage::new(), Counter::default());
    for write in &run.writes {
        if let Write::At(offset, bytes) = write {
            clean.put(*offset, bytes);
        }
    }
    // One more boot, so that all is closed and anchored.
    let (mut spool, _) = open_at(clean, TIGHT, &counter);
    spool.heartbeat(VehicleMicros(1)).expect("healthy medium");
    spool.raise_anchor().expect("a counter");
    let clean = audit(spool.storage(), TIGHT, None);
    assert_eq!(clean.findings, []);
    let mut places: Vec<u64> = (0..crate::spool::keys::KEY_STATE_BYTES as u64).collect();
    places.extend((0..crate::spool::keys::KEY_STATE_BYTES as u64).map(|at| at + 4096));
    let numbers: Vec<u64> = spool.ring.segments.keys().copied().collect();
    for (number, segment) in &spool.ring.segments {
        let begin = spool.ring.slot_offset(segment.slot);
        let found = records(&spool, segment);
        let newest = spool.ring.newest(segment.header.chain) == Some(*number);
        let mut after = numbers.iter().filter_map(|number| spool.ring.segments.get(number));
        let followed = after.any(|next| next.header.before == *number);
        let end = match found.last() {
            // Nothing after it could tell of the journal's very last record, nor of a closing record, which holds no row, if
            // the segment after it was reclaimed. Both are among the things not held.
            Some(last) if newest && segment.header.chain == Chain::Journal => last.offset,
            Some(last) if !newest && !followed && last.kind == CLOSE => last.offset,
            Some(last) => last.offset + last.length,
            None => HEADER_BYTES,
        };
        places.extend(begin..begin + end as u64);
    }
    let (mut flips, mut undetected) = (0, Vec::new());
    for place in places {
        let bit = (place % 8) as u8;
        let mut image = spool.storage().clone();
        image.flip(place, bit);
        flips += 1;
        let found = audit(&image, TIGHT, None);
        assert!(found.rows.is_subset(&clean.rows), "a bit at {place} invented a row");
        if found.findings.is_empty() {
            undetected.push(place);
        }
    }
    assert!(flips >= 10_000, "{flips}");
    assert_eq!(undetected, [] as [u64; 0]);
}

#[test]
fn an_old_record_cannot_be_forged_with_the_current_key() {
    let (spool, counter) = sealed();
    let current = spool.ring.tail(CRITICAL).key.clone();
    assert!(current.index > 2);
    let mut tried = 0;
    for segment in segments(&spool, CRITICAL) {
        for found in records(&spool, &segment) {
            let mut image = spool.storage().clone();
            let rows = found.boot.rows(&SECRET);
            let mut text = found.text.clone();
            let Some(byte) = text.last_mut() else { continue };
            *byte ^= 1;
            let place = u16::try_from(found.place - segment.header.first_place).expect("small");
            let at = At { offset: found.offset, attempt: 7, place, previous: found.previous };
            let (forged, _) = emit(&segment.header, &rows, &current, at, (found.kind, &text));
            image.put(spool.ring.slot_offset(segment.slot) + found.offset as u64, &forged);
            let findings = audit(&image, SMALL, Some(counter.value())).findings;
            assert!(
                findings.contains(&Finding::Forged(CRITICAL, found.place)),
                "{}: {findings:?}",
                found.place
            );
            tried += 1;
        }
    }
    assert!(tried > 100);
}

#[test]
fn an_entry_sealed_with_a_later_key_than_its_place_is_refused() {
    // systemd CVE-2023-31439: the verifier took the key that the entry asked for, not the one of its place.
    let (spool, _) = sealed();
    let segment = segments(&spool, CRITICAL).remove(0);
    let found = records(&spool, &segment).remove(0);
    let bytes = bytes(&spool, &segment);
    let mut key = crate::spool::seal::ChainKey::first(&ROOT, CRITICAL.code());
    assert!(found.is_sealed(&segment.header, &bytes, &key));
    key.evolve_to(1);
    let rows = RowKey::new(&SECRET, segment.header.epoch, segment.header.salt);
    let at = At { offset: found.offset, attempt: 0, place: 0, previous: found.previous };
    let (later, _) = emit(&segment.header, &rows, &key, at, (found.kind, &found.text));
    let mut changed = bytes.clone();
    changed[found.offset..found.offset + later.len()].copy_from_slice(&later);
    let again = scan(&segment.header, &SECRET, &changed).next().expect("its tag is right");
    assert!(!again.is_sealed(&segment.header, &changed, &key), "the key's index is not that of the place");
}

/// Cuts the critical chain after `keep` records and lets the thief continue it with what he has.
fn cut(keep: usize, next_place: impl Fn(u64, u64) -> u64, rows: u64) -> Vec<Finding> {
    let (mut spool, counter) = sealed();
    let mut left = keep;
    for segment in segments(&spool, CRITICAL) {
        let offset = spool.ring.slot_offset(segment.slot);
        let found = records(&spool, &segment);
        let end = match found.get(left) {
            Some(first) if left > 0 => {
                let head = Head { next_place: first.place, seal: first.previous };
                let index = spool.ring.tail(CRITICAL).key.index;
                let tail = &mut spool.ring.tails[0];
                tail.head = Head { next_place: next_place(head.next_place, index), ..head };
                first.offset
            }
            Some(_) => 0,
            None => usize::MAX,
        };
        left = left.saturating_sub(found.len());
        if end < usize::MAX {
            let bytes = vec![0; spool.ring.segment_bytes() - end];
            spool.storage_mut().put(offset + end as u64, &bytes);
        }
    }
    if rows > 0 {
        spool.ring.tails[0].active = None;
        for mark in 0..rows {
            let last = spool.lanes.get_mut(&(BootEpoch(1), Lane::Critical)).expect("in use");
            last.last_seq = keep as u64 + mark;
            spool.append(&event(Lane::Critical, mark, 1)).expect("room");
        }
    }
    audit(spool.storage(), SMALL, Some(counter.value())).findings
}

#[test]
fn a_truncated_tail_is_found() {
    assert!(cut(60, |place, _| place, 0).contains(&Finding::Truncated(CRITICAL, 60)));
}

#[test]
fn truncating_and_going_on_is_found() {
    // systemd CVE-2023-31438: what was cut could be continued, for empty epochs were not sealed.
    let as_if = cut(60, |place, _| place, 90);
    assert!(
        as_if.contains(&Finding::Forged(CRITICAL, 60)),
        "with the current key in the old place: {as_if:?}"
    );
    let jump = cut(60, |_, index| index * SEAL_INTERVAL, 90);
    assert!(jump.contains(&Finding::Missing(CRITICAL, 60)), "in the current key's place: {jump:?}");
}

#[test]
fn a_heartbeat_seals_the_time_in_which_nothing_happened() {
    let (mut spool, counter) = sealed();
    let before = spool.ring.tail(CRITICAL).key.clone();
    spool.append(&event(Lane::Critical, 1, 1)).expect("room");
    spool.heartbeat(VehicleMicros(2)).expect("healthy medium");
    let after = spool.ring.tail(CRITICAL).key.clone();
    assert_eq!(after.index, before.index + 1, "one row closes its interval");
    let journal = spool.ring.tail(Chain::Journal).key.index;
    spool.heartbeat(VehicleMicros(3)).expect("healthy medium");
    assert_eq!(spool.ring.tail(CRITICAL).key.index, after.index, "an idle lane is closed once");
    assert_eq!(spool.ring.tail(Chain::Journal).key.index, journal + 1, "the journal each time");
    let findings = audit(spool.storage(), SMALL, Some(counter.value())).findings;
    assert_eq!(findings, []);
    // The stored keys are the new ones: the old ones are nowhere on the medium.
    let old = before.key.as_slice();
    assert!(!spool.storage().read(0, 8192).expect("in memory").windows(32).any(|window| window == old));
    let all: Vec<Found> = segments(&spool, CRITICAL).iter().flat_map(|one| records(&spool, one)).collect();
    assert!(all.iter().filter(|found| found.kind == CLOSE).count() >= 2);
}

#[test]
fn a_medium_that_was_set_back_is_found_by_the_counter_and_only_by_it() {
    let (mut spool, counter) = sealed();
    let old = spool.storage().clone();
    let then = counter.value();
    for mark in 0..50 {
        spool.append(&event(Lane::Critical, mark, 1)).expect("room");
    }
    spool.raise_anchor().expect("a counter");
    assert_eq!(audit(&old, SMALL, Some(then)).findings, []);
    let rollback = Finding::Rollback { counter: then + 1, spool: then };
    assert_eq!(audit(&old, SMALL, Some(counter.value())).findings, [rollback]);
    assert_eq!(
        open_at(old.clone(), SMALL, &Counter::at(then)).1.damage(),
        None,
        "without a counter nothing is seen"
    );
    let (mut spool, recovery) = open_at(old, SMALL, &counter);
    assert_eq!((recovery.damage(), recovery.behind_anchor), (Some("rollback"), 1));
    spool.append(&event(Lane::Critical, 1, 1)).expect("the start is not refused");
    let reset = open_at(spool.into_storage(), SMALL, &Counter::default()).1;
    assert_eq!(reset.damage(), Some("anchor_reset"));
}

#[test]
fn the_vehicle_sees_at_its_start_what_was_cut() {
    let (spool, counter) = sealed();
    let last = segments(&spool, CRITICAL).pop().expect("segments");
    let offset = spool.ring.slot_offset(last.slot);
    let mut image = spool.storage().clone();
    image.put(offset + HEADER_BYTES as u64, &[0; 200]);
    let (spool, recovery) = open_at(image, SMALL, &counter);
    assert_eq!(recovery.truncated, [CRITICAL]);
    assert_eq!(recovery.damage(), Some("truncated"));
    assert_balance(&spool);
}

#[test]
fn lost_keys_begin_anew_and_are_told() {
    let (spool, counter) = sealed();
    let rows = spool.held_after(BootEpoch(1), Lane::Critical, 0).0;
    let mut image = spool.into_storage();
    image.put(0, &[0xEE; 8192]);
    let (mut spool, recovery) = open_at(image, SMALL, &counter);
    assert!(recovery.keys_lost);
    assert_eq!(spool.held_after(BootEpoch(1), Lane::Critical, 0).0, rows, "rows can still be read");
    spool.append(&event(Lane::Critical, 1, 1)).expect("room");
    let findings = audit(spool.storage(), SMALL, Some(counter.value())).findings;
    assert!(findings.contains(&Finding::KeysLost(1)), "{findings:?}");
    assert!(!findings.iter().any(|finding| matches!(finding, Finding::Forged(..))), "{findings:?}");
}

#[test]
fn rows_of_another_vehicle_and_older_content_of_a_slot_are_not_read() {
    let (spool, _) = sealed();
    let other = Boot { keys: SpoolKeys::new(Box::new(Quick), [0x99; 32], ROOT), ..boot(&Counter::default()) };
    let (spool, recovery) =
        Spool::open(spool.into_storage(), SMALL, other).expect("the start is not refused");
    assert_eq!((recovery.rows, spool.epochs().len()), (0, 0));
    assert!(recovery.headless_segments > 0);
}

#[test]
fn a_record_hidden_in_a_payload_is_not_found_when_the_one_around_it_breaks() {
    // The attacker chooses the context of an event, and knows number, offset and head; he lacks the row key.
    let (mut spool, _) = open(MemoryStorage::new(), SMALL);
    spool.append(&event(Lane::Critical, 1, 1)).expect("room");
    let segment = segments(&spool, CRITICAL).remove(0);
    let key = spool.ring.tail(CRITICAL).key.clone();
    let guess = RowKey::new(&[0; 32], segment.header.epoch, segment.header.salt);
    let mut random = Seed::new(5);
    for _ in 0..50 {
        let offset = segment.length + (random.next_u64() % 100) as usize;
        let at = At { offset, attempt: 0, place: 9, previous: [0; TAG_BYTES] };
        let mut outer = event(Lane::Critical, 2, 1);
        outer.context = emit(&segment.header, &guess, &key, at, (1, &[9; 40])).0;
        let row = spool.append(&outer).expect("room");
        let place = spool.lanes[&(BootEpoch(1), Lane::Critical)].rows[&row.seq.0];
        let slot = spool.ring.segments[&place.segment].slot;
        let mut image = spool.storage().clone();
        image.flip(spool.ring.slot_offset(slot) + u64::from(place.offset) + 10, 0);
        let (mut again, _) = open(image, SMALL);
        assert!(held(&mut again).keys().all(|(_, _, seq)| *seq < row.seq.0));
    }
}
