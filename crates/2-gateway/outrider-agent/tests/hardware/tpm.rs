//! The TPM 2.0, against swtpm.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use outrider_agent::io::anchor_thread::Background;
use outrider_agent::io::tpm::{Tpm, TpmAnchor, TpmPlace, TpmStore};
use outrider_agent::keystore::{KeyError, KeyStore, WireSigner};
use outrider_gateway::EcdsaP256Verifier;
use outrider_gateway::spool::{Anchor, AnchorKind, Attestation};
use outrider_wire::attest::COUNTER_INDEX;
use zeroize::Zeroizing;

use super::swtpm::Swtpm;
use super::{append, boot, has, name, old_medium_is_found, pipe, verifies};

#[test]
fn a_counter_of_the_tpm_grows_and_is_certified() {
    if !has("swtpm") {
        return;
    }
    let swtpm = Swtpm::start();
    let mut anchor = TpmAnchor::new(swtpm.tpm());
    let first = anchor.read().expect("a TPM");
    assert!(anchor.is_new());
    assert_eq!(anchor.increment(), Ok(first + 1));
    assert_eq!(anchor.increment(), Ok(first + 2));
    let head = [9; 32];
    let attestation = anchor.attest(&head).expect("a TPM");
    assert_eq!((attestation.kind, attestation.counter), (AnchorKind::Tpm2, first + 2));
    assert!((150..512).contains(&attestation.proof.len()), "{}", attestation.proof.len());
    let key = EcdsaP256Verifier::new(&anchor.public_point().expect("a TPM")).expect("a point");
    assert!(attestation.is_proven(&key));
    let other = Attestation { counter: first + 3, ..attestation.clone() };
    assert!(!other.is_proven(&key), "another value");
    assert!(!Attestation { head: [8; 32], ..attestation.clone() }.is_proven(&key), "another head");
    drop(anchor);
    for byte in 0..attestation.proof.len() {
        let mut proof = attestation.proof.clone();
        proof[byte] ^= 1;
        assert!(!Attestation { proof, ..attestation.clone() }.is_proven(&key), "byte {byte}");
    }
    let again = TpmAnchor::new(swtpm.tpm());
    assert_eq!((again.read(), again.is_new()), (Ok(first + 2), false));
}

#[test]
fn a_killed_tpm_never_takes_its_counter_back() {
    if !has("swtpm") {
        return;
    }
    let mut swtpm = Swtpm::start();
    let mut anchor = TpmAnchor::new(swtpm.tpm());
    let mut known = anchor.read().expect("a TPM");
    let mut cut = 0;
    for wait in [0, 1, 3, 7, 20, 60] {
        let worker = std::thread::spawn(move || {
            let mut last = None;
            while let Ok(value) = anchor.increment() {
                last = Some(value);
            }
            (anchor, last)
        });
        sleep(Duration::from_millis(wait));
        swtpm.kill();
        let (back, last) = worker.join().expect("no panic");
        anchor = back;
        swtpm.restart();
        let now = anchor.read().expect("the TPM is back");
        let least = last.unwrap_or(known);
        assert!((least..=least + 1).contains(&now), "{now} after {least}");
        cut += 1;
        known = now;
    }
    assert_eq!(cut, 6);
}

#[test]
fn an_old_medium_is_found_by_the_tpm() {
    if has("swtpm") {
        let swtpm = Swtpm::start();
        old_medium_is_found(|| Box::new(TpmAnchor::new(swtpm.tpm())));
    }
}

#[test]
fn power_cuts_between_spool_and_counter_are_no_rollback() {
    if !has("swtpm") {
        return;
    }
    let mut swtpm = Swtpm::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for salt in 0..4 {
        let (mut spool, recovery) = boot(folder.path(), salt, Box::new(TpmAnchor::new(swtpm.tpm())));
        assert_eq!((recovery.damage(), recovery.anchor_silent), (None, false), "{recovery:?}");
        append(&mut spool, 3);
        // The value is on the medium, the counter is not raised.
        swtpm.kill();
        assert_eq!(spool.raise_anchor().map_err(|error| error.reason), Err("away"));
        assert_eq!(spool.anchor_status().failures, 1);
        append(&mut spool, 3);
        swtpm.restart();
    }
}

#[test]
fn a_tpm_that_is_away_stops_nothing_and_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nowhere = TpmPlace::Unix(folder.path().join("tpm"));
    let anchor = TpmAnchor::new(Tpm::new(nowhere, Zeroizing::new(Vec::new())));
    let (mut spool, recovery) = boot(&folder.path().join("spool"), 1, Box::new(anchor));
    assert!(recovery.anchor_silent);
    let status = spool.anchor_status();
    assert_eq!(status.failed.as_ref().map(|error| error.reason), Some("away"));
    assert_eq!((status.counter, status.raised), (None, 0));
    append(&mut spool, 10);
}

#[test]
fn a_counter_that_was_undefined_begins_above_and_is_found() {
    if !has("swtpm") {
        return;
    }
    let swtpm = Swtpm::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let anchor = || Box::new(TpmAnchor::new(swtpm.tpm()));
    drop(boot(folder.path(), 1, anchor()));
    let (spool, _) = boot(folder.path(), 2, anchor());
    let before = spool.anchor_status().counter.expect("a TPM");
    drop(spool);
    // TPM2_NV_UndefineSpace.
    assert_eq!(swtpm.raw(0x122, Some(COUNTER_INDEX), &[]), 0);
    let (spool, recovery) = boot(folder.path(), 3, anchor());
    assert_eq!(recovery.damage(), Some("anchor_reset"), "{recovery:?}");
    assert!(spool.anchor_status().counter > Some(before), "{:?}", spool.anchor_status());
}

#[test]
fn another_index_under_the_number_is_refused_and_a_wrong_password_locks() {
    if !has("swtpm") {
        return;
    }
    let swtpm = Swtpm::start();
    let wrong = TpmAnchor::new(Tpm::new(swtpm.place(), Zeroizing::new(b"wrong".to_vec())));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (spool, _) = boot(&folder.path().join("one"), 1, Box::new(wrong));
    assert_eq!(spool.anchor_status().failed.as_ref().map(|error| error.reason), Some("locked"));
    drop(spool);
    // TPM2_NV_DefineSpace of eight ordinary bytes, which anybody could write.
    let mut public = vec![0, 0, 0, 14];
    public.extend(COUNTER_INDEX.to_be_bytes());
    public.extend([0, 0x0B, 0x02, 0x06, 0x00, 0x04, 0, 0, 0, 8]);
    assert_eq!(swtpm.raw(0x12A, None, &public), 0);
    let (spool, _) = boot(&folder.path().join("two"), 2, Box::new(TpmAnchor::new(swtpm.tpm())));
    assert_eq!(spool.anchor_status().failed.as_ref().map(|error| error.reason), Some("refused"));
}

#[test]
fn keys_stay_in_the_tpm_and_another_tpm_is_noticed() {
    if !has("swtpm") {
        return;
    }
    let mut swtpm = Swtpm::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = TpmStore::new(swtpm.tpm(), folder.path());
    assert!(store.open(&name("tls-1")).expect("a folder").is_none());
    let (tls, batch) = (store.generate(&name("tls-1")), store.generate(&name("batch-1")));
    let (tls, batch) = (tls.expect("a TPM"), batch.expect("a TPM"));
    assert_ne!(tls.public_point(), batch.public_point());
    assert_eq!(store.generate(&name("tls-1")).err(), Some(KeyError::Exists(name("tls-1"))));
    let (one, two) = (store.derive("one").expect("a TPM"), store.derive("two").expect("a TPM"));
    assert_ne!(*one, *two);
    verifies(&*tls);
    verifies(&*batch);
    pipe::shakes_hands(Arc::clone(&tls));
    swtpm.restart();
    verifies(&*tls);
    assert_eq!(*store.derive("one").expect("the TPM is back"), *one);
    let again = store.open(&name("batch-1")).expect("a TPM").expect("it was made");
    assert_eq!(again.public_point(), batch.public_point());
    pipe::frames_are_signed(&WireSigner(again));
    swtpm.exchange();
    assert_eq!(store.open(&name("batch-1")).err(), Some(KeyError::Changed(name("batch-1"))));
    store.remove(&name("batch-1")).expect("writable");
    assert!(store.open(&name("batch-1")).expect("a folder").is_none());
}

#[test]
fn programs_that_end_without_a_word_do_not_fill_the_tpm() {
    if !has("swtpm") {
        return;
    }
    let swtpm = Swtpm::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for _ in 0..3 {
        let store = TpmStore::new(swtpm.tpm(), folder.path());
        for key in ["tls-1", "batch-1", "batch-2"] {
            verifies(&*store.open_or_generate(&name(key)).expect("a TPM with a free slot"));
        }
        store.derive("one").expect("a TPM with a free slot");
    }
}

#[test]
fn the_thread_raises_the_counter_while_the_spool_goes_on() {
    if !has("swtpm") {
        return;
    }
    let swtpm = Swtpm::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (anchor, thread) = Background::new(Box::new(TpmAnchor::new(swtpm.tpm())));
    let (mut spool, recovery) = boot(folder.path(), 1, Box::new(anchor));
    assert_eq!((recovery.anchor_silent, spool.anchor_status().raised), (false, 1));
    thread.start();
    let before = spool.anchor_status().counter;
    spool.raise_anchor().expect("it begins");
    assert_eq!((spool.anchor_status().raised, spool.anchor_status().counter), (1, before));
    append(&mut spool, 5);
    for _ in 0..1000 {
        spool.poll_anchor().expect("a TPM");
        if spool.anchor_status().raised == 2 {
            break;
        }
        sleep(Duration::from_millis(5));
    }
    assert_eq!(
        (spool.anchor_status().raised, spool.anchor_status().counter),
        (2, before.map(|value| value + 1))
    );
    assert!(spool.attestation().is_some_and(|attestation| attestation.kind == AnchorKind::Tpm2));
}
