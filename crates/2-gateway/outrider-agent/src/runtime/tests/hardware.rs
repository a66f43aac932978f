//! Keys and anchors in the vehicle's program: what is said of them, and what they sign.

use std::sync::Arc;

use outrider_gateway::EcdsaP256Verifier;
use outrider_gateway::spool::{Anchor, AnchorError, AnchorKind, Attestation};

use super::*;
use crate::keystore::{FileStore, KeyName, KeyStore, WireSigner};

/// An anchor that never answers.
struct Away;

fn away() -> AnchorError {
    AnchorError { reason: "away", detail: "nobody there".to_owned() }
}

/// A cloud that keeps what it gets and never answers.
#[derive(Default)]
struct Silent(Vec<Vec<u8>>);

impl Transport for Silent {
    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, TransportError> {
        self.0.push(frame.to_vec());
        Err(TransportError::TimedOut)
    }
}

impl CloudLink for Silent {
    fn upload(&mut self, _: &str, _: &str, _: &str, _: &[u8]) -> Result<(), TransportError> {
        Err(TransportError::TimedOut)
    }
}

impl Anchor for Away {
    fn kind(&self) -> AnchorKind {
        AnchorKind::Tpm2
    }

    fn read(&self) -> Result<u64, AnchorError> {
        Err(away())
    }

    fn increment(&mut self) -> Result<u64, AnchorError> {
        Err(away())
    }

    fn attest(&self, _: &[u8; 32]) -> Result<Attestation, AnchorError> {
        Err(away())
    }
}

#[test]
fn an_anchor_that_is_away_is_one_event() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vehicle = open_with(folder.path(), 1, &[], [1; 32].into(), Box::new(Away));
    for second in 1..5 {
        vehicle.tick(VehicleMicros(second * 1_000_000));
    }
    let status = vehicle.gateway().spool().anchor_status();
    assert_eq!((status.kind, status.counter, status.failures), (AnchorKind::Tpm2, None, 1));
    let failed: Vec<SecurityEvent> = rows(&mut vehicle, VehicleMicros(5_000_000))
        .into_iter()
        .filter(|row| row.event_type == event::GATEWAY_ANCHOR_FAILED)
        .collect();
    let reasons: Vec<_> = failed.iter().flat_map(|row| row.fields.clone()).collect();
    assert_eq!(reasons, [(field::REASON, FieldValue::Text("away".to_owned()))]);
}

#[test]
fn a_device_key_signs_the_vehicle_s_frames_by_suite_two() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = FileStore::new(&folder.path().join("keys"));
    let key = store.generate(&KeyName::new("batch-1").expect("a name")).expect("writable");
    let signer = Arc::new(WireSigner(Arc::clone(&key)));
    let secret = |label| store.derive(label).expect("writable");
    let batch = BatchKey::Device { signer, secret: secret("one"), root: secret("two") };
    let anchor = Box::new(SoftwareAnchor::in_memory(0));
    let mut vehicle = open_with(&folder.path().join("state"), 1, &[], batch, anchor);
    vehicle.tick(VehicleMicros(1_000_000));
    vehicle.set_link(Link::Unmetered);
    let mut cloud = Silent::default();
    vehicle.exchange(&mut cloud, VehicleMicros(60_000_000));
    let verifier = EcdsaP256Verifier::new(&key.public_point()).expect("a point");
    assert!(!cloud.0.is_empty());
    for frame in &cloud.0 {
        SealedEnvelope::parse(frame).expect("a batch").open(&verifier).expect("signed by the device key");
    }
}
