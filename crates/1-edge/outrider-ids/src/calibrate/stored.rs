//! Pools out of a vehicle model, and into one.

use super::{Calibration, Habit, KNOWN_SECONDS, Pool};
use crate::model::habits::PoolHabit;

impl Calibration {
    /// Returns what a model says of the pools, by habit. Repetitions are compared with what is remembered of minutes, so
    /// that they begin anew with every start.
    pub(crate) fn stored(&self) -> impl Iterator<Item = PoolHabit> + '_ {
        let carried = (0..u8::MAX).zip(&self.pools).filter(|(habit, _)| *habit != Habit::Echo as u8);
        carried.map(|(habit, pool)| PoolHabit {
            habit,
            seconds: u16::try_from(pool.seconds).unwrap_or(u16::MAX),
            counts: pool.counts,
        })
    }

    /// Takes a pool of a model; returns whether its habit is known.
    pub(crate) fn load(&mut self, stored: &PoolHabit) -> bool {
        let Some(pool) = self.pools.get_mut(usize::from(stored.habit)) else { return false };
        let seconds = u32::from(stored.seconds);
        *pool = Pool { seconds, counts: stored.counts, known: seconds >= KNOWN_SECONDS, ..Pool::EMPTY };
        true
    }
}
