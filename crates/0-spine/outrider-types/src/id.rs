//! Identities: who, which boot, which lane, which number.

use core::fmt;
use core::str::FromStr;

use crate::Lane;

/// Error of reading hexadecimal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HexError {
    /// The text has another number of digits than the value needs.
    Length {
        /// Digits the value needs.
        expected: usize,
        /// Digits the text has.
        got: usize,
    },
    /// The byte at `offset` is no hexadecimal digit.
    Digit {
        /// Offset in bytes from the start of the text.
        offset: usize,
    },
}

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { expected, got } => write!(f, "expected {expected} hexadecimal digits, got {got}"),
            Self::Digit { offset } => write!(f, "no hexadecimal digit at offset {offset}"),
        }
    }
}

impl core::error::Error for HexError {}

/// Decodes hexadecimal text of exactly `2 * N` digits, upper or lower case.
///
/// # Errors
/// [`HexError`] for a wrong length or a digit that is none.
pub fn hex_decode<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let bytes = text.as_bytes();
    if bytes.len() != N.saturating_mul(2) {
        return Err(HexError::Length { expected: N.saturating_mul(2), got: bytes.len() });
    }
    let mut out = [0u8; N];
    for (index, (slot, pair)) in out.iter_mut().zip(bytes.chunks_exact(2)).enumerate() {
        let mut value = 0u8;
        for (half, &digit) in pair.iter().enumerate() {
            let nibble = match digit {
                b'0'..=b'9' => digit.wrapping_sub(b'0'),
                b'a'..=b'f' => digit.wrapping_sub(b'a').wrapping_add(10),
                b'A'..=b'F' => digit.wrapping_sub(b'A').wrapping_add(10),
                _ => return Err(HexError::Digit { offset: index.saturating_mul(2).saturating_add(half) }),
            };
            value = (value << 4) | nibble;
        }
        *slot = value;
    }
    Ok(out)
}

/// Error of parsing an identity from text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseIdError {
    /// The hexadecimal part is wrong.
    Hex(HexError),
    /// The decimal part is no number in range.
    Number,
    /// The text has the wrong number of parts.
    Shape,
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hex(error) => error.fmt(f),
            Self::Number => f.write_str("no number in range"),
            Self::Shape => f.write_str("wrong number of parts"),
        }
    }
}

impl core::error::Error for ParseIdError {}

/// Keyed pseudonym of one vehicle, 128 bits; the VIN itself stays in the vault (PRIV-1).
///
/// Text form: 32 lower-case hexadecimal digits. Ordered by bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct VehicleId(pub [u8; 16]);

impl fmt::Display for VehicleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for VehicleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VehicleId({self})")
    }
}

impl FromStr for VehicleId {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        hex_decode::<16>(text).map(Self)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Car maker, Tier-1 supplier or service provider that owns a row. 0 is never a tenant.
    TenantId(u32)
);
number!(
    /// Number of a vehicle gateway's boot, growing by at least one a boot; never reused.
    BootEpoch(u64)
);
number!(
    /// Number of an event in its lane and boot, from 1 without gaps.
    Seq(u64)
);
number!(
    /// Number of a bus in a vehicle, as its vehicle model lists them, from 0.
    BusId(u8)
);
number!(
    /// Number of an ECU in a vehicle, as its vehicle model lists them; 0 means unknown.
    EcuId(u16)
);
number!(
    /// Number of an event type in `content/catalogue`; append-only, never reused. 0 means unspecified.
    EventTypeId(u16)
);

number!(
    /// Number of a field in `content/catalogue/fields.toml`; append-only, never reused. 0 means unspecified.
    FieldKey(u16)
);

impl Seq {
    /// Returns the number after this one, or `None` at the end of the range.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }
}

/// Identity of one security event, given by the vehicle and never changed (LOG-1).
///
/// Equality is deduplication; a missing [`Seq`] is a visible gap. Text form:
/// `<vehicle>.<epoch>.<lane digit>.<seq>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Vehicle that saw the event.
    pub vehicle: VehicleId,
    /// Boot in which it saw it.
    pub epoch: BootEpoch,
    /// Lane the event travels in.
    pub lane: Lane,
    /// Number in that lane and boot.
    pub seq: Seq,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.vehicle, self.epoch, self.lane.code(), self.seq)
    }
}

impl FromStr for EventId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut parts = text.split('.');
        let (Some(vehicle), Some(epoch), Some(lane), Some(seq), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ParseIdError::Shape);
        };
        let lane: u8 = lane.parse().map_err(|_| ParseIdError::Number)?;
        Ok(Self {
            vehicle: vehicle.parse().map_err(ParseIdError::Hex)?,
            epoch: BootEpoch(epoch.parse().map_err(|_| ParseIdError::Number)?),
            lane: Lane::from_code(lane).ok_or(ParseIdError::Number)?,
            seq: Seq(seq.parse().map_err(|_| ParseIdError::Number)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;
    use std::string::ToString;

    #[test]
    fn event_id_text_round_trips() {
        let id = EventId {
            vehicle: VehicleId([0xab; 16]),
            epoch: BootEpoch(7),
            lane: Lane::Deferred,
            seq: Seq(u64::MAX),
        };
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn event_id_text_with_a_fifth_part_is_refused() {
        assert_eq!("00.1.0.1.9".parse::<EventId>(), Err(ParseIdError::Shape));
    }

    #[test]
    fn hex_names_the_offset_of_the_bad_digit() {
        assert_eq!(hex_decode::<2>("12g4"), Err(HexError::Digit { offset: 2 }));
        assert_eq!(hex_decode::<2>("123"), Err(HexError::Length { expected: 4, got: 3 }));
    }

    #[test]
    fn the_last_seq_has_no_next() {
        assert_eq!(Seq(u64::MAX).next(), None);
        assert_eq!(Seq(1).next(), Some(Seq(2)));
    }
}
