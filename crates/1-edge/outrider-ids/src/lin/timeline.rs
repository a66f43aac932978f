//! The times of headers: who is early, and whether somebody else's schedule explains it.

use outrider_bus::lin::{Heard, Order, Pid};
use outrider_types::VehicleMicros;

use super::limits;

/// Header that came, and how long its frame was.
#[derive(Debug, Clone, Copy)]
struct Header {
    pid: Pid,
    at: VehicleMicros,
    /// `None` behind a response that is none, whose length nobody knows.
    frame_us: Option<u64>,
}

/// How a header fits the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// The first one.
    Locked,
    /// After the slot before it was over.
    OnTime {
        /// Whose slot that was.
        before: Pid,
        /// A header inside of that slot that the master did not send, because it went on as if there were none.
        intruder: Option<Pid>,
    },
    /// Inside of the slot before it.
    Early {
        /// Time since that slot began, in microseconds.
        gap_us: u64,
        /// Its length, in microseconds.
        slot_us: u64,
    },
}

/// Follows the headers of a bus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeline {
    last: Option<Header>,
    /// Header inside of the slot of `last`.
    inside: Option<Header>,
}

impl Timeline {
    pub(super) const fn new() -> Self {
        Self { last: None, inside: None }
    }

    /// Forgets the place, as when the bus slept or the clock stepped.
    pub(super) fn restart(&mut self) {
        *self = Self::new();
    }

    /// Takes a header and what became of its response.
    pub(super) fn header(&mut self, at: VehicleMicros, pid: Pid, heard: &Heard, order: &Order) -> Fit {
        let header = Header { pid, at, frame_us: frame_us(heard) };
        let awake = self.last.filter(|last| at.micros_since(last.at) < limits::IDLE_US);
        let Some(last) = awake else {
            (self.last, self.inside) = (Some(header), None);
            return Fit::Locked;
        };
        let Some(slot_us) = order.slot_us(last.pid) else {
            // Nobody knows how long its slot is, so nothing in it is early.
            (self.last, self.inside) = (Some(header), None);
            return Fit::OnTime { before: last.pid, intruder: None };
        };
        let gap_us = gap_us(&last, &header);
        let divisor = match (last.frame_us, header.frame_us) {
            (Some(_), Some(_)) => limits::EARLY_DIVISOR,
            _ => limits::EARLY_DIVISOR_FAULT,
        };
        let slack = slot_us.checked_div(divisor).unwrap_or(0);
        if gap_us < u64::from(slot_us.saturating_sub(slack)) {
            if self.inside.is_some() {
                // Two in one slot: the place is lost, and the later one is taken for the schedule's.
                (self.last, self.inside) = (Some(header), None);
            } else {
                self.inside = Some(header);
            }
            return Fit::Early { gap_us, slot_us: slot_us.into() };
        }
        let is_due = gap_us <= u64::from(slot_us.saturating_add(slack));
        let inside = self.inside.take();
        let intruder = inside.filter(|_| is_due && order.allows(last.pid, pid)).map(|inside| inside.pid);
        // If the master did jump, the header inside was its own and is what this one follows.
        let before = if intruder.is_none() { inside.map_or(last.pid, |inside| inside.pid) } else { last.pid };
        self.last = Some(header);
        Fit::OnTime { before, intruder }
    }
}

/// Returns the longest a frame keeps the bus without pauses, or `None` if its length is not known.
fn frame_us(heard: &Heard) -> Option<u64> {
    let Heard::Frame { frame, .. } = heard else { return None };
    // Each byte has a start and a stop bit; the checksum is one more.
    let bytes = u64::try_from(frame.data().len()).unwrap_or(0).saturating_add(1);
    Some(limits::HEADER_BITS.saturating_add(bytes.saturating_mul(10)).saturating_mul(limits::BIT_US))
}

/// Time from one header to the next, the longer one of what captures mean: that stamp the beginning of frames, or
/// their end.
fn gap_us(before: &Header, after: &Header) -> u64 {
    let stamped = after.at.micros_since(before.at);
    let (Some(first), Some(second)) = (before.frame_us, after.frame_us) else { return stamped };
    stamped.max(stamped.saturating_add(first).saturating_sub(second))
}
