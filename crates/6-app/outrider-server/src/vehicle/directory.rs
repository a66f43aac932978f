//! The registered vehicles, in memory: who is let in, batch keys for the listener, records for enrichment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use outrider_ingest::KeyRing;
use outrider_model::{VehicleRecord, VehicleRegistry};
use outrider_types::{BootEpoch, TenantId, UnixMicros, VehicleId};
use outrider_wire::Verifier;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;

use super::batch_key::{AnyOf, verifier};
use super::ca::Serial;
use super::snapshot::Snapshot;
use crate::api::dto::VehicleState;
use crate::store::{
    BatchKey, EnrolmentStore, FleetStore, IdentityChanges, RegistryMark, Scope, StoreResult, VehicleEntry,
};

type Key = Arc<dyn Verifier + Send + Sync>;

/// Keys of a vehicle that has some.
struct Device {
    key: Option<Key>,
    /// Vouches for its anchor.
    anchor: Option<Key>,
}

/// Vehicles read at once; a writer holds the lock for some milliseconds each time.
const PAGE: u32 = 2000;

/// Vehicles without registration that are remembered: enough to see that a registry file is missing.
const STRANGERS_MAX: usize = 1000;

/// Vehicle that came without being registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stranger {
    /// Sessions that were refused.
    pub refusals: u64,
    /// When it came first.
    pub first: UnixMicros,
    /// When it came last.
    pub last: UnixMicros,
}

/// What a client certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Vehicle of its common name.
    pub vehicle: VehicleId,
    /// Serial.
    pub serial: Serial,
    /// End of its validity.
    pub not_after: UnixMicros,
}

/// Why a vehicle is not let in, although its certificate comes from a trusted CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody registered the vehicle.
    #[error("the vehicle is not registered")]
    Unknown,
    /// Somebody keeps it out for now.
    #[error("the vehicle is suspended")]
    Suspended,
    /// Its keys are not trusted any more.
    #[error("the vehicle is revoked")]
    Revoked,
    /// It has ended.
    #[error("the vehicle is retired")]
    Retired,
    /// This certificate is not trusted any more.
    #[error("the certificate is revoked")]
    CertificateRevoked,
    /// It ended while the session ran.
    #[error("the certificate has expired")]
    CertificateExpired,
}

impl Denied {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unknown => "vehicle.unknown",
            Self::Suspended => "vehicle.suspended",
            Self::Revoked => "vehicle.revoked",
            Self::Retired => "vehicle.retired",
            Self::CertificateRevoked => "certificate.revoked",
            Self::CertificateExpired => "certificate.expired",
        }
    }
}

#[derive(Default)]
struct Known {
    registry: Snapshot,
    devices: BTreeMap<VehicleId, Device>,
    /// States of vehicles that were ever moved into one.
    states: BTreeMap<VehicleId, VehicleState>,
    revoked: BTreeSet<Serial>,
    /// Keys registered by rotation, by first boot.
    rotated: BTreeMap<VehicleId, BTreeMap<BootEpoch, Key>>,
}

/// Registered vehicles; a copy of what the store has, which other programs may have written too.
pub struct Directory {
    known: RwLock<Known>,
    /// Newest revisions of the registry and of the identities that have been read.
    revisions: tokio::sync::Mutex<(RegistryMark, i64)>,
    /// Vehicles that came without being registered.
    strangers: Mutex<BTreeMap<VehicleId, Stranger>>,
    /// Counts changes of identities, so that running sessions look again.
    changes: watch::Sender<u64>,
    /// Verifies what the edge wrote into the event log of short frames.
    edge: RwLock<Option<Arc<dyn Verifier + Send + Sync>>>,
}

impl Default for Directory {
    fn default() -> Self {
        let (known, revisions) = (RwLock::default(), tokio::sync::Mutex::default());
        let strangers = Mutex::default();
        Self { known, revisions, strangers, changes: watch::Sender::new(0), edge: RwLock::default() }
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Directory({} vehicles)", self.len())
    }
}

impl Directory {
    /// Reads what was registered or changed since the last call; returns how many vehicles were registered.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Database`]; what was read before is taken over, and the next call goes on behind it.
    pub async fn refresh<S: FleetStore + EnrolmentStore + ?Sized>(
        &self,
        store: &S,
        scope: Scope,
    ) -> StoreResult<usize> {
        let mut revisions = self.revisions.lock().await;
        // First who is kept out: a vehicle must not be let in before its state is known.
        let changes = store.identity_changes(scope, revisions.1).await?;
        let identities = changes.newest;
        if identities != revisions.1 {
            self.change(changes);
            revisions.1 = identities;
        }
        let mut count = 0;
        loop {
            let (vehicles, mark) = store.registered_vehicles(scope, revisions.0, PAGE).await?;
            if vehicles.is_empty() {
                return Ok(count);
            }
            count += vehicles.len();
            self.put(vehicles);
            revisions.0 = mark;
        }
    }

    /// Adds vehicles or replaces what is known of them. A key that is none leaves the vehicle outside.
    pub fn put(&self, vehicles: impl IntoIterator<Item = VehicleEntry>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for vehicle in vehicles {
            let key = vehicle.batch_key.and_then(verifier);
            let anchor = vehicle.anchor_key.map(BatchKey::EcdsaP256).and_then(verifier);
            if key.is_none() && anchor.is_none() {
                known.devices.remove(&vehicle.record.vehicle);
            } else {
                known.devices.insert(vehicle.record.vehicle, Device { key, anchor });
            }
            known.registry.put(vehicle.record, vehicle.capabilities);
        }
    }

    /// Sets the public key of the edge's records; one that is none leaves them unbelieved.
    pub fn set_edge_key(&self, public: &[u8; 32]) {
        let key = verifier(BatchKey::Ed25519(*public));
        *self.edge.write().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// Takes up states, revocations and keys, and has running sessions look again.
    fn change(&self, changes: IdentityChanges) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.states.extend(changes.states);
        known.revoked.extend(changes.revoked);
        for stored in changes.keys {
            if let Some(key) = verifier(stored.key.into()) {
                known.rotated.entry(stored.vehicle).or_default().insert(stored.from, key);
            }
        }
        drop(known);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Says whether a session that begins, with a certificate that TLS has verified, is let in. Every listener asks this
    /// once a session, and [`Self::still_admits`] again when [`Self::changes`] says so and before each frame.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn admit(&self, session: &Admitted, now: UnixMicros) -> Result<(), Denied> {
        let outcome = self.still_admits(session, now);
        if outcome == Err(Denied::Unknown) {
            self.note_stranger(session.vehicle, now);
        }
        outcome
    }

    /// Remembers a vehicle that came without being registered; the one that has not come for longest gives way.
    fn note_stranger(&self, vehicle: VehicleId, now: UnixMicros) {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        if !strangers.contains_key(&vehicle) && strangers.len() >= STRANGERS_MAX {
            let oldest = strangers.iter().min_by_key(|(_, stranger)| stranger.last).map(|(id, _)| *id);
            oldest.map(|id| strangers.remove(&id));
        }
        let stranger = strangers.entry(vehicle).or_insert(Stranger { refusals: 0, first: now, last: now });
        stranger.refusals += 1;
        stranger.last = now;
    }

    /// Returns the vehicles that came since the start without being registered and are not yet, in order.
    #[must_use]
    pub fn strangers(&self) -> Vec<(VehicleId, Stranger)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = strangers.iter().filter(|(id, _)| !known.registry.contains(**id));
        unknown.map(|(id, stranger)| (*id, *stranger)).collect()
    }

    /// Says whether a session may go on.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn still_admits(&self, admitted: &Admitted, now: UnixMicros) -> Result<(), Denied> {
        self.is_in(admitted.vehicle)?;
        if now > admitted.not_after {
            return Err(Denied::CertificateExpired);
        }
        self.is_trusted(&admitted.serial)
    }

    /// Says whether a certificate is not revoked.
    ///
    /// # Errors
    /// [`Denied::CertificateRevoked`].
    pub fn is_trusted(&self, serial: &Serial) -> Result<(), Denied> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.revoked.contains(serial) { Err(Denied::CertificateRevoked) } else { Ok(()) }
    }

    /// Says whether a vehicle is registered and active, whatever its certificate.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn is_in(&self, vehicle: VehicleId) -> Result<(), Denied> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if !known.registry.contains(vehicle) {
            return Err(Denied::Unknown);
        }
        match known.states.get(&vehicle).copied().unwrap_or(VehicleState::Active) {
            VehicleState::Active => Ok(()),
            VehicleState::Suspended => Err(Denied::Suspended),
            VehicleState::Revoked => Err(Denied::Revoked),
            VehicleState::Retired => Err(Denied::Retired),
        }
    }

    /// Returns the active vehicles of a platform that state that they can be configured, in order.
    #[must_use]
    pub fn configurable(&self, platform: &str) -> Vec<VehicleId> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let is_active = |vehicle: &VehicleId| {
            known.states.get(vehicle).is_none_or(|state| *state == VehicleState::Active)
        };
        known.registry.of_platform(platform, "configure").filter(is_active).collect()
    }

    /// Returns a sign of each change of identities, for running sessions.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Returns whether a vehicle is registered, whatever its state.
    #[must_use]
    pub fn is_registered(&self, vehicle: VehicleId) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).registry.contains(vehicle)
    }

    /// Returns the number of vehicles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).registry.len()
    }

    /// Returns the bytes that the registered vehicles take in memory, without what they share.
    #[must_use]
    pub fn registry_bytes(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).registry.size().0
    }

    /// Returns whether there is no vehicle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether a vehicle states that it can do something.
    #[must_use]
    pub fn is_capable(&self, vehicle: VehicleId, capability: &str) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.registry.is_capable(vehicle, capability)
    }

    /// Returns the keys of a vehicle that may sign rows of a boot, newest first: none that a later key had replaced
    /// by then. A later key may sign for an earlier boot, since rows wait in the spool over a restart.
    fn keys(&self, vehicle: VehicleId, epoch: BootEpoch) -> Option<(TenantId, Vec<Key>)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let tenant = known.registry.tenant(vehicle)?;
        let mut keys = Vec::new();
        let mut is_replaced = false;
        for (from, key) in known.rotated.get(&vehicle).into_iter().flatten().rev() {
            keys.push(key.clone());
            is_replaced = *from <= epoch;
            if is_replaced {
                break;
            }
        }
        if !is_replaced {
            keys.extend(known.devices.get(&vehicle).and_then(|device| device.key.clone()));
        }
        if keys.is_empty() { None } else { Some((tenant, keys)) }
    }
}

impl KeyRing for Directory {
    fn batch_key(&self, vehicle: VehicleId) -> Option<(TenantId, Arc<dyn Verifier + Send + Sync>)> {
        self.batch_key_at(vehicle, BootEpoch(0))
    }

    fn batch_key_at(
        &self,
        vehicle: VehicleId,
        epoch: BootEpoch,
    ) -> Option<(TenantId, Arc<dyn Verifier + Send + Sync>)> {
        let (tenant, keys) = self.keys(vehicle, epoch)?;
        Some((tenant, Arc::new(AnyOf(keys))))
    }

    fn anchor_key(&self, vehicle: VehicleId) -> Option<Arc<dyn Verifier + Send + Sync>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.devices.get(&vehicle)?.anchor.clone()
    }

    fn edge_key(&self) -> Option<Arc<dyn Verifier + Send + Sync>> {
        self.edge.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl VehicleRegistry for Directory {
    fn vehicle(&self, vehicle: VehicleId) -> Option<VehicleRecord> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.registry.record(vehicle)
    }
}

/// Reads what a client certificate says: its common name is 32 hexadecimal digits.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Option<Admitted> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut common = parsed.subject().iter_common_name();
    let name = common.next()?.as_str().ok()?;
    // Two names would leave open which one was meant.
    if common.next().is_some() {
        return None;
    }
    let micros = parsed.validity().not_after.timestamp().checked_mul(1_000_000);
    let serial = Serial::of_der(parsed.raw_serial());
    Some(Admitted { vehicle: name.parse().ok()?, serial, not_after: UnixMicros(micros.unwrap_or(i64::MAX)) })
}
