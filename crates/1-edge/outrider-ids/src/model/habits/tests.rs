extern crate std;
use std::vec::Vec;

use outrider_bus::can::CanId;
use proptest::collection::vec;
use proptest::prelude::*;

use super::payload::check as check_payload;
use super::pools::check as check_pools;
use super::together::check as check_together;
use super::*;

fn id(value: u16) -> CanId {
    CanId::standard(u32::from(value) & 0x7FF).expect("eleven bits")
}

/// One number, on any bits of the payload and with values that it can have.
fn field() -> impl Strategy<Value = FieldHabit> {
    let place = (0u8..64, 1u8..=24, 0u8..4, any::<[bool; 4]>());
    let values = (any::<[u32; 3]>(), any::<u16>(), any::<u16>(), any::<u16>());
    (place, values).prop_map(|((shift, width, reach, flags), (values, run_max, one, other))| {
        let width = width.min(64 - shift);
        let reach = reach.min(24 - width).min(64 - shift - width);
        let range = (1u32 << (width + reach)) - 1;
        let [low, high, step_max] = values.map(|value| value & range);
        let [little, rough, rises, falls] = flags;
        FieldHabit {
            shift,
            width,
            reach,
            little,
            rough,
            rises,
            falls,
            low: low.min(high),
            high: high.max(low),
            step_max,
            travel: values[0],
            run_max,
            moves: one.min(other),
            frames: one.max(other),
        }
    })
}

fn check_habit() -> impl Strategy<Value = CheckHabit> {
    let kind = prop_oneof![(0u8..3, Just(0xFF)), (CRC..CRC + 6, Just(0xFF)), (Just(NIBBLES), Just(0xF0))];
    (kind, 0u8..8, any::<u8>()).prop_map(|((kind, mask), byte, constant)| CheckHabit {
        kind,
        byte,
        mask,
        constant,
    })
}

prop_compose! {
    /// A payload of eight bytes; numbers that share bits with earlier ones are left out.
    fn payload(id: CanId)(
        fields in vec(field(), 0..6),
        checks in vec(check_habit(), 0..=CHECKS_MAX),
        lanes in proptest::option::of(any::<u64>()),
        flags in any::<[bool; 2]>(),
        check_proofs in any::<u8>(),
        splits in 0u8..=8,
        mapped in any::<u64>(),
    ) -> PayloadHabit {
        let [checked, wants] = flags;
        let lane = |lowest: u64| lanes.unwrap_or(0) & lowest;
        let mut habit = PayloadHabit {
            id,
            bytes: 8,
            counters: lanes.map(|_| [
                lane(0x5555_5555_5555_5555), lane(0x1111_1111_1111_1111), lane(0x0101_0101_0101_0101),
            ]),
            checked,
            wants,
            check_proofs,
            splits,
            varied: check_proofs,
            mapped,
            fields: [None; FIELDS_MAX],
            checks: [None; CHECKS_MAX],
        };
        habit.checks.iter_mut().zip(checks).for_each(|(slot, check)| *slot = Some(check));
        let mut len = 0;
        for field in fields {
            if len < FIELDS_MAX {
                habit.fields[len] = Some(field);
                if habit.is_consistent() { len += 1; } else { habit.fields[len] = None; }
            }
        }
        habit
    }
}

fn payload_section() -> impl Strategy<Value = (Vec<PayloadHabit>, Vec<u8>)> {
    let records = proptest::collection::btree_set(0u16..0x800, 0..12)
        .prop_flat_map(|ids| ids.into_iter().map(|value| payload(id(value))).collect::<Vec<_>>());
    records.prop_map(|records| {
        let mut bytes = Vec::from(payload_head(records.len()).expect("few"));
        let mut record = [0; PAYLOAD_BYTES_MAX];
        for habit in &records {
            let size = habit.write(&mut record);
            bytes.extend(&record[..size]);
        }
        (records, bytes)
    })
}

prop_compose! {
    fn number()(value in 0u16..0x800, field in 0u8..4, drop in 0u8..=8, low in 0u32..9, size in 0u32..0xFFFF, lively_s in any::<u8>())
        -> NumberHabit {
        NumberHabit { id: id(value), field, drop, low, high: low + size, change_max: size, lively_s }
    }
}

fn together_section() -> impl Strategy<Value = (Vec<NumberHabit>, Vec<LineHabit>, Vec<u8>)> {
    let line =
        (0u8..40, 0u8..40, 0u32..=65_536, -(1i64 << 40)..1 << 40, -(1i64 << 40)..1 << 40, any::<[i16; 2]>());
    let numbers = proptest::collection::btree_map((0u16..0x800, 0u8..4), number(), 0..=NUMBERS_MAX);
    (numbers, vec(line, 0..60)).prop_map(|(numbers, drawn)| {
        let numbers: Vec<NumberHabit> = numbers
            .into_iter()
            .map(|((value, field), number)| NumberHabit { id: id(value), field, ..number })
            .collect();
        let mut lines = std::collections::BTreeMap::new();
        for (target, source, quality_q16, slope_q16, offset, [one, other]) in drawn {
            let (low, high) = (one.min(other).into(), one.max(other).into());
            let line =
                LineHabit { target, source, quality_q16, slope_q16, offset, deviation_max: 9, low, high };
            let each = lines.keys().filter(|(other, _)| *other == target).count();
            if line.is_consistent(numbers.len()) && each < LINES_EACH_MAX {
                lines.insert((target, source), line);
            }
        }
        let lines: Vec<LineHabit> = lines.into_values().collect();
        let mut bytes = Vec::from(together_head(numbers.len(), lines.len()).expect("bounded"));
        numbers.iter().for_each(|number| bytes.extend(number.record()));
        lines.iter().for_each(|line| bytes.extend(line.record()));
        (numbers, lines, bytes)
    })
}

fn pool_section() -> impl Strategy<Value = (Vec<PoolHabit>, Vec<u8>)> {
    let counts = vec(prop_oneof![3 => Just(0u16), 1 => 0u16..50], STEPS);
    let pool = (counts, 0u16..50);
    proptest::collection::btree_map(any::<u8>(), pool, 0..=POOLS_MAX).prop_map(|pools| {
        let made = pools.into_iter().map(|(habit, (counts, more))| {
            let counts: [u16; STEPS] = counts.try_into().expect("as many");
            PoolHabit { habit, seconds: counts.iter().sum::<u16>() + more, counts }
        });
        let pools: Vec<PoolHabit> = made.collect();
        let mut bytes = Vec::from(pool_head(pools.len()).expect("bounded"));
        let mut record = [0; POOL_BYTES_MAX];
        for pool in &pools {
            let size = pool.write(&mut record);
            bytes.extend(&record[..size]);
        }
        (pools, bytes)
    })
}

/// What must hold for any bytes: a refusal inside them, or values that are all possible and as many as stated.
fn any_bytes(bytes: &[u8]) {
    for check in [check_payload, check_together, check_pools] {
        assert!(check(bytes).err().is_none_or(|at| at <= bytes.len()));
    }
    let stated = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    if check_payload(bytes).is_ok() && !is_later(bytes) {
        let records: Vec<PayloadHabit> = payloads(bytes).collect();
        assert!(records.len() == stated(2) && records.iter().all(PayloadHabit::is_consistent));
    }
    if check_together(bytes).is_ok() && !is_later(bytes) {
        let all: Vec<NumberHabit> = numbers(bytes).collect();
        assert!(all.len() == stated(2) && all.iter().all(NumberHabit::is_consistent));
        let between: Vec<LineHabit> = lines(bytes).collect();
        assert!(between.len() == stated(4) && between.iter().all(|line| line.is_consistent(all.len())));
    }
    if check_pools(bytes).is_ok() && !is_later(bytes) {
        let all: Vec<PoolHabit> = pools(bytes).collect();
        assert!(all.len() == usize::from(bytes[1]) && all.iter().all(PoolHabit::is_consistent));
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(
        (records, first) in payload_section(),
        (counted, between, second) in together_section(),
        (kept, third) in pool_section(),
    ) {
        prop_assert_eq!((check_payload(&first), check_together(&second), check_pools(&third)), (Ok(()), Ok(()), Ok(())));
        prop_assert_eq!(payloads(&first).collect::<Vec<_>>(), records);
        prop_assert_eq!((numbers(&second).collect::<Vec<_>>(), lines(&second).collect::<Vec<_>>()), (counted, between));
        prop_assert_eq!(pools(&third).collect::<Vec<_>>(), kept);
    }

    #[test]
    fn any_bytes_end_in_possible_values_or_a_refusal(
        (_, first) in payload_section(),
        (_, _, second) in together_section(),
        (_, third) in pool_section(),
        wrong in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        noise in vec(any::<u8>(), 0..200),
    ) {
        any_bytes(&noise);
        for mut bytes in [first, second, third] {
            any_bytes(&bytes[..cut.index(bytes.len())]);
            wrong.iter().for_each(|(at, value)| { let at = at.index(bytes.len()); bytes[at] = *value; });
            any_bytes(&bytes);
        }
    }
}

fn one(field: FieldHabit) -> PayloadHabit {
    PayloadHabit {
        id: id(1),
        bytes: 2,
        counters: None,
        checked: true,
        wants: false,
        check_proofs: 0,
        splits: 0,
        varied: 0,
        mapped: 0,
        fields: [Some(field), None, None, None],
        checks: [None; CHECKS_MAX],
    }
}

#[test]
fn what_lies_outside_its_payload_or_range_is_refused() {
    let good = FieldHabit { shift: 48, width: 12, high: 9, ..FieldHabit::default() };
    assert!(one(good).is_consistent());
    let bad = [
        FieldHabit { shift: 47, ..good },
        FieldHabit { shift: 53, ..good },
        FieldHabit { width: 0, ..good },
        FieldHabit { width: 25, ..good },
        FieldHabit { width: u8::MAX, reach: u8::MAX, ..good },
        FieldHabit { shift: u8::MAX, ..good },
        FieldHabit { low: 10, ..good },
        FieldHabit { high: 1 << 12, ..good },
        FieldHabit { step_max: 1 << 12, ..good },
        FieldHabit { moves: 1, ..good },
    ];
    for field in bad {
        assert!(!one(field).is_consistent(), "{field:?}");
    }
    let twice = PayloadHabit { fields: [Some(good), Some(good), None, None], ..one(good) };
    let gap = PayloadHabit { fields: [None, Some(good), None, None], ..one(good) };
    let lane = PayloadHabit { counters: Some([2, 0, 0]), bytes: 8, ..one(good) };
    let check = CheckHabit { kind: 0, byte: 2, mask: 0xFF, constant: 0 };
    let outside = PayloadHabit { checks: [Some(check), None, None, None], ..one(good) };
    for habit in [twice, gap, lane, outside] {
        assert!(!habit.is_consistent(), "{habit:?}");
    }
}

#[test]
fn a_line_to_itself_or_to_a_number_that_is_not_there_is_refused() {
    let line = LineHabit {
        target: 0,
        source: 1,
        quality_q16: 60_000,
        slope_q16: 1,
        offset: 0,
        deviation_max: 1,
        low: 0,
        high: 1,
    };
    assert!(line.is_consistent(2));
    for bad in
        [LineHabit { source: 0, ..line }, LineHabit { source: 2, ..line }, LineHabit { target: 9, ..line }]
    {
        assert!(!bad.is_consistent(2), "{bad:?}");
    }
}

#[test]
fn a_later_version_counts_as_absent() {
    let bytes = [2, 9, 9, 9];
    assert_eq!(
        (check_payload(&bytes), check_together(&bytes), check_pools(&bytes)),
        (Ok(()), Ok(()), Ok(()))
    );
    assert_eq!((payloads(&bytes).count(), numbers(&bytes).count(), pools(&bytes).count()), (0, 0, 0));
}
