//! Tests of the profiles against their published examples, and of the patterns.

extern crate std;

use proptest::prelude::*;

use super::pattern::{Mix, Place, Rule};
use super::*;
use crate::crc::CRC8_H2F;

/// Protects zeros of a length with a counter and returns them.
fn protected<const N: usize>(protection: Protection, counter: u16) -> [u8; N] {
    let mut data = [0; N];
    protection.protect(&mut data, counter).expect("the header fits");
    assert_eq!(protection.check(&data), Ok(counter));
    data
}

fn p01(mode: DataIdMode) -> Protection {
    Protection::P01(Profile1 { data_id: 0x123, mode, crc_byte: 0 })
}

fn p02() -> Protection {
    let data_ids = core::array::from_fn(|index| u8::try_from(index + 1).expect("small"));
    Protection::P02(Profile2 { data_ids, crc_byte: 0 })
}

#[test]
fn profiles_1_and_11_write_the_published_examples() {
    assert_eq!(protected(p01(DataIdMode::Both), 0), [0xCC, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(protected(p01(DataIdMode::Alternating), 0), [0xCE, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(protected(p01(DataIdMode::Nibble), 0), [0x2A, 0x10, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn profiles_2_and_22_write_the_published_example() {
    assert_eq!(protected(p02(), 1), [0x1B, 1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn profile_4_writes_the_published_examples() {
    let at = |offset| Protection::P04(Profile4 { data_id: 0x0A0B_0C0D, offset });
    let expected = [0, 16, 0, 0, 10, 11, 12, 13, 0x86, 0x2B, 0x05, 0x56, 0, 0, 0, 0];
    assert_eq!(protected(at(0), 0), expected);
    let shifted: [u8; 24] = protected(at(8), 0);
    assert_eq!(shifted[8..20], [0, 24, 0, 0, 10, 11, 12, 13, 0x69, 0xD7, 0x50, 0x2E]);
}

#[test]
fn profile_5_writes_the_published_examples() {
    let at = |offset| Protection::P05(Profile5 { data_id: 0x1234, offset });
    assert_eq!(protected(at(0), 0), [0x1C, 0xCA, 0, 0, 0, 0, 0, 0]);
    let shifted: [u8; 16] = protected(at(8), 0);
    assert_eq!(shifted[8..11], [0x28, 0x91, 0]);
}

#[test]
fn each_check_names_what_is_wrong() {
    let mut data: [u8; 8] = protected(p01(DataIdMode::Nibble), 3);
    data[1] ^= 0x20;
    assert_eq!(p01(DataIdMode::Nibble).check(&data), Err(E2eError::DataId { expected: 1, got: 3 }));
    data[1] = 0x1F;
    assert_eq!(p01(DataIdMode::Nibble).check(&data), Err(E2eError::Counter { got: 15 }));
    let p04 = Protection::P04(Profile4 { data_id: 7, offset: 0 });
    let long: [u8; 16] = protected(p04, 9);
    assert_eq!(p04.check(&long[..15]), Err(E2eError::Length { expected: 15, got: 16 }));
    assert_eq!(p04.check(&long[..11]), Err(E2eError::Truncated { needed: 12, got: 11 }));
    assert_eq!(p01(DataIdMode::Low).protect(&mut [0; 8], 15), Err(E2eError::Counter { got: 15 }));
    assert_eq!(p02().protect(&mut [0; 1], 0), Err(E2eError::Truncated { needed: 2, got: 1 }));
}

#[test]
fn the_receiver_tells_loss_repeat_and_replay_apart() {
    let mut receiver = Receiver::new(p02(), 3);
    let frame = |counter| protected::<8>(p02(), counter);
    assert_eq!(receiver.receive(&frame(14)), Status::Initial);
    assert_eq!(receiver.receive(&frame(15)), Status::Ok);
    assert_eq!(receiver.receive(&frame(0)), Status::Ok);
    assert_eq!(receiver.receive(&frame(3)), Status::SomeLost { lost: 2 });
    assert_eq!(receiver.receive(&frame(3)), Status::Repeated);
    assert_eq!(receiver.receive(&frame(2)), Status::WrongSequence { expected: 4, got: 2 });
    let mut bad = frame(3);
    bad[7] ^= 1;
    assert!(matches!(receiver.receive(&bad), Status::Error(E2eError::Crc { .. })));
    assert_eq!(receiver.receive(&frame(3)), Status::Ok, "a message that fails its check moves nothing");
}

#[test]
fn patterns_of_real_vehicles_hold() {
    // Worked by hand from the rules: sum with identifier and length; nibble sum from eight; CRC8H2F over bytes 1 on.
    let toyota = rule_of(|rule| rule.mix == Mix::Sum && rule.with_id && rule.with_length);
    // 0x02 + 0xE4 + 5 + 0x80 + 1 + 2 = 0x16E
    assert!(toyota.holds(0x2E4, &[0x80, 1, 2, 0, 0x6E], Place::Byte(4)));
    let honda = rule_of(|rule| rule.mix == Mix::NibblesFromEight);
    // Nibbles of id 0x1DF: 1+13+15 = 29; of the data: 1+2+0+3 = 6; 8 - 35 = -27, low nibble 5.
    assert!(honda.holds(0x1DF, &[0x12, 0x03, 0x05], Place::LowNibble(2)));
    let h2f = rule_of(|rule| rule.mix == Mix::Crc(&CRC8_H2F));
    assert!(h2f.holds(1, &[CRC8_H2F.compute(&[9, 8, 7]), 9, 8, 7], Place::Byte(0)));
    assert!(!h2f.holds(1, &[1, 2], Place::Byte(2)));
}

fn rule_of(wanted: impl Fn(&Rule) -> bool) -> Rule {
    *Rule::ALL.iter().find(|rule| wanted(rule)).expect("a known rule")
}

proptest! {
    #[test]
    fn what_is_protected_checks_and_one_flipped_bit_does_not(
        data in proptest::collection::vec(any::<u8>(), 12..40),
        counter in 0u16..15,
        profile in 0usize..6,
        offset in 0u16..3,
        flip in any::<usize>(),
    ) {
        let protection = [
            p01(DataIdMode::Both), p01(DataIdMode::Alternating), p01(DataIdMode::Nibble),
            Protection::P02(Profile2 { data_ids: [5; 16], crc_byte: offset }),
            Protection::P04(Profile4 { data_id: 0x1234_5678, offset: 0 }),
            Protection::P05(Profile5 { data_id: 0xABCD, offset }),
        ][profile];
        let mut data = data;
        protection.protect(&mut data, counter).expect("the header fits");
        prop_assert_eq!(protection.check(&data), Ok(counter));
        let bit = flip % (data.len() * 8);
        data[bit / 8] ^= 1 << (bit % 8);
        // Alternating identifiers differ by counter, so that even a flipped counter bit is found by the checksum.
        prop_assert!(protection.check(&data).is_err());
    }

    #[test]
    fn a_rule_never_depends_on_the_bits_of_its_place(
        id in 0u32..0x2000_0000,
        data in proptest::collection::vec(any::<u8>(), 1..16),
        at in 0u8..20,
        other in any::<u8>(),
    ) {
        for rule in Rule::ALL {
            for place in [Place::Byte(at), Place::LowNibble(at), Place::HighNibble(at)] {
                let before = rule.compute(id, &data, place);
                let mut changed = data.clone();
                if let Some(byte) = changed.get_mut(place.byte()) {
                    let keep = match place { Place::Byte(_) => 0, Place::LowNibble(_) => 0xF0, Place::HighNibble(_) => 0x0F };
                    *byte = *byte & keep | other & !keep;
                }
                prop_assert_eq!(rule.compute(id, &changed, place), before);
            }
        }
    }

    #[test]
    fn any_bytes_check_or_say_why(data in proptest::collection::vec(any::<u8>(), 0..20), offset in any::<u16>()) {
        let all = [
            Protection::P01(Profile1 { data_id: 1, mode: DataIdMode::Both, crc_byte: offset }),
            Protection::P02(Profile2 { data_ids: [1; 16], crc_byte: offset }),
            Protection::P04(Profile4 { data_id: 1, offset }),
            Protection::P05(Profile5 { data_id: 1, offset }),
        ];
        for protection in all {
            if let Ok(counter) = protection.check(&data) {
                prop_assert!(u32::from(counter) < protection.counter_values());
            }
        }
    }
}
