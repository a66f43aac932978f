//! Proofs of hardware anchors: only what the registered key signed is believed.

use outrider_wire::attest::{token_proof, token_signed};
use outrider_wire::catalogue::field;
use outrider_wire::{AnchorStatement, Suite};
use sha2::{Digest, Sha256};

use super::*;
use crate::boots::AnchorProof;

const HEAD: [u8; 32] = [5; 32];

/// Stands for a token: its signature is a hash.
struct Token;

fn token_signature(message: &[u8]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&Sha256::digest(message));
    signature
}

impl Verifier for Token {
    fn suite(&self) -> Suite {
        Suite::EcdsaP256
    }

    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        *signature == token_signature(message)
    }
}

/// Knows the vehicle's keys, and that of its anchor if it says so.
struct Keys(bool);

impl KeyRing for Keys {
    fn batch_key(&self, vehicle: VehicleId) -> Option<(TenantId, Arc<dyn Verifier + Send + Sync>)> {
        Ring.batch_key(vehicle)
    }

    fn anchor_key(&self, vehicle: VehicleId) -> Option<Arc<dyn Verifier + Send + Sync>> {
        (self.0 && vehicle == VEHICLE).then(|| Arc::new(Token) as Arc<dyn Verifier + Send + Sync>)
    }
}

fn proof(counter: u64, head: &[u8; 32]) -> Vec<u8> {
    let signature = token_signature(&token_signed(counter, true, head));
    token_proof(counter, true, head, &signature).to_vec()
}

/// A batch of a boot with what the anchor says: kind, counter, proof.
fn said(epoch: u64, (kind, counter, proof): (u8, u64, &[u8])) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let mut writer = BatchWriter::new(&mut buffer);
    writer.anchor(&AnchorStatement { kind, counter, head: HEAD, proof }).expect("room");
    seal_in(epoch, counter, writer.finish())
}

/// Returns what the cloud states of the batches, and what is known of the last boot's anchor.
fn check(keys: &Keys, batches: &[Vec<u8>]) -> (Vec<String>, Option<AnchorProof>) {
    let (mut worker, mut batch, mut quarantine) = (Worker::default(), EventBatch::new(), Vec::new());
    for (offset, bytes) in (0..).zip(batches) {
        worker.receive(&record(offset, bytes.clone()), keys, &registry(), &mut batch, &mut quarantine);
        // What is kept survives a restart of the worker.
        let mut again = Worker::default();
        for (vehicle, state) in worker.save_changed() {
            again.load_vehicle(vehicle, &state).expect("just saved");
        }
        worker = again;
    }
    batch.seal();
    assert!(quarantine.is_empty(), "{quarantine:?}");
    let reasons = (0..batch.rows()).filter_map(|row| match batch.row(row).field(field::REASON) {
        Some(FieldValue::Text(reason)) => Some(reason.to_owned()),
        _ => None,
    });
    let reasons = reasons.collect();
    let boots = worker.boots(VEHICLE).expect("heard of");
    let proof = boots.iter().next_back().and_then(|(_, book)| book.anchor()).map(|anchor| anchor.proof);
    (reasons, proof)
}

#[test]
fn what_the_registered_key_signed_is_proven() {
    let batches = [said(4, (3, 7, &proof(7, &HEAD))), said(5, (3, 8, &proof(8, &HEAD)))];
    assert_eq!(check(&Keys(true), &batches), (vec![], Some(AnchorProof::Proven)));
    assert_eq!(check(&Keys(false), &batches), (vec![], Some(AnchorProof::Unchecked)));
}

#[test]
fn a_counter_without_its_proof_is_said_once() {
    let unproven = (vec!["anchor_unproven".to_owned()], Some(AnchorProof::Unproven));
    let mut changed = proof(7, &HEAD);
    changed[60] ^= 1;
    for (kind, proof, why) in [
        (3, changed, "a changed byte"),
        (3, proof(6, &HEAD), "of another value"),
        (3, proof(7, &[6; 32]), "over another end"),
        (3, Vec::new(), "none"),
        (2, proof(7, &HEAD), "of a token, said to be a TPM's"),
        (1, Vec::new(), "software, where hardware is registered"),
        (9, proof(7, &HEAD), "of a later version"),
    ] {
        let batch = said(4, (kind, 7, &proof));
        assert_eq!(check(&Keys(true), &[batch.clone(), batch.clone()]), unproven, "{why}");
        assert_eq!(check(&Keys(false), &[batch]), (vec![], Some(AnchorProof::Unchecked)), "{why}");
    }
}

#[test]
fn a_made_up_value_does_not_put_true_ones_behind_it() {
    let batches = [said(4, (3, 1000, &[])), said(5, (3, 8, &proof(8, &HEAD)))];
    let (reasons, proof) = check(&Keys(true), &batches);
    assert_eq!((reasons.as_slice(), proof), (&["anchor_unproven".to_owned()][..], Some(AnchorProof::Proven)));
    assert_eq!(check(&Keys(false), &batches).0, ["anchor_behind"], "without a key nobody can tell");
}

#[test]
fn state_that_knew_of_no_proofs_is_read_as_unchecked() {
    let (mut worker, mut batch, mut quarantine) = (Worker::default(), EventBatch::new(), Vec::new());
    let bytes = said(4, (3, 7, &proof(7, &HEAD)));
    worker.receive(&record(0, bytes), &Keys(true), &registry(), &mut batch, &mut quarantine);
    let (vehicle, mut state) = worker.save_changed().remove(0);
    let anchor = [7u64.to_le_bytes().as_slice(), &[3], &HEAD[..8]].concat();
    let at = state.windows(anchor.len()).position(|window| window == anchor).expect("saved") + anchor.len();
    assert_eq!(state.remove(at), AnchorProof::Proven as u8);
    state[0] = 2;
    let mut again = Worker::default();
    again.load_vehicle(vehicle, &state).expect("version 2");
    let boots = again.boots(VEHICLE).expect("heard of");
    let anchor = boots.get(BootEpoch(4)).and_then(|book| book.anchor()).expect("kept");
    assert_eq!((anchor.counter, anchor.proof), (7, AnchorProof::Unchecked));
}
