//! The registered vehicles, in memory: batch keys for the listener, records for enrichment.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use ed25519_dalek::VerifyingKey;
use outrider_ingest::KeyRing;
use outrider_model::{VehicleRecord, VehicleRegistry};
use outrider_types::{TenantId, VehicleId};
use outrider_wire::{SIGNATURE_BYTES, Verifier};

use crate::store::{FleetStore, Scope, StoreResult, VehicleEntry};

struct BatchKey(VerifyingKey);

impl Verifier for BatchKey {
    fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).is_ok()
    }
}

struct Entry {
    record: VehicleRecord,
    key: Option<Arc<dyn Verifier + Send + Sync>>,
    capabilities: Vec<String>,
}

/// Registered vehicles; a copy of what the store has, which other programs may have written too.
#[derive(Default)]
pub struct Directory {
    entries: RwLock<BTreeMap<VehicleId, Entry>>,
    /// Newest revision of the registry that has been read.
    revision: tokio::sync::Mutex<i64>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Directory({} vehicles)", self.len())
    }
}

impl Directory {
    /// Reads what was registered since the last call; returns how many vehicles that were.
    ///
    /// # Errors
    /// [`crate::store::StoreError::Database`]; nothing is taken over.
    pub async fn refresh<S: FleetStore + ?Sized>(&self, store: &S, scope: Scope) -> StoreResult<usize> {
        let mut revision = self.revision.lock().await;
        let (vehicles, newest) = store.registered_vehicles(scope, *revision).await?;
        let count = vehicles.len();
        self.put(vehicles);
        *revision = newest;
        Ok(count)
    }

    /// Adds vehicles or replaces what is known of them. A key that is none leaves the vehicle outside.
    pub fn put(&self, vehicles: impl IntoIterator<Item = VehicleEntry>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        for vehicle in vehicles {
            let key = vehicle.batch_key.and_then(|key| VerifyingKey::from_bytes(&key).ok());
            let key = key.filter(|key| !key.is_weak());
            let entry = Entry {
                record: vehicle.record,
                key: key.map(|key| Arc::new(BatchKey(key)) as Arc<dyn Verifier + Send + Sync>),
                capabilities: vehicle.capabilities,
            };
            entries.insert(entry.record.vehicle, entry);
        }
    }

    /// Returns the number of vehicles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns whether there is no vehicle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether a vehicle states that it can do something.
    #[must_use]
    pub fn is_capable(&self, vehicle: VehicleId, capability: &str) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&vehicle).is_some_and(|entry| entry.capabilities.iter().any(|word| word == capability))
    }
}

impl KeyRing for Directory {
    fn batch_key(&self, vehicle: VehicleId) -> Option<(TenantId, Arc<dyn Verifier + Send + Sync>)> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&vehicle)?;
        Some((entry.record.tenant, entry.key.clone()?))
    }
}

impl VehicleRegistry for Directory {
    fn vehicle(&self, vehicle: VehicleId) -> Option<VehicleRecord> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&vehicle).map(|entry| entry.record.clone())
    }
}
