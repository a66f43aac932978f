//! How one identifier comes.

use outrider_bus::can::CanId;
use outrider_ids::CycleMeter;
use outrider_ids::model::{CycleClass, GapFacts, IdEntry, IdFlags};

use super::{BusTrack, Track, listed};

/// Fewest gaps from which a cycle is drawn.
const GAPS_MIN: usize = 3;
/// Fewest gaps of one capture that show that an identifier never pauses.
const STEADY_GAPS_MIN: usize = 6;
/// Highest lead that training may excuse, in 1/65536 frames: traffic that was already attacked must not teach
/// that attacks are normal.
const AHEAD_MAX_Q16: u32 = 24 << 16;

/// Sums up one identifier over all captures of its bus.
pub(super) fn entry(id: CanId, tracks: &[BusTrack]) -> IdEntry {
    let own: Vec<(&BusTrack, &Track)> =
        tracks.iter().filter_map(|bus| bus.ids.get(&id).map(|track| (bus, track))).collect();
    let mut gaps: Vec<u32> = own.iter().flat_map(|(_, track)| gaps_of(track)).collect();
    gaps.sort_unstable();
    let facts = quantiles(&gaps);
    let class = classify(&gaps, &facts);
    let frames: usize = own.iter().map(|(_, track)| track.times.len()).sum();
    let cyclic = match class {
        CycleClass::Periodic | CycleClass::Mixed => true,
        CycleClass::Listed | CycleClass::Event => false,
    };
    let ahead = own.iter().map(|(_, track)| ahead_max(track, facts.median_us)).max().unwrap_or(0);
    let steady = class == CycleClass::Periodic
        && own.len() == tracks.len()
        && own.iter().any(|(_, track)| track.times.len() > STEADY_GAPS_MIN)
        && own.iter().all(|(bus, track)| is_steady(bus, track, facts.median_us));
    IdEntry {
        dlc_mask: own.iter().fold(0, |mask, (_, track)| mask | track.dlc_mask),
        class,
        flags: IdFlags {
            in_database: false,
            steady,
            fd: own.iter().any(|(_, track)| track.fd),
            remote: own.iter().any(|(_, track)| track.remote),
        },
        gaps: facts,
        ahead_max_q16: if cyclic { ahead.min(AHEAD_MAX_Q16) } else { 0 },
        frames: u32::try_from(frames).unwrap_or(u32::MAX),
        captures: u16::try_from(own.len()).unwrap_or(u16::MAX),
        ..listed(id)
    }
}

fn gaps_of(track: &Track) -> impl Iterator<Item = u32> + '_ {
    let later = track.times.iter().skip(1);
    track.times.iter().zip(later).map(|(a, b)| u32::try_from(b.saturating_sub(*a)).unwrap_or(u32::MAX))
}

/// Quantiles of sorted gaps; zero without any.
fn quantiles(sorted: &[u32]) -> GapFacts {
    let at = |percent: usize| {
        let index = sorted.len().saturating_sub(1) * percent / 100;
        sorted.get(index).copied().unwrap_or(0)
    };
    GapFacts { min_us: at(0), p05_us: at(5), median_us: at(50), p95_us: at(95), max_us: at(100) }
}

fn classify(sorted: &[u32], facts: &GapFacts) -> CycleClass {
    if sorted.len() < GAPS_MIN {
        return CycleClass::Listed;
    }
    let median = u64::from(facts.median_us);
    if median == 0 {
        return CycleClass::Event;
    }
    let near = |gap: u32, percent: u64| u64::from(gap).abs_diff(median) * 100 <= median * percent;
    if near(facts.p05_us, 30) && near(facts.p95_us, 30) {
        return CycleClass::Periodic;
    }
    let regular = sorted.iter().filter(|&&gap| near(gap, 20)).count();
    if regular * 2 >= sorted.len() { CycleClass::Mixed } else { CycleClass::Event }
}

fn ahead_max(track: &Track, cycle_us: u32) -> u32 {
    let mut meter = CycleMeter::new(cycle_us);
    gaps_of(track).map(|gap| meter.add(gap.into(), u32::MAX)).max().unwrap_or(0)
}

/// Returns whether an identifier was there from the beginning to the end of a capture, without a pause.
fn is_steady(bus: &BusTrack, track: &Track, cycle_us: u32) -> bool {
    let cycle = u64::from(cycle_us);
    let begins =
        track.times.first().zip(bus.first).is_some_and(|(own, bus)| own.saturating_sub(bus) <= 2 * cycle);
    let ends = track.times.last().is_some_and(|own| bus.last.saturating_sub(*own) <= 2 * cycle);
    begins && ends && gaps_of(track).all(|gap| u64::from(gap) * 10 <= cycle * 16)
}
