//! Captures of LIN and FlexRay, judged by their labels or as clean traffic.
//!
//! Detectors learn each bus from the beginning of its own capture, as on a road without a model, or judge by the
//! sections of a model that is given. Attacks are not put in here: `inject` writes attacked captures with labels.

use outrider_bus::can::{CanId, Frame, TimedFrame};
use outrider_types::BusId;

use super::labelled::settle;
use super::labels::{FrameTruth, Truths};
use super::probe::{Probe, Watched};
use super::{Bench, CaptureRow, Event, FrameCount, TOLERANCE_US, count_alarms, garage};
use crate::io::capture::Record;
use crate::scheduled::ScheduledEdge;

/// Longest beginning of a capture that is not judged, in microseconds: the detectors learn in it.
const WARM_UP_US_MAX: u64 = 25_000_000;
/// Part of a capture that is its beginning if it is short.
const WARM_UP_PART: u64 = 3;
/// Room between the beginning and the first attack, in microseconds: labels are rounded.
const ROOM_US: u64 = 100_000;

/// Returns one stand-in for each record, so that labels of frames are found by time and place as for CAN.
#[must_use]
pub fn stand_ins(records: &[Record]) -> Vec<TimedFrame> {
    let blank = CanId::standard(0).and_then(|id| Frame::classic(id, &[]).ok());
    let stand_in = |record: &Record| blank.map(|frame| TimedFrame { at: record.at(), bus: BusId(0), frame });
    records.iter().filter_map(stand_in).collect()
}

impl Bench {
    /// Judges what was heard on LIN and FlexRay: what lies outside of labelled attacks gives false alarms.
    pub fn scheduled(&mut self, name: &str, records: &[Record], edge: ScheduledEdge, truths: &Truths) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        let span_us = last.at().micros_since(first.at());
        let attack = truths.events.first().map_or(u64::MAX, |event| event.start_us);
        let clean_us = attack.saturating_sub(first.at().0).saturating_sub(ROOM_US);
        let warm_up_us = (span_us / WARM_UP_PART).min(WARM_UP_US_MAX).min(clean_us);
        let mut row = CaptureRow::new(name, &stand_ins(records), garage::Match::NONE, warm_up_us);
        row.labelled = Some(truths.events.len() as u64);
        let capture = self.outcome.captures.len();
        let mut events: Vec<Event> = truths
            .events
            .iter()
            .map(|event| Event {
                class: event.class.clone(),
                is_known: false,
                capture,
                hits: Vec::new(),
                frames: FrameCount::default(),
            })
            .collect();
        let mut probe = Probe::of(Watched::Scheduled(Box::new(edge)));
        let mut is_begun = false;
        for (index, record) in records.iter().enumerate() {
            let is_judged = record.at().micros_since(first.at()) >= warm_up_us;
            if is_judged && !is_begun {
                is_begun = true;
                row.warm_up_alarms = count_alarms(probe.alarms());
                probe.forget();
            }
            let flagged = probe.record(record);
            // What no label names as the attacker's inside of an attack may be what it did to others.
            let truth = truths.frames.get(index).copied().unwrap_or(FrameTruth::Clean);
            if !is_judged || truth == FrameTruth::Unknown {
                continue;
            }
            let mut is_near = false;
            for (event, counted) in truths.events.iter().zip(&mut events) {
                if (event.start_us..=event.end_us.saturating_add(TOLERANCE_US)).contains(&record.at().0) {
                    is_near = true;
                    counted.frames.add(truth == FrameTruth::Attack, flagged);
                }
            }
            if !is_near {
                row.clean.frames.add(false, flagged);
            }
        }
        settle(truths, &probe, &mut row, &mut events);
        self.outcome.events.extend(events);
        self.outcome.captures.push(row);
    }
}
