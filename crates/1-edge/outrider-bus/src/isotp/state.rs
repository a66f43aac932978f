//! Fixed table of unfinished messages.

use outrider_types::{BusId, VehicleMicros};

use super::events::{IsoTpEvent, IsoTpStats, Link, Pdu, Reject, bump};
use super::view::{Addressing, Pci, PciView};
use crate::can::{DATA_BYTES_MAX, Frame, FrameKind};

/// Longest message without the 32-bit escape, and the default size of a place in the table.
pub const MESSAGE_BYTES_MAX: usize = 4095;
/// Longest wait for a consecutive frame (N_Cr, ISO 15765-2:2016 table 16), in microseconds.
pub const N_CR_TIMEOUT_US: u64 = 1_000_000;

#[derive(Debug, Clone, Copy)]
struct Open {
    link: Link,
    began: VehicleMicros,
    last: VehicleMicros,
    total: usize,
    have: usize,
    next: u8,
}

/// What a frame did, without borrowing the table.
enum Step {
    Whole { link: Link, len: usize },
    Done { index: usize, open: Open },
    Began { total: u32 },
    Continued,
}

#[derive(Debug, Clone)]
struct Place<const BYTES: usize> {
    open: Option<Open>,
    data: [u8; BYTES],
}

/// Passive reassembler of up to `CHANNELS` messages at once, of up to `BYTES` bytes each.
///
/// Size: `CHANNELS * BYTES` and a little, all inside the value; put large ones in a `static` or a box. Cost of a
/// frame: one pass over the table and one copy of its payload. When the table is full, a new message takes the
/// place of the one that has been silent longest, and that is counted.
#[derive(Debug, Clone)]
pub struct Reassembler<const CHANNELS: usize, const BYTES: usize = MESSAGE_BYTES_MAX> {
    places: [Place<BYTES>; CHANNELS],
    /// Message of the latest single frame, which needs no place in the table.
    latest: [u8; DATA_BYTES_MAX],
    stats: IsoTpStats,
}

impl<const CHANNELS: usize, const BYTES: usize> Default for Reassembler<CHANNELS, BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const CHANNELS: usize, const BYTES: usize> Reassembler<CHANNELS, BYTES> {
    /// Creates an empty table.
    #[must_use]
    pub const fn new() -> Self {
        let places = [const { Place { open: None, data: [0; BYTES] } }; CHANNELS];
        Self { places, latest: [0; DATA_BYTES_MAX], stats: ZERO }
    }

    /// Returns the counts since creation.
    #[must_use]
    pub const fn stats(&self) -> &IsoTpStats {
        &self.stats
    }

    /// Takes one frame of an identifier that carries ISO-TP and says what it did.
    pub fn receive(
        &mut self,
        at: VehicleMicros,
        bus: BusId,
        frame: &Frame,
        addressing: Addressing,
    ) -> IsoTpEvent<'_> {
        let id = match (frame.kind(), frame.id()) {
            (FrameKind::Classic | FrameKind::Fd, Some(id)) => id,
            (FrameKind::Classic | FrameKind::Fd | FrameKind::Remote | FrameKind::Error, _) => {
                return IsoTpEvent::NotData;
            }
        };
        let read = PciView::new(frame.data(), addressing)
            .and_then(|view| view.pci().map(|pci| (view.address(), pci)))
            .map_err(Reject::Pci);
        let link = |address| Link { bus, id, address };
        let step = match read {
            Ok((address, Pci::Single { payload })) => self.single(link(address), payload),
            Ok((address, Pci::First { total, payload })) => self.first(at, link(address), total, payload),
            Ok((address, Pci::Consecutive { sequence, payload })) => {
                self.consecutive(at, link(address), sequence, payload)
            }
            Ok((_, Pci::FlowControl { status, block_size, gap_min_code })) => {
                bump(&mut self.stats.flow_control);
                return IsoTpEvent::FlowControl { status, block_size, gap_min_code };
            }
            Err(reject) => Err(reject),
        };
        match step {
            Ok(Step::Whole { link, len }) => {
                let payload = self.latest.get(..len).unwrap_or(&[]);
                IsoTpEvent::Pdu(Pdu { link, began: at, ended: at, payload })
            }
            Ok(Step::Done { index, open }) => {
                let place = self.places.get(index);
                let payload = place.and_then(|place| place.data.get(..open.total)).unwrap_or(&[]);
                IsoTpEvent::Pdu(Pdu { link: open.link, began: open.began, ended: at, payload })
            }
            Ok(Step::Began { total }) => IsoTpEvent::Began { total },
            Ok(Step::Continued) => IsoTpEvent::Continued,
            Err(reject) => {
                self.stats.count(reject);
                IsoTpEvent::Rejected(reject)
            }
        }
    }

    /// Drops unfinished messages whose next frame is overdue and returns how many.
    pub fn tick(&mut self, now: VehicleMicros) -> u32 {
        let mut dropped = 0u32;
        for place in &mut self.places {
            if place.open.is_some_and(|open| now.micros_since(open.last) > N_CR_TIMEOUT_US) {
                place.open = None;
                dropped = dropped.saturating_add(1);
                bump(&mut self.stats.dropped_timeout);
            }
        }
        dropped
    }

    fn position(&self, link: Link) -> Option<usize> {
        self.places.iter().position(|place| place.open.is_some_and(|open| open.link == link))
    }

    /// Drops the link's unfinished message, because its sender began another.
    fn interrupt(&mut self, link: Link) {
        let index = self.position(link);
        if let Some(place) = index.and_then(|index| self.places.get_mut(index)) {
            place.open = None;
            bump(&mut self.stats.dropped_interrupted);
        }
    }

    fn single(&mut self, link: Link, payload: &[u8]) -> Result<Step, Reject> {
        self.interrupt(link);
        // The payload borrows the caller's frame, the answer borrows the table: hand out a copy.
        let len = payload.len();
        let total = u32::try_from(len).unwrap_or(u32::MAX);
        self.latest.get_mut(..len).ok_or(Reject::TooLong { total })?.copy_from_slice(payload);
        bump(&mut self.stats.single);
        bump(&mut self.stats.pdus);
        Ok(Step::Whole { link, len })
    }

    /// Returns a place that holds nothing, evicting the message that was silent longest if need be.
    fn free_place(&mut self) -> Option<usize> {
        if let Some(index) = self.places.iter().position(|place| place.open.is_none()) {
            return Some(index);
        }
        let stalest =
            self.places.iter().enumerate().min_by_key(|(_, place)| place.open.map(|open| open.last));
        let index = stalest.map(|(index, _)| index)?;
        self.places.get_mut(index)?.open = None;
        bump(&mut self.stats.dropped_evicted);
        Some(index)
    }

    fn first(&mut self, at: VehicleMicros, link: Link, total: u32, payload: &[u8]) -> Result<Step, Reject> {
        self.interrupt(link);
        let too_long = Reject::TooLong { total };
        let size = usize::try_from(total).ok().filter(|&size| size <= BYTES).ok_or(too_long)?;
        let index = self.free_place().ok_or(too_long)?;
        let place = self.places.get_mut(index).ok_or(too_long)?;
        place.data.get_mut(..payload.len()).ok_or(too_long)?.copy_from_slice(payload);
        place.open = Some(Open { link, began: at, last: at, total: size, have: payload.len(), next: 1 });
        bump(&mut self.stats.first);
        Ok(Step::Began { total })
    }

    fn consecutive(
        &mut self,
        at: VehicleMicros,
        link: Link,
        sequence: u8,
        payload: &[u8],
    ) -> Result<Step, Reject> {
        let index = self.position(link).ok_or(Reject::Unexpected)?;
        let place = self.places.get_mut(index).ok_or(Reject::Unexpected)?;
        let open = place.open.take().ok_or(Reject::Unexpected)?;
        if at.micros_since(open.last) > N_CR_TIMEOUT_US {
            return Err(Reject::Timeout);
        }
        if sequence != open.next {
            return Err(Reject::Sequence { expected: open.next, got: sequence });
        }
        let wanted = open.total.saturating_sub(open.have).min(payload.len());
        let end = open.have.saturating_add(wanted);
        let target = place.data.get_mut(open.have..end).ok_or(Reject::Unexpected)?;
        target.iter_mut().zip(payload).for_each(|(slot, byte)| *slot = *byte);
        bump(&mut self.stats.consecutive);
        if end < open.total {
            let next = open.next.wrapping_add(1) & 0x0F;
            place.open = Some(Open { last: at, have: end, next, ..open });
            return Ok(Step::Continued);
        }
        bump(&mut self.stats.pdus);
        Ok(Step::Done { index, open })
    }
}

/// Counts before anything happened, as a constant.
const ZERO: IsoTpStats = IsoTpStats {
    single: 0,
    first: 0,
    consecutive: 0,
    flow_control: 0,
    pdus: 0,
    rejected_pci: 0,
    rejected_unexpected: 0,
    rejected_sequence: 0,
    rejected_timeout: 0,
    rejected_too_long: 0,
    dropped_interrupted: 0,
    dropped_timeout: 0,
    dropped_evicted: 0,
};
