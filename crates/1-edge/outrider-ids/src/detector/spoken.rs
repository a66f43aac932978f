//! Single frames that break the rules of their identifier.

use outrider_bus::can::{CanId, Frame};
use outrider_types::{BusId, Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::limits;
use crate::fold::{Fold, Strike};
use crate::judgement::{Detector, Judgement};
use crate::observation::Fields;
use crate::payload::Finding;

pub(super) fn remote(at: VehicleMicros, id: CanId, fold: &mut Fold) {
    let fields = Fields::new().int(field::CAN_ID, id.value().into());
    let strike =
        Strike { event_type: event::CAN_REMOTE_FRAME, can_id: Some(id), severity: Severity::Low, fields };
    fold.strike(at, strike);
}

/// Names of bus segments: buses have numbers up to [`BUSES_MAX`](crate::model::BUSES_MAX) in models.
const SEGMENTS: [&str; 16] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"];

/// Strikes for an identifier of another bus: a single frame may be one that training missed.
pub(super) fn segment(at: VehicleMicros, id: CanId, seen: BusId, home: BusId, fold: &mut Fold) {
    let event_type = event::CAN_SEGMENT_VIOLATION;
    let repeated = fold.count(event_type, Some(id)).saturating_add(1) >= limits::SEGMENT_FRAMES;
    let name = |bus: BusId| SEGMENTS.get(usize::from(bus.0)).copied().unwrap_or("16 or more");
    let fields = Fields::new()
        .text(field::DETECTOR, Detector::Segment.word())
        .int(field::CAN_ID, id.value().into())
        .text(field::BUS_SEGMENT, name(seen))
        .text(field::BUS_SEGMENT_EXPECTED, name(home));
    let severity = if repeated { Severity::High } else { Severity::Low };
    fold.strike(at, Strike { event_type, can_id: Some(id), severity, fields });
}

/// What is said of a payload, and how long it waits for others that do the same.
pub(super) fn payload(id: CanId, finding: &Finding) -> (Strike, u64) {
    let (event_type, wait_us) = match finding.detector {
        Detector::Counter => (event::CAN_COUNTER_JUMP, limits::WAIT_LAW_US),
        Detector::Checksum => (event::CAN_CHECKSUM_MISMATCH, limits::WAIT_LAW_US),
        Detector::Stuck => (event::CAN_MASQUERADE, limits::WAIT_CALM_US),
        Detector::Masquerade | Detector::Playback => (event::CAN_MASQUERADE, limits::WAIT_JUMP_US),
        Detector::Payload
        | Detector::UnknownId
        | Detector::Length
        | Detector::Timing
        | Detector::Flood
        | Detector::Segment => (event::CAN_PAYLOAD_ANOMALY, limits::WAIT_JUMP_US),
    };
    let fields =
        Fields::new().text(field::DETECTOR, finding.detector.word()).int(field::CAN_ID, id.value().into());
    let fields = match finding.detector {
        Detector::Counter => fields
            .int(field::COUNTER_EXPECTED, finding.expected)
            .int(field::COUNTER_OBSERVED, finding.observed),
        Detector::Checksum => {
            fields.int(field::CRC_EXPECTED, finding.expected).int(field::CRC_OBSERVED, finding.observed)
        }
        Detector::Payload
        | Detector::Stuck
        | Detector::Playback
        | Detector::Masquerade
        | Detector::UnknownId
        | Detector::Length
        | Detector::Timing
        | Detector::Flood
        | Detector::Segment => fields
            .int(field::FIELD_BIT, finding.bit.into())
            .int(field::FIELD_BITS, finding.bits.into())
            .int(field::EXPECTED_VALUE, finding.expected)
            .int(field::OBSERVED_VALUE, finding.observed),
    };
    // A checksum holds or not; a habit is worth what its p-value says. A counter was learned on the road within seconds
    // and has no rate of false alarms that anybody vouches for: it is a hint.
    let sure = finding.surprise.map_or(finding.detector == Detector::Checksum, |_| finding.flagged);
    let severity = if sure { Severity::Medium } else { Severity::Low };
    let fields = match finding.surprise {
        Some(surprise) => fields.int(field::P_VALUE_PPB, surprise.p_value_ppb()),
        None => fields,
    };
    (Strike { event_type, can_id: Some(id), severity, fields }, wait_us)
}

/// Strikes for a frame of a wrong length or kind: low at first, medium when it repeats and training is sure.
pub(super) fn wrong_dlc(
    at: VehicleMicros,
    id: CanId,
    mask: u16,
    frame: &Frame,
    sure: bool,
    fold: &mut Fold,
) -> Judgement {
    let repeated = fold.count(event::CAN_WRONG_DLC, Some(id)).saturating_add(1) >= limits::DLC_FRAMES;
    let severity = if repeated && sure { Severity::Medium } else { Severity::Low };
    let fields = Fields::new()
        .text(field::DETECTOR, "dlc")
        .int(field::CAN_ID, id.value().into())
        .int(field::DLC_EXPECTED, mask.trailing_zeros().into())
        .int(field::DLC_OBSERVED, frame.dlc().code().into());
    fold.strike(at, Strike { event_type: event::CAN_WRONG_DLC, can_id: Some(id), severity, fields });
    if severity > Severity::Low { Judgement::by(Detector::Length) } else { Judgement::ORDINARY }
}
