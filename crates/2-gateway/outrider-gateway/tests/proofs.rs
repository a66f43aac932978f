//! Proofs of anchors: real ones, damaged ones, and the corpus of fuzz target `anchor_proof`.

use std::fs;
use std::path::Path;

use outrider_gateway::EcdsaP256Verifier;
use outrider_gateway::spool::{AnchorKind, Attestation};
use outrider_wire::attest::{check_token, check_tpm, token_proof};
use outrider_wire::{SIGNATURE_BYTES, Suite, Verifier};

/// Head of the spool in all proofs of the corpus.
const HEAD: [u8; 32] = [9; 32];

/// A key that takes every signature.
struct Anything;

impl Verifier for Anything {
    fn suite(&self) -> Suite {
        Suite::EcdsaP256
    }

    fn verify(&self, _: &[u8], _: &[u8; SIGNATURE_BYTES]) -> bool {
        true
    }
}

/// Reads any bytes as proofs of both kinds; returns how many are proofs under a key that takes everything.
pub fn read(bytes: &[u8]) -> usize {
    let tpm = check_tpm(bytes, &HEAD, &Anything);
    let token = check_token(bytes, &HEAD, &Anything);
    if let Ok(token) = token {
        let signature = bytes.last_chunk().expect("a token's proof ends with it");
        assert_eq!(token_proof(token.counter, token.is_hardware, &HEAD, signature), *bytes);
    }
    assert!(tpm.is_err() || token.is_err(), "no proof is of both kinds");
    usize::from(tpm.is_ok()) + usize::from(token.is_ok())
}

fn corpus() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/anchor_proof")
}

#[test]
fn the_corpus_is_read_without_harm() {
    let mut proofs = 0;
    let mut files = 0;
    for file in fs::read_dir(corpus()).expect("the corpus is part of the repository") {
        proofs += read(&fs::read(file.expect("readable").path()).expect("readable"));
        files += 1;
    }
    assert!(files >= 6 && proofs >= 3, "{files} files, {proofs} proofs");
}

#[test]
fn a_real_certificate_is_taken_and_no_changed_byte_of_it_is() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proof_point.hex"))
        .expect("part of the repository");
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    let point = std::array::from_fn(|byte| digit(2 * byte));
    let key = EcdsaP256Verifier::new(&point).expect("a point");
    let proof = fs::read(corpus().join("tpm")).expect("part of the repository");
    let checked = check_tpm(&proof, &HEAD, &key).expect("it is real");
    let attestation = Attestation { kind: AnchorKind::Tpm2, counter: checked.counter, head: HEAD, proof };
    assert!(attestation.is_proven(&key));
    assert!(!Attestation { kind: AnchorKind::Pkcs11, ..attestation.clone() }.is_proven(&key));
    assert!(!Attestation { kind: AnchorKind::Software, ..attestation.clone() }.is_proven(&key));
    for at in 0..attestation.proof.len() {
        for bit in 0..8 {
            let mut proof = attestation.proof.clone();
            proof[at] ^= 1 << bit;
            assert!(!Attestation { proof, ..attestation.clone() }.is_proven(&key), "bit {bit} of byte {at}");
        }
    }
    for length in 0..attestation.proof.len() {
        let proof = attestation.proof[..length].to_vec();
        assert!(!Attestation { proof, ..attestation.clone() }.is_proven(&key), "{length} bytes");
    }
}

#[cfg(test)]
proptest::proptest! {
    #[test]
    fn any_bytes_are_a_proof_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
        read(&bytes);
    }

    #[test]
    fn a_damaged_proof_does_no_harm(at in 0usize..200, byte in proptest::prelude::any::<u8>(), keep in 0usize..220) {
        let mut bytes = fs::read(corpus().join("tpm")).expect("part of the repository");
        if let Some(slot) = bytes.get_mut(at) {
            *slot = byte;
        }
        bytes.truncate(keep);
        read(&bytes);
    }
}
