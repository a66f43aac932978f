//! Order of identifiers: how often one follows another that it never followed.
//!
//! ECUs are not in step, so new pairs go on turning up on a quiet bus for hours; a single one says nothing. What is
//! judged is their rate in a window, against the most that the second half of the learning time showed, which was
//! held out. Even so this is a hint only: see the chapter on the edge.

use outrider_bus::can::CanId;
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::limits;
use super::track::TRACKS_MAX;
use crate::fold::{Fold, Strike};
use crate::observation::Fields;

/// Words of one row.
const WORDS: usize = TRACKS_MAX.div_ceil(32);

/// What a window of frames showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Pairs are gathered.
    Gather,
    /// Pairs are gathered, and windows say how many are still new.
    HeldOut,
    /// Windows are judged.
    Judge,
}

/// Pairs of identifiers that followed each other on one bus, 7.6 KB.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    seen: [[u32; WORDS]; TRACKS_MAX],
    last: u16,
    frames: u32,
    novel: u32,
    stage: Stage,
    /// Most new pairs of a window that was held out.
    novel_max: u32,
    held_out: u32,
    /// Windows in a row with too many.
    streak: u32,
    /// Row that is forgotten next, and when.
    fading: usize,
    fade_at: VehicleMicros,
}

impl Sequence {
    pub(super) const fn new() -> Self {
        Self {
            seen: [[0; WORDS]; TRACKS_MAX],
            last: super::table::NONE,
            frames: 0,
            novel: 0,
            stage: Stage::Gather,
            novel_max: 0,
            held_out: 0,
            streak: 0,
            fading: 0,
            fade_at: VehicleMicros(0),
        }
    }

    /// Takes a frame of the identifier of a track. A pair is new once.
    #[inline]
    pub(super) fn receive(&mut self, now: Moment, track: u16, id: CanId, fold: &mut Fold) {
        let before = core::mem::replace(&mut self.last, track);
        if !now.calm {
            self.frames = 0;
            self.novel = 0;
            return;
        }
        let column = usize::from(track);
        let Some(word) = self.seen.get_mut(usize::from(before)).and_then(|row| row.get_mut(column / 32))
        else {
            return;
        };
        let bit = 1u32.checked_shl(u32::from(track) & 31).unwrap_or(0);
        self.novel = self.novel.saturating_add(u32::from(*word & bit == 0));
        *word |= bit;
        self.frames = self.frames.saturating_add(1);
        if self.frames >= limits::SEQUENCE_FRAMES {
            self.close(&now, id, fold);
            self.frames = 0;
            self.novel = 0;
        }
    }

    /// Most new pairs of a window that are ordinary.
    fn limit(&self) -> u32 {
        self.novel_max.saturating_mul(limits::SEQUENCE_FACTOR).saturating_add(limits::SEQUENCE_ROOM)
    }

    /// Takes one window.
    fn close(&mut self, now: &Moment, id: CanId, fold: &mut Fold) {
        match self.stage {
            Stage::Gather if now.age_us >= limits::WARM_UP_US / 2 => self.stage = Stage::HeldOut,
            Stage::Gather => {}
            Stage::HeldOut
                if now.age_us >= limits::WARM_UP_US && self.held_out >= limits::SEQUENCE_WINDOWS =>
            {
                self.stage = Stage::Judge;
            }
            Stage::HeldOut => {
                self.novel_max = self.novel_max.max(self.novel);
                self.held_out = self.held_out.saturating_add(1);
            }
            Stage::Judge => {
                let far = self.novel > self.limit();
                self.streak = if far { self.streak.saturating_add(1) } else { 0 };
                if self.streak >= limits::SEQUENCE_STREAK {
                    let fields = Fields::new()
                        .text(field::DETECTOR, "novel_pairs")
                        .int(field::CAN_ID, id.value().into())
                        .int(field::EXPECTED, self.limit().into())
                        .int(field::OBSERVED, self.novel.into());
                    let event_type = event::CAN_SEQUENCE_ANOMALY;
                    fold.strike(now.at, Strike { event_type, can_id: None, severity: Severity::Low, fields });
                }
            }
        }
    }

    /// Forgets the pairs of one identifier now and then, so that what no longer happens is new again; O(1).
    pub(super) fn tick(&mut self, now: VehicleMicros) {
        if now < self.fade_at || self.stage != Stage::Judge {
            return;
        }
        self.fade_at = now.saturating_add(limits::SEQUENCE_FADE_US);
        if let Some(row) = self.seen.get_mut(self.fading) {
            row.fill(0);
        }
        self.fading = self.fading.saturating_add(1).checked_rem(TRACKS_MAX).unwrap_or(0);
    }
}

/// What is known of the bus when a frame comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: VehicleMicros,
    /// Time since the first frame of the bus, in microseconds.
    pub(super) age_us: u64,
    /// Neither flood nor stall distorts the order of frames, and no other detector speaks: nothing of an attack that
    /// is known becomes usual, and what is said has not been said.
    pub(super) calm: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrider_types::BusId;

    /// Feeds frames of a hundred tracks in a fixed order, every `mix`-th out of turn, and returns how often it spoke.
    fn spoken(sequence: &mut Sequence, from_us: u64, to_us: u64, mix: u64) -> u32 {
        let mut fold = Fold::new(BusId(0));
        for at in (from_us..to_us).step_by(500) {
            let step = at / 500;
            let turn = if step % mix == mix - 1 { step * step % 97 } else { step % 100 };
            let moment = Moment { at: VehicleMicros(at), age_us: at, calm: true };
            sequence.receive(moment, u16::try_from(turn).expect("small"), CanId::LOWEST, &mut fold);
            sequence.tick(VehicleMicros(at));
        }
        fold.count(event::CAN_SEQUENCE_ANOMALY, None)
    }

    #[test]
    fn a_new_order_is_said_and_the_usual_one_is_not() {
        let mut sequence = Sequence::new();
        assert_eq!(spoken(&mut sequence, 0, limits::WARM_UP_US, u64::MAX), 0);
        assert_eq!(spoken(&mut sequence.clone(), limits::WARM_UP_US, 2 * limits::WARM_UP_US, u64::MAX), 0);
        assert!(spoken(&mut sequence, limits::WARM_UP_US, 2 * limits::WARM_UP_US, 3) > 0);
    }

    #[test]
    fn the_state_fits_its_allowance() {
        assert!(core::mem::size_of::<Sequence>() <= 8 * 1024);
    }
}
