//! Testers that ask for one service after the other.
//!
//! Who looks for what an ECU can do tries numbers in order, most of which no standard gives a name. Ordinary payloads on
//! identifiers that other vehicles use for diagnosis count, too. So either an ECU refuses what is asked, which nothing
//! else looks like, or the identifier is a tester's by law. Neither needs to know the vehicle.

use outrider_bus::can::CanId;
use outrider_bus::uds::{Nrc, ServiceId};
use outrider_types::VehicleMicros;

use super::limits;

/// Testers followed at once; whoever has asked for the fewest in order makes room.
const WALKS: usize = 4;
/// Time within which an answer belongs to a question, and a question to the one before, in microseconds: P2* of ISO
/// 14229-2.
const ANSWER_US: u64 = 5_000_000;

/// Steps in one direction: upwards positive, downwards negative.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Run(i16);

impl Run {
    /// Takes the way from one number to the next. Going back and forth between two is polling, asking again is asking
    /// again.
    pub(crate) fn step(&mut self, from: u16, to: u16) {
        self.0 = match i32::from(to).saturating_sub(from.into()) {
            0 => self.0,
            1 => self.0.max(0).saturating_add(1),
            -1 => self.0.min(0).saturating_sub(1),
            _ => 0,
        };
    }

    /// Returns the number of steps.
    pub(crate) const fn steps(self) -> u16 {
        self.0.unsigned_abs()
    }
}

/// One tester.
#[derive(Debug, Clone, Copy)]
struct Walk {
    id: CanId,
    at: VehicleMicros,
    service: u8,
    run: Run,
    /// Steps of the run that an ECU refused, and whether it has answered the latest question.
    refused: u16,
    answered: bool,
}

/// Testers of one bus.
#[derive(Debug, Clone)]
pub(super) struct Sweep {
    walks: [Option<Walk>; WALKS],
}

impl Sweep {
    pub(super) const fn new() -> Self {
        Self { walks: [None; WALKS] }
    }

    /// Takes a question for a service, with or without a name. Returns the tester and the service if it is one of a scan.
    pub(super) fn asked(
        &mut self,
        at: VehicleMicros,
        id: CanId,
        service: ServiceId,
    ) -> Option<(CanId, ServiceId)> {
        let service = service.code();
        let fresh = Walk { id, at, service, run: Run::default(), refused: 0, answered: false };
        let of_it = |walk: &&mut Walk| walk.id == id;
        if let Some(walk) = self.walks.iter_mut().flatten().find(of_it) {
            if at.micros_since(walk.at) > ANSWER_US {
                *walk = fresh;
                return None;
            }
            walk.run.step(walk.service.into(), service.into());
            (walk.at, walk.service, walk.answered) = (at, service, false);
            if walk.run.steps() == 0 {
                walk.refused = 0;
            }
            return walk.scans();
        }
        let worth = |slot: &&mut Option<Walk>| {
            let recent = slot.filter(|walk| at.micros_since(walk.at) <= ANSWER_US);
            recent.map(|walk| (walk.run.steps(), walk.at))
        };
        if let Some(slot) = self.walks.iter_mut().min_by_key(worth) {
            *slot = Some(fresh);
        }
        None
    }

    /// Takes a refusal. Returns whom it answers, if anybody asked.
    pub(super) fn refused(
        &mut self,
        at: VehicleMicros,
        id: CanId,
        service: ServiceId,
        nrc: Nrc,
    ) -> Option<Refused> {
        let is_answer = |walk: &&mut Walk| {
            walk.id != id && walk.service == service.code() && at.micros_since(walk.at) <= ANSWER_US
        };
        let walk = self.walks.iter_mut().flatten().find(is_answer)?;
        if nrc.is_unsupported() && !walk.answered {
            walk.answered = true;
            walk.refused = walk.refused.saturating_add(1);
        }
        Some(Refused { tester: walk.id, scan: walk.scans() })
    }
}

/// A refusal of what somebody asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    pub(super) tester: CanId,
    /// The tester and the service, if it is one of a scan.
    pub(super) scan: Option<(CanId, ServiceId)>,
}

impl Walk {
    fn scans(&self) -> Option<(CanId, ServiceId)> {
        let steps = self.run.steps();
        let is_refused = steps >= limits::SCAN_RUN_SERVICES && self.refused.saturating_mul(2) >= steps;
        let is_scan = is_refused || steps >= limits::SCAN_RUN_UNANSWERED && is_tester(self.id);
        is_scan.then(|| (self.id, ServiceId::from_code(self.service)))
    }
}

/// Returns whether the law gives an identifier to testers (ISO 15765-4): 0x7DF for all ECUs, 0x7E0 to 0x7E7 for one, and
/// the 29-bit ones of normal fixed addressing.
const fn is_tester(id: CanId) -> bool {
    if id.is_extended() {
        matches!(id.value() >> 16, 0x18DA | 0x18DB)
    } else {
        matches!(id.value(), 0x7DF..=0x7E7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for every service on an identifier, every 25 ms; some are refused. Returns after how many it is a scan.
    fn asked(id: u32, services: impl Iterator<Item = u8>, refused: impl Fn(u8) -> bool) -> Option<u64> {
        let (mut sweep, mut at) = (Sweep::new(), 0);
        let (tester, ecu) = (CanId::standard(id)?, CanId::standard(0x7E8)?);
        for service in services {
            at += 25_000;
            let mut scan = sweep.asked(VehicleMicros(at), tester, ServiceId::from_code(service));
            if refused(service) {
                let at = VehicleMicros(at + 3_000);
                let nrc = Nrc::ServiceNotSupported;
                let answer = sweep.refused(at, ecu, ServiceId::from_code(service), nrc);
                scan = scan.or(answer?.scan);
            }
            if scan.is_some() {
                return Some(at / 25_000);
            }
        }
        None
    }

    #[test]
    fn services_in_order_are_a_scan_if_they_are_refused_or_asked_on_an_identifier_for_testers() {
        assert_eq!(asked(0x7E1, 0..=0xFF, |_| true), Some(6));
        assert_eq!(asked(0x701, (0..=0xFF).rev(), |_| true), Some(6), "downwards, on any identifier");
        assert_eq!(asked(0x7E1, 0..=0xFF, |service| service % 2 == 0), Some(6), "half of them");
        assert_eq!(asked(0x7DF, 0..=0xFF, |_| false), Some(17), "nobody answers");
        assert_eq!(asked(0x701, 0..=0x3F, |_| false), None, "that may be a number that counts");
    }

    #[test]
    fn what_testers_do_is_no_scan() {
        let back_and_forth = (0..200).map(|n| if n % 2 == 0 { 0x3D } else { 0x3E });
        assert_eq!(asked(0x7E0, back_and_forth, |_| true), None);
        assert_eq!(asked(0x7E0, (0..200).map(|_| 0x22), |_| true), None);
        assert_eq!(asked(0x7E0, 0x34..=0x37, |_| true), None);
        // Trouble codes, pending ones and what the vehicle is, as programs for emissions ask (SAE J1979).
        assert_eq!(asked(0x7DF, [1, 1, 1, 2, 3, 7, 9, 9, 10].into_iter(), |_| false), None);
    }

    #[test]
    fn others_that_speak_in_between_do_not_hide_a_scan() {
        let mut sweep = Sweep::new();
        let mut found = false;
        for service in 0..40u8 {
            let at = u64::from(service) * 25_000;
            for other in 0..3u8 {
                let id = CanId::standard(0x650 + u32::from(other)).expect("eleven bits");
                let asked = ServiceId::from_code(service.wrapping_mul(37).wrapping_add(other));
                assert_eq!(sweep.asked(VehicleMicros(at + u64::from(other)), id, asked), None);
            }
            let (tester, at) = (CanId::standard(0x7E1).expect("eleven bits"), VehicleMicros(at + 100));
            found |= sweep.asked(at, tester, ServiceId::from_code(service)).is_some();
        }
        assert!(found);
    }
}
