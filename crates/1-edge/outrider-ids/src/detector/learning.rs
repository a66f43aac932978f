//! Learns on the road what is normal: which identifiers there are, and how they come.

use outrider_bus::can::{CanId, Frame, FrameKind};
use outrider_types::VehicleMicros;

use super::table::{NONE, Trust};
use super::timing::{Timed, Verdict};
use super::{BusDetector, limits};

impl BusDetector {
    /// Learns the timing of an identifier of a bus without a model.
    #[inline]
    pub(super) fn learn(&mut self, at: VehicleMicros, index: usize, timed: &Timed) {
        let Some(slot) = self.table.slot_mut(index) else { return };
        if slot.trust == Trust::Known && !self.warm_up.widens(at) {
            return;
        }
        let Some(track) = self.tracks.get_mut(slot.track) else { return };
        if timed.verdict != Verdict::Ordinary || self.fold.is_alarmed() {
            track.pace.reject();
            return;
        }
        // A gap over a silence of the whole bus says nothing about the identifier.
        let Some(gap_us) = timed.gap_us.filter(|&gap| at.micros_since(self.stamps.since()) >= gap) else {
            return;
        };
        let age_us = self.warm_up.age_us(at);
        if let Some(mut pace) = track.pace.add(gap_us, timed.ahead_q16, self.stamps.grain_us()) {
            // One that came late, or for a while only, may go again.
            let there_us =
                u64::from(track.pace.span_us()).saturating_add(u64::from(pace.cycle_us).saturating_mul(4));
            pace.steady &= there_us >= limits::STEADY_US
                || there_us.saturating_mul(4) >= age_us.saturating_mul(limits::STEADY_QUARTERS);
            let was = slot.silence_us > 0;
            slot.set_pace(&pace);
            if was != (slot.silence_us > 0) {
                self.silence.watch_one(!was);
                // What shows that it is steady says how the bus is, too; but once.
                if !was {
                    let before = track.pace.take_before();
                    before.for_each(|gap_us| self.silence.learn(slot.cycle_us, gap_us.into()));
                }
            }
        }
        if slot.silence_us > 0 {
            self.silence.learn(slot.cycle_us, gap_us);
        }
        if slot.trust == Trust::Learning
            && track.pace.gaps() >= limits::LEARNED_GAPS
            && age_us >= limits::LEARNED_US
        {
            slot.trust = Trust::Known;
        }
        slot.seen_often |= track.pace.gaps() >= limits::LENGTHS_GAPS && slot.trust == Trust::Known;
    }

    /// Takes an identifier into the table; its own frames will say what is normal for it.
    pub(super) fn adopt(&mut self, at: VehicleMicros, id: CanId, frame: &Frame) {
        self.operation.returned(at);
        let track = self.tracks.take().unwrap_or(NONE);
        let Some(slot) = self.table.learn(id, track).and_then(|index| self.table.slot_mut(index)) else {
            return;
        };
        slot.last = Some(at);
        slot.streak = 1;
        slot.dlc_mask = 1u16.checked_shl(frame.dlc().code().into()).unwrap_or(0);
        slot.fd = frame.kind() == FrameKind::Fd;
        slot.remote = frame.kind() == FrameKind::Remote;
    }
}
