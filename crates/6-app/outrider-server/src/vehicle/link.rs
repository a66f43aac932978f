//! What is known of the vehicles' connections: who is connected, what was counted, what looks wrong.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outrider_types::VehicleId;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use utoipa::ToSchema;

use super::admission::{VehicleRate, VehicleRates};

/// Something about a connection that an analyst should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkFinding {
    /// Two peers throw each other out with the same certificate: one of them has stolen it, or it was copied.
    CertificateInTwoPlaces {
        /// Whose certificate it is.
        vehicle: VehicleId,
        /// Address of the session that was taken over.
        before: IpAddr,
        /// Address of the session that took over.
        after: IpAddr,
        /// Takeovers from another address within the last minute.
        takeovers: u32,
    },
}

/// Findings that wait for whoever turns them into alerts; further ones are counted only.
const FINDINGS_MAX: usize = 256;
/// Takeovers from another address within [`PLACES_WINDOW`] that make a finding. One is a vehicle that changed from Wi-Fi
/// to mobile; a second one may be its way back.
const TAKEOVERS_MIN: usize = 3;
/// How long a takeover counts.
const PLACES_WINDOW: Duration = Duration::from_secs(60);
/// Vehicles whose takeovers are remembered; the longest quiet one is forgotten first.
const PLACES_MAX: usize = 10_000;

/// Finds certificates that are used from two places alternately; pure.
#[derive(Debug, Default)]
pub struct Places {
    takeovers: BTreeMap<VehicleId, Vec<Duration>>,
}

impl Places {
    /// Takes note of a takeover from another address; returns the number within the last minute if it makes a finding.
    /// After a finding the count begins again, so that a fight makes one finding in three takeovers.
    pub fn take_over(&mut self, vehicle: VehicleId, now: Duration) -> Option<u32> {
        if self.takeovers.len() >= PLACES_MAX && !self.takeovers.contains_key(&vehicle) {
            self.takeovers
                .retain(|_, times| times.last().is_some_and(|&at| now.saturating_sub(at) < PLACES_WINDOW));
            // Ten thousand fights within a minute: the oldest is as good to lose as any.
            if self.takeovers.len() >= PLACES_MAX {
                self.takeovers.pop_first();
            }
        }
        let times = self.takeovers.entry(vehicle).or_default();
        times.retain(|&at| now.saturating_sub(at) < PLACES_WINDOW);
        times.push(now);
        let count = times.len();
        if count < TAKEOVERS_MIN {
            return None;
        }
        self.takeovers.remove(&vehicle);
        u32::try_from(count).ok()
    }
}

/// Counters of the vehicles' connections; a DTO of the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VehicleLinkStatus {
    /// MQTT sessions open now.
    pub sessions: u64,
    /// Full TLS handshakes since the start of the program, both listeners.
    pub handshakes_full: u64,
    /// Resumed TLS handshakes.
    pub handshakes_resumed: u64,
    /// Handshakes that failed or took too long.
    pub handshakes_failed: u64,
    /// Connections closed before the handshake, because too many came at once.
    pub handshakes_refused: u64,
    /// MQTT packets received, by kind.
    pub packets: BTreeMap<String, u64>,
    /// Sessions refused or ended, by reason, and frames that waited for their rate.
    pub refusals: BTreeMap<String, u64>,
    /// Replies not sent because the client takes no packet of that length.
    pub replies_unsent: u64,
    /// Findings about connections: certificates used from two places.
    pub findings: u64,
    /// Frames that came over a broker, if one is connected; `None` without a broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_frames: Option<u64>,
}

/// Kinds of packets, by type number.
const KINDS: [&str; 16] = [
    "reserved",
    "connect",
    "connack",
    "publish",
    "puback",
    "pubrec",
    "pubrel",
    "pubcomp",
    "subscribe",
    "suback",
    "unsubscribe",
    "unsuback",
    "pingreq",
    "pingresp",
    "disconnect",
    "auth",
];

/// A session as the others see it.
#[derive(Debug)]
pub(super) struct Handle {
    serial: u64,
    address: IpAddr,
    /// Rung when the session was taken over or a command waits.
    pub(super) bell: Notify,
    /// What the bell means: bits of [`TAKEN_OVER`] and [`COMMAND_WAITS`].
    signs: AtomicU64,
}

/// The session has a successor.
pub(super) const TAKEN_OVER: u64 = 1;
/// A command waits for the vehicle.
pub(super) const COMMAND_WAITS: u64 = 2;

impl Handle {
    /// Returns what the bell was rung for, and forgets it.
    pub(super) fn signs(&self) -> u64 {
        self.signs.swap(0, Ordering::AcqRel)
    }

    fn ring(&self, sign: u64) {
        self.signs.fetch_or(sign, Ordering::AcqRel);
        self.bell.notify_one();
    }
}

#[derive(Debug, Default)]
struct Known {
    sessions: BTreeMap<VehicleId, Arc<Handle>>,
    serial: u64,
    places: Places,
    findings: Vec<LinkFinding>,
    refusals: BTreeMap<&'static str, u64>,
}

/// All connections of vehicles.
#[derive(Debug)]
pub struct Links {
    known: Mutex<Known>,
    rates: Mutex<VehicleRates>,
    packets: [AtomicU64; 16],
    pub(super) handshakes_full: AtomicU64,
    pub(super) handshakes_resumed: AtomicU64,
    pub(super) handshakes_failed: AtomicU64,
    pub(super) handshakes_refused: AtomicU64,
    findings: AtomicU64,
    unsent: AtomicU64,
    broker_frames: AtomicU64,
    has_broker: std::sync::atomic::AtomicBool,
    begun: std::time::Instant,
}

impl Default for Links {
    fn default() -> Self {
        Self::new(VehicleRate::default())
    }
}

impl Links {
    /// Creates the registry with what each vehicle may send.
    #[must_use]
    pub fn new(rate: VehicleRate) -> Self {
        Self {
            known: Mutex::default(),
            rates: Mutex::new(VehicleRates::new(rate)),
            packets: Default::default(),
            handshakes_full: AtomicU64::new(0),
            handshakes_resumed: AtomicU64::new(0),
            handshakes_failed: AtomicU64::new(0),
            handshakes_refused: AtomicU64::new(0),
            findings: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            broker_frames: AtomicU64::new(0),
            has_broker: std::sync::atomic::AtomicBool::new(false),
            begun: std::time::Instant::now(),
        }
    }

    /// Returns the time since the registry was made, which nothing sets back.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a frame of a vehicle in, or says how long it should wait.
    ///
    /// # Errors
    /// The time to wait.
    pub fn admit(&self, vehicle: VehicleId, frame_bytes: usize) -> Result<(), Duration> {
        let now = self.now();
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).admit(vehicle, frame_bytes, now)
    }

    /// Enters a session; the vehicle's older one is told to end.
    pub(super) fn enter(&self, vehicle: VehicleId, address: IpAddr) -> Arc<Handle> {
        let now = self.now();
        let mut known = self.known();
        known.serial += 1;
        let handle =
            Arc::new(Handle { serial: known.serial, address, bell: Notify::new(), signs: AtomicU64::new(0) });
        if let Some(older) = known.sessions.insert(vehicle, Arc::clone(&handle)) {
            older.ring(TAKEN_OVER);
            let is_elsewhere = older.address != address;
            if is_elsewhere && let Some(takeovers) = known.places.take_over(vehicle, now) {
                let (before, after) = (older.address, address);
                let finding = LinkFinding::CertificateInTwoPlaces { vehicle, before, after, takeovers };
                self.raise(&mut known, finding);
            }
        }
        handle
    }

    fn raise(&self, known: &mut Known, finding: LinkFinding) {
        // Addresses are personal data of the vehicle's user and not for the log.
        tracing::warn!(error.code = "link.two_places", "a certificate is used from two places");
        self.findings.fetch_add(1, Ordering::Relaxed);
        if known.findings.len() < FINDINGS_MAX {
            known.findings.push(finding);
        }
    }

    /// Takes what was found since the last call, oldest first; at most 256 wait.
    #[must_use]
    pub fn take_findings(&self) -> Vec<LinkFinding> {
        std::mem::take(&mut self.known().findings)
    }

    /// Removes a session unless it has a successor.
    pub(super) fn leave(&self, vehicle: VehicleId, handle: &Handle) {
        let mut known = self.known();
        if known.sessions.get(&vehicle).is_some_and(|current| current.serial == handle.serial) {
            known.sessions.remove(&vehicle);
        }
    }

    /// Tells a vehicle's session, if it has one, that a command waits.
    pub fn wake(&self, vehicle: VehicleId) {
        if let Some(handle) = self.known().sessions.get(&vehicle) {
            handle.ring(COMMAND_WAITS);
        }
    }

    /// Returns whether a vehicle may have a session if there are `sessions_max` at most: the successor of a session
    /// takes its place.
    pub(super) fn has_place(&self, vehicle: VehicleId, sessions_max: usize) -> bool {
        let known = self.known();
        known.sessions.len() < sessions_max || known.sessions.contains_key(&vehicle)
    }

    /// Returns the number of sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.known().sessions.len()
    }

    pub(super) fn count_packet(&self, first: u8) {
        self.packets[usize::from(first >> 4)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a refusal by its word, which is from a closed list.
    pub(super) fn count_refusal(&self, word: &'static str) {
        *self.known().refusals.entry(word).or_default() += 1;
    }

    pub(super) fn count_unsent(&self, count: u64) {
        self.unsent.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn count_broker_frame(&self) {
        self.has_broker.store(true, Ordering::Relaxed);
        self.broker_frames.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_broker(&self) {
        self.has_broker.store(true, Ordering::Relaxed);
    }

    /// Returns all counters.
    #[must_use]
    pub fn status(&self) -> VehicleLinkStatus {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let packets = KINDS.iter().zip(&self.packets).filter(|(_, count)| read(count) > 0);
        let known = self.known();
        VehicleLinkStatus {
            sessions: known.sessions.len() as u64,
            handshakes_full: read(&self.handshakes_full),
            handshakes_resumed: read(&self.handshakes_resumed),
            handshakes_failed: read(&self.handshakes_failed),
            handshakes_refused: read(&self.handshakes_refused),
            packets: packets.map(|(kind, count)| ((*kind).to_owned(), read(count))).collect(),
            refusals: known.refusals.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect(),
            replies_unsent: read(&self.unsent),
            findings: read(&self.findings),
            broker_frames: self.has_broker.load(Ordering::Relaxed).then(|| read(&self.broker_frames)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VEHICLE: VehicleId = VehicleId([7; 16]);

    #[test]
    fn three_takeovers_within_a_minute_are_a_finding_and_two_are_a_drive() {
        let mut places = Places::default();
        let at = Duration::from_secs;
        assert_eq!(places.take_over(VEHICLE, at(0)), None);
        assert_eq!(places.take_over(VEHICLE, at(30)), None);
        assert_eq!(places.take_over(VEHICLE, at(60)), None, "the first is a minute old");
        assert_eq!(places.take_over(VEHICLE, at(61)), Some(3));
        assert_eq!(places.take_over(VEHICLE, at(62)), None, "the count begins again");
    }

    #[test]
    fn a_newer_session_ends_the_older_and_only_the_newer_leaves_the_list() {
        let links = Links::default();
        let (home, away) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
        let first = links.enter(VEHICLE, home);
        let second = links.enter(VEHICLE, away);
        assert_eq!((first.signs(), second.signs()), (TAKEN_OVER, 0));
        links.leave(VEHICLE, &first);
        assert_eq!(links.sessions(), 1);
        links.wake(VEHICLE);
        assert_eq!(second.signs(), COMMAND_WAITS);
        let third = links.enter(VEHICLE, home);
        assert_eq!(links.take_findings(), Vec::new());
        let _fourth = links.enter(VEHICLE, away);
        let finding =
            LinkFinding::CertificateInTwoPlaces { vehicle: VEHICLE, before: home, after: away, takeovers: 3 };
        assert_eq!(links.take_findings(), vec![finding]);
        assert_eq!((links.status().findings, links.take_findings().len()), (1, 0));
        links.leave(VEHICLE, &third);
        assert_eq!(links.sessions(), 1, "the third was not the newest");
    }

    #[test]
    fn a_vehicle_that_reconnects_from_its_own_address_is_no_finding() {
        let links = Links::default();
        for _ in 0..10 {
            let _session = links.enter(VEHICLE, IpAddr::from([10, 0, 0, 1]));
        }
        assert_eq!(links.status().findings, 0);
    }
}
