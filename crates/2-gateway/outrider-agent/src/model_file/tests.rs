use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use outrider_bus::can::{CanId, Frame, TimedFrame};
use outrider_ids::model::{ModelHead, Text};
use outrider_types::{BusId, VehicleMicros};
use proptest::prelude::*;

use super::*;
use crate::learn::Learner;
use crate::learn::ethernet::EthernetLearner;

fn text(value: &str) -> Text {
    Text::new(value).expect("short")
}

fn head(platform: &str, release: &str) -> ModelHead {
    ModelHead { platform: text(platform), release: text(release), ..ModelHead::default() }
}

/// A small CAN model for a platform and release.
fn can(platform: &str, release: &str) -> Vec<u8> {
    let mut learner = Learner::new(head(platform, release));
    for n in 0..100u64 {
        let frame = Frame::classic(CanId::standard(0x100).expect("eleven bits"), &[1]).expect("it fits");
        learner.add(&TimedFrame { at: VehicleMicros(n * 10_000), bus: BusId(0), frame });
    }
    learner.finish().expect("there are frames").model
}

/// A small Ethernet model.
fn ethernet(platform: &str, release: &str) -> Vec<u8> {
    let mut learner = EthernetLearner::new(head(platform, release));
    learner.add(VehicleMicros(0), BusId(0), &[[2; 12].as_slice(), &[0x88, 0xB5], &[0; 50]].concat());
    learner.finish().expect("one segment").model
}

fn signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::new(&[seed; 32])
}

fn signed(mut file: Vec<u8>, seed: u8) -> Vec<u8> {
    sign(&mut file, &signer(seed)).expect("a whole model");
    file
}

/// Trust in the keys of some seeds.
fn trust(seeds: &[u8]) -> ModelTrust {
    let keys = seeds.iter().map(|&seed| PublicKey::new(&signer(seed).public_key()).expect("a key"));
    ModelTrust::of_keys(keys.collect())
}

fn id_of(seed: u8) -> KeyId {
    key_id(&signer(seed).public_key())
}

#[test]
fn a_signature_is_right_for_its_file_and_key_alone() {
    for file in [can("p", "1"), ethernet("p", "1"), [can("p", "1"), ethernet("p", "1")].concat()] {
        let whole = signed(file.clone(), 1);
        assert_eq!(whole.len(), file.len() + 84);
        assert_eq!(trust(&[1]).judge(&whole).map(|trusted| trusted.key), Ok(Some(id_of(1))));
        assert_eq!(trust(&[]).judge(&whole).map(|trusted| trusted.key), Ok(None));
        assert_eq!(trust(&[1]).judge(&file), Err(Refusal::Unsigned));
        assert_eq!(trust(&[2, 3]).judge(&whole), Err(Refusal::UnknownKey { key: id_of(1) }));
    }
}

#[test]
fn parts_and_signatures_of_other_files_are_refused() {
    let (first, second) = ([can("p", "1"), ethernet("p", "1")], [can("p", "2"), ethernet("p", "2")]);
    let (one, two) = (signed(first.concat(), 1), signed(second.concat(), 1));
    let wrong = Err(Refusal::Signature { key: id_of(1) });
    let block = |file: &[u8]| file[file.len() - 84..].to_vec();
    // Signature of another file.
    assert_eq!(trust(&[1]).judge(&[first.concat(), block(&two)].concat()), wrong);
    // CAN part of one file, Ethernet part and signature of the other.
    assert_eq!(trust(&[1]).judge(&[first[0].clone(), second[1].clone(), block(&two)].concat()), wrong);
    // A part left out.
    assert_eq!(trust(&[1]).judge(&[first[0].clone(), block(&one)].concat()), wrong);
    assert_eq!(trust(&[1]).judge(&[first[1].clone(), block(&one)].concat()), wrong);
    // Parts in the other order, and a signature between them.
    let swapped = [first[1].clone(), first[0].clone(), block(&one)].concat();
    assert!(matches!(trust(&[1]).judge(&swapped), Err(Refusal::Damaged(ModelError::Trailing { .. }))));
    let between = [signed(first[0].clone(), 1), first[1].clone()].concat();
    assert!(matches!(trust(&[1]).judge(&between), Err(Refusal::Damaged(ModelError::Trailing { .. }))));
}

#[test]
fn every_changed_byte_and_every_cut_of_a_signed_file_is_refused() {
    let whole = signed([can("p", "1"), ethernet("p", "1")].concat(), 1);
    let trust = trust(&[1]);
    assert!(trust.judge(&whole).is_ok());
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(trust.judge(&changed).is_err(), "byte {at}");
        assert!(trust.judge(&whole[..at]).is_err(), "cut at {at}");
    }
    assert!(trust.judge(&[whole.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn a_model_for_another_platform_or_release_is_refused_though_it_is_signed() {
    let config = |platform: &str, release: &str| TrustConfig {
        keys: vec![signer(1).public_key().iter().map(|byte| format!("{byte:02x}")).collect()],
        platform: Some(platform.to_owned()),
        release: Some(release.to_owned()),
    };
    let judge = |platform, release, file: &[u8]| {
        ModelTrust::new(&config(platform, release)).expect("right").judge(file)
    };
    let file = signed(can("p", "1"), 1);
    let believed = judge("p", "1", &file).expect("its own");
    assert_eq!((believed.platform, believed.release, believed.key), (text("p"), text("1"), Some(id_of(1))));
    let refused = judge("q", "1", &file).expect_err("another platform");
    assert_eq!(refused.to_string(), r#"vehicle model is for platform "p", this vehicle is "q""#);
    let refused = judge("p", "2", &file).expect_err("another release");
    assert_eq!(refused.to_string(), r#"vehicle model is for release "1", this vehicle has "2""#);
    // One of two parts is enough.
    let mixed = signed([can("p", "1"), ethernet("p", "2")].concat(), 1);
    assert_eq!(judge("p", "1", &mixed), Err(Refusal::Release { expected: text("1"), got: text("2") }));
}

#[test]
fn one_of_several_signatures_is_enough_and_unknown_algorithms_are_passed_over() {
    let later = |mut file: Vec<u8>, key: KeyId| {
        let head = signature::head(Algorithm(77), key, 3309).expect("in bounds");
        file.extend_from_slice(&head);
        file.resize(file.len() + 3309, 5);
        file
    };
    let file = later(can("p", "1"), id_of(1));
    assert_eq!(trust(&[1]).judge(&file), Err(Refusal::Algorithm { algorithm: 77 }));
    let both = signed(file, 2);
    assert_eq!(trust(&[2]).judge(&both).map(|trusted| trusted.key), Ok(Some(id_of(2))));
    let three = signed(later(signed(can("p", "1"), 1), id_of(9)), 2);
    for seed in [1, 2] {
        assert!(trust(&[seed]).judge(&three).is_ok(), "key {seed}");
    }
    let mut full = signed(three, 3);
    let before = full.clone();
    assert!(matches!(sign(&mut full, &signer(4)), Err(SignError::Full)));
    assert_eq!(full, before);
    assert!(matches!(sign(&mut vec![0; 200], &signer(4)), Err(SignError::Model(ModelError::Magic))));
    // A signature of the wrong length, and one of another purpose, by the right key.
    for (size, message) in [(63, false), (64, true)] {
        let mut odd = can("p", "1");
        odd.extend_from_slice(&signature::head(Algorithm::ED25519, id_of(1), size).expect("in bounds"));
        let bare = signer(1).sign(&odd).expect("key in memory");
        odd.extend_from_slice(if message { &bare } else { &[1; 63] });
        assert_eq!(trust(&[1]).judge(&odd), Err(Refusal::Signature { key: id_of(1) }));
    }
}

fn write(path: &Path, content: &[u8], mode: u32) {
    std::fs::write(path, content).expect("it writes");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its own file");
}

/// The keys of RFC 8410, section 10.
const RFC_SECRET: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
const RFC_SECRET_2: &str = "-----BEGIN PRIVATE KEY-----\nMHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhCoB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PRIVATE KEY-----\n";
const RFC_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

#[test]
fn key_files_of_the_standard_are_read_and_those_that_others_may_read_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (secret, public) = (folder.path().join("secret"), folder.path().join("public"));
    write(&public, RFC_PUBLIC.as_bytes(), 0o644);
    let key = PublicKey::open(&public).expect("the standard's own");
    for pem in [RFC_SECRET, RFC_SECRET_2] {
        write(&secret, pem.as_bytes(), 0o600);
        let signer = open_secret(&secret).expect("the standard's own");
        assert_eq!(key_id(&signer.public_key()), key.id);
    }
    for mode in [0o640, 0o604, 0o660, 0o601] {
        write(&secret, RFC_SECRET.as_bytes(), mode);
        let said = open_secret(&secret).expect_err("others may use it").to_string();
        assert!(said.contains(&format!("mode {mode:04o}")), "{said}");
    }
    for wrong in ["", "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n", RFC_PUBLIC] {
        write(&secret, wrong.as_bytes(), 0o600);
        assert!(matches!(open_secret(&secret), Err(KeyError::Shape { .. })), "{wrong}");
    }
    write(&public, RFC_SECRET.as_bytes(), 0o644);
    assert!(matches!(PublicKey::open(&public), Err(KeyError::Shape { .. })));
    write(&public, [b'1'; 64].as_slice(), 0o644);
    assert_eq!(PublicKey::open(&public).is_ok(), PublicKey::from_hex(&"1".repeat(64)).is_some());
}

#[test]
fn a_new_pair_is_written_for_its_owner_and_never_over_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key.pem");
    let pair = KeyPair::new([7; 32]);
    assert_eq!(format!("{pair:?}"), "KeyPair { .. }");
    let public = pair.write(&path).expect("an empty folder");
    let mode = std::fs::metadata(&path).expect("written").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(open_secret(&path).expect("just written").public_key(), pair.public);
    assert_eq!(PublicKey::open(&public).expect("just written").id, key_id(&pair.public));
    assert!(matches!(pair.write(&path), Err(KeyError::Io { .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 0usize..500) {
        prop_assert!(trust(&[1]).judge(&bytes).is_err());
        let whole = can("p", "1");
        let cut = cut.min(whole.len());
        prop_assert!(trust(&[1]).judge(&[&whole[..cut], bytes.as_slice()].concat()).is_err());
        prop_assert!(trust(&[1]).judge(&[whole.as_slice(), b"OUTRSIGN", &bytes].concat()).is_err());
    }
}
