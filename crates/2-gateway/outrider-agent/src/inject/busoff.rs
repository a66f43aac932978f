//! Bus-off: errors forced on one ECU until it leaves the bus.

use outrider_bus::can::{CanId, ErrorClass, Frame, TimedFrame};
use outrider_types::VehicleMicros;

use super::{Context, InjectError, Stretch, Truth};

/// Destroyed transmissions until an ECU is off the bus: each adds 8 to its error counter, which ends at 256 (ISO
/// 11898-1, fault confinement).
const ERRORS: u64 = 32;
/// Time from one destroyed transmission to the next, in microseconds: the part of the frame up to the error, the
/// error flag and the gap, at 500 kbit/s.
const RETRY_US: u64 = 180;
/// Added to that once the ECU is error passive and waits before it tries again, in microseconds: 8 bits.
const PASSIVE_US: u64 = 16;
/// Most identifiers of one ECU that go with the target.
const SIBLINGS_MAX: u64 = 4;

impl Context<'_> {
    /// Destroys every transmission of the target with an error frame, 32 times; then all its ECU's identifiers
    /// are gone. Which identifiers share an ECU is a guess of the seed among those with the same cycle.
    pub(super) fn bus_off(&self) -> Result<Stretch, InjectError> {
        let target = self.target(100_000)?;
        let mut seed = self.seed.fork(9);
        let mut ids: Vec<CanId> = vec![target.id];
        let mut siblings: Vec<CanId> = self
            .survey
            .periodic(100_000)
            .filter(|other| {
                other.id != target.id && other.cycle_us.abs_diff(target.cycle_us) * 10 <= target.cycle_us
            })
            .map(|other| other.id)
            .collect();
        let count = seed.below(SIBLINGS_MAX + 1);
        while (ids.len() as u64) <= count && !siblings.is_empty() {
            let index = usize::try_from(seed.below(siblings.len() as u64)).unwrap_or(0);
            ids.push(siblings.swap_remove(index));
        }
        let first = self.within.iter().find(|timed| self.is_of(timed, target.id));
        let begin = first.ok_or(InjectError::Id { id: target.id })?.at.0;
        let gone = |timed: &&TimedFrame| timed.at.0 >= begin && ids.iter().any(|id| self.is_of(timed, *id));
        let removed: Vec<TimedFrame> = self.within.iter().filter(gone).copied().collect();
        let mut told: super::Told =
            self.within.iter().filter(|timed| !gone(timed)).map(|timed| (*timed, Truth::Clean)).collect();
        let class = ErrorClass::new(ErrorClass::BUS_ERROR.bits() | ErrorClass::PROTOCOL.bits());
        let frame = Frame::error(class.unwrap_or_default(), &[0; 8]).map_err(|_| InjectError::NoTarget)?;
        let mut at = begin;
        for error in 0..ERRORS {
            told.push((TimedFrame { at: VehicleMicros(at), bus: self.survey.bus, frame }, Truth::Answer));
            at = at.saturating_add(RETRY_US + if error >= ERRORS / 2 { PASSIVE_US } else { 0 });
        }
        self.stretch(told, ids, &removed, 0)
    }
}
