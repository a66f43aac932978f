//! What a vehicle has delivered, and what is missing.

use std::collections::{BTreeMap, VecDeque};

use outrider_model::SaveError;
use outrider_types::{BootEpoch, Lane, Seq};
use outrider_wire::{BootRun, SeqRange, limits::HOLES_MAX};
use sha2::{Digest, Sha256};

use crate::content::{Contents, first_word};
use crate::interval::{IntervalSet, StateCursor};

/// Boots remembered a vehicle; older ones fall below the floor and count as delivered. A gateway keeps at most 512
/// boots that are not delivered, and those of the newest segments, so nothing that still waits in a vehicle can fall.
const EPOCHS_MAX: usize = 1024;

/// Stretches of ended boots remembered a lane, the newest: a boot loop ends most of its boots in order (guess).
const ENDED_MAX: usize = 64;

/// State of one lane in one boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneReceived {
    /// Numbers that are durable here.
    pub durable: IntervalSet,
    /// Numbers that the vehicle declared lost, with a signature.
    pub lost: IntervalSet,
    /// Highest number that the vehicle said it gave.
    pub announced: u64,
    /// Durable or lost; kept joined because every acknowledgement needs it.
    known: IntervalSet,
}

impl LaneReceived {
    /// Returns the highest number up to which nothing is missing.
    #[must_use]
    pub fn contiguous(&self) -> u64 {
        self.known.contiguous()
    }

    /// Returns the missing ranges up to the highest number heard of, ascending.
    pub fn holes(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.known.holes(self.announced.max(self.known.highest()))
    }

    /// Declares lost all that is missing, and returns it.
    fn lose_rest(&mut self) -> Vec<(u64, u64)> {
        let lost: Vec<(u64, u64)> = self.holes().collect();
        for (first, last) in &lost {
            self.lost.insert(*first, *last);
            self.known.insert(*first, *last);
        }
        lost
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.announced.to_le_bytes());
        self.durable.save(out);
        self.lost.save(out);
    }

    fn load(cursor: &mut StateCursor<'_>) -> Result<Self, SaveError> {
        let announced = cursor.u64()?;
        let (durable, lost) = (IntervalSet::load(cursor)?, IntervalSet::load(cursor)?);
        let mut known = durable.clone();
        for (first, last) in lost.ranges() {
            known.insert(first, last);
        }
        Ok(Self { durable, lost, announced, known })
    }
}

/// What the cloud has of one lane of one boot, ready to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneWatermark {
    /// Boot.
    pub epoch: BootEpoch,
    /// Lane.
    pub lane: Lane,
    /// Everything up to here is durable or declared lost.
    pub contiguous: u64,
    /// Wanted ranges above it.
    pub holes: Vec<SeqRange>,
}

/// Everything received from one vehicle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    lanes: BTreeMap<(BootEpoch, Lane), LaneReceived>,
    /// Boots of which the vehicle holds nothing of a lane any more, for rows of theirs that come late.
    ended: BTreeMap<Lane, IntervalSet>,
    /// Boots up to this one are no longer remembered.
    floor: Option<BootEpoch>,
    /// What the newest rows said. Not part of the saved form: the worker saves it with its own state, and a listener
    /// that begins anew learns it again.
    pub(crate) contents: Contents,
    /// Statements beside rows that were heard lately; of use to the listener only.
    pub(crate) heard: Heard,
}

/// Hashes of the statements that were heard last: what is in here is no news.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Heard(VecDeque<u64>);

/// Statements remembered: those of a few batches (guess).
const HEARD_MAX: usize = 64;

impl Heard {
    /// Returns whether the parts were not heard lately, and remembers them.
    pub(crate) fn is_news(&mut self, parts: impl IntoIterator<Item = u64>) -> bool {
        let mut hash = Sha256::new();
        parts.into_iter().for_each(|part| hash.update(part.to_le_bytes()));
        let word = first_word(hash);
        if self.0.contains(&word) {
            return false;
        }
        if self.0.len() >= HEARD_MAX {
            self.0.pop_front();
        }
        self.0.push_back(word);
        true
    }
}

/// Version of the saved form. Version 1 is read: it knew no ended boots.
const VERSION: u32 = 2;

impl Received {
    /// Notes durable numbers and returns how many of them are new; boots below the floor are never new.
    pub fn insert(&mut self, epoch: BootEpoch, lane: Lane, range: SeqRange) -> u64 {
        let Some(state) = self.lane_mut(epoch, lane) else { return 0 };
        let (first, last) = (range.first().0, range.last().0);
        let new = state.durable.insert(first, last);
        state.known.insert(first, last);
        new
    }

    /// Notes numbers that the vehicle declared lost; returns how many of them were unknown so far.
    pub fn declare_lost(&mut self, epoch: BootEpoch, lane: Lane, range: SeqRange) -> u64 {
        let Some(state) = self.lane_mut(epoch, lane) else { return 0 };
        let (first, last) = (range.first().0, range.last().0);
        state.lost.insert(first, last);
        state.known.insert(first, last)
    }

    /// Notes the highest number that the vehicle has given; returns whether that is news.
    pub fn announce(&mut self, epoch: BootEpoch, lane: Lane, last_seq: u64) -> bool {
        let Some(state) = self.lane_mut(epoch, lane) else { return false };
        let news = last_seq > state.announced;
        state.announced = state.announced.max(last_seq);
        news
    }

    /// Notes that a lane of a boot ended with so many numbers and that the vehicle has none of them any more; returns the
    /// ranges that are lost with it and were not declared before. `None` if nothing is known of it: then what comes late
    /// of it is taken, and nothing waits. `sender` is the boot that says so; its own, and those to come, it cannot end.
    pub fn end_boot(
        &mut self,
        sender: BootEpoch,
        (epoch, lane): (BootEpoch, Lane),
        numbers: u64,
    ) -> Option<Vec<(u64, u64)>> {
        if epoch >= sender {
            return None;
        }
        self.remember_ended(lane, BootRun { first: epoch, last: epoch });
        let state = self.lanes.get_mut(&(epoch, lane))?;
        state.announced = state.announced.max(numbers);
        Some(state.lose_rest())
    }

    /// Notes that the vehicle has nothing of a lane of these boots any more; returns the ranges that are lost with each
    /// that is known and were not declared before. `sender` as for [`Self::end_boot`]. O(known boots of the run).
    pub fn end_boots(
        &mut self,
        sender: BootEpoch,
        lane: Lane,
        boots: BootRun,
    ) -> Vec<(BootEpoch, Vec<(u64, u64)>)> {
        let boots = BootRun { last: boots.last.min(BootEpoch(sender.0.saturating_sub(1))), ..boots };
        if boots.first > boots.last {
            return Vec::new();
        }
        self.remember_ended(lane, boots);
        let known = self.lanes.range_mut((boots.first, Lane::Critical)..=(boots.last, Lane::Deferred));
        let of_lane = known.filter(|((_, of), _)| *of == lane);
        of_lane.map(|((epoch, _), state)| (*epoch, state.lose_rest())).collect()
    }

    fn remember_ended(&mut self, lane: Lane, boots: BootRun) {
        let ended = self.ended.entry(lane).or_default();
        ended.insert(boots.first.0, boots.last.0);
        ended.keep_highest(ENDED_MAX);
    }

    /// Declares lost what rows of an ended boot show to be missing that came after its end was told; returns it by lane.
    pub(crate) fn settle(&mut self, epoch: BootEpoch) -> Vec<(Lane, Vec<(u64, u64)>)> {
        let ended = Lane::ALL
            .into_iter()
            .filter(|lane| self.ended.get(lane).is_some_and(|ended| ended.contains(epoch.0)));
        let ended: Vec<Lane> = ended.collect();
        let lost = ended.into_iter().filter_map(|lane| {
            let state = self.lanes.get_mut(&(epoch, lane))?;
            Some((lane, state.lose_rest()))
        });
        lost.filter(|(_, lost)| !lost.is_empty()).collect()
    }

    /// Returns whether a number is durable here or lies below the floor.
    #[must_use]
    pub fn contains(&self, epoch: BootEpoch, lane: Lane, seq: Seq) -> bool {
        self.floor.is_some_and(|floor| epoch <= floor)
            || self.lanes.get(&(epoch, lane)).is_some_and(|state| state.durable.contains(seq.0))
    }

    /// Returns whether a number was declared lost.
    #[must_use]
    pub fn is_lost(&self, epoch: BootEpoch, lane: Lane, seq: Seq) -> bool {
        self.lanes.get(&(epoch, lane)).is_some_and(|state| state.lost.contains(seq.0))
    }

    /// Returns the state of a lane in a boot.
    #[must_use]
    pub fn lane(&self, epoch: BootEpoch, lane: Lane) -> Option<&LaneReceived> {
        self.lanes.get(&(epoch, lane))
    }

    /// Returns whether no number is missing or declared lost. O(lanes).
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lanes.values().all(|lane| lane.lost.intervals() == 0 && lane.holes().next().is_none())
    }

    /// Returns the lanes in order of boot and lane.
    pub fn lanes(&self) -> impl Iterator<Item = (BootEpoch, Lane, &LaneReceived)> {
        self.lanes.iter().map(|((epoch, lane), state)| (*epoch, *lane, state))
    }

    /// Returns the watermark of one boot's lanes, holes capped at [`HOLES_MAX`] a lane.
    ///
    /// A boot below the floor is answered with everything freed: it is no longer asked for.
    #[must_use]
    pub fn watermarks(&self, epoch: BootEpoch) -> Vec<LaneWatermark> {
        if self.floor.is_some_and(|floor| epoch <= floor) {
            return Lane::ALL
                .into_iter()
                .map(|lane| LaneWatermark { epoch, lane, contiguous: u64::MAX, holes: Vec::new() })
                .collect();
        }
        let lanes = self.lanes.range((epoch, Lane::Critical)..=(epoch, Lane::Deferred));
        lanes
            .map(|((epoch, lane), state)| LaneWatermark {
                epoch: *epoch,
                lane: *lane,
                contiguous: state.contiguous(),
                holes: state
                    .holes()
                    .filter_map(|(first, last)| SeqRange::new(Seq(first), Seq(last)))
                    .take(HOLES_MAX)
                    .collect(),
            })
            .collect()
    }

    fn lane_mut(&mut self, epoch: BootEpoch, lane: Lane) -> Option<&mut LaneReceived> {
        if self.floor.is_some_and(|floor| epoch <= floor) {
            return None;
        }
        if !self.lanes.contains_key(&(epoch, lane)) {
            self.make_room(epoch);
            if self.floor.is_some_and(|floor| epoch <= floor) {
                return None;
            }
        }
        Some(self.lanes.entry((epoch, lane)).or_default())
    }

    /// Forgets the oldest boots when a new one would exceed the bound.
    fn make_room(&mut self, coming: BootEpoch) {
        while self.lanes.len() >= EPOCHS_MAX * Lane::ALL.len() {
            let Some(oldest) = self.lanes.keys().next().map(|(epoch, _)| *epoch) else { return };
            if coming < oldest {
                self.floor = Some(coming);
                return;
            }
            self.lanes.retain(|(epoch, _), _| *epoch != oldest);
            self.floor = Some(oldest);
        }
    }

    /// Joins what another listener has noted of the same vehicle; the order of joining does not matter. What this one
    /// learned of contents and statements stays.
    pub fn join(&mut self, other: &Self) {
        self.floor = self.floor.max(other.floor);
        if let Some(floor) = self.floor {
            self.lanes.retain(|(epoch, _), _| *epoch > floor);
        }
        for ((epoch, lane), theirs) in &other.lanes {
            let Some(state) = self.lane_mut(*epoch, *lane) else { continue };
            state.announced = state.announced.max(theirs.announced);
            for (first, last) in theirs.durable.ranges() {
                state.durable.insert(first, last);
                state.known.insert(first, last);
            }
            for (first, last) in theirs.lost.ranges() {
                state.lost.insert(first, last);
                state.known.insert(first, last);
            }
        }
        for (lane, theirs) in &other.ended {
            let ended = self.ended.entry(*lane).or_default();
            theirs.ranges().for_each(|(first, last)| {
                ended.insert(first, last);
            });
            ended.keep_highest(ENDED_MAX);
        }
    }

    /// Appends the state in its saved form.
    pub fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.push(u8::from(self.floor.is_some()));
        out.extend_from_slice(&self.floor.unwrap_or_default().0.to_le_bytes());
        let count = u32::try_from(self.lanes.len()).expect("lanes are bounded");
        out.extend_from_slice(&count.to_le_bytes());
        for ((epoch, lane), state) in &self.lanes {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            out.push(lane.code());
            state.save(out);
        }
        for lane in Lane::ALL {
            self.ended.get(&lane).unwrap_or(&IntervalSet::default()).save(out);
        }
    }

    /// Reads the saved form.
    ///
    /// # Errors
    /// [`SaveError`].
    pub fn load(bytes: &[u8]) -> Result<Self, SaveError> {
        let mut cursor = StateCursor::new(bytes);
        let received = Self::load_from(&mut cursor)?;
        if cursor.is_at_end() { Ok(received) } else { Err(cursor.damaged()) }
    }

    pub(crate) fn load_from(cursor: &mut StateCursor<'_>) -> Result<Self, SaveError> {
        let version = cursor.u32()?;
        if !(1..=VERSION).contains(&version) {
            return Err(SaveError::Version { expected: VERSION, got: version });
        }
        let has_floor = cursor.u8()? == 1;
        let floor = BootEpoch(cursor.u64()?);
        let mut received =
            Self { lanes: BTreeMap::new(), floor: has_floor.then_some(floor), ..Self::default() };
        for _ in 0..cursor.u32()? {
            let epoch = BootEpoch(cursor.u64()?);
            let lane = Lane::from_code(cursor.u8()?).ok_or(cursor.damaged())?;
            received.lanes.insert((epoch, lane), LaneReceived::load(cursor)?);
        }
        for lane in Lane::ALL.into_iter().filter(|_| version > 1) {
            let ended = IntervalSet::load(cursor)?;
            if ended.intervals() > 0 {
                received.ended.insert(lane, ended);
            }
        }
        Ok(received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64) -> SeqRange {
        SeqRange::new(Seq(first), Seq(last)).expect("the range is not empty")
    }

    #[test]
    fn a_declared_loss_closes_the_hole_but_is_not_durable() {
        let mut received = Received::default();
        let (epoch, lane) = (BootEpoch(3), Lane::Batched);
        assert_eq!(received.insert(epoch, lane, range(1, 4)), 4);
        received.announce(epoch, lane, 8);
        let marks = received.watermarks(epoch);
        assert_eq!((marks[0].contiguous, marks[0].holes.as_slice()), (4, &[range(5, 8)][..]));
        assert_eq!(received.declare_lost(epoch, lane, range(5, 8)), 4);
        assert_eq!(received.watermarks(epoch)[0].contiguous, 8);
        assert!(!received.contains(epoch, lane, Seq(5)));
        assert_eq!(received.insert(epoch, lane, range(5, 5)), 1, "a number declared lost may still turn up");
    }

    #[test]
    fn the_oldest_boot_falls_below_the_floor_and_is_never_new_again() {
        let mut received = Received::default();
        for epoch in 1..=(EPOCHS_MAX as u64 + 1) {
            for lane in Lane::ALL {
                assert_eq!(received.insert(BootEpoch(epoch), lane, range(1, 1)), 1);
            }
        }
        assert_eq!(received.insert(BootEpoch(1), Lane::Critical, range(2, 2)), 0);
        assert!(received.contains(BootEpoch(1), Lane::Critical, Seq(9)));
        assert_eq!(received.watermarks(BootEpoch(1))[0].contiguous, u64::MAX);
        assert_eq!(received.insert(BootEpoch(2), Lane::Critical, range(2, 2)), 1);
    }

    #[test]
    fn a_boot_that_ended_waits_for_nothing_whenever_its_rows_come() {
        let (mut received, lane) = (Received::default(), Lane::Batched);
        let run = |first, last| BootRun { first: BootEpoch(first), last: BootEpoch(last) };
        received.insert(BootEpoch(3), lane, range(2, 2));
        received.announce(BootEpoch(3), lane, 5);
        received.insert(BootEpoch(3), Lane::Critical, range(2, 2));
        received.insert(BootEpoch(9), lane, range(2, 2));
        let ended = received.end_boots(BootEpoch(30), lane, run(1, 8));
        assert_eq!(ended, [(BootEpoch(3), vec![(1, 1), (3, 5)])]);
        assert_eq!(
            received.end_boots(BootEpoch(30), lane, run(1, 8)),
            [(BootEpoch(3), vec![])],
            "nothing is lost twice"
        );
        assert_eq!(received.end_boots(BootEpoch(30), lane, run(8, 1)), []);
        assert_eq!(received.end_boot(BootEpoch(30), (BootEpoch(20), lane), 4), None);
        let holes = |received: &Received, epoch| {
            received
                .lanes()
                .filter(|(of, ..)| of.0 == epoch)
                .map(|(.., state)| state.holes().count())
                .sum::<usize>()
        };
        assert_eq!(
            (holes(&received, 3), holes(&received, 9)),
            (1, 1),
            "another lane, and a boot that goes on"
        );
        for late in [5, 20] {
            assert_eq!(received.insert(BootEpoch(late), lane, range(3, 3)), 1);
            assert_eq!(received.settle(BootEpoch(late)), [(lane, vec![(1, 2)])]);
            assert_eq!(holes(&received, late), 0);
        }
        assert_eq!(received.settle(BootEpoch(9)), []);
    }

    #[test]
    fn what_two_listeners_noted_joins_in_any_order() {
        let (lane, mut here, mut there) = (Lane::Batched, Received::default(), Received::default());
        here.insert(BootEpoch(1), lane, range(1, 4));
        here.insert(BootEpoch(2), lane, range(1, 3));
        there.insert(BootEpoch(2), lane, range(4, 6));
        there.declare_lost(BootEpoch(2), lane, range(7, 8));
        there.announce(BootEpoch(2), lane, 10);
        there.end_boot(BootEpoch(9), (BootEpoch(3), lane), 2);
        let (mut one, mut other) = (here.clone(), there.clone());
        one.join(&there);
        other.join(&here);
        assert_eq!(one, other);
        let marks = one.watermarks(BootEpoch(2));
        assert_eq!((marks[0].contiguous, marks[0].holes.as_slice()), (8, &[range(9, 10)][..]));
        assert!(one.contains(BootEpoch(1), lane, Seq(4)) && !one.contains(BootEpoch(2), lane, Seq(7)));
        assert!(one.ended[&lane].contains(3));
        let joined = one.clone();
        one.join(&there);
        assert_eq!(one, joined, "twice changes nothing");
    }

    #[test]
    fn a_join_keeps_to_the_higher_floor_and_to_the_bound_of_boots() {
        let (mut low, mut high) = (Received::default(), Received::default());
        low.insert(BootEpoch(1), Lane::Critical, range(1, 1));
        for epoch in 10..=(10 + EPOCHS_MAX as u64) {
            Lane::ALL.iter().for_each(|lane| {
                high.insert(BootEpoch(epoch), *lane, range(1, 1));
            });
        }
        let floor = high.floor;
        assert_eq!(floor, Some(BootEpoch(10)));
        high.join(&low);
        assert_eq!(high.floor, floor);
        low.join(&high);
        assert_eq!((low.floor, low.lanes.len()), (floor, high.lanes.len()));
        assert!(
            low.contains(BootEpoch(1), Lane::Critical, Seq(9)),
            "below the floor everything counts as there"
        );
    }

    #[test]
    fn ended_boots_are_remembered_up_to_a_bound() {
        let mut received = Received::default();
        for epoch in 1..=1000 {
            received.end_boot(BootEpoch(9999), (BootEpoch(2 * epoch), Lane::Critical), 1);
        }
        assert_eq!(received.ended[&Lane::Critical].intervals(), ENDED_MAX);
        assert!(received.ended[&Lane::Critical].contains(2000));
        let all = BootRun { first: BootEpoch(0), last: BootEpoch(u64::MAX) };
        received.end_boots(BootEpoch(9999), Lane::Critical, all);
        assert!(received.ended[&Lane::Critical].contains(9998));
        assert!(!received.ended[&Lane::Critical].contains(9999), "the sender's own");
        assert_eq!(received.end_boot(BootEpoch(9999), (BootEpoch(9999), Lane::Critical), 1), None);
        assert!(!received.ended[&Lane::Critical].contains(9999), "nor one by one");
        assert_eq!(received.ended[&Lane::Critical].intervals(), 1);
    }

    #[test]
    fn state_survives_saving_and_a_torn_copy_is_refused() {
        let mut received = Received::default();
        received.insert(BootEpoch(1), Lane::Critical, range(1, 5));
        received.declare_lost(BootEpoch(1), Lane::Deferred, range(2, 3));
        received.announce(BootEpoch(2), Lane::Batched, 7);
        received.end_boot(BootEpoch(2), (BootEpoch(1), Lane::Deferred), 3);
        let mut bytes = Vec::new();
        received.save(&mut bytes);
        assert_eq!(Received::load(&bytes), Ok(received));
        for cut in 0..bytes.len() {
            assert!(Received::load(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        // Three counts, and one interval.
        let mut old = bytes[..bytes.len() - 3 * 4 - 16].to_vec();
        old[0] = 1;
        assert_eq!(Received::load(&old).map(|old| old.lanes().count()), Ok(3), "version 1");
    }
}
