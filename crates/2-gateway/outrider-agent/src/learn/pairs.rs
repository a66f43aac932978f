//! Which identifiers answer which in diagnostic conversations.

use std::collections::BTreeMap;

use outrider_bus::can::{CanId, TimedFrame};
use outrider_bus::isotp::{Addressing, IsoTpEvent, Reassembler};
use outrider_bus::uds::{Message, ServiceId};
use outrider_ids::model::DiagPair;

/// Longest time from a request to its answer, in microseconds (P2* of ISO 14229-2).
const ANSWER_US: u64 = 5_000_000;
/// Answers that make a pair; one can be chance.
const ANSWERS_MIN: u32 = 2;

/// Watches one bus for requests and answers.
#[derive(Debug, Default)]
pub(super) struct PairFinder {
    reassembler: Option<Box<Reassembler<8, 256>>>,
    /// Latest request of each service: when and from where.
    asked: BTreeMap<ServiceId, (u64, CanId)>,
    answers: BTreeMap<(CanId, CanId), u32>,
}

impl PairFinder {
    pub(super) fn add(&mut self, timed: &TimedFrame) {
        let Some(id) = timed.frame.id() else { return };
        let conventional =
            if id.is_extended() { matches!(id.value() >> 16, 0x18DA | 0x18DB) } else { id.value() >= 0x600 };
        if !conventional {
            return;
        }
        let reassembler = self.reassembler.get_or_insert_with(Box::default);
        let event = reassembler.receive(timed.at, timed.bus, &timed.frame, Addressing::Normal);
        let IsoTpEvent::Pdu(pdu) = event else { return };
        match Message::parse(pdu.payload) {
            Ok(Message::Request(request)) if !matches!(request.service, ServiceId::Unknown(_)) => {
                self.asked.insert(request.service, (timed.at.0, id));
            }
            Ok(Message::Request(_)) | Err(_) => {}
            Ok(message @ (Message::Positive(_) | Message::Negative { .. })) => {
                let asked = self.asked.get(&message.service()).copied();
                if let Some((at, from)) = asked
                    && from != id
                    && timed.at.0.saturating_sub(at) <= ANSWER_US
                {
                    *self.answers.entry((from, id)).or_default() += 1;
                }
            }
        }
    }

    pub(super) fn end_capture(&mut self) {
        self.reassembler = None;
        self.asked.clear();
    }

    pub(super) fn pairs(&self) -> Vec<DiagPair> {
        let often = self.answers.iter().filter(|(_, count)| **count >= ANSWERS_MIN);
        often.map(|(&(request, response), _)| DiagPair { request, response }).collect()
    }
}
