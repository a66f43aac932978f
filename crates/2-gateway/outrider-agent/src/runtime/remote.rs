//! Remote configuration of a vehicle: orders, the switch, the trial, the return.

use outrider_gateway::spool::Floor;
use outrider_gateway::{FieldValue, LanePolicies, SecurityEvent, Storage};
use outrider_types::{EventTypeId, UnixMicros, VehicleMicros};
use outrider_wire::catalogue::{event, field};
use outrider_wire::{
    ArtifactKind, EvidenceHash, Outcome as CommandOutcome, Parameters, RefuseReason, UpdateOrder,
};

use super::Vehicle;
use super::commands::{Job, described};
use super::parts::CloudLink;
use super::report;
use crate::edge::Edge;
use crate::net::{NetEdge, split_model};
use crate::remote::{
    Counts, Download, Health, Progress, Refused, Remote, ReturnReason, RulePack, StoreError, Trial, TrialOf,
};
use crate::scheduled::{ScheduledEdge, schedule_sections};

/// Shortest time over which the usual rate is taken; a younger one is taken to be as old.
const USUAL_US: u64 = 600 * 1_000_000;

/// Returns the number of a kind in the spool's journal.
fn code(kind: ArtifactKind) -> u8 {
    u8::try_from(kind.code()).unwrap_or(u8::MAX)
}

impl<S: Storage> Vehicle<S> {
    /// Puts to use what is configured. Call it once, after the vehicle has what it was provisioned with.
    ///
    /// What is older than what the sealed spool says was good is not used, nor is what no trusted key signed; the vehicle
    /// then has what it was provisioned with, and says so.
    pub fn set_remote(&mut self, remote: Remote, now: VehicleMicros) {
        let is_damaged = remote.store.is_damaged();
        self.remote = Some(remote);
        if is_damaged {
            self.tell_refused(None, 0, "damaged", now);
        }
        for kind in ArtifactKind::ALL {
            self.set_kind(kind, now);
        }
        self.begin_trial(now);
        self.tell_return(now);
        self.tell_active(now);
        if let Some(remote) = &mut self.remote {
            remote.usual = Some((now, self.gateway.fold_balance().received));
        }
    }

    /// Lifts the shares of sensors, for load tests.
    pub fn lift_shares(&mut self) {
        let policies = self.gateway.policies().clone().without_shares();
        self.gateway.set_policies(policies);
    }

    /// Says in which state the configuration is, for the status.
    #[must_use]
    pub fn config_state(&self) -> report::Config {
        let Some(remote) = &self.remote else { return report::Config::default() };
        let pointer = remote.store.pointer();
        report::Config {
            slot: if pointer.slot { "b" } else { "a" }.to_owned(),
            policy: pointer.version(ArtifactKind::Policy),
            rules: pointer.version(ArtifactKind::Rules),
            model: pointer.version(ArtifactKind::Model),
            trial: pointer
                .trial
                .map(|trial| format!("{} {}, {} starts", trial.kind.word(), trial.version, trial.starts)),
            last_return: pointer
                .last_return
                .map(|last| format!("{} {}: {}", last.kind.word(), last.version, last.reason.word())),
        }
    }

    /// Returns what is configured.
    #[must_use]
    pub const fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// Uses what the slot has of a kind, or what the vehicle was provisioned with.
    fn set_kind(&mut self, kind: ArtifactKind, now: VehicleMicros) {
        let sealed = self.gateway.spool().floor(code(kind));
        let Some(remote) = &mut self.remote else { return };
        let floor = remote.floor(kind, sealed);
        let version = remote.store.pointer().version(kind);
        remote.store.learn_floor(kind, floor);
        // What the pointer knows and the spool does not, because the power failed in between, is noted now.
        let _ = self.gateway.parts_mut().0.raise_floor(code(kind), floor);
        let used = if version < floor.good {
            Err(Refused::Rollback)
        } else if version == 0 {
            return;
        } else {
            self.use_slot(kind, version, now)
        };
        let Err(refused) = used else { return };
        let on_trial = self.trial_of().filter(|trial| trial.kind == kind);
        if on_trial.is_some() {
            let reason =
                if refused == Refused::Unusable { ReturnReason::Unusable } else { ReturnReason::Damaged };
            self.take_back(reason, now);
            return;
        }
        self.tell_refused(Some(kind), version, refused.word(), now);
        self.use_provisioned(kind, now);
    }

    /// Reads the artifact of the slot in use, judges it and puts it to use.
    fn use_slot(&mut self, kind: ArtifactKind, version: u64, now: VehicleMicros) -> Result<(), Refused> {
        let Some(remote) = &mut self.remote else { return Err(Refused::Damaged) };
        let bytes = remote.store.artifact(kind).ok().flatten().ok_or(Refused::Damaged)?;
        let payload = remote.trust.judge(&bytes, kind, version)?.payload;
        self.use_payload(kind, payload, now)
    }

    /// Makes detectors, filters or lanes of a payload, and only then takes the old ones out of use.
    fn use_payload(&mut self, kind: ArtifactKind, payload: &[u8], now: VehicleMicros) -> Result<(), Refused> {
        match kind {
            ArtifactKind::Policy => {
                let policies = LanePolicies::parse(payload).map_err(|_| Refused::Unusable)?;
                self.gateway.set_policies(policies);
                self.budget_lanes();
            }
            ArtifactKind::Rules => {
                let pack = RulePack::parse(payload).map_err(|_| Refused::Unusable)?;
                let chain = pack.chain(now).map_err(|_| Refused::Unusable)?;
                self.ids.set_chain(chain);
                if let Some(remote) = &mut self.remote {
                    remote.patterns = pack.patterns;
                }
            }
            ArtifactKind::Model => {
                let Some(remote) = &self.remote else { return Err(Refused::Damaged) };
                let trusted = remote.model_trust.judge(payload).map_err(|_| Refused::Unusable)?;
                self.use_model(payload, now).map_err(|()| Refused::Unusable)?;
                self.model_believed(&trusted);
            }
        }
        Ok(())
    }

    /// Uses what the vehicle was provisioned with. It was of use at the start.
    fn use_provisioned(&mut self, kind: ArtifactKind, now: VehicleMicros) {
        let Some(remote) = &mut self.remote else { return };
        match kind {
            ArtifactKind::Policy => {
                self.gateway.set_policies(LanePolicies::default());
                self.budget_lanes();
            }
            ArtifactKind::Rules => {
                remote.patterns.clear();
                let chain = remote.provisioned.qualify.as_ref().and_then(|section| section.chain(now).ok());
                self.ids.set_chain(chain);
            }
            ArtifactKind::Model => {
                let (model, trust) = (remote.provisioned.model.clone(), remote.model_trust.clone());
                if self.use_model(&model, now).is_ok()
                    && let Ok(trusted) = trust.judge(&model)
                {
                    self.model_believed(&trusted);
                }
            }
        }
    }

    fn use_model(&mut self, bytes: &[u8], now: VehicleMicros) -> Result<(), ()> {
        let (can, ethernet) = split_model(bytes);
        let edge = if can.is_empty() { None } else { Some(Edge::new(can).map_err(|_| ())?) };
        let net = if ethernet.is_empty() { None } else { Some(NetEdge::new(ethernet).map_err(|_| ())?) };
        self.edge.iter_mut().for_each(Edge::finish);
        self.net.iter_mut().for_each(NetEdge::finish);
        self.scheduled.finish();
        self.drain(now);
        (self.edge, self.net) = (edge, net);
        self.scheduled = ScheduledEdge::new(schedule_sections(can));
        self.reported.clear();
        self.tell_detectors();
        Ok(())
    }

    fn trial_of(&self) -> Option<TrialOf> {
        self.remote.as_ref().and_then(|remote| remote.store.pointer().trial)
    }

    fn counts(&self) -> Counts {
        Counts { events: self.gateway.fold_balance().received, answers: self.status.answers }
    }

    fn begin_trial(&mut self, now: VehicleMicros) {
        let counts = self.counts();
        let Some(trial) = self.trial_of() else { return };
        if let Some(remote) = &mut self.remote {
            remote.trial = Some(Trial::begin(now, counts, trial.usual_per_hour));
        }
    }

    /// Judges what is on trial.
    pub(super) fn turn_remote(&mut self, now: VehicleMicros) {
        let counts = self.counts();
        let Some(remote) = &mut self.remote else { return };
        let Some(trial) = &mut remote.trial else { return };
        match trial.turn(now, counts) {
            Health::Waiting => {}
            Health::Quiet => {
                // Written once; a disk that fails leaves the count as it is, which is the careful side.
                let _ = remote.store.forget_starts();
            }
            Health::Good => self.confirm(now),
            Health::Bad(reason) => self.take_back(reason, now),
        }
    }

    fn confirm(&mut self, now: VehicleMicros) {
        let Some(remote) = &mut self.remote else { return };
        // Not written is not confirmed; the next turn tries again.
        let Ok(trial) = remote.store.confirm() else { return };
        remote.trial = None;
        remote.usual = Some((now, self.gateway.fold_balance().received));
        let floor = Floor { tried: trial.version, good: trial.version };
        // Held in memory if the medium fails, and noted again at the next start.
        let _ = self.gateway.parts_mut().0.raise_floor(code(trial.kind), floor);
        let applied = self.about(event::CONFIG_APPLIED, trial.kind, trial.version, now);
        self.store(applied.with(field::CONFIG_VERSION_BEFORE, FieldValue::Uint(trial.before)), now);
        self.tell_active(now);
    }

    fn take_back(&mut self, reason: ReturnReason, now: VehicleMicros) {
        let at = self.trusted_now(now).unwrap_or(UnixMicros(0));
        let Some(remote) = &mut self.remote else { return };
        // If the disk fails, the next turn or the next start tries again.
        let Ok(trial) = remote.store.take_back(reason, at) else { return };
        remote.trial = None;
        self.use_provisioned(trial.kind, now);
        self.set_kind(trial.kind, now);
        self.tell_return(now);
        self.tell_active(now);
    }

    /// Says a return that nobody was told of, which may be of the start before.
    fn tell_return(&mut self, now: VehicleMicros) {
        let Some(remote) = &mut self.remote else { return };
        let Some(last) = remote.store.pointer().last_return.filter(|last| !last.is_told) else { return };
        let version = remote.store.pointer().version(last.kind);
        let reverted = self
            .about(event::CONFIG_REVERTED, last.kind, last.version, now)
            .with(field::CONFIG_VERSION_BEFORE, FieldValue::Uint(version))
            .with(field::REASON, FieldValue::Text(last.reason.word().to_owned()));
        self.store(reverted, now);
        if let Some(remote) = &mut self.remote {
            // Said twice is better than never.
            let _ = remote.store.return_told();
        }
    }

    fn tell_refused(&mut self, kind: Option<ArtifactKind>, version: u64, reason: &str, now: VehicleMicros) {
        let mut refused = SecurityEvent::new(event::CONFIG_REFUSED, now)
            .with(field::REASON, FieldValue::Text(reason.to_owned()));
        if let Some(kind) = kind {
            refused = refused
                .with(field::CONFIG_KIND, FieldValue::Text(kind.word().to_owned()))
                .with(field::CONFIG_VERSION, FieldValue::Uint(version));
        }
        self.store(refused, now);
    }

    fn tell_active(&mut self, now: VehicleMicros) {
        let Some(remote) = &self.remote else { return };
        let pointer = *remote.store.pointer();
        let version = |kind| FieldValue::Uint(pointer.version(kind));
        let active = SecurityEvent::new(event::CONFIG_ACTIVE, now)
            .with(field::POLICY_VERSION, version(ArtifactKind::Policy))
            .with(field::RULES_VERSION, version(ArtifactKind::Rules))
            .with(field::MODEL_VERSION, version(ArtifactKind::Model));
        self.store(active, now);
    }

    fn about(
        &self,
        event_type: EventTypeId,
        kind: ArtifactKind,
        version: u64,
        now: VehicleMicros,
    ) -> SecurityEvent {
        SecurityEvent::new(event_type, now)
            .with(field::CONFIG_KIND, FieldValue::Text(kind.word().to_owned()))
            .with(field::CONFIG_VERSION, FieldValue::Uint(version))
    }

    /// Returns whether an order can be followed at all, before anything is fetched.
    pub(super) fn may_update(&self, order: &UpdateOrder) -> Result<(), RefuseReason> {
        let Some(remote) = &self.remote else { return Err(RefuseReason::Untrusted) };
        if !remote.trust.is_open() {
            return Err(RefuseReason::Untrusted);
        }
        if order.version <= remote.floor(order.kind, self.gateway.spool().floor(code(order.kind))).tried {
            return Err(RefuseReason::Rollback);
        }
        let updates = |job: &Job| matches!(job.parameters, Parameters::Update(_));
        let is_busy = remote.store.pointer().trial.is_some() || self.jobs.waiting().iter().any(updates);
        if is_busy { Err(RefuseReason::Busy) } else { Ok(()) }
    }

    /// Returns whether an order was followed already, so that its end is owed to the cloud however late it is.
    pub(super) fn is_decided(&self, sequence: u64) -> bool {
        let pointer = self.remote.as_ref().map(|remote| remote.store.pointer());
        pointer.is_some_and(|pointer| {
            pointer.trial.is_some_and(|trial| trial.sequence == sequence)
                || pointer.ended.is_some_and(|ended| ended.sequence == sequence)
        })
    }

    /// Follows an order as far as it goes now: fetch, judge, switch; after the trial, its receipt.
    pub(super) fn update(
        &mut self,
        job: &Job,
        order: UpdateOrder,
        link: &mut dyn CloudLink,
        now: VehicleMicros,
    ) {
        let sequence = job.head.sequence;
        let Some(remote) = &mut self.remote else {
            return self.end_update(job, RefuseReason::Untrusted, link);
        };
        let pointer = *remote.store.pointer();
        if pointer.trial.is_some_and(|trial| trial.sequence == sequence) {
            return;
        }
        if let Some(ended) = pointer.ended.filter(|ended| ended.sequence == sequence) {
            if !ended.is_good {
                return self.end_update(job, RefuseReason::Unhealthy, link);
            }
            let bytes = u64::from(order.bytes);
            let done = CommandOutcome::Done { evidence: EvidenceHash(order.sha256), bytes };
            if self.answer(&job.head, done, link) {
                self.jobs.remove(sequence);
            }
            return;
        }
        if let Some((_, reason)) = remote.given_up.filter(|(of, _)| *of == sequence) {
            return self.end_update(job, reason, link);
        }
        if remote.download.as_ref().is_none_or(|download| *download.order() != order) {
            // A disk that fails now is tried again with the next exchange, until the command is void.
            let folder = remote.store.slot_folder(false).with_file_name("download");
            remote.download = Download::open(&folder, order).ok();
        }
        let Some(download) = &mut remote.download else { return };
        match download.step(link) {
            Progress::Later => {}
            Progress::Refused(reason) => {
                self.discard();
                self.refuse_update(job, &order, "fetch", now);
                self.end_update(job, reason, link);
            }
            Progress::Whole(bytes) => match self.switch(job, &order, &bytes, now) {
                Ok(()) => self.discard(),
                Err(Switch::Later) => {}
                Err(Switch::Refused(refused)) => {
                    self.discard();
                    self.refuse_update(job, &order, refused.word(), now);
                    let reason = match refused {
                        Refused::Damaged | Refused::Other | Refused::Unusable => RefuseReason::Artifact,
                        Refused::Untrusted | Refused::OtherVehicle => RefuseReason::Untrusted,
                        Refused::Rollback => RefuseReason::Rollback,
                    };
                    self.end_update(job, reason, link);
                }
            },
        }
    }

    fn discard(&mut self) {
        if let Some(download) = self.remote.as_mut().and_then(|remote| remote.download.take()) {
            download.discard();
        }
    }

    /// Judges a whole artifact, makes it the one in use, on trial, and puts it to use.
    fn switch(
        &mut self,
        job: &Job,
        order: &UpdateOrder,
        bytes: &[u8],
        now: VehicleMicros,
    ) -> Result<(), Switch> {
        let events = self.gateway.fold_balance().received;
        let Some(remote) = &mut self.remote else { return Err(Switch::Later) };
        let payload = remote.trust.judge(bytes, order.kind, order.version).map_err(Switch::Refused)?.payload;
        // What cannot be read is not even tried, and its version is not used up.
        let readable = match order.kind {
            ArtifactKind::Policy => LanePolicies::parse(payload).is_ok(),
            ArtifactKind::Rules => RulePack::parse(payload).is_ok(),
            ArtifactKind::Model => remote.model_trust.judge(payload).is_ok(),
        };
        if !readable {
            return Err(Switch::Refused(Refused::Unusable));
        }
        let (since, before) = remote.usual.unwrap_or((now, events));
        let lasted = now.micros_since(since).max(USUAL_US);
        let usual = u128::from(events.saturating_sub(before)) * 3_600_000_000 / u128::from(lasted);
        let trial = TrialOf {
            kind: order.kind,
            version: order.version,
            before: remote.store.pointer().version(order.kind),
            starts: 0,
            sequence: job.head.sequence,
            usual_per_hour: u64::try_from(usual).unwrap_or(u64::MAX),
        };
        match remote.store.switch(trial, bytes) {
            Ok(()) => {}
            Err(StoreError::Io(_) | StoreError::Busy | StoreError::NoTrial) => return Err(Switch::Later),
        }
        let tried = Floor { tried: order.version, good: 0 };
        // Held in memory if the medium fails; the pointer has it, too.
        let _ = self.gateway.parts_mut().0.raise_floor(code(order.kind), tried);
        self.set_kind(order.kind, now);
        self.begin_trial(now);
        self.tell_active(now);
        Ok(())
    }

    fn refuse_update(&mut self, job: &Job, order: &UpdateOrder, reason: &str, now: VehicleMicros) {
        let refused = described(event::CONFIG_REFUSED, &job.head, now)
            .with(field::CONFIG_KIND, FieldValue::Text(order.kind.word().to_owned()))
            .with(field::CONFIG_VERSION, FieldValue::Uint(order.version))
            .with(field::REASON, FieldValue::Text(reason.to_owned()));
        self.store(refused, now);
    }

    /// Answers an order that was not followed to a good end, and forgets it once the cloud knows.
    fn end_update(&mut self, job: &Job, reason: RefuseReason, link: &mut dyn CloudLink) {
        if let Some(remote) = &mut self.remote {
            remote.given_up = Some((job.head.sequence, reason));
        }
        if self.answer(&job.head, CommandOutcome::Refused(Some(reason)), link) {
            self.jobs.remove(job.head.sequence);
        }
    }
}

/// Why a switch did not happen.
enum Switch {
    /// The disk failed; it is tried again.
    Later,
    /// The artifact is not believed.
    Refused(Refused),
}
