//! Vehicle identification numbers.

use std::fmt;

use zeroize::Zeroize as _;

/// Characters of a VIN (ISO 3779).
const VIN_CHARS: usize = 17;
/// Weight of each place in the check digit (49 CFR 565.15, table IV); the ninth place is the check digit itself.
const WEIGHTS: [u32; VIN_CHARS] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
/// Place of the check digit.
const CHECK_AT: usize = 8;

/// Why a text is no VIN; says nothing of what the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VinError {
    /// It has another number of characters.
    #[error("a VIN has 17 characters, this has {0}")]
    Length(usize),
    /// One of its characters is none of a VIN's: digits and capital letters without I, O and Q.
    #[error("character {0} is none that a VIN has")]
    Character(usize),
    /// The check digit does not fit the others, in a region that has one.
    #[error("the check digit does not fit the other characters")]
    CheckDigit,
}

impl VinError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Length(_) => "vin.length",
            Self::Character(_) => "vin.character",
            Self::CheckDigit => "vin.check_digit",
        }
    }
}

/// Vehicle identification number, upper case, 17 characters.
///
/// It is personal data: it has no `Display`, its `Debug` says nothing, and its bytes are overwritten when it is
/// dropped. Who needs the characters calls [`Vin::expose`].
///
/// ```compile_fail,E0277
/// fn log(vin: &outrider_ingest::registry::Vin) -> String {
///     format!("{vin}")
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Vin([u8; VIN_CHARS]);

impl Vin {
    /// Reads a VIN; white space around it is left out, lower case becomes upper case.
    ///
    /// The check digit is looked at where the VIN's region has one: North America and China. Elsewhere the ninth place
    /// means what the maker wants.
    ///
    /// # Errors
    /// [`VinError`].
    pub fn parse(text: &str) -> Result<Self, VinError> {
        let text = text.trim();
        let count = text.chars().count();
        let mut vin = Self([0; VIN_CHARS]);
        if count != VIN_CHARS {
            return Err(VinError::Length(count));
        }
        for (place, (slot, character)) in vin.0.iter_mut().zip(text.chars()).enumerate() {
            let byte = u8::try_from(character).unwrap_or(0).to_ascii_uppercase();
            if value(byte).is_none() {
                return Err(VinError::Character(place + 1));
            }
            *slot = byte;
        }
        if vin.has_check_digit() && vin.check_digit() != vin.0[CHECK_AT] {
            return Err(VinError::CheckDigit);
        }
        Ok(vin)
    }

    /// Makes a VIN of bytes that were one.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; VIN_CHARS] = bytes.try_into().ok()?;
        bytes.iter().all(|byte| value(*byte).is_some()).then_some(Self(bytes))
    }

    /// Shows the characters. Whoever shows them to a person must be authorised and leave a trace.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a VIN is ASCII")
    }

    /// Whether the region of the VIN's first two characters prescribes the check digit: the United States (1, 4, 5),
    /// Canada (2), Mexico (3A to 3W) and China (L).
    const fn has_check_digit(&self) -> bool {
        match self.0[0] {
            b'1' | b'2' | b'4' | b'5' | b'L' => true,
            b'3' => matches!(self.0[1], b'A'..=b'W'),
            _ => false,
        }
    }

    /// The ninth character as the others demand it.
    fn check_digit(&self) -> u8 {
        let sum: u32 =
            self.0.iter().zip(WEIGHTS).map(|(byte, weight)| value(*byte).unwrap_or(0) * weight).sum();
        b"0123456789X"[(sum % 11) as usize]
    }
}

/// Whether a text has the shape of a VIN: then it does not belong in a column that everybody may read.
pub(super) fn looks_like_vin(text: &str) -> bool {
    let bytes = text.trim().as_bytes();
    bytes.len() == VIN_CHARS
        && bytes.iter().all(|byte| value(byte.to_ascii_uppercase()).is_some())
        && bytes[VIN_CHARS - 4..].iter().all(u8::is_ascii_digit)
}

/// Number that stands for a character in the check digit; `None` for one that no VIN has.
const fn value(byte: u8) -> Option<u32> {
    Some(match byte {
        b'0'..=b'9' => (byte - b'0') as u32,
        b'A'..=b'H' => (byte - b'A' + 1) as u32,
        b'J'..=b'N' => (byte - b'J' + 1) as u32,
        b'P' => 7,
        b'R' => 9,
        b'S'..=b'Z' => (byte - b'S' + 2) as u32,
        _ => return None,
    })
}

impl fmt::Debug for Vin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vin(..)")
    }
}

impl Drop for Vin {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_those_of_the_regulation() {
        for text in ["1M8GDM9AXKP042788", "5GZCZ43D13S812715", "11111111111111111", " 1m8gdm9axkp042788\t"] {
            assert!(Vin::parse(text).is_ok(), "{text}");
        }
        for place in (0..VIN_CHARS).filter(|place| *place != CHECK_AT) {
            let mut bytes = *b"1M8GDM9AXKP042788";
            bytes[place] = if value(bytes[place]) == Some(2) { b'1' } else { b'2' };
            let text = std::str::from_utf8(&bytes).expect("ASCII");
            assert_eq!(Vin::parse(text), Err(VinError::CheckDigit), "place {place}");
        }
    }

    #[test]
    fn a_check_digit_is_asked_for_only_where_the_region_has_one() {
        assert!(Vin::parse("WVWZZZ1JZXW000001").is_ok(), "a filler stands in the ninth place in Europe");
        assert_eq!(Vin::parse("LVWZZZ1JZXW000001"), Err(VinError::CheckDigit));
        assert_eq!(Vin::parse("3VWZZZ1JZXW000001"), Err(VinError::CheckDigit));
        assert!(Vin::parse("37WZZZ1JZXW000001").is_ok(), "Costa Rica");
    }

    #[test]
    fn other_texts_are_refused_with_place_and_without_their_characters() {
        assert_eq!(Vin::parse("WVWZZZ1JZXW00000"), Err(VinError::Length(16)));
        assert_eq!(Vin::parse("WVWZZZ1JZXW0000011"), Err(VinError::Length(18)));
        assert_eq!(Vin::parse(""), Err(VinError::Length(0)));
        for bad in ['I', 'O', 'Q', 'o', '-', 'É', '\0'] {
            let text = format!("WVW{bad}ZZ1JZXW000001");
            assert_eq!(Vin::parse(&text), Err(VinError::Character(4)), "{bad:?}");
        }
    }

    #[test]
    fn debug_says_nothing() {
        let vin = Vin::parse("WVWZZZ1JZXW000001").expect("a VIN");
        assert_eq!(format!("{vin:?} {:?}", Some(&vin)), "Vin(..) Some(Vin(..))");
    }
}
