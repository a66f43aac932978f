//! What keeps the state of the spool, and so its journal and its starts, bounded, however many boots there are.
//!
//! Kept one by one are [`BOOTS_HELD_MAX`] boots at most, and as many as a snapshot has room for. Beyond that boots without
//! rows become entries of a [`LostBoots`], exact each. Then statements of the oldest boots become one with their sums, which
//! names its boots in runs: a boot loop's take a few bytes however many there are, and where boots that are held lie between
//! them there are at most as many runs as of those. Then rows are given up, of the segment first that the most boots wrote
//! in: boots in which little happened.

use std::collections::BTreeSet;

use outrider_types::{BootEpoch, Lane};
use outrider_wire::BootRun;
use outrider_wire::limits::LOST_BOOTS_BYTES_MAX;

use super::Spool;
use super::entry::Entry;
use super::lane::LaneState;
use super::lost::{LostBoots, joined};
use super::record::{HEADER_BYTES, RECORD_OVERHEAD_BYTES};
use super::ring::CLOSE_BYTES;
use crate::storage::Storage;

/// Past boots of which something is held one by one. The cloud remembers 1,024 boots a vehicle
/// (`outrider-ingest`, `EPOCHS_MAX`); with the 64 that each lane's newest segment may hold this stays well below.
pub const BOOTS_HELD_MAX: usize = 512;

/// Boots that become entries at once when there are too many, so that their statement is signed once.
const CLOSED_AT_ONCE: usize = 32;

/// Clock readings kept of each past boot once room is short: the first and the latest say how its clock ran.
const FIXES_KEPT_SHORT: usize = 2;

impl<S: Storage> Spool<S> {
    /// Gives up in memory what a snapshot has no room for; the snapshot says so. What it takes from rows may be used again
    /// only once the snapshot is durable.
    pub(super) fn bound_state(&mut self) {
        // Of a boot that a snapshot does not name nothing is left to say.
        self.lanes.retain(|_, state| !state.forgotten);
        let slots = self.snapshot_slots();
        while segments_needed(&self.snapshot(), self.ring.segment_bytes()) > slots {
            if !(self.trim_fixes()
                || self.close_oldest()
                || self.merge_lost()
                || self.drop_oldest_fixes()
                || self.give_up_crowded())
            {
                break;
            }
        }
    }

    fn boots_held(&self) -> usize {
        let held = self.lanes.iter().filter(|(_, state)| !state.forgotten);
        held.map(|((epoch, _), _)| *epoch).collect::<BTreeSet<BootEpoch>>().len()
    }

    /// Brings the number of boots below its bound, if need be.
    ///
    /// If what says so cannot be written, it is written before anything else is.
    pub(super) fn bound_boots(&mut self) {
        if self.boots_held() <= BOOTS_HELD_MAX {
            return;
        }
        while self.boots_held() > BOOTS_HELD_MAX - CLOSED_AT_ONCE {
            if !(self.close_oldest() || self.give_up_crowded()) {
                break;
            }
        }
        let _ = self.write_snapshot();
    }

    /// Keeps the first and the latest clock readings of past boots only; false if there are no more.
    fn trim_fixes(&mut self) -> bool {
        let current = self.epoch();
        let mut trimmed = false;
        for (_, fixes) in self.fixes.iter_mut().filter(|(epoch, _)| **epoch != current) {
            if fixes.len() > FIXES_KEPT_SHORT {
                let latest = fixes.len() - 1;
                fixes.drain(1..latest);
                trimmed = true;
            }
        }
        trimmed
    }

    /// Drops the clock readings of the oldest past boot: its rows get a wider time. False if there are none.
    fn drop_oldest_fixes(&mut self) -> bool {
        let current = self.epoch();
        let oldest = self.fixes.keys().find(|epoch| **epoch != current).copied();
        oldest.is_some_and(|oldest| self.fixes.remove(&oldest).is_some())
    }

    /// Ends past boots of which no rows of a lane are held, the oldest first; false if there are none.
    fn close_oldest(&mut self) -> bool {
        let current = self.epoch();
        let closable: Vec<(BootEpoch, Lane)> = self
            .lanes
            .iter()
            .filter(|((epoch, _), state)| *epoch != current && !state.forgotten && state.rows.is_empty())
            .map(|(key, _)| *key)
            .take(CLOSED_AT_ONCE)
            .collect();
        let closed: Vec<(BootEpoch, Lane, LaneState)> =
            closable.iter().filter_map(|key| Some((key.0, key.1, self.lanes.remove(key)?))).collect();
        let statements = self.lost_boots_of(&closed);
        for (epoch, lane, state) in closed {
            let forgotten = LaneState { forgotten: true, unreported: false, ..state.clone_counts() };
            self.lanes.insert((epoch, lane), forgotten);
        }
        self.take_lost(statements);
        self.drop_fixes();
        !closable.is_empty()
    }

    /// Builds the statements about boots of which no rows are held any more, as few as possible.
    pub(super) fn lost_boots_of(&mut self, boots: &[(BootEpoch, Lane, LaneState)]) -> Vec<LostBoots> {
        let room = self.lost_room();
        let mut statements: Vec<LostBoots> = Vec::new();
        for lane in Lane::ALL {
            let mut open: Option<LostBoots> = None;
            // The cloud has all of a finished one.
            for (epoch, _, state) in boots.iter().filter(|(_, of, state)| *of == lane && !state.is_finished())
            {
                let one = LostBoots::of(lane, *epoch, state);
                let is_joined = open.as_mut().is_some_and(|open| open.join(&one, room));
                if !is_joined {
                    statements.extend(open.replace(one));
                }
            }
            statements.extend(open);
        }
        for statement in &mut statements {
            self.ring.wear.unsigned += u64::from(!statement.sign(&*self.ring.keys.signer));
        }
        statements
    }

    /// Puts statements among those that the cloud is to be told.
    pub(super) fn take_lost(&mut self, statements: Vec<LostBoots>) {
        for statement in statements {
            self.lost.insert((statement.lane, statement.first), statement);
        }
    }

    /// Returns the bytes that a statement may take: one record of a segment.
    fn lost_room(&self) -> usize {
        let overhead = HEADER_BYTES + RECORD_OVERHEAD_BYTES + CLOSE_BYTES;
        self.ring.segment_bytes().saturating_sub(overhead).min(LOST_BOOTS_BYTES_MAX)
    }

    /// Makes one statement of sums of two neighbours, of the lane first that has most, the oldest first; false if no two
    /// fit into one.
    pub(super) fn merge_lost(&mut self) -> bool {
        let mut lanes: Vec<(usize, Lane)> =
            Lane::ALL.map(|lane| (self.lost.keys().filter(|(of, _)| *of == lane).count(), lane)).to_vec();
        lanes.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let room = self.lost_room();
        for (_, lane) in lanes {
            let of_lane: Vec<&LostBoots> =
                self.lost.values().filter(|statement| statement.lane == lane).collect();
            let untold = self.untold(lane);
            let is_told = |between: BootRun| {
                let at = untold.partition_point(|run| run.last < between.first);
                untold.get(at).is_none_or(|run| run.first > between.last)
            };
            let merged = of_lane.windows(2).find_map(|pair| {
                let [one, two] = pair else { return None };
                let mut sum = (*one).clone();
                sum.merge(two, room, is_told).then_some((sum, two.first))
            });
            let Some((mut sum, other)) = merged else { continue };
            self.ring.wear.unsigned += u64::from(!sum.sign(&*self.ring.keys.signer));
            self.lost.remove(&(lane, other));
            self.take_lost(vec![sum]);
            return true;
        }
        false
    }

    /// Returns the boots of which something of a lane is held or left to tell, ascending.
    fn untold(&self, lane: Lane) -> Vec<BootRun> {
        let held = self.lanes.iter().filter(|((_, of), state)| *of == lane && !state.forgotten);
        let held = held.map(|((epoch, _), _)| BootRun { first: *epoch, last: *epoch });
        let stated = self.lost.values().filter(|statement| statement.lane == lane);
        joined(held.chain(stated.flat_map(LostBoots::named)).collect(), |_| false)
    }

    /// Returns the accounts of lost boots that the cloud is to be told, ascending by lane and boot.
    pub fn lost_boots(&self) -> impl Iterator<Item = &LostBoots> {
        self.lost.values()
    }

    /// Records that the cloud has an account. One that took in others since then is still to be told, whatever boot it
    /// begins with.
    pub fn mark_lost_told(&mut self, told: &LostBoots) {
        let (lane, first) = (told.lane, told.first);
        if self.lost.get(&(lane, first)) == Some(told) {
            self.lost.remove(&(lane, first));
            // If this fails, the next boot tells it once more.
            let _ = self.note(&Entry::LostTold { lane, first });
        }
    }
}

/// Returns how many segments hold these entries.
fn segments_needed(entries: &[Entry], segment_bytes: usize) -> u64 {
    let room = segment_bytes.saturating_sub(HEADER_BYTES + CLOSE_BYTES);
    let (mut segments, mut used) = (1, 0);
    for entry in entries {
        let bytes = RECORD_OVERHEAD_BYTES + entry.emit().1.len();
        if used + bytes > room {
            segments += 1;
            used = 0;
        }
        used += bytes;
    }
    segments
}
