//! What is learned of one identifier.

use super::pace::PaceLearner;
use super::table::NONE;
use crate::payload::{Histories, Payload};
use crate::signals::Signals;

/// Most identifiers of a bus that are learned in depth; the largest bus seen had 227.
pub(crate) const TRACKS_MAX: usize = 236;
/// Payloads split in one tick.
const SPLITS_MAX: usize = 16;

/// One identifier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Track {
    pub(crate) pace: PaceLearner,
    pub(crate) payload: Payload,
}

impl Track {
    const EMPTY: Self = Self { pace: PaceLearner::EMPTY, payload: Payload::EMPTY };
}

/// Fixed pool of tracks.
#[derive(Debug, Clone)]
pub(crate) struct Tracks {
    tracks: [Track; TRACKS_MAX],
    len: u16,
}

impl Tracks {
    pub(crate) const fn empty() -> Self {
        Self { tracks: [Track::EMPTY; TRACKS_MAX], len: 0 }
    }

    /// Takes a fresh track, or `None` if there is none left.
    pub(crate) fn take(&mut self) -> Option<u16> {
        let name = self.len;
        *self.tracks.get_mut(usize::from(name))? = Track::EMPTY;
        self.len = name.saturating_add(1);
        Some(name)
    }

    /// Splits payloads of which enough was gathered, a few at a time.
    pub(crate) fn settle(&mut self, at_us: u64, histories: &mut Histories, signals: &mut Signals) {
        let tracks = self.tracks.iter_mut().take(self.len.into());
        let split = tracks.filter_map(|track| track.payload.settle(at_us, histories, signals).then_some(()));
        split.take(SPLITS_MAX).for_each(drop);
    }

    /// Takes numbers that have shown themselves among those that are compared with each other.
    pub(crate) fn enroll(&mut self, signals: &mut Signals) {
        let tracks = self.tracks.iter_mut().take(self.len.into());
        tracks.for_each(|track| track.payload.enroll(signals));
    }

    /// Has no payload compared with the one before; what was learned stays.
    pub(crate) fn part(&mut self) {
        self.tracks.iter_mut().take(self.len.into()).for_each(|track| track.payload.part());
    }

    /// Returns the tracks that are taken.
    pub(crate) fn used(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().take(self.len.into())
    }

    pub(crate) fn get(&self, name: u16) -> Option<&Track> {
        self.tracks.get(usize::from(name))
    }

    /// Gives all tracks back.
    pub(crate) const fn clear(&mut self) {
        self.len = 0;
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, name: u16) -> Option<&mut Track> {
        if name == NONE { None } else { self.tracks.get_mut(usize::from(name)) }
    }
}
