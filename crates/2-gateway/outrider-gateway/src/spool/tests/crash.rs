//! Power cuts: every prefix, torn at every byte, reordered, over a ring that wrapped, while rows are evicted.

use outrider_types::Seed;
use outrider_wire::DropReason;

use super::run::{Fill, Run, apply, tear};
use super::*;
use crate::Write;

/// Tears each write at every byte with every fill. Returns the number of images.
fn tear_everywhere(run: &Run) -> u64 {
    let mut image = MemoryStorage::new();
    let mut random = Seed::new(1);
    let mut images = 0;
    for (count, write) in run.writes.iter().enumerate() {
        if let Write::At(_, bytes) = write {
            for cut in 0..bytes.len() {
                for fill in Fill::ALL {
                    let mut torn = image.clone();
                    tear(&mut torn, write, cut, fill, &mut random);
                    images += 1;
                    let judged = run.judge(&torn, count, images % 16 == 0);
                    assert_eq!(judged, (0, 0), "write {count} torn at {cut} of {}, {fill:?}", bytes.len());
                }
            }
        }
        apply(&mut image, write);
    }
    assert_eq!(run.judge(&image, run.writes.len(), true), (0, 0));
    images + 1
}

fn below(random: &mut Seed, bound: usize) -> usize {
    usize::try_from(random.next_u64() % bound as u64).expect("below a usize")
}

/// Loses and tears any of the writes since the last flush. Returns the number of images.
fn reorder(run: &Run, tries: u32) -> u64 {
    let mut durable = MemoryStorage::new();
    let mut open: Vec<&Write> = Vec::new();
    let mut random = Seed::new(2);
    let mut images = 0;
    for (count, write) in run.writes.iter().enumerate() {
        if matches!(write, Write::At(..)) {
            open.push(write);
        }
        for _ in 0..tries {
            let mut image = durable.clone();
            // What reaches the medium, and in which order.
            let mut landed: Vec<&Write> =
                open.iter().copied().filter(|_| below(&mut random, 3) > 0).collect();
            for at in (1..landed.len()).rev() {
                landed.swap(at, below(&mut random, at + 1));
            }
            for write in landed {
                if below(&mut random, 4) == 0 {
                    let Write::At(_, bytes) = write else { continue };
                    let cut = below(&mut random, bytes.len());
                    let fill = Fill::ALL[below(&mut random, 4)];
                    tear(&mut image, write, cut, fill, &mut random);
                } else {
                    apply(&mut image, write);
                }
            }
            images += 1;
            assert_eq!(run.judge(&image, count, images % 16 == 0), (0, 0), "writes up to {count} reordered");
        }
        if *write == Write::Flush {
            for write in open.drain(..) {
                apply(&mut durable, write);
            }
        }
    }
    images
}

fn evicted(run: &Run) -> u64 {
    let mut image = MemoryStorage::new();
    run.writes.iter().for_each(|write| apply(&mut image, write));
    let (spool, _) = open(image, run.config);
    let gaps = spool.epochs().into_iter().flat_map(|epoch| spool.gaps(epoch).collect::<Vec<_>>());
    gaps.filter(|gap| gap.reason == Some(DropReason::Evicted)).map(|gap| gap.range.count()).sum()
}

#[test]
fn no_power_cut_loses_a_committed_row_or_invents_one() {
    let run = Run::two_boots(TIGHT, [54, 36]);
    assert!(evicted(&run) > 5, "the run must evict: {}", evicted(&run));
    let bytes: usize =
        run.writes.iter().map(|write| if let Write::At(_, bytes) = write { bytes.len() } else { 0 }).sum();
    assert!(bytes as u64 > TIGHT.device_bytes() - 8192, "the ring must wrap: {bytes} bytes");
    let (torn, reordered) = (tear_everywhere(&run), reorder(&run, 12));
    assert!(torn + reordered >= 100_000, "{torn} torn, {reordered} reordered");
}

#[test]
fn no_power_cut_in_a_boot_loop_forgets_a_boot() {
    let run = Run::boot_loop(TIGHT, 60);
    let mut image = MemoryStorage::new();
    let mut random = Seed::new(4);
    let mut images = 0;
    for (count, write) in run.writes.iter().enumerate() {
        if let Write::At(_, bytes) = write {
            for cut in [0, 1, bytes.len() / 3, bytes.len() - 1] {
                for fill in Fill::ALL {
                    let mut torn = image.clone();
                    tear(&mut torn, write, cut, fill, &mut random);
                    images += 1;
                    let judged = run.judge(&torn, count, false);
                    assert_eq!(judged, (0, 0), "write {count} torn at {cut} of {}, {fill:?}", bytes.len());
                }
            }
        }
        apply(&mut image, write);
    }
    let (spool, _) = open(image, run.config);
    let lost: u64 = spool.lost_boots().map(|lost| lost.boots).sum();
    assert!(lost > 60 && images > 10_000, "{lost} boots and lanes became entries in {images} images");
    assert!(reorder(&run, 3) > 1000);
}

#[test]
fn the_crash_test_catches_a_medium_that_does_not_flush() {
    let run = Run::two_boots(TIGHT, [40, 20]);
    let mut lost = 0;
    for count in 0..run.writes.len() {
        // The last three writes before the cut never arrive, flushed or not.
        let mut image = MemoryStorage::new();
        run.writes[..count.saturating_sub(4)].iter().for_each(|write| apply(&mut image, write));
        let promised = std::panic::catch_unwind(|| run.judge(&image, count, false).0);
        lost += promised.map_or(1, |lost| lost);
    }
    assert!(lost > 0, "the judge must notice");
}

#[test]
fn a_crash_image_starts_and_goes_on() {
    let run = Run::two_boots(TIGHT, [72, 48]);
    let mut image = MemoryStorage::new();
    for (count, write) in run.writes.iter().enumerate() {
        let mut torn = image.clone();
        tear(&mut torn, write, 20, Fill::Noise, &mut Seed::new(3));
        let (mut spool, _) = open(torn, TIGHT);
        let before = held(&mut spool);
        let row = spool.append(&event(Lane::Critical, 7, 1)).expect("room");
        assert!(row.durable);
        let id = (spool.epoch(), Lane::Critical, row.seq.0);
        let (mut spool, recovery) = open(spool.into_storage(), TIGHT);
        let after = held(&mut spool);
        assert_eq!(after.get(&id), Some(&7), "after act {count}: {recovery:?}");
        let lost = before.keys().filter(|id| !after.contains_key(id) && id.1 == Lane::Critical).count();
        let gaps: u64 = spool
            .epochs()
            .into_iter()
            .flat_map(|epoch| spool.gaps(epoch).collect::<Vec<_>>())
            .map(|gap| gap.range.count())
            .sum();
        assert!(lost as u64 <= gaps, "{lost} lost, {gaps} told after act {count}");
        apply(&mut image, write);
    }
}
