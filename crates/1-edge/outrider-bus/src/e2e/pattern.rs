//! Checksums of car makers that no standard names: sums, exclusive-ors and nibble sums over payload, identifier and
//! length.
//!
//! Source: the checksum functions of openly published network descriptions (comma.ai opendbc, MIT), reduced to the
//! few shapes that they share. A detector that looks for the rule of an unknown field tries [`Rule::ALL`].

use crate::crc::{CRC8_DVB_S2, CRC8_H2F, CRC8_J1850, CRC8_J1850_ZERO, CRC8_ROHC_MSB, CRC8_SMBUS, Crc8};

/// Where a checksum lies in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A whole byte.
    Byte(u8),
    /// The low four bits of a byte.
    LowNibble(u8),
    /// The high four bits of a byte.
    HighNibble(u8),
}

impl Place {
    /// Returns the byte.
    #[must_use]
    pub const fn byte(self) -> usize {
        match self {
            Self::Byte(byte) | Self::LowNibble(byte) | Self::HighNibble(byte) => byte as usize,
        }
    }

    /// Returns the bits of the byte that are not the checksum.
    const fn keep(self) -> u8 {
        match self {
            Self::Byte(_) => 0x00,
            Self::LowNibble(_) => 0xF0,
            Self::HighNibble(_) => 0x0F,
        }
    }

    /// Returns the checksum that a payload carries, or `None` if it ends before.
    #[must_use]
    pub fn value(self, data: &[u8]) -> Option<u8> {
        let byte = data.get(self.byte()).copied()?;
        Some(match self {
            Self::Byte(_) => byte,
            Self::LowNibble(_) => byte & 0x0F,
            Self::HighNibble(_) => byte >> 4,
        })
    }

    /// Cuts a sum to the width of the place.
    const fn fit(self, value: u8) -> u8 {
        match self {
            Self::Byte(_) => value,
            Self::LowNibble(_) | Self::HighNibble(_) => value & 0x0F,
        }
    }
}

/// How the bytes are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Sum of all bytes.
    Sum,
    /// Inverted sum of all bytes.
    SumInverted,
    /// Sum of all bytes, negated: everything together sums to zero.
    SumNegated,
    /// Exclusive or of all bytes.
    Xor,
    /// Sum of all nibbles, negated and 8 added.
    NibblesFromEight,
    /// Sum of all nibbles, negated.
    NibblesNegated,
    /// A CRC of 8 bits. The checksum's own byte is left out, not read as zero.
    Crc(&'static Crc8),
}

/// A checksum rule without its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// How the bytes are put together.
    pub mix: Mix,
    /// Whether the bytes of the identifier are among them.
    pub with_id: bool,
    /// Whether the length of the payload is among them.
    pub with_length: bool,
}

const fn rule(mix: Mix, with_id: bool, with_length: bool) -> Rule {
    Rule { mix, with_id, with_length }
}

impl Rule {
    /// All rules this crate knows, the most common first.
    pub const ALL: &[Self] = &[
        rule(Mix::Sum, true, true),
        rule(Mix::Sum, false, false),
        rule(Mix::Sum, true, false),
        rule(Mix::Xor, false, false),
        rule(Mix::Xor, true, false),
        rule(Mix::SumInverted, false, false),
        rule(Mix::SumNegated, false, false),
        rule(Mix::SumNegated, true, false),
        rule(Mix::NibblesFromEight, true, false),
        rule(Mix::NibblesNegated, false, false),
        rule(Mix::Crc(&CRC8_J1850), false, false),
        rule(Mix::Crc(&CRC8_J1850_ZERO), false, false),
        rule(Mix::Crc(&CRC8_H2F), false, false),
        rule(Mix::Crc(&CRC8_SMBUS), false, false),
        rule(Mix::Crc(&CRC8_ROHC_MSB), false, false),
        rule(Mix::Crc(&CRC8_DVB_S2), false, false),
    ];

    /// Returns the checksum of a payload at a place, O(n); the place's own bits count as zero.
    #[must_use]
    pub fn compute(&self, id: u32, data: &[u8], place: Place) -> u8 {
        let id_bytes = if self.with_id { id.to_be_bytes() } else { [0; 4] };
        let length = if self.with_length { u8::try_from(data.len()).unwrap_or(u8::MAX) } else { 0 };
        if let Mix::Crc(crc) = self.mix {
            return place.fit(crc.finish(self.crc(crc, &id_bytes, length, data, place)));
        }
        let payload = data
            .iter()
            .enumerate()
            .map(|(index, &byte)| if index == place.byte() { byte & place.keep() } else { byte });
        let all = id_bytes.into_iter().chain([length]).chain(payload);
        place.fit(match self.mix {
            Mix::Sum => all.fold(0, u8::wrapping_add),
            Mix::SumInverted => !all.fold(0, u8::wrapping_add),
            Mix::SumNegated => all.fold(0, u8::wrapping_add).wrapping_neg(),
            Mix::Xor => all.fold(0, |sum, byte| sum ^ byte),
            Mix::NibblesFromEight => 8u8.wrapping_sub(all.fold(0, add_nibbles)),
            Mix::NibblesNegated => all.fold(0, add_nibbles).wrapping_neg(),
            Mix::Crc(_) => 0,
        })
    }

    fn crc(&self, crc: &Crc8, id: &[u8], length: u8, data: &[u8], place: Place) -> u8 {
        let mut register = crc.begin();
        if self.with_id {
            register = crc.update(register, id);
        }
        if self.with_length {
            register = crc.update(register, &[length]);
        }
        register = crc.update(register, data.get(..place.byte()).unwrap_or(data));
        if place.keep() != 0 {
            let kept = data.get(place.byte()).map_or(0, |byte| byte & place.keep());
            register = crc.update(register, &[kept]);
        }
        crc.update(register, data.get(place.byte().saturating_add(1)..).unwrap_or(&[]))
    }

    /// Returns whether a payload carries the checksum of this rule at a place.
    #[must_use]
    pub fn holds(&self, id: u32, data: &[u8], place: Place) -> bool {
        place.value(data) == Some(self.compute(id, data, place))
    }
}

const fn add_nibbles(sum: u8, byte: u8) -> u8 {
    sum.wrapping_add(byte & 0x0F).wrapping_add(byte >> 4)
}
