//! Checksums, found by trying the usual ones.
//!
//! For a fixed length, the start value, the final exclusive-or and an identifier that is summed but not sent change a
//! checksum only by a constant. So a checksum is understood if that constant is the same in all payloads, and nothing
//! about it has to be known beforehand.

/// Different payloads that must agree before a checksum is believed: one fits by chance once in 256 (nibbles: 16).
pub(crate) const PROOFS_MIN: usize = 10;

/// Explanations of a checksum that are kept until payloads decide between them.
pub(crate) const CHECKS_MAX: usize = 4;

/// Polynomials of CRC-8 in use: SAE J1850 (AUTOSAR profiles 1 and 11), AUTOSAR 8H2F (profiles 2 and 22), ATM,
/// Dallas (reflected use apart), and two of the ISO 26262 literature.
pub(crate) const POLYNOMIALS: [u8; 6] = [0x1D, 0x2F, 0x07, 0x31, 0x9B, 0xD5];

/// CRC tables, one for each polynomial.
static TABLES: [[u8; 256]; 6] = tables();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "computed while compiling: a bad index does not build"
)]
const fn tables() -> [[u8; 256]; 6] {
    let mut out = [[0u8; 256]; 6];
    let mut which = 0;
    while which < POLYNOMIALS.len() {
        let (mut byte, mut start) = (0usize, 0u8);
        while byte < 256 {
            let mut crc = start;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ POLYNOMIALS[which] };
                bit += 1;
            }
            out[which][byte] = crc;
            byte += 1;
            start = start.wrapping_add(1);
        }
        which += 1;
    }
    out
}

/// How a checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sum {
    /// Exclusive-or of the other bytes.
    Xor,
    /// Sum of the other bytes.
    Add,
    /// Negative sum: all bytes together are constant.
    Negative,
    /// CRC-8 over the other bytes, by the number of its polynomial.
    Crc(u8),
    /// Sum of the other nibbles, in the low or the high nibble of its byte.
    Nibbles,
}

/// A checksum whose every part is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) sum: Sum,
    /// Byte that holds it.
    pub(crate) byte: u8,
    /// Bits of that byte: all, or a nibble.
    pub(crate) mask: u8,
    /// What it differs by from the plain sum.
    pub(crate) constant: u8,
    /// Length of the payloads it is for, in bytes.
    pub(crate) bytes: u8,
}

impl Check {
    /// Looks for checksums of payloads of one length; most tries end with the second payload. While only a counter
    /// moves, several explain the same payloads.
    pub(crate) fn find(payloads: &[u64], bytes: u8) -> [Option<Self>; CHECKS_MAX] {
        let mut found = [None; CHECKS_MAX];
        if !(2..=8).contains(&bytes) {
            return found;
        }
        let places = (0..bytes).rev().flat_map(|byte| [(byte, 0xFFu8), (byte, 0x0F), (byte, 0xF0)]);
        for (byte, mask) in places {
            if moves(payloads, byte, mask) < PROOFS_MIN {
                continue;
            }
            // Exclusive-or also explains numbers that are equal, as those of wheels.
            let copied = is_copied(payloads, byte, bytes);
            let candidates = (0..9u8).filter_map(|kind| match (kind, mask) {
                (0, 0xFF) if !copied => Some(Sum::Xor),
                (0, 0xFF) => None,
                (1, 0xFF) => Some(Sum::Add),
                (2, 0xFF) => Some(Sum::Negative),
                (3.., 0xFF) => Some(Sum::Crc(kind.saturating_sub(3))),
                (0, _) => Some(Sum::Nibbles),
                (_, _) => None,
            });
            for sum in candidates {
                let mut check = Self { sum, byte, mask, constant: 0, bytes };
                check.constant = check.residue(payloads.first().copied().unwrap_or(0));
                if payloads.iter().all(|&payload| check.residue(payload) == check.constant) {
                    let Some(slot) = found.iter_mut().find(|slot| slot.is_none()) else { return found };
                    *slot = Some(check);
                }
            }
        }
        found
    }

    /// Returns whether a payload carries the right checksum; of another length, nothing is known.
    #[inline]
    pub(crate) fn holds(&self, payload: u64, bytes: u8) -> bool {
        bytes != self.bytes || self.residue(payload) == self.constant
    }

    /// Returns the bits that hold it, in the payload word.
    pub(crate) fn bits(&self) -> u64 {
        u64::from(self.mask).checked_shl(shift(self.byte)).unwrap_or(0)
    }

    /// Returns the checksum that a payload should have, and the one it has.
    pub(crate) fn expected(&self, payload: u64) -> (u8, u8) {
        let stated = byte_of(payload, self.byte) & self.mask;
        let wrong = self.residue(payload);
        let low = self.mask.trailing_zeros();
        let value = stated.checked_shr(low).unwrap_or(0);
        let right = match self.sum {
            Sum::Xor | Sum::Crc(_) => value ^ wrong ^ self.constant,
            Sum::Add | Sum::Negative | Sum::Nibbles => {
                value.wrapping_sub(wrong).wrapping_add(self.constant)
                    & self.mask.checked_shr(low).unwrap_or(0)
            }
        };
        (right, value)
    }

    /// What the stated checksum differs by from the plain sum over the rest.
    fn residue(&self, payload: u64) -> u8 {
        let low = self.mask.trailing_zeros();
        let stated = (byte_of(payload, self.byte) & self.mask).checked_shr(low).unwrap_or(0);
        let rest = payload & !self.bits();
        match self.sum {
            Sum::Xor => stated ^ xor(rest),
            Sum::Add => stated.wrapping_sub(add(rest)),
            Sum::Negative => stated.wrapping_add(add(rest)),
            Sum::Crc(kind) => stated ^ self.crc(kind, payload),
            Sum::Nibbles => {
                let nibbles = (rest & 0x0F0F_0F0F_0F0F_0F0F).wrapping_add(rest >> 4 & 0x0F0F_0F0F_0F0F_0F0F);
                stated.wrapping_sub(add(nibbles)) & 15
            }
        }
    }

    fn crc(&self, kind: u8, payload: u64) -> u8 {
        let Some(table) = TABLES.get(usize::from(kind)) else { return 0 };
        let mut crc = 0u8;
        for (index, byte) in (0..self.bytes).zip(payload.to_be_bytes()) {
            if index != self.byte {
                crc = table.get(usize::from(crc ^ byte)).copied().unwrap_or(0);
            }
        }
        crc
    }
}

/// Exclusive-or of all bytes of a word.
fn xor(word: u64) -> u8 {
    let word = word ^ word >> 32;
    let word = word ^ word >> 16;
    let [.., low] = (word ^ word >> 8).to_be_bytes();
    low
}

/// Sum of all bytes of a word, modulo 256.
fn add(word: u64) -> u8 {
    // Two bytes a lane of sixteen bits, then all four lanes in the highest one.
    let lanes = (word & 0x00FF_00FF_00FF_00FF).wrapping_add(word >> 8 & 0x00FF_00FF_00FF_00FF);
    let [_, sum, ..] = lanes.wrapping_mul(0x0001_0001_0001_0001).to_be_bytes();
    sum
}

const fn shift(byte: u8) -> u32 {
    56u32.saturating_sub((byte as u32).saturating_mul(8))
}

fn byte_of(payload: u64, byte: u8) -> u8 {
    payload.to_be_bytes().get(usize::from(byte)).copied().unwrap_or(0)
}

/// Returns whether another byte always moves exactly as this one does.
fn is_copied(payloads: &[u64], byte: u8, bytes: u8) -> bool {
    let difference = |payload: &u64, other: u8| byte_of(*payload, byte) ^ byte_of(*payload, other);
    (0..bytes).filter(|&other| other != byte).any(|other| {
        let first = payloads.first().map(|payload| difference(payload, other));
        payloads.iter().all(|payload| Some(difference(payload, other)) == first)
    })
}

/// Number of payloads whose bits there differ from those of the payload before.
fn moves(payloads: &[u64], byte: u8, mask: u8) -> usize {
    let later = payloads.iter().skip(1);
    let moved = |(a, b): &(&u64, &u64)| (byte_of(**a, byte) ^ byte_of(**b, byte)) & mask != 0;
    crate::count_of(payloads.iter().zip(later).filter(moved))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn payloads(sum: Sum, byte: u8, mask: u8, constant: u8) -> Vec<u64> {
        let check = Check { sum, byte, mask, constant, bytes: 8 };
        let plain = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) & 0x00FF_0F00_FFFF_0FFF;
        let sealed = |n: u64| {
            let (right, _) = check.expected(plain(n) & !check.bits());
            plain(n) & !check.bits() | u64::from(right) << mask.trailing_zeros() << shift(byte)
        };
        (1..=24).map(sealed).collect()
    }

    #[test]
    fn every_usual_checksum_is_found_wherever_it_is_and_a_changed_bit_breaks_it() {
        let mut cases = std::vec![(Sum::Add, 7, 0xFF), (Sum::Xor, 0, 0xFF), (Sum::Nibbles, 7, 0x0F)];
        cases.push((Sum::Nibbles, 1, 0xF0));
        cases.extend((0..6).map(|kind| (Sum::Crc(kind), kind % 8, 0xFF)));
        for (sum, byte, mask) in cases {
            let payloads = payloads(sum, byte, mask, 0x35 & (mask >> mask.trailing_zeros()));
            let found = Check::find(&payloads, 8)[0].unwrap_or_else(|| panic!("{sum:?}"));
            assert!(payloads.iter().all(|&payload| found.holds(payload, 8)));
            assert!(payloads.iter().all(|&payload| !found.holds(payload ^ 1 << 33, 8)), "{sum:?} {found:?}");
            let (right, wrong) = found.expected(payloads[0] ^ found.bits());
            assert_ne!(right, wrong);
        }
    }

    #[test]
    fn payloads_without_a_checksum_have_none_and_neither_have_constant_ones() {
        let plain: Vec<u64> = (1..=24u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        for (payloads, bytes) in [(&plain[..], 8), (&[7; 24], 8), (&plain, 1)] {
            assert_eq!(Check::find(payloads, bytes), [None; CHECKS_MAX]);
        }
    }
}
