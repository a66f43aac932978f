//! The closing account of boots of which the spool holds no rows any more, many in one signed statement.
//!
//! A vehicle that restarts every few seconds begins thousands of boots, and each of them has counters. As long as there is
//! room each keeps its own entry here, exact to the last observation. When there is none, the oldest statements of a lane
//! become one that has only their sums, and names its boots in runs: still exact over all of these boots, no longer for
//! each. Nothing is forgotten before the cloud has it.

use outrider_types::{BootEpoch, EventTypeId, Lane, Severity};
use outrider_wire::limits::{LOST_BOOTS_KINDS_MAX, LOST_BOOTS_LISTED_MAX};
use outrider_wire::{
    BootCounts, BootRun, DropReason, LostBoot, LostBootsView, LostRows, SIGN_LOST_BOOTS, SIGNATURE_BYTES,
    Signer, Verifier,
};

use super::lane::LaneState;
use super::record::Cursor;
use super::recovery::unnumbered;
use super::tombstone::Lost;

/// What became of boots of one lane whose rows are acknowledged or given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostBoots {
    /// Lane.
    pub lane: Lane,
    /// First boot that it is about.
    pub first: BootEpoch,
    /// Last boot that it is about.
    pub last: BootEpoch,
    /// Boots that it is about: those listed, or some of those in runs.
    pub boots: u64,
    /// Sums over them.
    pub sum: BootCounts,
    /// Rows given up, by type and severity; at most eight and one.
    pub lost: Vec<Lost>,
    /// The boots that the sums are of, ascending and apart; empty as long as each boot is listed.
    pub runs: Vec<BootRun>,
    /// Each boot, ascending; empty if only the sums are known any more.
    pub each: Vec<LostBoot>,
    /// The device key's signature; zeros if it could not sign.
    pub signature: [u8; SIGNATURE_BYTES],
}

/// Returns what is left to say of a lane in a boot that ends: numbers and observations counted, and what of it the cloud
/// was not told to be lost.
pub(super) fn counts(state: &LaneState) -> BootCounts {
    let evicted: u64 = state.tombstones.iter().map(super::Tombstone::rows).sum();
    let lost = state.tombstones.iter().flat_map(|tombstone| &tombstone.lost);
    let gaps = state.gaps.iter().filter(|gap| gap.reason != Some(DropReason::Evicted));
    BootCounts {
        numbers: state.last_seq,
        received: state.received,
        refused: unnumbered(&state.drops),
        evicted,
        observations: lost.map(|lost| lost.observations).sum(),
        corrupt: gaps.map(|gap| gap.range.count()).sum(),
    }
}

impl LostBoots {
    /// Begins a statement about one boot; false is what does not fit the same one.
    pub(super) fn of(lane: Lane, epoch: BootEpoch, state: &LaneState) -> Self {
        let counts = counts(state);
        let mut this = Self {
            lane,
            first: epoch,
            last: epoch,
            boots: 1,
            sum: counts,
            lost: Vec::new(),
            runs: Vec::new(),
            each: vec![LostBoot { epoch, counts }],
            signature: [0; SIGNATURE_BYTES],
        };
        for lost in state.tombstones.iter().flat_map(|tombstone| &tombstone.lost) {
            this.count(*lost);
        }
        this
    }

    fn count(&mut self, lost: Lost) {
        let key = |lost: &Lost| (lost.event_type, lost.severity.map_or(0, Severity::code));
        match self.lost.binary_search_by_key(&key(&lost), key) {
            Ok(at) => {
                if let Some(slot) = self.lost.get_mut(at) {
                    slot.rows = slot.rows.saturating_add(lost.rows);
                    slot.observations = slot.observations.saturating_add(lost.observations);
                }
            }
            Err(at) if self.lost.len() < LOST_BOOTS_KINDS_MAX || key(&lost) == (EventTypeId(0), 0) => {
                self.lost.insert(at, lost);
            }
            Err(_) => self.count(Lost { event_type: EventTypeId(0), severity: None, ..lost }),
        }
    }

    fn add(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.boots = self.boots.saturating_add(other.boots);
        self.sum.add(&other.sum);
        for lost in &other.lost {
            self.count(*lost);
        }
    }

    /// Takes in a statement of the same lane, boot by boot; false if that would list too many, or not fit `room` bytes.
    pub(super) fn join(&mut self, other: &Self, room: usize) -> bool {
        let is_listed = !self.each.is_empty() && !other.each.is_empty();
        if self.lane != other.lane || !is_listed || self.each.len() + other.each.len() > LOST_BOOTS_LISTED_MAX
        {
            return false;
        }
        let mut joined = self.clone();
        joined.add(other);
        joined.each.extend(&other.each);
        joined.each.sort_unstable_by_key(|one| one.epoch);
        if joined.emit().len() > room {
            return false;
        }
        *self = joined;
        true
    }

    /// Takes in another statement of the same lane and keeps the sums and the names of the boots; false if that would not
    /// fit `room` bytes. Boots between two runs are named with them if that saves room and `is_told` says of all of them
    /// that the spool holds nothing of them and has nothing to tell.
    pub(super) fn merge(&mut self, other: &Self, room: usize, is_told: impl Fn(BootRun) -> bool) -> bool {
        let mut merged = self.clone();
        merged.add(other);
        merged.each.clear();
        merged.runs = joined(self.named().into_iter().chain(other.named()).collect(), |_| false);
        if merged.emit().len() > room {
            merged.runs = joined(merged.runs, is_told);
        }
        let fits = merged.emit().len() <= room;
        if fits {
            *self = merged;
        }
        fits
    }

    /// Returns the boots that it is about as runs.
    pub(super) fn named(&self) -> Vec<BootRun> {
        let each = self.each.iter().map(|one| BootRun { first: one.epoch, last: one.epoch });
        self.runs.iter().copied().chain(each).collect()
    }

    /// Returns whether it lists a boot.
    #[must_use]
    pub fn lists(&self, epoch: BootEpoch) -> bool {
        self.each.binary_search_by_key(&epoch, |one| one.epoch).is_ok()
    }

    /// Returns the text that the device key signs; the layout is in `outrider-wire/src/lost_boots.rs`.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let mut out = vec![self.lane.code()];
        let span = self.last.0.saturating_sub(self.first.0);
        for number in [self.first.0, span, self.boots].into_iter().chain(self.sum.numbers()) {
            put_varint(&mut out, number);
        }
        out.push(u8::try_from(self.lost.len()).unwrap_or(u8::MAX));
        for lost in &self.lost {
            out.extend(lost.event_type.0.to_le_bytes());
            out.push(lost.severity.map_or(0, Severity::code));
            put_varint(&mut out, lost.rows);
            put_varint(&mut out, lost.observations);
        }
        put_varint(&mut out, self.runs.len() as u64);
        let mut behind = self.first.0;
        for run in &self.runs {
            put_varint(&mut out, run.first.0.saturating_sub(behind));
            put_varint(&mut out, run.last.0.saturating_sub(run.first.0).saturating_add(1));
            behind = run.last.0.saturating_add(1);
        }
        let mut before = self.first.0;
        for one in &self.each {
            put_varint(&mut out, one.epoch.0.saturating_sub(before));
            before = one.epoch.0;
            one.counts.numbers().into_iter().for_each(|number| put_varint(&mut out, number));
        }
        out
    }

    fn signed_bytes(&self) -> Vec<u8> {
        [SIGN_LOST_BOOTS, &self.text()].concat()
    }

    /// Signs it as it is now; false if the key store refused, which leaves zeros.
    pub(super) fn sign(&mut self, signer: &dyn Signer) -> bool {
        let signed = signer.sign(&self.signed_bytes());
        self.signature = signed.unwrap_or([0; SIGNATURE_BYTES]);
        signed.is_ok()
    }

    /// Returns whether the device key signed this.
    #[must_use]
    pub fn is_signed(&self, verifier: &dyn Verifier) -> bool {
        verifier.verify(&self.signed_bytes(), &self.signature)
    }

    pub(super) fn emit(&self) -> Vec<u8> {
        let mut out = self.signature.to_vec();
        out.extend(self.text());
        out
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (signature, text) = text.split_first_chunk::<SIGNATURE_BYTES>()?;
        let view = LostBootsView::parse(text, *signature)?;
        let lost = view.lost().map(|lost| {
            let LostRows { event_type, severity, rows, observations } = lost;
            Lost { event_type, severity, rows, observations }
        });
        Some(Self {
            lane: view.lane,
            first: view.first,
            last: view.last,
            boots: view.boots,
            sum: view.sum,
            lost: lost.collect(),
            runs: view.runs().collect(),
            each: view.each().collect(),
            signature: view.signature,
        })
    }
}

/// Joins runs that touch, and those with nothing between them that `may_bridge` does not allow.
pub(super) fn joined(mut runs: Vec<BootRun>, may_bridge: impl Fn(BootRun) -> bool) -> Vec<BootRun> {
    runs.sort_unstable();
    let mut joined: Vec<BootRun> = Vec::with_capacity(runs.len());
    for run in runs {
        if let Some(before) = joined.last_mut() {
            let first = BootEpoch(before.last.0.saturating_add(1));
            let between = BootRun { first, last: BootEpoch(run.first.0.saturating_sub(1)) };
            if run.first <= first || may_bridge(between) {
                before.last = before.last.max(run.last);
                continue;
            }
        }
        joined.push(run);
    }
    joined
}

/// Writes a number in as few bytes as it takes, seven bits each, lowest first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7F {
        out.push(u8::try_from(number & 0x7F).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
}

/// Reads what [`put_varint`] wrote; a longer form of the same number is refused.
pub(super) fn varint(cursor: &mut Cursor<'_>) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..).step_by(7) {
        let byte = cursor.u8()?;
        let bits = u64::from(byte & 0x7F);
        let shifted = bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits && shift < 64)?;
        number |= shifted;
        if byte & 0x80 == 0 {
            return (byte != 0 || shift == 0).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(of: &[(u64, u64)]) -> Vec<BootRun> {
        of.iter().map(|(first, last)| BootRun { first: BootEpoch(*first), last: BootEpoch(*last) }).collect()
    }

    /// A statement about every second boot, so that nothing touches.
    fn scattered(first: u64, boots: u64) -> LostBoots {
        let state = LaneState { last_seq: 3, received: 3, ..LaneState::default() };
        let one = |boot| LostBoots::of(Lane::Batched, BootEpoch(first + 2 * boot), &state);
        let mut lost = one(0);
        (1..boots).for_each(|boot| assert!(lost.merge(&one(boot), usize::MAX, |_| false)));
        lost
    }

    #[test]
    fn runs_are_joined_where_they_touch_and_where_nothing_is_held_between() {
        let apart = runs(&[(9, 9), (1, 3), (4, 5), (20, 30)]);
        assert_eq!(joined(apart.clone(), |_| false), runs(&[(1, 5), (9, 9), (20, 30)]));
        assert_eq!(joined(apart, |between| !between.contains(BootEpoch(15))), runs(&[(1, 9), (20, 30)]));
    }

    #[test]
    fn a_sum_names_its_boots_and_takes_others_in_only_for_room() {
        let (one, two) = (scattered(1, 300), scattered(601, 300));
        let mut sum = one.clone();
        assert!(sum.merge(&two, 2000, |_| true));
        assert_eq!((sum.boots, sum.sum.numbers, sum.runs.len()), (600, 1800, 600), "there is room for all");
        let mut sum = one.clone();
        let held = BootEpoch(700);
        assert!(sum.merge(&two, 1000, |between| !between.contains(held)));
        assert_eq!(sum.runs, runs(&[(1, 699), (701, 1199)]), "a boot that is held is in none");
        let view = LostBoots::parse(&sum.emit());
        assert_eq!((view, sum.boots), (Some(sum), 600));
        let mut sum = one.clone();
        assert!(!sum.merge(&two, 1000, |_| false));
        assert_eq!(sum, one, "what does not fit stays as it was");
    }

    #[test]
    fn a_number_has_one_form() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            let mut cursor = Cursor(&out);
            assert_eq!((varint(&mut cursor), cursor.0.len()), (Some(number), 0));
        }
        for longer in [&[0x80, 0][..], &[0xFF; 10], &[0x80; 11], &[0x81]] {
            assert_eq!(varint(&mut Cursor(longer)), None, "{longer:?}");
        }
    }
}
