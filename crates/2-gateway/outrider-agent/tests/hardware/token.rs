//! A PKCS#11 token, against SoftHSM. Its library reads its configuration from the environment, so each test runs its part in
//! a process of its own: this program again, with an ignored test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use outrider_agent::io::pkcs11::{Token, TokenAnchor, TokenStore};
use outrider_agent::keystore::{KeyError, KeyStore, WireSigner};
use outrider_gateway::EcdsaP256Verifier;
use outrider_gateway::spool::{Anchor, AnchorKind, Attestation};
use outrider_wire::attest::check_token;
use zeroize::Zeroizing;

use super::{has, name, old_medium_is_found, pipe, verifies};

const PIN: &str = "4711";
const LABEL: &str = "vehicle";

/// Where distributions put the library.
fn library() -> PathBuf {
    let folders = [
        "/usr/lib/softhsm",
        "/usr/lib/x86_64-linux-gnu/softhsm",
        "/usr/lib/aarch64-linux-gnu/softhsm",
        "/usr/lib64/pkcs11",
    ];
    let paths = folders.map(|folder| Path::new(folder).join("libsofthsm2.so"));
    paths.into_iter().find(|path| path.exists()).expect("softhsm2-util comes with its library")
}

/// Makes a token in a temporary folder; `None` if SoftHSM is not installed.
fn token() -> Option<tempfile::TempDir> {
    if !has("softhsm2-util") {
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).expect("writable");
    let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
    std::fs::write(folder.path().join("conf"), text).expect("writable");
    let made = Command::new("softhsm2-util")
        .env("SOFTHSM2_CONF", folder.path().join("conf"))
        .args(["--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "12345678"])
        .stdout(Stdio::null())
        .status();
    assert!(made.expect("softhsm2-util starts").success());
    Some(folder)
}

/// Runs an ignored test of this program with the token.
fn inside(test: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .env("SOFTHSM2_CONF", folder.join("conf"))
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts")
}

/// Runs it to its end, and makes sure that it ran.
fn passes(test: &str) {
    let Some(folder) = token() else { return };
    let output = inside(test, folder.path()).wait_with_output().expect("our own child");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn open(label: &str, pin: &str) -> Token {
    Token::new(&library(), label, Zeroizing::new(pin.as_bytes().to_vec()))
}

#[test]
fn keys_stay_in_the_token() {
    passes("token::inside_keys");
}

#[test]
#[ignore = "runs inside of keys_stay_in_the_token"]
fn inside_keys() {
    let store = TokenStore::new(open(LABEL, PIN));
    assert!(store.open(&name("tls-1")).expect("a token").is_none());
    let tls = store.generate(&name("tls-1")).expect("a token");
    assert_eq!(store.generate(&name("tls-1")).err(), Some(KeyError::Exists(name("tls-1"))));
    let batch = store.generate(&name("batch-1")).expect("a token");
    verifies(&*tls);
    verifies(&*batch);
    pipe::shakes_hands(Arc::clone(&tls));
    pipe::frames_are_signed(&WireSigner(batch));
    let (one, two) = (store.derive("one").expect("a token"), store.derive("two").expect("a token"));
    assert_ne!(*one, *two);
    assert_eq!(*store.derive("one").expect("a token"), *one);
    let again = store.open(&name("tls-1")).expect("a token").expect("it was made");
    assert_eq!(again.public_point(), tls.public_point());
    store.remove(&name("tls-1")).expect("a token");
    assert!(store.open(&name("tls-1")).expect("a token").is_none());
    assert_eq!(tls.sign_fixed(b"x").map_err(|error| error.code()), Err("key.refused"));
}

#[test]
fn a_counter_in_the_token_grows_and_is_signed() {
    passes("token::inside_counter");
}

#[test]
#[ignore = "runs inside of a_counter_in_the_token_grows_and_is_signed"]
fn inside_counter() {
    let token = open(LABEL, PIN);
    let mut anchor = TokenAnchor::new(token.clone());
    assert_eq!((anchor.read(), anchor.is_new()), (Ok(1), true));
    assert_eq!((anchor.increment(), anchor.increment()), (Ok(2), Ok(3)));
    let attestation = anchor.attest(&[9; 32]).expect("a token");
    assert_eq!((attestation.kind, attestation.counter), (AnchorKind::Pkcs11, 3));
    let key = EcdsaP256Verifier::new(&anchor.public_point().expect("a token")).expect("a point");
    assert!(attestation.is_proven(&key));
    let proof = check_token(&attestation.proof, &[9; 32], &key).expect("right");
    assert!(!proof.is_hardware, "who has the PIN can set it back, and the proof says so");
    for byte in 0..attestation.proof.len() {
        let mut proof = attestation.proof.clone();
        proof[byte] ^= 1;
        assert!(!Attestation { proof, ..attestation.clone() }.is_proven(&key), "byte {byte}");
    }
    let again = TokenAnchor::new(token);
    assert_eq!((again.read(), again.is_new()), (Ok(3), false));
}

#[test]
fn an_old_medium_is_found_by_the_token() {
    passes("token::inside_medium");
}

#[test]
#[ignore = "runs inside of an_old_medium_is_found_by_the_token"]
fn inside_medium() {
    let token = open(LABEL, PIN);
    old_medium_is_found(|| Box::new(TokenAnchor::new(token.clone())));
}

#[test]
fn a_wrong_pin_is_tried_once_and_a_missing_token_is_away() {
    passes("token::inside_locked");
}

#[test]
#[ignore = "runs inside of a_wrong_pin_is_tried_once_and_a_missing_token_is_away"]
fn inside_locked() {
    let wrong = TokenAnchor::new(open(LABEL, "0000"));
    let error = wrong.read().expect_err("the wrong PIN");
    assert_eq!(error.reason, "locked");
    assert!(!error.to_string().contains("0000"));
    assert_eq!(wrong.read().map_err(|error| error.reason), Err("locked"));
    let missing = TokenAnchor::new(open("another", PIN));
    assert_eq!(missing.read().map_err(|error| error.reason), Err("away"));
    let library = Token::new(Path::new("/nowhere/lib.so"), LABEL, Zeroizing::new(Vec::new()));
    assert_eq!(TokenAnchor::new(library).read().map_err(|error| error.reason), Err("away"));
    assert_eq!(TokenAnchor::new(open(LABEL, PIN)).read(), Ok(1), "the token is not locked");
}

#[test]
fn a_killed_program_never_takes_the_token_s_counter_back() {
    let Some(folder) = token() else { return };
    let mut known = 0;
    for round in 1..=4 {
        let mut child = inside("token::inside_endless", folder.path());
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut values = lines.map_while(Result::ok).filter_map(|line| {
            line.rsplit_once("counter ").and_then(|(_, value)| value.trim().parse::<u64>().ok())
        });
        for _ in 0..=3 * round {
            let value = values.next().expect("it counts until it is killed");
            assert!(value > known, "{value} after {known}");
            known = value;
        }
        child.kill().expect("our own child");
        // What it had said before it was killed counts, too.
        known = values.last().unwrap_or(known).max(known);
        child.wait().expect("our own child");
    }
}

#[test]
#[ignore = "runs inside of a_killed_program_never_takes_the_token_s_counter_back"]
fn inside_endless() {
    let mut anchor = TokenAnchor::new(open(LABEL, PIN));
    for _ in 0..10_000 {
        let value = anchor.increment().expect("a token");
        println!("counter {value}");
    }
}
