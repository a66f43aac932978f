//! Whether traffic keeps the protection that a description states.

use std::collections::BTreeMap;

use outrider_bus::can::{CanId, FrameKind, TimedFrame};
use outrider_bus::e2e::counter_gap;
use outrider_ids::model::protection::{self, Guard, PROTECTED_MAX, ProtectedFrame};
use outrider_types::BusId;

/// Frames after which traffic contradicts a description.
const FRAMES_MIN: u64 = 20;
/// Share of frames that may fail without contradicting it, in percent (guess): start-up values of ECUs.
const FAULTS_PERCENT: u64 = 1;

/// What the frames of one identifier on one bus said.
#[derive(Debug, Clone, Copy, Default)]
struct Evidence {
    frames: u64,
    faults: u64,
    /// Frames whose counter stood.
    repeats: u64,
    /// Frames whose counter went on further than allowed, or back.
    jumps: u64,
    last: Option<u64>,
}

/// Protections of descriptions and what traffic says of them.
#[derive(Debug, Default)]
pub(super) struct Protections {
    stated: BTreeMap<CanId, ProtectedFrame>,
    seen: BTreeMap<(BusId, CanId), Evidence>,
}

/// What becomes of the protections of one bus.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Section of the model; empty without protections.
    pub(super) section: Vec<u8>,
    pub(super) count: u32,
    /// What was left out, with the reason.
    pub(super) problems: Vec<String>,
}

impl Protections {
    /// Adds what a description states; the first description to name an identifier counts.
    pub(super) fn state(&mut self, frames: &[ProtectedFrame]) {
        for frame in frames {
            self.stated.entry(frame.id).or_insert(*frame);
        }
    }

    /// Holds a frame against what is stated.
    pub(super) fn add(&mut self, timed: &TimedFrame) {
        let Some(id) = timed.frame.id() else { return };
        let Some(stated) = self.stated.get(&id) else { return };
        if timed.frame.kind() == FrameKind::Remote {
            return;
        }
        let evidence = self.seen.entry((timed.bus, id)).or_default();
        evidence.frames += 1;
        match stated.part(timed.frame.data()) {
            Some(part) => evidence.add(stated, part),
            None => evidence.faults += 1,
        }
    }

    /// Counters begin anew with the next capture.
    pub(super) fn end_capture(&mut self) {
        self.seen.values_mut().for_each(|evidence| evidence.last = None);
    }

    /// Returns the section of a bus whose identifiers are `known`.
    pub(super) fn of(&self, bus: BusId, known: impl Fn(CanId) -> bool) -> Kept {
        let mut kept = Kept::default();
        let mut frames = Vec::new();
        for (&id, stated) in self.stated.iter().filter(|(id, _)| known(**id)) {
            let seen = self.seen.get(&(bus, id)).copied().unwrap_or_default();
            let contradicted = seen.faults * 100 > seen.frames * FAULTS_PERCENT;
            if contradicted {
                let (faults, frames) = (seen.faults, seen.frames);
                kept.problems.push(format!(
                    "protection of {:#x} is left out: {faults} of {frames} frames break it",
                    id.value()
                ));
                continue;
            }
            let counts = seen.jumps * 100 <= seen.frames * FAULTS_PERCENT;
            if !counts {
                let (jumps, frames) = (seen.jumps, seen.frames);
                kept.problems.push(format!(
                    "counter of {:#x} is not judged: it jumps in {jumps} of {frames} frames",
                    id.value()
                ));
            }
            // Freshness may be a time that steps as it likes: only traffic shows that it counts.
            let counts = counts && (matches!(stated.guard, Guard::E2e(_)) || seen.frames >= FRAMES_MIN);
            let frame =
                ProtectedFrame { counts, repeats: seen.repeats > 0, faults: seen.faults > 0, ..*stated };
            frames.push((seen.frames == 0, frame));
        }
        if frames.len() > PROTECTED_MAX {
            let more = frames.len() - PROTECTED_MAX;
            kept.problems.push(format!("{more} protected frames more than the {PROTECTED_MAX} that fit"));
            // Those that were seen go first.
            frames.sort_by_key(|(is_unseen, frame)| (*is_unseen, frame.id));
            frames.truncate(PROTECTED_MAX);
        }
        frames.sort_by_key(|(_, frame)| frame.id);
        if let Some(head) = protection::head(frames.len()).filter(|_| !frames.is_empty()) {
            kept.section.extend_from_slice(&head);
            frames.iter().for_each(|(_, frame)| kept.section.extend_from_slice(&frame.record()));
        }
        kept.count = u32::try_from(frames.len()).unwrap_or(u32::MAX);
        kept
    }
}

impl Evidence {
    fn add(&mut self, stated: &ProtectedFrame, part: &[u8]) {
        match stated.guard {
            Guard::E2e(protection) => match protection.check(part) {
                Err(_) => self.faults += 1,
                Ok(counter) => {
                    let last = self.last.replace(counter.into()).and_then(|last| u16::try_from(last).ok());
                    let step = last.map(|last| counter_gap(last, counter, protection.counter_values()));
                    self.repeats += u64::from(step == Some(0));
                    self.jumps += u64::from(step.is_some_and(|step| step > u32::from(stated.step_max)));
                }
            },
            Guard::Secured(layout) => match layout.view(part) {
                None => self.faults += 1,
                Some(pdu) => {
                    let values = 1u128 << layout.freshness_bits();
                    let last = self.last.replace(pdu.freshness);
                    let step =
                        last.map(|last| (u128::from(pdu.freshness) + values - u128::from(last)) % values);
                    self.repeats += u64::from(step == Some(0));
                    self.jumps += u64::from(step.is_some_and(|step| step > values / 2));
                }
            },
        }
    }
}
