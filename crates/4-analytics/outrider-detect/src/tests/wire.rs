//! The encoding of sightings: bytes that stay, round trips, damage, limits.

use core::num::NonZeroU32;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::events::{Event, SECOND, START, rules};
use super::order::{VEHICLES, events};
use super::stages::{said, three};
use crate::{DetectorConfig, Sightings, SightingsError};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/sightings")
}

/// Puts the checksum under a body.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = body.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    bytes
}

/// Returns bodies of each shape: none, one rule, several rules with explanations and values.
fn shapes() -> [(&'static str, Vec<u8>); 3] {
    let some: Vec<Event> = (0..6u32)
        .map(|number| Event {
            service: i64::from(number % 3),
            ..Event::new(number % 4, u64::from(number) + 1, START + i64::from(number) * SECOND)
        })
        .collect();
    let config = DetectorConfig::default();
    let body = |mut parts: Vec<Vec<u8>>| {
        let mut bytes = parts.pop().expect("there are sightings");
        bytes.truncate(bytes.len() - 4);
        bytes
    };
    [
        ("none", body(vec![Sightings::default().encode()])),
        ("one_rule", body(said(&rules(&[VEHICLES], false), &config, &some))),
        ("all", body(said(&three(), &config, &some))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_comes_back_and_parts_make_the_whole(events in events(), parts in 1..5u32) {
        let parts = NonZeroU32::new(parts).expect("not 0");
        for bytes in said(&three(), &DetectorConfig::default(), &events) {
            let whole = Sightings::decode(&bytes).expect("what was encoded decodes");
            prop_assert_eq!(whole.encode(), bytes);
            let split = whole.split(parts);
            prop_assert_eq!(split.iter().map(|(_, part)| part.len()).sum::<usize>(), whole.len());
            let all = whole.split(NonZeroU32::MIN).pop().expect("one part").1;
            prop_assert!(all.routes().eq(whole.routes()) && all.events() == whole.events());
            prop_assert_eq!(&all.split(NonZeroU32::MIN), &[(0, all.clone())]);
        }
    }

    #[test]
    fn damage_is_refused_or_harmless(place in any::<prop::sample::Index>(), byte: u8, shape in 0..3usize) {
        let (_, mut body) = shapes()[shape].clone();
        let whole = sealed(&body);
        let place = place.index(body.len());
        let mut damaged = whole.clone();
        damaged[place] = byte;
        prop_assert!(damaged == whole || Sightings::decode(&damaged).is_err(), "the checksum notices any byte");
        body[place] = byte;
        for body in [&body[..], &body[..place]] {
            if let Ok(read) = Sightings::decode(&sealed(body)) {
                let again = read.encode();
                prop_assert_eq!(Sightings::decode(&again), Ok(read));
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Sightings::decode(&bytes).is_err());
        let _ = Sightings::decode(&sealed(&bytes));
    }
}

#[test]
fn bytes_that_are_too_long_or_of_another_version_are_named() {
    let long = vec![1u8; Sightings::BYTES_MAX + 1];
    let bytes = Sightings::BYTES_MAX + 1;
    assert_eq!(Sightings::decode(&long), Err(SightingsError::TooLong { bytes }));
    assert!(matches!(Sightings::decode(&long[..bytes - 1]), Err(SightingsError::Damaged { .. })));
    assert_eq!(Sightings::decode(&sealed(&[2])), Err(SightingsError::Version { got: 2 }));
    assert_eq!(Sightings::decode(&[]), Err(SightingsError::Damaged { offset: 0 }));
}

#[test]
fn a_large_batch_becomes_several_records() {
    let events: Vec<Event> = (0..20_000).map(|number| Event::new(number, 1, START)).collect();
    let parts = said(&three(), &DetectorConfig::default(), &events);
    assert!(parts.len() > 2, "{}", parts.len());
    assert!(parts.iter().all(|part| part.len() <= Sightings::BYTES_MAX));
    let count = |bytes: &Vec<u8>| Sightings::decode(bytes).map_or(0, |part| part.len());
    assert_eq!(parts.iter().map(count).sum::<usize>(), 4 * events.len());
}

#[test]
fn every_file_of_the_corpus_decodes_or_is_refused() {
    let files = std::fs::read_dir(folder()).expect("the corpus is part of the repository");
    let mut results = [0usize; 2];
    for file in files {
        let body = std::fs::read(file.expect("a readable folder").path()).expect("a readable file");
        results[usize::from(Sightings::decode(&sealed(&body)).is_ok())] += 1;
    }
    assert!(results.iter().all(|count| *count >= 3), "{results:?}");
}

/// Golden bytes: another program reads them, so they change only with the version.
#[test]
fn the_corpus_holds_every_shape_of_today() {
    for (name, body) in shapes() {
        assert!(Sightings::decode(&sealed(&body)).is_ok(), "{name}");
        assert_eq!(
            std::fs::read(folder().join(name)).ok(),
            Some(body),
            "write it anew: cargo test -p outrider-detect -- --ignored write_sightings"
        );
    }
}

#[test]
#[ignore = "writes the corpus"]
fn write_sightings() {
    std::fs::create_dir_all(folder()).expect("a writable folder");
    for (name, body) in shapes() {
        let mut damaged = body.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x80;
        std::fs::write(folder().join(name), &body).expect("a writable folder");
        std::fs::write(folder().join(format!("{name}-damaged")), &damaged).expect("a writable folder");
        std::fs::write(folder().join(format!("{name}-cut")), &body[..middle]).expect("a writable folder");
    }
}
