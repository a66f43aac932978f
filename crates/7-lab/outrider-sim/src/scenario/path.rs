//! What lies between a vehicle and the cloud: a network that loses, repeats and reorders, and a broker that lies.

use std::collections::{BTreeMap, VecDeque};

use outrider_gateway::Ed25519Signer;
use outrider_gateway::uplink::{Transport, TransportError};
use outrider_types::{BootEpoch, Lane, Seed, UnixMicros, VehicleId};
use outrider_wire::Watermark;

use super::cloud::{Cloud, NoReply, reply};
use super::flash::Hardware;
use super::plan::{AttackPlan, NetworkPlan};
use super::report::AttackCount;
use super::trace::Trace;

/// Old frames that the network keeps of a vehicle, to send them once more.
const ARCHIVE_MAX: usize = 8;
/// Longest time that a frame wanders about.
const DELAY_MAX_US: u64 = 6 * 3_600_000_000;

/// A frame that arrives later.
#[derive(Debug, Clone)]
pub(super) struct Wandering {
    pub(super) vehicle: VehicleId,
    pub(super) at: UnixMicros,
    pub(super) frame: Vec<u8>,
}

/// The network, the broker, and what they did.
pub(super) struct Network {
    plan: NetworkPlan,
    attack: AttackPlan,
    random: Seed,
    broker: Ed25519Signer,
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) attacks: BTreeMap<String, AttackCount>,
    pub(super) wandering: Vec<Wandering>,
    archive: BTreeMap<VehicleId, VecDeque<Vec<u8>>>,
    replies: BTreeMap<VehicleId, Vec<u8>>,
    /// What forged replies the vehicle at hand was given and has not been seen to refuse.
    bait: Vec<&'static str>,
    pub(super) calm: bool,
}

impl Network {
    pub(super) fn new(plan: NetworkPlan, attack: AttackPlan, seed: Seed) -> Self {
        let mut secret = [0x66; 32];
        secret[..8].copy_from_slice(&seed.fork(1).next_u64().to_le_bytes());
        Self {
            plan,
            attack,
            random: seed,
            broker: Ed25519Signer::new(&secret),
            faults: BTreeMap::new(),
            attacks: BTreeMap::new(),
            wandering: Vec::new(),
            archive: BTreeMap::new(),
            replies: BTreeMap::new(),
            bait: Vec::new(),
            calm: false,
        }
    }

    fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    fn fire(&mut self, kind: &'static str) {
        self.attacks.entry(kind.to_owned()).or_default().fired += 1;
    }

    fn detect(&mut self, kind: &'static str, by: &str) {
        let count = self.attacks.entry(kind.to_owned()).or_default();
        count.detected += 1;
        *count.by.entry(by.to_owned()).or_default() += 1;
    }

    fn happens(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && !self.calm && self.random.chance(per_mille, 1000)
    }

    /// Returns another vehicle of which something is known.
    fn other(&mut self, of: VehicleId) -> Option<VehicleId> {
        let others: Vec<VehicleId> = self.replies.keys().copied().filter(|other| *other != of).collect();
        let place = usize::try_from(self.random.below(others.len() as u64)).unwrap_or(0);
        others.get(place).copied()
    }

    fn keep(&mut self, vehicle: VehicleId, frame: &[u8]) {
        let kept = self.archive.entry(vehicle).or_default();
        if kept.len() >= ARCHIVE_MAX {
            kept.pop_front();
        }
        kept.push_back(frame.to_vec());
    }

    /// Counts the replies that the vehicle refused to believe: real detections of what the broker forged.
    pub(super) fn refused_replies(&mut self, count: u64) {
        for (kind, _) in std::mem::take(&mut self.bait).into_iter().zip(0..count) {
            self.detect(kind, "vehicle refuses the reply");
        }
    }

    /// Takes out the frames that arrive by now.
    pub(super) fn arrived(&mut self, now: UnixMicros) -> Vec<Wandering> {
        let (arrived, rest) = std::mem::take(&mut self.wandering).into_iter().partition(|one| one.at <= now);
        self.wandering = rest;
        arrived
    }
}

/// The way of one vehicle during one contact.
pub(super) struct Path<'a> {
    pub(super) network: &'a mut Network,
    pub(super) cloud: &'a mut Cloud,
    pub(super) trace: &'a mut Trace,
    pub(super) hardware: Hardware,
    pub(super) vehicle: VehicleId,
    pub(super) now: UnixMicros,
}

fn lost() -> TransportError {
    TransportError::TimedOut
}

impl Path<'_> {
    /// Hands a frame to the cloud in the session of a vehicle.
    fn deliver(&mut self, session: VehicleId, frame: &[u8]) -> Result<Vec<u8>, TransportError> {
        let result = self.cloud.take(session, frame, self.now);
        let code = match &result {
            Ok(_) => 0,
            Err(NoReply::Crashed) => 1,
            Err(NoReply::Refused { status, .. }) => u64::from(*status),
        };
        self.trace.note("frame", &[self.now.0.cast_unsigned(), code], frame);
        result.map_err(|error| match error {
            NoReply::Crashed => TransportError::Unreachable("the connection broke".to_owned()),
            NoReply::Refused { status, .. } => TransportError::Refused { status },
        })
    }

    /// Hands over a frame that the cloud must refuse; what it says is the detection.
    fn attack(&mut self, kind: &'static str, session: VehicleId, frame: &[u8]) {
        self.network.fire(kind);
        match self.cloud.take(session, frame, self.now) {
            Err(NoReply::Refused { code, .. }) => self.network.detect(kind, code),
            Err(NoReply::Crashed) | Ok(_) => {}
        }
        self.trace.note(kind, &[self.now.0.cast_unsigned()], frame);
    }

    fn broker_attacks(&mut self, frame: &[u8]) {
        let attack = self.network.attack.clone();
        if self.network.happens(attack.swap_frame)
            && let Some(other) = self.network.other(self.vehicle)
        {
            self.attack("swap_frame", other, frame);
        }
        if self.network.happens(attack.tamper_frame) {
            let mut changed = frame.to_vec();
            let at = usize::try_from(self.network.random.below(changed.len() as u64)).unwrap_or(0);
            let bit = self.network.random.below(8);
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 1 << bit;
            }
            self.attack("tamper_frame", self.vehicle, &changed);
        }
        if self.network.happens(attack.forge_frame)
            && let Some(forged) = resigned(frame, &self.network.broker)
        {
            self.attack("forge_frame", self.vehicle, &forged);
        }
    }

    /// Returns what the broker says in the cloud's place, if it does.
    fn false_reply(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let attack = self.network.attack.clone();
        if self.network.happens(attack.forge_reply) {
            self.network.fire("forge_reply");
            self.network.bait.push("forge_reply");
            let marks: Vec<Watermark<'_>> = (1..=60)
                .flat_map(|epoch| Lane::ALL.map(|lane| (BootEpoch(epoch), lane)))
                .map(|(epoch, lane)| Watermark { epoch, lane, contiguous: u64::MAX, holes: &[] })
                .collect();
            let head = (self.vehicle, self.now, outrider_ingest::frame_digest(frame));
            return Some(reply(head, &marks, &self.network.broker));
        }
        if self.network.happens(attack.foreign_reply)
            && let Some(other) = self.network.other(self.vehicle)
        {
            self.network.fire("foreign_reply");
            self.network.bait.push("foreign_reply");
            return self.network.replies.get(&other).cloned();
        }
        let stale = self.network.plan.stale_reply;
        if self.network.happens(stale)
            && let Some(old) = self.network.replies.get(&self.vehicle).cloned()
        {
            self.network.fault("stale_reply");
            return Some(old);
        }
        None
    }
}

/// Signs a vehicle's frame anew with a key that is not the vehicle's.
fn resigned(frame: &[u8], signer: &Ed25519Signer) -> Option<Vec<u8>> {
    let end = frame.len().checked_sub(outrider_wire::SIGNATURE_BYTES)?;
    let mut forged = frame.get(..end)?.to_vec();
    let signature = outrider_wire::Signer::sign(signer, &forged).ok()?;
    forged.extend(signature);
    Some(forged)
}

impl Transport for Path<'_> {
    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, TransportError> {
        if self.hardware.is_off() {
            return Err(TransportError::Unreachable("no power".to_owned()));
        }
        let plan = self.network.plan;
        self.network.keep(self.vehicle, frame);
        self.broker_attacks(frame);
        if let Some(reply) = self.false_reply(frame) {
            return Ok(reply);
        }
        if self.network.happens(plan.replay) {
            let kept = self.network.archive.get(&self.vehicle).and_then(|kept| kept.front()).cloned();
            if let Some(old) = kept {
                self.network.fault("replayed");
                let _ = self.deliver(self.vehicle, &old);
            }
        }
        if self.network.happens(plan.lose_frame) {
            self.network.fault("frame_lost");
            return Err(lost());
        }
        if self.network.happens(plan.broker_loses) {
            self.network.fault("broker_acknowledged_and_lost");
            return Err(lost());
        }
        if self.network.happens(plan.delay) {
            self.network.fault("delayed");
            let wait = 60_000_000 + self.network.random.below(DELAY_MAX_US);
            let at = UnixMicros(self.now.0.saturating_add_unsigned(wait));
            self.network.wandering.push(Wandering { vehicle: self.vehicle, at, frame: frame.to_vec() });
            return Err(lost());
        }
        if self.network.happens(plan.truncate) {
            self.network.fault("truncated");
            let end = usize::try_from(self.network.random.below(frame.len() as u64)).unwrap_or(0);
            return self.deliver(self.vehicle, &frame[..end]);
        }
        let mut answer = self.deliver(self.vehicle, frame);
        if self.network.happens(plan.duplicate) {
            self.network.fault("duplicated");
            answer = self.deliver(self.vehicle, frame);
        }
        if let Ok(reply) = &answer {
            self.network.replies.insert(self.vehicle, reply.clone());
            if self.network.happens(plan.lose_reply) {
                self.network.fault("reply_lost");
                return Err(lost());
            }
        }
        answer
    }
}
