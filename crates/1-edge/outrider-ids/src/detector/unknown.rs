//! Identifiers that the model does not have.

use outrider_bus::can::{CanId, Frame};
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::limits;
use super::timing::Verdict;
use crate::fold::{Fold, Strike};
use crate::meter::{Leak, TimedMeter};
use crate::observation::Fields;

/// Most unknown identifiers remembered; the one silent for longest makes room.
const UNKNOWN_MAX: usize = 64;
/// Frames that make an identifier one that comes often, not a single try.
const SEVERAL: u32 = 4;
/// Frames of an identifier that count as new.
const NOVEL_COUNT: u32 = 2;

#[derive(Debug, Clone, Copy)]
struct Stranger {
    id: CanId,
    first: VehicleMicros,
    last: VehicleMicros,
    count: u32,
    rate: TimedMeter,
    flood: TimedMeter,
}

/// Small table of strangers on one bus.
#[derive(Debug, Clone)]
pub(crate) struct Unknown {
    strangers: [Option<Stranger>; UNKNOWN_MAX],
    novel: TimedMeter,
    scan: TimedMeter,
}

impl Unknown {
    pub(crate) const fn new() -> Self {
        Self { strangers: [None; UNKNOWN_MAX], novel: TimedMeter::EMPTY, scan: TimedMeter::EMPTY }
    }

    fn place(&mut self, at: VehicleMicros, id: CanId) -> Option<&mut Stranger> {
        let known = self.strangers.iter().position(|slot| slot.is_some_and(|stranger| stranger.id == id));
        let index = known.or_else(|| {
            let oldest = self.strangers.iter().enumerate().min_by_key(|(_, slot)| slot.map(|old| old.last));
            oldest.map(|(index, _)| index)
        })?;
        let slot = self.strangers.get_mut(index)?;
        if known.is_none() {
            let fresh = Stranger {
                id,
                first: at,
                last: at,
                count: 0,
                rate: TimedMeter::EMPTY,
                flood: TimedMeter::EMPTY,
            };
            *slot = Some(fresh);
        }
        slot.as_mut()
    }

    /// Counts a new identifier while all are new and returns whether there are too many at once.
    pub(crate) fn is_scan(&mut self, at: VehicleMicros) -> bool {
        self.scan.add(at, Leak::per_seconds(limits::NOVEL_HZ, 1), limits::WARM_UP_IDS)
    }

    /// Notes a frame that is not judged yet and returns whether it is the first of its identifier.
    pub(crate) fn note(&mut self, at: VehicleMicros, id: CanId) -> bool {
        let Some(stranger) = self.place(at, id) else { return false };
        stranger.last = at;
        stranger.count = stranger.count.saturating_add(1);
        stranger.count == 1
    }

    /// Returns whether an identifier has stayed rare for long enough to be one of the bus, and forgets it then.
    pub(crate) fn has_settled(&mut self, at: VehicleMicros, id: CanId) -> bool {
        let settled = |stranger: &Stranger| {
            stranger.id == id && at.micros_since(stranger.first) >= limits::STRANGER_LEARNED_US
        };
        let slot = self.strangers.iter_mut().find(|slot| slot.as_ref().is_some_and(settled));
        slot.is_some_and(|slot| slot.take().is_some())
    }

    /// Number of identifiers that began at about the same time and come as often.
    fn companions(&self, first: VehicleMicros) -> usize {
        let near = |stranger: &&Stranger| {
            let apart = stranger.first.micros_since(first).max(first.micros_since(stranger.first));
            apart <= limits::STRANGER_GROUP_US && stranger.count >= SEVERAL
        };
        crate::count_of(self.strangers.iter().flatten().filter(near))
    }

    /// Takes a frame whose identifier is unknown. `diagnostic` says that it carries a diagnostic message, which
    /// has detectors of its own and stays low here.
    pub(crate) fn receive(
        &mut self,
        at: VehicleMicros,
        id: CanId,
        frame: &Frame,
        diagnostic: bool,
        fold: &mut Fold,
    ) -> Verdict {
        let Some(stranger) = self.place(at, id) else { return Verdict::Ordinary };
        stranger.last = at;
        stranger.count = stranger.count.saturating_add(1);
        let (count, first) = (stranger.count, stranger.first);
        // A flood has its own event, and shows itself within this time.
        let settled = at.micros_since(first) >= limits::UNKNOWN_SETTLE_US;
        let frequent =
            stranger.rate.add(at, Leak::per_seconds(limits::UNKNOWN_HZ, 1), limits::UNKNOWN_FRAMES)
                && settled;
        let flood = stranger.flood.add(at, Leak::per_seconds(limits::FLOOD_HZ_MIN, 1), limits::FLOOD_FRAMES);
        if flood || fold.is_open(event::CAN_FLOOD, Some(id)) {
            if flood {
                fold.strike(at, flood_strike(Some(id), limits::FLOOD_HZ_MIN));
            }
            return Verdict::Flood;
        }
        let many = count <= NOVEL_COUNT
            && self.novel.add(at, Leak::per_seconds(limits::NOVEL_HZ, 1), limits::NOVEL_FRAMES);
        if many || (count <= NOVEL_COUNT && fold.is_open(event::CAN_UNKNOWN_ID, None)) {
            fold.strike(at, novel_strike(id));
            return Verdict::Struck;
        }
        let woken = frequent && self.companions(first) >= limits::STRANGER_GROUP;
        let severity = if frequent && !diagnostic && !woken { Severity::Medium } else { Severity::Low };
        let detector = match (frequent, woken) {
            (true, true) => "unknown_id_group",
            (true, false) => "unknown_id_rate",
            (false, _) => "unknown_id",
        };
        let fields = Fields::new()
            .text(field::DETECTOR, detector)
            .int(field::CAN_ID, id.value().into())
            .int(field::DLC_OBSERVED, frame.dlc().code().into())
            .int(field::FRAMES, count.into());
        fold.strike(at, Strike { event_type: event::CAN_UNKNOWN_ID, can_id: Some(id), severity, fields });
        if severity > Severity::Low { Verdict::Struck } else { Verdict::Ordinary }
    }
}

/// Strike of many identifiers that nobody knows.
fn novel_strike(id: CanId) -> Strike {
    let fields = Fields::new().text(field::DETECTOR, "novel_ids").int(field::CAN_ID, id.value().into());
    Strike { event_type: event::CAN_UNKNOWN_ID, can_id: None, severity: Severity::Medium, fields }
}

/// Strike of a flood by one identifier or, without one, by a whole bus.
pub(crate) fn flood_strike(can_id: Option<CanId>, limit_hz: u32) -> Strike {
    let fields = Fields::new()
        .text(field::DETECTOR, if can_id.is_some() { "id_flood" } else { "bus_flood" })
        .int(field::RATE_LIMIT_HZ, limit_hz.into());
    let fields = match can_id {
        Some(id) => fields.int(field::CAN_ID, id.value().into()),
        None => fields,
    };
    Strike { event_type: event::CAN_FLOOD, can_id, severity: Severity::High, fields }
}
