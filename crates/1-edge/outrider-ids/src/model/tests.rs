use outrider_bus::can::CanId;
use outrider_types::BusId;
use proptest::prelude::*;

use super::*;

extern crate std;
use std::vec;
use std::vec::Vec;

fn id(value: u32) -> CanId {
    CanId::standard(value).expect("eleven bits")
}

fn entry(value: u32) -> IdEntry {
    IdEntry {
        id: id(value),
        dlc_mask: 1 << 8,
        class: CycleClass::Periodic,
        flags: IdFlags { in_database: true, steady: true, fd: false, remote: false },
        gaps: GapFacts { min_us: 9000, p05_us: 9500, median_us: 10_000, p95_us: 10_500, max_us: 11_000 },
        ahead_max_q16: 1 << 16,
        frames: 1000,
        captures: 2,
    }
}

fn facts(bus: u8) -> BusFacts {
    let speed = SpeedSignal {
        id: id(0x100),
        start_bit: 0,
        bits: 16,
        big_endian: false,
        signed: false,
        scale_nano_kmh: 10_000_000,
        offset_nano_kmh: -5,
    };
    BusFacts {
        bus: BusId(bus),
        captures: 2,
        rate_hz: 1000,
        rate_max_hz: 1100,
        bit_rate: 500_000,
        speed: Some(speed),
    }
}

fn whole() -> Vec<u8> {
    let ids = [entry(0x100), entry(0x101), entry(0x7FF)];
    let pairs = [DiagPair { request: id(0x7E0), response: id(0x7E8) }];
    let head = ModelHead {
        platform: Text::new("demo").expect("short"),
        release: Text::new("1.2").expect("short"),
        learned_frames: 7,
        learned_ms: 9,
    };
    let buses = [
        BusDraft { facts: facts(0), ids: &ids, pairs: &pairs },
        BusDraft { facts: BusFacts { speed: None, ..facts(3) }, ids: &[], pairs: &[] },
    ];
    let mut bytes = vec![0; encoded_bytes(&buses)];
    assert_eq!(write(&head, &buses, &mut bytes), Ok(bytes.len()));
    bytes
}

#[test]
fn what_was_written_is_read_back() {
    let bytes = whole();
    let model = VehicleModel::parse(&bytes).expect("whole");
    assert_eq!((model.head().platform.as_str(), model.head().release.as_str()), ("demo", "1.2"));
    assert_eq!((model.head().learned_frames, model.head().learned_ms), (7, 9));
    let bus = model.bus(BusId(0)).expect("written");
    assert_eq!(bus.facts(), facts(0));
    let ids: Vec<IdEntry> = bus.ids().collect();
    assert_eq!(ids, [entry(0x100), entry(0x101), entry(0x7FF)]);
    assert_eq!(bus.pairs().collect::<Vec<_>>(), [DiagPair { request: id(0x7E0), response: id(0x7E8) }]);
    assert_eq!(model.bus(BusId(3)).expect("written").id_count(), 0);
    assert!(model.bus(BusId(1)).is_none());
}

#[test]
fn each_way_of_being_no_model_has_its_error() {
    let bytes = whole();
    let damaged = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        VehicleModel::parse(&bytes).expect_err("damaged")
    };
    assert_eq!(VehicleModel::parse(b"PK").expect_err("short"), ModelError::Magic);
    assert_eq!(damaged(0, b'X'), ModelError::Magic);
    assert_eq!(damaged(8, 2), ModelError::Version { got: 2 });
    assert!(matches!(damaged(200, 0xFF), ModelError::Checksum { .. }));
    let cut = bytes.get(..bytes.len() - 1).expect("shorter");
    assert!(matches!(VehicleModel::parse(cut), Err(ModelError::Truncated { .. })));
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(VehicleModel::parse(&longer), Err(ModelError::Trailing { .. })));
}

/// Sets a byte and makes the checksum right again, so that the checks behind it are reached.
fn resealed(mut bytes: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    bytes[at] = value;
    let body = bytes.len() - 4;
    let sum = crate::crc::crc32c(&bytes[..body]).to_le_bytes();
    bytes[body..].copy_from_slice(&sum);
    bytes
}

#[test]
fn facts_that_contradict_each_other_are_refused_behind_a_right_checksum() {
    let first_id = HEADER_BYTES + 2 * BUS_BYTES;
    let refused = |at, value| VehicleModel::parse(&resealed(whole(), at, value)).expect_err("inconsistent");
    assert_eq!(refused(10, 200), ModelError::TooMany { offset: 10, got: 200, limit: BUSES_MAX });
    assert_eq!(refused(HEADER_BYTES + 4, 1), ModelError::Layout { offset: HEADER_BYTES + 4 });
    assert_eq!(refused(HEADER_BYTES, 9), ModelError::Order { offset: HEADER_BYTES + BUS_BYTES });
    assert_eq!(refused(first_id + 6, 9), ModelError::Value { offset: first_id });
    assert_eq!(refused(first_id, 0xFF), ModelError::Order { offset: first_id + ID_BYTES });
    assert_eq!(refused(HEADER_BYTES + 38, 0), ModelError::Value { offset: HEADER_BYTES + 32 });
    assert_eq!(refused(32, 0x07), ModelError::Value { offset: 32 });
}

#[test]
fn a_small_buffer_and_unordered_identifiers_are_not_written() {
    let ids = [entry(2), entry(1)];
    let buses = [BusDraft { facts: facts(0), ids: &ids, pairs: &[] }];
    let mut small = [0; 10];
    let needed = encoded_bytes(&buses);
    assert_eq!(write(&ModelHead::default(), &buses, &mut small), Err(WriteError::Space { needed, got: 10 }));
    let mut room = vec![0; needed];
    let refused = write(&ModelHead::default(), &buses, &mut room);
    assert!(matches!(refused, Err(WriteError::Facts(ModelError::Order { .. }))));
}

/// Reads everything a model offers.
fn walk(bytes: &[u8]) {
    let Ok(model) = VehicleModel::parse(bytes) else { return };
    for bus in model.buses() {
        assert_eq!(bus.ids().count(), bus.id_count());
        let _ = (bus.facts(), bus.pairs().count());
        let _ = crate::BusDetector::new(&bus);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        walk(&bytes);
    }

    #[test]
    fn any_change_of_one_byte_is_noticed(at in 0usize..1000, change in 1u8..) {
        let mut bytes = whole();
        let at = at % bytes.len();
        bytes[at] ^= change;
        prop_assert!(VehicleModel::parse(&bytes).is_err());
    }

    #[test]
    fn changed_facts_behind_a_right_checksum_are_read_or_refused(at in 10usize..1000, value: u8) {
        let bytes = whole();
        let at = at % (bytes.len() - 4);
        walk(&resealed(bytes, at, value));
    }
}

#[test]
fn the_corpus_is_read_or_refused_and_has_a_whole_model() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/vehicle_model");
    let mut whole = 0;
    for file in std::fs::read_dir(folder).expect("the corpus is part of the repository") {
        let bytes = std::fs::read(file.expect("a readable folder").path()).expect("a readable file");
        walk(&bytes);
        whole += usize::from(VehicleModel::parse(&bytes).is_ok());
    }
    assert!(whole >= 1);
}
