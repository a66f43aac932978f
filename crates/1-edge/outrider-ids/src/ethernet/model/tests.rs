//! Tests of the Ethernet model.

extern crate std;

use outrider_bus::ether::{IpAddress, Mac};
use outrider_types::BusId;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::model::{ModelError, ModelHead, WriteError};

const IP: IpAddress = IpAddress::V4([10, 0, 0, 1]);

fn whole() -> Vec<u8> {
    let hosts = [Host { mac: Mac([2, 0, 0, 0, 0, 1]) }, Host { mac: Mac([2, 0, 0, 0, 0, 2]) }];
    let bindings =
        [Binding { ip: IP, mac: hosts[0].mac }, Binding { ip: IpAddress::V6([1; 16]), mac: hosts[1].mac }];
    let services = [Service { service: 0x1234, instance: 1, ip: IP, port: 30501, protocol: 17 }];
    let methods = [Method { service: 0x1234, method: 1, interface_version: 1, bytes_min: 2, bytes_max: 8 }];
    let flows =
        [Flow { source: IP, destination: IP, protocol: 17, port: 30490, bytes_max: 900, packets_max: 9 }];
    let facts =
        SegmentFacts { bus: BusId(3), is_closed: true, captures: 2, packets_max: 50, bytes_max: 9000 };
    let draft = SegmentDraft {
        facts,
        hosts: &hosts,
        bindings: &bindings,
        services: &services,
        methods: &methods,
        flows: &flows,
        ..SegmentDraft::default()
    };
    let other = SegmentDraft {
        facts: SegmentFacts { bus: BusId(4), ..SegmentFacts::default() },
        testers: &[TesterFact { address: 0x0E80, ip: IP }],
        ..SegmentDraft::default()
    };
    let mut out = vec![0; encoded_bytes(&[draft, other])];
    let size = write(&ModelHead::default(), &[draft, other], &mut out).expect("consistent");
    assert_eq!(size, out.len());
    out
}

#[test]
fn what_is_written_is_read() {
    let bytes = whole();
    let model = EthernetModel::parse(&bytes).expect("just written");
    let segments: Vec<_> = model.segments().collect();
    assert_eq!(segments.len(), 2);
    assert_eq!((segments[0].facts().bus, segments[0].facts().packets_max), (BusId(3), 50));
    assert!(segments[0].facts().is_closed && !segments[1].facts().is_closed);
    assert_eq!(segments[0].list::<Host>().count(), 2);
    assert_eq!(segments[0].list::<Binding>().nth(1).map(|binding| binding.ip), Some(IpAddress::V6([1; 16])));
    assert_eq!(segments[0].list::<Service>().next().map(|service| service.port), Some(30501));
    assert_eq!(segments[0].list::<Flow>().next().map(|flow| flow.bytes_max), Some(900));
    assert_eq!(segments[1].list::<TesterFact>().next().map(|tester| tester.address), Some(0x0E80));
    assert_eq!(segments[1].list::<Host>().count(), 0);
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let bytes = whole();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(EthernetModel::parse(&damaged).is_err(), "byte {at}");
        assert!(EthernetModel::parse(&bytes[..at]).is_err(), "cut at {at}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    let trailing = ModelError::Trailing { said: bytes.len(), got: longer.len() };
    assert_eq!(EthernetModel::parse(&longer).err(), Some(trailing));
}

#[test]
fn lists_that_do_not_ascend_and_small_buffers_are_refused() {
    let hosts = [Host { mac: Mac([2; 6]) }, Host { mac: Mac([2; 6]) }];
    let draft = SegmentDraft { hosts: &hosts, ..SegmentDraft::default() };
    let mut out = vec![0; 300];
    let refused = write(&ModelHead::default(), &[draft], &mut out);
    assert!(matches!(refused, Err(WriteError::Facts(ModelError::Order { .. }))));
    let short = write(&ModelHead::default(), &[draft], &mut out[..10]);
    assert_eq!(short, Err(WriteError::Space { needed: 96 + 64 + 12 + 4, got: 10 }));
    let many = vec![Host { mac: Mac([2; 6]) }; 257];
    let draft = SegmentDraft { hosts: &many, ..SegmentDraft::default() };
    assert_eq!(
        write(&ModelHead::default(), &[draft], &mut out),
        Err(WriteError::TooMany { got: 257, limit: 256 })
    );
}

#[test]
fn the_corpus_is_what_its_names_say() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/ethernet_model");
    let (mut good, mut bad) = (0, 0);
    for file in std::fs::read_dir(folder).expect("the corpus is part of the repository") {
        let path = file.expect("a readable folder").path();
        let is_model = EthernetModel::parse(&std::fs::read(&path).expect("a readable file")).is_ok();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        assert_eq!(is_model, name.starts_with("ok_"), "{name}");
        if is_model { good += 1 } else { bad += 1 }
    }
    assert!(good >= 1 && bad >= 4);
}

/// Mends the size and checksum of a damaged model, so that what lies behind them is reached.
fn mend(bytes: &mut [u8]) {
    let len = bytes.len();
    if len < 100 {
        return;
    }
    bytes[..10].copy_from_slice(b"OUTRETHM\x01\x00");
    bytes[12..16].copy_from_slice(&u32::try_from(len).expect("small").to_le_bytes());
    let sum = crate::crc::crc32c(&bytes[..len - 4]);
    bytes[len - 4..].copy_from_slice(&sum.to_le_bytes());
}

proptest! {
    #[test]
    fn any_bytes_are_a_model_or_an_error(at: usize, value: u8, cut in 0usize..40, random in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = whole();
        let index = at % bytes.len();
        bytes[index] = value;
        bytes.truncate(bytes.len() - cut);
        for mut bytes in [bytes, random] {
            mend(&mut bytes);
            if let Ok(model) = EthernetModel::parse(&bytes) {
                for segment in model.segments() {
                    prop_assert!(segment.list::<Flow>().count() <= Lists::Flows.limit());
                }
            }
        }
    }
}
