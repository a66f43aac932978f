//! Captures that carry their own attacks.

use outrider_bus::can::TimedFrame;

use super::labels::{FrameTruth, Truths};
use super::probe::Probe;
use super::{
    Bench, CaptureRow, Event, FrameCount, Hit, LearnError, Score, TOLERANCE_US, count_alarms, firsts, garage,
    highest,
};

/// Shortest clean beginning from which an unknown vehicle is learned, in microseconds.
const BEGINNING_US_MIN: u64 = 1_000_000;
/// Room between the clean beginning and the first attack, in microseconds: labels are rounded.
const ROOM_US: u64 = 100_000;

/// Why a labelled capture cannot be judged.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LabelledError {
    /// The vehicle is unknown and the attack begins too early to learn it.
    #[error(
        "vehicle is unknown and the capture has only {clean_ms} ms before its first attack to learn from"
    )]
    NoBeginning {
        /// Clean time before the first attack.
        clean_ms: u64,
    },
    /// The beginning offers nothing to learn.
    #[error("beginning cannot be learned")]
    Learn(#[source] LearnError),
}

impl Bench {
    /// Judges a capture with labelled attacks: what lies outside of them gives false alarms.
    ///
    /// # Errors
    /// [`LabelledError`]: an unknown vehicle without a clean beginning.
    pub fn labelled(
        &mut self,
        name: &str,
        frames: &[TimedFrame],
        truths: &Truths,
    ) -> Result<(), LabelledError> {
        let found = self.garage.find(&garage::identifiers(frames));
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
            return Err(LabelledError::Learn(LearnError::NoFrames));
        };
        let span_us = last.at.micros_since(first.at);
        let wanted = self.warm_up_us(found, span_us);
        let attack = truths.events.first().map_or(u64::MAX, |event| event.start_us);
        let clean_us = attack.saturating_sub(first.at.0).saturating_sub(ROOM_US);
        let warm_up_us = wanted.min(clean_us);
        if found.vehicle.is_none() && warm_up_us < BEGINNING_US_MIN {
            return Err(LabelledError::NoBeginning { clean_ms: clean_us / 1000 });
        }
        let begin = frames.partition_point(|timed| timed.at.micros_since(first.at) < warm_up_us);
        let edge = self.garage.detectors(found);
        let mut row = CaptureRow::new(name, frames, found, warm_up_us);
        row.labelled = Some(truths.events.len() as u64);
        let capture = self.outcome.captures.len();
        let mut events: Vec<Event> = truths
            .events
            .iter()
            .map(|event| Event {
                class: event.class.clone(),
                is_known: found.vehicle.is_some(),
                capture,
                hits: Vec::new(),
                frames: FrameCount::default(),
            })
            .collect();
        let mut probe = Probe::new(edge);
        for (index, (timed, truth)) in frames.iter().zip(&truths.frames).enumerate() {
            if index == begin {
                row.warm_up_alarms = count_alarms(probe.alarms());
                probe.forget();
            }
            let flagged = probe.receive(timed);
            if index < begin || timed.frame.id().is_none() || *truth == FrameTruth::Unknown {
                continue;
            }
            let mut is_near = false;
            for (event, counted) in truths.events.iter().zip(&mut events) {
                if (event.start_us..=event.end_us.saturating_add(TOLERANCE_US)).contains(&timed.at.0) {
                    is_near = true;
                    counted.frames.add(*truth == FrameTruth::Attack, flagged);
                }
            }
            if !is_near {
                row.clean.frames.add(false, flagged);
            }
        }
        settle(truths, &probe, &mut row, &mut events);
        self.outcome.events.extend(events);
        self.outcome.captures.push(row);
        Ok(())
    }
}

/// Gives each alarm to the attacks during which it opened, or to nobody.
pub(super) fn settle(truths: &Truths, probe: &Probe, row: &mut CaptureRow, events: &mut [Event]) {
    let mut stray = Vec::new();
    for alarm in probe.alarms() {
        let mut is_credited = false;
        for (event, counted) in truths.events.iter().zip(&mut *events) {
            if (event.start_us..=event.end_us.saturating_add(TOLERANCE_US)).contains(&alarm.at.0) {
                is_credited = true;
                counted.hits.push(Hit {
                    score: alarm.score,
                    delay_us: alarm.at.0.saturating_sub(event.start_us),
                    located: alarm.can_id.is_some_and(|id| event.ids.is_empty() || event.ids.contains(&id)),
                });
            }
        }
        if !is_credited {
            stray.push(*alarm);
        }
    }
    row.clean.alarms = highest(&stray);
    row.false_alarms = firsts(&stray).into_iter().filter(|alarm| alarm.score >= Score::ALARM).collect();
    row.clean.clean_us = row.span_us.saturating_sub(row.warm_up_us).saturating_sub(attacked_us(truths));
    row.clean.alarmed_us = probe.alarmed_us().min(row.clean.clean_us);
    row.operate(probe);
}

/// Time covered by attacks and the time after in which they may still be found, overlaps once, in microseconds.
fn attacked_us(truths: &Truths) -> u64 {
    let (mut total, mut covered) = (0u64, 0u64);
    for event in &truths.events {
        let (start, end) = (event.start_us.max(covered), event.end_us.saturating_add(TOLERANCE_US));
        total = total.saturating_add(end.saturating_sub(start));
        covered = covered.max(end);
    }
    total
}
