//! Names of vehicles, and bytes that stand in texts.

use std::borrow::Cow;

use base64::Engine as _;
use outrider_types::VehicleId;
use serde::Deserialize;

use super::event::NameRef;
use super::scalar::Scalar;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NameKind {
    Vin,
    Id,
    Foreign,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoding {
    #[default]
    Plain,
    Base64,
    Hex,
}

/// Makes a vehicle's name of a text; `None` if it is none of its kind.
pub(super) fn vehicle_name(kind: NameKind, text: Cow<'_, str>) -> Option<NameRef<'_>> {
    match kind {
        NameKind::Vin if is_vin(&text) => Some(NameRef::Vin(text)),
        NameKind::Vin => vin(&text).map(|vin| NameRef::Vin(Cow::Owned(vin))),
        NameKind::Id => text.parse::<VehicleId>().ok().map(NameRef::Id),
        NameKind::Foreign => (!text.is_empty() && text.len() <= 64).then_some(NameRef::Foreign(text)),
    }
}

/// Returns the identification number in upper case if it has the shape of ISO 3779: 17 of A-Z and 0-9 without I, O and Q.
/// The check digit is not compared: only some markets use it.
pub(crate) fn vin(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_uppercase();
    is_vin(&text).then_some(text)
}

fn is_vin(text: &str) -> bool {
    const fn is_letter(byte: u8) -> bool {
        matches!(byte, b'0'..=b'9' | b'A'..=b'H' | b'J'..=b'N' | b'P' | b'R'..=b'Z')
    }
    text.len() == 17 && text.bytes().all(is_letter)
}

pub(super) fn bytes(scalar: Scalar<'_>, encoding: Encoding) -> Option<Cow<'_, [u8]>> {
    match (scalar, encoding) {
        (Scalar::Bytes(bytes), _) => Some(Cow::Borrowed(bytes)),
        (Scalar::Text(text), Encoding::Plain) => Some(Cow::Borrowed(text.as_bytes())),
        (Scalar::Text(text), Encoding::Base64) => {
            base64::engine::general_purpose::STANDARD.decode(text.trim()).ok().map(Cow::Owned)
        }
        (Scalar::Text(text), Encoding::Hex) => from_hex(text).map(Cow::Owned),
        (Scalar::Null | Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_) | Scalar::Composite, _) => None,
    }
}

/// Reads hexadecimal digits; spaces, colons and dashes between bytes are left out.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b' ' | b':' | b'-')).collect();
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}
