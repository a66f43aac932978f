//! What the first rows tell about units and bases that no header states.

use std::collections::BTreeSet;

use super::columns::Unit;

/// Distinct identifiers without a letter that make hexadecimal unlikely: each has one with a chance of 5 in 8.
const DECIMAL_IDS_MIN: usize = 8;

/// Guesses the unit of times: with a fraction they are seconds; whole numbers since 1970 by their size; others
/// by what a bus can do, which is not less than a frame every 50 ms nor more than one every 20 µs.
pub(super) fn time_unit(stamps: &[&str]) -> Unit {
    if stamps.iter().any(|stamp| stamp.contains(['.', ':', 'e', 'E'])) {
        return Unit::Seconds;
    }
    let values: Vec<u64> = stamps.iter().filter_map(|stamp| stamp.parse().ok()).collect();
    match values.iter().copied().max().unwrap_or(0) {
        100_000_000_000_000_000.. => return Unit::Nanos,
        100_000_000_000_000.. => return Unit::Micros,
        100_000_000_000.. => return Unit::Millis,
        _ => {}
    }
    let mut gaps: Vec<u64> =
        values.iter().zip(values.iter().skip(1)).map(|(one, next)| next.saturating_sub(*one)).collect();
    gaps.sort_unstable();
    match gaps.get(gaps.len() / 2) {
        Some(50_000..) => Unit::Nanos,
        Some(20..) => Unit::Micros,
        Some(_) | None if values.iter().any(|value| *value >= 1_000_000_000) => Unit::Seconds,
        Some(_) => Unit::Millis,
        None => Unit::Micros,
    }
}

/// Guesses the base of identifiers.
pub(super) fn id_base(ids: &[&str]) -> u32 {
    let is_hex = |id: &&str| {
        id.starts_with("0x") || id.starts_with("0X") || has_letter(id) || id.len() > 1 && id.starts_with('0')
    };
    if ids.iter().any(is_hex) {
        return 16;
    }
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    let lengths: BTreeSet<usize> = ids.iter().map(|id| id.len()).collect();
    let too_large =
        ids.iter().any(|id| u32::from_str_radix(id, 16).is_ok_and(|id| (0x800..0x8000).contains(&id)));
    if distinct.len() >= DECIMAL_IDS_MIN || too_large && lengths.len() > 1 { 10 } else { 16 }
}

/// Guesses the base of payload bytes that have a column each.
pub(super) fn byte_base(bytes: &[&str]) -> u32 {
    let is_hex =
        |byte: &&str| byte.starts_with("0x") || has_letter(byte) || byte.len() == 2 && byte.starts_with('0');
    if bytes.iter().any(is_hex) {
        return 16;
    }
    let has_three = bytes.iter().any(|byte| byte.len() == 3);
    let single = bytes.iter().any(|byte| byte.len() == 1) && bytes.iter().any(|byte| byte.len() == 2);
    if has_three || single && bytes.len() >= 64 { 10 } else { 16 }
}

fn has_letter(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'a'..=b'f' | b'A'..=b'F'))
}
