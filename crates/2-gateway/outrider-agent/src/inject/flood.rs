//! Flood: the bus is simulated frame by frame, because a flood is what it does to the others.

use std::collections::BTreeMap;

use outrider_bus::can::{CanId, Frame, TimedFrame};
use outrider_types::VehicleMicros;

use super::{Context, InjectError, Labels};

/// Frames a second that a program on a 500 kbit/s bus can add: the bus carries about 4,100 of eight bytes.
const RATE_HZ: u32 = 3_900;
/// Bits of a classic frame of eight bytes with usual stuffing and the gap behind it, at 500 kbit/s: 122 bits.
const FRAME_US: u64 = 244;

impl Context<'_> {
    /// Sends the lowest identifier as fast as the bus allows; others wait, and a frame that still waits when the
    /// next of its identifier is due is replaced by it, as in the mailbox of a controller.
    pub(super) fn flood(&self) -> Result<(Vec<TimedFrame>, Labels), InjectError> {
        let lowest = CanId::standard(0).unwrap_or_default();
        let id = self.plan.id.unwrap_or(lowest);
        let rate_hz = self.plan.rate_hz.unwrap_or(RATE_HZ).max(1);
        self.check_count(rate_hz)?;
        let mut seed = self.seed.fork(4);
        let payload = seed.next_u64().to_be_bytes();
        let frame = Frame::classic(id, &payload).map_err(|_| InjectError::NoTarget)?;
        let frame_us = FRAME_US.min(self.fastest_us());
        let mut bus = Wire { free_at: 0, waiting: BTreeMap::new(), out: Vec::new(), frame_us, replaced: 0 };
        let period_ns = 1_000_000_000 / u64::from(rate_hz);
        let mut sent = 0u64;
        let due = |sent: u64| self.window.start.saturating_add(sent.saturating_mul(period_ns) / 1000);
        for timed in self.frames {
            while due(sent) <= timed.at.0 && due(sent) <= self.window.end {
                let at = due(sent);
                bus.advance(at);
                bus.offer(at, TimedFrame { at: VehicleMicros(at), bus: self.survey.bus, frame });
                sent += 1;
            }
            if timed.bus != self.survey.bus || timed.frame.id().is_none() || timed.at.0 < self.window.start {
                bus.out.push(*timed);
            } else {
                bus.advance(timed.at.0);
                bus.offer(timed.at.0, *timed);
            }
        }
        bus.advance(u64::MAX);
        let Wire { mut out, replaced, .. } = bus;
        out.sort_by_key(|timed| timed.at);
        let is_flood = |timed: &&TimedFrame| timed.frame.id() == Some(id) && timed.frame.data() == payload;
        let injected = out.iter().filter(is_flood).count() as u64;
        let lost = replaced.saturating_sub(sent.saturating_sub(injected));
        Ok((out, self.labels(vec![id], injected, lost, rate_hz)))
    }

    /// Shortest time a frame takes on this bus: what the fastest stretch of the capture shows.
    fn fastest_us(&self) -> u64 {
        const STRETCH: usize = 20;
        let own: Vec<u64> =
            self.frames.iter().filter(|timed| timed.bus == self.survey.bus).map(|timed| timed.at.0).collect();
        let spans = own.iter().zip(own.iter().skip(STRETCH)).map(|(a, b)| b.saturating_sub(*a));
        (spans.min().unwrap_or(u64::MAX) / STRETCH as u64).max(20)
    }
}

/// A bus with arbitration.
struct Wire {
    free_at: u64,
    waiting: BTreeMap<CanId, TimedFrame>,
    out: Vec<TimedFrame>,
    frame_us: u64,
    replaced: u64,
}

impl Wire {
    fn offer(&mut self, at: u64, timed: TimedFrame) {
        self.free_at = self.free_at.max(at);
        if let Some(id) = timed.frame.id()
            && self.waiting.insert(id, timed).is_some()
        {
            self.replaced += 1;
        }
    }

    /// Sends what waits, the lowest identifier first, until `until`.
    fn advance(&mut self, until: u64) {
        while self.free_at < until {
            let Some((_, mut timed)) = self.waiting.pop_first() else { return };
            timed.at = VehicleMicros(self.free_at);
            self.out.push(timed);
            self.free_at = self.free_at.saturating_add(self.frame_us);
        }
    }
}
