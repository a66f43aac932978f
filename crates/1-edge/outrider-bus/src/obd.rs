//! On-board diagnostics (SAE J1979, ISO 15031-5): modes and the values a detector has use for.
//!
//! Messages come whole, as [`crate::isotp`] delivers them. Identifiers by convention: 0x7DF asks everybody, 0x7E0 to
//! 0x7E7 ask one ECU, 0x7E8 to 0x7EF answer (ISO 15765-4).

use crate::bytes::{NoSpace, Writer, u8_at, uint_be};
use crate::codes::code_enum;

code_enum! {
    /// Mode (service) of a request; an answer has the same number with bit 6 set.
    Mode: u8 {
        /// Present values.
        CurrentData = 0x01,
        /// Values stored with a trouble code.
        FreezeFrame = 0x02,
        /// Confirmed trouble codes.
        StoredTroubleCodes = 0x03,
        /// Clears trouble codes and what hangs on them.
        ClearTroubleCodes = 0x04,
        /// Results of oxygen sensor tests.
        OxygenSensorTests = 0x05,
        /// Results of tests by the car's own monitors.
        MonitoringTests = 0x06,
        /// Trouble codes of this or the last drive.
        PendingTroubleCodes = 0x07,
        /// Controls a system of the car.
        ControlOperation = 0x08,
        /// Identity of the car, its VIN among it.
        VehicleInformation = 0x09,
        /// Trouble codes that a clearing did not remove.
        PermanentTroubleCodes = 0x0A,
    }
}

/// Most parameter identifiers in one request.
pub const PIDS_MAX: usize = 6;

/// A message of one of the modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Message<'a> {
    /// The mode.
    pub mode: Mode,
    /// Whether it is an answer.
    pub is_answer: bool,
    /// Everything behind the mode.
    pub payload: &'a [u8],
}

/// Value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reading {
    /// Which of the 32 identifiers behind this one exist, the next one in the highest bit.
    Supported(u32),
    /// Coolant temperature in °C.
    CoolantCelsius(i16),
    /// Engine speed in quarters of a revolution a minute.
    EngineQuarterRpm(u16),
    /// Vehicle speed in km/h.
    SpeedKmh(u8),
    /// Throttle position in 1/255 of fully open.
    Throttle255(u8),
    /// Distance since trouble codes were cleared, in km.
    SinceClearedKm(u16),
    /// Odometer in tenths of a km.
    OdometerHm(u32),
}

impl<'a> Message<'a> {
    /// Reads a whole message, or returns `None` if its first byte is no mode, asked or answered.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&first, payload) = bytes.split_first()?;
        let mode = Mode::from_code(first & !0x40);
        let known = !matches!(mode, Mode::Unknown(_)) && first & 0xB0 == 0;
        known.then_some(Self { mode, is_answer: first & 0x40 != 0, payload })
    }

    /// Writes the message and returns its length in bytes.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is too small.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoSpace> {
        let mut writer = Writer::new(out);
        writer.put(&[self.mode.code() | if self.is_answer { 0x40 } else { 0 }]);
        writer.put(self.payload);
        writer.finish()
    }

    /// Returns the parameters that a request of present values asks for, at most [`PIDS_MAX`].
    pub fn asked(&self) -> impl Iterator<Item = u8> + use<'a> {
        let asks = self.mode == Mode::CurrentData && !self.is_answer;
        self.payload.iter().copied().take(if asks { PIDS_MAX } else { 0 })
    }

    /// Returns identifier and value of the first parameter of an answer with present values, or `None` for another
    /// message, a parameter this crate does not know or a cut one.
    #[must_use]
    pub fn reading(&self) -> Option<(u8, Reading)> {
        if self.mode != Mode::CurrentData || !self.is_answer {
            return None;
        }
        let pid = u8_at(self.payload, 0)?;
        let byte = || u8_at(self.payload, 1);
        let word = || u16::try_from(uint_be(self.payload, 1, 2)?).ok();
        let long = || u32::try_from(uint_be(self.payload, 1, 4)?).ok();
        let reading = match pid {
            0x00 | 0x20 | 0x40 | 0x60 | 0x80 | 0xA0 | 0xC0 => Reading::Supported(long()?),
            0x05 => Reading::CoolantCelsius(i16::from(byte()?).saturating_sub(40)),
            0x0C => Reading::EngineQuarterRpm(word()?),
            0x0D => Reading::SpeedKmh(byte()?),
            0x11 => Reading::Throttle255(byte()?),
            0x31 => Reading::SinceClearedKm(word()?),
            0xA6 => Reading::OdometerHm(long()?),
            _ => return None,
        };
        Some((pid, reading))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::vec::Vec;

    use super::*;

    fn reading(bytes: &[u8]) -> Option<(u8, Reading)> {
        Message::parse(bytes)?.reading()
    }

    #[test]
    fn values_have_their_units() {
        assert_eq!(reading(&[0x41, 0x0D, 50]), Some((0x0D, Reading::SpeedKmh(50))));
        assert_eq!(reading(&[0x41, 0x0C, 0x1A, 0xF8]), Some((0x0C, Reading::EngineQuarterRpm(6904))));
        assert_eq!(reading(&[0x41, 0x05, 0]), Some((0x05, Reading::CoolantCelsius(-40))));
        assert_eq!(
            reading(&[0x41, 0x00, 0xBE, 0x1F, 0xA8, 0x13]),
            Some((0, Reading::Supported(0xBE1F_A813)))
        );
        assert_eq!(reading(&[0x41, 0x0C, 0x1A]), None, "cut");
        assert_eq!(reading(&[0x01, 0x0D, 50]), None, "a request");
    }

    #[test]
    fn requests_name_up_to_six_parameters() {
        let message = Message::parse(&[0x01, 1, 2, 3, 4, 5, 6, 7]).expect("a request");
        assert_eq!(message.asked().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(Message::parse(&[0x09, 2]).map(|message| message.mode), Some(Mode::VehicleInformation));
        assert_eq!(Message::parse(&[0x10, 3]), None);
        assert_eq!(Message::parse(&[0x81]), None);
        assert_eq!(Message::parse(&[]), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_as_it_was(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            if let Some(message) = Message::parse(&bytes) {
                let mut out = [0; 12];
                let length = message.emit(&mut out).expect("fits");
                prop_assert_eq!(&out[..length], &bytes[..]);
                let _ = (message.reading(), message.asked().count());
            }
        }
    }
}
