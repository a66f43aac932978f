//! The detectors of all Ethernet segments of one vehicle.

use std::collections::BTreeMap;

use outrider_bus::plca::Reading;
use outrider_ids::ethernet::model::{EthernetModel, MAGIC};
use outrider_ids::ethernet::{EthernetDetector, EthernetStats};
use outrider_ids::model::ModelError;
use outrider_ids::{Observation, SpeedReading};
use outrider_types::{BusId, VehicleMicros};

/// Bit that tells the number of an Ethernet segment from that of a CAN bus: both are counted from 0 by the sources.
const SEGMENT_BIT: u8 = 0x80;
/// Where both formats of models say their size.
const SIZE_AT: usize = 12;

/// Returns the number that an Ethernet segment has in models and events, by the number its source gives.
#[must_use]
pub const fn segment(source: BusId) -> BusId {
    BusId(source.0 | SEGMENT_BIT)
}

/// Returns whether a number is that of an Ethernet segment.
#[must_use]
pub const fn is_segment(bus: BusId) -> bool {
    bus.0 & SEGMENT_BIT != 0
}

/// Cuts a model file into its CAN part and its Ethernet part; either may be empty. Whatever is neither is left to the
/// CAN part, whose reader refuses it.
#[must_use]
pub fn split_model(bytes: &[u8]) -> (&[u8], &[u8]) {
    if bytes.starts_with(&MAGIC) {
        return (&[], bytes);
    }
    let said = bytes.get(SIZE_AT..).and_then(<[u8]>::first_chunk).copied().map(u32::from_le_bytes);
    let size = said.and_then(|said| usize::try_from(said).ok()).unwrap_or(bytes.len());
    match bytes.split_at_checked(size) {
        Some((can, ethernet)) if ethernet.starts_with(&MAGIC) => (can, ethernet),
        _ => (bytes, &[]),
    }
}

/// Detectors of every Ethernet segment of a model.
///
/// Allocates when it is made and never after.
#[derive(Debug)]
pub struct NetEdge {
    segments: Vec<EthernetDetector>,
    /// Frames of segments that the model does not have.
    foreign: u64,
}

impl NetEdge {
    /// Creates the detectors of a model's bytes.
    ///
    /// # Errors
    /// [`ModelError`] if the bytes are no Ethernet model.
    pub fn new(model: &[u8]) -> Result<Self, ModelError> {
        let model = EthernetModel::parse(model)?;
        let segments = model.segments().map(|segment| EthernetDetector::new(&segment)).collect();
        Ok(Self { segments, foreign: 0 })
    }

    fn of(&mut self, source: BusId) -> Option<&mut EthernetDetector> {
        let wanted = segment(source);
        self.segments.iter_mut().find(|detector| detector.bus() == wanted)
    }

    /// Takes one frame of a source's segment; returns whether it keeps the network together or carries diagnosis,
    /// services or charging.
    pub fn receive(&mut self, at: VehicleMicros, source: BusId, bytes: &[u8]) -> bool {
        match self.of(source) {
            Some(detector) => detector.receive(at, bytes),
            None => {
                self.foreign += 1;
                false
            }
        }
    }

    /// Takes a reading of the 10BASE-T1S PHY of a source's segment.
    pub fn line(&mut self, at: VehicleMicros, source: BusId, reading: Reading) {
        if let Some(detector) = self.of(source) {
            detector.line(at, reading);
        }
    }

    /// Tells the speed that a bus has.
    pub fn observe_speed(&mut self, reading: SpeedReading) {
        self.segments.iter_mut().for_each(|detector| detector.observe_speed(reading));
    }

    /// Returns whether a car and a station speak on one of the segments.
    #[must_use]
    pub fn is_charging(&self, now: VehicleMicros) -> bool {
        self.segments.iter().any(|detector| detector.is_charging(now))
    }

    /// Tells whether a workshop is at work.
    pub fn set_workshop(&mut self, workshop: bool) {
        self.segments.iter_mut().for_each(|detector| detector.set_workshop(workshop));
    }

    /// Lets time pass; call it a few times a second.
    pub fn tick(&mut self, now: VehicleMicros) {
        self.segments.iter_mut().for_each(|detector| detector.tick(now));
    }

    /// Ends every open episode, as at the end of a capture.
    pub fn finish(&mut self) {
        self.segments.iter_mut().for_each(EthernetDetector::finish);
    }

    /// Takes the next observation, segment by segment.
    pub fn pop(&mut self) -> Option<Observation> {
        self.segments.iter_mut().find_map(EthernetDetector::pop)
    }

    /// Returns the counts of every segment.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<BusId, EthernetStats> {
        self.segments.iter().map(|detector| (detector.bus(), detector.stats())).collect()
    }

    /// Returns the number of frames on segments that the model does not have.
    #[must_use]
    pub const fn foreign(&self) -> u64 {
        self.foreign
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::ethernet::EthernetLearner;
    use crate::replay::Episodes;
    use outrider_ids::model::ModelHead;
    use outrider_types::Severity;

    /// Gives frames, each behind its length and a gap in 10 ms, to `take`.
    fn each(bytes: &[u8], mut take: impl FnMut(VehicleMicros, &[u8])) {
        let (mut rest, mut at) = (bytes, 0);
        while let [length, gap, tail @ ..] = rest {
            let (frame, behind) = tail.split_at(usize::from(*length).min(tail.len()));
            at += u64::from(*gap) * 10_000;
            take(VehicleMicros(at), frame);
            rest = behind;
        }
    }

    /// Learns from the first half of a corpus file and returns how many events above low the whole of it gives.
    fn events(bytes: &[u8]) -> usize {
        let mut learner = EthernetLearner::new(ModelHead::default());
        each(&bytes[..bytes.len() / 2], |at, frame| learner.add(at, BusId(0), frame));
        let model = learner.finish().expect("one segment fits a model").model;
        let mut edge = NetEdge::new(&model).expect("just written");
        let mut episodes = Episodes::new();
        each(bytes, |at, frame| {
            edge.receive(at, BusId(0), frame);
        });
        edge.finish();
        while let Some(seen) = edge.pop() {
            episodes.add(&seen);
        }
        episodes.finish().iter().filter(|event| event.severity > Severity::Low).count()
    }

    #[test]
    fn the_corpus_is_taken_and_attacks_are_more_than_ordinary_traffic() {
        let mut found = Vec::new();
        let count = crate::io::corpus("ethernet", |bytes| found.push(events(bytes)));
        found.sort_unstable();
        assert!(count >= 3);
        assert!(found.last().is_some_and(|&most| most >= 6), "{found:?}");
        assert!(found.iter().any(|&few| few <= 1), "{found:?}");
    }

    #[test]
    fn a_file_may_have_one_part_or_both() {
        let mut learner = EthernetLearner::new(ModelHead::default());
        learner.add(VehicleMicros(0), BusId(0), &[0; 60]);
        let ethernet = learner.finish().expect("one segment").model;
        assert_eq!(split_model(&ethernet), (&[][..], &ethernet[..]));
        let (can, _) = crate::bench::edge_input(1);
        assert_eq!(split_model(&can), (&can[..], &[][..]));
        let both = [can.as_slice(), &ethernet].concat();
        assert_eq!(split_model(&both), (&can[..], &ethernet[..]));
        assert_eq!(split_model(b"neither"), (&b"neither"[..], &[][..]));
    }
}
