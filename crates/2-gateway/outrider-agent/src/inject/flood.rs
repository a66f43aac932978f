//! Flood: the bus is simulated frame by frame, because a flood is what it does to the others.

use std::collections::BTreeMap;

use outrider_bus::can::{CanId, Frame, TimedFrame};
use outrider_types::VehicleMicros;

use super::{Context, InjectError, Stretch, Told, Truth};

/// Frames a second that a program on a 500 kbit/s bus can add: the bus carries about 4,100 of eight bytes.
const RATE_HZ: u32 = 3_900;
/// Bits of a classic frame of eight bytes with usual stuffing and the gap behind it, at 500 kbit/s: 122 bits.
const FRAME_US: u64 = 244;

impl Context<'_> {
    /// Sends the lowest identifier as fast as the bus allows; others wait, and a frame that still waits when the
    /// next of its identifier is due is replaced by it, as in the mailbox of a controller.
    pub(super) fn flood(&self) -> Result<Stretch, InjectError> {
        let lowest = CanId::standard(0).unwrap_or_default();
        let id = self.plan.id.unwrap_or(lowest);
        let rate_hz = self.plan.rate_hz.unwrap_or(RATE_HZ).max(1);
        self.check_count(rate_hz)?;
        let payload = self.seed.fork(4).next_u64().to_be_bytes();
        let frame = Frame::classic(id, &payload).map_err(|_| InjectError::NoTarget)?;
        let frame_us = FRAME_US.min(self.fastest_us());
        let mut bus =
            Wire { free_at: 0, waiting: BTreeMap::new(), out: Vec::new(), frame_us, replaced: Vec::new() };
        let period_ns = 1_000_000_000 / u64::from(rate_hz);
        let mut sent = 0u64;
        let due = |sent: u64| self.window.start.saturating_add(sent.saturating_mul(period_ns) / 1000);
        let mut to = self.from;
        for timed in self.frames.get(self.from..).unwrap_or(&[]) {
            bus.advance(timed.at.0);
            if timed.at.0 > self.window.end && bus.waiting.is_empty() {
                break;
            }
            while due(sent) <= timed.at.0 && due(sent) <= self.window.end {
                let at = due(sent);
                bus.advance(at);
                let timed = TimedFrame { at: VehicleMicros(at), bus: self.survey.bus, frame };
                bus.offer(at, (timed, Truth::Added));
                sent += 1;
            }
            to += 1;
            if timed.bus != self.survey.bus || timed.frame.id().is_none() {
                bus.out.push((*timed, Truth::Clean));
            } else {
                bus.advance(timed.at.0);
                bus.offer(timed.at.0, (*timed, Truth::Clean));
            }
        }
        bus.advance(u64::MAX);
        let Wire { out, replaced, .. } = bus;
        self.stretch_to(to, out, vec![id], &replaced, rate_hz)
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
    waiting: BTreeMap<CanId, (TimedFrame, Truth)>,
    out: Told,
    frame_us: u64,
    /// Honest frames that never got through.
    replaced: Vec<TimedFrame>,
}

impl Wire {
    fn offer(&mut self, at: u64, told: (TimedFrame, Truth)) {
        self.free_at = self.free_at.max(at);
        if let Some(id) = told.0.frame.id()
            && let Some((timed, Truth::Clean)) = self.waiting.insert(id, told)
        {
            self.replaced.push(timed);
        }
    }

    /// Sends what waits, the lowest identifier first, until `until`.
    fn advance(&mut self, until: u64) {
        while self.free_at < until {
            let Some((_, (mut timed, truth))) = self.waiting.pop_first() else { return };
            timed.at = VehicleMicros(self.free_at);
            self.out.push((timed, truth));
            self.free_at = self.free_at.saturating_add(self.frame_us);
        }
    }
}
