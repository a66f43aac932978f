//! What no sender of a payload breaks: its counter and its checksum.

use super::{CHECK_PROOFS, CHECKS_MAX, Finding, Payload};
use crate::judgement::Detector;

impl Payload {
    /// Checks counter and checksum.
    pub(super) fn law(&mut self, before: u64, now: u64, follows: bool, learns: bool) -> Option<Finding> {
        if follows && !self.counters.is_ready() && learns {
            self.counters.learn(before, now);
        }
        let found = |detector, expected, observed| {
            let (alarm, flagged, surprise) = (false, true, None);
            Some(Finding { detector, alarm, flagged, bit: 0, bits: 0, expected, observed, surprise })
        };
        if let Some((expected, observed)) = self.checksum(before, now) {
            return found(Detector::Checksum, expected.into(), observed.into());
        }
        if !follows {
            return None;
        }
        let (expected, observed) = self.counters.check(before, now)?;
        found(Detector::Counter, expected, observed)
    }

    /// Returns the checksum expected and observed if it is wrong.
    fn checksum(&mut self, before: u64, now: u64) -> Option<(u8, u8)> {
        let bytes = self.bytes;
        let (mut holds, mut fails) = (false, false);
        for check in self.checks.iter().flatten() {
            let is_right = check.holds(now, bytes);
            (holds, fails) = (holds | is_right, fails | !is_right);
        }
        // There is none.
        if !holds && !fails {
            return None;
        }
        let first = self.checks.iter().flatten().next().copied()?;
        if holds {
            if fails {
                // Of several explanations, those that no longer explain are gone.
                for slot in &mut self.checks {
                    *slot = slot.filter(|check| check.holds(now, bytes));
                }
            }
            self.varied |= changed_bytes((before ^ now) & !first.bits());
            if self.check_proofs < u8::MAX && (before ^ now) & !(self.counters.mask() | first.bits()) != 0 {
                self.check_proofs = self.check_proofs.saturating_add(1);
            }
            return None;
        }
        if self.check_proofs < CHECK_PROOFS || self.varied.count_ones() < 2 {
            // It was chance, or too little moved to tell.
            self.checks = [None; CHECKS_MAX];
            (self.check_proofs, self.varied) = (0, 0);
            return None;
        }
        Some(first.expected(now))
    }
}

/// Returns which bytes of a word are not zero, a bit for each.
pub(super) const fn changed_bytes(word: u64) -> u8 {
    let word = word | word >> 4 & 0x0F0F_0F0F_0F0F_0F0F;
    let word = word | word >> 2 & 0x3333_3333_3333_3333;
    let word = word | word >> 1;
    let low = word & 0x0101_0101_0101_0101;
    // Every product of two set bits has a place of its own in the highest byte.
    low.wrapping_mul(0x0102_0408_1020_4080).to_be_bytes()[0]
}
