//! Diagnosis over IP.

use outrider_bus::doip::{DiagnosticNackCode, HeaderView, Message, Messages, PORT};
use outrider_bus::ether::IpAddress;
use outrider_bus::uds;
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::limits;
use super::model::{Lists, SegmentModel, TesterFact};
use super::packet::{Packet, Peer, strike};
use super::streams::Framed;
use super::table::{Recent, Table};
use crate::fold::Fold;
use crate::meter::{Leak, TimedMeter};
use crate::observation::Fields;
use crate::policy::{Origin, Policy, Situation, Tester};

/// Tester of a DoIP conversation; who it is does not depend on whom it asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logical {
    tester: u16,
    target: u16,
}

impl PartialEq for Logical {
    fn eq(&self, other: &Self) -> bool {
        self.tester == other.tester
    }
}

impl Tester for Logical {
    type Subject = Peer;

    fn subject(self) -> Peer {
        Peer::Tester(self.tester)
    }

    fn fields(self) -> Fields {
        Fields::new()
            .int(field::TARGET_ADDRESS, self.target.into())
            .int(field::TESTER_ADDRESS, self.tester.into())
    }
}

/// What one address tried.
#[derive(Debug, Clone, Copy)]
struct Attempts {
    connections: TimedMeter,
    identifications: TimedMeter,
}

/// Diagnosis over IP on one segment.
#[derive(Debug, Clone)]
pub(super) struct Doip {
    testers: Table<TesterFact, { Lists::Testers.limit() }>,
    active: Recent<u16, IpAddress, 16>,
    attempts: Recent<IpAddress, Attempts, 16>,
    refused_targets: Recent<u16, TimedMeter, 16>,
    policy: Policy<Logical>,
}

impl Doip {
    pub(super) fn load(model: &SegmentModel<'_>) -> Self {
        Self {
            testers: Table::load(model),
            active: Recent::new(),
            attempts: Recent::new(),
            refused_targets: Recent::new(),
            policy: Policy::new(),
        }
    }

    pub(super) fn settle(&mut self, now: VehicleMicros, fold: &mut Fold<Peer>) {
        self.policy.settle(now, fold);
    }

    pub(super) fn finish(&mut self, fold: &mut Fold<Peer>) {
        self.policy.finish(fold);
    }

    /// Takes a packet and returns whether it was for or from the diagnostic port. What TCP carries comes to
    /// [`Self::framed`].
    pub(super) fn packet(
        &mut self,
        packet: &Packet<'_>,
        situation: Situation,
        fold: &mut Fold<Peer>,
    ) -> bool {
        let Some(ports) = packet.ports.filter(|_| packet.has_port(PORT)) else { return false };
        if !ports.is_tcp {
            for view in Messages::new(ports.payload) {
                if let Ok(message) = view.message() {
                    self.message(packet, &message, situation, fold);
                }
            }
        } else if ports.tcp.is_opening() && ports.destination == PORT {
            self.attempt(packet, |attempts| &mut attempts.connections, limits::DOIP_CONNECTIONS, fold);
        }
        true
    }

    /// Takes a message of a stream; of a long one its beginning is enough.
    pub(super) fn framed(
        &mut self,
        packet: &Packet<'_>,
        message: Framed<'_>,
        situation: Situation,
        fold: &mut Fold<Peer>,
    ) {
        let Ok(view) = HeaderView::new(message.head) else { return };
        if let Ok(message) = Message::parse(view.payload_type(), view.payload()) {
            self.message(packet, &message, situation, fold);
        }
    }

    fn attempt(
        &mut self,
        packet: &Packet<'_>,
        which: impl FnOnce(&mut Attempts) -> &mut TimedMeter,
        limit: u32,
        fold: &mut Fold<Peer>,
    ) {
        let create = || Attempts { connections: TimedMeter::EMPTY, identifications: TimedMeter::EMPTY };
        let Some(attempts) = self.attempts.entry(packet.at, packet.source, create) else { return };
        if which(attempts).add(packet.at, Leak::per_seconds(limit, limits::DOIP_WINDOW_S), limit) {
            let fields = packet.source_field().int(field::ATTEMPTS, limit.into());
            let peer = Peer::Ip(packet.source);
            strike(fold, packet.at, event::DOIP_ENTITY_FLOOD, peer, Severity::Medium, fields);
        }
    }

    fn message(
        &mut self,
        packet: &Packet<'_>,
        message: &Message<'_>,
        situation: Situation,
        fold: &mut Fold<Peer>,
    ) {
        match *message {
            Message::IdentificationRequest
            | Message::IdentificationRequestEid(_)
            | Message::IdentificationRequestVin(_) => {
                let limit = limits::DOIP_IDENTIFICATIONS;
                self.attempt(packet, |attempts| &mut attempts.identifications, limit, fold);
            }
            Message::ActivationRequest { tester, .. } => self.tester(packet, tester, fold),
            Message::ActivationResponse { tester, code, .. } if code.is_refused() => {
                let fields = Fields::new()
                    .int(field::TESTER_ADDRESS, tester.into())
                    .with(field::SOURCE_IP, crate::FieldValue::Ip(packet.destination))
                    .text(field::REASON, "routing_activation");
                let what = event::DOIP_ROUTING_ACTIVATION_DENIED;
                strike(fold, packet.at, what, Peer::Tester(tester), Severity::Medium, fields);
            }
            Message::Diagnostic { source, target, data } => {
                let Ok(said) = uds::Message::parse(data) else { return };
                let (tester, target) = match said {
                    uds::Message::Request(_) => {
                        self.tester(packet, source, fold);
                        (source, target)
                    }
                    uds::Message::Positive(_) | uds::Message::Negative { .. } => (target, source),
                };
                let origin = Origin::Tester(Logical { tester, target });
                self.policy.receive(packet.at, origin, &said, situation, fold);
            }
            Message::DiagnosticNack { target: tester, code: DiagnosticNackCode::UnknownTarget, .. } => {
                self.refused_target(packet, tester, fold);
            }
            Message::HeaderNack(_)
            | Message::Announcement(_)
            | Message::ActivationResponse { .. }
            | Message::AliveCheckRequest
            | Message::AliveCheckResponse(_)
            | Message::EntityStatusRequest
            | Message::EntityStatusResponse(_)
            | Message::PowerModeRequest
            | Message::PowerModeResponse(_)
            | Message::DiagnosticAck { .. }
            | Message::DiagnosticNack { .. }
            | Message::Unknown { .. } => {}
        }
    }

    /// Takes a sign of life of a tester: it must be a known one, and its address must not be another's.
    fn tester(&mut self, packet: &Packet<'_>, address: u16, fold: &mut Fold<Peer>) {
        let holder = self.active.find(address);
        let is_taken = holder.is_some_and(|(ip, then)| {
            ip != packet.source && packet.at.micros_since(then) < limits::TESTER_HOLD_US
        });
        self.active.put(packet.at, address, packet.source);
        let is_known = self.testers.has(&TesterFact { address, ip: packet.source });
        if is_known && !is_taken {
            return;
        }
        // Where no tester is known at all, a workshop is as likely as an intruder.
        let severity = if self.testers.is_empty() && !is_taken { Severity::Medium } else { Severity::High };
        let fields = packet
            .source_field()
            .int(field::TESTER_ADDRESS, address.into())
            .text(field::DETECTOR, if is_taken { "address_taken" } else { "allow_list" });
        strike(fold, packet.at, event::DOIP_UNKNOWN_TESTER, Peer::Tester(address), severity, fields);
    }

    fn refused_target(&mut self, packet: &Packet<'_>, tester: u16, fold: &mut Fold<Peer>) {
        let limit = limits::DOIP_REFUSED_TARGETS;
        let Some(meter) = self.refused_targets.entry(packet.at, tester, || TimedMeter::EMPTY) else { return };
        if meter.add(packet.at, Leak::per_seconds(limit, limits::DOIP_WINDOW_S), limit) {
            let fields = Fields::new()
                .int(field::TESTER_ADDRESS, tester.into())
                .text(field::DETECTOR, "unknown_targets")
                .int(field::ATTEMPTS, limit.into());
            strike(fold, packet.at, event::DIAG_SERVICE_SCAN, Peer::Tester(tester), Severity::Medium, fields);
        }
    }
}
