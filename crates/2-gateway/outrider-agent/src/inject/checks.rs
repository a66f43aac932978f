//! Checksums that can be kept valid without knowing them: found by trying the usual ones.
//!
//! For a fixed length, a CRC or exclusive-or over the payload differs from the one with another start value, final
//! exclusive-or or prefixed identifier by a constant, and a sum likewise. So a checksum is understood if that
//! constant is the same in all frames.

/// Fewest different payloads that prove a checksum: one in 256 fits by chance, six in 2⁴⁸ (of nibbles 2²⁴).
const PROOFS_MIN: usize = 7;
/// Most payloads that are looked at.
const PROOFS_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sum {
    Xor,
    Add,
    Crc { polynomial: u8 },
    Nibbles,
}

/// SAE J1850, AUTOSAR 8H2F, and the plain one of ATM and SMBus.
const SUMS: [Sum; 6] = [
    Sum::Xor,
    Sum::Add,
    Sum::Crc { polynomial: 0x1D },
    Sum::Crc { polynomial: 0x2F },
    Sum::Crc { polynomial: 0x07 },
    Sum::Nibbles,
];

/// A checksum of which all is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Check {
    sum: Sum,
    byte: usize,
    /// Bits of the byte that hold it.
    mask: u8,
    constant: u8,
}

impl Check {
    /// Looks for a checksum that all payloads of one identifier have; they must be of one length.
    pub(super) fn find(payloads: &[&[u8]]) -> Option<Self> {
        let distinct: std::collections::BTreeSet<&[u8]> = payloads.iter().copied().take(4096).collect();
        let samples: Vec<&[u8]> = distinct.into_iter().take(PROOFS_MAX).collect();
        let bytes = samples.first().map_or(0, |payload| payload.len());
        if samples.len() < PROOFS_MIN || samples.iter().any(|payload| payload.len() != bytes) {
            return None;
        }
        let places = (0..bytes).rev().flat_map(|byte| [(byte, 0xFF), (byte, 0x0F), (byte, 0xF0)]);
        let moves = |byte: usize, mask: u8| {
            let values: std::collections::BTreeSet<u8> =
                samples.iter().filter_map(|payload| payload.get(byte)).map(|value| value & mask).collect();
            values.len() >= 4
        };
        places.filter(|&(byte, mask)| moves(byte, mask)).find_map(|(byte, mask)| {
            SUMS.into_iter().filter(|sum| (*sum == Sum::Nibbles) == (mask != 0xFF)).find_map(|sum| {
                let mut check = Self { sum, byte, mask, constant: 0 };
                check.constant = check.residue(samples.first()?);
                samples.iter().all(|payload| check.residue(payload) == check.constant).then_some(check)
            })
        })
    }

    /// Returns whether a bit, counted from the most significant of the first byte, is part of the checksum.
    pub(super) const fn covers(&self, bit: usize) -> bool {
        bit / 8 == self.byte && self.mask & 0x80 >> (bit % 8) != 0
    }

    /// Makes a payload valid.
    pub(super) fn apply(&self, payload: &mut [u8]) {
        let sum = self.over(payload);
        let value = match self.sum {
            Sum::Xor | Sum::Crc { .. } => sum ^ self.constant,
            Sum::Add | Sum::Nibbles => sum.wrapping_add(self.constant),
        };
        if let Some(byte) = payload.get_mut(self.byte) {
            *byte = *byte & !self.mask | value << self.mask.trailing_zeros() & self.mask;
        }
    }

    /// What the checksum differs by from the plain sum.
    fn residue(&self, payload: &[u8]) -> u8 {
        let sum = self.over(payload);
        let stated = payload.get(self.byte).map_or(0, |byte| byte & self.mask) >> self.mask.trailing_zeros();
        let whole = self.mask >> self.mask.trailing_zeros();
        match self.sum {
            Sum::Xor | Sum::Crc { .. } => stated ^ sum,
            Sum::Add | Sum::Nibbles => stated.wrapping_sub(sum) & whole,
        }
    }

    /// The plain sum over everything but the checksum itself.
    fn over(&self, payload: &[u8]) -> u8 {
        let others = payload
            .iter()
            .enumerate()
            .map(|(index, byte)| if index == self.byte { byte & !self.mask } else { *byte });
        let whole_bytes =
            others.clone().enumerate().filter(|(index, _)| *index != self.byte).map(|(_, byte)| byte);
        match self.sum {
            Sum::Xor => whole_bytes.fold(0, |sum, byte| sum ^ byte),
            Sum::Add => whole_bytes.fold(0, u8::wrapping_add),
            Sum::Crc { polynomial } => whole_bytes.fold(0, |crc, byte| {
                (0..8).fold(
                    crc ^ byte,
                    |crc: u8, _| {
                        if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ polynomial }
                    },
                )
            }),
            Sum::Nibbles => {
                others.fold(0, |sum: u8, byte| sum.wrapping_add(byte >> 4).wrapping_add(byte & 15))
            }
        }
    }
}
