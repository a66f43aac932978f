//! How often something was seen within a window.

use outrider_types::{Severity, VehicleMicros};

/// Count within a window that begins with its first occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Evidence {
    count: u32,
    begun: VehicleMicros,
}

impl Evidence {
    /// Nothing seen.
    pub(crate) const NONE: Self = Self { count: 0, begun: VehicleMicros(0) };

    /// Counts one occurrence and returns how many the window has.
    pub(crate) fn add(&mut self, at: VehicleMicros, window_us: u64) -> u32 {
        if self.count == 0 || at.micros_since(self.begun) > window_us {
            *self = Self { count: 0, begun: at };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

/// Occurrences from which on something is said, and from which on it is an alarm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ladder {
    pub(crate) low: u32,
    pub(crate) medium: u32,
}

impl Ladder {
    /// Said at once, an alarm at the third time: chance does not hit the same thing three times in a window.
    pub(crate) const AT_ONCE: Self = Self { low: 1, medium: 3 };

    /// Returns how grave a count is, or `None` while it is too small to be said.
    pub(crate) const fn severity(self, count: u32) -> Option<Severity> {
        if count >= self.medium {
            Some(Severity::Medium)
        } else if count >= self.low {
            Some(Severity::Low)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_with_what_it_counts_first() {
        let mut evidence = Evidence::NONE;
        let mut at = |us| evidence.add(VehicleMicros(us), 10);
        assert_eq!([at(5), at(6), at(15), at(16), at(17)], [1, 2, 3, 1, 2]);
        let ladder = Ladder { low: 2, medium: 4 };
        let said: [_; 5] = core::array::from_fn(|n| ladder.severity(u32::try_from(n).expect("small")));
        assert_eq!(said, [None, None, Some(Severity::Low), Some(Severity::Low), Some(Severity::Medium)]);
    }
}
