//! What a bus does for the first time now and then: section 3.
//!
//! A version (1), the number of pools (1), two zero bytes; then the pools, ascending by habit: habit (1), entries (1),
//! clean seconds (2); for each entry, ascending, the step of the excess (1), a zero byte, and in how many of these
//! seconds it was the largest (2). A habit that a reader does not know is passed over.

use super::super::bytes::{Cursor, u8_at, u16_at};
use super::{VERSION, is_later};

/// Steps of an excess that are told apart.
pub const STEPS: usize = crate::calibrate::STEPS;
/// Most pools: twice as many as there are habits now.
pub const POOLS_MAX: usize = 16;
/// Bytes of the longest pool.
pub const POOL_BYTES_MAX: usize = POOL_BYTES + STEPS * ENTRY_BYTES;
/// Names of the habits, by number.
pub const HABIT_NAMES: [&str; crate::calibrate::HABITS] =
    ["step", "leap", "swing", "calm", "discord", "echo", "skip", "early_step", "early_leap"];
const HEAD_BYTES: usize = 4;
const POOL_BYTES: usize = 4;
const ENTRY_BYTES: usize = 4;

/// Largest excesses of clean seconds of one habit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolHabit {
    /// Number of the habit.
    pub habit: u8,
    /// Clean seconds.
    pub seconds: u16,
    /// Seconds by their largest excess, in quarters of octaves from a sixteenth of what was usual.
    pub counts: [u16; STEPS],
}

impl PoolHabit {
    /// Returns whether there are at least as many seconds as were counted, and no more than are kept.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let sum = self.counts.iter().fold(0u32, |sum, count| sum.saturating_add((*count).into()));
        sum <= self.seconds.into() && u32::from(self.seconds) <= crate::calibrate::SECONDS_MAX
    }

    /// Writes the pool to the front of `out` and returns its bytes; [`POOL_BYTES_MAX`] are enough.
    pub fn write(&self, out: &mut [u8]) -> usize {
        let mut cursor = Cursor::new(out);
        let counts = || (0..u8::MAX).zip(self.counts).filter(|(_, count)| *count > 0);
        cursor.put(&[self.habit, u8::try_from(crate::count_of(counts())).unwrap_or(u8::MAX)]);
        cursor.put(&self.seconds.to_le_bytes());
        for (step, count) in counts() {
            cursor.put(&[step, 0]);
            cursor.put(&count.to_le_bytes());
        }
        cursor.at()
    }

    /// Reads the pool at an offset and returns it with the offset behind it.
    fn read(section: &[u8], at: usize) -> Option<(Self, usize)> {
        let entries = usize::from(u8_at(section, at.saturating_add(1)));
        let seconds = u16_at(section, at.saturating_add(2));
        let begin = at.saturating_add(POOL_BYTES);
        let end = begin.saturating_add(entries.saturating_mul(ENTRY_BYTES));
        if end > section.len() {
            return None;
        }
        let mut pool = Self { habit: u8_at(section, at), seconds, counts: [0; STEPS] };
        let mut previous = None;
        for at in (begin..end).step_by(ENTRY_BYTES) {
            let (step, count) = (u16_at(section, at), u16_at(section, at.saturating_add(2)));
            if previous >= Some(step) || count == 0 {
                return None;
            }
            previous = Some(step);
            *pool.counts.get_mut(usize::from(step))? = count;
        }
        pool.is_consistent().then_some((pool, end))
    }
}

/// Returns what stands before the pools of a section, or `None` for more than [`POOLS_MAX`].
#[must_use]
pub fn pool_head(pools: usize) -> Option<[u8; HEAD_BYTES]> {
    Some([VERSION, u8::try_from(pools).ok().filter(|_| pools <= POOLS_MAX)?, 0, 0])
}

/// Returns the pools of a checked section, ascending; none of a version that is not known.
pub fn pools(section: &[u8]) -> impl Iterator<Item = PoolHabit> + '_ {
    let count = if is_later(section) { 0 } else { usize::from(u8_at(section, 1)).min(POOLS_MAX) };
    let mut at = HEAD_BYTES;
    (0..count).map_while(move |_| {
        let (pool, next) = PoolHabit::read(section, at)?;
        at = next;
        Some(pool)
    })
}

/// Checks a section of a model; a later version is not this reader's.
pub(in crate::model) fn check(section: &[u8]) -> Result<(), usize> {
    if is_later(section) {
        return Ok(());
    }
    let count = usize::from(u8_at(section, 1));
    if u8_at(section, 0) != VERSION || count > POOLS_MAX || u16_at(section, 2) != 0 {
        return Err(0);
    }
    let (mut at, mut previous) = (HEAD_BYTES, None);
    for _ in 0..count {
        let (pool, next) = PoolHabit::read(section, at).ok_or(at.min(section.len()))?;
        if previous >= Some(pool.habit) {
            return Err(at);
        }
        previous = Some(pool.habit);
        at = next;
    }
    if at == section.len() { Ok(()) } else { Err(at.min(section.len())) }
}
