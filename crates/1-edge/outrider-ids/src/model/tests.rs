use outrider_bus::can::CanId;
use outrider_types::BusId;
use proptest::prelude::*;

use super::*;

extern crate std;
use std::vec;
use std::vec::Vec;

/// Kind that nobody owns.
const FOREIGN: SectionKind = SectionKind(0x7000);
/// What `whole` wrote in version 1, without the sections that it did not have.
const VERSION_1: &[u8] = include_bytes!("../../../../../fuzz/corpus/vehicle_model/v1.bin");
/// What `whole` writes now; a change of these bytes is a change of the layout.
const VERSION_2: &[u8] = include_bytes!("../../../../../fuzz/corpus/vehicle_model/v2.bin");

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
        BusDraft { facts: facts(0), ids: &ids, pairs: &pairs, sections: &[(FOREIGN, b"of the bus")] },
        BusDraft { facts: BusFacts { speed: None, ..facts(3) }, ..BusDraft::default() },
    ];
    let sections: [SectionDraft<'_>; 2] = [(FOREIGN, b""), (SectionKind(0xFFFF), b"of the model")];
    written(&ModelDraft { head, buses: &buses, sections: &sections }).expect("consistent")
}

fn written(draft: &ModelDraft<'_>) -> Result<Vec<u8>, WriteError> {
    let mut bytes = vec![0; encoded_bytes(draft)];
    assert_eq!(write(draft, &mut bytes)?, bytes.len());
    Ok(bytes)
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
    assert_eq!((model.version(), model.size_bytes(), model.signatures().count()), (VERSION, bytes.len(), 0));
    assert_eq!(bus.section(FOREIGN), Some(b"of the bus".as_slice()));
    assert_eq!(bus.sections().count(), 1);
    assert_eq!(model.bus(BusId(3)).expect("written").sections().count(), 0);
    assert_eq!(model.section(FOREIGN), Some([].as_slice()));
    assert_eq!(model.section(SectionKind(0xFFFF)), Some(b"of the model".as_slice()));
    assert_eq!(model.section(SectionKind(1)), None);
}

#[test]
fn a_model_of_the_first_version_is_read_as_it_was_written() {
    let model = VehicleModel::parse(VERSION_1).expect("a promise to vehicles on the road");
    let now = whole();
    assert_eq!(now, VERSION_2);
    let now = VehicleModel::parse(&now).expect("whole");
    assert_eq!((model.version(), model.head()), (1, now.head()));
    assert_eq!(model.buses().len(), 2);
    for (old, new) in model.buses().zip(now.buses()) {
        assert_eq!(old.facts(), new.facts());
        assert_eq!(old.ids().collect::<Vec<_>>(), new.ids().collect::<Vec<_>>());
        assert_eq!(old.pairs().collect::<Vec<_>>(), new.pairs().collect::<Vec<_>>());
        assert_eq!(old.sections().count(), 0);
    }
    assert_eq!(model.sections().count(), 0);
}

#[test]
fn a_list_of_sections_has_bounds_and_an_order() {
    let refused = |sections: &[SectionDraft<'_>]| {
        written(&ModelDraft { sections, ..ModelDraft::default() }).expect_err("out of bounds")
    };
    assert_eq!(
        refused(&[(FOREIGN, b""), (FOREIGN, b"")]),
        WriteError::Facts(ModelError::Order { offset: 108 })
    );
    let many: Vec<SectionDraft<'_>> = (0..33).map(|kind| (SectionKind(kind), b"".as_slice())).collect();
    assert_eq!(refused(&many), WriteError::TooMany { got: 33, limit: SECTIONS_MAX });
    let long = vec![0; SECTION_BYTES_MAX + 1];
    assert_eq!(
        refused(&[(FOREIGN, &long)]),
        WriteError::TooMany { got: SECTION_BYTES_MAX + 1, limit: SECTION_BYTES_MAX }
    );
    let most: Vec<SectionDraft<'_>> = (0..32).map(|kind| (SectionKind(kind + 100), &long[1..])).collect();
    let bytes = written(&ModelDraft { sections: &most, ..ModelDraft::default() }).expect("just in bounds");
    assert_eq!(VehicleModel::parse(&bytes).expect("written").sections().count(), SECTIONS_MAX);
}

#[test]
fn a_section_that_lies_about_itself_is_refused_behind_a_right_checksum() {
    let sections: [SectionDraft<'_>; 2] = [(FOREIGN, b"abc"), (SectionKind(0x7001), b"")];
    let bytes = written(&ModelDraft { sections: &sections, ..ModelDraft::default() }).expect("consistent");
    let refused =
        |at, value| VehicleModel::parse(&resealed(bytes.clone(), at, value)).expect_err("inconsistent");
    assert_eq!(refused(96, 33), ModelError::TooMany { offset: 96, got: 33, limit: SECTIONS_MAX });
    assert_eq!(refused(96, 3), ModelError::Truncated { needed: 127, got: 119 });
    assert_eq!(refused(96, 1), ModelError::Layout { offset: 111 });
    assert_eq!(refused(98, 1), ModelError::Value { offset: 98 });
    assert_eq!(refused(102, 1), ModelError::Value { offset: 102 });
    assert_eq!(refused(100, 0xFF), ModelError::Order { offset: 111 });
    assert!(matches!(refused(107, 0xFF), ModelError::TooMany { offset: 104, .. }));
    assert_eq!(refused(104, 12), ModelError::Truncated { needed: 120, got: 119 });
}

#[test]
fn signatures_may_follow_a_model_and_nothing_else() {
    let model = whole();
    let block = |algorithm, size| {
        let head = signature::head(signature::Algorithm(algorithm), signature::KeyId([7; 8]), size);
        let mut block = head.expect("in bounds").to_vec();
        block.resize(signature::HEAD_BYTES + size, 9);
        block
    };
    let mut signed = model.clone();
    for (algorithm, size) in [(1, 64), (2, 3309), (3, signature::SIGNATURE_BYTES_MAX), (4, 1)] {
        signed.extend(block(algorithm, size));
        let read = VehicleModel::parse(&signed).expect("signed");
        let last = read.signatures().last().expect("there is one");
        assert_eq!((last.algorithm, last.key), (signature::Algorithm(algorithm), signature::KeyId([7; 8])));
        assert_eq!((last.bytes.len(), model.len() + last.behind_bytes), (size, signed.len() - size));
        assert_eq!(
            (read.size_bytes(), read.signatures().size_bytes()),
            (model.len(), signed.len() - model.len())
        );
    }
    let refused = |bytes: &[u8]| matches!(VehicleModel::parse(bytes), Err(ModelError::Trailing { .. }));
    assert!(refused(&signed[..signed.len() - 1]), "cut");
    signed.extend(block(1, 64));
    assert!(refused(&signed), "too many");
    let mut foreign = model.clone();
    foreign.extend(block(1, 64));
    foreign[model.len()] ^= 1;
    assert!(refused(&foreign), "not a signature");
    foreign[model.len()] ^= 1;
    foreign.push(0);
    assert!(refused(&foreign), "a byte too many");
    assert_eq!(signature::head(signature::Algorithm(1), signature::KeyId([7; 8]), 8193), None);
    assert_eq!(signature::head(signature::Algorithm(1), signature::KeyId([7; 8]), 0), None);
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
    assert_eq!(damaged(8, 3), ModelError::Version { got: 3 });
    assert_eq!(damaged(8, 0), ModelError::Version { got: 0 });
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
    let buses = [BusDraft { facts: facts(0), ids: &ids, ..BusDraft::default() }];
    let draft = ModelDraft { buses: &buses, ..ModelDraft::default() };
    let needed = encoded_bytes(&draft);
    assert_eq!(write(&draft, &mut [0; 10]), Err(WriteError::Space { needed, got: 10 }));
    assert!(matches!(written(&draft), Err(WriteError::Facts(ModelError::Order { .. }))));
}

/// Reads everything a model offers.
fn walk(bytes: &[u8]) {
    let Ok(model) = VehicleModel::parse(bytes) else { return };
    let _ = (model.sections().count(), model.signatures().count());
    for bus in model.buses() {
        assert_eq!(bus.ids().count(), bus.id_count());
        let _ = (bus.facts(), bus.pairs().count(), bus.sections().count());
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
