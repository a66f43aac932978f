//! Frames whose protection a description states: checksum, counter, freshness.
//!
//! What it says is specification: no sender of the vehicle breaks it, so that nothing has to be learned and one frame is
//! enough. Without the key nobody can check an authenticator; but it changes whenever the freshness does, and the
//! freshness goes on.

#[cfg(test)]
mod tests;

use outrider_bus::can::{CanId, Frame, FrameKind};
use outrider_bus::e2e::{E2eError, counter_gap};
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use crate::fold::{Fold, Strike};
use crate::judgement::Detector;
use crate::model::SectionKind;
use crate::model::protection::{self, Guard, PROTECTED_MAX, ProtectedFrame};
use crate::model::{BusModel, CycleClass};
use crate::observation::Fields;

use super::table::{Table, UNPROTECTED};
use super::timing::Timed;
use super::{Basis, BusDetector};

const _: () = assert!(PROTECTED_MAX < UNPROTECTED as usize, "every place has a name");
/// Silence after which a counter may begin anywhere, in microseconds: an ECU that starts again is silent for as long
/// (guess).
const RESYNC_US: u64 = 500_000;
/// Bits of an authenticator that are not the same twice by chance.
const MAC_BITS_MIN: u16 = 16;
/// Failed checks in one episode that are no mishap where training had some, too.
const FAULTS: u32 = 3;

/// State of one protected frame.
#[derive(Debug, Clone, Copy)]
struct Entry {
    guard: Guard,
    start: u8,
    bytes: u8,
    step_max: u8,
    flags: u8,
    /// Counter or freshness of the frame before.
    last: u32,
    /// Begin of the authenticator of the frame before.
    mac: u32,
}

const COUNTS: u8 = 1;
const REPEATS: u8 = 2;
const FAULTY: u8 = 4;
const SEEN: u8 = 8;

impl Entry {
    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// When a frame came.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: VehicleMicros,
    /// Time since the frame before of the identifier; `None` if that says nothing.
    gap_us: Option<u64>,
    /// Its cycle; 0 without one.
    cycle_us: u32,
    /// Whether its class has a cycle.
    class: CycleClass,
}

/// What a frame breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Check(E2eError),
    Counter { expected: u32, got: u32 },
    Freshness { last: u32, got: u32 },
    Authenticator { freshness: u32 },
}

/// Protected frames of one bus, below 6 KiB.
#[derive(Debug, Clone)]
pub(super) struct Protected {
    entries: [Option<Entry>; PROTECTED_MAX],
}

const _: () = assert!(size_of::<Protected>() <= 6 * 1024, "its share of the state of a bus");

impl Protected {
    pub(super) const fn new() -> Self {
        Self { entries: [None; PROTECTED_MAX] }
    }

    pub(super) fn clear(&mut self) {
        self.entries = [None; PROTECTED_MAX];
    }

    /// Takes the section of a model and tells the table's places of it.
    pub(super) fn load(&mut self, model: &BusModel<'_>, table: &mut Table) {
        let section = model.section(SectionKind::PROTECTION).unwrap_or(&[]);
        for ((frame, entry), name) in protection::frames(section).zip(&mut self.entries).zip(0u8..) {
            let Some(slot) = table.find(frame.id).and_then(|index| table.slot_mut(index)) else { continue };
            slot.protected = name;
            *entry = Some(entry_of(&frame));
        }
    }

    /// Takes a frame; strikes and returns the detector if it breaks what protects it. `judges` says whether the model
    /// is known to be of this bus.
    #[inline]
    fn receive(
        &mut self,
        name: u8,
        id: CanId,
        data: &[u8],
        moment: &Moment,
        judges: bool,
        fold: &mut Fold,
    ) -> Option<Detector> {
        let entry = self.entries.get_mut(usize::from(name))?.as_mut()?;
        let start = usize::from(entry.start);
        // A frame that is too short is said by whoever looks at lengths.
        let part = data.get(start..start.saturating_add(entry.bytes.into()))?;
        let broken = entry.receive(part, moment).filter(|_| judges)?;
        Some(say(id, broken, entry.has(FAULTY), moment.at, fold))
    }
}

impl BusDetector {
    /// Holds the frame against the protection that a description states; returns the detector that flags it.
    #[inline]
    pub(super) fn protection(
        &mut self,
        at: VehicleMicros,
        index: usize,
        frame: &Frame,
        timed: &Timed,
    ) -> Option<Detector> {
        let slot = self.table.slot_mut(index)?;
        if slot.protected == UNPROTECTED || frame.kind() == FrameKind::Remote {
            return None;
        }
        let moment = Moment { at, gap_us: timed.gap_us, cycle_us: slot.cycle_us, class: slot.class };
        let judges = self.warm_up.basis == Basis::Model;
        self.protected.receive(slot.protected, slot.id, frame.data(), &moment, judges, &mut self.fold)
    }
}

fn entry_of(frame: &ProtectedFrame) -> Entry {
    let flag = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
    Entry {
        guard: frame.guard,
        start: frame.start,
        bytes: frame.bytes,
        step_max: frame.step_max,
        flags: flag(COUNTS, frame.counts) | flag(REPEATS, frame.repeats) | flag(FAULTY, frame.faults),
        last: 0,
        mac: 0,
    }
}

impl Entry {
    fn receive(&mut self, part: &[u8], moment: &Moment) -> Option<Broken> {
        match self.guard {
            Guard::E2e(protection) => {
                let counter = match protection.check(part) {
                    Ok(counter) => u32::from(counter),
                    Err(error) => return Some(Broken::Check(error)),
                };
                let last = self.follow(counter, moment)?;
                let values = protection.counter_values();
                let (before, now) = (u16::try_from(last).ok()?, u16::try_from(counter).ok()?);
                let step = counter_gap(before, now, values);
                if step <= self.steps(moment) && (step > 0 || self.has(REPEATS)) {
                    return None;
                }
                let next = last.saturating_add(1);
                Some(Broken::Counter { expected: if next >= values { 0 } else { next }, got: counter })
            }
            Guard::Secured(layout) => {
                let pdu = layout.view(part)?;
                let freshness = u32::try_from(pdu.freshness & 0xFFFF_FFFF).unwrap_or(0);
                let [a, b, c, d, ..] = *pdu.mac.bytes();
                let before = core::mem::replace(&mut self.mac, u32::from_be_bytes([a, b, c, d]));
                let last = self.follow(freshness, moment)?;
                let step = freshness.wrapping_sub(last) & mask(layout.freshness_bits());
                if step == 0 && !self.has(REPEATS) || step > mask(layout.freshness_bits()) >> 1 {
                    return Some(Broken::Freshness { last, got: freshness });
                }
                let stands = step > 0 && before == self.mac && layout.mac_bits() >= MAC_BITS_MIN;
                stands.then_some(Broken::Authenticator { freshness })
            }
        }
    }

    /// Takes note of a counter and returns the one before, if the two can be compared.
    fn follow(&mut self, counter: u32, moment: &Moment) -> Option<u32> {
        let last = core::mem::replace(&mut self.last, counter);
        let was_seen = self.has(SEEN);
        self.flags |= SEEN;
        let follows = moment.gap_us.is_some_and(|gap| gap < RESYNC_US);
        (was_seen && follows && self.has(COUNTS)).then_some(last)
    }

    /// Largest step that is no jump: what is allowed, and the frames that an observer missed.
    fn steps(&self, moment: &Moment) -> u32 {
        let cyclic = matches!(moment.class, CycleClass::Periodic | CycleClass::Mixed);
        let cycle = u64::from(if cyclic { moment.cycle_us } else { 0 });
        let missed = moment.gap_us.and_then(|gap| gap.checked_div(cycle)).unwrap_or(0);
        u32::from(self.step_max).saturating_add(u32::try_from(missed).unwrap_or(u32::MAX))
    }
}

/// Lowest bits, up to 32; all ones for more.
const fn mask(bits: u16) -> u32 {
    match 1u32.checked_shl(bits as u32) {
        Some(one) => one.wrapping_sub(1),
        None => u32::MAX,
    }
}

fn say(id: CanId, broken: Broken, faulty: bool, at: VehicleMicros, fold: &mut Fold) -> Detector {
    let fields = Fields::new().int(field::CAN_ID, id.value().into());
    let (event_type, detector, fields) = match broken {
        Broken::Check(E2eError::Crc { expected, got }) => {
            let fields =
                fields.int(field::CRC_EXPECTED, expected.into()).int(field::CRC_OBSERVED, got.into());
            (event::CAN_CHECKSUM_MISMATCH, Detector::Checksum, fields)
        }
        Broken::Check(E2eError::Counter { got }) => {
            (event::E2E_CHECK_FAILED, Detector::Counter, fields.int(field::COUNTER_OBSERVED, got.into()))
        }
        Broken::Check(E2eError::Truncated { .. } | E2eError::Length { .. } | E2eError::DataId { .. }) => {
            (event::E2E_CHECK_FAILED, Detector::Checksum, fields)
        }
        Broken::Counter { expected, got } => {
            let fields =
                fields.int(field::COUNTER_EXPECTED, expected.into()).int(field::COUNTER_OBSERVED, got.into());
            (event::CAN_COUNTER_JUMP, Detector::Counter, fields)
        }
        Broken::Freshness { last, got } => {
            let fields =
                fields.int(field::SECOC_FRESHNESS, got.into()).int(field::COUNTER_EXPECTED, last.into());
            (event::SECOC_FRESHNESS_FAILURE, Detector::Counter, fields)
        }
        Broken::Authenticator { freshness } => {
            let fields = fields.int(field::SECOC_FRESHNESS, freshness.into());
            (event::SECOC_MAC_FAILURE, Detector::Checksum, fields)
        }
    };
    let before = fold.count(event_type, Some(id));
    let is_sure = match broken {
        Broken::Check(_) => !faulty || before.saturating_add(1) >= FAULTS,
        Broken::Authenticator { .. } => true,
        // One jump may be frames that nobody saw; whoever sends beside the sender makes two.
        Broken::Counter { .. } | Broken::Freshness { .. } => before > 0,
    };
    let severity = if is_sure { Severity::Medium } else { Severity::Low };
    fold.strike(at, Strike { event_type, can_id: Some(id), severity, fields });
    detector
}
