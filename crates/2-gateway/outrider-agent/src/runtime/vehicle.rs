//! One vehicle.

use std::collections::BTreeMap;

use outrider_bus::can::TimedFrame;
use outrider_bus::flexray::TimedFlexRay;
use outrider_bus::lin::TimedLin;
use outrider_gateway::spool::{Boot, Recovery, Spool};
use outrider_gateway::uplink::{ExchangeReport, Keys, Link, Uplink, UplinkConfig, UplinkPolicy};
use outrider_gateway::{
    CommandCaps, CommandContext, CommandStore, Ed25519Verifier, FieldValue, Gateway, Outcome, SecurityEvent,
    Storage, Verdict, judge, receipt,
};
use outrider_types::{
    BootEpoch, BusId, ClockFix, ClockSource, EventTypeId, TenantId, UnixMicros, VehicleId, VehicleMicros,
};
use outrider_wire::catalogue::{event, field};
use outrider_wire::{
    CommandHead, Outcome as CommandOutcome, Parameters, RECEIPT_BYTES, Receipt, RefuseReason, Signer,
};

use super::commands::{Jobs, described};
use super::config::VehicleKeys;
use super::costs::UplinkFile;
use super::ids::IdsLayer;
use super::index::EventIndex;
use super::key_change::KeyChanges;
use super::listening::{CATALOGUE_ID, Listening, poll};
use super::observed::Told;
use super::parts::{CloudLink, OpenError, Status, VehicleParts};
use super::report::Model;
use super::workshop::Workshop;
use crate::edge::Edge;
use crate::io::packets::PacketCapture;
use crate::io::rolling::RollingCapture;
use crate::net::{NetEdge, split_model};
use crate::remote::Remote;
use crate::scheduled::{ScheduledEdge, schedule_sections};

/// Frames sent in one exchange before commands get their turn.
const FRAMES_PER_EXCHANGE: u32 = 64;
/// A clock fix of the cloud is good for this long; then drift is larger than a round trip.
const FIX_EVERY_US: u64 = 3600 * 1_000_000;

/// Returns the event that says what is wrong with the spool, or `None` if nothing is.
fn corruption(recovery: &Recovery, now: VehicleMicros) -> Option<SecurityEvent> {
    let reason = recovery.damage()?;
    Some(
        SecurityEvent::new(event::GATEWAY_SPOOL_CORRUPTION, now)
            .with(field::REASON, FieldValue::Text(reason.to_owned()))
            .with(field::SIZE_BYTES, FieldValue::Uint(recovery.corrupt_bytes))
            .with(field::DROPPED, FieldValue::Uint(recovery.lost_rows)),
    )
}

/// The program of one vehicle; all time comes as an argument.
pub struct Vehicle<S: Storage> {
    pub(super) tenant: TenantId,
    pub(super) vehicle: VehicleId,
    signer: Box<dyn Signer + Send + Sync>,
    pub(super) ack: Ed25519Verifier,
    command: Ed25519Verifier,
    pub(super) edge: Option<Edge>,
    pub(super) net: Option<NetEdge>,
    pub(super) scheduled: ScheduledEdge,
    pub(super) model: Model,
    pub(super) ids: IdsLayer,
    pub(super) gateway: Gateway<S>,
    pub(super) capture: RollingCapture,
    pub(super) packets: PacketCapture,
    pub(super) workshop: Option<Workshop>,
    pub(super) index: EventIndex,
    store: CommandStore,
    pub(super) jobs: Jobs,
    pub(super) fix: Option<ClockFix>,
    pub(super) uplink_file: UplinkFile,
    /// What may be sent when, as provisioned.
    pub(super) uplink_policy: UplinkPolicy,
    poll_us: u64,
    called_at: Option<VehicleMicros>,
    /// What open episodes have reported so far.
    pub(super) reported: BTreeMap<(BusId, EventTypeId, u32), u32>,
    pub(super) told: Told,
    /// Why the anchor could not be raised, as it was reported last.
    anchor_failed: Option<&'static str>,
    pub(super) remote: Option<Remote>,
    pub(super) key_changes: Option<KeyChanges>,
    pub(super) status: Status,
}

impl<S: Storage> Vehicle<S> {
    /// Starts a boot: recovers the spool, and reports the start as an event.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(parts: VehicleParts<'_, S>, now: VehicleMicros) -> Result<Self, OpenError> {
        let VehicleKeys { tenant, vehicle, batch, ack, command } = parts.keys;
        let command = Ed25519Verifier::new(&command)?;
        let salt = parts.seed.fork(1).next_u64();
        let mut keys = batch.spool_keys();
        if let Some(root) = parts.spool_root {
            keys = keys.with_root(root);
        }
        let boot = Boot { floor: parts.floor, salt, keys, anchor: parts.anchor };
        let (spool, recovery) = Spool::open(parts.storage, parts.spool, boot)?;
        let epoch = spool.epoch();
        let config = (parts.uplink)(UplinkConfig::new(tenant, vehicle, CATALOGUE_ID));
        let mut uplink = Uplink::new(config, parts.seed.fork(2))?;
        std::fs::create_dir_all(parts.state)?;
        let uplink_file = UplinkFile::open(parts.state.join("uplink"), &mut uplink, now);
        let (can, ethernet) = split_model(parts.model);
        let edge = match can {
            [] => None,
            can => Some(Edge::new(can).map_err(OpenError::Model)?),
        };
        let net = match ethernet {
            [] => None,
            ethernet => Some(NetEdge::new(ethernet).map_err(OpenError::EthernetModel)?),
        };
        let scheduled = ScheduledEdge::new(schedule_sections(can));
        let mut machine = Self {
            tenant,
            vehicle,
            signer: batch.signer(),
            ack: Ed25519Verifier::new(&ack)?,
            edge,
            ids: IdsLayer::default(),
            net,
            scheduled,
            model: Model::default(),
            gateway: Gateway::new(parts.fold, spool, uplink),
            capture: RollingCapture::open(&parts.state.join("capture"), epoch, parts.capture_bytes_max)?,
            packets: PacketCapture::open(&parts.state.join("packets"), epoch, parts.capture_bytes_max)?,
            workshop: None,
            index: EventIndex::open(&parts.state.join("events.idx"))?,
            store: CommandStore::open(&parts.state.join("last-command"))?,
            jobs: Jobs::open(&parts.state.join("jobs"), &command)?,
            command,
            fix: None,
            uplink_file,
            uplink_policy: UplinkPolicy::default(),
            poll_us: parts.poll_us,
            called_at: None,
            reported: BTreeMap::new(),
            told: Told::default(),
            anchor_failed: None,
            remote: None,
            key_changes: None,
            status: Status::default(),
        };
        let boot = SecurityEvent::new(event::GATEWAY_BOOT, now)
            .with(field::VERSION, FieldValue::Text(env!("CARGO_PKG_VERSION").to_owned()));
        machine.store(boot, now);
        if let Some(corrupt) = corruption(&recovery, now) {
            machine.store(corrupt, now);
        }
        Ok(machine)
    }

    /// Returns the boot at hand.
    #[must_use]
    pub fn epoch(&self) -> BootEpoch {
        self.gateway.spool().epoch()
    }

    /// Returns the counters.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Returns the detectors of the buses, if there is a model.
    #[must_use]
    pub const fn edge(&self) -> Option<&Edge> {
        self.edge.as_ref()
    }

    /// Returns the gateway.
    #[must_use]
    pub const fn gateway(&self) -> &Gateway<S> {
        &self.gateway
    }

    /// Tells what the link costs now.
    pub const fn set_link(&mut self, link: Link) {
        self.gateway.set_link(link);
    }

    /// Takes a reading of both clocks.
    pub fn add_fix(&mut self, fix: ClockFix) {
        // A fix that is not durable is used all the same until the next boot.
        let _ = self.gateway.add_fix(fix);
        self.ids.add_fix(fix);
        if fix.source == ClockSource::Cloud || fix.source == ClockSource::Gnss {
            self.fix = Some(fix);
        }
    }

    /// Takes a frame from a bus.
    pub fn frame(&mut self, frame: &TimedFrame) {
        self.status.frames += 1;
        self.capture.push(frame);
        if let Some(edge) = &mut self.edge {
            edge.receive(frame);
            if let (Some(net), Some(reading)) = (&mut self.net, edge.speed()) {
                net.observe_speed(reading);
            }
        }
        self.drain(frame.at);
    }

    /// Takes an Ethernet frame from a source's segment.
    pub fn packet(&mut self, at: VehicleMicros, source: BusId, bytes: &[u8]) {
        self.status.packets += 1;
        let is_evidence = self.net.as_mut().is_some_and(|net| net.receive(at, source, bytes));
        self.packets.push(at, source, bytes, is_evidence);
        self.drain(at);
    }

    /// Takes what was heard on a source's LIN bus. It is judged, not kept: the rolling capture has CAN only.
    pub fn lin(&mut self, heard: &TimedLin) {
        self.status.heard += 1;
        self.scheduled.lin(heard);
        self.drain(heard.at);
    }

    /// Takes what was heard on a source's FlexRay cluster. It is judged, not kept.
    pub fn flexray(&mut self, heard: &TimedFlexRay) {
        self.status.heard += 1;
        self.scheduled.flexray(heard);
        self.drain(heard.at);
    }

    /// Returns the detectors of LIN and FlexRay.
    #[must_use]
    pub const fn scheduled(&self) -> &ScheduledEdge {
        &self.scheduled
    }

    /// Returns the counts of the Ethernet segments.
    #[must_use]
    pub fn net(&self) -> Option<&NetEdge> {
        self.net.as_ref()
    }

    /// Gives an event to the gateway.
    pub(super) fn store(&mut self, event: SecurityEvent, now: VehicleMicros) {
        let outcome = self.gateway.receive(event, now);
        self.note(outcome);
    }

    /// Lets time pass; call it a few times a second.
    pub fn tick(&mut self, now: VehicleMicros) {
        if let Some(edge) = &mut self.edge {
            edge.observe_charging(self.net.as_ref().is_some_and(|net| net.is_charging(now)));
            edge.tick(now);
        }
        if let Some(net) = &mut self.net {
            net.tick(now);
        }
        self.scheduled.tick(now);
        self.drain(now);
        self.tick_workshop(now);
        self.tell_sensors(now);
        self.tick_ids(now);
        let outcome = self.gateway.tick(now);
        self.note(outcome);
        self.tell_anchor(now);
        self.turn_remote(now);
        self.capture.flush();
        self.packets.flush();
    }

    /// Reports an anchor that cannot be raised, once for each reason until it works again.
    fn tell_anchor(&mut self, now: VehicleMicros) {
        let failed = self.gateway.spool().anchor_status().failed.as_ref().map(|error| error.reason);
        if failed == self.anchor_failed {
            return;
        }
        self.anchor_failed = failed;
        if let Some(reason) = failed {
            let event = SecurityEvent::new(event::GATEWAY_ANCHOR_FAILED, now)
                .with(field::REASON, FieldValue::Text(reason.to_owned()));
            self.store(event, now);
        }
    }

    /// Makes everything durable, as before an orderly end; returns whether the medium took it.
    pub fn shut_down(&mut self, now: VehicleMicros) -> bool {
        if let Some(edge) = &mut self.edge {
            edge.finish();
        }
        if let Some(net) = &mut self.net {
            net.finish();
        }
        self.scheduled.finish();
        self.drain(now);
        self.flush_ids(now);
        let outcome = self.gateway.shut_down();
        let is_durable = outcome.sync_error.is_none();
        self.note(outcome);
        self.capture.flush();
        self.packets.flush();
        is_durable
    }

    pub(super) fn drain(&mut self, now: VehicleMicros) {
        loop {
            let observation = self.edge.as_mut().and_then(Edge::pop);
            let observation = observation.or_else(|| self.net.as_mut().and_then(NetEdge::pop));
            let Some(observation) = observation.or_else(|| self.scheduled.pop()) else { break };
            self.told.note(&observation);
            if let Some(event) = self.qualify(&observation) {
                self.status.observations += 1;
                self.event(event, now);
            }
        }
    }

    fn note(&mut self, outcome: Outcome) {
        let epoch = self.gateway.spool().epoch();
        self.status.rows += outcome.rows.len() as u64;
        self.status.lost += outcome.lost.len() as u64;
        for row in outcome.rows {
            self.index.insert(epoch, &row);
        }
    }

    /// Sends what is due and handles the commands that come back.
    pub fn exchange(&mut self, link: &mut dyn CloudLink, now: VehicleMicros) -> ExchangeReport {
        let mut first = self.change_key(link, now);
        first.extend(self.before_exchange(link, now));
        if self.fix.is_none() {
            // A vehicle without a clock asks for the time first: rows that leave without it stay uncertain by weeks.
            let head = poll(self.tenant, self.vehicle, self.gateway.spool().epoch(), now);
            let mut listening = Listening { link, ack: &self.ack, vehicle: self.vehicle, issued: None };
            first.extend(listening.ask(&head, self.signer.as_ref()));
            if let Some(issued) = listening.issued {
                self.believe(issued, now);
            }
        }
        let mut listening = Listening { link, ack: &self.ack, vehicle: self.vehicle, issued: None };
        let keys = Keys { batch: self.signer.as_ref(), ack: &self.ack };
        let mut report = self.gateway.exchange(&mut listening, keys, now, FRAMES_PER_EXCHANGE);
        let is_due = !listening.link.tells_commands()
            && self.called_at.is_none_or(|called| now.micros_since(called) >= self.poll_us);
        if report.answered == 0 && report.error.is_none() && is_due {
            let head = poll(self.tenant, self.vehicle, self.gateway.spool().epoch(), now);
            report.commands = listening.ask(&head, self.signer.as_ref());
        }
        if report.answered > 0 || is_due {
            self.called_at = Some(now);
        }
        if let Some(issued) = listening.issued {
            self.status.answers += 1;
            self.believe(issued, now);
        }
        for frame in std::mem::take(&mut report.commands) {
            if !first.contains(&frame) {
                first.push(frame);
            }
        }
        for frame in first {
            self.command(&frame, link, now);
        }
        self.work(link, now);
        self.after_exchange(now);
        report
    }

    /// Takes the time at which the cloud signed its answer; the error is the longest exchange that is not retried.
    fn believe(&mut self, issued: UnixMicros, now: VehicleMicros) {
        let is_fresh = self.fix.is_some_and(|fix| now.micros_since(fix.mono) < FIX_EVERY_US);
        if !is_fresh {
            self.add_fix(ClockFix {
                mono: now,
                wall: issued,
                error_us: 10_000_000,
                source: ClockSource::Cloud,
            });
        }
    }

    pub(super) fn trusted_now(&self, now: VehicleMicros) -> Option<UnixMicros> {
        self.fix.map(|fix| fix.event_time(now).best)
    }

    /// Judges a command (RSP-2); nothing happens before its number is durable.
    fn command(&mut self, frame: &[u8], link: &mut dyn CloudLink, now: VehicleMicros) {
        let context = CommandContext {
            tenant: self.tenant,
            vehicle: self.vehicle,
            now: self.trusted_now(now),
            last: self.store.last(),
            caps: CommandCaps::default(),
        };
        match judge(frame, &context, &self.command) {
            Verdict::Repeated(head) => {
                let running = self.jobs.waiting().iter().any(|job| job.head.sequence == head.sequence);
                if running {
                    self.answer(&head, CommandOutcome::Accepted, link);
                }
            }
            Verdict::Refuse(refused) => self.refuse(refused.reason, refused.claimed, link, now),
            Verdict::Accept(accepted) => {
                let possible = match accepted.parameters {
                    Parameters::RequestEvidence(window)
                        if link.takes_evidence() && self.has_capture(&window, now) =>
                    {
                        Ok("request_evidence")
                    }
                    Parameters::RequestEvidence(_) => Err(RefuseReason::NotAvailable),
                    Parameters::Update(order) => self.may_update(&order).map(|()| "update"),
                };
                let possible = possible.and_then(|kind| {
                    if self.jobs.is_full() { Err(RefuseReason::NotAvailable) } else { Ok(kind) }
                });
                let kind = match possible {
                    Ok(kind) => kind,
                    Err(reason) => return self.refuse(reason, Some(accepted.head), link, now),
                };
                let kept = self.jobs.add(&accepted.head, &accepted.parameters, frame).is_ok()
                    && self.store.store(accepted.last()).is_ok();
                if !kept {
                    self.jobs.remove(accepted.head.sequence);
                    self.refuse(RefuseReason::NotAvailable, Some(accepted.head), link, now);
                    return;
                }
                self.status.commands_accepted += 1;
                let event = described(event::COMMAND_ACCEPTED, &accepted.head, now)
                    .with(field::REQUEST_KIND, FieldValue::Text(kind.to_owned()));
                self.store(event, now);
            }
        }
    }

    fn refuse(
        &mut self,
        reason: RefuseReason,
        claimed: Option<CommandHead>,
        link: &mut dyn CloudLink,
        now: VehicleMicros,
    ) {
        self.status.commands_refused += 1;
        let event = match &claimed {
            Some(head) => described(event::COMMAND_REJECTED, head, now),
            None => SecurityEvent::new(event::COMMAND_REJECTED, now),
        };
        self.store(event.with(field::REASON, FieldValue::Text(reason.word().to_owned())), now);
        // A command that is not for us, or of nobody knows whom, gets an event but no answer.
        if let Some(head) =
            claimed.filter(|head| head.vehicle == self.vehicle && reason != RefuseReason::Signature)
        {
            self.answer(&head, CommandOutcome::Refused(Some(reason)), link);
        }
    }

    /// Sends a receipt; one that is lost is repeated when the cloud sends the command again.
    pub(super) fn answer(
        &self,
        head: &CommandHead,
        outcome: CommandOutcome,
        link: &mut dyn CloudLink,
    ) -> bool {
        let context = CommandContext {
            tenant: self.tenant,
            vehicle: self.vehicle,
            now: None,
            last: self.store.last(),
            caps: CommandCaps::default(),
        };
        let receipt: Receipt = receipt(head, &context, outcome);
        let mut frame = [0; RECEIPT_BYTES];
        match receipt.emit(self.signer.as_ref(), &mut frame) {
            Ok(length) => link.exchange(&frame[..length]).is_ok(),
            Err(_) => false,
        }
    }
}
