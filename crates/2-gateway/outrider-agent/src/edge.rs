//! The detectors of all buses of one vehicle.

use std::collections::BTreeMap;

use outrider_bus::can::TimedFrame;
use outrider_ids::gates::Kind;
use outrider_ids::model::{ModelError, VehicleModel};
use outrider_ids::{
    Basis, BusDetector, BusStats, Detector, HabitStats, Judgement, Mode, Observation, SpeedReading, Used,
};
use outrider_types::{BusId, VehicleMicros};

/// Buses beyond those of the model that are learned on the road.
const SPARE_BUSES: usize = 2;

/// Detectors of every bus of a vehicle model, and of a few buses that it does not have.
///
/// Allocates when it is made and never after: [`Self::receive`], [`Self::tick`] and [`Self::pop`] do a bounded
/// amount of work in memory that is already there. The speed that one bus carries is told to all.
#[derive(Debug, Clone)]
pub struct Edge {
    buses: Vec<BusDetector>,
    /// Detectors in `buses`, from the front, that have a bus; the rest wait for one.
    used: usize,
    /// Frames of buses for which no detectors were left; every other is in the stats of its bus.
    foreign: u64,
}

/// How one bus is operated, and what its detectors have used of their budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The bus.
    pub bus: BusId,
    /// Its operating mode.
    pub mode: Mode,
    /// When the mode began.
    pub since: VehicleMicros,
    /// Time spent in each mode, in the order of [`Mode::ALL`], in microseconds.
    pub time_us: [u64; Mode::COUNT],
    /// What each detector by habit has used.
    pub used: [(Kind, Used); Kind::BUDGETED],
    /// Strikes that the mode lowered or left out.
    pub gated: u64,
    /// What became of the habits of the model.
    pub habits: HabitStats,
}

impl Edge {
    /// Creates the detectors of a model's bytes.
    ///
    /// # Errors
    /// [`ModelError`] if the bytes are no model.
    pub fn new(model: &[u8]) -> Result<Self, ModelError> {
        let model = VehicleModel::parse(model)?;
        let used = model.buses().len();
        let mut buses = Vec::with_capacity(used + SPARE_BUSES);
        buses.extend(model.buses().map(|bus| BusDetector::new(&bus)));
        buses.extend((0..SPARE_BUSES).map(|_| BusDetector::untrained(BusId(0))));
        Ok(Self { buses, used, foreign: 0 })
    }

    /// Creates detectors that learn every bus on the road.
    #[must_use]
    pub fn untrained() -> Self {
        let buses = (0..SPARE_BUSES).map(|_| BusDetector::untrained(BusId(0))).collect();
        Self { buses, used: 0, foreign: 0 }
    }

    /// Place of the detectors of a bus; one that nobody knows gets spare ones, if there are any.
    fn place(&mut self, bus: BusId) -> Option<usize> {
        let known = self.buses.iter().take(self.used).position(|detector| detector.bus() == bus);
        if known.is_some() {
            return known;
        }
        let index = self.used;
        self.buses.get_mut(index)?.name(bus);
        self.used = index + 1;
        Some(index)
    }

    /// Takes one frame and judges it.
    pub fn receive(&mut self, timed: &TimedFrame) -> Judgement {
        let Some(index) = self.place(timed.bus) else {
            self.foreign += 1;
            return Judgement::ORDINARY;
        };
        let Some(detector) = self.buses.get_mut(index) else { return Judgement::ORDINARY };
        let (before, granted_before) = (detector.speed(), detector.granted());
        let judgement = detector.receive(timed.at, &timed.frame);
        let (after, granted) = (detector.speed(), detector.granted());
        if before != after
            && self.buses.len() > 1
            && let Some(reading) = after
        {
            self.buses.iter_mut().for_each(|other| other.observe_speed(reading));
        }
        // A tester speaks on one bus, and what it is granted stops messages on all.
        if granted != granted_before
            && let Some((at, granted)) = granted
        {
            let others = self.buses.iter_mut().enumerate().filter(|(other, _)| *other != index);
            others.for_each(|(_, other)| other.observe_granted(at, granted));
        }
        self.segment(index, timed).unwrap_or(judgement)
    }

    /// Holds an identifier against its bus if another one's model has it and that of this bus does not.
    fn segment(&mut self, index: usize, timed: &TimedFrame) -> Option<Judgement> {
        let id = timed.frame.id().filter(|_| self.used > 1)?;
        if self.buses.get(index)?.owns(id) {
            return None;
        }
        let home = self.buses.iter().take(self.used).find(|other| other.owns(id))?.bus();
        let detector = self.buses.get_mut(index).filter(|detector| detector.basis() == Basis::Model)?;
        detector.segment_violation(timed.at, id, home);
        Some(Judgement { detector: Some(Detector::Segment) })
    }

    /// Lets time pass; call it a few times a second.
    pub fn tick(&mut self, now: VehicleMicros) {
        self.buses.iter_mut().for_each(|detector| detector.tick(now));
    }

    /// Ends every open episode, as at the end of a capture.
    pub fn finish(&mut self) {
        self.buses.iter_mut().for_each(BusDetector::finish);
    }

    /// Takes the next observation, bus by bus.
    pub fn pop(&mut self) -> Option<Observation> {
        self.buses.iter_mut().find_map(BusDetector::pop)
    }

    /// Tells whether a workshop is at work.
    pub fn set_workshop(&mut self, workshop: bool) {
        self.buses.iter_mut().for_each(|detector| detector.set_workshop(workshop));
    }

    /// Tells whether the vehicle charges, as its charging connection says.
    pub fn observe_charging(&mut self, charging: bool) {
        self.buses.iter_mut().for_each(|detector| detector.observe_charging(charging));
    }

    /// Returns the operating mode of the vehicle: what a tester does on one bus, and motion, is the whole vehicle's;
    /// it sleeps when all its buses do.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let rank = |mode: &Mode| match mode {
            Mode::Sleep => 0,
            Mode::Awake => 1,
            Mode::Standing => 2,
            Mode::StartUp => 3,
            Mode::Charging => 4,
            Mode::Workshop => 5,
            Mode::Flashing => 6,
            Mode::Driving => 7,
        };
        self.buses.iter().take(self.used).map(BusDetector::mode).max_by_key(rank).unwrap_or(Mode::Sleep)
    }

    /// Returns how each watched bus is operated.
    pub fn operations(&self) -> impl Iterator<Item = Operation> + '_ {
        self.buses.iter().take(self.used).map(|detector| Operation {
            bus: detector.bus(),
            mode: detector.mode(),
            since: detector.mode_since(),
            time_us: detector.mode_time_us(),
            used: detector.used(),
            gated: detector.gated(),
            habits: detector.habit_stats(),
        })
    }

    /// Returns the latest speed that any bus carries.
    #[must_use]
    pub fn speed(&self) -> Option<SpeedReading> {
        self.buses.iter().filter_map(BusDetector::speed).max_by_key(|reading| reading.at)
    }

    /// Returns whether the vehicle drives, as the latest speed on any bus says; `None` if none is fresh.
    #[must_use]
    pub fn is_driving(&self, now: VehicleMicros) -> Option<bool> {
        self.speed().and_then(|reading| reading.is_driving(now))
    }

    /// Returns the buses that are watched, ascending.
    pub fn buses(&self) -> impl Iterator<Item = BusId> + '_ {
        self.buses.iter().take(self.used).map(BusDetector::bus)
    }

    /// Returns by what every watched bus is judged now.
    pub fn bases(&self) -> impl Iterator<Item = (BusId, Basis)> + '_ {
        self.buses.iter().take(self.used).map(|detector| (detector.bus(), detector.basis()))
    }

    /// Returns each watched bus with what its detectors judge by and their counts.
    pub fn states(&self) -> impl Iterator<Item = (BusId, &'static str, BusStats)> + '_ {
        self.buses.iter().map(|detector| (detector.bus(), basis_word(detector.basis()), detector.stats()))
    }

    /// Returns the counts of every watched bus.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<BusId, BusStats> {
        self.buses.iter().take(self.used).map(|detector| (detector.bus(), detector.stats())).collect()
    }

    /// Returns the number of frames on buses for which no detectors were left.
    #[must_use]
    pub const fn foreign(&self) -> u64 {
        self.foreign
    }
}

/// Returns the word for what a bus is judged by.
pub(crate) const fn basis_word(basis: Basis) -> &'static str {
    match basis {
        Basis::Matching => "matching",
        Basis::Model => "model",
        Basis::WarmUp => "warm_up",
        Basis::Learned => "learned",
    }
}

#[cfg(test)]
mod tests {
    use outrider_bus::can::{CanId, Frame};
    use outrider_ids::Phase;
    use outrider_ids::model::ModelHead;
    use outrider_types::{Severity, VehicleMicros};
    use outrider_wire::catalogue::event;

    use super::*;
    use crate::learn::Learner;

    fn timed(at_us: u64, bus: u8, id: u32) -> TimedFrame {
        let frame = Frame::classic(CanId::standard(id).expect("eleven bits"), &[1]).expect("one byte fits");
        TimedFrame { at: VehicleMicros(at_us), bus: BusId(bus), frame }
    }

    /// Two buses: 0x100 to 0x107 on the first, 0x200 to 0x207 on the second, 0x300 forwarded to both.
    fn ordinary(length_us: u64) -> impl Iterator<Item = TimedFrame> {
        (0..length_us / 10_000).flat_map(|turn| {
            let at = turn * 10_000;
            let own = (0..8u8).flat_map(move |n| {
                let late = at + u64::from(n) * 300;
                [timed(late, 0, 0x100 + u32::from(n)), timed(late, 1, 0x200 + u32::from(n))]
            });
            own.chain([timed(at + 4000, 0, 0x300), timed(at + 4100, 1, 0x300)])
        })
    }

    fn violations(strangers: u64, id: u32) -> Vec<(Phase, Severity, Option<CanId>)> {
        let mut learner = Learner::new(ModelHead::default());
        ordinary(5_000_000).for_each(|frame| learner.add(&frame));
        let mut edge = Edge::new(&learner.finish().expect("frames").model).expect("just learned");
        let attack = (0..strangers).map(|n| timed(2_000_005 + n * 400_000, 1, id));
        let mut frames: Vec<TimedFrame> = ordinary(4_000_000).chain(attack).collect();
        frames.sort_by_key(|frame| frame.at);
        let mut seen = Vec::new();
        for frame in &frames {
            edge.receive(frame);
            seen.extend(std::iter::from_fn(|| edge.pop()));
        }
        seen.retain(|one| one.event_type == event::CAN_SEGMENT_VIOLATION);
        seen.iter().map(|one| (one.phase, one.severity, one.can_id)).collect()
    }

    #[test]
    fn what_a_tester_is_granted_on_one_bus_is_known_on_all_and_said_once() {
        let mut learner = Learner::new(ModelHead::default());
        ordinary(5_000_000).for_each(|frame| learner.add(&frame));
        let mut edge = Edge::new(&learner.finish().expect("frames").model).expect("just learned");
        let answer = |at: u64, bytes: &[u8]| {
            let frame = Frame::classic(CanId::standard(0x7E8).expect("eleven bits"), bytes).expect("it fits");
            TimedFrame { at: VehicleMicros(at), bus: BusId(0), frame }
        };
        let mut frames: Vec<TimedFrame> = ordinary(4_000_000).collect();
        let request =
            Frame::classic(CanId::standard(0x7E0).expect("eleven bits"), &[2, 0x10, 2]).expect("it fits");
        frames.push(TimedFrame { at: VehicleMicros(1_999_000), bus: BusId(0), frame: request });
        frames.push(answer(2_005_000, &[6, 0x50, 2, 0, 0x32, 1, 0xF4]));
        frames.sort_by_key(|frame| frame.at);
        let mut said = 0;
        for (index, frame) in frames.iter().enumerate() {
            edge.receive(frame);
            if index % 100 == 0 {
                edge.tick(frame.at);
            }
            while let Some(seen) = edge.pop() {
                said +=
                    u32::from(seen.event_type == event::VEHICLE_SERVICE_MODE && seen.phase == Phase::Opened);
            }
        }
        let modes: Vec<Mode> = edge.operations().map(|operation| operation.mode).collect();
        assert_eq!(modes, [Mode::Flashing, Mode::Flashing]);
        assert_eq!((edge.mode(), said), (Mode::Flashing, 1));
    }

    #[test]
    fn an_identifier_of_another_bus_is_a_violation_once_it_repeats_and_a_forwarded_one_is_none() {
        let id = CanId::standard(0x103);
        assert_eq!(violations(1, 0x103), [(Phase::Opened, Severity::Low, id)]);
        let high = (Phase::Escalated, Severity::High, id);
        assert_eq!(violations(4, 0x103), [(Phase::Opened, Severity::Low, id), high]);
        assert_eq!(violations(4, 0x300), []);
        assert_eq!(violations(4, 0x777), [], "nobody's identifier is unknown, not on the wrong bus");
    }
}
