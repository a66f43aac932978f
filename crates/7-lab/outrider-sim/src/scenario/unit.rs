//! One simulated vehicle: the real gateway on a flash device, with the truth about it beside.

use outrider_gateway::spool::{Audit, Boot, SoftwareAnchor, Spool, SpoolConfig, SpoolKeys, Verifying};
use outrider_gateway::uplink::{ExchangeError, Keys, Link, Transport, Uplink, UplinkConfig};
use outrider_gateway::{
    Ed25519Signer, Ed25519Verifier, FieldValue, Gateway, MemoryStorage, Outcome, SecurityEvent, fold,
};
use outrider_types::{BootEpoch, ClockFix, Lane, Seed, UnixMicros, VehicleId, VehicleMicros};
use outrider_wire::DropReason;
use outrider_wire::catalogue::{event, field};

use super::flash::{Cut, Flash, Hardware, Plug};
use super::ledger::{Ended, Ledger, Sight};
use super::plan::FlashPlan;
use crate::fleet::TENANT;

/// Frames sent in one contact; more wait for the next.
const FRAMES_MAX: u32 = 12;

/// Keys of the events that the gateway itself writes; sensors use lower ones.
pub(super) const OWN_KEY: u32 = 0xFFFF_0000;

/// What a contact brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Contact {
    pub(super) answered: u32,
    pub(super) freed: u64,
    pub(super) failed: bool,
    /// Replies that were not believed.
    pub(super) bad_replies: u64,
}

/// One vehicle.
pub(super) struct Unit {
    pub(super) vehicle: VehicleId,
    pub(super) profile: usize,
    /// Decides the contexts of its sights.
    pub(super) tag: u64,
    pub(super) ledger: Ledger,
    pub(super) hardware: Hardware,
    pub(super) config: SpoolConfig,
    /// Crystal error in parts per million; positive is fast.
    pub(super) drift_ppm: i64,
    /// Its critical lane is never so full that rows must go.
    pub(super) critical_kept: bool,
    secret: [u8; 32],
    root: [u8; 32],
    signer: Ed25519Signer,
    ack_key: [u8; 32],
    ack: Ed25519Verifier,
    flash: Plug,
    gateway: Option<Box<Gateway<Plug>>>,
    pub(super) epoch: BootEpoch,
    zero: UnixMicros,
    random: Seed,
    pub(super) boots: u64,
    pub(super) cuts: Cut,
    pub(super) cut_count: u64,
    /// Power went in the middle of a write.
    pub(super) torn_boots: u64,
    /// What the vehicle's own recovery said was wrong, by reason.
    pub(super) damage: Vec<&'static str>,
}

fn bytes32(seed: &mut Seed) -> [u8; 32] {
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&seed.next_u64().to_le_bytes());
    }
    bytes
}

impl Unit {
    pub(super) fn new(seed: Seed, profile: usize, flash: FlashPlan, ack_key: &[u8; 32]) -> Self {
        let mut random = seed;
        let (secret, root) = (bytes32(&mut random), bytes32(&mut random));
        let mut vehicle = VehicleId([0; 16]);
        vehicle.0.copy_from_slice(&bytes32(&mut random)[..16]);
        let hardware = Hardware::default();
        Self {
            vehicle,
            profile,
            tag: random.next_u64(),
            ledger: Ledger::default(),
            hardware: hardware.clone(),
            config: SpoolConfig {
                quota_bytes: flash.quota_bytes,
                segment_bytes: flash.segment_bytes,
                journal_bytes: flash.journal_bytes,
            },
            drift_ppm: 0,
            critical_kept: false,
            secret,
            root,
            signer: Ed25519Signer::new(&secret),
            ack_key: *ack_key,
            ack: Ed25519Verifier::new(ack_key).expect("the cloud's key is one"),
            flash: Plug::new(Flash::new(hardware)),
            gateway: None,
            epoch: BootEpoch(0),
            zero: UnixMicros(0),
            random: random.fork(1),
            boots: 0,
            cuts: Cut::default(),
            cut_count: 0,
            torn_boots: 0,
            damage: Vec::new(),
        }
    }

    /// Makes another vehicle of the same medium, keys and counter.
    pub(super) fn twin(&self) -> Self {
        let hardware = self.hardware.copied();
        let mut flash = Flash::new(hardware.clone());
        *flash.cells_mut() = self.flash().cells().clone();
        Self {
            vehicle: self.vehicle,
            profile: self.profile,
            tag: !self.tag,
            ledger: Ledger::default(),
            hardware,
            config: self.config,
            drift_ppm: 0,
            critical_kept: false,
            secret: self.secret,
            root: self.root,
            signer: Ed25519Signer::new(&self.secret),
            ack_key: self.ack_key,
            ack: Ed25519Verifier::new(&self.ack_key).expect("the cloud's key is one"),
            flash: Plug::new(flash),
            gateway: None,
            epoch: BootEpoch(0),
            zero: UnixMicros(0),
            random: self.random.fork(2),
            boots: 0,
            cuts: Cut::default(),
            cut_count: 0,
            torn_boots: 0,
            damage: Vec::new(),
        }
    }

    pub(super) fn verifier(&self) -> Ed25519Verifier {
        Ed25519Verifier::new(&self.signer.public_key()).expect("its own key is one")
    }

    pub(super) const fn is_on(&self) -> bool {
        self.gateway.is_some()
    }

    fn keys(&self) -> SpoolKeys {
        SpoolKeys::new(Box::new(Ed25519Signer::new(&self.secret)), self.secret, self.root)
    }

    fn mono(&self, at: UnixMicros) -> VehicleMicros {
        let passed = at.micros_since(self.zero);
        let drift = passed.saturating_mul(self.drift_ppm) / 1_000_000;
        VehicleMicros(u64::try_from(passed.saturating_add(drift)).unwrap_or(0))
    }

    /// Boots at a true time; `fuse` takes the power after so many written bytes. Returns whether it runs.
    pub(super) fn boot(&mut self, at: UnixMicros, fuse: Option<u64>) -> bool {
        if self.is_on() {
            return true;
        }
        self.hardware.set_off(false);
        self.flash.device().set_fuse(fuse);
        self.boots += 1;
        self.zero = at;
        let boot = Boot {
            floor: BootEpoch(1),
            salt: self.random.next_u64(),
            keys: self.keys(),
            anchor: Box::new(self.hardware.clone()),
        };
        let Ok((spool, recovery)) = Spool::open(self.flash.clone(), self.config, boot) else {
            // Only for want of power: no boot came of it.
            self.torn_boots += 1;
            self.lose_power();
            return false;
        };
        self.epoch = spool.epoch();
        let config = UplinkConfig::new(TENANT, self.vehicle, 1);
        let uplink = Uplink::new(config, Seed::new(self.random.next_u64()))
            .expect("the dictionary is part of the program");
        self.gateway = Some(Box::new(Gateway::new(fold::FoldConfig::default(), spool, uplink)));
        self.ledger.begin(self.epoch);
        self.note_losses();
        self.own(event::GATEWAY_BOOT, None, at);
        if let Some(reason) = recovery.damage() {
            self.damage.push(reason);
            self.own(event::GATEWAY_SPOOL_CORRUPTION, Some(reason), at);
        }
        self.check_power(at)
    }

    /// An event of the gateway itself.
    fn own(&mut self, kind: outrider_types::EventTypeId, reason: Option<&'static str>, at: UnixMicros) {
        let lane = outrider_wire::catalogue::defaults(kind).map_or(Lane::Batched, |defaults| defaults.lane);
        let key = OWN_KEY + u32::from(kind.0);
        let mono = self.mono(at);
        let sight = Sight { lane, key, at };
        let Some(seen) = self.ledger.sight(self.epoch, self.tag, mono, sight) else { return };
        let mut event = SecurityEvent { event_type: kind, ..seen };
        event.fields.clear();
        if let Some(reason) = reason {
            event = event.with(field::REASON, FieldValue::Text(reason.to_owned()));
        }
        self.receive(event, at);
    }

    /// A sensor sees something.
    pub(super) fn sight(&mut self, lane: Lane, key: u32, at: UnixMicros) -> bool {
        let mono = self.mono(at);
        let sight = Sight { lane, key, at };
        let Some(event) = self.ledger.sight(self.epoch, self.tag, mono, sight) else { return false };
        self.receive(event, at);
        self.check_power(at)
    }

    fn receive(&mut self, event: SecurityEvent, at: UnixMicros) {
        let now = self.mono(at).max(event.first);
        let Some(gateway) = &mut self.gateway else { return };
        let outcome = gateway.receive(event, now);
        self.note(&outcome);
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, at: UnixMicros) -> bool {
        let now = self.mono(at);
        let Some(gateway) = &mut self.gateway else { return false };
        let outcome = gateway.tick(now);
        self.note(&outcome);
        self.check_power(at)
    }

    pub(super) fn add_fix(&mut self, mut fix: ClockFix, at: UnixMicros) -> bool {
        fix.mono = self.mono(at);
        if let Some(gateway) = &mut self.gateway {
            // A fix that the medium does not take is used all the same.
            let _ = gateway.add_fix(fix);
        }
        self.check_power(at)
    }

    fn note(&mut self, outcome: &Outcome) {
        let powered = !self.hardware.is_off();
        self.ledger.numbered(self.epoch, &outcome.rows, powered);
        if powered && self.is_clean() {
            self.ledger.promised(self.epoch);
        }
    }

    /// Returns whether all that was written is durable.
    pub(super) fn is_clean(&self) -> bool {
        self.flash.device().is_clean()
    }

    pub(super) fn waits_in_folding(&self) -> bool {
        self.gateway.as_ref().is_some_and(|gateway| gateway.fold_balance().waiting > 0)
    }

    /// Makes the device refuse to write, or take writes again.
    pub(super) fn set_refuses(&mut self, refuses: bool) {
        self.flash.device().set_refuses(refuses);
        if let Some(boot) = self.ledger.boots.get_mut(&self.epoch).filter(|_| refuses) {
            boot.was_refused = true;
        }
    }

    /// Sends what is due.
    pub(super) fn contact(&mut self, transport: &mut dyn Transport, link: Link, at: UnixMicros) -> Contact {
        if !self.tick(at) {
            return Contact { failed: true, ..Contact::default() };
        }
        self.note_losses();
        let now = self.mono(at);
        let Some(gateway) = &mut self.gateway else { return Contact::default() };
        gateway.set_link(link);
        let before = gateway.uplink_counters().bad_replies;
        let keys = Keys { batch: &self.signer, ack: &self.ack };
        let report = gateway.exchange(transport, keys, now, FRAMES_MAX);
        let bad_replies = gateway.uplink_counters().bad_replies - before;
        if !self.hardware.is_off() && self.is_clean() {
            self.ledger.promised(self.epoch);
        }
        let failed = matches!(
            report.error,
            Some(ExchangeError::Build(_) | ExchangeError::Transport(_) | ExchangeError::Reply(_))
        );
        self.check_power(at);
        Contact { answered: report.answered, freed: report.freed, failed, bad_replies }
    }

    /// Returns whether there is something to send over a link.
    pub(super) fn has_more(&self, link: Link) -> bool {
        let Some(gateway) = &self.gateway else { return false };
        let spool = gateway.spool();
        let lanes: &[Lane] = match link {
            Link::Metered => &[Lane::Critical, Lane::Batched],
            Link::Unmetered | Link::Workshop => &Lane::ALL,
        };
        spool.lost_boots().next().is_some()
            || spool.epochs().into_iter().any(|epoch| {
                lanes.iter().any(|lane| spool.next_held(epoch, *lane, 0).is_some())
                    || (epoch != spool.epoch() && spool.is_unreported(epoch))
            })
    }

    /// Returns whether the cloud has acknowledged everything, down to the last counter.
    pub(super) fn is_told(&self) -> bool {
        let Some(gateway) = &self.gateway else { return false };
        let spool = gateway.spool();
        spool.lost_boots().next().is_none()
            && spool.epochs().into_iter().all(|epoch| {
                !spool.is_unreported(epoch)
                    && Lane::ALL.iter().all(|lane| spool.next_held(epoch, *lane, 0).is_none())
            })
    }

    /// Copies what the vehicle says it lost into the ledger, before an acknowledgement lets it forget.
    fn note_losses(&mut self) {
        let Some(gateway) = &self.gateway else { return };
        let spool = gateway.spool();
        for epoch in spool.epochs() {
            for tombstone in spool.tombstones(epoch) {
                let known = self.ledger.tombstones.entry((epoch, tombstone.lane)).or_default();
                if known.last() != Some(tombstone) && !known.contains(tombstone) {
                    known.retain(|old| {
                        !(tombstone.range.contains(old.range.first())
                            && tombstone.range.contains(old.range.last()))
                    });
                    known.push(tombstone.clone());
                }
            }
            for gap in spool.gaps(epoch).filter(|gap| gap.reason == Some(DropReason::Corrupt)) {
                let known = self.ledger.corrupt.entry((epoch, gap.lane)).or_default();
                let range = (gap.range.first().0, gap.range.last().0);
                if !known.contains(&range) {
                    known.push(range);
                }
            }
        }
        for lane in Lane::ALL {
            let Some((_, drops)) = spool.head(self.epoch, lane) else { continue };
            let numbered = |reason| matches!(reason, Some(DropReason::Evicted | DropReason::Corrupt));
            let refused = drops.iter().filter(|drop| !numbered(drop.reason)).map(|drop| drop.count).sum();
            if let Some(boot) = self.ledger.boots.get_mut(&self.epoch) {
                boot.refused.insert(lane, refused);
            }
        }
    }

    /// Shuts down in order.
    pub(super) fn shut_down(&mut self, at: UnixMicros) {
        let Some(gateway) = &mut self.gateway else { return };
        let outcome = gateway.shut_down();
        let synced = outcome.sync_error.is_none();
        self.note(&outcome);
        if !self.check_power(at) {
            return;
        }
        self.note_losses();
        self.note_received();
        let ended = if synced && self.is_clean() { Ended::Clean } else { Ended::Cut(self.mono(at).0) };
        self.ledger.end(self.epoch, ended);
        if synced {
            self.flash.device().settle();
        }
        self.gateway = None;
        self.hardware.set_off(true);
    }

    /// Notes what the gateway says it received in this boot, for BAL-1.
    fn note_received(&mut self) {
        let Some(gateway) = &self.gateway else { return };
        let spool = gateway.spool();
        let received: Vec<(Lane, u64)> = Lane::ALL
            .into_iter()
            .filter_map(|lane| Some((lane, spool.head(self.epoch, lane)?.0.received)))
            .collect();
        if let Some(boot) = self.ledger.boots.get_mut(&self.epoch) {
            boot.received = received.into_iter().collect();
        }
    }

    /// Takes the power away now.
    pub(super) fn cut(&mut self, at: UnixMicros) {
        if self.gateway.is_some() {
            self.hardware.set_off(true);
            self.check_power(at);
        }
    }

    /// Ends the boot if power went in the meantime; returns whether the vehicle still runs.
    fn check_power(&mut self, at: UnixMicros) -> bool {
        if !self.hardware.is_off() {
            return self.is_on();
        }
        let mono = self.mono(at).0;
        if self.gateway.take().is_none() {
            return false;
        }
        self.ledger.end(self.epoch, Ended::Cut(mono));
        self.lose_power();
        false
    }

    fn lose_power(&mut self) {
        let cut = self.flash.device().cut(&mut self.random);
        self.cut_count += 1;
        self.cuts.lost += cut.lost;
        self.cuts.torn += cut.torn;
        self.cuts.reordered += cut.reordered;
    }

    /// Returns the device.
    pub(super) fn flash(&self) -> std::sync::MutexGuard<'_, Flash> {
        self.flash.device()
    }

    /// Returns the bytes written so far.
    pub(super) fn bytes_written(&self) -> u64 {
        self.flash.device().bytes_written
    }

    /// Returns what a verifier with K0 finds on the medium, while the vehicle is off.
    pub(super) fn audit(&self) -> Option<Audit> {
        let flash = self.flash.device();
        let device = self.verifier();
        let with = Verifying {
            secret: self.secret,
            root: self.root,
            device: &device,
            counter: Some(self.hardware.counter()),
            anchor: None,
        };
        Audit::of(flash.cells(), self.config, &with).ok()
    }

    /// Writes a medium with a false history: the vehicle's secret and device key are real, K0 is the forger's own.
    pub(super) fn forged_history(&self, random: &mut Seed) -> MemoryStorage {
        let anchor = SoftwareAnchor::in_memory(self.hardware.counter());
        let keys = SpoolKeys::new(Box::new(Ed25519Signer::new(&self.secret)), self.secret, bytes32(random));
        let boot = Boot { floor: BootEpoch(1), salt: random.next_u64(), keys, anchor: Box::new(anchor) };
        let (mut spool, _) =
            Spool::open(MemoryStorage::new(), self.config, boot).expect("memory takes everything");
        for number in 0..40 {
            let mut event = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(number));
            event.lane = Lane::Batched;
            event.context = number.to_le_bytes().to_vec();
            spool.append(&event).expect("an empty spool has room");
        }
        spool.sync().expect("memory takes everything");
        spool.into_storage()
    }
}
