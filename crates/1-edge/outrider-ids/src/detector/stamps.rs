//! How good the time stamps of a bus are: how coarse, and whether its logger stalls.

use outrider_types::VehicleMicros;

use super::limits;

/// Frames between two looks at how coarse the stamps are; then older ones count half.
const LOOK_FRAMES: u32 = 1024;
/// One pair of neighbours in so many with the same stamp shows that stamps are coarse: a frame takes time on its bus.
const EQUAL_ONE_IN: u32 = 8;
/// Coarsest stamps believed, in microseconds (guess; an adapter that hands over a packet every 10 ms is common).
const GRAIN_US_MAX: u64 = 20_000;

/// Stamps of one bus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamps {
    /// The silence of the whole bus that one in a hundred or so is longer than, in microseconds.
    usual_us: u64,
    /// From when silence counts: the start, or the end of a stall.
    since: VehicleMicros,
    latest: VehicleMicros,
    /// Until when frames come that a stall held back.
    backlog_until: VehicleMicros,
    /// Neighbours with the same stamp, neighbours with different ones, and the time between these.
    equal: u32,
    steps: u32,
    stepped_us: u64,
    grain_us: u32,
}

impl Stamps {
    pub(super) const fn new() -> Self {
        let zero = VehicleMicros(0);
        Self {
            usual_us: 0,
            since: zero,
            latest: zero,
            backlog_until: zero,
            equal: 0,
            steps: 0,
            stepped_us: 0,
            grain_us: 0,
        }
    }

    /// Begins anew, as after a step of the clock.
    pub(super) const fn restart(&mut self, at: VehicleMicros) {
        self.since = at;
        self.latest = at;
        self.backlog_until = at;
    }

    /// Longest silence of the bus that is none of anybody in particular.
    fn stall_us(&self) -> u64 {
        self.usual_us
            .saturating_mul(limits::BUS_SILENCE_FACTOR)
            .clamp(limits::BUS_SILENCE_MIN_US, limits::BUS_SILENCE_US)
    }

    /// Notes a frame of the bus: after a silence of everybody, nobody in particular is missed.
    #[inline]
    pub(super) fn frame(&mut self, at: VehicleMicros) {
        let gap = at.micros_since(self.latest);
        self.latest = at;
        if gap == 0 {
            self.equal = self.equal.saturating_add(1);
        } else {
            self.steps = self.steps.saturating_add(1);
        }
        if gap > self.usual_us {
            if gap > self.stall_us() {
                self.since = at;
                let part = gap.checked_div(limits::BACKLOG_DIVISOR).unwrap_or(0).min(limits::BACKLOG_US_MAX);
                self.backlog_until = at.saturating_add(part.saturating_add(limits::BACKLOG_GRACE_US));
            } else {
                self.stepped_us = self.stepped_us.saturating_add(gap);
            }
            // A quarter up and a 512th down settle where one silence in about a hundred is longer.
            let most = limits::BUS_SILENCE_US.checked_div(limits::BUS_SILENCE_FACTOR).unwrap_or(0);
            self.usual_us = self.usual_us.saturating_add(self.usual_us / 4).saturating_add(250).min(most);
        } else {
            self.stepped_us = self.stepped_us.saturating_add(gap);
            self.usual_us = self.usual_us.saturating_sub(self.usual_us >> 9);
        }
        if self.equal.saturating_add(self.steps) >= LOOK_FRAMES {
            self.look();
        }
    }

    /// Draws how coarse the stamps are, and lets what was seen fade.
    fn look(&mut self) {
        let coarse = self.equal.saturating_mul(EQUAL_ONE_IN) >= self.equal.saturating_add(self.steps);
        let step = self.stepped_us.checked_div(self.steps.into()).unwrap_or(0).min(GRAIN_US_MAX);
        self.grain_us = if coarse { u32::try_from(step).unwrap_or(0) } else { 0 };
        self.equal /= 2;
        self.steps /= 2;
        self.stepped_us /= 2;
    }

    /// Returns how coarse the stamps are, in microseconds; 0 if they are fine.
    pub(super) const fn grain_us(&self) -> u32 {
        self.grain_us
    }

    /// Returns the end of the latest stall of the whole bus.
    pub(super) const fn since(&self) -> VehicleMicros {
        self.since
    }

    /// Returns whether frames come that a stall held back, so that their stamps mean nothing.
    #[inline]
    pub(super) fn is_backlog(&self, at: VehicleMicros) -> bool {
        at < self.backlog_until
    }

    /// Returns until when that is so.
    pub(super) const fn backlog_until(&self) -> VehicleMicros {
        self.backlog_until
    }

    /// Returns whether the whole bus is silent.
    #[inline]
    pub(super) fn is_quiet(&self, now: VehicleMicros) -> bool {
        now.micros_since(self.latest) > self.stall_us()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(gaps: impl Iterator<Item = u64>) -> (Stamps, u64) {
        let (mut stamps, mut at) = (Stamps::new(), 1_000_000);
        stamps.restart(VehicleMicros(at));
        for gap in gaps {
            at += gap;
            stamps.frame(VehicleMicros(at));
        }
        (stamps, at)
    }

    #[test]
    fn stalls_stay_stalls_however_often_they_come_and_usual_pauses_are_none() {
        let mut stalls = 0;
        let (mut stamps, mut at) = fed((0..6000).map(|_| 700));
        for _ in 0..20 {
            at += 200_000;
            stamps.frame(VehicleMicros(at));
            stalls += u32::from(stamps.since() == VehicleMicros(at) && stamps.is_backlog(VehicleMicros(at)));
            for _ in 0..4000 {
                at += 700;
                stamps.frame(VehicleMicros(at));
            }
            assert!(!stamps.is_backlog(VehicleMicros(at)));
        }
        assert_eq!(stalls, 20);
        // Twenty frames, then nothing for 90 ms: that is how this bus is.
        let (paused, at) = fed((0..2000).map(|n| if n % 20 == 0 { 90_000 } else { 250 }));
        assert!(at - paused.since().0 > 1_000_000);
    }

    #[test]
    fn coarse_stamps_are_seen_and_fine_ones_are_not_coarse() {
        assert_eq!(fed((0..3000).map(|n| 300 + n % 7)).0.grain_us(), 0);
        let (batches, _) = fed((0..3000).map(|n| if n % 8 == 0 { 10_000 } else { 0 }));
        assert_eq!(batches.grain_us(), 10_000);
    }
}
