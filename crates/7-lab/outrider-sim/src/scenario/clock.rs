//! Clocks that are right, wrong, late, or jump.

use outrider_agent::clock::{KernelClock, claim};
use outrider_types::{ClockFix, ClockSource, Seed, UnixMicros, VehicleMicros};

use super::plan::ClockWord;

const SECOND_US: i64 = 1_000_000;
const HOUR_US: i64 = 3600 * SECOND_US;
/// 2099-01-01T00:00:00Z.
const Y2099: UnixMicros = UnixMicros(4_070_908_800_000_000);
/// What the kernel says of a clock that something synchronises: it reckons with errors of up to 16 s.
const SYNCHRONISED: Option<KernelClock> = Some(KernelClock { is_synchronised: true, error_us: 100_000 });
/// What it says of one that nobody does.
const ALONE: Option<KernelClock> = Some(KernelClock { is_synchronised: false, error_us: 16_000_000 });

/// Returns the name of a clock's fault in results.
pub(super) const fn fault(word: ClockWord) -> Option<&'static str> {
    match word {
        ClockWord::Good => None,
        ClockWord::None => Some("clock_none"),
        ClockWord::Unset => Some("clock_unset"),
        ClockWord::Ahead => Some("clock_ahead"),
        ClockWord::Drifting => Some("clock_drifting"),
        ClockWord::Daylight => Some("clock_daylight"),
        ClockWord::Jumping => Some("clock_jumping"),
        ClockWord::Late => Some("clock_late"),
    }
}

/// Returns a vehicle's crystal error.
pub(super) fn drift_ppm(word: ClockWord, random: &mut Seed) -> i64 {
    let most = match word {
        // The limit that the cloud reckons with (`ClockFix::DRIFT_PPM`), less what is gained within a second.
        ClockWord::Drifting => 95,
        ClockWord::Good
        | ClockWord::None
        | ClockWord::Unset
        | ClockWord::Ahead
        | ClockWord::Daylight
        | ClockWord::Jumping
        | ClockWord::Late => 20,
    };
    i64::try_from(random.below(2 * most + 1)).unwrap_or(0) - i64::try_from(most).unwrap_or(0)
}

/// Returns what the clocks show at a true time, and how long until the next reading of this boot.
pub(super) fn fix(word: ClockWord, at: UnixMicros, random: &mut Seed) -> (Option<ClockFix>, Option<u64>) {
    let reading = |wall: UnixMicros, error_us, source| {
        Some(ClockFix { mono: VehicleMicros(0), wall, error_us, source })
    };
    // What the vehicle program claims of the operating system's clock, by its own judgement.
    let machine = |wall: UnixMicros, kernel| claim(VehicleMicros(0), wall, kernel);
    let jitter = |random: &mut Seed, most: i64| {
        i64::try_from(random.below(2 * most.unsigned_abs())).unwrap_or(0) - most
    };
    let minutes = |random: &mut Seed, most: u64| Some((5 + random.below(most)) * 60_000_000);
    match word {
        ClockWord::Good => {
            (reading(at.saturating_add(jitter(random, 40_000)), 50_000, ClockSource::Gnss), None)
        }
        ClockWord::None => (None, None),
        ClockWord::Unset => {
            let wall = UnixMicros(12 * SECOND_US);
            (machine(wall, ALONE), minutes(random, 30))
        }
        ClockWord::Ahead => {
            let wall = Y2099.saturating_add(jitter(random, HOUR_US));
            (machine(wall, ALONE), minutes(random, 30))
        }
        ClockWord::Drifting => {
            let wall = at.saturating_add(jitter(random, 4 * SECOND_US));
            (machine(wall, SYNCHRONISED), minutes(random, 40))
        }
        ClockWord::Daylight => {
            let wall = at.saturating_add(if random.chance(1, 2) { HOUR_US } else { 0 });
            (machine(wall, ALONE), minutes(random, 20))
        }
        ClockWord::Jumping => {
            let wall = at.saturating_add(jitter(random, 96 * HOUR_US));
            (machine(wall, ALONE), minutes(random, 20))
        }
        ClockWord::Late => {
            // The first call comes at boot, before there is reception.
            if random.chance(1, 3) {
                (reading(at.saturating_add(jitter(random, 40_000)), 50_000, ClockSource::Gnss), None)
            } else {
                (None, minutes(random, 15))
            }
        }
    }
}
