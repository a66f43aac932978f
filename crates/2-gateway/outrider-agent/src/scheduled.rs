//! The detectors of all LIN and FlexRay buses of one vehicle: the buses on which time is scheduled.

use outrider_bus::flexray::TimedFlexRay;
use outrider_bus::lin::TimedLin;
use outrider_ids::flexray::model::Clusters;
use outrider_ids::flexray::{FlexRayDetector, FlexRayStats};
use outrider_ids::lin::model::Buses;
use outrider_ids::lin::{LinDetector, LinStats};
use outrider_ids::model::{SectionKind, VehicleModel};
use outrider_ids::{Basis, Observation, Verdict};
use outrider_types::{BusId, VehicleMicros};

/// Bits that tell LIN buses and FlexRay clusters from CAN buses, all of which their sources count from 0.
const LIN_BITS: u8 = 0x40;
const FLEXRAY_BITS: u8 = 0x60;
/// What is left for their own number.
const NUMBER_BITS: u8 = 0x1F;
/// LIN buses beyond those of the model that are learned on the road.
const SPARE_LIN: usize = 4;
/// FlexRay clusters beyond those of the model that are learned on the road.
const SPARE_FLEXRAY: usize = 1;

/// Returns the number that a LIN bus has in models and events, by the number its source gives.
#[must_use]
pub const fn lin_bus(source: BusId) -> BusId {
    BusId(LIN_BITS | source.0 & NUMBER_BITS)
}

/// Returns the number that a FlexRay cluster has in models and events, by the number its source gives.
#[must_use]
pub const fn flexray_bus(source: BusId) -> BusId {
    BusId(FLEXRAY_BITS | source.0 & NUMBER_BITS)
}

/// Sections of a vehicle model about these buses, empty where it has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScheduleSections<'a> {
    /// LIN schedules.
    pub lin: &'a [u8],
    /// FlexRay slots.
    pub flexray: &'a [u8],
}

/// Returns the sections of a CAN model's bytes; empty ones if it has none, or is none.
#[must_use]
pub fn schedule_sections(model: &[u8]) -> ScheduleSections<'_> {
    let Ok(model) = VehicleModel::parse(model) else { return ScheduleSections::default() };
    let of = |kind| model.section(kind).unwrap_or_default();
    ScheduleSections { lin: of(SectionKind::LIN_SCHEDULE), flexray: of(SectionKind::FLEXRAY_SLOTS) }
}

/// Counts of one of these buses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduledStats {
    /// Of a LIN bus.
    Lin(LinStats),
    /// Of a FlexRay cluster.
    FlexRay(FlexRayStats),
}

/// One of these buses, as it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledState {
    /// The bus.
    pub bus: BusId,
    /// What its detectors judge by.
    pub basis: Basis,
    /// Its counts.
    pub stats: ScheduledStats,
}

impl ScheduledState {
    /// Returns `lin` or `flexray`.
    #[must_use]
    pub const fn medium(&self) -> &'static str {
        match self.stats {
            ScheduledStats::Lin(_) => "lin",
            ScheduledStats::FlexRay(_) => "flexray",
        }
    }

    /// Returns whole frames, frames that nobody sends, damaged ones, and observations lost.
    #[must_use]
    pub const fn counts(&self) -> [u64; 4] {
        match self.stats {
            ScheduledStats::Lin(stats) => [stats.frames, stats.unknown, stats.damaged, stats.dropped],
            ScheduledStats::FlexRay(stats) => [stats.frames, stats.unknown, stats.damaged, stats.dropped],
        }
    }
}

/// Detectors of every LIN bus and FlexRay cluster of a model, and of a few that it does not have.
///
/// Allocates when it is made and never after.
#[derive(Debug, Clone)]
pub struct ScheduledEdge {
    lin: Vec<LinDetector>,
    lin_used: usize,
    flexray: Vec<FlexRayDetector>,
    flexray_used: usize,
    /// What was heard on buses for which no detectors were left.
    foreign: u64,
}

impl ScheduledEdge {
    /// Creates the detectors of a model's sections; without them all buses are learned on the road.
    #[must_use]
    pub fn new(sections: ScheduleSections<'_>) -> Self {
        let mut lin: Vec<LinDetector> = Buses::new(sections.lin).map(|bus| LinDetector::new(&bus)).collect();
        let mut flexray: Vec<FlexRayDetector> =
            Clusters::new(sections.flexray).map(|cluster| FlexRayDetector::new(&cluster)).collect();
        let (lin_used, flexray_used) = (lin.len(), flexray.len());
        lin.extend((0..SPARE_LIN).map(|_| LinDetector::untrained(BusId(0))));
        flexray.extend((0..SPARE_FLEXRAY).map(|_| FlexRayDetector::untrained(BusId(0))));
        Self { lin, lin_used, flexray, flexray_used, foreign: 0 }
    }

    /// Takes what was heard on a source's LIN bus and judges it.
    pub fn lin(&mut self, heard: &TimedLin) -> Verdict {
        let bus = lin_bus(heard.bus);
        let known = self.lin.iter().take(self.lin_used).position(|detector| detector.bus() == bus);
        let index = known.unwrap_or(self.lin_used);
        let Some(detector) = self.lin.get_mut(index) else {
            self.foreign += 1;
            return Verdict::ORDINARY;
        };
        if known.is_none() {
            detector.name(bus);
            self.lin_used += 1;
        }
        detector.receive(heard.at, &heard.heard)
    }

    /// Takes what was heard on a source's FlexRay cluster and judges it.
    pub fn flexray(&mut self, heard: &TimedFlexRay) -> Verdict {
        let bus = flexray_bus(heard.bus);
        let known = self.flexray.iter().take(self.flexray_used).position(|detector| detector.bus() == bus);
        let index = known.unwrap_or(self.flexray_used);
        let Some(detector) = self.flexray.get_mut(index) else {
            self.foreign += 1;
            return Verdict::ORDINARY;
        };
        if known.is_none() {
            detector.name(bus);
            self.flexray_used += 1;
        }
        detector.receive(heard.at, &heard.heard)
    }

    /// Tells whether a workshop is at work.
    pub fn set_workshop(&mut self, workshop: bool) {
        self.lin.iter_mut().for_each(|detector| detector.set_workshop(workshop));
    }

    /// Lets time pass; call it a few times a second.
    pub fn tick(&mut self, now: VehicleMicros) {
        self.lin.iter_mut().take(self.lin_used).for_each(|detector| detector.tick(now));
        self.flexray.iter_mut().take(self.flexray_used).for_each(|detector| detector.tick(now));
    }

    /// Ends every open episode, as at the end of a capture.
    pub fn finish(&mut self) {
        self.lin.iter_mut().for_each(LinDetector::finish);
        self.flexray.iter_mut().for_each(FlexRayDetector::finish);
    }

    /// Takes the next observation, bus by bus.
    pub fn pop(&mut self) -> Option<Observation> {
        let lin = self.lin.iter_mut().take(self.lin_used).find_map(LinDetector::pop);
        lin.or_else(|| self.flexray.iter_mut().take(self.flexray_used).find_map(FlexRayDetector::pop))
    }

    /// Returns the buses that are watched, LIN before FlexRay.
    pub fn states(&self) -> impl Iterator<Item = ScheduledState> + '_ {
        let lin = self.lin.iter().take(self.lin_used).map(|detector| ScheduledState {
            bus: detector.bus(),
            basis: detector.basis(),
            stats: ScheduledStats::Lin(detector.stats()),
        });
        let flexray = self.flexray.iter().take(self.flexray_used).map(|detector| ScheduledState {
            bus: detector.bus(),
            basis: detector.basis(),
            stats: ScheduledStats::FlexRay(detector.stats()),
        });
        lin.chain(flexray)
    }

    /// Returns how much was heard on buses for which no detectors were left.
    #[must_use]
    pub const fn foreign(&self) -> u64 {
        self.foreign
    }
}
