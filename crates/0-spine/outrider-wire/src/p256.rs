//! The one spelling of an ECDSA signature over P-256: of s and order - s, which are both valid, the lower.

use crate::SIGNATURE_BYTES;

/// Half of the order of P-256, rounded down, big endian (FIPS 186-5 and SP 800-186, 3.2.1.3).
const HALF_ORDER: [u8; 32] = [
    0x7F, 0xFF, 0xFF, 0xFF, 0x80, 0x00, 0x00, 0x00, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xDE,
    0x73, 0x7D, 0x56, 0xD3, 0x8B, 0xCF, 0x42, 0x79, 0xDC, 0xE5, 0x61, 0x7E, 0x31, 0x92, 0xA8,
];

/// Order of P-256, big endian.
const ORDER: [u8; 32] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC,
    0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
];

/// Returns whether s of a signature (r, s) is in the lower half of the group: verifiers take no other, so that a frame has
/// one signature only.
#[must_use]
pub fn is_low_s(signature: &[u8; SIGNATURE_BYTES]) -> bool {
    signature.last_chunk::<32>().is_some_and(|s| *s <= HALF_ORDER)
}

/// Brings s of a signature (r, s) into the lower half of the group. One that is out of range stays as it is.
#[must_use]
pub fn low_s(mut signature: [u8; SIGNATURE_BYTES]) -> [u8; SIGNATURE_BYTES] {
    let Some((_, s)) = signature.split_last_chunk_mut::<32>() else { return signature };
    if *s <= HALF_ORDER || *s >= ORDER {
        return signature;
    }
    let mut borrowed = false;
    for (digit, order) in s.iter_mut().zip(ORDER).rev() {
        let (difference, is_below) = order.overflowing_sub(*digit);
        let (difference, is_still) = difference.overflowing_sub(u8::from(borrowed));
        borrowed = is_below || is_still;
        *digit = difference;
    }
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(s: [u8; 32]) -> [u8; SIGNATURE_BYTES] {
        let mut signature = [7; SIGNATURE_BYTES];
        signature.iter_mut().skip(32).zip(s).for_each(|(slot, byte)| *slot = byte);
        signature
    }

    #[test]
    fn the_lower_half_ends_at_its_edge_and_what_is_out_of_range_stays() {
        let mut above = HALF_ORDER;
        above[31] = above[31].wrapping_add(1);
        assert_eq!(low_s(with(HALF_ORDER)), with(HALF_ORDER));
        // order - (half + 1) = half, since the order is odd.
        assert_eq!(low_s(with(above)), with(HALF_ORDER));
        assert!(is_low_s(&with(HALF_ORDER)) && !is_low_s(&with(above)));
        let mut last = ORDER;
        last[31] = last[31].wrapping_sub(1);
        let mut one = [0; 32];
        one[31] = 1;
        assert_eq!(low_s(with(last)), with(one));
        assert_eq!(low_s(with(ORDER)), with(ORDER));
        assert_eq!(low_s(with([0xFF; 32])), with([0xFF; 32]));
    }
}
