//! The registered vehicles, in memory: batch keys for the listener, records for enrichment.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use ed25519_dalek::VerifyingKey;
use outrider_ingest::KeyRing;
use outrider_model::{VehicleRecord, VehicleRegistry};
use outrider_types::{TenantId, VehicleId};
use outrider_wire::{SIGNATURE_BYTES, Suite, Verifier};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use crate::store::{BatchKey, FleetStore, Scope, StoreResult, VehicleEntry};

struct Ed25519Key(VerifyingKey);

impl Verifier for Ed25519Key {
    fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).is_ok()
    }
}

/// Half of the order of P-256, rounded down, big endian: one signature has one spelling, with s not above this.
const HALF_ORDER: [u8; 32] = [
    0x7F, 0xFF, 0xFF, 0xFF, 0x80, 0x00, 0x00, 0x00, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xDE,
    0x73, 0x7D, 0x56, 0xD3, 0x8B, 0xCF, 0x42, 0x79, 0xDC, 0xE5, 0x61, 0x7E, 0x31, 0x92, 0xA8,
];

struct P256Key([u8; 65]);

impl Verifier for P256Key {
    fn suite(&self) -> Suite {
        Suite::EcdsaP256
    }

    fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let is_low = signature.last_chunk::<32>().is_some_and(|s| *s <= HALF_ORDER);
        is_low && UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.0).verify(message, signature).is_ok()
    }
}

/// Returns what checks signatures of a registered key; `None` if it is no key of its kind.
fn verifier(key: BatchKey) -> Option<Arc<dyn Verifier + Send + Sync>> {
    match key {
        BatchKey::Ed25519(key) => {
            let key = VerifyingKey::from_bytes(&key).ok().filter(|key| !key.is_weak())?;
            Some(Arc::new(Ed25519Key(key)))
        }
        BatchKey::EcdsaP256(point) if point.first() == Some(&4) => Some(Arc::new(P256Key(point))),
        BatchKey::EcdsaP256(_) => None,
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
    /// Verifies what the edge wrote into the event log of short frames.
    edge: RwLock<Option<Arc<dyn Verifier + Send + Sync>>>,
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
            let entry = Entry {
                record: vehicle.record,
                key: vehicle.batch_key.and_then(verifier),
                capabilities: vehicle.capabilities,
            };
            entries.insert(entry.record.vehicle, entry);
        }
    }

    /// Sets the public key of the edge's records; one that is none leaves them unbelieved.
    pub fn set_edge_key(&self, public: &[u8; 32]) {
        let key = verifier(BatchKey::Ed25519(*public));
        *self.edge.write().unwrap_or_else(PoisonError::into_inner) = key;
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

    fn edge_key(&self) -> Option<Arc<dyn Verifier + Send + Sync>> {
        self.edge.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl VehicleRegistry for Directory {
    fn vehicle(&self, vehicle: VehicleId) -> Option<VehicleRecord> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&vehicle).map(|entry| entry.record.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use outrider_wire::{FrameError, SealedEnvelope};

    use super::*;

    fn golden(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../0-spine/outrider-wire/golden/suite-2");
        let text = std::fs::read_to_string(folder.join(name)).expect("the vector is part of the repository");
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex");
        digits.chunks(2).map(pair).collect()
    }

    #[test]
    fn a_batch_of_a_hardware_key_is_read_with_the_key_that_was_registered() {
        let (point, frame) = (golden("public_point.hex"), golden("batch_stored.hex"));
        let key = verifier(BatchKey::from_bytes(&point).expect("65 bytes")).expect("a point");
        let open = |frame: &[u8], key: &dyn Verifier| SealedEnvelope::parse(frame)?.open(key).map(|_| ());
        assert_eq!(open(&frame, &*key), Ok(()));
        let mut forged = frame.clone();
        forged[60] ^= 1;
        assert_eq!(open(&forged, &*key), Err(FrameError::Signature));
        // n - s is as valid a signature, and refused: a frame has one spelling.
        let mut high = frame.clone();
        let start = high.len() - 32;
        high[start] |= 0x80;
        assert_eq!(open(&high, &*key), Err(FrameError::Signature));
        let ed25519 = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
        let other = verifier(ed25519.into()).expect("a key");
        assert_eq!(open(&frame, &*other), Err(FrameError::Suite { expected: 1, got: 2 }));
    }

    #[test]
    fn what_is_no_key_of_its_kind_lets_nobody_in() {
        assert!(verifier(BatchKey::EcdsaP256([2; 65])).is_none());
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert!(verifier(neutral.into()).is_none());
        assert_eq!((BatchKey::from_bytes(&[4; 64]), BatchKey::from_bytes(&[])), (None, None));
    }
}
