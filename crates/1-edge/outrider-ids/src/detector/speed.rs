//! Vehicle speed out of a frame.

use outrider_types::VehicleMicros;

use super::limits;
use crate::model::SpeedSignal;

/// Speed of the vehicle at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeedReading {
    /// When it was read.
    pub at: VehicleMicros,
    /// Absolute speed, in km/h.
    pub kmh: u16,
}

impl SpeedReading {
    /// Returns whether the vehicle drives at `now`, or `None` if the reading is too old to say.
    #[must_use]
    pub const fn is_driving(&self, now: VehicleMicros) -> Option<bool> {
        if now.micros_since(self.at) > limits::SPEED_AGE_US {
            return None;
        }
        Some(self.kmh > limits::DRIVING_KMH)
    }
}

/// Reads the signal; `None` if the payload is too short for it or the value is no speed of a road vehicle.
pub(super) fn read(signal: &SpeedSignal, data: &[u8]) -> Option<u16> {
    let mut raw = 0u64;
    if signal.big_endian {
        // DBC counts Motorola bits from the most significant one, downwards in a byte, then into the next.
        let mut byte = usize::from(signal.start_bit >> 3);
        let mut bit = u32::from(signal.start_bit & 7);
        for _ in 0..signal.bits {
            let value = *data.get(byte)?;
            raw = (raw << 1) | u64::from((value >> bit) & 1);
            if bit == 0 {
                bit = 7;
                byte = byte.saturating_add(1);
            } else {
                bit = bit.saturating_sub(1);
            }
        }
    } else {
        for index in (0..u16::from(signal.bits)).rev() {
            let position = signal.start_bit.saturating_add(index);
            let value = *data.get(usize::from(position >> 3))?;
            raw = (raw << 1) | u64::from((value >> (position & 7)) & 1);
        }
    }
    let mut value = i64::try_from(raw).ok()?;
    let span = 1i64.checked_shl(signal.bits.into())?;
    if signal.signed && value >= span >> 1 {
        value = value.saturating_sub(span);
    }
    if !signal.signed && value == span.saturating_sub(1) {
        // All ones: signal not available (SAE J1939-71, and common habit elsewhere).
        return None;
    }
    let nano = value.saturating_mul(signal.scale_nano_kmh).saturating_add(signal.offset_nano_kmh);
    u16::try_from(nano.unsigned_abs() / 1_000_000_000).ok().filter(|&kmh| kmh <= 500)
}

#[cfg(test)]
mod tests {
    use outrider_bus::can::CanId;

    use super::*;

    fn signal(start_bit: u16, bits: u8, big_endian: bool) -> SpeedSignal {
        SpeedSignal {
            id: CanId::standard(0x257).expect("eleven bits"),
            start_bit,
            bits,
            big_endian,
            signed: false,
            scale_nano_kmh: 80_000_000,
            offset_nano_kmh: -40_000_000_000,
        }
    }

    #[test]
    fn both_byte_orders_read_the_same_bits() {
        // 100 km/h is raw 1750 = 0x6D6.
        assert_eq!(read(&signal(12, 12, false), &[0, 0x60, 0x6D]), Some(100));
        assert_eq!(read(&signal(7, 12, true), &[0x6D, 0x60]), Some(100));
        assert_eq!(read(&signal(7, 12, true), &[0x6D]), None, "cut");
        assert_eq!(read(&signal(0, 12, false), &[0xFF, 0x0F]), None, "not available");
    }
}
